"""From a protocol to a program: what the researcher wrote, fitted to one cell and one channel.

Everything that the cell file lacks or the channel can't do is found here, before anything moves, and named
with its place in the protocol file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from protocols import nodes, steps
from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.limits import Problems, driven_currents, in_amperes, limits_of, voltage_window
from protocols.measurements import Side
from protocols.nodes import Node
from protocols.program import Program
from protocols.protocol import Protocol
from protocols.units import Amount, format_amount
from protocols.yamlfile import TreePath

TIME_MARGIN = 1.05
"""A time limit that only stands behind another end is longer than the step can take by this factor."""
SMALL_SIGNAL = 0.1
"""Largest amplitude after the end, as a part of the test current: the cell may be short-circuited."""
MAX_STEPS = 20_000


def compile_program(protocol: Protocol, cell: Cell, capabilities: Capabilities) -> Program:
    """Return the program that runs ``protocol`` on ``cell`` and a channel with ``capabilities``.

    Steps are numbered from 0 over ``steps``, then ``afterwards``. Raises InvalidFileError with every problem.
    """
    problems = Problems(protocol.source)
    content = protocol.content
    window = voltage_window(protocol, cell, capabilities, problems)
    compiler = _Compiler(cell, capabilities, window, problems)
    body = compiler.nodes(content.steps, _Where(("steps",), "steps"))
    after = compiler.nodes(content.afterwards, _Where(("afterwards",), "afterwards"))
    limits = limits_of(protocol, cell, capabilities, window, body + after, problems)
    _check_afterwards(body, after, problems)
    _check_watch(content.watch, capabilities, problems)
    problems.raise_if_any()
    record = content.record
    return Program(
        protocol=protocol.name,
        cell=cell,
        steps=body,
        limits=limits,
        guards=content.guard_settings,
        watch_s=content.watch.value,
        record_s=record.every.value if record.every else None,
        record_dE_V=record.on_voltage_change.value,
        ends_on=content.ends_on,
        afterwards=after,
    )


@dataclass(frozen=True, slots=True)
class _Where:
    """A list of steps: where it stands in the file, for machine and people, and the level of its ramp."""

    path: TreePath
    label: str
    level: Amount | None = None

    def label_of(self, place: int, kind: str) -> str:
        if len(self.path) == 1:
            return f"{self.label} {place + 1} › {kind}"
        return f"{self.label} › {kind} {place + 1}"


class _Compiler:
    """Turns steps of the file into nodes of the program and numbers them."""

    def __init__(
        self, cell: Cell, capabilities: Capabilities, window: tuple[float, float], problems: Problems
    ) -> None:
        self._cell = cell
        self._channel = capabilities
        self._window = window
        self._problems = problems
        self._next = 0

    def nodes(self, listed: tuple[steps.Step, ...], where: _Where) -> tuple[Node, ...]:
        """Return the nodes of a list of steps; steps that do not fit are noted and left out."""
        return tuple(node for place, step in enumerate(listed) for node in self._node(step, place, where))

    def _node(self, step: steps.Step, place: int, where: _Where) -> tuple[Node, ...]:
        kind = next(iter(type(step).model_fields))
        inner = _Where((*where.path, place, kind), where.label_of(place, kind), where.level)
        match step:
            case steps.RestStep(rest=rest):
                return self._rest(rest, inner)
            case steps.ConstantCurrentStep(constant_current=driven):
                return self._constant_current(driven, inner)
            case steps.GeisStep(geis=geis):
                return self._geis(geis, inner)
            case steps.RepeatStep(repeat=repeat):
                return self._repeat(repeat, inner)
            case steps.RampStep(ramp=ramp):
                return self._ramp(ramp, inner)

    def _number(self, here: _Where) -> int:
        if self._next >= MAX_STEPS:
            self._problems.add(here.path, f"The protocol has more than {MAX_STEPS} steps.", "Use 'repeat'.")
            self._problems.raise_if_any()
        self._next += 1
        return self._next - 1

    def _rest(self, rest: steps.Rest, here: _Where) -> tuple[Node, ...]:
        index = self._number(here)
        return (nodes.Rest(index=index, label=here.label, duration_s=rest.duration.value),)

    def _repeat(self, repeat: steps.Repeat, here: _Where) -> tuple[Node, ...]:
        body = self.nodes(repeat.steps, _Where((*here.path, "steps"), here.label, here.level))
        return (nodes.Repeat(total=repeat.times, stop=repeat.times, body=body),)

    def _ramp(self, ramp: steps.Ramp, here: _Where) -> tuple[Node, ...]:
        kind = ramp.current.start.kind
        found: list[Node] = []
        for value in ramp.current.levels():
            level = Amount(value, kind, format_amount(value, kind))
            inside = _Where((*here.path, "steps"), f"{here.label} {level.text}", level)
            found += self.nodes(ramp.steps, inside)
        return tuple(found)

    def _constant_current(self, driven: steps.ConstantCurrent, here: _Where) -> tuple[Node, ...]:
        index = self._number(here)
        current_A = self._current(driven.current, here)
        duration_s, charge_C, ends_by = self._end(driven.until, current_A, here)
        self._check_voltage(driven.until.voltage, here)
        if duration_s is None:
            return ()
        return (
            nodes.ConstantCurrent(
                index=index,
                label=here.label,
                current_A=current_A,
                duration_s=duration_s,
                charge_C=charge_C,
                until_voltage_V=driven.until.voltage.value if driven.until.voltage else None,
                ends_by=ends_by,
            ),
        )

    def _current(self, current: Amount | steps.Level | None, here: _Where) -> float:
        """Return a current in A; notes one that the channel can't drive."""
        amount, sign = (here.level, current.sign) if isinstance(current, steps.Level) else (current, 1)
        value = sign * in_amperes(amount, self._cell) if amount else 0.0
        if abs(value) > self._channel.current_max_A:
            message = f"{format_amount(value, 'current')} are more than the channel can drive"
            most = f"({self._channel.model}: {format_amount(self._channel.current_max_A, 'current')})"
            self._problems.add((*here.path, "current"), f"{message} {most}.")
        return value

    def _end(
        self, until: steps.Until, current_A: float, here: _Where
    ) -> tuple[float | None, float | None, Literal["time", "charge", "voltage"]]:
        """Return the time limit on board in s, the planned charge in C and what ends the step.

        Exactly q/|I| where capacity ends the step and no counter does, else 1.05 × that (design: Decisions).
        """
        size_A = abs(current_A)
        charge_C = self._charge(until)
        time_s = until.time.value if until.time else math.inf
        full_s = math.inf if charge_C is None else charge_C / size_A
        if time_s == full_s == math.inf:
            most_C = self._charge_at_hand(current_A, here)
            return (TIME_MARGIN * most_C / size_A if most_C else None), None, "voltage"
        by_charge = full_s <= time_s
        counted = by_charge and self._channel.charge_counter
        duration_s = min(time_s, full_s * TIME_MARGIN if counted else full_s)
        planned_C = charge_C if by_charge else size_A * duration_s
        if counted:
            return duration_s, planned_C, "charge"
        if until.voltage is None:
            return duration_s, planned_C, "time"
        return duration_s, charge_C if by_charge else None, "voltage"

    def _charge(self, until: steps.Until) -> float | None:
        if until.areal_capacity:
            return until.areal_capacity.value * self._cell.area_m2
        return until.charge.value if until.charge else None

    def _charge_at_hand(self, current_A: float, here: _Where) -> float | None:
        """Return the most that can pass before the voltage ends a step: nominal capacity, else lithium."""
        side: Side = "working" if current_A > 0 else "counter"
        most = self._cell.capacity_C or self._cell.inventory_C(side)
        if not most:
            hint = (
                "Add 'time' or 'areal_capacity' to 'until', or to the cell file 'capacity: 2 mAh' "
                f"or '{side}: {{lithium: 100 µm}}'."
            )
            self._problems.add((*here.path, "until"), "Nothing bounds the time of this step.", hint)
        return most

    def _check_voltage(self, voltage: Amount | None, here: _Where) -> None:
        low, high = self._window
        if voltage is not None and not low < voltage.value < high:
            message = f"'{voltage.text}' is not inside the safety limits {low:g} … {high:g} V."
            path = (*here.path, "until", "voltage")
            self._problems.add(path, message, "The step could never end by it; see 'limits: {voltage: …}'.")

    def _geis(self, geis: steps.Geis, here: _Where) -> tuple[Node, ...]:
        index = self._number(here)
        current_A = self._current(geis.current, here)
        amplitude_A = in_amperes(geis.amplitude, self._cell)
        self._check_amplitude(current_A, amplitude_A, here)
        self._check_frequency(geis.frequency.start, (*here.path, "frequency", "from"))
        self._check_frequency(geis.frequency.end, (*here.path, "frequency", "to"))
        return (
            nodes.Geis(
                index=index,
                label=here.label,
                current_A=current_A,
                amplitude_A=amplitude_A,
                frequency_start_Hz=geis.frequency.start.value,
                frequency_end_Hz=geis.frequency.end.value,
                points_per_decade=geis.points_per_decade,
                average=geis.average,
            ),
        )

    def _check_frequency(self, frequency: Amount, path: TreePath) -> None:
        low, high = self._channel.frequency_min_Hz, self._channel.frequency_max_Hz
        if low is None or high is None:
            message = f"The channel ({self._channel.model}) can't measure impedance."
            self._problems.add(path[:-2], message, "Choose a station with an EIS channel.")
        elif not low <= frequency.value <= high:
            reach = f"{format_amount(low, 'frequency')} … {format_amount(high, 'frequency')}"
            message = f"'{frequency.text}' is outside the channel's range ({self._channel.model}: {reach})."
            self._problems.add(path, message)

    def _check_amplitude(self, current_A: float, amplitude_A: float, here: _Where) -> None:
        channel = self._channel
        widest = max(channel.current_ranges_A, default=channel.current_max_A)
        path = (*here.path, "amplitude")
        if abs(current_A) + amplitude_A > min(widest, channel.current_max_A):
            message = (
                f"Direct current and peak together are more than the channel can drive ({channel.model}: "
            )
            most = format_amount(min(widest, channel.current_max_A), "current")
            self._problems.add(path, f"{message}{most}).")
        elif amplitude_A > channel.eis_amplitude_fraction * widest:
            most = format_amount(channel.eis_amplitude_fraction * widest, "current")
            self._problems.add(path, f"The peak is more than the channel can do ({channel.model}: {most}).")


def _check_afterwards(body: tuple[Node, ...], after: tuple[Node, ...], problems: Problems) -> None:
    """Note spectra after the end whose amplitude is no small part of the test current.

    The cell may have shorted at any step, so the smallest current of the test counts.
    """
    smallest_A = min(driven_currents(body), default=None)
    for place, node in enumerate(after):
        if isinstance(node, nodes.Geis) and smallest_A and node.amplitude_A > SMALL_SIGNAL * smallest_A:
            most = format_amount(SMALL_SIGNAL * smallest_A, "current")
            message = (
                f"After the end the peak may be {most} at most: {SMALL_SIGNAL:g} × the smallest test current."
            )
            problems.add(
                ("afterwards", place, "geis", "amplitude"), message, "The cell may be short-circuited."
            )


def _check_watch(watch: Amount, capabilities: Capabilities, problems: Problems) -> None:
    if watch.value < capabilities.sample_interval_min_s:
        least = format_amount(capabilities.sample_interval_min_s, "time")
        problems.add(("watch",), f"The channel ({capabilities.model}) takes a sample every {least} at most.")
