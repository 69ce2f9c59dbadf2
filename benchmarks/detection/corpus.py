"""Many runs, by several processes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from benchmarks.detection.classes import CLASSES, Seeds
from benchmarks.detection.score import Scored, score

CHUNK = 8


def run(
    names: Iterable[str], share: float, seeds: Seeds, jobs: int, *, lab_share: float = 1.0
) -> Iterator[Scored]:
    """Score this share of the runs of each class; lab rules judge only ``lab_share`` of them."""
    tasks = [
        (name, number) for name in names for number in range(max(math.ceil(share * CLASSES[name].runs), 1))
    ]
    one = partial(_one, seeds=seeds, lab_share=lab_share)
    if jobs <= 1:
        yield from map(one, tasks)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(one, tasks, chunksize=CHUNK)


def _one(task: tuple[str, int], seeds: Seeds, lab_share: float) -> Scored:
    name, number = task
    return score(CLASSES[name], number, seeds, lab=(number * 0.618) % 1.0 < lab_share)
