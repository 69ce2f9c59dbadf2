"""Whatever a stranger's file holds: nothing but the language's own error comes out of it."""

from __future__ import annotations

import pytest
from library_cells import CELLS
from protocol_fuzz import fuzzed

from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.errors import InvalidFileError
from protocols.plan import make_plan
from protocols.protocol import parse_protocol

FEW, MANY = 2_000, 100_000
BATCH = 250


def is_told(text: str, cells: list[Cell], channel: Capabilities) -> bool:
    """Read, compile and plan a text; return whether it was accepted. A refusal names file and reason."""
    accepted = False
    try:
        protocol = parse_protocol(text, "f.yaml")
        for cell in cells:
            make_plan(compile_program(protocol, cell, channel), channel)
            accepted = True
    except InvalidFileError as error:
        assert error.problems
        assert all(problem.file and problem.message for problem in error.problems)
    return accepted


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return [parse_cell(CELLS[name], name) for name in ("rate_test", "symmetric_cycling")]


@pytest.mark.parametrize("first", range(0, FEW, BATCH))
def test_a_file_is_accepted_or_refused_with_words(
    first: int, cells: list[Cell], channel: Capabilities
) -> None:
    accepted = [is_told(fuzzed(seed), cells, channel) for seed in range(first, first + BATCH)]
    # Both ends are reached: files that are only noise would test the YAML parser alone.
    assert any(accepted)
    assert not all(accepted)


@pytest.mark.soak
def test_a_hundred_thousand_files_are_accepted_or_refused_with_words(
    cells: list[Cell], channel: Capabilities
) -> None:
    for seed in range(FEW, FEW + MANY):
        is_told(fuzzed(seed), cells, channel)
