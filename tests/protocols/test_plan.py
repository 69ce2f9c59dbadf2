"""What a plan says before anything moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.capabilities import Capabilities
from protocols.cell import Cell, Electrode
from protocols.compile import compile_program
from protocols.nodes import ConstantCurrent, Node, Repeat
from protocols.plan import Plan, make_plan
from protocols.program import Limits, Program
from protocols.protocol import load_protocol, parse_protocol


def plan_of(text: str, cell: Cell, channel: Capabilities) -> Plan:
    protocol = parse_protocol("sandtime: 1\nname: x\n" + text, "f.yaml", {})
    return make_plan(compile_program(protocol, cell, channel), channel)


def library_plan(name: str, cell: Cell, channel: Capabilities, **settings: str) -> Plan:
    return make_plan(compile_program(load_protocol(name, settings), cell, channel), channel)


def test_times_and_charges_of_cycling(cell: Cell, channel: Capabilities) -> None:
    plan = library_plan("symmetric_cycling", cell, channel, cycles="7")
    half_cycle_C = 0.5 * 3.6 * 0.5  # 0.5 mAh/cm² on 0.5 cm²
    assert plan.duration_s == pytest.approx(7 * 2 * 3600 + 60 + 10)
    assert plan.charge_C == pytest.approx(14 * half_cycle_C)
    assert plan.net_charge_C == pytest.approx(half_cycle_C)
    assert plan.max_current_A == pytest.approx(0.25e-3)
    assert plan.voltage_limit_V == 2.0
    assert not plan.warnings
    assert [(step.step, step.passes) for step in plan.steps] == [(0, 1), (1, 7), (2, 7), (3, 1)]


def test_one_way_current_takes_all_from_one_side(cell: Cell, channel: Capabilities) -> None:
    plan = library_plan("unidirectional_geis", cell, channel)
    assert plan.net_charge_C == pytest.approx(plan.charge_C)
    assert plan.net_charge_C == pytest.approx(15 * 3.6 * 0.5, rel=0.01)
    assert not plan.warnings
    thin = cell.model_copy(update={"working": Electrode(inventory_C_per_m2=10 * 36e3)})
    [warning] = library_plan("unidirectional_geis", thin, channel).warnings
    assert "working" in warning
    assert "10 mAh/cm²" in warning


def test_a_full_ramp_moves_more_lithium_than_the_cell_has(cell: Cell, channel: Capabilities) -> None:
    plan = library_plan("ccd_constant_time", cell, channel)
    # 1 h at 0.1 + 0.2 + … + 4.0 mA/cm²
    assert plan.charge_C == pytest.approx(2 * sum(k / 10 for k in range(1, 41)) * 3.6 * 0.5)
    lithium = [w for w in plan.warnings if "electrode" in w]
    assert [("working" in w, "counter" in w) for w in lithium] == [(True, False), (False, True)]
    capacity = library_plan("ccd_constant_capacity", cell, channel)
    assert not [w for w in capacity.warnings if "electrode" in w]


def test_a_ramp_that_no_single_range_serves_marks_its_changes(cell: Cell, channel: Capabilities) -> None:
    changes = [w for w in library_plan("ccd_constant_time", cell, channel).warnings if "range" in w]
    assert ["0.1 mA to 1 mA" in w or "1 mA to 10 mA" in w for w in changes] == [True, True]
    accurate = channel.model_copy(update={"current_accuracy": 1e-4})
    plan = library_plan("ccd_constant_time", cell, accurate)
    assert not [w for w in plan.warnings if "range" in w]


def test_who_holds_what(cell: Cell, channel: Capabilities) -> None:
    plan = library_plan("unidirectional_geis", cell, channel)
    assert "constant_current: voltage within -2 … 2 V" in plan.held_on_board
    assert "constant_current: duration" in plan.held_on_board
    assert "geis: voltage within -2 … 2 V" in plan.held_by_host
    assert "rest: voltage within -2 … 2 V" in plan.held_by_host
    assert not set(plan.held_on_board) & set(plan.held_by_host)


@pytest.mark.parametrize(("current", "opposite"), [("1 mA", "-2 V"), ("-1 mA", "2 V")])
def test_the_opposite_limit_of_a_step_that_ends_by_voltage(
    current: str, opposite: str, cell: Cell, channel: Capabilities
) -> None:
    text = f"steps:\n  - constant_current: {{current: {current}, until: {{voltage: 0 V}}}}\n"
    sentence = f"constant_current that ends by voltage: opposite limit {opposite}"
    assert sentence in plan_of(text, cell, channel).held_by_host
    able = channel.model_copy(update={"opposite_voltage_on_board": True})
    assert sentence in plan_of(text, cell, able).held_on_board


def test_what_the_instrument_does_when_the_host_dies_is_told(cell: Cell, channel: Capabilities) -> None:
    careless = channel.model_copy(update={"at_host_loss": "stays on", "open_circuit": False})
    plan = plan_of("steps: [rest: {for: 1 s}]\n", cell, careless)
    assert any("stays driven" in warning for warning in plan.warnings)
    assert any("open the circuit" in warning for warning in plan.warnings)


def test_limits_wider_than_the_window_of_the_cell_are_told(cell: Cell, channel: Capabilities) -> None:
    careful = cell.model_copy(update={"voltage_min_V": -1.0, "voltage_max_V": 1.0})
    assert not plan_of("steps: [rest: {for: 1 s}]\n", careful, channel).warnings
    [warning] = plan_of("limits: {voltage: 2 V}\nsteps: [rest: {for: 1 s}]\n", careful, channel).warnings
    assert "wider" in warning


currents = st.integers(-20, 20).filter(bool)
leaves: st.SearchStrategy[Node] = currents.map(
    lambda current: ConstantCurrent(index=0, label="", current_A=current * 1e-3, duration_s=1.0)
)
trees: st.SearchStrategy[Node] = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda total, body: Repeat(total=total, stop=total, body=tuple(body)),
        st.integers(1, 4),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


def written_out(node: Node) -> list[float]:
    """Return the charge of every pass of every step."""
    if isinstance(node, Repeat):
        return [charge for _ in range(node.total) for child in node.body for charge in written_out(child)]
    assert isinstance(node, ConstantCurrent)
    return [node.current_A * node.duration_s]


@given(trees)
def test_net_and_gross_charge_are_those_of_the_written_out_program(tree: Node) -> None:
    limits = Limits(voltage_min_V=-1, voltage_max_V=1, current_max_A=1)
    program = Program(protocol="x", cell=Cell(name="c", area_m2=1e-4), limits=limits, steps=(tree,))
    plan = make_plan(program, Capabilities(model="m", current_max_A=1, voltage_min_V=-5, voltage_max_V=5))
    net, largest = 0.0, 0.0
    for charge in written_out(tree):
        net += charge
        largest = max(largest, abs(net))
    assert plan.net_charge_C == pytest.approx(largest, abs=1e-12)
    assert plan.charge_C == pytest.approx(sum(map(abs, written_out(tree))))


def test_a_cell_that_no_guard_understands_is_warned_of(cell: Cell, channel: Capabilities) -> None:
    full = cell.model_copy(update={"geometry": "full", "voltage_min_V": 2.5, "voltage_max_V": 4.0})
    text = "steps:\n  - constant_current: {current: 0.1 mA/cm², until: {time: 1 h}}\n"
    blocking = cell.model_copy(update={"geometry": "blocking"})
    assert any("limits alone" in warning for warning in plan_of(text, blocking, channel).warnings)
    for watched in (full, cell):
        assert not any("limits alone" in warning for warning in plan_of(text, watched, channel).warnings)
