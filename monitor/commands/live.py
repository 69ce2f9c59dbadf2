"""Commands on what runs: ``serve``, ``simulate``, ``run``, ``status``, ``stop`` and their kin."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drivers.chamber import celsius
from monitor.commands.alarm_lines import alarm_line
from monitor.commands.files import CellOption, SettingOption, capabilities_for, settings_of
from monitor.commands.troubles import lost_words, problem_line
from monitor.commands.watching import WATCH_S, describe, exit_code, watch
from monitor.output import ConfigOption, JsonOption, config_path, configuration, emit, local_time, say
from protocols.queueing import Maintenance
from protocols.records import RunInfo
from scheduler.requests import ChamberInfo, StatusReply, StorageInfo, Submission

if TYPE_CHECKING:
    from monitor.client import Client

RunArgument = Annotated[int, typer.Argument(help="Number of the run, as `sandtime status` shows it.")]
RequiredStation = Annotated[str, typer.Option("--station", "-s", help="A station of service.toml.")]
ProtocolArgument = Annotated[str, typer.Argument(help="A protocol file, or a name from the library.")]

NoCheckOption = Annotated[
    str, typer.Option("--no-check", help="Start without the check of cell and contacts, and why.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (serve, simulate, run, status, pause, resume, devices):
        app.command()(command)


def serve(
    config: ConfigOption = None,
    exit_without_client: Annotated[
        float | None, typer.Option(help="End when no client has asked anything for so many seconds.")
    ] = None,
) -> None:
    """Run the daemon until it is told to end; what runs on the instruments goes on within its limits."""
    from monitor import daemon, logs

    service = configuration(config)
    # One that was started for a command has the command's terminal: it only says what is wrong.
    logs.configure(service.log, quiet=exit_without_client is not None)
    if exit_without_client is None:
        say(f"The daemon keeps its data in {service.data}. Ctrl-C ends it; runs go on within their limits.")
    file = config_path(config).absolute()
    daemon.run_loop(lambda: daemon.serve(service, file, exit_without_client_s=exit_without_client))


def simulate(
    speed: Annotated[float, typer.Option(help="Times faster than real time.", min=0.1, max=1e9)] = 1.0,
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
    from drivers.simulation.server import serve as serve_simulated
    from monitor.daemon import run_loop

    service = configuration(config)
    simulated = SimulationConfig.from_table(
        service.simulation, str(config_path(config)), service.simulation_chambers
    )
    names = [f"{name} ({len(box.channels)} channels)" for name, box in simulated.boxes.items()]
    names += [f"{name} (chamber)" for name in simulated.chambers]
    say(f"Simulating {', '.join(names)} at {speed:g} × real time. Ctrl-C ends it.")
    service.simulation_state.parent.mkdir(parents=True, exist_ok=True)
    run_loop(
        lambda: serve_simulated(
            simulated,
            service.simulation_state,
            speed=speed,
            max_lag_s=max_lag,
            exit_without_client_s=exit_without_client,
        )
    )


def client_of(config: Path | None) -> Client:
    """Return a client of the lab's daemon; the HTTP library takes longer to import than most commands."""
    from monitor.client import Client

    return Client.of_folder(configuration(config).data)


def submission(
    protocol: str, cell: Path, station: str, settings: list[str] | None, name: str = "", no_check: str = ""
) -> Submission:
    """Return what the daemon needs of two files. Raises InvalidFileError."""
    from protocols.protocol import find_protocol, load_protocol
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
        included=load_protocol(path, settings_of(settings)).included,
        no_check=no_check,
    )


def longest(asked: Submission, config: Path | None) -> float:
    """Return how long a submission may take at most, in s. Raises InvalidFileError."""
    from protocols.cellfile import parse_cell
    from protocols.compile import compile_program
    from protocols.plan import make_plan
    from protocols.protocol import parse_protocol

    able = capabilities_for(asked.station, config)
    protocol = parse_protocol(
        asked.protocol_text, asked.protocol_file, asked.settings, included=asked.included
    )
    return make_plan(
        compile_program(protocol, parse_cell(asked.cell_text, asked.cell_file), able), able
    ).duration_s


