"""A temperature chamber from service.toml to the status: simulation and daemon as real processes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from labbench import Lab, sandtime

from drivers.chamber import ZERO_CELSIUS_K
from scheduler.requests import ChamberInfo

OVEN = """\
[chambers.oven]
driver = "espec"
address = "simulation"
lowest_celsius = 10
highest_celsius = 80
[simulation_chambers.oven]
start_celsius = 25
ripple_K = 0
"""
CHAMBER_ONLY = f'data = "data"\n[instruments]\n[stations]\n[mqtt]\nenabled = false\n{OVEN}'


def oven(bench: Lab) -> ChamberInfo:
    with bench.client() as client:
        (info,) = client.status().chambers
        return info


def shown(bench: Lab) -> str:
    return sandtime("status", folder=bench.folder).stdout


@pytest.mark.parametrize("alone", [True, False])
def test_a_daemon_finds_its_chamber_whenever_the_simulation_comes(tmp_path: Path, alone: bool) -> None:
    bench = Lab(tmp_path, ["seed = 1"])
    text = bench.config.read_text(encoding="utf-8")
    with_oven = text.replace("channel = 1\n", 'channel = 1\nchamber = "oven"\n') + OVEN
    bench.config.write_text(CHAMBER_ONLY if alone else with_oven, encoding="utf-8")
    try:
        bench.start_daemon()
        bench.until(lambda: "sandtime simulate" in oven(bench).problem, "the reason why there is no contact")
        missing = oven(bench)
        assert (missing.reachable, missing.temperature_K, missing.setpoint_K) == (False, None, None)
        assert re.search(r"oven: NO CONTACT since .*\(no simulated chamber oven", shown(bench))
        bench.start_box()
        bench.until(lambda: oven(bench).temperature_K is not None, "contact with the chamber")
        found = oven(bench)
        assert (found.name, found.reachable, found.simulated, found.problem) == ("oven", True, True, "")
        assert found.temperature_K == pytest.approx(25 + ZERO_CELSIUS_K)
        assert found.setpoint_K == pytest.approx(25 + ZERO_CELSIUS_K)
        assert "oven: 25.0 °C, set to 25.0 °C (simulated)" in shown(bench)
        document = json.loads(sandtime("status", "--json", folder=bench.folder).stdout)
        assert document["chambers"][0]["name"] == "oven"
        assert [item["name"] for item in document["instruments"]] == ([] if alone else ["vsp"])
    finally:
        bench.end()
