"""Commands on files that a person writes: ``init``, ``check``, ``plan``. They touch no instrument."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.output import ConfigOption, JsonOption, configuration, emit, say
from protocols.capabilities import Capabilities
from protocols.errors import InvalidFileError, Problem

if TYPE_CHECKING:
    from protocols.protocol import Protocol

USUAL_CHAMBER_K = (233.15, 453.15)
"""What most chambers can do: −40 to 180 °C."""

SettingOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change a parameter: --set capacity='0.5 mAh/cm²'.")
]
CellOption = Annotated[Path, typer.Option("--cell", help="The cell file.")]
StationOption = Annotated[str | None, typer.Option("--station", "-s", help="A station of service.toml.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(init)
    app.command()(check)
    app.command()(plan)


def settings_of(pairs: list[str] | None) -> dict[str, str]:
    """Return ``--set K=V`` pairs as a mapping. Raises BadParameter for one without ``=``."""
    settings = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} has no '='; write for example --set capacity='0.5 mAh/cm²'")
        settings[key.strip()] = value.strip()
    return settings


def capabilities_for(station: str | None, config: Path | None) -> Capabilities:
    """Return what a station can do, without touching it; where none is named, of a VSP-300 in a chamber."""
    if station is None:
        from drivers.biologic import capabilities

        return capabilities("VSP-300").with_chamber(*USUAL_CHAMBER_K)
    from monitor.daemon import capabilities_of

    return capabilities_of(configuration(config), station)


def init(folder: Annotated[Path, typer.Argument(help="Folder to make.")]) -> None:
    """Write a service.toml, a cell file and a first protocol, with comments, to start from."""
    from monitor.templates import write_start_files

    for path in write_start_files(folder):
        say(f"wrote {path}")
    say(
        f"\nNext:\n  cd {folder}\n  sandtime plan first_protocol.yaml --cell my_cell.yaml --station bench-1\n"
        "  sandtime simulate --speed 2000 &      # the simulated instrument of service.toml\n"
        "  sandtime run first_protocol.yaml --cell my_cell.yaml --station bench-1"
    )


def check(
    protocols: Annotated[list[str], typer.Argument(help="Protocol files, or names from the library.")],
    cell: Annotated[Path | None, typer.Option("--cell", help="Also compile for this cell.")] = None,
    station: StationOption = None,
    settings: SettingOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check protocol files; exit code 3 when there are errors."""
    errors: list[Problem] = []
    warnings: list[Problem] = []
    for name in protocols:
        found, warned = _check_one(name, cell, station, settings_of(settings), config)
        errors += found
        warnings += warned
    document = {"errors": [_as_dict(p) for p in errors], "warnings": [_as_dict(p) for p in warnings]}
    lines = [f"error: {problem}" for problem in errors] + [f"warning: {problem}" for problem in warnings]
    if not errors:
        unseen = "" if cell else "; what depends on the cell is looked at with --cell"
        lines.append(f"{', '.join(protocols)}: no mistake found{unseen}")
    emit(document, "\n".join(lines), json)
    if errors:
        raise typer.Exit(InvalidFileError.exit_code)


def _check_one(
    name: str, cell: Path | None, station: str | None, settings: dict[str, str], config: Path | None
) -> tuple[list[Problem], list[Problem]]:
    from protocols.protocol import load_protocol

    try:
        protocol = load_protocol(name, settings)
        warnings = list(protocol.warnings)
        if cell is not None:
            warnings += _check_for_cell(protocol, cell, capabilities_for(station, config))
    except InvalidFileError as error:
        return list(error.problems), []
    return [], warnings


def _check_for_cell(protocol: Protocol, cell: Path, able: Capabilities) -> list[Problem]:
    """Return the warnings about a cell and about what the protocol would do to it."""
    from protocols.cellfile import check_cell
    from protocols.compile import compile_program
    from protocols.plan import make_plan

    read, errors, warnings = check_cell(cell)
    if read is None:
        raise InvalidFileError(errors)
    planned = make_plan(compile_program(protocol, read, able), able).warnings
    return warnings + [Problem(protocol.source.file, 0, 0, sentence) for sentence in planned]


def _as_dict(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "hint": problem.hint,
    }


def plan(
    protocol: Annotated[str, typer.Argument(help="A protocol file, or a name from the library.")],
    cell: CellOption,
    station: StationOption = None,
    settings: SettingOption = None,
    config: ConfigOption = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw what it would do over time (a .png).")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say what a protocol would do to a cell: how long, how much charge, and who holds which limit."""
    from monitor.plan_report import describe_plan, plan_figure
    from protocols.cellfile import load_cell
    from protocols.compile import compile_program
    from protocols.plan import make_plan
    from protocols.protocol import load_protocol

    capabilities = capabilities_for(station, config)
    program = compile_program(load_protocol(protocol, settings_of(settings)), load_cell(cell), capabilities)
    made = make_plan(program, capabilities)
    if plot is not None:
        say(f"wrote {plan_figure(program, plot)}")
    emit(made.model_dump(mode="json"), describe_plan(made), json)
