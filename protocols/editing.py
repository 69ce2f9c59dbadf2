"""What becomes of a program that is edited while it runs. Pure.

Steps keep their numbers and visits theirs, so that every sample that was stored says the same in the program
before an edit and after it: only loops that stand in no other loop get another number of passes, and neither
what is over nor what has begun is taken back. What is left to run is :meth:`Program.remainder`, as always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from protocols.capabilities import Capabilities
from protocols.edits import End, Limit, Passes, ProgramEdit
from protocols.ends import with_end
from protocols.errors import InvalidFileError, Problem
from protocols.nodes import Decision, Message, Node, OnPasses, Repeat, Step, inner
from protocols.position import Position
from protocols.program import Program
from protocols.program_checks import problems_of
from protocols.tree import Nodes, walk
from protocols.units import KindName, format_amount

FILE = "edit"
"""Stands where a problem names its file."""
_JOINT = " › "
MAX_PASSES = 10**6


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop that people wrote, and where in the program it stands."""

    label: str
    path: tuple[int, ...]
    """Place of the node in each list of nodes, outermost first."""
    passes: int
    depth: int
    """How many loops are around it, those of a single pass included."""
    nested: bool
    """Whether a loop of more than one pass is around it."""
    counts: bool
    first: int
    """Lowest number of a node in it."""
    last: int


def edited(
    program: Program,
    place: Position,
    edits: Iterable[ProgramEdit],
    able: Capabilities,
) -> Program:
    """Return the program after edits that are asked for while the run is at ``place``.

    Raises InvalidFileError that names everything that does not fit the run, the cell or the channel.
    """
    found: list[Problem] = []
    after = program
    for edit in edits:
        try:
            after = _applied(after, place, edit, able, late=False)
        except InvalidFileError as error:
            found += error.problems
    found = found or [Problem(FILE, 0, 0, text, hint) for text, hint in problems_of(after, program, able)]
    if found:
        raise InvalidFileError(found)
    return after


def edited_late(
    program: Program, place: Position, edits: Iterable[ProgramEdit], able: Capabilities
) -> Program:
    """Return the program after edits that were found good, now that they take effect at ``place``.

    The run has gone on since they were asked for: a pass that has begun meanwhile comes to its end, and a
    loop that is over stays as it was.
    """
    for edit in edits:
        program = _applied(program, place, edit, able, late=True)
    return program


def loops_of_program(program: Program) -> list[Loop]:
    """Return the loops that people wrote, in their order."""
    return list(_loops(program.steps, (), (), nested=False, depth=0))


def passes_begun(loop: Loop, place: Position) -> int | None:
    """Return how many passes of a loop have begun; None if it is over."""
    if place.finished or place.step > loop.last:
        return None
    if place.step < loop.first:
        return 0
    return place.loops[loop.depth] + 1 if len(place.loops) > loop.depth else 0


def changes(before: Program, after: Program) -> list[str]:
    """Say what differs between a program and what became of it by edits, a sentence each."""
    pairs = zip(loops_of_program(before), loops_of_program(after), strict=True)
    counts = [(loop.label, loop.passes, edited_loop.passes) for loop, edited_loop in pairs]
    found = [f"{label}: {new} passes, not {old}" for label, old, new in counts if old != new]
    for name in ("voltage_min_V", "voltage_max_V", "current_max_A"):
        old, new = getattr(before.limits, name), getattr(after.limits, name)
        if old != new:
            unit = name[-1]
            found.append(f"safety limit {name[:-2]}: {new:g} {unit}, not {old:g} {unit}")
    for (old_step, _), (new_step, _) in zip(before.walk(), after.walk(), strict=True):
        if old_step != new_step:
            words = _changed_ends(old_step, new_step, after.cell.area_m2)
            found += [f"{new_step.label}: {text}" for text in words]
    return found


def _changed_ends(before: Step, after: Step, area_m2: float) -> Iterator[str]:
    kinds: dict[str, KindName] = {
        "charge_C": "areal_capacity",
        "duration_s": "time",
        "until_voltage_V": "voltage",
        "voltage_V": "voltage",
        "until_current_A": "current",
    }
    by_charge = getattr(after, "charge_C", None) is not None
    for name, kind in kinds.items():
        old, new = getattr(before, name, None), getattr(after, name, None)
        # The time that a charge takes says nothing new.
        if old != new and not (name == "duration_s" and by_charge):
            yield f"{kind.replace('_', ' ')} {_words(new, kind, area_m2)}, not {_words(old, kind, area_m2)}"
    if getattr(before, "host_ends", ()) != getattr(after, "host_ends", ()):
        yield "another charge that ends it"


