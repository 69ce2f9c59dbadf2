"""Long protocols stay small: what is handed to an instrument at a time is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.compile import compile_program
from protocols.nodes import Node, inner
from protocols.program import Program
from protocols.protocol import parse_protocol
from protocols.tree import MAX_PARTS, leading

CYCLES = """
    repeat:
      times: {times}
      counts: cycles
      steps:
        - constant_current: {{current: 1 mA, until: {{time: 1 h}}}}
        - constant_current: {{current: -1 mA, until: {{time: 1 h}}}}
      spectra:
        every: 7 cycles
        steps:
          - geis: {{amplitude: 10 µA, frequency: {{from: 1 kHz, to: 1 Hz}}}}
"""
NODES_OF_A_PART = 5
"""A loop and at most three steps, and the loop around it."""


def compiled(steps: str, cell: Cell, channel: Capabilities) -> Program:
    return compile_program(parse_protocol(f"sandtime: 1\nname: x\nsteps:\n{steps}", "f.yaml"), cell, channel)


def nodes_in(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from nodes_in(inner(node))


def test_ten_thousand_cycles_stay_a_handful_of_nodes(cell: Cell, channel: Capabilities) -> None:
    program = compiled("  -" + CYCLES.format(times=10_000), cell, channel)
    # The loop, two half-cycles, what runs after some passes, and its spectrum.
    assert len(list(nodes_in(program.steps))) == 5
    assert 0 < len(list(nodes_in(leading(program.steps)))) <= NODES_OF_A_PART * MAX_PARTS


def test_a_segment_stays_bounded_where_such_cycles_stand_inside_a_repeat(
    cell: Cell, channel: Capabilities
) -> None:
    inside = CYCLES.format(times=700).replace("\n", "\n      ")
    outer = f"  - repeat:\n      times: 1000\n      steps:\n      -{inside.rstrip()}\n"
    program = compiled(outer, cell, channel)
    assert 0 < len(list(nodes_in(leading(program.steps)))) <= NODES_OF_A_PART * MAX_PARTS
