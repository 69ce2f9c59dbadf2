"""Child processes of a command: started in a session of their own, ended with it, never left behind."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from monitor.client import Client
from monitor.output import say
from protocols.errors import SandtimeError, UnreachableError
from protocols.records import ENDED
from storage.reader import Reader

START_TIMEOUT_S = 30.0
END_TIMEOUT_S = 10.0
CHECK_S = 0.02
WITHOUT_CLIENT_S = 60.0
"""A child whose parent was killed ends after this time."""


def start(arguments: Sequence[str], log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start ``sandtime`` with ``arguments``; Ctrl-C in the terminal does not reach it."""
    command = [sys.executable, "-P", "-m", "monitor.entry", *arguments]
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log is not None else None
        return subprocess.Popen(  # noqa: S603 - our own program, arguments from our own code
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a child to end, and make it if it does not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_file(path: Path, process: subprocess.Popen[bytes], what: str) -> None:
    """Wait until a child has written its state file. Raises UnreachableError if it ends or takes too long."""
    give_up = time.monotonic() + START_TIMEOUT_S
    while not path.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            raise UnreachableError(f"{what} did not start; see its messages")
        time.sleep(CHECK_S)


def wait_until_ready(data: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a daemon answers and has looked at its instruments. Raises UnreachableError."""
    give_up = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < give_up:
        with contextlib.suppress(UnreachableError), Client.of_folder(data) as client:
            if client.status().ready:
                return
        time.sleep(CHECK_S)
    raise UnreachableError("the daemon did not get ready; see its messages")


@contextlib.contextmanager
def daemon_for(config: Path, data: Path) -> Iterator[Client]:
    """Yield a client of the daemon of a data folder, hosting one as a child if none answers.

    Raises UnreachableError if none comes up.
    """
    if _answers(data):
        with Client.of_folder(data) as client:
            yield client
        return
    process = start(["serve", "--config", str(config), "--exit-without-client", str(WITHOUT_CLIENT_S)])
    try:
        wait_until_ready(data, process)
        with Client.of_folder(data) as client:
            yield client
    finally:
        if _drives_a_cell(data):
            say(f"a run is still alive: its daemon goes on (process {process.pid}); see: sandtime status")
        else:
            end(process)


def _drives_a_cell(data: Path) -> bool:
    """Whether a run has started and not ended; also if its daemon just does not say so."""
    try:
        with Client.of_folder(data) as client:
            infos = client.status().runs
    except SandtimeError:
        infos = Reader(data).runs()
    return any(info.started_unix_s is not None and info.state not in ENDED for info in infos)


def _answers(data: Path) -> bool:
    try:
        with Client.of_folder(data) as client:
            client.status()
    except UnreachableError:
        return False
    return True
