"""What runs on an instrument's channels and no run of ours owns.

A segment of ours is opened, again and again until that is confirmed: no cell stays driven that nobody
watches. What others started is left alone and told; no run starts there before it is over.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from drivers.instrument import ChannelLook, Instrument
from protocols.errors import InstrumentError
from protocols.records import folder_marker
from scheduler.clock import Clock
from scheduler.recorder import Recorder

log = logging.getLogger(__name__)

LOOK_S = 10.0
"""Time between two looks while nothing of ours runs, or a run waits for others to end."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """A channel that runs something of ours which no run owns."""

    channel: int
    confirmed: bool
    """Whether it was read back as open."""


class Strangers:
    """Those of one instrument. Its keeper's one task does the work; anybody may :meth:`ask` for it."""

    def __init__(self, instrument: Instrument, recorder: Recorder, clock: Clock) -> None:
        self._instrument = instrument
        self._recorder = recorder
        self._clock = clock
        self._foreign: set[int] = set()
        self._orphans: dict[int, bool] = {}
        """Channel → whether it was told that it won't open."""
        self._looked_s = -math.inf
        self._asked: list[asyncio.Future[list[Orphan]]] = []

    @property
    def unopened(self) -> set[int]:
        """Channels of ours and nobody's that could not be confirmed open yet."""
        return {channel for channel, told in self._orphans.items() if told}

    def ask(self) -> asyncio.Future[list[Orphan]]:
        """Ask for open circuits at the keeper's next turn. The answer may be an UnreachableError."""
        answer: asyncio.Future[list[Orphan]] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        return answer

    def lost(self, error: Exception) -> None:
        """The instrument can't be asked: say so to those who wait."""
        asked, self._asked = self._asked, []
        for answer in asked:
            if not answer.done():
                answer.set_exception(error)

    async def turn(self, owned: Collection[int]) -> None:
        """Open what is to be opened, and answer those who asked for it. Raises as the instrument does."""
        if self._asked:
            await self.look(owned)
        found = await self._open_orphans()
        asked, self._asked = self._asked, []
        for answer in asked:
            if not answer.done():
                answer.set_result(found)

    def why_not(self, channel: int) -> str:
        """Say why no run may start on a channel; empty if it may."""
        place = self._place(channel)
        if channel in self._foreign:
            return f"{place}, which runs something that sandtime did not start; stop it there"
        if channel in self._orphans:
            return f"{place}, whose circuit is being opened: it runs a segment that no run owns"
        return ""

    async def look(self, owned: Collection[int]) -> None:
        """Look at every channel now. Raises as the instrument does."""
        self.take(await self._instrument.look(), owned)

    async def look_again(self, owned: Collection[int]) -> None:
        """Look if the last look is a while ago."""
        if self._clock.monotonic() - self._looked_s >= LOOK_S:
            await self.look(owned)

    def take(self, looks: Sequence[ChannelLook], owned: Collection[int]) -> None:
        """Take notice of what a look has shown. ``owned``: the channels on which runs are."""
        self._looked_s = self._clock.monotonic()
        ours = folder_marker(self._recorder.identity)
        seen = [look for look in looks if look.running and look.connected and look.channel not in owned]
        orphans = {look.channel for look in seen if look.marker.startswith(ours)}
        foreign = {look.channel for look in seen} - orphans
        for channel in sorted(orphans - self._orphans.keys()):
            self._tell(channel, "runs a segment of ours that no run owns: it is opened")
        for channel in sorted(foreign - self._foreign):
            self._tell(channel, "runs something of others: left alone")
        self._foreign = foreign
        self._orphans = {channel: self._orphans.get(channel, False) for channel in orphans}

    async def _open_orphans(self) -> list[Orphan]:
        """Open what is ours and nobody's; what can't be confirmed is tried again in the next turn."""
        found = []
        for channel, told in list(self._orphans.items()):
            try:
                outcome = await self._instrument.stop(channel)
                why = "" if outcome.confirmed else "it was not read back"
            except InstrumentError as error:
                why = str(error)
            found.append(Orphan(channel, confirmed=not why))
            if not why:
                del self._orphans[channel]
                log.warning("%s is confirmed open", self._place(channel))
            elif not told:
                self._orphans[channel] = True
                self._tell(channel, f"could not be confirmed open ({why}); it is tried again and again")
        return found

    def _place(self, channel: int) -> str:
        return f"{self._instrument.name} channel {channel + 1}"

    def _tell(self, channel: int, what: str) -> None:
        message = f"{self._place(channel)} {what}"
        log.error("%s", message)
        self._recorder.event(None, "alarm", None, {"message": message})
