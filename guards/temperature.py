"""The surroundings of the cell get warmer or colder than they were when the run settled.

Nothing is wrong with the cell then, so this guard reports and never stops. But 5 K change R by a quarter
(:mod:`guards.arrhenius`), and whoever reads the data has to know. A temperature that the protocol demands is
no drift; a chamber whose door stands open for a moment is none either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from guards import arrhenius
from guards.guard import SavedGuard, StepFacts
from protocols.cell import Cell
from protocols.verdicts import Verdict

TOLERATED = 1.25
"""A change of R by this factor is worth a report: the rules that stop tolerate a fall to 0.7."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a temperature has drifted."""

    drift_K: float = 5.0
    """Further than this from where the run settled. By default what changes R by a quarter: 5 K of a sulfide
    or a garnet at 25 °C, 2 K of a polymer, 7 K of a liquid."""
    hold_s: float = 600.0
    """For this time: as long as a cell takes to follow the air, so that an open door is no drift."""
    back: float = 0.5
    """It is back within this part of ``drift_K``: less than the whole, so that it does not come and go."""
    settle_s: float = 1800.0
    """The run has settled so long after its first temperature, unless a wait for a temperature ends first: a
    chamber that was set by hand just before the start may still be on its way."""


def defaults(cell: Cell) -> Thresholds:
    """Return the thresholds for a cell, by its activation energy."""
    return Thresholds(drift_K=arrhenius.kelvin_for(cell, TOLERATED))


@dataclass(slots=True)
class _State:
    soaking: bool = False
    """A temperature is waited for."""
    first_s: float | None = None
    settled: bool = False
    reference_K: float = 0.0
    newest_K: float = 0.0
    outside_since_s: float | None = None
    farthest_K: float = 0.0
    told: bool = False


class Temperature(SavedGuard[_State]):
    """Guard of the temperature around the cell, tier 3."""

    name = "temperature"

    def __init__(self, cell: Cell, thresholds: Thresholds | None = None) -> None:
        super().__init__(_State())
        self._th = thresholds or defaults(cell)
        self._cell = cell
        self._look_up_calm()

    def enter(self, step: StepFacts) -> None:
        """Take notice of a wait for a temperature: what is demanded is no drift."""
        s = self._s
        if step.demanded_K is not None:
            s.soaking, s.outside_since_s, s.told = True, None, False
        elif s.soaking:
            s.soaking, s.settled, s.reference_K = False, s.first_s is not None, s.newest_K
        self._look_up_calm()

    def temperature(self, t_s: float, temperature_K: float) -> Verdict | None:
        """Judge a temperature that is new."""
        s, th = self._s, self._th
        s.newest_K = temperature_K
        if s.first_s is None:
            s.first_s, s.reference_K = t_s, temperature_K
        if s.soaking:
            return None
        s.settled = s.settled or t_s - s.first_s >= th.settle_s
        if not s.settled:
            s.reference_K = temperature_K
            return None
        verdict = self._judge(t_s, temperature_K - s.reference_K)
        self._look_up_calm()
        return verdict

    def sample(self, t_s: float, voltage_V: float, current_A: float, charge_C: float) -> Verdict | None:
        """Look whether a drift has lasted."""
        verdict = self._lasting(t_s)
        if verdict is not None:
            self._look_up_calm()
        return verdict

    def _judge(self, t_s: float, off_K: float) -> Verdict | None:
        s, th = self._s, self._th
        if s.told and abs(off_K) <= th.back * th.drift_K:
            return self._back(t_s)
        if abs(off_K) > th.drift_K:
            if s.outside_since_s is None:
                s.outside_since_s, s.farthest_K = t_s, off_K
            s.farthest_K = max(s.farthest_K, off_K, key=abs)
        elif not s.told:
            s.outside_since_s = None
        return self._lasting(t_s)

    def _lasting(self, t_s: float) -> Verdict | None:
        s, th = self._s, self._th
        if s.told or s.outside_since_s is None or t_s < s.outside_since_s + th.hold_s:
            return None
        s.told = True
        off_K = s.newest_K - s.reference_K
        words = f"{abs(off_K):.1f} K {'warmer' if off_K > 0.0 else 'colder'} than when the run settled"
        factor = arrhenius.factor(self._cell, s.reference_K, s.newest_K)
        return self._verdict(
            t_s, off_K, f"It has been {words} for {th.hold_s:g} s: expect R to be {factor:.2f} times as high."
        )

    def _back(self, t_s: float) -> Verdict:
        s = self._s
        since_s, farthest_K = s.outside_since_s or 0.0, s.farthest_K
        s.told, off_K = False, s.newest_K - s.reference_K
        verdict = self._verdict(
            t_s,
            off_K,
            f"The temperature is back: it was up to {abs(farthest_K):.1f} K "
            f"{'warmer' if farthest_K > 0.0 else 'colder'} for {(t_s - since_s) / 3600.0:.3g} h.",
        )
        s.outside_since_s = None
        return verdict

    def _verdict(self, t_s: float, off_K: float, message: str) -> Verdict:
        s = self._s
        evidence: dict[str, float | str] = {
            "criterion": "temperature has left where it was by drift_K",
            "threshold": self._th.drift_K,
            "value": off_K,
            "reference_K": s.reference_K,
            "temperature_K": s.newest_K,
            "farthest_K": s.farthest_K,
            "resistance_factor": arrhenius.factor(self._cell, s.reference_K, s.newest_K),
        }
        event_s = t_s if s.outside_since_s is None else s.outside_since_s
        return Verdict(
            kind="temperature_drift", tier=3, time_s=t_s, event_s=event_s, message=message, evidence=evidence
        )

    def _look_up_calm(self) -> None:
        """No sample matters but the first after a drift has lasted."""
        s = self._s
        waits = s.outside_since_s is not None and not s.told
        self.calm.until_s = (s.outside_since_s or 0.0) + self._th.hold_s if waits else math.inf
