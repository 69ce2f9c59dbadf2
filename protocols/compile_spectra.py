"""Rests and spectra, fitted to a cell and a channel; and spectra between and inside half-cycles."""

from __future__ import annotations

import math

from protocols import nodes
from protocols.context import Context, Where
from protocols.nodes import Criterion, Decision, Drift, Node, OnPasses, Repeat
from protocols.spectra import Geis, GeisStep, Interval, PeisStep, Rest, RestStep, SpectrumStep
from protocols.spectra import Peis as PeisSettings
from protocols.units import Amount, format_amount
from protocols.yamlfile import TreePath

REACHED_V = 0.002
"""A step that ends by a voltage has reached it if its last sample is as near as this."""
_JUST_BELOW = 1 - 1e-6


def spectrum_steps(context: Context, steps: tuple[SpectrumStep, ...], here: Where) -> tuple[Node, ...]:
    """Return rests and spectra in order."""
    found: list[Node] = []
    for place, step in enumerate(steps):
        match step:
            case RestStep(rest=settings):
                found.append(rest(context, settings, here.step(place, "rest")))
            case GeisStep(geis=galvanostatic):
                found.append(geis(context, galvanostatic, here.step(place, "geis")))
            case PeisStep(peis=potentiostatic):
                found.append(peis(context, potentiostatic, here.step(place, "peis")))
    return tuple(found)


def rest(context: Context, settings: Rest, here: Where) -> nodes.Rest:
    """Return a rest, for a time or until E is steady."""
    index = context.number(here)
    if settings.until is None:
        duration_s = settings.duration.value if settings.duration else 0.0
        return nodes.Rest(index=index, label=here.label, duration_s=duration_s)
    until = settings.until
    drift = Drift(rate_V_per_s=until.drift.value, over_s=until.over.value)
    return nodes.Rest(index=index, label=here.label, duration_s=until.time.value, host_ends=(drift,))


def geis(context: Context, settings: Geis, here: Where) -> nodes.Geis:
    """Return a galvanostatic spectrum."""
    context.need("geis", here)
    current_A = context.current(settings.current, here)
    peak, response = settings.amplitude.peak, settings.amplitude.response
    written = peak or settings.amplitude.largest or Amount(0.0, "current", "0 A")
    amplitude_A = context.convert.si(written, (*here.path, "amplitude"))
    _check_amplitude(context, current_A, amplitude_A, (*here.path, "amplitude"))
    _check_band(context, settings, here)
    return nodes.Geis(
        index=context.number(here),
        label=here.label,
        current_A=current_A,
        amplitude_A=amplitude_A,
        response_V=None if response is None else response.value,
        frequency_start_Hz=settings.frequency.start.value,
        frequency_end_Hz=settings.frequency.end.value,
        points_per_decade=settings.points_per_decade,
        average=settings.average,
    )


def peis(context: Context, settings: PeisSettings, here: Where) -> nodes.Peis:
    """Return a potentiostatic spectrum."""
    context.need("peis", here)
    voltage_V, relative = context.voltage(settings.voltage, (*here.path, "voltage"), here)
    _check_swing(context, settings.amplitude, voltage_V, relative, here)
    _check_band(context, settings, here)
    return nodes.Peis(
        index=context.number(here),
        label=here.label,
        voltage_V=voltage_V,
        relative=relative,
        amplitude_V=settings.amplitude.value,
        frequency_start_Hz=settings.frequency.start.value,
        frequency_end_Hz=settings.frequency.end.value,
        points_per_decade=settings.points_per_decade,
        average=settings.average,
    )


def _check_swing(context: Context, amplitude: Amount, voltage_V: float, relative: bool, here: Where) -> None:
    """Note a peak of E that must leave the safety limits."""
    low, high = context.window
    room_V = (high - low) / 2 if relative else min(high - voltage_V, voltage_V - low)
    if 0 < room_V <= amplitude.value:
        message = f"A peak of '{amplitude.text}' leaves the safety limits {low:g} … {high:g} V."
        context.problems.add((*here.path, "amplitude"), message, "Write for example '10 mV'.")


def _check_band(context: Context, settings: Geis | PeisSettings, here: Where) -> None:
    for key, frequency in (("from", settings.frequency.start), ("to", settings.frequency.end)):
        _check_frequency(context, frequency, (*here.path, "frequency", key))


def _check_frequency(context: Context, frequency: Amount, path: TreePath) -> None:
    channel = context.channel
    low, high = channel.frequency_min_Hz, channel.frequency_max_Hz
    if low is None or high is None:
        message = f"The channel ({channel.model}) can't measure impedance."
        context.problems.add(path[:-2], message, "Choose a station with an EIS channel.")
    elif not low <= frequency.value <= high:
        reach = f"{format_amount(low, 'frequency')} … {format_amount(high, 'frequency')}"
        message = f"'{frequency.text}' is outside the channel's range ({channel.model}: {reach})."
        context.problems.add(path, message)


