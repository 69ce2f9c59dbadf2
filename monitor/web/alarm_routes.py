"""HTTP routes of the red button and of alarms that stand."""

from __future__ import annotations

from fastapi import FastAPI

from monitor.web.asking import Who
from scheduler.requests import AlarmInfo, StopAllRequest, StopOutcome
from scheduler.service import Service


def add_alarm_routes(app: FastAPI, service: Service) -> None:
    """Add the routes."""

    @app.post("/api/v1/stop")
    async def stop_all(who: Who, request: StopAllRequest | None = None) -> list[StopOutcome]:
        """Open every circuit; no run starts afterwards before the queue is resumed."""
        return await service.stopping.stop_all(who, request is not None and request.chambers_off)

    @app.post("/api/v1/queue/resume")
    async def resume_queue(who: Who) -> list[AlarmInfo]:
        """Let runs start again."""
        await service.stopping.resume_queue(who)
        return service.stopping.alarms.all

    @app.get("/api/v1/alarms")
    async def alarms() -> list[AlarmInfo]:
        """Every alarm that stands."""
        return service.stopping.alarms.all

    @app.post("/api/v1/alarms/{alarm}/ack")
    async def acknowledge(alarm: int, who: Who) -> AlarmInfo:
        """A person has seen an alarm."""
        return await service.stopping.acknowledge(alarm, who)
