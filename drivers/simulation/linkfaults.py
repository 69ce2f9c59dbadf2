"""Faults of the link to a simulated instrument, whatever protocol it speaks.

They stand between the transport and the instrument's own asyncio protocol, which writes each reply at once
and knows nothing of them.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, cast

_SEED = 1


class LinkFaults:
    """What is wrong at present with all connections to one instrument."""

    def __init__(self) -> None:
        self.down = 0
        """How many faults keep hosts from connecting."""
        self.frozen = 0
        """How many faults keep requests from the instrument."""
        self.late_s = 0.0
        """Real time by which replies come later."""
        self.garbage = 0
        """How many of the next replies are random bytes."""
        self.truncated = 0
        """How many of the next replies stop half-way."""
        self._random = random.Random(_SEED)  # noqa: S311 (no secret)
        self._open: set[asyncio.Transport] = set()

    def joined(self, transport: asyncio.Transport) -> None:
        """Take note of a connection."""
        self._open.add(transport)

    def left(self, transport: asyncio.Transport) -> None:
        """Take note that it has ended."""
        self._open.discard(transport)

    def drop(self) -> None:
        """End all connections; what they still had to send is lost."""
        for transport in list(self._open):
            transport.abort()

    def spoil(self, reply: bytes) -> tuple[bytes, bool]:
        """Return what is sent in place of a reply, and whether the connection is silent from then on."""
        if self.truncated:
            self.truncated -= 1
            return reply[: len(reply) // 2], True
        if self.garbage:
            self.garbage -= 1
            return self._random.randbytes(len(reply)), False
        return reply, False


class FaultyConnection(asyncio.Protocol):
    """One host's connection to an instrument whose own protocol ``make`` returns."""

    def __init__(self, link: LinkFaults, make: Callable[[], asyncio.Protocol]) -> None:
        self._link = link
        self._make = make
        self._instrument: asyncio.Protocol | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the instrument have the connection, unless the link is down."""
        # uvloop's transports do not derive from asyncio's class.
        self._transport = cast("asyncio.Transport", transport)
        if self._link.down:
            self._transport.abort()
            return
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._link.joined(self._transport)
        self._instrument = self._make()
        self._instrument.connection_made(_Line(self._transport, self._link))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the instrument, if it knew of the connection."""
        self._link.left(self._transport)
        if self._instrument is not None:
            self._instrument.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand requests on, unless the instrument is frozen: then they are gone."""
        if self._instrument is not None and not self._link.frozen:
            self._instrument.data_received(data)


class _Line(asyncio.Transport):
    """What the instrument takes for its transport: replies go through the faults of the link."""

    def __init__(self, transport: asyncio.Transport, link: LinkFaults) -> None:
        super().__init__()
        self._transport = transport
        self._link = link
        self._silent = False
        self._late: deque[bytes] = deque()
        self._last_due_s = 0.0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send one reply."""
        if self._silent or self._link.frozen:
            return
        sent, self._silent = self._link.spoil(bytes(data))
        if not self._link.late_s and not self._late:
            self._transport.write(sent)
            return
        # No reply overtakes an earlier one, and a timer that fires sends the oldest.
        loop = asyncio.get_running_loop()
        self._last_due_s = max(loop.time() + self._link.late_s, self._last_due_s)
        self._late.append(sent)
        loop.call_at(self._last_due_s, self._send_oldest)

    def _send_oldest(self) -> None:
        sent = self._late.popleft()
        if not self._transport.is_closing():
            self._transport.write(sent)

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def abort(self) -> None:
        """Hang up at once."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether the connection is ending."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport knows of the connection."""
        return self._transport.get_extra_info(name, default)
