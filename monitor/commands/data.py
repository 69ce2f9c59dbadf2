"""Commands on data: ``export``, ``verify``, ``salvage``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from monitor.commands.live import RunArgument
from monitor.output import ConfigOption, JsonOption, configuration, emit, say
from protocols.errors import StorageError

Format = Literal["bdf-csv", "bdf-parquet", "eis-csv", "json", "xlsx", "eln", "battinfo"]
SUFFIXES: dict[Format, str] = {
    "bdf-csv": "bdf.csv",
    "bdf-parquet": "bdf.parquet",
    "eis-csv": "eis.csv",
    "json": "json",
    "xlsx": "xlsx",
    "eln": "eln",
    "battinfo": "test.json",
}
"""Format → how the name of its file ends."""


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (export, verify, salvage):
        app.command()(command)


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
    for written in export_run(Reader(configuration(config).data), run, file_format, path):
        say(f"wrote {written}")


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


def salvage(
    to: Annotated[Path, typer.Argument(help="A new data folder to make.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Copy what can be read of damaged data to a new folder; see docs/damaged_data.md."""
    from storage.salvage import salvage as copy

    saved = copy(configuration(config).data, to)
    rows = ", ".join(f"{number} of {name}" for name, number in saved.rows.items() if number)
    lost = f"; not all could be read of: {', '.join(saved.incomplete)}" if saved.incomplete else ""
    document = {"rows": saved.rows, "incomplete": saved.incomplete}
    emit(document, f"saved to {to}: {rows or 'no rows'}{lost}", json)
