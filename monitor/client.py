"""A typed client of the daemon's HTTP API. The command line uses it, and other programs may."""

from __future__ import annotations

import getpass
import json
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter

from protocols.errors import (
    BusyError,
    InstrumentError,
    InvalidFileError,
    NotAllowedError,
    NotFoundError,
    Problem,
    SandtimeError,
    UnreachableError,
)
from protocols.laboratory import Calibration
from protocols.queueing import Maintenance
from protocols.records import Archived, RunInfo
from scheduler.requests import (
    STATE_FILE,
    Adoption,
    AlarmInfo,
    CalibrationRequest,
    EditableReply,
    EditReply,
    EditRequest,
    MaintenanceRequest,
    Order,
    QueueReply,
    QueueRow,
    ReloadReply,
    ResumeRequest,
    RunReply,
    StatusReply,
    StopAllRequest,
    StopOutcome,
    Submission,
)

TIMEOUT_S = 60.0
LONG_TIMEOUT_S = 600.0
"""To read a long run whole takes minutes."""

KINDS = (UnreachableError, InstrumentError, NotAllowedError, BusyError, NotFoundError)
"""Errors of the daemon that are raised here as what they were there."""

Model = TypeVar("Model", bound=BaseModel)


class Client:
    """Talks to the daemon of one data folder; raises its own errors, UnreachableError if there is none."""

    def __init__(self, url: str, token: str) -> None:
        # The daemon speaks plain HTTP on this computer. By default each client would read all certificates
        # of the system, which takes longer than what it is for.
        nothing_trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}", "X-Sandtime-User": quote(user_name())},
            timeout=TIMEOUT_S,
            verify=nothing_trusted,
        )

    @classmethod
    def of_folder(cls, data: Path) -> Self:
        """Return a client of the daemon whose data are in ``data``."""
        try:
            state = json.loads((data / STATE_FILE).read_text(encoding="utf-8"))
            return cls(state["url"], state["token"])
        except (FileNotFoundError, KeyError, json.JSONDecodeError):
            raise UnreachableError(f"no daemon runs for {data}; start it with: sandtime serve") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    def status(self) -> StatusReply:
        """Every instrument and every run."""
        return StatusReply.model_validate(self._call("GET", "/api/v1/status"))

    def run(self, run: int) -> RunReply:
        """One run."""
        return RunReply.model_validate(self._call("GET", f"/api/v1/runs/{run}"))

    def submit(self, submission: Submission) -> RunReply:
        """Check, store and queue a run."""
        return RunReply.model_validate(self._call("POST", "/api/v1/runs", submission.model_dump()))

    def submit_all(self, order: Order) -> list[RunReply]:
        """Queue runs, all of them or none."""
        return TypeAdapter(list[RunReply]).validate_python(
            self._call("POST", "/api/v1/queue", order.model_dump(mode="json"))
        )

    def preview(self, order: Order) -> list[QueueRow]:
        """Return where and when runs would run, if they were submitted now."""
        return TypeAdapter(list[QueueRow]).validate_python(
            self._call("POST", "/api/v1/queue/preview", order.model_dump(mode="json"))
        )

    def queue(self) -> QueueReply:
        """Return what has a station and what waits, in order."""
        return QueueReply.model_validate(self._call("GET", "/api/v1/queue"))

    def move(self, run: int, priority: int) -> QueueReply:
        """Give a run that waits another priority."""
        reply = self._call("POST", f"/api/v1/runs/{run}/priority", {"priority": priority})
        return QueueReply.model_validate(reply)

    def cancel(self, run: int) -> list[StopOutcome]:
        """End a run that has not started, and those of its series that come after it."""
        return TypeAdapter(list[StopOutcome]).validate_python(
            self._call("POST", f"/api/v1/runs/{run}/cancel")
        )

    def begin_maintenance(self, request: MaintenanceRequest) -> Maintenance:
        """Let no run start on a station or an instrument; what runs goes on."""
        return Maintenance.model_validate(self._call("POST", "/api/v1/maintenance", request.model_dump()))

    def end_maintenance(self, name: str) -> Maintenance:
        """Let runs start there again."""
        return Maintenance.model_validate(self._call("DELETE", f"/api/v1/maintenance/{quote(name)}"))

    def stop(self, run: int, reason: str = "stopped by a person") -> StopOutcome:
        """Open the circuit of a run and wait for the confirmation."""
        return StopOutcome.model_validate(self._call("POST", f"/api/v1/runs/{run}/stop", {"reason": reason}))

    def stop_all(self, *, chambers_off: bool = False) -> list[StopOutcome]:
        """Open every circuit; no run starts afterwards before :meth:`resume_queue`."""
        body = StopAllRequest(chambers_off=chambers_off).model_dump()
        return TypeAdapter(list[StopOutcome]).validate_python(self._call("POST", "/api/v1/stop", body))

    def resume_queue(self) -> list[AlarmInfo]:
        """Let runs start again; return the alarms that still stand."""
        return TypeAdapter(list[AlarmInfo]).validate_python(self._call("POST", "/api/v1/queue/resume"))

    def acknowledge_alarm(self, alarm: int) -> AlarmInfo:
        """Say that an alarm was seen."""
        return AlarmInfo.model_validate(self._call("POST", f"/api/v1/alarms/{alarm}/ack"))

    def pause(self, run: int) -> RunInfo:
        """Open the circuit and keep the place."""
        return RunInfo.model_validate(self._call("POST", f"/api/v1/runs/{run}/pause"))

    def resume(self, run: int, anyway: str = "") -> RunInfo:
        """Go on with a paused run; ``anyway``: why, if its check before the start holds it back."""
        body = ResumeRequest(anyway=anyway).model_dump()
        return RunInfo.model_validate(self._call("POST", f"/api/v1/runs/{run}/resume", body))

    def acknowledge(self, run: int) -> RunInfo:
        """Free the station of a protected run."""
        return RunInfo.model_validate(self._call("POST", f"/api/v1/runs/{run}/ack"))

    def editable(self, run: int) -> EditableReply:
        """What of a run may be edited."""
        return EditableReply.model_validate(self._call("GET", f"/api/v1/runs/{run}/edits"))

    def edit(self, run: int, request: EditRequest) -> EditReply:
        """Edit a run that goes on, or ask what an edit would come to."""
        body = request.model_dump(mode="json")
        return EditReply.model_validate(self._call("POST", f"/api/v1/runs/{run}/edits", body))

    def reload(self) -> ReloadReply:
        """Let the daemon read service.toml again."""
        return ReloadReply.model_validate(self._call("POST", "/api/v1/reload"))

    def calibrate(self, request: CalibrationRequest) -> Calibration:
        """Keep what a channel showed on a known load."""
        return Calibration.model_validate(self._call("POST", "/api/v1/calibrations", request.model_dump()))

    def adopt(self, folder: str, *, is_new: bool) -> RunInfo:
        """Let the daemon take over a run's folder in ``incoming/``."""
        body = Adoption(folder=folder, is_new=is_new).model_dump()
        reply = self._call("POST", "/api/v1/runs/adopt", body, timeout_s=LONG_TIMEOUT_S)
        return RunInfo.model_validate(reply)

    def mark_archived(self, run: int, archived: Archived) -> RunInfo:
        """Tell the daemon that a run's samples have left the data folder."""
        body = archived.model_dump(mode="json")
        return RunInfo.model_validate(self._call("POST", f"/api/v1/runs/{run}/archived", body))

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, timeout_s: float = TIMEOUT_S
    ) -> Any:
        try:
            reply = self._http.request(method, path, json=body, timeout=timeout_s)
        except httpx.TransportError as error:
            raise UnreachableError(
                "the daemon does not answer: runs that were under way go on at their instruments, within the "
                f"limits there; start it again with: sandtime serve ({error})"
            ) from error
        if reply.is_success:
            return reply.json()
        raise _error_of(reply)


def user_name() -> str:
    """Return the user of the operating system, for the audit; empty if it has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _error_of(reply: httpx.Response) -> SandtimeError:
    """Return the daemon's error as the exception it was there."""
    try:
        body = reply.json()
    except json.JSONDecodeError:
        return SandtimeError(f"the daemon answered {reply.status_code} without saying why")
    if "problems" in body:
        return InvalidFileError([Problem(**problem) for problem in body["problems"]])
    kinds = {kind.exit_code: kind for kind in KINDS}
    kind = kinds.get(body.get("exit_code"), SandtimeError)
    return kind(str(body.get("detail", body)))
