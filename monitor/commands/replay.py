"""The command ``replay``: recordings through the guards, once or with many values of a threshold."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.output import JsonOption, emit, say
from protocols.errors import UsageError
from protocols.verdicts import Verdict

if TYPE_CHECKING:
    from monitor.replay import Given, Played
    from monitor.sweep import Asked, Outcome, Prepared

SHOW_S = 2.0

DataArgument = Annotated[
    list[str],
    typer.Argument(
        help=".mpr, .mpt, or csv/parquet in BDF names. For a sweep also several, each as FILE or FILE@TIME."
    ),
]
CellFileOption = Annotated[Path | None, typer.Option("--cell", help="The cell file: area, lithium, limits.")]
GuardsOption = Annotated[Path | None, typer.Option("--guards", help="A protocol whose guards are used.")]
SpectraOption = Annotated[Path | None, typer.Option("--spectra", help="A csv of spectra of this cell.")]
CurrentOption = Annotated[
    str | None, typer.Option("--current", help="Current of a recording of time and voltage alone: '0.1 mA'.")
]
KeepOption = Annotated[Path | None, typer.Option("--keep", help="Data folder to keep the run in.")]
StopOption = Annotated[
    bool, typer.Option("--stop-at-first", help="End where a test would have been stopped.")
]
SweepOption = Annotated[
    str | None,
    typer.Option("--sweep", help="GUARD.THRESHOLD=FROM:TO[:N]: delay against false alarms for a threshold."),
]
EventOption = Annotated[
    list[str] | None,
    typer.Option("--event", help="For a sweep: when the cell shorted, from the data's start; or 'none'."),
]
PlotOption = Annotated[Path | None, typer.Option("--plot", help="Figure of a sweep: .png, .svg or .pdf.")]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(replay)


def replay(
    data: DataArgument,
    cell: CellFileOption = None,
    guards: GuardsOption = None,
    spectra: SpectraOption = None,
    current: CurrentOption = None,
    keep: KeepOption = None,
    stop_at_first: StopOption = False,
    sweep: SweepOption = None,
    event: EventOption = None,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Play a recording through guards and store as if it were live: when would each guard have fired?"""
    from monitor.replay import Given

    given = Given(cell=cell, guards=guards, spectra=spectra, current=current)
    if sweep is not None:
        if keep is not None or stop_at_first:
            raise UsageError("a sweep keeps nothing and goes to the end: leave out --keep, --stop-at-first")
        _sweep(sweep, data, event or [], given, plot, json)
        return
    if event or plot is not None:
        raise UsageError("--event and --plot are for a sweep: add --sweep GUARD.THRESHOLD=FROM:TO")
    if len(data) > 1:
        raise UsageError("one recording is played at a time; several are for a sweep (--sweep)")
    _play(Path(data[0]), given, keep, stop_at_first, json)


def _play(path: Path, given: Given, keep: Path | None, stop_at_first: bool, json: bool) -> None:
    from monitor.replay import play

    with tempfile.TemporaryDirectory(prefix="sandtime-") as scratch:
        found = asyncio.run(play(path, keep or Path(scratch), given, stop_at_first=stop_at_first))
    document = {
        "verdicts": [_verdict(verdict, has_area=given.cell is not None) for verdict in found.verdicts],
        "first_stop_s": None if found.first_stop is None else found.first_stop.time_s,
        "guards": [_first(guard, found.first_of(guard)) for guard in found.guards],
        "samples": found.samples,
        "hours": found.hours,
        "spectra": found.spectra,
        "half_cycles": found.half_cycles,
    }
    emit(document, "\n".join(_lines(found)), json)


def _verdict(verdict: Verdict, *, has_area: bool) -> dict[str, Any]:
    """Return a verdict for programs; without a cell file nobody knows what is per area."""
    document = verdict.model_dump(mode="json", include={"kind", "tier", "time_s", "evidence"})
    evidence = document["evidence"].items()
    document["evidence"] = {key: value for key, value in evidence if has_area or not key.endswith("_per_m2")}
    return document


def _first(guard: str, verdict: Verdict | None) -> dict[str, Any]:
    """Return when a guard fired first."""
    found = {} if verdict is None else {"first_s": verdict.time_s, "kind": verdict.kind, "tier": verdict.tier}
    return {"guard": guard, "first_s": None, "kind": None, "tier": None, **found}


def _lines(found: Played) -> list[str]:
    counts = f"{found.spectra} spectra, {found.half_cycles} half-cycles"
    lines = [f"{found.samples} samples, {found.hours:.2f} h, {counts}"]
    for verdict in found.verdicts:
        lines.append(
            f"{verdict.kind} (tier {verdict.tier}) at {verdict.time_s / 3600:.3f} h: {verdict.message}"
        )
        if verdict is found.first_stop:
            lines.append("  here the circuit would have been opened")
    silent = [guard for guard in found.guards if found.first_of(guard) is None]
    lines += [] if found.verdicts else ["no verdict"]
    return [*lines, f"nothing from: {', '.join(silent)}"] if silent else lines


def _sweep(
    text: str, data: list[str], events: list[str], given: Given, plot: Path | None, json: bool
) -> None:
    from monitor.print_style import check_ending
    from monitor.sweep import check, parse_data, parse_sweep, prepare, rows
    from monitor.sweep_report import document, draw
    from monitor.sweep_report import text as table_text

    asked = parse_sweep(text)
    if plot is not None:
        check_ending(plot)
    prepared: list[Prepared] = []
    for tried in [parse_data(each, events) for each in data]:
        recording, program = given.load(tried.path)
        present = check(asked, program)
        prepared.append(prepare(tried, recording, program))
    table = rows(asked, _all_outcomes(asked, prepared))
    if plot is not None:
        draw(asked, present, table, plot)
        say(f"wrote {plot}")
    emit(document(asked, present, prepared, table), table_text(asked, present, prepared, table), json)


def _all_outcomes(asked: Asked, prepared: list[Prepared]) -> list[list[Outcome]]:
    """Judge every recording with every value, and tell how far it is if that takes long."""
    from monitor.sweep import outcomes

    found, shown_s = [], time.monotonic()
    for number, each in enumerate(prepared, 1):
        found.append(outcomes(asked, each))
        if time.monotonic() - shown_s > SHOW_S and number < len(prepared):
            shown_s = time.monotonic()
            say(f"{number} of {len(prepared)} recordings")
    return found
