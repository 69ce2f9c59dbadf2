"""A short is told from all that healthy cells do between two spectra: over cells, noise and grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arcs import spectrum_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.admittance_change import Change, compare_spectra
from drivers.simulation.cells import Cell
from drivers.simulation.presets import describe
from protocols.impedance import zarc
from protocols.measurements import Spectrum

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

GRIDS = {
    "to 1 MHz": (np.geomspace(1e6, 1e-2, 81), np.geomspace(1e6, 1e-2, 81)),
    "another grid before": (np.geomspace(7e6, 2e-2, 61), np.geomspace(1e6, 1e-2, 81)),
    "to 1 Hz": (np.geomspace(1e6, 1.0, 61), np.geomspace(1e6, 1.0, 49)),
}
NOISES = (1e-3, 3e-3, 1e-2)
LI_LI = ("generic_symmetric", "tfoh_llzto", "air_llzto", "polymer_transference", "mii2_100_100")
CELLS = (*LI_LI, "blocking_carbon")
STILL: dict[str, Any] = {"activation": 0.0, "nucleation": 0.0, "contact_loss_cm2_per_mAh": 0.0}


def cell(preset: str, **overrides: object) -> Cell:
    return describe(preset, STILL | overrides).build()


def with_arcs(preset: str, factor: float = 1.0, **more: object) -> Cell:
    """A cell whose interfaces (not the grain boundaries) have so many times their resistance."""
    arcs = [arc.model_dump() for arc in describe(preset).arcs]
    for arc in arcs:
        arc["resistance_ohm_cm2"] *= factor if arc["interface"] else 1.0
        arc.update({key: value for key, value in more.items() if key in arc})
    return cell(preset, arcs=arcs, **{key: value for key, value in more.items() if key not in arcs[0]})


def spectrum(f: Floats, z: Complexes, noise: float, seed: int) -> Spectrum:
    parts = np.random.default_rng([seed, len(f)]).standard_normal((2, len(f)))
    z = z + noise * np.abs(z) * (parts[0] + 1j * parts[1])
    return spectrum_of(f, z)


def shorted(z: Complexes, parallel_ohm: float) -> Complexes:
    return np.asarray(1 / (1 / z + 1 / parallel_ohm))


def dc_ohm(preset: str) -> float:
    """Resistance that shorts are measured against; between blocking electrodes that of the electrolyte."""
    built = cell(preset)
    return built.circuit.bulk_ohm if preset == "blocking_carbon" else built.resistance_ohm


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("grids", GRIDS)
@pytest.mark.parametrize("preset", CELLS)
def test_a_resistor_in_parallel_is_found_and_measured(preset: str, grids: str, noise: float) -> None:
    f_before, f_now = GRIDS[grids]
    sound = cell(preset)
    before = spectrum(f_before, sound.spectrum(f_before), noise, 1)
    for times in (3.0, 1.0, 0.5, 0.2, 0.05):
        ohm = times * dc_ohm(preset)
        found = compare_spectra(before, spectrum(f_now, shorted(sound.spectrum(f_now), ohm), noise, 2))
        if (preset, noise, times) == ("air_llzto", 1e-2, 3.0):
            # Seen at low frequencies, hidden by the noise where only the bulk is left.
            assert found.kind in ("undecided", "parallel_resistor")
            continue
        assert found.kind == "parallel_resistor", (times, found)
        assert found.parallel_ohm is not None
        assert found.std_ohm is not None
        assert found.parallel_ohm == pytest.approx(ohm, abs=4 * found.std_ohm)
        assert found.std_ohm < 0.1 * ohm
        assert found.flat_decades >= 3.0


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("grids", GRIDS)
@pytest.mark.parametrize("preset", LI_LI)
def test_what_interfaces_do_is_no_short(preset: str, grids: str, noise: float) -> None:
    """Activation by 40 %, alloying as in study A (220 → 170 Ω), an interface that grows."""
    f_before, f_now = GRIDS[grids]
    before = spectrum(f_before, cell(preset).spectrum(f_before), noise, 1)
    for factor in (0.6, 170 / 220, 1.8):
        found = compare_spectra(before, spectrum(f_now, with_arcs(preset, factor).spectrum(f_now), noise, 2))
        assert found.kind in ("interface", "undecided"), (factor, found)
        if grids != "to 1 Hz":
            assert found.kind == "interface", (factor, found)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("grids", GRIDS)
@pytest.mark.parametrize("preset", CELLS)
def test_a_temperature_is_no_short(preset: str, grids: str, noise: float) -> None:
    f_before, f_now = GRIDS[grids]
    heated = with_arcs(preset, activation_eV=0.45, bulk_activation_eV=0.35)
    before = spectrum(f_before, heated.spectrum(f_before), noise, 1)
    for kelvin in (5.0, 15.0, -5.0):
        heated.set_temperature(298.15 + kelvin)
        found = compare_spectra(before, spectrum(f_now, heated.spectrum(f_now), noise, 2))
        assert found.kind in ("whole_cell", "contact"), (kelvin, found)
        # Colder, or less contact: time constants tell, through little noise.
        assert kelvin < 0 < noise - 3e-3 or found.kind == "whole_cell" or grids == "to 1 Hz", (kelvin, found)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("preset", ["b_llzto", "b_pma", "c_tfoh_llzto", "e_cnt5"])
def test_a_cell_that_is_nearly_all_bulk_is_not_short_because_it_is_warm(preset: str, noise: float) -> None:
    f = GRIDS["to 1 MHz"][0]
    for bulk_eV, arcs_eV in ((0.35, 0.45), (0.5, 0.5), (0.4, 0.3)):
        heated = with_arcs(preset, activation_eV=arcs_eV, bulk_activation_eV=bulk_eV)
        before = spectrum(f, heated.spectrum(f), noise, 1)
        for kelvin in (5.0, 15.0):
            heated.set_temperature(heated.parameters.temperature_K + kelvin)
            found = compare_spectra(before, spectrum(f, heated.spectrum(f), noise, 2))
            heated.set_temperature(heated.parameters.temperature_K)
            assert found.kind in ("whole_cell", "undecided"), found


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("preset", CELLS)
def test_lost_contact_raises_the_head(preset: str, noise: float) -> None:
    f = GRIDS["to 1 MHz"][0]
    z = cell(preset).spectrum(f)
    before = spectrum(f, z, noise, 1)
    for now in (1.3 * z, z + 0.3 * abs(z[0])):
        found = compare_spectra(before, spectrum(f, now, noise, 2))
        assert found.kind == "contact", found
        assert found.head_ratio == pytest.approx(1.3, abs=0.05)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("grids", GRIDS)
@pytest.mark.parametrize("preset", CELLS)
def test_nothing_has_changed(preset: str, grids: str, noise: float) -> None:
    f_before, f_now = GRIDS[grids]
    sound = cell(preset)
    for seed in range(5):
        before = spectrum(f_before, sound.spectrum(f_before), noise, seed)
        now = spectrum(f_now, 1.004 * sound.spectrum(f_now), noise, seed + 100)
        assert compare_spectra(before, now).kind == "none"


def test_a_soft_short_of_the_cell_model_is_found_and_so_is_its_end() -> None:
    f = GRIDS["to 1 MHz"][0]
    living = cell("generic_symmetric", soft_from_mAh_per_cm2=0.1, soft_residual=0.5, working_um=100.0)
    before = spectrum(f, living.spectrum(f), 3e-3, 1)
    living.advance(0.5e-3, np.array([1800.0]))
    living.drive(0.0)
    now = spectrum(f, living.spectrum(f), 3e-3, 2)
    assert compare_spectra(before, now).kind == "parallel_resistor"
    living.let_pass(24 * 3600.0)
    healed = spectrum(f, living.spectrum(f), 3e-3, 3)
    assert compare_spectra(before, healed).kind == "none"
    assert compare_spectra(now, healed).kind != "parallel_resistor"


@given(
    st.floats(0.2, 0.9), st.floats(3e-6, 1.0), st.floats(0.75, 1.0), st.floats(0.003, 3.0), st.integers(0, 99)
)
def test_an_arc_that_keeps_its_capacitance_is_never_called_a_short(
    factor: float, tau_s: float, alpha: float, head: float, seed: int
) -> None:
    """Its own ΔY is real and flat; the bulk, however small, is not in parallel to it."""
    f = GRIDS["to 1 MHz"][0]
    before = head * 100.0 + zarc(f, 100.0, tau_s, alpha)
    now = head * 100.0 + zarc(f, factor * 100.0, tau_s * factor ** (1 / alpha), alpha)
    found = compare_spectra(spectrum(f, before, 3e-3, seed), spectrum(f, now, 3e-3, seed + 1000))
    assert found.kind != "parallel_resistor"


def test_a_weak_short_of_a_cell_with_next_to_no_bulk_is_not_guessed() -> None:
    f = GRIDS["to 1 MHz"][0]
    z = 0.3 + zarc(f, 100.0, 1e-3, 1.0)
    found = compare_spectra(spectrum(f, z, 1e-2, 1), spectrum(f, shorted(z, 200.0), 1e-2, 2))
    assert found.kind == "undecided"
    assert found.parallel_ohm == pytest.approx(200.0, rel=0.1)


def test_a_cell_that_is_all_bulk_is_short_once_it_has_less_than_its_bulk() -> None:
    f = GRIDS["to 1 MHz"][0]
    z = 50.0 + zarc(f, 5.0, 1e-3, 0.9)
    before = spectrum(f, z, 3e-3, 1)
    assert compare_spectra(before, spectrum(f, shorted(z, 100.0), 3e-3, 2)).kind == "undecided"
    assert compare_spectra(before, spectrum(f, shorted(z, 20.0), 3e-3, 2)).kind == "parallel_resistor"


@pytest.mark.parametrize("ohm", [1.0, 10.0, 50.0])
def test_leads_outside_of_the_short_do_not_hide_it(ohm: float) -> None:
    f = GRIDS["to 1 MHz"][0]
    inside = 20.0 + zarc(f, 30.0, 1e-3, 0.85)
    leads = 0.1 + 2j * np.pi * f * 1e-6
    found = compare_spectra(
        spectrum(f, inside + leads, 3e-3, 1), spectrum(f, shorted(inside, ohm) + leads, 3e-3, 2)
    )
    assert found.kind == "parallel_resistor"
    assert found.parallel_ohm == pytest.approx(ohm, rel=0.15)


@pytest.mark.parametrize("preset", LI_LI)
def test_a_short_beside_an_activated_interface_is_not_called_activation(preset: str) -> None:
    f = GRIDS["to 1 MHz"][0]
    before = spectrum(f, cell(preset).spectrum(f), 3e-3, 1)
    for times in (1.0, 0.5, 0.2):
        ohm = times * dc_ohm(preset)
        now = spectrum(f, shorted(with_arcs(preset, 0.6).spectrum(f), ohm), 3e-3, 2)
        found = compare_spectra(before, now)
        assert found.kind in ("parallel_resistor", "undecided")
        assert found.parallel_ohm == pytest.approx(ohm, rel=0.25)


def test_too_little_in_common_says_nothing() -> None:
    f = np.geomspace(1e6, 1e-2, 81)
    z = cell("generic_symmetric").spectrum(f)
    whole = spectrum(f, z, 1e-3, 1)

    def says(kept: slice | list[int]) -> Change:
        return compare_spectra(whole, spectrum(f[kept], shorted(z[kept], 5.0), 1e-3, 2))

    assert says(slice(0, 81)).kind == "parallel_resistor"
    for kept in (slice(0, 25), [0, 20, 40, 60, 80], [5]):
        assert says(kept).kind == "undecided"
    nothing = spectrum(f, np.zeros(81, dtype=np.complex128), 0.0, 1)
    assert compare_spectra(whole, nothing).kind == compare_spectra(nothing, whole).kind == "undecided"
    apart = spectrum(np.geomspace(1e-3, 1e-6, 40), z[:40], 1e-3, 1)
    assert compare_spectra(apart, whole).kind == "undecided"


@pytest.mark.parametrize("seed", range(100))
def test_cells_at_random(seed: int) -> None:
    """Up to three arcs anywhere behind any bulk: no interface is called a short, no short an interface."""
    rng = np.random.default_rng(seed)
    f, count, noise = GRIDS["to 1 MHz"][0], int(rng.integers(1, 4)), float(10 ** rng.uniform(-3, -2))
    bulk, ohms = 10 ** rng.uniform(0, 2.5), 10 ** rng.uniform(0.3, 2.7, count)
    taus, alphas = 10 ** rng.uniform(-6, 0.5, count), rng.uniform(0.75, 1.0, count)

    def measured(factors: Floats, capacitance_stays: bool = False) -> Complexes:
        moved = taus * factors ** (1 / alphas) if capacitance_stays else taus
        arcs = [zarc(f, *arc) for arc in zip(ohms * factors, moved, alphas, strict=True)]
        return np.asarray(bulk + np.sum(arcs, axis=0))

    z = measured(np.ones(count))
    before = spectrum(f, z, noise, seed)
    factors = rng.uniform(0.3, 0.95, count)
    for now in (measured(factors), measured(factors, capacitance_stays=True)):
        assert compare_spectra(before, spectrum(f, now, noise, seed + 1000)).kind != "parallel_resistor"
    ohm = (bulk + ohms.sum()) * 10 ** rng.uniform(np.log10(0.05), np.log10(3.0))
    found = compare_spectra(before, spectrum(f, shorted(z, ohm), noise, seed + 2000))
    assert found.kind in ("parallel_resistor", "undecided")
    assert found.parallel_ohm == pytest.approx(ohm, rel=0.15)
