"""Each word of the language, compiled: which steps in which order, in A, V and s for one cell."""

from __future__ import annotations

import pytest

from protocols import tree
from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.errors import InvalidFileError
from protocols.nodes import (
    ChargePassed,
    ConstantCurrent,
    ConstantVoltage,
    Decision,
    Drift,
    Geis,
    Message,
    Node,
    OnPasses,
    Peis,
    Person,
    Repeat,
    Rest,
    Soak,
    Steady,
    Step,
    Vertex,
    VoltageSweep,
)
from protocols.program import Program
from protocols.protocol import parse_protocol

FULL = """\
sandtime: 1
name: LFP
geometry: full
area: 1 cm²
mass: 10 mg
capacity: 2 mAh
voltage_window: {from: -1 V, to: 5 V}
temperature_window: {from: 0 °C, to: 80 °C}
"""


@pytest.fixture
def full() -> Cell:
    return parse_cell(FULL, "cell.yaml")


def program(text: str, cell: Cell, channel: Capabilities) -> Program:
    return compile_program(parse_protocol(f"sandtime: 1\nname: x\n{text}", "f.yaml"), cell, channel)


def steps(text: str, cell: Cell, channel: Capabilities) -> tuple[Node, ...]:
    return program(f"steps:\n  - {text}\n", cell, channel).steps


def test_rests_end_by_time_or_by_drift(full: Cell, channel: Capabilities) -> None:
    [plain] = steps("rest: {for: 90 s}", full, channel)
    assert isinstance(plain, Rest)
    assert (plain.duration_s, plain.host_ends) == (90.0, ())
    [until] = steps("rest: {until: {drift: 3.6 mV/h, time: 2 h, over: 5 min}}", full, channel)
    assert isinstance(until, Rest)
    assert until.duration_s == 7200.0
    [drift] = until.host_ends
    assert isinstance(drift, Drift)
    assert drift.rate_V_per_s == pytest.approx(1e-6)
    assert drift.over_s == 300.0


@pytest.mark.parametrize(
    ("current", "expected_A"),
    [
        ("2 mA", 2e-3),
        ("1 mA/cm²", 1e-3),
        ("0.5 C", 1e-3),
        ("-C/4", -0.5e-3),
        ("100 mA/g", 1e-3),
    ],
)
def test_currents_of_every_kind_become_amperes_of_the_cell(
    current: str, expected_A: float, full: Cell, channel: Capabilities
) -> None:
    [step] = steps(f"constant_current: {{current: {current}, until: {{time: 1 h}}}}", full, channel)
    assert isinstance(step, ConstantCurrent)
    assert step.current_A == pytest.approx(expected_A)


@pytest.mark.parametrize(
    "until", ["areal_capacity: 0.5 mAh/cm²", "charge: 0.5 mAh", "specific_capacity: 50 mAh/g"]
)
def test_charges_of_every_kind_end_a_step_after_their_time(
    until: str, full: Cell, channel: Capabilities
) -> None:
    [step] = steps(f"constant_current: {{current: 1 mA, until: {{{until}}}}}", full, channel)
    assert isinstance(step, ConstantCurrent)
    assert step.duration_s == pytest.approx(1800.0)
    assert step.charge_C == pytest.approx(1.8)


@pytest.mark.parametrize("missing", ["capacity: 2 mAh", "mass: 10 mg"])
def test_what_the_cell_file_lacks_is_named_with_what_to_add(missing: str, channel: Capabilities) -> None:
    cell = parse_cell(FULL.replace(missing + "\n", ""), "cell.yaml")
    current = "0.5 C" if "capacity" in missing else "100 mA/g"
    with pytest.raises(InvalidFileError) as caught:
        steps(f"constant_current: {{current: {current}, until: {{time: 1 h}}}}", cell, channel)
    [problem] = caught.value.problems
    assert missing.split(":", maxsplit=1)[0] in problem.message
    assert problem.hint.startswith("Add to the cell file")
    assert (problem.line, problem.column) == (4, 33)


