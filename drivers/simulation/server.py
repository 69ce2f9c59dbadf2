"""Simulated instruments as a server process on ephemeral local ports. It outlives its hosts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import cast

from drivers.biologic.constants import ErrorCode
from drivers.simulation.box import Box
from drivers.simulation.chamber import ChamberConnection, SimulatedChamber
from drivers.simulation.clock import TICK_S, HeldClock
from drivers.simulation.config import SimulationConfig
from drivers.simulation.control import ControlConnection, Inject
from drivers.simulation.faults import Fault
from drivers.simulation.linkfaults import FaultyConnection
from drivers.simulation.techniques import RefusedError
from drivers.simulation.wire import CODE, HEAD, Operation, pack_frame, split_frames

HOST = "127.0.0.1"

_READINGS = frozenset({Operation.VALUES, Operation.DATA, Operation.CHANNEL_INFOS})
"""Requests that an overloaded instrument answers with zeros."""


class Port:
    """A box and its hosts; answers frames."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.hosts = 0

    def reply(self, operation: Operation, channel: int, payload: bytes) -> tuple[int, bytes]:
        """Answer a request of a connected host with an error code and a payload."""
        if self.box.lost_calls:
            self.box.lost_calls -= 1
            return ErrorCode.COMM_COMMFAILED, b""
        try:
            if self.box.zeros_left and operation in _READINGS:
                self.box.zeros_left -= 1
                return ErrorCode.NOERROR, self.box.zeros(operation, channel)
            return ErrorCode.NOERROR, self.box.answer(operation, channel, payload)
        except RefusedError as error:
            return error.code, error.payload


class HostConnection(asyncio.Protocol):
    """One connection. A host has to ask for CONNECT first; only then it counts as one."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._buffer = bytearray()
        self._connected = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the connection."""
        # A transport of uvloop does not derive from asyncio's class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the host has gone."""
        if self._connected:
            self._port.hosts -= 1
            self._port.box.disconnect()

    def data_received(self, data: bytes) -> None:
        """Answer every whole request, in order."""
        self._buffer += data
        for body in split_frames(self._buffer):
            code, payload = self._answer(body)
            self._transport.write(pack_frame(CODE.pack(code) + payload))

    def _answer(self, body: bytes) -> tuple[int, bytes]:
        number, channel = HEAD.unpack_from(body)
        operation, payload = Operation(number), body[HEAD.size :]
        if operation == Operation.CONNECT:
            return self._connect()
        if not self._connected:
            return ErrorCode.GEN_NOTCONNECTED, b""
        return self._port.reply(operation, channel, payload)

    def _connect(self) -> tuple[int, bytes]:
        try:
            infos = self._port.box.connect()
        except RefusedError as error:
            return error.code, b""
        self._connected = True
        self._port.hosts += 1
        return ErrorCode.NOERROR, infos


async def serve(
    config: SimulationConfig,
    state_file: Path,
    speed: float = 1.0,
    max_lag_s: float = 10.0,
    exit_without_client_s: float | None = None,
) -> None:
    """Run all instruments of ``config`` until SIGTERM or SIGINT, or until nobody was connected for a time.

    ``speed`` is instrument seconds per real second; ``max_lag_s``: see :class:`HeldClock`. The state file
    says where the instruments listen; it appears once they do, and goes at the end. All circuits are then
    open.
    """
    ports, chambers = _build(config, speed, max_lag_s)
    ending = _ending()
    async with contextlib.AsyncExitStack() as servers:
        places = {
            "addresses": {
                address: await _listen(
                    partial(FaultyConnection, port.box.faults.link, partial(HostConnection, port)), servers
                )
                for address, port in ports.items()
            },
            "chambers": {
                name: await _listen(
                    partial(FaultyConnection, chamber.faults.link, partial(ChamberConnection, chamber)),
                    servers,
                )
                for name, chamber in chambers.items()
            },
            "control": {
                "faults": await _listen(
                    partial(ControlConnection, _injectable(config, ports, chambers), _books(config, ports)),
                    servers,
                )
            },
        }
        try:
            _write_state(state_file, places)
            await _live(list(ports.values()), list(chambers.values()), ending, exit_without_client_s)
        finally:
            for port in ports.values():
                port.box.stop_all()
            _remove_state(state_file)


def _injectable(
    config: SimulationConfig, ports: Mapping[str, Port], chambers: Mapping[str, SimulatedChamber]
) -> dict[str, Inject]:
    """Return what injects a fault into each instrument, by its name and its address."""
    found = {name: partial(_inject, config.chambers[name].check, chambers[name].inject) for name in chambers}
    for name, box in config.boxes.items():
        found[name] = found[box.address] = partial(_inject, box.check, ports[box.address].box.inject)
    return dict(found)


def _books(config: SimulationConfig, ports: Mapping[str, Port]) -> dict[str, Callable[[], dict[str, object]]]:
    """Return what tells the books of each potentiostat, by its name."""
    return {name: ports[box.address].box.books for name, box in config.boxes.items()}


def _inject(check: Inject, start: Inject, fault: Fault) -> None:
    check(fault)
    start(fault)


def _build(
    config: SimulationConfig, speed: float, max_lag_s: float
) -> tuple[dict[str, Port], dict[str, SimulatedChamber]]:
    """Return the instruments by address and the chambers by name.

    A chamber lives on the clock of the instrument whose cells sit in it; the clock of another never waits.
    """
    clocks = {name: HeldClock(time.monotonic, speed, max_lag_s) for name in config.boxes}
    holders = {chamber: clocks[name] for name, box in config.boxes.items() for chamber in box.chambers}
    chambers = {
        name: SimulatedChamber(
            chamber, partial(_now_s, holders[name]) if name in holders else lambda: time.monotonic() * speed
        )
        for name, chamber in config.chambers.items()
    }
    ports = {box.address: Port(Box(box, clocks[name], chambers)) for name, box in config.boxes.items()}
    return ports, chambers


def _now_s(clock: HeldClock) -> float:
    return clock.now_s


def _ending() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    return ending


async def _listen(
    connection: Callable[[], asyncio.Protocol], servers: contextlib.AsyncExitStack
) -> dict[str, str | int]:
    """Let hosts connect to an instrument until ``servers`` closes; return where."""
    server = await asyncio.get_running_loop().create_server(connection, HOST, 0)
    servers.callback(server.close)
    host, port = server.sockets[0].getsockname()[:2]
    return {"host": host, "port": port}


def _write_state(state_file: Path, places: Mapping[str, Mapping[str, object]]) -> None:
    """Write the state file so that no reader ever sees half of it."""
    text = json.dumps({"pid": os.getpid(), **places}, indent=1)
    draft = state_file.with_name(f"{state_file.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(state_file)


def _remove_state(state_file: Path) -> None:
    state_file.unlink(missing_ok=True)


async def _live(
    ports: list[Port],
    chambers: list[SimulatedChamber],
    ending: asyncio.Event,
    exit_without_client_s: float | None,
) -> None:
    """Keep the instruments up to date until the end."""
    last_host_s = time.monotonic()
    while not ending.is_set():
        for port in ports:
            port.box.advance()
            # A long stride of one box must not keep the hosts of the others waiting.
            await asyncio.sleep(0)
        for chamber in chambers:
            chamber.advance()
        now_s = time.monotonic()
        if any(port.hosts for port in ports) or any(chamber.hosts for chamber in chambers):
            last_host_s = now_s
        if exit_without_client_s is not None and now_s - last_host_s > exit_without_client_s:
            return
        await asyncio.sleep(TICK_S)
