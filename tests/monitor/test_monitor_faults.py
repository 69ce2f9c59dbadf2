"""Runs of the whole lab that meet faults of their instruments: they go on, or they end in a stated state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from faultylab import WARM, FaultyLab, mode
from labbench import cell

from drivers.chamber import ZERO_CELSIUS_K
from drivers.simulation.faults import Fault

CYCLING = """\
sandtime: 1
name: cycling
steps:
  - repeat:
      times: 4
      steps:
        - constant_current: {current: 0.2 mA/cm², until: {time: 3 min}}
        - message: turning
        - constant_current: {current: -0.2 mA/cm², until: {time: 3 min}}
"""
CYCLED_S = 1440.0
SHORT = """\
sandtime: 1
name: short
steps:
  - constant_current: {current: 0.2 mA/cm², until: {time: 5 min}}
"""
FULL = """\
sandtime: 1
name: full
geometry: full
area: 0.785 cm²
capacity: 1.2 mAh
voltage_window: {from: 2.5 V, to: 3.8 V}
electrolyte: {class: garnet}
"""
HELD_UP = Fault(kind="freeze", duration_s=200.0)


def faults(table: str, *lines: str) -> str:
    return "".join(f"\n[[{table}.faults]]\n{line}\n" for line in lines)


def test_a_storm_of_faults_ends_no_run_and_leaves_no_hole_without_a_word(tmp_path: Path) -> None:
    storm = faults(
        "simulation.vsp",
        'kind = "drop_link"\nevery = "15 min"\nfor = "20 s"\nseed = 1',
        'kind = "garbage"\nevery = "16 min"\nseed = 2',
        'kind = "truncated"\nevery = "17 min"\nseed = 3',
        'kind = "comm_loss"\nevery = "14 min"\nseed = 4',
        'kind = "zeros"\nevery = "13 min"\ncount = 5\nseed = 5',
        'kind = "delay"\nevery = "20 min"\nby = "50 ms"\nfor = "1 min"\nseed = 6',
        'kind = "freeze"\nevery = "20 min"\nfor = "30 s"\nseed = 7',
    )
    with FaultyLab(tmp_path, ["seed = 1", "seed = 2"], storm) as bench:
        runs = [bench.submit(CYCLING, station, cell()) for station in ("s1", "s2")]
        ended = [bench.until_ended(run) for run in runs]
        assert [info.state for info in ended] == ["finished", "finished"]
        assert any(event["state"] == "lost" for run in runs for event in bench.events(run, "state"))
        for run in runs:
            reader = bench.reader()
            assert reader.verify(run) == []
            samples = reader.samples(run, columns=("t_s", "step", "visit", "current_A"))
            visits = dict.fromkeys(zip(samples["step"].tolist(), samples["visit"].tolist(), strict=True))
            assert len(visits) == 8
            known = [(gap.t_from_s, gap.t_to_s) for gap in reader.gaps(run)]
            inside = samples["visit"][1:] == samples["visit"][:-1]
            inside &= samples["step"][1:] == samples["step"][:-1]
            for place in np.flatnonzero((np.diff(samples["t_s"]) > 1.6) & inside):
                assert (samples["t_s"][place], samples["t_s"][place + 1]) in known
            assert samples["t_s"][-1] >= CYCLED_S - 1.1


def test_a_reboot_ends_the_run_as_failed_and_the_next_one_can_start(tmp_path: Path) -> None:
    with FaultyLab(tmp_path, ["seed = 1"]) as bench:
        run = bench.submit(CYCLING, "s1", cell())
        bench.until_samples(run, 50)
        acknowledged = bench.reader().count(run)
        bench.go_wrong(Fault(kind="reboot", duration_s=50.0))
        info = bench.until_ended(run)
        assert (info.state, info.open_circuit_confirmed) == ("failed", True)
        assert "no longer holds this run's segment" in info.reason
        # What the status shows of an end may come a commit before it is stored.
        bench.until(lambda: bool(bench.reader().gaps(run)), "the gap")
        assert bench.reader().count(run) >= acknowledged
        again = bench.submit(CYCLING, "s1", cell())
        bench.until_samples(again, 20)
        assert bench.info(again).state == "running"


@pytest.mark.parametrize("fault", [HELD_UP, Fault(kind="drop_link", duration_s=300.0)], ids=lambda f: f.kind)
def test_a_stop_that_cannot_reach_the_instrument_is_said_and_done_later(tmp_path: Path, fault: Fault) -> None:
    with FaultyLab(tmp_path, ["seed = 1"]) as bench:
        run = bench.submit(CYCLING, "s1", cell())
        bench.until_samples(run, 50)
        bench.go_wrong(fault)
        bench.until(lambda: bench.info(run).state == "lost", "the loss of contact")
        with bench.client() as client:
            client.stop(run)
        info = bench.until_ended(run)
        assert (info.state, info.open_circuit_confirmed) == ("stopped", True)
        states = [event["state"] for event in bench.events(run, "state")]
        assert states[-2:] == ["stopping", "stopped"]
        assert bench.events(run, "open_circuit")


def test_each_channel_meets_its_own_fault(tmp_path: Path) -> None:
    channels = ["seed = 1", "seed = 2", 'preset = "lfp_full", positive_charged = 0.5']
    with FaultyLab(tmp_path, channels) as bench:
        runs = [
            bench.submit(CYCLING, f"s{place}", text) for place, text in enumerate((cell(), cell(), FULL), 1)
        ]
        for run in runs:
            bench.until_samples(run, 20)
        for channel, kind in enumerate(("full_memory", "open_clip", "swapped_leads"), 1):
            bench.go_wrong(Fault.model_validate({"kind": kind, "duration_s": 60.0, "channel": channel}))
        ended = [bench.until_ended(run) for run in runs]
        assert [info.state for info in ended] == ["finished", "protected", "protected"]
        assert all(info.open_circuit_confirmed for info in ended)
        assert [info.verdict.kind for info in ended if info.verdict] == ["open_circuit", "limit"]
        dropped = [[gap.reason for gap in bench.reader().gaps(run)] for run in runs]
        assert dropped[0]
        assert all("dropped" in reason for reason in dropped[0])
        assert dropped[1:] == [[], []]


def test_a_clock_that_steps_back_ends_no_run_and_is_found(tmp_path: Path) -> None:
    with FaultyLab(tmp_path, ["seed = 1"]) as bench:
        run = bench.submit(SHORT, "s1", cell())
        bench.until_samples(run, 60)
        bench.go_wrong(Fault(kind="clock_step", by_s=-30.0))
        assert bench.until_ended(run).state == "finished"
        (found,) = bench.reader().verify(run)
    assert "t_s goes back" in found


def test_a_chamber_is_sent_its_set_point_again_after_every_fault(tmp_path: Path) -> None:
    with FaultyLab(tmp_path, ["seed = 1"], speed=400.0, in_chamber=1) as bench:

        def oven(celsius: float) -> bool:
            with bench.client() as client:
                (info,) = client.status().chambers
            shown_K = info.temperature_K
            return shown_K is not None and abs(shown_K - ZERO_CELSIUS_K - celsius) < 1.0

        text = cell() + "temperature_window: {from: 10 °C, to: 60 °C}\n"
        run = bench.submit(WARM, "s1", text)
        bench.until(lambda: oven(40.0), "the temperature that was demanded")
        for fault in (
            Fault(kind="reboot", duration_s=400.0),
            Fault(kind="garbage", count=3),
            Fault(kind="truncated", count=3),
            Fault(kind="freeze", duration_s=400.0),
            Fault(kind="drop_link", duration_s=400.0),
            Fault(kind="door_open", duration_s=1200.0),
        ):
            bench.go_wrong(fault, "oven")
            bench.until(lambda: not oven(40.0), f"what a {fault.kind} does")
            bench.until(lambda: oven(40.0), f"40 °C again after {fault.kind}")
        assert mode(bench) == b"CONSTANT\r\n"
        bench.until(lambda: bench.info(run).state == "running", "a run that was not disturbed")
