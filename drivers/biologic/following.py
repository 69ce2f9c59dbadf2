"""Follows one load on one channel from the replies of BL_GetData: samples, spectra, place, end. No I/O."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drivers.biologic.constants import ChannelState
from drivers.biologic.decode import Floats, Reply, Rows, SweepRows, Words, as_singles, decode
from drivers.biologic.endings import early_end
from drivers.biologic.parameters import scan_record_V
from drivers.biologic.reference import reference_V
from drivers.biologic.structs import CurrentValues
from drivers.biologic.sweep import Sweep
from drivers.biologic.techniques import Load, Visit
from drivers.instrument import ChannelValues, SegmentEnd
from protocols.errors import InstrumentError, SandtimeError
from protocols.measurements import FLAG_OVERFLOW, Block, Spectrum, empty_block
from protocols.nodes import Geis, Peis, Step, VoltageSweep
from protocols.position import Position
from protocols.program import Program

STOPS_TO_BELIEVE = 2
"""Successive replies with STOP that make an end: a busy instrument sends single wrong ones."""

MISSES_TO_GIVE_UP = 5
"""Successive fetches refused that make a fault: one or two pass by themselves, but meanwhile no guard sees
the channel."""

LATE_FRACTION = 0.01
"""Part of a list's time by which it may be late: techniques take a few ms each to change over."""

LATE_S = 60.0
"""Time by which any list may be late besides: its final OCV, and points of a sweep longer than a period."""


