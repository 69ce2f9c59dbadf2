"""What people ask of the daemon, kept in the store: who, when, what, of which run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from protocols.errors import SandtimeError
from protocols.laboratory import AuditEntry, Calibration
from scheduler.clock import Clock
from scheduler.requests import CalibrationRequest
from storage.store import Store

UNKNOWN = "api"
"""Who asks if the client does not say."""


class AuditLog:
    """Queues entries; the next commit makes them durable, so that no command waits for it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def note(self, who: str, what: str, run: int | None = None, **details: object) -> None:
        """Note what was asked."""
        entry = AuditEntry(unix_s=self._clock.unix(), who=who, what=what, run=run, details=details)
        self._store.add_audit(entry)

    def calibrated(self, who: str, request: CalibrationRequest) -> Calibration:
        """Queue a calibration, and that it was given."""
        now_s = self._clock.unix()
        until_s = None if request.valid_for_s is None else now_s + request.valid_for_s
        given = request.model_dump(exclude={"valid_for_s"})
        calibration = Calibration(**given, unix_s=now_s, valid_until_unix_s=until_s, who=who)
        self._store.add_calibration(calibration)
        self.note(who, "calibrate", None, instrument=request.instrument, channel=request.channel)
        return calibration

    @contextmanager
    def asked(self, who: str, what: str, run: int | None = None, **details: object) -> Iterator[None]:
        """Note what is asked before it is done, and once more with the reason if it fails."""
        self.note(who, what, run, **details)
        try:
            yield
        except SandtimeError as error:
            self.note(who, what, run, **details, error=str(error))
            raise
