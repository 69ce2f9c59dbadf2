"""A temperature of the chamber, and the wait until the cell has come to it."""

from __future__ import annotations

from protocols import nodes
from protocols.compile_spectra import spectrum_steps
from protocols.context import Context, Where
from protocols.nodes import Criterion, Decision, Message, Node, OnPasses, Repeat, Soak
from protocols.steps import SetTemperature
from protocols.units import Amount, format_amount


def set_temperature(context: Context, target: SetTemperature, here: Where) -> tuple[Node, ...]:
    """Return the wait for a temperature, and for the cell itself where that is asked for."""
    level = context.level(target.target, here)
    _check_temperature(context, level, here)
    soak = Soak(
        target_K=level.value,
        tolerance_K=target.within.value,
        hold_s=target.held.value,
        soak_s=target.soak.value if target.soak else 0.0,
    )
    index = context.number(here)
    wait = nodes.Rest(index=index, label=here.label, duration_s=target.at_most.value, host_ends=(soak,))
    return (wait, *_until_stable(context, target, here)) if target.stable else (wait,)


def _check_temperature(context: Context, level: Amount, here: Where) -> None:
    channel, cell, path = context.channel, context.cell, (*here.path, "to")
    add = context.problems.add
    if channel.temperature_min_K is None or channel.temperature_max_K is None:
        add(
            here.path,
            "The station has no chamber.",
            "Choose a station with one: see 'chamber' in service.toml.",
        )
    elif not channel.temperature_min_K <= level.value <= channel.temperature_max_K:
        reach = _reach(channel.temperature_min_K, channel.temperature_max_K)
        add(path, f"'{level.text}' is beyond what the chamber can do: {reach}.")
    if cell.temperature_min_K is None or cell.temperature_max_K is None:
        hint = "Add to the cell file, for example, 'temperature_window: {from: 10 °C, to: 80 °C}'."
        add(path, "The cell file does not say which temperatures the cell may see.", hint)
    elif not cell.temperature_min_K <= level.value <= cell.temperature_max_K:
        reach = _reach(cell.temperature_min_K, cell.temperature_max_K)
        add(path, f"'{level.text}' is outside of what the cell may see: {reach}.")


def _until_stable(context: Context, target: SetTemperature, here: Where) -> tuple[Node, ...]:
    """Return small spectra at intervals until the resistance at high frequency no longer changes."""
    stable = target.stable
    if stable is None:
        return ()
    times = max(2, int(target.at_most.value / stable.every.value))
    # Measured first at the temperature itself: against one from the temperature before, a cell that has not
    # yet begun to follow would pass for stable.
    before = spectrum_steps(context, (stable.spectrum,), here.at("stable", "spectrum"))
    index = context.number(here)
    pause = nodes.Rest(index=index, label=f"{here.label}: soak", duration_s=stable.every.value)
    spectrum = spectrum_steps(context, (stable.spectrum,), here.at("stable", "spectrum"))
    change = Criterion(quantity="resistance_change", comparison="below", value=stable.change.value)
    decision = Decision(
        index=context.number(here), label=f"{here.label}: stable?", criteria=(change,), then_jump="leave"
    )
    text = f"The cell's resistance had not become stable within {target.at_most.text}; the test goes on."
    late = Message(index=context.number(here), label=here.label, text=text)
    body = (pause, *spectrum, decision, OnPasses(listed=(times,), body=(late,)))
    return (*before, Repeat(total=times, stop=times, body=body))


def _reach(lowest_K: float, highest_K: float) -> str:
    return " … ".join(format_amount(kelvin, "temperature") for kelvin in (lowest_K, highest_K))
