"""Commits, so that nobody waits for a disk longer than he wants to.

One task commits at a time; whoever asks meanwhile shares the next commit. What fails is tried again with
back-off. A disk that hangs without an error is taken for one that fails.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from protocols.errors import StorageError
from scheduler.clock import Clock
from scheduler.figures import CommitFigures
from scheduler.supervision import is_cancelled
from storage.store import Store
from storage.tables import StoredEvent

log = logging.getLogger(__name__)

COMMIT_INTERVAL_S = 0.5
"""Longest time a handed-over sample waits for its commit (design: The way of one sample, 3)."""

PATIENCE_S = 1.0
"""A keeper waits so long for a commit: its cells are not watched meanwhile."""
TIMEOUT_S = 10.0
"""A person who asks for something waits so long."""
STALLED_S = 5.0
"""A commit that has taken so long counts as failing until it is done."""
BACKOFF_FIRST_S, BACKOFF_FACTOR, BACKOFF_MAX_S = 0.5, 2.0, 10.0

Outcome = Exception | None


class Committer:
    """The one who lets the store commit."""

    def __init__(self, store: Store, clock: Clock, committed: Callable[[StoredEvent], None]) -> None:
        """``committed`` is told every event after its commit, in order."""
        self.on_failure: list[Callable[[], None]] = []
        """Called when a commit fails after one that did not."""
        self.figures = CommitFigures()
        self._store = store
        self._clock = clock
        self._committed = committed
        self._problem = ""
        self._durable_until_s = clock.monotonic()
        self._began_s: float | None = None
        self._begun = self._succeeded = 0
        self._retry_at_s = -float("inf")
        self._backoff_s = BACKOFF_FIRST_S
        self._asked: asyncio.Future[Outcome] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str:
        """Why nothing can be stored at present; empty while commits succeed."""
        if self._problem or self._began_s is None:
            return self._problem
        taken_s = self._clock.monotonic() - self._began_s
        return f"the disk has not answered for {taken_s:.0f} s" if taken_s >= STALLED_S else ""

    @property
    def behind_s(self) -> float:
        """Age of the oldest that was handed over and is not durable, at most; 0 if all is."""
        return 0.0 if self._store.settled else self._clock.monotonic() - self._durable_until_s

    def mark(self) -> int:
        """Return a mark for what was handed over so far; see :meth:`is_durable`."""
        self._ask()
        return self._begun + 1

    def is_durable(self, mark: int) -> bool:
        """Whether everything is durable that was handed over before the mark was given."""
        return self._succeeded >= mark

    async def durable(self) -> bool:
        """Make durable what was handed over so far; return whether it is, after a moment at most.

        While nothing can be stored this returns at once: :meth:`keep` goes on trying.
        """
        return not self.problem and await self._outcome(PATIENCE_S) is None

    async def commit(self) -> None:
        """Make durable what was handed over so far. Raises StorageError; nothing is lost then."""
        error = await self._outcome(TIMEOUT_S)
        if isinstance(error, StorageError):
            raise error
        if error is not None:
            raise StorageError(f"an internal fault kept data from being stored: {error!r}") from error

    async def keep(self) -> None:
        """Commit every half second, for ever; after a failure less often."""
        while True:
            await asyncio.sleep(COMMIT_INTERVAL_S)
            if self._clock.monotonic() >= self._retry_at_s:
                self._ask()

    async def close(self) -> None:
        """Begin no more commits; one that is under way comes to its end first."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _outcome(self, patience_s: float) -> Outcome:
        asked = self._ask()
        await asyncio.wait([asked], timeout=patience_s)
        if asked.done():
            return asked.result()
        return StorageError(
            f"the disk of {self._store.folder} has not answered for {patience_s:g} s. What was to be stored "
            "waits in memory. Look at the disk, or the network that it hangs on."
        )

    def _ask(self) -> asyncio.Future[Outcome]:
        """Return what comes of the next commit that begins."""
        if self._asked is None:
            self._asked = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="commit")
        return self._asked

    async def _work(self) -> None:
        """Commit as often as somebody asks."""
        while self._asked is not None:
            asked, self._asked = self._asked, None
            self._began_s = self._clock.monotonic()
            self._begun += 1
            try:
                outcome = await self._commit()
            finally:
                began_s, self._began_s = self._began_s, None
            self._note(outcome, began_s)
            asked.set_result(outcome)

    async def _commit(self) -> Outcome:
        try:
            for event in await self._store.commit():
                self._committed(event)
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            log.exception("a commit was cancelled by nobody")
            return StorageError(f"a commit was broken off: {error!r}")
        except Exception as error:
            # No fault of storing may end the watch over the cells.
            if not self._problem:
                expected = isinstance(error, StorageError)
                log.error("storing fails, measuring goes on: %s", error, exc_info=not expected)
            return error
        return None

    def _note(self, outcome: Outcome, began_s: float) -> None:
        self.figures.note(self._clock.monotonic() - began_s, failed=outcome is not None)
        if outcome is None:
            if self._problem:
                log.warning("storing works again; what waited in memory is stored")
            self._problem, self._backoff_s = "", BACKOFF_FIRST_S
            self._durable_until_s, self._succeeded = began_s, self._begun
            return
        began, self._problem = not self._problem, str(outcome) or repr(outcome)
        if began:
            for subscriber in self.on_failure:
                _tell(subscriber)
        self._retry_at_s = self._clock.monotonic() + self._backoff_s
        self._backoff_s = min(self._backoff_s * BACKOFF_FACTOR, BACKOFF_MAX_S)


def _tell(subscriber: Callable[[], None]) -> None:
    try:
        subscriber()
    except Exception:
        # A fault of somebody who listens must not keep anything from being stored.
        log.exception("a subscriber failed")
