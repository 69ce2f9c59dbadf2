"""What a person writes of an edit, read for a cell of 2 cm²: labels become numbers, quantities SI."""

from __future__ import annotations

import pytest

from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.edits import Edit, End, Limit, Passes
from protocols.errors import InvalidFileError
from protocols.nodes import ConstantCurrent, Repeat
from protocols.position import Position
from protocols.program import Limits, Program
from scheduler.edit_reading import Situation, read_changes, read_spectrum
from scheduler.requests import EditRequest, EndRequest, SpectrumRequest

ABLE = Capabilities(
    model="any",
    current_max_A=1.0,
    voltage_min_V=-10.0,
    voltage_max_V=10.0,
    current_ranges_A=(1e-3, 1e-2),
    step_kinds=("rest", "constant_current", "geis"),
    frequency_min_Hz=0.01,
    frequency_max_Hz=1e6,
)
CELL = Cell(name="any", area_m2=2e-4, capacity_C=7.2)


def loop(place: int, first: int, *, counts: bool = False) -> Repeat:
    steps = tuple(
        ConstantCurrent(
            index=first + k,
            label=f"steps {place} › repeat › constant_current {k + 1}",
            current_A=current_A,
            duration_s=3600.0,
            charge_C=3.6,
        )
        for k, current_A in enumerate((1e-3, -1e-3))
    )
    return Repeat(total=5, stop=5, body=steps, counts=counts)


def situation(place: Position, *loops: Repeat, voltage_V: float | None = None) -> Situation:
    program = Program(
        protocol="any",
        cell=CELL,
        steps=loops,
        limits=Limits(voltage_min_V=-2.0, voltage_max_V=2.0, current_max_A=1.05e-3),
    )
    step = program.step(place.step)
    return Situation(program, place, step, ABLE, voltage_V)


TWO = (loop(1, 0), loop(2, 2, counts=True))
FIRST = Position(step=0, loops=(0,))


def read(at: Situation, **request: object) -> tuple[Edit, ...]:
    return read_changes(EditRequest.model_validate(request), at)


def refused(at: Situation, **request: object) -> str:
    with pytest.raises(InvalidFileError) as error:
        read(at, **request)
    return str(error.value)


def test_quantities_are_meant_for_the_cell() -> None:
    at = situation(FIRST, *TWO)
    ends = (
        EndRequest(step="0", which="areal_capacity", value="0.5 mAh/cm²"),
        EndRequest(step="steps 1 › repeat › constant_current 2", which="time", value="2 h"),
    )
    charge, time = read(at, ends=ends)
    assert time == End(step=1, which="time", value=7200.0)
    assert isinstance(charge, End)
    assert (charge.step, charge.which) == (0, "charge")
    assert charge.value == pytest.approx(3.6)
    (limit,) = read(at, limits={"current_max": "1 C"})
    assert isinstance(limit, Limit)
    assert limit.value == pytest.approx(2e-3)


def test_one_voltage_stands_for_both_signs() -> None:
    both = (Limit(which="voltage_min", value=-1.5), Limit(which="voltage_max", value=1.5))
    assert read(situation(FIRST, *TWO), limits={"voltage": "1.5 V"}) == both


@pytest.mark.parametrize(
    ("loops", "place", "meant"),
    [
        (TWO[:1], FIRST, "steps 1 › repeat"),
        # The loop that counts cycles, before the one that runs.
        (TWO, FIRST, "steps 2 › repeat"),
        # The one that runs, before another that counts as well, and what is over is not meant.
        ((loop(1, 0, counts=True), loop(2, 2, counts=True)), FIRST, "steps 1 › repeat"),
        ((loop(1, 0), loop(2, 2)), Position(step=2, loops=(0,)), "steps 2 › repeat"),
    ],
)
def test_the_loop_that_is_meant(loops: tuple[Repeat, ...], place: Position, meant: str) -> None:
    assert read(situation(place, *loops), cycles=9) == (Passes(loop=meant, count=9),)


def test_what_is_not_clear_is_asked_for() -> None:
    at = situation(FIRST, *TWO)
    assert read(at, cycles=9, loop="steps 1 › repeat") == (Passes(loop="steps 1 › repeat", count=9),)
    assert "'repeat' may mean several loops" in refused(at, cycles=9, loop="repeat")
    ends = (EndRequest(step="constant_current 1", which="time", value="1 h"),)
    assert "may mean several steps" in refused(at, ends=ends)
    assert "Loops of this run: 'steps 1 › repeat', 'steps 2 › repeat'" in refused(at, cycles=9, loop="x")


def test_all_mistakes_are_told_at_once() -> None:
    ends = (EndRequest(step="0", which="time", value="1 V"), EndRequest(step="0", which="heat", value="1 J"))
    said = refused(situation(FIRST, *TWO), ends=ends, limits={"voltage": "2", "torque": "1 V"})
    for part in ("'1 V' is a voltage", "no end by 'heat'", "'2' has no unit", "no limit 'torque'"):
        assert part in said


def test_a_limit_that_the_cell_is_beyond_is_refused() -> None:
    at = situation(FIRST, *TWO, voltage_V=0.4)
    assert read(at, limits={"voltage": "0.5 V"})
    assert "E is 0.4 V" in refused(at, limits={"voltage": "0.3 V"})


def test_a_spectrum_fits_the_channel_and_the_test() -> None:
    at = situation(FIRST, *TWO)
    usual = read_spectrum(SpectrumRequest(), at)
    assert (usual.frequency_start_Hz, usual.frequency_end_Hz) == (1e6, 0.1)
    assert usual.amplitude_A == pytest.approx(1e-4)
    # Direct current and peak stay below the current limit together.
    under = read_spectrum(SpectrumRequest(under_current=True), at)
    assert under.amplitude_A == pytest.approx(0.05e-3)
    with pytest.raises(InvalidFileError, match=r"peak may be 0\.05 mA at most"):
        read_spectrum(SpectrumRequest(under_current=True, amplitude="60 µA"), at)
    with pytest.raises(InvalidFileError, match="outside the channel"):
        read_spectrum(SpectrumRequest(end="1 mHz"), at)
