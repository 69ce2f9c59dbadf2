"""The lab of the soak: its cells, its tests, the faults of its instruments, and its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from drivers.simulation.control import Books, read_books
from monitor import children
from monitor.client import Client
from protocols.errors import SandtimeError

DAY_S = 86400.0
CHANNELS = 16
READY_TIMEOUT_S = 300.0

CELL = """\
sandtime: 1
name: {name}
geometry: {geometry}
area: 0.785 cm²
working: {{lithium: {working}}}
counter: {{lithium: 100 µm}}
electrolyte: {{name: LLZTO, class: garnet, thickness: 600 µm}}
"""
CYCLING = """\
sandtime: 1
name: cycling
watch: {watch:.0f} s
limits: {{voltage: 1.5 V}}
steps:
  - rest: {{for: 2 h}}
  - repeat:
      times: {times}
      steps:
        - constant_current: {{current: 0.05 mA/cm², until: {{time: 10 h}}}}
        - rest: {{for: 30 min}}
        - constant_current: {{current: -0.05 mA/cm², until: {{time: 10 h}}}}
        - message: a cycle is done
"""
SPECTRA = """\
sandtime: 1
name: spectra
watch: {watch:.0f} s
steps:
  - repeat:
      times: {times}
      steps:
        - rest: {{for: 23 h}}
        - geis: {{from: 100 kHz, to: 1 Hz, points_per_decade: 4, amplitude: 0.01 mA}}
"""
RAMP = """\
sandtime: 1
name: ramp
watch: {watch:.0f} s
ends_on: [short_circuit]
steps:
  - ramp:
      current: {{from: 0.05 mA/cm², step: 0.05 mA/cm², to: 0.5 mA/cm²}}
      steps:
        - constant_current: {{current: $current, until: {{time: 4 h}}}}
        - constant_current: {{current: -$current, until: {{time: 4 h}}}}
"""
STRIPPING = """\
sandtime: 1
name: stripping
watch: {watch:.0f} s
limits: {{voltage: 1 V}}
steps:
  - constant_current: {{current: 0.05 mA/cm², until: {{time: 20 d}}}}
