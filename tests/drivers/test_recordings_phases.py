"""Phases found in recordings, and the programs that play them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.recordings import Phase, Recording, open_recording, phases, program_of
from drivers.recordings.rows import Floats
from protocols.cell import Cell
from protocols.nodes import ConstantCurrent, Geis, Rest

CELL = Cell(name="cell", area_m2=1e-4)
HOUR_S = 3600.0


def recording_with(current_A: Floats, step: Floats | None = None) -> Recording:
    t_s = 100.0 + np.arange(len(current_A), dtype=np.float64)
    return Recording("made", Path("made.csv"), t_s, np.zeros(len(t_s)), current_A, step=step)


def kinds_and_signs(found: tuple[Phase, ...]) -> list[tuple[str, float]]:
    return [(phase.kind, float(np.sign(phase.current_A))) for phase in found]


@pytest.fixture(scope="module")
def symmetric(recordings: Path) -> Recording:
    return open_recording(recordings / "symmetric" / "li_llzo_li_peis_and_cycling.mpr")


def test_spectra_and_cycling_of_one_file_are_told_apart(symmetric: Recording) -> None:
    pass_through = [("constant_current", 1.0), ("constant_current", -1.0)]
    one_cycle = [
        ("rest", 0.0),
        ("spectrum", 0.0),
        ("rest", 0.0),
        *pass_through,
        ("rest", 0.0),
        ("spectrum", 0.0),
    ]
    assert kinds_and_signs(phases(symmetric)) == one_cycle * 4


def test_plating_and_stripping_last_an_hour_at_the_current_and_charge_of_the_instrument(
    symmetric: Recording, recordings: Path
) -> None:
    """Charges against EC-Lab's own counter (Q-Qo), which is no input of ours."""
    from galvani import BioLogic

    with (recordings / "symmetric" / "li_llzo_li_peis_and_cycling.mpr").open("rb") as file:
        data = BioLogic.MPRfile(file).data
    data = data[data["freq/Hz"] == 0]
    driven = [phase for phase in phases(symmetric) if phase.kind == "constant_current"]
    assert len(driven) == 8
    for phase in driven:
        assert phase.t_end_s - phase.t_start_s == pytest.approx(HOUR_S, abs=1)
        assert abs(phase.current_A) == pytest.approx(2.8e-6, rel=2e-3)
        counter = data["(Q-Qo)/mA.h"][phase.first - 1], data["(Q-Qo)/mA.h"][phase.stop - 1]
        assert phase.charge_C == pytest.approx(3.6 * (counter[1] - counter[0]), rel=1e-3)


def test_linked_techniques_are_split_at_their_gaps(recordings: Path) -> None:
    for technique in ("cp", "ca", "ocv"):
        found = phases(open_recording(recordings / "biologic" / f"{technique}.issue_149.mpr"))
        assert len(found) == 4
        for phase in found:
            assert phase.t_end_s - phase.t_start_s < 12


def test_rest_and_both_directions_of_gcpl(recordings: Path) -> None:
    found = phases(open_recording(recordings / "biologic" / "gcpl.issue_149.mpr"))
    expected = [("rest", 0.0), ("constant_current", 1.0), ("constant_current", -1.0)]
    assert kinds_and_signs(found) == expected * 4
    for phase in found:
        assert abs(phase.charge_C) == pytest.approx(abs(phase.current_A) * 10, rel=0.03)


LEVELS = st.lists(
    st.tuples(st.sampled_from([0.0, 1e-6, -1e-6, 2e-6, -2e-6, 5e-6, 1e-4, -1e-4]), st.integers(8, 60)),
    min_size=1,
    max_size=8,
).filter(lambda levels: all(before[0] != after[0] for before, after in pairwise(levels)))


