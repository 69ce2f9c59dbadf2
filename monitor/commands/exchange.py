"""``convert``: protocols from and for other programs."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.commands.files import SettingOption, StationOption, capabilities_for, settings_of
from monitor.output import ConfigOption, JsonOption, emit, say
from protocols.exchange.losses import ACCEPTABLE, TARGETS, Loss, LostInConversionError

WithoutOption = Annotated[
    list[str] | None,
    typer.Option("--without", help=f"What may be lost, if it has to be: {', '.join(ACCEPTABLE)}."),
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(convert)


def convert(
    file: Annotated[str, typer.Argument(help="A unicycler protocol (.json), or a protocol of sandtime.")],
    cell: Annotated[Path | None, typer.Option("--cell", help="The cell file.")] = None,
    to: Annotated[str | None, typer.Option("--to", help=f"{', '.join(TARGETS)}.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write it.")] = None,
    without: WithoutOption = None,
    station: StationOption = None,
    settings: SettingOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Read a protocol of aurora-unicycler, or write one for it, PyBaMM or BattINFO.

    Exit code 3, with a list, if anything would be lost.
    """
    if Path(file).suffix == ".json":
        if to is not None:
            raise typer.BadParameter("a .json file becomes a protocol of sandtime; leave --to out")
        _finish(_read(Path(file)), (), output, json)
        return
    if to not in TARGETS or cell is None:
        raise typer.BadParameter(f"a protocol needs --cell, and --to with one of {', '.join(TARGETS)}")
    allow = _words(without)
    from protocols.cellfile import load_cell
    from protocols.compile import compile_program
    from protocols.exchange.conversion import convert as converted
    from protocols.protocol import load_protocol

    protocol = load_protocol(file, settings_of(settings))
    program = compile_program(protocol, load_cell(cell), capabilities_for(station, config))
    try:
        conversion = converted(program, to, allow)
    except LostInConversionError as error:
        if json:
            emit({"protocol": None, "lost": _as_dicts(error.losses)}, "", as_json=True)
        raise
    _finish(conversion.document, conversion.lost, output, json)


def _words(without: list[str] | None) -> list[str]:
    """Return the words of ``--without``, which may be written several times or with commas."""
    words = [word.strip() for option in without or [] for word in option.split(",")]
    unknown = [word for word in words if word not in ACCEPTABLE]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} can't be left out; --without takes {', '.join(ACCEPTABLE)}")
    return words


def _read(path: Path) -> str:
    from protocols.exchange.unicycler_reader import read_unicycler
    from protocols.yamlfile import read_text

    return read_unicycler(read_text(path), str(path))


def _finish(document: Any, lost: tuple[Loss, ...], output: Path | None, json: bool) -> None:
    """Write a protocol to a file or print it, and say what was left out."""
    text = document if isinstance(document, str) else json_text.dumps(document, indent=2) + "\n"
    if output is not None:
        output.write_text(text, encoding="utf-8")
        say(f"wrote {output}")
    for loss in lost:
        say(f"left out: {loss}")
    if json:
        emit({"protocol": document, "lost": _as_dicts(lost)}, "", as_json=True)
    elif output is None:
        emit(None, text.removesuffix("\n"), as_json=False)


def _as_dicts(losses: tuple[Loss, ...]) -> list[dict[str, Any]]:
    return [
        {
            "what": loss.what,
            "place": loss.place,
            "message": loss.message,
            "acceptable": loss.acceptable,
        }
        for loss in losses
    ]
