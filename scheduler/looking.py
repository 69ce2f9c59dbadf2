"""A closer look at a cell: what is a trip, which steps look, and what they have shown. Pure.

A *trip* is a verdict that has opened the circuit and becomes final only after a look, which the cell's open
circuit, a small spectrum and a small pulse allow; a *suspicion* is looked into under the current that runs.
"""

from __future__ import annotations

from guards.look import Seen, judge_look, reverse_pulse_kind
from protocols import tree
from protocols.capabilities import Capabilities
from protocols.edits import SpectrumNow
from protocols.nodes import ConstantCurrent, Decision, Geis, Message, Node, Rest, Step, inner, set_current_A
from protocols.program import Program
from protocols.tree import Nodes
from protocols.verdicts import Verdict

LOOKING = "the circuit was opened; looking whether it was a false alarm"
"""Reason of a run's state while the cell is looked at after a trip."""
FRACTION = 0.1
"""Amplitude and pulse as a part of the test current (design: After the end)."""
REST_S = 5.0
"""E at open circuit is recorded for so long first."""
PULSE_S = 10.0
LOWEST_HZ = 0.1
"""End of the spectrum after a trip: R at 1 Hz would lack what an interface of some 0.1 s adds to the R under
current, and no false alarm would be cleared. It takes 40 s."""
LOWEST_UNDER_CURRENT_HZ = 0.5
"""End of the spectrum under current: a soft short shows in the phase at low frequency."""
POINTS_PER_DECADE = 8
AVERAGE_UNDER_CURRENT = 3
"""Periods, since the cell's E drifts under current."""
LOOK_NUMBERS, INSERTED_NUMBERS = 4, 2
"""So many steps a look, and a spectrum that a person asks for, number at most."""
LEAST_CURRENT = 0.05
"""|I| below this part of what was set is no current (guards.depletion)."""
SPARE = 2.0
"""A sweep takes longer than its periods: a step has to go on for so many times their sum."""
LESS_SENSITIVE = "at open circuit: less sensitive, since a soft short heals when the current stops"
_RUNAWAYS = ("li_depletion", "contact_loss", "polarization")


def is_trip(program: Program, verdict: Verdict) -> bool:
    """Whether a verdict that stops is looked at before it is final."""
    settings = program.guards
    if program.kind == "playback":
        return False
    if verdict.kind == "short_circuit":
        return settings.look and verdict.tier == 1
    return settings.reverse_pulse > 0.0 and verdict.kind in _RUNAWAYS


def has_impedance(able: Capabilities) -> bool:
    """Whether a channel can measure the spectrum of a look."""
    highest = able.frequency_max_Hz
    return "geis" in able.step_kinds and highest is not None and highest > LOWEST_HZ


def first_index(program: Program) -> int:
    """Return the lowest number of a step of a look: it follows all that the program itself numbers."""
    nodes = (*program.steps, *program.afterwards, *program.on_suspicion)
    return 1 + max(_indices(nodes), default=-1)


def _indices(nodes: Nodes) -> list[int]:
    found = [node.index for node in nodes if isinstance(node, Step | Decision | Message)]
    return found + [index for node in nodes for index in _indices(inner(node))]


def after_trip(program: Program, trip: Verdict, able: Capabilities) -> Nodes:
    """Return the steps that look at a cell whose circuit a trip has opened; none if nothing can look."""
    current_A = _current_A(trip)
    if not current_A:
        return ()
    first = first_index(program)
    rest = Rest(index=first, label="look: open circuit", duration_s=REST_S)
    if trip.kind != "short_circuit":
        reverse_A = -program.guards.reverse_pulse * current_A
        return rest, _pulse(first + 1, "look: reverse pulse", reverse_A)
    if has_impedance(able):
        amplitude_A = _amplitude_A(current_A, able)
        return rest, _spectrum(first + 2, "look: spectrum", 0.0, amplitude_A, LOWEST_HZ, able)
    if "constant_current" in able.step_kinds:
        return rest, _pulse(first + 1, "look: pulse", FRACTION * current_A)
    return ()


def on_suspicion(program: Program, suspicion: Verdict, step: Step, able: Capabilities) -> Nodes:
    """Return the steps that look closer in the middle of ``step``, of which the remainder is given.

    Under the current that runs, or at open circuit where the step is over sooner than a spectrum, or may end
    by its voltage at any moment. None if no current is known, or the channel has no spectra.
    """
    current_A = set_current_A(step) or _current_A(suspicion)
    if not has_impedance(able) or not current_A:
        return ()
    first, amplitude_A = first_index(program), _amplitude_A(current_A, able)
    under = _spectrum(
        first + 3, "look: spectrum under current", current_A, amplitude_A, LOWEST_UNDER_CURRENT_HZ, able
    ).model_copy(update={"average": AVERAGE_UNDER_CURRENT})
    if isinstance(step, ConstantCurrent) and _left_s(step) >= SPARE * under.remaining_s:
        return (under,)
    return at_rest(program, step, able)


