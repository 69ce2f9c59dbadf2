"""Steps that set a voltage, denser samples and named ranges, as linked techniques."""

from __future__ import annotations

import pytest

from drivers.biologic.constants import ERange, IRange, ParamType, TechniqueId
from drivers.biologic.settings import capabilities
from drivers.biologic.techniques import Load, Technique, compile_load
from protocols.cell import Cell
from protocols.errors import InstrumentError
from protocols.nodes import ConstantCurrent, ConstantVoltage, Node, Peis, Repeat, Rest, Vertex, VoltageSweep
from protocols.position import Position
from protocols.program import Limits, Program

VSP = capabilities("VSP-300")
BOOL, INT, SINGLE = ParamType.BOOLEAN, ParamType.INTEGER, ParamType.SINGLE
AT_MOST_AND, AT_LEAST, AT_MOST = 99, 101, 97
"""Words of tests on I (facts of User's Guide §7.36)."""


def hold(index: int = 0, voltage_V: float = 1.0, **more: object) -> ConstantVoltage:
    given = {"index": index, "label": "hold", "duration_s": 600.0, "voltage_V": voltage_V, **more}
    return ConstantVoltage.model_validate(given)


def sweep(*vertices: Vertex, rate_V_per_s: float = 1e-3) -> VoltageSweep:
    return VoltageSweep(
        index=0, label="sweep", duration_s=2000.0, vertices=vertices, rate_V_per_s=rate_V_per_s
    )


def spectrum(**more: object) -> Peis:
    edges = {"frequency_start_Hz": 1e4, "frequency_end_Hz": 1.0, "points_per_decade": 5, "average": 2}
    return Peis.model_validate({"index": 0, "label": "spectrum", "amplitude_V": 0.01, **edges, **more})


def drive(index: int = 0, current_A: float = 5e-4, **more: object) -> ConstantCurrent:
    given = {"index": index, "label": "drive", "duration_s": 600.0, "current_A": current_A, **more}
    return ConstantCurrent.model_validate(given)


def program(*steps: Node, **more: object) -> Program:
    given = {
        "protocol": "test",
        "cell": Cell(name="cell", area_m2=1e-4),
        "steps": steps,
        "limits": Limits(voltage_min_V=-1.5, voltage_max_V=1.5, current_max_A=0.01),
        "record_dI_A": 2e-6,
        **more,
    }
    return Program.model_validate(given)


def load_of(*steps: Node, **more: object) -> Load:
    return compile_load(program(*steps, **more), VSP)


def dialogue(technique: Technique) -> list[tuple[str, ParamType, float, int]]:
    return [(item.label, item.type, item.value, item.index) for item in technique.parameters]


def value(technique: Technique, label: str, index: int = 0) -> float:
    (found,) = (p.value for p in technique.parameters if (p.label, p.index) == (label, index))
    return found


def names(load: Load) -> list[str]:
    return [technique.id.name for technique in load.techniques]


def hardware(timebase_s: float) -> list[tuple[str, ParamType, float, int]]:
    return [
        ("I_Range", INT, IRange.AUTO, 0),
        ("E_Range", INT, ERange.E_2_5V, 0),
        ("Bandwidth", INT, 5, 0),
        ("tb", SINGLE, timebase_s, 0),
    ]


def exits(index: int, *tests: tuple[int, float], leave: int) -> list[tuple[str, ParamType, float, int]]:
    expected: list[tuple[str, ParamType, float, int]] = []
    for number, (config, limit) in enumerate([*tests, (0, 0.0)], start=1):
        expected += [
            (f"Test{number}_Config", INT, config, index),
            (f"Test{number}_Value", SINGLE, limit, index),
        ]
    return [*expected, ("Exit_Cond", INT, leave, index)]


def test_dialogue_of_a_constant_voltage_with_its_current_limit() -> None:
    (technique, _) = load_of(hold(voltage_V=-0.5)).techniques
    assert (technique.id, technique.stem) == (157, "calimit")
    assert dialogue(technique) == [
        ("Voltage_step", SINGLE, -0.5, 0),
        ("vs_initial", BOOL, False, 0),
        ("Duration_step", SINGLE, 600.0, 0),
        ("Step_number", INT, 0, 0),
        ("Record_every_dT", SINGLE, 1.0, 0),
        ("Record_every_dI", SINGLE, 2e-6, 0),
        ("N_Cycles", INT, 0, 0),
        *exits(0, (AT_LEAST, 0.01), (AT_MOST, -0.01), leave=2),
        *hardware(34e-6),
    ]


def test_a_constant_voltage_ends_where_the_current_is_small() -> None:
    technique = load_of(hold(until_current_A=1e-4, relative=True)).techniques[0]
    ending = exits(0, (AT_MOST_AND, 1e-4), (AT_LEAST, -1e-4), leave=1)
    assert [item for item in dialogue(technique) if item in ending] == ending
    assert value(technique, "vs_initial") == 1


