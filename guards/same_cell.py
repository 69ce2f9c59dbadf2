"""Is the cell that comes back the one that an earlier run has left? Pure.

A cell changes between two runs: E relaxes, R follows the temperature. So only what is far off asks a person.
"""

from __future__ import annotations

from guards.contact_check import ohms, volts
from guards.plausible import is_lithium_against_lithium
from protocols.cell import Cell
from protocols.check import CheckFinding, LeftCell, SeenCell

NEAR_K = 5.0
"""R of cells further apart in temperature is not compared."""
FACTOR_KNOWN, FACTOR_ROOM = 2.0, 3.0
"""R_hf may have changed by so much, where both temperatures are known; where none is, a room's swing comes on
top."""
LITHIUM_V, OTHER_V = 0.05, 0.3
"""E may have changed by so much: of lithium against lithium; of what still relaxes, or loses charge."""
NEAR_FREQUENCY = 3.0
"""Highest frequencies that differ by a larger factor give different R_hf."""
ADVICE = (
    "Is it another cell, or was it opened, pressed or charged elsewhere? Then say so: it starts with "
    "`sandtime resume`, `--anyway` and your answer. Several cells of one cell file need an `identity` each."
)


def recognise(now: SeenCell, left: LeftCell | None, cell: Cell, shared: bool = False) -> CheckFinding:
    """Compare a cell with what an earlier run has left of it.

    ``shared``: runs at the same time had this cell file, so that it is that of several cells.
    """
    if left is None:
        return _unknown("this cell is not known from an earlier run: nothing to compare with")
    if shared:
        text = "several cells share this cell file: without an `identity` in it none of them is recognised"
        return _unknown(text)
    parts = [_voltage(now, left.seen, cell), _resistance(now, left.seen)]
    compared = [part for part in parts if part is not None]
    who = f"run {left.run} left it on {left.station} {_ago(now.unix_s - left.seen.unix_s)} ago"
    if not compared:
        return _unknown(f"{who}, but neither E nor R_hf can be compared")
    near = all(is_near for is_near, _ in compared)
    words = ", ".join(text for _, text in compared)
    if near:
        return CheckFinding(name="same_cell", result="fine", text=f"as {who}: {words}")
    text = f"is this the cell that it should be? It is not as {who}: {words}"
    return CheckFinding(name="same_cell", result="asks", text=text, advice=ADVICE)


def _voltage(now: SeenCell, before: SeenCell, cell: Cell) -> tuple[bool, str] | None:
    if now.open_V is None or before.open_V is None or cell.geometry == "blocking":
        return None
    most_V = LITHIUM_V if is_lithium_against_lithium(cell) else OTHER_V
    text = f"E {volts(before.open_V)} then, {volts(now.open_V)} now"
    return abs(now.open_V - before.open_V) <= most_V, text


def _resistance(now: SeenCell, before: SeenCell) -> tuple[bool, str] | None:
    if now.r_hf_ohm is None or before.r_hf_ohm is None or min(now.r_hf_ohm, before.r_hf_ohm) <= 0.0:
        return None
    factor = _factor(now, before)
    if factor is None or not _is_alike(now.from_Hz, before.from_Hz):
        return None
    ratio = now.r_hf_ohm / before.r_hf_ohm
    text = f"R_hf {ohms(before.r_hf_ohm)} then, {ohms(now.r_hf_ohm)} now"
    return 1.0 / factor <= ratio <= factor, text


def _factor(now: SeenCell, before: SeenCell) -> float | None:
    """Return by which factor R_hf may have changed; None: the temperatures are not known to be near."""
    if now.temperature_K is None and before.temperature_K is None:
        return FACTOR_ROOM
    if now.temperature_K is None or before.temperature_K is None:
        return None
    return FACTOR_KNOWN if abs(now.temperature_K - before.temperature_K) <= NEAR_K else None


def _is_alike(one_Hz: float | None, other_Hz: float | None) -> bool:
    if one_Hz is None or other_Hz is None:
        return False
    return max(one_Hz, other_Hz) <= NEAR_FREQUENCY * min(one_Hz, other_Hz)


def _unknown(text: str) -> CheckFinding:
    return CheckFinding(name="same_cell", result="unknown", text=text)


def _ago(seconds: float) -> str:
    """Return a time in the unit that a person would use."""
    for length_s, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2.0 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"
