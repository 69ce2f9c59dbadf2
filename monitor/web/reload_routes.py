"""``POST /api/v1/reload``: read service.toml again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI

from monitor.web.asking import Who
from scheduler.requests import ReloadReply


def add_reload_routes(app: FastAPI, reload: Callable[[str], Awaitable[ReloadReply]]) -> None:
    """Add the route; ``reload`` is told who asks."""

    @app.post("/api/v1/reload")
    async def read_again(who: Who) -> ReloadReply:
        """Take what has changed in service.toml; what runs is not touched."""
        return await reload(who)
