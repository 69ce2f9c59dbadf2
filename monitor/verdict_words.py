"""Verdicts in words: what a kind means, what else looks like it, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from protocols.records import RunInfo
from protocols.verdicts import Verdict, VerdictKind
from scheduler.rounding import MA_PER_CM2, MAH_PER_CM2

Quantity = Literal["E", "R", "I"]
NAMES = {"li_depletion": "lithium used up"}
"""Kinds whose name is no word of a lab's."""

TIERS = {
    0: "a limit on board opened the circuit",
    1: "the circuit was opened",
    2: "suspected, the test went on",
    3: "reported, the test went on",
}


@dataclass(frozen=True, slots=True)
class KindWords:
    """What a person has to know of a kind of verdict."""

    meaning: str
    look_alikes: tuple[str, ...]
    """What else looks like it, and by what it was told apart."""
    advice: str


@dataclass(frozen=True, slots=True)
class Level:
    """A value that decided, for the axis of its quantity."""

    quantity: Quantity
    value: float
    label: str


KINDS: dict[VerdictKind, KindWords] = {
    "short_circuit": KindWords(
        "Metal bridges the electrodes: E/I has collapsed and stays low, whatever the current.",
        (
            "a nucleation spike that decays, or arcing before it: compared with the same phase of an earlier "
            "half-cycle, where the same spike was",
            "the change of sign between half-cycles: nothing is judged for seconds after it",
            "activation and a warmer cell lower R by up to 40 %: the threshold is lower still",
            "a glitch, a change of range: it had to last for seconds and several samples",
            "a step up in a ramp: the phase is the part of the charge, and R hardly depends on the current",
        ),
        "Open the cell's record around the event. If the look found R as it was, it was a false alarm; else "
        "the cell is shorted, and a spectrum that is one point on the real axis confirms it.",
    ),
    "soft_short": KindWords(
        "A thin electronic path lies beside the ions' path: R and the phase at low frequency are lower than "
        "they were. It may heal at open circuit, so that a cell looks healthy afterwards.",
        (
            "activation lowers R but leaves the phase at low frequency: both are asked for",
            "a warmer cell lowers all of the spectrum by one factor",
            "a better contact lowers R at high frequency as well as the rest",
        ),
        "Compare the spectra before and after: sandtime analyze eis RUN. A hard short often follows.",
    ),
    "micro_short": KindWords(
        "E dipped for a moment and came back, several times: filaments that touch and burn off.",
        (
            "outliers and changes of range: a dip lasts, and there are hardly any spikes upwards",
            "arcing at the end of stripping: it rises and does not dip",
        ),
        "Nothing was stopped. Log at 10 Hz or faster to see such dips whole.",
    ),
    "li_depletion": KindWords(
        "The electrode that strips has no lithium left: E ran away while the current still flowed.",
        (
            "contact loss by voids: the charge that has passed says whether the lithium can be used up",
            "an open clip: then no current flows",
            "two equal electrodes can't show which one is empty: that is called polarization",
        ),
        "The cell lasted as long as its lithium. Its loss per cycle is among the results of the run.",
    ),
    "contact_loss": KindWords(
        "R rose steeply although lithium is left: voids under the electrode, or pressure that was lost.",
        (
            "used-up lithium: by the charge that has passed, there must be some left",
            "an open clip: then no current flows",
        ),
        "Check stack pressure and leads. After contact loss a short often follows: current goes through what "
        "contact is left.",
    ),
    "open_circuit": KindWords(
        "E is at its limit and no current flows: a clip is off, or a wire is broken.",
        ("used-up lithium or contact loss: then current still flows",),
        "Check clips and leads, then run what is left of the test.",
    ),
    "polarization": KindWords(
        "E ran away, and the cell can't show why: lithium used up, or contact lost.",
        (
            "in a symmetric cell both sides hold the same lithium, so that none can be named",
            "an open clip: then no current flows",
        ),
        "Say in the cell file how much lithium each side holds, if it differs.",
    ),
    "temperature_drift": KindWords(
        "R moved as temperature moves it, or the surroundings did: values before and after do not compare.",
        ("a soft short lowers the phase at low frequency as well, a temperature does not",),
        "Check the chamber. R of solid electrolytes changes by 4 to 7 % per K.",
    ),
    "over_range": KindWords(
        "E or I could not be measured while current flowed, so that no guard could watch the cell.",
        ("a single sample out of range is only an outlier",),
        "Check leads, ranges and the voltage window.",
    ),
    "limit": KindWords(
        "A safety limit was passed, and no guard can name the cause.",
        ("a run-away, a short and an open clip: their guards did not see what they look for",),
        "See in the raw data how E got there; then widen the cell's window, or keep it.",
    ),
}


