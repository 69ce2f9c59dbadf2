"""aurora-unicycler: what is read, what is refused, and that its own models accept what is written."""

from __future__ import annotations

import json
from typing import Any

import aurora_unicycler as judge
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.compile import compile_program
from protocols.errors import InvalidFileError
from protocols.exchange.conversion import to_battinfo, to_pybamm, to_unicycler
from protocols.exchange.unicycler_reader import read_unicycler
from protocols.nodes import ConstantVoltage, Peis
from protocols.program import Program
from protocols.protocol import parse_protocol

CAPACITY_MAH = 2.0
CELL = Cell(
    name="full cell",
    geometry="full",
    area_m2=1e-4,
    capacity_C=CAPACITY_MAH * 3.6,
    voltage_min_V=-0.5,
    voltage_max_V=5.0,
)
CHANNEL = Capabilities(
    model="any",
    current_max_A=1.0,
    voltage_min_V=-10,
    voltage_max_V=10,
    current_accuracy=1e-6,
    step_kinds=("rest", "constant_current", "constant_voltage", "voltage_sweep", "geis", "peis"),
    frequency_min_Hz=1e-5,
    frequency_max_Hz=1e7,
    sample_interval_min_s=1e-3,
)
WATCHERS = ("guards",)

Json = dict[str, Any]


def protocol(*method: Json, **more: Any) -> Json:
    return {"record": {"time_s": 10}, "method": list(method), **more}


def step(kind: str, **fields: Any) -> Json:
    return {"step": kind, **fields}


REST = step("open_circuit_voltage", until_time_s=60)
CHARGE = step("constant_current", current_mA=1, until_voltage_V=4.2)
HOLD = step("constant_voltage", voltage_V=4.2, until_time_s=3600, until_current_mA=0.1)


def program(content: Json) -> Program:
    return compile_program(parse_protocol(read_unicycler(json.dumps(content)), "f"), CELL, CHANNEL)


def refusal(content: Json | str) -> str:
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    with pytest.raises(InvalidFileError) as caught:
        read_unicycler(text, "cycling.json")
    return str(caught.value)


def method_of(content: Json) -> list[Json]:
    steps: list[Json] = to_unicycler(program(content), WATCHERS)["method"]
    return steps


def test_every_kind_of_step_is_read() -> None:
    text = read_unicycler(
        json.dumps(
            protocol(
                REST,
                step("constant_current", rate_C="D/2", until_time_s=1800, until_voltage_V=3.0),
                HOLD,
                step("voltage_scan", start_voltage_V=3, end_voltage_V=4, scan_rate_mV_per_s=0.1),
                step(
                    "impedance_spectroscopy", amplitude_mA=0.05, start_frequency_Hz=1e5, end_frequency_Hz=0.1
                ),
                sample={"name": "coin 7", "capacity_mAh": CAPACITY_MAH},
            )
        )
    )
    for words in (
        "rest: {for: 1 min}",
        "constant_current: {current: -0.5 C, until: {voltage: 3 V, time: 30 min}}",
        "constant_voltage: {voltage: 4.2 V, until: {current: 0.1 mA, time: 1 h}}",
        "linear_sweep: {from: 3 V, to: 4 V, rate: 0.1 mV/s}",
        "geis: {amplitude: 0.05 mA, frequency: {from: 100000 Hz, to: 0.1 Hz}",
        "for the sample coin 7",
        "capacity: 2 mAh",
    ):
        assert words in text


def test_a_charge_to_a_voltage_and_its_hold_become_one_half_cycle() -> None:
    text = read_unicycler(json.dumps(protocol(CHARGE, HOLD)))
    assert "cc_cv: {current: 1 mA, voltage: 4.2 V, until: {current: 0.1 mA, time: 1 h}}" in text
    held = program(protocol(CHARGE, HOLD)).step(1)
    assert isinstance(held, ConstantVoltage)
    assert held.set_current_A == pytest.approx(1e-3)


@pytest.mark.parametrize(
    "first", [{**CHARGE, "until_time_s": 60}, {**CHARGE, "until_voltage_V": 4.1}], ids=["time", "voltage"]
)
def test_a_hold_that_is_no_continuation_stays_a_step(first: Json) -> None:
    assert "constant_voltage:" in read_unicycler(json.dumps(protocol(first, HOLD)))


def test_amplitudes_are_peaks() -> None:
    spectrum = step("impedance_spectroscopy", amplitude_V=0.01, start_frequency_Hz=1e5, end_frequency_Hz=1)
    found = program(protocol(spectrum)).step(0)
    assert isinstance(found, Peis)
    assert found.amplitude_V == pytest.approx(0.01)