def at_rest(program: Program, step: Step, able: Capabilities) -> Nodes:
    """Return the steps that look closer at open circuit, in the middle of a step with a current."""
    first, amplitude_A = first_index(program), _amplitude_A(set_current_A(step), able)
    rest = Rest(index=first, label="look: open circuit", duration_s=REST_S)
    spectrum = _spectrum(first + 2, "look: spectrum", 0.0, amplitude_A, LOWEST_UNDER_CURRENT_HZ, able)
    return rest, spectrum


def first_inserted(program: Program, before: int) -> int:
    """Return the lowest number of a step of a spectrum that a person asks for, after ``before`` others.

    Each has numbers of its own, after those of looks, so that nobody takes its samples for another one's.
    """
    return first_index(program) + LOOK_NUMBERS + INSERTED_NUMBERS * before


def inserted_steps(program: Program, asked: SpectrumNow, step: Step | None, before: int) -> Nodes:
    """Return the steps of a spectrum that a person asks for in the middle of ``step`` (None: between two).

    ``step``: what is left of it. Under its current if that is asked for and the step lasts long enough.
    """
    rest, spectrum = _asked_spectrum(first_inserted(program, before), asked)
    if asked.under_current and isinstance(step, ConstantCurrent):
        under = spectrum.model_copy(update={"current_A": step.current_A, "average": AVERAGE_UNDER_CURRENT})
        if _left_s(step) >= SPARE * under.remaining_s:
            return (under.model_copy(update={"index": rest.index}),)
    return rest, spectrum


def _asked_spectrum(first: int, asked: SpectrumNow) -> tuple[Rest, Geis]:
    rest = Rest(index=first, label="asked for: open circuit", duration_s=REST_S)
    settings = asked.model_dump(exclude={"kind", "under_current"})
    return rest, Geis(index=first + 1, label="asked for: spectrum", **settings)


def is_under_current(nodes: Nodes) -> bool:
    """Whether a look measures its spectrum under a direct current."""
    return any(isinstance(step, Geis) and step.current_A != 0.0 for step, _ in tree.walk(nodes))


def how(nodes: Nodes) -> str:
    """Say how a look looks."""
    if is_under_current(nodes):
        return "a spectrum under the current that runs"
    steps = [step for step, _ in tree.walk(nodes)]
    with_pulse = any(isinstance(step, ConstantCurrent) for step in steps)
    return "open circuit and a small pulse" if with_pulse else "open circuit and a small spectrum"


def pulse_ohm(step: ConstantCurrent, voltage_V: float, open_V: float, current_A: float) -> float | None:
    """Return the resistance that a pulse has met; None if next to no current could be driven."""
    if abs(current_A) < LEAST_CURRENT * abs(step.current_A):
        return None
    return (voltage_V - open_V) / current_A


def judged(program: Program, trip: Verdict, seen: Seen) -> Verdict:
    """Return what becomes of a trip that was looked at; see :mod:`guards.look`."""
    if trip.kind == "short_circuit":
        return judge_look(trip, seen)
    return reverse_pulse_kind(trip, seen, program.cell)


def _current_A(verdict: Verdict) -> float:
    """Return the current at which something was found; 0 if that is not known."""
    value = verdict.evidence.get("current_A", 0.0)
    return value if isinstance(value, float) else 0.0


def _amplitude_A(current_A: float, able: Capabilities) -> float:
    widest_A = max(able.current_ranges_A, default=able.current_max_A)
    return min(FRACTION * abs(current_A), able.eis_amplitude_fraction * widest_A)


def _spectrum(
    index: int, label: str, current_A: float, amplitude_A: float, lowest_Hz: float, able: Capabilities
) -> Geis:
    return Geis(
        index=index,
        label=label,
        current_A=current_A,
        amplitude_A=amplitude_A,
        frequency_start_Hz=able.frequency_max_Hz or lowest_Hz,
        frequency_end_Hz=max(lowest_Hz, able.frequency_min_Hz or 0.0),
        points_per_decade=POINTS_PER_DECADE,
    )


def _pulse(index: int, label: str, current_A: float) -> Node:
    return ConstantCurrent(index=index, label=label, duration_s=PULSE_S, current_A=current_A)


def _left_s(step: ConstantCurrent) -> float:
    """Least time until a step ends by itself, at its set current."""
    if step.until_voltage_V is not None:
        return 0.0
    left_s = step.remaining_s
    if step.ends_by == "charge" and step.charge_C is not None:
        left_s = min(left_s, (step.charge_C - abs(step.done_C)) / abs(step.current_A))
    return left_s
