"""Charge transfer at the electrodes of a symmetric cell, from a slow sweep (Tafel, Allen and Hickling).

Per electrode i = i0 [exp((1 − α)Fη/RT) − exp(−αFη/RT)], so that ln[i / (exp(Fη/RT) − 1)] is a straight line
over η on both branches: its value at η = 0 is ln i0, its slope −αF/RT (Allen and Hickling, Trans. Faraday
Soc. 53 (1957) 1626; recipes §7 writes the cathodic branch alone, with the current's sign turned).

The two electrodes of a symmetric cell carry the same current in opposite directions, and η of one of them
is taken as half of what the resistance leaves: (E − I R_hf)/2. That is exact for α = 0.5 and near
equilibrium. Whatever α the two have, the whole cell answers the same to both directions, so that α over
both branches is 0.5 unless the two electrodes differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.lines import Floats, fit_line

GAS_J_PER_MOL_K = 8.314462618
FARADAY_C_PER_MOL = 96485.33212
"""Exact by the definitions of 2019 (CODATA)."""
RESOLVABLE = 0.05
"""Below this ratio of R_ct to R_hf, R_hf known to 1 % leaves η uncertain by 10 % and more."""
LEAST_V = 2e-3
"""Smaller |η| are noise and offset."""
FEWEST = 5


@dataclass(frozen=True, slots=True)
class ChargeTransfer:
    """What a sweep says about one electrode. Without an exchange current: not resolvable, see
    ``why_not``."""

    exchange_A: float | None
    r_ct_ohm: float | None
    """R_ct = RT/(F i0) of one electrode, in Ω."""
    alpha: float | None
    """None where |η| stays below RT/F: there the current is linear and knows no α."""
    alpha_std: float | None
    why_not: str = ""


def charge_transfer_resistance(exchange_A: float, temperature_K: float) -> float:
    """Return R_ct = RT/(F i0) in Ω.

    With i0 in mA it comes out in kΩ: study C prints 23.1039 and 0.0015 mA beside "0.0011 and 17.1472 Ω",
    which agree at 298 K as kΩ, though T is given as 333.15 K (recipes §7). Raises ValueError if i0 is not
    positive.
    """
    if exchange_A <= 0.0:
        raise ValueError(f"an exchange current of {exchange_A:g} A has no charge-transfer resistance")
    return GAS_J_PER_MOL_K * temperature_K / (FARADAY_C_PER_MOL * exchange_A)


def allen_hickling(
    voltage_V: Floats, current_A: Floats, *, r_hf_ohm: float, temperature_K: float, open_V: float = 0.0
) -> ChargeTransfer:
    """Return i0, α and R_ct of a sweep around open circuit; E and I of shape (n,), signed.

    ``open_V``: E at open circuit, deducted first. ``r_hf_ohm``: resistance at high frequency of the whole
    cell.
    """
    per_volt = FARADAY_C_PER_MOL / (GAS_J_PER_MOL_K * temperature_K)
    eta = (voltage_V - open_V - current_A * r_hf_ohm) / 2.0
    used = (np.abs(eta) >= LEAST_V) & (eta * current_A > 0.0)
    if int(used.sum()) < FEWEST:
        return _unresolved(
            f"E − I R_hf hardly differs from zero: R_hf ({r_hf_ohm:.4g} Ω) is nearly all of E/I"
        )
    eta, amps = eta[used], current_A[used]
    line = fit_line(eta, np.log(amps / np.expm1(per_volt * eta)))
    exchange_A = float(np.exp(line.intercept))
    r_ct = charge_transfer_resistance(exchange_A, temperature_K)
    if r_ct < RESOLVABLE * r_hf_ohm:
        return _unresolved(f"R_ct ({r_ct:.3g} Ω) is far below R_hf ({r_hf_ohm:.4g} Ω)")
    bends = float(np.abs(eta).max()) * per_volt >= 1.0
    return ChargeTransfer(
        exchange_A=exchange_A,
        r_ct_ohm=r_ct,
        alpha=-line.slope / per_volt if bends else None,
        alpha_std=line.slope_std / per_volt if bends and line.slope_std is not None else None,
    )


def _unresolved(why: str) -> ChargeTransfer:
    return ChargeTransfer(None, None, None, None, f"charge transfer is not resolvable: {why}")
