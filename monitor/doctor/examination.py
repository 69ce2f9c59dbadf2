"""All checks, in the order in which their findings are told."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from monitor.doctor import computer, data_folder, laboratory
from monitor.doctor.finding import Check, Finding, Setup, problem
from monitor.doctor.service_manager import service_unit
from protocols.errors import SandtimeError
from scheduler.secret import hide

CHECKS: tuple[Check, ...] = (
    computer.python,
    computer.sqlite,
    computer.packages,
    computer.memory,
    computer.open_files,
    computer.clock,
    computer.language,
    laboratory.service_toml,
    laboratory.secrets,
    laboratory.libraries,
    data_folder.folder,
    data_folder.disk,
    data_folder.database,
    data_folder.newest_run,
    data_folder.daemon,
    laboratory.instruments,
    laboratory.broker,
    laboratory.calibrations,
    service_unit,
)


def examine(setup: Setup, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """Return what all checks find. One that fails itself hides none of the others."""
    found: list[Finding] = []
    for check in checks:
        try:
            found += map(_hidden, check(setup))
        except (SandtimeError, OSError, ValueError, LookupError, sqlite3.Error) as error:
            name = check.__name__.replace("_", " ")
            failed = problem(name, f"this could not be looked at: {error!r}", "Please report this.")
            found.append(_hidden(failed))
    return found


def _hidden(finding: Finding) -> Finding:
    return replace(finding, message=hide(finding.message), mend=hide(finding.mend))
