"""From steps that go back to earlier ones to loops that hold their steps."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.errors import InvalidFileError, Problem
from protocols.exchange.unicycler_file import AnyStep, DrivenOrRest, Loop, Tag, problem
from protocols.yamlfile import Source


@dataclass(frozen=True, slots=True)
class Nested:
    """A step, or a loop of such."""

    start: int
    """Place of its first step in the file, from 0; of a loop, where it goes back to."""
    end: int
    content: DrivenOrRest | tuple[Nested, ...]
    times: int = 1
    notes: tuple[str, ...] = ()
    """Tags and ids that stand at it."""


def nest(method: tuple[AnyStep, ...], source: Source) -> tuple[Nested, ...]:
    """Return the steps with their loops around them. Raises InvalidFileError where loops can't be nested."""
    tags = _tags(method, source)
    found: list[Nested] = []
    notes: list[str] = []
    for place, step in enumerate(method):
        if isinstance(step, Tag):
            notes.append(step.tag)
        elif isinstance(step, Loop):
            start = _target(step, place, method, tags, source)
            body = [item for item in found if item.start >= start]
            del found[len(found) - len(body) :]
            found.append(_looped(step, place, start, body, found, source))
        else:
            notes += [f"id: {step.id}"] if step.id else []
            found.append(Nested(place, place, step, notes=tuple(notes)))
            notes = []
    if not found:
        raise InvalidFileError([problem(source, ("method",), "There is no step that does anything.")])
    return tuple(found)


def _tags(method: tuple[AnyStep, ...], source: Source) -> dict[str, int]:
    tags: dict[str, int] = {}
    for place, step in enumerate(method):
        if isinstance(step, Tag):
            if step.tag in tags:
                raise InvalidFileError(
                    [problem(source, ("method", place, "tag"), "This tag is written twice.")]
                )
            tags[step.tag] = place
    return tags


def _target(loop: Loop, place: int, method: tuple[AnyStep, ...], tags: dict[str, int], source: Source) -> int:
    """Return the place, from 0, that a loop goes back to."""
    target = tags.get(loop.loop_to) if isinstance(loop.loop_to, str) else loop.loop_to - 1
    message = ""
    if target is None:
        message = f"There is no tag '{loop.loop_to}'."
    elif not 0 <= target < place:
        message = "A loop goes back to a step before it."
    elif isinstance(method[target], Loop):
        message = "A loop can't go back to another loop."
    if message or target is None:
        raise InvalidFileError([_of_loop(source, place, message)])
    return target


def _looped(
    loop: Loop, place: int, start: int, body: list[Nested], before: list[Nested], source: Source
) -> Nested:
    if not body:
        raise InvalidFileError([_of_loop(source, place, "There is no step in this loop.")])
    if before and before[-1].end >= start:
        message = "This loop goes back into another loop: they can't be nested."
        raise InvalidFileError([_of_loop(source, place, message)])
    return Nested(start, place, tuple(body), loop.cycle_count, (f"id: {loop.id}",) if loop.id else ())


def _of_loop(source: Source, place: int, message: str) -> Problem:
    return problem(source, ("method", place, "loop_to"), message)