def _check_amplitude(context: Context, current_A: float, amplitude_A: float, path: TreePath) -> None:
    channel = context.channel
    widest = max(channel.current_ranges_A, default=channel.current_max_A)
    most_A = min(widest, channel.current_max_A)
    if abs(current_A) + amplitude_A > most_A:
        message = "Direct current and peak together are more than the channel can drive"
        words = format_amount(most_A, "current")
        context.problems.add(path, f"{message} ({channel.model}: {words}).")
    elif amplitude_A > channel.eis_amplitude_fraction * widest:
        most = format_amount(channel.eis_amplitude_fraction * widest, "current")
        context.problems.add(path, f"The peak is more than the channel can do ({channel.model}: {most}).")


def inside_step(
    context: Context,
    step: nodes.ConstantCurrent,
    every: Interval,
    spectra: tuple[SpectrumStep, ...],
    here: Where,
) -> tuple[Node, ...]:
    """Cut a step of constant current into pieces of a time or a charge, with spectra after each whole piece.

    A step that is shorter stays whole. Charge that spectra under current pass comes on top.
    """
    piece_s = interval_s(context, every, step, here)
    ends_by_voltage = step.until_voltage_V is not None
    pieces = step.duration_s / piece_s
    # A step that ends by voltage stops in some piece: the last one needs no other length.
    whole = math.ceil(pieces - 1e-9) if ends_by_voltage else math.floor(pieces + 1e-9)
    if whole == 0:
        return (step,)
    body: list[Node] = [_piece(step, piece_s)]
    if ends_by_voltage:
        body.append(_leave_at(context, step, here))
    driven = Where(here.path, here.label, here.levels, here.range_A, step.current_A)
    body += spectrum_steps(context, spectra, driven)
    cut: list[Node] = [Repeat(total=whole, stop=whole, body=tuple(body))]
    left_s = step.duration_s - whole * piece_s
    if left_s > 1e-6 * piece_s:
        cut.append(_piece(step, left_s))
    return tuple(cut)


def interval_s(context: Context, every: Interval, step: nodes.ConstantCurrent, here: Where) -> float:
    """Return a time, or the time in which a charge passes at the step's current."""
    if every.amount is None:
        raise TypeError("an interval of passes has no time")
    if every.unit == "time":
        return every.amount.value
    return context.convert.si(every.amount, here.path) / abs(step.current_A)


def _piece(step: nodes.ConstantCurrent, seconds: float) -> nodes.ConstantCurrent:
    charge_C = None if step.charge_C is None else abs(step.current_A) * seconds
    return step.model_copy(update={"duration_s": seconds, "charge_C": charge_C})


def _leave_at(context: Context, step: nodes.ConstantCurrent, here: Where) -> Decision:
    """Return the decision to leave the pieces of a step whose voltage has been reached."""
    up = step.current_A > 0
    reached_V = (step.until_voltage_V or 0.0) + (-REACHED_V if up else REACHED_V)
    return Decision(
        index=context.number(here),
        label=f"{here.label}: voltage reached?",
        criteria=(Criterion(quantity="voltage", comparison="above" if up else "below", value=reached_V),),
        then_jump="leave",
    )


def between_passes(every: Interval, body: list[list[Node]], spectra: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return a loop's body with spectra after each ``count``-th pass, or half-cycle.

    ``body`` holds one list of nodes for each half-cycle of a pass; what is no half-cycle belongs to the one
    before it.
    """
    if every.unit == "cycles":
        plain = [node for half_cycle in body for node in half_cycle]
        return (*plain, OnPasses(every=every.count, body=spectra))
    found: list[Node] = []
    for number, half_cycle in enumerate(body, start=1):
        found += half_cycle
        passes = _passes_that_end(number, len(body), every.count)
        if passes is not None:
            found.append(OnPasses(every=passes[1], first=passes[0], body=spectra))
    return tuple(found)


def _passes_that_end(number: int, half_cycles: int, count: int) -> tuple[int, int] | None:
    """Return first pass and distance of those whose ``number``-th half-cycle is a ``count``-th one."""
    distance = count // math.gcd(half_cycles, count)
    ends = (done for done in range(distance) if (done * half_cycles + number) % count == 0)
    first = next(ends, None)
    return None if first is None else (first, distance)


def when_due(context: Context, every: Interval, spectra: tuple[Node, ...], here: Where) -> Decision:
    """Return the decision to measure spectra if a time or a charge has passed since the last one."""
    if every.amount is None:
        raise TypeError("an interval of passes has no time")
    value = context.convert.si(every.amount, here.path) * _JUST_BELOW
    quantity = "time_since_spectrum" if every.unit == "time" else "charge_since_spectrum"
    return Decision.model_validate(
        {
            "index": context.number(here),
            "label": f"{here.label}: spectrum due?",
            "criteria": ({"quantity": quantity, "comparison": "above", "value": value},),
            "then": spectra,
        }
    )