def _words(value: float | None, kind: KindName, area_m2: float) -> str:
    if value is None:
        return "none"
    return format_amount(value / area_m2 if kind == "areal_capacity" else value, kind)


# Applying


def _applied(
    program: Program, place: Position, edit: ProgramEdit, able: Capabilities, *, late: bool
) -> Program:
    match edit:
        case Passes():
            return _with_passes(program, place, edit, late=late)
        case Limit(which=which, value=value):
            unit = "A" if which == "current_max" else "V"
            limits = program.limits.model_copy(update={f"{which}_{unit}": value})
            return program.model_copy(update={"limits": limits})
        case End():
            return with_end(program, edit, able)


def _with_passes(program: Program, place: Position, edit: Passes, *, late: bool) -> Program:
    loop = next((loop for loop in loops_of_program(program) if loop.label == edit.loop), None)
    if loop is None:
        raise _problem(f"There is no loop '{edit.loop}'.", _loop_hint(program))
    if loop.nested:
        text = f"'{loop.label}' stands in another loop: its passes are counted in every round."
        raise _problem(text, "Change the loop around it, or stop the run and submit the rest as a new one.")
    begun, count = passes_begun(loop, place), edit.count
    if begun is None:
        if late:
            return program
        raise _problem(
            f"'{loop.label}' is over: the run is behind it.", "Submit what is missing as a new run."
        )
    if count < begun and not late:
        text = f"{begun} passes of '{loop.label}' have begun: {count} in all are fewer."
        raise _problem(text, "To leave out what is left of a step: sandtime edit RUN --skip")
    if count > MAX_PASSES:
        raise _problem(f"{count} passes are more than {MAX_PASSES}.")
    passes = max(count, begun)
    return program.with_steps(
        _replaced(
            program.steps, loop.path, lambda node: node.model_copy(update={"total": passes, "stop": passes})
        )
    )


def _replaced(nodes: Nodes, path: tuple[int, ...], change: Callable[[Node], Node]) -> Nodes:
    """Return nodes with the one at a path changed."""
    place, *rest = path
    node = nodes[place]
    if not rest:
        new = change(node)
    elif isinstance(node, Repeat | OnPasses):
        new = node.model_copy(update={"body": _replaced(node.body, tuple(rest), change)})
    else:
        raise TypeError(f"a loop on the way to an edit stands in no {node.kind!r}")
    return (*nodes[:place], new, *nodes[place + 1 :])


def _problem(message: str, hint: str = "") -> InvalidFileError:
    return InvalidFileError([Problem(FILE, 0, 0, message, hint)])


def _loop_hint(program: Program) -> str:
    labels = ", ".join(f"'{loop.label}'" for loop in loops_of_program(program))
    return f"Loops of this run: {labels}." if labels else "This run has no loops."


# Finding


def _loops(
    nodes: Nodes, path: tuple[int, ...], outer: tuple[str, ...], *, nested: bool, depth: int
) -> Iterator[Loop]:
    for place, node in enumerate(nodes):
        if not isinstance(node, Repeat | OnPasses):
            # A loop inside a decision may never be passed: it is not offered.
            continue
        here = (*path, place)
        if isinstance(node, OnPasses):
            yield from _loops(node.body, here, outer, nested=nested, depth=depth)
            continue
        numbers = list(_numbers(node.body))
        label = _label(node, outer)
        if label and numbers:
            yield Loop(
                _JOINT.join(label), here, node.total, depth, nested, node.counts, min(numbers), max(numbers)
            )
        inside = nested or node.total > 1
        yield from _loops(node.body, here, label or outer, nested=inside, depth=depth + 1)


def _label(loop: Repeat, outer: tuple[str, ...]) -> tuple[str, ...]:
    """Return the label of a loop that a person wrote, in its parts; empty for one that the compiler made.

    It is the beginning of the labels of all steps in it, up to the word ``repeat``.
    """
    leaf = next((node.label for node, _ in walk(loop.body)), "")
    parts = tuple(leaf.split(_JOINT))
    for count in range(len(outer), len(parts)):
        word = parts[count].split(" ")[0]
        if word == "repeat" and count + 1 < len(parts):
            return parts[: count + 1]
        if word == "cyclic_voltammetry":
            return parts[: count + 1]
    return ()


def _numbers(nodes: Nodes) -> Iterator[int]:
    for node in nodes:
        if isinstance(node, Step | Decision | Message):
            yield node.index
        yield from _numbers(inner(node))
