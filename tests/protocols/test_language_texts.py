"""What holds for every file that the language allows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from protocol_texts import ANY_FILE, TIMED_FILE
from written_programs import Interpreter, Nodes, Visit, all_nodes

from protocols.capabilities import Capabilities
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.errors import InvalidFileError
from protocols.nodes import ConstantCurrent, Decision, Message
from protocols.plan import make_plan
from protocols.position import Position
from protocols.program import Program
from protocols.protocol import parse_protocol
from protocols.tree import decide, head, last_position, leading, remainder, without_head

CELL = parse_cell(
    "sandtime: 1\nname: c\ngeometry: symmetric\narea: 1 cm²\nworking: {lithium: 100 µm}\n"
    "counter: {lithium: 100 µm}\nelectrolyte: {class: garnet}\nmass: 8 mg\ncapacity: 2 mAh\n"
    "temperature_window: {from: 10 °C, to: 80 °C}\n",
    "cell.yaml",
)
CHANNEL = Capabilities(
    model="any",
    current_max_A=0.5,
    voltage_min_V=-10.0,
    voltage_max_V=10.0,
    step_kinds=("rest", "constant_current", "constant_voltage", "voltage_sweep", "geis", "peis"),
    current_ranges_A=(1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0),
    frequency_min_Hz=1e-5,
    frequency_max_Hz=7e6,
    temperature_min_K=263.15,
    temperature_max_K=373.15,
    sample_interval_min_s=0.001,
)
COUNTER = CHANNEL.model_copy(update={"charge_counter": True})
MOST_VISITS = 3000


def compiled(text: str, channel: Capabilities = CHANNEL) -> Program:
    """Return the program of a file; a file that is refused is no case, but says where it is wrong."""
    try:
        return compile_program(parse_protocol(text, "f.yaml"), CELL, channel)
    except InvalidFileError as error:
        assert all(problem.line and problem.column and problem.message for problem in error.problems)
        assume(False)
        raise


programs = ANY_FILE.map(compiled)
timed_programs = TIMED_FILE.map(compiled)
counted_programs = TIMED_FILE.map(lambda text: compiled(text, COUNTER))
answers = st.lists(st.booleans(), min_size=1, max_size=12).map(
    lambda listed: lambda number: listed[number % len(listed)]
)


def visits(nodes: Nodes, answer: Callable[[int], bool] = lambda number: True) -> list[Visit]:
    """Return every visit of a program that ends within so many."""
    interpreter = Interpreter(answer, MOST_VISITS)
    interpreter.run(nodes)
    assume(len(interpreter.visits) < MOST_VISITS)
    return interpreter.visits


@given(ANY_FILE)
def test_a_file_that_is_read_compiles_or_is_refused_with_places(text: str) -> None:
    compiled(text)


@given(programs)
def test_numbers_ascend_and_labels_are_unique(program: Program) -> None:
    nodes = list(all_nodes(program.steps))
    assert [node.index for node in nodes] == list(range(len(nodes)))
    assert len({node.label for node in nodes}) == len(nodes)


@given(programs)
def test_a_program_comes_back_from_json(program: Program) -> None:
    again = Program.model_validate_json(program.model_dump_json())
    assert again == program
    assert again.digest() == program.digest()


def segment_by_segment(nodes: Nodes, answer: Callable[[int], bool]) -> list[Visit]:
    """Run a program as the daemon does: a segment, then what the host has to do, and so on."""
    found: list[Visit] = []
    asked = 0
    while nodes:
        segment = leading(nodes)
        if segment:
            found += visits(segment)
            nodes = remainder(nodes, last_position(segment)) or ()
            continue
        first, nodes = head(nodes)
        if isinstance(first, Decision):
            found.append(Visit(first.index, ()))
            nodes = decide(nodes, answer(asked))
            asked += 1
        elif isinstance(first, Message):
            found.append(Visit(first.index, ()))
            nodes = without_head(nodes)
        else:
            assert first is None
    return found


@given(programs, answers)
def test_segments_and_decisions_visit_what_the_tree_says(
    program: Program, answer: Callable[[int], bool]
) -> None:
    assert segment_by_segment(program.steps, answer) == visits(program.steps, answer)


@given(timed_programs, st.data())
def test_before_and_after_any_place_the_time_and_charge_are_those_of_the_whole(
    program: Program, data: st.DataObject
) -> None:
    run = visits(program.steps)
    number = data.draw(st.integers(0, len(run) - 1))
    part = data.draw(st.sampled_from([0.0, 0.25, 0.9, 1.0]))
    here = run[number]
    position = Position(
        step=here.index, loops=here.loops, time_s=part * here.seconds, charge_C=part * here.charge_C
    )
    left = visits(program.remainder(position).steps)
    seconds = sum(visit.seconds for visit in [*run[:number], *left]) + position.time_s
    charge_C = sum(abs(visit.charge_C) for visit in [*run[:number], *left]) + abs(position.charge_C)
    assert seconds == pytest.approx(sum(visit.seconds for visit in run))
    assert charge_C == pytest.approx(sum(abs(visit.charge_C) for visit in run))


@given(counted_programs, st.data())
def test_with_a_counter_no_charge_is_passed_twice(program: Program, data: st.DataObject) -> None:
    run = visits(program.steps)
    number = data.draw(st.integers(0, len(run) - 1))
    here = run[number]
    leaf = program.step(here.index)
    by_charge = isinstance(leaf, ConstantCurrent) and leaf.ends_by == "charge"
    passed_C = data.draw(st.sampled_from([0.0, 0.5, 1.0])) * here.charge_C
    passed_s = 0.5 * here.seconds if by_charge else here.seconds * (passed_C / (here.charge_C or 1.0))
    position = Position(step=here.index, loops=here.loops, time_s=passed_s, charge_C=passed_C)
    left = visits(program.remainder(position).steps)
    charge_C = sum(visit.charge_C for visit in [*run[:number], *left]) + passed_C
    assert charge_C == pytest.approx(sum(visit.charge_C for visit in run), abs=1e-9)


@given(timed_programs)
def test_a_plan_of_known_steps_is_exact(program: Program) -> None:
    plan = make_plan(program, CHANNEL)
    run = visits(program.steps)
    assert plan.duration_s == pytest.approx(sum(visit.seconds for visit in run))
    assert plan.charge_C == pytest.approx(sum(abs(visit.charge_C) for visit in run), abs=1e-12)
    assert sum(step.passes for step in plan.steps) == len(run)


@given(programs, answers)
def test_a_plan_bounds_what_a_run_passes(program: Program, answer: Callable[[int], bool]) -> None:
    plan = make_plan(program, CHANNEL)
    run = visits(program.steps, answer)
    assert sum(visit.seconds for visit in run) <= plan.duration_s * (1 + 1e-9)
    assert sum(abs(visit.charge_C) for visit in run) <= plan.charge_C * (1 + 1e-9) + 1e-12
    passes = {step.step: step.passes for step in plan.steps}
    for index in {visit.index for visit in run} & passes.keys():
        assert sum(visit.index == index for visit in run) <= passes[index]