@given(levels=LEVELS, seed=st.integers(0, 2**32 - 1), noise=st.sampled_from([0.0, 1e-9, 1e-8]))
def test_levels_of_current_are_found_despite_noise_and_outliers(
    levels: list[tuple[float, int]], seed: int, noise: float
) -> None:
    random = np.random.default_rng(seed)
    current_A = np.concatenate([np.full(count, level) for level, count in levels])
    current_A += noise * random.standard_normal(len(current_A))
    first = 0
    for _, count in levels:
        current_A[first + count // 2] += random.choice([-3e-4, 3e-4])
        first += count
    found = phases(recording_with(current_A))
    assert [phase.stop - phase.first for phase in found] == [count for _, count in levels]
    assert [phase.current_A for phase in found] == pytest.approx([level for level, _ in levels], abs=2e-8)


def test_a_value_on_the_way_belongs_to_the_next_phase() -> None:
    current_A = np.array([1e-6] * 10 + [-0.3e-6] + [-1e-6] * 10)
    assert [(phase.first, phase.stop) for phase in phases(recording_with(current_A))] == [(0, 10), (10, 21)]


def test_noise_alone_is_one_rest() -> None:
    current_A = 1e-9 * np.random.default_rng(1).standard_normal(500)
    assert kinds_and_signs(phases(recording_with(current_A))) == [("rest", 0.0)]


def test_a_ramp_of_current_has_one_phase_for_each_step() -> None:
    """As in a test of the critical current density: each level 1.2 times the one before at the least."""
    currents = [sign * level * 1e-5 for level in range(1, 6) for sign in (1, -1)]
    found = phases(recording_with(np.repeat(currents, 30)))
    assert [phase.current_A for phase in found] == currents


def test_the_vendors_steps_are_taken_as_they_are() -> None:
    current_A = np.concatenate([np.full(10, 1e-6), np.linspace(1e-6, 1e-7, 10), np.zeros(5)])
    step = np.repeat([1.0, 2.0, 3.0], [10, 10, 5])
    found = phases(recording_with(current_A, step))
    assert [(phase.first, phase.stop) for phase in found] == [(0, 10), (10, 20), (20, 25)]
    assert found[2].kind == "rest"


CURRENTS = st.lists(st.floats(-1e-3, 1e-3), min_size=1, max_size=60)


@given(current_A=CURRENTS, steps=st.none() | st.lists(st.integers(0, 3), min_size=60, max_size=60))
def test_every_sample_is_in_one_phase_and_no_charge_is_lost(
    current_A: list[float], steps: list[int] | None
) -> None:
    step = None if steps is None else np.array(steps[: len(current_A)], dtype=np.float64)
    found = phases(recording_with(np.array(current_A), step))
    assert [phase.first for phase in found] == [0, *(phase.stop for phase in found[:-1])]
    assert found[-1].stop == len(current_A)
    assert [phase.t_start_s for phase in found[1:]] == [phase.t_end_s for phase in found[:-1]]
    for phase in found:
        start = max(phase.first - 1, 0)
        t_s, i_A = 100.0 + np.arange(start, phase.stop), np.array(current_A[start : phase.stop])
        if phase.first > 0:
            i_A[0] = i_A[1]
        assert phase.charge_C == pytest.approx(float(np.trapezoid(i_A, t_s)), abs=1e-15)


def test_the_program_has_one_step_for_each_phase(symmetric: Recording) -> None:
    program = program_of(symmetric, CELL)
    found = phases(symmetric)
    assert program.kind == "playback"
    leaves = [leaf for leaf, _ in program.walk()]
    assert [leaf.index for leaf in leaves] == list(range(len(found)))
    for leaf, phase in zip(leaves, found, strict=True):
        if isinstance(leaf, ConstantCurrent):
            assert leaf.charge_C == abs(phase.charge_C)
            assert leaf.current_A == phase.current_A
        assert isinstance(
            leaf, {"rest": Rest, "constant_current": ConstantCurrent, "spectrum": Geis}[phase.kind]
        )
    hours = [leaf.duration_s / HOUR_S for leaf in leaves if isinstance(leaf, ConstantCurrent)]
    assert hours == pytest.approx([1] * 8, rel=1e-3)


def test_frequencies_of_a_recorded_sweep_come_again_in_its_step(recordings: Path) -> None:
    recording = open_recording(recordings / "biologic" / "geis.issue_149.mpr")
    step = program_of(recording, CELL).step(0)
    assert isinstance(step, Geis)
    np.testing.assert_allclose(step.frequencies(), recording.spectra[0].frequency_Hz, rtol=0.01)
    assert step.amplitude_A == pytest.approx(30e-6, rel=0.1)  # the header of the file says Ia = 30 µA
    assert step.current_A == 0


def test_a_spectrum_under_current_carries_the_current(symmetric: Recording) -> None:
    spectrum = symmetric.spectra[0].model_copy(update={"current_A": 1.05e-6, "t_start_s": 119.5})
    current_A = np.full(40, 1e-6)
    recording = recording_with(current_A).with_spectra([spectrum])
    leaves = [leaf for leaf, _ in program_of(recording, CELL).walk()]
    assert [leaf.kind for leaf in leaves] == ["constant_current", "geis", "constant_current"]
    assert [getattr(leaf, "current_A", None) for leaf in leaves] == [1e-6] * 3


def test_limits_are_the_cells_or_wide_open(symmetric: Recording) -> None:
    assert program_of(symmetric, CELL).limits.voltage_min_V == -1000
    narrow = CELL.model_copy(update={"voltage_min_V": -2.0, "voltage_max_V": 2.0})
    limits = program_of(symmetric, narrow).limits
    assert (limits.voltage_min_V, limits.voltage_max_V) == (-2.0, 2.0)


def test_spectra_of_another_file_are_put_in_by_time(symmetric: Recording) -> None:
    bare = recording_with(np.zeros(50))
    late, early = (
        symmetric.spectra[0].model_copy(update={"t_start_s": t_s, "t_end_s": t_s}) for t_s in (130.5, 110.5)
    )
    recording = bare.with_spectra([late, early])
    assert recording.samples_before == (11, 31)
    assert [phase.kind for phase in phases(recording)] == ["rest", "spectrum", "rest", "spectrum", "rest"]
