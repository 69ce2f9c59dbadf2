"""Faults on demand: a port of the simulation beside those of its instruments, which may be out of order.

A request is a line of JSON with ``instrument`` and ``fault``, its answer one with ``refused``: why not, or
nothing.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict, ValidationError

from drivers.simulation.faults import Fault
from drivers.simulation.wire import find_control
from protocols.errors import NotAllowedError, UnreachableError

END = b"\n"
REQUEST_MAX = 4096
_TIMEOUT_S = 5.0

Inject = Callable[[Fault], None]
"""Lets a fault of an instrument begin now; raises ValueError if it cannot have it."""


def inject(state_file: Path, instrument: str, fault: Fault) -> None:
    """Let something go wrong, from now on, with a simulated instrument: its name or its address.

    Raises NotAllowedError if there is no such instrument, or if it cannot have this fault, UnreachableError
    if the simulation does not answer.
    """
    request = _Request(instrument=instrument, fault=fault).model_dump_json(exclude_defaults=True)
    try:
        with socket.create_connection(find_control(state_file), _TIMEOUT_S) as link:
            link.sendall(request.encode() + END)
            refused = json.loads(link.makefile("rb").readline())["refused"]
    except (OSError, KeyError, ValueError) as error:
        raise UnreachableError(
            f"no simulation answers by {state_file}: {error!r}; does it run? start it with: sandtime simulate"
        ) from error
    if refused:
        raise NotAllowedError(f"{instrument}: {refused}")


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    instrument: str
    fault: Fault


class ControlConnection(asyncio.Protocol):
    """One connection to the port for faults."""

    def __init__(self, instruments: Mapping[str, Inject]) -> None:
        self._instruments = instruments
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the connection."""
        # uvloop's transports do not derive from asyncio's class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Carry out every whole line, in order; hang up on a line without end."""
        self._buffer += data
        while END in self._buffer:
            line, _, rest = self._buffer.partition(END)
            self._buffer = rest
            self._transport.write(json.dumps({"refused": self._refusal(bytes(line))}).encode() + END)
        if len(self._buffer) > REQUEST_MAX:
            self._transport.close()

    def _refusal(self, line: bytes) -> str:
        """Carry out one request; return why not, or nothing."""
        try:
            request = _Request.model_validate_json(line)
            start = self._instruments[request.instrument]
            start(request.fault)
        except ValidationError as error:
            return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        except KeyError:
            return f"no such instrument is simulated; there are {', '.join(sorted(self._instruments))}"
        except ValueError as error:
            return str(error)
        return ""
