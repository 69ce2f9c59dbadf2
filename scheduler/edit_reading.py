"""What a person writes of an edit, read for one run: labels become numbers, quantities SI. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.amounts import Converter
from protocols.capabilities import Capabilities
from protocols.editing import FILE, Loop, loops_of_program, passes_begun
from protocols.edits import End, EndName, Limit, LimitName, Passes, ProgramEdit, SpectrumNow
from protocols.ends import ENDS
from protocols.errors import InvalidFileError, Problem, QuantityError
from protocols.limits import driven_currents
from protocols.nodes import Step, set_current_A
from protocols.position import Position
from protocols.problems import Problems
from protocols.program import Program
from protocols.units import KindName, format_amount, parse_amount
from protocols.yamlfile import Node, Place, Source
from scheduler.requests import EditRequest, EndRequest, SpectrumRequest

FRACTION = 0.1
"""Peak of a spectrum as a part of the test current, unless a person writes another (as for looks)."""
LOWEST_HZ = 0.1
"""Last frequency, unless a person writes another."""

CURRENTS: tuple[KindName, ...] = ("current", "current_density", "c_rate", "specific_current")
CHARGES: tuple[KindName, ...] = ("charge", "areal_capacity", "specific_capacity")
END_KINDS: dict[str, tuple[EndName, tuple[KindName, ...]]] = {
    "time": ("time", ("time",)),
    "charge": ("charge", CHARGES),
    "areal_capacity": ("charge", CHARGES),
    "specific_capacity": ("charge", CHARGES),
    "voltage": ("voltage", ("voltage",)),
    "current": ("current", CURRENTS),
}
LIMIT_KINDS: dict[str, tuple[tuple[LimitName, float], ...]] = {
    "voltage": (("voltage_min", -1.0), ("voltage_max", 1.0)),
    "voltage_min": (("voltage_min", 1.0),),
    "voltage_max": (("voltage_max", 1.0),),
    "current": (("current_max", 1.0),),
    "current_max": (("current_max", 1.0),),
}
"""As a person writes it → the limits that this sets, each with a factor."""


@dataclass(frozen=True, slots=True)
class Situation:
    """How a run stands when an edit is asked for."""

    program: Program
    """With what is pending."""
    place: Position
    step: Step | None
    """What is left of the step that runs; None between two."""
    able: Capabilities
    voltage_V: float | None = None
    """E now; None where that is not known, or the circuit is open."""


class _Reader:
    """Reads one request; collects what is wrong with it."""

    def __init__(self, at: Situation) -> None:
        self._at = at
        self.problems = Problems(Source(FILE, Node(Place(0, 0), {})))
        self._convert = Converter(at.program.cell, self.problems)

    def amount(self, text: str, name: str, kinds: tuple[KindName, ...]) -> float:
        """Return a quantity in SI for the run's cell."""
        try:
            return self._convert.si(parse_amount(text, *kinds), (name,))
        except QuantityError as error:
            self.wrong(name, f"{name}: {error}", error.hint)
            return 1.0

    def wrong(self, name: str, message: str, hint: str = "") -> None:
        """Note a problem with one part of the request."""
        self.problems.add((name,), message, hint)

    def done(self) -> None:
        """Raise InvalidFileError with all that was noted."""
        if self.problems.found:
            raise InvalidFileError(list(self.problems.found.values()))


def read_changes(request: EditRequest, at: Situation) -> tuple[ProgramEdit, ...]:
    """Return the changes of the program that a request asks for. Raises InvalidFileError."""
    reader = _Reader(at)
    edits: list[ProgramEdit] = []
    if request.cycles is not None and (label := _loop(reader, request.loop, at)):
        edits.append(Passes(loop=label, count=request.cycles))
    for name, text in request.limits.items():
        edits += _limits(reader, name, text)
    for end in request.ends:
        edits += _end(reader, end, at.program)
    for edit in edits:
        _require_inside(reader, edit, at.voltage_V)
    reader.done()
    return tuple(edits)


def _require_inside(reader: _Reader, edit: ProgramEdit, now_V: float | None) -> None:
    """Note limits that the cell is beyond now: they would open the circuit as soon as they held."""
    if not isinstance(edit, Limit) or edit.which == "current_max" or now_V is None:
        return
    if now_V >= edit.value if edit.which == "voltage_max" else now_V <= edit.value:
        text = f"E is {now_V:.4g} V: a limit of {edit.value:g} V would open the circuit at once."
        reader.wrong(edit.which, text, "To open it: sandtime stop RUN")


def _loop(reader: _Reader, wanted: str, at: Situation) -> str:
    """Return the label of the loop that is meant; empty if that is not clear, which is noted."""
    loops = loops_of_program(at.program)
    labels = ", ".join(f"'{loop.label}'" for loop in loops) or "none"
    meant = [loop for loop in loops if _is_meant(loop.label, wanted)] if wanted else _likely(loops, at.place)
    if len(meant) == 1:
        return meant[0].label
    if wanted and not meant:
        reader.wrong("loop", f"There is no loop '{wanted}'.", f"Loops of this run: {labels}.")
    else:
        which = f"'{wanted}' may mean several loops" if wanted else "It is not clear which loop is meant"
        reader.wrong("loop", f"{which}.", f"Write one: --loop. Loops of this run: {labels}.")
    return ""


