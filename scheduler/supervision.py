"""The tasks that work for ever, named and watched: none of them dies silently.

They are written so that they do not die: what can fail is caught where it fails. If one dies all the same, of
a fault that nobody thought of, the log, an event and the status say so, and it is started again with
back-off. What its absence means, and whether its deaths end the runs, is written in docs/architecture.md.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from scheduler.clock import Clock, Stamp
from scheduler.contact import Backoff, Chance
from scheduler.requests import ProblemInfo

log = logging.getLogger(__name__)

BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.5, 60.0
WORKS_S = 60.0
"""A task that has worked for so long since its last death begins with short waits again."""
TOLD_S = 86_400.0
"""So long the status tells of a death."""
HOPELESS_DEATHS, HOPELESS_S = 3, 300.0
"""A task that has died so often in such a time can't be relied on."""

Work = Callable[[], Coroutine[Any, Any, None]]
Alarm = Callable[[str], None]


@dataclass(slots=True)
class _Deaths:
    """What became of one task."""

    meanwhile: str
    count: int = 0
    problem: str = ""
    last: Stamp | None = None
    next_try_s: float | None = None
    lately_s: deque[float] = field(default_factory=lambda: deque(maxlen=HOPELESS_DEATHS))


class Supervisor:
    """Keeps tasks at work and knows which of them have died."""

    def __init__(self, clock: Clock, alarm: Alarm, chance: Chance = random.random) -> None:
        """``alarm`` is told of each death, in words."""
        self._clock = clock
        self._alarm = alarm
        self._chance = chance
        self._deaths: dict[str, _Deaths] = {}

    async def keep(self, name: str, work: Work, meanwhile: str, hopeless: Alarm | None = None) -> None:
        """Let ``work`` work for ever: whenever it ends, however it ends, it is started again.

        ``meanwhile`` says what its absence means. ``hopeless`` is called when it keeps dying.
        """
        backoff = Backoff(BACKOFF_FIRST_S, BACKOFF_MAX_S, chance=self._chance)
        deaths = self._deaths.setdefault(name, _Deaths(meanwhile))
        while True:
            deaths.next_try_s = None
            began_s = self._clock.monotonic()
            problem = await _death(name, work)
            if self._clock.monotonic() - began_s >= WORKS_S:
                backoff.reset()
            wait_s = backoff.next_s()
            self._note(name, deaths, problem, wait_s, hopeless)
            await asyncio.sleep(wait_s)

    def problems(self) -> list[ProblemInfo]:
        """Return the tasks that have died in the last day."""
        now_s = self._clock.monotonic()
        return [
            ProblemInfo(
                task=name,
                problem=deaths.problem,
                deaths=deaths.count,
                since_unix_s=deaths.last.unix_s,
                meanwhile=deaths.meanwhile,
                works_again=deaths.next_try_s is None,
                next_try_in_s=None if deaths.next_try_s is None else max(0.0, deaths.next_try_s - now_s),
            )
            for name, deaths in self._deaths.items()
            if deaths.last is not None and now_s - deaths.last.monotonic_s < TOLD_S
        ]

    def _note(self, name: str, deaths: _Deaths, problem: str, wait_s: float, hopeless: Alarm | None) -> None:
        now = self._clock.stamp()
        deaths.count, deaths.problem, deaths.last = deaths.count + 1, problem, now
        deaths.next_try_s = now.monotonic_s + wait_s
        deaths.lately_s.append(now.monotonic_s)
        message = (
            f"the task '{name}' of the daemon has died: {problem}. Until it works again: {deaths.meanwhile}. "
            f"It is started again in {wait_s:.1f} s; please report this"
        )
        _safely(self._alarm, message)
        keeps_dying = len(deaths.lately_s) == HOPELESS_DEATHS
        if hopeless is not None and keeps_dying and now.monotonic_s - deaths.lately_s[0] <= HOPELESS_S:
            log.critical("the task '%s' keeps dying", name)
            _safely(hopeless, f"the task '{name}' of the daemon keeps dying: {problem}")


async def _death(name: str, work: Work) -> str:
    """Let a task work; return what it died of. Raises CancelledError only if we ourselves are to end."""
    try:
        await work()
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        log.critical("task '%s' was cancelled by nobody", name)
        return "it was cancelled from inside"
    except Exception as error:
        log.critical("task '%s' has died", name, exc_info=True)
        if is_cancelled():
            # What went wrong on the way out must not undo the cancellation.
            raise asyncio.CancelledError from error
        return repr(error)
    log.critical("task '%s' has come to an end, which it never should", name)
    return "it has come to an end"


def is_cancelled() -> bool:
    """Whether the present task is to end. Whoever goes on after an exception has to ask."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _safely(alarm: Alarm, message: str) -> None:
    try:
        alarm(message)
    except Exception:
        # Whoever is told must not keep the task from being started again.
        log.exception("an alarm could not be given: %s", message)
