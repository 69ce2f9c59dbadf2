"""The driver against the simulated instrument over its real wire: library, socket, server process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from simulated_server import ADDRESS, Server, collect, program, ticket, visited

from drivers.biologic.potentiostat import BioLogicInstrument
from drivers.simulation.control import inject
from drivers.simulation.faults import Fault
from protocols.errors import BusyError
from protocols.nodes import ConstantCurrent, Geis, Repeat, Rest


def rest(index: int, duration_s: float) -> Rest:
    return Rest(index=index, label=f"rest {index}", duration_s=duration_s)


def drive(index: int, current_A: float, duration_s: float) -> ConstantCurrent:
    return ConstantCurrent(index=index, label=f"drive {index}", current_A=current_A, duration_s=duration_s)


def sweep(index: int, current_A: float = 0.0) -> Geis:
    return Geis(
        index=index,
        label="sweep",
        current_A=current_A,
        amplitude_A=2e-5,
        frequency_start_Hz=1e5,
        frequency_end_Hz=1.0,
        points_per_decade=4,
    )


@pytest.fixture
async def server(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    made = Server(tmp_path, getattr(request, "param", 2000.0))
    await made.start()
    yield made
    await made.end()


@pytest.fixture
async def box(server: Server) -> AsyncIterator[BioLogicInstrument]:
    async with server.connected() as instrument:
        yield instrument


async def test_a_program_runs_to_its_end(box: BioLogicInstrument) -> None:
    body = (drive(1, 5e-4, 300.0), drive(2, -5e-4, 300.0))
    plan = program(rest(0, 60.0), Repeat(total=4, stop=4, body=body), sweep(3, 2e-4))
    await box.start(0, plan, ticket(plan))
    got = await collect(box, lambda now: 0 in now.ended)
    assert got.ended[0].reason == "complete"
    assert not plan.remainder(got.ended[0].position).steps
    assert np.all(np.diff(got.samples["t_s"]) > 0)
    dc = got.samples
    assert visited(dc) == [(0, 0), *((step, visit) for visit in range(4) for step in (1, 2))]
    driven = dc[dc["step"] == 1]
    np.testing.assert_allclose(driven["current_A"], 5e-4, rtol=1e-3)
    assert dc["t_s"][-1] == pytest.approx(60 + 4 * 600, abs=0.1)
    (spectrum,) = got.spectra
    np.testing.assert_allclose(spectrum.frequency_Hz, sweep(3).frequencies(), rtol=1e-6)
    assert spectrum.t_start_s == pytest.approx(2460.0, abs=0.1)
    assert (spectrum.step, spectrum.visit) == (3, 0)
    assert min(spectrum.z_imag_ohm) < 0 < min(spectrum.z_real_ohm)
    assert got.lost == 0


async def test_a_limit_trips_on_board(box: BioLogicInstrument) -> None:
    plan = program(drive(0, 1e-3, 3600.0), limit_V=0.05)
    await box.start(1, plan, ticket(plan))
    got = await collect(box, lambda now: bool(now.ended))
    assert got.ended[1].reason == "limit"
    assert "upper voltage limit of 0.05 V" in got.ended[1].message
    assert got.ended[1].position.time_s == pytest.approx(got.samples["t_s"][-1])
    look = {look.channel: look for look in await box.look()}[1]
    assert not look.running
    assert look.marker == ticket(plan).marker
    assert look.current_A == 0.0


async def test_a_step_that_ends_by_voltage_goes_on(box: BioLogicInstrument) -> None:
    until = {"until_voltage_V": 0.02, "ends_by": "voltage"}
    plan = program(drive(0, 1e-3, 3600.0).model_copy(update=until), rest(1, 30.0))
    await box.start(0, plan, ticket(plan))
    got = await collect(box, lambda now: bool(now.ended))
    assert got.ended[0].reason == "complete"
    assert set(got.samples["step"]) == {0, 1}


async def test_the_first_minute_of_a_step_is_sampled_densely(box: BioLogicInstrument) -> None:
    dense = {"dense_s": 60.0, "dense_interval_s": 0.25}
    body = [drive(step, sign * 5e-4, 300.0).model_copy(update=dense) for step, sign in enumerate((1, -1))]
    plan = program(Repeat(total=3, stop=3, body=tuple(body))).model_copy(update={"record_dE_V": None})
    await box.start(0, plan, ticket(plan))
    got = await collect(box, lambda now: 0 in now.ended)
    assert got.ended[0].reason == "complete"
    assert not plan.remainder(got.ended[0].position).steps
    assert visited(got.samples) == [(step, visit) for visit in range(3) for step in (0, 1)]
    intervals_s = np.diff(got.samples["t_s"])
    assert intervals_s.min() > 0
    for visit in range(6):
        since_s = got.samples["t_s"] - visit * 300.0
        first, later = ((low < since_s) & (since_s < high) for low, high in ((1.0, 59.0), (62.0, 299.0)))
        np.testing.assert_allclose(np.diff(got.samples["t_s"][first]), 0.25, atol=0.01)
        np.testing.assert_allclose(np.diff(got.samples["t_s"][later]), 1.0, atol=0.01)


async def test_a_voltage_that_comes_in_the_dense_minute_ends_the_whole_step(box: BioLogicInstrument) -> None:
    until = {"until_voltage_V": 0.02, "ends_by": "voltage", "dense_s": 60.0}
    plan = program(drive(0, 1e-3, 3600.0).model_copy(update=until), rest(1, 30.0))
    await box.start(0, plan, ticket(plan))
    got = await collect(box, lambda now: bool(now.ended))
    assert got.ended[0].reason == "complete"
    driven = got.samples[got.samples["step"] == 0]
    assert 0 < driven["t_s"][-1] < 60.0
    assert got.samples["t_s"][-1] == pytest.approx(driven["t_s"][-1] + 30.0, abs=0.1)


@pytest.mark.parametrize("server", [20.0], indirect=True)
async def test_a_stop_opens_the_circuit_and_loses_no_row(box: BioLogicInstrument) -> None:
    plan = program(drive(0, 1e-3, 36000.0))
    await box.start(0, plan, ticket(plan))
    got = await collect(box, lambda now: len(now.samples) > 3)
    with pytest.raises(BusyError):
        await box.start(0, plan, ticket(plan))
    opened = await box.stop(0)
    assert opened.confirmed
    assert opened.current_A == 0.0
    got = await collect(box, lambda now: bool(now.ended), got)
    end = got.ended[0]
    assert end.reason == "stopped"
    assert opened.segment_t_s is not None
    assert end.position.time_s == pytest.approx(opened.segment_t_s, rel=1e-5)
    assert end.position.charge_C == pytest.approx(1e-3 * opened.segment_t_s, rel=1e-2)
    assert got.samples["t_s"][-1] > opened.segment_t_s - 1.1


@pytest.mark.parametrize("server", [100.0], indirect=True)
async def test_a_second_daemon_takes_over_from_one_that_fell_silent(server: Server) -> None:
    body = (drive(0, 5e-4, 60.0), drive(1, -5e-4, 60.0))
    plan = program(Repeat(total=5, stop=5, body=body))
    async with server.connected() as first, server.connected() as second:
        await first.start(0, plan, ticket(plan))
        before = await collect(first, lambda now: len(now.samples) > 100)
        other = plan.model_copy(update={"protocol": "other"})
        assert await second.attach(0, other, ticket(other)) is None
        position = await second.attach(0, plan, ticket(plan))
        got = await collect(second, lambda now: bool(now.ended), before)
    assert position is not None
    assert not position.finished
    assert got.ended[0].reason == "complete"
    steps_s = np.diff(got.samples["t_s"])
    assert 0 < steps_s.min() <= steps_s.max() < 1.1
    assert got.samples["t_s"][-1] == pytest.approx(600.0, abs=0.1)
    assert set(got.samples["visit"]) == set(range(5))


async def test_zeros_and_lost_records_from_the_instrument(server: Server, box: BioLogicInstrument) -> None:
    plan = program(drive(0, 5e-4, 600.0))
    await box.start(0, plan, ticket(plan))
    got = await collect(box, lambda now: len(now.samples) > 10)
    await asyncio.to_thread(inject, server.state_file, ADDRESS, Fault(kind="zeros", count=6))
    await asyncio.to_thread(inject, server.state_file, ADDRESS, Fault(kind="skipped", count=3))
    got = await collect(box, lambda now: bool(now.ended), got)
    assert got.ended[0].reason == "complete"
    assert got.lost == 3


async def test_a_long_program_comes_in_segments(server: Server) -> None:
    outer = Repeat(total=2, stop=2, body=(rest(0, 5.0), drive(1, 5e-4, 10.0), drive(2, -5e-4, 10.0)))
    plan = left = program(Repeat(total=2, stop=2, body=(outer, rest(3, 5.0))))
    passages: list[tuple[int, int]] = []
    async with server.connected(max_techniques=4) as box:
        while left.steps:
            await box.start(0, left, ticket(left))
            got = await collect(box, lambda now: bool(now.ended))
            assert got.ended[0].reason == "complete"
            passages += visited(got.samples)
            left = plan.remainder(got.ended[0].position)
    inner = [(step, visit) for visit in range(4) for step in (0, 1, 2)]
    assert passages == [*inner[:6], (3, 0), *inner[6:], (3, 1)]
