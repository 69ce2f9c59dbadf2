"""The real daemon killed with -9 under load, while simulated instruments go on, as an observer sees it."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from labbench import Lab, cell

from monitor import children
from monitor.client import Client
from protocols.errors import UnreachableError
from protocols.measurements import COLUMNS
from protocols.records import ENDED
from storage.columns import Columns
from storage.database import DATABASE
from storage.held import HeldReader

CYCLING = """\
sandtime: 1
name: cycling
limits: {{voltage: 2 V}}
steps:
  - repeat:
      times: {times}
      steps:
        - constant_current: {{current: 0.2 mA/cm², until: {{time: 30 s}}}}
        - constant_current: {{current: -0.2 mA/cm², until: {{time: 30 s}}}}
"""
FOR_EVER = 100_000
WATCH_S = 1.0
READY_TIMEOUT_S = 300.0
GOING_ON_TIMEOUT_S = 300.0
MOMENT_TIMEOUT_S = 300.0
CHECK_S = 0.2
MOMENT_S = 0.0005
"""How closely a moment to kill at is watched for."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What an observer found committed of a run."""

    n: int
    crc: int

    @classmethod
    def of(cls, columns: Columns, n: int | None = None) -> Seen:
        """Take the first ``n`` samples, or all."""
        crc = 0
        for name in COLUMNS:
            crc = zlib.crc32(np.ascontiguousarray(columns[name][:n]).tobytes(), crc)
        return cls(len(columns["t_s"][:n]), crc)


@dataclass(slots=True)
class Findings:
    """What the kills came to."""

    kills: dict[str, int] = field(default_factory=dict)
    ready_s: list[float] = field(default_factory=list)
    acknowledged: int = 0
    never_began: set[int] = field(default_factory=set)
    """Runs whose start was intended and never commanded: they end *failed*, their cells untouched."""
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ready = np.array(self.ready_s)
        return (
            f"{sum(self.kills.values())} kills ({', '.join(f'{n} {how}' for how, n in self.kills.items())}), "
            f"{self.acknowledged} samples acknowledged, {len(self.wrong)} faults, "
            f"{len(self.never_began)} runs killed before their start was commanded; ready again in "
            f"{np.median(ready):.1f} s (median), {ready.max():.1f} s (most)"
        )


