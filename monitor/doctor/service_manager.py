"""Does the service manager keep the daemon alive?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from monitor.doctor.computer import answer
from monitor.doctor.finding import Finding, Setup, ok, problem, warning

UNIT = "sandtime.service"
RUNNING = Path("/run/systemd/system")
"""There if systemd is what runs this computer."""


def service_unit(setup: Setup) -> Iterator[Finding]:
    """Is there a unit, does it start with the computer, and does it run?"""
    systemctl = shutil.which("systemctl")
    if systemctl is None or not RUNNING.is_dir():
        hint = "nothing starts the daemon with the computer, or again when it ends (docs/operation.md)"
        yield ok("service", f"no systemd here: {hint}")
        return
    names = ("LoadState", "ActiveState", "UnitFileState", "Result")
    wanted = [f"--property={name}" for name in names]
    said = dict(line.partition("=")[::2] for line in answer([systemctl, "show", UNIT, *wanted]).splitlines())
    yield judge_unit(said, is_up=setup.status is not None)


def judge_unit(said: dict[str, str], *, is_up: bool) -> Finding:
    """Judge what ``systemctl show`` says of the unit; ``is_up``: a daemon answers."""
    state = said.get("ActiveState", "")
    if said.get("LoadState") != "loaded":
        return warning(
            "service",
            "the daemon is no service: nothing starts it with the computer, or again when it ends",
            "sandtime service-unit | sudo tee /etc/systemd/system/sandtime.service",
        )
    if state == "failed":
        return problem(
            "service",
            f"the service has failed ({said.get('Result', '')})",
            f"journalctl -u {UNIT} -n 50   then: sudo systemctl restart sandtime",
        )
    if state not in ("active", "reloading"):
        also = "; the daemon that answers was started by hand" if is_up else ""
        return warning("service", f"the service is {state}{also}", "sudo systemctl start sandtime")
    if said.get("UnitFileState") not in ("enabled", "static", "generated"):
        return warning(
            "service", "it runs, but does not start with the computer", "sudo systemctl enable sandtime"
        )
    return ok("service", "runs, and starts with the computer")
