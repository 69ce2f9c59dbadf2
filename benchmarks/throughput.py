"""The way of a sample at full load: 1000 channels through keepers, guards, recorder, store and MQTT.

The instruments are made up and live in the same process (:mod:`benchmarks.instruments`); everything after
them is what the daemon runs. CPU time is that of the process, less what making the samples up has cost.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil

from benchmarks.child import in_child, uss_MB
from benchmarks.figures import Figure, p99
from benchmarks.instruments import Synthetic, cycling
from benchmarks.subscriber import Heard, listen
from monitor.broker import embedded_broker
from monitor.daemon import GC_THRESHOLDS, run_loop
from monitor.mqtt import Publisher
from protocols.measurements import Block
from protocols.program import Program
from protocols.records import RunInfo
from scheduler.clock import Clock
from scheduler.config import MqttConfig
from scheduler.keeper import Keeper
from scheduler.recorder import Recorder
from scheduler.run import ActiveRun
from storage.store import Store
from storage.tables import StoredEvent

TITLE = "A sample's way, 1000 channels at once"
SITE = "bench"
REACH_US = {1.0: 60.0, 0.1: 25.0}
"""CPU per sample by the interval of the samples."""
START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Load:
    """How much is measured, how often, and for how long."""

    watch_s: float
    instruments: int = 125
    channels: int = 8
    seconds: float = 25.0
    settle_s: float = 4.0

    @property
    def rate(self) -> str:
        """The rate in words."""
        return f"{1 / self.watch_s:g} Hz"


@dataclass(slots=True)
class Outcome:
    """What was measured; times in s."""

    samples: int = 0
    cpu_s: float = 0.0
    broker_cpu_s: float = 0.0
    broker_MB: float = 0.0
    own_MB: float = 0.0
    """Memory of the process under load, less what it held before the runs began."""
    lateness_s: list[float] = field(default_factory=list)
    durable_s: list[float] = field(default_factory=list)
    heard_s: list[float] = field(default_factory=list)
    reactions_s: list[float] = field(default_factory=list)


class TimedStore(Store):
    """The store; notes how old the samples are when the commit that holds them returns."""

    def __init__(self, folder: Path, epoch_s: float) -> None:
        super().__init__(folder)
        self.samples = 0
        self.ages_s: list[float] = []
        self._epoch_s = epoch_s
        self._waiting_s: list[float] = []

    def add_samples(self, block: Block) -> None:
        """Queue samples."""
        super().add_samples(block)
        self.samples += len(block)
        self._waiting_s.append(self._epoch_s + float(block["t_s"].min()))

    async def commit(self) -> list[StoredEvent]:
        """Make everything queued durable."""
        waiting, self._waiting_s = self._waiting_s, []
        events = await super().commit()
        now_s = time.monotonic()
        self.ages_s += [now_s - measured_s for measured_s in waiting]
        return events


class Bench:
    """Everything between the instruments and a subscriber."""

    def __init__(self, load: Load, folder: Path) -> None:
        self.load = load
        self.outcome = Outcome()
        self._epoch_s = time.monotonic()
        self._clock = Clock()
        self._store = TimedStore(folder, self._epoch_s)
        self._recorder = Recorder(self._store, self._clock)
        self._runs: dict[int, ActiveRun] = {}
        self._instruments = [
            Synthetic(f"box{number}", load.channels, number, self._epoch_s)
            for number in range(load.instruments)
        ]
        self._keepers = [
            Keeper(instrument, self._recorder, self._clock, lambda run: None)
            for instrument in self._instruments
        ]

    async def run(self) -> Outcome:
        """Run all of it and return what was measured."""
        await self._store.open()
        async with embedded_broker() as (port, broker):
            before_MB = uss_MB()
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                heard = pool.submit(listen, port, SITE, self._epoch_s, self._listening_s)
                async with asyncio.TaskGroup() as group:
                    tasks = self._start(group, port)
                    await self._until_all_run()
                    await asyncio.sleep(self.load.settle_s)
                    self._settle_memory()
                    await self._measure(psutil.Process(broker.pid))
                    self.outcome.own_MB = uss_MB() - before_MB
                    for task in tasks:
                        task.cancel()
                await self._take_heard(heard)
        await self._store.close()
        return self.outcome

    @property
    def _listening_s(self) -> float:
        return self.load.settle_s + self.load.seconds

    def _start(self, group: asyncio.TaskGroup, port: int) -> list[asyncio.Task[None]]:
        publisher = Publisher(MqttConfig(site=SITE), self._info, (), self._clock)
        self._recorder.on_samples(publisher.samples)
        self._recorder.on_event(publisher.event)
        program = cycling(f"{self.load.watch_s:g} s")
        for keeper in self._keepers:
            for channel in range(self.load.channels):
                keeper.adopt(channel, self._new_run(program))
        return [
            group.create_task(publisher.run("127.0.0.1", port), name="mqtt"),
            group.create_task(self._recorder.keep_committing(), name="commit"),
            *(group.create_task(keeper.keep(), name=keeper.instrument.name) for keeper in self._keepers),
        ]

    def _new_run(self, program: Program) -> ActiveRun:
        """Return a run that an earlier daemon seems to have started."""
        info = RunInfo(
            run=self._store.next_run(),
            name="bench",
            station="bench",
            protocol=program.protocol,
            cell=program.cell.name,
            state="running",
            submitted_unix_s=self._clock.unix(),
        )
        self._store.add_run(info, program, {})
        run = ActiveRun(info, program, self._store, self._recorder, self._clock)
        run.new_segment(program, "test")
        run.save_ticket("started")
        self._runs[info.run] = run
        return run

    def _info(self, run: int) -> RunInfo:
        return self._runs[run].info

    async def _until_all_run(self) -> None:
        async with asyncio.timeout(START_TIMEOUT_S):
            # Nothing tells of a first sample but the run itself.
            while any(run.progress.step < 0 for run in self._runs.values()):  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.1)

    @staticmethod
    def _settle_memory() -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    async def _measure(self, broker: psutil.Process) -> None:
        self._forget()
        broker_began_s = _cpu_s(broker)
        samples, began_s = self._store.samples, time.process_time()
        await self._shake()
        outcome = self.outcome
        outcome.cpu_s = time.process_time() - began_s
        outcome.cpu_s -= self._instruments[0].cost_s() * sum(
            len(box.poll_began_s) for box in self._instruments
        )
        outcome.samples = self._store.samples - samples
        outcome.broker_cpu_s = _cpu_s(broker) - broker_began_s
        outcome.broker_MB = uss_MB(broker)
        outcome.durable_s = self._store.ages_s
        outcome.reactions_s = [age for box in self._instruments for age in box.reactions_s]
        for box in self._instruments:
            outcome.lateness_s += (np.diff(box.poll_began_s) - self.load.watch_s).tolist()

    def _forget(self) -> None:
        """Begin anew with all that is counted."""
        self._measured_from_s = time.monotonic()
        self._store.ages_s = []
        for box in self._instruments:
            box.poll_began_s, box.reactions_s = [], []

    async def _shake(self) -> None:
        """Let the time pass; one channel of every third instrument goes beyond its limit meanwhile."""
        shaken = self._instruments[::3]
        pause_s = self.load.seconds / (len(shaken) + 1)
        for instrument in shaken:
            await asyncio.sleep(pause_s)
            instrument.raise_voltage(0)
        await asyncio.sleep(pause_s)

    async def _take_heard(self, heard: Future[list[Heard]]) -> None:
        for received_s, age_s in await asyncio.wrap_future(heard):
            if received_s >= self._measured_from_s:
                self.outcome.heard_s.append(age_s)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def measure(load: Load) -> Outcome:
    """Measure one load in this process."""
    with tempfile.TemporaryDirectory() as folder:
        outcome: Outcome = run_loop(Bench(load, Path(folder)).run)
    return outcome


def figures(loads: tuple[Load, ...] = (Load(1.0), Load(0.1))) -> list[Figure]:
    """Measure each load in a process of its own."""
    return [figure for load in loads for figure in _figures(load, in_child(measure, load))]


def _figures(load: Load, outcome: Outcome) -> list[Figure]:
    rate, us = load.rate, 1e6 / outcome.samples
    peer = "bluesky's engine 570–1080 µs an event; tomato 8–23 ms"
    channels = load.instruments * load.channels
    return [
        Figure(f"CPU a sample, {rate}", outcome.cpu_s * us, "µs", REACH_US.get(load.watch_s), peer),
        Figure(f"broker's CPU a sample, {rate}", outcome.broker_cpu_s * us, "µs"),
        Figure(f"samples a second, {rate}", outcome.samples / load.seconds, "1/s"),
        Figure(f"lateness of a poll, p99, {rate}", p99(outcome.lateness_s) * 1e3, "ms", 20.0),
        Figure(f"sample → durable, p99, {rate}", p99(outcome.durable_s), "s", 0.75),
        Figure(f"sample → MQTT subscriber, p99, {rate}", p99(outcome.heard_s), "s", 0.25),
        Figure(
            f"deciding sample → stop called, p99, {rate}",
            p99(outcome.reactions_s) * 1e3,
            "ms",
            50.0,
        ),
        Figure(f"memory a channel, {rate}, first minute", outcome.own_MB / channels, "MB", 0.1),
        Figure(f"broker's memory, {rate}", outcome.broker_MB, "MB", 50.0),
    ]
