"""The only place that builds things: store, instruments, engine and faces, and who listens to whom."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.biologic import capabilities
from drivers.biologic import create as create_biologic
from drivers.biologic.library import Library, load_library
from drivers.biologic.settings import read_settings
from drivers.chamber import Chamber
from drivers.espec import create as create_espec
from drivers.instrument import Instrument
from drivers.simulation.eclib import simulated_library
from drivers.simulation.wire import find_chamber
from monitor.operation import Operation
from monitor.private_file import write_private
from monitor.publishing import LOCAL, Publishing
from monitor.signals import on_signal
from monitor.verdict_figure import draw_window
from protocols.capabilities import Capabilities
from protocols.errors import BusyError, InvalidFileError, Problem
from scheduler.archives import Archives
from scheduler.clock import Clock
from scheduler.config import MqttConfig, ServiceConfig
from scheduler.editor import Editor
from scheduler.engine import Engine
from scheduler.recorder import Recorder
from scheduler.reload import Reloading
from scheduler.requests import STATE_FILE
from scheduler.service import Service
from scheduler.supervision import Work
from scheduler.worker import Worker
from storage.store import Store

if TYPE_CHECKING:
    from monitor.mqtt import Publisher

log = logging.getLogger(__name__)

CLIENT_CHECK_S = 1.0
GC_THRESHOLDS = (50_000, 20, 100)
"""Fewer collections of what never dies (facts/storage.md §6)."""


def build_instruments(config: ServiceConfig) -> dict[str, Instrument]:
    """Return the instruments of service.toml, not yet connected. Raises InvalidFileError."""
    return {name: _instrument(name, table, config) for name, table in config.instruments.items()}


def check_tables(config: ServiceConfig) -> None:
    """Let the drivers read their tables, without making anything. Raises InvalidFileError."""
    for name, given in config.instruments.items():
        table, _ = _biologic_table(name, given)
        read_settings(name, table)
    build_chambers(config)


def build_chambers(config: ServiceConfig) -> dict[str, Chamber]:
    """Return the chambers of service.toml, not yet connected. Raises InvalidFileError."""
    return {name: _chamber(name, table, config) for name, table in config.chambers.items()}


def _chamber(name: str, given: Mapping[str, Any], config: ServiceConfig) -> Chamber:
    """Make a chamber. If its address is the word ``simulation``, the state file says where it listens."""
    table = dict(given)
    driver = table.pop("driver")
    if driver != "espec":
        hint = "drivers of chambers in this version: espec"
        raise InvalidFileError([Problem("service.toml", 0, 0, f"chamber {name}: no driver {driver!r}", hint)])
    if table.get("address") == "simulation":
        return create_espec(name, table, lambda: find_chamber(config.simulation_state, name))
    return create_espec(name, table)


def capabilities_of(config: ServiceConfig, station: str) -> Capabilities:
    """Return what a station's channel can do, without touching it. Raises InvalidFileError."""
    wired = config.station(station)
    table, _ = _biologic_table(wired.instrument, config.instruments[wired.instrument])
    able = capabilities(read_settings(wired.instrument, table).model)
    if wired.chamber is None:
        return able
    chamber = _chamber(wired.chamber, config.chambers[wired.chamber], config)
    return able.with_chamber(chamber.temperature_min_K, chamber.temperature_max_K)


def _instrument(name: str, given: Mapping[str, Any], config: ServiceConfig) -> Instrument:
    table, library = _biologic_table(name, given)
    return create_biologic(name, table, _library(library, config))