class Follower:
    """What is known of a segment on a channel.

    Rows of a sweep make a spectrum and no samples; a spectrum that was broken off is not delivered.
    """

    def __init__(
        self,
        channel: int,
        program: Program,
        load: Load,
        singles: Callable[[Words], Floats] = as_singles,
        resumed: bool = False,
    ) -> None:
        self.stopped = False
        """Whether we commanded the stop."""
        self.seen_running = resumed
        """Whether it ever ran: just after its start a channel may still say STOP."""
        self.misses = 0
        """Successive fetches that the instrument refused."""
        self._channel = channel
        self._program = program
        self._load = load
        self._singles = singles
        self._blocks: list[Block] = []
        self._spectra: list[Spectrum] = []
        self._values: CurrentValues | None = None
        self._fresh = False
        self._lost = 0
        self._stops = 0
        self._key: tuple[int, int] | None = None
        self._visit: Visit | None = None
        self._passed_all = False
        self._start_s = 0.0
        self._t_s = 0.0
        self._voltage_V = 0.0
        self._current_A = 0.0
        self._charge_C = 0.0
        self._reference_V: float | None = None
        self._sweep: Sweep | None = None
        self._fault = ""

    @property
    def current_max_A(self) -> float:
        """Largest current that the segment may drive."""
        return self._program.limits.current_max_A

    def take(self, reply: Reply) -> None:
        """Take in one reply. A reply of zeros throughout tells nothing and changes nothing."""
        self.misses = 0
        self._lost += reply.lost
        if reply.header.rows > 0:
            self.seen_running = True
            self._take_known_rows(reply)
        if reply.values.TimeBase > 0:
            self._values, self._fresh = reply.values, True
            self._take_state(reply)

    def miss(self, error: SandtimeError) -> None:
        """Note that the instrument refused a fetch; too many in succession are a fault."""
        self.misses += 1
        if self.misses >= MISSES_TO_GIVE_UP:
            self._fault = f"{self.misses} successive fetches of its data failed: {error}"

    def expects_more(self, reply: Reply) -> bool:
        """Return whether another request at once is worth while after ``reply``."""
        if reply.header.rows > 0:
            ran_out = reply.values.MemFilled == 0 and reply.values.State != ChannelState.STOP
            return not ran_out or reply.values.TimeBase <= 0
        return 0 < self._stops < STOPS_TO_BELIEVE

    def samples(self) -> Block:
        """Return the samples since the last call, in the order of time."""
        blocks, self._blocks = self._blocks, []
        return np.concatenate(blocks) if blocks else empty_block()

    def spectra(self) -> list[Spectrum]:
        """Return the whole spectra since the last call."""
        spectra, self._spectra = self._spectra, []
        return spectra

    def lost(self) -> int:
        """Return how many samples the instrument dropped since the last call."""
        lost, self._lost = self._lost, 0
        return lost

    def values(self) -> ChannelValues | None:
        """Return what the channel showed last, once."""
        values = self._values
        if values is None or not self._fresh:
            return None
        self._fresh = False
        running = values.State != ChannelState.STOP
        sweeping = running and (values.Freq > 0 or (self._sweep is not None and not self._sweep.complete))
        return ChannelValues(self._channel, running, values.Ewe, values.I, sweeping)

    def position(self) -> Position:
        """Return the place of the last row. A sweep counts only when it is whole."""
        if self._passed_all:
            return self._load.end
        visit = self._visit or self._load.first
        if isinstance(visit.step, Geis | Peis):
            whole = self._sweep is not None and self._sweep.complete
            return visit.position(visit.step.remaining_s if whole else 0.0)
        unseen_s = self._unseen_s()
        place = visit.position(self._t_s + unseen_s, self._charge_C + unseen_s * self._current_A)
        return place.model_copy(update={"reference_V": self._reference_V})

    def end(self) -> SegmentEnd | None:
        """Return how the segment ended, once it has and all rows were taken; else None."""
        if self._fault:
            return SegmentEnd("fault", self.position(), self._fault)
        if self._stops < STOPS_TO_BELIEVE:
            return None
        if self.stopped:
            return SegmentEnd("stopped", self.position())
        if self._passed_all or self._passed_unseen():
            return SegmentEnd("complete", self._load.end)
        reason, message = early_end(self._visit, self._t_s, self._voltage_V, self._current_A, self._program)
        return SegmentEnd(reason, self.position(), message)

    def _unseen_s(self) -> float:
        """Time between the last row and our stop: the current flowed on for that long."""
        if not self.stopped or self._values is None or self._stops == 0:
            return 0.0
        unseen_s = float(self._values.ElapsedTime) - (self._start_s + self._t_s)
        # Beyond two intervals the two times cannot be on the same clock.
        step = (self._visit or self._load.first).step
        return unseen_s if 0 < unseen_s <= 2 * self._interval_s(step) else 0.0

    def _interval_s(self, step: Step) -> float:
        """Longest time between two rows of a step."""
        watch_s = self._program.watch_s
        if not isinstance(step, VoltageSweep):
            return watch_s
        return scan_record_V(step, watch_s, self._program.record_dE_V or 0.0) / step.rate_V_per_s

    def _passed_unseen(self) -> bool:
        """Whether all rows were fetched before us, and the list has had all its time.

        A stopped channel goes on showing the time of the list that ran last. A time much longer than our
        list's is that of another list: ours never ran.
        """
        elapsed_s = self._values.ElapsedTime if self._values is not None else 0.0
        duration_s = self._load.duration_s
        latest_s = duration_s * (1 + LATE_FRACTION) + LATE_S
        return self._visit is None and duration_s <= elapsed_s <= latest_s

    def _take_state(self, reply: Reply) -> None:
        if reply.values.State != ChannelState.STOP:
            self.seen_running = True
            self._stops = 0
        elif self.seen_running and reply.header.rows == 0 and reply.values.MemFilled == 0:
            self._stops += 1

    def _take_known_rows(self, reply: Reply) -> None:
        try:
            self._take_rows(reply)
        except InstrumentError as error:
            # Not a row of ours: another program has the channel, and our segment is gone from it.
            self._fault = str(error)

    def _take_rows(self, reply: Reply) -> None:
        header = reply.header
        visit = self._load.visit(header.technique, header.loop)
        if visit is None:
            self._passed_all = True
            return
        timebase_s = reply.values.TimeBase if reply.values.TimeBase > 0 else self._load.timebase_s
        rows = decode(header, reply.words, timebase_s, self._singles)
        if self._key != (header.technique, header.loop):
            self._enter((header.technique, header.loop), visit, rows, header.start_s)
        self._account(rows)
        if self._sweep is None:
            self._blocks.append(self._block(reply, visit, rows))
        elif isinstance(rows, SweepRows):
            self._spectra.extend(self._sweep.add(rows))

    def _enter(self, key: tuple[int, int], visit: Visit, rows: Rows, start_s: float) -> None:
        before = self._visit
        if before is not None and visit.continues(before):
            # The other part of a visit: how long the first took is known better than it was planned.
            gone_s = start_s - self._start_s
            reached = before.position(gone_s, self._charge_C + (gone_s - self._t_s) * self._current_A)
            visit = visit.at(reached.time_s, reached.charge_C)
        else:
            self._reference_V = self._reference(visit.step, rows)
        self._key, self._visit = key, visit
        self._start_s, self._t_s, self._charge_C = start_s, 0.0, 0.0
        self._current_A = float(rows.current_A[0])
        self._sweep = self._new_sweep(visit, start_s)

    def _reference(self, step: Step, rows: Rows) -> float | None:
        before_V = self._voltage_V if self._visit is not None else None
        early_s = 2 * self._interval_s(step)
        return reference_V(step, float(rows.t_s[0]), float(rows.voltage_V[0]), before_V, early_s)

    def _new_sweep(self, visit: Visit, start_s: float) -> Sweep | None:
        step = visit.step
        return Sweep(self._channel, step, visit.number, start_s) if isinstance(step, Geis | Peis) else None

    def _account(self, rows: Rows) -> None:
        """Integrate the measured current from the visit's start; before the first row it is that row's."""
        before_C = (self._current_A + rows.current_A[0]) / 2 * (rows.t_s[0] - self._t_s)
        among_C = np.trapezoid(rows.current_A, rows.t_s) if len(rows.t_s) > 1 else 0.0
        self._charge_C += float(before_C + among_C)
        self._t_s = float(rows.t_s[-1])
        self._current_A = float(rows.current_A[-1])
        self._voltage_V = float(rows.voltage_V[-1])

    def _block(self, reply: Reply, visit: Visit, rows: Rows) -> Block:
        block = empty_block(len(rows.t_s))
        block["channel"] = self._channel
        block["t_s"] = reply.header.start_s + rows.t_s
        block["voltage_V"] = rows.voltage_V
        block["current_A"] = rows.current_A
        block["step"] = visit.step.index
        block["visit"] = visit.number
        # The flags are of now, so they belong to the newest row.
        if reply.values.Eoverflow or reply.values.Ioverflow:
            block["flags"][-1] |= FLAG_OVERFLOW
        return block
