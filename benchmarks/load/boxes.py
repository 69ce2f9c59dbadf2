"""Simulated potentiostats that cost little: the real wire in front of resistors, at real speed.

``python -m benchmarks.load.boxes STATE NAME=ADDRESS …`` serves boxes of eight channels in one process. They
keep books of what they measured and of when they were asked and stopped (:mod:`benchmarks.load.wire`).
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from benchmarks.load.wire import END, SECTION, Books, Segment
from drivers.biologic.constants import ChannelState, TechniqueId
from drivers.biologic.structs import CurrentValues, ExperimentInfos
from drivers.simulation.box import Box
from drivers.simulation.channel import IDLE_TIME_BASE_S, Channel
from drivers.simulation.clock import HeldClock
from drivers.simulation.config import BoxConfig, ChannelConfig
from drivers.simulation.control import ControlConnection
from drivers.simulation.faults import Fault
from drivers.simulation.linkfaults import FaultyConnection
from drivers.simulation.memory import Block, Origin
from drivers.simulation.records import layout
from drivers.simulation.server import HOST, HostConnection, Port
from drivers.simulation.techniques import Technique
from monitor.daemon import run_loop

CHANNELS = 8
OHM = 60.0
HIGH_V = 4.0
"""E of a cell that was made to go wrong: beyond the program's limit, which the host alone holds here."""
STEP_V = 10.0 / 65536
_NOISE_V = STEP_V * np.rint(np.random.default_rng(1).standard_normal(4096))
ROWS_MAX = 200
"""Records of one block: no technique has more than five words in each."""
_PLAIN_CELL = ChannelConfig.model_validate({})


@dataclass(frozen=True, slots=True)
class Stretch:
    """One pass of one technique, of constant current or at open circuit."""

    kind: TechniqueId
    index: int
    loop: int
    start_s: float
    duration_s: float
    current_A: float
    interval_s: float
    time_base_s: float

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.start_s + self.duration_s

    def due(self, t_s: float) -> int:
        """Return how many records were made until a time of the list."""
        passed_s = min(t_s - self.start_s, self.duration_s)
        return 0 if passed_s < self.time_base_s else math.floor(passed_s / self.interval_s + 1e-9) + 1


def stretches(techniques: list[Technique]) -> Iterator[Stretch]:
    """Yield what a list of constant currents, rests and loops does."""
    start_s, index, passes = 0.0, 0, dict[int, int]()
    while index < len(techniques):
        technique = techniques[index]
        if technique.id == TechniqueId.LOOP:
            done = passes.get(index, 0)
            again = done < technique.integer("loop_N_times")
            passes[index] = done + 1 if again else 0
            index = technique.integer("protocol_number") if again else index + 1
            continue
        yield _stretch(technique, index, _loop(techniques, index, passes), start_s)
        start_s += technique.number("Duration_step") + technique.number("Rest_time_T")
        index += 1


def _loop(techniques: list[Technique], index: int, passes: dict[int, int]) -> int:
    """Return the passes done of the innermost loop around a technique."""
    around = [
        (at - loop.integer("protocol_number"), at)
        for at, loop in enumerate(techniques)
        if loop.id == TechniqueId.LOOP and loop.integer("protocol_number") <= index < at
    ]
    return passes.get(min(around)[1], 0) if around else 0


def _stretch(technique: Technique, index: int, loop: int, start_s: float) -> Stretch:
    duration_s = technique.number("Duration_step") + technique.number("Rest_time_T")
    return Stretch(
        kind=technique.id,
        index=index,
        loop=loop,
        start_s=start_s,
        duration_s=duration_s,
        current_A=technique.number("Current_step"),
        interval_s=technique.number("Record_every_dT") or math.inf,
        time_base_s=technique.time_base_s,
    )


