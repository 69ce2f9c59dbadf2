"""What of a run may be edited, and edits, over HTTP."""

from __future__ import annotations

from fastapi import FastAPI

from monitor.web.asking import Who
from scheduler.editor import Editor
from scheduler.requests import EditableReply, EditReply, EditRequest


def add_edits_routes(app: FastAPI, editor: Editor) -> None:
    """Add the routes."""

    @app.get("/api/v1/runs/{run}/edits")
    async def editable(run: int) -> EditableReply:
        """Loops, steps and limits of a run, and what is pending."""
        return await editor.editable(run)

    @app.post("/api/v1/runs/{run}/edits")
    async def edit(run: int, request: EditRequest, who: Who) -> EditReply:
        """Edit a run that goes on; with ``dry_run`` only say what would change."""
        return await editor.edit(run, request, who)
