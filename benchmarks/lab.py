"""Simulated instruments and the real daemon as processes, for what can only be measured from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.instruments import CELL
from monitor import children
from monitor.client import Client
from protocols.errors import UnreachableError
from scheduler.requests import Submission
from storage.reader import Reader

CHECK_S = 0.002
TIMEOUT_S = 60.0


class Lab:
    """A folder with a service.toml for ``boxes`` simulated VSP-300, and the processes that belong to it."""

    def __init__(self, folder: Path, boxes: int, channels: int, mqtt: bool) -> None:
        self.data = folder / "data"
        self.stations = [
            f"{box}-{channel}" for box in range(1, boxes + 1) for channel in range(1, channels + 1)
        ]
        self._folder = folder
        self._config = folder / "service.toml"
        self._config.write_text(_service_toml(boxes, channels, mqtt), encoding="utf-8")
        self.box: subprocess.Popen[bytes] | None = None
        self.daemon: subprocess.Popen[bytes] | None = None

    def start_box(self, *options: str) -> None:
        """Start the simulated instruments, with options of ``sandtime simulate``, and wait for them."""
        arguments = ["simulate", "--config", str(self._config), *options]
        self.box = children.start(arguments, self._folder / "box.log")
        children.wait_for_file(self.data / "simulation.json", self.box, "the simulated instruments")

    def start_daemon(self) -> float:
        """Start the daemon and return the seconds until it was ready."""
        began_s = time.monotonic()
        self.daemon = children.start(["serve", "--config", str(self._config)], self._folder / "daemon.log")
        children.wait_until_ready(self.data, self.daemon)
        return time.monotonic() - began_s

    def kill_daemon(self) -> None:
        """Kill the daemon with -9."""
        if self.daemon is not None:
            os.kill(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()

    def end(self) -> None:
        """End all processes."""
        for process in (self.daemon, self.box):
            if process is not None:
                children.end(process)

    def client(self) -> Client:
        """Return a client of the daemon."""
        return Client.of_folder(self.data)

    def reader(self) -> Reader:
        """Return a reader of what is stored."""
        return Reader(self.data)


@contextlib.contextmanager
def lab(boxes: int = 1, channels: int = 16, mqtt: bool = False, options: Sequence[str] = ()) -> Iterator[Lab]:
    """Yield a lab whose simulated instruments run, with these options; end all its processes afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        made = Lab(Path(folder), boxes, channels, mqtt)
        try:
            made.start_box(*options)
            yield made
        finally:
            made.end()


def submission(protocol: str, station: str) -> Submission:
    """Return a run to ask for."""
    # Cells that are called alike are one cell, which can only be on one station at a time.
    cell = f"{CELL}identity: {station}\n"
    return Submission(protocol_text=protocol, cell_text=cell, station=station)


def wait(
    holds: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S, check_s: float = CHECK_S
) -> None:
    """Wait until something holds, looking every ``check_s``. Raises UnreachableError if it takes too long."""
    give_up_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > give_up_s:
            raise UnreachableError(f"not reached within {timeout_s:g} s: {what}")
        time.sleep(check_s)


def _service_toml(boxes: int, channels: int, mqtt: bool) -> str:
    lines = ['data = "data"', "[mqtt]", f"enabled = {str(mqtt).lower()}", "[checks]", "before_start = false"]
    for box in range(1, boxes + 1):
        address = f'address = "192.168.0.{box}"'
        lines += [f"[instruments.vsp{box}]", 'driver = "biologic"', 'model = "VSP-300"', address]
        lines += ['library = "simulation"', f"[simulation.vsp{box}]", address]
        cells = ", ".join(f"{channel} = {{ seed = {channel} }}" for channel in range(1, channels + 1))
        lines += [f"channels = {{ {cells} }}"]
        for channel in range(1, channels + 1):
            lines += [f"[stations.{box}-{channel}]", f'instrument = "vsp{box}"', f"channel = {channel}"]
    return "\n".join(lines) + "\n"
