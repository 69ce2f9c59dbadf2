"""What each part of a protocol file allows but not the whole, and what is allowed but seldom meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import BaseModel

from protocols.errors import Problem
from protocols.fields import FromOpenCircuit, Same
from protocols.spectra import Geis, GeisStep, PassSpectra, PeisStep, SpectrumStep
from protocols.steps import (
    IfStep,
    MessageStep,
    RampStep,
    RepeatStep,
    SetTemperature,
    Stable,
    Step,
    TemperatureStep,
)
from protocols.units import Amount, KindName
from protocols.yamlfile import Source, TreePath

if TYPE_CHECKING:
    from protocols.protocol import ProtocolFile

SLOW_WATCH_S = 5.0
"""A longer ``watch`` gives a short circuit time to do harm before a guard sees it."""
_IDLE = "Add a step that takes time, or take the steps out of it."
MAX_PASSES = 10**9
"""Of repeats inside repeats: no cell lives so long, and the passes of a sample have to stay countable."""
_SELDOM_ABOVE: dict[KindName, tuple[float, str]] = {
    "current_density": (500.0, "50 mA/cm²"),
    "current": (1.0, "1 A"),
    "areal_capacity": (1.8e6, "50 mAh/cm²"),
    "charge": (3.6e4, "10 Ah"),
    "voltage": (10.0, "10 V"),
    "c_rate": (50 / 3600, "50 C"),
    "scan_rate": (1.0, "1 V/s"),
    "time": (365.25 * 86400, "a year"),
}
"""Larger than any published test of lithium-metal cells in facts/recipes.md, by a factor of about ten."""


def contradictions(content: ProtocolFile, source: Source) -> list[Problem]:
    """Return what is wrong with a file whose every part is right."""
    found = []
    if content.guards.get("limits") is False:
        message, hint = "The safety limits are always on.", "Widen them under 'limits:'."
        found.append(source.problem(("guards", "limits"), message, hint))
    for block, steps in (("afterwards", content.afterwards), ("on_suspicion", content.on_suspicion.steps)):
        path: TreePath = (block,) if block == "afterwards" else (block, "steps")
        found += _driven_at_rest(steps, path, source)
    found += _of_steps(content.steps, _Place(("steps",), source))
    return found


def _driven_at_rest(steps: tuple[SpectrumStep, ...], path: TreePath, source: Source) -> Iterator[Problem]:
    for place, step in enumerate(steps):
        if isinstance(step, GeisStep) and step.geis.current is not None:
            message = "Here no direct current is driven: the circuit has been opened."
            yield source.key_problem((*path, place, "geis", "current"), message, "Leave 'current' out.")
        if isinstance(step, PeisStep) and not _at_open_circuit(step):
            message = "Here spectra are taken at the open-circuit voltage only."
            yield source.key_problem((*path, place, "peis", "voltage"), message, "Leave 'voltage' out.")


def _at_open_circuit(step: PeisStep) -> bool:
    voltage = step.peis.voltage
    return isinstance(voltage, FromOpenCircuit) and voltage.offset.value == 0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a list of steps stands, and what stands around it."""

    path: TreePath
    source: Source
    ramps: frozenset[str] = frozenset()
    loops: int = 0
    passes: int = 1
    """Of the repeats around it, multiplied."""
    counted: bool = False

    def at(self, *keys: str | int) -> _Place:
        return replace(self, path=(*self.path, *keys))


def _of_steps(steps: tuple[Step, ...], here: _Place) -> Iterator[Problem]:
    for number, step in enumerate(steps):
        match step:
            case RepeatStep():
                yield from _of_repeat(step, here.at(number, "repeat"))
            case RampStep():
                yield from _of_ramp(step, here.at(number, "ramp"))
            case IfStep():
                yield from _of_if(step, here.at(number, "if"))
                yield from _unreachable(step, steps, here.at(number))
            case GeisStep():
                yield from _same_outside(step.geis, here.at(number, "geis"))
            case TemperatureStep(temperature=SetTemperature(stable=Stable(spectrum=GeisStep(geis=geis)))):
                yield from _same_outside(geis, here.at(number, "temperature", "stable", "spectrum", "geis"))
            case _:
                yield from _same_current(step, here.at(number))


def _same_current(step: Step, here: _Place) -> Iterator[Problem]:
    kind = next(iter(type(step).model_fields))
    if isinstance(getattr(getattr(step, kind), "current", None), Same):
        yield from _refuse_same(here.at(kind, "current"))


def _same_outside(geis: Geis, here: _Place) -> Iterator[Problem]:
    if isinstance(geis.current, Same):
        yield from _refuse_same(here.at("current"))


def _refuse_same(here: _Place) -> Iterator[Problem]:
    message = "'same' means the current of the step that a spectrum interrupts; there is none here."
    yield here.source.problem(here.path, message, "Write a current, such as '0.1 mA/cm²'.")