def test_cc_cv_is_a_current_to_a_voltage_and_then_this_voltage(full: Cell, channel: Capabilities) -> None:
    first, second = steps(
        "cc_cv: {current: 0.5 C, voltage: 3.8 V, until: {current: 0.05 C, time: 4 h}}", full, channel
    )
    assert isinstance(first, ConstantCurrent)
    assert (first.until_voltage_V, first.ends_by) == (3.8, "voltage")
    assert isinstance(second, ConstantVoltage)
    assert (second.voltage_V, second.duration_s) == (3.8, 4 * 3600)
    assert second.until_current_A == pytest.approx(1e-4)
    assert second.set_current_A == first.current_A


def test_a_constant_voltage_ends_by_what_is_written(full: Cell, channel: Capabilities) -> None:
    [step] = steps(
        "constant_voltage: {voltage: 10 mV vs ocv, until: {steady: {change: 1 %, over: 20 min}, "
        "areal_capacity: 0.1 mAh/cm², time: 6 h}}",
        full,
        channel,
    )
    assert isinstance(step, ConstantVoltage)
    assert (step.voltage_V, step.relative) == (0.01, True)
    steady, charge = step.host_ends
    assert steady == Steady(change=0.01, over_s=1200.0)
    assert isinstance(charge, ChargePassed)
    assert charge.charge_C == pytest.approx(0.36)


@pytest.mark.parametrize("voltage", ["0 V", "-0.5 V"])
def test_zero_and_negative_voltages_are_ordinary(voltage: str, full: Cell, channel: Capabilities) -> None:
    [held] = steps(f"constant_voltage: {{voltage: {voltage}, until: {{time: 1 h}}}}", full, channel)
    [driven] = steps(
        f"constant_current: {{current: -1 mA, until: {{voltage: {voltage}, time: 1 h}}}}", full, channel
    )
    assert isinstance(held, ConstantVoltage)
    assert isinstance(driven, ConstantCurrent)
    assert held.voltage_V == driven.until_voltage_V == float(voltage.split(maxsplit=1)[0])


def test_a_sweep_begins_at_open_circuit_unless_told(full: Cell, channel: Capabilities) -> None:
    [sweep] = steps("linear_sweep: {to: 2.0 V, rate: 0.1 mV/s}", full, channel)
    assert isinstance(sweep, VoltageSweep)
    assert sweep.vertices == (Vertex(voltage_V=0.0, relative=True), Vertex(voltage_V=2.0))
    # The open-circuit voltage may be anywhere in the window: −1 V is the farthest from 2 V.
    assert sweep.duration_s == pytest.approx(3.0 / 1e-4)


def test_cyclic_voltammetry_loops_between_its_vertices_at_each_rate(
    full: Cell, channel: Capabilities
) -> None:
    lead, *loops = steps(
        "cyclic_voltammetry: {first: 4 V, second: 2.6 V, rates: [0.1 mV/s, 1 mV/s], cycles: 3}", full, channel
    )
    assert isinstance(lead, VoltageSweep)
    assert [vertex.voltage_V for vertex in lead.vertices] == [0.0, 4.0]
    assert len(loops) == 2
    for loop, rate in zip(loops, (1e-4, 1e-3), strict=True):
        assert isinstance(loop, Repeat)
        [cycle] = loop.body
        assert isinstance(cycle, VoltageSweep)
        assert loop.total == 3
        assert [vertex.voltage_V for vertex in cycle.vertices] == [4.0, 2.6, 4.0]
        assert cycle.duration_s == pytest.approx(2.8 / rate)


def test_a_tafel_sweep_goes_to_both_sides_of_open_circuit(full: Cell, channel: Capabilities) -> None:
    [sweep] = steps("tafel: {width: 150 mV, rate: 0.5 mV/s}", full, channel)
    assert isinstance(sweep, VoltageSweep)
    assert [(v.voltage_V, v.relative) for v in sweep.vertices] == [(0, True), (-0.15, True), (0.15, True)]
    assert sweep.duration_s == pytest.approx(0.45 / 5e-4)