class KillTrial:
    """A lab: runs go on for ever on most stations; on the others short ones end and are sealed."""

    def __init__(self, lab: Lab, stations: int, short_stations: int, chance: random.Random) -> None:
        self._lab = lab
        self._chance = chance
        self._stations = [f"s{number}" for number in range(1, stations + 1)]
        self._short = self._stations[:short_stations]
        self._seen: dict[int, Seen] = {}
        self.findings = Findings()

    def submit(self, short_runs: int) -> None:
        """Start a run on each station; queue more on those of short runs."""
        for station in self._stations:
            is_short = station in self._short
            for turn in range(short_runs if is_short else 1):
                # Of different lengths, so that they do not all end together.
                times = 1 + (turn + len(station)) % 3 if is_short else FOR_EVER
                self._lab.submit(CYCLING.format(times=times), station, cell())

    def kill(self, how: str) -> None:
        """Kill the daemon at a moment of one kind, start it again, and look whether all is as it was."""
        moments: dict[str, Callable[[], None]] = {
            "at random": self._sometime,
            "while committing": self._while_committing,
            "while sealing": self._while_sealing,
        }
        moments[how]()
        seen = self._observe()
        self._kill_soon_after(how)
        self._look_at_what_is_left(seen, how)
        began_s = time.monotonic()
        self.start_daemon()
        self.findings.ready_s.append(time.monotonic() - began_s)
        self.findings.kills[how] = self.findings.kills.get(how, 0) + 1
        self._wait_until_all_go_on()

    def start_daemon(self) -> None:
        """Start the daemon, and wait until it is ready."""
        lab = self._lab
        lab.daemon = children.start(["serve", "--config", str(lab.config)], lab.folder / "daemon.log")
        self._until(self._ready, "a daemon that is ready", READY_TIMEOUT_S)

    def check_gaps(self) -> None:
        """Check that samples are missing only where a gap says so."""
        with closing(HeldReader(self._lab.data)) as reader:
            for run in self._seen:
                samples = reader.samples(run, columns=("t_s", "step", "visit"))
                known = [(gap.t_from_s, gap.t_to_s) for gap in reader.gaps(run)]
                inside = (np.diff(samples["visit"]) == 0) & (np.diff(samples["step"]) == 0)
                for place in np.flatnonzero((np.diff(samples["t_s"]) > 1.6 * WATCH_S) & inside):
                    hole = (samples["t_s"][place], samples["t_s"][place + 1])
                    if hole not in known:
                        self._wrong(run, f"no gap says that samples are missing between {hole}")

    def _sometime(self) -> None:
        time.sleep(self._chance.uniform(0.0, 3.0))

    def _while_committing(self) -> None:
        time.sleep(self._chance.uniform(0.0, 2.0))

    def _while_sealing(self) -> None:
        """Wait for a run that has ended and is not sealed."""

        def ended() -> bool:
            with closing(HeldReader(self._lab.data)) as reader:
                return bool(reader.unsealed())

        self._until(ended, "a run that has ended", MOMENT_TIMEOUT_S)

    def _kill_soon_after(self, how: str) -> None:
        """Kill; if it is to happen at a commit or while a file is written, in the moment that it begins."""
        log = self._lab.data / f"{DATABASE}-wal"
        before = _stamp(log)
        with contextlib.suppress(AssertionError):
            if how == "while committing":
                self._until(lambda: _stamp(log) != before, "a commit", MOMENT_TIMEOUT_S, MOMENT_S)
            elif how == "while sealing":
                self._until(lambda: _drafts(self._lab.data), "a file that is written", 5.0, MOMENT_S)
        self._lab.kill_daemon()

    def _observe(self) -> dict[int, Seen]:
        """Return what is committed now, of each run."""
        with closing(HeldReader(self._lab.data)) as reader:
            return {info.run: Seen.of(reader.samples(info.run)) for info in reader.runs()}

    def _look_at_what_is_left(self, seen: dict[int, Seen], how: str) -> None:
        with closing(HeldReader(self._lab.data)) as reader:
            for run, now in seen.items():
                self._look_at(reader, run, {now, self._seen.get(run, now)}, how)
        self._seen = seen
        self.findings.acknowledged = sum(each.n for each in seen.values())
        with closing(sqlite3.connect(f"file:{self._lab.data / DATABASE}?mode=ro", uri=True)) as database:
            if database.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                self.findings.wrong.append(f"{how}: the database is damaged")

    def _look_at(self, reader: HeldReader, run: int, acknowledged: set[Seen], how: str) -> None:
        """Check that a run's samples are those that were seen before, each once and in order."""
        samples = reader.samples(run)
        for each in acknowledged:
            if Seen.of(samples, each.n) != each:
                self._wrong(run, f"killed {how}: of {each.n} samples that were seen, some are not as before")
        if (np.diff(samples["t_s"]) < 0).any():
            self._wrong(run, f"killed {how}: samples are out of order")
        rows = np.array([samples["t_s"], samples["step"], samples["visit"]]).T
        if len(np.unique(rows, axis=0)) != len(rows):
            self._wrong(run, f"killed {how}: a sample is stored twice")
        self.findings.wrong += [f"run {run}: {text}" for text in reader.verify(run)]

    def _wrong(self, run: int, what: str) -> None:
        self.findings.wrong.append(f"run {run}: {what}")

    def _ready(self) -> bool:
        assert self._lab.daemon is not None
        assert self._lab.daemon.poll() is None, "the daemon ended"
        with Client.of_folder(self._lab.data) as client:
            return client.status().ready

    def _wait_until_all_go_on(self) -> None:
        """Wait until every station's run is watched again: it brings samples, or has ended as it should."""

        def all_go_on() -> bool:
            with self._lab.client() as client:
                infos = client.status().runs
            for info in infos:
                if info.state in ENDED and info.state != "finished":
                    # Killed between the stored intention and the start: nobody may start the cell again.
                    never_began = info.state == "failed" and not info.samples
                    assert never_began, f"run {info.run} is {info.state}: {info.reason}"
                    self.findings.never_began.add(info.run)
            behind = [info for info in infos if info.state == "running"]
            return all(
                info.samples > (self._seen[info.run].n if info.run in self._seen else 0) for info in behind
            )

        self._until(all_go_on, "every run going on", GOING_ON_TIMEOUT_S)

    @staticmethod
    def _until(holds: Callable[[], bool], what: str, timeout_s: float, check_s: float = CHECK_S) -> None:
        give_up_s = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(UnreachableError):
                if holds():
                    return
            assert time.monotonic() < give_up_s, f"not reached within {timeout_s:g} s: {what}"
            time.sleep(check_s)


def _stamp(path: Path) -> tuple[int, int]:
    """Return what changes whenever a file is written; SQLite's log may do so and keep its length."""
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def _drafts(data: Path) -> bool:
    """Whether a file of a run is being written."""
    return any(data.glob("runs/*/.*.tmp"))
