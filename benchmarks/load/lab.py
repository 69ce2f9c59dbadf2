"""The processes of a load: boxes in a few of them, daemon and broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.load import wire
from benchmarks.load.boxes import CHANNELS
from drivers.simulation.control import inject
from drivers.simulation.faults import Fault
from monitor import children
from monitor.client import Client

READY_TIMEOUT_S = 300.0
SITE = "load"


class Host:
    """One process with some boxes."""

    def __init__(self, folder: Path, number: int, addresses: dict[str, str]) -> None:
        self.state_file = folder / f"boxes-{number}.json"
        self.names = list(addresses)
        self._addresses = addresses
        self._log = folder / f"boxes-{number}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """The address of one of its boxes."""
        return next(iter(self._addresses.values()))

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.state_file.unlink(missing_ok=True)
        boxes = [f"{name}={address}" for name, address in self._addresses.items()]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.load.boxes", str(self.state_file), *boxes],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        children.wait_for_file(self.state_file, self.process, "the boxes of the load")

    def kill(self) -> None:
        """Kill it with -9: its boxes lose all they know."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def end(self) -> None:
        """End it."""
        if self.process is not None:
            children.end(self.process)

    def inject(self, box: str, fault: Fault) -> None:
        """Let something go wrong with one of its boxes."""
        inject(self.state_file, box, fault)


class LoadLab:
    """A folder with a service.toml, and its processes. The last box is alone in one, to be killed there."""

    def __init__(self, folder: Path, boxes: int, processes: int) -> None:
        self.folder, self.data = folder, folder / "data"
        self.data.mkdir()
        names = {f"vsp{number}": f"10.0.{number // 250}.{number % 250 + 1}" for number in range(1, boxes + 1)}
        self.stations = [f"{name}-{channel}" for name in names for channel in range(1, CHANNELS + 1)]
        *most, last = names
        parts = [most[number::processes] for number in range(processes)]
        self.hosts = [
            Host(folder, number, {name: names[name] for name in part})
            for number, part in enumerate([*parts, [last]])
            if part
        ]
        self.config = folder / "service.toml"
        self.config.write_text(_service_toml(names), encoding="utf-8")
        self.daemon: subprocess.Popen[bytes] | None = None

    @property
    def victim(self) -> Host:
        """The process whose box is killed."""
        return self.hosts[-1]

    def host_of(self, box: str) -> Host:
        """Return the process that a box is in."""
        return next(host for host in self.hosts if box in host.names)

    def start_boxes(self) -> None:
        """Start all boxes."""
        for host in self.hosts:
            host.start()
        self.publish()

    def publish(self) -> None:
        """Write where the boxes listen, for the driver."""
        places: dict[str, object] = {}
        for host in self.hosts:
            places |= json.loads(host.state_file.read_text(encoding="utf-8"))["addresses"]
        draft = self.data / "simulation.draft"
        draft.write_text(json.dumps({"addresses": places}), encoding="utf-8")
        draft.replace(self.data / "simulation.json")

    def start_daemon(self) -> float:
        """Start the daemon; return the seconds until it was ready."""
        began_s = time.monotonic()
        # One whose bench was killed ends by itself.
        arguments = ["serve", "--config", str(self.config), "--exit-without-client", "120"]
        self.daemon = children.start(arguments, self.folder / "daemon.log")
        while time.monotonic() - began_s < READY_TIMEOUT_S and self.daemon.poll() is None:
            if (self.data / "daemon.json").exists():
                with self.client() as client:
                    if client.status().ready:
                        return time.monotonic() - began_s
            time.sleep(0.02)
        raise TimeoutError(f"the daemon did not get ready; see {self.folder / 'daemon.log'}")

    def client(self) -> Client:
        """Return a client of the daemon."""
        return Client.of_folder(self.data)

    def books(self, hosts: Sequence[Host] | None = None) -> list[wire.Books]:
        """Return the books of these boxes, or of all."""
        return [wire.books(host.state_file) for host in (self.hosts if hosts is None else hosts)]

    def process(self) -> psutil.Process:
        """Return the daemon."""
        if self.daemon is None:
            raise RuntimeError("the daemon was not started")
        return psutil.Process(self.daemon.pid)

    def broker(self) -> psutil.Process:
        """Return the daemon's broker."""
        for child in self.process().children():
            if any("monitor.broker" in word for word in child.cmdline()):
                return child
        raise RuntimeError("the daemon has no broker just now")

    def broker_port(self) -> int:
        """Return where the broker listens."""
        return int(json.loads((self.data / "mqtt.json").read_text(encoding="utf-8"))["port"])

    def end(self) -> None:
        """End everything."""
        if self.daemon is not None:
            children.end(self.daemon)
        for host in self.hosts:
            host.end()


def kill(process: psutil.Process) -> None:
    """Kill a process with -9."""
    os.kill(process.pid, signal.SIGKILL)


def _service_toml(names: dict[str, str]) -> str:
    # The boxes have no spectra to look at a cell with.
    lines = ['data = "data"', "[checks]", "before_start = false", "[mqtt]", f'site = "{SITE}"']
    for name, address in names.items():
        lines += [
            f"[instruments.{name}]",
            'driver = "biologic"',
            'model = "VSP-300"',
            f'address = "{address}"',
        ]
        lines += ['library = "simulation"']
        for channel in range(1, CHANNELS + 1):
            lines += [f"[stations.{name}-{channel}]", f'instrument = "{name}"', f"channel = {channel}"]
    return "\n".join(lines) + "\n"
