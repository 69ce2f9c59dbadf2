"""The simulated chamber: its air on a clock of the test, and its wire as a process, to the real driver."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.chamber import ZERO_CELSIUS_K, Chamber
from drivers.espec import create
from drivers.simulation.chamber import SimulatedChamber, approach
from drivers.simulation.config import ChamberConfig, SimulationConfig
from drivers.simulation.wire import find_address, find_chamber
from protocols.errors import InstrumentError, InvalidFileError, UnreachableError

REPOSITORY = Path(__file__).resolve().parents[2]
DEADLINE_S = 30.0
SECTION = {"address": "simulation", "lowest_celsius": -60, "highest_celsius": 200}
OVEN = "[simulation_chambers.oven]\nstart_celsius = 25\n"
BOX = '[simulation.box]\naddress = "10.0.0.1"\nchannels = {1 = {}}\n'


class Air:
    """A simulated chamber and its time."""

    def __init__(self, **config: float | bool) -> None:
        self.now_s = 1000.0
        self.chamber = SimulatedChamber(ChamberConfig.model_validate(config), lambda: self.now_s)

    def ask(self, *commands: str) -> list[str]:
        return [self.chamber.answer(command) for command in commands]

    def temperature(self, passed_s: float = 0.0) -> float:
        self.now_s += passed_s
        return float(self.ask("TEMP?")[0].split(",")[0])


def test_it_heats_at_its_rate_and_settles_at_the_set_point() -> None:
    air = Air(start_celsius=20, rate_K_per_min=2.0, settling_s=60.0, ripple_K=0.0, on=True)
    assert air.ask("TEMP, S60.0") == ["OK:TEMP, S60.0"]
    assert air.temperature(300.0) == pytest.approx(30.0)
    assert air.temperature(300.0) == pytest.approx(40.0)
    assert 57.0 < air.temperature(600.0) < 59.9
    assert air.temperature(1200.0) == pytest.approx(60.0)
    air.ask("TEMP,S20.0")
    assert air.temperature(300.0) == pytest.approx(50.0)


@given(
    st.floats(-40, 150),
    st.floats(-40, 150),
    st.lists(st.floats(0.0, 3000.0), min_size=1, max_size=8),
)
def test_how_often_one_looks_makes_no_difference(start: float, target: float, strides: list[float]) -> None:
    value = start
    for stride in strides:
        value = approach(value, target, 0.05, 60.0, stride)
    assert value == pytest.approx(approach(start, target, 0.05, 60.0, sum(strides)), abs=1e-6)
    assert min(start, target) - 1e-9 <= value <= max(start, target) + 1e-9


def test_its_control_ripples_while_it_is_on() -> None:
    air = Air(start_celsius=25, on=True, ripple_K=0.4)
    shown = {air.temperature(20.0) for _ in range(24)}
    assert min(shown) == pytest.approx(24.6)
    assert max(shown) == pytest.approx(25.4)
    air.ask("MODE,OFF")
    assert {air.temperature(20.0) for _ in range(24)} == {25.0}


def test_switched_off_it_drifts_to_the_room() -> None:
    air = Air(start_celsius=20, ripple_K=0.0, on=True)
    air.ask("TEMP,S50.0")
    assert air.temperature(7200.0) == 50.0
    assert air.ask("POWER,OFF", "MODE?") == ["OK:POWER,OFF", "OFF"]
    assert air.temperature(7200.0) == 20.0


def test_a_set_point_alone_switches_nothing_on() -> None:
    air = Air(start_celsius=20, ripple_K=0.0)
    assert air.ask("MODE?", "TEMP,S50.0", "MODE?") == ["OFF", "OK:TEMP,S50.0", "OFF"]
    assert air.temperature(7200.0) == 20.0
    assert air.ask("MODE,CONSTANT") == ["NA:CHB NOT READY"]
    assert air.ask("POWER,ON", "MODE?", "MODE, CONSTANT", "MODE?")[1::2] == ["STANDBY", "CONSTANT"]
    assert air.temperature(7200.0) == 50.0


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("TEMP,S151.0", "NA:DATA OUT OF RANGE"),
        ("TEMP,S-41", "NA:DATA OUT OF RANGE"),
        ("TEMP,Swarm", "NA:PARA ERR"),
        ("TEMP,Snan", "NA:PARA ERR"),
        ("MODE,PARTY", "NA:PARA ERR"),
        ("POWER,", "NA:PARA ERR"),
        ("OPEN DOOR", "NA:CMD ERR"),
        ("", "NA:CMD ERR"),
    ],
)
def test_what_it_does_not_understand_it_refuses(command: str, reply: str) -> None:
    air = Air(start_celsius=25)
    assert air.ask(command) == [reply]
    assert air.ask("TEMP?") == ["25.0,25.0,150.0,-40.0"]


# As a process


class Simulation:
    """The simulated instruments of a configuration as a child process of the test."""

    def __init__(self, folder: Path, config: str, speed: float) -> None:
        self.state_file = folder / "simulation.json"
        self._config = folder / "simulation.toml"
        self._config.write_text(config)
        self._speed = speed
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *options: str) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "drivers.simulation", "--speed", str(self._speed), *options),
            *("--config", str(self._config), "--state", str(self.state_file)),
            cwd=REPOSITORY,
        )
        async with asyncio.timeout(DEADLINE_S):
            while not self.state_file.exists():
                assert self._process.returncode is None
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def ended(self) -> int:
        assert self._process is not None
        async with asyncio.timeout(DEADLINE_S):
            return await self._process.wait()

    def chamber(self, name: str = "oven") -> Chamber:
        return create(name, SECTION, lambda: find_chamber(self.state_file, name))


@asynccontextmanager
async def simulation(
    folder: Path, config: str, speed: float = 1.0, *options: str
) -> AsyncIterator[Simulation]:
    made = Simulation(folder, config, speed)
    try:
        await made.start(*options)
        yield made
    finally:
        await made.end()


async def test_the_driver_heats_it_and_it_keeps_its_set_point_without_a_host(tmp_path: Path) -> None:
    async with simulation(tmp_path, OVEN + "on = true\n", speed=2000.0) as simulated:
        oven = simulated.chamber()
        assert oven.simulated
        await oven.connect()
        before = await oven.read()
        assert before.temperature_K == pytest.approx(25 + ZERO_CELSIUS_K, abs=0.2)
        await oven.set_temperature(60 + ZERO_CELSIUS_K)
        await oven.close()
        # Nobody is connected now; the next host finds it where it was sent.
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await oven.connect()
                reading = await oven.read()
                assert reading.running
                assert reading.setpoint_K == pytest.approx(60 + ZERO_CELSIUS_K)
                if math.isclose(reading.temperature_K, 60 + ZERO_CELSIUS_K, abs_tol=0.3):
                    break
                await oven.close()
        await oven.close()


async def test_a_chamber_that_is_off_is_switched_on_and_refuses_what_it_cannot(tmp_path: Path) -> None:
    async with simulation(tmp_path, OVEN) as simulated:
        oven = simulated.chamber()
        await oven.connect()
        assert not (await oven.read()).running
        with pytest.raises(InstrumentError, match="DATA OUT OF RANGE"):
            await oven.set_temperature(190 + ZERO_CELSIUS_K)
        assert not (await oven.read()).running
        await oven.set_temperature(25 + ZERO_CELSIUS_K)
        assert (await oven.read()).running
        await oven.close()


async def test_boxes_alone_and_both_together_work_and_a_missing_one_is_named(tmp_path: Path) -> None:
    async with simulation(tmp_path, BOX) as simulated:
        assert find_address(simulated.state_file, "10.0.0.1")[1] > 0
        with pytest.raises(UnreachableError, match=r"\[simulation_chambers\.oven\]"):
            await simulated.chamber().connect()
    with pytest.raises(UnreachableError, match="sandtime simulate"):
        await simulated.chamber().connect()
    async with simulation(tmp_path, BOX + OVEN) as both:
        assert find_address(both.state_file, "10.0.0.1") != find_chamber(both.state_file, "oven")
        oven = both.chamber()
        await oven.connect()
        await oven.close()


async def test_it_outlives_its_time_with_a_host_and_ends_without(tmp_path: Path) -> None:
    async with simulation(tmp_path, OVEN, 1.0, "--exit-without-client", "1") as simulated:
        oven = simulated.chamber()
        await oven.connect()
        connected_s = time.monotonic()
        while time.monotonic() < connected_s + 2.0:
            await oven.read()
        await oven.close()
        assert await simulated.ended() == 0
        assert not simulated.state_file.exists()


async def test_a_line_without_end_is_hung_up_on_and_the_chamber_lives(tmp_path: Path) -> None:
    async with simulation(tmp_path, OVEN) as simulated:
        reader, writer = await asyncio.open_connection(*find_chamber(simulated.state_file, "oven"))
        writer.write(b"TEMP?" * 100)
        async with asyncio.timeout(DEADLINE_S):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        oven = simulated.chamber()
        await oven.connect()
        await oven.close()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[simulation_chambers.oven]\nrate_K_per_min = 0", "rate_K_per_min"),
        ("[simulation_chambers.oven]\nrate = 1", "rate"),
        ("[simulation_chambers]\noven = 3", "oven"),
        ("[simulation_chambers]", "nothing to simulate"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "service.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFileError, match=named) as found:
        SimulationConfig.load(file)
    assert "[simulation_chambers]" in str(found.value)
