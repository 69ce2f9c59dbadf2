"""Commands that compute: ``analyze run``, ``analyze eis``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from monitor.commands.eis import eis
from monitor.output import ConfigOption, JsonOption, emit
from monitor.run_source import RunOrFolder, open_run
from protocols.records import ENDED
from protocols.units import parse_amount

analyze = typer.Typer(name="analyze", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    analyze.command()(run)
    analyze.command()(eis)
    app.add_typer(analyze, help="Compute results of runs and of recorded spectra.")


def run(
    run_or_folder: RunOrFolder,
    deduct: Annotated[
        str,
        typer.Option(help="Resistance of layers that block electrons, where direct current measures ions."),
    ] = "0 Ω",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Compute the results of a run that is stored, also of one that still runs."""
    from scheduler.results import results_of

    deducted_ohm = parse_amount(deduct, "resistance").value
    reader, number = open_run(run_or_folder, config)
    info = reader.run(number)
    results = results_of(reader, number, deducted_ohm=deducted_ohm)
    document = {
        **info.model_dump(mode="json", include={"run", "name", "protocol", "cell", "state", "verdict"}),
        "results": results,
    }
    inferred = reader.extra(number).get("inferred")  # noqa: S610 - not Django's extra
    if inferred:
        document["inferred"] = inferred
    so_far = "" if info.state in ENDED else ", so far"
    head = f"run {info.run}  {info.name}: {info.protocol} on {info.cell}, {info.state}{so_far}"
    unsaid = [f"  inferred, since the recording does not say it: {inferred}"] if inferred else []
    emit(document, "\n".join([head, *_lines(results, "  "), *unsaid]), json)


def _lines(values: dict[str, Any], indent: str) -> list[str]:
    """Return results for people: a line each, what belongs together further in."""
    lines: list[str] = []
    for key, value in values.items():
        match value:
            case dict():
                lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
            case [dict(), *_]:
                lines += [f"{indent}{key}:", *(f"{indent}  {_row(row)}" for row in value)]
            case list():
                lines += [f"{indent}{key}:", *(f"{indent}  {item}" for item in value)]
            case _:
                lines.append(f"{indent}{key}: {_short(value)}")
    return lines


def _row(row: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_short(value)}" for key, value in row.items())


def _short(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
