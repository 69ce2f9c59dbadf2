"""A lab that is simulated whole, supervised from here: instruments and daemon as children, runs followed.

A daemon that dies is started again. All children end with their parent, or a minute after it was killed.
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from monitor import children
from monitor.client import Client
from protocols.errors import SandtimeError, UnreachableError
from protocols.records import ENDED, RunInfo
from scheduler.requests import Submission
from storage.reader import Reader

POLL_S = 0.25


class SimulatedLab:
    """A folder with a service.toml, and the processes that belong to it."""

    def __init__(self, folder: Path, service_toml: str, speed: float, max_lag_s: float | None = None) -> None:
        """``max_lag_s``: see :class:`drivers.simulation.clock.HeldClock`; None: what ``simulate`` takes."""
        self.folder = folder
        self.config = folder / "service.toml"
        self.data = folder / "data"
        self._service_toml = service_toml
        self._pace = ["--speed", f"{speed:g}"]
        if max_lag_s is not None:
            self._pace += ["--max-lag", f"{max_lag_s:g}"]
        self._daemon: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Keep instruments and daemon alive inside the block."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(self._service_toml, encoding="utf-8")
        without_client = ["--exit-without-client", f"{children.WITHOUT_CLIENT_S:g}"]
        box = children.start(
            ["simulate", "--config", str(self.config), *self._pace, *without_client],
            self.folder / "simulation.log",
        )
        try:
            children.wait_for_file(self.data / "simulation.json", box, "the simulated instrument")
            self._start_daemon()
            yield
        finally:
            if self._daemon is not None:
                children.end(self._daemon)
            children.end(box)

    def submit(self, submissions: Sequence[Submission]) -> list[int]:
        """Submit runs; return their numbers."""
        with self._client() as client:
            return [client.submit(submission).run.run for submission in submissions]

    def follow(
        self, numbers: Sequence[int], show: Callable[[list[RunInfo]], None], stuck_s: float = math.inf
    ) -> None:
        """Follow runs to their ends; ``show`` is told how they stand every quarter of a second.

        Raises SandtimeError that names the runs which are left if nothing moves for ``stuck_s``.
        """
        moved, give_up = 0.0, time.monotonic() + stuck_s
        while True:
            infos = [info for info in self._infos() if info.run in numbers]
            show(infos)
            left = [info for info in infos if info.state not in ENDED]
            if infos and not left:
                return
            come_to = sum(info.t_s for info in infos) - len(left)
            if come_to != moved:
                moved, give_up = come_to, time.monotonic() + stuck_s
            elif time.monotonic() > give_up:
                names = ", ".join(f"{info.name} ({info.state})" for info in left)
                raise SandtimeError(f"nothing moves for {stuck_s:g} s: {names}; see {self.folder}")
            time.sleep(POLL_S)

    def wait_until_sealed(self, numbers: Sequence[int], timeout_s: float) -> None:
        """Wait until ended runs have their results and files. Raises SandtimeError after ``timeout_s``."""
        reader = Reader(self.data)
        self._wait(lambda: all(reader.results(run) and reader.is_sealed(run) for run in numbers), timeout_s)

    def wait_until_stored(self, numbers: Sequence[int], timeout_s: float) -> None:
        """Wait until all of ended runs is durable, results and files apart, which take longer.

        Raises SandtimeError after ``timeout_s``.
        """
        reader = Reader(self.data)
        self._wait(lambda: all(reader.run(run).state in ENDED for run in numbers), timeout_s)

    def _wait(self, holds: Callable[[], bool], timeout_s: float) -> None:
        give_up = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > give_up:
                raise SandtimeError(f"no results after {timeout_s:g} s; see {self.folder / 'daemon.log'}")
            time.sleep(POLL_S)

    def stop_all(self) -> None:
        """Open every circuit."""
        with self._client() as client:
            client.stop_all()

    def _infos(self) -> list[RunInfo]:
        """Ask for all runs; start a daemon that died again."""
        try:
            with self._client() as client:
                return client.status().runs
        except UnreachableError:
            if self._daemon is not None and self._daemon.poll() is not None:
                self._start_daemon()
            return []

    def _start_daemon(self) -> None:
        without_client = f"{children.WITHOUT_CLIENT_S:g}"
        self._daemon = children.start(
            ["serve", "--config", str(self.config), "--exit-without-client", without_client],
            self.folder / "daemon.log",
        )
        children.wait_until_ready(self.data, self._daemon)

    def _client(self) -> Client:
        return Client.of_folder(self.data)
