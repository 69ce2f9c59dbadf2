"""One seed, one result: whatever the speed, and however long the host takes. All processes are real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from labbench import Lab, cell, lab

from protocols.verdicts import Verdict
from storage.reader import Reader

MAX_LAG_S = 10.0
FAST = 10_000.0

SEGMENTS = """\
sandtime: 1
name: segments
watch: 2 s
steps:
  - rest: {for: 1 min}
  - repeat:
      times: 3
      steps:
        - constant_current: {current: 0.5 mA/cm², until: {areal_capacity: 0.05 mAh/cm²}}
        - geis: {amplitude: 0.1 mA/cm², frequency: {from: 100 kHz, to: 1 Hz}}
        - constant_current: {current: -0.5 mA/cm², until: {areal_capacity: 0.05 mAh/cm²}}
        - if:
            when: {overpotential: {above: 1 mV}}
            then:
              - message: Resting longer.
              - rest: {for: 7 min}
              - constant_voltage: {voltage: 20 mV, until: {time: 3 min}}
afterwards:
  - rest: {for: 30 s}
  - geis: {amplitude: 0.05 mA/cm², frequency: {from: 100 kHz, to: 1 Hz}}
"""
ENDED_BY_HOST = """\
sandtime: 1
name: ended_by_host
watch: 5 s
steps:
  - constant_current: {current: 0.5 mA/cm², until: {time: 10 min}}
  - rest: {until: {drift: 1 mV/h, time: 2 h, over: 5 min}}
  - constant_current: {current: -0.5 mA/cm², until: {time: 10 min}}
"""
ONE_WAY = """\
sandtime: 1
name: one_way
guards: {short_circuit: {look: off}}
steps:
  - geis: {amplitude: 0.1 mA/cm², frequency: {from: 1 MHz, to: 100 Hz}}
  - constant_current: {current: 1 mA/cm², until: {time: 2 h}}
"""
SHORTS_SOON = "seed = 5, short_at_mA_per_cm2 = 0.9, short_after_mAh_per_cm2 = 0.001"
RUNS_OUT_SOON = "seed = 6, working_um = 0.005, runaway_s = 1.0"


def _measured(reader: Reader, run: int) -> tuple[dict[str, np.ndarray], list[object]]:
    """Return all that a run measured, without numbers that belong to the run's number."""
    columns = dict(reader.samples(run, columns=("t_s", "voltage_V", "current_A", "step", "visit")))
    return columns, [spectrum.model_dump(exclude={"channel"}) for spectrum, _ in reader.spectra(run)]


def _run_once(folder: Path, protocol: str) -> tuple[dict[str, np.ndarray], list[object]]:
    folder.mkdir()
    with lab(folder, ["seed = 3, roughness = 0.05"], FAST, max_lag_s=MAX_LAG_S) as bench:
        run = bench.submit(protocol, "s1", cell())
        assert bench.until_ended(run).state == "finished"
        return _measured(bench.reader(), run)


@pytest.mark.parametrize("protocol", [SEGMENTS, ENDED_BY_HOST], ids=["segments", "ended by the host"])
def test_two_runs_with_one_seed_give_the_same_data(tmp_path: Path, protocol: str) -> None:
    (first, spectra), (second, spectra_again) = (
        _run_once(tmp_path / name, protocol) for name in ("first", "second")
    )
    assert len(first["t_s"]) > 100
    assert (np.diff(first["t_s"]) >= 0).all()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)
    assert spectra == spectra_again
    assert len(spectra) == (4 if protocol is SEGMENTS else 0)


def _stopped(bench: Lab, run: int) -> tuple[Verdict, float]:
    """Return a run's verdict, and the run time at which its circuit was open."""
    info = bench.until_ended(run)
    assert info.verdict is not None, info.reason
    opened = [
        stored.event.t_s for stored in bench.reader().events(run) if stored.event.kind == "open_circuit"
    ]
    assert opened[0] is not None
    return info.verdict, opened[0]


def test_a_stop_comes_at_the_same_instrument_time_at_any_speed(tmp_path: Path) -> None:
    verdicts = []
    for speed in (1.0, 100.0, FAST):
        folder = tmp_path / f"{speed:g}"
        folder.mkdir()
        with lab(folder, [SHORTS_SOON, RUNS_OUT_SOON], speed, max_lag_s=MAX_LAG_S) as bench:
            thin = cell("thin", "asymmetric", "0.005 µm")
            runs = [bench.submit(ONE_WAY, "s1", cell()), bench.submit(ONE_WAY, "s2", thin)]
            stopped = [_stopped(bench, run) for run in runs]
        verdicts.append([(verdict.kind, verdict.time_s, verdict.event_s) for verdict, _ in stopped])
        assert all(0 <= opened_s - verdict.time_s <= MAX_LAG_S for verdict, opened_s in stopped)
    assert [kind for kind, _, _ in verdicts[0]] == ["short_circuit", "li_depletion"]
    assert verdicts[0] == verdicts[1] == verdicts[2]