def test_spectra_of_both_kinds(full: Cell, channel: Capabilities) -> None:
    band = "frequency: {from: 1 MHz, to: 1 Hz}"
    [peis] = steps(f"peis: {{amplitude: 10 mV, {band}}}", full, channel)
    assert isinstance(peis, Peis)
    assert (peis.amplitude_V, peis.voltage_V, peis.relative) == (0.01, 0.0, True)
    [biased] = steps(f"peis: {{voltage: 3.4 V, amplitude: 10 mV rms, {band}}}", full, channel)
    assert isinstance(biased, Peis)
    assert (biased.voltage_V, biased.relative) == (3.4, False)
    assert biased.amplitude_V == pytest.approx(0.01 * 2**0.5)
    [wanted] = steps(f"geis: {{amplitude: {{response: 10 mV, largest: 1 mA}}, {band}}}", full, channel)
    assert isinstance(wanted, Geis)
    assert (wanted.response_V, wanted.amplitude_A) == (0.01, 1e-3)


def test_a_nucleation_step_is_dense_in_its_first_minute(full: Cell, channel: Capabilities) -> None:
    [step] = steps("nucleation: {current: -50 µA, until: {time: 2 h}}", full, channel)
    assert isinstance(step, ConstantCurrent)
    assert (step.dense_s, step.dense_interval_s) == (60.0, 0.1)


def test_dense_samples_are_asked_for_at_the_start_of_every_constant_current(
    full: Cell, channel: Capabilities
) -> None:
    text = "record: {dense: {for: 30 s, every: 0.05 s}}\nsteps:\n  - "
    made = program(text + "constant_current: {current: 1 mA, until: {time: 1 h}}\n", full, channel)
    [step] = made.steps
    assert isinstance(step, ConstantCurrent)
    assert (step.dense_s, step.dense_interval_s) == (30.0, 0.05)


def test_a_person_is_waited_for_at_open_circuit(full: Cell, channel: Capabilities) -> None:
    [wait] = steps("wait_for_person: {message: Open the valve, at_most: 2 d}", full, channel)
    assert isinstance(wait, Rest)
    assert wait.waits == Person(message="Open the valve")
    assert wait.duration_s == 2 * 86400


def test_a_temperature_is_waited_for_and_then_the_cell_itself(full: Cell, channel: Capabilities) -> None:
    spectrum = "peis: {amplitude: 10 mV, frequency: {from: 1 MHz, to: 1 kHz}}"
    wait, first, until_stable = steps(
        "temperature: {to: 60 °C, within: 0.3 K, for: 20 min, soak: 1 h, at_most: 4 h, "
        f"stable: {{change: 2 %, every: 30 min, spectrum: {{{spectrum}}}}}}}",
        full,
        channel,
    )
    assert isinstance(wait, Rest)
    assert isinstance(wait.waits, Soak)
    assert wait.waits.target_K == pytest.approx(333.15)
    assert (wait.waits.tolerance_K, wait.waits.hold_s, wait.waits.soak_s) == (0.3, 1200.0, 3600.0)
    assert isinstance(first, Peis)
    assert isinstance(until_stable, Repeat)
    assert until_stable.total == 8
    assert [type(node) for node in until_stable.body] == [Rest, Peis, Decision, OnPasses]


def test_a_message_and_a_decision_are_the_hosts(full: Cell, channel: Capabilities) -> None:
    made = program(
        "steps:\n"
        "  - repeat:\n"
        "      times: 5\n"
        "      steps:\n"
        "        - constant_current: {current: 1 mA, until: {time: 1 h}}\n"
        "        - if:\n"
        "            when: {retention: {below: 80 %}, charge: {above: 0.5 mAh/cm²}}\n"
        "            then: leave\n"
        "            otherwise: [message: going on]\n",
        full,
        channel,
    )
    [loop] = made.steps
    assert isinstance(loop, Repeat)
    _, decision = loop.body
    assert isinstance(decision, Decision)
    asked = {(criterion.quantity, criterion.comparison): criterion.value for criterion in decision.criteria}
    assert asked == {("retention", "below"): 0.8, ("charge", "above"): pytest.approx(1.8)}
    assert (decision.then, decision.then_jump) == ((), "leave")
    [message] = decision.otherwise
    assert isinstance(message, Message)
    assert message.text == "going on"