def _of_repeat(step: RepeatStep, here: _Place) -> Iterator[Problem]:
    if step.repeat.counts and here.counted:
        message = "A repeat that counts cycles can't stand inside another one that does."
        yield here.source.key_problem((*here.path, "counts"), message, "Leave 'counts' out in one of them.")
    if not _takes_time(step.repeat.steps):
        yield here.source.key_problem(
            (*here.path, "steps"), "This repeat only tells or asks something.", _IDLE
        )
    if step.repeat.spectra is not None and step.repeat.spectra.after_cycles is not None:
        yield from _late_cycles(step, here)
    if step.repeat.spectra is not None and not _interrupts(step.repeat.spectra):
        yield from _same_between(step.repeat.spectra.steps, here.at("spectra", "steps"))
    passes = here.passes * step.repeat.times
    if passes > MAX_PASSES >= here.passes:
        message = f"With the repeats around it this makes {passes:.0e} passes; {MAX_PASSES:.0e} are the most."
        yield here.source.problem((*here.path, "times"), message, "Repeat less often.")
    counted = here.counted or bool(step.repeat.counts)
    inside = replace(here, loops=here.loops + 1, passes=passes, counted=counted)
    yield from _of_steps(step.repeat.steps, inside.at("steps"))


def _interrupts(spectra: PassSpectra) -> bool:
    """Whether the spectra may come while a current goes on."""
    return spectra.every is not None and spectra.every.unit in ("time", "charge")


def _same_between(steps: tuple[SpectrumStep, ...], here: _Place) -> Iterator[Problem]:
    for number, step in enumerate(steps):
        if isinstance(step, GeisStep):
            yield from _same_outside(step.geis, here.at(number, "geis"))


def _late_cycles(step: RepeatStep, here: _Place) -> Iterator[Problem]:
    listed = step.repeat.spectra.after_cycles if step.repeat.spectra else None
    for number in listed or ():
        if number > step.repeat.times:
            message = f"There is no pass {number}: the repeat has {step.repeat.times}."
            path = (*here.path, "spectra", "after_cycles")
            yield here.source.problem(path, message, "Leave it out, or repeat more often.")


def _of_ramp(step: RampStep, here: _Place) -> Iterator[Problem]:
    over = step.ramp.over
    if over in here.ramps:
        message = f"A ramp over the {over} can't stand inside another one: ${over} would have two meanings."
        yield here.source.key_problem(here.path, message, "Write a 'repeat' inside the ramp.")
    elif over in here.source.find(("parameters",)).key_places and here.source.root.child("parameters"):
        message = f"Inside a ramp over it, ${over} is the level of the ramp."
        yield here.source.key_problem(("parameters", over), message, "Give the parameter another name.")
    if not _takes_time(step.ramp.steps):
        yield here.source.key_problem((*here.path, "steps"), "This ramp only tells or asks something.", _IDLE)
    inside = replace(here, ramps=here.ramps | {over}, loops=here.loops + 1)
    yield from _of_steps(step.ramp.steps, inside.at("steps"))


def _of_if(step: IfStep, here: _Place) -> Iterator[Problem]:
    for word in ("then", "otherwise"):
        way = getattr(step.decision, word)
        if way == "leave" and not here.loops:
            message = "There is no repeat to leave here."
            yield here.source.problem((*here.path, word), message, "Write 'end' to end the test.")
        elif not isinstance(way, str):
            yield from _of_steps(way, here.at(word))
    if step.decision.then == () == step.decision.otherwise:
        yield here.source.key_problem((*here.path, "then"), "Both ways are empty.", "Write what to do.")


def _unreachable(step: IfStep, steps: tuple[Step, ...], here: _Place) -> Iterator[Problem]:
    number = here.path[-1]
    both_jump = isinstance(step.decision.then, str) and isinstance(step.decision.otherwise, str)
    if both_jump and isinstance(number, int) and number + 1 < len(steps):
        path = (*here.path[:-1], number + 1)
        message = "This step is never reached: both ways of the 'if' before it lead elsewhere."
        yield here.source.problem(path, message, "Take it out, or change the 'if'.")


def _takes_time(steps: tuple[Step, ...]) -> bool:
    """Whether an instrument surely runs a step among these, or the loop around them is left.

    A loop of which every pass may be empty would be worked off at once, a million decisions long.
    """
    for step in steps:
        match step:
            case IfStep():
                ways = (step.decision.then, step.decision.otherwise)
                if all(isinstance(way, str) or _takes_time(way) for way in ways):
                    return True
            case MessageStep():
                continue
            case _:
                return True
    return False


def warnings(content: ProtocolFile, source: Source, unused: list[str]) -> Iterator[Problem]:
    """Yield what is allowed but seldom meant."""
    for name in unused:
        hint = f"Write ${name} where it is meant, or take it out."
        yield source.key_problem(("parameters", name), f"The parameter '{name}' is used nowhere.", hint)
    if content.watch.value > SLOW_WATCH_S:
        message = f"With 'watch: {content.watch.text}' guards see a short circuit late."
        yield source.problem(("watch",), message, "The usual value is 1 s.")
    seen: set[str] = set()
    for path, amount in _amounts(content, ()):
        if amount.kind in _SELDOM_ABOVE and amount.text not in seen:
            most, words = _SELDOM_ABOVE[amount.kind]
            if abs(amount.value) > most * (1 + 1e-9):
                seen.add(amount.text)
                message = f"'{amount.text}' is unusually large (above {words})."
                yield source.problem(path, message, "Look at the unit: is it the one you mean?")


def _amounts(value: object, path: TreePath) -> Iterator[tuple[TreePath, Amount]]:
    """Yield every quantity of a file with its path."""
    if isinstance(value, Amount):
        yield path, value
    elif isinstance(value, FromOpenCircuit):
        yield path, value.offset
    elif isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            yield from _amounts(getattr(value, name), (*path, info.alias or name))
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _amounts(item, (*path, number))
