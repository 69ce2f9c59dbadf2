"""Quantities as people write them."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import units
from protocols.errors import QuantityError
from protocols.units import KINDS, KindName, format_amount, parse_amount

SAME_CURRENT_DENSITY = [
    "0.1 mA/cm²",
    "0.1 mA/cm2",
    "0.1mA/cm^2",
    "0.1 mA/cm**2",
    "0.1 mA cm^-2",
    "0.1 mA cm-2",
    "0.1 mA·cm⁻²",
    "100 \u00b5A/cm²",
    "100 \u03bcA/cm²",
    "100 uA/cm2",
    "1e-1 mA/cm²",
    " .1 mA / cm² ",
    "1 A/m²",
]


@pytest.mark.parametrize("text", SAME_CURRENT_DENSITY)
def test_every_way_to_write_a_current_density_gives_the_same_exact_number(text: str) -> None:
    assert parse_amount(text, "current_density").value == 1.0


def test_unicode_minus_is_a_minus() -> None:
    assert parse_amount("\u22120.5 V", "voltage").value == -0.5


def test_temperatures_are_not_scaled_but_shifted() -> None:
    assert parse_amount("25 °C", "temperature").value == pytest.approx(298.15)
    assert parse_amount("298.15 K", "temperature").value == pytest.approx(298.15)


def test_a_fraction_needs_no_unit() -> None:
    assert parse_amount("0.1", "fraction").value == parse_amount("10 %", "fraction").value


@pytest.mark.parametrize(
    ("text", "kinds", "words"),
    [
        ("0.1", ("current_density",), "no unit"),
        ("0.1 V", ("current", "current_density"), "is a voltage; a current or a current density"),
        ("0.1 mA", ("voltage",), "is a current; a voltage"),
        ("0,1 mA", ("current",), "decimal point"),
        ("0.1 ma/cm2", ("current_density",), "not known"),
        ("fast", ("time",), "not a time"),
        ("nan V", ("voltage",), "not a voltage"),
        ("inf V", ("voltage",), "not a voltage"),
        ("1e999 V", ("voltage",), "not known"),
        ("1.2.3 V", ("voltage",), "not a voltage"),
        ("1 V/", ("voltage",), "not known"),
        ("1 mA^9", ("current",), "no quantity that is known"),
    ],
)
def test_what_is_no_such_quantity_is_refused_with_words(
    text: str, kinds: tuple[KindName, ...], words: str
) -> None:
    with pytest.raises(QuantityError, match=words) as caught:
        parse_amount(text, *kinds)
    assert caught.value.hint


def test_the_hint_names_the_unit_that_was_meant() -> None:
    with pytest.raises(QuantityError) as caught:
        parse_amount("0.1 ma/cm2", "current_density")
    assert "mA/cm²" in caught.value.hint


PLAIN: tuple[KindName, ...] = tuple(kind for kind in KINDS if kind != "c_rate")
"""What a unit tells: C is a coulomb unless a C-rate may stand there."""
UNITS = [(kind, unit) for kind in PLAIN for unit in KINDS[kind].usual]
numbers = st.decimals(min_value=-1000, max_value=1000, places=6)


@given(numbers, st.sampled_from(UNITS))
def test_every_unit_scales_in_proportion_and_keeps_its_kind(
    number: Decimal, unit: tuple[KindName, str]
) -> None:
    kind, name = unit
    zero = parse_amount(f"0 {name}", kind).value
    one = parse_amount(f"1 {name}", kind).value - zero
    amount = parse_amount(f"{number} {name}", *PLAIN)
    assert amount.kind == kind
    assert amount.value - zero == pytest.approx(float(number) * one, rel=1e-9, abs=1e-9 * abs(zero))


@given(st.floats(min_value=1e-9, max_value=1e9), st.sampled_from(sorted(set(KINDS) - {"temperature"})))
def test_what_is_shown_can_be_read_back(value: float, kind: KindName) -> None:
    assert parse_amount(format_amount(value, kind), kind).value == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "per_hour"), [("1 C", 1.0), ("0.5C", 0.5), ("C/10", 0.1), ("-C / 4", -0.25), ("2 C/5", 0.4)]
)
def test_c_rates_are_read_as_people_write_them(text: str, per_hour: float) -> None:
    amount = parse_amount(text, "current", "c_rate")
    assert amount.kind == "c_rate"
    assert amount.value * 3600 == pytest.approx(per_hour)
    assert parse_amount("1 C", "charge").kind == "charge"


@pytest.mark.parametrize("unit", sorted(units.COMMON))
def test_the_table_of_units_agrees_with_pint(unit: str) -> None:
    kind, value = units.COMMON[unit]
    quantity = units._convert(Decimal("0.7"), unit, unit, (kind,))
    assert units._kind_of(quantity) == kind
    assert quantity.to(KINDS[kind].si).magnitude == Decimal("0.7") * value


def test_a_c_rate_over_nothing_is_refused() -> None:
    with pytest.raises(QuantityError, match="divides by zero"):
        parse_amount("C/0", "c_rate")


@given(st.text(max_size=40))
def test_any_text_is_a_quantity_or_a_quantity_error(text: str) -> None:
    try:
        amount = parse_amount(text, *KINDS)
    except QuantityError as error:
        assert str(error)
    else:
        assert amount.text == text.strip()


def test_importing_the_language_does_not_import_pint() -> None:
    code = "import sys, protocols.protocol, protocols.compile; sys.exit('pint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
