"""A subscriber in a process of its own, that notes how old samples are when it hears of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import aiomqtt

FIRST_TIMEOUT_S = 60.0

Heard = tuple[float, float]
"""When a message came on the monotonic clock, and the age of its oldest sample then, both in s."""


def listen(port: int, site: str, epoch_s: float, seconds: float) -> list[Heard]:
    """Listen to all samples until ``seconds`` after the first, and return what was heard: nothing, if no
    sample comes within a minute.
    """
    return asyncio.run(_listen(port, site, epoch_s, seconds))


async def _listen(port: int, site: str, epoch_s: float, seconds: float) -> list[Heard]:
    heard: list[Heard] = []
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(f"sandtime/v1/{site}/+/sample")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_TIMEOUT_S) as limit:
                async for message in client.messages:
                    now_s = time.monotonic()
                    if not heard:
                        limit.reschedule(asyncio.get_running_loop().time() + seconds)
                    heard.append((now_s, now_s - epoch_s - _oldest_s(message.payload)))
    return heard


def _oldest_s(payload: object) -> float:
    if not isinstance(payload, bytes):
        raise TypeError("samples are published as bytes")
    return float(min(json.loads(payload)["t_s"]))
