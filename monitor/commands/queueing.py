"""Commands on the lab's queue: ``submit``, ``queue`` and ``maintenance``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.commands.files import SettingOption, StationOption
from monitor.commands.live import NoCheckOption, client_of, maintenance_line, submission
from monitor.commands.watching import describe_stop
from monitor.moments import parse_moment
from monitor.output import ConfigOption, JsonOption, emit, local_time
from protocols.errors import UsageError
from protocols.queueing import PRIORITY_MAX
from scheduler.requests import MaintenanceRequest, Order, QueueReply, QueueRow, RunReply, Submission
from scheduler.why_waiting import listed

queue = typer.Typer(help="The queue: what waits for what, in which order, and until when.")
maintenance = typer.Typer(
    help="Stations and instruments on which no run starts; what runs goes on.", no_args_is_help=True
)

PriorityOption = Annotated[int, typer.Option(help="Higher ones first.", min=-PRIORITY_MAX, max=PRIORITY_MAX)]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(submit)
    app.add_typer(queue, name="queue")
    app.add_typer(maintenance, name="maintenance")


def submit(
    protocols: Annotated[
        list[str],
        typer.Argument(help="Protocol files, or names from the library: one after the other for each cell."),
    ],
    cells: Annotated[list[Path], typer.Option("--cell", help="The cell file; more of them: a run each.")],
    station: StationOption = None,
    settings: SettingOption = None,
    name: Annotated[str, typer.Option(help="A name for the run.")] = "",
    priority: PriorityOption = 0,
    needs: Annotated[
        list[str] | None,
        typer.Option(
            help="What the station has to have: eis:7MHz, current:1A, voltage:5V, chamber:25..60°C, "
            "model:VSP-300."
        ),
    ] = None,
    chamber: Annotated[str, typer.Option(help="A chamber of service.toml that the station is in.")] = "",
    not_before: Annotated[str, typer.Option(help="Start time: '2026-12-01 08:00', 08:00 or '+2 h'.")] = "",
    no_check: NoCheckOption = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say where and when it would run, no more.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Queue runs with the daemon: on a station, or on the first free one that can do it."""
    if name and len(protocols) * len(cells) > 1:
        raise typer.BadParameter(
            "a name is for one run; leave it out, and each is named after protocol and cell"
        )
    wanted: dict[str, Any] = {
        "priority": priority,
        "needs": tuple(needs or ()),
        "chamber": chamber,
        "not_before_unix_s": parse_moment(not_before, time.time()) if not_before else None,
    }

    def one(protocol: str, cell: Path) -> Submission:
        return submission(protocol, cell, station or "", settings, name, no_check).model_copy(update=wanted)

    order = Order(series=tuple(tuple(one(protocol, cell) for protocol in protocols) for cell in cells))
    with client_of(config) as client:
        if dry_run:
            _show_rows(client.preview(order), json)
        else:
            _show_submitted(client.submit_all(order), json)


def _show_submitted(replies: list[RunReply], json: bool) -> None:
    documents = [
        {
            "run": reply.run.run,
            "state": reply.run.state,
            "waits_for": reply.waits_for,
            "station": reply.run.station,
            "candidates": list(reply.run.candidates),
        }
        for reply in replies
    ]
    text = "\n".join(map(_submitted_line, replies))
    emit(documents[0] if len(documents) == 1 else {"runs": documents}, text, json)


def _submitted_line(reply: RunReply) -> str:
    run = reply.run
    where = f" on {run.station}" if run.station else ""
    waits = f", waits for {reply.waits_for}" if reply.waits_for else ""
    return f"run {run.run}: {run.state}{where}{waits}"


@queue.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Play the queue through: where and when each run starts and ends."),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show what has a station and what waits, in order."""
    if context.invoked_subcommand is not None:
        return
    with client_of(config) as client:
        reply = client.queue()
    if dry_run:
        _show_rows(reply.runs, json)
    else:
        _show_queue(reply, json)


