"""The daemon killed with -9 while many channels deliver: nothing that an observer saw committed is lost."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from kill_trial import KillTrial
from labbench import Lab

HOWS = ("at random", "while committing", "while sealing")


def trial(
    folder: Path, stations: int, short: int, speed: float, kills: list[str], short_runs: int
) -> KillTrial:
    """Kill a daemon in each of these ways, one after the other."""
    lab = Lab(folder, [f"seed = {number}" for number in range(stations)], speed)
    made = KillTrial(lab, stations, short, random.Random(11))
    try:
        lab.start_box()
        made.start_daemon()
        made.submit(short_runs)
        for how in kills:
            made.kill(how)
        made.check_gaps()
    finally:
        lab.end()
    return made


@pytest.mark.timeout(600)
def test_kills_at_load_lose_nothing_that_was_seen_committed(tmp_path: Path) -> None:
    kills = [*HOWS, *HOWS[1:]]
    found = trial(tmp_path, stations=10, short=3, speed=20.0, kills=kills, short_runs=10).findings
    assert found.wrong == [], str(found)
    assert found.acknowledged > 1000


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_sixty_kills_at_a_thousand_channels(tmp_path: Path) -> None:
    kills = ["at random", "while committing"] * 25 + ["while sealing"] * 10
    random.Random(5).shuffle(kills)
    found = trial(tmp_path, stations=1008, short=48, speed=1.0, kills=kills, short_runs=20).findings
    sys.stdout.write(f"{found}\n")
    assert found.wrong == [], str(found)
