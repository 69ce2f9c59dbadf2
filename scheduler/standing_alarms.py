"""Alarms that stand until a person acknowledges them. They outlive the daemon, in a small file of their own.

A file, and no table: an alarm has to be kept also while the database can't be written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from protocols.errors import NotFoundError, StorageError
from scheduler.clock import Clock
from scheduler.requests import AlarmInfo, AlarmKind
from storage.files import write_json

log = logging.getLogger(__name__)

FILE = "alarms.json"
"""In the data folder."""
REPEAT_S = 60.0
"""Time between two lines of the log about an alarm that stands."""

Subscriber = Callable[[list[AlarmInfo]], None]
_ALARMS = TypeAdapter(list[AlarmInfo])


class StandingAlarms:
    """All of one data folder. Every change is told at once, and is in the file with the next :meth:`save`."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._file = folder / FILE
        self._clock = clock
        self._alarms: dict[str, AlarmInfo] = {}
        self._next = 1
        self._unsaved = False
        self._saving = asyncio.Lock()
        self._told_s: dict[str, float] = {}
        self._subscribers: list[Subscriber] = []

    def load(self) -> None:
        """Take over what an earlier daemon left. A file that can't be read becomes an alarm itself."""
        try:
            found = _ALARMS.validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValidationError) as error:
            message = f"{self._file} can't be read, alarms may be forgotten: look at every cell ({error})"
            self.set("stop_all", "unreadable", message)
            return
        self._alarms = {alarm.key: alarm for alarm in found}
        self._next = max((alarm.id for alarm in found), default=0) + 1

    def on_change(self, subscriber: Subscriber) -> None:
        """Call ``subscriber`` when an alarm comes, changes, goes or is repeated; it must return at once."""
        self._subscribers.append(subscriber)

    @property
    def all(self) -> list[AlarmInfo]:
        """Every alarm that stands, the oldest first."""
        return sorted(self._alarms.values(), key=lambda alarm: alarm.id)

    def of_kind(self, kind: AlarmKind) -> list[AlarmInfo]:
        """Every alarm of one kind that stands, the oldest first."""
        return [alarm for alarm in self.all if alarm.kind == kind]

    def set(self, kind: AlarmKind, key: str, message: str, run: int | None = None) -> AlarmInfo:
        """Let an alarm stand from now on; one of the same key that stands already goes on."""
        known = self._alarms.get(key)
        if known is not None and known.over_unix_s is None:
            return known
        now_s = self._clock.unix()
        alarm = AlarmInfo(id=self._next, kind=kind, key=key, message=message, run=run, since_unix_s=now_s)
        self._next += 1
        self._alarms[key] = alarm
        self._told_s[key] = self._clock.monotonic()
        log.error("ALARM %d: %s", alarm.id, message)
        self._changed()
        return alarm

    def over(self, key: str) -> None:
        """What an alarm is about is over by itself; it stands all the same until it was seen."""
        alarm = self._alarms.get(key)
        if alarm is not None and alarm.over_unix_s is None:
            self._alarms[key] = alarm.model_copy(update={"over_unix_s": self._clock.unix()})
            log.warning("alarm %d is over, and waits to be acknowledged: %s", alarm.id, alarm.message)
            self._changed()

    def acknowledge(self, number: int) -> AlarmInfo:
        """A person has seen an alarm. Raises NotFoundError."""
        for key, alarm in self._alarms.items():
            if alarm.id == number:
                del self._alarms[key]
                self._told_s.pop(key, None)
                self._changed()
                return alarm
        standing = ", ".join(str(alarm.id) for alarm in self.all) or "none"
        raise NotFoundError(f"there is no alarm {number}; those that stand: {standing}")

    def repeat(self) -> None:
        """Say again what still stands, if it is time."""
        now_s = self._clock.monotonic()
        due = [
            alarm
            for alarm in self.of_kind("not_open")
            if now_s - self._told_s.setdefault(alarm.key, now_s) >= REPEAT_S
        ]
        for alarm in due:
            self._told_s[alarm.key] = now_s
            log.error(
                "ALARM %d still stands: %s; to end it: sandtime ack --alarm %d",
                alarm.id,
                alarm.message,
                alarm.id,
            )
        if due:
            self._tell()

    async def save(self) -> bool:
        """Make all changes durable; return whether they are. What fails is tried again at the next call."""
        async with self._saving:
            if not self._unsaved:
                return True
            self._unsaved = False
            document = [alarm.model_dump(mode="json") for alarm in self.all]
            try:
                await asyncio.to_thread(write_json, self._file, document)
            except (OSError, StorageError) as error:
                self._unsaved = True
                log.error("alarms can't be kept in %s: %s", self._file, error)
            return not self._unsaved

    def _changed(self) -> None:
        self._unsaved = True
        self._tell()

    def _tell(self) -> None:
        for subscriber in self._subscribers:
            try:
                subscriber(self.all)
            except Exception:
                # A fault of somebody who listens must not reach the measurement.
                log.exception("a subscriber failed")
