"""The command ``why``: what stopped a cell, in words, in a picture, and where the raw data are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.commands.live import RunArgument
from monitor.output import ConfigOption, JsonOption, configuration, emit, say
from protocols.records import ENDED

if TYPE_CHECKING:
    from storage.reader import Reader

PlotOption = Annotated[Path | None, typer.Option("--plot", help="Picture to write: .png, .svg or .pdf.")]
NumberOption = Annotated[
    int | None,
    typer.Option("--verdict", help="Which verdict of the run, from 1; default: the one that stopped it."),
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(why)


def why(
    run: RunArgument,
    verdict: NumberOption = None,
    plot: PlotOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Say why a cell was stopped: what was seen, which threshold decided, and where the raw data are."""
    from monitor.print_style import check_ending
    from monitor.verdict_report import document, explain, text
    from storage.reader import Reader

    data = configuration(config).data
    reader = Reader(data)
    _write_missing(reader, data, run)
    found = explain(reader, data, run, verdict)
    if found is None:
        info = reader.run(run)
        reason = f" ({info.reason})" if info.reason else ""
        words = f"run {run}: {info.state}{reason}; no guard has found anything"
        emit({"run": run, "state": info.state, "verdict": None}, words, json)
        return
    if plot is not None:
        from monitor.verdict_figure import draw_window
        from scheduler.windows import window_of

        check_ending(plot)
        draw_window(window_of(reader, run, found.number), plot)
        say(f"wrote {plot}")
    emit(document(found), text(found), json)


def _write_missing(reader: Reader, data: Path, run: int) -> None:
    """Write the windows of an ended run that its daemon could not write any more."""
    from monitor.verdict_figure import draw_window
    from scheduler.windows import write_windows

    if reader.run(run).state not in ENDED:
        return
    try:
        write_windows(data, run, draw_window)
    except OSError as error:
        say(f"the raw data around the verdicts could not be written to {data}: {error.strerror}")
