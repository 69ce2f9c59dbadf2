"""The rules that a lab would write, over whole stretches at once: what the guards are compared with.

Each fires at most once in a half-cycle, and stops nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from benchmarks.detection.cells import Floats
from benchmarks.detection.render import Stretch

RULES = ("absolute", "dV/dt", "moving median", "same phase")
BLANK_S = 3.0
IN_A_ROW = 3
MEDIAN_S = 60.0
LOW = 0.5
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule fired."""

    rule: str
    t_s: float
    driven: int
    """Samples under current so far, this one included."""


@dataclass(slots=True)
class LabRules:
    """All rules on one run."""

    fired: list[Fired] = field(default_factory=list)
    _half_cycle: int = -1
    _told: set[str] = field(default_factory=set)
    _level_V: float = 0.0
    _first_V: list[Floats] = field(default_factory=list)
    _past_ohm: Floats = field(default_factory=lambda: np.empty(0))
    _course: dict[float, tuple[Floats, Floats]] = field(default_factory=dict)
    _open: list[tuple[Floats, Floats]] = field(default_factory=list)
    _sign: float = 0.0
    _driven: int = 0

    def take(self, stretch: Stretch) -> None:
        """Let every rule judge a stretch."""
        if stretch.facts.set_current_A == 0.0 or not len(stretch.t_s):
            return
        if stretch.planned.half_cycle != self._half_cycle:
            self._begin(stretch)
        with np.errstate(invalid="ignore", over="ignore"):
            self._judge(stretch)
        self._driven += len(stretch.t_s)

    def _begin(self, stretch: Stretch) -> None:
        if self._half_cycle == 0 and self._first_V:
            self._level_V = float(np.nanmedian(np.concatenate(self._first_V)))
        if self._open:
            phases, values = (np.concatenate(column) for column in zip(*self._open, strict=True))
            self._course[self._sign] = (phases, values)
        self._open, self._told = [], set()
        self._past_ohm = np.empty(0)
        self._half_cycle = stretch.planned.half_cycle
        self._sign = float(np.sign(stretch.facts.set_current_A))

    def _judge(self, stretch: Stretch) -> None:
        t, size_V = stretch.t_s, np.abs(stretch.voltage_V)
        ohm = stretch.voltage_V / stretch.current_A
        judged = t - stretch.facts.t_s > BLANK_S
        begin, end = stretch.planned.part
        planned_C = stretch.facts.planned_charge_C or 1.0
        phase = begin + (end - begin) * np.abs(stretch.charge_C) / planned_C
        if self._half_cycle == 0:
            self._first_V.append(size_V)
        elif self._level_V:
            self._fire("absolute", stretch, _in_a_row(judged & (size_V < LOW * self._level_V)))
        back = max(round(1.0 / float(t[1] - t[0])), 1) if len(t) > 1 else 1
        dropped = np.zeros(len(t), dtype=bool)
        dropped[back:] = size_V[back:] < LOW * size_V[:-back]
        self._fire("dV/dt", stretch, judged & dropped)
        self._fire("moving median", stretch, _in_a_row(judged & self._under_median(t, ohm)))
        course = self._course.get(self._sign)
        if course is not None:
            self._fire("same phase", stretch, _in_a_row(judged & (ohm < LOW * np.interp(phase, *course))))
        self._open.append((phase, ohm))

    def _under_median(self, t: Floats, ohm: Floats) -> Flags:
        """Return where R is under half of the median of the last minute of this half-cycle."""
        interval_s = float(t[-1] - t[0]) / max(len(t) - 1, 1) or 1.0
        window = max(int(MEDIAN_S / interval_s), IN_A_ROW + 2)
        joined = np.nan_to_num(np.concatenate([self._past_ohm, ohm]), nan=0.0)
        medians = median_filter(joined, size=window, origin=(window - 1) // 2, mode="nearest")
        self._past_ohm = joined[-window:]
        return np.asarray(ohm < LOW * medians[len(joined) - len(ohm) :])

    def _fire(self, rule: str, stretch: Stretch, flags: Flags) -> None:
        if rule in self._told or not flags.any():
            return
        first = int(np.argmax(flags))
        self._told.add(rule)
        self.fired.append(Fired(rule, float(stretch.t_s[first]), self._driven + first + 1))


def _in_a_row(flags: Flags) -> Flags:
    """Return where the last few are all true."""
    found = flags.copy()
    for back in range(1, IN_A_ROW):
        found[back:] &= flags[:-back]
        found[:back] = False
    return found
