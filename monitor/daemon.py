"""The only place that builds things: store, instruments, engine and faces, and who listens to whom."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
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
from monitor.broker import embedded_broker
from monitor.verdict_figure import draw_window
from protocols.capabilities import Capabilities
from protocols.errors import BusyError, InvalidFileError, Problem, UnreachableError
from scheduler.archives import Archives
from scheduler.clock import Clock
from scheduler.config import ServiceConfig
from scheduler.engine import Engine
from scheduler.recorder import Recorder
from scheduler.requests import STATE_FILE
from scheduler.service import Service
from scheduler.worker import Worker
from storage.store import Store

if TYPE_CHECKING:
    from monitor.mqtt import Publisher

log = logging.getLogger(__name__)

LOCAL = "127.0.0.1"
BROKER_FILE = "mqtt.json"
"""In the data folder: host and port of the embedded broker while it runs."""
CLIENT_CHECK_S = 1.0
BROKER_RESTART_S = 2.0
GC_THRESHOLDS = (50_000, 20, 100)
"""Fewer collections of what never dies (facts/storage.md §6)."""


def build_instruments(config: ServiceConfig) -> dict[str, Instrument]:
    """Return the instruments of service.toml, not yet connected. Raises InvalidFileError."""
    return {name: _instrument(name, table, config) for name, table in config.instruments.items()}


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
    ) -> None:
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
        self.last_request_s = self.clock.monotonic()

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


async def serve(config: ServiceConfig, *, exit_without_client_s: float | None = None) -> None:
    """Run the daemon until SIGTERM or SIGINT. What runs on the instruments goes on without it."""
    stop, red_button = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGUSR1, red_button.set)
    await serve_until(config, stop, exit_without_client_s=exit_without_client_s, red_button=red_button)


async def serve_until(
    config: ServiceConfig,
    stop: asyncio.Event,
    *,
    exit_without_client_s: float | None = None,
    red_button: asyncio.Event | None = None,
) -> None:
    """Run the daemon until ``stop`` is set. ``red_button`` stops everything whenever it is set."""
    daemon = Daemon(config, build_instruments(config), build_chambers(config))
    link = _listen(config.http.port)
    async with daemon.opened(), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(daemon.engine.run(), name="engine"),
            group.create_task(daemon.service.watch(), name="watch storage and clock"),
        ]
        if red_button is not None:
            tasks.append(group.create_task(_heed(red_button, daemon.service), name="red button"))
        if config.mqtt.enabled:
            tasks.append(group.create_task(_publish(daemon), name="mqtt"))
        if exit_without_client_s is not None:
            tasks.append(
                group.create_task(_without_client(daemon, exit_without_client_s, stop), name="clients")
            )
        async with serving_http(daemon, link):
            await daemon.engine.looked()
            daemon.service.begin()
            _settle(daemon)
            await stop.wait()
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
    notify("READY=1")
    log.info("ready; data in %s", daemon.config.data)


def notify(message: str) -> None:
    """Tell systemd (``Type=notify``), if it started us."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.connect("\0" + address[1:] if address.startswith("@") else address)
            link.sendall(message.encode())


async def _without_client(daemon: Daemon, limit_s: float, stop: asyncio.Event) -> None:
    """End a daemon that nobody asks anything, but never one whose guards watch a real cell."""
    while True:
        left_s = daemon.last_request_s + limit_s - daemon.clock.monotonic()
        if left_s <= 0 and not daemon.service.drives_a_real_cell():
            break
        await asyncio.sleep(max(left_s, CLIENT_CHECK_S))
    log.warning("no client for %g s: ending", limit_s)
    stop.set()


async def _publish(daemon: Daemon) -> None:
    """Publish over MQTT, through the lab's broker or our own child, which is started again if it ends."""
    from monitor.mqtt import Publisher

    publisher = Publisher(daemon.config.mqtt.site, daemon.service.info, daemon.service.infos(), daemon.clock)
    daemon.recorder.on_samples(publisher.samples)
    daemon.recorder.on_event(publisher.event)
    publisher.storage(daemon.service.storage.info())
    daemon.service.storage.on_change(publisher.storage)
    publisher.alarms(daemon.service.stopping.alarms.all)
    daemon.service.stopping.alarms.on_change(publisher.alarms)
    while True:
        try:
            await _publish_with(daemon, publisher)
        except Exception:
            # Whatever is wrong with publishing must not end the watch over the cells.
            log.exception("publishing over MQTT failed; it is started again")
        await asyncio.sleep(BROKER_RESTART_S)


async def _publish_with(daemon: Daemon, publisher: Publisher) -> None:
    host, port = daemon.config.mqtt.address()
    if host:
        await publisher.run(host, port)
    state_file = daemon.config.data / BROKER_FILE
    # One that was killed leaves its file behind.
    state_file.unlink(missing_ok=True)
    try:
        async with embedded_broker() as (port, process):
            _write_private(state_file, {"host": LOCAL, "port": port})
            await _until_ended(publisher.run(LOCAL, port), process)
    except (UnreachableError, TimeoutError) as error:
        log.error("no embedded MQTT broker: %s", error)
    finally:
        state_file.unlink(missing_ok=True)


async def _until_ended(work: Coroutine[Any, Any, None], process: asyncio.subprocess.Process) -> None:
    """Do ``work`` until a child process ends. Raises what the work raises."""
    tasks = [asyncio.create_task(work, name="publish"), asyncio.create_task(process.wait(), name="broker")]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    if not tasks[0].cancelled():
        tasks[0].result()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((LOCAL, port))
    except OSError as error:
        raise BusyError(f"port {port} of this computer can't be used: {error.strerror}") from error


@contextlib.asynccontextmanager
async def serving_http(daemon: Daemon, link: socket.socket) -> AsyncIterator[None]:
    """Serve the HTTP API on this computer; its address and token are in ``daemon.json`` meanwhile."""
    import uvicorn

    from monitor.web.app import create_app

    token = secrets.token_urlsafe(32)
    app = create_app(daemon.service, daemon.archives, token, daemon.request_seen)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False))
    # uvicorn would take over the signals; they are ours.
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # a documented seam
    task = asyncio.create_task(server.serve(sockets=[link]), name="http")
    state_file = daemon.config.data / STATE_FILE
    _write_private(
        state_file, {"url": f"http://{LOCAL}:{link.getsockname()[1]}", "token": token, "pid": os.getpid()}
    )
    try:
        yield
    finally:
        state_file.unlink(missing_ok=True)
        server.should_exit = True
        await task


def _write_private(path: Path, content: dict[str, object]) -> None:
    """Write a JSON file that only its owner may read, whole or not at all."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
    part.replace(path)


def run_loop(main: Callable[[], Any]) -> Any:
    """Run a coroutine function on the fastest loop there is."""
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())
