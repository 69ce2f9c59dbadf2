"""Which results a run has follows from its program; the numbers come back from data that are made of them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scripted_instrument import AREA_M2, driven, program, sweep
from stored_runs import Floats, Impedance, StoredRun, open_store

from analysis.kinetics import FARADAY_C_PER_MOL, GAS_J_PER_MOL_K
from analysis.transport import BOLTZMANN_EV_PER_K
from protocols.cell import Cell, Electrode
from protocols.nodes import ConstantVoltage, Repeat, Rest, Soak, Vertex, VoltageSweep
from protocols.program import Program
from protocols.records import HalfCycle
from scheduler.results import results_of
from storage.store import Store

LITHIUM = Electrode(inventory_C_per_m2=1e6)
LI_LI = Cell(
    name="li",
    area_m2=AREA_M2,
    working=LITHIUM,
    counter=LITHIUM,
    electrolyte_class="polymer",
    electrolyte_thickness_m=1e-4,
)
GARNET = LI_LI.model_copy(update={"electrolyte_class": "garnet"})
BLOCKING = Cell(name="steel", geometry="blocking", area_m2=AREA_M2, electrolyte_thickness_m=1e-3)
HALF = Cell(name="carbon", geometry="half", area_m2=AREA_M2, counter=LITHIUM)


def cell_impedance(bulk_ohm: float, interface_ohm: float, tau_s: float = 1e-4) -> Impedance:
    def impedance(f: Floats) -> NDArray[np.complex128]:
        return np.asarray(bulk_ohm + interface_ohm / (1.0 + 2j * np.pi * f * tau_s))

    return impedance


def capacitor_behind(ohm: float) -> Impedance:
    def impedance(f: Floats) -> NDArray[np.complex128]:
        return np.asarray(ohm + 1.0 / (2j * np.pi * f * 1e-5), dtype=np.complex128)

    return impedance


def noisy(impedance: Impedance, sigma: float, seed: int) -> Impedance:
    def measured(f: Floats) -> NDArray[np.complex128]:
        parts = np.random.default_rng(seed).standard_normal((2, len(f)))
        z = impedance(f)
        return np.asarray(z + sigma * np.abs(z) * (parts[0] + 1j * parts[1]))

    return measured


def held(index: int, voltage_V: float, *, relative: bool = False) -> ConstantVoltage:
    return ConstantVoltage(
        index=index, label=f"step {index}", voltage_V=voltage_V, relative=relative, duration_s=7200.0
    )


def rest(index: int, kelvin: float | None = None) -> Rest:
    waits = (Soak(target_K=kelvin, tolerance_K=0.5, hold_s=1.0),) if kelvin else ()
    return Rest(index=index, label=f"step {index}", duration_s=60.0, host_ends=waits)


def swept(index: int, rate: float, *volts: float, relative: bool = False) -> VoltageSweep:
    vertices = tuple(Vertex(voltage_V=voltage, relative=relative) for voltage in volts)
    return VoltageSweep(
        index=index, label=f"step {index}", vertices=vertices, rate_V_per_s=rate, duration_s=1e4
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(tmp_path)
    yield store
    await store.close()


async def found(run: StoredRun, **options: float) -> dict[str, Any]:
    return results_of(await run.reader(), run.number, **options)


# Transference number


def transference(store: Store, cell: Cell, number: float, *, offset_V: float = 0.0) -> StoredRun:
    """An ideal electrolyte of 20 Ω between interfaces of 30 Ω, which grow to 40 Ω."""
    whole = program(rest(0), sweep(1), held(2, 0.01, relative=True), sweep(3), cell=cell)
    run = StoredRun(store, whole)
    run.spectrum(1, cell_impedance(20.0, 30.0), voltage_V=offset_V)
    t_s = np.linspace(0.1, 7200.0, 14400)
    first_A, last_A = 0.01 / 50.0, 0.01 / (20.0 / number + 40.0)
    volts = np.full_like(t_s, 0.01 + offset_V)
    run.samples(2, t_s, volts, last_A + (first_A - last_A) * np.exp(-t_s / 600.0))
    run.spectrum(3, cell_impedance(20.0, 40.0), voltage_V=0.01)
    return run


@pytest.mark.parametrize("offset_V", [0.0, 0.002])
async def test_a_voltage_between_two_spectra_gives_the_transference_number(
    store: Store, offset_V: float
) -> None:
    results = await found(transference(store, LI_LI, 0.3, offset_V=offset_V))
    assert results["transference_number"] == pytest.approx(0.3, abs=0.003)
    assert 0.0 <= results["transference_number_std"] < 0.003
    assert "warnings" not in results
    assert results["spectrum_before"]["interface_ohm_cm2"] == pytest.approx(30.0, rel=0.01)
    assert results["spectrum_after"]["interface_ohm_cm2"] == pytest.approx(40.0, rel=0.01)


async def test_a_ceramic_with_half_of_the_current_gets_a_warning(store: Store) -> None:
    results = await found(transference(store, GARNET, 0.52))
    assert results["transference_number"] == pytest.approx(0.52, abs=0.005)
    assert ["far below the 1 of a ceramic" in text for text in results["warnings"]] == [True]


async def test_a_current_that_began_elsewhere_than_the_spectrum_says_gets_a_warning(store: Store) -> None:
    whole = program(sweep(0), held(1, 0.01), sweep(2), cell=LI_LI)
    run = StoredRun(store, whole)
    run.spectrum(0, cell_impedance(20.0, 30.0))
    t_s = np.linspace(0.1, 7200.0, 14400)
    run.samples(1, t_s, np.full_like(t_s, 0.01), np.full_like(t_s, 1e-4))
    run.spectrum(2, cell_impedance(20.0, 30.0))
    results = await found(run)
    assert ["the current began at 0.0001 A" in text for text in results["warnings"]] == [True]


# Conductivity


async def test_without_a_second_spectrum_it_is_a_conductivity_and_layers_can_be_deducted(
    store: Store,
) -> None:
    run = StoredRun(store, program(sweep(0), held(1, 0.05), cell=LI_LI))
    run.spectrum(0, cell_impedance(20.0, 30.0))
    t_s = np.linspace(0.0, 7200.0, 721)
    run.samples(1, t_s, np.full_like(t_s, 0.05), 1e-4 * (1.0 + np.exp(-t_s / 300.0)))
    results = await found(run)
    assert results["dc_resistance_ohm"] == pytest.approx(500.0, rel=1e-4)
    assert results["dc_resistance_std_ohm"] < 0.05
    assert results["ionic_conductivity_std_S_per_cm"] < 1e-4 * results["ionic_conductivity_S_per_cm"]
    assert results["ionic_conductivity_S_per_cm"] == pytest.approx(1e-2 / 500.0, rel=1e-4)
    assert "--deduct" in results["warnings"][0]
    results = await found(run, deducted_ohm=100.0)
    assert results["ionic_conductivity_S_per_cm"] == pytest.approx(1e-2 / 400.0, rel=1e-4)
    assert results["conductivity_std_without"] == ["thickness", "area", "deducted resistance"]
    assert "warnings" not in results
    results = await found(run, deducted_ohm=600.0)
    assert "ionic_conductivity_S_per_cm" not in results
    assert "leaves nothing" in results["warnings"][0]


async def test_between_blocking_electrodes_the_current_is_electronic(store: Store) -> None:
    run = StoredRun(store, program(sweep(0), held(1, 0.1), held(2, 0.0), cell=BLOCKING))
    run.spectrum(0, capacitor_behind(40.0))
    t_s = np.linspace(0.0, 7200.0, 721)
    run.samples(1, t_s, np.full_like(t_s, 0.1), 1e-8 + 1e-6 * np.exp(-t_s / 300.0))
    results = await found(run)
    assert results["electronic_conductivity_S_per_cm"] == pytest.approx(1e-8, rel=1e-3)
    assert results["conductivity_mS_per_cm"] == pytest.approx(1e3 * 0.1 / 40.0, rel=1e-3)
    assert "deducted_ohm" not in results


async def test_a_current_that_still_falls_is_not_steady(store: Store) -> None:
    run = StoredRun(store, program(held(0, 0.1), cell=BLOCKING))
    t_s = np.linspace(0.0, 7200.0, 721)
    run.samples(0, t_s, np.full_like(t_s, 0.1), 1e-6 * np.exp(-t_s / 7200.0))
    assert "not steady" in (await found(run))["warnings"][0]


@pytest.mark.parametrize("cell", [BLOCKING, LI_LI])
async def test_a_ladder_of_temperatures_gives_the_activation_energy(store: Store, cell: Cell) -> None:
    levels = [293.15, 313.15, 333.15]
    nodes = [node for k, kelvin in enumerate(levels) for node in (rest(2 * k, kelvin), sweep(2 * k + 1))]
    run = StoredRun(store, program(*nodes, cell=cell))
    blocking = cell.geometry == "blocking"
    for k, kelvin in enumerate(levels):
        ohm = 100.0 * math.exp(0.4 / BOLTZMANN_EV_PER_K * (1.0 / kelvin - 1.0 / levels[0]))
        # While the cell was still warming up, it had more; the last spectrum of a level counts.
        run.spectrum(2 * k + 1, cell_impedance(2.0 * ohm, 0.0))
        run.spectrum(2 * k + 1, capacitor_behind(ohm) if blocking else cell_impedance(ohm, 77.0), visit=1)
    results = await found(run)
    assert results["activation_energy_eV"] == pytest.approx(0.4, abs=0.001)
    assert results["activation_energy_std_eV"] < 0.001
    assert results["conductivity_from"] == ("before the tail" if blocking else "high frequency")
    rows = results["conductivities"]
    assert [row["temperature_celsius"] for row in rows] == [20.0, 40.0, 60.0]
    assert rows[0]["conductivity_mS_per_cm"] == results["conductivity_mS_per_cm"]
    assert "spectrum_before" not in results


async def test_noise_of_the_spectra_is_in_what_is_computed_of_them(store: Store) -> None:
    """1 % of noise: σ by a reading at one frequency, E_a by two of them 40 K apart."""
    run = StoredRun(store, program(rest(0, 293.15), sweep(1), rest(2, 333.15), sweep(3), cell=BLOCKING))
    for step, ohm in ((1, 100.0), (3, 20.0)):
        run.spectrum(step, noisy(capacitor_behind(ohm), 0.01, seed=step))
    results = await found(run)
    sigma = results["conductivity_mS_per_cm"]
    assert results["conductivity_std_mS_per_cm"] == pytest.approx(0.01 * sigma, rel=0.3)
    truth = 1e3 * 0.1 / 100.0
    assert sigma == pytest.approx(truth, abs=4 * results["conductivity_std_mS_per_cm"])
    assert [row["conductivity_std_mS_per_cm"] > 0 for row in results["conductivities"]] == [True, True]
    # Two temperatures lie on a line: the noise of the spectra says how well it is known.
    expected = BOLTZMANN_EV_PER_K * 0.01 * math.sqrt(2) / (1 / 293.15 - 1 / 333.15)
    assert results["activation_energy_std_eV"] == pytest.approx(expected, rel=0.3)
    assert results["activation_energy_of_sigma_T_std_eV"] == results["activation_energy_std_eV"]


async def test_the_geometry_is_in_the_uncertainty_of_a_conductivity_but_not_of_an_activation_energy(
    store: Store,
) -> None:
    known = {"area_uncertainty": 0.03, "electrolyte_thickness_uncertainty": 0.04}
    levels = [
        node for k, kelvin in enumerate((293.15, 333.15)) for node in (rest(2 * k, kelvin), sweep(2 * k + 1))
    ]
    energies = []
    for cell in (BLOCKING, BLOCKING.model_copy(update=known)):
        run = StoredRun(store, program(*levels, cell=cell))
        for step, ohm in ((1, 100.0), (3, 20.0)):
            run.spectrum(step, noisy(capacitor_behind(ohm), 1e-3, seed=step))
        results = await found(run)
        energies.append(results["activation_energy_std_eV"])
        said = results.get("conductivity_std_without")
        assert said == (["thickness", "area"] if cell is BLOCKING else None)
    assert energies[0] == energies[1]
    assert results["conductivity_std_mS_per_cm"] == pytest.approx(
        0.05 * results["conductivity_mS_per_cm"], rel=0.05
    )


async def test_without_a_thickness_there_is_no_conductivity(store: Store) -> None:
    bare = BLOCKING.model_copy(update={"electrolyte_thickness_m": None})
    run = StoredRun(store, program(sweep(0), cell=bare))
    run.spectrum(0, cell_impedance(20.0, 30.0))
    results = await found(run)
    assert "conductivity_mS_per_cm" not in results
    assert "no thickness" in results["warnings"][0]


# Sweeps


def voltammogram(store: Store, rates: list[float], separation_V: Callable[[float], float]) -> StoredRun:
    """Peaks of 1 mA at 1 mV/s that grow with √v."""
    first = swept(0, rates[0], 3.4, 4.0)
    loops = [
        Repeat(total=2, stop=2, body=(swept(k, rate, 4.0, 2.6, 4.0),)) for k, rate in enumerate(rates, 1)
    ]
    run = StoredRun(store, program(first, *loops, cell=HALF))
    volts = np.concatenate([np.linspace(4.0, 2.6, 1400), np.linspace(2.6, 4.0, 1400)])
    sign = np.repeat([-1.0, 1.0], 1400)
    for k, rate in enumerate(rates, 1):
        height_A = 1e-3 * (rate / 1e-3) ** 0.5
        centre_V = 3.4 + sign * separation_V(rate) / 2.0
        amps = sign * height_A * np.exp(-(((volts - centre_V) / 0.05) ** 2))
        for visit in range(2):
            run.samples(k, np.linspace(0.0, 2.8 / rate, 2800), volts, amps, visit)
    return run


async def test_each_cycle_of_a_voltammogram_has_its_peaks(store: Store) -> None:
    run = voltammogram(store, [1e-4, 1e-3], lambda rate: 0.3 if rate < 5e-4 else 0.7)
    results = await found(run)
    rows = results["voltammetry"]
    assert [(row["rate_mV_per_s"], row["cycle"]) for row in rows] == [(0.1, 1), (0.1, 2), (1.0, 1), (1.0, 2)]
    assert [row["separation_mV"] for row in rows] == pytest.approx([300, 300, 700, 700], abs=5)
    assert rows[3]["cathodic_peak_mA"] == pytest.approx(-1.0, rel=0.01)
    assert results["anodic_slope_mA_per_sqrt_mV_per_s"] == pytest.approx(1.0, rel=0.01)
    assert results["cathodic_slope_mA_per_sqrt_mV_per_s"] == pytest.approx(-1.0, rel=0.01)
    assert results["anodic_intercept_mA"] == pytest.approx(0.0, abs=0.01)
    assert "stability_limit_V" not in results


async def test_peaks_beyond_the_range_are_said_to_be_missing(store: Store) -> None:
    results = await found(voltammogram(store, [1e-4, 1e-3], lambda rate: 0.3 if rate < 5e-4 else 1.3))
    assert [row["separation_mV"] is None for row in results["voltammetry"]] == [False, False, True, True]
    assert "2 of 4 cycles" in results["warnings"][0]
    assert "anodic_slope_mA_per_sqrt_mV_per_s" not in results


def window(store: Store, cell: Cell, current_A: Callable[[Floats], Floats]) -> StoredRun:
    run = StoredRun(store, program(swept(0, 1e-4, 3.0, 5.0), cell=cell))
    volts = np.linspace(3.0, 5.0, 2000)
    run.samples(0, np.linspace(0.0, 2e4, 2000), volts, current_A(volts))
    return run


async def test_a_sweep_to_one_side_gives_the_window(store: Store) -> None:
    # 0.1 A/m² of 1 cm² are 10 µA.
    results = await found(window(store, HALF, lambda volts: 1e-3 * np.clip(volts - 4.5, 0.0, None)))
    assert results["stability_limit_V"] == pytest.approx(4.51, abs=0.002)
    assert results["stability_limit_by_tangent_V"] == pytest.approx(4.5, abs=0.005)
    assert results["stability_limit_at_mA_per_cm2"] == pytest.approx(0.01)


async def test_a_window_that_was_not_reached_is_none_and_says_how_far_it_went(store: Store) -> None:
    results = await found(window(store, HALF, np.zeros_like))
    assert results["stability_limit_V"] is None
    assert "E went to 5 V" in results["warnings"][0]


async def test_between_two_lithium_electrodes_a_sweep_shows_no_window(store: Store) -> None:
    results = await found(window(store, LI_LI, lambda volts: 1e-3 * np.clip(volts - 4.5, 0.0, None)))
    assert "stability_limit_V" not in results


def tafel(store: Store, exchange_A: float, *, with_spectrum: bool = True) -> StoredRun:
    before = (sweep(0),) if with_spectrum else ()
    run = StoredRun(store, program(*before, swept(1, 5e-4, 0.0, -0.2, 0.2, relative=True), cell=LI_LI))
    if with_spectrum:
        run.spectrum(0, cell_impedance(30.0, 100.0), voltage_V=0.003)
    per_volt = FARADAY_C_PER_MOL / (GAS_J_PER_MOL_K * LI_LI.temperature_K)
    eta = np.concatenate([np.linspace(0.0, -0.05, 500), np.linspace(-0.05, 0.05, 1000)])
    amps = 2.0 * exchange_A * np.sinh(0.5 * per_volt * eta)
    run.samples(1, np.linspace(0.0, 1200.0, 1500), 0.003 + 2.0 * eta + 30.0 * amps, amps)
    return run


async def test_a_sweep_to_both_sides_gives_the_exchange_current(store: Store) -> None:
    results = await found(tafel(store, 1e-4))
    assert results["exchange_current_mA_per_cm2"] == pytest.approx(0.1, rel=0.01)
    assert results["charge_transfer_ohm"] == pytest.approx(257, rel=0.01)
    assert results["transfer_coefficient"] == pytest.approx(0.5, abs=0.01)


async def test_an_exchange_current_that_is_too_large_is_not_resolvable(store: Store) -> None:
    results = await found(tafel(store, 1.0))
    assert results["exchange_current_mA"] is None
    assert "not resolvable" in results["warnings"][0]


async def test_without_a_spectrum_there_is_no_exchange_current(store: Store) -> None:
    results = await found(tafel(store, 1e-4, with_spectrum=False))
    assert "exchange_current_mA" not in results
    assert "needs a spectrum" in results["warnings"][0]


# Plating


def half_cycle(run: StoredRun, number: int, step: int, current_A: float, seconds: float) -> HalfCycle:
    return HalfCycle(
        number=number,
        step=step,
        visit=0,
        t_start_s=run.t_s,
        t_end_s=run.t_s + seconds,
        set_current_A=current_A,
        current_A=current_A,
        charge_C=current_A * seconds,
        planned_charge_C=None,
        complete=True,
        overpotential_V=abs(current_A) * 100.0,
        voltage_min_V=0.0,
        voltage_max_V=0.1,
        voltage_end_V=0.05,
    )


def dense(whole: Program) -> Program:
    nodes = tuple(node.model_copy(update={"dense_s": 60.0}) for node in whole.steps)
    return whole.model_copy(update={"steps": nodes})


def plated(
    run: StoredRun, number: int, step: int, current_A: float, spike_V: float, interval_s: float
) -> None:
    """600 s of 100 Ω, with a spike that has gone after some seconds."""
    t_s = np.concatenate([np.arange(0.0, 60.0, interval_s), np.arange(60.0, 601.0)])
    run.half_cycle(half_cycle(run, number, step, current_A, 600.0))
    spike = spike_V * (1.0 - np.exp(-t_s / 0.5)) * np.exp(-t_s / 5.0)
    run.samples(
        step, t_s, np.sign(current_A) * (abs(current_A) * 100.0 + spike), np.full_like(t_s, current_A)
    )


def _highest(spike_V: float) -> float:
    t_s = np.linspace(0.0, 5.0, 5001)
    return float((spike_V * (1.0 - np.exp(-t_s / 0.5)) * np.exp(-t_s / 5.0)).max())


async def test_each_step_of_a_ladder_of_currents_has_its_spike(store: Store) -> None:
    currents = [2e-4, -2e-4, 4e-4, -4e-4]
    steps = [driven(k, current_A, 600.0) for k, current_A in enumerate(currents)]
    run = StoredRun(store, dense(program(*steps, cell=LI_LI)))
    for k, current_A in enumerate(currents):
        plated(run, k, k, current_A, 50.0 * abs(current_A), 0.1)
    results = await found(run)
    assert [row["current_mA_per_cm2"] for row in results["v_sp"]] == [0.2, -0.2, 0.4, -0.4]
    per_j = _highest(50.0)
    assert [row["v_sp_per_j_ohm_cm2"] for row in results["v_sp"]] == pytest.approx([per_j] * 4, rel=0.02)
    assert "warnings" not in results
    assert results["overpotential_mean_mV"] == pytest.approx((20 * 2 + 40 * 4) / 6, rel=1e-5)


async def test_spikes_that_were_sampled_too_seldom_are_said_to_be_uncertain(store: Store) -> None:
    run = StoredRun(store, dense(program(driven(0, 2e-4, 600.0), driven(1, -2e-4, 600.0), cell=LI_LI)))
    for k, current_A in enumerate([2e-4, -2e-4]):
        plated(run, k, k, current_A, 0.05, 2.0)
    assert "2 spikes" in (await found(run))["warnings"][0]


async def test_one_way_plating_has_a_dip_and_a_plateau(store: Store) -> None:
    copper = LI_LI.model_copy(update={"geometry": "asymmetric", "working": Electrode()})
    run = StoredRun(store, dense(program(driven(0, -1e-4, 600.0), cell=copper)))
    plated(run, 0, 0, -1e-4, 0.02, 0.1)
    results = await found(run)
    assert results["nucleation_plateau_mV"] == pytest.approx(10.0, rel=1e-3)
    assert results["nucleation_overpotential_mV"] == pytest.approx(1e3 * _highest(0.02), rel=0.02)
    assert "v_sp" not in results


async def test_a_run_that_ended_before_anything_was_measured_has_no_results_of_its_kind(store: Store) -> None:
    whole = program(sweep(0), held(1, 0.01), sweep(2), swept(3, 1e-3, 0.0, 0.1, -0.1), cell=LI_LI)
    results = await found(StoredRun(store, whole))
    assert results == {"hours": 0.0, "spectra": 0, "half_cycles": 0, "cycles": 0}


async def test_a_hold_that_was_cut_short_takes_nothing_from_the_other_results(store: Store) -> None:
    run = StoredRun(store, program(sweep(0), held(1, 0.05), cell=LI_LI))
    run.spectrum(0, cell_impedance(20.0, 30.0))
    run.samples(1, np.arange(3.0), np.full(3, 0.05), np.full(3, 1e-4))
    results = await found(run)
    assert results["spectra"] == 1
    assert "3 samples" in results["warnings"][0]
