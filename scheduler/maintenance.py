"""Which stations are in maintenance: no run starts there, what runs goes on."""

from __future__ import annotations

from collections.abc import Iterable

from protocols.errors import NotAllowedError, StorageError
from protocols.queueing import Maintenance
from scheduler.audit import AuditLog
from scheduler.clock import Clock
from scheduler.recorder import Recorder
from scheduler.requests import MaintenanceRequest
from scheduler.stations import Stations
from storage.store import Store


class MaintenanceBook:
    """Knows what is in maintenance; each change is durable before it holds."""

    def __init__(
        self, stations: Stations, store: Store, recorder: Recorder, clock: Clock, audit: AuditLog
    ) -> None:
        self._stations = stations
        self._store = store
        self._recorder = recorder
        self._clock = clock
        self._audit = audit
        self._kept: dict[str, Maintenance] = {}

    def recall(self, kept: Iterable[Maintenance]) -> None:
        """Take over what an earlier daemon stored."""
        self._kept = {entry.name: entry for entry in kept}

    def entries(self) -> list[Maintenance]:
        """Return what is in maintenance now."""
        now_s = self._clock.unix()
        return [entry for entry in self._kept.values() if entry.holds(now_s)]

    def ends(self) -> list[float]:
        """Return when those end, or have ended, of which that is known."""
        return [entry.until_unix_s for entry in self._kept.values() if entry.until_unix_s is not None]

    def shut(self) -> dict[str, Maintenance]:
        """Return the stations on which nothing starts, each with the maintenance that holds longest."""
        wired = self._stations.config.stations
        found: dict[str, Maintenance] = {}
        for entry in sorted(self.entries(), key=lambda entry: entry.until_unix_s or float("inf")):
            found |= {name: entry for name in wired if entry.name in (name, wired[name].instrument)}
        return found

    def refuse(self, station: str) -> None:
        """Raise NotAllowedError if nothing may start on a station."""
        entry = self.shut().get(station)
        if entry is not None:
            raise NotAllowedError(
                f"{entry.name} is in maintenance ({entry.reason}); "
                f"first: sandtime maintenance off {entry.name}"
            )

    async def begin(self, request: MaintenanceRequest, who: str) -> Maintenance:
        """Let nothing start on a station or an instrument. Raises InvalidFileError, NotAllowedError."""
        with self._audit.asked(who, "maintenance on", None, **request.model_dump()):
            self._stations.of(request.name)
            now_s = self._clock.unix()
            if request.until_unix_s is not None and request.until_unix_s <= now_s:
                raise NotAllowedError("the end of a maintenance has to lie in the future")
            entry = Maintenance(**request.model_dump(), since_unix_s=now_s, who=who)
            await self._store_it(entry, over=False)
            self._kept[entry.name] = entry
            return entry

    async def end(self, name: str, who: str) -> Maintenance:
        """Let runs start again. Raises NotAllowedError, StorageError."""
        with self._audit.asked(who, "maintenance off", None, name=name):
            entry = next((entry for entry in self.entries() if entry.name == name), None)
            if entry is None:
                names = ", ".join(entry.name for entry in self.entries()) or "nothing is"
                raise NotAllowedError(f"{name} is not in maintenance; in maintenance: {names}")
            await self._store_it(entry, over=True)
            self._kept.pop(name, None)
            return entry

    async def _store_it(self, entry: Maintenance, *, over: bool) -> None:
        data = {"maintenance": "off" if over else "on", **entry.model_dump(mode="json")}
        self._store.save_maintenance(entry, over=over)
        self._recorder.event(None, "maintenance", None, data)
        try:
            await self._recorder.commit()
        except StorageError:
            # It waits in memory for a later commit, which must not bring what was refused here.
            known = self._kept.get(entry.name)
            self._store.save_maintenance(known or entry, over=known is None)
            raise
