"""A program as other formats have it: steps and loops only. What goes beyond that is noted as lost."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from protocols.exchange.losses import Ledger
from protocols.nodes import (
    ConstantCurrent,
    ConstantVoltage,
    Decision,
    Drift,
    Geis,
    HostEnd,
    Message,
    Node,
    OnPasses,
    Peis,
    Person,
    Repeat,
    Rest,
    Soak,
    Step,
    Vertex,
    VoltageSweep,
)
from protocols.program import GuardSettings, Program
from protocols.tree import walk
from protocols.units import format_amount

_DIGITS = 12
"""Digits that are written: what is beyond them comes from multiplying floats."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Steps that run several times."""

    count: int
    body: tuple[Plain, ...]


Plain = Step | Loop


def tidy(value: float) -> float:
    """Return a number without the dust that a change of units leaves in its last digits."""
    return float(f"{value:.{_DIGITS}g}")


def milli(value: float) -> float:
    """Return A in mA."""
    return tidy(value * 1e3)


def vertices_of(sweep: VoltageSweep) -> tuple[Vertex, ...]:
    """Return the vertices that a sweep has still before it."""
    return sweep.after(sweep.done_s, 0.0) if sweep.done_s else sweep.vertices


def plain_steps(program: Program, ledger: Ledger) -> tuple[Plain, ...]:
    """Return the steps of a program, and note what no other format has a word for."""
    if program.kind == "playback":
        ledger.add("playback", program.protocol, "a recording that plays drives nothing")
    return _plain(program.steps, ledger)


def _plain(nodes: Iterable[Node], ledger: Ledger) -> tuple[Plain, ...]:
    found: list[Plain] = []
    for node in nodes:
        match node:
            case Message():
                ledger.add("messages", node.label, "a message to people")
            case Decision():
                ledger.add("decision", node.label, "a decision by what was measured")
            case Repeat():
                found += _loop(node, ledger)
            case OnPasses():
                raise TypeError("steps of some passes stand in a loop's body only")
            case _:
                _note_step(node, ledger)
                found.append(node)
    return tuple(found)


def _loop(loop: Repeat, ledger: Ledger) -> list[Plain]:
    """Return a loop; one whose passes are not all alike is written as loops over those that are."""
    body = _Body(loop, ledger)
    period = _period(loop)
    if period is None:
        return body.runs(loop.start, loop.stop)
    periods = loop.passes // period
    rest = body.runs(loop.start + periods * period, loop.stop)
    return _looped(periods, tuple(body.runs(loop.start, loop.start + period))) + rest


def _period(loop: Repeat) -> int | None:
    """Return after how many passes a loop's body comes round again; None if it never does."""
    period = 1
    for child in loop.body:
        if isinstance(child, OnPasses):
            if child.every is None or (child.first or 0) >= child.every:
                return None
            period = math.lcm(period, child.every)
    return period


class _Body:
    """The body of a loop: what runs in every pass, and what in some."""

    def __init__(self, loop: Repeat, ledger: Ledger) -> None:
        self._parts = [
            (child, _plain(child.body if isinstance(child, OnPasses) else (child,), ledger))
            for child in loop.body
        ]

    def runs(self, start: int, stop: int) -> list[Plain]:
        """Return the passes ``start`` … ``stop`` − 1; those that are alike in a row become one loop."""
        found: list[Plain] = []
        done = start
        while done < stop:
            until = min([stop, *self._changes(done)])
            found += _looped(until - done, self._body(done))
            done = until
        return found

    def _changes(self, done: int) -> Iterator[int]:
        """Yield passes after ``done`` in which something begins or ends to run."""
        for child, _ in self._parts:
            if isinstance(child, OnPasses):
                coming = child.next_change(done)
                if coming is not None:
                    yield coming if coming > done else done + 1

    def _body(self, done: int) -> tuple[Plain, ...]:
        return tuple(
            step
            for child, steps in self._parts
            if not isinstance(child, OnPasses) or child.runs_in(done)
            for step in steps
        )


