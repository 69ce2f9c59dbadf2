"""A cell that drifts while it is measured: its spectra are flagged, and brought to one instant."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.kramers_kronig import kramers_kronig, summarize
from analysis.spectra import arcs
from analysis.spectrum_drift import at_instant, correctable, corrected, polarization_V, steadiness
from analysis.succession import succession
from protocols.errors import SpectrumError
from protocols.impedance import zarc
from protocols.measurements import Spectrum

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Factor = Callable[[Floats], Floats]

FREQUENCY = np.geomspace(1e6, 1e-2, 81)
ELAPSED = np.cumsum(1.0 / FREQUENCY + 0.5)
SWEEP_S = float(ELAPSED[-1])
PAUSE_S = 60.0


def cell(f: Floats, factor: Floats) -> Complexes:
    """Bulk and two interfaces, which drift."""
    return np.asarray(
        20.0 + 15.0 / (1 + (2j * np.pi * f * 3e-6) ** 0.95)
        + factor * (zarc(f, 50.0, 1e-3, 0.9) + zarc(f, 40.0, 0.3, 0.85))
    )  # fmt: skip


def linear(per_sweep: float) -> Factor:
    return lambda t_s: 1.0 + per_sweep * t_s / SWEEP_S


def sweep(number: int, factor: Factor, noise: float = 1e-3, **fields: float) -> Spectrum:
    start_s = number * (SWEEP_S + PAUSE_S)
    t_s = start_s + ELAPSED
    z = cell(FREQUENCY, factor(t_s))
    parts = np.random.default_rng(number).standard_normal((2, len(z)))
    z = z + noise * np.abs(z) * (parts[0] + 1j * parts[1])
    return Spectrum(
        channel=3,
        step=5,
        visit=number,
        t_start_s=start_s,
        t_end_s=start_s + SWEEP_S,
        frequency_Hz=tuple(FREQUENCY.tolist()),
        z_real_ohm=tuple(z.real.tolist()),
        z_imag_ohm=tuple(z.imag.tolist()),
        t_s=tuple(t_s.tolist()),
        voltage_V=0.1 * number,
        **fields,
    )


def passes(spectrum: Spectrum) -> bool:
    return kramers_kronig(np.asarray(spectrum.frequency_Hz), spectrum.impedance()).passed


@pytest.mark.parametrize("sweeps", [2, 3, 5])
@pytest.mark.parametrize("drift", [0.2, -0.15, 0.5])
def test_a_drift_is_taken_out(drift: float, sweeps: int) -> None:
    """Of 20 % across a sweep; among two sweeps in the pause, among more at any time of the inner ones."""
    series = [sweep(number, linear(drift)) for number in range(sweeps)]
    reach = correctable(series)
    assert reach is not None
    for t_s in np.linspace(*reach, 5):
        truth = cell(FREQUENCY, np.full(81, 1.0 + drift * t_s / SWEEP_S))
        corrected = at_instant(series, float(t_s))
        assert passes(corrected)
        np.testing.assert_allclose(corrected.impedance(), truth, rtol=0.006)
        of_truth, found = arcs(FREQUENCY, truth), arcs(FREQUENCY, corrected.impedance())
        assert [arc.resistance_ohm for arc in found] == pytest.approx(
            [arc.resistance_ohm for arc in of_truth], rel=0.03, abs=0.3
        )
        assert summarize(corrected).r_total_ohm == pytest.approx(float(truth[-1].real), rel=0.005)


def test_without_it_the_spectra_fail_and_none_is_any_state_of_the_cell() -> None:
    series = [sweep(number, linear(0.2)) for number in range(3)]
    assert not any(passes(spectrum) for spectrum in series)
    middle = series[1]
    truth = cell(FREQUENCY, linear(0.2)(np.full(81, middle.t_start_s)))
    assert np.abs(middle.impedance() / truth - 1).max() > 0.1


def test_a_drift_that_bends_is_taken_out_too() -> None:
    """Temperature that settles: e^(−t/τ) with τ of two sweeps."""

    def settling(t_s: Floats) -> Floats:
        return np.asarray(1.0 + 0.4 * np.exp(-t_s / (2 * SWEEP_S)))

    series = [sweep(number, settling) for number in range(5)]
    for t_s in (1.3 * SWEEP_S, 2.5 * SWEEP_S, 3.7 * SWEEP_S):
        truth = cell(FREQUENCY, settling(np.full(81, t_s)))
        corrected = at_instant(series, t_s)
        assert passes(corrected)
        np.testing.assert_allclose(corrected.impedance(), truth, rtol=0.008)


def test_what_is_corrected_says_when_it_is_of() -> None:
    series = [sweep(number, linear(0.2), current_A=1e-3, amplitude=1e-4) for number in range(3)]
    t_s = 1.5 * (SWEEP_S + PAUSE_S)
    corrected = at_instant(series, t_s)
    assert (corrected.t_start_s, corrected.t_end_s, set(corrected.t_s)) == (t_s, t_s, {t_s})
    assert (corrected.channel, corrected.step, corrected.visit) == (3, 5, 1)
    assert (corrected.current_A, corrected.amplitude) == (1e-3, 1e-4)
    assert corrected.voltage_V == pytest.approx(0.1, abs=0.02)


def test_nothing_is_extrapolated() -> None:
    series = [sweep(number, linear(0.2)) for number in range(3)]
    assert correctable(series) == (series[0].t_s[-1], series[2].t_s[0])
    for t_s in (series[0].t_s[-1] - 1.0, series[2].t_s[0] + 1.0):
        with pytest.raises(SpectrumError, match="interpolated"):
            at_instant(series, t_s)
    for few in ([], series[:1]):
        assert correctable(few) is None
        with pytest.raises(SpectrumError, match="one alone"):
            at_instant(few, 0.0)


def test_what_does_not_belong_together_is_refused() -> None:
    one = sweep(0, linear(0.2))
    loaded = sweep(1, linear(0.2), current_A=1e-3)
    with pytest.raises(SpectrumError, match="direct currents"):
        at_instant([one, loaded], SWEEP_S + 1.0)
    two = sweep(1, linear(0.2))
    other = two.model_copy(update={"frequency_Hz": tuple((FREQUENCY * 1.1).tolist())})
    with pytest.raises(SpectrumError, match="different ones"):
        at_instant([one, other], SWEEP_S + 1.0)
    with pytest.raises(SpectrumError, match="overlap"):
        at_instant([one, one, two], SWEEP_S + 1.0)
    blank = two.model_copy(update={"z_real_ohm": (0.0,) * 81, "z_imag_ohm": (0.0,) * 81})
    with pytest.raises(SpectrumError, match="no point"):
        at_instant([one, blank], SWEEP_S + 1.0)


def test_points_that_one_sweep_has_not_measured_are_left_out() -> None:
    one, two = (sweep(number, linear(0.2)) for number in range(2))
    real, imaginary = list(two.z_real_ohm), list(two.z_imag_ohm)
    real[7] = imaginary[7] = 0.0
    holed = two.model_copy(update={"z_real_ohm": tuple(real), "z_imag_ohm": tuple(imaginary)})
    assert FREQUENCY[7] not in at_instant([one, holed], SWEEP_S + 1.0).frequency_Hz
    assert len(at_instant([one, holed], SWEEP_S + 1.0).t_s) == 80


def test_the_order_of_the_points_does_not_matter() -> None:
    one, two = (sweep(number, linear(0.2)) for number in range(2))
    columns = ("frequency_Hz", "z_real_ohm", "z_imag_ohm", "t_s")
    turned = one.model_copy(update={name: getattr(one, name)[::-1] for name in columns})
    whole, shuffled = at_instant([one, two], SWEEP_S + 1.0), at_instant([turned, two], SWEEP_S + 1.0)
    assert shuffled == whole


# Flags


@pytest.mark.parametrize("drift", [0.2, -0.15, 0.03])
def test_a_drift_is_flagged_with_its_size(drift: float) -> None:
    series = [sweep(number, linear(drift)) for number in range(2)]
    for found in steadiness(series):
        assert found.drifts
        assert found.change == pytest.approx(abs(drift), rel=0.4)
        assert found.duration_s == pytest.approx(SWEEP_S)
        assert not found.under_current


@pytest.mark.parametrize("noise", [1e-4, 1e-2])
def test_noise_and_slow_changes_are_no_drift(noise: float) -> None:
    for found in steadiness([sweep(number, linear(0.001), noise) for number in range(6)]):
        assert not found.drifts


def test_direct_current_is_flagged_and_one_alone_says_nothing_of_its_drift() -> None:
    (alone,) = steadiness([sweep(0, linear(0.2), current_A=-1e-3)])
    assert alone.under_current
    assert alone.change is None
    assert not alone.drifts
    assert steadiness([]) == []


def test_neighbours_of_other_frequencies_say_nothing() -> None:
    one, two = (sweep(number, linear(0.2)) for number in range(2))
    kept = slice(0, 5)
    columns = ("frequency_Hz", "z_real_ohm", "z_imag_ohm", "t_s")
    short = two.model_copy(update={name: getattr(two, name)[kept] for name in columns})
    assert [found.change for found in steadiness([one, short])] == [None, None]


def test_each_spectrum_of_a_series_is_read_at_the_middle_of_its_sweep_but_the_first_and_the_last() -> None:
    drifting = [sweep(number, linear(0.2)) for number in range(4)]
    found = corrected(drifting)
    assert (found[0], found[-1]) == (drifting[0], drifting[-1])
    for before, after in zip(drifting[1:-1], found[1:-1], strict=True):
        assert after.t_start_s == (before.t_start_s + before.t_end_s) / 2
        summary = summarize(after)
        assert summary.kk_passed
        assert abs(summary.drift) < 0.03 < abs(summarize(before).drift)


def test_a_spectrum_that_does_not_fit_to_its_neighbours_stays_as_it_is() -> None:
    series = [sweep(0, linear(0.2)), sweep(1, linear(0.2), current_A=1.0), sweep(2, linear(0.2))]
    assert corrected(series) == series


def test_an_offset_of_the_instrument_is_no_direct_current() -> None:
    offset, driven = sweep(0, linear(0.0), current_A=1e-7), sweep(0, linear(0.0), current_A=1e-3)
    assert [one.under_current for one in steadiness([offset, driven])] == [False, True]
    assert polarization_V(driven) == pytest.approx(1e-3 * 125.0, rel=0.05)


def test_a_succession_tells_a_short_circuit_and_compares_no_different_currents() -> None:
    healthy, later = sweep(0, linear(0.0)), sweep(1, linear(0.0))
    z = 1.0 / (1.0 / later.impedance() + 1.0 / 60.0)
    shorted = sweep(2, linear(0.0)).model_copy(
        update={"z_real_ohm": tuple(z.real.tolist()), "z_imag_ohm": tuple(z.imag.tolist())}
    )
    driven = sweep(3, linear(0.0), current_A=1e-3)
    found = succession([healthy, later, shorted, driven])
    assert [change.kind for change in found.changes] == ["none", "parallel_resistor", "undecided"]
    assert found.changes[1].parallel_ohm == pytest.approx(60.0, rel=0.1)
    assert "direct currents" in found.changes[2].reason
    assert len(found.steadiness) == 4
