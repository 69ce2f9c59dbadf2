"""Programs as lists of linked techniques: what is loaded, and which visit each technique stands for."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.biologic.constants import ERange, IRange, ParamType, TechniqueId
from drivers.biologic.settings import capabilities
from drivers.biologic.techniques import Load, Technique, compile_load
from protocols.cell import Cell
from protocols.errors import InstrumentError
from protocols.nodes import ConstantCurrent, Geis, Node, Repeat, Rest
from protocols.position import Position, visit_number
from protocols.program import Limits, Program
from protocols.tree import parts

VSP = capabilities("VSP-300")
BOOL, INT, SINGLE = ParamType.BOOLEAN, ParamType.INTEGER, ParamType.SINGLE


def rest(index: int, duration_s: float = 60.0) -> Rest:
    return Rest(index=index, label=f"rest {index}", duration_s=duration_s)


def drive(index: int, current_A: float = 1e-3, duration_s: float = 600.0) -> ConstantCurrent:
    return ConstantCurrent(index=index, label=f"drive {index}", current_A=current_A, duration_s=duration_s)


def sweep(index: int, current_A: float = 0.0, amplitude_A: float = 1e-5) -> Geis:
    return Geis(
        index=index,
        label=f"sweep {index}",
        current_A=current_A,
        amplitude_A=amplitude_A,
        frequency_start_Hz=1e4,
        frequency_end_Hz=1.0,
        points_per_decade=5,
        average=2,
    )


def program(*steps: Node, voltage_V: float = 1.5, record_dE_V: float | None = 0.005) -> Program:
    return Program(
        protocol="test",
        cell=Cell(name="cell", area_m2=1e-4),
        steps=steps,
        limits=Limits(voltage_min_V=-voltage_V, voltage_max_V=voltage_V, current_max_A=0.01),
        watch_s=1.0,
        record_dE_V=record_dE_V,
    )


def dialogue(technique: Technique) -> list[tuple[str, ParamType, float, int]]:
    return [(item.label, item.type, item.value, item.index) for item in technique.parameters]


def value(technique: Technique, label: str) -> float:
    return next(item.value for item in technique.parameters if item.label == label)


def ids(load: Load) -> list[TechniqueId]:
    return [technique.id for technique in load.techniques]


def hardware(timebase_s: float) -> list[tuple[str, ParamType, float, int]]:
    return [("E_Range", INT, 0, 0), ("Bandwidth", INT, 5, 0), ("tb", SINGLE, timebase_s, 0)]


def test_dialogue_of_a_rest_and_the_final_ocv() -> None:
    load = compile_load(program(rest(0, 3600.0)), VSP)
    assert [dialogue(technique) for technique in load.techniques] == [
        [
            ("Rest_time_T", SINGLE, 3600.0, 0),
            ("Record_every_dE", SINGLE, 0.005, 0),
            ("Record_every_dT", SINGLE, 1.0, 0),
            *hardware(20e-6),
        ],
        [
            ("Rest_time_T", SINGLE, 1.0, 0),
            ("Record_every_dE", SINGLE, 0.005, 0),
            ("Record_every_dT", SINGLE, 0.1, 0),
            *hardware(20e-6),
        ],
    ]
    assert load.visit(1, 0) is None


def test_dialogue_of_a_constant_current() -> None:
    load = compile_load(program(drive(0, -2e-4, 1800.0), record_dE_V=None), VSP)
    assert load.techniques[0].stem == "cplimit"
    assert dialogue(load.techniques[0]) == [
        ("Current_step", SINGLE, -2e-4, 0),
        ("vs_initial", BOOL, False, 0),
        ("Duration_step", SINGLE, 1800.0, 0),
        ("Step_number", INT, 0, 0),
        ("Record_every_dT", SINGLE, 1.0, 0),
        ("Record_every_dE", SINGLE, 0.0, 0),
        ("N_Cycles", INT, 0, 0),
        ("Test1_Config", INT, 5, 0),
        ("Test1_Value", SINGLE, 1.5, 0),
        ("Test2_Config", INT, 1, 0),
        ("Test2_Value", SINGLE, -1.5, 0),
        ("Test3_Config", INT, 0, 0),
        ("Test3_Value", SINGLE, 0.0, 0),
        ("Exit_Cond", INT, 2, 0),
        ("I_Range", INT, IRange.I_1MA, 0),
        *hardware(34e-6),
    ]


@pytest.mark.parametrize(("current_A", "config"), [(1e-3, 5), (-1e-3, 1)])
def test_a_planned_end_by_voltage_takes_the_only_exit(current_A: float, config: int) -> None:
    until = {"until_voltage_V": math.copysign(1.0, current_A), "ends_by": "voltage"}
    step = drive(0, current_A).model_copy(update=until)
    technique = compile_load(program(step), VSP).techniques[0]
    labels = ("Test1_Config", "Test1_Value", "Test2_Config", "Test3_Config", "Exit_Cond")
    assert [value(technique, label) for label in labels] == [config, math.copysign(1.0, current_A), 0, 0, 1]


def test_dialogue_of_a_spectrum() -> None:
    load = compile_load(program(sweep(0, 4e-4, 1e-4)), VSP)
    assert dialogue(load.techniques[0]) == [
        ("vs_initial", BOOL, False, 0),
        ("Initial_Current_step", SINGLE, 4e-4, 0),
        ("Duration_step", SINGLE, 0.0, 0),
        ("Record_every_dT", SINGLE, 1.0, 0),
        ("Record_every_dE", SINGLE, 0.005, 0),
        ("Final_frequency", SINGLE, 1.0, 0),
        ("Initial_frequency", SINGLE, 1e4, 0),
        ("sweep", BOOL, False, 0),
        ("Amplitude_Current", SINGLE, 1e-4, 0),
        ("Frequency_number", INT, 21, 0),
        ("Average_N_times", INT, 2, 0),
        ("Correction", BOOL, False, 0),
        ("Wait_for_steady", SINGLE, 0.1, 0),
        ("I_Range", INT, IRange.I_1MA, 0),
        *hardware(24e-6),
    ]


def test_a_repeat_becomes_a_loop() -> None:
    body = (drive(1), drive(2, -1e-3))
    load = compile_load(program(rest(0), Repeat(total=50, stop=50, body=body), rest(3)), VSP)
    names = [technique.id.name for technique in load.techniques]
    assert names == ["OCV", "CPLIMIT", "CPLIMIT", "LOOP", "OCV", "OCV"]
    assert dialogue(load.techniques[3]) == [("loop_N_times", INT, 49, 0), ("protocol_number", INT, 1, 0)]
    visit = load.visit(2, 7)
    assert visit is not None
    assert (visit.step.index, visit.number) == (2, 7)


def test_remainder_in_the_middle_of_a_loop_keeps_absolute_passes() -> None:
    whole = program(Repeat(total=10, stop=10, body=(drive(0), drive(1, -1e-3))))
    position = Position(step=1, loops=(3,), time_s=200.0, charge_C=-0.2)
    load = compile_load(whole.remainder(position), VSP)
    assert [technique.id.name for technique in load.techniques] == [
        "CPLIMIT",
        "CPLIMIT",
        "CPLIMIT",
        "LOOP",
        "OCV",
    ]
    assert value(load.techniques[0], "Duration_step") == 400.0
    assert value(load.techniques[3], "loop_N_times") == 5
    visits = [load.visit(index, 0) for index in (0, 1)]
    assert [visit.number for visit in visits if visit is not None] == [3, 4]
    assert load.first.position(1.0, -0.001) == Position(step=1, loops=(3,), time_s=201.0, charge_C=-0.201)
    assert load.end == Position(step=1, loops=(9,), time_s=600.0, finished=True)


def test_an_outer_repeat_is_written_out_pass_by_pass() -> None:
    inner = Repeat(total=3, stop=3, body=(drive(0), drive(1, -1e-3)))
    load = compile_load(program(Repeat(total=2, stop=2, body=(inner, rest(2)))), VSP)
    once = [TechniqueId.CPLIMIT, TechniqueId.CPLIMIT, TechniqueId.LOOP, TechniqueId.OCV]
    assert ids(load) == [*once, *once, TechniqueId.OCV]
    assert [value(load.techniques[place], "protocol_number") for place in (2, 6)] == [0, 4]
    visit = load.visit(5, 2)
    assert visit is not None
    assert visit.loops == (1, 2)


def test_one_pass_needs_no_loop() -> None:
    load = compile_load(program(Repeat(total=4, start=3, stop=4, body=(drive(0),))), VSP)
    assert ids(load) == [TechniqueId.CPLIMIT, TechniqueId.OCV]


def test_the_time_base_grows_for_a_step_of_100_h() -> None:
    load = compile_load(program(drive(0, 1e-4, 100 * 3600.0), rest(1, 10.0)), VSP)
    timebases = {value(technique, "tb") for technique in load.techniques}
    assert timebases == {load.timebase_s}
    assert load.timebase_s * 2**31 >= 100 * 3600.0
    assert load.timebase_s < 1.1 * 100 * 3600.0 / 2**31


@pytest.mark.parametrize(
    ("current_A", "amplitude_A", "i_range"),
    [
        (0.0, 4e-4, IRange.I_1MA),
        (0.0, 6e-4, IRange.I_10MA),
        (9.5e-4, 1e-4, IRange.I_10MA),
        (9e-4, 5e-5, IRange.I_1MA),
    ],
)
def test_one_range_holds_dc_and_peak(current_A: float, amplitude_A: float, i_range: IRange) -> None:
    load = compile_load(program(sweep(0, current_A, amplitude_A)), VSP)
    assert value(load.techniques[0], "I_Range") == i_range


@pytest.mark.parametrize(
    ("voltage_V", "e_range"), [(2.0, ERange.E_2_5V), (2.5, ERange.E_5V), (9.0, ERange.E_10V)]
)
def test_the_voltage_range_shows_the_limits(voltage_V: float, e_range: ERange) -> None:
    load = compile_load(program(rest(0), voltage_V=voltage_V), VSP)
    assert value(load.techniques[0], "E_Range") == e_range


@pytest.mark.parametrize(
    ("node", "voltage_V", "message"),
    [
        (drive(0, 0.6), 1.5, "0.6 A"),
        (sweep(0, 0.4, 0.2), 1.5, "0.6 A"),
        (rest(0), 10.0, "voltage"),
        (sweep(0).model_copy(update={"frequency_start_Hz": 1e7}), 1.5, "Hz"),
    ],
)
def test_what_the_channel_cannot_do_is_refused(node: Node, voltage_V: float, message: str) -> None:
    with pytest.raises(InstrumentError, match=message):
        compile_load(program(node, voltage_V=voltage_V), VSP)


def test_an_index_that_was_not_loaded_is_refused() -> None:
    with pytest.raises(InstrumentError, match="technique 5"):
        compile_load(program(rest(0)), VSP).visit(5, 0)


Passage = tuple[int, int]


def expected(nodes: tuple[Node, ...], loops: tuple[int, ...], totals: tuple[int, ...]) -> Iterator[Passage]:
    for node in parts(nodes):
        if isinstance(node, Repeat):
            for done in range(node.start, node.stop):
                yield from expected(node.body, (*loops, done), (*totals, node.total))
        else:
            yield node.index, visit_number(loops, totals)


def instrument(load: Load) -> Iterator[Passage]:
    """Walk the list as an instrument does: LOOP jumps back, and counts how often it did."""
    index, loop = 0, 0
    while index < len(load.techniques) - 1:
        technique = load.techniques[index]
        if technique.id is TechniqueId.LOOP:
            again = loop < value(technique, "loop_N_times")
            index, loop = (int(value(technique, "protocol_number")), loop + 1) if again else (index + 1, 0)
            continue
        visit = load.visit(index, loop)
        assert visit is not None
        yield visit.step.index, visit.number
        index += 1


@st.composite
def programs(draw: st.DrawFn) -> Program:
    count = 0

    def leaf() -> Node:
        nonlocal count
        count += 1
        leaves: list[Node] = [rest(count - 1), drive(count - 1), sweep(count - 1)]
        return draw(st.sampled_from(leaves))

    def nodes(depth: int) -> tuple[Node, ...]:
        made: list[Node] = []
        for _ in range(draw(st.integers(1, 3))):
            if depth > 0 and draw(st.booleans()):
                total = draw(st.integers(1, 4))
                made.append(Repeat(total=total, stop=total, body=nodes(depth - 1)))
            else:
                made.append(leaf())
        return tuple(made)

    return program(*nodes(3))


@given(programs())
def test_a_list_visits_the_tree_in_order(whole: Program) -> None:
    load = compile_load(whole, VSP, max_techniques=10**6)
    passages = list(expected(whole.steps, (), ()))
    assert list(instrument(load)) == passages
    assert load.end.finished
    assert (load.end.step, whole.visit(load.end)) == passages[-1]
    assert not whole.remainder(load.end).steps


@given(programs(), st.integers(3, 12))
def test_segments_of_short_lists_visit_the_tree_in_order(whole: Program, room: int) -> None:
    passages: list[Passage] = []
    left = whole
    while left.steps:
        load = compile_load(left, VSP, max_techniques=room)
        assert len(load.techniques) <= room
        passages += instrument(load)
        left = whole.remainder(load.end)
    assert passages == list(expected(whole.steps, (), ()))


@given(programs(), st.data())
def test_a_remainder_visits_the_rest_in_order(whole: Program, data: st.DataObject) -> None:
    passages = list(expected(whole.steps, (), ()))
    place = data.draw(st.integers(0, len(passages) - 1))
    load = compile_load(whole.remainder(whole.position(*passages[place])), VSP, max_techniques=10**6)
    assert list(instrument(load)) == passages[place:]
