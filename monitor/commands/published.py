"""The command ``published``."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.output import JsonOption, emit, say
from protocols.records import ENDED, RunInfo

if TYPE_CHECKING:
    from monitor.published.bench import Trial
    from monitor.published.comparison import Row
    from monitor.published.extractions import Record

SHOW_S = 5.0
MAX_LAG_S = 3600.0
"""How far the instruments go between two polls: every sample is judged all the same, only later."""
FIGURE = Path("figures") / "published.png"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(published)


def published(
    only: Annotated[
        list[str] | None, typer.Option(help="A study's letter, a cell or a test; may be given several times.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write the page with all tables here, and its figure beside it.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Keep the lab's data here.")] = None,
    max_lag: Annotated[
        float, typer.Option(help="s that the simulated instruments go on between two polls.", min=1)
    ] = MAX_LAG_S,
    json: JsonOption = False,
) -> None:
    """Test the cells of five published studies in the simulated lab; print published against obtained."""
    from monitor.published.bench import SPEED, Bench, trials_of
    from monitor.published.comparison import compare
    from monitor.published.study import chosen, load_studies

    began = time.monotonic()
    trials = trials_of(chosen(load_studies(), only or []))
    say(
        f"{len(trials)} tests of {len({trial.cell.preset for trial in trials})} cells, "
        f"up to {sum(trial.longest_s for trial in trials) / 3600:.0f} h of testing in all"
    )
    with _place(folder) as place:
        bench = Bench(place, trials, SPEED, max_lag)
        with bench.running():
            try:
                records = bench.run(_progress(trials))
            except KeyboardInterrupt:
                say("\nopening all circuits")
                bench.stop_all()
                raise typer.Exit(130) from None
            say("working out the results")
            rows = compare(trials, records)
            took_s = time.monotonic() - began
            if write is not None:
                _write(write, trials, records, rows, took_s)
    emit(_document(rows, took_s), _text(rows, took_s), json)


@contextlib.contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    """Yield a folder for the lab: the user's, or one that goes at the end."""
    if folder is not None:
        yield folder / time.strftime("%Y%m%d-%H%M%S")
        return
    with tempfile.TemporaryDirectory(prefix="sandtime-published-") as made:
        yield Path(made)


def _progress(trials: Sequence[Trial]) -> Callable[[list[RunInfo]], None]:
    """Return a function that shows how far the tests are, every few seconds."""
    began = last = time.monotonic()
    planned_s = sum(trial.longest_s for trial in trials)
    longest_s = {trial.station: trial.longest_s for trial in trials}

    def show(infos: list[RunInfo]) -> None:
        nonlocal last
        if time.monotonic() - last < SHOW_S:
            return
        last = time.monotonic()
        done_s = sum(
            longest_s[info.station] if info.state in ENDED else min(info.t_s, longest_s[info.station])
            for info in infos
        )
        ended = sum(info.state in ENDED for info in infos)
        left_s = (last - began) * (planned_s / done_s - 1) if done_s else None
        left = "…" if left_s is None else f"about {left_s:.0f} s left"
        say(f"{ended} of {len(trials)} tests ended, {done_s / 3600:.0f} of {planned_s / 3600:.0f} h, {left}")

    return show


def _write(
    page_path: Path, trials: Sequence[Trial], records: Sequence[Record], rows: Sequence[Row], took_s: float
) -> None:
    from monitor.published.figure import draw
    from monitor.published.tables import page

    figure = page_path.parent / FIGURE
    figure.parent.mkdir(parents=True, exist_ok=True)
    tests = {trial.station: record for trial, record in zip(trials, records, strict=True)}
    draw(rows, tests, figure)
    sources = {trial.study.letter: trial.study.source for trial in trials}
    text = page(rows, sources, _machine(), _took(took_s), FIGURE.as_posix())
    page_path.write_text(text, encoding="utf-8")
    say(f"written: {page_path} and {figure}")


def _machine() -> str:
    return f"{os.cpu_count()} cores ({platform.machine()}, Python {platform.python_version()})"


def _took(took_s: float) -> str:
    return f"Took {took_s / 60:.1f} min"


def _document(rows: Sequence[Row], took_s: float) -> dict[str, Any]:
    return {
        "rows": [row.document() for row in rows if row.list != "clash"],
        "clashes": [row.document() for row in rows if row.list == "clash"],
        "machine": _machine(),
        "seconds": round(took_s, 1),
    }


def _text(rows: Sequence[Row], took_s: float) -> str:
    from rich.console import Console

    from monitor.published.tables import MEANING, summary, terminal_tables

    console = Console()
    with console.capture() as captured:
        for table in terminal_tables(rows):
            console.print(table)
    return f"{captured.get()}\n{summary(rows)}\n{MEANING}\n{_took(took_s)} on {_machine()}."
