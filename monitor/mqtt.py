"""Publishes over MQTT: live samples as they come, states and events after their commit.

Topics (plain JSON, flat, fixed depth): ``sandtime/v1/{site}/status`` (retained, last will),
``sandtime/v1/{site}/{station}/state`` (retained), ``sandtime/v1/{site}/{station}/event``, and
``sandtime/v1/{site}/{instrument}/sample``: one message for each instrument and tick, never retained. Besides,
``sandtime/v1/{site}/storage`` and ``sandtime/v1/{site}/alarms`` (retained, at once), and
``sandtime/v1/{site}/event`` for what concerns no run.
Queues are bounded and drop the oldest; a broker that is slow or gone never delays a measurement.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
import ssl
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import aiomqtt
import numpy as np
from pydantic_core import to_json

from protocols.errors import SandtimeError
from protocols.measurements import COLUMNS, SAMPLE, Block
from protocols.records import RunInfo
from scheduler.clock import Clock
from scheduler.config import MqttConfig
from scheduler.contact import Backoff, Chance, Contact
from scheduler.recorder import LiveBlock
from scheduler.requests import AlarmInfo, StorageInfo
from scheduler.supervision import is_cancelled
from storage.tables import StoredEvent

log = logging.getLogger(__name__)

TICK_S = 0.1
MAX_ROWS = 2000
"""Newest rows kept for each instrument between two ticks."""
MAX_EVENTS = 10_000
TIMEOUT_S = 2.0
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.5, 30.0


class Publisher:
    """One connection to one broker, made again for ever."""

    def __init__(
        self,
        settings: MqttConfig,
        info: Callable[[int], RunInfo],
        known: Iterable[RunInfo],
        clock: Clock,
        chance: Chance = random.random,
    ) -> None:
        """``known`` are the runs so far, the oldest first: the last one of a station gives its state.

        ``chance`` draws the waits between attempts to connect.
        """
        self.use(settings)
        self.contact = Contact("MQTT broker", "broker", clock)
        self.dropped_samples = self.dropped_events = 0
        """Never published, because the broker was too slow or gone."""
        self._chance = chance
        self._info = info
        self._clock = clock
        self._blocks: dict[str, deque[Block]] = {}
        self._events: deque[StoredEvent] = deque(maxlen=MAX_EVENTS)
        self._storage = StorageInfo()
        self._storage_changed = False
        self._alarms: list[AlarmInfo] = []
        self._alarms_changed = False
        self._states: dict[str, dict[str, object]] = {
            run.station: _state_message(run) for run in known if run.station
        }

    def use(self, settings: MqttConfig) -> None:
        """Publish by other settings from the next connection on."""
        self._settings = settings
        self._base = f"sandtime/v1/{settings.site}"

    @property
    def waiting_events(self) -> int:
        """How many events wait to be published."""
        return len(self._events)

    def samples(self, live: LiveBlock) -> None:
        """Take one poll's samples; returns at once."""
        blocks = self._blocks.setdefault(live.instrument, deque())
        blocks.append(live.samples)
        rows = sum(len(block) for block in blocks)
        while rows > MAX_ROWS and len(blocks) > 1:
            dropped = len(blocks.popleft())
            rows -= dropped
            self.dropped_samples += dropped

    def event(self, stored: StoredEvent) -> None:
        """Take one committed event; returns at once."""
        self.dropped_events += len(self._events) == MAX_EVENTS
        self._events.append(stored)

    def storage(self, info: StorageInfo) -> None:
        """Take how storing stands; returns at once. It is published live: commits may fail just now."""
        self._storage, self._storage_changed = info, True

    def alarms(self, standing: list[AlarmInfo]) -> None:
        """Take all alarms that stand; returns at once."""
        self._alarms, self._alarms_changed = standing, True

    async def run(self, host: str, port: int) -> None:
        """Publish to a broker until cancelled; reconnect with back-off."""
        logging.getLogger("mqtt").setLevel(logging.ERROR)
        backoff = Backoff(BACKOFF_FIRST_S, BACKOFF_MAX_S, chance=self._chance)
        while True:
            try:
                async with self._client(host, port) as client:
                    self.contact.found()
                    await self._publish_retained(client)
                    self.contact.lasts()
                    backoff.reset()
                    await self._keep_publishing(client)
            except (aiomqtt.MqttError, OSError) as error:
                if is_cancelled():
                    # The broker went away while we said goodbye: that must not undo the cancellation.
                    raise asyncio.CancelledError from error
                self.contact.lost(f"{host}:{port}: {error}")
            wait_s = backoff.next_s()
            self.contact.retry_in(wait_s)
            await asyncio.sleep(wait_s)

    def _client(self, host: str, port: int) -> aiomqtt.Client:
        # Without a time: the broker sends it when we are lost, which nobody knows beforehand.
        will = aiomqtt.Will(f"{self._base}/status", json.dumps({"state": "offline"}), qos=1, retain=True)
        return aiomqtt.Client(
            host,
            port,
            identifier=f"sandtime-{uuid.uuid4().hex[:12]}",
            will=will,
            timeout=TIMEOUT_S,
            **self._credentials(),
        )

    def _credentials(self) -> dict[str, Any]:
        """Return how the daemon shows who it is. Raises InvalidFileError for a secret that is not there."""
        settings = self._settings
        trusted = None if settings.ca_file is None else str(settings.ca_file)
        return {
            "username": settings.user or None,
            "password": None if settings.password is None else settings.password.reveal(),
            "tls_context": ssl.create_default_context(cafile=trusted) if settings.tls else None,
        }

    async def _publish_retained(self, client: aiomqtt.Client) -> None:
        """A broker that was started again may have kept nothing."""
        await self._publish(client, "status", self._status("online"), qos=1, retain=True)
        for station, message in self._states.items():
            await self._publish(client, f"{station}/state", message, qos=1, retain=True)
        self._storage_changed = self._alarms_changed = True

    async def _keep_publishing(self, client: aiomqtt.Client) -> None:
        try:
            while True:
                await asyncio.sleep(TICK_S)
                await self._publish_storage(client)
                await self._publish_alarms(client)
                await self._publish_events(client)
                await self._publish_samples(client)
        except asyncio.CancelledError:
            await self._publish(client, "status", self._status("offline"), qos=1, retain=True)
            raise

    async def _publish_storage(self, client: aiomqtt.Client) -> None:
        if self._storage_changed:
            self._storage_changed = False
            message = {"ts": self._clock.unix(), **self._storage.model_dump(mode="json")}
            await self._publish(client, "storage", message, qos=1, retain=True)

    async def _publish_alarms(self, client: aiomqtt.Client) -> None:
        if self._alarms_changed:
            self._alarms_changed = False
            alarms = [alarm.model_dump(mode="json") for alarm in self._alarms]
            message = {"ts": self._clock.unix(), "alarms": alarms}
            await self._publish(client, "alarms", message, qos=1, retain=True)

    async def _publish_events(self, client: aiomqtt.Client) -> None:
        while self._events:
            stored = self._events[0]
            try:
                await self._publish_event(client, stored)
            except (SandtimeError, ValueError) as error:
                log.error("event %d can't be published, it is left out: %s", stored.id, error)
            self._events.popleft()

    async def _publish_event(self, client: aiomqtt.Client, stored: StoredEvent) -> None:
        run = stored.run
        name = "" if run is None else self._info(run).station
        station = f"{name}/" if name else ""
        event = stored.event
        message: dict[str, object] = {
            "id": stored.id,
            "ts": event.unix_s,
            "run": run,
            "t_s": event.t_s,
            "kind": event.kind,
            **event.data,
        }
        await self._publish(client, f"{station}event", message, qos=1)
        if event.kind == "state" and name:
            self._states[name] = message
            await self._publish(client, f"{station}state", message, qos=1, retain=True)

    async def _publish_samples(self, client: aiomqtt.Client) -> None:
        """Publish all instruments at once: one after the other, each would wait for a turn of the loop."""
        waiting = {name: blocks for name, blocks in self._blocks.items() if blocks}
        if not waiting:
            return
        await asyncio.gather(
            *(
                self._publish(client, f"{name}/sample", self._sample_message(_newest(blocks)))
                for name, blocks in waiting.items()
            )
        )

    def _sample_message(self, rows: Block) -> dict[str, object]:
        columns = {name: rows[name].tolist() for name in COLUMNS}
        return {"ts": self._clock.unix(), "durable": False, "run": rows["channel"].tolist(), **columns}

    def _status(self, state: str) -> dict[str, object]:
        return {"state": state, "ts": self._clock.unix()}

    async def _publish(
        self,
        client: aiomqtt.Client,
        topic: str,
        message: dict[str, object],
        qos: int = 0,
        retain: bool = False,
    ) -> None:
        payload = _as_json({key: value for key, value in message.items() if value is not None})
        # aiomqtt's own time-out makes a task for each message on Python 3.11.
        async with asyncio.timeout(TIMEOUT_S):
            await client.publish(f"{self._base}/{topic}", payload, qos=qos, retain=retain, timeout=math.inf)


def _state_message(info: RunInfo) -> dict[str, object]:
    """Return the state of a run as its last event of kind ``state`` said it."""
    changed = info.ended_unix_s or info.started_unix_s or info.submitted_unix_s
    return {
        "ts": changed,
        "run": info.run,
        "t_s": info.t_s,
        "kind": "state",
        "state": info.state,
        "reason": info.reason,
    }


def _as_json(message: dict[str, object]) -> bytes:
    """Return JSON, which has no word for a value that is not a number: it becomes null."""
    return to_json(message, inf_nan_mode="null")


def _newest(blocks: deque[Block]) -> Block:
    """Take the newest rows."""
    rows = blocks[0] if len(blocks) == 1 else np.concatenate(list(blocks), dtype=SAMPLE)
    blocks.clear()
    return rows[-MAX_ROWS:]