def test_loops_nest_by_tag_and_by_number() -> None:
    content = protocol(
        step("tag", tag="outer"),
        REST,
        CHARGE,
        step("loop", loop_to=2, cycle_count=3),
        step("loop", loop_to="outer", cycle_count=2),
    )
    method = method_of(content)
    assert [item["step"] for item in method] == [
        "tag",
        "tag",
        "open_circuit_voltage",
        "constant_current",
        "loop",
        "loop",
    ]
    assert [item["cycle_count"] for item in method if item["step"] == "loop"] == [3, 2]


@pytest.mark.parametrize(
    ("loops", "words"),
    [
        (
            [REST, CHARGE, step("loop", loop_to="x", cycle_count=2)],
            "$.method[2].loop_to: There is no tag 'x'",
        ),
        ([REST, step("loop", loop_to=2, cycle_count=2)], "before it"),
        ([REST, step("tag", tag="a"), step("loop", loop_to="a", cycle_count=2)], "no step in this loop"),
        (
            [
                REST,
                CHARGE,
                step("loop", loop_to=1, cycle_count=2),
                REST,
                step("loop", loop_to=2, cycle_count=2),
            ],
            "$.method[4].loop_to: This loop goes back into another loop",
        ),
        (
            [REST, step("loop", loop_to=1, cycle_count=2), REST, step("loop", loop_to=2, cycle_count=2)],
            "back to another loop",
        ),
        (
            [step("tag", tag="a"), REST, step("tag", tag="a"), REST],
            "$.method[2].tag: This tag is written twice",
        ),
        ([step("tag", tag="a")], "no step that does anything"),
    ],
)
def test_loops_that_do_not_nest_are_refused(loops: list[Json], words: str) -> None:
    assert words in refusal(protocol(*loops))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (protocol({**REST, "until_tim_s": 1}), "$.method[0].until_tim_s: This key is not known"),
        (protocol(REST, temperature=25), "$.temperature: This key is not known"),
        (protocol(REST, safety={"max_volt": 5}), "$.safety.max_volt: This key is not known"),
        (protocol(step("rest", until_time_s=1)), "There is no step 'rest'"),
        ({"method": [REST]}, "$.record: This is missing"),
        (protocol({**CHARGE, "until_voltage_V": 0, "until_time_s": 5}), "until_voltage_V: An end at 0"),
        (protocol({**HOLD, "until_time_s": 0}), "until_time_s: An end at 0"),
        (protocol({**CHARGE, "current_mA": 0}), "no current"),
        (protocol({**CHARGE, "rate_C": "C/x"}), "'x' is no number"),
        (protocol({**CHARGE, "current_mA": 1e300}), "no value of an electrochemical test"),
        (protocol(REST, safety={"max_capacity_mAh": 3}), "max_capacity_mAh"),
        (protocol(REST, safety={"max_voltage_V": 5}), "Add 'min_voltage_V'"),
        (protocol(REST, safety={"max_current_mA": -1}), "both sides of 0 mA"),
        (
            protocol(
                step(
                    "impedance_spectroscopy",
                    amplitude_V=0.01,
                    start_frequency_Hz=1e5,
                    end_frequency_Hz=1,
                    drift_correction=True,
                )
            ),
            "Drift correction has no word",
        ),
        ('{"record": {"time_s": NaN}}', "NaN is no number"),
        ('{"record": 1, "record": 2}', "'record' is written twice"),
        ('{\n "record": }', "cycling.json:2:"),
        ("[" * 100_000, "can't be read as JSON"),
        ("[]", "cycling.json"),
    ],
)
def test_what_has_no_word_is_refused_with_its_place(content: Json | str, words: str) -> None:
    assert words in refusal(content)


def test_a_refusal_names_the_line() -> None:
    text = json.dumps(protocol({**REST, "colour": "red"}), indent=1)
    line = 1 + next(number for number, words in enumerate(text.splitlines()) if "colour" in words)
    assert refusal(protocol({**REST, "colour": "red"})).startswith(f"cycling.json:{line}:")


def test_safety_becomes_limits_and_what_is_stricter_is_said() -> None:
    safety = {"min_voltage_V": 2, "max_voltage_V": 4.5, "max_current_mA": 5, "delay_s": 3}
    text = read_unicycler(json.dumps(protocol(CHARGE, safety=safety)))
    assert "voltage: {from: 2 V, to: 4.5 V}" in text
    assert "current: 5 mA" in text
    assert "Stricter than safety.delay_s = 3" in text
    assert "Stricter than the limits of current, 5 mA and none" in text
    assert program(protocol(CHARGE, safety=safety)).limits.current_max_A == pytest.approx(5e-3)


