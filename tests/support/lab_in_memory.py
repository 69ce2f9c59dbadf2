"""A whole lab in made-up time: boxes, a daemon that may be killed at any moment, and what has to hold."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_box import CHANNELS, Box, Driver
from scripted_instrument import CURRENT_A, driven, program, sweep
from virtual_time import VirtualLoop

from protocols.capabilities import Capabilities
from protocols.errors import SandtimeError, StorageError
from protocols.nodes import Message, Person, Repeat, Rest
from protocols.program import GuardSettings, Program
from protocols.records import ENDED, RunInfo
from scheduler import placing
from scheduler.clock import Clock
from scheduler.config import ServiceConfig
from scheduler.engine import Engine
from scheduler.recorder import Recorder
from scheduler.requests import Submission
from scheduler.service import Service
from scheduler.worker import Worker
from storage.damage import mark_closed
from storage.reader import Reader
from storage.seal import seal_run
from storage.store import Store

NAMES = ("alpha", "beta")
STATIONS = [f"{name}-{channel + 1}" for name in NAMES for channel in range(CHANNELS)]
SETTLE_S, SETTLE_TURNS = 10.0, 120
UNWATCHED = GuardSettings(look=False)

PROGRAMS: dict[str, Program] = {
    "plating": program(driven(0, CURRENT_A, 12.0), guards=UNWATCHED),
    "cycling": program(
        Repeat(total=3, stop=3, body=(driven(0, CURRENT_A, 5.0), driven(1, -CURRENT_A, 5.0)), counts=True)
    ),
    "two halves": program(
        driven(0, CURRENT_A, 6.0), Message(index=1, text="half", label="half"), driven(2, -CURRENT_A, 6.0)
    ),
    "afterwards": program(
        driven(0, CURRENT_A, 8.0), afterwards=(Rest(index=1, label="afterwards", duration_s=4.0),)
    ),
    "asks": program(
        Rest(index=0, label="ask", duration_s=60.0, host_ends=(Person(message="look"),)),
        driven(1, CURRENT_A, 6.0),
    ),
    "spectra": program(driven(0, CURRENT_A, 5.0), sweep(1), driven(2, -CURRENT_A, 5.0)),
}
MAY_BE_ANYWHERE = [name for name in PROGRAMS if name != "spectra"]


class MortalStore(Store):
    """A store that a killed daemon leaves as it is, on a disk that may be full."""

    dead = False
    full = False

    async def let_go(self) -> None:
        """The system closes the files of a killed process. What that leaves: tests/support/power_loss.py."""
        if self._writer is not None:
            mark_closed(self.folder)
            self._writer.close()
            self._writer = None
        self._lock.release()
        self._thread.shutdown()

    def _open(self) -> None:
        super()._open()
        assert self._writer is not None
        # Nobody pulls the plug of this computer.
        raw = self._writer._engine.raw_connection()
        assert raw.driver_connection is not None
        raw.driver_connection.execute("PRAGMA synchronous = OFF")

    def _opened(self) -> Any:
        if self.dead or (self.full and hasattr(self, "reader")):
            raise StorageError("the disk is full" if self.full else "killed")
        return super()._opened()


class InlineWorker(Worker):
    """Does its jobs at once, but makes no files: they take longer than all the rest."""

    async def run(self, job: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        if job is seal_run:
            raise StorageError("no files are made here")
        return job(*args, **kwargs)


class Life:
    """One daemon, from its start to its end."""

    def __init__(self, folder: Path, boxes: dict[str, Box], clock: Clock) -> None:
        self.store = MortalStore(folder, clock=clock.unix)
        self.recorder = Recorder(self.store, clock)
        self.drivers = {name: Driver(box, impedance=name == NAMES[0]) for name, box in boxes.items()}
        self.engine = Engine(self.drivers, self.store, self.recorder, clock, InlineWorker())
        self.service = Service(CONFIG, self.engine, self.store, self.recorder, clock)
        self.asked: set[asyncio.Task[Any]] = set()

    async def live(self) -> None:
        """Be the daemon, until cancelled."""
        await self.store.open()
        await self.service.recover()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.engine.run(), name="engine")
            group.create_task(self.service.watch(), name="watch")
            await self.engine.looked()
            self.service.begin()

    def ask(self, what: Coroutine[Any, Any, Any]) -> None:
        """A person asks for something; what is refused is refused."""
        task = asyncio.ensure_future(_asked(what))
        self.asked.add(task)
        task.add_done_callback(self.asked.discard)


async def _asked(what: Coroutine[Any, Any, Any]) -> None:
    with contextlib.suppress(SandtimeError):
        await what


CONFIG = ServiceConfig.model_validate(
    {
        "data": Path(),
        "checks": {"before_start": False},
        "instruments": {name: {"driver": "memory"} for name in NAMES},
        "stations": {
            f"{name}-{channel + 1}": {"instrument": name, "channel": channel + 1}
            for name in NAMES
            for channel in range(CHANNELS)
        },
        "storage": {"least_gigabytes": 0, "warn_gigabytes": 0, "warn_hours": 0},
    }
)


@dataclass
class Lab:
    """See the module. All that a test does goes through here."""

    folder: Path

    def __post_init__(self) -> None:
        self.loop = VirtualLoop()
        self._utc_s, self._booted_s, self._boot = 1.7e9, 0.0, "first start"
        self.boxes = {name: Box(name, self.loop.time) for name in NAMES}
        self.life: Life | None = None
        self._main: asyncio.Task[None] | None = None
        self.complaints: list[str] = []
        self.full = False

    # The daemon

    def start(self) -> None:
        """Start a daemon, if none lives, on a disk with some room: without it would not start."""
        if self.life is not None:
            return
        self.full = False
        clock = Clock(
            monotonic=lambda: self.loop.time() - self._booted_s,
            unix=lambda: self._utc_s + self.loop.time(),
            boot=self._boot,
        )
        self.life = Life(self.folder, self.boxes, clock)
        self._main = self.loop.create_task(self.life.live(), name="daemon")

    def kill(self) -> None:
        """Kill the daemon: nothing it does on its way out reaches anything."""
        if self.life is None:
            return
        self.life.store.dead = True
        for driver in self.life.drivers.values():
            driver.dead = True
        self._run(self._bury(self.life))
        self.life = None

    async def _bury(self, life: Life) -> None:
        assert self._main is not None
        tasks = [self._main, *life.asked]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await life.recorder.close()
        await life.store.let_go()

    def end(self) -> None:
        """End the daemon as SIGTERM does."""
        if self.life is not None:
            self._run(self._end(self.life))
            self.life = None

    async def _end(self, life: Life) -> None:
        assert self._main is not None
        tasks = [self._main, *life.asked]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await life.recorder.close()
        with contextlib.suppress(StorageError):
            await life.store.close()

    # The world

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self._run(asyncio.sleep(seconds))
        self._look()

    def go_on(self, iterations: int) -> None:
        """Let a little happen, in no time or nearly none."""

        async def few() -> None:
            for _ in range(iterations):
                await asyncio.sleep(0)

        self._run(few())
        self._look()

    def set_clock(self, step_s: float) -> None:
        """Somebody sets UTC."""
        self._utc_s += step_s

    def restart_computer(self, after_s: float) -> None:
        """The computer starts anew; the boxes have power of their own."""
        self.kill()
        self.pass_time(after_s)
        self._booted_s, self._boot = self.loop.time(), f"not {self._boot}"

    def fill_disk(self, full: bool) -> None:
        self.full = full
        if self.life is not None:
            self.life.store.full = full

    # People

    def ask(self, what: Callable[[Service], Coroutine[Any, Any, Any]]) -> None:
        """Let somebody ask the daemon for something, if one is there to be asked."""
        if self.life is not None and self.life.service.ready:
            self._run(self._ask(self.life, what))

    async def _ask(self, life: Life, what: Callable[[Service], Coroutine[Any, Any, Any]]) -> None:
        life.ask(what(life.service))

    def submit(self, station: str, name: str) -> None:
        asked = Submission(protocol_text=name, cell_text="", station=station, name=name)
        self.ask(lambda service: service.submit(asked))

    def runs(self) -> list[RunInfo]:
        """Return every run, as the daemon has it."""
        return [] if self.life is None else self.life.service.infos()

    # What has to hold

    def _run(self, what: Coroutine[Any, Any, Any]) -> None:
        self.loop.run_until_complete(what)
        if self._main is not None and self._main.done() and not self._main.cancelled():
            error = self._main.exception()
            if error is not None and self.life is not None and not self.life.store.dead:
                raise error

    def _look(self) -> None:
        """Look whether all is as it has to be now."""
        for box in self.boxes.values():
            box.advance()
            self.complaints += box.complaints
            box.complaints.clear()
        if self.life is not None:
            self.complaints += self._wrong_now(self.life)
        assert not self.complaints, "\n".join(self.complaints)

    def _wrong_now(self, life: Life) -> Iterator[str]:
        alive = Counter(run.info.station for run in life.service._runs.values() if run.ticket is not None)
        for station, count in alive.items():
            if count > 1:
                yield f"{count} runs on {station}"
        for info in life.service.infos():
            if info.state in ENDED or info.open_circuit_confirmed:
                for where in self._driven(info.run):
                    yield f"run {info.run} is {info.state}, its circuit said to be open, and drives {where}"

    def _driven(self, run: int) -> list[str]:
        """Return where a run drives current."""
        return [
            f"{box.name} channel {channel + 1}"
            for box in self.boxes.values()
            for channel in range(CHANNELS)
            if box.driven_by(channel).split("/")[2:3] == [str(run)]
        ]

    def settle(self) -> None:
        """All that was wrong is mended, and people look after everything: let all runs come to their end."""
        self.loop.job_s = 0.0
        self.fill_disk(False)
        for box in self.boxes.values():
            box.plugged_in = True
            box.mishaps.clear()
            box.foreign.clear()
        self.start()
        for _ in range(SETTLE_TURNS):
            self.pass_time(SETTLE_S)
            if all(info.state in ENDED for info in self.runs()) and self._is_free():
                break
            self._look_after()
        else:
            states = [(i.run, i.state, i.reason, i.waits_for) for i in self.runs() if i.state not in ENDED]
            raise AssertionError(f"these runs never end: {states}")
        # Results and files.
        self.pass_time(SETTLE_S)
        self.end()
        self._look()

    def _is_free(self) -> bool:
        assert self.life is not None
        return self.life.service.ready

    def _look_after(self) -> None:
        for info in self.runs():
            if info.state == "paused" or info.waits_for:
                self.ask(partial(_resume, run=info.run))
            elif info.state in ENDED and not info.acknowledged:
                self.ask(partial(_acknowledge, run=info.run))

    def check(self) -> None:
        """Look at what is stored of every run, beside the truth."""
        reader = Reader(self.folder)
        for info in reader.runs():
            self.complaints += (f"run {info.run}: {what}" for what in _wrong(reader, info, self.boxes))
        for box in self.boxes.values():
            for channel in range(CHANNELS):
                if box.driven_by(channel):
                    self.complaints.append(f"{box.name} channel {channel + 1} is still driven")
        assert not self.complaints, "\n".join(self.complaints)

    def close(self) -> None:
        self.kill()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


async def _resume(service: Service, run: int) -> None:
    service.resume(run)


async def _acknowledge(service: Service, run: int) -> None:
    await service.acknowledge(run)


def _wrong(reader: Reader, info: RunInfo, boxes: dict[str, Box]) -> Iterator[str]:
    """Say what is wrong with a run that is over."""
    states = [str(stored.event.data["state"]) for stored in reader.events_of(info.run, "state")]
    endings = [state for state in states if state in ENDED]
    if endings != [info.state] or states[-1:] != endings:
        yield f"it is {info.state} and has the states {states}"
    segments = _segments(info.run, boxes)
    yield from _wrong_samples(reader, info, segments)
    yield from _wrong_charge(reader, info, segments)
    numbers = [half_cycle.number for half_cycle in reader.half_cycles(info.run)]
    if numbers != list(range(len(numbers))):
        yield f"its half-cycles are numbered {numbers}"


def _segments(run: int, boxes: dict[str, Box]) -> dict[int, Any]:
    """Return what truly ran of a run, by number of its segment."""
    found = {}
    for box in boxes.values():
        for segment in box.past:
            _, _, number, place, _ = segment.marker.split("/")
            if int(number) == run:
                assert int(place) not in found, f"segment {place} of run {run} was started twice"
                found[int(place)] = segment
    return found


def _wrong_samples(reader: Reader, info: RunInfo, segments: dict[int, Any]) -> Iterator[str]:
    samples = reader.samples(info.run, columns=("t_s", "step", "visit"))
    columns = (samples["t_s"].round(6), samples["step"], samples["visit"])
    stored = list(zip(*(column.tolist() for column in columns), strict=True))
    if len(set(stored)) != len(stored):
        yield "a sample is stored twice"
    if (np.diff(samples["t_s"]) < 0).any():
        yield "its samples are out of order"
    offsets = {ticket.ticket.segment: ticket.offset_s for ticket in reader.tickets(info.run)}
    gaps = [(gap.t_from_s, gap.t_to_s) for gap in reader.gaps(info.run)]
    truth: set[tuple[float, int, int]] = set()
    for number, segment in segments.items():
        rows = [(round(row.t_s + offsets[number], 6), row.step, row.visit) for row in segment.taken]
        truth.update(rows)
        missing = sorted(set(rows) - set(stored))
        last_s = max((row[0] for row in rows if row in set(stored)), default=offsets[number])
        for row in missing:
            inside = any(from_s - 1e-6 <= row[0] <= to_s + 1e-6 for from_s, to_s in gaps)
            tail = row[0] >= last_s and any(from_s >= last_s - 1e-6 for from_s, _ in gaps)
            if not inside and not tail:
                yield f"sample {row} is missing, and no gap says so: {gaps}"
                break
    extra = sorted(set(stored) - truth)
    if extra:
        yield f"samples that were never measured: {extra[:3]}"


def _wrong_charge(reader: Reader, info: RunInfo, segments: dict[int, Any]) -> Iterator[str]:
    planned = {leaf.index: getattr(leaf, "charge_C", None) for leaf, _ in reader.program(info.run).walk()}
    passed: defaultdict[tuple[int, int], float] = defaultdict(float)
    for segment in segments.values():
        for place, charge_C in segment.passed_C(float("inf")).items():
            passed[place] += abs(charge_C)
    doubt_C = CURRENT_A * (1e-6 + len(reader.gaps(info.run)))
    for (step, visit), charge_C in passed.items():
        wanted_C = planned.get(step)
        if wanted_C is None:
            continue
        if charge_C > wanted_C + doubt_C:
            yield f"step {step}, visit {visit}: {charge_C:.6g} C passed where {wanted_C:.6g} were planned"
        if info.state == "finished" and info.verdict is None and charge_C < wanted_C - doubt_C:
            yield f"step {step}, visit {visit}: only {charge_C:.6g} C of {wanted_C:.6g} passed"


def compiled(asked: Submission, able: Capabilities) -> Program:
    """Stand for the compiler: the name of a program is its text, and each station has a cell of its own."""
    program = PROGRAMS[asked.protocol_text]
    return program.model_copy(update={"cell": program.cell.model_copy(update={"name": asked.station})})


@contextlib.contextmanager
def lab_in(folder: Path) -> Iterator[Lab]:
    """Give a lab whose daemon lives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placing, "compile_submission", compiled)
        lab = Lab(folder)
        try:
            lab.start()
            lab.pass_time(1.0)
            yield lab
        finally:
            lab.close()
