"""The simulated instrument where it controls the voltage: constant, scanned, and in a spectrum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_box import (
    E_ABOVE,
    E_BELOW,
    MA,
    NEXT_TECHNIQUE,
    STOP_EXPERIMENT,
    TIME_BASE_S,
    Bench,
    Fetched,
    drive,
    hold,
    loop,
    parameters,
    potentiostatic_sweep,
    record,
    rest,
    scan,
)

from drivers.biologic.constants import TIMEBASE_MIN_S, ErrorCode, LimitVariable, TechniqueId, limit_config
from drivers.simulation.presets import describe
from drivers.simulation.techniques import RefusedError

PLAIN = "{activation = 0.0, nucleation = 0.0, contact_loss_cm2_per_mAh = 0.0, area_cm2 = 1.0}"
"""100 Ω, unchanging; 1 cm², so that mA/cm² are mA."""
OHM = 100.0
I_BELOW = limit_config(LimitVariable.I, above=False)
I_ABOVE = limit_config(LimitVariable.I, above=True)
FULL = '{preset = "ncm_full", area_cm2 = 1.0, positive_charged = 0.5}'


def run(cell: str, *techniques: tuple[str, bytes], seconds: float = 1e5) -> list[Fetched]:
    bench = Bench(cell)
    bench.start(*techniques)
    bench.wait(seconds)
    return bench.fetch_all()


def column(blocks: list[Fetched], number: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.concatenate([block.floats(number) for block in blocks])


def seconds_of(blocks: list[Fetched]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.concatenate([block.seconds() for block in blocks])


@pytest.mark.parametrize("file", ["ca4.ecc", "calimit4.ecc"])
def test_a_constant_voltage_gives_records_of_five_words_with_e_before_i(file: str) -> None:
    _, records = hold(0.05, 20.0)
    (block,) = run(PLAIN, (file, records))
    identity = {"ca4.ecc": 101, "calimit4.ecc": 157}[file]
    assert (block.infos.TechniqueID, block.infos.ProcessIndex, block.infos.NbCols) == (identity, 0, 5)
    assert block.seconds() == pytest.approx(list(range(21)), abs=2 * TIME_BASE_S)
    assert block.floats(2) == pytest.approx([0.05] * 21, abs=4e-4)
    assert block.floats(3)[-1] == pytest.approx(0.05 / OHM, rel=1e-3)
    assert block.words[:, 4].tolist() == [0] * 21


def test_steps_are_relative_to_the_voltage_at_the_start_where_it_says_so() -> None:
    file, records = hold(0.02, 3.0, Step_number=1, vs_initial=True)
    more = record("Voltage_step", -0.1, 1) + record("vs_initial", True, 1) + record("Duration_step", 2.0, 1)
    blocks = run(FULL, rest(1.0), (file, records + more))
    start_V = blocks[0].floats(2)[-1]
    volts = blocks[1].floats(2)
    assert volts == pytest.approx([start_V + 0.02] * 4 + [start_V - 0.1] * 3, abs=4e-4)


def test_cycles_of_a_technique_are_numbered() -> None:
    (block,) = run(PLAIN, hold(0.05, 2.0, N_Cycles=2))
    assert block.words[:, 4].tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_a_held_voltage_ends_when_the_current_has_fallen_to_its_cut_off() -> None:
    cut_off_A = 0.3 * MA
    within = {
        "Test1_Config": limit_config(LimitVariable.I, above=False, and_next=True),
        "Test1_Value": cut_off_A,
        "Test2_Config": I_ABOVE,
        "Test2_Value": -cut_off_A,
        "Exit_Cond": NEXT_TECHNIQUE,
    }
    blocks = run(FULL, hold(4.1, 20_000.0, **within), rest(2.0), seconds=30_000.0)
    currents = column(blocks[:-1], 3)
    assert (currents[:-1] > cut_off_A * 0.999).all()
    assert currents[-1] == pytest.approx(cut_off_A, rel=0.01)
    assert blocks[-1].infos.TechniqueIndex == 1


@pytest.mark.parametrize(("exit_condition", "indices"), [(NEXT_TECHNIQUE, {0, 1}), (STOP_EXPERIMENT, {0})])
def test_a_limit_of_current_ends_technique_or_experiment(exit_condition: int, indices: set[int]) -> None:
    limited = hold(0.05, 100.0, Test1_Config=I_ABOVE, Test1_Value=0.1 * MA, Exit_Cond=exit_condition)
    blocks = run(PLAIN, limited, rest(2.0))
    assert {block.infos.TechniqueIndex for block in blocks} == indices


def test_constant_current_goes_over_into_constant_voltage_without_a_jump() -> None:
    charge = drive(1.0 * MA, 36_000.0, 4.1, Exit_Cond=NEXT_TECHNIQUE)
    blocks = run(FULL, charge, hold(4.1, 600.0), seconds=40_000.0)
    current = [block for block in blocks if block.infos.TechniqueIndex == 0]
    voltage = [block for block in blocks if block.infos.TechniqueIndex == 1]
    assert column(current, 2)[-1] == pytest.approx(4.1, abs=4e-4)
    assert column(voltage, 2) == pytest.approx(4.1, abs=4e-4)
    assert column(voltage, 3)[0] == pytest.approx(1.0 * MA, rel=0.02)
    assert (np.diff(column(voltage, 3)) < 1e-6).all()
    assert column(voltage, 3)[-1] < 0.8 * MA


def test_a_change_of_current_makes_records_between_those_by_time() -> None:
    (block,) = run(PLAIN, hold(0.05, 100.0, Record_every_dT=100.0, Record_every_dI=0.02 * MA))
    currents = np.array(block.floats(3))
    assert len(currents) > 5
    assert (np.abs(np.diff(currents[:-1])) >= 0.019 * MA).all()
    assert block.seconds() == sorted(set(block.seconds()))


def test_a_fixed_range_clips_the_current_and_says_so() -> None:
    bench = Bench(PLAIN)
    bench.start(hold(0.5, 60.0, I_Range=7))
    bench.wait(30.0)
    values = bench.values()
    assert values.Ioverflow
    assert pytest.approx(1.0 * MA, rel=1e-6) == values.I
    # 1 mA on 100 Ω is all that is left of the 0.5 V.
    assert values.Ewe == pytest.approx(0.1, rel=0.01)
    block = bench.fetch()
    assert block.floats(2)[-1] == pytest.approx(0.1, rel=0.01)
    assert block.floats(3) == pytest.approx([1.0 * MA] * 31, rel=1e-4)


def test_the_automatic_range_measures_small_currents_well() -> None:
    (block,) = run(PLAIN, hold(1e-4, 30.0))
    assert block.floats(3)[-1] == pytest.approx(1e-4 / OHM, rel=1e-3)


def test_a_scan_gives_i_before_e_and_ramps_from_vertex_to_vertex() -> None:
    blocks = run(PLAIN, scan(0.0, 0.1, -0.05, rate=1e-3, dE=1e-3))
    assert {(b.infos.TechniqueID, b.infos.ProcessIndex, b.infos.NbCols) for b in blocks} == {(158, 0, 5)}
    times, currents, volts = seconds_of(blocks), column(blocks, 2), column(blocks, 3)
    assert len(times) == 100 + 150
    assert times == pytest.approx(np.arange(1, 251), abs=1e-3)
    # Averaged over the second half of each mV: a quarter of a mV before its end.
    up, down = np.arange(1, 101) * 1e-3 - 2.5e-4, 0.1 - np.arange(1, 151) * 1e-3 + 2.5e-4
    assert volts == pytest.approx(np.concatenate((up, down)), abs=3e-4)
    assert currents[90] == pytest.approx(volts[90] / OHM, rel=0.02)
    assert currents[-1] == pytest.approx(-0.05 / OHM, rel=0.02)


def test_a_scan_may_be_relative_and_repeats_by_cycles() -> None:
    blocks = run(FULL, rest(1.0), scan(0.0, 0.01, 0.0, rate=1e-3, dE=1e-3, vs_initial=True, N_Cycles=1))
    start_V = blocks[0].floats(2)[-1]
    assert column(blocks[1:], 3).max() == pytest.approx(start_V + 0.01, abs=6e-4)
    assert np.concatenate([block.words[:, 4] for block in blocks[1:]]).tolist() == [0] * 20 + [1] * 20


def test_a_scan_ends_at_its_limits() -> None:
    limits = {"Test1_Config": I_ABOVE, "Test1_Value": 0.5 * MA, "Exit_Cond": STOP_EXPERIMENT}
    blocks = run(PLAIN, scan(0.0, 1.0, rate=1e-2, dE=1e-2, **limits))
    assert column(blocks, 3)[-1] == pytest.approx(0.05, abs=0.01)
    volts = {"Test1_Config": E_ABOVE, "Test1_Value": 0.2, "Test2_Config": E_BELOW, "Test2_Value": -0.2}
    blocks = run(PLAIN, scan(0.0, 1.0, rate=1e-2, dE=1e-2, Exit_Cond=STOP_EXPERIMENT, **volts))
    assert seconds_of(blocks)[-1] == pytest.approx(20.0, abs=0.3)


def test_a_plain_scan_is_another_technique() -> None:
    blocks = run(PLAIN, ("vscan4.ecc", scan(0.0, 0.01, rate=1e-3, dE=1e-3)[1]))
    assert {(b.infos.TechniqueID, b.infos.NbCols) for b in blocks} == {(124, 5)}


def test_a_potentiostatic_spectrum_is_that_of_the_cell() -> None:
    (block,) = run(PLAIN, potentiostatic_sweep(0.0, points=13))
    assert (block.infos.TechniqueID, block.infos.ProcessIndex, block.infos.NbCols) == (104, 1, 14)
    table = block.words.view(np.float32)
    frequencies = np.geomspace(1e5, 0.1, 13)
    cell = describe(
        "generic_symmetric",
        {"activation": 0.0, "nucleation": 0.0, "contact_loss_cm2_per_mAh": 0.0, "area_cm2": 1.0},
    ).build()
    assert table[:, 0] == pytest.approx(frequencies, rel=1e-5)
    assert table[:, 1] == pytest.approx(0.01, rel=1e-6)
    measured = table[:, 1] / table[:, 2] * np.exp(1j * table[:, 3])
    np.testing.assert_allclose(measured, cell.spectrum(frequencies), rtol=0.005)
    assert table[:, 13] == pytest.approx(np.cumsum(1.1 / frequencies), rel=1e-5)


def test_the_hold_before_a_potentiostatic_spectrum_gives_four_words_and_goes_on_underneath() -> None:
    first, second = run(PLAIN, potentiostatic_sweep(0.05, points=5, hold_s=30.0))
    assert [(b.infos.ProcessIndex, b.infos.NbCols, b.infos.NbRows) for b in (first, second)] == [
        (0, 4, 31),
        (1, 14, 5),
    ]
    assert first.floats(2) == pytest.approx([0.05] * 31, abs=4e-4)
    assert second.floats(4) == pytest.approx([0.05] * 5, abs=4e-4)
    assert second.floats(5) == pytest.approx([0.05 / OHM] * 5, rel=0.01)


def test_a_spectrum_at_the_open_circuit_voltage_passes_no_current() -> None:
    first, second = run(FULL, rest(1.0), potentiostatic_sweep(0.0, points=5, vs_initial=True))
    assert second.floats(4) == pytest.approx([first.floats(2)[-1]] * 5, abs=4e-4)
    assert np.abs(second.floats(5)).max() < 1e-9


everything = (
    hold(0.05, 37.5, Record_every_dI=0.01 * MA),
    scan(0.03, -0.06, 0.02, rate=7e-3, dE=3e-3),
    drive(0.2 * MA, 13.0),
    potentiostatic_sweep(0.02, points=9, hold_s=5.0),
    hold(-0.05, 50.0, Test1_Config=I_ABOVE, Test1_Value=-0.55 * MA, Exit_Cond=NEXT_TECHNIQUE),
    loop(1, 1),
    rest(2.0),
)


@settings(max_examples=20)
@given(st.lists(st.floats(1e-4, 60.0), max_size=25))
def test_records_do_not_depend_on_when_the_instrument_was_looked_at(cuts: list[float]) -> None:
    cell = "{area_cm2 = 1.0, nucleation = 0.3, working_um = 0.05, loss_mAh_per_cm2 = 0.001, roughness = 0.05}"
    at_once = run(cell, *everything, seconds=2000.0)
    bench = Bench(cell)
    bench.start(*everything)
    for cut_s in cuts:
        bench.wait(cut_s)
    bench.wait(2000.0)
    in_pieces = bench.fetch_all()
    assert [b.infos.TechniqueIndex for b in in_pieces] == [b.infos.TechniqueIndex for b in at_once]
    for cut, whole in zip(in_pieces, at_once, strict=True):
        assert cut.words.shape == whole.words.shape
        np.testing.assert_allclose(cut.seconds(), whole.seconds(), atol=1.5 * TIME_BASE_S)
        for number in range(2, min(whole.infos.NbCols, 6)):
            np.testing.assert_allclose(cut.floats(number), whole.floats(number), rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize(
    "technique",
    [
        hold(0.05, 10.0, I_Range=-1),
        hold(0.05, 0.0),
        hold(0.05, 10.0, Test1_Config=32 + 5),
        ("ca4.ecc", parameters(Current_step=1.0)),
        scan(0.0, 0.1, rate=0.0, dE=1e-3),
        scan(0.0, 0.1, rate=1e-3, dE=0.0),
        scan(0.0, 0.1, rate=1e-3, dE=1e-3, Scan_number=1),
        scan(0.0, 0.1, rate=1e-3, dE=1e-3, End_measuring_I=0.4),
        scan(*np.linspace(0, 1, 21).tolist(), rate=1e-3, dE=1e-3),
        potentiostatic_sweep(0.0, points=3, Amplitude_Voltage=0.0),
    ],
)
def test_what_a_potentiostat_cannot_do_is_refused(technique: tuple[str, bytes]) -> None:
    with pytest.raises(RefusedError) as refused:
        Bench().load(technique)
    assert refused.value.code == ErrorCode.GEN_INVALIDPARAMETERS


def test_without_a_time_base_the_smallest_is_used() -> None:
    _, records = hold(0.05, 1.0)
    (block,) = run(PLAIN, ("calimit4.ecc", records[len(parameters()) :]))
    assert block.values.TimeBase == pytest.approx(TIMEBASE_MIN_S[TechniqueId.CALIMIT])
