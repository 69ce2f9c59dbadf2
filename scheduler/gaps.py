"""Where samples are missing that were fetched and never stored, as far as what comes next tells."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from protocols import tree
from protocols.nodes import Step
from scheduler.progress import Progress

LATE = 1.5
"""A sample that comes later than this many intervals after the one before has others missing before it."""
FIRST = 0.5
"""So has the first of a segment, if it comes so many intervals after the segment's start."""
REST = 0.05
"""A step is over when less than this many intervals are left of it: it has a sample at its end."""


def missing(
    progress: Progress, watch_s: float, times_s: Sequence[float], visit: tuple[int, int]
) -> Iterator[tuple[float, float]]:
    """Yield the stretches of run time before and among what comes next, at ascending run times.

    ``visit``: step and visit of the first of it.
    """
    most_s = (FIRST if progress.fresh else LATE) * watch_s
    if (progress.step, progress.visit) != visit and _step_left_s(progress) > REST * watch_s:
        # The step's last sample is not there.
        most_s = 0.0
    for before_s, t_s in itertools.pairwise((progress.t_s, *times_s)):
        if t_s - before_s > most_s:
            yield before_s, t_s
        most_s = LATE * watch_s


def _step_left_s(progress: Progress) -> float:
    """Return how long the step goes on of which samples came last; 0 if none did, or it is over."""
    if progress.fresh:
        return 0.0
    position = progress.position()
    head = tree.head(progress.section.remainder(position).steps)[0]
    goes_on = isinstance(head, Step) and head.index == position.step and (head.done_s or not position.time_s)
    return head.remaining_s if isinstance(head, Step) and goes_on else 0.0
