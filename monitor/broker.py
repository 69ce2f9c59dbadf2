"""The embedded MQTT broker (amqtt, MQTT 3.1.1), a child process of whoever needs it.

It listens on a free port of this computer, prints that port as its only line on stdout, and ends when its
standard input closes: so it can't outlive its parent, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from typing import Any

from protocols.errors import UnreachableError

START_TIMEOUT_S = 20.0
SESSION_EXPIRY_S = 3600
"""Without it an absent subscriber's queue grows without bound (facts/storage.md §5)."""

CONFIG: dict[str, Any] = {
    "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:0"}},
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    "session_expiry_interval": SESSION_EXPIRY_S,
}


async def serve() -> None:
    """Serve until standard input closes."""
    from amqtt.broker import Broker

    broker = Broker(CONFIG)
    await broker.start()
    # amqtt has no public way to ask which free port it was given.
    server = broker._servers["default"].instance  # noqa: SLF001
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)
    await broker.shutdown()


@contextlib.asynccontextmanager
async def embedded_broker() -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """Run the broker as a child process; yields its port and itself.

    Raises UnreachableError if it does not start.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "monitor.broker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    if process.stdin is None or process.stdout is None:
        raise UnreachableError("the embedded MQTT broker has no pipes")
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await process.stdout.readline()
        if not line:
            raise UnreachableError("the embedded MQTT broker did not start; see its message above")
        yield int(line), process
    finally:
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(serve())
