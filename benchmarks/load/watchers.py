"""Processes that listen and read while the load runs, as a lab's other programs do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt

from benchmarks.load.lab import SITE
from monitor.client import Client
from protocols.errors import SandtimeError
from storage.frames import unpack

Sight = tuple[float, int, float]
"""When something was seen (monotonic, s), the run, and the run time of the sample."""
SHOWN = 40
"""Samples of a commit whose age is noted: an even choice of all of them."""
LOOK_S = 0.004


@dataclass(slots=True)
class Seen:
    """What a watcher noted."""

    sights: list[Sight] = field(default_factory=list)
    replies_s: list[float] = field(default_factory=list)
    failures: int = 0


def get_ready(_: int) -> None:
    """Nothing: a process that has done it has imported what the others need."""
    time.sleep(0.2)


def commits(data: Path, until_s: float) -> Seen:
    """Note how soon samples can be seen in the database by another process."""
    seen = Seen()
    with contextlib.closing(sqlite3.connect(f"file:{data / 'sandtime.sqlite'}?mode=ro", uri=True)) as base:
        (last,) = base.execute("SELECT coalesce(max(id), 0) FROM journal").fetchone()
        version = None
        while time.monotonic() < until_s:
            (now_version,) = base.execute("PRAGMA data_version").fetchone()
            if now_version == version:
                time.sleep(LOOK_S)
                continue
            version, seen_s = now_version, time.monotonic()
            rows = base.execute("SELECT id, runs, samples FROM journal WHERE id > ? ORDER BY id", (last,))
            for number, runs, samples in rows.fetchall():
                last = number
                _note(seen, seen_s, runs, samples)
    return seen


def _note(seen: Seen, seen_s: float, runs: bytes, samples: bytes) -> None:
    try:
        grouped, _ = unpack(runs, samples)
    except (ValueError, IndexError):
        # A merged row of older ones, or one of another packing: it says nothing of a commit.
        seen.failures += 1
        return
    found = [(run, float(block["t_s"][0])) for run, block in grouped.by_run() if len(block)]
    step = max(1, len(found) // SHOWN)
    seen.sights += [(seen_s, run, t_s) for run, t_s in found[::step]]


def subscriber(data: Path, boxes: list[str], until_s: float, slow_s: float = 0.0) -> Seen:
    """Listen to the samples of some boxes; ``slow_s``: take so long for each message."""
    return asyncio.run(_listen(data, boxes, until_s, slow_s))


async def _listen(data: Path, boxes: list[str], until_s: float, slow_s: float) -> Seen:
    seen = Seen()
    while (left_s := until_s - time.monotonic()) > 0:
        # The broker is killed meanwhile, and comes back at another port.
        with contextlib.suppress(TimeoutError, aiomqtt.MqttError, OSError, ValueError):
            async with asyncio.timeout(left_s):
                port = int(json.loads((data / "mqtt.json").read_text(encoding="utf-8"))["port"])
                await _take(seen, port, boxes, slow_s)
        await asyncio.sleep(0.1)
    return seen


async def _take(seen: Seen, port: int, boxes: list[str], slow_s: float) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for box in boxes:
            await client.subscribe(f"sandtime/v1/{SITE}/{box}/sample")
        async for message in client.messages:
            now_s = time.monotonic()
            if not isinstance(message.payload, bytes):
                raise TypeError("samples are published as bytes")
            rows = json.loads(message.payload)
            seen.sights.append((now_s, rows["run"][0], rows["t_s"][0]))
            if slow_s:
                await asyncio.sleep(slow_s)


def api_reader(data: Path, runs: int, until_s: float, pause_s: float, seed: int) -> Seen:
    """Read the status now and then, and single runs in between, as a page and a script do."""
    seen, chance = Seen(), random.Random(seed)  # noqa: S311 (no secret)
    with Client.of_folder(data) as client:
        while time.monotonic() < until_s:
            number = chance.randrange(1, runs + 1)
            wants_all = chance.random() < 0.1
            began_s = time.monotonic()
            try:
                if wants_all:
                    client.status()
                else:
                    client.run(number)
            except SandtimeError:
                seen.failures += 1
            seen.replies_s.append(time.monotonic() - began_s)
            time.sleep(pause_s)
    return seen
