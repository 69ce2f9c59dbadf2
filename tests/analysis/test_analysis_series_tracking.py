"""Processes that are known come back from their peaks: through noise, gaps, meetings and ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.drt.peaks import Peak
from analysis.series.tracking import Tolerances, Track, track

SPECTRA = 30
RESOLVED = 0.8
"""Two peaks closer than this in ln τ are one."""

Truth = dict[str, Callable[[int], tuple[float, float] | None]]
"""Process → index of the spectrum → τ in s and R in Ω; None: not there."""


def peak(tau_s: float, ohm: float, std_ohm: float | None = None, name: str = "") -> Peak:
    return Peak(tau_s, ohm, std_ohm, ohm / 2, tau_s / 3, tau_s * 3, True, name)


def measured(
    truth: Truth, seed: int = 0, ln_tau: float = 0.08, relative: float = 0.04
) -> tuple[list[list[Peak]], list[dict[str, Peak]]]:
    """Return the peaks of each spectrum, shuffled, and which of them holds each process."""
    rng = np.random.default_rng(seed)
    series, holders = [], []
    for index in range(SPECTRA):
        there = sorted((at[0], at[1], name) for name, law in truth.items() if (at := law(index)) is not None)
        blends: list[list[tuple[float, float, str]]] = []
        for tau_s, ohm, name in there:
            if blends and math.log(tau_s / blends[-1][-1][0]) < RESOLVED:
                blends[-1].append((tau_s, ohm, name))
            else:
                blends.append([(tau_s, ohm, name)])
        holder: dict[str, Peak] = {}
        for blend in blends:
            ohm = sum(part[1] for part in blend)
            ln_s = sum(part[1] * math.log(part[0]) for part in blend) / ohm
            seen_ohm = ohm * math.exp(relative * rng.standard_normal())
            found = peak(math.exp(ln_s + ln_tau * rng.standard_normal()), seen_ohm, relative * seen_ohm)
            holder |= {part[2]: found for part in blend}
        found_peaks = list({id(found): found for found in holder.values()}.values())
        series.append([found_peaks[place] for place in rng.permutation(len(found_peaks))])
        holders.append(holder)
    return series, holders


def hours(count: int = SPECTRA) -> list[float]:
    return [3600.0 * index for index in range(count)]


def holds(tracked: Track, holders: Sequence[dict[str, Peak]], name: str) -> float:
    """Return in which share of its spectra a track has the peak of a process."""
    right = [
        holders[index].get(name) is not None and holders[index][name].tau_s == tau_s
        for index, tau_s in zip(tracked.index, tracked.tau_s, strict=True)
    ]
    return float(np.mean(right))


def moving(
    tau_s: float, ohm: float, decades: float = 0.0, factor: float = 1.0
) -> Callable[[int], tuple[float, float]]:
    """A process that moves by so many decades, and grows by a factor, over the series."""
    return lambda index: (
        tau_s * 10 ** (decades * index / (SPECTRA - 1)),
        ohm * factor ** (index / (SPECTRA - 1)),
    )


@pytest.mark.parametrize("seed", range(20))
def test_processes_that_drift_keep_their_tracks(seed: int) -> None:
    """As in study A: four processes, one of which alloys away 220 → 170 Ω."""
    truth: Truth = {
        "contact": moving(3e-6, 15.0, 0.2),
        "electrolyte": moving(5e-5, 60.0, -0.3, 1.4),
        "interphase": moving(2e-3, 220.0, 0.5, 170 / 220),
        "slow": moving(5e-2, 90.0, 0.3, 3.0),
    }
    series, holders = measured(truth, seed)
    tracks = track(series, hours())
    assert len(tracks) == 4
    for tracked, name in zip(tracks, truth, strict=True):
        assert holds(tracked, holders, name) == 1.0
        assert len(tracked.index) == SPECTRA
        assert not tracked.merged.any()
        assert tracked.t_s.tolist() == hours()


@pytest.mark.parametrize("seed", range(20))
def test_processes_that_pass_each_other_are_known_by_their_resistance(seed: int) -> None:
    """Through a stretch in which both have one peak: there the sum is known, and both have it."""
    truth: Truth = {"small": moving(1e-4, 40.0, 2.0), "large": moving(3e-3, 150.0, -1.0)}
    series, holders = measured(truth, seed)
    small, large = track(series, hours())
    meeting = [len(peaks) == 1 for peaks in series]
    assert 2 < sum(meeting) < 15
    assert small.merged.tolist() == large.merged.tolist() == meeting
    assert holds(small, holders, "small") == holds(large, holders, "large") == 1.0
    np.testing.assert_allclose(small.resistance_ohm[meeting], 190.0, rtol=0.2)
    np.testing.assert_allclose(small.alone()[~np.array(meeting)], 40.0, rtol=0.2)
    assert np.isnan(small.alone()[meeting]).all()


@pytest.mark.parametrize("seed", range(20))
def test_equal_ones_that_pass_each_other_are_known_by_their_way(seed: int) -> None:
    truth: Truth = {"rising": moving(1e-4, 100.0, 3.0), "falling": moving(1e-1, 100.0, -3.0)}
    series, holders = measured(truth, seed, ln_tau=0.03)
    rising, falling = track(series, hours())
    assert holds(rising, holders, "rising") == holds(falling, holders, "falling") == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_those_that_meet_and_turn_back_keep_their_resistances(seed: int) -> None:
    def law(direction: float, tau_s: float, ohm: float) -> Callable[[int], tuple[float, float]]:
        return lambda index: (
            tau_s * 10 ** (direction * 0.8 * math.sin(math.pi * index / (SPECTRA - 1))),
            ohm,
        )

    truth: Truth = {"fast": law(1.0, 1e-4, 50.0), "slow": law(-1.0, 5e-3, 200.0)}
    series, holders = measured(truth, seed)
    fast, slow = track(series, hours())
    assert fast.merged.any()
    assert not fast.merged[-1]
    assert holds(fast, holders, "fast") == holds(slow, holders, "slow") == 1.0


@pytest.mark.parametrize("seed", range(10))
def test_a_process_may_begin_and_another_end(seed: int) -> None:
    truth: Truth = {
        "old": lambda index: (1e-5, 80.0) if index < 12 else None,
        "lasting": moving(1e-3, 100.0),
        "young": lambda index: (1e-1, 5.0 * (index - 9)) if index >= 10 else None,
    }
    series, _ = measured(truth, seed)
    old, lasting, young = track(series, hours())
    assert old.index.tolist() == list(range(12))
    assert len(lasting.index) == SPECTRA
    assert young.index.tolist() == list(range(10, SPECTRA))


def test_an_end_is_no_merger() -> None:
    """The neighbour does not grow by what has gone."""
    truth: Truth = {
        "ends": lambda index: (1e-4, 100.0) if index < 10 else None,
        "stays": moving(6e-4, 100.0),
    }
    ends, stays = track(measured(truth)[0], hours())
    assert ends.index.tolist() == list(range(10))
    assert not stays.merged.any()


def test_a_peak_that_is_missed_once_is_no_end_and_a_longer_gap_is() -> None:
    series = [[peak(1e-4, 50.0), peak(1e-1, 30.0)] for _ in range(10)]
    series[4] = [peak(1e-4, 50.0)]
    fast, slow = track(series, hours(10))
    assert slow.index.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert len(fast.index) == 10
    assert len(track(series, hours(10), Tolerances(gap=0))) == 3


def test_three_that_become_one_come_apart_again() -> None:
    apart = [peak(1e-4, 20.0), peak(3e-4, 60.0), peak(9e-4, 180.0)]
    two = [peak(1.2e-4, 80.0), peak(9e-4, 180.0)]
    series = [apart, apart, two, two, [peak(4e-4, 260.0)], two, apart]
    first, second, third = track(series, hours(7))
    assert first.merged.tolist() == second.merged.tolist() == [False, False, True, True, True, True, False]
    assert third.merged.tolist() == [False] * 4 + [True, False, False]
    assert [tracked.resistance_ohm[-1] for tracked in (first, second, third)] == [20.0, 60.0, 180.0]


def test_a_resistance_that_falls_at_once_is_still_the_same_process() -> None:
    """Study B: 581 Ω, after a soft short 51, then 656."""
    series = [[peak(1e-5, 100.0), peak(1e-2, ohm)] for ohm in (310.0, 172.0, 581.0, 51.0, 656.0)]
    _, interface = track(series, hours(5))
    assert interface.resistance_ohm.tolist() == [310.0, 172.0, 581.0, 51.0, 656.0]


def test_names_are_those_of_the_peaks() -> None:
    series = [
        [peak(1e-6, 20.0, name="grain boundary"), peak(1e-4, 9.0, name="grain boundary"), peak(1.0, 5.0)],
    ] * 2
    names = [tracked.name for tracked in track(series, hours(2))]
    assert names == ["grain boundary", "grain boundary (2)", "process 3"]


def test_what_is_no_series_is_refused() -> None:
    with pytest.raises(ValueError, match="2 times"):
        track([[]], [0.0, 1.0])
    with pytest.raises(ValueError, match="order of time"):
        track([[], []], [1.0, 1.0])
    with pytest.raises(ValueError, match="above zero"):
        Tolerances(ln_tau=0.0)
    assert track([], []) == track([[]], [0.0]) == []


@given(
    st.lists(
        st.lists(
            st.tuples(st.floats(1e-7, 1e3), st.floats(0.0, 1e6), st.none() | st.floats(0.0, 1e3)), max_size=5
        ),
        max_size=8,
    )
)
def test_whatever_comes_each_peak_is_in_a_track_and_no_track_has_two(
    rows: list[list[tuple[float, float, float | None]]],
) -> None:
    series = [[peak(*row) for row in spectrum] for spectrum in rows]
    tracks = track(series, hours(len(rows)))
    for index, spectrum in enumerate(series):
        here = [tracked.tau_s[tracked.index == index] for tracked in tracks]
        assert all(len(taus) <= 1 for taus in here)
        assert {float(taus[0]) for taus in here if len(taus)} == {found.tau_s for found in spectrum}
    for tracked in tracks:
        assert (np.diff(tracked.index) > 0).all()
        assert not tracked.merged[0]