def test_dialogue_of_a_voltage_sweep() -> None:
    vertices = Vertex(voltage_V=0.0, relative=True), Vertex(voltage_V=1.0), Vertex(voltage_V=-0.5)
    (technique, _) = load_of(sweep(*vertices)).techniques
    assert (technique.id, technique.stem) == (158, "vscanlimit")
    expected: list[tuple[str, ParamType, float, int]] = []
    for place, vertex in enumerate(vertices):
        expected += [
            ("Voltage_step", SINGLE, vertex.voltage_V, place),
            ("vs_initial", BOOL, vertex.relative, place),
            ("Scan_Rate", SINGLE, 1e-3, place),
            *exits(place, (AT_LEAST, 0.01), (AT_MOST, -0.01), leave=2),
        ]
    assert dialogue(technique) == [
        *expected,
        ("Scan_number", INT, 1, 0),
        ("Record_every_dE", SINGLE, 1e-3, 0),
        ("N_Cycles", INT, 0, 0),
        ("Begin_measuring_I", SINGLE, 0.5, 0),
        ("End_measuring_I", SINGLE, 1.0, 0),
        *hardware(60e-6),
    ]


@pytest.mark.parametrize(
    ("rate_V_per_s", "record_dE_V", "expected_V"),
    [(1e-5, 0.005, 1e-4), (2e-3, 0.005, 2e-3), (0.1, 0.005, 0.005), (0.1, None, 0.1)],
)
def test_records_of_a_sweep_keep_time_or_voltage(
    rate_V_per_s: float, record_dE_V: float | None, expected_V: float
) -> None:
    vertices = Vertex(voltage_V=0.0), Vertex(voltage_V=1.0)
    load = load_of(sweep(*vertices, rate_V_per_s=rate_V_per_s), record_dE_V=record_dE_V)
    assert value(load.techniques[0], "Record_every_dE") == pytest.approx(expected_V)


def test_a_sweep_has_at_most_20_vertices() -> None:
    zigzag = [Vertex(voltage_V=0.5 * (-1) ** number) for number in range(21)]
    assert value(load_of(sweep(*zigzag[:20])).techniques[0], "Scan_number") == 18
    with pytest.raises(InstrumentError, match="21 vertices"):
        load_of(sweep(*zigzag))


def test_dialogue_of_a_potentiostatic_spectrum() -> None:
    (technique, _) = load_of(spectrum()).techniques
    assert (technique.id, technique.stem) == (104, "peis")
    assert dialogue(technique) == [
        ("vs_initial", BOOL, True, 0),
        ("Initial_Voltage_step", SINGLE, 0.0, 0),
        ("Duration_step", SINGLE, 0.0, 0),
        ("Record_every_dT", SINGLE, 1.0, 0),
        ("Record_every_dI", SINGLE, 2e-6, 0),
        ("Final_frequency", SINGLE, 1.0, 0),
        ("Initial_frequency", SINGLE, 1e4, 0),
        ("sweep", BOOL, False, 0),
        ("Amplitude_Voltage", SINGLE, 0.01, 0),
        ("Frequency_number", INT, 21, 0),
        ("Average_N_times", INT, 2, 0),
        ("Correction", BOOL, False, 0),
        ("Wait_for_steady", SINGLE, 0.1, 0),
        *hardware(24e-6),
    ]


def test_no_frequency_beyond_the_channel() -> None:
    with pytest.raises(InstrumentError, match="Hz"):
        load_of(spectrum(frequency_start_Hz=1e7))


@pytest.mark.parametrize(
    ("step", "e_range"),
    [
        (hold(voltage_V=2.4), ERange.E_2_5V),
        (hold(voltage_V=-3.0), ERange.E_5V),
        (hold(voltage_V=3.0, relative=True), ERange.E_2_5V),
        (sweep(Vertex(voltage_V=0.0), Vertex(voltage_V=-6.0), Vertex(voltage_V=0.0)), ERange.E_10V),
        (spectrum(voltage_V=2.44, relative=False, amplitude_V=0.05), ERange.E_5V),
        (spectrum(voltage_V=2.44, relative=False), ERange.E_2_5V),
    ],
)
def test_the_voltage_range_holds_what_is_set(step: Node, e_range: ERange) -> None:
    assert value(load_of(step).techniques[0], "E_Range") == e_range


@pytest.mark.parametrize(
    ("current_A", "range_A", "i_range"),
    [
        (1e-4, None, IRange.I_100UA),
        (1e-4, 1e-2, IRange.I_10MA),
        (-2e-3, 1e-3, IRange.I_10MA),
        (1e-3, 1e-3, IRange.I_1MA),
        (1e-4, 1.0, IRange.I_1A),
        (1e-4, 5.0, IRange.I_1A),
    ],
)
def test_a_named_range_is_taken_if_it_holds_the_current(
    current_A: float, range_A: float | None, i_range: IRange
) -> None:
    load = load_of(drive(current_A=current_A, range_A=range_A))
    assert value(load.techniques[0], "I_Range") == i_range


