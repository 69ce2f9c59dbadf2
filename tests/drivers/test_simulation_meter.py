"""How a simulated channel reads: resolution, noise, offset, and readings that are far off."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.biologic.constants import IRange
from drivers.simulation.meter import Meter, MeterErrors

TRUE_V = np.full(20_000, 0.1)
STEP_V = 10 / (1 << 16)


def readings(meter: Meter, count: int = len(TRUE_V)) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    (noise,) = meter.take_noise(1, count)
    return np.asarray(meter.read_voltage(TRUE_V[:count], noise))


def test_readings_come_in_steps_of_the_converter_around_the_true_value() -> None:
    volts = readings(Meter(seed=1))
    assert np.abs(volts / STEP_V - np.rint(volts / STEP_V)).max() < 1e-6
    assert volts.mean() == pytest.approx(0.1, abs=STEP_V / 20)
    assert 0 < volts.std() < STEP_V


def test_an_offset_is_in_every_reading() -> None:
    shifted = readings(Meter(seed=1, errors=MeterErrors(offset_V=0.005)))
    assert (shifted - readings(Meter(seed=1))).mean() == pytest.approx(0.005, abs=STEP_V / 20)


def test_some_readings_are_far_off_and_the_same_ones_with_the_same_seed() -> None:
    errors = MeterErrors(glitch_V=0.05, glitch_every=500)
    volts = readings(Meter(seed=2, errors=errors))
    far_off = np.abs(volts - 0.1) > 5 * STEP_V
    assert 20 < far_off.sum() < 60
    assert (readings(Meter(seed=2, errors=errors)) == volts).all()


def test_glitches_do_not_depend_on_how_the_readings_were_cut() -> None:
    errors = MeterErrors(glitch_V=0.05, glitch_every=20)
    whole, cut = Meter(seed=3, errors=errors), Meter(seed=3, errors=errors)
    in_pieces = [readings(cut, count) for count in (1, 7, 92)]
    assert np.concatenate(in_pieces) == pytest.approx(readings(whole, 100))


def test_the_first_reading_after_a_change_of_range_is_off() -> None:
    meter = Meter(seed=4, errors=MeterErrors(range_glitch_V=0.02))
    before = readings(meter, 3)
    meter.i_range = IRange.I_1MA
    after = readings(meter, 3)
    assert np.abs(before - 0.1).max() < 5 * STEP_V
    assert after[0] == pytest.approx(0.12, abs=5 * STEP_V)
    assert np.abs(after[1:] - 0.1).max() < 5 * STEP_V
    meter.i_range = IRange.I_1MA
    assert readings(meter, 1)[0] == pytest.approx(0.1, abs=5 * STEP_V)
