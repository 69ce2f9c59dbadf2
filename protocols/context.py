"""What the parts of the compiler share while one protocol is fitted to one cell and one channel."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from protocols.amounts import Converter
from protocols.capabilities import Capabilities, StepKind
from protocols.cell import Cell
from protocols.fields import FromOpenCircuit, Level, Same
from protocols.parameters import LevelName
from protocols.problems import Problems
from protocols.protocol import RecordBlock
from protocols.units import Amount, format_amount
from protocols.yamlfile import TreePath

MAX_STEPS = 20_000
ACCURATE = 20.0
"""A set-point is at least this many times the error of its range."""
_WORDS: dict[StepKind, str] = {
    "rest": "open the circuit",
    "constant_current": "drive a constant current",
    "constant_voltage": "hold a voltage",
    "voltage_sweep": "sweep the voltage",
    "geis": "measure galvanostatic impedance",
    "peis": "measure potentiostatic impedance",
}


@dataclass(frozen=True, slots=True)
class Where:
    """A step or a list of steps: where it stands in the file, for machine and people, and in which ramps."""

    path: TreePath
    label: str
    levels: dict[LevelName, Amount] = field(default_factory=dict)
    range_A: float | None = None
    """Current range of the ramp around it."""
    driven_A: float | None = None
    """Current of the step that is interrupted."""

    def step(self, place: int, kind: str) -> Where:
        """Return the place of a step in this list."""
        top = len(self.path) == 1
        label = f"{self.label} {place + 1} › {kind}" if top else f"{self.label} › {kind} {place + 1}"
        return replace(self, path=(*self.path, place, kind), label=label)

    def at(self, *keys: str | int) -> Where:
        """Return a place below this one, under the same label."""
        return replace(self, path=(*self.path, *keys))


class Context:
    """Cell, channel, limits and the notes of what does not fit."""

    def __init__(
        self,
        cell: Cell,
        channel: Capabilities,
        window: tuple[float, float],
        record: RecordBlock,
        problems: Problems,
    ) -> None:
        self.cell = cell
        self.channel = channel
        self.window = window
        self.record = record
        self.problems = problems
        self.convert = Converter(cell, problems)
        self._next = 0

    def number(self, here: Where) -> int:
        """Count a step and return a number for it; its place in the program gives the final one."""
        if self._next >= MAX_STEPS:
            self.problems.add(here.path, f"The protocol has more than {MAX_STEPS} steps.", "Use 'repeat'.")
            self.problems.raise_if_any()
        self._next += 1
        return self._next - 1

    def need(self, kind: StepKind, here: Where) -> None:
        """Note a step that the channel can't run."""
        if kind not in self.channel.step_kinds:
            message = f"The channel ({self.channel.model}) can't {_WORDS[kind]}."
            self.problems.add(here.path, message, "Choose another station.")

    def level(self, value: Amount | Level, here: Where) -> Amount:
        """Return a quantity as it is written, or the level of the ramp."""
        if isinstance(value, Amount):
            return value
        amount = here.levels[value.name]
        return replace(amount, value=value.sign * amount.value)

    def current(self, value: Amount | Level | Same | None, here: Where) -> float:
        """Return a signed current in A (0: none); notes one that the channel can't drive well."""
        if value is None:
            return 0.0
        path = (*here.path, "current")
        if isinstance(value, Same):
            return here.driven_A or 0.0
        current_A = self.convert.si(self.level(value, here), path)
        self._check_current(current_A, path, here)
        return current_A

    def _check_current(self, current_A: float, path: TreePath, here: Where) -> None:
        channel = self.channel
        words = format_amount(current_A, "current")
        if current_A > channel.current_max_A:
            most = format_amount(channel.current_max_A, "current")
            self.problems.add(path, f"{words} are more than the channel can drive ({channel.model}: {most}).")
        elif current_A < channel.lowest_current_A:
            lowest = format_amount(channel.lowest_current_A, "current")
            message = f"{words} are beyond what the channel can drive ({channel.model}: from {lowest})."
            hint = "A cell that is driven both ways needs a channel for both signs of the current."
            self.problems.add(path, message, hint if channel.lowest_current_A >= 0 else "")
        elif abs(current_A) < self.least_current_A(range_for(channel, current_A, here.range_A)):
            error = format_amount(channel.current_accuracy * range_for(channel, current_A), "current")
            message = f"{words} can't be set well: the error of the channel's range is {error}"
            self.problems.add(
                path,
                f"{message} ({channel.model}).",
                f"Use at least {ACCURATE:g} × this, or a channel with a smaller range.",
            )

    def least_current_A(self, range_A: float) -> float:
        """Return the smallest current that a range sets well."""
        return ACCURATE * self.channel.current_accuracy * range_A

    def voltage(
        self, value: Amount | Level | FromOpenCircuit, path: TreePath, here: Where
    ) -> tuple[float, bool]:
        """Return a voltage in V, and whether it is counted from open circuit; notes one beyond the limits."""
        if isinstance(value, FromOpenCircuit):
            return value.offset.value, True
        amount = self.level(value, here)
        low, high = self.window
        if amount.value in (low, high):
            message = f"'{amount.text}' is the safety limit itself, where noise would open the circuit."
            hint = (
                "Set the limit a little wider: 'voltage_window' in the cell file, or 'limits: {voltage: …}'."
            )
            self.problems.add(path, message, hint)
        elif not low < amount.value < high:
            message = f"'{amount.text}' is not inside the safety limits {low:g} … {high:g} V."
            self.problems.add(path, message, "Change it, or the limits: 'limits: {voltage: …}'.")
        return amount.value, False


def range_for(channel: Capabilities, current_A: float, wanted_A: float | None = None) -> float:
    """Return the current range that holds a current: ``wanted_A`` if it does, else the smallest."""
    if wanted_A is not None and abs(current_A) <= wanted_A:
        return wanted_A
    ranges = channel.current_ranges_A or (channel.current_max_A,)
    return next((scale for scale in ranges if abs(current_A) <= scale), ranges[-1])
