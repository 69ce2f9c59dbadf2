"""Commands on what runs: ``serve``, ``simulate``, ``submit``, ``run``, ``status``, ``stop`` and their kin."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.client import Client
from monitor.commands.files import CellOption, SettingOption, settings_of
from monitor.output import ConfigOption, JsonOption, config_path, configuration, emit, say
from protocols.errors import InvalidFileError, Problem
from protocols.records import ENDED, RunInfo
from scheduler.requests import StatusReply, Submission

WATCH_S = 1.0
PROTECTED_EXIT, FAILED_EXIT = 6, 5

RunArgument = Annotated[int, typer.Argument(help="Number of the run, as `sandtime status` shows it.")]
RequiredStation = Annotated[str, typer.Option("--station", "-s", help="A station of service.toml.")]
ProtocolArgument = Annotated[str, typer.Argument(help="A protocol file, or a name from the library.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (serve, simulate, submit, run, status, stop, pause, resume, ack, devices):
        app.command()(command)


def serve(
    config: ConfigOption = None,
    exit_without_client: Annotated[
        float | None, typer.Option(help="End when no client has asked anything for so many seconds.")
    ] = None,
) -> None:
    """Run the daemon until it is told to end; what runs on the instruments goes on within its limits."""
    from monitor import daemon

    service = configuration(config)
    daemon.run_loop(lambda: daemon.serve(service, exit_without_client_s=exit_without_client))


def simulate(
    speed: Annotated[float, typer.Option(help="Times faster than real time.", min=0.1, max=1e6)] = 1.0,
    max_lag: Annotated[
        float, typer.Option(help="Longest time, in s of the instrument, that data wait for a connected host.")
    ] = 10.0,
    exit_without_client: Annotated[
        float | None, typer.Option(help="End when nobody was connected for so many seconds.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Serve the simulated instruments of service.toml, until told to end."""
    from drivers.simulation.config import SimulationConfig
    from drivers.simulation.server import serve as serve_boxes
    from monitor.daemon import run_loop

    service = configuration(config)
    boxes = SimulationConfig.from_table(service.simulation, str(config_path(config)))
    service.simulation_state.parent.mkdir(parents=True, exist_ok=True)
    run_loop(
        lambda: serve_boxes(
            boxes,
            service.simulation_state,
            speed=speed,
            max_lag_s=max_lag,
            exit_without_client_s=exit_without_client,
        )
    )


def submission(
    protocol: str, cell: Path, station: str, settings: list[str] | None, name: str = ""
) -> Submission:
    """Return what the daemon needs of two files. Raises InvalidFileError."""
    from protocols.protocol import find_protocol
    from protocols.yamlfile import read_text

    path = find_protocol(protocol)
    return Submission(
        protocol_text=read_text(path),
        protocol_file=str(path),
        cell_text=read_text(cell),
        cell_file=str(cell),
        station=station,
        name=name,
        settings=settings_of(settings),
    )


