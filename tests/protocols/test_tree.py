"""A program run segment by segment, with the host between, is the program run the plain way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import tree
from protocols.nodes import (
    ConstantCurrent,
    Criterion,
    Decision,
    Geis,
    Jump,
    Message,
    Node,
    OnPasses,
    Person,
    Repeat,
    Rest,
    Step,
    VoltageSweep,
)
from protocols.position import Position
from protocols.tree import Nodes

CRITERION = Criterion(quantity="time", comparison="above", value=0.0)

Happened = tuple[str, int, tuple[int, ...]]
"""What, its number, and the passes of the loops around it (empty for what the host does)."""


@dataclass
class Story:
    """What a program does, one thing after the other, with its answers to decisions."""

    answers: list[bool]
    asked: int = 0
    happened: list[Happened] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    """How many decisions came before each thing that happened."""

    def note(self, what: str, index: int, loops: tuple[int, ...] = ()) -> None:
        self.happened.append((what, index, loops))
        self.before.append(self.asked)

    def answer(self) -> bool:
        self.asked += 1
        return self.answers[(self.asked - 1) % len(self.answers)]


def interpret(nodes: Nodes, story: Story, loops: tuple[int, ...] = ()) -> Jump | None:
    """Run a program the plain way; return the jump that is not yet made."""
    for node in nodes:
        jump: Jump | None = None
        match node:
            case Repeat():
                jump = _interpret_loop(node, story, loops)
            case OnPasses():
                jump = interpret(node.body, story, loops) if node.runs_in(loops[-1]) else None
            case Decision():
                story.note("decision", node.index)
                steps, jump = node.way(story.answer())
                jump = interpret(steps, story, loops) or jump
            case Message():
                story.note("message", node.index)
            case _:
                story.note("step", node.index, loops)
        if jump:
            return jump
    return None


def _interpret_loop(loop: Repeat, story: Story, loops: tuple[int, ...]) -> Jump | None:
    for number in range(loop.start, loop.stop):
        jump = interpret(loop.body, story, (*loops, number))
        if jump == "leave":
            return None
        if jump:
            return jump
    return None


def run_in_segments(whole: Nodes, left: Nodes, story: Story) -> None:
    """Run what is left of a program as the engine does."""
    while True:
        segment = tree.leading(left)
        if segment:
            _check_segment(segment)
            interpret(segment, story)
            rest = tree.remainder(whole, tree.last_position(segment))
            assert rest is not None
            left = rest
            continue
        first, _ = tree.head(left)
        match first:
            case None:
                return
            case Message():
                story.note("message", first.index)
                left = tree.without_head(left)
            case Decision():
                story.note("decision", first.index)
                left = tree.decide(left, story.answer())
            case _:
                raise AssertionError(f"a step comes first, but no segment: {first}")


def _check_segment(segment: Nodes) -> None:
    steps = [step for step, _ in tree.walk(segment)]
    assert all(isinstance(node, Step | Repeat) for node in flat(segment))
    assert not any(tree.needs_host(step) for step in steps) or len(segment) == 1


def flat(nodes: Nodes) -> Iterator[Node]:
    for node in tree.parts(nodes):
        yield node
        if isinstance(node, Repeat):
            yield from flat(node.body)


# Random programs


def leaf(kind: str) -> Node:
    match kind:
        case "rest":
            return Rest(index=0, label="", duration_s=10.0)
        case "driven":
            return ConstantCurrent(
                index=0, label="", current_A=1e-3, duration_s=10.5, charge_C=1e-2, ends_by="charge"
            )
        case "person":
            return Rest(index=0, label="", duration_s=100.0, host_ends=(Person(),))
        case "message":
            return Message(index=0, label="", text="hello")
        case _:
            return Geis(
                index=0,
                label="",
                amplitude_A=1e-6,
                frequency_start_Hz=1e3,
                frequency_end_Hz=1.0,
                points_per_decade=3,
                response_V=1e-2 if kind == "response" else None,
            )


def way(steps: list[Node], jump: Jump | None) -> tuple[Nodes, Jump | None]:
    return (() if jump else tuple(steps)), jump


def decision(yes: tuple[Nodes, Jump | None], no: tuple[Nodes, Jump | None]) -> Node:
    return Decision(
        index=0,
        label="",
        criteria=(CRITERION,),
        then=yes[0],
        then_jump=yes[1],
        otherwise=no[0],
        otherwise_jump=no[1],
    )


def loop(total: int, body: list[Node], some: list[tuple[int | tuple[int, ...], list[Node]]]) -> Node:
    """Make a loop; ``some`` are nodes that run in some passes only, put between those that always run."""
    parts: list[Node] = list(body)
    for place, (passes, nodes) in enumerate(some):
        every = passes if isinstance(passes, int) else None
        listed = () if isinstance(passes, int) else passes
        parts.insert(2 * place, OnPasses(every=every, listed=listed, body=tuple(nodes)))
    return Repeat(total=total, stop=total, body=tuple(parts))


leaves = st.sampled_from(["rest", "driven", "sweep", "person", "response", "message"]).map(leaf)
passes = st.integers(1, 4) | st.sets(st.integers(1, 6), min_size=1, max_size=3).map(
    lambda found: tuple(sorted(found))
)
jumps = st.none() | st.none() | st.sampled_from(["leave", "end"])


def _inner(inside: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inside, min_size=1, max_size=3)
    ways = st.builds(way, st.lists(inside, max_size=2), jumps)
    some = st.lists(st.tuples(passes, several), max_size=2)
    return st.builds(loop, st.integers(1, 5), several, some) | st.builds(decision, ways, ways)


anything: st.SearchStrategy[Node] = st.recursive(leaves, _inner, max_leaves=8)


def numbered(nodes: Nodes, numbers: Iterator[int]) -> Nodes:
    """Return the nodes numbered in the order they are written."""
    found: list[Node] = []
    for node in nodes:
        match node:
            case Repeat() | OnPasses():
                found.append(node.model_copy(update={"body": numbered(node.body, numbers)}))
            case Decision():
                index = next(numbers)
                ways = {name: numbered(getattr(node, name), numbers) for name in ("then", "otherwise")}
                found.append(node.model_copy(update={"index": index, **ways}))
            case _:
                found.append(node.model_copy(update={"index": next(numbers)}))
    return tuple(found)


programs = st.lists(anything, min_size=1, max_size=4).map(
    lambda nodes: numbered(tuple(nodes), iter(range(10**6)))
)
answers = st.lists(st.booleans(), min_size=1, max_size=5)


@settings(max_examples=60)
@given(programs, answers)
def test_in_segments_the_same_happens_in_the_same_order(nodes: Nodes, chosen: list[bool]) -> None:
    plain, split = Story(chosen), Story(chosen)
    interpret(nodes, plain)
    run_in_segments(nodes, nodes, split)
    assert split.happened == plain.happened


def done_of(step: Step, part: float) -> tuple[float, float]:
    """Return time and charge of a part of a step."""
    if isinstance(step, ConstantCurrent):
        assert step.charge_C is not None
        passed_C = part * step.charge_C
        return passed_C / step.current_A, passed_C
    return part * step.remaining_s, 0.0


@settings(max_examples=60)
@given(programs, answers, st.data(), st.sampled_from([0.0, 0.3, 0.999]))
def test_interrupted_anywhere_the_rest_passes_what_is_left(
    nodes: Nodes, chosen: list[bool], data: st.DataObject, part: float
) -> None:
    plain = Story(chosen)
    interpret(nodes, plain)
    steps = [number for number, (what, *_) in enumerate(plain.happened) if what == "step"]
    if not steps:
        return
    number = data.draw(st.sampled_from(steps))
    _, index, loops = plain.happened[number]
    step = next(step for step, _ in tree.walk(nodes) if step.index == index)
    time_s, charge_C = done_of(step, part)
    left = tree.remainder(nodes, Position(step=index, loops=loops, time_s=time_s, charge_C=charge_C))
    assert left is not None
    again = Story(chosen, asked=plain.before[number])
    run_in_segments(nodes, left, again)
    assert again.happened == plain.happened[number:]
    first = tree.leading(left)
    assert first, "the step that was interrupted comes first"
    here, _ = next(tree.walk(first))
    is_sweep = isinstance(here, Geis)
    assert here.index == index
    assert (here.done_s, here.done_C) == ((0.0, 0.0) if is_sweep else (time_s, charge_C))


@settings(max_examples=60)
@given(programs, answers)
def test_a_place_that_is_over_is_not_visited_again(nodes: Nodes, chosen: list[bool]) -> None:
    plain = Story(chosen)
    interpret(nodes, plain)
    for number, (what, index, loops) in enumerate(plain.happened):
        if what != "step":
            continue
        left = tree.remainder(nodes, Position(step=index, loops=loops, over=True))
        assert left is not None
        again = Story(chosen, asked=plain.before[number])
        run_in_segments(nodes, left, again)
        assert again.happened == plain.happened[number + 1 :]


plain_leaves = st.sampled_from(["rest", "driven", "sweep"]).map(leaf)
plain_nodes: st.SearchStrategy[Node] = st.recursive(
    plain_leaves,
    lambda inside: st.builds(loop, st.integers(1, 50), st.lists(inside, min_size=1, max_size=3), st.just([])),
    max_leaves=8,
)


@given(st.lists(plain_nodes, min_size=1, max_size=4))
def test_what_needs_no_host_is_one_segment_with_its_loops(nodes: list[Node]) -> None:
    assert tree.leading(tuple(nodes)) == tuple(nodes)


# Single cases


REST = Rest(index=0, label="", duration_s=10.0)
SPECTRUM = Geis(
    index=1,
    label="",
    amplitude_A=1e-6,
    frequency_start_Hz=1e3,
    frequency_end_Hz=1.0,
    points_per_decade=3,
)


def test_passes_that_are_alike_stay_a_loop() -> None:
    often = Repeat(total=100, stop=100, body=(REST, OnPasses(every=50, body=(SPECTRUM,))))
    spans = [
        (node.start, node.stop, len(node.body))
        for node in flat(tree.leading((often,)))
        if isinstance(node, Repeat)
    ]
    assert spans == [(0, 49, 1), (49, 50, 2), (50, 99, 1), (99, 100, 2)]


def test_a_loop_that_is_written_out_for_ever_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_PARTS", 4)
    often = Repeat(total=10, stop=10, body=(REST, OnPasses(every=2, body=(SPECTRUM,))))
    plain, split = Story([True]), Story([True])
    interpret((often,), plain)
    run_in_segments((often,), (often,), split)
    assert split.happened == plain.happened
    assert len(tree.leading((often,))) == 4


def test_no_decision_where_none_is() -> None:
    with pytest.raises(TypeError, match="no decision"):
        tree.decide((REST,), True)


SWEEP = VoltageSweep.model_validate(
    {
        "index": 0,
        "label": "",
        "duration_s": 100.0,
        "vertices": [{"voltage_V": 0.0}, {"voltage_V": 1.0}, {"voltage_V": 0.0}],
        "rate_V_per_s": 0.02,
    }
)


@pytest.mark.parametrize(("time_s", "vertices"), [(25.0, [0.5, 1.0, 0.0]), (75.0, [0.5, 0.0]), (100.0, None)])
def test_a_sweep_goes_on_from_the_voltage_it_had_reached(time_s: float, vertices: list[float] | None) -> None:
    left = tree.remainder((SWEEP,), Position(step=0, time_s=time_s, reference_V=3.0))
    if vertices is None:
        assert left == ()
        return
    assert left is not None
    (step,) = left
    assert isinstance(step, VoltageSweep)
    assert [vertex.voltage_V for vertex in step.vertices] == pytest.approx(vertices)
    assert step.done_s == time_s


def test_cycles_are_counted_by_the_loops_that_count() -> None:
    inside = Repeat(total=3, stop=3, body=(REST,), counts=True)
    last = REST.model_copy(update={"index": 5})
    nodes = (Repeat(total=2, stop=2, body=(inside, SPECTRUM)), last)
    assert [tree.cycle_number(nodes, 0, (a, b)) for a in range(2) for b in range(3)] == [1, 2, 3, 4, 5, 6]
    assert [tree.cycle_number(nodes, 1, (a,)) for a in range(2)] == [3, 6]
    assert tree.cycle_number(nodes, 5, ()) == 6
    with pytest.raises(KeyError):
        tree.cycle_number(nodes, 9, ())
