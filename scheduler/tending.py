"""The tasks that keep instruments and chambers; some come and go while the others run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Protocol

from scheduler.supervision import Supervisor


class Tended(Protocol):
    """A keeper or a climate."""

    async def keep(self) -> None:
        """Keep it in contact and do what is wanted, until cancelled."""

    async def disconnect(self) -> None:
        """Let go of it. Never fails."""


class Tenders:
    """One task for each, in a group that the engine owns."""

    def __init__(self, what: str, supervisor: Supervisor, meanwhile: str) -> None:
        """``what`` stands before the names of tasks; ``meanwhile`` says what their absence means."""
        self._what = what
        self._supervisor = supervisor
        self._meanwhile = meanwhile
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, group: asyncio.TaskGroup, all_of_them: Mapping[str, Tended]) -> None:
        """Keep all that there are, in ``group``."""
        self._group = group
        for name, tended in all_of_them.items():
            self._keep(name, tended)

    def exchange(self, gone: Iterable[tuple[str, Tended]], new: Mapping[str, Tended]) -> None:
        """Let go of some, and keep others. Before :meth:`begin` nothing is to be done."""
        if self._group is None:
            return
        old = dict(gone)
        for name in old.keys() | new.keys():
            self._keep(name, new.get(name), old.get(name))

    def _keep(self, name: str, tended: Tended | None, instead_of: Tended | None = None) -> None:
        if self._group is None:
            raise RuntimeError("nothing is kept before begin()")
        before = self._tasks.pop(name, None)
        title = f"{self._what} {name}"
        task = self._group.create_task(self._keep_after(title, before, instead_of, tended), name=title)
        if tended is not None:
            self._tasks[name] = task

    async def _keep_after(
        self, title: str, before: asyncio.Task[None] | None, old: Tended | None, tended: Tended | None
    ) -> None:
        """Keep one once the one whose place it takes has let go: two connections would meet."""
        if before is not None:
            before.cancel()
            await asyncio.wait([before])
        if old is not None:
            await old.disconnect()
        if tended is not None:
            await self._supervisor.keep(title, tended.keep, self._meanwhile)
