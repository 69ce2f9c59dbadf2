"""The line to a controller: one command, one reply, each a line of ASCII that ends with CR LF.

Replies carry no number. So the connection is closed whenever a reply did not come whole and in time: what
the controller still sends then reaches nobody, and is never taken for the answer to a later command.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from protocols.errors import InstrumentError, UnreachableError

END = b"\r\n"
REPLY_MAX = 256
"""Bytes of a reply; the longest that this driver asks for has about 30."""
_SHOWN = 60


class Line:
    """A connection that opens when it is needed and holds one command at a time."""

    def __init__(
        self,
        name: str,
        place: Callable[[], tuple[str, int]],
        connect_timeout_s: float,
        reply_timeout_s: float,
    ) -> None:
        self._name = name
        self._place = place
        self._connect_timeout_s = connect_timeout_s
        self._reply_timeout_s = reply_timeout_s
        self._one_at_a_time = asyncio.Lock()
        self._link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, command: str) -> str:
        """Send a command and return the reply without its line end.

        Raises UnreachableError without connection or reply, InstrumentError when the controller refuses or
        answers with something that is no line of its own.
        """
        async with self._one_at_a_time:
            reader, writer = self._link or await self._open()
            self._link = None
            try:
                reply = await self._exchange(reader, writer, command)
            except BaseException:
                writer.close()
                raise
            self._link = reader, writer
        if reply.startswith("NA:"):
            raise InstrumentError(f"{self._name} refuses {command!r}: {reply[3:].strip()}")
        return reply

    async def close(self) -> None:
        """Close the connection, if there is one."""
        link, self._link = self._link, None
        if link is not None:
            link[1].close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._connect_timeout_s):
                    await link[1].wait_closed()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._place()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                reader, writer = await asyncio.open_connection(host, port, limit=REPLY_MAX)
        except TimeoutError:
            what = f"no answer in {self._connect_timeout_s:g} s"
            raise UnreachableError(f"{self._name} at {host}:{port}: {what}") from None
        except OSError as error:
            why = error.strerror or str(error)
            raise UnreachableError(f"{self._name} at {host}:{port} can't be reached: {why}") from error
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return reader, writer

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: str
    ) -> str:
        try:
            async with asyncio.timeout(self._reply_timeout_s):
                writer.write(command.encode("ascii") + END)
                await writer.drain()
                line = await reader.readuntil(END)
        except TimeoutError:
            what = f"no reply to {command!r} in {self._reply_timeout_s:g} s"
            raise UnreachableError(f"{self._name}: {what}") from None
        except asyncio.IncompleteReadError as error:
            what = f"closed the connection instead of answering {command!r}"
            came = f" after {shown(error.partial)}" if error.partial else ""
            raise UnreachableError(f"{self._name} {what}{came}") from error
        except asyncio.LimitOverrunError as error:
            came = shown(await reader.read(_SHOWN))
            raise InstrumentError(
                f"{self._name} answers {command!r} with more than {REPLY_MAX} bytes without a line end: "
                f"{came}…; is this the controller's port?"
            ) from error
        except OSError as error:
            raise UnreachableError(f"{self._name}: the connection broke: {error}") from error
        return line[: -len(END)].decode("ascii", errors="backslashreplace")


def shown(bytes_or_text: bytes | str) -> str:
    """Return the beginning of something that came, safe to print."""
    return repr(bytes_or_text[:_SHOWN])
