"""What holds for every protocol that is accepted, whatever stands in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from library_cells import CELLS
from written_programs import Interpreter, Visit, all_nodes, visit_of

from protocols import tree
from protocols.capabilities import Capabilities
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.errors import InvalidFileError
from protocols.nodes import Decision, Message, Node, Repeat
from protocols.plan import make_plan
from protocols.position import Position
from protocols.program import Program
from protocols.protocol import parse_protocol

CELL = parse_cell(CELLS["rate_test"], "cell.yaml")
CHANNEL = Capabilities(
    model="able",
    current_max_A=0.5,
    voltage_min_V=-10.0,
    voltage_max_V=10.0,
    current_ranges_A=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0),
    step_kinds=("rest", "constant_current", "constant_voltage", "voltage_sweep", "geis", "peis"),
    frequency_min_Hz=1e-5,
    frequency_max_Hz=7e6,
    sample_interval_min_s=0.01,
    temperature_min_K=250.0,
    temperature_max_K=400.0,
)
MOST = 400
"""Visits that a program is followed for."""

BAND = {"from": "1 kHz", "to": "10 Hz"}
currents = st.sampled_from(["1 mA", "-1 mA", "0.5 mA/cm²", "-0.2 C", "C/10", "-50 mA/g"])
times = st.sampled_from(["10 s", "7 min", "1 h", "90 s"])
charges = st.sampled_from(
    [{"areal_capacity": "0.1 mAh/cm²"}, {"charge": "0.05 mAh"}, {"specific_capacity": "9 mAh/g"}]
)
voltages = st.sampled_from(["2.9 V", "3.2 V", "3.9 V"])
spectra: st.SearchStrategy[Any] = st.sampled_from(
    [
        [{"rest": {"for": "30 s"}}, {"peis": {"amplitude": "10 mV", "frequency": BAND}}],
        [{"geis": {"amplitude": "10 µA", "frequency": BAND}}],
        [{"geis": {"amplitude": {"response": "5 mV", "largest": "0.1 mA"}, "frequency": BAND}}],
    ]
)
by_time = st.fixed_dictionaries({"time": times})
exact: st.SearchStrategy[Any] = st.one_of(
    st.builds(lambda time: {"rest": {"for": time}}, times),
    st.builds(
        lambda current, until: {"constant_current": {"current": current, "until": until}},
        currents,
        st.one_of(by_time, charges),
    ),
    st.builds(
        lambda current, until, every, inside: {
            "constant_current": {
                "current": current,
                "until": until,
                "spectra": {"every": every, "steps": inside},
            }
        },
        currents,
        st.one_of(by_time, charges),
        st.sampled_from(["3 min", "0.02 mAh/cm²", "11 min"]),
        spectra,
    ),
)
other: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        lambda v, t: {"constant_voltage": {"voltage": v, "until": {"time": t, "current": "0.01 C"}}},
        voltages,
        times,
    ),
    st.builds(
        lambda i, v: {"cc_cv": {"current": i, "voltage": v, "until": {"current": "0.05 C", "time": "2 h"}}},
        currents,
        voltages,
    ),
    st.builds(lambda v: {"linear_sweep": {"to": v, "rate": "1 mV/s"}}, voltages),
    st.just({"cyclic_voltammetry": {"first": "3.9 V", "second": "2.9 V", "rate": "1 mV/s", "cycles": "2"}}),
    st.just({"tafel": {"width": "50 mV", "rate": "1 mV/s"}}),
    st.just({"rest": {"until": {"drift": "1 mV/h", "time": "1 h"}}}),
    st.just({"temperature": {"to": "60 °C"}}),
    st.just({"message": "well"}),
    st.just({"wait_for_person": {"message": "look"}}),
)


def nested(leaf: st.SearchStrategy[Any], decisions: bool) -> st.SearchStrategy[Any]:
    """Return lists of steps with loops, ramps and, where wanted, decisions around ``leaf``."""

    def around(steps: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        body = st.lists(steps, min_size=1, max_size=3)
        loops = st.builds(
            lambda times, steps, extra: {"repeat": {"times": str(times), "steps": steps, **extra}},
            st.integers(1, 5),
            body,
            st.one_of(
                st.just({}),
                st.builds(
                    lambda every, inside: {"spectra": {"every": every, "steps": inside}},
                    st.sampled_from(
                        ["1 cycle", "2 cycles", "1 half-cycle", "3 half-cycles", "20 min", "5 h"]
                    ),
                    spectra,
                ),
                st.builds(lambda inside: {"spectra": {"after_cycles": ["1"], "steps": inside}}, spectra),
            ),
        )
        ramps = st.builds(lambda steps: {"ramp": {"current": ["0.1 mA", "0.2 mA"], "steps": steps}}, body)
        if not decisions:
            return st.one_of(steps, loops, ramps)
        ways = st.one_of(st.sampled_from(["leave", "end"]), body)
        asked = st.builds(
            lambda then, otherwise: {
                "if": {"when": {"overpotential": {"above": "1 V"}}, "then": then, "otherwise": otherwise}
            },
            ways,
            st.one_of(st.just([]), body),
        )
        return st.one_of(steps, loops, ramps, asked)

    return st.lists(st.recursive(leaf, around, max_leaves=8), min_size=1, max_size=4)


def compiled(steps: list[Any]) -> Program | None:
    """Return the program of a list of steps; None if it is refused, with places."""
    text = f"sandtime: 1\nname: x\nsteps: {json.dumps(steps, ensure_ascii=False)}\n"
    try:
        return compile_program(parse_protocol(text, "f.yaml"), CELL, CHANNEL)
    except InvalidFileError as error:
        assert all(problem.line >= 3 for problem in error.problems)
        return None


def runs(nodes: tuple[Node, ...], answers: list[bool]) -> list[Visit]:
    """Run a program segment by segment, as the engine does; return its visits."""
    visits: list[Visit] = []
    asked = 0
    left = nodes
    while len(visits) < MOST:
        first, opened = tree.head(left)
        if first is None:
            break
        if isinstance(first, Decision | Message):
            visits.append(Visit(first.index, ()))
        if isinstance(first, Decision):
            left = tree.decide(opened, answers[asked % len(answers)])
            asked += 1
        elif isinstance(first, Message):
            left = tree.without_head(opened)
        else:
            segment = tree.leading(left)
            visits += passes(segment)
            behind = tree.remainder(nodes, tree.last_position(segment))
            assert behind is not None
            left = behind
    return visits[:MOST]


def passes(segment: tuple[Node, ...], loops: tuple[int, ...] = ()) -> list[Visit]:
    """Write a segment out."""
    found: list[Visit] = []
    for node in tree.parts(segment):
        if isinstance(node, Repeat):
            for done in range(node.start, node.stop):
                found += passes(node.body, (*loops, done))
        else:
            found.append(visit_of(node, loops))
    return found


examples = settings(
    max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@examples
@given(nested(st.one_of(exact, other), decisions=True), st.lists(st.booleans(), min_size=1, max_size=5))
def test_what_is_accepted_compiles_and_runs_as_it_is_written(steps: list[Any], answers: list[bool]) -> None:
    program = compiled(steps)
    if program is None:
        return
    named = list(all_nodes(program.steps))
    assert [node.index for node in named] == list(range(len(named)))
    assert len({node.label for node in named}) == len(named)
    assert Program.model_validate_json(program.model_dump_json()) == program
    plain = Interpreter(lambda asked: answers[asked % len(answers)], MOST)
    plain.run(program.steps)
    assert runs(program.steps, answers) == plain.visits[:MOST]


@examples
@given(nested(exact, decisions=False))
def test_the_plan_of_steps_by_time_and_charge_is_exact(steps: list[Any]) -> None:
    program = compiled(steps)
    if program is None or any(isinstance(node, Decision) for node in all_nodes(program.steps)):
        return
    plain = Interpreter(lambda asked: True, 100_000)
    plain.run(program.steps)
    plan = make_plan(program, CHANNEL)
    assert plan.duration_s == pytest.approx(sum(visit.seconds for visit in plain.visits))
    assert plan.charge_C == pytest.approx(sum(abs(visit.charge_C) for visit in plain.visits))


@examples
@given(nested(exact, decisions=False), st.floats(0, 1), st.floats(0.01, 0.99))
def test_an_interruption_passes_nothing_twice_and_loses_nothing(
    steps: list[Any], where: float, part: float
) -> None:
    program = compiled(steps)
    if program is None or any(isinstance(node, Decision) for node in all_nodes(program.steps)):
        return
    whole = runs(program.steps, [True])
    number = min(int(where * len(whole)), len(whole) - 1)
    visit = whole[number]
    if len(whole) >= MOST or program.step(visit.index).kind in ("geis", "peis"):
        return
    position = Position(
        step=visit.index, loops=visit.loops, time_s=part * visit.seconds, charge_C=part * visit.charge_C
    )
    left = program.remainder(position).steps
    after = runs_of_remainder(program, left)
    done_s = sum(v.seconds for v in whole[:number]) + position.time_s
    done_C = sum(v.charge_C for v in whole[:number]) + position.charge_C
    assert done_s + sum(v.seconds for v in after) == pytest.approx(sum(v.seconds for v in whole))
    assert done_C + sum(v.charge_C for v in after) == pytest.approx(sum(v.charge_C for v in whole), abs=1e-9)


def runs_of_remainder(program: Program, left: tuple[Node, ...]) -> list[Visit]:
    """Run what is left of a program from its first segment on."""
    segment = tree.leading(left)
    if not segment:
        return []
    behind = tree.remainder(program.steps, tree.last_position(segment))
    assert behind is not None
    return passes(segment) + (runs_of_remainder(program, behind) if behind else [])
