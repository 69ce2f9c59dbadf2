"""hybrid-drt in its own process: its hierarchical method, and its Kramers–Kronig test."""

from __future__ import annotations

from hybdrt.models import DRT

from benchmarks.eis import peer_child
from benchmarks.eis.peer_child import Complexes, Floats, Resolved


def qphb(frequency_Hz: Floats, impedance_ohm: Complexes, tau_s: Floats, blocks: bool) -> Resolved:
    """Resolve one spectrum; that there is a capacitance in series it has to be told."""
    drt = DRT(fit_capacitance=blocks)
    drt.fit_eis(frequency_Hz, impedance_ohm)
    lower, upper = drt.predict_drt_ci(tau=tau_s)
    return Resolved(drt.predict_drt(tau=tau_s), float(drt.predict_r_inf()), lower, upper)


def outliers(frequency_Hz: Floats, impedance_ohm: Complexes) -> bool:
    """Pass a spectrum in which its test finds no outliers."""
    found, _, _ = DRT().kk_test(frequency_Hz, impedance_ohm, show_plot=False)
    return len(found) == 0


if __name__ == "__main__":
    peer_child.main({"qphb": qphb}, {"outliers": outliers})
