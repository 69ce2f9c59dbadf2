"""Protocol files: what they mean, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import InvalidFileError, Problem
from protocols.program import GuardSettings
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


def test_what_follows_a_verdict_stands_with_its_guard() -> None:
    settings = parse_protocol(HEAD + REST, "p.yaml").content.guard_settings
    assert settings.look and settings.reverse_pulse == 0.0
    text = "guards: {short_circuit: {look: off, confirm_s: 8 s}, depletion: {reverse_pulse: 5 %}}\n"
    settings = parse_protocol(HEAD + REST + text, "p.yaml").content.guard_settings
    assert not settings.look
    assert settings.reverse_pulse == pytest.approx(0.05)
    assert settings.overrides == {"short_circuit": {"confirm_s": 8.0}}
    assert "depletion" in settings.enabled


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("short_circuit: {look: 0}", "'on' or 'off'"),
        ("depletion: {reverse_pulse: 0.5}", "at most 0.1"),
        ("depletion: {reverse_pulse: -0.1}", "at most 0.1"),
        ("depletion: {reverse_pulse: on}", "reverse_pulse"),
    ],
)
def test_a_wrong_look_is_refused_in_words(block: str, words: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        parse_protocol(HEAD + REST + f"guards: {{{block}}}\n", "p.yaml")
    (problem,) = caught.value.problems
    assert words in f"{problem.message} {problem.hint}"


def test_guards_can_be_switched_off_and_thresholds_changed_with_units() -> None:
    text = (
        HEAD + REST + "guards: {depletion: off, short_circuit: {drop_V: 30 mV, window_s: 1 min, part: 0.3}}\n"
    )
    settings = parse_protocol(text, "f", {}).content.guard_settings
    assert settings.enabled == tuple(name for name in GuardSettings().enabled if name != "depletion")
    assert settings.overrides == {"short_circuit": {"drop_V": 0.03, "window_s": 60.0, "part": 0.3}}


def test_a_threshold_of_temperature_is_a_difference() -> None:
    text = HEAD + REST + "guards: {temperature: {drift_K: 3 K}}\n"
    overrides = parse_protocol(text, "f", {}).content.guard_settings.overrides
    assert overrides == {"temperature": {"drift_K": 3.0}}
    with pytest.raises(InvalidFileError) as caught:
        parse_protocol(text.replace("3 K", "3 °C"), "f", {})
    assert "difference" in caught.value.problems[0].message


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