class LoadRun:
    """A list that runs: what it has measured follows from the time alone."""

    def __init__(self, techniques: list[Technique], segment: Segment) -> None:
        self.segment = segment
        self.high_from_s = math.inf
        self._own = len(techniques) - 1
        self._course, self._clock = stretches(techniques), stretches(techniques)
        self._stretch, self._now = next(self._course), next(self._clock)
        self._row = 0
        self._end_s = math.inf

    def current_A(self, t_s: float) -> float:
        """Return the current at a time of the list, which never goes back."""
        return self._now.current_A if self.running(t_s) else 0.0

    def running(self, t_s: float) -> bool:
        """Whether the list goes on at a time of it."""
        while t_s >= self._now.end_s and t_s < self._end_s:
            following = next(self._clock, None)
            if following is None:
                self._end_s = self._now.end_s
            else:
                self._now = following
        return t_s < self._end_s

    def stop(self, t_s: float) -> None:
        """Open the circuit."""
        self._end_s = min(self._end_s, t_s)

    def take(self, t_s: float, rows_max: int) -> tuple[Stretch, int, int] | None:
        """Return the next records that were made until a time of the list: their stretch, first and stop."""
        t_s = min(t_s, self._end_s)
        while True:
            stretch = self._stretch
            due = stretch.due(t_s)
            if due > self._row:
                first, self._row = self._row, min(due, self._row + rows_max)
                if stretch.index < self._own:
                    # The last technique is the driver's own rest: it makes no samples of it.
                    self.segment.rows += self._row - first
                return stretch, first, self._row
            following = next(self._course, None) if t_s >= stretch.end_s else None
            if following is None:
                return None
            self._stretch, self._row = following, 0


class LoadChannel(Channel):
    """A channel whose records are made up when they are asked for."""

    def __init__(self, number: int, box: str, books: Books) -> None:
        super().__init__(number, _PLAIN_CELL.cell, 4 << 20, 255)
        self._box, self._books = box, books
        self._load: LoadRun | None = None
        self._values = CurrentValues(EweRangeMin=-10.0, EweRangeMax=10.0, IRange=8)

    @property
    def running(self) -> bool:
        """Whether a list of techniques runs."""
        return self._load is not None and self._load.running(self._t_s)

    @property
    def _t_s(self) -> float:
        return 0.0 if self._load is None else time.monotonic() - self._load.segment.started_s

    def advance_to(self, now_s: float) -> float | None:
        """Nothing has to be done between two requests."""
        return None

    def start(self, now_s: float) -> None:
        """Start the list."""
        self._check_idle()
        marker = ExperimentInfos.from_buffer_copy(self.experiment).FileName.decode("latin-1")
        segment = Segment(marker, self._box, self.number - 1, time.monotonic())
        self._books.segments.append(segment)
        self._load = LoadRun(self._techniques, segment)
        self._just_started = True

    def stop(self) -> None:
        """Open the circuit."""
        if self._load is not None and self.running:
            self._load.segment.stopped_s = time.monotonic()
            self._load.stop(self._t_s)

    def make_high(self) -> None:
        """Let E go beyond the limit from now on."""
        if self._load is not None:
            self._load.high_from_s = self._t_s

    def take(self) -> Block | None:
        """Make up the records since the last time."""
        load = self._load
        if load is None:
            return None
        taken = load.take(self._t_s, ROWS_MAX)
        if taken is None:
            return None
        stretch, first, stop = taken
        return Block(self._origin(stretch), self._records(load, stretch, first, stop), 0)

    @staticmethod
    def _origin(stretch: Stretch) -> Origin:
        return Origin(
            technique_index=stretch.index,
            technique_id=stretch.kind,
            process=0,
            loop=stretch.loop,
            columns=layout(stretch.kind).itemsize // 4,
            time_base_s=stretch.time_base_s,
            start_s=stretch.start_s,
        )

    def _records(self, load: LoadRun, stretch: Stretch, first: int, stop: int) -> bytes:
        rows = np.zeros(stop - first, dtype=layout(stretch.kind))
        # The first one is taken one time base after the start, so that no two have the same time.
        times_s = np.full(1, stretch.time_base_s)
        if stop > 1:
            times_s = np.maximum(np.arange(first, stop) * stretch.interval_s, stretch.time_base_s)
        rows["low"] = np.rint(times_s / stretch.time_base_s).astype(np.uint64) & np.uint64(0xFFFFFFFF)
        rows["high"] = np.rint(times_s / stretch.time_base_s).astype(np.uint64) >> np.uint64(32)
        if stretch.kind != TechniqueId.OCV:
            rows["I"] = stretch.current_A
        noise = _NOISE_V[(first + 37 * self.number) % 4000 :][: len(rows)]
        rows["E"] = stretch.current_A * OHM
        rows["E"][: len(noise)] += noise
        high = stretch.start_s + times_s >= load.high_from_s
        if high.any():
            rows["E"][high] = HIGH_V
            if load.segment.high_s is None:
                at_s = stretch.start_s + float(times_s[high][0])
                load.segment.high_s = load.segment.started_s + at_s
        return rows.tobytes()

    def values(self, now_s: float, time_base_s: float | None = None) -> CurrentValues:
        """Return what the channel shows."""
        self.check_firmware()
        values, load = self._values, self._load
        values.State = self._shown_state()
        values.TimeBase = time_base_s or IDLE_TIME_BASE_S
        values.I = 0.0 if load is None else load.current_A(self._t_s)
        values.Ewe = values.I * OHM
        values.ElapsedTime = self._t_s
        return values

    def _shown_state(self) -> ChannelState:
        # The first look after a start still shows STOP, as on the real one.
        if self._just_started:
            self._just_started = False
            return ChannelState.STOP
        return ChannelState.RUN if self.running else ChannelState.STOP


