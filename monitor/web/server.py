"""The server of the HTTP API: started again if it dies, ended gently."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvicorn
from fastapi import FastAPI


class HttpServer:
    """Serves an application on a socket that outlives each server."""

    def __init__(self, app: FastAPI, link: socket.socket) -> None:
        self._app = app
        self._link = link
        self._server: uvicorn.Server | None = None
        self._ending = False
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        """Serve for ever, or until :meth:`end`; then wait to be cancelled."""
        config = uvicorn.Config(self._app, log_level="warning", lifespan="off", access_log=False)
        self._server = server = uvicorn.Server(config)
        # uvicorn would take over the signals; they are ours.
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # a documented seam
        # A server closes its socket when it ends.
        link = self._link.dup()
        try:
            await server.serve(sockets=[link])
        finally:
            link.close()
            self._server = None
            self._ended.set()
        if self._ending:
            await asyncio.get_running_loop().create_future()

    async def end(self) -> None:
        """Answer what is being asked, and take no more questions."""
        self._ending = True
        if self._server is not None:
            self._ended.clear()
            self._server.should_exit = True
            await self._ended.wait()
        self._link.close()
