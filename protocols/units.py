"""Quantities as people write them: a number and a unit, such as ``0.1 mA/cm²``.

Everything becomes an SI float here, and nowhere else. pint converts; it is imported and its registry built at
the first quantity, since both cost time that a program without files to read need not spend.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from protocols.errors import QuantityError

if TYPE_CHECKING:
    import pint

KindName = Literal[
    "time",
    "current",
    "current_density",
    "charge",
    "areal_capacity",
    "specific_capacity",
    "specific_current",
    "voltage",
    "frequency",
    "resistance",
    "areal_resistance",
    "length",
    "area",
    "mass",
    "pressure",
    "temperature",
    "energy",
    "molar_energy",
    "fraction",
    "scan_rate",
    "c_rate",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of quantity."""

    words: str
    si: str
    """The SI unit, as pint reads it."""
    usual: tuple[str, ...]
    """Units that people write; the first stands in examples."""


KINDS: dict[KindName, Kind] = {
    "time": Kind("a time", "s", ("h", "min", "s", "ms", "d")),
    "current": Kind("a current", "A", ("mA", "µA", "nA", "A")),
    "current_density": Kind("a current density", "A/m**2", ("mA/cm²", "µA/cm²", "A/m²")),
    "charge": Kind("a charge", "C", ("mAh", "µAh", "Ah", "C")),
    "areal_capacity": Kind("an areal capacity", "C/m**2", ("mAh/cm²", "µAh/cm²", "C/cm²")),
    "specific_capacity": Kind("a specific capacity", "C/kg", ("mAh/g", "Ah/kg")),
    "specific_current": Kind("a specific current", "A/kg", ("mA/g", "A/g")),
    "voltage": Kind("a voltage", "V", ("V", "mV", "µV")),
    "frequency": Kind("a frequency", "Hz", ("Hz", "mHz", "kHz", "MHz")),
    "resistance": Kind("a resistance", "ohm", ("Ω", "kΩ", "mΩ", "ohm")),
    "areal_resistance": Kind("an areal resistance", "ohm*m**2", ("Ω cm²", "kΩ cm²", "mΩ cm²")),
    "length": Kind("a length", "m", ("µm", "mm", "cm", "nm", "m")),
    "area": Kind("an area", "m**2", ("cm²", "mm²", "m²")),
    "mass": Kind("a mass", "kg", ("mg", "g", "kg", "µg")),
    "pressure": Kind("a pressure", "Pa", ("MPa", "kPa", "Pa", "bar")),
    "temperature": Kind("a temperature", "K", ("°C", "K")),
    "energy": Kind("an energy", "J", ("eV", "meV", "J")),
    "molar_energy": Kind("a molar energy", "J/mol", ("kJ/mol", "J/mol")),
    "fraction": Kind("a fraction", "", ("%",)),
    "scan_rate": Kind("a rate of voltage", "V/s", ("mV/s", "V/s", "mV/h")),
    "c_rate": Kind("a C-rate", "Hz", ("C",)),
}

ZERO_CELSIUS_K = 273.15

_COMMON: dict[KindName, dict[str, str]] = {
    "time": {"h": "3600", "min": "60", "s": "1", "ms": "1e-3", "d": "86400"},
    "current": {"A": "1", "mA": "1e-3", "μA": "1e-6", "nA": "1e-9"},
    "current_density": {"mA/cm2": "10", "μA/cm2": "1e-2", "A/m2": "1"},
    "charge": {"mAh": "3.6", "μAh": "3.6e-3", "Ah": "3600", "C": "1"},
    "areal_capacity": {"mAh/cm2": "36e3", "μAh/cm2": "36", "C/cm2": "1e4"},
    "specific_capacity": {"mAh/g": "3600"},
    "specific_current": {"mA/g": "1", "A/g": "1000"},
    "voltage": {"V": "1", "mV": "1e-3", "μV": "1e-6"},
    "frequency": {"Hz": "1", "mHz": "1e-3", "kHz": "1e3", "MHz": "1e6"},
    "length": {"μm": "1e-6", "mm": "1e-3", "cm": "1e-2", "nm": "1e-9"},
    "area": {"cm2": "1e-4", "mm2": "1e-6"},
    "mass": {"mg": "1e-6", "g": "1e-3", "μg": "1e-9"},
    "temperature": {"K": "1"},
    "energy": {"eV": "1.602176634e-19"},
    "molar_energy": {"kJ/mol": "1000"},
    "fraction": {"%": "1e-2"},
    "scan_rate": {"mV/s": "1e-3", "V/s": "1"},
}
"""Kind → unit, as it stands after normalizing → its SI value. pint knows these too and many more, but takes
0.3 s to import: with this table most files are read without it. A test compares the two."""

