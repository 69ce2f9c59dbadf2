"""The HTTP API of the daemon, on this computer only, for those who hold the token of ``daemon.json``."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from monitor.web.alarm_routes import add_alarm_routes
from monitor.web.asking import Who
from monitor.web.queue_routes import add_queue_routes
from protocols.errors import (
    BusyError,
    InvalidFileError,
    NotAllowedError,
    NotFoundError,
    SandtimeError,
    UnreachableError,
)
from protocols.frozen import Frozen
from protocols.laboratory import Calibration
from protocols.records import Archived, RunInfo
from scheduler.archives import Archives
from scheduler.requests import (
    Adoption,
    CalibrationRequest,
    ResumeRequest,
    RunReply,
    StatusReply,
    StopOutcome,
    Submission,
)
from scheduler.secret import hide
from scheduler.service import Service

HTTP_STATUS: dict[type[SandtimeError], int] = {
    InvalidFileError: 422,
    NotAllowedError: 403,
    BusyError: 409,
    UnreachableError: 503,
    NotFoundError: 404,
}


class StopRequest(Frozen):
    """Why the circuit is to be opened."""

    reason: str = "stopped by a person"


def create_app(service: Service, archives: Archives, token: str, seen: Callable[[], None]) -> FastAPI:
    """Return the application. ``seen`` is called at every request that carries the token."""

    async def signed_in(authorization: Annotated[str, Header()] = "") -> None:
        if not secrets.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "the token of daemon.json is missing or wrong")
        seen()

    app = FastAPI(title="sandtime", version="1", dependencies=[Depends(signed_in)])

    @app.exception_handler(SandtimeError)
    async def _problem(request: Request, error: SandtimeError) -> JSONResponse:
        return problem(error)

    @app.middleware("http")
    async def _this_computer_only(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        # A web page that resolves its own name to 127.0.0.1 must not reach the API (DNS rebinding).
        if request.url.hostname not in ("127.0.0.1", "localhost"):
            return JSONResponse({"title": "unknown host", "status": 400}, 400)
        return await call_next(request)

    _add_questions(app, service)
    _add_commands(app, service)
    _add_archives(app, archives)
    add_queue_routes(app, service)
    add_alarm_routes(app, service)
    return app


def _add_questions(app: FastAPI, service: Service) -> None:
    @app.get("/api/v1/status")
    async def status() -> StatusReply:
        """Every instrument, every chamber and every run."""
        return StatusReply(
            ready=service.ready,
            storing=service.storing,
            storage=service.storage.info(),
            instruments=service.instruments(),
            chambers=service.chambers(),
            connections=service.connections(),
            problems=service.problems(),
            runs=service.infos(),
            maintenance=service.dispatcher.maintenance.entries(),
            alarms=service.stopping.alarms.all,
        )

    @app.get("/api/v1/runs/{run}")
    async def one(run: int) -> RunReply:
        """One run."""
        return RunReply(run=service.info(run), waits_for=service.waits_for(run))


def _add_commands(app: FastAPI, service: Service) -> None:
    @app.post("/api/v1/runs", status_code=201)
    async def submit(submission: Submission, who: Who) -> RunReply:
        """Check, store and queue a run."""
        info = await service.submit(submission, who)
        return RunReply(run=info, waits_for=service.waits_for(info.run))

    @app.post("/api/v1/runs/{run}/stop")
    async def stop(run: int, request: StopRequest, who: Who) -> StopOutcome:
        """Open the circuit; answers when it is confirmed open."""
        return await service.stop(run, request.reason, who)

    @app.post("/api/v1/runs/{run}/pause")
    async def pause(run: int, who: Who) -> RunInfo:
        """Open the circuit and keep the place."""
        return await service.pause(run, who)

    @app.post("/api/v1/runs/{run}/resume")
    async def resume(run: int, who: Who, request: ResumeRequest | None = None) -> RunInfo:
        """Go on from there, or end a step that waits for a person."""
        return service.resume(run, who, "" if request is None else request.anyway)

    @app.post("/api/v1/runs/{run}/ack")
    async def acknowledge(run: int, who: Who) -> RunInfo:
        """A person has seen why the run was protected."""
        return await service.acknowledge(run, who)

    @app.post("/api/v1/calibrations", status_code=201)
    async def calibrate(request: CalibrationRequest, who: Who) -> Calibration:
        """Keep what a channel showed on a known load."""
        return await service.calibrate(request, who)


def _add_archives(app: FastAPI, archives: Archives) -> None:
    @app.post("/api/v1/runs/adopt", status_code=201)
    async def adopt(adoption: Adoption) -> RunInfo:
        """Take over the folder of a run that was archived or imported."""
        return await archives.adopt(adoption.folder, is_new=adoption.is_new)

    @app.post("/api/v1/runs/{run}/archived")
    async def archived(run: int, where: Archived) -> RunInfo:
        """Remember that a run's samples have left the data folder."""
        return await archives.mark_archived(run, where)


def problem(error: SandtimeError) -> JSONResponse:
    """Return an error as problem+json; ``exit_code`` is that of the command line."""
    body: dict[str, object] = {
        "title": type(error).__name__,
        "detail": hide(str(error)),
        "exit_code": error.exit_code,
        "status": HTTP_STATUS.get(type(error), 500),
    }
    if isinstance(error, InvalidFileError):
        body["problems"] = [
            {"file": p.file, "line": p.line, "column": p.column, "message": p.message, "hint": p.hint}
            for p in error.problems
        ]
    return JSONResponse(body, HTTP_STATUS.get(type(error), 500), media_type="application/problem+json")
