"""A look at a cell after the circuit was opened: false alarm or not, and what ran away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guards.look import Seen, judge_look, reverse_pulse_kind
from protocols.cell import Cell, Electrode
from protocols.verdicts import Verdict, VerdictKind

R_HF, R = 40.0, 100.0
resistances = st.floats(0.01, 1e5)


def trip(healthy_r_hf: float = R_HF, healthy: float = R) -> Verdict:
    evidence: dict[str, float | str] = {"healthy_ohm": healthy, "healthy_r_hf_ohm": healthy_r_hf}
    return Verdict(
        kind="short_circuit", tier=1, time_s=10.0, event_s=5.0, message="Short circuit", evidence=evidence
    )


def seen(r_hf: float | None, r: float | None, current_A: float = 1e-5) -> Seen:
    return Seen(t_s=20.0, open_V=1e-4, r_hf_ohm=r_hf, r_ohm=r, current_A=current_A)


@pytest.mark.parametrize(
    ("r_hf", "r", "cleared"),
    [
        (R_HF, R, True),
        (0.92 * R_HF, 0.92 * R, True),
        (0.85 * R_HF, R, False),
        (1.15 * R_HF, R, False),
        (R_HF, 0.85 * R, False),
        # A small current meets a larger R than the test current did, but not any.
        (R_HF, 1.6 * R, True),
        (R_HF, 2.5 * R, False),
        (None, R, True),
        (R_HF, None, True),
        (None, 0.03 * R, False),
        (None, None, False),
    ],
)
def test_a_false_alarm_is_what_looks_as_before(r_hf: float | None, r: float | None, cleared: bool) -> None:
    judged = judge_look(trip(), seen(r_hf, r))
    assert judged.false_alarm is cleared
    assert judged.tier == (3 if cleared else 1)
    assert judged.look["r_hf_ohm"] == ("unknown" if r_hf is None else r_hf)
    assert judged.look["t_s"] == 20.0
    assert (judged.kind, judged.evidence, judged.time_s) == ("short_circuit", trip().evidence, 10.0)


@given(r_hf=resistances, r=resistances)
def test_nothing_known_of_the_healthy_cell_is_no_false_alarm(r_hf: float, r: float) -> None:
    assert not judge_look(trip(0.0, 0.0), seen(r_hf, r)).false_alarm
    bare = trip().model_copy(update={"evidence": {}})
    assert not judge_look(bare, seen(r_hf, r)).false_alarm


@given(r_hf=resistances, r=st.floats(0.01, 0.89 * R))
def test_a_cell_that_conducts_better_than_before_is_never_cleared(r_hf: float, r: float) -> None:
    assert not judge_look(trip(), seen(r_hf, r)).false_alarm


def test_what_is_unknown_is_not_asked_for() -> None:
    assert judge_look(trip(healthy_r_hf=0.0), seen(3.0, R)).false_alarm
    assert judge_look(trip(healthy=0.0), seen(R_HF, 3.0)).false_alarm


def test_the_tolerance_is_the_callers() -> None:
    assert not judge_look(trip(), seen(0.92 * R_HF, R), tolerance=0.05).false_alarm


# After a run-away


def cell(working: float | None, counter: float | None) -> Cell:
    return Cell(
        name="cell",
        geometry="asymmetric",
        area_m2=1.0,
        working=Electrode(inventory_C_per_m2=working),
        counter=Electrode(inventory_C_per_m2=counter),
    )


def runaway(kind: VerdictKind = "contact_loss", gross_C: float = 9.0, side: str = "working") -> Verdict:
    evidence: dict[str, float | str] = {
        "baseline": R,
        "stripping_side": side,
        "net_stripped_C": 1.0,
        "gross_stripped_C": gross_C,
    }
    return Verdict(kind=kind, tier=1, time_s=10.0, event_s=5.0, message="E ran away", evidence=evidence)


THIN = cell(10.0, 50.0)


@pytest.mark.parametrize(
    ("verdict", "of", "r", "kind", "side"),
    [
        (runaway(), THIN, 1.2 * R, "li_depletion", "working"),
        (runaway("li_depletion"), THIN, 1.2 * R, "li_depletion", "working"),
        (runaway("li_depletion"), THIN, 5.0 * R, "contact_loss", None),
        (runaway("polarization"), cell(10.0, 10.0), 5.0 * R, "contact_loss", None),
        (runaway(), THIN, None, "open_circuit", None),
        # So little was stripped that the side can't be empty, whatever the pulse says.
        (runaway(gross_C=2.0), THIN, R, "contact_loss", None),
        (runaway(side="counter"), THIN, R, "contact_loss", None),
        (runaway("polarization"), cell(10.0, 10.0), R, "polarization", None),
        (runaway("polarization"), cell(None, None), R, "polarization", None),
        (runaway(), cell(10.0, None), R, "contact_loss", None),
        (runaway(), cell(None, 10.0), R, "contact_loss", None),
    ],
)
def test_a_reverse_pulse_refines_the_kind(
    verdict: Verdict, of: Cell, r: float | None, kind: VerdictKind, side: str | None
) -> None:
    refined = reverse_pulse_kind(verdict, seen(None, r), of)
    assert (refined.kind, refined.side, refined.tier) == (kind, side, 1)
    assert refined.look["kind_before"] == verdict.kind
    assert not refined.false_alarm


@given(
    r=st.one_of(st.none(), resistances),
    gross_C=st.floats(0.0, 1e4),
    working=st.one_of(st.none(), st.floats(0.1, 1e3)),
)
def test_equal_or_unknown_inventories_never_become_a_depletion(
    r: float | None, gross_C: float, working: float | None
) -> None:
    refined = reverse_pulse_kind(runaway("polarization", gross_C), seen(None, r), cell(working, working))
    assert refined.kind != "li_depletion"


def test_without_a_level_before_nothing_is_refined() -> None:
    verdict = runaway("li_depletion").model_copy(update={"side": "working"})
    bare = verdict.model_copy(update={"evidence": {**verdict.evidence, "baseline": 0.0}})
    refined = reverse_pulse_kind(bare, seen(None, R), THIN)
    assert (refined.kind, refined.side) == ("li_depletion", "working")
