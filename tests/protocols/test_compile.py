"""Protocols fitted to a cell and a channel."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from library_cells import CELLS
from written_programs import all_nodes

from protocols.capabilities import Capabilities
from protocols.cell import Cell, Electrode
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.errors import InvalidFileError, Problem
from protocols.nodes import ConstantCurrent, Geis, Node, OnPasses, Repeat, Rest
from protocols.position import Position
from protocols.program import Program
from protocols.protocol import library_protocols, load_protocol, parse_protocol

HEAD = "sandtime: 1\nname: x\n"
MAH_PER_CM2 = 3.6 / 1e-4
MA_PER_CM2 = 1e-3 / 1e-4


def compiled(text: str, cell: Cell, channel: Capabilities) -> Program:
    return compile_program(parse_protocol(HEAD + text, "f.yaml", {}), cell, channel)


def driven(until: str, cell: Cell, channel: Capabilities, current: str = "1 mA") -> ConstantCurrent:
    text = f"steps:\n  - constant_current: {{current: {current}, until: {{{until}}}}}\n"
    [step] = compiled(text, cell, channel).steps
    assert isinstance(step, ConstantCurrent)
    return step


def problems(text: str, cell: Cell, channel: Capabilities) -> list[Problem]:
    with pytest.raises(InvalidFileError) as caught:
        compiled(text, cell, channel)
    return list(caught.value.problems)


def but(model: Any, **changes: Any) -> Any:
    return model.model_copy(update=changes)


def half_cycles(program: Program) -> list[ConstantCurrent]:
    return [leaf for leaf, _ in program.walk() if isinstance(leaf, ConstantCurrent)]


@pytest.mark.parametrize("name", library_protocols())
def test_the_library_compiles_for_a_cell_that_fits(name: str, channel: Capabilities) -> None:
    program = compile_program(load_protocol(name), parse_cell(CELLS[name], "cell.yaml"), channel)
    nodes = list(all_nodes(program.steps + program.afterwards + program.on_suspicion))
    assert [node.index for node in nodes] == list(range(len(nodes)))
    assert len({node.label for node in nodes}) == len(nodes)
    assert Program.model_validate_json(program.model_dump_json()) == program


def test_spectra_after_half_cycles_have_numbers_of_their_own_at_each_place(
    cell: Cell, channel: Capabilities
) -> None:
    text = (
        "steps:\n  - repeat:\n      times: 6\n      steps:\n"
        "        - constant_current: {current: 1 mA, until: {time: 1 h}}\n"
        "        - constant_current: {current: -1 mA, until: {time: 1 h}}\n"
        "      spectra: {every: 3 half-cycles, steps: [rest: {for: 1 s}]}\n"
    )
    program = compiled(text, cell, channel)
    nodes = list(all_nodes(program.steps))
    assert [node.index for node in nodes] == [0, 1, 2, 3]
    [loop] = program.steps
    assert isinstance(loop, Repeat)
    _, first, _, second = loop.body
    assert isinstance(first, OnPasses)
    assert isinstance(second, OnPasses)
    # The third half-cycle is the first of pass 1; a remainder from its spectrum repeats nothing before it.
    left = program.remainder(Position(step=1, loops=(1,), over=True)).steps[0]
    assert isinstance(left, Repeat)
    assert [node.index for node in all_nodes(left.body)] == [2, 3]


def test_a_limit_of_current_may_be_written_where_no_step_drives_one(
    cell: Cell, channel: Capabilities
) -> None:
    text = "limits: {current: 1 mA}\nsteps: [rest: {for: 1 s}]\n"
    assert compiled(text, cell, channel).limits.current_max_A == 1e-3


def test_constant_capacity_keeps_the_charge_and_shortens_the_half_cycles(
    cell: Cell, channel: Capabilities
) -> None:
    steps = half_cycles(compile_program(load_protocol("ccd_constant_capacity"), cell, channel))
    assert len(steps) == 2 * 30
    for number, step in enumerate(steps):
        level = 0.1 * (number // 2 + 1)
        assert step.current_A == pytest.approx((-1) ** number * level * MA_PER_CM2 * cell.area_m2)
        assert step.charge_C == pytest.approx(0.2 * MAH_PER_CM2 * cell.area_m2)
        assert step.duration_s == pytest.approx(3600 * 0.2 / level)


def test_a_current_limit_may_stand_where_no_current_is_driven(cell: Cell, channel: Capabilities) -> None:
    held = "steps:\n  - constant_voltage: {voltage: 0.1 V, until: {time: 1 h}}\n"
    program = compiled(f"limits: {{current: 2 mA}}\n{held}", cell, channel)
    assert program.limits.current_max_A == pytest.approx(2e-3)
    assert compiled(held, cell, channel).limits.current_max_A == channel.current_max_A


def test_constant_time_keeps_the_time_and_raises_the_charge(cell: Cell, channel: Capabilities) -> None:
    steps = half_cycles(compile_program(load_protocol("ccd_constant_time"), cell, channel))
    assert len(steps) == 2 * 40
    assert {step.duration_s for step in steps} == {3600.0}
    assert steps[-1].charge_C == pytest.approx(4.0 * MAH_PER_CM2 * cell.area_m2)
    assert all(step.ends_by == "time" for step in steps)


def test_a_short_circuit_is_the_planned_end_of_a_ccd_test(cell: Cell, channel: Capabilities) -> None:
    for name in ("ccd_constant_capacity", "ccd_constant_time"):
        assert compile_program(load_protocol(name), cell, channel).ends_on == ("short_circuit",)
    assert compile_program(load_protocol("symmetric_cycling"), cell, channel).ends_on == ()


def test_the_asymmetric_test_strips_the_working_electrode_first(cell: Cell, channel: Capabilities) -> None:
    program = compile_program(load_protocol("asymmetric_depletion"), cell, channel)
    assert half_cycles(program)[0].current_A > 0
    assert half_cycles(program)[1].current_A < 0


def test_the_unidirectional_test_drives_one_way_for_30_h_with_spectra_under_current(
    cell: Cell, channel: Capabilities
) -> None:
    program = compile_program(load_protocol("unidirectional_geis"), cell, channel)
    loop = program.steps[-1]
    assert isinstance(loop, Repeat)
    current, spectrum = loop.body
    assert isinstance(current, ConstantCurrent)
    assert isinstance(spectrum, Geis)
    assert loop.total * current.duration_s == 30 * 3600
    assert spectrum.current_A == current.current_A > 0
    assert (spectrum.frequency_start_Hz, spectrum.frequency_end_Hz) == (1e6, 0.1)


def test_settings_reach_the_program(cell: Cell, channel: Capabilities) -> None:
    settings = {"highest": "0.3 mA/cm2", "start": "200 µA/cm²"}
    program = compile_program(load_protocol("ccd_constant_capacity", settings), cell, channel)
    assert [round(step.current_A / cell.area_m2, 9) for step in half_cycles(program)] == [
        2.0,
        -2.0,
        3.0,
        -3.0,
    ]


def test_loops_stay_loops_and_labels_say_where_a_step_stands(cell: Cell, channel: Capabilities) -> None:
    text = (
        "steps:\n  - rest: {for: 1 s}\n"
        "  - repeat:\n      times: 10000\n      steps:\n"
        "        - repeat: {times: 3, steps: [rest: {for: 1 s}]}\n"
        "        - constant_current: {current: -1 mA, until: {time: 1 s}}\n"
        "  - ramp: {current: {from: 0.3 mA/cm², step: 0.1 mA/cm², to: 0.4 mA/cm²},\n"
        "           steps: [constant_current: {current: -$current, until: {time: 1 s}}]}\n"
        "afterwards:\n  - rest: {for: 1 s}\n"
    )
    program = compiled(text, cell, channel)
    assert [(leaf.label, len(loops)) for leaf, loops in program.walk()] == [
        ("steps 1 › rest", 0),
        ("steps 2 › repeat › repeat 1 › rest 1", 2),
        ("steps 2 › repeat › constant_current 2", 1),
        ("steps 3 › ramp 0.3 mA/cm² › constant_current 1", 0),
        ("steps 3 › ramp 0.4 mA/cm² › constant_current 1", 0),
    ]
    [after] = program.afterwards
    assert isinstance(after, Rest)
    assert (after.index, after.label) == (5, "afterwards 1 › rest")
    assert program.duration_s() == pytest.approx(1 + 10000 * 4 + 2)


# What ends a step


def test_capacity_without_a_counter_is_exactly_its_time(cell: Cell, channel: Capabilities) -> None:
    step = driven("areal_capacity: 0.2 mAh/cm²", cell, channel, "0.5 mA/cm²")
    assert step.duration_s == pytest.approx(0.4 * 3600, rel=1e-12)
    assert step.charge_C == pytest.approx(step.duration_s * step.current_A)
    assert step.ends_by == "time"


def test_capacity_with_a_counter_leaves_the_end_to_it(cell: Cell, channel: Capabilities) -> None:
    step = driven("charge: 1 mAh", cell, but(channel, charge_counter=True))
    assert step.ends_by == "charge"
    assert step.charge_C == pytest.approx(3.6)
    assert step.duration_s == pytest.approx(1.05 * 3600)


def test_the_first_of_several_ends_counts(cell: Cell, channel: Capabilities) -> None:
    assert driven("charge: 1 mAh, time: 2 h", cell, channel).duration_s == pytest.approx(3600)
    by_time = driven("charge: 1 mAh, time: 30 min", cell, channel)
    assert by_time.duration_s == 1800
    assert by_time.charge_C == pytest.approx(1.8)
    counted = driven("charge: 1 mAh, time: 30 min", cell, but(channel, charge_counter=True))
    assert (counted.duration_s, counted.ends_by) == (1800, "time")


def test_a_voltage_ends_a_step_inside_the_time_of_the_lithium_at_hand(
    cell: Cell, channel: Capabilities
) -> None:
    thin = but(cell, working=Electrode(inventory_C_per_m2=MAH_PER_CM2), counter=Electrode())
    step = driven("voltage: 0.5 V", thin, channel, "1 mA/cm²")
    assert (step.ends_by, step.until_voltage_V, step.charge_C) == ("voltage", 0.5, None)
    assert step.duration_s == pytest.approx(1.05 * 3600)
    full = but(thin, geometry="full", capacity_C=7.2, voltage_min_V=-1.0, voltage_max_V=4.0)
    assert driven("voltage: 0 V", full, channel, "-1 mA").duration_s == pytest.approx(1.05 * 7200)


def test_a_voltage_with_a_time_needs_no_inventory(cell: Cell, channel: Capabilities) -> None:
    unknown = but(cell, working=Electrode(), counter=Electrode())
    assert driven("voltage: -0.5 V, time: 1 h", unknown, channel, "-1 mA").duration_s == 3600
    text = "steps:\n  - constant_current: {current: -1 mA, until: {voltage: -0.5 V}}\n"
    [problem] = problems(text, unknown, channel)
    assert (problem.line, problem.column) == (4, 47)
    assert "counter: {lithium" in problem.hint


# Limits


@pytest.mark.parametrize(
    ("electrolyte", "limit"),
    [("sulfide", 1.5), ("garnet", 2.0), ("polymer", 3.0)],
)
def test_the_default_voltage_limit_follows_the_electrolyte(
    electrolyte: str, limit: float, cell: Cell, channel: Capabilities
) -> None:
    program = compiled("steps: [rest: {for: 1 s}]\n", but(cell, electrolyte_class=electrolyte), channel)
    assert (program.limits.voltage_min_V, program.limits.voltage_max_V) == (-limit, limit)


def test_a_full_cell_has_the_window_of_its_file_or_is_refused(cell: Cell, channel: Capabilities) -> None:
    text = "steps: [rest: {for: 1 s}]\n"
    full = but(cell, geometry="full", voltage_min_V=2.7, voltage_max_V=4.3)
    limits = compiled(text, full, channel).limits
    assert (limits.voltage_min_V, limits.voltage_max_V) == (2.7, 4.3)
    [problem] = problems(text, but(cell, geometry="full"), channel)
    assert "voltage_window" in problem.hint


def test_a_protocol_may_widen_the_limit_within_the_range_of_the_channel(
    cell: Cell, channel: Capabilities
) -> None:
    text = "limits: {voltage: 5 V}\nsteps: [rest: {for: 1 s}]\n"
    assert compiled(text, cell, channel).limits.voltage_max_V == 5.0
    [problem] = problems(text.replace("5 V", "10 V"), cell, channel)
    assert (problem.line, problem.column) == (3, 19)
    assert "range of the channel" in problem.message


def test_a_symmetric_cell_needs_a_channel_for_both_signs(cell: Cell, channel: Capabilities) -> None:
    [problem] = problems("steps: [rest: {for: 1 s}]\n", cell, but(channel, voltage_min_V=0.0))
    assert "not inside the range" in problem.message
    [problem] = problems(
        "limits: {voltage: {from: 1 mV, to: 2 V}}\nsteps: [rest: {for: 1 s}]\n", cell, channel
    )
    assert "both sides" in problem.message


def test_the_current_limit_stands_above_direct_current_and_peak(cell: Cell, channel: Capabilities) -> None:
    geis = "geis: {current: 2 mA, amplitude: 0.5 mA, frequency: {from: 1 kHz, to: 1 Hz}}"
    text = f"steps:\n  - {geis}\n  - constant_current: {{current: -2.2 mA, until: {{time: 1 h}}}}\n"
    assert compiled(text, cell, channel).limits.current_max_A == pytest.approx(1.05 * 2.5e-3)
    assert compiled(text, cell, but(channel, current_max_A=2.55e-3)).limits.current_max_A == 2.55e-3
    assert compiled("limits: {current: 8 mA/cm²}\n" + text, cell, channel).limits.current_max_A == 4e-3
    [low] = problems("limits: {current: 2.3 mA}\n" + text, cell, channel)
    assert (low.line, low.column) == (3, 19)
    [high] = problems("limits: {current: 0.6 A}\n" + text, cell, channel)
    assert "above what the channel can do" in high.message


# What the channel cannot do

GEIS = "geis: {amplitude: 1 mA, frequency: {from: 10 MHz, to: 1 Hz}}"


@pytest.mark.parametrize(
    ("step", "changes", "column", "message"),
    [
        (GEIS, {}, 47, "'10 MHz' is outside the channel's range"),
        (GEIS.replace("1 Hz", "1 nHz").replace("10 M", "1 M"), {}, 58, "outside the channel's range"),
        (GEIS, {"frequency_max_Hz": None}, 11, "can't measure impedance"),
        (
            GEIS.replace("10 MHz", "1 MHz").replace("1 mA", "0.45 A"),
            {"current_ranges_A": (0.5,)},
            23,
            "peak is",
        ),
        (GEIS.replace("amplitude", "current: 0.4 A, amplitude").replace("1 mA", "0.2 A"), {}, 39, "together"),
        ("constant_current: {current: 0.6 A, until: {time: 1 h}}", {}, 33, "more than the channel can drive"),
        (
            "constant_current: {current: 2 A/cm², until: {time: 1 h}}",
            {},
            33,
            "more than the channel can drive",
        ),
        ("constant_current: {current: 1 mA, until: {voltage: 2 V}}", {}, 56, "safety limit itself"),
        ("constant_current: {current: 1 mA, until: {voltage: -2.1 V}}", {}, 56, "safety limits"),
    ],
)
def test_what_the_channel_cannot_do_is_an_error_with_its_place(
    step: str, changes: dict[str, Any], column: int, message: str, cell: Cell, channel: Capabilities
) -> None:
    found = problems(f"steps:\n  - {step}\n", cell, but(channel, **changes))
    matching = [problem for problem in found if message in problem.message]
    assert matching, found
    assert (matching[0].line, matching[0].column) == (4, column)


def test_every_level_of_a_ramp_is_checked_and_its_place_named_once(cell: Cell, channel: Capabilities) -> None:
    text = (
        "steps:\n  - ramp:\n      current: {from: 0.3 A, step: 0.1 A, to: 0.9 A}\n      steps:\n"
        "        - constant_current: {current: $current, until: {time: 1 h}}\n"
    )
    [problem] = problems(text, cell, channel)
    assert problem.line == 7
    assert "600 mA" in problem.message


def test_a_channel_that_samples_slowly_cannot_watch_fast(cell: Cell, channel: Capabilities) -> None:
    [problem] = problems(
        "watch: 0.1 s\nsteps: [rest: {for: 1 s}]\n", cell, but(channel, sample_interval_min_s=1.0)
    )
    assert (problem.line, problem.column) == (3, 8)


def test_after_the_end_the_signal_is_small_against_the_smallest_test_current(
    cell: Cell, channel: Capabilities
) -> None:
    text = (
        "steps:\n  - ramp: {current: {from: 1 mA, step: 1 mA, to: 3 mA}, "
        "steps: [constant_current: {current: $current, until: {time: 1 h}}]}\n"
        "afterwards:\n  - geis: {amplitude: 0.1 mA, frequency: {from: 1 kHz, to: 1 Hz}}\n"
    )
    assert compiled(text, cell, channel).afterwards
    [problem] = problems(text.replace("0.1 mA", "0.11 mA"), cell, channel)
    assert (problem.line, problem.column) == (6, 23)
    assert "0.1 mA" in problem.message


def test_too_many_steps_are_refused(cell: Cell, channel: Capabilities) -> None:
    rests = ", ".join(["rest: {for: 1 s}"] * 30)
    text = f"steps:\n  - ramp: {{current: {{from: 1 µA, step: 1 µA, to: 1 mA}}, steps: [{rests}]}}\n"
    assert "more than" in problems(text, cell, channel)[0].message


def test_problems_of_several_kinds_are_told_together(cell: Cell, channel: Capabilities) -> None:
    current = "constant_current: {current: 9 A, until: {time: 1 h}}"
    text = f"limits: {{voltage: 20 V}}\nsteps:\n  - {GEIS}\n  - {current}\n"
    assert [problem.line for problem in problems(text, cell, channel)] == [3, 5, 6]


@given(
    levels=st.integers(1, 30),
    start=st.integers(1, 50),
    step=st.integers(1, 50),
)
def test_a_ramp_has_the_levels_that_were_written(levels: int, start: int, step: int) -> None:
    highest = start + (levels - 1) * step
    text = (
        f"steps:\n  - ramp: {{current: {{from: {start / 100} mA/cm², step: {step / 100} mA/cm², "
        f"to: {highest / 100} mA/cm²}},\n"
        "           steps: [constant_current: {current: $current, until: {time: 1 h}}]}\n"
    )
    cell = Cell(name="c", area_m2=1e-4)
    channel = Capabilities(
        model="any",
        current_max_A=1.0,
        voltage_min_V=-10,
        voltage_max_V=10,
        current_ranges_A=(1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0),
    )
    nodes: tuple[Node, ...] = compiled(text, cell, channel).steps
    currents = [node.current_A for node in nodes if isinstance(node, ConstantCurrent)]
    assert currents == pytest.approx([(start + k * step) * 1e-5 for k in range(levels)])
