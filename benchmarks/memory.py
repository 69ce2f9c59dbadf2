"""What the processes hold: USS, the memory that is theirs alone."""

from __future__ import annotations

import psutil

from benchmarks.child import uss_MB
from benchmarks.figures import Figure
from benchmarks.instruments import PROTOCOL
from benchmarks.lab import Lab, lab, submission, wait
from protocols.records import ENDED

TITLE = "Memory of the real daemon (USS)"
PEER = "tomato 3.4 GB for 32 channels"


def figures(channels: int = 16) -> list[Figure]:
    """Measure daemon, broker, and the worker once it has sealed a run."""
    with lab(boxes=2, channels=channels, mqtt=True) as both:
        both.start_daemon()
        idle_MB = uss_MB(_daemon(both))
        _one_run(both)
        after_MB = uss_MB(_daemon(both))
        found = {_kind(child): uss_MB(child) for child in _daemon(both).children()}
    return [
        Figure(f"daemon, idle, {2 * channels} channels", idle_MB, "MB", 150.0, PEER),
        Figure("daemon after a run", after_MB, "MB", 150.0),
        Figure("worker after sealing a run", found.get("worker", 0.0), "MB", 150.0),
        Figure("broker", found.get("broker", 0.0), "MB", 50.0),
    ]


def _one_run(both: Lab) -> None:
    """Let one short run begin and end, and wait until its data are sealed."""
    with both.client() as client:
        run = client.submit(submission(PROTOCOL.format(watch="1 s"), both.stations[0])).run.run
        wait(lambda: client.run(run).run.samples > 0, "a sample")
        client.stop(run)
        wait(lambda: client.run(run).run.state in ENDED, "the end of the run")
        wait(lambda: both.reader().is_sealed(run), "the sealed file")


def _daemon(both: Lab) -> psutil.Process:
    if both.daemon is None:
        raise RuntimeError("the daemon was not started")
    return psutil.Process(both.daemon.pid)


def _kind(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    if "monitor.broker" in command:
        return "broker"
    return "worker" if "spawn_main" in command else "other"
