"""What guards find."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from protocols.frozen import Frozen

VerdictKind = Literal[
    "short_circuit",
    "soft_short",
    "micro_short",
    "li_depletion",
    "contact_loss",
    "open_circuit",
    "polarization",
    "temperature_drift",
    "over_range",
    "limit",
]

Side = Literal["working", "counter"]


class Verdict(Frozen):
    """What a guard found."""

    kind: VerdictKind
    tier: int = Field(ge=0, le=3)
    """0: a limit on board fired; 1: stop; 2: suspect, look closer; 3: report only."""
    time_s: float
    """Run time (t_s) at which the verdict was reached."""
    event_s: float
    """Run time of the first sample that belongs to the event (≤ ``time_s``)."""
    side: Side | None = None
    """For ``li_depletion``: the electrode whose lithium ran out."""
    message: str
    """One sentence for people, with the numbers that decided."""
    evidence: dict[str, float | str] = Field(default_factory=dict)
    """``criterion``, ``threshold``, ``value``, and whatever else decided, in SI."""
    look: dict[str, float | str] = Field(default_factory=dict)
    """What was found when the cell was looked at after the circuit had been opened; empty: it was not."""
    false_alarm: bool = False
    """The circuit was opened, the look found the cell as healthy as before, and the test went on. Tier 3."""

    @property
    def stops(self) -> bool:
        """Whether the circuit is to be opened."""
        return self.tier <= 1
