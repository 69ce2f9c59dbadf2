"""The command ``demo``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.output import JsonOption, emit, say
from protocols.records import RunInfo

SPEED = 4000.0
SHOW_S = 2.0
LONGEST_H = 30.8
"""The run that takes longest; for the estimate of the time left."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(demo)


def demo(
    speed: Annotated[float, typer.Option(help="Times faster than real time.", min=1)] = SPEED,
    folder: Annotated[Path, typer.Option(help="Where results go.")] = Path("demo-results"),
    json: JsonOption = False,
) -> None:
    """Run five cells on a simulated VSP-300 and see which are stopped, and why. Needs nothing else."""
    from monitor.demo import RUNS, Demo

    began = time.monotonic()
    work = Demo(folder / time.strftime("%Y%m%d-%H%M%S"), speed)
    say(f"Five cells on a simulated VSP-300, about 30 h of testing each. Results: {work.folder}")
    say(f"To stop a run meanwhile: sandtime stop 1 --config {work.config}")
    with work.running():
        try:
            numbers = work.run(_progress())
        except KeyboardInterrupt:
            say("\nopening all circuits")
            work.stop_all()
            raise typer.Exit(130) from None
        rows = work.rows(numbers)
    misses = [miss for run, row in zip(RUNS, rows, strict=True) for miss in run.misses(row)]
    figures = _figures(work.data, numbers, work.folder)
    emit({"runs": rows}, _report(work.data, numbers, rows, figures, work.config), json)
    say(f"took {time.monotonic() - began:.0f} s")
    for miss in misses:
        say(f"NOT as expected: {miss}")
    raise typer.Exit(1 if misses else 0)


def _progress() -> Callable[[list[RunInfo]], None]:
    """Return a function that shows how the runs stand, at most every two seconds."""
    began = last = time.monotonic()

    def show(infos: list[RunInfo]) -> None:
        nonlocal last
        if time.monotonic() - last < SHOW_S:
            return
        last = time.monotonic()
        parts = [f"run {info.run} {info.state} {info.t_s / 3600:.1f} h" for info in infos]
        hours = max((info.t_s / 3600 for info in infos), default=0.0)
        left_s = (last - began) * max(LONGEST_H / hours - 1, 0.0) if hours > 0 else None
        say(
            " | ".join([*parts, "about to end" if not left_s else f"about {left_s:.0f} s left"])
            if parts
            else "…"
        )

    return show


def _figures(data: Path, numbers: list[int], folder: Path) -> list[Path]:
    from monitor.report import demo_figures
    from storage.reader import Reader

    say("drawing the figures")
    return demo_figures(Reader(data), numbers, folder)


def _report(
    data: Path, numbers: list[int], rows: list[dict[str, Any]], figures: list[Path], config: Path
) -> str:
    from monitor.report import describe_run
    from storage.reader import Reader

    reader = Reader(data)
    lines = [describe_run(reader, number, row) for number, row in zip(numbers, rows, strict=True)]
    lines += [
        "",
        "Times are the simulated instrument's, which goes on by up to 10 s between two polls at this speed:",
        "  at real speed, polled once a second, the circuit is open as soon as a verdict is confirmed.",
    ]
    lines += ["", "Figures:", *(f"  {figure}" for figure in figures)]
    lines += [
        "",
        f"Data: {data / 'runs'}: Parquet in BDF names with run.json beside it; open with pandas or polars,",
        f"  or: sandtime export 1 --format bdf-csv -o run1.bdf.csv --config {config}",
        "Your own cell: sandtime init my-lab, then follow what it prints.",
    ]
    return "\n".join(lines)
