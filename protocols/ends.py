"""Another end of a step of a program that was compiled already. Pure.

The rules are those of the compiler (:mod:`protocols.compile_dc`): what ends a step on board, and which time
stands behind it.
"""

from __future__ import annotations

import re

from protocols.capabilities import Capabilities
from protocols.compile_dc import TIME_MARGIN
from protocols.edits import End, EndName
from protocols.errors import InvalidFileError, Problem
from protocols.nodes import (
    ChargePassed,
    ConstantCurrent,
    ConstantVoltage,
    Decision,
    Node,
    OnPasses,
    Repeat,
    Rest,
    Step,
)
from protocols.program import Program
from protocols.tree import Nodes

ENDS: dict[str, tuple[EndName, ...]] = {
    "rest": ("time",),
    "constant_current": ("time", "charge", "voltage"),
    "constant_voltage": ("time", "charge", "current"),
}
"""Kind of step → the end conditions that it may have."""
_AGAIN = re.compile(r" \(\d+\)$")
"""How the label of a piece of a step ends, of which there are several."""


def with_end(program: Program, edit: End, able: Capabilities) -> Program:
    """Return the program with another end of one step.

    The constant voltage of CC-CV moves with the voltage that leads to it. Raises InvalidFileError if the step
    is not there, has no such end, or is cut in pieces by spectra.
    """
    step, loops = _find(program, edit.step)
    if edit.which not in ENDS.get(step.kind, ()):
        known = ", ".join(ENDS.get(step.kind, ())) or "none that can be changed"
        raise _problem(f"'{step.label}' has no end by {edit.which}.", f"Ends that it may have: {known}.")
    if _is_piece(step, loops):
        hint = "Stop the run after this half-cycle, and submit the rest as a new run."
        raise _problem(f"'{step.label}' is cut in pieces by the spectra in it: its end stays.", hint)
    if edit.value <= 0 and edit.which != "voltage":
        raise _problem(f"'{step.label}': an end by {edit.which} is above zero.")
    return program.with_steps(_changed(program.steps, step, edit, able))


def _find(program: Program, index: int) -> tuple[Step, tuple[Repeat, ...]]:
    for leaf, loops in program.walk():
        if leaf.index == index:
            return leaf, loops
    raise _problem(f"There is no step {index}.")


def _is_piece(step: Step, loops: tuple[Repeat, ...]) -> bool:
    """Whether a step is one of the pieces that spectra cut it in: see ``compile_spectra.inside_step``.

    All that is in the loop over the pieces bears the step's label.
    """
    body = loops[-1].body if loops else ()
    of_step = [isinstance(node, Step | Decision) and node.label.startswith(step.label) for node in body]
    in_loop = len(body) > 1 and body[0] == step and all(of_step)
    return isinstance(step, ConstantCurrent) and (in_loop or _AGAIN.search(step.label) is not None)


def _changed(nodes: Nodes, step: Step, edit: End, able: Capabilities) -> Nodes:
    """Return nodes with the step's end changed, wherever it stands."""
    found: list[Node] = []
    for place, node in enumerate(nodes):
        before = nodes[place - 1] if place else None
        if isinstance(node, Repeat | OnPasses):
            found.append(node.model_copy(update={"body": _changed(node.body, step, edit, able)}))
        elif isinstance(node, Decision):
            ways = {
                "then": _changed(node.then, step, edit, able),
                "otherwise": _changed(node.otherwise, step, edit, able),
            }
            found.append(node.model_copy(update=ways))
        elif isinstance(node, Step) and node.index == step.index:
            found.append(_ended(node, edit, able))
        elif edit.which == "voltage" and _holds_on(before, node) and before == step:
            found.append(node.model_copy(update={"voltage_V": edit.value}))
        else:
            found.append(node)
    return tuple(found)


def _holds_on(before: Node | None, node: Node) -> bool:
    """Whether a step holds the voltage that the one before has come to (CC-CV)."""
    return (
        isinstance(before, ConstantCurrent)
        and isinstance(node, ConstantVoltage)
        and node.set_current_A == before.current_A
        and node.voltage_V == before.until_voltage_V
    )


def _ended(step: Step, edit: End, able: Capabilities) -> Step:
    match step:
        case ConstantCurrent():
            return _current_ended(step, edit.which, edit.value, able)
        case ConstantVoltage() if edit.which == "current":
            return step.model_copy(update={"until_current_A": edit.value})
        case ConstantVoltage() if edit.which == "charge":
            others = tuple(end for end in step.host_ends if not isinstance(end, ChargePassed))
            return step.model_copy(update={"host_ends": (*others, ChargePassed(charge_C=edit.value))})
        case Rest() | ConstantVoltage():
            return step.model_copy(update={"duration_s": edit.value})
        case _:
            raise TypeError(f"a step {step.kind!r} has no end to change")


def _current_ended(
    step: ConstantCurrent, which: EndName, value: float, able: Capabilities
) -> ConstantCurrent:
    """Return a step of constant current with another end: see ``compile_dc._end``."""
    size_A, by_voltage = abs(step.current_A), step.until_voltage_V is not None
    if which == "voltage":
        ends_by = "charge" if step.ends_by == "charge" else "voltage"
        return step.model_copy(update={"until_voltage_V": value, "ends_by": ends_by})
    if which == "charge":
        margin = TIME_MARGIN if able.charge_counter else 1.0
        ends_by = "charge" if able.charge_counter else "voltage" if by_voltage else "time"
        return step.model_copy(
            update={"duration_s": margin * value / size_A, "charge_C": value, "ends_by": ends_by}
        )
    charge_C = None if by_voltage else size_A * value
    ends_by = "voltage" if by_voltage else "time"
    return step.model_copy(update={"duration_s": value, "charge_C": charge_C, "ends_by": ends_by})


def _problem(message: str, hint: str = "") -> InvalidFileError:
    return InvalidFileError([Problem("edit", 0, 0, message, hint)])
