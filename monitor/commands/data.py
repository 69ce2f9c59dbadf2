"""Commands on data: ``export``, ``verify``, ``salvage``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from monitor.output import ConfigOption, JsonOption, configuration, emit, say
from monitor.run_source import RunOrFolder, is_number, open_run
from protocols.errors import NotFoundError, StorageError

if TYPE_CHECKING:
    from storage.verify import Findings

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
    run: RunOrFolder,
    file_format: Annotated[Format, typer.Option("--format", help="What to write.")] = "bdf-csv",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
    config: ConfigOption = None,
) -> None:
    """Write a run in a format that other programs read."""
    from storage.export import export_run

    reader, number = open_run(run, config)
    path = output or Path(f"run{number}.{SUFFIXES[file_format]}")
    for written in export_run(reader, number, file_format, path):
        say(f"wrote {written}")


def verify(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|PATH]...",
            help="Numbers of runs, folders of runs, archives, or data folders; default: the lab's data.",
        ),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check what is stored: checksums, completeness, order of time, and the database."""
    found: dict[str, Findings] = {} if what else _check_data(configuration(config).data)
    for each in what or ():
        found |= _check(each, config)
    document = {
        "problems": {name: findings.problems for name, findings in found.items()},
        "notes": {name: findings.notes for name, findings in found.items()},
    }
    emit(document, "\n".join(_lines(found)), json)
    if any(findings.problems for findings in found.values()):
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


def _check(what: str, config: Path | None) -> dict[str, Findings]:
    """Return what was found, by the run's number or the path."""
    from storage.archive import check_archive
    from storage.database import DATABASE
    from storage.reader import Reader
    from storage.run_folder import RunFolder
    from storage.verify import Findings, verify_folder, verify_run

    path = Path(what)
    if is_number(what):
        return {what: verify_run(Reader(configuration(config).data), int(what))}
    if path.is_file():
        return {what: Findings(check_archive(path))}
    if (path / DATABASE).exists():
        return _check_data(path)
    if not path.is_dir():
        raise NotFoundError(f"{what!r} is neither the number of a run nor a folder or archive of runs")
    return {what: verify_folder(RunFolder(path))}


def _check_data(folder: Path) -> dict[str, Findings]:
    """Check everything in a data folder; a damaged database hides its runs."""
    from storage.reader import Reader
    from storage.verify import verify_data, verify_run

    found = {"database": verify_data(folder)}
    if found["database"].problems:
        return found
    reader = Reader(folder)
    return found | {str(info.run): verify_run(reader, info.run) for info in reader.runs()}


def _lines(found: dict[str, Findings]) -> list[str]:
    names = {name: f"run {name}" if is_number(name) else name for name in found}
    lines = [f"{names[name]}: {text}" for name, each in found.items() for text in each.problems]
    whole = [names[name] for name, each in found.items() if not each.problems and name != "database"]
    if not lines:
        lines = [
            f"{', '.join(whole)}: nothing wrong" if len(whole) == 1 else f"{len(whole)} runs: nothing wrong"
        ]
    notes = [f"{names[name]}: {text}" for name, each in found.items() for text in each.notes]
    return [*lines, *(["worth knowing:", *(f"  {note}" for note in notes)] if notes else [])]
