"""Days of a small lab with kills, reboots, lost links, a full disk and people: every run is accounted for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.soak.__main__ import HEADING, _write, table, trial
from benchmarks.soak.account import Account
from benchmarks.soak.chaos import Chaos
from benchmarks.soak.lab import Size, SoakLab
from drivers.simulation.config import SimulationConfig
from scheduler.config import load_config

SMALL = Size(boxes=1, channels=4, days=6.0, kill_every_d=2.0, reboot_every_d=5.0)


@pytest.mark.timeout(600)
def test_every_run_of_a_few_days_is_accounted_for(tmp_path: Path) -> None:
    chaos, result = trial(SMALL, tmp_path)
    text = table(SMALL, chaos, result)
    assert result.unaccounted == [], text
    assert result.found > 0
    assert result.expected == result.found + result.in_gaps + result.of_failed
    assert chaos.day >= SMALL.days
    assert chaos.done["daemon killed"] > 0, text


def test_the_lab_of_the_whole_soak_is_a_lab(tmp_path: Path) -> None:
    lab = SoakLab(tmp_path, Size())
    assert len(lab.stations) == 64
    service = load_config(tmp_path / "service.toml")
    simulated = SimulationConfig.from_table(service.simulation, "service.toml")
    assert sum(len(box.channels) for box in simulated.boxes.values()) == 64


def test_the_table_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    page = tmp_path / "soak.md"
    page.write_text("# Long trials\n\nwords\n", encoding="utf-8")
    _write(page, "first\n")
    _write(page, "second\n")
    assert page.read_text(encoding="utf-8") == f"# Long trials\n\nwords\n\n{HEADING}\n\nsecond\n"


def test_what_is_not_accounted_for_is_named(tmp_path: Path) -> None:
    chaos = Chaos(SoakLab(tmp_path, SMALL))
    result = Account(states=Counter(finished=2), unaccounted=["run 3 on vsp1-1: nobody stopped it"])
    assert "UNACCOUNTED: run 3 on vsp1-1" in table(SMALL, chaos, result)
