"""The daemon killed with -9, again and again, while runs go on; box and test are not its children."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import psutil
import pytest
from labbench import Lab, cell, lab

from protocols.protocol import find_protocol
from protocols.records import ENDED

KILLS = 20
SPEED = 800.0
DECIDING_S = 60.0
"""A verdict is decided within the last minute of a run."""
LONG_S = 300.0
"""What passed in a longer gap is missing in the books of lithium: they may then say contact_loss."""

RAMP = find_protocol("ccd_constant_capacity").read_text(encoding="utf-8")
CYCLING = find_protocol("symmetric_cycling").read_text(encoding="utf-8")
DEPLETION = find_protocol("asymmetric_depletion").read_text(encoding="utf-8")

CHANNELS = [
    'preset = "tfoh_llzto", seed = 1, short_at_mA_per_cm2 = 1.7',
    'preset = "mii2_100_20", seed = 2, working_um = 5',
    'preset = "mii2_100_100", seed = 3',
]


def _submit_all(bench: Lab) -> list[int]:
    asymmetric = cell("MII-2 5|100", "asymmetric", "5 µm")
    levels = {"start": "0.5 mA/cm²", "step": "0.4 mA/cm²"}
    return [
        bench.submit(RAMP, "s1", cell("TfOH"), levels),
        bench.submit(DEPLETION, "s2", asymmetric),
        bench.submit(CYCLING, "s3", cell("twin"), {"cycles": "4"}),
    ]


def _outcomes(bench: Lab, runs: list[int]) -> list[tuple[str, str | None]]:
    infos = [bench.until_ended(run) for run in runs]
    return [(info.state, info.verdict.kind if info.verdict else None) for info in infos]


def _let_run(bench: Lab, runs: list[int], samples: int) -> None:
    """Wait until one of the runs has so many more samples, or all have ended."""
    wanted = {run: bench.reader().count(run) + samples for run in runs}

    def far_enough() -> bool:
        return any(bench.reader().count(run) > wanted[run] for run in runs) or all(
            bench.info(run).state in ENDED for run in runs
        )

    bench.until(far_enough, "samples between two kills")


@pytest.mark.timeout(400)
def test_twenty_kills_lose_nothing_and_change_no_ending(tmp_path: Path) -> None:
    chance = random.Random(7)
    with lab(tmp_path, CHANNELS, SPEED) as bench:
        runs = _submit_all(bench)
        acknowledged = dict.fromkeys(runs, 0)
        for _ in range(KILLS):
            _let_run(bench, runs, chance.randrange(100, 1200))
            counts = {run: bench.reader().count(run) for run in runs}
            bench.kill_daemon()
            for run in runs:
                assert bench.reader().count(run) >= counts[run] >= acknowledged[run]
            acknowledged = counts
            bench.start_daemon()
        outcomes = _outcomes(bench, runs)
        gaps = [bench.reader().gaps(run) for run in runs]
        times = [bench.reader().samples(run, columns=("t_s", "step", "visit")) for run in runs]
        children = psutil.Process(bench.daemon.pid).children(recursive=True) if bench.daemon else []
        ends = {run: bench.info(run).t_s for run in runs}
        daemon = bench.daemon
    expected = [("finished", "short_circuit"), ("protected", "li_depletion"), ("finished", None)]
    for outcome, wanted_outcome, holes, run in zip(outcomes, expected, gaps, runs, strict=True):
        # A gap excuses another ending only where it lies over the window that decides, the end of the run, or
        # where the books of a depletion lack what passed in it.
        end_s = ends[run]
        excused = any(hole.t_to_s >= end_s - DECIDING_S for hole in holes)
        unbooked = any(hole.t_to_s - hole.t_from_s > LONG_S for hole in holes)
        excused |= unbooked and outcome == ("protected", "contact_loss")
        assert outcome == wanted_outcome or excused, f"run {run}: {outcome}, gaps {holes}"
    for columns in times:
        assert (np.diff(columns["t_s"]) >= 0).all(), "samples are out of order"
        rows = np.array([columns["t_s"], columns["step"], columns["visit"]]).T
        assert len(np.unique(rows, axis=0)) == len(rows), "a sample is stored twice"
    assert daemon is not None and daemon.poll() is not None
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_without_any_host_the_box_keeps_its_limits(tmp_path: Path) -> None:
    """At real speed: nobody is there when the lithium runs out, and the instrument's own limit stops it."""
    protocol = """\
sandtime: 1
name: strip_dry
limits: {voltage: 0.5 V}
steps:
  - constant_current: {current: 5 mA/cm², until: {time: 1 h}}
"""
    channels = ['preset = "mii2_100_20", working_um = 0.05, runaway_s = 0.2']
    with lab(tmp_path, channels, 1.0) as bench:
        run = bench.submit(protocol, "s1", cell("dry", "asymmetric", "0.05 µm"))
        bench.until(lambda: bench.info(run).state == "running" and bench.reader().count(run) > 0, "a sample")
        bench.kill_daemon()
        bench.until(lambda: _box_is_idle(bench), "the box's own limit")
        bench.start_daemon()
        info = bench.until_ended(run)
    assert info.state == "protected"
    assert info.verdict is not None
    assert info.verdict.kind in ("li_depletion", "limit")
    assert info.open_circuit_confirmed


def _box_is_idle(bench: Lab) -> bool:
    """Look at the channel through the library alone, as a second computer may."""
    import asyncio

    from monitor.daemon import build_instruments
    from scheduler.config import load_config

    async def look() -> bool:
        (instrument,) = build_instruments(load_config(bench.config)).values()
        await instrument.connect()
        try:
            return not (await instrument.look())[0].running
        finally:
            await instrument.close()

    return asyncio.run(look())
