"""Checks of service.toml and what it names: secrets, libraries, instruments, broker, calibrations."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitor.doctor.finding import Finding, Setup, ok, problem, warning
from monitor.publishing import BROKER_FILE, LOCAL
from protocols.errors import InstrumentError, InvalidFileError, Problem, StorageError, UnreachableError
from protocols.laboratory import Calibration
from scheduler.config import ServiceConfig
from scheduler.toml_places import place_of

CONNECT_S = 2.0
SOON_S = 14 * 86400.0
_TABLE = re.compile(r"\[([\w.-]+)\] ?([\w.]*)")


def service_toml(setup: Setup) -> Iterator[Finding]:
    """Is the file right, and do drivers and simulation understand their tables?"""
    mistakes = list(setup.mistakes)
    if setup.config is not None:
        mistakes += [_placed(setup.file, mistake) for mistake in _of_tables(setup.config)]
    for mistake in mistakes:
        place = f"{mistake.file}:{mistake.line}: " if mistake.line else f"{mistake.file}: "
        yield problem("service.toml", f"{place}{mistake.message}", mistake.hint or "Correct that line.")
    if not mistakes:
        yield ok("service.toml", f"{setup.file}: no mistake found")


def _of_tables(config: ServiceConfig) -> Iterator[Problem]:
    from drivers.simulation.config import SimulationConfig
    from monitor.daemon import capabilities_of, check_tables

    try:
        check_tables(config)
        for station in config.stations:
            capabilities_of(config, station)
        if config.simulation:
            SimulationConfig.from_table(config.simulation, "service.toml", config.simulation_chambers)
    except InvalidFileError as error:
        yield from error.problems


def _placed(file: Path, mistake: Problem) -> Problem:
    """Return a driver's mistake, which names table and key, with its line."""
    named = _TABLE.match(mistake.message)
    if named is None or mistake.line:
        return mistake
    path = [*named[1].split("."), *filter(None, named[2].split("."))]
    line, column = place_of(file.read_text(encoding="utf-8"), path)
    return Problem(str(file), line, column, mistake.message, mistake.hint)


def secrets(setup: Setup) -> Iterator[Finding]:
    """Are passwords and tokens where service.toml says, and for nobody else's eyes?"""
    for place, secret in {} if setup.config is None else setup.config.secrets().items():
        concerns = secret.concerns()
        for concern in concerns:
            yield warning("secrets", f"{place}: {concern}", "See docs/operation.md, Secrets.")
        try:
            secret.reveal()
        except InvalidFileError as error:
            [missing] = error.problems
            if secret.env is not None or (secret.file or "").startswith("$"):
                message = f"{place}: {missing.message} in this shell; the service may have it"
                yield warning("secrets", message, missing.hint)
            else:
                yield problem("secrets", f"{place}: {missing.message}", missing.hint)
        else:
            if not concerns:
                yield ok("secrets", f"{place}: found")


def libraries(setup: Setup) -> Iterator[Finding]:
    """Is the vendor's library there, and made for this computer?"""
    for name, table in {} if setup.config is None else setup.config.instruments.items():
        where = str(table.get("library", "simulation"))
        if where != "simulation":
            yield _library(name, Path(where))


def _library(name: str, path: Path) -> Finding:
    from drivers.biologic.library import library_version, load_library
    from monitor.doctor.library_file import made_for

    about = f"library of {name}"
    remedy = "Install the EC-Lab Development Package; name its EClib64.dll as `library` in service.toml."
    try:
        system, processor = made_for(path)
    except OSError as error:
        return problem(about, f"{path} can't be read: {error.strerror}", remedy)
    try:
        found = library_version(load_library(path))
    except InstrumentError as error:
        made = f" (made for {system} on {processor or 'another processor'})" if system else ""
        return problem(about, f"{error}{made}", remedy)
    return ok(about, f"{path}, version {found}")


