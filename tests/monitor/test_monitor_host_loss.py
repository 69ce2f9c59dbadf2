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
BOUNDED_S = 5.0
BOUNDED = LONG.replace("100 h", f"{BOUNDED_S:g} s")
DRY = """\
sandtime: 1
name: strip_dry
limits: {voltage: 0.5 V}
steps:
  - constant_current: {current: 5 mA/cm², until: {time: 1 h}}
"""
DRY_CELL = 'preset = "mii2_100_20", working_um = 0.05, runaway_s = 0.2'
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


def look(bench: Lab) -> list[ChannelLook]:
    """Look at the channels through the library alone, as a second computer may. Raises UnreachableError."""

    async def seen() -> list[ChannelLook]:
        (instrument,) = build_instruments(load_config(bench.config)).values()
        await instrument.connect()
        try:
            return await instrument.look()
        finally:
            await instrument.close()

    return asyncio.run(seen())


@pytest.mark.parametrize("how", ["killed", "frozen", "unplugged"])
def test_biologic_runs_on_and_its_limits_hold(tmp_path: Path, how: str) -> None:
    """Channel 1 goes on, channel 2 meets its voltage limit on board, a bounded step ends on channel 3."""
    with FaultyLab(tmp_path, ["seed = 1", DRY_CELL, "seed = 3"], speed=1.0) as bench:
        texts = (cell(), cell("dry", "asymmetric", "0.05 µm"), cell())
        protocols = (LONG, DRY, BOUNDED)
        runs = [bench.submit(*each) for each in zip(protocols, ("s1", "s2", "s3"), texts, strict=True)]
        bench.until(lambda: all(bench.reader().count(run) for run in runs), "samples that are stored")

        def as_declared() -> bool:
            return [seen.running for seen in look(bench)] == [True, False, False]

        with host_lost(bench, how, as_declared):
            goes_on, dry, bounded = look(bench)
            assert goes_on.current_A == pytest.approx(0.2e-3 * 0.785, rel=0.01)
            assert abs(goes_on.voltage_V) < 2.0
            assert (dry.current_A, bounded.current_A) == pytest.approx((0.0, 0.0), abs=1e-9)
        known = bench.reader().count(runs[0])
        dry_end, bounded_end = (bench.until_ended(run) for run in runs[1:])
        assert (dry_end.state, dry_end.open_circuit_confirmed) == ("protected", True)
        assert dry_end.verdict is not None
        assert dry_end.verdict.kind in ("li_depletion", "limit")
        assert (bounded_end.state, bounded_end.open_circuit_confirmed) == ("finished", True)
        times_s = bench.reader().samples(runs[2], columns=("t_s",))["t_s"]
        assert times_s.max() == pytest.approx(BOUNDED_S, abs=0.5)
        bench.until(lambda: bench.reader().count(runs[0]) > known + 2, "samples of the run that went on")
        with bench.client() as client:
            assert client.stop(runs[0]).open_circuit_confirmed


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
