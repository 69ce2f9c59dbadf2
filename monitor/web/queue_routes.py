"""The part of the HTTP API that is about the queue: what waits, in which order, and where nothing starts."""

from __future__ import annotations

from fastapi import FastAPI

from monitor.web.asking import Who
from protocols.queueing import Maintenance
from scheduler.requests import (
    MaintenanceRequest,
    Order,
    PriorityRequest,
    QueueReply,
    QueueRow,
    RunReply,
    StopOutcome,
)
from scheduler.service import Service


def add_queue_routes(app: FastAPI, service: Service) -> None:
    """Add the routes."""

    @app.get("/api/v1/queue")
    async def queue() -> QueueReply:
        """What has a station, then what waits, in order, each with what is expected of it."""
        return await service.queue.rows()

    @app.post("/api/v1/queue", status_code=201)
    async def submit(order: Order, who: Who) -> list[RunReply]:
        """Take runs in, all of them or none."""
        infos = await service.dispatcher.submit(order, who)
        return [RunReply(run=info, waits_for=service.waits_for(info.run)) for info in infos]

    @app.post("/api/v1/queue/preview")
    async def preview(order: Order) -> list[QueueRow]:
        """Say where and when runs would run; none is taken in."""
        return await service.queue.preview(order)

    @app.post("/api/v1/runs/{run}/priority")
    async def move(run: int, request: PriorityRequest, who: Who) -> QueueReply:
        """Give a run that waits another priority."""
        await service.dispatcher.move(run, request.priority, who)
        return await service.queue.rows()

    @app.post("/api/v1/runs/{run}/cancel")
    async def cancel(run: int, who: Who) -> list[StopOutcome]:
        """End a run that has not started, and those of its series that come after it."""
        return await service.cancel(run, who)

    @app.post("/api/v1/maintenance", status_code=201)
    async def begin(request: MaintenanceRequest, who: Who) -> Maintenance:
        """Let no run start on a station or an instrument; what runs goes on."""
        return await service.begin_maintenance(request, who)

    @app.delete("/api/v1/maintenance/{name}")
    async def end(name: str, who: Who) -> Maintenance:
        """Let runs start there again."""
        return await service.end_maintenance(name, who)
