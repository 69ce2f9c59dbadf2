"""The check of a cell and its contacts before a test starts: what it found, and what became of it.

Its steps are no part of a program: they are numbered from :data:`CHECK_STEP` on, so that whoever reads
samples or spectra tells them from those of the test.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from protocols.cell import Cell
from protocols.frozen import Frozen

CHECK_STEP = 1_000_000
"""Number of the first step of a check. No program has so many."""

FindingResult = Literal["fine", "noted", "unknown", "asks", "refused"]
"""``noted``: unusual, but no reason not to start. ``unknown``: nothing could be compared. ``asks``: a person
has to say whether it may start. ``refused``: it may not, unless a person overrides that."""

CheckResult = Literal["passed", "asks", "refused", "overridden", "skipped"]


class CheckFinding(Frozen):
    """One thing that was looked at, in SI."""

    name: str
    """``calibration``, ``chamber``, ``disk``, ``voltage``, ``noise``, ``polarity``, ``contact``,
    ``resistance``, ``short``, ``same_cell``."""
    result: FindingResult
    text: str
    """What was found and what was expected, with the numbers."""
    advice: str = ""
    """What it probably means, and what to do; empty if nothing."""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: Literal["", "V", "ohm", "K"] = ""
    """Of ``value`` and its bounds ``low`` and ``high``."""


class CheckOutcome(Frozen):
    """What an event of the kind ``check`` holds."""

    outcome: CheckResult
    findings: tuple[CheckFinding, ...] = ()
    reason: str = ""
    """Of ``skipped`` and ``overridden``: what the person said; else what decided."""
    who: str = ""
    """Who overrode it."""
    seconds: float = 0.0
    """How long it took, by the instrument's clock."""
    charge_C: float = 0.0
    """What it passed."""

    @property
    def may_start(self) -> bool:
        """Whether the test may start."""
        return self.outcome not in ("asks", "refused")


class SeenCell(Frozen):
    """A cell as it was when a run saw it last: what it is recognised by when it comes back."""

    unix_s: float
    open_V: float | None = None
    """E after at least a minute at open circuit; None: it was not seen so."""
    r_hf_ohm: float | None = None
    """Of the last spectrum; None: there was none."""
    from_Hz: float | None = None
    """Highest frequency of that spectrum: R_hf of another channel may hold more."""
    temperature_K: float | None = None
    """Around the cell; None: not known."""


class LeftCell(Frozen):
    """A cell as an earlier run left it."""

    run: int
    station: str
    seen: SeenCell


def is_check(step: int) -> bool:
    """Whether samples or a spectrum of this step belong to the check before the start."""
    return step >= CHECK_STEP


def cell_digest(cell: Cell) -> str:
    """Return what two runs of the same cell file have in common, whatever its remarks and its layout."""
    text = cell.model_dump_json(exclude_defaults=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def outcome_of(findings: tuple[CheckFinding, ...]) -> CheckResult:
    """Return what findings come to: the worst of them decides."""
    results = {finding.result for finding in findings}
    return "refused" if "refused" in results else "asks" if "asks" in results else "passed"
