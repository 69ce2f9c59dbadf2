"""A hypothesis strategy that writes protocol files: every step of the language, nested."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

Texts = st.SearchStrategy[str]

HEAD = "sandtime: 1\nname: written\n"
BAND = "{from: 1 kHz, to: 10 Hz}, points_per_decade: 2"


def one_of(*texts: str) -> Texts:
    """Return one of these texts."""
    return st.sampled_from(texts)


def _filled(pattern: str, *parts: Texts) -> Texts:
    """Put drawn texts where the pattern has a %."""
    return st.tuples(*parts).map(lambda drawn: _put(pattern, drawn))


def _put(pattern: str, drawn: tuple[str, ...]) -> str:
    first, *others = pattern.split("%")
    return first + "".join(text + rest for text, rest in zip(drawn, others, strict=True))


CURRENT = one_of("1 mA", "-1 mA", "0.5 mA/cm²", "-0.5 mA/cm²", "0.1 C", "-50 mA/g")
TIME = one_of("10 s", "1 min", "0.5 h")
CHARGE = one_of("charge: 0.1 mAh", "areal_capacity: 0.05 mAh/cm²", "specific_capacity: 1 mAh/g")
VOLTAGE = one_of("0.5 V", "-300 mV", "ocv", "10 mV vs ocv")
RATE = one_of("10 mV/s", "1 mV/s")
BY_TIME_OR_CHARGE = _filled("time: %", TIME) | CHARGE

TIMED: Texts = (
    _filled("rest: {for: %}", TIME)
    | _filled("constant_current: {current: %, until: {%}}", CURRENT, BY_TIME_OR_CHARGE)
    | _filled("nucleation: {current: %, until: {%}}", CURRENT, BY_TIME_OR_CHARGE)
)
"""Steps whose time and charge are known before."""
SPECTRUM: Texts = (
    _filled("rest: {for: %}", TIME)
    | st.just(f"geis: {{amplitude: 10 µA, frequency: {BAND}}}")
    | st.just(f"peis: {{amplitude: 10 mV, frequency: {BAND}}}")
)
OTHER: Texts = (
    st.just("rest: {until: {drift: 1 mV/h, time: 1 h}}")
    | _filled("constant_current: {current: %, until: {voltage: 0.8 V}}", CURRENT)
    | _filled(
        f"constant_current: {{current: %, until: {{%}}, spectra: {{every: %, steps: [geis: {{current: same, "
        f"amplitude: 10 µA, frequency: {BAND}}}]}}}}",
        CURRENT,
        BY_TIME_OR_CHARGE,
        one_of("10 s", "7 min", "0.03 mAh"),
    )
    | _filled(
        "constant_voltage: {voltage: %, until: {%}}",
        VOLTAGE,
        one_of("time: 1 h", "current: 0.05 C, time: 1 h", "steady: {change: 1 %}, time: 1 h"),
    )
    | _filled("cc_cv: {current: %, voltage: 0.9 V, until: {current: 0.05 C}}", CURRENT)
    | _filled("linear_sweep: {from: %, to: 0.7 V, rate: %}", VOLTAGE, RATE)
    | _filled("cyclic_voltammetry: {first: 0.6 V, second: -0.6 V, rate: %, cycles: 2}", RATE)
    | _filled("tafel: {width: 50 mV, rate: %}", RATE)
    | SPECTRUM
    | st.just("temperature: {to: 60 °C}")
    | st.just(
        "temperature: {to: 40 °C, at_most: 1 h, stable: {every: 30 min, spectrum: "
        f"{{peis: {{amplitude: 10 mV, frequency: {BAND}}}}}}}}}"
    )
    | st.just("message: hello")
    | st.just("wait_for_person: {message: look, at_most: 1 h}")
)
WHEN = one_of(
    "voltage: {above: 0.1 V}",
    "retention: {below: 80 %}",
    "resistance: {above: 50 Ω cm²}",
    "cycle: {above: 2}",
)
EVERY = one_of(
    "every: 2 cycles", "every: 3 half-cycles", "every: 20 min", "every: 0.04 mAh", "after_cycles: [1, 2]"
)


def listed(steps: Texts, most: int = 3) -> Texts:
    """Return a list of steps."""
    return st.lists(steps, min_size=1, max_size=most).map(lambda drawn: "[" + ", ".join(drawn) + "]")


def _repeat(inner: Texts) -> Texts:
    return _filled("repeat: {times: %, steps: %}", one_of("1", "2", "3"), listed(inner))


def _ramp(inner: Texts) -> Texts:
    over = one_of("current: [1 mA, 2 mA]", "current: {from: -1 mA, step: -0.5 mA, to: -2 mA}")
    use = st.just("constant_current: {current: $current, until: {time: 10 min}}")
    return _filled("ramp: {%, steps: %}", over, listed(inner | use))


def _everything(inner: Texts) -> Texts:
    way = listed(inner, 2) | one_of("leave", "end", "[]")
    return (
        _repeat(inner)
        | _ramp(inner)
        | _filled("if: {when: {%}, then: %, otherwise: %}", WHEN, way, way)
        | _filled(
            "repeat: {times: 3, counts: cycles, steps: %, spectra: {%, steps: %}}",
            listed(inner | TIMED),
            EVERY,
            listed(SPECTRUM, 2),
        )
        | _filled(
            "ramp: {voltage: [0.1 V, 0.2 V], steps: "
            "[constant_voltage: {voltage: $voltage, until: {time: %}}]}",
            TIME,
        )
        | _filled("ramp: {rate: [1 mV/s, 2 mV/s], steps: [linear_sweep: {to: %, rate: $rate}]}", VOLTAGE)
        | st.just("ramp: {temperature: [40 °C, 50 °C], steps: [temperature: {to: $temperature}]}")
    )


def _files(steps: Texts, inside: Callable[[Texts], Texts], leaves: int) -> Texts:
    nested = st.recursive(steps, inside, max_leaves=leaves)
    return listed(nested).map(lambda written: f"{HEAD}steps: {written}\n")


ANY_FILE = _files(TIMED | OTHER, _everything, 6)
"""Files of all steps; most are right."""
TIMED_FILE = _files(TIMED, lambda inner: _repeat(inner) | _ramp(inner), 6)
"""Files whose time and charge are known before."""