def instruments(setup: Setup) -> Iterator[Finding]:
    """Are instruments and chambers in contact? A daemon that answers is asked; nobody else talks to them."""
    if setup.config is None:
        return
    if setup.status is None:
        yield from _without_daemon(setup.config)
        return
    for instrument in setup.status.instruments:
        if instrument.reachable:
            yield ok(instrument.name, f"in contact{' (simulated)' if instrument.simulated else ''}")
        else:
            remedy = (
                "Start it with: sandtime simulate" if instrument.simulated else _reach(setup, instrument.name)
            )
            yield problem(instrument.name, "no contact", remedy)
    for chamber in setup.status.chambers:
        if chamber.problem or not chamber.reachable:
            remedy = "Is it switched on, its adapter's address right, and its panel unlocked?"
            yield problem(chamber.name, chamber.problem or "no contact", remedy)
        else:
            yield ok(chamber.name, "in contact")


def _reach(setup: Setup, name: str) -> str:
    tables = {} if setup.config is None else setup.config.instruments
    address = tables.get(name, {}).get("address", "")
    return f"Is it switched on and wired? Try: ping {address}. No other program (EC-Lab) may hold it."


def _without_daemon(config: ServiceConfig) -> Iterator[Finding]:
    """Only simulated instruments may be looked for: another connection might disturb a real one."""
    simulated = [name for name, table in config.instruments.items() if _is_simulated(table)]
    if simulated and not config.simulation_state.is_file():
        names = ", ".join(simulated)
        yield warning("instruments", f"{names}: simulated, and not there", "Start them: sandtime simulate")
    elif simulated:
        yield ok("instruments", f"{', '.join(simulated)}: simulated")
    real = [name for name, table in config.instruments.items() if not _is_simulated(table)]
    if real:
        yield ok("instruments", f"{', '.join(real)}: only a daemon looks at them, and none runs")


def _is_simulated(table: dict[str, Any]) -> bool:
    return str(table.get("library", "simulation")) == "simulation"


def broker(setup: Setup) -> Iterator[Finding]:
    """Does the MQTT broker take connections?"""
    if setup.config is None or not setup.config.mqtt.enabled:
        return
    host, port = setup.config.mqtt.address()
    if not host:
        yield from _embedded(setup, setup.config.data / BROKER_FILE)
        return
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        yield problem(
            "MQTT broker",
            f"{host}:{port} does not answer: {error.strerror or error}. Measuring goes on without it.",
            "Is the broker running, the name right, and the port open in the firewall?",
        )
    else:
        yield ok("MQTT broker", f"{host}:{port} takes connections")


def _embedded(setup: Setup, state_file: Path) -> Iterator[Finding]:
    if setup.status is None:
        yield ok("MQTT broker", "embedded: it starts with the daemon")
    elif state_file.is_file():
        yield ok("MQTT broker", f"embedded, on {LOCAL}; its port is in {state_file}")
    else:
        yield problem("MQTT broker", "the embedded broker does not run", "See the daemon's log for why.")


def calibrations(setup: Setup) -> Iterator[Finding]:
    """Was each channel of a real instrument looked at with a dummy cell, and not too long ago?"""
    from storage.reader import Reader

    if setup.config is None:
        return
    real = {name for name, table in setup.config.instruments.items() if not _is_simulated(table)}
    if not real:
        return
    try:
        kept = Reader(setup.config.data).catalogue.calibrations(None)
    except (StorageError, UnreachableError):
        kept = []
    newest = {(entry.instrument, entry.channel): entry for entry in kept}
    for station in setup.config.stations.values():
        if station.instrument in real:
            place = (station.instrument, station.channel)
            yield judge_calibration(*place, newest.get(place), setup.now_unix_s)


def judge_calibration(instrument: str, channel: int, kept: Calibration | None, now_unix_s: float) -> Finding:
    """Judge the newest look at a channel with a dummy cell."""
    about, name = "calibration", f"channel {channel} of {instrument}"
    remedy = (
        f"Measure a dummy cell, then: sandtime calibration add {instrument} {channel} "
        "--result resistance='1000.2 Ω' --valid-for '180 d'"
    )
    if kept is None:
        return warning(about, f"{name} was never looked at with a dummy cell", remedy)
    if kept.expired(now_unix_s):
        return warning(about, f"that of {name} has expired", remedy)
    if kept.expired(now_unix_s + SOON_S):
        return warning(about, f"that of {name} expires within {SOON_S / 86400:.0f} days", remedy)
    return ok(about, f"that of {name} holds")
