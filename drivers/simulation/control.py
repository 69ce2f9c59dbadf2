"""Faults on demand: a port of the simulation beside those of its instruments, which may be out of order.

A request is a line of JSON with ``instrument`` and ``fault``, its answer one with ``refused``: why not, or
nothing. Without ``fault`` it asks for the books of a potentiostat: what it has measured, for whom.
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
    _ask(state_file, _Request(instrument=instrument, fault=fault))


class Books(BaseModel):
    """What a simulated potentiostat has measured in its life."""

    model_config = ConfigDict(frozen=True)

    now_s: float
    """Its time now."""
    made: list[tuple[str, list[int]]]
    """Marker of each list that it ran, and how many records each technique made, points of spectra apart."""


def read_books(state_file: Path, instrument: str) -> Books:
    """Return the books of a simulated potentiostat.

    Raises NotAllowedError if there is none of this name, UnreachableError if the simulation does not answer.
    """
    return Books.model_validate(_ask(state_file, _Request(instrument=instrument))["books"])


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    instrument: str
    fault: Fault | None = None


def _ask(state_file: Path, request: _Request) -> dict[str, object]:
    text = request.model_dump_json(exclude_defaults=True)
    try:
        with socket.create_connection(find_control(state_file), _TIMEOUT_S) as link:
            link.sendall(text.encode() + END)
            answer: dict[str, object] = json.loads(link.makefile("rb").readline())
        refused = answer["refused"]
    except (OSError, KeyError, ValueError) as error:
        raise UnreachableError(
            f"no simulation answers by {state_file}: {error!r}; does it run? start it with: sandtime simulate"
        ) from error
    if refused:
        raise NotAllowedError(f"{request.instrument}: {refused}")
    return answer


class ControlConnection(asyncio.Protocol):
    """One connection to the port for faults."""

    def __init__(
        self, instruments: Mapping[str, Inject], books: Mapping[str, Callable[[], dict[str, object]]] = {}
    ) -> None:
        self._instruments = instruments
        self._books = books
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
            self._transport.write(json.dumps(self._answer(bytes(line))).encode() + END)
        if len(self._buffer) > REQUEST_MAX:
            self._transport.close()

    def _answer(self, line: bytes) -> dict[str, object]:
        """Carry out one request; ``refused`` says why not, or nothing."""
        try:
            request = _Request.model_validate_json(line)
            if request.fault is None:
                return {"refused": "", "books": self._books[request.instrument]()}
            self._instruments[request.instrument](request.fault)
        except ValidationError as error:
            wrong = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            return {"refused": "; ".join(wrong)}
        except KeyError:
            known = self._books if request.fault is None else self._instruments
            return {"refused": f"no such instrument is simulated; there are {', '.join(sorted(known))}"}
        except ValueError as error:
            return {"refused": str(error)}
        return {"refused": ""}
