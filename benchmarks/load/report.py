"""The figures of a load beside those that are to be reached, and beside tomato's."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.child import in_child
from benchmarks.figures import Figure, machine, p99, table
from benchmarks.load.campaign import Found, Load, measure

TITLE = "The real daemon under load, with faults"
REACH_US = {1.0: 60.0, 0.1: 25.0}
"""CPU per sample by the interval of the samples, without the simulated library."""
SMALL = (Load(1.0, boxes=3, seconds=20.0, processes=1, together=4),)
FULL = (Load(1.0), Load(0.1))

PEERS = {
    "ready": "tomato 7.9–8.8 s, 1 pipeline",
    "first": "tomato 0.6–1.3 s, idle daemon",
    "together": "tomato 15 s",
    "stop": "tomato's cancel leaves the cell driven",
    "cpu": "tomato 7400–10 000 µs at 1 Hz, 32 channels",
    "memory": "tomato 2324 MiB USS, 32 channels",
    "wrong": "tomato: 23–24 of 32 that end together are in error",
    "lost": "tomato: up to 2 of 40 points a job, 32 that end together",
}

NOTE = """\
`make bench-load` measures this and writes this page: the real daemon, with the real driver, on boxes of
eight channels in processes of their own, which speak the real wire in front of cells that are resistors. A
run on each channel, half-cycles of ten minutes; a subscriber of the samples of 16 boxes, another one of all
that is too slow for them; two programs that read the API. Halfway, cells go wrong that only the host's
guards can stop; then links are cut, a box hangs, the broker is killed, and a box is killed and comes back
without memory. In the end everything is stopped at once, and what is stored is compared, run by run, with
what the boxes say that they gave.

* **Waiting times** are of the time before anything was made to go wrong, seen from other processes:
  *durable* means that another process has found the sample in the database, *verdict* that the box was told
  to stop.
* **CPU a sample** is that of the daemon's process, driver and HTTP server included; what the simulated
  library takes of it, which stands in the vendor's place, is measured apart and not counted. The boxes' own
  is no part of it.
* **tomato's figures** are quoted: version 2.2 with its example counter on such a machine (2 cores),
  measured earlier and not in this run.
"""


def figures(loads: Sequence[Load] = SMALL) -> list[Figure]:
    """Measure each load in a process of its own."""
    return [figure for load in loads for figure in of(load, in_child(measure, load))]


def of(load: Load, found: Found) -> list[Figure]:
    """Return the figures of one load."""
    samples = max(found.samples, 1)
    cpu_us = found.cpu_s * 1e6 / samples - found.library_us
    rate, channels = load.rate, found.channels
    memory_MB = 150.0 + 0.1 * channels if load.watch_s >= 1.0 else None
    many = load.together
    return [
        Figure(f"channels, {rate}", channels, ""),
        Figure(f"start → ready, {load.boxes} boxes, {rate}", found.ready_s, "s", 1.5, PEERS["ready"]),
        Figure(
            f"submit → first sample, all others running, {rate}",
            _middle(found.first_s),
            "s",
            0.3,
            PEERS["first"],
        ),
        Figure(
            f"{many} submitted together → all have one, {rate}", found.together_s, "s", 1.0, PEERS["together"]
        ),
        Figure(f"stop → confirmed, median, {rate}", _middle(found.stops_s), "s", 1.0, PEERS["stop"]),
        Figure(f"stop → confirmed, slowest, {rate}", max(found.stops_s, default=0.0), "s", 1.0),
        Figure(f"stop of all → confirmed, {rate}", found.stop_all_s, "s"),
        Figure(f"stops not confirmed, {rate}", found.not_confirmed, "", 0.0),
        Figure(
            f"CPU a sample, {rate}", cpu_us - found.library_us, "µs", REACH_US.get(load.watch_s), PEERS["cpu"]
        ),
        Figure(f"simulated library's CPU a sample, {rate}", found.library_us, "µs"),
        Figure(f"boxes' CPU a sample, {rate}", found.boxes_cpu_s * 1e6 / samples, "µs"),
        Figure(f"broker's CPU a sample, {rate}", found.broker_us, "µs"),
        Figure(f"samples a second, {rate}", found.samples / load.seconds, "1/s"),
        Figure(f"daemon's memory (USS), {rate}", found.daemon_MB, "MB", memory_MB, PEERS["memory"]),
        Figure(f"broker's memory (USS), {rate}", found.broker_MB, "MB", 50.0),
        Figure(f"sample → durable, p99, {rate}", _late(found.durable_s), "s", 0.75),
        Figure(f"sample → MQTT subscriber, p99, {rate}", _late(found.heard_s), "s", 0.25),
        Figure(f"sample → verdict acted on, p99, {rate}", _late(found.reactions_s), "s", load.watch_s + 0.05),
        Figure(f"lateness of a poll, p99, {rate}", _late(found.lateness_s) * 1e3, "ms", 20.0),
        Figure(f"reply of the API, p99, {rate}", _late(found.replies_s), "s"),
        Figure(f"samples given by the boxes, {rate}", found.expected, ""),
        Figure(f"of these not stored, a gap row says so, {rate}", found.in_gaps, ""),
        Figure(f"of these lost without a word, {rate}", found.unexplained, "", 0.0, PEERS["lost"]),
        Figure(f"runs in a wrong state, or faulty, {rate}", len(found.wrong), "", 0.0, PEERS["wrong"]),
    ]


def _middle(values: Sequence[float]) -> float:
    return median(values) if values else 0.0


def _late(values: Sequence[float]) -> float:
    return p99(values) if values else 0.0


def words(load: Load, found: Found) -> str:
    """Say what became of the runs, and what went wrong on purpose."""
    states = ", ".join(f"{count} {state}" for state, count in sorted(found.states.items()))
    faults = ", ".join(f"{what}: {count}" for what, count in found.faults.items())
    lines = [f"{load.rate}, {load.seconds:g} s: {states}. {faults}."]
    return "\n".join([*lines, *(f"WRONG: {one}" for one in found.wrong[:20])])


def page(results: Sequence[tuple[Load, Found]], facts: str) -> str:
    """Return the page for the documentation."""
    parts = ["# Load\n", NOTE, f"Machine: {facts}\n"]
    for load, found in results:
        parts += [f"## {found.channels} channels at {load.rate}\n", table(of(load, found)), ""]
        parts += [words(load, found), ""]
    return "\n".join(parts)


def run(loads: Sequence[Load]) -> tuple[list[tuple[Load, Found]], str]:
    """Measure loads one after the other; return what was found, and on what machine."""
    facts = machine()
    return [(load, in_child(measure, load)) for load in loads], facts
