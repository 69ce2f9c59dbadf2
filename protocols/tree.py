"""What is left of a program, what an instrument can run of it now, and which way it goes on. Pure.

A program is a list of nodes with loops and decisions in it. Interrupting it, splitting it into segments and
taking a decision all turn a list of nodes into a shorter one: nothing that has passed is left in it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from protocols.nodes import (
    ConstantCurrent,
    ConstantVoltage,
    Decision,
    Geis,
    Jump,
    Message,
    Node,
    OnPasses,
    Peis,
    Repeat,
    Rest,
    Step,
    VoltageSweep,
    inner,
)
from protocols.position import Position

Nodes = tuple[Node, ...]

MAX_PARTS = 500
"""A loop of which only some passes are alike is written out into about so many parts at a time."""


def walk(nodes: Iterable[Node], loops: tuple[Repeat, ...] = ()) -> Iterator[tuple[Step, tuple[Repeat, ...]]]:
    """Yield each step with the loops around it, outermost first; every way of a decision is walked."""
    for node in nodes:
        if isinstance(node, Step):
            yield node, loops
        else:
            yield from walk(inner(node), (*loops, node) if isinstance(node, Repeat) else loops)


def remainder(nodes: Nodes, position: Position) -> Nodes | None:
    """Return the nodes from the position on; None if the position's step is not among ``nodes``."""
    return _remainder(nodes, position, position.loops)


def _remainder(nodes: Nodes, position: Position, loops: tuple[int, ...]) -> Nodes | None:
    for place, node in enumerate(nodes):
        head: Nodes | None = None
        if isinstance(node, Repeat):
            head = _rest_of_loop(node, position, loops)
        elif isinstance(node, OnPasses):
            head = _remainder(node.body, position, loops)
        elif isinstance(node, Decision):
            head = _remainder(node.then, position, loops)
            head = _remainder(node.otherwise, position, loops) if head is None else head
        elif isinstance(node, Step) and node.index == position.step and not loops:
            head = _rest_of_step(node, position)
        if head is not None:
            return (*head, *nodes[place + 1 :])
    return None


def _rest_of_loop(loop: Repeat, position: Position, loops: tuple[int, ...]) -> Nodes | None:
    if not loops or not loop.start <= loops[0] < loop.stop:
        return None
    body = _remainder(loop.body, position, loops[1:])
    return None if body is None else _loop_from(loop, loops[0], body)


def _loop_from(loop: Repeat, done: int, body: Nodes) -> Nodes:
    """Return what is left of a loop of which ``done`` passes are done and ``body`` is left of the next."""
    parts: list[Node] = []
    if body:
        parts.append(loop.model_copy(update={"start": done, "stop": done + 1, "body": body}))
    if done + 1 < loop.stop:
        parts.append(loop.model_copy(update={"start": done + 1}))
    return tuple(parts)


def _rest_of_step(step: Step, position: Position) -> Nodes:
    if position.over:
        return ()
    if isinstance(step, Geis | Peis):
        # A broken sweep has no use: it is measured again if it was not complete.
        return () if position.time_s >= step.remaining_s else (step,)
    if position.time_s >= step.duration_s:
        return ()
    passed: dict[str, object] = {"done_s": position.time_s, "done_C": position.charge_C}
    if isinstance(step, ConstantCurrent):
        planned_C = step.charge_C if step.ends_by == "charge" else None
        if planned_C is not None and abs(position.charge_C) >= planned_C:
            return ()
    return _from_reference(step, position, passed)


def _from_reference(step: Step, position: Position, passed: dict[str, object]) -> Nodes:
    """Let a step that was interrupted go on from the voltage it had reached, not from a new rest."""
    reference_V = position.reference_V
    if isinstance(step, ConstantVoltage) and step.relative and reference_V is not None and position.time_s:
        passed |= {"voltage_V": step.voltage_V + reference_V, "relative": False}
    if isinstance(step, VoltageSweep) and position.time_s:
        if reference_V is None and any(vertex.relative for vertex in step.vertices):
            # Nobody knows how far it had come: like a broken spectrum, it is measured again.
            return (step,)
        left = step.after(position.time_s - step.done_s, reference_V or 0.0)
        if not left:
            return ()
        passed["vertices"] = left
    return (step.model_copy(update=passed),)


