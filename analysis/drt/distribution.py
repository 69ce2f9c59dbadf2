"""What a resolved spectrum is: γ(ln τ), and the elements beside it.

Z(ω) = R_∞ + jωL + 1/(jωC) + ∫ γ(ln τ) / (1 + jωτ) d ln τ, γ ≥ 0 in Ω. The area under γ between two times is
the resistance of the processes between them (Schichlein et al., J. Appl. Electrochem. 32 (2002) 875).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

Method = Literal["ridge", "hierarchical"]


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """One spectrum, resolved. Arrays over τ have the shape (m,), over frequency (n,)."""

    method: Method
    tau_s: Floats
    """Ascending, evenly spaced in ln τ, and wider than the window: an arc that is cut off has a place."""
    gamma_ohm: Floats
    """γ(ln τ) ≥ 0; ∫ γ d ln τ is a resistance."""
    lower_ohm: Floats | None
    """Lower edge of the 95 % band of γ; None where the method gives none."""
    upper_ohm: Floats | None
    r_inf_ohm: float
    """What is left at infinite frequency."""
    inductance_H: float
    """0 where none was fitted."""
    capacitance_F: float | None
    """Capacitance in series, of electrodes that block; None where none was fitted or needed."""
    noise: float
    """σ of the noise of one part of Z relative to |Z|, from what the fit leaves."""
    residuals: Complexes
    """(Z − fit)/|Z|, in the order of the frequencies given."""
    window_s: tuple[float, float]
    """1/(2πf) of the highest and of the lowest frequency: outside it γ is an extrapolation."""
    log_covariance: Floats | None = None
    """Posterior covariance of ln γ, shape (m, m); None where the method gives none."""

    @property
    def step(self) -> float:
        """Distance of two neighbouring ln τ."""
        return float(np.log(self.tau_s[-1] / self.tau_s[0])) / (len(self.tau_s) - 1)

    @property
    def r_p_ohm(self) -> float:
        """Polarisation resistance: the area under γ within the window."""
        fast, slow = self.window_s
        inside = (self.tau_s >= fast * (1 - 1e-9)) & (self.tau_s <= slow * (1 + 1e-9))
        return float(self.gamma_ohm[inside].sum()) * self.step
