"""Every protocol of the library, shortened, on a simulated station: real box, real driver, real daemon.

What the numbers of the cells are is the business of the virtual lab; here each test has to run to its
planned end and to bring what it is made for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from labbench import Lab, lab
from library_cells import CELLS as FITTING

from monitor.commands.files import capabilities_for
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.plan import make_plan
from protocols.protocol import find_protocol, library_protocols, parse_protocol
from protocols.records import ENDED

SPEED = 4000.0


@dataclass(frozen=True)
class Trial:
    """One protocol on one simulated cell."""

    preset: str
    settings: dict[str, str] = field(default_factory=dict)
    spectra: int = 0
    half_cycles: int = 0
    cycles: int = 0
    ends: str = "finished"


NARROW = {"upper": "3.8 V", "lower": "3.7 V", "cutoff": "0.5 C"}
SHORT = {"current": "0.5 mA/cm²", "capacity": "0.02 mAh/cm²"}
TRIALS = {
    "arrhenius_conductivity": Trial("generic_symmetric", {"coldest": "25 °C", "warmest": "35 °C"}, spectra=6),
    "asymmetric_depletion": Trial("mii2_100_100", {"cycles": "2", "capacity": "0.1 mAh/cm²"}, half_cycles=4),
    "ccd_constant_capacity": Trial(
        "generic_symmetric", {"highest": "0.3 mA/cm²", "capacity": "0.02 mAh/cm²"}, spectra=2, half_cycles=6
    ),
    "ccd_constant_time": Trial(
        "generic_symmetric", {"highest": "0.2 mA/cm²", "half_cycle": "10 min"}, spectra=2, half_cycles=4
    ),
    "cv_rates": Trial("lfp_full", {"cycles": "1", "upper": "3.45 V", "lower": "3.4 V"}),
    "eis_after_cycles": Trial(
        "generic_symmetric",
        {"capacity": "0.001 mAh/cm²", "current": "0.2 mA/cm²", "probe": "0.02 mA/cm²", "slowest": "10 Hz"},
        spectra=7,
        half_cycles=600,
        cycles=300,
    ),
    "eis_after_cycles_full_cell": Trial(
        "ncm_full",
        {"rate": "4 C", "cutoff": "1 C", "upper": "3.8 V", "lower": "3.7 V", "slowest": "10 Hz"},
        spectra=4,
        cycles=100,
    ),
    "electronic_conductivity": Trial("blocking_carbon", {"longest": "4 h"}, spectra=1),
    "in_situ_eis_cycling": Trial(
        "generic_symmetric",
        {"cycles": "1", "capacity": "0.02 mAh/cm²", "interval": "0.01 mAh/cm²", "slowest": "10 Hz"},
        spectra=5,
        half_cycles=2,
        cycles=1,
    ),
    "ionic_conductivity_dc": Trial("generic_symmetric", {"longest": "2 h"}, spectra=1),
    "long_cycling": Trial(
        "ncm_full", {**NARROW, "formation": "2 C", "rate": "2 C", "cycles": "2"}, half_cycles=10, cycles=5
    ),
    "lsv_window": Trial("blocking_carbon", {"highest": "0.5 V", "rate": "1 mV/s"}),
    "nucleation_overpotential": Trial("li_cu", {"time": "10 min"}, half_cycles=1),
    "plating_stripping_cu": Trial(
        "li_cu", {"capacity": "0.1 mAh/cm²", "cycles": "2"}, half_cycles=4, cycles=2
    ),
    "rate_test": Trial("ncm_full", {**NARROW, "charge": "2 C", "each": "1"}, half_cycles=12, cycles=6),
    "symmetric_cycling": Trial("generic_symmetric", {"cycles": "2", **SHORT}, half_cycles=4),
    "symmetric_cycling_with_activation": Trial(
        "generic_symmetric",
        {"activation_cycles": "2", "activation_capacity": "0.01 mAh/cm²", "cycles": "2", **SHORT},
        half_cycles=8,
        cycles=2,
    ),
    "tafel": Trial("generic_symmetric", {"width": "50 mV", "rate": "5 mV/s"}, spectra=1),
    "transference_number": Trial("polymer_transference", {"longest": "2 h"}, spectra=2),
    "unidirectional_geis": Trial(
        "llzto_unidirectional", {"interval": "10 min", "spectra": "2"}, spectra=3, half_cycles=1
    ),
    "v_sp_series": Trial(
        "generic_symmetric",
        {"start": "0.5 mA/cm²", "step": "0.5 mA/cm²", "highest": "1 mA/cm²", "capacity": "0.02 mAh/cm²"},
        half_cycles=4,
        cycles=2,
    ),
}
NAMES = list(TRIALS)
BRINGS = {
    "arrhenius_conductivity": "activation_energy_eV",
    "ccd_constant_capacity": "spectrum_after",
    "cv_rates": "voltammetry",
    "electronic_conductivity": "electronic_conductivity_S_per_cm",
    "ionic_conductivity_dc": "ionic_conductivity_S_per_cm",
    "lsv_window": "stability_limit_V",
    "nucleation_overpotential": "nucleation_dip_mV",
    "symmetric_cycling": "overpotential_mean_mV",
    "tafel": "exchange_current_mA",
    "transference_number": "transference_number",
    "v_sp_series": "v_sp",
}
"""Protocol → a result that only this kind of test has."""
# The simulated electrolyte with carbon rests at 0 V.
CELLS = {**FITTING, "lsv_window": FITTING["lsv_window"].replace("from: 0.5 V", "from: -0.5 V")}


def _text(name: str) -> str:
    """Return a protocol, watched less often: simulated hours would else take minutes."""
    text = find_protocol(name).read_text(encoding="utf-8")
    text = re.sub(r"^watch:.*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^steps:", "watch: 5 s\nsteps:", text, count=1, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, dict[str, int]]]:
    folder: Path = tmp_path_factory.mktemp("library")
    channels = [f'preset = "{TRIALS[name].preset}"' for name in NAMES]
    with lab(folder, channels, SPEED, in_chamber=NAMES.index("arrhenius_conductivity") + 1) as made:
        runs = {
            name: made.submit(_text(name), f"s{number}", CELLS[name], TRIALS[name].settings)
            for number, name in enumerate(NAMES, start=1)
        }
        made.until(
            lambda: all(info.state in ENDED for info in made.reader().runs()), "the end of every run", 100.0
        )
        made.until(lambda: all(made.reader().results(run) for run in runs.values()), "all results")
        yield made, runs


def test_every_protocol_of_the_library_is_tried() -> None:
    assert sorted(NAMES) == library_protocols()


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_to_its_planned_end(name: str, bench: tuple[Lab, dict[str, int]]) -> None:
    made, runs = bench
    trial, reader = TRIALS[name], made.reader()
    info = reader.run(runs[name])
    assert info.state == trial.ends, info.reason
    results = reader.results(runs[name])
    assert results is not None
    assert results["spectra"] == trial.spectra
    assert trial.half_cycles in (0, results["half_cycles"])
    assert trial.cycles in (0, results["cycles"])
    assert BRINGS.get(name, "hours") in results, results


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_holds(name: str, bench: tuple[Lab, dict[str, int]]) -> None:
    made, runs = bench
    able = capabilities_for(None, None)
    protocol = parse_protocol(_text(name), name, TRIALS[name].settings)
    plan = make_plan(compile_program(protocol, parse_cell(CELLS[name], name), able), able)
    reader = made.reader()
    duration_s = reader.run(runs[name]).t_s
    charge_C = sum(abs(half_cycle.charge_C) for half_cycle in reader.half_cycles(runs[name]))
    if plan.duration_is == "exact":
        # Between two segments time passes that no step has: a few seconds each at real speed.
        assert duration_s == pytest.approx(plan.duration_s, rel=0.01, abs=60)
    else:
        assert duration_s <= plan.duration_s * 1.01 + 60
    if plan.charge_is == "exact":
        assert charge_C == pytest.approx(plan.charge_C, rel=0.01)
    elif plan.charge_is == "at most":
        assert charge_C <= plan.charge_C * 1.01
