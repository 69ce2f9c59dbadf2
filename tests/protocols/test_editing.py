"""Edits of a program: what a person may change, and that nothing passes twice or is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.editing import changes, edited, edited_late, loops_of_program, passes_begun
from protocols.edits import End, Limit, Passes, ProgramEdit
from protocols.errors import InvalidFileError
from protocols.nodes import ConstantCurrent, ConstantVoltage, Node, Repeat, Step
from protocols.position import Position
from protocols.program import Program
from protocols.protocol import parse_protocol
from protocols.tree import walk

ABLE = Capabilities(
    model="any",
    current_max_A=0.5,
    voltage_min_V=-10,
    voltage_max_V=10,
    current_ranges_A=(1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0),
    step_kinds=("rest", "constant_current", "constant_voltage", "voltage_sweep", "geis", "peis"),
    frequency_min_Hz=1e-2,
    frequency_max_Hz=1e6,
    sample_interval_min_s=0.001,
)
SYMMETRIC = parse_cell(
    "sandtime: 1\nname: any\ngeometry: symmetric\narea: 1 cm²\nworking: {lithium: 100 µm}\n"
    "counter: {lithium: 100 µm}\nelectrolyte: {class: garnet}\n",
    "cell.yaml",
)
FULL = parse_cell(
    "sandtime: 1\nname: any\ngeometry: full\narea: 1 cm²\narea_of: working\ncapacity: 2 mAh\n"
    "voltage_window: {from: 2.5 V, to: 4.3 V}\n",
    "cell.yaml",
)
CYCLING = """\
sandtime: 1
name: any
steps:
  - rest: {for: 1 min}
  - repeat:
      times: 10
      counts: cycles
      steps:
        - constant_current: {current: 0.5 mA/cm², until: {time: 1 h}}
        - rest: {for: 5 min}
        - constant_current: {current: -0.5 mA/cm², until: {time: 1 h}}
  - rest: {for: 10 min}
"""
NESTED = """\
sandtime: 1
name: any
steps:
  - repeat:
      times: 3
      steps:
        - repeat:
            times: 5
            counts: cycles
            steps:
              - constant_current: {current: 0.5 mA/cm², until: {time: 1 h}}
              - constant_current: {current: -0.5 mA/cm², until: {time: 1 h}}
        - rest: {for: 5 min}
"""
CHARGING = """\
sandtime: 1
name: any
steps:
  - repeat:
      times: 4
      steps:
        - cc_cv: {current: 0.2 C, voltage: 4.2 V, until: {current: 0.05 C}}
        - constant_current: {current: -0.2 C, until: {voltage: 3.0 V}}
"""
PIECES = """\
sandtime: 1
name: any
steps:
  - repeat:
      times: 4
      steps:
        - constant_current:
            current: 0.5 mA/cm²
            until: {time: 1 h}
            spectra:
              every: 25 min
              steps: [geis: {amplitude: 10 µA, frequency: {from: 1 kHz, to: 1 Hz}}]
        - constant_current: {current: -0.5 mA/cm², until: {time: 1 h}}
