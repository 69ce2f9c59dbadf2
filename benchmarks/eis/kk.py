"""How often Kramers–Kronig tests are right: false alarms, and what they find of drift and steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.kramers_kronig import kramers_kronig
from benchmarks.eis.disturbed import KINDS, NOISY, Kind, Spectrum
from benchmarks.eis.elements import Floats
from benchmarks.eis.peers import Peer, Question, ask

HEADINGS = ("spectra", "test", "rejected", "of", "CPU")
SPECTRA = 1000
OF_PEERS = 50


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One test on spectra of one kind."""

    kind: Kind
    test: str
    rejected: int
    count: int
    cpu_ms: float
    """Median CPU time of one spectrum."""

    @property
    def share(self) -> float:
        """Share of the spectra that were rejected."""
        return self.rejected / self.count

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        share = f"{100.0 * self.share:.1f} %"
        return self.kind.name, self.test, share, str(self.count), f"{self.cpu_ms:.3g} ms"


def ours(count: int = SPECTRA) -> list[Verdicts]:
    """Judge ``count`` spectra of each kind with our test."""
    return [_verdicts(kind, "our test", _judged, kind.spectra(count)) for kind in KINDS]


def of_peer(peer: Peer, count: int = OF_PEERS) -> list[Verdicts]:
    """Judge fewer spectra with a peer's test; raises :class:`PeerError`."""
    return [_verdicts(kind, peer.title, lambda s: _asked(peer, s), kind.spectra(count)) for kind in KINDS]


def noise_deviation(count: int = SPECTRA) -> float:
    """Return by how much our estimate of the noise is off, median over noisy spectra, relative."""
    spectra = NOISY.spectra(count)
    estimates = [kramers_kronig(s.frequency_Hz, s.impedance_ohm).noise / s.noise for s in spectra]
    return float(np.median(np.abs(np.array(estimates) - 1.0)))


def _verdicts(
    kind: Kind,
    test: str,
    judge: Callable[[Sequence[Spectrum]], tuple[Sequence[bool], Floats]],
    spectra: Sequence[Spectrum],
) -> Verdicts:
    passed, spent_s = judge(spectra)
    return Verdicts(kind, test, len(passed) - sum(passed), len(passed), 1e3 * float(np.median(spent_s)))


def _judged(spectra: Sequence[Spectrum]) -> tuple[list[bool], Floats]:
    passed, spent_s = [], []
    for spectrum in spectra:
        began_s = time.process_time()
        passed.append(kramers_kronig(spectrum.frequency_Hz, spectrum.impedance_ohm).passed)
        spent_s.append(time.process_time() - began_s)
    return passed, np.array(spent_s)


def _asked(peer: Peer, spectra: Sequence[Spectrum]) -> tuple[list[bool], Floats]:
    nothing = np.empty(0)
    questions = [Question(s.frequency_Hz, s.impedance_ohm[None, :], nothing) for s in spectra]
    found = ask(peer, questions)
    passed = [bool(one["passed"][0]) for one in found]
    return passed, np.concatenate([one["cpu"] for one in found])
