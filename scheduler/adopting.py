"""Taking over what an earlier daemon, or this one before a lost contact, has left on the channels.

Nothing here ever starts anything.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from drivers.instrument import Instrument
from protocols.errors import InstrumentError, UnreachableError
from scheduler.commands import Commands
from scheduler.run import ActiveRun

log = logging.getLogger(__name__)

GONE = "host lost: the channel no longer holds this run's segment"
"""Why a run ends whose segment is not found again."""


class Adoption:
    """The runs of one instrument that are to be taken over. Called by its keeper's task alone."""

    def __init__(self, instrument: Instrument, commands: Commands) -> None:
        self._instrument = instrument
        self._commands = commands
        self._waiting: dict[int, ActiveRun] = {}

    @property
    def waiting(self) -> Iterable[ActiveRun]:
        """The runs whose channels could not be looked at yet."""
        return self._waiting.values()

    def add(self, channel: int, run: ActiveRun) -> None:
        """Look, at the next opportunity, whether the channel still holds this run's segment."""
        self._waiting.setdefault(channel, run)

    async def adopt_all(self) -> None:
        """Take over what can be; a channel that can't be looked at is tried again in the next turn."""
        for channel, run in list(self._waiting.items()):
            self._commands.runs[channel] = run
            try:
                run.catch_up()
                await self._adopt(channel, run)
            except InstrumentError as error:
                run.lost(f"the channel can't be looked at: {error}")
                continue
            except UnreachableError:
                raise
            except Exception as error:
                # A fault of our own with one run must not leave the other cells unwatched.
                log.exception("run %d can't be taken over", run.number)
                await self._commands.give_up(channel, run, f"host lost: internal fault: {error!r}")
            del self._waiting[channel]

    async def _adopt(self, channel: int, run: ActiveRun) -> None:
        """Take over a segment, or note that the channel no longer holds it."""
        at_rest = run.end is not None and run.open_confirmed
        if run.ticket is None or at_rest or self._commands.waits(channel):
            return
        if run.end is None:
            position = await self._instrument.attach(channel, run.segment, run.ticket)
            if position is not None:
                run.taken_over(position)
                return
        await self._commands.give_up(channel, run, GONE)
