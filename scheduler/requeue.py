"""How the queue of an earlier daemon is made again, from what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from protocols.errors import BusyError
from protocols.queueing import Request
from protocols.records import ENDED, RunInfo
from scheduler.dispatcher import Dispatcher, cell_key
from scheduler.placing import find_again
from scheduler.queue import LabQueue
from scheduler.run import ActiveRun
from storage.reader import Reader


class Requeue:
    """Puts runs back, one after the other, the oldest first; starts none."""

    def __init__(self, dispatcher: Dispatcher, reader: Reader) -> None:
        self._dispatcher = dispatcher
        self._queue = dispatcher.queue
        self._reader = reader

    async def begin(self) -> None:
        """Read what was stored of the queue."""
        requests = await asyncio.to_thread(self._reader.catalogue.requests)
        self._dispatcher.requests |= {request.run: request for request in requests}
        self._dispatcher.maintenance.recall(await asyncio.to_thread(self._reader.catalogue.maintenance))

    def ended(self, info: RunInfo) -> None:
        """A run has ended: a protected one keeps its station until a person acknowledges it."""
        if info.state == "protected" and not info.acknowledged and info.station in self._queue.stations:
            self._queue.occupy(info.station, info.run, cell_key(info), held=True)

    async def put_back(self, run: ActiveRun) -> None:
        """Put a run back where it was. Raises BusyError if service.toml no longer has its station."""
        station = run.info.station
        if station and station not in self._queue.stations:
            raise BusyError(
                f"run {run.number} is on station {station}, which service.toml no longer has; "
                "put the station back, or move the data folder away"
            )
        self._dispatcher.requests.setdefault(run.number, Request(run=run.number, station=station))
        if run.ticket is not None:
            self._queue.occupy(station, run.number, cell_key(run.info))
            place = self._dispatcher.stations.place(station)
            place.keeper.adopt(place.channel, run)
            return
        if not station:
            await self._float(run)
        self._queue.add(self._dispatcher.entry(run))

    async def _float(self, run: ActiveRun) -> None:
        """Find the stations again that a run may have."""
        dispatcher = self._dispatcher
        request = dispatcher.requests[run.number]
        found, names = await asyncio.to_thread(find_again, request, dispatcher.stations, self._reader)
        before = dispatcher.runs.get(request.after or 0)
        if before is not None and before.number in dispatcher.floating:
            names = tuple(name for name in names if name in before.info.candidates)
        dispatcher.floating[run.number] = found
        run.info = run.info.model_copy(update={"candidates": names})

    def end(self, known: Mapping[int, RunInfo]) -> None:
        """Every run is back: see what those have come to that others come after, or that keep a station.

        ``known``: every run as it was stored.
        """
        for request in self._dispatcher.requests.values():
            before = known.get(request.after or 0)
            if before is not None and before.state in ENDED:
                well = before.state == "finished" or before.acknowledged
                self._queue.note_end(before.run, well=well, begun=before.started_unix_s is not None)
        self._share_candidates()
        for station, info in _newest_of_stations(known.values()).items():
            if station in self._queue.occupants or station not in self._queue.stations:
                continue
            self._queue.note_cell(station, cell_key(info))
            if _was_kept(info, self._queue):
                self._queue.occupy(station, info.run, cell_key(info), held=True)

    def _share_candidates(self) -> None:
        """The runs of a series go to one station: none may have what a later one may not."""
        dispatcher = self._dispatcher
        for number in sorted(dispatcher.floating, reverse=True):
            before = dispatcher.runs.get(dispatcher.requests[number].after or 0)
            if before is not None and before.number in dispatcher.floating:
                stations = self._queue.waiting[number].stations
                names = tuple(name for name in before.info.candidates if name in stations)
                before.info = before.info.model_copy(update={"candidates": names})
                self._queue.add(dispatcher.entry(before))


def _newest_of_stations(known: Iterable[RunInfo]) -> dict[str, RunInfo]:
    """Return the run of each station that has ended last, of those that had started."""
    ended = [info for info in known if info.state in ENDED and info.started_unix_s is not None]
    return {info.station: info for info in sorted(ended, key=lambda info: info.ended_unix_s or 0.0)}


def _was_kept(info: RunInfo, queue: LabQueue) -> bool:
    """Whether a run that was stopped or failed kept its station for a person, since others waited for it."""
    return (
        info.state in ("stopped", "failed")
        and not info.acknowledged
        and any(
            info.station in entry.stations and entry.submitted_unix_s <= (info.ended_unix_s or 0.0)
            for entry in queue.waiting.values()
        )
    )