@queue.command()
def move(
    run: Annotated[int, typer.Argument(help="Number of a run that waits.")],
    priority: PriorityOption,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Give a run that waits, and what comes after it in its series, another priority."""
    with client_of(config) as client:
        reply = client.move(run, priority)
    _show_queue(reply, json)


@queue.command()
def cancel(
    run: Annotated[int, typer.Argument(help="Number of a run that has not started.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """End a run that has not started, and those of its series that come after it."""
    with client_of(config) as client:
        outcomes = client.cancel(run)
    documents = [outcome.model_dump(mode="json") for outcome in outcomes]
    emit({"runs": documents}, "\n".join(describe_stop(outcome) for outcome in outcomes), json)


@maintenance.command("on")
def begin(
    name: Annotated[str, typer.Argument(help="A station, or an instrument with all its stations.")],
    reason: Annotated[str, typer.Option(help="Why, for those who wait.")],
    until: Annotated[str, typer.Option(help="When it ends: '2026-12-01 08:00', 08:00 or '+2 h'.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Let no run start there; what runs goes on."""
    if not reason.strip():
        raise UsageError("say why: those who wait are told")
    until_unix_s = parse_moment(until, time.time()) if until else None
    request = MaintenanceRequest(name=name, reason=reason, until_unix_s=until_unix_s)
    with client_of(config) as client:
        entry = client.begin_maintenance(request)
    emit(entry.model_dump(mode="json"), maintenance_line(entry), json)


@maintenance.command("off")
def end(
    name: Annotated[str, typer.Argument(help="What was in maintenance.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Let runs start there again."""
    with client_of(config) as client:
        entry = client.end_maintenance(name)
    emit(entry.model_dump(mode="json"), f"{entry.name}: no longer in maintenance", json)


def _show_queue(reply: QueueReply, json: bool) -> None:
    lines = [maintenance_line(entry) for entry in reply.maintenance]
    lines += [_queue_line(row) for row in reply.runs]
    emit(reply.model_dump(mode="json"), "\n".join(lines) or "nothing runs, and nothing waits", json)


def _queue_line(row: QueueRow) -> str:
    """Say how one run stands in the queue."""
    where = row.station or f"any of {listed(list(row.candidates))}"
    parts = [f"run {row.run} {row.name}: {row.state.upper()}", where]
    if row.priority or row.gained:
        parts.append(f"priority {row.priority}" + (f" (+{row.gained} for waiting)" if row.gained else ""))
    if row.waits_for:
        parts.append(f"waits for {row.waits_for}")
    parts.append(_expected(row))
    return " · ".join(part for part in parts if part)


def _expected(row: QueueRow) -> str:
    if row.expected_start_unix_s is None:
        return "nobody knows when it starts" if row.state == "queued" else ""
    start = "" if row.state != "queued" else f"starts about {_moment(row.expected_start_unix_s)}"
    end = f"ends about {_moment(row.expected_end_unix_s)} at most" if row.expected_end_unix_s else ""
    return ", ".join(part for part in (start, end) if part)


def _show_rows(rows: list[QueueRow], json: bool) -> None:
    """Show a timetable."""
    last = float("inf")
    ordered = sorted(
        rows, key=lambda row: last if row.expected_start_unix_s is None else row.expected_start_unix_s
    )
    text = "\n".join(map(_timetable_line, ordered))
    emit(
        {"runs": [row.model_dump(mode="json") for row in ordered]},
        text or "nothing runs, and nothing waits",
        json,
    )


def _timetable_line(row: QueueRow) -> str:
    who = row.name if row.run is None else f"run {row.run} {row.name}"
    if row.expected_start_unix_s is None:
        return f"{who}: nobody knows when; waits for {row.waits_for}"
    end = "?" if row.expected_end_unix_s is None else f"{_moment(row.expected_end_unix_s)} at most"
    return f"{row.expected_station}: {_moment(row.expected_start_unix_s)} → {end} · {who}"


def _moment(unix_s: float) -> str:
    """Return a local time to the minute."""
    return local_time(unix_s)[:16]
