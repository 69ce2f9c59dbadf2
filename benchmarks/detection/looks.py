"""How an opened cell is judged: :func:`guards.look.judge_look` as the brief has it, until it is there.

To be replaced by ``from guards.look import Seen, judge_look``.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.verdicts import Verdict


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
        (seen.r_hf_ohm, float(trip.evidence.get("healthy_r_hf_ohm", 0.0))),
        (seen.r_ohm, float(trip.evidence.get("healthy_ohm", 0.0))),
    ]
    known = [(now, healthy) for now, healthy in found if now is not None and healthy > 0.0]
    healthy = bool(known) and all(abs(now / before - 1.0) <= tolerance for now, before in known)
    look = {"open_V": seen.open_V, "r_hf_ohm": seen.r_hf_ohm or 0.0, "r_ohm": seen.r_ohm or 0.0}
    return trip.model_copy(update={"look": look, "tier": 3 if healthy else trip.tier, "false_alarm": healthy})
