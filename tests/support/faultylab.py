"""A lab whose instruments fail on demand."""

from __future__ import annotations

import socket
from pathlib import Path

from labbench import Lab

from drivers.simulation.control import inject
from drivers.simulation.faults import Fault
from drivers.simulation.wire import find_chamber

WARM = """\
sandtime: 1
name: warm
steps:
  - temperature: {to: 40 °C, for: 2 min}
  - constant_current: {current: 0.2 mA/cm², until: {time: 100 h}}
"""
QUICK = 'library = "simulation"\nconnect_timeout_s = 1\ncall_timeout_s = 2'


class FaultyLab(Lab):
    """A lab whose instruments meet the faults of a script, and others on demand."""

    def __init__(
        self, folder: Path, channels: list[str], script: str = "", speed: float = 100.0, in_chamber: int = 0
    ) -> None:
        super().__init__(folder, channels, speed, in_chamber=in_chamber)
        text = self.config.read_text(encoding="utf-8").replace('library = "simulation"', QUICK)
        self.config.write_text(text + script, encoding="utf-8")

    def __enter__(self) -> FaultyLab:
        self.start_box()
        self.start_daemon()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def go_wrong(self, fault: Fault, instrument: str = "vsp") -> None:
        inject(self.data / "simulation.json", instrument, fault)

    def until_samples(self, run: int, more: int) -> None:
        wanted = self.reader().count(run) + more
        self.until(lambda: self.reader().count(run) > wanted, f"{more} more samples of run {run}")

    def events(self, run: int, kind: str) -> list[dict[str, object]]:
        return [stored.event.data for stored in self.reader().events(run) if stored.event.kind == kind]


def mode(bench: Lab) -> bytes:
    """Ask the oven itself."""
    with socket.create_connection(find_chamber(bench.data / "simulation.json", "oven"), 5.0) as link:
        link.sendall(b"MODE?\r\n")
        return link.makefile("rb").readline()
