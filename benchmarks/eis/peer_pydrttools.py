"""pyDRTtools in its own process, without its window.

Its package imports a Qt program that needs a screen; only its numerical modules are loaded here, from under a
package of the same name that is empty.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from typing import Any

import matplotlib as mpl
import numpy as np

from benchmarks.eis import peer_child
from benchmarks.eis.peer_child import Complexes, Floats, Resolved

PACKAGE = "pyDRTtools"
TIGHT = {"abstol": 1e-13, "reltol": 1e-12, "feastol": 1e-12, "maxiters": 300}


def _runs() -> types.ModuleType:
    """Return its module of methods."""
    mpl.use("Agg")
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{PACKAGE} is not installed here")
    empty = types.ModuleType(PACKAGE)
    empty.__path__ = list(spec.submodule_search_locations)
    sys.modules[PACKAGE] = empty
    return importlib.import_module(f"{PACKAGE}.runs")


def _run(f: Floats, z: Complexes, choice: str, inductance: bool) -> Any:
    # Its grid starts at 1/f of the first frequency, which has to be the highest.
    order = np.argsort(-f)
    entry = RUNS.EIS_object(f[order], z.real[order], z.imag[order])
    return RUNS.simple_run(
        entry, cv_type=choice, reg_param=1e-3, induct_used=int(inductance), der_used="1st order"
    )


def _resolved(entry: Any, tau_s: Floats) -> Resolved:
    gamma = np.interp(np.log(tau_s), np.log(entry.out_tau_vec), entry.gamma)
    return Resolved(gamma, float(entry.R))


def ridge(frequency_Hz: Floats, impedance_ohm: Complexes, tau_s: Floats, blocks: bool) -> Resolved:
    """Resolve with λ = 1e-3 and an inductance, as most published distributions were."""
    return _resolved(_run(frequency_Hz, impedance_ohm, "custom", True), tau_s)


def ridge_without_inductance(
    frequency_Hz: Floats, impedance_ohm: Complexes, tau_s: Floats, blocks: bool
) -> Resolved:
    """Resolve with λ = 1e-3 and no inductance."""
    return _resolved(_run(frequency_Hz, impedance_ohm, "custom", False), tau_s)


def converged(frequency_Hz: Floats, impedance_ohm: Complexes, tau_s: Floats, blocks: bool) -> Resolved:
    """Resolve as :func:`ridge`, and let its solver reach the minimum."""
    RUNS.solvers.options.update(TIGHT)
    return ridge(frequency_Hz, impedance_ohm, tau_s, blocks)


def converged_without_inductance(
    frequency_Hz: Floats, impedance_ohm: Complexes, tau_s: Floats, blocks: bool
) -> Resolved:
    """Resolve as :func:`ridge_without_inductance`, and let its solver reach the minimum."""
    RUNS.solvers.options.update(TIGHT)
    return ridge_without_inductance(frequency_Hz, impedance_ohm, tau_s, blocks)


def cross_validated(frequency_Hz: Floats, impedance_ohm: Complexes, tau_s: Floats, blocks: bool) -> Resolved:
    """Resolve with λ by generalised cross-validation."""
    return _resolved(_run(frequency_Hz, impedance_ohm, "GCV", True), tau_s)


RUNS = _runs()

if __name__ == "__main__":
    peer_child.main(
        {
            "ridge": ridge,
            "ridge_without_inductance": ridge_without_inductance,
            "converged": converged,
            "converged_without_inductance": converged_without_inductance,
            "gcv": cross_validated,
        },
        {},
    )
