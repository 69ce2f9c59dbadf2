"""What the check asks of the lab: calibration, chamber, disk, and the cells of earlier runs."""

from __future__ import annotations

import pytest

from protocols.cell import Cell
from protocols.check import CheckFinding, SeenCell, cell_digest
from protocols.laboratory import Calibration
from protocols.records import RunInfo
from scheduler.before_start import BeforeStart, StartChecks
from scheduler.clock import Clock
from scheduler.config import ServiceConfig
from scheduler.requests import StorageInfo

NOW_S = 1.7e9
CELL = Cell(name="cell", area_m2=1e-4, temperature_min_K=283.15, temperature_max_K=333.15)
DIGEST = cell_digest(CELL)


def run_info(run: int, station: str, started_s: float, ended_s: float | None, seen: bool = True) -> RunInfo:
    left = SeenCell(unix_s=ended_s or started_s, open_V=0.0, r_hf_ohm=50.0 * run, from_Hz=7e6)
    return RunInfo(
        run=run,
        name="test",
        station=station,
        protocol="test",
        cell="cell",
        cell_digest=DIGEST,
        state="running" if ended_s is None else "finished",
        submitted_unix_s=started_s,
        started_unix_s=started_s,
        ended_unix_s=ended_s,
        seen=left if seen and ended_s is not None else None,
    )


def checks(
    policy: str = "warn", storage: StorageInfo | None = None, runs: tuple[RunInfo, ...] = (), on: bool = True
) -> StartChecks:
    config = ServiceConfig.model_validate(
        {
            "data": ".",
            "instruments": {"box": {"driver": "any"}},
            "stations": {
                "S1": {"instrument": "box", "channel": 1},
                "S2": {"instrument": "box", "channel": 2},
            },
            "checks": {"before_start": on, "calibration": policy},
        }
    )
    clock = Clock(unix=lambda: NOW_S)
    return StartChecks(config, clock, lambda: runs, lambda: storage or StorageInfo())


def calibration(channel: int, valid_until_unix_s: float | None = None) -> Calibration:
    return Calibration(
        instrument="box",
        channel=channel,
        unix_s=NOW_S - 1e6,
        valid_until_unix_s=valid_until_unix_s,
        who="ann",
        results={"resistance_ohm": 100.0},
    )


def asked(found: StartChecks, station: str = "S1") -> BeforeStart:
    before = found.of_run(run_info(99, station, NOW_S, None))
    assert before is not None
    return before


def result(findings: list[CheckFinding], name: str) -> str:
    """Return the result of the finding with a name; empty if there is none."""
    return next((each.result for each in findings if each.name == name), "")


@pytest.mark.parametrize(
    ("policy", "known", "expected"),
    [
        ("ignore", (calibration(2),), ""),
        ("warn", (), ""),
        ("warn", (calibration(2),), "noted"),
        ("warn", (calibration(1, NOW_S - 1.0),), "noted"),
        ("warn", (calibration(1, NOW_S + 1.0),), "fine"),
        ("warn", (calibration(1, NOW_S - 1.0), calibration(1)), "fine"),
        ("require", (), "refused"),
        ("require", (calibration(2),), "refused"),
        ("require", (calibration(1, NOW_S - 1.0),), "refused"),
        ("require", (calibration(1),), "fine"),
    ],
)
def test_a_channel_is_calibrated_as_service_toml_wants(
    policy: str, known: tuple[Calibration, ...], expected: str
) -> None:
    found = checks(policy)
    found.calibrated(*known)
    assert result(asked(found).judge_station(CELL, None, False), "calibration") == expected


@pytest.mark.parametrize(
    ("temperature_K", "has_chamber", "expected"),
    [
        (298.15, True, "fine"),
        (350.0, True, "refused"),
        (273.15, True, "refused"),
        (None, True, "noted"),
        (None, False, ""),
    ],
)
def test_the_chamber_is_where_the_cell_may_be(
    temperature_K: float | None, has_chamber: bool, expected: str
) -> None:
    found = asked(checks()).judge_station(CELL, temperature_K, has_chamber)
    assert result(found, "chamber") == expected


def test_a_cell_without_a_window_may_be_anywhere() -> None:
    anywhere = Cell(name="cell", area_m2=1e-4)
    assert result(asked(checks()).judge_station(anywhere, 400.0, True), "chamber") == "fine"


def test_a_disk_that_fills_up_is_noted() -> None:
    low = StorageInfo(state="low", problem="2 GB are free")
    assert result(asked(checks(storage=low)).judge_station(CELL, None, False), "disk") == "noted"
    assert asked(checks()).judge_station(CELL, None, False) == []


def test_service_toml_switches_it_off() -> None:
    assert checks(on=False).of_run(run_info(1, "S1", NOW_S, None)) is None


# The cells of earlier runs


def recognised(*runs: RunInfo, r_hf_ohm: float = 100.0, cell: Cell = CELL) -> CheckFinding:
    now = SeenCell(unix_s=NOW_S, open_V=0.0, r_hf_ohm=r_hf_ohm, from_Hz=7e6)
    return asked(checks(runs=runs)).recognise(now, cell)


def test_the_last_run_that_saw_it_counts_on_whatever_station() -> None:
    earlier = (run_info(1, "S1", 0.0, 10.0), run_info(2, "S2", 20.0, 30.0))
    blind = run_info(3, "S1", 40.0, 50.0, seen=False)
    found = recognised(*earlier, blind, run_info(99, "S1", 60.0, None))
    assert found.result == "fine"
    assert "run 2 left it on S2" in found.text


def test_another_cell_file_is_another_cell() -> None:
    other = run_info(1, "S1", 0.0, 10.0).model_copy(update={"cell_digest": "other"})
    assert recognised(other).result == "unknown"


@pytest.mark.parametrize("ended_s", [100.0, None])
def test_a_file_that_several_cells_share_tells_none_of_them(ended_s: float | None) -> None:
    """Two of its runs went on at the same time, or one still does."""
    both = (run_info(1, "S1", 0.0, 50.0), run_info(2, "S2", 20.0, ended_s))
    assert recognised(*both, r_hf_ohm=5000.0).result == "unknown"
    named = CELL.model_copy(update={"identity": "A-17"})
    assert recognised(*both, r_hf_ohm=5000.0, cell=named).result == "asks"


def test_remarks_and_layout_of_a_cell_file_do_not_matter_but_what_it_says_does() -> None:
    assert cell_digest(CELL) == cell_digest(CELL.model_copy())
    assert cell_digest(CELL) != cell_digest(CELL.model_copy(update={"area_m2": 2e-4}))