def test_one_time_base_serves_all_techniques() -> None:
    vertices = Vertex(voltage_V=0.0), Vertex(voltage_V=1.0)
    load = load_of(Rest(index=0, label="rest", duration_s=60.0), sweep(*vertices), spectrum())
    assert {value(technique, "tb") for technique in load.techniques} == {60e-6}
    assert value(load_of(hold(duration_s=3e5)).techniques[0], "tb") * 2**31 >= 3e5


def test_a_dense_beginning_is_two_techniques_of_one_visit() -> None:
    load = load_of(drive(dense_s=60.0, dense_interval_s=0.2), Rest(index=1, label="rest", duration_s=1.0))
    assert names(load) == ["CPLIMIT", "CPLIMIT", "OCV", "OCV"]
    first, second = load.techniques[:2]
    labels = ("Current_step", "Duration_step", "Record_every_dT", "Test1_Value", "Test2_Value", "Exit_Cond")
    assert [value(first, label) for label in labels] == [5e-4, 60.0, 0.2, 1.5, -1.5, 2]
    assert [value(second, label) for label in labels] == [5e-4, 540.0, 1.0, 1.5, -1.5, 2]
    visits = [load.visit(index, 0) for index in (0, 1)]
    positions = [visit.position(10.0, 0.005) for visit in visits if visit is not None]
    assert [(place.step, place.time_s) for place in positions] == [(0, 10.0), (0, 70.0)]
    assert [place.charge_C for place in positions] == pytest.approx([0.005, 0.035])
    assert load.duration_s == 601.0


def test_both_parts_end_at_the_planned_voltage() -> None:
    step = drive(dense_s=60.0, until_voltage_V=1.0, ends_by="voltage")
    for technique in load_of(step).techniques[:2]:
        assert [value(technique, name) for name in ("Test1_Config", "Test1_Value", "Exit_Cond")] == [
            5,
            1.0,
            1,
        ]


@pytest.mark.parametrize(
    ("done_s", "durations_s"), [(20.0, [40.0, 540.0]), (60.0, [540.0]), (100.0, [500.0])]
)
def test_the_dense_time_counts_from_the_visits_start(done_s: float, durations_s: list[float]) -> None:
    left = program(drive(dense_s=60.0)).remainder(Position(step=0, time_s=done_s, charge_C=5e-4 * done_s))
    load = compile_load(left, VSP)
    assert [value(item, "Duration_step") for item in load.techniques[:-1]] == pytest.approx(durations_s)
    assert load.first.position(1.0, 5e-4).time_s == done_s + 1.0


def test_a_step_that_is_dense_throughout_is_one_technique() -> None:
    load = load_of(drive(duration_s=30.0, dense_s=60.0))
    assert names(load) == ["CPLIMIT", "OCV"]
    assert value(load.techniques[0], "Record_every_dT") == 0.1


def test_dense_parts_stay_together_in_a_loop() -> None:
    body = (drive(0, dense_s=60.0), drive(1, -5e-4, dense_s=60.0))
    load = load_of(Repeat(total=5, stop=5, body=body))
    assert names(load) == ["CPLIMIT"] * 4 + ["LOOP", "OCV"]
    assert value(load.techniques[4], "loop_N_times") == 4
    visit = load.visit(3, 2)
    assert visit is not None
    assert visit.position(1.0) == Position(step=1, loops=(2,), time_s=61.0, charge_C=-0.03)
    assert load.end == Position(step=1, loops=(4,), time_s=600.0, charge_C=-0.03, finished=True)


def test_a_short_list_never_parts_a_dense_step() -> None:
    whole = program(Repeat(total=3, stop=3, body=(drive(0, dense_s=60.0), hold(1))))
    passages: list[tuple[int, int]] = []
    left = whole
    while left.steps:
        load = compile_load(left, VSP, max_techniques=3)
        assert len(load.techniques) <= 3
        visits = [load.visit(place, 0) for place in range(len(load.techniques) - 1)]
        passages += dict.fromkeys((visit.step.index, visit.number) for visit in visits if visit is not None)
        left = whole.remainder(load.end)
    assert passages == [(step, number) for number in range(3) for step in (0, 1)]


def test_a_cycle_with_constant_voltage_is_looped() -> None:
    charge = drive(0, until_voltage_V=1.2, ends_by="voltage")
    load = load_of(
        Repeat(total=9, stop=9, body=(charge, hold(1, 1.2, until_current_A=5e-5), drive(2, -5e-4)))
    )
    assert [technique.id for technique in load.techniques] == [
        TechniqueId.CPLIMIT,
        TechniqueId.CALIMIT,
        TechniqueId.CPLIMIT,
        TechniqueId.LOOP,
        TechniqueId.OCV,
    ]
