"""How an opened cell is judged: :func:`guards.look.judge_look` as the brief has it, until it is there.

To be replaced by ``from guards.look import Seen, judge_look``.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.verdicts import Verdict

BUTLER_VOLMER = 1.0 / 0.6


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found at the open circuit."""

    t_s: float
    open_V: float
    r_hf_ohm: float | None
    r_ohm: float | None
    current_A: float


def judge_look(trip: Verdict, seen: Seen, tolerance: float = 0.1) -> Verdict:
    """Return the trip: as it was if confirmed, at tier 3 if the cell is as it was before."""
    found = [
        (seen.r_hf_ohm, float(trip.evidence.get("healthy_r_hf_ohm", 0.0)), 1.0),
        (seen.r_ohm, float(trip.evidence.get("healthy_ohm", 0.0)), BUTLER_VOLMER),
    ]
    known = [(now, before, larger) for now, before, larger in found if now is not None and before > 0.0]
    # R is larger at a small current (Butler–Volmer), R_HF is not.
    healthy = bool(known) and all(
        1.0 - tolerance <= now / before <= (1.0 + tolerance) * larger for now, before, larger in known
    )
    look = {"open_V": seen.open_V, "r_hf_ohm": seen.r_hf_ohm or 0.0, "r_ohm": seen.r_ohm or 0.0}
    return trip.model_copy(update={"look": look, "tier": 3 if healthy else trip.tier, "false_alarm": healthy})
