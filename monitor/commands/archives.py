"""Commands that move runs: ``archive`` and ``restore``; ``import`` makes runs of recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.output import ConfigOption, JsonOption, configuration, emit, say
from protocols.errors import InvalidFileError, Problem, UsageError

if TYPE_CHECKING:
    from protocols.records import RunInfo
    from storage.archive import Copy
    from storage.reader import Reader

NumbersArgument = Annotated[list[int], typer.Argument(metavar="RUN...", help="Numbers of ended runs.")]
ArchivesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Archives, or folders of runs that were copied.")
]
RecordingsArgument = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help=".mpr, .mpt, or csv/parquet in BDF names."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(archive)
    app.command()(restore)
    app.command(name="import")(import_)


def archive(
    runs: NumbersArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A .tar file that is to be written, or a folder.")
    ],
    remove: Annotated[
        bool,
        typer.Option("--remove", help="Then remove the samples here; `sandtime restore` brings them back."),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write ended runs to an archive, with everything that is known of them, and read it back."""
    from storage.archive import ready_folder, write_archive
    from storage.reader import Reader

    if len(set(runs)) < len(runs):
        raise UsageError("each run goes into an archive once: leave out the double number")
    data = configuration(config).data
    reader = Reader(data)
    folders = [ready_folder(reader, run) for run in runs]
    copies = write_archive(folders, output.resolve())
    archived = list(zip(runs, copies, strict=True))
    freed = sum([_remove(reader, run, copy) for run, copy in archived] if remove else [])
    document = [
        {"run": run, "archive": str(copy.path), "sha256": copy.sha256, "removed": remove}
        for run, copy in archived
    ]
    lines = [f"run {run} is in {copy.path}, read back and whole" for run, copy in archived]
    lines += [f"removed here: samples of {freed / 1e6:.1f} MB"] if remove else []
    emit(document, "\n".join(lines), json)


def _remove(reader: Reader, run: int, copy: Copy) -> int:
    """Mark a run as archived, then delete its samples; return how many bytes that freed."""
    from monitor.keeping import mark_archived
    from protocols.records import Archived
    from scheduler.clock import Clock

    files = [reader.folder / file.file for file in reader.parts(run)]
    where = Archived(file=str(copy.path), sha256=copy.sha256, unix_s=Clock().unix())
    mark_archived(reader.folder, run, where)
    freed = sum(path.stat().st_size for path in files)
    for path in files:
        path.unlink()
    return freed


def restore(files: ArchivesArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Bring archived runs back, or copied ones into this lab's data folder; each is checked first."""
    from monitor.keeping import adopt, incoming
    from storage.archive import unpack
    from storage.run_folder import RunFolder, is_run_folder

    data = configuration(config).data
    documents, lines = [], []
    for file in files:
        if not file.exists():
            raise InvalidFileError([Problem(str(file), 0, 0, "there is no such file or folder")])
        with incoming(data) as into:
            for folder in unpack(file, into):
                before = RunFolder(folder).info
                info = adopt(data, folder)
                is_new = not is_run_folder(folder)
                documents.append({"run": info.run, "was": before.run, "restored": is_new})
                lines.append(_restored(info, before, is_new))
    emit(documents, "\n".join(lines), json)


def _restored(info: RunInfo, before: RunInfo, is_new: bool) -> str:
    if not is_new:
        return f"run {info.run} ({info.name}) is here already: nothing was changed"
    was = "" if info.run == before.run else f", which was run {before.run} where it was measured"
    return f"run {info.run} ({info.name}) is here, whole{was}"


def import_(
    files: RecordingsArgument,
    cell: Annotated[Path | None, typer.Option("--cell", help="The cell file: area, lithium, limits.")] = None,
    name: Annotated[str, typer.Option(help="A name for the run; default: the file's.")] = "",
    current: Annotated[
        str | None,
        typer.Option("--current", help="Current of a recording of time and voltage alone: '0.1 mA'."),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make finished runs of recordings, so that they can be exported and analysed like any other."""
    from monitor.importing import import_recording
    from monitor.replay import Given

    data = configuration(config).data
    documents: list[dict[str, Any]] = []
    lines = []
    for file in files:
        info, inferred = import_recording(file, data, Given(cell=cell, current=current), name)
        documents.append({"run": info.run, "name": info.name, "file": str(file), "inferred": inferred})
        lines.append(f"run {info.run}: {info.name}, {info.samples} samples")
        lines += [f"  not in the file, but inferred: {text}" for text in inferred]
    if any(documents):
        say("for example: sandtime analyze run " + str(documents[-1]["run"]))
    emit(documents, "\n".join(lines), json)
