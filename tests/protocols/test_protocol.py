"""Protocol files: what they mean, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import InvalidFileError, Problem
from protocols.protocol import (
    LIBRARY,
    check_protocol,
    library_protocols,
    load_protocol,
    parse_protocol,
)
from protocols.spectra import GeisStep, RestStep
from protocols.steps import ConstantCurrentStep
from protocols.units import Amount

HEAD = "sandtime: 1\nname: x\n"
REST = "steps:\n  - rest: {for: 1 min}\n"


def problems(text: str, settings: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(InvalidFileError) as caught:
        parse_protocol(text, "f.yaml", settings or {})
    return list(caught.value.problems)


def current_of(text: str, settings: dict[str, str] | None = None) -> Amount:
    step = parse_protocol(text, "f.yaml", settings or {}).content.steps[0]
    assert isinstance(step, ConstantCurrentStep)
    assert isinstance(step.constant_current.current, Amount)
    return step.constant_current.current


def one_step(step: str) -> str:
    return f"{HEAD}steps:\n  - {step}\n"


DRIVEN = "constant_current: {current: 1 mA, until: {time: 1 h}}"
RAMP = "ramp: {current: {from: 1 mA, step: 1 mA, to: 3 mA}, steps: [rest: {for: 1 s}]}"

BROKEN = [
    # a value
    (one_step("rest: {for: 5}"), 4, 17, "'5' has no unit; a time is wanted", "5 h"),
    (one_step("rest: {for: 5 mV}"), 4, 17, "is a voltage; a time", "h"),
    (one_step("rest: {for: 5 hourz}"), 4, 17, "unit 'hourz' is not known", "Write"),
    (one_step("rest: {for: -5 s}"), 4, 17, "more than zero", ""),
    (one_step("rest: {for: [5 s]}"), 4, 17, "single quantity", ""),
    (one_step("rest: {for: }"), 4, 12, "'for' has no value", ""),
    (
        one_step("constant_current: {current: 0.1 V, until: {time: 1 h}}"),
        4,
        33,
        "a current density",
        "mA/cm²",
    ),
    (one_step("constant_current: {current: 0 mA, until: {time: 1 h}}"), 4, 33, "zero", "rest"),
    (one_step("constant_current: {current: 1 mA, until: {}}"), 4, 46, "no end", "areal_capacity"),
    (one_step("constant_current: {current: 1 mA, until: 1 h}"), 4, 46, "Settings are wanted", "key: value"),
    (
        one_step("constant_current: {current: 1 mA, until: {charge: 1 mAh/cm²}}"),
        4,
        55,
        "areal capacity",
        "mAh",
    ),
    (
        one_step("constant_current: {current: 1 mA, until: {charge: 1 mAh, areal_capacity: 1 mAh/cm²}}"),
        4,
        46,
        "twice",
        "Keep one",
    ),
    (one_step("repeat: {times: 1.5, steps: [rest: {for: 1 s}]}"), 4, 21, "whole number", "10"),
    (one_step("repeat: {times: 0, steps: [rest: {for: 1 s}]}"), 4, 21, "whole number", "10"),
    (one_step("repeat: {times: 2, steps: []}"), 4, 31, "empty", "at least one"),
    (one_step("geis: {amplitude: 1 mV, frequency: {from: 1 Hz, to: 1 kHz}}"), 4, 23, "is a voltage", "mA"),
    (one_step("geis: {amplitude: 1 mA, frequency: {from: 1 Hz, to: 0 Hz}}"), 4, 57, "more than zero", ""),
    # a ramp
    (one_step(RAMP.replace("step: 1", "step: -1")), 4, 21, "never reaches", "signs"),
    (one_step(RAMP.replace("step: 1 mA", "step: 1 mA/cm²")), 4, 21, "of one kind", "one unit"),
    (one_step(RAMP.replace("from: 1", "from: -1")), 4, 21, "pass zero", "one sign"),
    (one_step(RAMP.replace("step: 1 mA", "step: 1 nA")), 4, 21, "more than 1000 levels", "larger"),
    (one_step(RAMP.replace("rest: {for: 1 s}", RAMP)), 4, 65, "inside another one", "repeat"),
    # a word
    (one_step("rset: {for: 5 s}"), 4, 5, "no step 'rset'", "'rest'"),
    (one_step("rest: {for: 5 s, til: 3 s}"), 4, 22, "key 'til' is not known", "until"),
    (one_step("constant_current: {current: 1 mA, until: {tiem: 1 h}}"), 4, 47, "'tiem'", "'time'"),
    (one_step("constant_current: {current: 1 mA}"), 4, 5, "'constant_current' needs 'until'", "until"),
    (one_step("rest:\n    for: 5 s"), 4, 5, "one word with its settings", "Indent the settings of 'rest'"),
    (one_step("rest"), 4, 5, "one word with its settings", "- rest:"),
    (HEAD + "steps: rest\n", 3, 8, "list is wanted", "- "),
    (HEAD + "steps: []\n", 3, 8, "empty", "at least one"),
    (HEAD, 1, 1, "needs 'steps'", "steps"),
    ("name: x\n" + REST, 1, 1, "needs 'sandtime'", "sandtime"),
    ("sandtime: 2\nname: x\n" + REST, 1, 11, "no version", "sandtime: 1"),
    ("sandtime: 1\nname:\n" + REST, 2, 1, "'name' has no value", ""),
    (HEAD + REST + "stpes: 3\n", 5, 1, "key 'stpes'", "'steps'"),
    (HEAD + REST + "ends_on: [short]\n", 5, 11, "'short' is not known", "short"),
    (HEAD + REST + "ends_on: short_circuit\n", 5, 10, "list is wanted", "[one, two]"),
    (HEAD + REST + "record: {evry: 1 s}\n", 5, 10, "'evry'", "'every'"),
    (HEAD + REST + "watch: 1\n", 5, 8, "no unit", "h"),
    # limits and guards
    (HEAD + REST + "limits: {volatge: 2 V}\n", 5, 10, "'volatge'", "'voltage'"),
    (HEAD + REST + "limits: {voltage: -2 V}\n", 5, 19, "without a sign", ""),
    (HEAD + REST + "limits: {voltage: {from: 3 V, to: 2 V}}\n", 5, 19, "below 'to'", ""),
    (HEAD + REST + "guards: {limits: off}\n", 5, 18, "always on", "limits"),
    (HEAD + REST + "guards: {short_cirkuit: on}\n", 5, 10, "'short_cirkuit'", "'short_circuit'"),
    (HEAD + REST + "guards: {depletion: maybe}\n", 5, 21, "'on', 'off'", "off"),
    (HEAD + REST + "guards: {depletion: {voltage_V: 3}}\n", 5, 21, "voltage_V: '3' has no unit", "V"),
    # parameters
    (one_step(DRIVEN.replace("1 mA", "$c")), 4, 33, "no parameter 'c'", "parameters:"),
    (one_step(DRIVEN.replace("1 mA", "$current")), 4, 33, "no parameter 'current'", "inside a ramp over it"),
    (HEAD + "parameters: {stop: 1 mA}\n" + REST.replace("1 min", "$stpo"), 5, 17, "'stpo'", "'stop'"),
    (HEAD + "parameters: {t: 5}\n" + REST.replace("1 min", "$t"), 3, 17, "(from the parameter t)", "h"),
    (HEAD + "parameters: {a b: 5}\n" + REST, 3, 14, "can't be the name", "letters"),
    (HEAD + "parameters: {a: [1]}\n" + REST, 3, 14, "has no value", "from"),
    (HEAD + "parameters: {current: 1 mA}\nsteps:\n  - " + RAMP, 3, 14, "the level of the ramp", "another"),
    # after the end
    (
        HEAD + REST + f"afterwards:\n  - {DRIVEN}\n",
        6,
        5,
        "no step 'constant_current' here",
        "geis, peis, rest",
    ),
    (
        HEAD + REST + "afterwards:\n"
        "  - geis: {current: 1 mA, amplitude: 1 µA, frequency: {from: 1 Hz, to: 1 kHz}}\n",
        6,
        12,
        "no direct current",
        "Leave",
    ),
    # YAML itself
    (HEAD + "steps:\n\t- rest: {for: 1 s}\n", 4, 1, "YAML", "no tabs"),
    (HEAD + REST + "watch: 1 s\nwatch: 2 s\n", 6, 1, "'watch' is written twice", "line 5"),
    (HEAD + "steps: [rest: {for: 1 s}\n", 4, 1, "YAML", "brackets"),
]


@pytest.mark.parametrize(("text", "line", "column", "message", "hint"), BROKEN)
def test_a_wrong_file_is_told_where_what_and_what_was_meant(
    text: str, line: int, column: int, message: str, hint: str
) -> None:
    found = problems(text)
    matching = [p for p in found if (p.line, p.column) == (line, column) and message in p.message]
    assert matching, "\n".join(map(str, found))
    assert hint in matching[0].hint
    assert matching[0].file == "f.yaml"


def test_all_problems_are_told_at_once_and_in_order() -> None:
    text = one_step("rest: {for: 5}") + "  - rset: {for: 5 s}\n  - rest: {fro: $x}\nwatch: 1 V\n"
    found = problems(text)
    assert [problem.line for problem in found] == [4, 5, 6, 6, 7]
    assert len({(problem.column, problem.message) for problem in found}) == 5


def test_a_parameter_gives_a_whole_value_and_a_setting_replaces_it() -> None:
    text = HEAD + "parameters: {i: 1 mA}\nsteps:\n  - " + DRIVEN.replace("1 mA", "$i")
    assert current_of(text).value == 1e-3
    assert current_of(text, {"i": "2 mA/cm2"}).value == 20.0


@pytest.mark.parametrize("value", ["1 mA", "+1 mA", "-1 mA", "−1 mA"])
def test_a_minus_before_a_reference_turns_the_sign(value: str) -> None:
    text = HEAD + f"parameters: {{i: {value}}}\nsteps:\n  - " + DRIVEN
    plain = current_of(text.replace("{current: 1 mA", "{current: $i"))
    turned = current_of(text.replace("{current: 1 mA", "{current: -$i"))
    assert turned.value == -plain.value


def test_an_unknown_setting_is_an_error_at_the_parameters() -> None:
    [problem] = problems(HEAD + "parameters: {cycles: 3}\n" + REST, {"cycels": "5"})
    assert problem.line == 3
    assert "'cycles'" in problem.hint


def test_a_wrong_setting_is_an_error_where_it_is_used() -> None:
    text = HEAD + "parameters: {t: 5 s}\n" + REST.replace("1 min", "$t")
    [problem] = problems(text, {"t": "5 V"})
    assert (problem.line, problem.column) == (5, 17)
    assert "5 V" in problem.message


def test_rms_is_read_as_the_peak_it_means() -> None:
    def amplitude(text: str) -> float:
        content = parse_protocol(
            one_step(f"geis: {{amplitude: {text}, frequency: {{from: 1 kHz, to: 1 Hz}}}}"), "f", {}
        ).content
        assert isinstance(content.steps[0], GeisStep)
        peak = content.steps[0].geis.amplitude.peak
        assert peak is not None
        return peak.value

    assert amplitude("1 mA") == amplitude("1 mA peak") == 1e-3
    assert amplitude("1 mA rms") ** 2 == pytest.approx(2 * amplitude("1 mA") ** 2)


def test_guards_can_be_switched_off_and_thresholds_changed_with_units() -> None:
    text = (
        HEAD + REST + "guards: {depletion: off, short_circuit: {drop_V: 30 mV, window_s: 1 min, part: 0.3}}\n"
    )
    settings = parse_protocol(text, "f", {}).content.guard_settings
    assert settings.enabled == ("short_circuit", "limits")
    assert settings.overrides == {"short_circuit": {"drop_V": 0.03, "window_s": 60.0, "part": 0.3}}


def test_warnings_do_not_refuse_a_file(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + "parameters: {a: 3 s}\n" + REST + "watch: 10 s\n", encoding="utf-8")
    protocol, errors, warnings = check_protocol(path)
    assert protocol is not None
    assert not errors
    assert [(w.line, w.file) for w in warnings] == [(3, str(path)), (6, str(path))]


def test_check_returns_errors_instead_of_raising(tmp_path: Path) -> None:
    protocol, errors, warnings = check_protocol(tmp_path / "absent.yaml")
    assert protocol is None
    assert not warnings
    assert "can't be read" in errors[0].message


def test_a_bare_name_means_the_library_and_a_wrong_one_is_helped() -> None:
    assert load_protocol("symmetric_cycling").name == "symmetric_cycling"
    with pytest.raises(InvalidFileError, match="symmetric_cycling"):
        load_protocol("symetric_cycling")


@pytest.mark.parametrize("name", library_protocols())
def test_every_protocol_of_the_library_is_clean_and_explains_itself(name: str) -> None:
    protocol, errors, warnings = check_protocol(name)
    assert protocol is not None
    assert not errors
    assert not warnings
    assert protocol.name == name
    assert protocol.description
    assert (LIBRARY / f"{name}.yaml").read_text(encoding="utf-8").startswith("# ")


def test_the_library_holds_the_tests_of_the_field() -> None:
    assert set(library_protocols()) >= {
        "symmetric_cycling",
        "asymmetric_depletion",
        "ccd_constant_capacity",
        "ccd_constant_time",
        "unidirectional_geis",
    }


def test_anchors_reuse_a_group_of_steps() -> None:
    text = HEAD + "steps:\n  - &pause {rest: {for: 1 s}}\n  - *pause\n"
    steps = parse_protocol(text, "f", {}).content.steps
    assert len(steps) == 2
    assert all(isinstance(step, RestStep) for step in steps)


LIBRARY_TEXTS = [(LIBRARY / f"{name}.yaml").read_text(encoding="utf-8") for name in library_protocols()]


@given(st.sampled_from(LIBRARY_TEXTS), st.data())
def test_a_spoilt_file_is_read_or_refused_with_words(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 12))
    filling = data.draw(st.text(alphabet="ab $-:{}[]&*!#\n\t0.1µ", max_size=8))
    try:
        parse_protocol(text[:start] + filling + text[start + length :], "f.yaml", {})
    except InvalidFileError as error:
        assert all(problem.message and problem.file == "f.yaml" for problem in error.problems)


trees = st.recursive(
    st.sampled_from(["1", "x", "", "$a", "1 s", "1 mA", "off"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "steps",
                    "rest",
                    "for",
                    "ramp",
                    "current",
                    "until",
                    "geis",
                    "guards",
                    "limits",
                    "voltage",
                    "from",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def flow(tree: object) -> str:
    """Write a tree as YAML."""
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {flow(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(map(flow, tree)) + "]"
    return f"'{tree}'"


@given(
    st.dictionaries(
        st.sampled_from(["steps", "guards", "limits", "afterwards", "parameters", "watch"]), trees
    )
)
def test_any_shape_of_file_is_read_or_refused_with_words(tree: dict[str, object]) -> None:
    text = HEAD + "".join(f"{key}: {flow(value)}\n" for key, value in tree.items())
    try:
        parse_protocol(text, "f.yaml", {})
    except InvalidFileError as error:
        assert all(problem.line >= 1 and problem.message for problem in error.problems)