def submit(
    protocol: ProtocolArgument,
    cell: CellOption,
    station: RequiredStation,
    settings: SettingOption = None,
    name: Annotated[str, typer.Option(help="A name for the run.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Queue a run with the daemon."""
    with Client.of_folder(configuration(config).data) as client:
        reply = client.submit(submission(protocol, cell, station, settings, name))
    document = {"run": reply.run.run, "state": reply.run.state, "waits_for": reply.waits_for}
    waits = f", waits for {reply.waits_for}" if reply.waits_for else ""
    emit(document, f"run {reply.run.run}: {reply.run.state}{waits}", json)


def run(
    protocol: ProtocolArgument,
    cell: CellOption,
    station: RequiredStation,
    settings: SettingOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Run a protocol and watch it; Ctrl-C asks, then opens the circuit."""
    from monitor.children import daemon_for

    with daemon_for(config_path(config), configuration(config).data) as client:
        number = client.submit(submission(protocol, cell, station, settings)).run.run
        info = watch(client, number)
        document: dict[str, Any] = info.model_dump(mode="json")
    emit(document, describe(info), json)
    raise typer.Exit(exit_code(info))


def watch(client: Client, number: int) -> RunInfo:
    """Follow a run to its end on stderr. Ctrl-C asks whether to open the circuit."""
    while True:
        try:
            info = client.run(number).run
            say(describe(info))
            if info.state in ENDED:
                return info
            time.sleep(WATCH_S)
        except KeyboardInterrupt:
            _ask_to_stop(client, number)


def _ask_to_stop(client: Client, number: int) -> None:
    import sys

    say("")
    if not sys.stdin.isatty() or typer.confirm(f"Open the circuit of run {number}?", err=True):
        outcome = client.stop(number, "stopped by a person (Ctrl-C)")
        say(f"circuit {'open, confirmed' if outcome.open_circuit_confirmed else 'NOT confirmed open'}")


def exit_code(info: RunInfo) -> int:
    """Return the command's exit code for the end of a run."""
    return {"protected": PROTECTED_EXIT, "failed": FAILED_EXIT}.get(info.state, 0)


def describe(info: RunInfo) -> str:
    """Say in one line how a run stands."""
    parts = [f"run {info.run} {info.name}: {info.state.upper()}", f"{info.t_s / 3600:.2f} h"]
    if info.voltage_V is not None and info.current_A is not None:
        parts.append(f"E {info.voltage_V * 1e3:.2f} mV, I {info.current_A * 1e3:.3f} mA")
    if info.step:
        parts.append(info.step)
    if info.reason:
        parts.append(info.reason)
    return " · ".join(parts)


def status(
    config: ConfigOption = None,
    watch_it: Annotated[bool, typer.Option("--watch", help="Show it again every second.")] = False,
    json: JsonOption = False,
) -> None:
    """Show instruments and runs."""
    with Client.of_folder(configuration(config).data) as client:
        while True:
            reply = client.status()
            emit(reply.model_dump(mode="json"), _table(reply), json)
            if not watch_it:
                return
            time.sleep(WATCH_S)


def _table(reply: StatusReply) -> str:
    lines = [
        f"{item.name}: {'in contact' if item.reachable else 'NO CONTACT'}"
        f"{' (simulated)' if item.simulated else ''}, stations {', '.join(item.stations) or 'none'}"
        for item in reply.instruments
    ]
    return (
        "\n".join([*lines, *(describe(info) for info in reply.runs)]) or "nothing is declared in service.toml"
    )


def stop(
    run: Annotated[int | None, typer.Argument(help="Number of the run.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Open every circuit.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Open the circuit, and wait until it is confirmed open."""
    if (run is None) != everything:
        hint = "sandtime stop 3   or   sandtime stop --all"
        raise InvalidFileError([Problem("stop", 0, 0, "name one run, or say --all", hint)])
    with Client.of_folder(configuration(config).data) as client:
        outcomes = client.stop_all() if run is None else [client.stop(run)]
    documents = [outcome.model_dump(mode="json") for outcome in outcomes]
    text = "\n".join(
        f"run {outcome.run}: {outcome.state}, circuit "
        f"{'open, confirmed' if outcome.open_circuit_confirmed else 'NOT confirmed open'}"
        f" after {outcome.seconds:.2f} s"
        for outcome in outcomes
    )
    emit(documents if everything else documents[0], text or "nothing runs", json)


def pause(run: RunArgument, config: ConfigOption = None) -> None:
    """Open the circuit and keep the place in the program."""
    with Client.of_folder(configuration(config).data) as client:
        say(describe(client.pause(run)))


def resume(run: RunArgument, config: ConfigOption = None) -> None:
    """Go on with a paused run from where it was."""
    with Client.of_folder(configuration(config).data) as client:
        say(describe(client.resume(run)))


def ack(run: RunArgument, config: ConfigOption = None) -> None:
    """Say that you have seen why a run was protected; its station is free again."""
    with Client.of_folder(configuration(config).data) as client:
        say(describe(client.acknowledge(run)))


def devices(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show what service.toml declares, and what each station's channel can do."""
    from monitor.commands.files import capabilities_for

    service = configuration(config)
    found = {name: capabilities_for(name, config) for name in service.stations}
    lines = [
        f"{name}: {wired.instrument} channel {wired.channel}, {found[name].model}, "
        f"±{found[name].current_max_A:g} A, "
        f"{found[name].voltage_min_V:g} to {found[name].voltage_max_V:g} V; "
        f"when the host dies it {found[name].at_host_loss}"
        for name, wired in service.stations.items()
    ]
    emit({name: able.model_dump(mode="json") for name, able in found.items()}, "\n".join(lines), json)