def run(
    protocol: ProtocolArgument,
    cell: CellOption,
    station: RequiredStation,
    settings: SettingOption = None,
    no_check: NoCheckOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Run a protocol and watch it; Ctrl-C asks, then opens the circuit."""
    from monitor.children import daemon_for

    asked = submission(protocol, cell, station, settings, no_check=no_check)
    longest_s = longest(asked, config)
    with daemon_for(config_path(config), configuration(config).data) as client:
        info = watch(client, client.submit(asked).run.run, longest_s)
    emit(info.model_dump(mode="json"), describe(info), json)
    raise typer.Exit(exit_code(info))


def status(
    config: ConfigOption = None,
    watch_it: Annotated[bool, typer.Option("--watch", help="Show it again every second.")] = False,
    json: JsonOption = False,
) -> None:
    """Show instruments, chambers and runs."""
    with client_of(config) as client:
        while True:
            reply = client.status()
            waits = {
                info.run: client.run(info.run).waits_for for info in reply.runs if info.state == "queued"
            }
            emit(reply.model_dump(mode="json"), _table(reply, waits), json)
            if not watch_it:
                return
            time.sleep(WATCH_S)


def _table(reply: StatusReply, waits: dict[int, str]) -> str:
    loud = [
        *map(alarm_line, reply.alarms),
        *_storage_lines(reply.storage),
        *map(problem_line, reply.problems),
    ]
    lost = {(each.kind, each.name): lost_words(each) for each in reply.connections if not each.reachable}
    lines = [
        f"{item.name}: {lost.get(('instrument', item.name), 'in contact')}"
        f"{' (simulated)' if item.simulated else ''}, stations {', '.join(item.stations) or 'none'}"
        for item in reply.instruments
    ]
    lines += [maintenance_line(entry) for entry in reply.maintenance]
    lines += [_chamber_line(chamber, lost.get(("chamber", chamber.name), "")) for chamber in reply.chambers]
    lines += [f"{name}: {words}" for (kind, name), words in lost.items() if kind == "broker"]
    lines = [*loud, *lines, *(describe(info, waits.get(info.run, "")) for info in reply.runs)]
    return "\n".join(lines) or "nothing is declared in service.toml"


def maintenance_line(entry: Maintenance) -> str:
    """Say in one line what is in maintenance."""
    until = "" if entry.until_unix_s is None else f" until {local_time(entry.until_unix_s)}"
    return f"{entry.name}: IN MAINTENANCE{until}, no run starts: {entry.reason} ({entry.who})"


def _storage_lines(storage: StorageInfo) -> list[str]:
    if storage.state == "ok":
        return []
    if storage.state == "low":
        stopped = "" if storage.starts else "; NO RUN STARTS"
        return [f"DISK NEARLY FULL: {storage.problem}{stopped}"]
    since = "" if storage.since_unix_s is None else f" since {local_time(storage.since_unix_s)}"
    lines = [f"STORAGE FAILS{since}: {storage.problem}"]
    if storage.ended_runs:
        return [*lines, f"ALL RUNS WERE ENDED; {storage.waiting_samples} samples wait in memory"]
    left_min = (storage.safe_end_in_s or 0.0) / 60
    waiting = f"{storage.waiting_samples} samples wait in memory"
    return [*lines, f"{waiting}, guards go on; ALL RUNS END IN {left_min:.1f} min: free disk space now"]


def _chamber_line(chamber: ChamberInfo, lost: str) -> str:
    marks = " (simulated)" if chamber.simulated else ""
    if lost:
        return f"{chamber.name}: {lost}{marks}"
    if not chamber.reachable:
        shows = "NO CONTACT"
    elif chamber.temperature_K is None or chamber.setpoint_K is None:
        shows = "does not answer in time"
    else:
        shows = f"{celsius(chamber.temperature_K)}, set to {celsius(chamber.setpoint_K)}"
    problem = f"; {chamber.problem}" if chamber.problem else ""
    return f"{chamber.name}: {shows}{marks}{problem}"


def pause(run: RunArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Open the circuit and keep the place in the program."""
    with client_of(config) as client:
        show(client.pause(run), json)


def resume(
    run: RunArgument,
    anyway: Annotated[
        str, typer.Option(help="Start though the check before the start holds the run back, and why.")
    ] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Go on with a paused run from where it was, or with one that waits for a person."""
    with client_of(config) as client:
        show(client.resume(run, anyway), json)


def show(info: RunInfo, json: bool) -> None:
    """Print how a run stands."""
    emit(info.model_dump(mode="json"), describe(info), json)


def devices(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show what service.toml declares, what each station's channel can do, and the chambers' limits."""
    from monitor.daemon import build_chambers

    service = configuration(config)
    found = {name: capabilities_for(name, config) for name in service.stations}
    lines = [
        f"{name}: {wired.instrument} channel {wired.channel}, {found[name].model}, "
        f"±{found[name].current_max_A:g} A, "
        f"{found[name].voltage_min_V:g} to {found[name].voltage_max_V:g} V; "
        f"when the host dies it {found[name].at_host_loss}"
        for name, wired in service.stations.items()
    ]
    lines += [
        f"{name}: chamber, {celsius(chamber.temperature_min_K)} to {celsius(chamber.temperature_max_K)}; "
        f"when the host dies it {chamber.at_host_loss}"
        for name, chamber in build_chambers(service).items()
    ]
    emit({name: able.model_dump(mode="json") for name, able in found.items()}, "\n".join(lines), json)
