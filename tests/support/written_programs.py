"""Programs taken apart and run the plain way, beside which the code under test is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from protocols.nodes import ConstantCurrent, Decision, Geis, Message, Node, OnPasses, Repeat, Step, inner

Nodes = tuple[Node, ...]


def all_nodes(nodes: Nodes) -> Iterator[Step | Decision | Message]:
    """Yield each node that has a number, in the order in which they are written."""
    for node in nodes:
        if not isinstance(node, Repeat | OnPasses):
            yield node
        yield from all_nodes(inner(node))


@dataclass(frozen=True)
class Visit:
    """One pass of one step, message or decision."""

    index: int
    loops: tuple[int, ...]
    seconds: float = 0.0
    charge_C: float = 0.0


Answers = Callable[[int], bool]
"""Number of a decision among those that were asked → its answer."""


class Interpreter:
    """Runs a program as its nodes say, every loop written out; a jump unwinds the loops around it."""

    def __init__(self, answers: Answers, most: int) -> None:
        self._answers = answers
        self._most = most
        self.visits: list[Visit] = []
        self.asked = 0

    def run(self, nodes: Nodes, loops: tuple[int, ...] = (), done: int = 0) -> str | None:
        """Run nodes; return the jump that is still to be made."""
        for node in nodes:
            jump = self._node(node, loops, done)
            if jump is not None or len(self.visits) >= self._most:
                return jump or "end"
        return None

    def _node(self, node: Node, loops: tuple[int, ...], done: int) -> str | None:
        match node:
            case Repeat():
                return self._loop(node, loops)
            case OnPasses():
                return self.run(node.body, loops, done) if _runs(node, done) else None
            case Decision():
                self.visits.append(Visit(node.index, ()))
                self.asked += 1
                answer = self._answers(self.asked - 1)
                jump = node.then_jump if answer else node.otherwise_jump
                return jump or self.run(node.then if answer else node.otherwise, loops, done)
            case Message():
                self.visits.append(Visit(node.index, ()))
            case _:
                self.visits.append(visit_of(node, loops))
        return None

    def _loop(self, loop: Repeat, loops: tuple[int, ...]) -> str | None:
        for done in range(loop.start, loop.stop):
            jump = self.run(loop.body, (*loops, done), done)
            if jump is not None:
                return None if jump == "leave" else jump
        return None


def _runs(node: OnPasses, done: int) -> bool:
    if node.listed:
        return done + 1 in node.listed
    first = (node.every or 1) - 1 if node.first is None else node.first
    return done >= first and (done - first) % (node.every or 1) == 0


def visit_of(step: Step, loops: tuple[int, ...]) -> Visit:
    """Return the visit of a whole step, or of what is left of it."""
    seconds = step.remaining_s
    if isinstance(step, ConstantCurrent) and step.charge_C is not None:
        left_C = max(0.0, step.charge_C - abs(step.done_C)) * (1 if step.current_A > 0 else -1)
        return Visit(step.index, loops, seconds, left_C)
    current_A = step.current_A if isinstance(step, ConstantCurrent | Geis) else 0.0
    return Visit(step.index, loops, seconds, current_A * seconds)
