"""Commands that open circuits, and those of a person who has seen why: ``stop``, ``ack`` and their kin."""

from __future__ import annotations

import json as json_module
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from monitor.commands.alarm_lines import alarm_line
from monitor.commands.live import client_of, show
from monitor.commands.watching import describe_stop
from monitor.output import ConfigOption, JsonOption, configuration, emit, say
from protocols.errors import InstrumentError, UnreachableError
from scheduler.requests import STATE_FILE, StopOutcome


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(stop)
    app.command()(ack)
    app.command("resume-queue")(resume_queue)


def stop(
    run: Annotated[int | None, typer.Argument(help="Number of the run.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Open every circuit; no run starts before `resume-queue`.")
    ] = False,
    chambers_off: Annotated[
        bool,
        typer.Option("--chambers-off", help="With --all: chambers go off, or to their safe_celsius."),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Open the circuit, and wait until it is confirmed open."""
    if (run is None) != everything:
        raise typer.BadParameter("name one run, or say --all: sandtime stop 3   or   sandtime stop --all")
    if chambers_off and not everything:
        raise typer.BadParameter("chambers are shared: --chambers-off goes with --all")
    if run is not None:
        with client_of(config) as client:
            outcome = client.stop(run)
        emit(outcome.model_dump(mode="json"), describe_stop(outcome), json)
        return
    outcomes = _stop_all(config, chambers_off)
    text = "\n".join(describe_stop(outcome) for outcome in outcomes)
    emit([outcome.model_dump(mode="json") for outcome in outcomes], text or "nothing runs", json)
    say("No run starts by itself from now on; to let runs start again: sandtime resume-queue")
    if any(outcome.started and not outcome.open_circuit_confirmed for outcome in outcomes):
        raise typer.Exit(InstrumentError.exit_code)


def _stop_all(config: Path | None, chambers_off: bool) -> list[StopOutcome]:
    """Ask the daemon; one that does not answer is told by a signal, which needs no HTTP server."""
    try:
        with client_of(config) as client:
            return client.stop_all(chambers_off=chambers_off)
    except UnreachableError as error:
        number = _signalled(configuration(config).data)
        if number is None:
            raise
        raise UnreachableError(
            f"the daemon (process {number}) does not answer; it was told by a signal to open every circuit, "
            "which is not confirmed: look at the instruments, and at `sandtime status`"
        ) from error


def _signalled(data: Path) -> int | None:
    """Press the red button of the folder's daemon by SIGUSR1; return its process, if there is one for sure.

    The signal would end any other program: so the state file's process has to hold the folder's lock now.
    """
    from storage.lock import holder

    try:
        number = json_module.loads((data / STATE_FILE).read_text(encoding="utf-8"))["pid"]
    except (OSError, ValueError, KeyError):
        return None
    if sys.platform == "win32" or number != holder(data):
        return None
    os.kill(number, signal.SIGUSR1)
    return int(number)


def ack(
    run: Annotated[
        int | None, typer.Argument(help="Number of the run, as `sandtime status` shows it.")
    ] = None,
    alarm: Annotated[
        int | None, typer.Option("--alarm", help="Number of an alarm of `sandtime status`.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Say that you have seen why a run was protected, so that its station is free again, or seen an alarm."""
    if (run is None) == (alarm is None):
        raise typer.BadParameter("name a run or an alarm: sandtime ack 3   or   sandtime ack --alarm 2")
    with client_of(config) as client:
        if run is not None:
            show(client.acknowledge(run), json)
        elif alarm is not None:
            seen = client.acknowledge_alarm(alarm)
            emit(seen.model_dump(mode="json"), f"alarm {seen.id} is acknowledged: {seen.message}", json)


def resume_queue(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Let runs start again after `stop --all`."""
    with client_of(config) as client:
        left = client.resume_queue()
    lines = ["runs may start again", *map(alarm_line, left)]
    emit({"alarms": [one.model_dump(mode="json") for one in left]}, "\n".join(lines), json)
