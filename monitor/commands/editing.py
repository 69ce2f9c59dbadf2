"""``edit``: another number of cycles, limit or end of a run that goes on; skip a step; a spectrum now."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from monitor.commands.live import RunArgument, client_of
from monitor.output import ConfigOption, JsonOption, emit, local_time
from scheduler.requests import EditableReply, EditReply, EditRequest, EndRequest, SpectrumRequest

RANGE = re.compile(r"\s*(?:\.\.|…)\s*")
WHOLE = "default"
"""What ``--spectrum`` may say in place of frequencies."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(edit)


def edit(
    run: RunArgument,
    cycles: Annotated[
        int | None, typer.Option(help="Passes of a loop in all, those that are done included.", min=1)
    ] = None,
    loop: Annotated[str, typer.Option(help="Which loop; needed where several may be meant.")] = "",
    limit: Annotated[
        list[str] | None, typer.Option(help="A safety limit: --limit voltage_max='1.5 V'. May be repeated.")
    ] = None,
    end: Annotated[
        list[str] | None,
        typer.Option(help="An end of a step: --end 'constant_current 1: voltage=0.5 V'. May be repeated."),
    ] = None,
    skip: Annotated[
        bool, typer.Option("--skip", help="End the step that runs; go on with the next.")
    ] = False,
    spectrum: Annotated[
        str, typer.Option(help="Measure a spectrum now: '1 MHz .. 0.1 Hz', or 'default'.")
    ] = "",
    under_current: Annotated[
        bool, typer.Option("--under-current", help="The spectrum is measured under the current that runs.")
    ] = False,
    amplitude: Annotated[str, typer.Option(help="Peak of the spectrum's current, such as '10 µA'.")] = "",
    points: Annotated[int, typer.Option(help="Points in a decade of frequency.", min=1, max=100)] = 8,
    expects: Annotated[
        str, typer.Option(help="Digest of the program as you know it: another one is not edited.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Edit a run that goes on; without options, show what of it may be edited."""
    wants_program = cycles is not None or limit or end
    if not (wants_program or skip or spectrum):
        _show(run, config, json)
        return
    asked = EditRequest(
        cycles=cycles,
        loop=loop,
        limits=dict(_pair(text, "--limit voltage_max='1.5 V'") for text in limit or []),
        ends=tuple(_end(text) for text in end or []),
        skip=skip,
        spectrum=_spectrum(spectrum, amplitude, points, under_current) if spectrum else None,
        expects=expects,
        dry_run=dry_run,
    )
    with client_of(config) as client:
        reply = client.edit(run, asked)
    emit(reply.model_dump(mode="json"), describe_edit(reply), json)


def _show(run: int, config: ConfigOption, json: bool) -> None:
    with client_of(config) as client:
        reply = client.editable(run)
    emit(reply.model_dump(mode="json"), describe_editable(reply), json)


def _pair(text: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise typer.BadParameter(f"{text!r} has no '='; write for example {example}")
    return name.strip(), value.strip()


def _end(text: str) -> EndRequest:
    """Read ``STEP: WHICH=VALUE``; a label may hold colons, so the last one counts."""
    example = "--end 'constant_current 1: voltage=0.5 V'"
    place, value = _pair(text, example)
    step, colon, which = place.rpartition(":")
    if not colon or not step.strip():
        raise typer.BadParameter(f"{text!r} names no step and end; write for example {example}")
    return EndRequest(step=step.strip(), which=which.strip(), value=value)


def _spectrum(text: str, amplitude: str, points: int, under_current: bool) -> SpectrumRequest:
    ends = ["", ""] if text.strip() == WHOLE else RANGE.split(text.strip())
    if len(ends) != 2:
        raise typer.BadParameter(f"{text!r} is no range; write for example --spectrum '1 MHz .. 0.1 Hz'")
    return SpectrumRequest(
        start=ends[0],
        end=ends[1],
        amplitude=amplitude,
        points_per_decade=points,
        under_current=under_current,
    )


def describe_edit(reply: EditReply) -> str:
    """Say what an edit comes to."""
    would = "would change" if reply.dry_run else "changes"
    lines = [f"run {reply.run} {would}, {reply.takes_effect}:", *(f"  {text}" for text in reply.changes)]
    if reply.left_s != reply.left_before_s:
        lines.append(f"  left: at most {_hours(reply.left_s)}, not {_hours(reply.left_before_s)}")
    lines.append(f"  ends at the latest: {local_time(reply.ends_unix_s)}")
    lines += [f"  warning: {text}" for text in reply.warnings]
    if reply.dry_run:
        lines.append(f"nothing was changed; to be sure that nobody else has: --expects {reply.before[:12]}")
    return "\n".join(lines)


def describe_editable(reply: EditableReply) -> str:
    """Say what of a run may be edited."""
    lines = [f"run {reply.run}, program {reply.program[:12]}", "loops:"]
    for loop in reply.loops:
        begun = "over" if loop.begun is None else f"{loop.begun} begun"
        fixed = "" if loop.can_change else ", stays as it is"
        lines.append(f"  {loop.label}: {loop.passes} passes, {begun}{fixed}")
    lines.append("steps:")
    for step in reply.steps:
        ends = ", ".join(f"{which.replace('_', ' ')} {value}" for which, value in step.ends.items())
        lines.append(f"  {step.step:>3} {step.label}" + (f": {ends}" if ends else ""))
    lines.append("limits:")
    lines += [f"  {name}: {value}" for name, value in reply.limits.items()]
    lines += ["asked for:", *(f"  {text}" for text in reply.pending)] if reply.pending else []
    return "\n".join(lines)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h"
