"""Commands on data: ``replay``, ``export``, ``verify``."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from monitor.commands.live import RunArgument
from monitor.output import ConfigOption, JsonOption, configuration, emit, say
from protocols.errors import StorageError
from protocols.verdicts import Verdict

SUFFIXES = {"bdf-csv": "bdf.csv", "bdf-parquet": "bdf.parquet", "eis-csv": "eis.csv", "json": "json"}
Format = Literal["bdf-csv", "bdf-parquet", "eis-csv", "json"]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (replay, export, verify):
        app.command()(command)


def replay(
    recording: Annotated[Path, typer.Argument(help=".mpr, .mpt, or csv/parquet in BDF names.")],
    cell: Annotated[Path | None, typer.Option("--cell", help="The cell file: area, lithium, limits.")] = None,
    guards: Annotated[Path | None, typer.Option("--guards", help="A protocol whose guards are used.")] = None,
    spectra: Annotated[Path | None, typer.Option("--spectra", help="A csv of spectra of this cell.")] = None,
    current: Annotated[
        str | None,
        typer.Option("--current", help="Current of a recording of time and voltage alone: '0.1 mA'."),
    ] = None,
    keep: Annotated[Path | None, typer.Option("--keep", help="Data folder to keep the run in.")] = None,
    json: JsonOption = False,
) -> None:
    """Play a recording through guards and store as if it were live."""
    from monitor.replay import play

    with tempfile.TemporaryDirectory(prefix="sandtime-") as scratch:
        folder = keep or Path(scratch)
        found = asyncio.run(
            play(recording, folder, cell=cell, guards=guards, spectra=spectra, current=current)
        )
    document = {
        "verdicts": [_verdict(verdict) for verdict in found.verdicts],
        "samples": found.samples,
        "hours": found.hours,
        "spectra": found.spectra,
        "half_cycles": found.half_cycles,
    }
    counts = f"{found.spectra} spectra, {found.half_cycles} half-cycles"
    lines = [f"{found.samples} samples, {found.hours:.2f} h, {counts}"]
    lines += [f"{v.kind} (tier {v.tier}) at {v.time_s / 3600:.3f} h: {v.message}" for v in found.verdicts]
    emit(document, "\n".join(lines + ([] if found.verdicts else ["no verdict"])), json)


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return verdict.model_dump(mode="json", include={"kind", "tier", "time_s", "evidence"})


def export(
    run: RunArgument,
    file_format: Annotated[Format, typer.Option("--format", help="What to write.")] = "bdf-csv",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
    config: ConfigOption = None,
) -> None:
    """Write a run in a format that other programs read."""
    from storage.export import export_run
    from storage.reader import Reader

    path = output or Path(f"run{run}.{SUFFIXES[file_format]}")
    export_run(Reader(configuration(config).data), run, file_format, path)
    say(f"wrote {path}")


def verify(
    run: Annotated[int | None, typer.Argument(help="Number of the run; default: all.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check what is stored: checksums and order."""
    from storage.reader import Reader

    reader = Reader(configuration(config).data)
    numbers = [run] if run is not None else [info.run for info in reader.runs()]
    problems = {str(number): reader.verify(number) for number in numbers}
    lines = [f"run {number}: {text}" for number, texts in problems.items() for text in texts]
    emit({"problems": problems}, "\n".join(lines or [f"{len(numbers)} runs: nothing wrong"]), json)
    if lines:
        raise typer.Exit(StorageError.exit_code)
