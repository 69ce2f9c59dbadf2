"""Whether our ridge, on the settings of pyDRTtools, gives its γ: λ = 1e-3, first derivative, τ = 1/f.

Its solver stops early, and leaves γ up to 2 % from the solution of its own equations; so there are two
references, its answer and its answer with the solver's tolerances at 1e-12.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.drt.ridge import ridge
from benchmarks.eis.cases import TUNED_CASES
from benchmarks.eis.elements import Complexes, Floats
from benchmarks.eis.peers import Peer, Question, ask
from benchmarks.figures import Figure

REFERENCES = {
    ("as it is", True): "ridge",
    ("as it is", False): "ridge_without_inductance",
    ("converged", True): "converged",
    ("converged", False): "converged_without_inductance",
}
NUMBER = re.compile(r"[-+]?\d[\d.]*(?:[eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A spectrum with a name."""

    name: str
    frequency_Hz: Floats
    impedance_ohm: Complexes


def figures(recordings: Path | None) -> list[Figure]:
    """Compare on the tuned cases and on recordings. Raises PeerError."""
    spectra = [Named(c.name, c.circuit.frequency_Hz, c.spectra(1)[0]) for c in TUNED_CASES]
    spectra += recorded(recordings) if recordings else []
    return [
        figure
        for (reference, inductance), method in REFERENCES.items()
        for figure in _compare(spectra, reference, inductance, method)
    ]


def recorded(folder: Path) -> list[Named]:
    """Return the spectra in pyDRTtools' text files: f, real and imaginary part are the last of each line."""
    return [_read(path) for path in sorted(folder.glob("pyDRTtools__*")) if path.suffix in (".csv", ".txt")]


def _read(path: Path) -> Named:
    found = [NUMBER.findall(line) for line in path.read_text(encoding="utf-8").splitlines()]
    values = np.array([[float(text) for text in line[-3:]] for line in found if len(line) >= 3])
    falling = values[np.argsort(-values[:, 0])]
    return Named(path.stem, falling[:, 0], falling[:, 1] + 1j * falling[:, 2])


def _compare(spectra: Sequence[Named], reference: str, inductance: bool, method: str) -> list[Figure]:
    ours = [_ours(spectrum, inductance) for spectrum in spectra]
    questions = [
        Question(s.frequency_Hz, s.impedance_ohm[None, :], tau)
        for s, (tau, _) in zip(spectra, ours, strict=True)
    ]
    theirs = [
        found["gamma"][0] for found in ask(Peer("", "pydrttools", "peer_pydrttools", method), questions)
    ]
    off = [
        100.0 * float(np.linalg.norm(gamma - other) / np.linalg.norm(other))
        for (_, gamma), other in zip(ours, theirs, strict=True)
    ]
    worst = int(np.argmax(off))
    what = f"ridge from pyDRTtools {reference}, {'with' if inductance else 'without'} inductance"
    reach = 0.1 if reference == "converged" else None
    return [
        Figure(f"{what}: γ, median of {len(off)}", float(np.median(off)), "%", reach),
        Figure(f"{what}: γ, worst ({spectra[worst].name})", off[worst], "%"),
    ]


def _ours(spectrum: Named, inductance: bool) -> tuple[Floats, Floats]:
    """Return τ and γ, between the largest and the smallest 1/f."""
    f = spectrum.frequency_Hz
    found = ridge(f, spectrum.impedance_ohm, inductance=inductance, tau_s=1.0 / f)
    inside = (found.tau_s >= 1.0 / f[0]) & (found.tau_s <= 1.0 / f[-1])
    return found.tau_s[inside], found.gamma_ohm[inside]
