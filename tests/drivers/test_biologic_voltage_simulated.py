"""Steps that set a voltage, against the simulated instrument over its real wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from simulated_server import Server, collect, program, ticket, visited

from drivers.biologic.potentiostat import BioLogicInstrument
from protocols.nodes import ConstantCurrent, ConstantVoltage, Peis, Repeat, Rest, Vertex, VoltageSweep

FULL_CELL = 2
"""Its channel."""

OPEN_CIRCUIT = Vertex(voltage_V=0.0, relative=True)


def rest(index: int, duration_s: float) -> Rest:
    return Rest(index=index, label=f"rest {index}", duration_s=duration_s)


def hold(index: int, voltage_V: float, **more: object) -> ConstantVoltage:
    given = {"index": index, "label": f"hold {index}", "duration_s": 600.0, "voltage_V": voltage_V, **more}
    return ConstantVoltage.model_validate(given)


def drive(index: int, current_A: float, **more: object) -> ConstantCurrent:
    given = {"index": index, "label": f"drive {index}", "duration_s": 600.0, "current_A": current_A, **more}
    return ConstantCurrent.model_validate(given)


def sweep(index: int, *vertices: Vertex, rate_V_per_s: float, duration_s: float) -> VoltageSweep:
    return VoltageSweep(
        index=index, label="sweep", vertices=vertices, rate_V_per_s=rate_V_per_s, duration_s=duration_s
    )


def spectrum(index: int) -> Peis:
    edges = {"frequency_start_Hz": 1e5, "frequency_end_Hz": 1.0, "points_per_decade": 4}
    return Peis.model_validate({"index": index, "label": "spectrum", "amplitude_V": 0.005, **edges})


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


async def test_constant_current_goes_over_into_constant_voltage(box: BioLogicInstrument) -> None:
    charge = drive(0, 1e-3, until_voltage_V=3.6, ends_by="voltage", duration_s=3600.0)
    top_up = hold(1, 3.6, until_current_A=2e-4, set_current_A=1e-3, duration_s=3600.0)
    body = (charge, top_up, drive(2, -1e-3))
    plan = program(Repeat(total=2, stop=2, body=body), rest(3, 30.0), limit_V=4.0)
    await box.start(FULL_CELL, plan, ticket(plan))
    got = await collect(box, lambda now: bool(now.ended))
    assert got.ended[FULL_CELL].reason == "complete"
    assert not plan.remainder(got.ended[FULL_CELL].position).steps
    assert visited(got.samples) == [*((step, number) for number in (0, 1) for step in (0, 1, 2)), (3, 0)]
    assert np.all(np.diff(got.samples["t_s"]) > 0)
    held = got.samples[got.samples["step"] == 1]
    np.testing.assert_allclose(held["voltage_V"], 3.6, atol=1e-3)
    assert np.all(held["current_A"] < 1.05e-3)
    for number in (0, 1):
        assert held["current_A"][held["visit"] == number][-1] == pytest.approx(2e-4, rel=0.05)


async def test_a_held_voltage_lasts_its_time(box: BioLogicInstrument) -> None:
    plan = program(rest(0, 10.0), hold(1, 0.01, relative=True, duration_s=100.0), rest(2, 10.0))
    await box.start(0, plan, ticket(plan))
    got = await collect(box, lambda now: bool(now.ended))
    assert got.ended[0].reason == "complete"
    held = got.samples[got.samples["step"] == 1]
    assert held["t_s"][0] == pytest.approx(10.0, abs=0.1)
    assert held["t_s"][-1] == pytest.approx(110.0, abs=1.1)
    open_V = got.samples["voltage_V"][got.samples["step"] == 0][-1]
    np.testing.assert_allclose(held["voltage_V"], open_V + 0.01, atol=1e-3)
    assert np.all(held["current_A"] > 0)


async def test_a_current_limit_trips_on_board_at_constant_voltage(box: BioLogicInstrument) -> None:
    plan = program(hold(0, 1.4))
    await box.start(0, plan, ticket(plan))
    got = await collect(box, lambda now: bool(now.ended))
    assert got.ended[0].reason == "limit"
    look = {look.channel: look for look in await box.look()}[0]
    assert not look.running
    assert look.current_A == 0.0


async def test_a_sweep_goes_up_and_back(box: BioLogicInstrument) -> None:
    path = OPEN_CIRCUIT, Vertex(voltage_V=0.02), Vertex(voltage_V=-0.01), OPEN_CIRCUIT
    plan = program(rest(0, 10.0), sweep(1, *path, rate_V_per_s=1e-4, duration_s=700.0), rest(2, 10.0))
    await box.start(0, plan, ticket(plan))
    got = await collect(box, lambda now: bool(now.ended))
    assert got.ended[0].reason == "complete"
    open_V = got.samples["voltage_V"][got.samples["step"] == 0][-1]
    swept = got.samples[got.samples["step"] == 1]
    since_s = swept["t_s"] - 10.0
    turns_V = [vertex.at(open_V) for vertex in path]
    turns_s = np.cumsum([0.0, *np.abs(np.diff(turns_V)) / 1e-4])
    np.testing.assert_allclose(swept["voltage_V"], np.interp(since_s, turns_s, turns_V), atol=3e-4)
    assert since_s[-1] == pytest.approx(turns_s[-1], abs=2.1)
    assert swept["voltage_V"].max() > 0.0195
    assert swept["voltage_V"].min() < -0.0095
    assert np.sign(swept["current_A"][since_s < turns_s[1]][-1]) == 1.0


async def test_a_potentiostatic_spectrum_at_open_circuit(box: BioLogicInstrument) -> None:
    plan = program(rest(0, 10.0), spectrum(1), rest(2, 5.0))
    await box.start(0, plan, ticket(plan))
    got = await collect(box, lambda now: bool(now.ended))
    assert got.ended[0].reason == "complete"
    (measured,) = got.spectra
    np.testing.assert_allclose(measured.frequency_Hz, spectrum(1).frequencies(), rtol=1e-6)
    assert (measured.step, measured.amplitude) == (1, 0.005)
    assert measured.t_start_s == pytest.approx(10.0, abs=0.1)
    assert min(measured.z_imag_ohm) < 0 < min(measured.z_real_ohm)
    assert set(got.samples["step"]) == {0, 2}


@pytest.mark.parametrize("server", [20.0], indirect=True)
async def test_a_held_voltage_stops_at_open_circuit(box: BioLogicInstrument) -> None:
    plan = program(hold(0, 0.01, duration_s=36000.0))
    await box.start(0, plan, ticket(plan))
    got = await collect(box, lambda now: len(now.samples) > 3)
    opened = await box.stop(0)
    assert opened.confirmed
    assert opened.current_A == 0.0
    got = await collect(box, lambda now: bool(now.ended), got)
    end = got.ended[0]
    assert end.reason == "stopped"
    assert end.position.time_s == pytest.approx(opened.segment_t_s, rel=1e-5)
    assert opened.segment_t_s is not None
    t_s, current_A = got.samples["t_s"], got.samples["current_A"]
    passed_C = np.trapezoid(current_A, t_s) + current_A[-1] * (opened.segment_t_s - t_s[-1])
    assert end.position.charge_C == pytest.approx(passed_C, rel=0.02)


@pytest.mark.parametrize("server", [100.0], indirect=True)
async def test_a_second_daemon_takes_over_a_held_voltage(server: Server) -> None:
    plan = program(
        Repeat(total=3, stop=3, body=(hold(0, 0.01, duration_s=60.0), hold(1, -0.01, duration_s=60.0)))
    )
    async with server.connected() as first, server.connected() as second:
        await first.start(0, plan, ticket(plan))
        before = await collect(first, lambda now: len(now.samples) > 100)
        position = await second.attach(0, plan, ticket(plan))
        got = await collect(second, lambda now: bool(now.ended), before)
    assert position is not None
    assert not position.finished
    assert position.time_s <= 60.0
    assert got.ended[0].reason == "complete"
    assert visited(got.samples) == [(step, number) for number in range(3) for step in (0, 1)]
    assert got.samples["t_s"][-1] == pytest.approx(360.0, abs=0.1)


async def test_a_stopped_sweep_goes_on_from_where_it_was(server: Server) -> None:
    path = OPEN_CIRCUIT, Vertex(voltage_V=0.05), OPEN_CIRCUIT
    plan = program(sweep(0, *path, rate_V_per_s=1e-4, duration_s=1100.0))
    async with server.connected() as box:
        await box.start(0, plan, ticket(plan))
        got = await collect(box, lambda now: len(now.samples) > 100)
        await box.stop(0)
        got = await collect(box, lambda now: bool(now.ended), got)
        left = plan.remainder(got.ended[0].position)
        await box.start(0, left, ticket(left))
        later = await collect(box, lambda now: bool(now.ended))
    assert later.ended[0].reason == "complete"
    reached_V = got.samples["voltage_V"][-1]
    assert later.samples["voltage_V"][0] == pytest.approx(reached_V, abs=2e-3)
    assert later.samples["voltage_V"][-1] == pytest.approx(got.samples["voltage_V"][0], abs=1e-3)