def needs_host(node: Step) -> bool:
    """Whether a step is a segment of its own: the host prepares it, or it waits for something."""
    if isinstance(node, Rest):
        return node.waits is not None
    return isinstance(node, Geis) and node.response_V is not None


def leading(nodes: Nodes) -> Nodes:
    """Return the next segment: steps and loops that an instrument can run before the host is asked.

    Empty if a decision or a message comes first (see :func:`head`), or if nothing is left.
    """
    return _lead(nodes, begun=False)[0]


def _lead(nodes: Nodes, begun: bool) -> tuple[Nodes, bool]:
    """Return the leading nodes, and whether that is all of them.

    ``begun``: something else of the segment comes before them.
    """
    taken: list[Node] = []
    for node in nodes:
        if isinstance(node, Repeat):
            part, whole = ((node,), True) if _plain(node.body) else _lead_of_loop(node, begun or bool(taken))
            taken += part
        elif isinstance(node, Step) and not (needs_host(node) and (begun or taken)):
            taken.append(node)
            whole = not needs_host(node)
        else:
            whole = False
        if not whole:
            return tuple(taken), False
    return tuple(taken), True


def _lead_of_loop(loop: Repeat, begun: bool) -> tuple[Nodes, bool]:
    """Write the loop out: passes that are alike stay a loop, up to the first that the host has a part in."""
    parts: list[Node] = []
    size, done = 0, loop.start
    while done < loop.stop:
        if size >= MAX_PARTS:
            return tuple(parts), False
        body, stop = _passes_alike(loop, done)
        if not _plain(body):
            stop = done + 1
            body, whole = _lead(body, begun or bool(parts))
        else:
            whole = True
        if body:
            parts.append(loop.model_copy(update={"start": done, "stop": stop, "body": body}))
            size += _loops((parts[-1],))
        if not whole:
            return tuple(parts), False
        done = stop
    return tuple(parts), True


def _loops(nodes: Nodes) -> int:
    """Return how many loops there are in all: a loop inside may itself have been written out."""
    return sum(isinstance(node, Repeat) + _loops(inner(node)) for node in nodes)


def _passes_alike(loop: Repeat, done: int) -> tuple[Nodes, int]:
    """Return the body of the next pass and the pass before which the bodies stay the same."""
    changes = [change for node in _on_passes(loop.body) if (change := node.next_change(done)) is not None]
    nearest = min(changes, default=loop.stop)
    return _in_pass(loop.body, done), min(done + 1 if nearest <= done else nearest, loop.stop)


def _on_passes(nodes: Nodes) -> Iterator[OnPasses]:
    """Yield what runs in some passes only of the loop whose body this is."""
    for node in nodes:
        if isinstance(node, OnPasses):
            yield node
        if not isinstance(node, Repeat):
            yield from _on_passes(inner(node))


def _in_pass(nodes: Nodes, done: int) -> Nodes:
    """Return a loop's body as it is in one pass."""
    result: list[Node] = []
    for node in nodes:
        if isinstance(node, OnPasses):
            result += _in_pass(node.body, done) if node.runs_in(done) else ()
        elif isinstance(node, Decision):
            ways = {"then": _in_pass(node.then, done), "otherwise": _in_pass(node.otherwise, done)}
            result.append(node.model_copy(update=ways))
        else:
            result.append(node)
    return tuple(result)


@functools.lru_cache(maxsize=256)
def _plain(nodes: Nodes) -> bool:
    """Whether an instrument can run it all without the host."""
    return all(
        not needs_host(node) if isinstance(node, Step) else isinstance(node, Repeat) and _plain(node.body)
        for node in nodes
    )


