"""A small lab for tests of the faces: simulated instrument and daemon as real processes in a folder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from monitor import children
from monitor.client import Client
from protocols.errors import UnreachableError
from protocols.records import ENDED, RunInfo
from scheduler.requests import Submission
from storage.reader import Reader

TIMEOUT_S = 60.0
SANDTIME = str(Path(sys.executable).with_name("sandtime"))
BOX_CHANNELS = 16
UNCHECKED = "before_start = false"
"""What stands under ``[checks]`` where a test is not about the check before a start."""
"""Channels of one simulated instrument; more cells need more of them."""

CELL = """\
sandtime: 1
name: {name}
geometry: {geometry}
area: 0.785 cm²
working: {{lithium: {working}}}
counter: {{lithium: {counter}}}
electrolyte: {{name: LLZTO, class: garnet, thickness: 600 µm}}
"""


CHAMBER = """
[chambers.oven]
driver = "espec"
address = "simulation"
lowest_celsius = 10
highest_celsius = 80
[simulation_chambers.oven]
start_celsius = 25
rate_K_per_min = 3
"""


def cell(
    name: str = "test cell", geometry: str = "symmetric", working: str = "100 µm", counter: str = "100 µm"
) -> str:
    """Return the text of a cell file."""
    return CELL.format(name=name, geometry=geometry, working=working, counter=counter)


def sandtime(*arguments: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command ``sandtime`` in a folder, as a person would, to its end."""
    return subprocess.run(
        [SANDTIME, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )


class Lab:
    """A folder with a service.toml, and the processes that belong to it.

    Station ``s1`` is wired to the first cell, and so on; station ``in_chamber`` stands in a chamber.
    """

    def __init__(
        self,
        folder: Path,
        channels: list[str],
        speed: float = 1.0,
        mqtt: str = "",
        in_chamber: int = 0,
        max_lag_s: float = 10.0,
        checks: str = UNCHECKED,
    ) -> None:
        self.folder = folder
        self.config = folder / "service.toml"
        self.data = folder / "data"
        text = _service_toml(channels, mqtt, checks) + (CHAMBER if in_chamber else "")
        station = f"[stations.s{in_chamber}]\n"
        text = text.replace(station, station + 'chamber = "oven"\n')
        self.config.write_text(text, encoding="utf-8")
        self._pace = ("--speed", f"{speed:g}", "--max-lag", f"{max_lag_s:g}")
        self.box: subprocess.Popen[bytes] | None = None
        self.daemon: subprocess.Popen[bytes] | None = None

    def start_box(self) -> None:
        """Start the simulated instrument and wait until it listens."""
        arguments = ["simulate", "--config", str(self.config), *self._pace]
        self.box = children.start(arguments, self.folder / "box.log")
        children.wait_for_file(self.data / "simulation.json", self.box, "the simulated instrument")

    def start_daemon(self) -> None:
        """Start the daemon and wait until it is ready."""
        self.daemon = children.start(["serve", "--config", str(self.config)], self.folder / "daemon.log")
        children.wait_until_ready(self.data, self.daemon)

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
        """Return a reader of the stored data."""
        return Reader(self.data)

    def submit(
        self, protocol: str, station: str, cell_text: str, settings: dict[str, str] | None = None
    ) -> int:
        """Submit a protocol (its text) and return the run's number."""
        # Cells that are called alike are one cell, which can only be on one station at a time.
        if "identity:" not in cell_text:
            cell_text += f"identity: of {station}\n"
        submission = Submission(
            protocol_text=protocol, cell_text=cell_text, station=station, settings=settings or {}
        )
        with self.client() as client:
            return client.submit(submission).run.run

    def info(self, run: int) -> RunInfo:
        """Return how a run stands."""
        with self.client() as client:
            return client.run(run).run

    def until(self, holds: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until something holds; fail with the daemon's log if it does not."""
        give_up = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(UnreachableError):
                if holds():
                    return
            if time.monotonic() > give_up:
                log = (self.folder / "daemon.log").read_text(encoding="utf-8")[-3000:]
                raise AssertionError(f"not reached: {what}\n{log}")
            time.sleep(0.02)

    def until_ended(self, run: int) -> RunInfo:
        """Wait until a run has ended."""
        self.until(lambda: self.info(run).state in ENDED, f"the end of run {run}")
        return self.info(run)


@contextlib.contextmanager
def lab(
    folder: Path,
    channels: list[str],
    speed: float = 1.0,
    mqtt: str = "",
    in_chamber: int = 0,
    max_lag_s: float = 10.0,
    checks: str = UNCHECKED,
) -> Iterator[Lab]:
    """Yield a lab whose instrument and daemon run; end them afterwards. ``checks``: what stands there."""
    made = Lab(folder, channels, speed, mqtt, in_chamber, max_lag_s, checks)
    try:
        made.start_box()
        made.start_daemon()
        yield made
    finally:
        made.end()


def _service_toml(channels: list[str], mqtt: str, checks: str) -> str:
    boxes = list(batched(list(enumerate(channels, 1)), BOX_CHANNELS))
    return "\n".join(
        [
            'data = "data"',
            *(_box(number, box) for number, box in enumerate(boxes, 1)),
            "[mqtt]",
            mqtt or "enabled = false",
            "[checks]",
            checks,
            *(_simulated(number, box) for number, box in enumerate(boxes, 1)),
            "",
        ]
    )


def batched(items: list[tuple[int, str]], size: int) -> Iterator[list[tuple[int, str]]]:
    """Yield ``items`` in lists of at most ``size``."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _name(box: int) -> str:
    return "vsp" if box == 1 else f"vsp{box}"


def _box(number: int, cells: list[tuple[int, str]]) -> str:
    stations = "".join(
        f'[stations.s{station}]\ninstrument = "{_name(number)}"\nchannel = {channel}\n'
        for channel, (station, _) in enumerate(cells, 1)
    )
    return f"""\
[instruments.{_name(number)}]
driver = "biologic"
model = "VSP-300"
address = "192.168.0.{9 + number}"
library = "simulation"
{stations}"""


def _simulated(number: int, cells: list[tuple[int, str]]) -> str:
    wired = ", ".join(f"{channel} = {{ {text} }}" for channel, (_, text) in enumerate(cells, 1))
    return f"""\
[simulation.{_name(number)}]
address = "192.168.0.{9 + number}"
channels = {{ {wired} }}"""