COMMON: dict[str, tuple[KindName, Decimal]] = {
    unit: (kind, Decimal(value)) for kind, units in _COMMON.items() for unit, value in units.items()
}

_DEFINITIONS = """
    pico- = 1e-12 = p-
    nano- = 1e-9 = n-
    micro- = 1e-6 = μ- = u-
    milli- = 1e-3 = m-
    centi- = 1e-2 = c-
    kilo- = 1e3 = k-
    mega- = 1e6 = M-
    second = [time] = s
    meter = [length] = m
    ampere = [current] = A
    gram = [mass] = g
    kelvin = [temperature]; offset: 0 = K
    mole = [substance] = mol
    minute = 60 * second = min
    hour = 3600 * second = h
    day = 86400 * second = d
    coulomb = ampere * second = C
    ampere_hour = ampere * hour = Ah
    pascal = 1000 * gram / meter / second ** 2 = Pa
    bar = 100000 * pascal
    volt = pascal * meter ** 3 / coulomb = V
    joule = volt * coulomb = J
    electronvolt = 1.602176634e-19 * joule = eV
    ohm = volt / ampere = Ω = Ohm
    hertz = 1 / second = Hz
    degree_celsius = kelvin; offset: 273.15 = degC
    percent = 0.01
"""
_NUMBER = re.compile(
    r"([+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][+-]?\d{1,2})?)(?![\d.,])\s*(.*)", re.S
)
_TERM = re.compile(r"\s*([*/·]?)\s*([A-Za-zμΩ°%]+)(?:\^|\*\*)?([+-]?\d)?\s*")
_PLAIN = r"\d{1,30}(?:\.\d{0,30})?(?:[eE][+-]?\d{1,2})?"
_C_RATE = re.compile(rf"([+-]?)\s*({_PLAIN})?\s*C(?:\s*/\s*({_PLAIN}))?")
_SPELLED = {"°C": "degC", "%": "percent"}


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity that was read."""

    value: float
    """In SI."""
    kind: KindName
    text: str
    """As it was written."""


def parse_amount(text: str, *kinds: KindName) -> Amount:
    """Read ``number unit`` as one of ``kinds``.

    Both signs µ and μ, the Unicode minus and ``mA/cm²``, ``mA/cm2``, ``mA cm^-2``, ``mA·cm⁻²`` are read;
    a fraction may stand without a unit. Raises QuantityError, whose hint says what to write.
    """
    # NFKC makes one sign of µ and μ, of Ω and Ω, and digits of superscripts.
    plain = unicodedata.normalize("NFKC", text).replace("−", "-").strip()
    if "c_rate" in kinds and (rate := _C_RATE.fullmatch(plain)):
        return _c_rate(rate, text)
    match = _NUMBER.fullmatch(plain)
    if match is None:
        comma = " Write a decimal point, not a comma." if re.match(r"[+-]?\d+,\d", plain) else ""
        raise QuantityError(f"'{text}' is not {_wanted(kinds)}.{comma}", example(kinds))
    number, unit = match.groups()
    if not unit and "fraction" not in kinds:
        raise QuantityError(f"'{text}' has no unit; {_wanted(kinds)} is wanted here.", example(kinds, number))
    kind, value = _in_si(Decimal(number), unit, text, kinds)
    if kind is None or kind not in kinds:
        found = KINDS[kind].words if kind else "no quantity that is known"
        raise QuantityError(f"'{text}' is {found}; {_wanted(kinds)} is wanted here.", example(kinds))
    if not math.isfinite(value):
        raise QuantityError(f"'{text}' is too large a number.", example(kinds))
    return Amount(value, kind, text.strip())


def _in_si(
    number: Decimal, unit: str, text: str, kinds: tuple[KindName, ...]
) -> tuple[KindName | None, float]:
    """Return the kind of a quantity, if it is one of ours, and its value in SI."""
    if unit == "°C":
        return "temperature", float(number + Decimal(str(ZERO_CELSIUS_K)))
    if unit in COMMON:
        kind, factor = COMMON[unit]
        return kind, float(number * factor)
    quantity = _convert(number, unit, text, kinds)
    found = _kind_of(quantity)
    return found, float(quantity.to(KINDS[found].si).magnitude) if found else 0.0


def _c_rate(match: re.Match[str], text: str) -> Amount:
    """Return a C-rate (1/s: current over capacity) such as ``0.5 C`` or ``C/10``."""
    sign, times, parts = match.groups()
    if parts is not None and not float(parts):
        raise QuantityError(f"'{text}' divides by zero.", "Write for example 'C/10'.")
    size = float(Decimal(times or 1) / Decimal(parts or 1) / 3600)
    return Amount(-size if sign == "-" else size, "c_rate", text.strip())


def format_amount(value: float, kind: KindName) -> str:
    """Return an SI value in the unit that people use for it, with four digits."""
    if kind == "temperature":
        return f"{value - ZERO_CELSIUS_K:.4g} °C"
    unit, scale = _display(value, kind)
    return f"{value / scale:.4g} {unit}".strip()


def _display(value: float, kind: KindName) -> tuple[str, float]:
    size = abs(value)
    if kind == "time":
        return ("h", 3600.0) if size >= 7200 else ("min", 60.0) if size >= 120 else ("s", 1.0)
    if kind == "frequency":
        return ("MHz", 1e6) if size >= 1e6 else ("kHz", 1e3) if size >= 1e3 else ("Hz", 1.0)
    if kind == "c_rate":
        return "C", 1 / 3600
    unit = KINDS[kind].usual[0]
    return unit, _scale(unit, kind)


@functools.cache
def _scale(unit: str, kind: KindName) -> float:
    """Return the SI value of one unit."""
    return parse_amount(f"1 {unit}", kind).value


@functools.cache
def _registry() -> pint.UnitRegistry[Any]:
    """Return a registry that knows the units of this field only: built in ms, and no stray unit slips in.

    Numbers are decimals: 0.1 mA/cm² is 1 A/m², and not the float next to it.
    """
    import pint

    registry: pint.UnitRegistry[Any] = pint.UnitRegistry(None, non_int_type=Decimal)
    registry.load_definitions([line.strip() for line in _DEFINITIONS.strip().splitlines()])
    return registry


def _convert(number: Decimal, unit: str, text: str, kinds: tuple[KindName, ...]) -> Any:
    from pint.errors import PintError

    try:
        return _registry().Quantity(number, _expression(unit))
    except (PintError, ValueError) as error:
        raise QuantityError(
            f"'{text}': the unit '{unit}' is not known.", _nearest_unit(unit, kinds)
        ) from error


def _expression(unit: str) -> str:
    """Return a unit as pint reads it: ``mA cm-2`` → ``mA * cm ** -2``. Raises ValueError."""
    parts: list[str] = []
    position = 0
    while position < len(unit):
        match = _TERM.match(unit, position)
        if match is None or (match[1] and not parts):
            raise ValueError(unit)
        joint = "/" if match[1] == "/" else "*"
        term = f"{_SPELLED.get(match[2], match[2])} ** {int(match[3] or 1)}"
        parts.append(f"{joint} {term}" if parts else term)
        position = match.end()
    return " ".join(parts)


@functools.cache
def _dimensions() -> dict[Any, KindName]:
    units = _registry()
    # A C-rate has no unit that pint could tell from a frequency: it is read before.
    kinds = {name: kind for name, kind in KINDS.items() if name != "c_rate"}
    return {units.Quantity(1, kind.si).dimensionality: name for name, kind in kinds.items()}


def _kind_of(quantity: Any) -> KindName | None:
    return _dimensions().get(quantity.dimensionality)


def _wanted(kinds: tuple[KindName, ...]) -> str:
    return " or ".join(KINDS[kind].words for kind in kinds)


def example(kinds: tuple[KindName, ...], number: str = "0.1") -> str:
    """Return a hint: what a quantity of one of ``kinds`` looks like."""
    shown = [text for kind in kinds for text in _examples(kind, number)]
    return "Write for example " + " or ".join(shown) + "."


def _examples(kind: KindName, number: str) -> list[str]:
    """Return a quantity as people write it; of a time in three units, since a wrong one is wrong by 60."""
    if kind == "temperature" and number == "0.1":
        number = "25"
    units = KINDS[kind].usual
    return [f"'{number} {unit}'" for unit in (units[:3] if kind == "time" else units[:1])]


def _nearest_unit(unit: str, kinds: tuple[KindName, ...]) -> str:
    usual = {u.lower(): u for kind in kinds for u in KINDS[kind].usual}
    near = difflib.get_close_matches(unit.lower(), usual, n=1)
    return f"Did you mean '{usual[near[0]]}'?" if near else example(kinds)
