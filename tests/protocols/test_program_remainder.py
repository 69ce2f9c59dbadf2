"""What was run before a split and the remainder after it are the whole: nothing twice, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.cell import Cell
from protocols.nodes import ConstantCurrent, Geis, Node, Peis, Repeat, Rest, Step
from protocols.position import Position, loops_of, visit_number
from protocols.program import Limits, Program
from protocols.tree import parts

CELL = Cell(name="any", area_m2=1e-4)
LIMITS = Limits(voltage_min_V=-1.0, voltage_max_V=1.0, current_max_A=1.0)


@dataclass(frozen=True)
class Visit:
    """One pass of one step, as an instrument would run it."""

    step: int
    loops: tuple[int, ...]
    done_s: float
    done_C: float
    until_s: float
    planned_C: float | None


def visits(nodes: tuple[Node, ...], loops: tuple[int, ...] = ()) -> Iterator[Visit]:
    """Run nodes the plain way: every loop written out."""
    for node in parts(nodes):
        if isinstance(node, Repeat):
            for number in range(node.start, node.stop):
                yield from visits(node.body, (*loops, number))
        elif isinstance(node, Geis | Peis):
            yield Visit(node.index, loops, 0.0, 0.0, node.remaining_s, None)
        elif isinstance(node, ConstantCurrent):
            yield Visit(node.index, loops, node.done_s, node.done_C, node.duration_s, node.charge_C)
        else:
            yield Visit(node.index, loops, node.done_s, 0.0, node.duration_s, None)


seconds = st.floats(min_value=1e-3, max_value=1e6)
amperes = st.floats(min_value=1e-6, max_value=1.0).flatmap(lambda size: st.sampled_from([size, -size]))


def constant_current(current_A: float, duration_s: float, ends_by: str) -> ConstantCurrent:
    charge_C = abs(current_A) * duration_s
    return ConstantCurrent.model_validate(
        {
            "index": 0,
            "label": "",
            "current_A": current_A,
            "duration_s": 1.05 * duration_s if ends_by == "charge" else duration_s,
            "charge_C": None if ends_by == "voltage" else charge_C,
            "until_voltage_V": 0.5 if ends_by == "voltage" else None,
            "ends_by": ends_by,
        }
    )


leaves: st.SearchStrategy[Node] = st.one_of(
    st.builds(Rest, index=st.just(0), label=st.just(""), duration_s=seconds),
    st.builds(constant_current, amperes, seconds, st.sampled_from(["time", "charge", "voltage"])),
    st.builds(
        Geis,
        index=st.just(0),
        label=st.just(""),
        current_A=st.just(0.0) | amperes,
        amplitude_A=st.just(1e-6),
        frequency_start_Hz=st.just(1e3),
        frequency_end_Hz=st.just(1.0),
        points_per_decade=st.just(3),
    ),
)


def loop(total: int, body: list[Node]) -> Node:
    return Repeat(total=total, stop=total, body=tuple(body))


nodes: st.SearchStrategy[Node] = st.recursive(
    leaves,
    lambda inner: st.builds(loop, st.integers(1, 3), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=6,
)


def numbered(tree: tuple[Node, ...], numbers: Iterator[int]) -> tuple[Node, ...]:
    """Return the tree with its leaves numbered in the order they are written."""
    return tuple(
        node.model_copy(update={"body": numbered(node.body, numbers)})
        if isinstance(node, Repeat)
        else node.model_copy(update={"index": next(numbers)})
        for node in tree
    )


def program_of(tree: list[Node]) -> Program:
    return Program(protocol="any", cell=CELL, limits=LIMITS, steps=numbered(tuple(tree), iter(range(10**6))))


programs = st.lists(nodes, min_size=1, max_size=4).map(program_of)


@st.composite
def splits(draw: st.DrawFn, count: int) -> tuple[Program, list[tuple[int, Position]]]:
    """Draw a program and places in it, each later than the one before: (number of the visit, position)."""
    program = draw(programs)
    run = list(visits(program.steps))
    chosen = sorted(
        draw(
            st.lists(
                st.tuples(st.integers(0, len(run) - 1), st.sampled_from([0.0, 0.1, 0.5, 0.999, 1.0])),
                min_size=count,
                max_size=count,
            )
        )
    )
    return program, [(number, position_in(program, run[number], part)) for number, part in chosen]


def position_in(program: Program, visit: Visit, part: float) -> Position:
    """Return the position at which this part of a visit has been run."""
    step = program.step(visit.step)
    passed_C = 0.0
    time_s = part * visit.until_s
    if isinstance(step, ConstantCurrent):
        if step.ends_by == "charge" and step.charge_C is not None:
            time_s = part * step.charge_C / abs(step.current_A)
            passed_C = part * step.charge_C * (1 if step.current_A > 0 else -1)
        else:
            passed_C = step.current_A * time_s
    return Position(step=visit.step, loops=visit.loops, time_s=time_s, charge_C=passed_C)


def expected_rest(program: Program, number: int, position: Position) -> list[Visit]:
    """Return the visits that are still to run, from the written-out program."""
    run = list(visits(program.steps))
    here, later = run[number], run[number + 1 :]
    step = program.step(position.step)
    if is_done(step, here, position):
        return later
    if isinstance(step, Geis):
        return [here, *later]
    done_C = position.charge_C if isinstance(step, ConstantCurrent) else 0.0
    partly = Visit(here.step, here.loops, position.time_s, done_C, here.until_s, here.planned_C)
    return [partly, *later]


def is_done(step: Step, visit: Visit, position: Position) -> bool:
    by_charge = isinstance(step, ConstantCurrent) and step.ends_by == "charge"
    charge_done = visit.planned_C is not None and abs(position.charge_C) >= visit.planned_C
    return position.time_s >= visit.until_s or (by_charge and charge_done)


@given(splits(1))
def test_before_and_remainder_are_the_whole(drawn: tuple[Program, list[tuple[int, Position]]]) -> None:
    program, [(number, position)] = drawn
    assert list(visits(program.remainder(position).steps)) == expected_rest(program, number, position)


@given(splits(3))
def test_a_remainder_of_a_remainder_is_the_remainder_of_the_whole(
    drawn: tuple[Program, list[tuple[int, Position]]],
) -> None:
    whole, places = drawn
    rest = whole
    for number, position in places:
        expected = expected_rest(whole, number, position)
        if [(v.step, v.loops) for v in visits(rest.steps)].count((position.step, position.loops)) == 0:
            continue  # this visit was complete at an earlier split
        rest = rest.remainder(position)
        assert list(visits(rest.steps)) == expected


@given(splits(1))
def test_time_and_charge_are_never_passed_again(drawn: tuple[Program, list[tuple[int, Position]]]) -> None:
    program, [(number, position)] = drawn
    step = program.step(position.step)
    run = list(visits(program.steps))
    before_s = sum(visit.until_s for visit in run[:number])
    here_s = 0.0 if isinstance(step, Geis) and not is_done(step, run[number], position) else position.time_s
    if is_done(step, run[number], position):
        here_s = run[number].until_s
    left_s = program.remainder(position).duration_s()
    assert before_s + here_s + left_s == pytest.approx(program.duration_s(), rel=1e-9)


@given(splits(1))
def test_numbers_of_steps_and_visits_stay_those_of_the_whole(
    drawn: tuple[Program, list[tuple[int, Position]]],
) -> None:
    program, [(_, position)] = drawn
    rest = program.remainder(position)
    for visit in visits(rest.steps):
        place = Position(step=visit.step, loops=visit.loops)
        assert rest.visit(place) == program.visit(place)
        assert program.position(visit.step, rest.visit(place)).loops == visit.loops


@given(programs)
def test_visits_of_a_step_count_up_by_one(program: Program) -> None:
    seen: dict[int, int] = {}
    for visit in visits(program.steps):
        number = program.visit(Position(step=visit.step, loops=visit.loops))
        assert number == seen.get(visit.step, -1) + 1
        seen[visit.step] = number


@given(programs)
def test_a_finished_program_has_nothing_left(program: Program) -> None:
    assert program.remainder(Position(step=0, finished=True)).steps == ()


@given(programs)
def test_from_the_start_everything_is_left(program: Program) -> None:
    first = next(visits(program.steps))
    rest = program.remainder(Position(step=first.step, loops=first.loops))
    assert list(visits(rest.steps)) == list(visits(program.steps))
    assert rest.duration_s() == pytest.approx(program.duration_s())


@given(programs)
def test_a_place_that_the_program_does_not_have_is_an_error(program: Program) -> None:
    with pytest.raises(KeyError):
        program.remainder(Position(step=10**6))


@given(st.lists(st.integers(1, 5), max_size=4).flatmap(lambda t: st.tuples(st.just(t), st.data())))
def test_visit_numbers_and_loops_are_each_others_inverse(drawn: tuple[list[int], st.DataObject]) -> None:
    totals, data = drawn
    loops = tuple(data.draw(st.integers(0, total - 1)) for total in totals)
    assert loops_of(visit_number(loops, tuple(totals)), tuple(totals)) == loops
