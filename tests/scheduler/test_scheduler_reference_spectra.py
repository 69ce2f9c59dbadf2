"""Spectra of a run are compared with its last healthy one, and the guards are told how they differ."""

from __future__ import annotations

import json

import numpy as np
import pytest
from arcs import spectrum_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scripted_instrument import CURRENT_A, OHM, Bench, Impedance, driven, one_arc, program

from protocols.measurements import SpectrumChange, SpectrumSummary
from protocols.nodes import Geis, Repeat
from protocols.program import Program
from scheduler.reference_spectra import ReferenceSpectra

pytestmark = pytest.mark.usefixtures("quick")

CYCLE_S = 40.0
ohms = st.integers(-(10**12), 10**12).map(lambda micro: micro * 1e-6)
point = st.tuples(st.floats(-3.0, 7.0), ohms, ohms)


def sweep(index: int, current_A: float) -> Geis:
    return Geis(
        index=index,
        label="a spectrum",
        current_A=current_A,
        amplitude_A=1e-5,
        frequency_start_Hz=1e6,
        frequency_end_Hz=1.0,
        points_per_decade=6,
    )


def with_spectra(current_A: float = 0.0, cycles: int = 6) -> Program:
    """Half-cycles of :data:`CYCLE_S` with a spectrum after each."""
    body = (driven(0, CURRENT_A, CYCLE_S), sweep(1, current_A))
    return program(Repeat(total=cycles, stop=cycles, body=body))


def shorted(after_s: float, left: float) -> Impedance:
    """Return a cell that a resistor in parallel leaves a part of its resistance from some time on."""

    def impedance(t_s: float, frequency: NDArray[np.float64]) -> NDArray[np.complex128]:
        z = one_arc(t_s, frequency)
        return np.asarray(1 / (1 / z + (1 / left - 1) / OHM)) if t_s >= after_s else z

    return impedance


def activated(after_s: float, left: float) -> Impedance:
    """Return a cell whose interface is left with a part of its resistance, and all of its capacitance."""

    def impedance(t_s: float, frequency: NDArray[np.float64]) -> NDArray[np.complex128]:
        part = left if t_s >= after_s else 1.0
        return np.asarray(10.0 + 90.0 * part / (1.0 + 2j * np.pi * frequency * 1e-2 * part))

    return impedance


@pytest.mark.parametrize("current_A", [0.0, CURRENT_A])
async def test_a_soft_short_that_only_spectra_show_ends_the_run_protected(
    bench: Bench, current_A: float
) -> None:
    bench.instrument.impedance = shorted(3 * CYCLE_S, 0.6)
    run = bench.submit(with_spectra(current_A))
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "protected"
    assert run.open_confirmed
    (verdict,) = bench.store.reader.verdicts(run.number)
    assert (verdict.kind, verdict.tier) == ("soft_short", 1)
    assert verdict.evidence["healthy_ohm"] == pytest.approx(OHM, rel=0.01)
    assert verdict.evidence["r_total_ohm"] == pytest.approx(0.6 * OHM, rel=0.02)
    assert verdict.evidence["parallel_ohm"] == pytest.approx(150.0, rel=0.1)
    # Nothing was measured after it.
    assert bench.store.reader.spectra(run.number)[-1][1].t_s == verdict.time_s


async def test_activation_ends_nothing(bench: Bench) -> None:
    bench.instrument.impedance = activated(3 * CYCLE_S, 0.5)
    run = bench.submit(with_spectra())
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "finished"
    assert bench.store.reader.verdicts(run.number) == []


async def test_a_short_that_grows_slowly_is_measured_by_the_cell_as_it_was(bench: Bench) -> None:
    """Each spectrum alone has lost little."""

    def impedance(t_s: float, frequency: NDArray[np.float64]) -> NDArray[np.complex128]:
        step = max(0, round(t_s / CYCLE_S) - 2)
        return shorted(0.0, 0.85**step)(t_s, frequency)

    bench.instrument.impedance = impedance
    run = bench.submit(with_spectra(cycles=12))
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "protected"
    assert [(found.kind, found.tier) for found in bench.store.reader.verdicts(run.number)] == [
        ("soft_short", 3),
        ("soft_short", 1),
    ]
    assert run.verdict is not None
    assert float(run.verdict.evidence["value"]) > 0.5


@pytest.mark.parametrize("saved", [False, True])
async def test_a_new_daemon_compares_with_what_the_last_one_saw(bench: Bench, saved: bool) -> None:
    """Both from a saved state and, without one since, from what is stored."""
    bench.instrument.impedance = shorted(5 * CYCLE_S, 0.6)
    run = bench.submit(with_spectra(cycles=8))
    bench.keep()
    await bench.until(lambda: run.progress.t_s >= 3 * CYCLE_S)
    await bench.rest()
    if saved:
        run.save_progress()
    await bench.recorder.commit()
    before = run.progress.state()
    await bench.killed()
    run = bench.recover(run.number)
    assert run.progress.state() == before
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    assert run.info.state == "protected"
    assert run.verdict is not None
    assert run.verdict.evidence["r_total_ohm"] == pytest.approx(0.6 * OHM, rel=0.02)


async def test_a_spectrum_that_failed_its_test_is_no_reference(bench: Bench) -> None:
    def impedance(t_s: float, frequency: NDArray[np.float64]) -> NDArray[np.complex128]:
        drift = np.linspace(1.0, 0.5, len(frequency)) if t_s < 2 * CYCLE_S else 1.0
        return np.asarray(one_arc(t_s, frequency) * drift)

    bench.instrument.impedance = impedance
    run = bench.submit(with_spectra(cycles=4))
    bench.keep()
    await bench.until(lambda: run.number in bench.ended)
    summaries: list[SpectrumSummary] = [found for _, found in bench.store.reader.spectra(run.number)]
    assert [found.kk_passed for found in summaries] == [False, True, True, True]
    assert run.info.state == "finished"
    assert bench.store.reader.verdicts(run.number) == []


@given(
    st.lists(
        st.lists(point, min_size=1, max_size=40) | st.lists(point, min_size=20, max_size=40),
        min_size=2,
        max_size=2,
    )
)
def test_whatever_is_measured_can_be_compared(measured: list[list[tuple[float, float, float]]]) -> None:
    """A fault here would open the circuit of a run that nothing is wrong with."""
    before, now = (
        spectrum_of(10.0 ** np.array(values)[:, 0], np.array(values)[:, 1] + 1j * np.array(values)[:, 2])
        for values in measured
    )
    references = ReferenceSpectra()
    references.accept(before, driven=True)
    assert references.compare(now, driven=False) is None
    assert isinstance(references.compare(now, driven=True), SpectrumChange)
    other = ReferenceSpectra()
    other.restore(json.loads(json.dumps(references.state())))
    assert other.state() == references.state()
