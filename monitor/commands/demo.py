"""The command ``demo``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.output import JsonOption, emit, say
from protocols.records import RunInfo

SPEED = 4000.0


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


def _progress() -> Any:
    """Return a function that shows how the runs stand, at most every two seconds."""
    last = [0.0]

    def show(infos: list[RunInfo]) -> None:
        if time.monotonic() - last[0] < 2.0:
            return
        last[0] = time.monotonic()
        parts = [f"{info.run}:{info.state} {info.t_s / 3600:.1f} h" for info in infos]
        say("  ".join(parts) or "the daemon starts")

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
    lines += ["", "Figures:", *(f"  {figure}" for figure in figures)]
    lines += [
        "",
        f"Data: {data / 'runs'}: Parquet in BDF names with run.json beside it; open with pandas or polars,",
        f"  or: sandtime export 1 --format bdf-csv -o run1.bdf.csv --config {config}",
        "Your own cell: sandtime init my-lab, then follow what it prints.",
    ]
    return "\n".join(lines)
