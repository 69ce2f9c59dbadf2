"""The daemon and whoever operates it: service manager, log, figures, a changed service.toml."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from monitor import logs
from monitor.event_log import EventLog
from monitor.metrics import Access, Metrics
from monitor.publishing import Publishing
from monitor.systemd import Notifier
from monitor.watchdog import Watchdog
from protocols.errors import InvalidFileError, NotAllowedError, SandtimeError
from protocols.records import ENDED
from scheduler.config import ServiceConfig, load_config
from scheduler.engine import Engine
from scheduler.recorder import Recorder
from scheduler.reload import Reloading
from scheduler.requests import ReloadReply
from scheduler.service import Service
from scheduler.stuck import why_stuck

log = logging.getLogger(__name__)

SERVICE_MANAGER = "SIGHUP"
"""Who asks for a reload that came as a signal."""


class Operation:
    """Owns what the daemon tells its operators, and takes a changed service.toml."""

    def __init__(
        self,
        service: Service,
        engine: Engine,
        recorder: Recorder,
        publishing: Publishing,
        reloading: Reloading,
        file: Path | None,
    ) -> None:
        """``file`` is service.toml; without it nothing can be read again."""
        self.notifier = Notifier.from_environment()
        self.metrics = Metrics(service, recorder, engine.keepers, engine.climates, publishing.figures)
        self.watchdog = Watchdog(
            lambda limit_s: why_stuck(engine.keepers, recorder, limit_s), self._status, self.notifier
        )
        self.wants_reload = asyncio.Event()
        """Set by a signal; see :meth:`keep`."""
        self._service = service
        self._publishing = publishing
        self._reloading = reloading
        self._file = file
        self._metrics_token = ""
        recorder.on_event(EventLog(service.info, self._instrument_of).event)

    async def keep(self) -> None:
        """Feed the watchdog, and read service.toml again when a signal asks for it, for ever."""
        self._use(self._service.config)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watchdog.keep(), name="watchdog")
            while True:
                await self.wants_reload.wait()
                self.wants_reload.clear()
                try:
                    await self.reload(SERVICE_MANAGER)
                except SandtimeError as error:
                    log.error("%s", error)

    async def reload(self, who: str) -> ReloadReply:
        """Read service.toml again and take what has changed; all of it, or nothing.

        Raises InvalidFileError, BusyError for what a run keeps from changing, StorageError.
        """
        if self._file is None:
            raise NotAllowedError("this daemon was not started from a service.toml: start it anew")
        self.notifier.reloading()
        try:
            new = await asyncio.to_thread(load_config, self._file)
            for secret in new.secrets().values():
                secret.reveal()
            changes = await self._reloading.use(new, who)
        finally:
            # Not before its time: the manager waits for the first look at the instruments.
            if self._service.ready:
                self.notifier.ready()
        if "mqtt" in changes.sections:
            self._publishing.use(new.mqtt)
        if "log" in changes.sections:
            logs.configure(new.log)
        self._use(new)
        return ReloadReply(changes=changes.lines())

    def access(self, api_token: str) -> Access:
        """Return who may read the figures."""
        config = self._service.config.metrics
        tokens = (api_token, self._metrics_token) if self._metrics_token else (api_token,)
        return Access(enabled=config.enabled, needs_token=not config.without_token, tokens=tokens)

    def _use(self, config: ServiceConfig) -> None:
        """Take what is kept of a configuration, and warn of secrets that are kept carelessly."""
        for place, secret in config.secrets().items():
            for concern in secret.concerns():
                log.warning("service.toml, %s: %s", place, concern)
        token, self._metrics_token = config.metrics.token, ""
        if token is not None:
            try:
                self._metrics_token = token.reveal()
            except InvalidFileError as error:
                # No reason not to watch cells.
                log.error("only the token of daemon.json lets a scraper in: %s", error)

    def _instrument_of(self, station: str) -> str:
        wired = self._service.config.stations.get(station)
        return "" if wired is None else wired.instrument

    def _status(self) -> str:
        service = self._service
        alive = sum(info.state not in ENDED for info in service.infos())
        instruments = service.instruments()
        reached = sum(item.reachable for item in instruments)
        storing = "storing" if service.storing else "STORAGE FAILS"
        return f"{alive} runs; {reached} of {len(instruments)} instruments in contact; {storing}"