class LoadBox(Box):
    """A box of such channels."""

    def __init__(self, name: str, config: BoxConfig, books: Books) -> None:
        super().__init__(config, HeldClock(time.monotonic))
        self._name, self._books = name, books
        books.polled_s[name] = []
        self.load_channels = [LoadChannel(number, name, books) for number in range(1, CHANNELS + 1)]
        self._channels = {channel.number - 1: channel for channel in self.load_channels}

    def advance(self) -> None:
        """Let faults begin and end; channels need nothing."""
        self._clock.accrue()
        while self._clock.step(None, hosted=False):
            pass
        for change in self.faults.due(self._clock.now_s):
            self._carry_out(change)

    def _data(self, channel: Channel, payload: bytes) -> bytes:
        self._books.answers += 1
        if channel.number == 1:
            self._books.polled_s[self._name].append(time.monotonic())
        return super()._data(channel, payload)


class BooksConnection(asyncio.Protocol):
    """Answers questions about the books."""

    def __init__(self, books: Books, boxes: dict[str, LoadBox]) -> None:
        self._books, self._boxes = books, boxes
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the connection."""
        # uvloop's transports do not derive from asyncio's class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every whole line."""
        self._buffer += data
        while END in self._buffer:
            line, _, self._buffer = self._buffer.partition(END)
            self._transport.write(json.dumps(self._answer(json.loads(line))).encode() + END)

    def _answer(self, question: dict[str, object]) -> dict[str, object]:
        if question["ask"] == "high":
            self._boxes[str(question["box"])].load_channels[int(str(question["channel"]))].make_high()
            return {}
        if question["ask"] == "forget":
            for times in self._books.polled_s.values():
                times.clear()
            return {}
        self._books.cpu_s = time.process_time()
        return self._books.document()


async def serve(state_file: Path, addresses: dict[str, str]) -> None:
    """Serve these boxes until SIGTERM, or until the bench is gone that started them."""
    ending, parent = asyncio.Event(), os.getppid()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    books = Books()
    boxes = {name: LoadBox(name, _config(address), books) for name, address in addresses.items()}
    state: dict[str, object] = {
        "addresses": {
            addresses[name]: await _listen(
                partial(FaultyConnection, box.faults.link, partial(HostConnection, Port(box)))
            )
            for name, box in boxes.items()
        },
        "control": {
            "faults": await _listen(
                partial(ControlConnection, {name: partial(_inject, box) for name, box in boxes.items()})
            )
        },
        SECTION: await _listen(partial(BooksConnection, books, boxes)),
    }
    draft = state_file.with_suffix(".draft")
    draft.write_text(json.dumps(state), encoding="utf-8")
    draft.replace(state_file)
    while not ending.is_set() and os.getppid() == parent:
        for box in boxes.values():
            box.advance()
        await asyncio.sleep(0.25)


def _inject(box: LoadBox, fault: Fault) -> None:
    box.inject(fault)


def _config(address: str) -> BoxConfig:
    return BoxConfig.model_validate({"address": address, "channels": {n: {} for n in range(1, CHANNELS + 1)}})


async def _listen(connection: Callable[[], asyncio.Protocol]) -> dict[str, object]:
    server = await asyncio.get_running_loop().create_server(connection, HOST, 0, backlog=512)
    host, port = server.sockets[0].getsockname()[:2]
    return {"host": host, "port": port}


if __name__ == "__main__":
    named = dict(argument.split("=") for argument in sys.argv[2:])
    run_loop(lambda: serve(Path(sys.argv[1]), named))
