"""Independent judges of the simulated cells, where they are installed (make .venv/.judges): PyBaMM for
open-circuit voltages and diffusion in particles, impedance.py for spectra.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
import pytest
from services import needs

from drivers.simulation.electrode import PositiveElectrode, particle_relaxations
from drivers.simulation.open_circuit import CURVES
from drivers.simulation.presets import describe
from protocols.impedance import zarc

CM2 = 1e-4
HOUR = 3600.0


def judge(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> Any:
    needs(name, importlib.util.find_spec(module.partition(".")[0]) is not None)
    monkeypatch.setenv("PYBAMM_DISABLE_TELEMETRY", "true")
    return importlib.import_module(module)


@pytest.fixture
def pybamm(monkeypatch: pytest.MonkeyPatch) -> Any:
    return judge(monkeypatch, "pybamm", "PyBaMM")


@pytest.fixture
def circuits(monkeypatch: pytest.MonkeyPatch) -> Any:
    return judge(monkeypatch, "impedance.models.circuits", "impedance.py")


@pytest.mark.parametrize(
    ("curve", "parameter_set", "full", "empty"),
    [
        ("lfp", "Prada2013", 1.0, 0.0),
        ("ncm811", "Chen2020", 0.9084, 0.262),
        # Its fit is over the lithium content times 1.062.
        ("lco", "Marquis2019", 0.99 / 1.062, 0.296 / 1.062),
    ],
)
def test_open_circuit_voltages_are_those_of_pybamm(
    pybamm: Any, curve: str, parameter_set: str, full: float, empty: float
) -> None:
    reference = pybamm.ParameterValues(parameter_set)["Positive electrode OCP [V]"]
    x = np.linspace(0.1, 0.9, 81)
    expected = [float(reference(pybamm.Scalar(full + part * (empty - full))).evaluate()) for part in x]
    assert CURVES[curve].volts(x) == pytest.approx(expected, abs=0.004)


def test_the_surface_of_a_particle_is_that_of_pybamm_s_single_particle_model(pybamm: Any) -> None:
    values = pybamm.ParameterValues("Chen2020")
    model = pybamm.lithium_ion.SPM()
    # Its usual 20 shells are too coarse for the first minute.
    points = model.default_var_pts | {"r_p": 120}
    solution = pybamm.Simulation(model, parameter_values=values, var_pts=points).solve([0, 2400])
    times_s = np.array([60.0, 300.0, 1200.0, 2400.0])
    mean = solution["Average positive particle stoichiometry"](times_s)
    surface = solution["X-averaged positive particle surface stoichiometry"](times_s)
    rate = (mean[-1] - mean[0]) / (times_s[-1] - times_s[0])
    diffusion_s = (
        values["Positive particle radius [m]"] ** 2 / values["Positive particle diffusivity [m2.s-1]"]
    )
    made = PositiveElectrode(1.0, CURVES["ncm811"], particle_relaxations(diffusion_s))
    ours = made.surface(made.fresh(1.0), rate, times_s) - rate * times_s
    assert ours == pytest.approx(surface - mean, rel=0.02)


def test_a_zarc_is_that_of_impedance_py(circuits: Any) -> None:
    frequency_Hz = np.geomspace(1e6, 1e-2, 33)
    resistance_ohm, tau_s, alpha = 120.0, 1e-3, 0.85
    guess = [resistance_ohm, tau_s**alpha / resistance_ohm, alpha]
    circuit = circuits.CustomCircuit("p(R0,CPE0)", initial_guess=guess)
    with pytest.warns(UserWarning, match="initial parameters"):
        reference = circuit.predict(frequency_Hz)
    np.testing.assert_allclose(zarc(frequency_Hz, resistance_ohm, tau_s, alpha), reference, rtol=1e-9)


def test_the_spectrum_of_a_cell_is_fitted_by_impedance_py_with_the_values_it_was_made_of(
    circuits: Any,
) -> None:
    arcs = [
        {"resistance_ohm_cm2": 30.0, "tau_s": 1e-5, "alpha": 0.9, "interface": False},
        {"resistance_ohm_cm2": 60.0, "tau_s": 1e-2, "alpha": 0.9},
    ]
    steady = {"activation": 0.0, "nucleation": 0.0, "contact_loss_cm2_per_mAh": 0.0, "inductance_H": 0.0}
    cell = describe("generic_symmetric", {"area_cm2": 1.0, "bulk_ohm_cm2": 40.0, "arcs": arcs, **steady})
    frequency_Hz = np.geomspace(1e6, 1e-1, 71)
    guess = [30.0, 20.0, 1e-6, 0.8, 80.0, 1e-4, 0.8]
    fitted = circuits.CustomCircuit("R0-p(R1,CPE1)-p(R2,CPE2)", initial_guess=guess)
    fitted.fit(frequency_Hz, cell.build().spectrum(frequency_Hz))
    assert fitted.parameters_[[0, 1, 4]] == pytest.approx([40.0, 30.0, 60.0], rel=0.03)
