"""The command line: for people; with ``--json`` one JSON document on stdout and nothing else there."""

from __future__ import annotations

import sys

import typer

from monitor import logs
from monitor.commands import (
    analyze,
    archives,
    cells,
    compaction,
    data,
    demo,
    editing,
    exchange,
    files,
    laboratory,
    live,
    operation,
    published,
    query,
    queueing,
    replay,
    stopping,
    why,
)
from protocols.errors import SandtimeError

app = typer.Typer(
    name="sandtime",
    help="Run electrochemical tests of Li-metal cells, and open the circuit when a cell shorts or runs dry.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (
    demo,
    published,
    query,
    files,
    cells,
    exchange,
    live,
    queueing,
    editing,
    operation,
    stopping,
    replay,
    data,
    compaction,
    archives,
    laboratory,
    analyze,
    why,
):
    module.register(app)


def run() -> None:
    """Run the command line; a user's mistake ends in a message and an exit code, never in a traceback."""
    logs.start()
    try:
        app()
    except SandtimeError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"{where}{error.strerror or error}\n")
        sys.exit(SandtimeError.exit_code)
