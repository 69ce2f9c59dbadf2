"""Commands on the laboratory: ``calibration add``, ``calibration list``, ``audit``."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from monitor.commands.files import settings_of
from monitor.output import ConfigOption, JsonOption, configuration, emit
from protocols.errors import QuantityError, UnreachableError, UsageError
from protocols.laboratory import AuditEntry, Calibration
from protocols.units import KindName, parse_amount
from scheduler.audit import UNKNOWN, AuditLog
from scheduler.clock import Clock
from scheduler.requests import CalibrationRequest

UNITS: dict[KindName, str] = {
    "voltage": "V",
    "current": "A",
    "resistance": "ohm",
    "time": "s",
    "frequency": "Hz",
    "temperature": "K",
    "charge": "C",
}
"""Kind of quantity that a channel may show → its SI unit, as it ends a result's name."""

calibration = typer.Typer(help="What channels showed on known loads (dummy cells).", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(calibration, name="calibration")
    app.command()(audit)


@calibration.command()
def add(
    instrument: Annotated[str, typer.Argument(help="An instrument of service.toml.")],
    channel: Annotated[int, typer.Argument(help="Channel, as printed on the instrument.", min=1)],
    results: Annotated[
        list[str], typer.Option("--result", "-r", help="What it showed, as resistance='1000.2 Ω'.")
    ],
    load: Annotated[str, typer.Option(help="What was connected.")] = "",
    valid_for: Annotated[str, typer.Option(help="How long it holds, as '180 d'.")] = "",
    note: Annotated[str, typer.Option(help="Anything else.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Keep what a channel showed on a known load."""
    request = CalibrationRequest(
        instrument=instrument,
        channel=channel,
        valid_for_s=parse_amount(valid_for, "time").value if valid_for else None,
        load=load,
        results=dict(_result(name, text) for name, text in settings_of(results).items()),
        note=note,
    )
    kept = _keep(request, config)
    emit(kept.model_dump(mode="json"), f"kept: {_line(kept)}", json)


@calibration.command("list")
def show(
    instrument: Annotated[str | None, typer.Argument(help="Only of this instrument.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show what channels showed on known loads, the newest last."""
    from storage.reader import Reader

    found = Reader(configuration(config).data).catalogue.calibrations(instrument)
    document = {"calibrations": [entry.model_dump(mode="json") for entry in found]}
    emit(document, "\n".join(map(_line, found)) or "no calibration is kept", json)


def audit(
    run: Annotated[int | None, typer.Argument(help="Number of the run; default: all.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show what people asked of the daemon: when, who, what."""
    from storage.reader import Reader

    reader = Reader(configuration(config).data)
    entries: list[AuditEntry] = []
    while more := reader.catalogue.audit(run, after_id=entries[-1].id if entries else 0):
        entries += more
    document = {"audit": [entry.model_dump(mode="json") for entry in entries]}
    emit(document, "\n".join(map(_entry_line, entries)) or "nothing was asked", json)


def _result(name: str, text: str) -> tuple[str, float]:
    try:
        amount = parse_amount(text, *UNITS)
    except QuantityError as error:
        raise UsageError(f"{name}: {error} {error.hint}") from error
    return f"{name}_{UNITS[amount.kind]}", amount.value


def _keep(request: CalibrationRequest, config: Path | None) -> Calibration:
    """Let the daemon keep it; where none runs, write to the store ourselves."""
    from monitor.client import Client, user_name

    service = configuration(config)
    service.require_instrument(request.instrument)
    try:
        client = Client.of_folder(service.data)
    except UnreachableError:
        return asyncio.run(_keep_alone(service.data, request, user_name() or UNKNOWN))
    with client:
        return client.calibrate(request)


async def _keep_alone(data: Path, request: CalibrationRequest, who: str) -> Calibration:
    from storage.store import Store

    store = Store(data)
    await store.open()
    try:
        return AuditLog(store, Clock()).calibrated(who, request)
    finally:
        await store.close()


def _line(entry: Calibration) -> str:
    values = ", ".join(f"{name} {value:g}" for name, value in entry.results.items())
    until = entry.valid_until_unix_s
    word = "expired" if entry.expired(time.time()) else "valid until"
    valid = "" if until is None else f"; {word} {_day(until)}"
    load = f" on {entry.load}" if entry.load else ""
    note = f" ({entry.note})" if entry.note else ""
    return (
        f"{_day(entry.unix_s)} {entry.instrument} channel {entry.channel}{load}: {values}{valid}; "
        f"by {entry.who}{note}"
    )


def _entry_line(entry: AuditEntry) -> str:
    run = "" if entry.run is None else f" run {entry.run}"
    details = ", ".join(f"{name}: {value}" for name, value in entry.details.items())
    return f"{_day(entry.unix_s, '%Y-%m-%d %H:%M:%S')} {entry.who}: {entry.what}{run}" + (
        f" ({details})" if details else ""
    )


def _day(unix_s: float, form: str = "%Y-%m-%d") -> str:
    return time.strftime(form, time.localtime(unix_s))
