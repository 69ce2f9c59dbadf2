"""No cell stays driven that no run owns: what of ours runs without a run is opened; of others, it is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.instrument import ChannelLook, Instrument
from protocols.errors import InstrumentError
from protocols.records import folder_marker
from scheduler.recorder import Recorder
from scheduler.run import ActiveRun

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Orphan:
    """A channel that runs something of ours which no run owns."""

    channel: int
    confirmed: bool
    """Whether it was read back as open."""


class Orphans:
    """Those of one instrument. Its keeper's one task does the work; anybody may ask for it."""

    def __init__(self, instrument: Instrument, runs: Mapping[int, ActiveRun], recorder: Recorder) -> None:
        self.unopened: set[int] = set()
        """Channels that could not be confirmed open yet; they are tried again at every turn."""
        self._instrument = instrument
        self._runs = runs
        self._recorder = recorder
        self._told: set[int] = set()
        self._asked: list[asyncio.Future[list[Orphan]]] = []

    def ask(self) -> asyncio.Future[list[Orphan]]:
        """Ask for open circuits at the keeper's next turn. The answer may be an UnreachableError."""
        answer: asyncio.Future[list[Orphan]] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        return answer

    async def turn(self) -> None:
        """Do what was asked for, and try again what did not open."""
        if not self._asked and not self.unopened:
            return
        found = await self.look()
        asked, self._asked = self._asked, []
        for answer in asked:
            if not answer.done():
                answer.set_result(found)

    def lost(self, error: Exception) -> None:
        """The instrument can't be asked: say so to those who wait."""
        asked, self._asked = self._asked, []
        for answer in asked:
            if not answer.done():
                answer.set_exception(error)

    async def look(self) -> list[Orphan]:
        """Look at every channel; open what runs a segment of ours without a run. Raises UnreachableError."""
        found = []
        for look in await self._instrument.look():
            if look.running and look.connected and look.channel not in self._runs:
                ours = look.marker.startswith(folder_marker(self._recorder.identity))
                self._tell(look, ours)
                if ours:
                    found.append(Orphan(look.channel, await self._open(look.channel)))
            else:
                self._told.discard(look.channel)
        self.unopened = {orphan.channel for orphan in found if not orphan.confirmed}
        return found

    async def _open(self, channel: int) -> bool:
        try:
            return (await self._instrument.stop(channel)).confirmed
        except InstrumentError as error:
            log.error("%s channel %d could not be opened: %s", self._instrument.name, channel + 1, error)
            return False

    def _tell(self, look: ChannelLook, ours: bool) -> None:
        """Say once what runs there."""
        if look.channel in self._told:
            return
        self._told.add(look.channel)
        what = (
            "a segment of ours that no run owns: it is opened" if ours else "something of others: left alone"
        )
        message = f"{self._instrument.name} channel {look.channel + 1} runs {what}"
        log.error("%s", message)
        self._recorder.event(None, "alarm", None, {"message": message})
