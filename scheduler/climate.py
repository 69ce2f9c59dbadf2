"""One climate for each chamber: the only one that talks to it, and the one who knows which runs hold it.

A demand is a wish that lasts: while a run holds the chamber, its set-point is sent again whenever the chamber
shows another. Nothing is ever switched off; after the last release the chamber keeps its set-point.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random

from drivers.chamber import SETPOINT_TOLERANCE_K, Chamber, ChamberReading, celsius
from protocols.errors import BusyError, InstrumentError, NotAllowedError, UnreachableError
from scheduler.bounded import BoundedChamber
from scheduler.clock import Clock
from scheduler.contact import Backoff, Chance, Contact
from scheduler.requests import ChamberInfo
from scheduler.supervision import is_cancelled

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
STALE_INTERVALS = 3.0
"""A reading counts for this many intervals; an older one is no evidence of anything."""
SAFE_TIMEOUT_S = 10.0
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.5, 60.0


class Climate:
    """Keeps one chamber at what runs demand of it."""

    def __init__(
        self,
        chamber: Chamber,
        clock: Clock,
        interval_s: float = INTERVAL_S,
        chance: Chance = random.random,
    ) -> None:
        """``chance`` draws the waits between attempts to connect."""
        self.chamber: Chamber = BoundedChamber(chamber)
        self.contact = Contact(chamber.name, "chamber", clock)
        self.reading: ChamberReading | None = None
        """The last one; see :attr:`fresh`."""
        self.read_monotonic_s = -math.inf
        """When it was asked for, on the host's monotonic clock."""
        self.problem = ""
        """What is wrong, in words: no contact, or a set-point that is refused. Empty if nothing is."""
        self._clock = clock
        self._interval_s = interval_s
        self._chance = chance
        self._refused = False
        """The chamber answers, but does not take its set-point."""
        self._demands: dict[int, float] = {}
        self._wake = asyncio.Event()
        self._wants_safe: asyncio.Future[None] | None = None

    @property
    def reachable(self) -> bool:
        """Whether the chamber answers."""
        return self.contact.reachable

    @property
    def fresh(self) -> bool:
        """Whether :attr:`reading` tells how things are now."""
        age_s = self._clock.monotonic() - self.read_monotonic_s
        return self.reachable and age_s <= STALE_INTERVALS * self._interval_s

    @property
    def temperature_K(self) -> float | None:
        """Temperature of the air now; None if no fresh reading tells."""
        return self.reading.temperature_K if self.fresh and self.reading is not None else None

    @property
    def target_K(self) -> float | None:
        """What runs demand now; None if none holds the chamber."""
        return next(iter(self._demands.values()), None)

    def demand(self, run: int, target_K: float) -> None:
        """Hold the chamber at a temperature for a run until it releases it, or demands another.

        Raises NotAllowedError outside the chamber's limits, BusyError if another run holds it at another
        temperature. Runs that agree share it. What the run demanded before then still holds.
        """
        name = self.chamber.name
        lowest_K, highest_K = self.chamber.temperature_min_K, self.chamber.temperature_max_K
        if not lowest_K <= target_K <= highest_K:
            raise NotAllowedError(
                f"run {run} asks for {celsius(target_K)}, but service.toml allows chamber {name} "
                f"{celsius(lowest_K)} to {celsius(highest_K)}"
            )
        for other, held_K in self._demands.items():
            if other != run and abs(held_K - target_K) > SETPOINT_TOLERANCE_K:
                raise BusyError(
                    f"run {run} asks for {celsius(target_K)}, but run {other} holds chamber {name} "
                    f"at {celsius(held_K)}; wait for its end, or stop it"
                )
        self._demands[run] = target_K
        self._wake.set()

    def hurry(self, ratio: float) -> None:
        """A run waits for the chamber on an instrument whose clock runs ``ratio`` times as fast as ours.

        Read again if by that clock it is time: it would else see the chamber hours late.
        """
        age_s = self._clock.monotonic() - self.read_monotonic_s
        if self.reachable and age_s * ratio >= self._interval_s:
            self._wake.set()

    def release(self, run: int) -> None:
        """Let a run hold the chamber no longer, if it does. The chamber keeps its set-point."""
        self._demands.pop(run, None)

    async def make_safe(self) -> None:
        """Demand nothing any more, and bring the chamber to what service.toml calls safe, else switch it off.

        Returns once it is read back. Raises UnreachableError, InstrumentError, TimeoutError.
        """
        self._demands.clear()
        if not self.reachable:
            raise UnreachableError(f"no contact with chamber {self.chamber.name}")
        if self._wants_safe is None:
            self._wants_safe = asyncio.get_running_loop().create_future()
        self._wake.set()
        async with asyncio.timeout(SAFE_TIMEOUT_S):
            await asyncio.shield(self._wants_safe)

    def settled(self, target_K: float, tolerance_K: float) -> bool:
        """Whether the chamber works towards ``target_K`` and is there now; a stale reading says nothing."""
        reading = self.reading
        return (
            self.fresh
            and reading is not None
            and reading.holds(target_K)
            and abs(reading.temperature_K - target_K) <= tolerance_K
        )

    def info(self) -> ChamberInfo:
        """Return how the chamber stands."""
        reading = self.reading if self.fresh else None
        return ChamberInfo(
            name=self.chamber.name,
            reachable=self.reachable,
            simulated=self.chamber.simulated,
            temperature_K=None if reading is None else reading.temperature_K,
            setpoint_K=None if reading is None else reading.setpoint_K,
            problem=self.problem,
        )

    async def keep(self) -> None:
        """Connect, then read and correct for ever; reconnect with back-off."""
        backoff = Backoff(BACKOFF_FIRST_S, BACKOFF_MAX_S, chance=self._chance)
        while True:
            try:
                await self.chamber.connect()
                while True:
                    await self._turn()
                    self.contact.lasts()
                    backoff.reset()
                    await self._sleep(self._interval_s)
            except (UnreachableError, InstrumentError) as error:
                self._lose_contact(str(error))
            except Exception as error:
                # A fault here must not end the watch over the cells.
                log.exception("chamber %s: internal fault, connecting anew", self.chamber.name)
                self._lose_contact(f"internal fault: {error!r}")
            await self.disconnect()
            wait_s = backoff.next_s()
            self.contact.retry_in(wait_s)
            await self._sleep(wait_s)

    async def disconnect(self) -> None:
        """Let go of the chamber, which keeps its set-point. Never fails."""
        try:
            await self.chamber.close()
        except (UnreachableError, InstrumentError) as error:
            log.info("chamber %s: the connection could not be closed: %s", self.chamber.name, error)
        except Exception:
            log.exception("chamber %s: the connection could not be closed", self.chamber.name)

    async def _turn(self) -> None:
        """Read; send what is demanded if the chamber shows something else, and read what came of it."""
        await self._make_safe_if_asked()
        reading = await self._read()
        target_K = self.target_K
        if target_K is None or reading.holds(target_K):
            self._note("")
            return
        try:
            await self.chamber.set_temperature(target_K)
        except InstrumentError as error:
            # Tried again at the next turn: a person may have to unlock the panel.
            self._note(str(error))
            return
        log.info("chamber %s: set to %s", self.chamber.name, celsius(target_K))
        await self._read()
        self._note("")

    async def _make_safe_if_asked(self) -> None:
        wanted = self._wants_safe
        if wanted is None:
            return
        try:
            await self.chamber.make_safe()
        except InstrumentError as error:
            self._answer_safe(error)
        else:
            self._answer_safe(None)

    def _answer_safe(self, error: Exception | None) -> None:
        wanted, self._wants_safe = self._wants_safe, None
        if wanted is None or wanted.done():
            return
        if error is None:
            wanted.set_result(None)
        else:
            wanted.set_exception(error)
            # Whoever asked may have given up waiting: then nobody else looks at it.
            wanted.exception()

    async def _read(self) -> ChamberReading:
        asked_s = self._clock.monotonic()
        self.reading = await self.chamber.read()
        self.read_monotonic_s = asked_s
        self.contact.found()
        return self.reading

    def _lose_contact(self, reason: str) -> None:
        if is_cancelled():
            # A driver has made an error of our own end: that must not undo it.
            raise asyncio.CancelledError
        self.contact.lost(reason)
        self._answer_safe(UnreachableError(f"no contact with chamber {self.chamber.name}: {reason}"))
        self.problem = reason

    def _note(self, problem: str) -> None:
        """Remember what is wrong, and say it once."""
        name = self.chamber.name
        if problem and problem != self.problem:
            log.warning("chamber %s: %s", name, problem, extra={"chamber": name})
        elif self._refused and not problem:
            log.info("chamber %s: in order again", name, extra={"chamber": name})
        self.problem, self._refused = problem, bool(problem)

    async def _sleep(self, seconds: float) -> None:
        """Wait, but no longer than until somebody demands something."""
        # Not wait_for: before Python 3.12 it may swallow a cancellation that meets its time-out.
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
