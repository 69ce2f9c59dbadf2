"""How long a person waits: for the daemon, for a first sample, for an open circuit, after a crash.

Measured from outside, through the HTTP API, on simulated VSP-300 that are processes of their own.
"""

from __future__ import annotations

import time
from statistics import median

from benchmarks.figures import Figure
from benchmarks.instruments import PROTOCOL
from benchmarks.lab import Lab, lab, submission, wait
from monitor.client import Client

TITLE = "Starting, stopping, crashing: real processes, simulated VSP-300"
CYCLING = PROTOCOL.format(watch="1 s")


def figures(channels: int = 16, repeats: int = 3) -> list[Figure]:
    """Measure with two boxes of ``channels`` channels each."""
    found = _one_by_one(channels, repeats)
    with lab(boxes=2, channels=channels) as both:
        both.start_daemon()
        many = len(both.stations)
        seconds = _submit(both, both.stations)
        count = _stored(both, list(range(1, many + 1)))
        both.kill_daemon()
        # Counted before the next daemon fetches more, which would hide a loss.
        lost = count - _stored(both, list(range(1, many + 1)))
        again_s = both.start_daemon()
        with both.client() as client:
            began_s = time.monotonic()
            confirmed = all(outcome.open_circuit_confirmed for outcome in client.stop_all())
            stop_all_s = time.monotonic() - began_s
    return [
        *found,
        Figure(f"{many} submitted together → all have a first sample", seconds, "s", 1.0, "tomato 15 s"),
        Figure(f"kill -9 with {many} runs → ready again", again_s, "s", 2.0),
        Figure("acknowledged samples lost by that kill", max(lost, 0), "samples", 0.0),
        Figure(f"stop of all {many} → confirmed", stop_all_s if confirmed else float("inf"), "s"),
    ]


def _one_by_one(channels: int, repeats: int) -> list[Figure]:
    starts, firsts, stops = [], [], []
    with lab(boxes=2, channels=channels, mqtt=True) as small:
        for repeat in range(repeats):
            starts.append(small.start_daemon())
            firsts.append(_submit(small, small.stations[repeat : repeat + 1]))
            with small.client() as client:
                stops.append(_stop(client))
            small.kill_daemon()
    peers = ("tomato 8 s", "tomato 1–2.3 s", "tomato's cancel leaves the cell driven")
    return [
        Figure("start → ready, 2 boxes, broker included", median(starts), "s", 1.5, peers[0]),
        Figure("submit → first sample", median(firsts), "s", 0.3, peers[1]),
        Figure("stop → confirmed open circuit", median(stops), "s", 1.0, peers[2]),
    ]


def _submit(small: Lab, stations: list[str]) -> float:
    """Submit a run to each station; return the seconds until the last of them shows a sample."""
    with small.client() as client:
        began_s = time.monotonic()
        runs = {client.submit(submission(CYCLING, station)).run.run for station in stations}
        wait(lambda: runs <= _sampled(client), "a first sample of each run")
    return time.monotonic() - began_s


def _sampled(client: Client) -> set[int]:
    return {info.run for info in client.status().runs if info.samples}


def _stop(client: Client) -> float:
    """Stop the newest run; return the seconds until its circuit is known to be open."""
    newest = client.status().runs[-1].run
    began_s = time.monotonic()
    outcome = client.stop(newest)
    return time.monotonic() - began_s if outcome.open_circuit_confirmed else float("inf")


def _stored(both: Lab, runs: list[int]) -> int:
    reader = both.reader()
    return sum(reader.count(run) for run in runs)
