"""Maps and tables of a series: areas stay, what was not measured is empty, and per area says of what."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.drt.distribution import Distribution
from analysis.drt.peaks import Peak
from analysis.series.contour import contour
from analysis.series.resistances import resistances
from analysis.series.tracking import track

Floats = NDArray[np.float64]


def gaussian(ln_tau: Floats, ohm: float, tau_s: float, width: float = 0.5) -> Floats:
    shape = np.exp(-0.5 * ((ln_tau - np.log(tau_s)) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    return np.asarray(ohm * shape)


def resolved(ohm: float, window_s: tuple[float, float], per_decade: int) -> Distribution:
    """A distribution with a peak at 1 ms, on a grid that is a decade wider than its window."""
    fast, slow = window_s
    count = round(per_decade * (np.log10(slow / fast) + 2)) + 1
    tau_s = np.geomspace(fast / 10, slow * 10, count)
    gamma = gaussian(np.log(tau_s), ohm, 1e-3)
    return Distribution(
        method="ridge",
        tau_s=tau_s,
        gamma_ohm=gamma,
        lower_ohm=None,
        upper_ohm=None,
        r_inf_ohm=1.0,
        inductance_H=0.0,
        capacitance_F=None,
        noise=1e-3,
        residuals=np.zeros(3, dtype=np.complex128),
        window_s=window_s,
    )


WIDE, NARROW = (1e-7, 1e1), (1.3e-6, 2.7e-1)


def test_spectra_of_different_grids_and_windows_share_a_map() -> None:
    found = contour([resolved(100.0, WIDE, 20), resolved(50.0, NARROW, 13)], [0.0, 3600.0])
    assert found.gamma_ohm.shape == (2, len(found.tau_s))
    assert found.t_s.tolist() == [0.0, 3600.0]
    assert (found.tau_s[0], found.tau_s[-1]) == pytest.approx(WIDE)
    steps = np.diff(np.log(found.tau_s))
    np.testing.assert_allclose(steps, steps[0])
    assert steps[0] <= np.log(10) / 20 * (1 + 1e-9)
    areas = np.nansum(found.gamma_ohm, axis=1) * steps[0]
    np.testing.assert_allclose(areas, [100.0, 50.0], rtol=5e-3)
    np.testing.assert_allclose(found.tau_s[np.nanargmax(found.gamma_ohm, axis=1)], 1e-3, rtol=0.15)


def test_what_was_not_measured_is_empty_in_a_map() -> None:
    found = contour([resolved(100.0, WIDE, 20), resolved(50.0, NARROW, 13)], [0.0, 3600.0])
    assert np.isfinite(found.gamma_ohm[0]).all()
    outside = (found.tau_s < NARROW[0]) | (found.tau_s > NARROW[1])
    np.testing.assert_array_equal(np.isnan(found.gamma_ohm[1]), outside)


def test_equal_grids_are_kept_as_they_are() -> None:
    one = resolved(100.0, WIDE, 20)
    found = contour([one], [5.0])
    inside = (one.tau_s >= WIDE[0] * 0.999) & (one.tau_s <= WIDE[1] * 1.001)
    np.testing.assert_allclose(found.gamma_ohm[0], one.gamma_ohm[inside], rtol=1e-6, atol=1e-9)


def test_no_map_without_times_that_fit() -> None:
    one = resolved(100.0, WIDE, 20)
    for distributions, times in (([], []), ([one], [0.0, 1.0])):
        with pytest.raises(ValueError, match="no map"):
            contour(distributions, times)
    with pytest.raises(ValueError, match="order of time"):
        contour([one, one], [1.0, 1.0])


# Resistances


def peak(tau_s: float, ohm: float, name: str, std_ohm: float | None = None) -> Peak:
    return Peak(tau_s, ohm, std_ohm, ohm / 2, tau_s / 3, tau_s * 3, True, name)


HOURS = [0.0, 3600.0, 7200.0, 10800.0]
SERIES = [
    [peak(1e-6, 60.0, "grain boundary", 1.0), peak(1e-3, 310.0, "interface", 6.0)],
    [peak(1e-6, 61.0, "grain boundary"), peak(1e-3, 172.0, "interface", 4.0)],
    [peak(1e-6, 61.0, "grain boundary", 1.0)],
    [peak(1e-6, 62.0, "grain boundary", 1.0), peak(1e-3, 581.0, "interface", 9.0), peak(1.0, 20.0, "")],
]


def test_a_table_has_each_process_over_time() -> None:
    table = resistances(track(SERIES, HOURS), HOURS)
    assert table.names == ("grain boundary", "interface", "process 3")
    np.testing.assert_array_equal(table.resistance_ohm[:, 1], [310.0, 172.0, np.nan, 581.0])
    np.testing.assert_array_equal(table.std_ohm[:, 0], [1.0, np.nan, 1.0, 1.0])
    np.testing.assert_array_equal(table.resistance_ohm[:, 2], [np.nan, np.nan, np.nan, 20.0])
    assert np.isnan(table.sum_ohm).all()


def test_of_a_shared_peak_only_the_sum_is_in_the_table() -> None:
    apart, shared = [peak(1e-4, 40.0, ""), peak(6e-4, 100.0, "")], [peak(4e-4, 141.0, "", 2.0)]
    table = resistances(track([apart, shared, apart], HOURS[:3]), HOURS[:3])
    np.testing.assert_array_equal(table.resistance_ohm, [[40.0, 100.0], [np.nan, np.nan], [40.0, 100.0]])
    np.testing.assert_array_equal(table.sum_ohm[1], [141.0, 141.0])
    assert np.isnan(table.std_ohm[1]).all()


def test_areal_resistances_say_whether_they_are_of_both_interfaces() -> None:
    table = resistances(track(SERIES, HOURS), HOURS)
    both = table.areal(1.27e-4, 0.0127e-4)
    assert both.sides == ("both", "both", "both")
    assert both.asr_ohm_m2[0, 1] == pytest.approx(310.0 * 1.27e-4)
    assert both.std_ohm_m2[0, 1] == pytest.approx(310.0 * 1.27e-4 * np.hypot(6.0 / 310.0, 0.01))
    one = table.areal(1.27e-4, 0.0127e-4, ("both", "one", "both"))
    np.testing.assert_allclose(one.asr_ohm_m2[:, 1], both.asr_ohm_m2[:, 1] / 2)
    np.testing.assert_allclose(one.std_ohm_m2[:, 1], both.std_ohm_m2[:, 1] / 2)
    np.testing.assert_array_equal(one.asr_ohm_m2[:, 0], both.asr_ohm_m2[:, 0])


def test_what_is_no_area_gives_no_areal_resistance() -> None:
    table = resistances(track(SERIES, HOURS), HOURS)
    for arguments in ((0.0,), (1e-4, -1.0), (1e-4, 0.0, ("both",)), (float("nan"),)):
        with pytest.raises(ValueError, match="no areal resistance"):
            table.areal(*arguments)
    with pytest.raises(ValueError, match="spectrum 3 of 2"):
        resistances(track(SERIES, HOURS), HOURS[:2])