def test_a_strangers_words_stay_comments_and_names() -> None:
    evil = "x\nsteps:\n  - rest: {for: 9 h}\n#"
    content = protocol(step("tag", tag=evil), {**REST, "id": evil}, sample={"name": evil})
    read = parse_protocol(read_unicycler(json.dumps(content), "a$b\n'\".json"), "f")
    assert read.name == "a_b_'\""
    assert len(read.content.steps) == 1


def written_out(method: list[Json]) -> list[Json]:
    """Return the steps in the order in which they run, without tags and loops."""
    found: list[tuple[int, Json]] = []
    tags: dict[str, int] = {}
    for place, item in enumerate(method):
        if item["step"] == "tag":
            tags[item["tag"]] = place
        elif item["step"] == "loop":
            body = [entry for entry in found if entry[0] >= tags[item["loop_to"]]]
            # All passes stand where the loop began, so that an outer loop takes them along.
            found += body * (item["cycle_count"] - 1)
        else:
            found.append((place, item))
    return [item for _, item in found]


KEYS = st.sampled_from(
    [
        "record",
        "method",
        "safety",
        "sample",
        "step",
        "time_s",
        "until_time_s",
        "rate_C",
        "loop_to",
        "tag",
        "id",
    ]
)
KINDS = st.sampled_from(
    ["constant_current", "open_circuit_voltage", "loop", "tag", "C/0", "1/5", "", "$x", "\ud800"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


@given(
    steps=st.lists(
        st.dictionaries(KEYS, JSON, max_size=4) | st.fixed_dictionaries({"step": KINDS}), max_size=4
    ),
    other=JSON,
)
def test_any_json_is_read_or_refused(steps: list[Any], other: Any) -> None:
    for content in (other, protocol(*steps), protocol(REST, sample=other), protocol(REST, safety=other)):
        try:
            text = read_unicycler(json.dumps(content))
        except InvalidFileError as error:
            assert error.problems
        else:
            assert parse_protocol(text, "f").content.steps


VOLTS = st.floats(0.1, 4.8).map(lambda value: round(value, 3))
SECONDS = st.integers(1, 100_000)
RATES = st.floats(0.02, 5).map(lambda value: round(value, 2)) | st.just("C/3")
ENDS_OF_CURRENT = st.fixed_dictionaries({"until_time_s": SECONDS}, optional={"until_voltage_V": VOLTS})
CURRENTS = st.fixed_dictionaries({"rate_C": RATES}) | st.fixed_dictionaries(
    {"current_mA": st.sampled_from([-3.5, -0.1, 0.25, 1.0])}
)
SPECTRUM = st.fixed_dictionaries(
    {"start_frequency_Hz": st.just(1e5), "end_frequency_Hz": st.sampled_from([0.01, 1.0])},
    optional={"points_per_decade": st.integers(1, 20), "measures_per_point": st.integers(1, 5)},
)
LEAVES = st.one_of(
    st.builds(lambda time: judge.OpenCircuitVoltage(until_time_s=time), SECONDS),
    st.builds(lambda current, ends: judge.ConstantCurrent(**current, **ends), CURRENTS, ENDS_OF_CURRENT),
    st.builds(
        lambda volts, time, rate: judge.ConstantVoltage(
            voltage_V=volts, until_time_s=time, until_rate_C=rate
        ),
        VOLTS,
        SECONDS,
        st.none() | RATES,
    ),
    st.builds(
        lambda ends, rate: judge.VoltageScan(
            start_voltage_V=ends[0], end_voltage_V=ends[1], scan_rate_mV_per_s=rate
        ),
        st.lists(VOLTS, min_size=2, max_size=2, unique=True),
        st.sampled_from([0.1, 0.5, 20.0]),
    ),
    st.builds(lambda rest: judge.ImpedanceSpectroscopy(amplitude_V=0.01, **rest), SPECTRUM),
    st.builds(lambda rest: judge.ImpedanceSpectroscopy(amplitude_mA=0.02, **rest), SPECTRUM),
)
TREES = st.recursive(
    LEAVES.map(lambda leaf: [leaf]),
    lambda inner: st.tuples(st.lists(inner, min_size=1, max_size=3), st.integers(1, 3)),
    max_leaves=8,
)


def flat(tree: Any, tags: list[str]) -> list[Any]:
    if isinstance(tree, list):
        return tree
    bodies, count = tree
    tags.append(f"t{len(tags)}")
    tag = tags[-1]
    steps = [entry for body in bodies for entry in flat(body, tags)]
    return [judge.Tag(tag=tag), *steps, judge.Loop(loop_to=tag, cycle_count=count)]


def expected(item: Json) -> Json:
    """Return the normal form of a step: currents in mA, times and counts written, nothing that is not set."""
    found = {key: value for key, value in item.items() if value is not None and key != "drift_correction"}
    for rate, current in (("rate_C", "current_mA"), ("until_rate_C", "until_current_mA")):
        if rate in found:
            found[current] = found.pop(rate) * CAPACITY_MAH
    return {
        key: pytest.approx(value) if not isinstance(value, str) else value for key, value in found.items()
    }


@settings(max_examples=60)
@given(trees=st.lists(TREES, min_size=1, max_size=4))
def test_a_protocol_comes_back_as_it_was(trees: list[Any]) -> None:
    tags: list[str] = []
    original = judge.CyclingProtocol(
        sample=judge.SampleParams(name="s", capacity_mAh=CAPACITY_MAH),
        record=judge.RecordParams(time_s=10, voltage_V=0.01),
        safety=judge.SafetyParams(max_voltage_V=4.9, min_voltage_V=-0.4),
        method=[entry for tree in trees for entry in flat(tree, tags)],
    )
    compiled = program(json.loads(original.to_json()))
    written = to_unicycler(compiled, WATCHERS)
    judged = judge.CyclingProtocol.from_dict(json.loads(json.dumps(written)))
    before = json.loads(original.to_json())["method"]
    assert written_out(written["method"]) == [expected(item) for item in written_out(before)]
    assert judged.record == original.record
    assert judged.safety.max_voltage_V == original.safety.max_voltage_V
    assert read_unicycler(json.dumps(written)).count("- repeat:") == sum(
        item["step"] == "loop" for item in written["method"]
    )


SPECTRA = ("guards", "limits", "record", "spectrum_details")


@settings(max_examples=60)
@given(trees=st.lists(TREES, min_size=1, max_size=4))
def test_battinfo_is_what_unicycler_makes_of_the_same_protocol(trees: list[Any]) -> None:
    tags: list[str] = []
    original = judge.CyclingProtocol(
        sample=judge.SampleParams(name="s", capacity_mAh=CAPACITY_MAH),
        record=judge.RecordParams(time_s=10),
        safety=judge.SafetyParams(max_voltage_V=4.9, min_voltage_V=-0.4),
        # Of a loop that begins with the first step, unicycler 0.4.6 also writes the steps before the loop.
        method=[judge.OpenCircuitVoltage(until_time_s=1), *(e for tree in trees for e in flat(tree, tags))],
    )
    compiled = program(json.loads(original.to_json()))
    judged = judge.CyclingProtocol.from_dict(to_unicycler(compiled, WATCHERS))
    assert to_battinfo(compiled, SPECTRA) == judged.to_battinfo_jsonld()


def spoken(text: str) -> tuple[str, dict[str, float]]:
    """Return the verb and the numbers of a PyBaMM step: current in mA, time in s, voltage in V."""
    units = {"hour": 3600.0, "minute": 60.0, "second": 1.0}
    words = text.partition(" (")[0].split()
    numbers: dict[str, float] = {}
    for before, number, unit in zip(words, words[1:], words[2:], strict=False):
        if before == "for":
            numbers["s"] = float(number) * units[unit.removesuffix("s")]
        elif before in ("at", "until"):
            numbers[f"{before} {unit}"] = float(number)
    return words[0], numbers


def test_pybamm_texts_say_what_unicycler_says() -> None:
    content = protocol(
        step("tag", tag="a"),
        step("constant_current", rate_C=0.5, until_time_s=7200, until_voltage_V=4.2),
        step("constant_voltage", voltage_V=4.2, until_rate_C=0.05, until_time_s=60),
        step("open_circuit_voltage", until_time_s=90),
        step("constant_current", current_mA=-0.25, until_time_s=3600),
        step("loop", loop_to="a", cycle_count=2),
    )
    compiled = program(content)
    judged = judge.CyclingProtocol.from_dict(to_unicycler(compiled, WATCHERS)).to_pybamm_experiment()
    ours = to_pybamm(compiled, ("guards", "limits", "record"))
    assert [spoken(text) for text in ours] == [spoken(text) for text in judged]
    assert ours[0] == "Charge at 1.0 mA for 7200.0 seconds or until 4.2 V (10.0 second period)"
    assert len(ours) == 8
