"""What happens to a cell when the PC dies: each row of the docs' table, on processes killed or frozen."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faultylab import WARM, FaultyLab, mode
from labbench import Lab, cell

from drivers.chamber import ZERO_CELSIUS_K
from drivers.instrument import ChannelLook
from drivers.recordings import PlaybackInstrument, open_recording, program_of
from drivers.simulation.faults import Fault
from monitor import host_loss
from monitor.daemon import build_instruments
from protocols.cell import Cell
from protocols.records import Ticket
from scheduler.config import load_config

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "when_the_pc_dies.md"
LONG = """\
sandtime: 1
name: long
steps:
  - constant_current: {current: 0.2 mA/cm², until: {time: 100 h}}
"""
BOUNDED = LONG.replace("100 h", "5 s")
DRY = """\
sandtime: 1
name: strip_dry
limits: {voltage: 0.5 V}
steps:
  - constant_current: {current: 5 mA/cm², until: {time: 1 h}}
"""
DRY_CELL = 'preset = "mii2_100_20", working_um = 0.05, runaway_s = 0.2'
HOWS = ("killed", "frozen", "unplugged")
UNPLUGGED_S = 6.0


@contextmanager
def host_lost(bench: Lab, how: str, shown: Callable[[], bool]) -> Iterator[None]:
    """Let the host die, stand still, or be cut off, until the instrument itself shows something."""
    assert bench.daemon is not None
    if how == "killed":
        bench.kill_daemon()
    elif how == "frozen":
        os.kill(bench.daemon.pid, signal.SIGSTOP)
    elif isinstance(bench, FaultyLab):
        bench.go_wrong(Fault(kind="drop_link", duration_s=UNPLUGGED_S))
    try:
        bench.until(shown, "what the instrument does by itself")
        yield
    finally:
        if how == "frozen":
            os.kill(bench.daemon.pid, signal.SIGCONT)
    if how == "killed":
        bench.start_daemon()


def look(bench: Lab) -> ChannelLook:
    """Look at the channel through the library alone, as a second computer may. Raises UnreachableError."""

    async def seen() -> ChannelLook:
        (instrument,) = build_instruments(load_config(bench.config)).values()
        await instrument.connect()
        try:
            return (await instrument.look())[0]
        finally:
            await instrument.close()

    return asyncio.run(seen())


def running(bench: Lab, protocol: str, text: str) -> int:
    run = bench.submit(protocol, "s1", text)
    bench.until(lambda: bench.reader().count(run) > 0, "a sample that is stored")
    return run


@pytest.mark.parametrize("how", HOWS)
def test_biologic_runs_on_within_its_limits_and_is_taken_over(tmp_path: Path, how: str) -> None:
    with FaultyLab(tmp_path, ["seed = 1"], speed=1.0) as bench:
        run = running(bench, LONG, cell())
        with host_lost(bench, how, lambda: look(bench).running):
            seen = look(bench)
            assert seen.current_A == pytest.approx(0.2e-3 * 0.785, rel=0.01)
            assert abs(seen.voltage_V) < 2.0
        known = bench.reader().count(run)
        bench.until(lambda: bench.reader().count(run) > known + 2, "samples of the run that went on")
        with bench.client() as client:
            assert client.stop(run).open_circuit_confirmed


@pytest.mark.parametrize("how", HOWS)
def test_biologic_opens_by_its_voltage_limit_on_board(tmp_path: Path, how: str) -> None:
    with FaultyLab(tmp_path, [DRY_CELL], speed=1.0) as bench:
        run = running(bench, DRY, cell("dry", "asymmetric", "0.05 µm"))
        with host_lost(bench, how, lambda: not look(bench).running):
            assert look(bench).current_A == pytest.approx(0.0, abs=1e-9)
        info = bench.until_ended(run)
    assert (info.state, info.open_circuit_confirmed) == ("protected", True)
    assert info.verdict is not None
    assert info.verdict.kind in ("li_depletion", "limit")


@pytest.mark.parametrize("how", HOWS)
def test_biologic_ends_a_bounded_step_in_open_circuit(tmp_path: Path, how: str) -> None:
    with FaultyLab(tmp_path, ["seed = 1"], speed=1.0) as bench:
        run = running(bench, BOUNDED, cell())
        with host_lost(bench, how, lambda: not look(bench).running):
            assert look(bench).current_A == pytest.approx(0.0, abs=1e-9)
        info = bench.until_ended(run)
        assert (info.state, info.open_circuit_confirmed) == ("finished", True)
        assert bench.reader().samples(run, columns=("t_s",))["t_s"].max() == pytest.approx(5.0, abs=0.5)


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_espec_keeps_its_set_point(tmp_path: Path, how: str) -> None:
    with FaultyLab(tmp_path, ["seed = 1"], speed=1.0, in_chamber=1) as bench:
        text = cell() + "temperature_window: {from: 10 °C, to: 60 °C}\n"
        bench.submit(WARM, "s1", text)

        def set_to() -> float:
            with bench.client() as client:
                (info,) = client.status().chambers
            return (info.setpoint_K or 0.0) - ZERO_CELSIUS_K

        bench.until(lambda: set_to() == pytest.approx(40.0), "the set-point that is demanded")
        with host_lost(bench, how, lambda: True):
            assert mode(bench) == b"CONSTANT\r\n"
        assert set_to() == pytest.approx(40.0)


async def test_recordings_drive_nothing_and_stop(tmp_path: Path) -> None:
    file = tmp_path / "played.bdf.csv"
    rows = "".join(f"{t_s},{0.1 + t_s * 1e-4},0.001\n" for t_s in range(100))
    file.write_text(f"Test Time / s,Voltage / V,Current / A\n{rows}", encoding="utf-8")
    recording = open_recording(file)
    program = program_of(recording, Cell(name="cell", area_m2=1e-4))
    ticket = Ticket(run=1, segment=0, program=program.digest())
    before = PlaybackInstrument(recording, rows_per_poll=10)
    await before.start(0, program, ticket)
    await before.poll()
    after = PlaybackInstrument(recording)
    await after.connect()
    assert [seen.running for seen in await after.look()] == [False]
    assert await after.attach(0, program, ticket) is None


def test_every_driver_is_tried() -> None:
    tried = {name.split("_")[1] for name in globals() if name.startswith("test_")}
    assert {row.driver for row in host_loss.rows()} <= tried


def test_the_page_says_what_the_drivers_declare() -> None:
    assert host_loss.table() in PAGE.read_text(encoding="utf-8"), "renew it: python -m monitor.host_loss"
