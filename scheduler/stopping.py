"""The red button, and what becomes of a circuit that is to be open and is not confirmed to be.

*Stop all* opens every circuit at once: those of all runs, those of runs that are about to start, and what
of ours runs without a run. From then on no run starts until a person says so. Whatever can't be read back
as open becomes an alarm that stands until a person acknowledges it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from protocols.errors import InstrumentError, SandtimeError, UnreachableError
from protocols.records import ENDED
from scheduler.audit import UNKNOWN, AuditLog
from scheduler.climate import Climate
from scheduler.clock import Clock
from scheduler.engine import Engine
from scheduler.keeper import Keeper
from scheduler.requests import AlarmInfo, StopOutcome
from scheduler.run import ActiveRun
from scheduler.standing_alarms import StandingAlarms

log = logging.getLogger(__name__)

CONFIRM_S = 5.0
"""A circuit that is to be open and is not confirmed open after this time is an alarm."""
LOOK_S = 1.0
INSTRUMENT_TIMEOUT_S = 30.0
CHAMBER = "chamber "
"""How the key of an alarm about a chamber begins."""
STOP_ALL = "everything"
"""Key of the alarm that holds all runs back."""


class Stopping:
    """One for a daemon."""

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        audit: AuditLog,
        clock: Clock,
        runs: Callable[[], list[ActiveRun]],
        holders: Callable[[], set[int | None]],
        start_waiting: Callable[[], None],
        stop: Callable[[int, str, str], Awaitable[StopOutcome]],
    ) -> None:
        """``folder``: of the data; ``runs`` returns all that have not ended, ``holders`` those that hold a
        station; ``start_waiting`` starts what may start; ``stop`` stops a run, for a reason, in a name.
        """
        self.alarms = StandingAlarms(folder, clock)
        self._engine = engine
        self._audit = audit
        self._clock = clock
        self._runs = runs
        self._holders, self._start_waiting = holders, start_waiting
        self._stop = stop
        self._wanted_s: dict[str, float] = {}

    @property
    def why_held(self) -> str:
        """Why no run starts; empty if runs may start."""
        held = self.alarms.of_kind("stop_all")
        return f"a person: {held[0].message}; to let runs start again: sandtime resume-queue" if held else ""

    async def stop_all(self, who: str = UNKNOWN, chambers_off: bool = False) -> list[StopOutcome]:
        """Open every circuit, all at once; one that won't open hides none of the others.

        Runs that hold no station wait in a queue, and go on waiting.
        """
        with self._audit.asked(who, "stop all", None, chambers_off=chambers_off):
            # At once and before anything else: nothing starts from here on, stored or not.
            self.alarms.set("stop_all", STOP_ALL, f"everything was stopped by {who} (stop --all)")
            done = await asyncio.gather(
                self.alarms.save(),
                *(self._try_to_stop(run, who) for run in self._runs() if run.number in self._holders()),
                *(self._open_orphans(name, keeper) for name, keeper in self._engine.keepers.items()),
                *(self._make_safe(climate) for climate in self._engine.climates.values() if chambers_off),
            )
        await self.alarms.save()
        return [outcome for found in done if isinstance(found, list) for outcome in found]

    async def resume_queue(self, who: str = UNKNOWN) -> list[AlarmInfo]:
        """Let runs start again; return what held them."""
        with self._audit.asked(who, "resume queue"):
            held = [self.alarms.acknowledge(alarm.id) for alarm in self.alarms.of_kind("stop_all")]
            await self.alarms.save()
        self._start_waiting()
        return held

    async def acknowledge(self, number: int, who: str = UNKNOWN) -> AlarmInfo:
        """A person has seen an alarm. Raises NotFoundError, and SandtimeError for the one that holds runs."""
        with self._audit.asked(who, "acknowledge alarm", None, alarm=number):
            if any(alarm.id == number for alarm in self.alarms.of_kind("stop_all")):
                raise SandtimeError(
                    f"alarm {number} holds all runs back; to let them start again: sandtime resume-queue"
                )
            alarm = self.alarms.acknowledge(number)
            await self.alarms.save()
        return alarm

    async def acknowledge_run(self, run: int) -> bool:
        """A person has seen a run's alarms; return whether there were any."""
        seen = [alarm for alarm in self.alarms.of_kind("not_open") if alarm.run == run]
        for alarm in seen:
            self.alarms.acknowledge(alarm.id)
        await self.alarms.save()
        return bool(seen)

    async def watch(self) -> None:
        """Look for circuits that are not confirmed open, for ever."""
        while True:
            self.look()
            await self.alarms.save()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Look once."""
        wanted = {self._key(run): run for run in self._runs() if _waits_for_open(run)}
        orphans = {
            f"{name} channel {channel + 1}": None
            for name, keeper in self._engine.keepers.items()
            for channel in keeper.strangers.unopened
        }
        now_s = self._clock.monotonic()
        for key, run in {**wanted, **orphans}.items():
            since_s = self._wanted_s.setdefault(key, now_s)
            if now_s - since_s >= CONFIRM_S:
                self._raise(key, run)
        for key in self._wanted_s.keys() - wanted.keys() - orphans.keys():
            del self._wanted_s[key]
            self.alarms.over(key)
        for alarm in self.alarms.of_kind("not_open"):
            # Of an earlier daemon, or of an instrument that could not be asked.
            if alarm.key not in self._wanted_s and not self._is_open_question(alarm.key):
                self.alarms.over(alarm.key)
        self.alarms.repeat()

    def _raise(self, key: str, run: ActiveRun | None) -> None:
        if run is None:
            self.alarms.set(
                "not_open", key, f"{key} runs a segment of ours that no run owns, and does not open"
            )
            return
        why = f" ({run.stop_wanted})" if run.stop_wanted else ""
        message = (
            f"the circuit of run {run.number} on {run.info.station} is to be open{why}, and is not confirmed "
            "open; it is tried again and again: look at the instrument now"
        )
        self.alarms.set("not_open", key, message, run.number)

    @staticmethod
    def _key(run: ActiveRun) -> str:
        return f"run {run.number}"

    def _is_open_question(self, key: str) -> bool:
        """Whether an alarm about an instrument or a chamber can't be over: nobody has looked since."""
        keeper = self._engine.keepers.get(key)
        return key.startswith(CHAMBER) or (keeper is not None and not keeper.reachable)

    async def _try_to_stop(self, run: ActiveRun, who: str) -> list[StopOutcome]:
        began = self._clock.monotonic()
        try:
            return [await self._stop(run.number, "stopped by a person (stop --all)", who)]
        except SandtimeError as error:
            log.error("%s", error)
        except Exception:
            # A fault over one run must not keep the others' circuits closed.
            log.exception("run %d could not be stopped", run.number)
        if run.info.state not in ENDED and run.ticket is not None:
            self._raise(self._key(run), run)
        return [
            StopOutcome(
                run=run.number,
                state=run.info.state,
                open_circuit_confirmed=run.open_confirmed,
                seconds=self._clock.monotonic() - began,
            )
        ]

    async def _open_orphans(self, name: str, keeper: Keeper) -> list[StopOutcome]:
        began = self._clock.monotonic()
        try:
            if not keeper.reachable:
                raise UnreachableError(f"{name} can't be reached")
            async with asyncio.timeout(INSTRUMENT_TIMEOUT_S):
                found = await keeper.open_orphans()
        except (SandtimeError, TimeoutError) as error:
            why = str(error) or f"{name} does not answer in {INSTRUMENT_TIMEOUT_S:g} s"
            message = (
                f"{why}: whether something of ours runs there without a run is not known; look at it now"
            )
            self.alarms.set("not_open", name, message)
            return []
        seconds = self._clock.monotonic() - began
        return [
            StopOutcome(
                run=None,
                where=f"{name} channel {orphan.channel + 1}",
                state="stopped" if orphan.confirmed else "stopping",
                open_circuit_confirmed=orphan.confirmed,
                seconds=seconds,
            )
            for orphan in found
        ]

    async def _make_safe(self, climate: Climate) -> None:
        name = climate.chamber.name
        try:
            await climate.make_safe()
        except (InstrumentError, UnreachableError, TimeoutError) as error:
            self.alarms.set("not_open", CHAMBER + name, f"chamber {name} could not be made safe: {error}")


def _waits_for_open(run: ActiveRun) -> bool:
    """Whether a circuit is to be open, may be closed, and is not confirmed open."""
    wanted = run.stop_wanted is not None or run.alarmed
    return wanted and run.ticket is not None and not run.open_confirmed and run.info.state not in ENDED