def half_cycles(spectra: str, times: int = 6) -> str:
    return (
        f"repeat: {{times: {times}, steps: [\n"
        "      constant_current: {current: 1 mA, until: {time: 1 h}},\n"
        "      constant_current: {current: -1 mA, until: {time: 1 h}}],\n"
        f"      spectra: {{{spectra}, steps: [peis: {{amplitude: 10 mV, "
        "frequency: {from: 1 kHz, to: 1 Hz}}]}}"
    )


def passages(made: tuple[Node, ...]) -> str:
    """Write out what an instrument is given, segment by segment: + and − half-cycles, s spectra."""
    words = {Rest: "r", Peis: "s", Geis: "s"}

    def word(step: Step) -> str:
        if isinstance(step, ConstantCurrent):
            return "+" if step.current_A > 0 else "-"
        return words[type(step)]

    def written(nodes: tuple[Node, ...]) -> str:
        return "".join(
            node.passes * written(node.body) if isinstance(node, Repeat) else word(node)
            for node in tree.parts(nodes)
        )

    return written(tree.leading(made))


@pytest.mark.parametrize(
    ("spectra", "expected"),
    [
        ("every: 2 cycles", "+-+-s+-+-s+-+-s"),
        ("every: 1 cycle", "+-s+-s+-s+-s+-s+-s"),
        ("every: 1 half-cycle", "+s-s+s-s+s-s+s-s+s-s+s-s"),
        ("every: 3 half-cycles", "+-+s-+-s+-+s-+-s"),
        ("every: 4 half-cycles", "+-+-s+-+-s+-+-s"),
        ("every: 5 half-cycles", "+-+-+s-+-+-s+-"),
        ("after_cycles: [1, 4]", "+-s+-+-+-s+-+-"),
        ("every: 30 min", 6 * "+s+s-s-s"),
        ("every: 1 mAh/cm²", 6 * "+s-s"),
        ("every: 0.8 mAh/cm²", 6 * "+s+-s-"),
    ],
)
def test_spectra_come_where_they_are_asked_for(
    spectra: str, expected: str, full: Cell, channel: Capabilities
) -> None:
    assert passages(steps(half_cycles(spectra), full, channel)) == expected


def test_spectra_less_often_than_half_cycles_are_the_hosts_decision(
    full: Cell, channel: Capabilities
) -> None:
    [loop] = steps(half_cycles("every: 5 h"), full, channel)
    assert isinstance(loop, Repeat)
    assert [type(node) for node in loop.body] == 2 * [ConstantCurrent, Decision]
    decision = loop.body[1]
    assert isinstance(decision, Decision)
    [criterion] = decision.criteria
    assert criterion.quantity == "time_since_spectrum"
    assert criterion.value == pytest.approx(5 * 3600, rel=1e-5)


def test_spectra_inside_a_step_are_measured_under_its_current(full: Cell, channel: Capabilities) -> None:
    text = (
        "constant_current: {current: -1 mA, until: {time: 100 min}, spectra: {every: 30 min, steps: "
        "[geis: {current: same, amplitude: 10 µA, frequency: {from: 1 kHz, to: 1 Hz}}]}}"
    )
    loop, rest = steps(text, full, channel)
    assert isinstance(loop, Repeat)
    assert loop.total == 3
    piece, spectrum = loop.body
    assert isinstance(piece, ConstantCurrent)
    assert isinstance(spectrum, Geis)
    assert isinstance(rest, ConstantCurrent)
    assert spectrum.current_A == piece.current_A == -1e-3
    assert piece.duration_s == 1800.0
    assert rest.duration_s == pytest.approx(600.0)