"""
RESTING = """\
sandtime: 1
name: resting
watch: {watch:.0f} s
steps:
  - rest: {{for: {hours:.0f} h}}
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a lab is looked at for how long."""

    boxes: int = 4
    channels: int = CHANNELS
    days: float = 183.0
    watch_s: float = 120.0
    speed: float = 6000.0
    max_lag_s: float = 3600.0
    seed: int = 1
    kill_every_d: float = 6.0
    reboot_every_d: float = 60.0


def kind_of(station: int) -> str:
    """Return what kind of cell a station has, counted from 0."""
    return {3: "shorting", 9: "thin"}.get(station % 16, "sound")


def cell_text(kind: str) -> str:
    """Return the file of a cell."""
    if kind == "thin":
        return CELL.format(name="thin", geometry="asymmetric", working="20 µm")
    return CELL.format(name=kind, geometry="symmetric", working="100 µm")


class SoakLab:
    """A folder with service.toml and the processes that belong to it."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder, self.data, self.size = folder, folder / "data", size
        self.data.mkdir()
        self.boxes = [f"vsp{number}" for number in range(1, size.boxes + 1)]
        self.stations = [f"{box}-{n}" for box in self.boxes for n in range(1, size.channels + 1)]
        self.state_file = self.data / "simulation.json"
        self._config, self._steps = folder / "service.toml", folder / "utc"
        self._config.write_text(self._service_toml(), encoding="utf-8")
        self._ahead_s = 0.0
        self._box: subprocess.Popen[bytes] | None = None
        self.daemon: subprocess.Popen[bytes] | None = None

    def start_boxes(self) -> None:
        """Start the instruments."""
        pace = ["--speed", f"{self.size.speed:g}", "--max-lag", f"{self.size.max_lag_s:g}"]
        self._box = children.start(
            ["simulate", "--config", str(self._config), *pace], self.folder / "box.log"
        )
        children.wait_for_file(self.state_file, self._box, "the simulated instruments")

    def start_daemon(self) -> None:
        """Start the daemon, and wait until it is ready."""
        with (self.folder / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.soak.daemon", str(self._config), str(self._steps)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        give_up_s = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < give_up_s and self.daemon.poll() is None:
            try:
                with self.client() as client:
                    if client.status().ready:
                        return
            except SandtimeError:
                # Not there yet, or the file is still that of one that was killed.
                time.sleep(0.05)
        raise TimeoutError(f"the daemon did not get ready; see {self.folder / 'daemon.log'}")

    def kill_daemon(self) -> None:
        """Kill the daemon with -9."""
        if self.daemon is not None:
            os.kill(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()

    def fill_disk(self, full: bool) -> None:
        """Let the kernel refuse every write of the daemon, or let it have room again."""
        import resource

        limit = 1 if full else resource.RLIM_INFINITY
        if self.daemon is not None and self.daemon.poll() is None:
            resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def step_clock(self, by_s: float) -> None:
        """Set the computer's UTC, as far as the daemon sees it."""
        self._ahead_s += by_s
        self._steps.write_text(f"{self._ahead_s}", encoding="ascii")

    def client(self) -> Client:
        """Return a client of the daemon."""
        return Client.of_folder(self.data)

    def books(self, box: str) -> Books:
        """Return what a box has measured."""
        return read_books(self.state_file, box)

    def end(self) -> None:
        """End everything."""
        for process in (self.daemon, self._box):
            if process is not None:
                children.end(process)

    def _service_toml(self) -> str:
        # Nobody puts another cell in after a short, and the check would hold back what comes next.
        lines = ['data = "data"', "[checks]", "before_start = false", "[mqtt]", "enabled = false"]
        for number, box in enumerate(self.boxes):
            address = f'address = "10.0.0.{number + 1}"'
            lines += [f"[instruments.{box}]", 'driver = "biologic"', 'model = "VSP-300"', address]
            lines += ['library = "simulation"', "connect_timeout_s = 2", "call_timeout_s = 10"]
            for channel in range(1, self.size.channels + 1):
                lines += [f"[stations.{box}-{channel}]", f'instrument = "{box}"', f"channel = {channel}"]
            lines += [f"[simulation.{box}]", address]
            for channel in range(1, self.size.channels + 1):
                lines += [f"[simulation.{box}.channels.{channel}]", *self._cell(number, channel)]
            lines += self._faults(box, number)
        return "\n".join(lines) + "\n"

    def _cell(self, box: int, channel: int) -> list[str]:
        place = box * self.size.channels + channel - 1
        more = {
            "thin": ["working_um = 20", "loss_mAh_per_cm2 = 0.1"],
            "shorting": ["short_at_mA_per_cm2 = 0.3"],
        }
        return [f"seed = {place + 1}", *more.get(kind_of(place), [])]

    def _faults(self, box: str, number: int) -> list[str]:
        """Return the script of a box's faults; times are the instrument's."""
        lines = []
        for place, (kind, every_d, more) in enumerate(self.script()):
            lines += [f"[[simulation.{box}.faults]]", f'kind = "{kind}"', f'every = "{every_d * 24:.1f} h"']
            lines += [f"seed = {self.fault_seed(number, place)}", *([more] if more else [])]
        return lines

    def script(self) -> list[tuple[str, float, str]]:
        """Return each kind of fault of a box, its mean time in days, and its settings."""
        return [
            ("drop_link", 7.0, 'for = "20 min"'),
            ("freeze", 15.0, 'for = "2 h"'),
            ("garbage", 11.0, "count = 2"),
            ("comm_loss", 9.0, ""),
            ("zeros", 8.0, "count = 5"),
            ("reboot", self.size.reboot_every_d, 'for = "10 min"'),
        ]

    def fault_seed(self, box: int, place: int) -> int:
        """Return the seed of one line of a box's script."""
        return 1000 * self.size.seed + 10 * box + place