def _likely(loops: list[Loop], place: Position) -> list[Loop]:
    """Return the loops that may be meant where none is named: those that count cycles, before others."""
    free = [loop for loop in loops if not loop.nested and passes_begun(loop, place) is not None]
    counting = [loop for loop in free if loop.counts]
    inside = [loop for loop in counting or free if loop.first <= place.step <= loop.last]
    return inside or counting or free or loops


def _is_meant(label: str, wanted: str) -> bool:
    return label == wanted or label.endswith(f" › {wanted}")


def _limits(reader: _Reader, name: str, text: str) -> list[ProgramEdit]:
    if name not in LIMIT_KINDS:
        reader.wrong(name, f"There is no limit '{name}'.", f"Limits: {', '.join(LIMIT_KINDS)}.")
        return []
    kinds: tuple[KindName, ...] = CURRENTS if name.startswith("current") else ("voltage",)
    value = reader.amount(text, name, kinds)
    return [Limit(which=which, value=factor * value) for which, factor in LIMIT_KINDS[name]]


def _end(reader: _Reader, end: EndRequest, program: Program) -> list[ProgramEdit]:
    if end.which not in END_KINDS:
        reader.wrong(end.which, f"There is no end by '{end.which}'.", f"Ends: {', '.join(END_KINDS)}.")
        return []
    step = _step(reader, end.step, program)
    which, kinds = END_KINDS[end.which]
    value = reader.amount(end.value, end.which, kinds)
    return [] if step is None else [End(step=step.index, which=which, value=value)]


def _step(reader: _Reader, wanted: str, program: Program) -> Step | None:
    steps = [step for step, _ in program.walk()]
    if wanted.isdecimal():
        meant = [step for step in steps if step.index == int(wanted)]
    else:
        meant = [step for step in steps if _is_meant(step.label, wanted)]
    if len(meant) == 1:
        return meant[0]
    listed = ", ".join(f"{step.index} ({step.label})" for step in (meant or steps) if step.kind in ENDS)
    what = f"'{wanted}' may mean several steps" if meant else f"There is no step '{wanted}'"
    reader.wrong(f"step {wanted}", f"{what}.", f"Steps: {listed}.")
    return None


# A spectrum


def read_spectrum(request: SpectrumRequest, at: Situation) -> SpectrumNow:
    """Return the spectrum that a request asks for. Raises InvalidFileError."""
    reader, able = _Reader(at), at.able
    low_Hz, high_Hz = able.frequency_min_Hz, able.frequency_max_Hz
    if "geis" not in able.step_kinds or low_Hz is None or high_Hz is None:
        raise InvalidFileError([Problem(FILE, 0, 0, f"The channel ({able.model}) can't measure impedance.")])
    start_Hz = reader.amount(request.start, "from", ("frequency",)) if request.start else high_Hz
    end_Hz = reader.amount(request.end, "to", ("frequency",)) if request.end else max(low_Hz, LOWEST_HZ)
    reach = f"{format_amount(low_Hz, 'frequency')} … {format_amount(high_Hz, 'frequency')}"
    for name, frequency_Hz in (("from", start_Hz), ("to", end_Hz)):
        if not low_Hz <= frequency_Hz <= high_Hz:
            text = f"{format_amount(frequency_Hz, 'frequency')} is outside the channel's range"
            reader.wrong(name, f"{text} ({able.model}: {reach}).")
    current_A = abs(set_current_A(at.step)) if at.step is not None else 0.0
    if request.under_current and not current_A:
        reader.wrong("under_current", "No constant current runs now.", "Leave out --under-current.")
    amplitude_A = _amplitude(reader, request, at, current_A)
    reader.done()
    return SpectrumNow(
        under_current=request.under_current,
        frequency_start_Hz=start_Hz,
        frequency_end_Hz=end_Hz,
        points_per_decade=request.points_per_decade,
        amplitude_A=amplitude_A,
    )


def _amplitude(reader: _Reader, request: SpectrumRequest, at: Situation, current_A: float) -> float:
    """Return the peak, which together with a current stays inside the safety limit."""
    widest_A = max(at.able.current_ranges_A, default=at.able.current_max_A)
    most_A = at.able.eis_amplitude_fraction * widest_A
    if request.under_current:
        most_A = min(most_A, at.program.limits.current_max_A - current_A)
    if request.amplitude:
        amplitude_A = reader.amount(request.amplitude, "amplitude", CURRENTS)
        if not 0 < amplitude_A <= most_A:
            words = format_amount(max(most_A, 0.0), "current")
            hint = "Together with the current that runs it stays inside the current limit."
            reader.wrong("amplitude", f"The peak may be {words} at most.", hint if current_A else "")
        return amplitude_A
    test_A = current_A or min(driven_currents(at.program.steps), default=0.0)
    amplitude_A = min(FRACTION * test_A, most_A)
    if amplitude_A <= 0:
        reader.wrong("amplitude", "No peak follows from the test.", "Write one: --amplitude '10 µA'.")
    return amplitude_A