def _biologic_table(name: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return an instrument's table without what is not the driver's, and where its library is."""
    table = dict(given)
    driver, library = table.pop("driver"), str(table.pop("library", "simulation"))
    if driver != "biologic":
        hint = "drivers of this version: biologic"
        raise InvalidFileError(
            [Problem("service.toml", 0, 0, f"instrument {name}: no driver {driver!r}", hint)]
        )
    return table, library


def _library(where: str, config: ServiceConfig) -> Library:
    """Resolve an instrument's ``library``: the word ``simulation``, or the path of the vendor's library."""
    return simulated_library(config.simulation_state) if where == "simulation" else load_library(Path(where))


class Daemon:
    """Everything that runs while the daemon runs."""

    def __init__(
        self,
        config: ServiceConfig,
        instruments: Mapping[str, Instrument],
        chambers: Mapping[str, Chamber],
        file: Path | None = None,
    ) -> None:
        """``file`` is service.toml, to be read again when it has changed."""
        self.clock = Clock()
        self.config = config
        self.store = Store(config.data, clock=self.clock.unix)
        self.recorder = Recorder(self.store, self.clock)
        self.worker = Worker()
        self.engine = Engine(
            instruments, self.store, self.recorder, self.clock, self.worker, chambers, draw_window
        )
        self.service = Service(config, self.engine, self.store, self.recorder, self.clock)
        self.archives = Archives(self.store, self.recorder, self.worker, self.service.remember)
        self.edits = Editor(self.service.alive, self.service.audit, self.recorder, self.clock)
        self.publishing = Publishing(
            config.mqtt, config.data, self.recorder, self.service, self._make_publisher, self.engine.brokers
        )
        reloading = Reloading(self.service, self.engine, self.recorder, build_instruments, build_chambers)
        self.operation = Operation(self.service, self.engine, self.recorder, self.publishing, reloading, file)
        self.red_button = asyncio.Event()
        """Stops everything whenever it is set."""
        self.last_request_s = self.clock.monotonic()

    def _make_publisher(self, settings: MqttConfig) -> Publisher:
        from monitor.mqtt import Publisher

        return Publisher(settings, self.service.info, self.service.infos(), self.clock)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the store and put back what an earlier daemon left; close on the way out."""
        await self.store.open()
        try:
            await self.service.recover()
            yield
        finally:
            self.worker.close()
            await self.recorder.close()
            await self.store.close()

    def request_seen(self) -> None:
        """Take notice that a client is there."""
        self.last_request_s = self.clock.monotonic()


async def serve(
    config: ServiceConfig, file: Path | None = None, *, exit_without_client_s: float | None = None
) -> None:
    """Run the daemon until SIGTERM or SIGINT. What runs on the instruments goes on without it.

    SIGHUP lets it read ``file``, its service.toml, again.
    """
    stop = asyncio.Event()
    daemon = Daemon(config, build_instruments(config), build_chambers(config), file)
    for name in ("SIGTERM", "SIGINT"):
        on_signal(name, stop.set)
    on_signal("SIGHUP", daemon.operation.wants_reload.set)
    on_signal("SIGUSR1", daemon.red_button.set)
    await serve_until(daemon, stop, exit_without_client_s=exit_without_client_s)


async def serve_until(
    daemon: Daemon, stop: asyncio.Event, *, exit_without_client_s: float | None = None
) -> None:
    """Run a daemon until ``stop`` is set."""
    config = daemon.config
    link = _listen(config.http.port)
    keep = daemon.engine.supervisor.keep
    async with daemon.opened(), asyncio.TaskGroup() as group:
        works: list[tuple[str, Work, str]] = [
            (
                "red button",
                functools.partial(_heed, daemon.red_button, daemon.service),
                "SIGUSR1 does nothing",
            ),
            ("mqtt", daemon.publishing.keep, "nothing is published over MQTT"),
            (
                "operation",
                daemon.operation.keep,
                "the service manager may start the daemon anew",
            ),
        ]
        if exit_without_client_s is not None:
            watch = functools.partial(_without_client, daemon, exit_without_client_s, stop)
            works.append(("clients", watch, "the daemon goes on without a client"))
        tasks = [
            group.create_task(daemon.engine.run(), name="engine"),
            group.create_task(daemon.service.watch(), name="watch storage and clock"),
            *(group.create_task(keep(*work), name=work[0]) for work in works),
        ]
        async with serving_http(daemon, link):
            await daemon.engine.looked()
            daemon.service.begin()
            _settle(daemon)
            await stop.wait()
            daemon.operation.notifier.stopping()
        for task in tasks:
            task.cancel()


async def _heed(red_button: asyncio.Event, service: Service) -> None:
    """Stop everything when the signal asks for it: that needs no HTTP server, and no token."""
    while True:
        await red_button.wait()
        red_button.clear()
        outcomes = await service.stopping.stop_all("SIGUSR1")
        closed = [outcome for outcome in outcomes if outcome.started and not outcome.open_circuit_confirmed]
        log.warning("SIGUSR1: everything was stopped; %d circuits are not confirmed open", len(closed))


def _settle(daemon: Daemon) -> None:
    """Say that the daemon is ready, and keep the garbage collector off what lives for ever."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    daemon.operation.notifier.ready()
    log.info("ready; data in %s", daemon.config.data)


async def _without_client(daemon: Daemon, limit_s: float, stop: asyncio.Event) -> None:
    """End a daemon that nobody asks anything, but never one whose guards watch a real cell."""
    while True:
        left_s = daemon.last_request_s + limit_s - daemon.clock.monotonic()
        if left_s <= 0 and not daemon.service.drives_a_real_cell():
            break
        await asyncio.sleep(max(left_s, CLIENT_CHECK_S))
    log.warning("no client for %g s: ending", limit_s)
    stop.set()
    await asyncio.get_running_loop().create_future()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((LOCAL, port))
    except OSError as error:
        raise BusyError(f"port {port} of this computer can't be used: {error.strerror}") from error


@contextlib.asynccontextmanager
async def serving_http(daemon: Daemon, link: socket.socket) -> AsyncIterator[None]:
    """Serve the HTTP API on this computer; its address and token are in ``daemon.json`` meanwhile."""
    from monitor.web.app import create_app
    from monitor.web.edits_routes import add_edits_routes
    from monitor.web.metrics_routes import add_metrics_routes
    from monitor.web.reload_routes import add_reload_routes
    from monitor.web.server import HttpServer

    token = secrets.token_urlsafe(32)
    app = create_app(daemon.service, daemon.archives, token, daemon.request_seen)
    add_edits_routes(app, daemon.edits)
    add_reload_routes(app, daemon.operation.reload)
    add_metrics_routes(app, daemon.operation.metrics.text, lambda: daemon.operation.access(token))
    server = HttpServer(app, link)
    state_file = daemon.config.data / STATE_FILE
    address = f"http://{LOCAL}:{link.getsockname()[1]}"
    keep = daemon.engine.supervisor.keep("http", server.serve, "nobody can ask or command; runs go on")
    task = asyncio.create_task(keep, name="http")
    write_private(state_file, {"url": address, "token": token, "pid": os.getpid()})
    try:
        yield
    finally:
        state_file.unlink(missing_ok=True)
        await server.end()
        task.cancel()
        await asyncio.wait([task])


def run_loop(main: Callable[[], Any]) -> Any:
    """Run a coroutine function on the fastest loop there is."""
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())
