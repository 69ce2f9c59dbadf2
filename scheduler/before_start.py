"""What the check before a start has to know besides what it measures: of channel, chamber, disk, old cells.

Everything is asked in memory: a keeper, which asks, never waits for a disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from drivers.chamber import celsius
from guards.same_cell import recognise
from protocols.cell import Cell
from protocols.check import CheckFinding, LeftCell, SeenCell
from protocols.laboratory import Calibration
from protocols.records import RunInfo
from scheduler.clock import Clock
from scheduler.config import ServiceConfig
from scheduler.requests import StorageInfo


@dataclass(slots=True)
class StartChecks:
    """Answers for all runs of the lab."""

    config: ServiceConfig
    clock: Clock
    runs: Callable[[], Iterable[RunInfo]]
    storage: Callable[[], StorageInfo]
    _calibrations: dict[tuple[str, int], Calibration] = field(default_factory=dict)

    def calibrated(self, *calibrations: Calibration) -> None:
        """Take notice of calibrations, of each channel the newest last."""
        self._calibrations.update({(each.instrument, each.channel): each for each in calibrations})

    def of_run(self, info: RunInfo) -> BeforeStart | None:
        """Return what is asked before this run starts; None: nothing is, by service.toml."""
        if not self.config.checks.before_start:
            return None
        return BeforeStart(self, info.station, info.cell_digest)

    def calibration(self, station: str) -> CheckFinding | None:
        """Judge whether the station's channel is calibrated, as far as service.toml wants that."""
        policy = self.config.checks.calibration
        if policy == "ignore" or (policy == "warn" and not self._calibrations):
            return None
        wired = self.config.station(station)
        channel = f"channel {wired.channel} of {wired.instrument}"
        found = self._calibrations.get((wired.instrument, wired.channel))
        if found is not None and not found.expired(self.clock.unix()):
            return CheckFinding(name="calibration", result="fine", text=f"{channel} is calibrated")
        what = "was never calibrated" if found is None else "has a calibration that is no longer valid"
        return CheckFinding(
            name="calibration",
            result="refused" if policy == "require" else "noted",
            text=f"{channel} {what}",
            advice="Measure a known load, and keep what it shows: sandtime calibration add",
        )

    def disk(self) -> CheckFinding | None:
        """Judge how much room there is; a run that would find none does not come so far."""
        info = self.storage()
        if info.state == "ok":
            return None
        return CheckFinding(name="disk", result="noted", text=info.problem, advice="Free disk space soon.")

    def left(self, digest: str) -> tuple[LeftCell | None, bool]:
        """Return how a cell was when an earlier run saw it last, and whether its file is that of several."""
        runs = [
            info for info in self.runs() if info.cell_digest == digest and info.started_unix_s is not None
        ]
        left = [
            LeftCell(run=info.run, station=info.station, seen=info.seen)
            for info in runs
            if info.seen is not None
        ]
        return max(left, key=lambda each: each.seen.unix_s, default=None), _overlap(runs)


@dataclass(frozen=True, slots=True)
class BeforeStart:
    """What is asked before one run starts."""

    checks: StartChecks
    station: str
    digest: str
    """Of the cell's file."""

    def judge_station(self, cell: Cell, temperature_K: float | None, has_chamber: bool) -> list[CheckFinding]:
        """Judge channel, chamber and disk."""
        chamber = _chamber(cell, temperature_K) if has_chamber else None
        found = (self.checks.calibration(self.station), chamber, self.checks.disk())
        return [finding for finding in found if finding is not None]

    def recognise(self, now: SeenCell, cell: Cell) -> CheckFinding:
        """Compare the cell with what an earlier run has left of it."""
        left, shared = self.checks.left(self.digest)
        return recognise(now, left, cell, shared=shared and not cell.identity)


def _chamber(cell: Cell, temperature_K: float | None) -> CheckFinding:
    """Judge the temperature around a cell that is in a chamber."""
    if temperature_K is None:
        text = "the chamber does not tell its temperature"
        return CheckFinding(name="chamber", result="noted", text=text, advice="Look at its connection.")
    low_K, high_K = cell.temperature_min_K, cell.temperature_max_K
    text = f"the chamber is at {celsius(temperature_K)}"
    if low_K is None or high_K is None:
        return CheckFinding(name="chamber", result="fine", text=text, value=temperature_K, unit="K")
    inside = low_K <= temperature_K <= high_K
    return CheckFinding(
        name="chamber",
        result="fine" if inside else "refused",
        text=f"{text}; the cell may see {celsius(low_K)} to {celsius(high_K)}",
        advice="" if inside else "Bring the chamber to a temperature that the cell may see.",
        value=temperature_K,
        low=low_K,
        high=high_K,
        unit="K",
    )


def _overlap(runs: list[RunInfo]) -> bool:
    """Whether any two of these runs went on at the same time, on different stations."""
    latest_s, station = -math.inf, ""
    for info in sorted(runs, key=lambda info: info.started_unix_s or 0.0):
        if (info.started_unix_s or 0.0) < latest_s and info.station != station:
            return True
        ended_s = math.inf if info.ended_unix_s is None else info.ended_unix_s
        if ended_s > latest_s:
            latest_s, station = ended_s, info.station
    return False