def test_spectra_inside_a_step_that_ends_by_voltage_stop_with_it(full: Cell, channel: Capabilities) -> None:
    text = (
        "constant_current: {current: 1 mA, until: {voltage: 3.8 V}, spectra: {every: 30 min, steps: "
        "[peis: {amplitude: 10 mV, frequency: {from: 1 kHz, to: 1 Hz}}]}}"
    )
    [loop] = steps(text, full, channel)
    assert isinstance(loop, Repeat)
    assert [type(node) for node in loop.body] == [ConstantCurrent, Decision, Peis]
    decision = loop.body[1]
    assert isinstance(decision, Decision)
    assert decision.then_jump == "leave"


def test_ramps_go_over_temperatures_rates_and_lists(full: Cell, channel: Capabilities) -> None:
    rising = steps(
        "ramp: {temperature: {from: 20 °C, step: 20 K, to: 60 °C}, steps: [temperature: {to: $temperature}]}",
        full,
        channel,
    )
    targets = [node.waits for node in rising if isinstance(node, Rest)]
    assert [soak.target_K for soak in targets if isinstance(soak, Soak)] == pytest.approx(
        [293.15, 313.15, 333.15]
    )
    rates = steps(
        "ramp: {rate: [0.1 mV/s, 1 mV/s], steps: [linear_sweep: {from: 2 V, to: 3 V, rate: $rate}]}",
        full,
        channel,
    )
    assert [node.rate_V_per_s for node in rates if isinstance(node, VoltageSweep)] == [1e-4, 1e-3]
    held = steps(
        "ramp: {voltage: [3 V, 3.5 V], steps: [constant_voltage: {voltage: $voltage, until: {time: 1 h}}]}",
        full,
        channel,
    )
    assert [node.voltage_V for node in held if isinstance(node, ConstantVoltage)] == [3.0, 3.5]


def test_ramps_over_two_quantities_stand_in_each_other(full: Cell, channel: Capabilities) -> None:
    made = steps(
        "ramp: {temperature: [20 °C, 40 °C], steps: [temperature: {to: $temperature}, ramp: {current: "
        "[1 mA, 2 mA], steps: [constant_current: {current: -$current, until: {time: 1 h}}]}]}",
        full,
        channel,
    )
    driven = [node.current_A for node in made if isinstance(node, ConstantCurrent)]
    assert driven == [-1e-3, -2e-3, -1e-3, -2e-3]


def test_leave_in_a_ramp_leaves_the_ramp(full: Cell, channel: Capabilities) -> None:
    made = steps(
        "ramp: {current: [1 mA, 2 mA, 3 mA], steps: [constant_current: {current: $current, until: "
        "{time: 1 h}}, if: {when: {overpotential: {above: 1 V}}, then: leave}]}",
        full,
        channel,
    )
    left = tree.remainder(made, tree.last_position(tree.leading(made)))
    assert left is not None
    assert tree.decide(left, answer=True) == ()
    assert isinstance(tree.head(tree.decide(left, answer=False))[0], ConstantCurrent)


def test_cycles_are_numbered_on_through_loops_that_count(full: Cell, channel: Capabilities) -> None:
    made = program(
        "steps:\n"
        "  - rest: {for: 1 s}\n"
        "  - repeat: {times: 3, counts: cycles, steps: "
        "[constant_current: {current: 1 mA, until: {time: 1 h}}]}\n"
        "  - repeat: {times: 2, steps: [repeat: {times: 5, counts: cycles, steps: "
        "[constant_current: {current: 1 mA, until: {time: 1 h}}]}]}\n",
        full,
        channel,
    )
    assert [made.cycle(step, visit) for step, visit in ((0, 0), (1, 0), (1, 2), (2, 0), (2, 9))] == [
        0,
        1,
        3,
        4,
        13,
    ]


def test_a_large_protocol_stays_a_handful_of_nodes(full: Cell, channel: Capabilities) -> None:
    [loop] = steps(half_cycles("every: 7 cycles", times=10_000), full, channel)
    assert isinstance(loop, Repeat)
    assert (loop.total, len(loop.body)) == (10_000, 3)