def name_of(verdict: Verdict) -> str:
    """Return the kind for people."""
    words = NAMES.get(verdict.kind, verdict.kind.replace("_", " "))
    return f"false alarm: {words}" if verdict.false_alarm else words


def headline(info: RunInfo, verdict: Verdict) -> str:
    """Say in a line what was found, when and by which criterion."""
    name = name_of(verdict)
    parts = [f"Run {info.run} ({info.cell}): {name} after {verdict.time_s / 3600:.3f} h"]
    density = verdict.evidence.get("current_density_A_per_m2")
    if isinstance(density, float):
        parts.append(f"at {abs(density) * MA_PER_CM2:.3g} mA/cm²")
    criterion = verdict.evidence.get("criterion")
    if criterion:
        parts.append(f"by {criterion}")
    return ", ".join(parts) + (" [simulated]" if info.simulated else "")


def quantity_of(verdict: Verdict) -> tuple[Quantity, str] | None:
    """Return which quantity the threshold is of, with its unit; None where it is neither E nor R nor I."""
    criterion = str(verdict.evidence.get("criterion", ""))
    if criterion.startswith(("R ", "R_", "R(")):
        return "R", "Ω"
    if "|I|" in criterion:
        return "I", "A"
    return ("E", "V") if criterion.startswith(("E ", "|E|")) or "of E" in criterion else None


def levels(verdict: Verdict) -> list[Level]:
    """Return the threshold and what was expected, where the evidence has them."""
    found = []
    evidence, measured = verdict.evidence, quantity_of(verdict)
    threshold = evidence.get("threshold")
    if measured is not None and isinstance(threshold, float):
        low_V = measured[0] == "E" and float(evidence.get("voltage_V", 0.0)) < 0.0 < threshold
        found.append(Level(measured[0], -threshold if low_V else threshold, "threshold"))
    expected = evidence.get("healthy_ohm") or evidence.get("baseline")
    if isinstance(expected, float) and expected > 0.0 and (measured is None or measured[0] == "R"):
        found.append(Level("R", expected, "expected"))
    return found


def place_words(verdict: Verdict) -> str:
    """Say where in the test a verdict fell."""
    evidence = verdict.evidence
    parts = [f"step '{evidence['step']}'"] if "step" in evidence else []
    if "half_cycle" in evidence:
        cycle = f" of cycle {evidence['cycle']:.0f}" if "cycle" in evidence else ""
        parts.append(f"half-cycle {float(evidence['half_cycle']) + 1:.0f}{cycle}")
        parts.append(f"{abs(float(evidence['current_density_A_per_m2'])) * MA_PER_CM2:.3g} mA/cm²")
        parts.append(f"plating the {evidence['plating_side']} electrode")
        phase = evidence.get("half_cycle_phase")
        share = f" ({phase:.0%} of the half-cycle)" if isinstance(phase, float) else ""
        passed = float(evidence["half_cycle_C_per_m2"]) * MAH_PER_CM2
        parts.append(f"after {passed:.3g} mAh/cm²{share}")
    if "temperature_K" in evidence:
        parts.append(f"{float(evidence['temperature_K']) - 273.15:.1f} °C")
    return ", ".join(parts)
