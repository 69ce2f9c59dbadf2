"""The demonstration: five cells side by side on a simulated VSP-300, supervised from here.

The simulated instrument and the daemon (with its broker) are children: see :mod:`monitor.simulated_lab`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.simulated_lab import SimulatedLab
from protocols.protocol import find_protocol
from protocols.records import RunInfo
from protocols.yamlfile import read_text
from scheduler.requests import Submission
from storage.reader import Reader

ADDRESS = "192.168.0.10"
SEALED_TIMEOUT_S = 60.0

CELL = """\
sandtime: 1
name: {name}
geometry: {geometry}
area: 0.785 cm²
working: {{lithium: {working}}}
counter: {{lithium: 100 µm}}
electrolyte: {{name: {electrolyte}, class: {kind}, thickness: 600 µm}}
temperature: 25 °C
"""


@dataclass(frozen=True)
class DemoRun:
    """One of the five runs, and how it has to end."""

    name: str
    station: str
    preset: str
    protocol: str
    cell: str
    settings: dict[str, str]
    state: str
    verdict: str | None
    results: dict[str, object]
    """Results that have to come out exactly."""
    least: dict[str, float] = field(default_factory=dict)
    """Results that must reach a value."""

    def misses(self, row: dict[str, Any]) -> list[str]:
        """Return in words what a finished run lacks of what is expected."""
        found = {"state": row["state"], "verdict": (row["verdict"] or {}).get("kind"), **row["results"]}
        wanted = {"state": self.state, "verdict": self.verdict, **self.results}
        wrong = [
            f"{self.name}: {key} is {found.get(key)!r}, not {value!r}"
            for key, value in wanted.items()
            if found.get(key) != value
        ]
        return wrong + [
            f"{self.name}: {key} is {found.get(key)!r}, less than {value:g}"
            for key, value in self.least.items()
            if float(found.get(key) or 0.0) < value
        ]


def _cell(name: str, geometry: str, working: str, electrolyte: str, kind: str) -> str:
    return CELL.format(name=name, geometry=geometry, working=working, electrolyte=electrolyte, kind=kind)


RUNS = (
    DemoRun(
        name="CCD of TfOH-LLZTO",
        station="demo-1",
        preset="tfoh_llzto",
        protocol="ccd_constant_capacity",
        cell=_cell("TfOH-LLZTO", "symmetric", "100 µm", "LLZTO", "garnet"),
        settings={},
        state="finished",
        verdict="short_circuit",
        results={"ccd_mA_per_cm2": 2.4},
    ),
    DemoRun(
        name="CCD of air-LLZTO",
        station="demo-2",
        preset="air_llzto",
        protocol="ccd_constant_capacity",
        cell=_cell("air-LLZTO", "symmetric", "100 µm", "LLZTO", "garnet"),
        settings={},
        state="finished",
        verdict="short_circuit",
        results={"ccd_mA_per_cm2": 0.1, "failed_at_mA_per_cm2": 0.2},
    ),
    DemoRun(
        name="asymmetric 20|100 µm, MII-2",
        station="demo-3",
        preset="mii2_100_20",
        protocol="asymmetric_depletion",
        cell=_cell("MII-2 20|100", "asymmetric", "20 µm", "LPSC:LGPS 4:1", "sulfide"),
        settings={},
        state="protected",
        verdict="li_depletion",
        results={"li_depletion_side": "working"},
        least={"hours": 28.0},
    ),
    DemoRun(
        name="its twin 100|100 µm, MII-2",
        station="demo-4",
        preset="mii2_100_100",
        protocol="symmetric_cycling",
        cell=_cell("MII-2 100|100", "symmetric", "100 µm", "LPSC:LGPS 4:1", "sulfide"),
        settings={"current": "0.5 mA/cm²", "capacity": "0.5 mAh/cm²", "cycles": "15"},
        state="finished",
        verdict=None,
        results={},
        least={"hours": 30.0},
    ),
    DemoRun(
        name="unidirectional GEIS",
        station="demo-5",
        preset="llzto_unidirectional",
        protocol="unidirectional_geis",
        cell=_cell("LLZTO one way", "symmetric", "100 µm", "LLZTO", "garnet"),
        settings={},
        state="finished",
        verdict=None,
        results={},
        least={"hours": 30.0, "spectra": 10},
    ),
)


def service_toml() -> str:
    """Return the demonstration's service.toml."""
    lines = ['data = "data"', "", "[instruments.vsp]", 'driver = "biologic"', 'model = "VSP-300"']
    lines += [f'address = "{ADDRESS}"', 'library = "simulation"', ""]
    for channel, run in enumerate(RUNS, 1):
        lines += [f"[stations.{run.station}]", 'instrument = "vsp"', f"channel = {channel}", ""]
    cells = ", ".join(
        f'{channel} = {{ preset = "{run.preset}", seed = {channel} }}' for channel, run in enumerate(RUNS, 1)
    )
    lines += ["[simulation.vsp]", f'address = "{ADDRESS}"', f"channels = {{ {cells} }}", ""]
    return "\n".join(lines)


class Demo(SimulatedLab):
    """Starts what the demonstration needs, runs it, and ends everything it started."""

    def __init__(self, folder: Path, speed: float) -> None:
        super().__init__(folder, service_toml(), speed)

    def run(self, show: Callable[[list[RunInfo]], None]) -> list[int]:
        """Submit the five runs and follow them to their ends. Returns their numbers."""
        numbers = self.submit([_submission(run) for run in RUNS])
        self.follow(numbers, show)
        self.wait_until_sealed(numbers, SEALED_TIMEOUT_S)
        return numbers

    def rows(self, numbers: list[int]) -> list[dict[str, Any]]:
        """Return each run as the ``--json`` document shows it."""
        reader = Reader(self.data)
        rows = []
        for number in numbers:
            info = reader.run(number)
            verdict = info.verdict
            kept = {"kind", "tier", "time_s", "evidence"}
            rows.append(
                {
                    "name": info.name,
                    "protocol": info.protocol,
                    "cell": info.cell,
                    "state": info.state,
                    "verdict": None if verdict is None else verdict.model_dump(mode="json", include=kept),
                    "results": reader.results(number),
                }
            )
        return rows


def _submission(run: DemoRun) -> Submission:
    path = find_protocol(run.protocol)
    return Submission(
        protocol_text=read_text(path),
        protocol_file=path.name,
        cell_text=run.cell,
        cell_file=f"{run.preset}.yaml",
        station=run.station,
        name=run.name,
        settings=run.settings,
    )
