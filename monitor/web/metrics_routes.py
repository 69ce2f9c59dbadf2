"""``/metrics``: figures for Prometheus. A scraper has a token of its own, or needs none."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

from monitor.exposition import CONTENT_TYPE
from monitor.metrics import Access


def add_metrics_routes(app: FastAPI, text: Callable[[], str], access: Callable[[], Access]) -> None:
    """Add the route; ``access`` is asked at every request, as it may change."""

    async def metrics(request: Request) -> Response:
        allowed = access()
        if not allowed.enabled:
            return PlainTextResponse("service.toml, [metrics]: enabled = false\n", 404)
        if allowed.needs_token and not _lets_in(request.headers.get("authorization", ""), allowed.tokens):
            hint = "the token is missing or wrong; see docs/operation.md, Metrics\n"
            return PlainTextResponse(hint, 401, {"WWW-Authenticate": "Bearer"})
        return Response(text(), media_type=CONTENT_TYPE)

    # A plain route: the API's own token is not asked for, and a scraper is no client that is there.
    app.add_route("/metrics", metrics)


def _lets_in(authorization: str, allowed: tuple[str, ...]) -> bool:
    given = authorization.encode()
    return any(secrets.compare_digest(given, f"Bearer {token}".encode()) for token in allowed)
