"""What a look at a cell says, after the circuit was opened because of a verdict. Pure.

The look is small: a spectrum at open circuit, or a pulse of a tenth of the test current. So not all that it
shows can be compared with what the guards knew under the full current:

- R_HF is the same at any current: it has to be back within the tolerance, in both directions.
- R is larger at a small current than under the test current, since an interface follows Butler and Volmer: by
  up to ``BUTLER_VOLMER``. So R may be higher by as much, but not lower than the tolerance allows: no healthy
  cell conducts better at a smaller current.
- What needs minutes to build up, as an interface after a rest does, is not yet in an R that was seen after
  seconds. Such a cell seems lower than it is and is not cleared: a look errs on the side of the open circuit.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.cell import Cell
from protocols.verdicts import Side, Verdict, VerdictKind

BUTLER_VOLMER = 1.0 / 0.6
"""R at a small current is at most this × R under the test current (survey of short detection, section 5: R
falls by up to 40 % at a higher current density)."""
HIGH_RATIO = 3.0
"""R above this × the level before the run-away is still high: the ratio at which a run-away is told of
(guards.depletion), well beyond what Butler and Volmer allow."""

Answers = dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look has shown."""

    t_s: float
    """Run time at its end."""
    open_V: float
    """E at open circuit."""
    r_hf_ohm: float | None
    """Of a spectrum; None: there was none."""
    r_ohm: float | None
    """|Z| towards zero frequency or, of a pulse, the change of E over I; None: not known, or no current could
    be driven."""
    current_A: float
    """Signed DC current of the pulse as measured; peak of the excitation for a spectrum."""


def judge_look(trip: Verdict, seen: Seen, tolerance: float = 0.1) -> Verdict:
    """Return the trip with ``look`` filled in: as it was, or tier 3 and a false alarm if the cell is healthy.

    Healthy is what has R_HF and R back within ``tolerance`` of ``healthy_r_hf_ohm`` and ``healthy_ohm`` of
    the evidence, as the module's text says. What is not known on both sides is not asked for; if that is all,
    the alarm stays.
    """
    healthy_r_hf, healthy_r = _known(trip, "healthy_r_hf_ohm"), _known(trip, "healthy_ohm")
    answers: list[bool] = []
    if healthy_r_hf is not None and seen.r_hf_ohm is not None:
        answers.append(abs(seen.r_hf_ohm - healthy_r_hf) <= tolerance * healthy_r_hf)
    if healthy_r is not None and seen.r_ohm is not None:
        least, most = (1.0 - tolerance) * healthy_r, (1.0 + tolerance) * BUTLER_VOLMER * healthy_r
        answers.append(least <= seen.r_ohm <= most)
    look = _told(seen) | {"tolerance": tolerance}
    if not answers:
        return _with(trip, look | {"found": "nothing that could be compared: not called a false alarm"})
    if not all(answers):
        return _with(trip, look | {"found": "the cell is not as it was before"})
    look["found"] = "the cell is as healthy as before: a false alarm"
    return _with(trip, look).model_copy(update={"tier": 3, "false_alarm": True})


def reverse_pulse_kind(verdict: Verdict, seen: Seen, cell: Cell) -> Verdict:
    """Return a run-away's verdict with ``look`` filled in and its kind refined by a small reverse pulse.

    The side that gave no more lithium is plated now. If that needs a high R still, contact is lost; if no
    current flows at all, the circuit is open somewhere. If it goes at once, the side was empty, provided that
    the inventories are known and differ, and that so much was stripped there that it can be empty. Otherwise
    the kind stays as it was: it is for the books to say (guards.lithium), and equal electrodes can't show
    which one is empty.
    """
    kind, side = verdict.kind, verdict.side
    level = _known(verdict, "baseline")
    if seen.r_ohm is None:
        kind, side, found = "open_circuit", None, "no current flows in the reverse direction either"
    elif level is None:
        found = "R before the run-away is not known: nothing to compare with"
    elif seen.r_ohm > HIGH_RATIO * level:
        kind, side, found = "contact_loss", None, "R is still high in the reverse direction"
    else:
        found = "the side plates at once in the reverse direction"
        kind, side = _emptied(verdict, cell) or (kind, side)
    look = _told(seen) | {"found": found, "kind_before": verdict.kind}
    return _with(verdict, look).model_copy(update={"kind": kind, "side": side})


def _emptied(verdict: Verdict, cell: Cell) -> tuple[VerdictKind, Side] | None:
    """Return the depletion of the side that was stripped, if it may be called so.

    The most that can be gone is what was stripped net, and besides all that was ever stripped once over.
    """
    stripping = verdict.evidence.get("stripping_side")
    working, counter = cell.inventory_C("working"), cell.inventory_C("counter")
    if working is None or counter is None or abs(working - counter) <= 1e-3 * max(working, counter):
        return None
    side: Side = "working" if stripping == "working" else "counter"
    inventory, electrode = (working, cell.working) if side == "working" else (counter, cell.counter)
    gone = _number(verdict, "net_stripped_C") + _number(verdict, "gross_stripped_C")
    if stripping != side or gone < inventory * (1.0 - electrode.uncertainty):
        return None
    return "li_depletion", side


def _told(seen: Seen) -> Answers:
    """Return what was seen as it stands in a verdict."""
    return {
        "t_s": seen.t_s,
        "open_V": seen.open_V,
        "r_hf_ohm": "unknown" if seen.r_hf_ohm is None else seen.r_hf_ohm,
        "r_ohm": "unknown" if seen.r_ohm is None else seen.r_ohm,
        "current_A": seen.current_A,
    }


def _with(verdict: Verdict, look: Answers) -> Verdict:
    return verdict.model_copy(update={"look": look})


def _known(verdict: Verdict, name: str) -> float | None:
    """Return a resistance of the evidence; None if it is not known."""
    value = _number(verdict, name)
    return value if value > 0.0 else None


def _number(verdict: Verdict, name: str) -> float:
    value = verdict.evidence.get(name, 0.0)
    return value if isinstance(value, float) else 0.0
