"""One load from beginning to end: runs on all channels, faults, people, other programs; then the count."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil

from benchmarks.child import in_child, uss_MB
from benchmarks.instruments import CELL
from benchmarks.lab import wait
from benchmarks.load import watchers, wire
from benchmarks.load.lab import Host, LoadLab, kill
from benchmarks.load.library import fetch_us
from benchmarks.load.wire import Segment
from drivers.simulation.faults import Fault
from protocols.records import ENDED, RunInfo
from scheduler.requests import Submission
from storage.held import HeldReader

LONG = """\
sandtime: 1
name: load
watch: {watch}
limits: {{voltage: 2 V}}
steps:
  - repeat:
      times: 200
      steps:
        - constant_current: {{current: 1 mA, until: {{time: 10 min}}}}
        - constant_current: {{current: -1 mA, until: {{time: 10 min}}}}
"""
SHORT = """\
sandtime: 1
name: together
watch: {watch}
limits: {{voltage: 2 V}}
steps:
  - constant_current: {{current: 1 mA, until: {{time: {seconds:.0f} s}}}}
"""
TOGETHER = 32
WATCHERS = 5
TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Load:
    """How much is measured, how often, and for how long."""

    watch_s: float
    boxes: int = 125
    seconds: float = 600.0
    processes: int = 3
    together: int = TOGETHER
    seed: int = 1

    @property
    def rate(self) -> str:
        """The rate in words."""
        return f"{1 / self.watch_s:g} Hz"


@dataclass(slots=True)
class Found:
    """What was measured; times in s."""

    channels: int = 0
    ready_s: float = 0.0
    submitted_s: float = 0.0
    first_s: list[float] = field(default_factory=list)
    together_s: float = 0.0
    stops_s: list[float] = field(default_factory=list)
    stop_all_s: float = 0.0
    not_confirmed: int = 0
    samples: int = 0
    cpu_s: float = 0.0
    broker_us: float = 0.0
    """CPU of the broker for a sample, before it was killed."""
    boxes_cpu_s: float = 0.0
    library_us: float = 0.0
    daemon_MB: float = 0.0
    broker_MB: float = 0.0
    durable_s: list[float] = field(default_factory=list)
    heard_s: list[float] = field(default_factory=list)
    reactions_s: list[float] = field(default_factory=list)
    lateness_s: list[float] = field(default_factory=list)
    replies_s: list[float] = field(default_factory=list)
    expected: int = 0
    stored: int = 0
    unexplained: int = 0
    in_gaps: int = 0
    states: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)


class Campaign:
    """Drives one load."""

    def __init__(self, load: Load, folder: Path) -> None:
        self.load, self.found = load, Found()
        self.lab = LoadLab(folder, load.boxes, load.processes)
        self._chance = random.Random(load.seed)  # noqa: S311 (no secret)
        self._runs: dict[str, int] = {}
        self._ends: dict[int, str] = {}
        """Run → how it has to end."""
        self._faults_from_s = 0.0
        self._undisturbed = (0.0, 0.0, 0.0, 0.0)
        self._stopped: set[int] = set()

    def run(self) -> Found:
        """Run it all."""
        lab, found = self.lab, self.found
        try:
            lab.start_boxes()
            found.ready_s = lab.start_daemon()
            found.channels = len(lab.stations)
            host = lab.hosts[0]
            found.library_us = in_child(fetch_us, lab.data / "simulation.json", host.address)
            self._start_most()
            with ProcessPoolExecutor(WATCHERS, mp_context=get_context("spawn")) as pool:
                # Each takes a while to import what it needs.
                list(pool.map(watchers.get_ready, range(WATCHERS)))
                watching = self._watch(pool)
                self._measure()
                seen = [each.result() for each in watching]
            self._stop_everything()
            self._account(*seen)
        finally:
            lab.end()
        return found

    def _start_most(self) -> None:
        """Start a run on every channel but those that are kept for what is timed."""
        kept = self.load.together + 1
        began_s = time.monotonic()
        stations = self.lab.stations[kept:]
        with ThreadPoolExecutor(4) as pool:
            for station, run in zip(stations, pool.map(self._submit_long, stations), strict=True):
                self._runs[station] = run
                self._ends[run] = "stopped"
        self._until_sampled(set(self._runs.values()))
        self.found.submitted_s = time.monotonic() - began_s

    def _submit_long(self, station: str) -> int:
        return self._submit(LONG.format(watch=f"{self.load.watch_s:g} s"), station)

    def _submit(self, protocol: str, station: str) -> int:
        with self.lab.client() as client:
            asked = Submission(
                protocol_text=protocol, cell_text=f"{CELL}identity: {station}\n", station=station
            )
            return client.submit(asked).run.run

    def _until_sampled(self, runs: set[int]) -> None:
        left = set(runs)

        def sampled() -> bool:
            with self.lab.client() as client:
                left.difference_update(info.run for info in client.status().runs if info.samples)
            return not left

        wait(sampled, "a first sample of each run", TIMEOUT_S, check_s=0.5)

    def _watch(self, pool: ProcessPoolExecutor) -> list[Future[watchers.Seen]]:
        until_s = time.monotonic() + self.load.seconds
        data, boxes = self.lab.data, [name for host in self.lab.hosts[:-1] for name in host.names]
        runs = len(self._runs)
        return [
            pool.submit(watchers.commits, data, until_s),
            pool.submit(watchers.subscriber, data, boxes[:16], until_s),
            pool.submit(watchers.subscriber, data, boxes, until_s, 0.05),
            pool.submit(watchers.api_reader, data, runs, until_s, 0.5, 1),
            pool.submit(watchers.api_reader, data, runs, until_s, 2.0, 2),
        ]

    def _measure(self) -> None:
        """Let the time pass, with everything that happens in it at its time."""
        began_s = time.monotonic()
        daemon = self.lab.process()
        self._forget_polls()
        before = self._cpu(daemon)
        for part, act in self._plan():
            self._sleep_until(began_s + part * self.load.seconds)
            act()
        self._sleep_until(began_s + self.load.seconds)
        after = self._cpu(daemon)
        found = self.found
        quiet = self._undisturbed
        found.broker_us = 1e6 * (quiet[1] - before[1]) / max(quiet[3] - before[3], 1.0)
        found.cpu_s, found.boxes_cpu_s = after[0] - before[0], after[2] - before[2]
        found.samples = int(after[3] - before[3])
        found.daemon_MB, found.broker_MB = uss_MB(daemon), uss_MB(self.lab.broker())

    def _plan(self) -> list[tuple[float, Callable[[], None]]]:
        """Return what happens at which part of the time: first what is timed, then what goes wrong."""
        plan: list[tuple[float, Callable[[], None]]] = [
            (0.10, self._one_more),
            (0.15, self._many_together),
            (0.55, self._stop_some),
            (0.60, self._note_polls),
            (0.62, self._cut_links),
            (0.68, self._freeze),
            (0.74, self._kill_broker),
            (0.80, self._kill_box),
        ]
        shaken = self._shaken()
        plan += [
            (0.3 + 0.2 * number / len(shaken), self._shaker(station)) for number, station in enumerate(shaken)
        ]
        return sorted(plan, key=lambda each: each[0])

    def _shaken(self) -> list[str]:
        """Return stations, not of the box that is killed, whose cells are made to go wrong."""
        own = [station for station in self._runs if station.split("-")[0] not in self.lab.victim.names]
        return own[:: max(8, len(own) // 20)][:20]

    def _shaker(self, station: str) -> Callable[[], None]:
        def shake() -> None:
            box, channel = station.split("-")
            wire.make_high(self.lab.host_of(box).state_file, box, int(channel) - 1)
            self._ends[self._runs[station]] = "protected"

        return shake

    def _one_more(self) -> None:
        station = self.lab.stations[0]
        began_s = time.monotonic()
        run = self._submit_long(station)
        self._until_first({run})
        self.found.first_s.append(time.monotonic() - began_s)
        self._runs[station], self._ends[run] = run, "stopped"

    def _many_together(self) -> None:
        """Submit many at once; they also end together."""
        protocol = SHORT.format(watch=f"{self.load.watch_s:g} s", seconds=max(3.0, 0.2 * self.load.seconds))
        stations = self.lab.stations[1 : self.load.together + 1]
        began_s = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            runs = set(pool.map(lambda station: self._submit(protocol, station), stations))
        self._until_first(runs)
        self.found.together_s = time.monotonic() - began_s
        self._ends |= dict.fromkeys(runs, "finished")

    def _until_first(self, runs: set[int]) -> None:
        left = set(runs)
        with self.lab.client() as client:

            def sampled() -> bool:
                left.difference_update({run for run in list(left) if client.run(run).run.samples})
                return not left

            wait(sampled, "a first sample of each run", TIMEOUT_S)

    def _stop_some(self) -> None:
        own = [station for station, run in self._runs.items() if self._ends[run] == "stopped"]
        with self.lab.client() as client:
            for station in self._chance.sample(own, min(16, len(own) // 4)):
                began_s = time.monotonic()
                outcome = client.stop(self._runs[station])
                self._stopped.add(self._runs[station])
                self.found.stops_s.append(time.monotonic() - began_s)
                self.found.not_confirmed += not outcome.open_circuit_confirmed

    def _forget_polls(self) -> None:
        for host in self.lab.hosts:
            wire.forget(host.state_file)

    def _note_polls(self) -> None:
        """Note how late polls were before anything was made to go wrong."""
        for books in self.lab.books():
            for times_s in books.polled_s.values():
                self.found.lateness_s += (np.diff(times_s) - min(self.load.watch_s, 1.0)).tolist()
        self._undisturbed = self._cpu(self.lab.process())
        self._faults_from_s = time.monotonic()

    def _some_box(self) -> tuple[Host, str]:
        host = self._chance.choice(self.lab.hosts[:-1])
        return host, self._chance.choice(host.names)

    def _cut_links(self) -> None:
        for _ in range(min(4, self.load.boxes - 1)):
            host, box = self._some_box()
            host.inject(box, Fault(kind="drop_link", duration_s=min(5.0, 0.03 * self.load.seconds)))
            self.found.faults["links cut"] += 1

    def _freeze(self) -> None:
        host, box = self._some_box()
        host.inject(box, Fault(kind="freeze", duration_s=min(5.0, 0.03 * self.load.seconds)))
        self.found.faults["boxes frozen"] += 1

    def _kill_broker(self) -> None:
        kill(self.lab.broker())
        self.found.faults["brokers killed"] += 1

    def _kill_box(self) -> None:
        victim = self.lab.victim
        victim.kill()
        for station, run in self._runs.items():
            lost = station.split("-")[0] in victim.names and run not in self._stopped
            if lost and self._ends[run] == "stopped":
                self._ends[run] = "failed"
        victim.start()
        self.lab.publish()
        self.found.faults["boxes killed and started again"] += 1

    def _stop_everything(self) -> None:
        with self.lab.client() as client:
            began_s = time.monotonic()
            outcomes = client.stop_all()
            self.found.stop_all_s = time.monotonic() - began_s
            self.found.not_confirmed += sum(
                outcome.started and not outcome.open_circuit_confirmed for outcome in outcomes
            )

            def over() -> bool:
                return all(info.state in ENDED for info in client.status().runs)

            wait(over, "the end of every run", TIMEOUT_S, check_s=0.5)

            def stored() -> bool:
                with closing(HeldReader(self.lab.data)) as reader:
                    return all(info.state in ENDED for info in reader.runs())

            wait(stored, "the end of every run in the store", TIMEOUT_S, check_s=0.5)

    def _cpu(self, daemon: psutil.Process) -> tuple[float, float, float, float]:
        """Return the CPU time of daemon, broker and boxes, and how many samples the boxes have given."""
        books = self.lab.books(self.lab.hosts[:-1])
        given = sum(segment.rows for each in books for segment in each.segments)
        try:
            broker_s = _cpu_s(self.lab.broker())
        except (RuntimeError, psutil.Error):
            broker_s = 0.0
        return _cpu_s(daemon), broker_s, sum(each.cpu_s for each in books), float(given)

    @staticmethod
    def _sleep_until(at_s: float) -> None:
        time.sleep(max(0.0, at_s - time.monotonic()))

    # The count

    def _account(self, *seen: watchers.Seen) -> None:
        found = self.found
        segments = [segment for books in self.lab.books() for segment in books.segments]
        started_s = {segment.run: segment.started_s for segment in segments}
        commits, fast, _, *readers = seen
        # Samples that a cut link or a killed broker held back are no measure of the daemon.
        undisturbed_s = self._faults_from_s
        found.durable_s = list(_ages(commits, started_s, undisturbed_s))
        found.heard_s = list(_ages(fast, started_s, undisturbed_s))
        found.replies_s = [reply_s for reader in readers for reply_s in reader.replies_s]
        found.reactions_s = [
            segment.stopped_s - segment.high_s
            for segment in segments
            if segment.high_s is not None and segment.stopped_s is not None
        ]
        with closing(HeldReader(self.lab.data)) as reader:
            infos = {info.run: info for info in reader.runs()}
            self._check_states(infos)
            for run, own in _by_run(segments).items():
                self._count(reader, infos[run], own)

    def _check_states(self, infos: dict[int, RunInfo]) -> None:
        for run, info in infos.items():
            self.found.states[info.state] += 1
            wanted = self._ends.get(run, "")
            if info.state != wanted:
                self.found.wrong.append(f"run {run} is {info.state}, not {wanted}: {info.reason}")
        missing = self._ends.keys() - infos.keys()
        self.found.wrong += [f"run {run} is not in the store" for run in missing]

    def _count(self, reader: HeldReader, info: RunInfo, segments: list[Segment]) -> None:
        """Compare what is stored of a run with what its box has given."""
        given, stored = sum(segment.rows for segment in segments), reader.count(info.run)
        gaps = reader.gaps(info.run)
        self.found.expected += given
        self.found.stored += stored
        room = sum((gap.t_to_s - gap.t_from_s) / self.load.watch_s + 1 for gap in gaps)
        missing = given - stored
        if missing and 0 < missing <= room:
            self.found.in_gaps += missing
        elif missing:
            self.found.unexplained += abs(missing)
            self.found.wrong.append(f"run {info.run}: its box gave {given} samples, {stored} are stored")
        self.found.wrong += [f"run {info.run}: {text}" for text in reader.verify(info.run)]


def _by_run(segments: list[Segment]) -> dict[int, list[Segment]]:
    found: dict[int, list[Segment]] = {}
    for segment in segments:
        found.setdefault(segment.run, []).append(segment)
    return found


def _ages(seen: watchers.Seen, started_s: dict[int, float], until_s: float) -> Iterator[float]:
    for seen_s, run, t_s in seen.sights:
        if run in started_s and seen_s < until_s:
            yield seen_s - started_s[run] - t_s


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def measure(load: Load) -> Found:
    """Measure one load."""
    with tempfile.TemporaryDirectory(prefix="sandtime-load-") as folder:
        return Campaign(load, Path(folder)).run()
