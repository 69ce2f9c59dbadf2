"""The other libraries: which there are, and how they are asked, each in its own virtual environment."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.eis.cases import SEEDS, Case
from benchmarks.eis.elements import Complexes, Floats
from benchmarks.eis.results import Row
from benchmarks.eis.scores import Answer, score, together

HOME = Path(__file__).parents[2]
PINS = Path(__file__).with_name("peers.txt")
LONGEST_S = 3600.0


@dataclass(frozen=True, slots=True)
class Peer:
    """One library, in one of its ways."""

    title: str
    folder: str
    """Of its virtual environment, in ``.venv``."""
    module: str
    method: str

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return HOME / ".venv" / f"peers-{self.folder}" / "bin" / "python"


HYBRID = Peer("hybrid-drt", "hybrid-drt", "peer_hybrid_drt", "qphb")
RIDGE = Peer("pyDRTtools λ = 1e-3", "pydrttools", "peer_pydrttools", "ridge")
RESOLVERS = (
    HYBRID,
    RIDGE,
    Peer("pyDRTtools GCV", "pydrttools", "peer_pydrttools", "gcv"),
    Peer("pyimpspec TR-NNLS λ = 1e-3", "pyimpspec", "peer_pyimpspec", "nnls"),
)
JUDGES = (
    Peer("hybrid-drt: no outliers", "hybrid-drt", "peer_hybrid_drt", "outliers"),
    Peer("impedance.py linKK: all within 1 %", "impedance", "peer_impedance", "within_one_percent"),
)


class PeerError(Exception):
    """A peer is not there, or does not do its work; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Spectra of one set of frequencies, shape (k, n), and the τ that γ is wanted at."""

    frequency_Hz: Floats
    spectra: Complexes
    tau_s: Floats
    blocks: bool = False
    """Whether the spectra hold a capacitance in series."""


Columns = dict[str, Floats]


def ask(peer: Peer, questions: Sequence[Question]) -> list[Columns]:
    """Return a peer's answers to each question: arrays by their names, one row a spectrum.

    Raises :class:`PeerError` if it is not installed, or fails.
    """
    if not peer.python.exists():
        raise PeerError("not installed: `make .venv/.peers`")
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "asked.npz"), Path(folder, "answered.npz")
        _write(asked, questions)
        module = f"benchmarks.eis.{peer.module}"
        _run([str(peer.python), "-m", module, peer.method, str(asked), str(answered)])
        with np.load(answered) as found:
            return [_columns(found, number) for number in range(len(questions))]


def rows(peer: Peer, cases: Sequence[Case], seeds: int = SEEDS) -> list[Row]:
    """Return the scores of a peer on each case; raises :class:`PeerError`."""
    questions = [
        Question(c.circuit.frequency_Hz, c.spectra(seeds), c.circuit.tau_s, c.circuit.blocks) for c in cases
    ]
    return [_row(peer, case, found) for case, found in zip(cases, ask(peer, questions), strict=True)]


def _row(peer: Peer, case: Case, found: Columns) -> Row:
    scores = [
        score(
            case.circuit,
            Answer(
                found["gamma"][i],
                float(found["r_inf"][i]),
                *(None if np.isnan(found[edge][i]).any() else found[edge][i] for edge in ("lower", "upper")),
            ),
        )
        for i in range(len(found["gamma"]))
    ]
    return Row(case.name, peer.title, together(scores), 1e3 * float(np.median(found["cpu"])))


def _write(path: Path, questions: Sequence[Question]) -> None:
    arrays: dict[str, Floats | Complexes] = {}
    for i, question in enumerate(questions):
        arrays |= {f"f{i}": question.frequency_Hz, f"z{i}": question.spectra, f"tau{i}": question.tau_s}
        arrays[f"blocks{i}"] = np.array(question.blocks)
    np.savez(path, count=np.array(len(questions)), **arrays)  # type: ignore[arg-type]  # its flag hides keywords


def _run(command: Sequence[str]) -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        command, cwd=HOME, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise PeerError(f"failed: {lines[-1] if lines else f'exit code {done.returncode}'}")


def _columns(found: dict[str, Floats], number: int) -> Columns:
    return {
        key.removesuffix(str(number)): found[key]
        for key in found
        if key.rstrip("0123456789") + str(number) == key
    }
