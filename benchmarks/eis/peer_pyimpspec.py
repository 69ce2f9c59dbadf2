"""pyimpspec in its own process: Tikhonov with non-negative least squares, its fast method."""

from __future__ import annotations

import numpy as np
from pyimpspec import DataSet
from pyimpspec.analysis.drt.tr_nnls import calculate_drt_tr_nnls

from benchmarks.eis import peer_child
from benchmarks.eis.peer_child import NOTHING, Complexes, Floats, Resolved


def nnls(frequency_Hz: Floats, impedance_ohm: Complexes, tau_s: Floats, blocks: bool) -> Resolved:
    """Resolve with λ = 1e-3 from the real part, its own choice. It gives no R_∞."""
    found = calculate_drt_tr_nnls(DataSet(frequency_Hz, impedance_ohm), mode="real", lambda_value=1e-3)
    own_s, gamma = found.get_drt_data()
    order = np.argsort(own_s)
    moved = np.interp(np.log(tau_s), np.log(own_s[order]), gamma[order])
    return Resolved(moved, NOTHING)


if __name__ == "__main__":
    peer_child.main({"nnls": nnls}, {})
