"""One spectrum resolved: what is found, and what a person is warned of."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_spectra import FREQUENCY, R_HF, TWO_ARCS, impedance, spectrum_of

from analysis.circuit.notation import parse_circuit
from analysis.drt.distribution import Method
from analysis.resolve import resolve
from analysis.timeline import timeline
from protocols.errors import SpectrumError
from scheduler.worker import Worker

PROCESSES = {"grain boundary": (1e-6, 1e-4), "interface": (1e-3, 1e-1)}


@pytest.mark.parametrize("method", ["ridge", "hierarchical"])
def test_known_arcs_are_found_and_named(method: Method) -> None:
    resolved = resolve(spectrum_of(impedance()), PROCESSES, method=method)
    named = {peak.name: peak for peak in resolved.peaks if peak.name and peak.resistance_ohm > 10}
    for (ohm, tau_s), name in zip(TWO_ARCS, PROCESSES, strict=True):
        assert named[name].resistance_ohm == pytest.approx(ohm, rel=0.05)
        assert named[name].tau_s == pytest.approx(tau_s, rel=0.3)
    assert resolved.distribution.method == method
    assert resolved.summary.kk_passed
    assert resolved.warnings == ()


def test_what_a_distribution_describes_comes_back_from_it() -> None:
    resolved = resolve(spectrum_of(impedance(noise=3e-3)))
    known = impedance(noise=0.0)[::-1]
    assert resolved.frequency_Hz.tolist() == FREQUENCY[::-1].tolist()
    np.testing.assert_allclose(resolved.described_ohm, known, rtol=6e-3)
    assert resolved.described_ohm[-1].real == pytest.approx(R_HF, rel=0.05)


def test_a_circuit_is_fitted_beside() -> None:
    resolved = resolve(spectrum_of(impedance()), circuit=parse_circuit("R0-p(R1,CPE1)-p(R2,CPE2)"))
    assert resolved.fit is not None
    found = resolved.fit.named
    assert [found[name] for name in ("R0", "R1", "R2")] == pytest.approx([40, 120, 300], rel=0.02)


def test_a_circuit_with_more_parameters_than_points_is_a_warning_and_no_loss() -> None:
    few = spectrum_of(impedance()[::7])
    few = few.model_copy(update={"frequency_Hz": tuple(FREQUENCY[::7].tolist())})
    large = parse_circuit("-".join(f"p(R{k},CPE{k})" for k in range(12)))
    resolved = resolve(few, circuit=large)
    assert resolved.fit is None
    assert any("not fitted" in warning for warning in resolved.warnings)


def test_a_turned_sign_is_recognised() -> None:
    (warning,) = [w for w in resolve(spectrum_of(impedance().conj())).warnings if "−Z″" in w]
    assert "-Im(Z)" in warning


def test_an_inductor_is_no_turned_sign() -> None:
    inductive = np.asarray(5.0 + 2j * np.pi * FREQUENCY * 1e-6, dtype=np.complex128)
    assert not [w for w in resolve(spectrum_of(inductive)).warnings if "−Z″" in w]


def test_an_arc_that_is_cut_off_is_said() -> None:
    resolved = resolve(spectrum_of(impedance([(200.0, 6e-8), (300.0, 1e-2)])), {"grain": (0, 1e-7)})
    assert any("above 1 MHz (grain)" in warning for warning in resolved.warnings)


def test_a_spectrum_that_was_disturbed_says_where_it_is_valid_and_can_be_cut_to_that() -> None:
    z = impedance()
    z[60:] *= np.linspace(1.0, 1.6, len(z) - 60)
    whole, part = (resolve(spectrum_of(z), only_valid=valid) for valid in (False, True))
    assert not whole.summary.kk_passed
    assert any("passes the Kramers–Kronig test only from" in warning for warning in whole.warnings)
    assert part.frequency_Hz[0] == whole.summary.valid_from_Hz
    assert f"only the {len(part.frequency_Hz)} points" in part.warnings[0]
    assert part.frequency_Hz[0] > FREQUENCY[-1]
    assert len(part.impedance_ohm) < len(whole.impedance_ohm) == len(FREQUENCY)


def test_what_no_distribution_makes_is_said_with_its_frequency() -> None:
    loop = -100.0 / (1 + 2j * np.pi * FREQUENCY * 3.0)
    resolved = resolve(spectrum_of(np.asarray(impedance() + loop)))
    assert resolved.summary.kk_passed
    (warning,) = [w for w in resolved.warnings if "distribution leaves" in w]
    worst = resolved.frequency_Hz[np.argmax(np.abs(resolved.distribution.residuals))]
    assert worst < 0.2
    assert "a loop" in warning


def test_points_that_are_no_impedance_are_left_out_and_counted() -> None:
    z = impedance()
    z[3] = 0.0
    resolved = resolve(spectrum_of(z))
    assert len(resolved.frequency_Hz) == len(FREQUENCY) - 1
    assert "1 of 81 points" in resolved.warnings[0]


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(SpectrumError):
        resolve(spectrum_of(np.zeros(81, dtype=np.complex128)))


async def test_the_worker_process_can_do_it_too() -> None:
    worker = Worker()
    try:
        there = await worker.run(resolve, spectrum_of(impedance()), PROCESSES)
    finally:
        worker.close()
    here = resolve(spectrum_of(impedance()), PROCESSES)
    assert [peak.name for peak in there.peaks] == [peak.name for peak in here.peaks]
    np.testing.assert_allclose(
        there.distribution.gamma_ohm, here.distribution.gamma_ohm, rtol=1e-6, atol=1e-9
    )


def test_spectra_in_order_of_time_make_tracks_and_a_map() -> None:
    growing = [300.0, 330.0, 360.0, 390.0]
    spectra = [
        spectrum_of(impedance([(120.0, 1e-5), (ohm, 1e-2)], seed=k), t_s=3600.0 * k)
        for k, ohm in enumerate(growing)
    ]
    found = timeline([resolve(spectrum, PROCESSES) for spectrum in spectra])
    assert found.is_time
    assert found.map.gamma_ohm.shape[0] == len(growing)
    column = found.table.names.index("interface")
    assert found.table.resistance_ohm[:, column] == pytest.approx(growing, rel=0.06)


def test_spectra_without_times_are_numbered() -> None:
    found = timeline([resolve(spectrum_of(impedance(seed=k))) for k in range(3)])
    assert not found.is_time
    assert found.t_s.tolist() == [0, 1, 2]
