"""A person, a power cut and a full disk: what happens to the lab from outside, drawn with a seed.

When something happens goes by the instruments' time; how long a daemon is dead or a disk full is real time.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

from benchmarks.soak.lab import (
    CYCLING,
    DAY_S,
    RAMP,
    RESTING,
    SPECTRA,
    STRIPPING,
    SoakLab,
    cell_text,
    kind_of,
)
from monitor.client import Client
from protocols.errors import SandtimeError
from protocols.records import ENDED, RunInfo
from scheduler.requests import Submission

TURN_S = 0.5
DISK_FULL_S = 3.0
DEAD_S = 1.0


class Chaos:
    """Lives through the months; what it did is in its counters."""

    def __init__(self, lab: SoakLab) -> None:
        self.lab = lab
        self.done: Counter[str] = Counter()
        self.by_person: set[int] = set()
        self.day = 0.0
        self.runs = 0
        self._chance = random.Random(lab.size.seed)  # noqa: S311 (no secret)
        self._broken: set[str] = set()
        self._acknowledged: set[int] = set()
        self._acts: dict[str, tuple[float, Callable[[Client, list[RunInfo]], None]]] = {
            "daemon killed": (lab.size.kill_every_d, self._kill),
            "disk full": (2.5 * lab.size.kill_every_d, self._fill_disk),
            "UTC set": (2 * lab.size.kill_every_d, self._step_clock),
            "stopped by a person": (0.7 * lab.size.kill_every_d, self._stop),
            "paused by a person": (0.6 * lab.size.kill_every_d, self._pause),
            "everything stopped": (8 * lab.size.kill_every_d, self._stop_all),
        }
        self._due_d = {name: self._wait_d(every_d) for name, (every_d, _) in self._acts.items()}

    def turn(self) -> None:
        """Look once, and do what is due."""
        self.day = min(self.lab.books(box).now_s for box in self.lab.boxes[:1]) / DAY_S
        try:
            with self.lab.client() as client:
                status = client.status()
                infos = status.runs
                self.runs = len(infos)
                for alarm in status.alarms:
                    if alarm.kind == "not_open":
                        self._quietly(lambda: client.acknowledge_alarm(alarm.id))  # noqa: B023 (called at once)
                        self.done["alarms of circuits that did not open in time"] += 1
                self._keep_busy(client, infos)
                for name, due_d in list(self._due_d.items()):
                    if self.day >= due_d:
                        every_d, act = self._acts[name]
                        self._due_d[name] = self.day + self._wait_d(every_d)
                        act(client, infos)
        except SandtimeError:
            # Dead, or busy with a disk that is full: the next turn looks again.
            self.done["no answer"] += 1
            if self.lab.daemon is not None and self.lab.daemon.poll() is not None:
                self.lab.start_daemon()
        time.sleep(TURN_S)

    def _wait_d(self, every_d: float) -> float:
        return self._chance.expovariate(1.0 / every_d)

    # The laboratory's daily work

    def _keep_busy(self, client: Client, infos: list[RunInfo]) -> None:
        """Acknowledge what has ended, let paused runs go on, and give every free station a run."""
        alive = {info.station for info in infos if info.state not in ENDED}
        for info in infos:
            if info.state == "protected" and not info.acknowledged and info.run not in self._acknowledged:
                if info.verdict is not None and info.verdict.kind in (
                    "li_depletion",
                    "short_circuit",
                    "limit",
                ):
                    self._broken.add(info.station)
                client.acknowledge(info.run)
                self._acknowledged.add(info.run)
            elif info.state == "paused" and self._chance.random() < 0.3:
                self._quietly(lambda: client.resume(info.run))  # noqa: B023 (called at once)
        for place, station in enumerate(self.lab.stations):
            if station not in alive:
                client.submit(self._next(place, station))

    def _quietly(self, ask: Callable[[], object]) -> None:
        """Ask for what may just have become impossible, as a person would."""
        try:
            ask()
        except SandtimeError:
            self.done["refused"] += 1

    def _next(self, place: int, station: str) -> Submission:
        kind = kind_of(place)
        return Submission(
            protocol_text=self._protocol(kind, station),
            cell_text=f"{cell_text(kind)}identity: {station}\n",
            station=station,
        )

    def _protocol(self, kind: str, station: str) -> str:
        watch, chance = self.lab.size.watch_s, self._chance
        if station in self._broken:
            return RESTING.format(watch=watch, hours=chance.uniform(5, 20) * 24)
        if kind == "thin":
            return STRIPPING.format(watch=watch)
        if kind == "shorting":
            return RAMP.format(watch=watch)
        if chance.random() < 0.25:
            return SPECTRA.format(watch=watch, times=chance.randrange(3, 12))
        return CYCLING.format(watch=watch, times=chance.randrange(3, 14))

    # What happens to it

    def _kill(self, client: Client, infos: list[RunInfo]) -> None:
        self.lab.kill_daemon()
        time.sleep(DEAD_S * self._chance.random())
        self.lab.start_daemon()
        self.done["daemon killed"] += 1

    def _fill_disk(self, client: Client, infos: list[RunInfo]) -> None:
        self.lab.fill_disk(True)
        time.sleep(DISK_FULL_S)
        self.lab.fill_disk(False)
        self.done["disk full"] += 1

    def _step_clock(self, client: Client, infos: list[RunInfo]) -> None:
        self.lab.step_clock(self._chance.choice([-3600.0, -86400.0, 3600.0, 86400.0]))
        self.done["UTC set"] += 1

    def _stop(self, client: Client, infos: list[RunInfo]) -> None:
        running = [info.run for info in infos if info.state == "running"]
        if running:
            run = self._chance.choice(running)
            self.by_person.add(run)
            self._quietly(lambda: client.stop(run))
            self.done["stopped by a person"] += 1

    def _pause(self, client: Client, infos: list[RunInfo]) -> None:
        running = [info.run for info in infos if info.state == "running"]
        if running:
            self._quietly(lambda: client.pause(self._chance.choice(running)))
            self.done["paused by a person"] += 1

    def _stop_all(self, client: Client, infos: list[RunInfo]) -> None:
        self.by_person |= {info.run for info in infos if info.state not in ENDED}
        self._quietly(client.stop_all)
        self._quietly(client.resume_queue)
        self.done["everything stopped"] += 1

    def finish(self, timeout_s: float) -> None:
        """Stop everything for good, and wait until every run has ended."""
        give_up_s = time.monotonic() + timeout_s
        while time.monotonic() < give_up_s:
            try:
                with self.lab.client() as client:
                    left = [info for info in client.status().runs if info.state not in ENDED]
                    if not left:
                        return
                    self.by_person |= {info.run for info in left}
                    for info in left:
                        if info.state == "queued":
                            self._quietly(lambda: client.stop(info.run))  # noqa: B023 (called at once)
                    client.stop_all()
            except SandtimeError:
                self.done["no answer"] += 1
            time.sleep(TURN_S)
