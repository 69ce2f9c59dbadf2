"""An event loop whose time is made up: it goes on at once to when the next thing is due.

What would run in other threads runs in the loop, an iteration later or after as long as a test says, so that
every order of things is made up as well and comes again.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class _Selector(selectors.DefaultSelector):
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("all wait for something that nobody will ever bring about")
        self.loop.now_s += max(timeout, 0.0)
        self.loop.turns += 1
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.turns = 0
        self.job_s = 0.0
        """How long a job of another thread takes."""
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Return the made-up time, in s since the loop was made."""
        return self.now_s

    def run_in_executor(  # type: ignore[override]  # as much of it as is used
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run a job in this loop."""
        future = self.create_future()
        self.call_later(self.job_s, self._do, future, func, args)
        return future

    @staticmethod
    def _do(future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            result = func(*args)
        except Exception as error:  # noqa: BLE001 - the future has it
            if not future.cancelled():
                future.set_exception(error)
        else:
            if not future.cancelled():
                future.set_result(result)