"""
LOOP = "steps 2 › repeat"


def compiled(text: str = CYCLING, cell: Cell = SYMMETRIC, able: Capabilities = ABLE) -> Program:
    return compile_program(parse_protocol(text, "protocol.yaml"), cell, able)


def at(program: Program, step: int, *loops: int, **more: float | bool) -> Position:
    return Position.model_validate({"step": step, "loops": loops, **more})


START = Position(step=0)


def wrong(program: Program, place: Position, *edits: ProgramEdit, able: Capabilities = ABLE) -> str:
    with pytest.raises(InvalidFileError) as refused:
        edited(program, place, edits, able)
    return str(refused.value)


# Loops


def test_the_loops_that_people_wrote_are_named_as_in_the_file() -> None:
    assert [loop.label for loop in loops_of_program(compiled())] == [LOOP]
    nested = loops_of_program(compiled(NESTED))
    assert [loop.label for loop in nested] == ["steps 1 › repeat", "steps 1 › repeat › repeat 1"]
    assert [loop.nested for loop in nested] == [False, True]
    # The loop over the pieces of a step is the compiler's own.
    assert [loop.label for loop in loops_of_program(compiled(PIECES))] == ["steps 1 › repeat"]


def test_more_passes_leave_steps_and_past_visits_as_they_were() -> None:
    program = compiled()
    place = at(program, 2, 7)
    after = edited(program, place, [Passes(loop=LOOP, count=20)], ABLE)
    assert changes(program, after) == [f"{LOOP}: 20 passes, not 10"]
    assert [leaf for leaf, _ in after.walk()] == [leaf for leaf, _ in program.walk()]
    assert after.visit(place) == program.visit(place)
    assert after.cycle(2, 7) == program.cycle(2, 7) == 8
    left = after.remainder(place).duration_s() - program.remainder(place).duration_s()
    assert left == pytest.approx(10 * (2 * 3600 + 300))


def test_passes_that_have_begun_are_not_taken_back() -> None:
    program = compiled()
    place = at(program, 2, 7)
    assert edited(program, place, [Passes(loop=LOOP, count=8)], ABLE).remainder(place).steps
    assert "8 passes of 'steps 2 › repeat' have begun" in wrong(program, place, Passes(loop=LOOP, count=7))
    assert "is over" in wrong(program, at(program, 4), Passes(loop=LOOP, count=20))
    assert "Loops of this run: 'steps 2 › repeat'" in wrong(program, place, Passes(loop="x", count=20))


def test_a_loop_that_ended_just_now_may_go_on() -> None:
    program = compiled()
    place = at(program, 3, 9, over=True)
    (loop,) = loops_of_program(program)
    assert passes_begun(loop, place) == 10
    after = edited(program, place, [Passes(loop=LOOP, count=11)], ABLE)
    first, *_ = after.remainder(place).steps
    assert isinstance(first, Repeat)
    assert (first.start, first.stop) == (10, 11)


def test_a_loop_in_a_loop_keeps_its_passes() -> None:
    assert "stands in another loop" in wrong(
        compiled(NESTED), START, Passes(loop="steps 1 › repeat › repeat 1", count=20)
    )


def test_an_edit_that_comes_late_takes_back_nothing_that_has_begun() -> None:
    program = compiled()
    edit = Passes(loop=LOOP, count=4)
    edited(program, at(program, 1, 3), [edit], ABLE)
    place = at(program, 1, 4, time_s=2.0)
    after = edited_late(program, place, [edit], ABLE)
    assert loops_of_program(after)[0].passes == 5
    assert edited_late(program, at(program, 4), [edit], ABLE) == program


# Ends


def step_of(program: Program, index: int) -> Step:
    return program.step(index)


def test_a_charge_is_exact_where_no_counter_ends_the_step() -> None:
    program = compiled()
    step = edited(program, START, [End(step=1, which="charge", value=0.9)], ABLE).step(1)
    assert isinstance(step, ConstantCurrent)
    assert step.duration_s == pytest.approx(1800.0)
    assert (step.charge_C, step.ends_by) == (0.9, "time")


def test_a_counter_ends_a_step_and_a_longer_time_stands_behind_it() -> None:
    able = ABLE.model_copy(update={"charge_counter": True})
    step = edited(compiled(able=able), START, [End(step=1, which="charge", value=0.9)], able).step(1)
    assert isinstance(step, ConstantCurrent)
    assert step.duration_s == pytest.approx(1.05 * 1800.0)
    assert step.ends_by == "charge"


@pytest.mark.parametrize(
    "text", ["{time: 30 min}", "{areal_capacity: 0.25 mAh/cm²}", "{time: 30 min, voltage: 1 V}"]
)
def test_an_edited_end_is_what_the_compiler_would_have_made(text: str) -> None:
    wanted = compiled(CYCLING.replace("{time: 1 h}", text, 1))
    target = wanted.step(1)
    assert isinstance(target, ConstantCurrent)
    edits: list[ProgramEdit] = [End(step=1, which="time", value=1800.0)]
    if target.until_voltage_V is not None:
        edits = [End(step=1, which="voltage", value=target.until_voltage_V), *edits]
    found = edited(compiled(), START, edits, ABLE).step(1)
    assert found.model_dump() == pytest.approx(target.model_dump())


def test_the_hold_of_cc_cv_moves_with_its_voltage() -> None:
    program = compiled(CHARGING, FULL)
    after = edited(program, START, [End(step=0, which="voltage", value=4.1)], ABLE)
    first, hold = after.step(0), after.step(1)
    assert isinstance(first, ConstantCurrent)
    assert isinstance(hold, ConstantVoltage)
    assert first.until_voltage_V == hold.voltage_V == 4.1
    assert changes(program, after) == [
        "steps 1 › repeat › cc_cv 1: voltage 4.1 V, not 4.2 V",
        "steps 1 › repeat › cc_cv 1: hold: voltage 4.1 V, not 4.2 V",
    ]


def test_ends_that_a_step_can_not_have_are_refused() -> None:
    assert "Ends that it may have: time" in wrong(compiled(), START, End(step=0, which="voltage", value=1.0))
    assert "There is no step 77" in wrong(compiled(), START, End(step=77, which="time", value=1.0))
    assert "above zero" in wrong(compiled(), START, End(step=1, which="time", value=0.0))
    assert "cut in pieces" in wrong(compiled(PIECES), START, End(step=0, which="time", value=1e4))
    assert "inside the safety limits" in wrong(compiled(), START, End(step=1, which="voltage", value=2.5))


# Limits


def test_limits_stay_inside_the_channel_and_outside_of_the_steps() -> None:
    program = compiled()
    assert edited(program, START, [Limit(which="voltage_max", value=3.0)], ABLE).limits.voltage_max_V == 3.0
    assert "range of the channel" in wrong(program, START, Limit(which="voltage_max", value=10.0))
    assert "both sides of 0 V" in wrong(program, START, Limit(which="voltage_min", value=0.5))
    assert "below the largest current" in wrong(program, START, Limit(which="current_max", value=1e-4))
    assert "above what the channel" in wrong(program, START, Limit(which="current_max", value=1.0))


def test_a_window_of_the_cell_is_not_left() -> None:
    program = compiled(CHARGING, FULL)
    assert "what the cell may see" in wrong(program, START, Limit(which="voltage_max", value=4.5))
    assert "4.2 V is not inside" in wrong(program, START, Limit(which="voltage_max", value=4.2))


def test_all_that_is_wrong_is_said_at_once() -> None:
    said = wrong(compiled(), START, Passes(loop="x", count=2), End(step=77, which="time", value=1.0))
    assert "There is no loop 'x'" in said
    assert "There is no step 77" in said


# Nothing twice, nothing lost


@st.composite
def places(draw: st.DrawFn, program: Program) -> Position:
    """Draw a place in the loop of the file: over a half-cycle, a rest and another half-cycle."""
    step = draw(st.sampled_from([1, 2, 3]))
    part = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    leaf = program.step(step)
    current_A = leaf.current_A if isinstance(leaf, ConstantCurrent) else 0.0
    time_s = part * leaf.remaining_s
    loops = (draw(st.integers(0, 9)),)
    return Position(step=step, loops=loops, time_s=time_s, charge_C=current_A * time_s)


def passed_C(nodes: tuple[Node, ...]) -> float:
    """Return |charge| that nodes of constant current pass, loops written out."""
    return sum(
        (step.charge_C or 0.0) - abs(step.done_C)
        for step, passes in _visits(nodes, 1)
        for _ in range(passes)
        if isinstance(step, ConstantCurrent)
    )


def _visits(nodes: tuple[Node, ...], passes: int) -> list[tuple[Step, int]]:
    found: list[tuple[Step, int]] = []
    for node in nodes:
        if isinstance(node, Repeat):
            found += _visits(node.body, passes * node.passes)
        elif isinstance(node, Step):
            found.append((node, passes))
    return found


PROGRAM = compiled()


@given(places(PROGRAM), st.integers(1, 40))
def test_what_ran_before_and_what_is_left_after_is_the_edited_whole(place: Position, count: int) -> None:
    after = edited_late(PROGRAM, place, [Passes(loop=LOOP, count=count)], ABLE)
    before_C = passed_C(PROGRAM.steps) - passed_C(PROGRAM.remainder(place).steps)
    assert before_C + passed_C(after.remainder(place).steps) == pytest.approx(passed_C(after.steps))
    assert loops_of_program(after)[0].passes == max(count, place.loops[0] + 1)


@given(places(PROGRAM), st.floats(60.0, 1e5))
def test_another_end_takes_back_no_charge_and_passes_none_twice(place: Position, seconds: float) -> None:
    after = edited_late(PROGRAM, place, [End(step=1, which="time", value=seconds)], ABLE)
    left = after.remainder(place).steps
    here = next((leaf for leaf, _ in walk(left)), None)
    if place.step == 1 and here is not None and here.index == 1:
        assert (here.done_s, here.done_C) in [(place.time_s, place.charge_C), (0.0, 0.0)]
    whole = compiled(CYCLING.replace("{time: 1 h}", f"{{time: {seconds!r} s}}", 1))
    half_cycles = [leaf for leaf, _ in whole.walk() if isinstance(leaf, ConstantCurrent)]
    begun_C = abs(place.charge_C) if place.step == 1 else 0.0
    rest_C = max(0.0, (half_cycles[0].charge_C or 0.0) - begun_C) if place.step == 1 else 0.0
    later = 10 - place.loops[0] - 1
    second_C = half_cycles[1].charge_C or 0.0
    second_left_C = {1: second_C, 2: second_C, 3: second_C - abs(place.charge_C)}[place.step]
    expected = rest_C + max(0.0, second_left_C) + later * ((half_cycles[0].charge_C or 0.0) + second_C)
    assert passed_C(left) == pytest.approx(expected, abs=1e-9)
