"""Many runs, by several processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.detection.classes import CLASSES, Seeds
from benchmarks.detection.kept import Kept
from benchmarks.detection.score import Scored, score

CHUNK = 8
Task = tuple[str, int]


def run(
    names: Iterable[str],
    share: float,
    seeds: Seeds,
    jobs: int,
    *,
    lab_share: float = 1.0,
    keep: Path | None = None,
) -> Iterator[Scored]:
    """Score this share of the runs of each class; lab rules judge only ``lab_share`` of them.

    ``keep``: a folder that remembers the runs that were scored, so that they are not scored again.
    """
    tasks = [
        (name, number) for name in names for number in range(max(math.ceil(share * CLASSES[name].runs), 1))
    ]
    one = partial(_one, seeds=seeds, lab_share=lab_share)
    if keep is None:
        yield from _score(tasks, one, jobs)
        return
    kept = Kept(keep, f"{seeds}-{lab_share:g}")
    found = {(scored.corpus, scored.number): scored for scored in kept.read()}
    yield from (found[task] for task in tasks if task in found)
    for scored in _score([task for task in tasks if task not in found], one, jobs):
        kept.add(scored)
        yield scored


def _score(tasks: list[Task], one: Callable[[Task], Scored], jobs: int) -> Iterator[Scored]:
    if jobs <= 1:
        yield from map(one, tasks)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(one, tasks, chunksize=CHUNK)


def _one(task: Task, seeds: Seeds, lab_share: float) -> Scored:
    name, number = task
    return score(CLASSES[name], number, seeds, lab=(number * 0.618) % 1.0 < lab_share)
