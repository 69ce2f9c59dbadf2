"""What every peer's process does: read spectra, resolve or judge each, write the answers and the CPU times.

It runs in the peer's own virtual environment, where of this project only this folder can be imported, and of
other packages only numpy.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

NOTHING = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """γ on the grid that was asked for, and R_∞; with the edges of a band where the peer gives one."""

    gamma_ohm: Floats
    r_inf_ohm: float
    lower_ohm: Floats | None = None
    upper_ohm: Floats | None = None


Resolve = Callable[[Floats, Complexes, Floats, bool], Resolved]
"""(f in Hz, Z in Ω, τ in s, whether an electrode blocks) → answer."""
Judge = Callable[[Floats, Complexes], bool]
"""(f in Hz, Z in Ω) → whether the spectrum obeys Kramers and Kronig."""


def main(methods: dict[str, Resolve], judges: dict[str, Judge]) -> None:
    """Do what the command line says: ``METHOD QUESTIONS.npz ANSWERS.npz``."""
    name, questions, answers = sys.argv[1:]
    warnings.simplefilter("ignore")  # they are the peer's
    with np.load(questions) as asked:
        count = int(asked["count"])
        jobs = [tuple(asked[f"{key}{i}"] for key in ("f", "z", "tau", "blocks")) for i in range(count)]
    found: dict[str, Any] = {}
    for number, (f, spectra, tau, blocks) in enumerate(jobs):
        if name in methods:
            columns = _resolved(methods[name], f, spectra, tau, bool(blocks))
        else:
            columns = _judged(judges[name], f, spectra)
        found |= {f"{key}{number}": value for key, value in columns.items()}
    np.savez(Path(answers), **found)


def _resolved(resolve: Resolve, f: Floats, spectra: Complexes, tau: Floats, blocks: bool) -> dict[str, Any]:
    resolve(f, spectra[0], tau, blocks)  # what is made once, or imported late, is no part of the time
    answers, spent_s = _timed(lambda z: resolve(f, z, tau, blocks), spectra)
    nothing = np.full(len(tau), NOTHING)
    return {
        "gamma": np.array([one.gamma_ohm for one in answers]),
        "r_inf": np.array([one.r_inf_ohm for one in answers]),
        "lower": np.array([nothing if one.lower_ohm is None else one.lower_ohm for one in answers]),
        "upper": np.array([nothing if one.upper_ohm is None else one.upper_ohm for one in answers]),
        "cpu": spent_s,
    }


def _judged(judge: Judge, f: Floats, spectra: Complexes) -> dict[str, Any]:
    passed, spent_s = _timed(lambda z: judge(f, z), spectra)
    return {"passed": np.array(passed), "cpu": spent_s}


def _timed(work: Callable[[Complexes], Any], spectra: Complexes) -> tuple[list[Any], Floats]:
    answers, spent_s = [], []
    for spectrum in spectra:
        began_s = time.process_time()
        answers.append(work(spectrum))
        spent_s.append(time.process_time() - began_s)
    return answers, np.array(spent_s)
