"""A ladder of temperatures at high speed: chamber, cell and instrument keep together. Real processes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from labbench import lab
from library_cells import CELLS

from drivers.chamber import ZERO_CELSIUS_K
from protocols.protocol import find_protocol

ENERGY_EV, BOLTZMANN_EV_PER_K = 0.4, 8.617333e-5
CELL = f'chamber = "oven", bulk_ohm_cm2 = 400, bulk_activation_eV = {ENERGY_EV}, area_cm2 = 0.5'
HEATING_S = 10.0 / 3.0 * 60.0
STEP_AT_MOST_S = 3 * 3600.0
"""Heating, settling, ten minutes there, and a spectrum every quarter of an hour until two agree within 1 %:
the cell follows with 10 min."""


def test_a_run_finds_its_cell_at_each_temperature(tmp_path: Path) -> None:
    protocol = find_protocol("arrhenius_conductivity").read_text(encoding="utf-8")
    settings = {"coldest": "30 °C", "step": "10 K", "warmest": "60 °C", "slowest": "100 Hz"}
    with lab(tmp_path, [CELL], speed=10_000.0, in_chamber=1) as bench:
        run = bench.submit(protocol, "s1", CELLS["arrhenius_conductivity"], settings)
        info = bench.until_ended(run)
        assert info.state == "finished", info.reason
        spectra = [spectrum for spectrum, _ in bench.reader().spectra(run)]
    # The longer spectra are the results; the others show whether the cell has settled.
    results = [spectrum for spectrum in spectra if min(spectrum.frequency_Hz) < 200]
    assert len(results) == 4
    for rung, spectrum in enumerate(results):
        kelvin = 30.0 + 10.0 * rung + ZERO_CELSIUS_K
        inverse_kT = (1 / kelvin - 1 / 298.15) / BOLTZMANN_EV_PER_K
        expected_ohm = 400 / 0.5 * math.exp(ENERGY_EV * inverse_kT)
        assert spectrum.z_real_ohm[0] == pytest.approx(expected_ohm, rel=0.03)
    assert info.t_s < 4 * (HEATING_S + STEP_AT_MOST_S)
