"""Publishing over MQTT for as long as the daemon lives: through the lab's broker or our own child.

Whatever is wrong with it never ends the watch over the cells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitor.broker import embedded_broker
from monitor.metrics import Publications
from monitor.private_file import write_private
from protocols.errors import SandtimeError
from scheduler.config import MqttConfig
from scheduler.contact import Contact
from scheduler.recorder import LiveBlock, Recorder
from scheduler.requests import AlarmInfo, StorageInfo
from scheduler.service import Service
from storage.tables import StoredEvent

if TYPE_CHECKING:
    from monitor.mqtt import Publisher

LOCAL = "127.0.0.1"
BROKER_FILE = "mqtt.json"
"""In the data folder: host and port of the embedded broker while it runs."""
RESTART_S = 2.0

MakePublisher = Callable[[MqttConfig], "Publisher"]


class Publishing:
    """Publishes as the section ``[mqtt]`` says, which may change."""

    def __init__(
        self,
        settings: MqttConfig,
        data: Path,
        recorder: Recorder,
        service: Service,
        make: MakePublisher,
        brokers: list[Contact],
    ) -> None:
        """``make`` makes a publisher; only a daemon that publishes loads the library for it.

        How the connection stands is added to ``brokers``.
        """
        self._brokers = brokers
        self._settings = settings
        self._state_file = data / BROKER_FILE
        self._service = service
        self._make = make
        self._publisher: Publisher | None = None
        self._changed = asyncio.Event()
        recorder.on_samples(self._samples)
        recorder.on_event(self._event)
        service.storage.on_change(self._storage)
        service.stopping.alarms.on_change(self._alarms)

    def use(self, settings: MqttConfig) -> None:
        """Go on with other settings."""
        self._settings = settings
        self._changed.set()

    def figures(self) -> Publications:
        """Return what waits and what was dropped."""
        publisher = self._publisher
        if publisher is None:
            return Publications()
        return Publications(publisher.waiting_events, publisher.dropped_events, publisher.dropped_samples)

    async def keep(self) -> None:
        """Publish for ever; start again when the settings change, or what publishes has ended."""
        while True:
            self._changed.clear()
            if self._settings.enabled:
                self._prepare()
                await _until(self._changed.wait(), self._publish())
            else:
                self._forget()
                await self._changed.wait()

    def _forget(self) -> None:
        if self._publisher is not None:
            self._brokers.remove(self._publisher.contact)
        self._publisher = None

    def _prepare(self) -> None:
        if self._publisher is None:
            self._publisher = self._make(self._settings)
            self._brokers.append(self._publisher.contact)
            self._publisher.storage(self._service.storage.info())
            self._publisher.alarms(self._service.stopping.alarms.all)
        self._publisher.use(self._settings)

    async def _publish(self) -> None:
        while self._publisher is not None:
            contact = self._publisher.contact
            contact.lost(await self._publish_once(self._publisher))
            contact.retry_in(RESTART_S)
            await asyncio.sleep(RESTART_S)

    async def _publish_once(self, publisher: Publisher) -> str:
        """Publish for ever, or as long as our own broker lives; return why it does not."""
        try:
            host, port = self._settings.address()
            if host:
                await publisher.run(host, port)
            # One that was killed leaves its file behind.
            self._state_file.unlink(missing_ok=True)
            async with embedded_broker() as (port, process):
                write_private(self._state_file, {"host": LOCAL, "port": port})
                await _until(process.wait(), publisher.run(LOCAL, port))
        except SandtimeError as error:
            return f"nothing is published over MQTT: {error}"
        except TimeoutError:
            return "the embedded broker did not start in time"
        finally:
            self._state_file.unlink(missing_ok=True)
        return "the embedded broker has ended"

    def _samples(self, live: LiveBlock) -> None:
        if self._publisher is not None:
            self._publisher.samples(live)

    def _event(self, stored: StoredEvent) -> None:
        if self._publisher is not None:
            self._publisher.event(stored)

    def _alarms(self, alarms: list[AlarmInfo]) -> None:
        if self._publisher is not None:
            self._publisher.alarms(alarms)

    def _storage(self, info: StorageInfo) -> None:
        if self._publisher is not None:
            self._publisher.storage(info)


async def _until(end: Coroutine[Any, Any, object], work: Coroutine[Any, Any, None]) -> None:
    """Do ``work`` until ``end`` returns. Raises what the work raises."""
    working = asyncio.create_task(work, name="publish")
    tasks: list[asyncio.Task[Any]] = [working, asyncio.create_task(end, name="until")]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    if not working.cancelled():
        working.result()
