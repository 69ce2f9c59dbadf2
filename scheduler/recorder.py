"""The hand-over of everything measured: to the store, and to those who listen live.

Live samples go out at hand-over, marked not yet durable; events only after the commit that holds them.
Subscribers are plain callables that must return at once (their queues are bounded and drop the oldest).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from drivers.instrument import Instrument
from protocols.errors import StorageError
from protocols.laboratory import KnownInstrument
from protocols.measurements import Block, Spectrum, SpectrumSummary
from protocols.program import Program
from protocols.records import Event, Gap, HalfCycle
from protocols.verdicts import Verdict
from scheduler.clock import Clock
from storage.store import Store
from storage.tables import StoredEvent

log = logging.getLogger(__name__)

T = TypeVar("T")

COMMIT_INTERVAL_S = 0.5
"""Longest time a handed-over sample waits for its commit (design: The way of one sample, 3)."""


@dataclass(frozen=True, slots=True)
class LiveBlock:
    """Samples of one instrument and poll, at hand-over: not yet durable."""

    instrument: str
    samples: Block
    """``channel`` holds the run's number, ``t_s`` run time."""


SampleSubscriber = Callable[[LiveBlock], None]
EventSubscriber = Callable[[StoredEvent], None]


class Recorder:
    """Queues what is measured, commits it, and tells subscribers."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._sample_subscribers: list[SampleSubscriber] = []
        self._event_subscribers: list[EventSubscriber] = []
        self.failing = False
        """The last commit failed; what was queued is kept and tried again."""

    @property
    def identity(self) -> str:
        """Random name of the data folder."""
        return self._store.identity

    def on_samples(self, subscriber: SampleSubscriber) -> None:
        """Call ``subscriber`` with each block at hand-over."""
        self._sample_subscribers.append(subscriber)

    def on_event(self, subscriber: EventSubscriber) -> None:
        """Call ``subscriber`` with each event after its commit, in order."""
        self._event_subscribers.append(subscriber)

    def samples(self, instrument: str, block: Block) -> None:
        """Hand over one poll's samples."""
        if not len(block):
            return
        self._store.add_samples(block)
        live = LiveBlock(instrument, block)
        for subscriber in self._sample_subscribers:
            _tell(subscriber, live)

    def spectrum(self, run: int, spectrum: Spectrum, summary: SpectrumSummary) -> None:
        """Hand over a spectrum with its summary."""
        self._store.add_spectrum(run, spectrum, summary)
        self.event(run, "spectrum", spectrum.t_end_s, summary.model_dump(mode="json"))

    def half_cycle(self, run: int, half_cycle: HalfCycle, program: Program) -> None:
        """Hand over a closed half-cycle of a program."""
        counted = program.cycle(half_cycle.step, half_cycle.visit) if program.counts_cycles else None
        self._store.add_half_cycle(run, half_cycle, counted)
        self.event(run, "cycle", half_cycle.t_end_s, half_cycle.model_dump(mode="json"))

    def verdict(self, run: int, verdict: Verdict) -> None:
        """Hand over a verdict."""
        self._store.add_verdict(run, verdict)
        self.event(run, "verdict", verdict.time_s, verdict.model_dump(mode="json"))

    def gap(self, run: int, gap: Gap) -> None:
        """Record that samples are missing."""
        self._store.add_gap(run, gap)
        self.event(run, "gap", gap.t_to_s, gap.model_dump(mode="json"))

    def connected(self, instrument: Instrument) -> None:
        """Hand over that an instrument was connected, and what it says it is."""
        now_s = self._clock.unix()
        seen = KnownInstrument(
            name=instrument.name,
            identity=instrument.identity(),
            simulated=instrument.simulated,
            capabilities=instrument.capabilities(0),
            first_unix_s=now_s,
            last_unix_s=now_s,
        )
        self._store.see_instrument(seen)

    def event(self, run: int | None, kind: str, t_s: float | None, data: dict[str, object]) -> None:
        """Record an event; it is published after its commit."""
        self._store.add_event(run, Event(kind=kind, t_s=t_s, unix_s=self._clock.unix(), data=data))

    async def commit(self) -> None:
        """Make everything handed over so far durable. Raises StorageError; nothing queued is lost then."""
        events = await self._store.commit()
        for event in events:
            for subscriber in self._event_subscribers:
                _tell(subscriber, event)

    async def try_commit(self) -> None:
        """Commit; a failure is logged once, what was queued is kept, and measuring goes on from memory."""
        try:
            await self.commit()
        except Exception as error:
            # No fault of storing may end the watch over the cells.
            if not self.failing:
                expected = isinstance(error, StorageError)
                log.error("storing fails, measuring goes on: %s", error, exc_info=not expected)
            self.failing = True
        else:
            self.failing = False

    async def keep_committing(self) -> None:
        """Commit every half second, for ever."""
        while True:
            await asyncio.sleep(COMMIT_INTERVAL_S)
            await self.try_commit()


def _tell(subscriber: Callable[[T], None], item: T) -> None:
    try:
        subscriber(item)
    except Exception:
        # A fault of somebody who listens must not reach the measurement.
        log.exception("a subscriber failed")
