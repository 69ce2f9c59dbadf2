"""Commands for who operates the daemon: ``reload``, ``service-unit``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.commands.live import client_of
from monitor.output import ConfigOption, JsonOption, config_path, configuration, emit, say

if TYPE_CHECKING:
    from monitor.doctor.finding import Finding


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(doctor)
    app.command()(reload)
    app.command("service-unit")(service_unit)


def doctor(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Say what is wrong with this set-up and how to mend it; what runs is not disturbed."""
    from monitor.doctor.examination import examine
    from monitor.doctor.finding import Setup

    findings = examine(Setup.of(config_path(config)))
    bad = any(finding.level == "problem" for finding in findings)
    document = {"ok": not bad, "findings": [asdict(finding) for finding in findings]}
    emit(document, "\n".join(_lines(findings)), json)
    if bad:
        raise typer.Exit(1)


def reload(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Let the daemon read service.toml again; what runs is not touched. All is taken, or nothing."""
    with client_of(config) as client:
        reply = client.reload()
    emit(reply.model_dump(mode="json"), "\n".join(reply.changes) or "nothing is different", json)


def service_unit(
    user: Annotated[str, typer.Option(help="Who runs the daemon; default: you.")] = "",
    config: ConfigOption = None,
) -> None:
    """Print a unit for systemd, with the paths of this computer."""
    from monitor.service_unit import Place, service_unit

    service = configuration(config)
    # Not resolved: the interpreter of an environment is often a link to one that lacks its packages.
    place = Place(Path(sys.executable), config_path(config).resolve(), service.data, user)
    emit(None, service_unit(place).rstrip("\n"), as_json=False)
    if not place.data.exists():
        say(f"# systemd wants the data folder to be there first: mkdir -p {place.data}")


def _lines(findings: list[Finding]) -> Iterator[str]:
    """Yield findings for people: what, how grave, and below it what to do."""
    wide = max(len(finding.about) for finding in findings)
    for finding in findings:
        yield f"{finding.level:<8} {finding.about:<{wide}}  {finding.message}"
        if finding.mend:
            yield f"{'':<8} {'':<{wide}}  → {finding.mend}"
    counts = Counter(finding.level for finding in findings)
    yield ", ".join(_counted(counts[level], level) for level in ("problem", "warning"))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
