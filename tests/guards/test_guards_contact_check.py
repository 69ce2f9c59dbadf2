"""What a cell shows before a test: contacts, shorts, the wrong way round, and what is only unusual."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.kramers_kronig import summarize
from drivers.simulation.presets import PRESETS, describe
from guards.contact_check import Shown, judge
from guards.plausible import open_from_ohm, r_hf_bounds, voltage_bounds
from protocols.cell import Cell, Electrode
from protocols.check import CheckFinding, outcome_of
from protocols.measurements import Spectrum

LITHIUM = Electrode(inventory_C_per_m2=7e4)
SYMMETRIC = Cell(
    name="Li|LLZO|Li",
    area_m2=0.785e-4,
    working=LITHIUM,
    counter=LITHIUM,
    electrolyte_class="garnet",
    electrolyte_thickness_m=600e-6,
)
FULL = Cell(
    name="LFP|Li",
    geometry="full",
    area_m2=1e-4,
    counter=LITHIUM,
    electrolyte_class="liquid",
    voltage_min_V=2.5,
    voltage_max_V=3.65,
)
BLOCKING = Cell(name="C|C", geometry="blocking", area_m2=1e-4)
FREQUENCY_HZ = np.geomspace(7e6, 1.0, 42)


def spectrum(z_ohm: NDArray[np.complex128], frequency_Hz: NDArray[np.float64] = FREQUENCY_HZ) -> Spectrum:
    return Spectrum(
        channel=0,
        step=1_000_001,
        visit=0,
        t_start_s=10.0,
        t_end_s=30.0,
        frequency_Hz=tuple(frequency_Hz.tolist()),
        z_real_ohm=tuple(z_ohm.real.tolist()),
        z_imag_ohm=tuple(z_ohm.imag.tolist()),
        t_s=tuple(np.linspace(10.0, 30.0, len(frequency_Hz)).tolist()),
        amplitude=0.01,
    )


def arc(r_hf_ohm: float, r_ohm: float = 30.0) -> NDArray[np.complex128]:
    return np.asarray(r_hf_ohm + r_ohm / (1.0 + 2j * np.pi * FREQUENCY_HZ * 1e-3))


def shown(z_ohm: NDArray[np.complex128], voltage_V: float = 1e-3, noise_V: float = 1e-4) -> Shown:
    measured = spectrum(z_ohm)
    return Shown(voltage_V, noise_V, measured, summarize(measured), wanted="spectrum")


def found(what: Shown, cell: Cell = SYMMETRIC) -> dict[str, CheckFinding]:
    """Return what is found, by name, the worst of each."""
    order = ("fine", "unknown", "noted", "asks", "refused")
    findings: dict[str, CheckFinding] = {}
    for each in judge(what, cell):
        known = findings.get(each.name)
        if known is None or order.index(each.result) > order.index(known.result):
            findings[each.name] = each
    return findings


def outcome(what: Shown, cell: Cell = SYMMETRIC) -> str:
    return outcome_of(judge(what, cell))


def test_a_sound_cell_passes_and_its_numbers_are_told() -> None:
    findings = found(shown(arc(40.0)))
    assert {each.result for each in findings.values()} == {"fine"}
    r_hf = findings["resistance"]
    assert r_hf.value == pytest.approx(40.0, rel=0.02)
    assert r_hf.low is not None and r_hf.high is not None and r_hf.low < 40.0 < r_hf.high
    assert "40" in r_hf.text


@pytest.mark.parametrize("voltage_V", [0.08, -0.08])
def test_lithium_against_lithium_is_near_zero(voltage_V: float) -> None:
    findings = found(shown(arc(40.0), voltage_V))
    assert findings["voltage"].result == "refused"
    assert findings["voltage"].advice


def test_bare_copper_against_lithium_may_have_any_voltage() -> None:
    bare = SYMMETRIC.model_copy(update={"geometry": "asymmetric", "working": Electrode()})
    assert outcome(shown(arc(40.0), 2.4), bare) == "passed"


@pytest.mark.parametrize(
    ("voltage_V", "name", "result"),
    [
        (3.3, "voltage", "fine"),
        (2.2, "voltage", "noted"),
        (1.2, "voltage", "refused"),
        (3.9, "voltage", "refused"),
        (-3.3, "polarity", "refused"),
        (0.0, "voltage", "refused"),
    ],
)
def test_a_full_cell_lies_in_its_window_the_right_way_round(voltage_V: float, name: str, result: str) -> None:
    assert found(shown(arc(20.0), voltage_V), FULL)[name].result == result


def test_a_half_cell_may_begin_above_its_window_but_never_reversed() -> None:
    half = FULL.model_copy(update={"geometry": "half", "voltage_min_V": 0.01, "voltage_max_V": 1.5})
    assert outcome(shown(arc(20.0), 3.0), half) == "passed"
    assert outcome(shown(arc(20.0), -3.0), half) == "refused"


# Open


def open_input() -> NDArray[np.complex128]:
    return np.asarray(1.0 / (1e-9 + 2j * np.pi * FREQUENCY_HZ * 1e-10))


@pytest.mark.parametrize("cell", [SYMMETRIC, FULL, BLOCKING])
def test_a_clip_that_is_off_is_no_short_although_its_real_part_is_small(cell: Cell) -> None:
    findings = found(shown(open_input(), 0.0), cell)
    assert findings["contact"].result == "refused"
    assert "clip" in findings["contact"].advice
    assert "short" not in findings and "resistance" not in findings


def test_a_blocking_cell_is_not_open() -> None:
    z_ohm = 50.0 + 1.0 / (2j * np.pi * FREQUENCY_HZ * 1e-6)
    assert outcome(shown(np.asarray(z_ohm), 0.4), BLOCKING) == "passed"


@pytest.mark.parametrize(("noise_V", "result"), [(3e-3, "noted"), (0.1, "refused")])
def test_an_input_that_floats_is_noisy(noise_V: float, result: str) -> None:
    assert found(shown(arc(40.0), noise_V=noise_V))["noise"].result == result


@pytest.mark.parametrize(
    "what",
    [
        Shown(0.0, ended_by_limit="voltage limit of 2 V", wanted="spectrum"),
        Shown(0.0, wanted="spectrum"),
        Shown(0.0, wanted="pulse"),
    ],
)
def test_what_lets_no_current_through_is_open(what: Shown) -> None:
    assert found(what)["contact"].result == "refused"


def test_no_sample_is_no_pass() -> None:
    assert outcome(Shown(None, wanted="spectrum")) == "refused"


# Short


@pytest.mark.parametrize("cell", [SYMMETRIC, BLOCKING.model_copy(update={"electrolyte_class": "garnet"})])
def test_less_than_the_electrolyte_can_have_is_a_short(cell: Cell) -> None:
    findings = found(shown(np.full(len(FREQUENCY_HZ), 1e-4 + 0j), 0.0), cell)
    assert findings["short"].result == "refused"


def test_a_short_behind_a_slow_arc_is_found_at_the_low_end() -> None:
    """Z falls from 40 Ω at high frequency to 1 Ω at 1 Hz, as an inductive loop of a dendrite would."""
    z_ohm = 1.0 + 39.0 * (1.0 - 1.0 / (1.0 + 2j * np.pi * FREQUENCY_HZ * 1e-3))
    assert found(shown(np.asarray(z_ohm)))["short"].result == "refused"


def test_a_dummy_resistor_is_noted_and_may_start() -> None:
    findings = found(shown(np.full(len(FREQUENCY_HZ), 100.0 + 0j)))
    assert findings["short"].result == "noted"
    assert outcome(shown(np.full(len(FREQUENCY_HZ), 100.0 + 0j))) == "passed"


def test_far_too_much_resistance_is_refused() -> None:
    assert found(shown(arc(8e5, 1e3)))["resistance"].result == "refused"


# Without a spectrum


@pytest.mark.parametrize(
    ("pulse_ohm", "name", "result"),
    [
        (80.0, "contact", "fine"),
        (1.0, "short", "refused"),
        (-50.0, "short", "refused"),
        (1e8, "contact", "refused"),
    ],
)
def test_a_pulse_tells_open_and_shorted(pulse_ohm: float, name: str, result: str) -> None:
    assert found(Shown(0.0, pulse_ohm=pulse_ohm, wanted="pulse"))[name].result == result


def test_with_voltage_alone_it_says_what_it_could_not_check() -> None:
    findings = found(Shown(0.0))
    assert findings["contact"].result == "unknown"
    assert outcome(Shown(0.0)) == "passed"


# The bounds


def test_bounds_are_wide_and_in_order() -> None:
    bounds = r_hf_bounds(SYMMETRIC)
    assert 1.0 < bounds.low < 10.0 < 1e5 < bounds.high
    assert open_from_ohm(SYMMETRIC, 1.0) > bounds.high
    window = voltage_bounds(FULL)
    assert window is not None and (window.low, window.high) == pytest.approx((1.5, 3.7))


# The models for windows of stability leave the double layer out: nothing flows below their oxidation.
MODELLED = sorted(name for name in PRESETS if not name.endswith("_window"))


@pytest.mark.parametrize("preset", MODELLED)
def test_no_cell_of_a_published_study_is_refused(preset: str) -> None:
    """Even where the cell file says nothing of its electrolyte."""
    description = describe(preset)
    geometry = "blocking" if description.blocking else "symmetric"
    cell = Cell.model_validate({"name": preset, "geometry": geometry, "area_m2": description.area_cm2 * 1e-4})
    z_ohm = description.build().spectrum(FREQUENCY_HZ)
    assert outcome(shown(z_ohm, 0.0), cell) == "passed"
