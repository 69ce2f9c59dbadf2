"""What a follower makes of replies: samples, spectra, places and ends of the steps that set a voltage."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from drivers.biologic.constants import ChannelState
from drivers.biologic.decode import Header, Reply
from drivers.biologic.following import Follower
from drivers.biologic.settings import capabilities
from drivers.biologic.structs import CurrentValues
from drivers.biologic.techniques import compile_load
from drivers.instrument import SegmentEnd
from protocols.cell import Cell
from protocols.nodes import ConstantCurrent, ConstantVoltage, Node, Peis, Repeat, Rest, Vertex, VoltageSweep
from protocols.program import Limits, Program

STOP, RUN = ChannelState.STOP, ChannelState.RUN
TB = 2.0**-10
NO_ROWS = Header(0, 0, 0, 0, 0, 0, 0.0)
OCV, PEIS, CPLIMIT, CALIMIT, VSCANLIMIT = 100, 104, 155, 157, 158

Row = tuple[float, float, float]
"""Time in s, E, I."""


def rest(index: int = 0) -> Rest:
    return Rest(index=index, label="rest", duration_s=60.0)


def hold(index: int = 0, **more: object) -> ConstantVoltage:
    given = {"index": index, "label": "hold", "duration_s": 600.0, "voltage_V": 0.5, **more}
    return ConstantVoltage.model_validate(given)


def sweep(*vertices: Vertex, index: int = 0, rate_V_per_s: float = 1e-3) -> VoltageSweep:
    return VoltageSweep(
        index=index, label="sweep", duration_s=2000.0, vertices=vertices, rate_V_per_s=rate_V_per_s
    )


def spectrum(index: int = 0) -> Peis:
    edges = {"frequency_start_Hz": 100.0, "frequency_end_Hz": 1.0, "points_per_decade": 1}
    return Peis(index=index, label="spectrum", amplitude_V=0.01, **edges)


def dense(**more: object) -> ConstantCurrent:
    given = {"index": 0, "label": "drive", "duration_s": 600.0, "current_A": 5e-4, "dense_s": 60.0, **more}
    return ConstantCurrent.model_validate(given)


def follower(*steps: Node, resumed: bool = False) -> Follower:
    program = Program(
        protocol="test",
        cell=Cell(name="cell", area_m2=1e-4),
        steps=steps,
        limits=Limits(voltage_min_V=-1.0, voltage_max_V=1.5, current_max_A=0.01),
    )
    return Follower(3, program, compile_load(program, capabilities()), resumed=resumed)


def reply(header: Header = NO_ROWS, *rows: bytes, state: int = RUN, elapsed_s: float = 0.0) -> Reply:
    words = np.frombuffer(b"".join(rows).ljust(4000, b"\0"), dtype=np.uint32)
    return Reply(header, words, CurrentValues(State=state, TimeBase=TB, ElapsedTime=elapsed_s), 0)


def dc(technique_id: int, index: int, *rows: Row, start_s: float = 0.0, loop: int = 0) -> Reply:
    """A block of DC rows; a scan has I before E."""
    pairs = [(i_A, e_V) if technique_id == VSCANLIMIT else (e_V, i_A) for _, e_V, i_A in rows]
    packed = [
        struct.pack("<IIffI", 0, round(row[0] / TB), *pair, 0) for row, pair in zip(rows, pairs, strict=True)
    ]
    return reply(Header(index, technique_id, 0, loop, len(rows), 5, start_s), *packed)


def ocv(index: int, *rows: tuple[float, float], start_s: float = 0.0) -> Reply:
    """A block of OCV rows: time in s, E."""
    packed = [struct.pack("<IIf", 0, round(t_s / TB), e_V) for t_s, e_V in rows]
    return reply(Header(index, OCV, 0, 0, len(rows), 3, start_s), *packed)


def points(index: int, *rows: tuple[float, float]) -> Reply:
    """A block of PEIS points: frequency, time in s; Z = 200 Ω."""
    packed = [struct.pack("<14f", f_Hz, 0.01, 5e-5, 0.0, 0.1, 1e-6, *[0.0] * 7, t_s) for f_Hz, t_s in rows]
    return reply(Header(index, PEIS, 1, 0, len(rows), 14, 60.0), *packed)


def ended(following: Follower, *replies: Reply) -> SegmentEnd:
    for each in (*replies, reply(state=STOP), reply(state=STOP)):
        following.take(each)
    end = following.end()
    assert end is not None
    return end


def test_a_constant_voltage_delivers_samples_and_charge() -> None:
    following = follower(rest(0), hold(1))
    following.take(ocv(0, (0.0, 0.1), (59.0, 0.1)))
    following.take(dc(CALIMIT, 1, (0.0, 0.5, 4e-3), (10.0, 0.5, 2e-3), (20.0, 0.5, 1e-3), start_s=60.0))
    samples = following.samples()
    assert samples["step"].tolist() == [0, 0, 1, 1, 1]
    assert samples["t_s"].tolist() == [0.0, 59.0, 60.0, 70.0, 80.0]
    assert samples["voltage_V"].tolist() == pytest.approx([0.1, 0.1, 0.5, 0.5, 0.5])
    place = following.position()
    assert (place.step, place.time_s, place.reference_V) == (1, 20.0, None)
    assert place.charge_C == pytest.approx(0.045, rel=1e-6)


def test_an_end_by_current_leads_on_to_the_end_of_the_list() -> None:
    following = follower(hold(until_current_A=1e-4))
    end = ended(
        following, dc(CALIMIT, 0, (0.0, 0.5, 4e-3), (30.0, 0.5, 1e-4)), ocv(1, (0.5, 0.4), start_s=30.0)
    )
    assert end.reason == "complete"
    assert end.position.finished


@pytest.mark.parametrize("current_A", [0.0099, -0.0105])
@pytest.mark.parametrize(
    ("step", "technique_id"),
    [(hold(), CALIMIT), (sweep(Vertex(voltage_V=0.0), Vertex(voltage_V=1.0)), VSCANLIMIT)],
)
def test_a_current_limit_on_board_is_named(step: Node, technique_id: int, current_A: float) -> None:
    end = ended(follower(step), dc(technique_id, 0, (1.0, 0.0, 1e-3), (2.0, 0.0, current_A)))
    assert end.reason == "limit"
    assert "current limit of 0.01 A" in end.message


def test_a_limit_that_no_row_shows_is_still_one() -> None:
    end = ended(follower(hold()), dc(CALIMIT, 0, (1.0, 0.5, 1e-3)))
    assert end.reason == "limit"
    assert "within ±0.01 A" in end.message


def test_a_list_that_stops_where_nothing_can_stop_it_is_a_fault() -> None:
    end = ended(follower(hold(until_current_A=1e-4)), dc(CALIMIT, 0, (1.0, 0.5, 0.0099)))
    assert end.reason == "fault"
    end = ended(follower(spectrum()), points(0, (100.0, 0.1)))
    assert end.reason == "fault"
    assert end.position.time_s == 0.0


def test_a_sweep_may_show_its_first_row_late() -> None:
    path = Vertex(voltage_V=0.0, relative=True), Vertex(voltage_V=1.0), Vertex(voltage_V=0.0, relative=True)
    following = follower(rest(0), sweep(*path, index=1, rate_V_per_s=1e-5))
    following.take(ocv(0, (0.0, 0.1), (59.0, 0.1)))
    following.take(dc(VSCANLIMIT, 1, (10.0, 0.1001, 1e-6), (20.0, 0.1002, 3e-6), start_s=60.0))
    assert following.samples()["t_s"].tolist() == [0.0, 59.0, 70.0, 80.0]
    place = following.position()
    assert (place.step, place.time_s) == (1, 20.0)
    assert place.charge_C == pytest.approx(10 * 1e-6 + 10 * 2e-6, rel=1e-6)
    assert place.reference_V == pytest.approx(0.1, abs=1e-6)


def test_a_stop_between_two_rows_of_a_slow_sweep_counts_the_time_between() -> None:
    following = follower(sweep(Vertex(voltage_V=0.0), Vertex(voltage_V=1.0), rate_V_per_s=1e-5))
    following.take(dc(VSCANLIMIT, 0, (10.0, 1e-4, 1e-6), (20.0, 2e-4, 1e-6)))
    following.stopped = True
    for _ in range(2):
        following.take(reply(state=STOP, elapsed_s=28.0))
    end = following.end()
    assert end is not None
    assert (end.reason, end.position.time_s) == ("stopped", 28.0)
    assert end.position.charge_C == pytest.approx(28e-6, rel=1e-6)


@pytest.mark.parametrize(
    ("vertices", "t_s", "voltage_V", "reference_V"),
    [
        ([(0.0, True), (1.0, False), (0.0, True)], 1.5, 0.1015, 0.1),
        ([(0.0, True), (-1.0, False)], 1.5, 0.0985, 0.1),
        ([(0.2, True), (-0.2, True)], 1.5, 0.2985, 0.1),
        ([(-0.2, True), (0.2, True)], 1.5, -0.0985, 0.1),
        ([(0.0, True), (1.0, False), (0.0, True)], 1000.0, 0.9, None),
        ([(0.0, False), (1.0, False)], 1.5, 0.0015, None),
        ([(1.0, False), (0.0, True)], 1.5, 0.9985, None),
    ],
)
def test_the_first_row_of_a_sweep_tells_what_it_is_meant_from(
    vertices: list[tuple[float, bool]], t_s: float, voltage_V: float, reference_V: float | None
) -> None:
    path = [Vertex(voltage_V=voltage, relative=relative) for voltage, relative in vertices]
    following = follower(sweep(*path), resumed=True)
    following.take(dc(VSCANLIMIT, 0, (t_s, voltage_V, 1e-6)))
    expected = None if reference_V is None else pytest.approx(reference_V, abs=1e-6)
    assert following.position().reference_V == expected


def test_a_sweep_back_to_open_circuit_is_meant_from_the_rest_before() -> None:
    path = Vertex(voltage_V=1.0), Vertex(voltage_V=0.0, relative=True)
    following = follower(rest(0), sweep(*path, index=1))
    following.take(ocv(0, (59.0, 0.125)))
    following.take(dc(VSCANLIMIT, 1, (1.0, 0.999, 1e-6), start_s=60.0))
    assert following.position().reference_V == 0.125


def test_a_relative_constant_voltage_goes_on_at_the_voltage_it_had() -> None:
    program = Program(
        protocol="test",
        cell=Cell(name="cell", area_m2=1e-4),
        steps=(hold(voltage_V=0.25, relative=True),),
        limits=Limits(voltage_min_V=-1.0, voltage_max_V=1.5, current_max_A=0.01),
    )
    following = Follower(0, program, compile_load(program, capabilities()))
    following.take(dc(CALIMIT, 0, (1.0, 0.375, 1e-3)))
    (step,) = program.remainder(following.position()).steps
    assert isinstance(step, ConstantVoltage)
    assert (step.voltage_V, step.relative, step.remaining_s) == (0.375, False, 599.0)


def test_a_potentiostatic_spectrum() -> None:
    following = follower(rest(0), spectrum(1))
    following.take(points(1, (100.0, 0.01), (10.0, 0.11)))
    shown = following.values()
    assert shown is not None
    assert shown.sweeping
    assert following.position().time_s == 0.0
    following.take(points(1, (1.0, 1.11)))
    (measured,) = following.spectra()
    assert measured.amplitude == 0.01
    assert measured.z_real_ohm == pytest.approx((200.0,) * 3, rel=1e-6)
    assert (measured.step, measured.t_start_s) == (1, 60.0)
    assert measured.t_end_s == pytest.approx(61.11)
    assert len(following.samples()) == 0
    shown = following.values()
    assert shown is not None
    assert not shown.sweeping


def test_both_parts_of_a_dense_beginning_are_one_visit() -> None:
    following = follower(dense())
    following.take(dc(CPLIMIT, 0, *[(0.25 * k, 0.1, 5e-4) for k in range(190)]))
    following.take(dc(CPLIMIT, 1, (1.0, 0.1, 5e-4), (2.0, 0.1, 5e-4), start_s=60.0))
    samples = following.samples()
    assert set(zip(samples["step"].tolist(), samples["visit"].tolist(), strict=True)) == {(0, 0)}
    assert np.all(np.diff(samples["t_s"]) > 0)
    place = following.position()
    assert place.time_s == 62.0
    assert place.charge_C == pytest.approx(62.0 * 5e-4, rel=1e-6)


def test_a_first_part_that_ended_early_is_counted_as_long_as_it_was() -> None:
    following = follower(dense(until_voltage_V=1.0, ends_by="voltage"), rest(1))
    following.take(dc(CPLIMIT, 0, (0.0, 0.5, 5e-4), (10.0, 1.0, 5e-4)))
    following.take(dc(CPLIMIT, 1, (0.0, 1.0, 5e-4), start_s=10.25))
    assert following.position().time_s == 10.25
    assert following.position().charge_C == pytest.approx(10.25 * 5e-4, rel=1e-6)
    following.take(ocv(2, (5.0, 0.9), start_s=10.375))
    assert (following.position().step, following.position().time_s) == (1, 5.0)


def test_a_second_part_that_is_found_is_counted_as_planned() -> None:
    body = (dense(), hold(1))
    following = follower(Repeat(total=9, stop=9, body=body), resumed=True)
    following.take(dc(CPLIMIT, 1, (100.0, 0.1, 5e-4), start_s=3660.0, loop=3))
    place = following.position()
    assert (place.step, place.loops, place.time_s) == (0, (3,), 160.0)
    assert place.charge_C == pytest.approx(0.08, rel=1e-6)
    following.take(dc(CPLIMIT, 0, (1.0, 0.1, 5e-4), start_s=4800.0, loop=4))
    assert following.position().time_s == 1.0
    assert following.position().charge_C == pytest.approx(5e-4, rel=1e-6)
