"""A simulated cell in a simulated chamber: it follows the air, however its time is cut."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.simulation.config import SimulationConfig
from drivers.simulation.warmth import GRID_S, Warmth
from protocols.errors import InvalidFileError

COLD_K, HOT_K = 293.15, 333.15
OVEN = "[simulation_chambers.oven]\nstart_celsius = 20\n"
WIRED = '[simulation.{name}]\naddress = "10.0.0.{name}"\nchannels.1 = {{ chamber = "oven" }}\n'


def test_a_cell_follows_the_air_with_its_time_constant() -> None:
    warmth = Warmth(lambda now_s: COLD_K if now_s < 10 * GRID_S else HOT_K, tau_s=600.0)
    assert not warmth.reach(9 * GRID_S)
    assert warmth.kelvin == COLD_K
    warmth.reach(19 * GRID_S)
    assert (warmth.kelvin - COLD_K) / (HOT_K - COLD_K) == pytest.approx(1 - 1 / 2.71828, abs=1e-3)
    warmth.reach(200 * GRID_S)
    assert warmth.kelvin == pytest.approx(HOT_K, abs=1e-3)


@given(st.lists(st.floats(0.0, 5000.0), min_size=1, max_size=8))
def test_how_the_time_is_cut_makes_no_difference(strides: list[float]) -> None:
    def air_K(now_s: float) -> float:
        return COLD_K + 0.01 * (now_s % 700.0)

    cut, whole = Warmth(air_K, 600.0), Warmth(air_K, 600.0)
    now_s = 0.0
    for stride in strides:
        now_s += stride
        cut.reach(now_s)
    whole.reach(now_s)
    assert cut.kelvin == whole.kelvin


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (WIRED.format(name="1"), "there is no such chamber"),
        (WIRED.format(name="1") + WIRED.format(name="2") + OVEN, "holds cells of 1 and of 2"),
    ],
)
def test_a_chamber_that_cannot_hold_the_cell_is_named(text: str, named: str) -> None:
    tables = tomllib.loads(text)
    with pytest.raises(InvalidFileError, match=named):
        SimulationConfig.from_table(
            tables["simulation"], "service.toml", tables.get("simulation_chambers", {})
        )
