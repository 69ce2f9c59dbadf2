"""What the engine can measure of a drawn cell besides its test: after a trip, and on a suspicion."""

from __future__ import annotations

import numpy as np

from analysis.kramers_kronig import summarize
from benchmarks.detection.cells import Floats
from benchmarks.detection.plans import SWEEP_S
from benchmarks.detection.render import Run, Stretch
from guards.look import Seen
from protocols.measurements import Spectrum

LOOKING_STEP = 900_000
LOOK_S = 60.0
"""How long a look takes: a rest, a small spectrum or a pulse, and opening and closing the circuit."""
PULSE_S = 10.0
PULSE = 0.1
"""Of the current, in a look."""
LOOK_SWEEP_S = 30.0


class Bench:
    """Measures what a look needs; what it measures is no part of the test and has noise of its own."""

    def __init__(self, run: Run | None, *, eis: bool) -> None:
        """``run``: None if nothing can be looked at; ``eis``: whether the channel can measure spectra."""
        self._run = run
        self._rng = np.random.default_rng(1)
        self.eis = eis and run is not None

    def look(self, stretch: Stretch, now_s: float) -> Seen:
        """Look at the opened cell: by a spectrum where that is possible, else by a pulse."""
        run = self._run
        if run is None:
            return Seen(now_s, 0.0, None, None, 0.0)
        current_A = PULSE * stretch.facts.set_current_A
        if self.eis:
            spectrum = self._spectrum(run, now_s, 0.0, LOOK_SWEEP_S)
            summary = summarize(spectrum)
            return Seen(now_s, run.dist.offset_V, summary.r_hf_ohm, summary.r_total_ohm, current_A)
        if current_A == 0.0:
            return Seen(now_s, run.dist.offset_V, None, None, 0.0)
        noise = 1.0 + run.spectrum_noise * float(self._rng.standard_normal())
        r_ohm = run.pulse_ohm(now_s, abs(current_A), PULSE_S, healed=_is_healed(run)) * noise
        return Seen(now_s, run.dist.offset_V, None, r_ohm, current_A)

    def under_current(self, stretch: Stretch, now_s: float) -> Spectrum:
        """Measure a spectrum under the running current."""
        run = self._known()
        begin, end = stretch.planned.part
        phase = begin + (end - begin) * (now_s - stretch.facts.t_s) / stretch.planned.duration_s
        shape = float(run.dist.shape(np.array([phase]), stretch.planned.half_cycle)[0])
        return self._spectrum(run, now_s, stretch.facts.set_current_A, SWEEP_S, shape)

    def at_open_circuit(self, now_s: float) -> Spectrum:
        """Measure a spectrum at open circuit."""
        return self._spectrum(self._known(), now_s, 0.0, SWEEP_S)

    def relaxed_V(self, stretch: Stretch, now_s: float, later_s: Floats) -> Floats:
        """Return what a look has taken off E at later times."""
        return self._known().relaxed_V(now_s, LOOK_S, later_s, stretch.facts.set_current_A)

    def _known(self) -> Run:
        if self._run is None:
            raise ValueError("nothing can be measured of this cell besides its test")
        return self._run

    def _spectrum(
        self, run: Run, now_s: float, current_A: float, lasts_s: float, shape: float = 1.0
    ) -> Spectrum:
        healed = current_A == 0.0 and _is_healed(run)
        return run.spectrum(
            LOOKING_STEP, 0, now_s, current_A, lasts_s, shape=shape, healed=healed, rng=self._rng
        )


def _is_healed(run: Run) -> bool:
    """Whether a short is gone while the circuit is open."""
    return run.short is not None and run.short.heals
