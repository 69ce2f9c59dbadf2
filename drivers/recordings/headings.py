"""What the heading of a column of a spectrum says: the quantity, its sign, its unit.

Every program writes its own: ``freq/Hz``, ``Re(Z)/Ohm``, ``-Im(Z)/Ohm``, ``Z' (Ω)``, ``Zreal``, ``Z''(b)``. A
minus before the name of a quantity turns its sign. A unit is respected or refused, never guessed: ``mhz`` may
be millihertz or megahertz. No unit at all is the custom of many files: then Hz, Ω and s, and the caller says
so.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivers.recordings.rows import invalid

_WORDS = {
    "frequency": "f freq freq. frequency fre frequencies",
    "real": "re real z' zre zreal re(z) rez realz real(z) z'(a) zreal(z') realpart realimpedance"
    " impedancereal zprime re{z} re[z]",
    "imaginary": "im imag imaginary z'' zim zimag im(z) imz imagz imag(z) z''(b) zimag(z'') imagpart"
    " imaginarypart imaginaryimpedance impedanceimaginary zdoubleprime im{z} im[z] imagimpedance",
    "modulus": "|z| zmod modulus magnitude abs(z) absz zabs zmodulus mag(z)",
    "phase": "phase phase(z) zphz theta arg(z) phaseangle zphase phasez",
    "time": "time t elapsedtime testtime",
    "index": "index spectrum spectrumnumber sweep",
}
NAMES: Mapping[str, Sequence[str]] = {quantity: words.split() for quantity, words in _WORDS.items()}
"""Quantity → its names in small letters, without blanks, underscores and the minus before them."""

IMPEDANCES = ("real", "imaginary", "modulus")
_MINUS = re.compile(r"^(?:-|neg(?:ative)?[ _.-]?|minus[ _.-]?)\s*(?=\S)", re.IGNORECASE)
_WITH_UNIT = re.compile(
    r"^(?P<name>.*?\S)\s*(?:/\s*(?P<slash>[^/\[\]]+)|\[(?P<square>[^\[\]]*)\]|\((?P<round>[^()]*)\)"
    r"|,\s*(?P<comma>[^,]+)|\s+in\s+(?P<word>\S.*)|_(?P<tail>[^\W_]*(?:hz|hertz|ohms?|Ω)|s|sec|seconds?|deg|rad))$",
    re.IGNORECASE,
)
_PREFIXED = re.compile(
    r"(?P<prefix>kilo|mega|giga|milli|micro|nano|[kKMGmuµμn]?)\s?(?P<base>(?i:hz|hertz|ohms?)|Ω)"
)
_PREFIXES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6} | {
    "n": 1e-9,
    "kilo": 1e3,
    "mega": 1e6,
    "giga": 1e9,
    "milli": 1e-3,
    "micro": 1e-6,
    "nano": 1e-9,
}
_TIMES = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}
_ANGLES = {name: float(np.pi / 180) for name in ("deg", "°", "degree", "degrees", "deg.")} | {"rad": 1.0}
_ALIKE = {
    "′": "'",
    "’": "'",
    "‘": "'",
    "´": "'",
    "`": "'",
    '"': "''",
    "“": "''",
    "”": "''",
    "−": "-",
    "–": "-",
}


@dataclass(frozen=True, slots=True)
class Heading:
    """One column that is understood."""

    quantity: str
    """A key of :data:`NAMES`."""
    factor: float
    """From the number in the file to SI, with the sign: ``-Im(Z)/kOhm`` gives −1000."""
    has_unit: bool


def read_heading(text: str, source: Path, line: int, unit: str | None = None) -> Heading | None:
    """Return what a heading says, None if it is no quantity of a spectrum.

    ``unit``: where units stand in a line of their own. Raises InvalidFileError for a quantity of a spectrum
    in a unit that is not understood.
    """
    plain = _plain(text)
    quantity, sign = _quantity(plain)
    if quantity is None and (match := _WITH_UNIT.match(plain)):
        quantity, sign = _quantity(match["name"])
        written = next(value for value in list(match.groupdict().values())[1:] if value is not None)
        unit = unit or written
    if quantity is None:
        return None
    unit = _plain(unit or "").strip("()[]")
    if not unit or quantity == "index":
        return Heading(quantity, sign, has_unit=quantity == "index")
    if quantity == "phase" and unit.lower() not in _ANGLES:
        return Heading(quantity, sign, has_unit=False)  # mostly beside Z′ and Z″, where it is not needed
    return Heading(quantity, sign * _factor(quantity, unit, text, source, line), has_unit=True)


def _plain(text: str) -> str:
    plain = text
    for sign, alike in _ALIKE.items():
        plain = plain.replace(sign, alike)
    plain = unicodedata.normalize("NFKC", plain).replace("′", "'")
    return plain.strip().strip("#%").strip()


def _quantity(name: str) -> tuple[str | None, float]:
    sign = 1.0
    if match := _MINUS.match(name):
        name, sign = name[match.end() :], -1.0
    plain = re.sub(r"[\s_]", "", name)
    plain = plain.lower() if plain != "T" else ""  # a temperature, not a time
    return next((quantity for quantity, names in NAMES.items() if plain in names), None), sign


def _factor(quantity: str, unit: str, text: str, source: Path, line: int) -> float:
    """Return the factor of a unit to SI. Raises InvalidFileError."""
    known = _scale(quantity, unit)
    if known is not None:
        return known
    if quantity in IMPEDANCES and re.search(r"m\^?2$", unit.strip()):
        raise invalid(
            source,
            f"column {text.strip()!r}: this is an impedance times an area, and sandtime needs Ω",
            "divide by the electrode area, and write the unit Ohm",
            line,
        )
    usual = {"frequency": "Hz, kHz, MHz or mHz", "time": "s, min or h"}
    raise invalid(
        source,
        f"column {text.strip()!r}: the unit {unit!r} is not understood",
        f"write it as {usual.get(quantity, 'Ohm, mOhm, kOhm or MOhm')}",
        line,
    )


def _scale(quantity: str, unit: str) -> float | None:
    if quantity == "time":
        return _TIMES.get(unit.lower())
    if quantity == "phase":
        return _ANGLES.get(unit.lower())
    match = _PREFIXED.fullmatch(unit)
    if match is None or (match["base"].lower() in ("hz", "hertz")) != (quantity == "frequency"):
        return None
    prefix, base = match["prefix"], match["base"]
    # In one case throughout, "mhz" and "MHZ" tell milli from mega no more than "MOHM" does.
    if (prefix == "m" and base == "hz") or (prefix == "M" and base in ("HZ", "OHM", "OHMS")):
        return None
    return _PREFIXES[prefix]