def _looped(count: int, body: tuple[Plain, ...]) -> list[Plain]:
    if not body or count == 0:
        return []
    return list(body) if count == 1 else [Loop(count, body)]


def _note_step(step: Step, ledger: Ledger) -> None:
    match step:
        case Rest():
            _note_ends(step.label, step.host_ends, ledger)
        case ConstantCurrent():
            if step.ends_by == "charge":
                ledger.add("charge_end", step.label, "an end by charge that the instrument counts")
            if step.dense_s > 0:
                ledger.add("dense", step.label, "denser samples at its start")
        case ConstantVoltage():
            _note_ends(step.label, step.host_ends, ledger)
            if step.relative:
                ledger.add("relative_voltage", step.label, "a voltage against the open-circuit voltage")
        case VoltageSweep():
            if any(vertex.relative for vertex in step.vertices):
                ledger.add("relative_voltage", step.label, "a voltage against the open-circuit voltage")
        case Geis() | Peis():
            _note_spectrum(step, ledger)


def _note_ends(label: str, ends: tuple[HostEnd, ...], ledger: Ledger) -> None:
    for end in ends:
        match end:
            case Soak():
                ledger.add("temperature", label, f"a temperature of {end.target_K - 273.15:g} °C")
            case Person():
                ledger.add("person", label, "waiting for a person")
            case Drift():
                ledger.add("end", label, "an end when the voltage is steady")
            case _:
                words = "the current is steady" if end.kind == "steady" else "a charge has passed"
                ledger.add("end", label, f"an end when {words}")


def _note_spectrum(step: Geis | Peis, ledger: Ledger) -> None:
    if isinstance(step, Peis):
        if not step.relative or step.voltage_V != 0:
            ledger.add("bias", step.label, "a spectrum at another voltage than that of open circuit")
        return
    if step.current_A != 0:
        ledger.add("bias", step.label, "a direct current under a spectrum")
    if step.response_V is not None:
        ledger.add("amplitude", step.label, "an amplitude chosen from the cell's answer")


def note_settings(program: Program, ledger: Ledger, keeps: Collection[str] = ()) -> None:
    """Note the settings of a whole program that another format lacks, but for those that it ``keeps``."""
    for what, place, message in _settings(program):
        if what not in keeps:
            ledger.add(what, place, message)


def _settings(program: Program) -> Iterator[tuple[str, str, str]]:
    for guard in program.guards.enabled:
        if guard != "limits":
            yield "guards", f"guards › {guard}", _thresholds(guard, program.guards)
    if program.ends_on:
        yield "ends_on", "ends_on", f"ending at {', '.join(program.ends_on)}"
    for block, steps in (("afterwards", program.afterwards), ("on_suspicion", program.on_suspicion)):
        for step, _ in walk(steps):
            yield block, step.label, _ACTIONS[block]
    if program.after_suspicion == "pause":
        yield "on_suspicion", "on_suspicion › then", "a pause when a guard suspects something"
    yield "limits", "limits", _limits(program)
    yield "record", "record", _record(program)
    if program.counts_cycles or program.retention_from != 1:
        yield "cycles", "steps", "which passes are numbered as cycles"


_ACTIONS = {"afterwards": "a step after the end", "on_suspicion": "a step when a guard suspects something"}


def _thresholds(guard: str, settings: GuardSettings) -> str:
    changed = settings.overrides.get(guard, {})
    words = ", ".join(f"{name} = {value:g}" for name, value in changed.items())
    return "stopping the test by it" + (f" (with {words})" if words else "")


def _limits(program: Program) -> str:
    limits = program.limits
    window = f"{limits.voltage_min_V:g} … {limits.voltage_max_V:g} V"
    return f"opening the circuit outside {window} and ± {format_amount(limits.current_max_A, 'current')}"


def _record(program: Program) -> str:
    parts = [f"every {program.watch_s if program.record_s is None else program.record_s:g} s"]
    parts += [f"at {change:g} V" for change in (program.record_dE_V,) if change]
    parts += [f"at {format_amount(change, 'current')}" for change in (program.record_dI_A,) if change]
    return f"keeping a sample {' and '.join(parts)}"
