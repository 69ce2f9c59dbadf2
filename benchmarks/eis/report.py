"""Everything measured in one run, and the page that says so."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.eis import agreement, circuits, kk, ours, peers, reach, speed
from benchmarks.eis.cases import HELD_OUT, HELD_OUT_CASES, SEEDS, TUNED, TUNED_CASES, Case
from benchmarks.eis.results import Row, side_by_side, table
from benchmarks.figures import Figure
from benchmarks.figures import table as figures_table

T = TypeVar("T")

TITLE = "Impedance; beside other libraries: [the comparison](eis_benchmark.md)"
NOTE = """\
`python -m benchmarks.eis --write docs/eis_benchmark.md` writes this page; `make .venv/.peers` installs the
other libraries before. All methods get the same spectra and are judged on the same grid, 20 points a decade
of τ over the window, 1/(2πf). CPU times are those of one core, which other programs may have shared.

A cell of the first table holds, over the seeds, relative L2 error of γ (median) / maxima of γ (mean;
prominence ≥ 2 % of the true maximum) / spectra in % whose peak set is exact / error in % of R_p in the
window (median). Exact means: for each true peak a maximum within 0.15 decade, and no other, except next to
an edge of the window beyond which an arc lies, and where a diffusion element has its further lines. Below
stand medians over the cases; areas and places are those of maxima within 0.5 decade of a true peak. γ of an
RC, a Warburg or a Gerischer element is no function that a grid can hold: there is no L2 error. Where a
capacitance is in series, libraries that can fit one are told.

Methods were tuned on a to d, with other noise. The circuits that follow were looked at while ours was
built, to see whether it breaks; no setting of it was chosen by them (docs/decisions/0012).
"""


@dataclass(frozen=True, slots=True)
class Report:
    """The tables of one run."""

    rows: list[Row]
    verdicts: list[kk.Verdicts]
    figures: list[Figure]
    missing: list[str] = field(default_factory=list)
    """Peers that could not be asked, with the reason."""

    def text(self) -> str:
        """Return the tables, with what they need to be read."""
        circuits = table(("case", "what"), [(c.name, c.text) for c in TUNED + HELD_OUT])
        parts = [
            ("Distributions", side_by_side(self.rows)),
            ("Kramers–Kronig tests", table(kk.HEADINGS, [verdict.cells() for verdict in self.verdicts])),
            ("What is reached", figures_table(self.figures)),
            ("The circuits", circuits),
        ]
        text = "\n".join(f"## {title}\n\n{body}\n" for title, body in parts)
        return text + "".join(f"\nNot in the tables: {reason}\n" for reason in self.missing)


def measure(
    cases: Sequence[Case],
    seeds: int,
    *,
    with_peers: bool,
    spectra: int = kk.SPECTRA,
    recordings: Path | None = None,
) -> Report:
    """Measure our methods, and the other libraries if asked to; compare with pyDRTtools on recordings too."""
    mine = {name: ours.rows(name, cases, seeds) for name in ours.METHODS}
    missing: list[str] = []
    theirs: dict[str, list[Row]] = {}
    verdicts = kk.ours(spectra)
    for peer in peers.RESOLVERS if with_peers else ():
        theirs[peer.title] = _asked(peer, partial(peers.rows, peer, cases, seeds), missing)
    figures = reach.of_distributions(mine["hierarchical"], theirs.get(peers.HYBRID.title, []))
    figures += reach.of_verdicts(verdicts, kk.noise_deviation(spectra)) + speed.figures(spectra)
    figures += circuits.figures(spectra)
    if with_peers:
        figures += _asked(peers.RIDGE, partial(agreement.figures, recordings), missing)
    for peer in peers.JUDGES if with_peers else ():
        verdicts += _asked(peer, partial(kk.of_peer, peer), missing)
    rows = [row for found in [*mine.values(), *theirs.values()] for row in found]
    return Report(rows, verdicts, figures, missing)


def figures() -> list[Figure]:
    """Return the figures of our own methods, for the table of all benchmarks."""
    return measure(TUNED_CASES + HELD_OUT_CASES, SEEDS, with_peers=False).figures


def _asked(peer: peers.Peer, work: Callable[[], list[T]], missing: list[str]) -> list[T]:
    print(f"{peer.title} …", file=sys.stderr, flush=True)
    try:
        return work()
    except peers.PeerError as error:
        missing.append(f"{peer.title}: {error}")
        return []
