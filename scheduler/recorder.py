"""The hand-over of everything measured: to the store, and to those who listen live.

Live samples go out at hand-over, marked not yet durable; events only after the commit that holds them.
Subscribers are plain callables that must return at once (their queues are bounded and drop the oldest).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from drivers.instrument import Instrument
from protocols.laboratory import KnownInstrument
from protocols.measurements import Block, Spectrum, SpectrumSummary
from protocols.program import Program
from protocols.records import Event, Gap, HalfCycle
from protocols.verdicts import Verdict
from scheduler.clock import Clock
from scheduler.committing import Committer
from scheduler.figures import CommitFigures
from storage.store import Store
from storage.tables import StoredEvent

log = logging.getLogger(__name__)

T = TypeVar("T")


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
        self._committer = Committer(store, clock, self._committed)

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

    def on_failure(self, subscriber: Callable[[], None]) -> None:
        """Call ``subscriber`` when a commit fails, once until one succeeds again."""
        self._committer.on_failure.append(subscriber)

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

    @property
    def storage_problem(self) -> str:
        """Why nothing can be stored at present; empty while commits succeed."""
        return self._committer.problem

    @property
    def storing(self) -> bool:
        """Whether commits succeed. While they don't, measuring goes on from memory."""
        return not self._committer.problem

    @property
    def behind_s(self) -> float:
        """Age of the oldest that was handed over and is not durable, at most; 0 if all is."""
        return self._committer.behind_s

    @property
    def commits(self) -> CommitFigures:
        """How many commits there were, and how long they took."""
        return self._committer.figures

    @property
    def waiting_samples(self) -> int:
        """How many samples wait in memory for a commit."""
        return self._store.pending()

    async def commit(self) -> None:
        """Make everything handed over so far durable. Raises StorageError; nothing queued is lost then."""
        await self._committer.commit()

    async def durable(self) -> bool:
        """Make everything handed over so far durable; return whether it is, after a moment at most.

        If it is not, what was queued is kept and tried again, and measuring goes on from memory.
        """
        return await self._committer.durable()

    def mark(self) -> int:
        """Return a mark for what was handed over so far; see :meth:`is_durable`."""
        return self._committer.mark()

    def is_durable(self, mark: int) -> bool:
        """Whether everything is durable that was handed over before the mark was given."""
        return self._committer.is_durable(mark)

    async def keep_committing(self) -> None:
        """Commit every half second, for ever."""
        await self._committer.keep()

    async def close(self) -> None:
        """Begin no more commits; one that is under way comes to its end first."""
        await self._committer.close()

    def _committed(self, event: StoredEvent) -> None:
        for subscriber in self._event_subscribers:
            _tell(subscriber, event)


def _tell(subscriber: Callable[[T], None], item: T) -> None:
    try:
        subscriber(item)
    except Exception:
        # A fault of somebody who listens must not reach the measurement.
        log.exception("a subscriber failed")
