"""Least squares with unknowns that are not negative, from the normal equations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.drt.distribution import Floats

Flags = NDArray[np.bool_]

MOST_EXCHANGES = 100
"""An exchange of one unknown at a time ends by itself; this many have never been needed."""
PATIENCE = 3
"""Exchanges of whole blocks that may fail to make the set smaller before single ones begin."""


def non_negative(hessian: Floats, gradient: Floats, free: Flags) -> Floats:
    """Return the x ≥ 0, shape (m,), that makes ½ xᵀHx − gᵀx smallest; H positive definite, shape (m, m).

    ``free``: which are taken for positive at first, shape (m,); the nearer the faster.

    Block principal pivoting: all unknowns that are negative, and all whose pull is positive, change sides
    together, and one at a time where that goes in circles (Portugal, Júdice and Vicente, Math. Comput. 63
    (1994) 625). The result is exact but for rounding.
    """
    from scipy.linalg.lapack import dposv

    x = np.zeros_like(gradient)
    fewest, patience = len(gradient) + 1, PATIENCE
    tolerance = 1e-10 * float(np.abs(gradient).max(initial=1e-300))
    for _ in range(MOST_EXCHANGES):
        x[:] = 0.0
        places = np.flatnonzero(free)
        if len(places):
            x[places] = dposv(hessian[places[:, None], places], gradient[places])[1]
        pull = gradient - hessian @ x
        wrong = np.where(free, x < 0.0, pull > tolerance)
        count = int(np.count_nonzero(wrong))
        if not count:
            break
        if count < fewest:
            fewest, patience = count, PATIENCE
        elif patience:
            patience -= 1
        else:
            wrong[: int(np.flatnonzero(wrong)[-1])] = False
        free = free ^ wrong
    return np.asarray(np.maximum(x, 0.0))
