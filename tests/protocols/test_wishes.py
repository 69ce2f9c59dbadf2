"""What a run asks of its station: words, and whether a station has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.capabilities import Capabilities
from protocols.errors import InvalidFileError
from protocols.wishes import parse_wish, unmet

PLAIN = Capabilities(model="CT-4008", current_max_A=6.0, voltage_min_V=0.0, voltage_max_V=5.0)
POTENTIOSTAT = Capabilities(
    model="VSP-300",
    current_max_A=0.5,
    voltage_min_V=-10.0,
    voltage_max_V=10.0,
    frequency_min_Hz=1e-5,
    frequency_max_Hz=7e6,
).with_chamber(283.15, 353.15)


@pytest.mark.parametrize(
    ("text", "words", "met"),
    [
        ("eis", "EIS", (False, True)),
        ("eis:7MHz", "EIS to 7 MHz", (False, True)),
        ("EIS: 8 MHz", "EIS to 8 MHz", (False, False)),
        ("eis:1 Hz..1MHz", "EIS from 1 Hz to 1 MHz", (False, True)),
        ("eis:1µHz..1MHz", "EIS from 1e-06 Hz to 1 MHz", (False, False)),
        ("current:1A", "1 A", (True, False)),
        ("current:-100mA", "-0.1 A", (True, True)),
        ("voltage:5V", "5 V", (True, True)),
        ("voltage:-1V", "-1 V", (False, True)),
        ("chamber", "a chamber", (False, True)),
        ("chamber:60C", "a chamber for 60 °C", (False, True)),
        ("chamber:25..60°C", "a chamber for 25 °C to 60 °C", (False, True)),
        ("chamber:-10..60C", "a chamber for -10 °C to 60 °C", (False, False)),
        ("chamber:300 K..330K", "a chamber for 26.85 °C to 56.85 °C", (False, True)),
        ("model:vsp-300", "a vsp-300", (False, True)),
    ],
)
def test_a_wish_is_read_said_and_checked(text: str, words: str, met: tuple[bool, bool]) -> None:
    wish = parse_wish(text)
    assert wish.words() == words
    assert (wish.unmet(PLAIN) == "", wish.unmet(POTENTIOSTAT) == "") == met


def test_all_that_is_missing_is_named() -> None:
    wishes = tuple(map(parse_wish, ("eis:7MHz", "current:10A", "voltage:2V")))
    assert unmet(wishes, PLAIN) == (
        "EIS to 7 MHz is asked for, the station measures no impedance; "
        "10 A is asked for, the station drives -6 A to 6 A"
    )
    assert unmet((), PLAIN) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ies:7MHz", "Did you mean 'eis'?"),
        ("eis:", "Write eis, eis:7MHz"),
        ("eis:7 V", "frequency"),
        ("current", "Write current:1A"),
        ("current:1", "no unit"),
        ("chamber:warm", "temperature"),
        ("model:", "Write model:VSP-300"),
        ("", "Known are"),
    ],
)
def test_a_mistake_says_what_can_be_written(text: str, said: str) -> None:
    with pytest.raises(InvalidFileError, match="needs") as wrong:
        parse_wish(text)
    assert said in str(wrong.value)


@given(st.text(alphabet="eiscurntvolagchmbd:.0123456789-+ AVHzMkK°C", max_size=25))
def test_no_text_is_more_than_a_mistake(text: str) -> None:
    try:
        wish = parse_wish(text)
    except InvalidFileError:
        return
    assert wish.words()
    assert wish.lowest is None or wish.highest is None or wish.lowest <= wish.highest
