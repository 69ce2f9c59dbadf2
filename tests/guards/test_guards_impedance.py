"""Spectra of cells that short softly, activate, warm up or lose contact, as the engine tells of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from arcs import Arc, arcs, noisy, spectrum_of
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.kramers_kronig import summarize
from guards.guard import StepFacts
from guards.watch import Watch
from protocols.cell import Cell, ElectrolyteClass, Geometry
from protocols.measurements import SpectrumChange, SpectrumSummary
from protocols.nodes import Geis
from protocols.program import GuardSettings, Limits, Program
from protocols.verdicts import Verdict
from scheduler.progress import Progress

FREQUENCY = np.geomspace(1e6, 0.1, 57)
ROOM_K = 298.15
DRIVEN_A = 1e-3
CELLS: dict[str, tuple[float, tuple[Arc, ...]]] = {
    "garnet": (60.0, ((40.0, 3e-5, 0.95), (60.0, 2e-3, 0.85))),
    "sulfide": (25.0, ((30.0, 1e-4, 0.9), (90.0, 2e-2, 0.85))),
    "polymer": (80.0, ((200.0, 1e-3, 0.85), (300.0, 0.3, 0.8))),
}
"""R of the bulk in Ω, and the arcs of the interfaces."""


def program(geometry: Geometry = "symmetric", electrolyte: ElectrolyteClass = "sulfide") -> Program:
    """Two spectra: at open circuit, and under current."""
    steps = tuple(
        Geis(
            index=index,
            label="a spectrum",
            current_A=current_A,
            amplitude_A=1e-5,
            frequency_start_Hz=1e6,
            frequency_end_Hz=0.1,
            points_per_decade=8,
        )
        for index, current_A in enumerate((0.0, DRIVEN_A))
    )
    return Program(
        protocol="p",
        cell=Cell(name="c", geometry=geometry, area_m2=1e-4, electrolyte_class=electrolyte),
        steps=steps,
        limits=Limits(voltage_min_V=-5.0, voltage_max_V=5.0, current_max_A=1.0),
        guards=GuardSettings(enabled=("impedance",)),
    )


@dataclass
class Patient:
    """A cell under test whose spectra are measured one after the other."""

    name: str = "sulfide"
    noise: float = 2e-3
    driven: bool = False
    progress: Progress = field(default_factory=lambda: Progress(program()))
    found: list[Verdict] = field(default_factory=list)
    """Everything that was found."""
    measured: int = 0

    def measure(
        self,
        *,
        activated: float = 1.0,
        left: float = 1.0,
        kelvin: float = 0.0,
        contact: float = 1.0,
        drift: float = 0.0,
    ) -> Verdict | None:
        """Measure a spectrum and return the verdict that stops, if any.

        ``activated``: part of the interfaces' resistance, their capacitance stays. ``left``: what a resistor
        in parallel leaves of the whole.
        """
        warm = float(np.exp(0.35 / 8.617e-5 * (1 / (ROOM_K + kelvin) - 1 / ROOM_K)))
        bulk, parts = CELLS[self.name]
        by = activated * warm
        now = [(ohm * by, tau_s * by ** (1 / alpha), alpha) for ohm, tau_s, alpha in parts]
        z = contact * arcs(FREQUENCY, now, r_inf=bulk * warm)
        if left < 1.0:
            z = 1 / (1 / z + (1 / left - 1) / z[-1].real)
        z = noisy(z * np.linspace(1.0, 1.0 + drift, len(z)), self.noise, self.measured)
        begun_s = 3600.0 * self.measured
        spectrum = spectrum_of(FREQUENCY, z, begun_s, begun_s + 300.0, DRIVEN_A if self.driven else 0.0)
        spectrum = spectrum.model_copy(update={"step": int(self.driven), "visit": self.measured})
        self.measured += 1
        verdict = self.progress.spectrum(spectrum, summarize(spectrum))
        self.found += [*([verdict] if verdict else []), *self.progress.take_reports()]
        return verdict

    def kinds(self) -> list[tuple[str, int]]:
        return [(verdict.kind, verdict.tier) for verdict in self.found]


@pytest.mark.parametrize("driven", [False, True])
@pytest.mark.parametrize("noise", [5e-4, 3e-3])
@pytest.mark.parametrize("left", [0.6, 0.4, 0.1])
@pytest.mark.parametrize("name", CELLS)
def test_a_soft_short_stops(name: str, left: float, noise: float, driven: bool) -> None:
    patient = Patient(name, noise, driven)
    for _ in range(5):
        assert patient.measure() is None
    verdict = patient.measure(left=left)
    assert verdict is not None
    assert (verdict.kind, verdict.tier) == ("soft_short", 1)
    healthy = patient.found[0].evidence
    assert verdict.evidence["value"] == pytest.approx(left, abs=0.06)
    assert float(healthy["healthy_ohm"]) > float(healthy["r_total_ohm"])
    assert healthy["healthy_r_hf_ohm"] == pytest.approx(CELLS[name][0], rel=0.25)


def test_a_short_with_less_than_the_bulk_stops_though_an_interface_has_changed_too() -> None:
    patient = Patient()
    for _ in range(3):
        patient.measure()
    assert patient.measure(left=0.05, activated=0.5) is not None


def test_the_first_spectrum_says_nothing() -> None:
    assert Patient().measure(left=0.1) is None


@pytest.mark.parametrize("driven", [False, True])
@pytest.mark.parametrize("noise", [5e-4, 3e-3, 1e-2])
@pytest.mark.parametrize("name", CELLS)
def test_activation_never_stops(name: str, noise: float, driven: bool) -> None:
    """By 40 % in the first hour, at once, and over a day down to a fifth."""
    for course in ([1.0, 0.85, 0.72, 0.65, 0.6, 0.6], [1.0, 1.0, 1.0, 1.0, 0.6], np.geomspace(1.0, 0.2, 12)):
        patient = Patient(name, noise, driven)
        for activated in course:
            assert patient.measure(activated=float(activated)) is None
        assert patient.found == []


@pytest.mark.parametrize("name", CELLS)
def test_activation_in_a_room_that_warms_up_never_stops(name: str) -> None:
    for seed in range(10):
        random = np.random.default_rng(seed)
        patient = Patient(name, 10 ** random.uniform(-3.3, -2.0))
        end, kelvin = random.uniform(0.3, 0.7), random.uniform(-3.0, 4.0)
        for moment in np.linspace(0.0, 1.0, 6):
            assert (
                patient.measure(activated=float(1 - (1 - end) * moment), kelvin=float(kelvin * moment))
                is None
            )


def test_a_short_is_found_in_a_cell_that_has_activated() -> None:
    patient = Patient()
    for activated in (1.0, 0.8, 0.6, 0.58, 0.57):
        assert patient.measure(activated=activated) is None
    assert patient.measure(activated=0.56, left=0.55) is not None


def test_a_short_that_grows_slowly_is_reported_and_then_stops() -> None:
    patient = Patient()
    for left in (1.0, 1.0, 1.0, 0.93, 0.86, 0.8, 0.75, 0.7, 0.65, 0.6):
        if patient.measure(left=left) is not None:
            break
    assert patient.kinds() == [("soft_short", 3), ("soft_short", 1)]
    assert float(patient.found[-1].evidence["value"]) > 0.6


@pytest.mark.parametrize("known", [False, True])
def test_a_temperature_is_reported_if_it_is_not_known(known: bool) -> None:
    patient = Patient()
    for kelvin in (0.0, 0.0, 0.0, 15.0, 15.0):
        if known:
            patient.progress.temperature(3600.0 * patient.measured, ROOM_K + kelvin)
        assert patient.measure(kelvin=kelvin) is None
    assert patient.kinds() == ([] if known else [("temperature_drift", 3)])


def test_a_short_is_found_at_another_temperature() -> None:
    patient = Patient()
    for kelvin in (0.0, 0.0, 4.0):
        patient.progress.temperature(3600.0 * patient.measured, ROOM_K + kelvin)
        assert patient.measure(kelvin=kelvin) is None
    assert patient.measure(kelvin=4.0, left=0.6) is not None


def test_lost_contact_is_reported_once() -> None:
    patient = Patient()
    for contact in (1.0, 1.0, 1.4, 1.4, 1.4):
        assert patient.measure(contact=contact) is None
    assert patient.kinds() == [("contact_loss", 3)]
    assert patient.found[0].evidence["value"] == pytest.approx(1.4, abs=0.05)


def test_a_spectrum_that_drifted_decides_nothing_and_is_no_reference() -> None:
    patient = Patient()
    for _ in range(3):
        patient.measure()
    assert patient.measure(drift=-0.5) is None
    verdict = patient.measure(left=0.6)
    assert verdict is not None
    assert verdict.evidence["healthy_ohm"] == pytest.approx(145.0, rel=0.05)


@pytest.mark.parametrize(("geometry", "watched"), [("full", True), ("half", True), ("blocking", False)])
def test_cells_with_lithium_are_watched(geometry: Geometry, watched: bool) -> None:
    patient = Patient(progress=Progress(program(geometry)))
    for _ in range(3):
        patient.measure()
    assert (patient.measure(left=0.4) is not None) == watched


# Told of summaries alone


REST = StepFacts(0, 0, "geis", 0.0, 0.0, None)


def summary(
    t_s: float, r_total_ohm: float, r_hf_ohm: float, phase_rad: float, current_A: float = 0.0
) -> SpectrumSummary:
    return SpectrumSummary(
        t_s=t_s,
        current_A=current_A,
        r_hf_ohm=r_hf_ohm,
        r_total_ohm=r_total_ohm,
        r_int_ohm=r_total_ohm - r_hf_ohm,
        phase_low_rad=-phase_rad,
        z_imag_low_ohm=r_total_ohm * float(np.tan(phase_rad)),
        f_low_Hz=0.1,
        conductance_low_S=1 / r_total_ohm,
        kk_passed=True,
        kk_rms=1e-3,
        kk_lag1=0.0,
        noise=1e-3,
    )


def alone(told: Sequence[SpectrumSummary], last: SpectrumSummary) -> Verdict | None:
    watch = Watch.for_program(program())
    watch.enter(REST)
    for each in told:
        assert watch.spectrum(each) is None
    return watch.spectrum(last)


HEALTHY = [summary(float(k), 100.0, 30.0, 0.2) for k in range(4)]


@pytest.mark.parametrize(
    ("r_total_ohm", "r_hf_ohm", "phase_rad", "stops"),
    [
        (40.0, 20.7, 0.08, True),
        (40.0, 30.0, 0.08, False),
        (40.0, 12.0, 0.08, False),
        (40.0, 20.7, 0.12, False),
        (75.0, 27.3, 0.08, False),
    ],
    ids=["a short", "the bulk is left alone", "all has fallen", "the phase has not", "R has not"],
)
def test_without_a_whole_spectrum_resistance_phase_and_bulk_have_to_agree(
    r_total_ohm: float, r_hf_ohm: float, phase_rad: float, stops: bool
) -> None:
    verdict = alone(HEALTHY, summary(9.0, r_total_ohm, r_hf_ohm, phase_rad))
    assert (verdict is not None) == stops


def test_a_healthy_phase_of_less_than_three_degrees_decides_nothing() -> None:
    flat = [summary(float(k), 100.0, 30.0, 0.04) for k in range(4)]
    assert alone(flat, summary(9.0, 40.0, 20.7, 0.005)) is None


def shorted(t_s: float, low_ratio: float = 0.5) -> tuple[SpectrumSummary, SpectrumChange]:
    change = SpectrumChange(kind="parallel_resistor", reason="flat", parallel_ohm=100.0, low_ratio=low_ratio)
    return summary(t_s, 100.0 * low_ratio, 25.0, 0.1), change


def test_spectra_under_another_current_are_another_matter() -> None:
    watch = Watch.for_program(program())
    for t_s, current_A, ohm in ((0.0, 0.0, 100.0), (1.0, 1e-3, 55.0), (2.0, 1.1e-3, 54.0), (3.0, 2e-3, 35.0)):
        watch.enter(StepFacts(0, int(t_s), "geis", t_s, current_A, None))
        assert watch.spectrum(summary(t_s, ohm, 20.0, 0.2, current_A)) is None
    watch.enter(StepFacts(0, 9, "geis", 9.0, -1e-3, None))
    verdict = watch.spectrum(*shorted(9.0, 0.3))
    assert verdict is not None
    assert verdict.evidence["healthy_ohm"] == pytest.approx(54.5)


def test_what_a_second_look_found_healthy_is_the_new_level() -> None:
    interface = SpectrumChange(kind="undecided", reason="too few decades", low_ratio=0.5)
    suspicion = Verdict(kind="soft_short", tier=2, time_s=5.0, event_s=5.0, message="E fell")

    def healthy_after(tell: Callable[[Watch], None]) -> object:
        watch = Watch.for_program(program())
        watch.enter(REST)
        for each in HEALTHY:
            watch.spectrum(each)
        assert watch.spectrum(summary(5.0, 50.0, 30.0, 0.2), interface) is None
        tell(watch)
        verdict = watch.spectrum(*shorted(9.0, 0.3))
        assert verdict is not None
        return verdict.evidence["healthy_ohm"]

    assert healthy_after(lambda watch: None) == 100.0
    assert healthy_after(lambda watch: watch.looked(suspicion, False)) == 100.0
    assert healthy_after(lambda watch: watch.looked(suspicion, True)) == 50.0


def test_a_level_that_a_second_spectrum_shows_again_is_the_new_one() -> None:
    undecided = SpectrumChange(kind="undecided", reason="too few decades", low_ratio=0.5)
    same = SpectrumChange(kind="none", reason="nothing")
    watch = Watch.for_program(program())
    watch.enter(REST)
    for each in HEALTHY:
        watch.spectrum(each)
    watch.spectrum(summary(5.0, 50.0, 30.0, 0.2), undecided)
    watch.spectrum(summary(6.0, 48.0, 30.0, 0.2), same)
    verdict = watch.spectrum(*shorted(9.0, 0.3))
    assert verdict is not None
    assert verdict.evidence["healthy_ohm"] == 48.0


Told = tuple[float, float, float, float, str]
told = st.tuples(
    st.floats(5.0, 500.0),
    st.floats(0.05, 0.95),
    st.floats(0.0, 1.0),
    st.sampled_from([-1e-3, 0.0, 1e-3, 5e-3]),
    st.sampled_from(["parallel_resistor", "interface", "contact", "whole_cell", "none", "undecided", ""]),
)


@settings(max_examples=60)
@given(st.lists(told, max_size=40), st.integers(0, 40), st.floats(280.0, 330.0))
def test_a_restored_guard_goes_on_as_if_nothing_had_happened(
    spectra: list[Told], restored_at: int, kelvin: float
) -> None:
    watch, other = (Watch.for_program(program()) for _ in range(2))
    for place, (ohm, part, phase, current_A, kind) in enumerate(spectra):
        if place == restored_at:
            other = Watch.for_program(program())
            other.restore(json.loads(json.dumps(watch.state())))
        t_s = float(place)
        change = (
            SpectrumChange.model_validate(
                {"kind": kind, "reason": "r", "low_ratio": part, "head_ratio": 2 * part}
            )
            if kind
            else None
        )
        for one in (watch, other):
            one.temperature(t_s, kelvin + place % 3)
            one.enter(StepFacts(0, place, "geis", t_s, current_A, None))
        seen = summary(t_s, ohm, part * ohm, phase, current_A)
        assert watch.spectrum(seen, change) == other.spectrum(seen, change)
        assert watch.take_reports() == other.take_reports()
    assert watch.state() == other.state()
    assert len(json.dumps(watch.state())) < 20_000
