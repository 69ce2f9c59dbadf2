"""aurora-unicycler's JSON as a sandtime protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import PurePath

from protocols.errors import InvalidFileError, Problem
from protocols.exchange.nesting import Nested, nest
from protocols.exchange.unicycler_file import (
    ConstantCurrent,
    ConstantVoltage,
    DrivenOrRest,
    ImpedanceSpectroscopy,
    OpenCircuitVoltage,
    UnicyclerFile,
    VoltageScan,
    parse_unicycler,
)
from protocols.protocol import parse_protocol
from protocols.validation import MAX_NAME

_MAX_NOTE = 200
_DEFAULT_CHANGE = "on_voltage_change is at its usual 5 mV: more samples are kept than the file asks for."


def read_unicycler(text: str, file: str = "unicycler.json") -> str:
    """Return the protocol file that runs what an aurora-unicycler protocol says.

    Comments at its head say where it comes from, what the cell file has to hold (``sample.capacity_mAh``
    belongs there) and where sandtime is stricter. ``file`` names the protocol, and stands in messages.
    Raises InvalidFileError with every unknown key and everything that a sandtime protocol has no word for.
    """
    content, source = parse_unicycler(text, file)
    nested = nest(content.method, source)
    lines = [*_head(content), "sandtime: 1", f"name: {json.dumps(_name(file), ensure_ascii=False)}"]
    lines += [*_limits(content), *_record(content), "", "steps:", *_steps(nested, "  ")]
    written = "\n".join(lines) + "\n"
    try:
        parse_protocol(written, file)
    except InvalidFileError as error:
        # What the fields of the file allow is allowed here too; what is left is size and depth.
        message = f"It can't be a sandtime protocol: {error.problems[0].message}"
        raise InvalidFileError([Problem(file, 0, 0, message, error.problems[0].hint)]) from error
    return written


def _name(file: str) -> str:
    # A dollar sign would ask for a parameter.
    name = "".join(sign if sign.isprintable() and sign != "$" else "_" for sign in PurePath(file).stem)
    return name[:MAX_NAME] or "unicycler"


def _head(content: UnicyclerFile) -> Iterator[str]:
    version = content.unicycler.version
    sample = content.sample.name
    written = "# From an aurora-unicycler protocol" + (f" (version {_line(version)})" if version else "")
    yield written + (f" for the sample {_line(sample)}." if sample not in ("", "$NAME") else ".")
    for note in _notes(content):
        yield f"# {note}"


def _notes(content: UnicyclerFile) -> Iterator[str]:
    yield "Besides what it says, sandtime's guards watch the cell; they are in no such file."
    capacity = content.sample.capacity_mAh
    if capacity is not None:
        yield f"The cell file needs: capacity: {_plain(capacity)} mAh"
    elif any(_has_rate(step) for step in content.method):
        yield "The cell file needs the capacity, since there are C-rates; the file does not say it."
    yield from _notes_on_safety(content)
    if content.record.voltage_V is None:
        yield _DEFAULT_CHANGE
    if any(isinstance(step, ImpedanceSpectroscopy) for step in content.method):
        yield "Spectra are taken at open circuit (the file does not say where); amplitudes are peaks."
    yield from _notes_on_time(content)
    if any(_is_said_twice(step) for step in content.method):
        yield "Where a step gives a C-rate and a current, the C-rate counts, as in unicycler."


def _notes_on_time(content: UnicyclerFile) -> Iterator[str]:
    endless = [type(step) for step in content.method if getattr(step, "until_time_s", 0) is None]
    if ConstantVoltage in endless:
        yield "A voltage without a time is held for 24 h at most."
    if ConstantCurrent in endless:
        yield "A current without a time ends at the latest when 1.05 × the capacity of the cell has passed."


def _notes_on_safety(content: UnicyclerFile) -> Iterator[str]:
    safety = content.safety
    if safety.max_voltage_V is None:
        yield "The file limits no voltage: the window of the cell holds, which is stricter."
    if safety.delay_s:
        yield f"Stricter than safety.delay_s = {_plain(safety.delay_s)}: it stops without waiting."
    sides = (safety.max_current_mA, safety.min_current_mA)
    if any(sides) and sides[0] != -(sides[1] or 0.0):
        both = " and ".join("none" if side is None else f"{_plain(side)} mA" for side in sides)
        yield f"Stricter than the limits of current, {both}: the smaller holds for both signs."


def _has_rate(step: object) -> bool:
    return bool(getattr(step, "rate_C", None) or getattr(step, "until_rate_C", None))


def _is_said_twice(step: object) -> bool:
    currents = getattr(step, "current_mA", None) or getattr(step, "until_current_mA", None)
    return _has_rate(step) and bool(currents)


def _limits(content: UnicyclerFile) -> list[str]:
    safety = content.safety
    lines: list[str] = []
    if safety.min_voltage_V is not None and safety.max_voltage_V is not None:
        low, high = _plain(safety.min_voltage_V), _plain(safety.max_voltage_V)
        lines.append(f"  voltage: {{from: {low} V, to: {high} V}}")
    sizes = [abs(side) for side in (safety.max_current_mA, safety.min_current_mA) if side is not None]
    if sizes:
        lines.append(f"  current: {_plain(min(sizes))} mA")
    return ["", "limits:", *lines] if lines else []


def _record(content: UnicyclerFile) -> list[str]:
    record = content.record
    lines = ["", *([f"watch: {_plain(record.time_s)} s"] if record.time_s < 1 else []), "record:"]
    lines.append(f"  every: {_time(record.time_s)}")
    if record.voltage_V is not None:
        lines.append(f"  on_voltage_change: {_plain(record.voltage_V)} V")
    if record.current_mA is not None:
        lines.append(f"  on_current_change: {_plain(record.current_mA)} mA    # at constant voltage")
    return lines


def _steps(steps: tuple[Nested, ...], indent: str) -> Iterator[str]:
    place = 0
    while place < len(steps):
        item = steps[place]
        place += 1
        yield from (f"{indent}# {_line(note)}" for note in item.notes)
        if isinstance(item.content, tuple):
            yield f"{indent}- repeat:"
            yield f"{indent}    times: {item.times}"
            yield f"{indent}    steps:"
            yield from _steps(item.content, indent + "      ")
        elif (held := _continued(item, steps[place : place + 1])) is not None:
            yield f"{indent}- {held}"
            place += 1
        else:
            yield f"{indent}- {_step(item.content)}"


def _continued(item: Nested, following: tuple[Nested, ...]) -> str | None:
    """Return ``cc_cv`` where a current only ends at a voltage, and the next step holds this voltage."""
    first, second = item.content, following[0].content if following else None
    if not isinstance(first, ConstantCurrent) or not isinstance(second, ConstantVoltage):
        return None
    if first.until_time_s is not None or first.until_voltage_V != second.voltage_V or following[0].notes:
        return None
    voltage = _plain(second.voltage_V)
    return f"cc_cv: {{current: {_current(first)}, voltage: {voltage} V, until: {_held_until(second)}}}"


def _step(step: DrivenOrRest) -> str:
    match step:
        case OpenCircuitVoltage():
            return f"rest: {{for: {_time(step.until_time_s)}}}"
        case ConstantCurrent():
            return f"constant_current: {{current: {_current(step)}, until: {_until(step)}}}"
        case ConstantVoltage():
            return f"constant_voltage: {{voltage: {_plain(step.voltage_V)} V, until: {_held_until(step)}}}"
        case VoltageScan():
            start, end = _plain(step.start_voltage_V), _plain(step.end_voltage_V)
            rate = _plain(step.scan_rate_mV_per_s)
            return f"linear_sweep: {{from: {start} V, to: {end} V, rate: {rate} mV/s}}"
        case ImpedanceSpectroscopy():
            return _spectrum(step)


def _current(step: ConstantCurrent) -> str:
    return f"{_plain(step.rate_C)} C" if step.rate_C else f"{_plain(step.current_mA or 0.0)} mA"


def _until(step: ConstantCurrent) -> str:
    ends = [f"voltage: {_plain(step.until_voltage_V)} V"] if step.until_voltage_V is not None else []
    ends += [f"time: {_time(step.until_time_s)}"] if step.until_time_s is not None else []
    return "{" + ", ".join(ends) + "}"


def _held_until(step: ConstantVoltage) -> str:
    ends: list[str] = []
    if step.until_rate_C is not None:
        ends.append(f"current: {_plain(abs(step.until_rate_C))} C")
    elif step.until_current_mA is not None:
        ends.append(f"current: {_plain(abs(step.until_current_mA))} mA")
    ends += [f"time: {_time(step.until_time_s)}"] if step.until_time_s is not None else []
    return "{" + ", ".join(ends) + "}"


def _spectrum(step: ImpedanceSpectroscopy) -> str:
    if step.amplitude_V is not None:
        kind, amplitude = "peis", f"{_plain(step.amplitude_V)} V"
    else:
        kind, amplitude = "geis", f"{_plain(step.amplitude_mA or 0.0)} mA"
    band = f"{{from: {_plain(step.start_frequency_Hz)} Hz, to: {_plain(step.end_frequency_Hz)} Hz}}"
    points = f"points_per_decade: {step.points_per_decade}, average: {step.measures_per_point}"
    return f"{kind}: {{amplitude: {amplitude}, frequency: {band}, {points}}}"


def _time(seconds: float) -> str:
    """Return a time in the largest unit in which it is a whole number."""
    exact = Decimal(repr(seconds))
    for unit, size in (("h", 3600), ("min", 60)):
        if exact % size == 0:
            return f"{_plain(float(exact / size))} {unit}"
    return f"{_plain(seconds)} s"


def _plain(number: float) -> str:
    """Return the shortest text that stands for exactly this number."""
    return repr(float(number)).removesuffix(".0")


def _line(text: str) -> str:
    """Return a stranger's text as it may stand in a comment: one line of it, and not too long."""
    return "".join(sign if sign.isprintable() else " " for sign in text)[:_MAX_NOTE]
