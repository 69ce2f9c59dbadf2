"""The lab in which published cells are tested: boxes, and one station with one fresh cell for each test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.commands.files import capabilities_for
from monitor.published.extractions import Record
from monitor.published.study import PublishedCell, PublishedTest, Study
from monitor.simulated_lab import SimulatedLab
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.plan import make_plan
from protocols.protocol import load_protocol, parse_protocol
from protocols.records import RunInfo
from protocols.yamlfile import read_text
from scheduler.requests import Submission
from storage.reader import Reader

SPEED = 1e6
BOX_CHANNELS = 16
STORED_TIMEOUT_S = 60.0
STUCK_S = 180.0


@dataclass(frozen=True)
class Trial:
    """One test of one study, ready to be submitted."""

    study: Study
    test: PublishedTest
    station: str
    longest_s: float
    """As the plan says."""

    @property
    def cell(self) -> PublishedCell:
        """The cell under test."""
        return self.study.cells[self.test.cell]

    def submission(self) -> Submission:
        """Return what the daemon needs."""
        path = self.test.path()
        return Submission(
            protocol_text=read_text(path),
            protocol_file=path.name,
            # Each test has a cell of its own, though a study may call them alike.
            cell_text=f"{self.cell.text()}identity: {self.station}\n",
            cell_file=f"{self.test.cell}.yaml",
            station=self.station,
            name=f"{self.study.letter} {self.test.name}",
            settings=self.test.settings,
            included=load_protocol(path, self.test.settings).included,
        )


def trials_of(studies: Sequence[Study]) -> list[Trial]:
    """Return all tests, the longest first, so that those of a box take about equally long.

    Raises InvalidFileError if a protocol does not fit its cell.
    """
    found = [
        Trial(study, test, f"{study.letter}-{test.name}", _longest_s(study, test))
        for study in studies
        for test in study.tests
    ]
    return sorted(found, key=lambda trial: (-trial.longest_s, trial.station))


def _longest_s(study: Study, test: PublishedTest) -> float:
    able = capabilities_for(None, None)
    path = test.path()
    protocol = parse_protocol(
        read_text(path), str(path), test.settings, load_protocol(path, test.settings).included
    )
    cell = parse_cell(study.cells[test.cell].text(), test.cell)
    return make_plan(compile_program(protocol, cell, able), able).duration_s


def service_toml(trials: Sequence[Trial]) -> str:
    """Return the service.toml of a lab for these tests."""
    boxes = [trials[first : first + BOX_CHANNELS] for first in range(0, len(trials), BOX_CHANNELS)]
    # The published tests had no check before them; its spectrum would also shift the meters' noise.
    parts = ['data = "data"', "[mqtt]\nenabled = false", "[checks]\nbefore_start = false"]
    for number, box in enumerate(boxes, 1):
        parts += [_instrument(number), *(_station(number, k, trial) for k, trial in enumerate(box, 1))]
        parts.append(_simulated(number, box))
    parts += [_chamber(trial) for trial in trials if trial.test.chamber]
    return "\n\n".join(parts) + "\n"


def _instrument(number: int) -> str:
    return f"""\
[instruments.vsp{number}]
driver = "biologic"
model = "VSP-300"
address = "192.168.0.{9 + number}"
library = "simulation\""""


def _station(number: int, channel: int, trial: Trial) -> str:
    chamber = f'\nchamber = "{trial.station}"' if trial.test.chamber else ""
    return f'[stations.{trial.station}]\ninstrument = "vsp{number}"\nchannel = {channel}{chamber}'


def _simulated(number: int, box: Sequence[Trial]) -> str:
    cells = ", ".join(f"{channel} = {{ {_cell(trial)} }}" for channel, trial in enumerate(box, 1))
    return f'[simulation.vsp{number}]\naddress = "192.168.0.{9 + number}"\nchannels = {{ {cells} }}'


def _cell(trial: Trial) -> str:
    """Return the simulated cell on a channel: of the electrode area that its cell file gives."""
    area_cm2 = parse_cell(trial.cell.text(), trial.test.cell).area_m2 * 1e4
    chamber = f', chamber = "{trial.station}"' if trial.test.chamber else ""
    return f'preset = "{trial.cell.preset}", area_cm2 = {area_cm2:.9g}{chamber}'


def _chamber(trial: Trial) -> str:
    return f"""\
[chambers.{trial.station}]
driver = "espec"
address = "simulation"
lowest_celsius = 10
highest_celsius = 100
[simulation_chambers.{trial.station}]
start_celsius = 20"""


class Bench(SimulatedLab):
    """Runs the tests of studies, and reads what is stored of them."""

    def __init__(self, folder: Path, trials: Sequence[Trial], speed: float, max_lag_s: float) -> None:
        super().__init__(folder, service_toml(trials), speed, max_lag_s)
        self._trials = trials

    def run(self, show: Callable[[list[RunInfo]], None]) -> list[Record]:
        """Run all tests to their ends; return the record of each, in their order."""
        numbers = self.submit([trial.submission() for trial in self._trials])
        self.follow(numbers, show, STUCK_S)
        self.wait_until_stored(numbers, STORED_TIMEOUT_S)
        return self.records(numbers)

    def records(self, numbers: Sequence[int]) -> list[Record]:
        """Return what is stored of each test, in their order."""
        reader = Reader(self.data)
        of_studies: dict[str, dict[str, Record]] = {}
        found = []
        for trial, number in zip(self._trials, numbers, strict=True):
            others = of_studies.setdefault(trial.study.letter, {})
            others[trial.test.name] = Record(reader, number, others)
            found.append(others[trial.test.name])
        return found
