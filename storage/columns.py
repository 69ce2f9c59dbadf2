"""Samples of one run as columns: name → values, all of one length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.measurements import SAMPLE, Block

Columns = dict[str, NDArray[Any]]


def of_block(block: Block, names: Sequence[str]) -> Columns:
    """Return columns of a block of samples."""
    return {name: block[name] for name in names}


def length(columns: Columns) -> int:
    """Return the number of samples."""
    return len(next(iter(columns.values())))


def join(parts: Sequence[Columns], names: Sequence[str]) -> Columns:
    """Return pieces as one, each column in its stored type; empty columns for no pieces."""
    return {
        name: np.concatenate([np.empty(0, SAMPLE[name]), *(part[name] for part in parts)]) for name in names
    }


def joined(pieces: Sequence[Columns]) -> Columns:
    """Return pieces, at least one, of whatever columns they have, as one."""
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def regroup(pieces: Iterable[Columns], names: Sequence[str], rows: int) -> Iterator[Columns]:
    """Join neighbouring pieces to pieces of at least ``rows`` samples; the last is shorter, maybe empty."""
    waiting: list[Columns] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(map(length, waiting)) >= rows:
            yield join(waiting, names)
            waiting = []
    yield join(waiting, names)


def between(columns: Columns, t0: float, t1: float) -> Columns:
    """Return the samples with t0 ≤ t_s ≤ t1."""
    inside = (columns["t_s"] >= t0) & (columns["t_s"] <= t1)
    return {name: values[inside] for name, values in columns.items()}
