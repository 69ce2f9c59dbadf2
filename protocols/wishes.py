"""What a run asks of its station, in words such as ``eis:7MHz``, ``current:1A`` or ``chamber:25..60°C``.

A wish is checked against what a station declares to be able to do; it changes nothing in the program.
"""

from __future__ import annotations

import re
from typing import Literal

from protocols.capabilities import Capabilities
from protocols.errors import InvalidFileError, Problem, QuantityError, nearest
from protocols.frozen import Frozen
from protocols.units import KindName, format_amount, parse_amount

WishKind = Literal["eis", "current", "voltage", "chamber", "model"]

_QUANTITIES: dict[WishKind, KindName] = {
    "eis": "frequency",
    "current": "current",
    "voltage": "voltage",
    "chamber": "temperature",
}
_EXAMPLES: dict[WishKind, str] = {
    "eis": "eis, eis:7MHz or eis:1mHz..1MHz",
    "current": "current:1A",
    "voltage": "voltage:5V",
    "chamber": "chamber, chamber:60°C or chamber:25..60°C",
    "model": "model:VSP-300",
}
_WITHOUT_VALUE: tuple[WishKind, ...] = ("eis", "chamber")
_CELSIUS = re.compile(r"C$")
_NUMBER_ALONE = re.compile(r"[-+−]?[\d.]+(?:[eE][-+]?\d+)?")
_UNIT = re.compile(r"[^\d.+−-].*$")


class Wish(Frozen):
    """One thing that a run asks of its station, in SI."""

    kind: WishKind
    lowest: float | None = None
    """None: any value will do. Of one value, the same as ``highest``."""
    highest: float | None = None
    model: str = ""

    def unmet(self, able: Capabilities) -> str:
        """Say why a station does not have it; empty if it does."""
        match self.kind:
            case "eis":
                return self._unmet_spectrum(able)
            case "current":
                return self._outside(able.lowest_current_A, able.current_max_A, "drives")
            case "voltage":
                return self._outside(able.voltage_min_V, able.voltage_max_V, "bears")
            case "chamber":
                return self._unmet_chamber(able)
            case "model":
                same = able.model.casefold() == self.model.casefold()
                return "" if same else f"is a {able.model}"

    def words(self) -> str:
        """Say it in words, as ``EIS to 7 MHz``."""
        match self.kind:
            case "eis":
                one = self.lowest == self.highest
                return "EIS" if self.highest is None else f"EIS {'to' if one else 'from'} {self._span()}"
            case "chamber":
                return "a chamber" if self.highest is None else f"a chamber for {self._span()}"
            case "model":
                return f"a {self.model}"
            case _:
                return self._span()

    def _span(self) -> str:
        """Return the value, or the range from the lowest to the highest."""
        ends = [self._shown(end) for end in (self.lowest, self.highest) if end is not None]
        return " to ".join(dict.fromkeys(ends))

    def _shown(self, value: float) -> str:
        return f"{value:g} A" if self.kind == "current" else format_amount(value, _QUANTITIES[self.kind])

    def _unmet_spectrum(self, able: Capabilities) -> str:
        if able.frequency_min_Hz is None or able.frequency_max_Hz is None:
            return "measures no impedance"
        return self._outside(able.frequency_min_Hz, able.frequency_max_Hz, "measures impedance from")

    def _unmet_chamber(self, able: Capabilities) -> str:
        if able.temperature_min_K is None or able.temperature_max_K is None:
            return "has no chamber"
        return self._outside(able.temperature_min_K, able.temperature_max_K, "has a chamber for")

    def _outside(self, least: float, most: float, what: str) -> str:
        """Say what a station offers if that does not hold all of the wish."""
        if self.lowest is None or self.highest is None or least <= self.lowest <= self.highest <= most:
            return ""
        return f"{what} {self._shown(least)} to {self._shown(most)}"


def parse_wish(text: str) -> Wish:
    """Read a wish. Raises InvalidFileError, whose hint says what can be written."""
    word, colon, value = (part.strip() for part in text.partition(":"))
    kind = next((known for known in _EXAMPLES if known == word.casefold()), None)
    if kind is None:
        raise _wrong(text, f"{word!r} is nothing that a run can ask of a station", nearest(word, _EXAMPLES))
    if kind == "model" and value:
        return Wish(kind=kind, model=value)
    if not value and not colon and kind in _WITHOUT_VALUE:
        return Wish(kind=kind)
    if not value:
        raise _wrong(text, f"{word!r} needs a value", f"Write {_EXAMPLES[kind]}.")
    try:
        ends = sorted(parse_amount(end, _QUANTITIES[kind]).value for end in _ends(kind, value))
    except QuantityError as error:
        raise _wrong(text, str(error), f"Write {_EXAMPLES[kind]}.") from error
    return Wish(kind=kind, lowest=ends[0], highest=ends[-1])


def unmet(wishes: tuple[Wish, ...], able: Capabilities) -> str:
    """Say which wishes a station does not meet, and why; empty if it meets all."""
    reasons = [
        f"{wish.words()} is asked for, the station {why}" for wish in wishes if (why := wish.unmet(able))
    ]
    return "; ".join(reasons)


def _ends(kind: WishKind, value: str) -> list[str]:
    """Return one value or the two ends of a range, each with its unit; ``60C`` is a temperature here."""
    ends = [end.strip() for end in value.split("..")][:2]
    if kind == "chamber":
        ends = [end if end.endswith("°C") else _CELSIUS.sub("°C", end) for end in ends]
    unit = _UNIT.search(ends[-1])
    if unit is not None:
        ends = [f"{end} {unit[0]}" if _NUMBER_ALONE.fullmatch(end) else end for end in ends]
    return ends


def _wrong(text: str, message: str, hint: str) -> InvalidFileError:
    return InvalidFileError([Problem(f"needs {text!r}", 0, 0, message, hint)])
