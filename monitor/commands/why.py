"""The command ``why``: what stopped a cell, in words, in a picture, and where the raw data are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.check_report import check_lines, check_outcomes
from monitor.output import ConfigOption, JsonOption, emit, say
from monitor.run_source import RunOrFolder, open_run
from protocols.check import CheckOutcome
from protocols.records import ENDED

if TYPE_CHECKING:
    from storage.run_reader import RunReader

PlotOption = Annotated[Path | None, typer.Option("--plot", help="Picture to write: .png, .svg or .pdf.")]
NumberOption = Annotated[
    int | None,
    typer.Option("--verdict", help="Which verdict of the run, from 1; default: the one that stopped it."),
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(why)


def why(
    run: RunOrFolder,
    verdict: NumberOption = None,
    plot: PlotOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Say why a cell was stopped: what was seen, which threshold decided, and where the raw data are."""
    from monitor.print_style import check_ending
    from monitor.verdict_report import document, explain, text

    reader, number = open_run(run, config)
    _write_missing(reader, number)
    found = explain(reader, number, verdict, run)
    outcomes = check_outcomes(reader, number)
    checks = {"checks": [outcome.model_dump(mode="json") for _, outcome in outcomes]}
    if found is None:
        info = reader.run(number)
        reason = f" ({info.reason})" if info.reason else ""
        words = f"run {number}: {info.state}{reason}; no guard has found anything"
        document_ = {"run": number, "state": info.state, "verdict": None, **checks}
        emit(document_, "\n".join([words, *_of_check(outcomes)]), json)
        return
    if plot is not None:
        from monitor.verdict_figure import draw_window
        from scheduler.windows import window_of

        check_ending(plot)
        draw_window(window_of(reader, number, found.number), plot)
        say(f"wrote {plot}")
    # A check that passed explains no verdict.
    unusual = any(outcome.outcome != "passed" for _, outcome in outcomes)
    lines = _of_check(outcomes) if unusual else []
    emit({**document(found), **checks}, "\n".join([text(found), *lines]), json)


def _of_check(outcomes: Sequence[tuple[float, CheckOutcome]]) -> list[str]:
    """Return what the checks before the start have found, as a part of the answer."""
    lines = [f"  {line}" for line in check_lines(outcomes)]
    return ["", "The check before the start", *lines] if lines else []


def _write_missing(reader: RunReader, run: int) -> None:
    """Write the windows of an ended run that its daemon could not write any more."""
    from monitor.verdict_figure import draw_window
    from scheduler.windows import write_windows
    from storage.reader import Reader

    info = reader.run(run)
    # A copied folder is left as it is, and what was archived took its windows along.
    if not isinstance(reader, Reader) or info.state not in ENDED or info.archived is not None:
        return
    try:
        write_windows(reader.folder, run, draw_window)
    except OSError as error:
        say(f"the raw data around the verdicts could not be written to {reader.folder}: {error.strerror}")
