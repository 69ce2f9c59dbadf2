"""What a lab asks of tests that are no cycling, through the whole system: box, driver, daemon, store.

The cells are models whose answers are known; see ``drivers.simulation.presets``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from labbench import Lab, lab, sandtime
from library_cells import CELLS

from protocols.protocol import find_protocol
from protocols.records import ENDED

SPEED = 4000.0
# Between two samples at 4000 times real speed more passes than the 0.5 s that the library's file asks for.
POLYMER = CELLS["transference_number"].replace("class: garnet", "class: polymer")
TRANSFERENCE = (
    find_protocol("transference_number").read_text(encoding="utf-8").replace("watch: 0.5 s", "watch: 5 s")
)
VOLTAMMETRY = """\
sandtime: 1
name: voltammetry
watch: 5 s
steps:
  - rest: {for: 1 min}
  - cyclic_voltammetry: {from: ocv, first: 4.0 V, second: 2.9 V, rates: [0.5 mV/s, 1 mV/s], cycles: 1}
"""
WINDOW = """\
sandtime: 1
name: window
watch: 1 s
steps:
  - rest: {for: 1 min}
  - linear_sweep: {from: 0 V, to: 1 V, rate: 1 mV/s}
"""
LADDER = """\
sandtime: 1
name: ladder
watch: 5 s
steps:
  - temperature: {to: 25 °C, within: 0.5 K, for: 5 min, at_most: 2 h}
  - peis: {amplitude: 10 mV, frequency: {from: 1 MHz, to: 1 Hz}}
  - temperature: {to: 35 °C, within: 0.5 K, for: 5 min, at_most: 2 h}
  - peis: {amplitude: 10 mV, frequency: {from: 1 MHz, to: 1 Hz}}
"""
TRIALS = {
    "transference": ("polymer_transference", "", POLYMER, TRANSFERENCE),
    "voltammetry": ("lfp_full", ", positive_mAh_per_cm2 = 0.2", CELLS["cv_rates"], VOLTAMMETRY),
    "window": ("blocking_carbon", "", CELLS["lsv_window"].replace("from: 0.5 V", "from: -0.5 V"), WINDOW),
    "ladder": ("blocking_carbon", "", CELLS["arrhenius_conductivity"], LADDER),
}
"""Preset, what differs from it, cell file and protocol. Little LFP: its peaks come after minutes."""


@dataclass(frozen=True)
class Bench:
    """A lab whose runs have ended."""

    lab: Lab
    runs: dict[str, int]

    def results(self, name: str) -> dict[str, Any]:
        found = self.lab.reader().results(self.runs[name])
        assert found is not None
        return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder: Path = tmp_path_factory.mktemp("results")
    channels = [f'preset = "{preset}"{other}' for preset, other, _, _ in TRIALS.values()]
    with lab(folder, channels, SPEED, in_chamber=list(TRIALS).index("ladder") + 1) as made:
        runs = {
            name: made.submit(protocol, f"s{place}", cell)
            for place, (name, (_, _, cell, protocol)) in enumerate(TRIALS.items(), start=1)
        }
        made.until(lambda: all(info.state in ENDED for info in made.reader().runs()), "the end of every run")
        made.until(lambda: all(made.reader().results(run) for run in runs.values()), "all results")
        assert [info.state for info in made.reader().runs()] == ["finished"] * len(runs)
        yield Bench(made, runs)


def test_a_polymer_gives_back_its_transference_number(bench: Bench) -> None:
    assert bench.results("transference")["transference_number"] == pytest.approx(0.2, abs=0.005)


def test_peaks_of_lfp_move_apart_with_the_rate(bench: Bench) -> None:
    slow, fast = bench.results("voltammetry")["voltammetry"]
    assert (slow["rate_mV_per_s"], fast["rate_mV_per_s"]) == (0.5, 1.0)
    assert slow["cathodic_peak_V"] < 3.43 < slow["anodic_peak_V"]
    assert 0 < slow["separation_mV"] < fast["separation_mV"]
    assert 0 < slow["anodic_peak_mA"] < fast["anodic_peak_mA"]
    assert bench.results("voltammetry")["anodic_slope_mA_per_sqrt_mV_per_s"] > 0


def test_carbon_that_only_leaks_has_no_limit(bench: Bench) -> None:
    results = bench.results("window")
    assert results["stability_limit_V"] is None
    assert "E went to 1 V" in results["warnings"][0]


def test_a_ladder_brings_a_conductivity_at_each_temperature_and_the_activation_energy(bench: Bench) -> None:
    results = bench.results("ladder")
    rows = results["conductivities"]
    assert [row["temperature_celsius"] for row in rows] == [25.0, 35.0]
    # 1 mm, 50 Ω cm².
    assert rows[0]["conductivity_mS_per_cm"] == pytest.approx(2.0, rel=0.02)
    assert {"activation_energy_eV", "activation_energy_of_sigma_T_eV"} <= set(results)


def test_the_command_computes_the_same_again(bench: Bench) -> None:
    folder, run = bench.lab.folder, bench.runs["transference"]
    done = sandtime("analyze", "run", str(run), "--json", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["results"] == bench.results("transference")
    assert (document["run"], document["state"], document["verdict"]) == (run, "finished", None)
    told = sandtime("analyze", "run", str(bench.runs["voltammetry"]), folder=folder).stdout
    assert "voltammetry on LFP against lithium, finished" in told
    assert "rate_mV_per_s 0.5, cycle 1, anodic_peak_V" in told


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [(("99",), 2, "there is no run 99"), (("1", "--deduct", "5 V"), 3, "a resistance"), ((), 2, "RUN")],
)
def test_what_the_command_can_not_do_ends_in_a_code(
    bench: Bench, arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = sandtime("analyze", "run", *arguments, folder=bench.lab.folder)
    assert (done.returncode, done.stdout) == (code, "")
    assert says.lower() in done.stderr.lower()
