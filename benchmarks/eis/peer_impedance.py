"""impedance.py in its own process: its linear Kramers–Kronig test. It has no distribution."""

from __future__ import annotations

import numpy as np
from impedance.validation import linKK

from benchmarks.eis import peer_child
from benchmarks.eis.peer_child import Complexes, Floats

CUSTOMARY = 0.01
"""It gives residuals and no verdict; that they stay within 1 % is the rule of thumb of its users."""


def within_one_percent(frequency_Hz: Floats, impedance_ohm: Complexes) -> bool:
    """Pass a spectrum whose residuals are small."""
    *_, real, imaginary = linKK(
        frequency_Hz, impedance_ohm, c=0.85, max_M=100, fit_type="complex", add_cap=True
    )
    return bool(max(np.abs(real).max(), np.abs(imaginary).max()) <= CUSTOMARY)


if __name__ == "__main__":
    # It evaluates a text of numbers, which with the style of NumPy 2 would name a module unknown there.
    np.set_printoptions(legacy="1.25")
    peer_child.main({}, {"within_one_percent": within_one_percent})