def head(nodes: Nodes) -> tuple[Node | None, Nodes]:
    """Return the step, decision or message that comes first, and the nodes without passes that are empty."""
    for place, node in enumerate(nodes):
        if not isinstance(node, Repeat):
            return node, nodes[place:]
        done = node.start
        while done < node.stop:
            body, stop = _passes_alike(node, done)
            first, left = head(body)
            if first is not None:
                return first, (*_loop_from(node, done, left), *nodes[place + 1 :])
            done = stop
    return None, ()


def without_head(nodes: Nodes) -> Nodes:
    """Return the nodes after the message that comes first."""
    return _go_on(nodes, ((), None))[0]


def decide(nodes: Nodes, answer: bool) -> Nodes:
    """Return the nodes after the decision that comes first, with the way that the answer takes."""
    first, nodes = head(nodes)
    if not isinstance(first, Decision):
        raise TypeError(f"no decision comes first, but {first!r}")
    left, jump = _go_on(nodes, first.way(answer))
    return () if jump == "end" else left


def _go_on(nodes: Nodes, way: tuple[Nodes, Jump | None]) -> tuple[Nodes, Jump | None]:
    """Put a way in the place of what comes first; a jump that is not yet made is handed on."""
    first, *rest = head(nodes)[1]
    if not isinstance(first, Repeat):
        steps, jump = way
        return (() if jump else (*steps, *rest)), jump
    body, jump = _go_on(first.body, way)
    if jump == "leave":
        return _after_loop(rest), None
    return ((), "end") if jump else ((*_loop_from(first, first.start, body), *rest), None)


def _after_loop(rest: list[Node]) -> Nodes:
    """Drop the passes still to come of the loop that ends before ``rest``: only they start after pass 0."""
    if rest and isinstance(rest[0], Repeat) and rest[0].start > 0:
        rest = rest[1:]
    return tuple(rest)


def parts(segment: Iterable[Node]) -> Iterator[Step | Repeat]:
    """Yield the nodes of a segment, which holds steps and loops alone."""
    for node in segment:
        if not isinstance(node, Step | Repeat):
            raise TypeError(f"a segment holds steps and loops, not {node.kind!r}")
        yield node


def first_position(nodes: Nodes) -> Position:
    """Return the place where a segment begins."""
    loops: list[int] = []
    first = nodes[0]
    while isinstance(first, Repeat):
        loops.append(first.start)
        first = first.body[0]
    if not isinstance(first, Step):
        raise TypeError(f"a segment holds steps and loops, not {first.kind!r}")
    return Position(step=first.index, loops=tuple(loops), time_s=first.done_s, charge_C=first.done_C)


def last_position(nodes: Nodes) -> Position:
    """Return the place behind the last step of a segment."""
    loops: list[int] = []
    last = nodes[-1]
    while isinstance(last, Repeat):
        loops.append(last.stop - 1)
        last = last.body[-1]
    if not isinstance(last, Step):
        raise TypeError(f"a segment holds steps and loops, not {last.kind!r}")
    return Position(step=last.index, loops=tuple(loops), over=True)


def cycle_number(nodes: Nodes, step: int, loops: tuple[int, ...]) -> int:
    """Return the cycle that a step belongs to, from 1; 0 before the first counted pass.

    Cycles are the passes of the loops that count; a step outside of one belongs to the cycle before it.
    """
    number = _cycles_until(nodes, step, loops)
    if number is None:
        raise KeyError(step)
    return number


def _cycles_until(nodes: Nodes, step: int, loops: tuple[int, ...]) -> int | None:
    passed = 0
    for node in nodes:
        if isinstance(node, Step | Message):
            if node.index == step:
                return passed
            continue
        looped = isinstance(node, Repeat) and loops
        within = _cycles_until(inner(node), step, loops[1:] if looped else loops)
        if within is not None:
            done = loops[0] if looped else 0
            counts = isinstance(node, Repeat) and node.counts
            return passed + within + (done + 1 if counts else done * _cycles(inner(node)))
        passed += _cycles((node,))
    return None


def _cycles(nodes: Nodes) -> int:
    """Return how many counted passes there are in all."""
    return sum(
        node.passes * (1 if node.counts else _cycles(node.body))
        if isinstance(node, Repeat)
        else _cycles(inner(node))
        for node in nodes
    )
