"""Command on the files of runs: ``compact``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.output import ConfigOption, JsonOption, configuration, emit

if TYPE_CHECKING:
    from storage.tables import SealedFile


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(compact)


def compact(
    run: Annotated[int | None, typer.Argument(help="Number of the run; default: all.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Merge the files of runs to fewer. A daemon does it by itself when a run has ended."""
    files = asyncio.run(_compact(configuration(config).data, run))
    lines = [f"run {number}: {before} files are now {after}" for number, (before, after) in files.items()]
    document = {
        "runs": [{"run": n, "before": before, "after": after} for n, (before, after) in files.items()]
    }
    emit(document, "\n".join(lines or ["nothing to merge"]), json)


async def _compact(data: Path, run: int | None) -> dict[int, tuple[int, int]]:
    """Merge, and return how many files the runs had that were merged, and have now."""
    from storage.compact import compact_run, mergeable
    from storage.store import Store

    async def write(folder: Path, number: int) -> SealedFile | None:
        return await asyncio.to_thread(compact_run, folder, number)

    merged = {}
    store = Store(data)
    await store.open()
    try:
        reader = store.reader
        for number in [info.run for info in reader.runs()] if run is None else [reader.run(run).run]:
            before = len(reader.parts(number))
            if not mergeable(reader.parts(number)):
                continue
            while await store.merge(number, write):
                pass
            merged[number] = (before, len(reader.parts(number)))
        await store.delete_superseded()
    finally:
        await store.close()
    return merged
