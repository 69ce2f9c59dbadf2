"""Whether a compiled program fits its channel as a whole; single steps are looked at one by one before."""

from __future__ import annotations

import math

from protocols import nodes
from protocols.capabilities import Capabilities
from protocols.limits import driven_currents
from protocols.nodes import Node
from protocols.problems import Problems
from protocols.protocol import Protocol
from protocols.tree import walk
from protocols.units import Amount, format_amount
from protocols.yamlfile import TreePath

MAX_VISITS = 10**12
"""Of one step, repeats and intervals multiplied: the number of a visit has to stay countable."""
SMALL_SIGNAL = 0.1
"""Largest amplitude after the end, as a part of the test current: the cell may be short-circuited."""


def check_small_signal(
    body: tuple[Node, ...], quiet: tuple[Node, ...], name: str, problems: Problems
) -> None:
    """Note spectra after the end whose amplitude is no small part of the test current.

    The cell may have shorted at any step, so the smallest current of the test counts.
    """
    smallest_A = min(driven_currents(body), default=None)
    for place, node in enumerate(quiet):
        if isinstance(node, nodes.Geis) and smallest_A and node.amplitude_A > SMALL_SIGNAL * smallest_A:
            most = format_amount(SMALL_SIGNAL * smallest_A, "current")
            message = f"Here the peak may be {most} at most: {SMALL_SIGNAL:g} × the smallest test current."
            path = (name, place) if name == "afterwards" else (name, "steps", place)
            problems.add((*path, "geis", "amplitude"), message, "The cell may be short-circuited.")


def check_sampling(protocol: Protocol, capabilities: Capabilities, problems: Problems) -> None:
    """Note samples that are wanted faster than the channel takes them."""
    wanted: list[tuple[TreePath, Amount]] = [(("watch",), protocol.content.watch)]
    dense = protocol.content.record.dense
    if dense is not None:
        wanted.append((("record", "dense", "every"), dense.every))
    least_s = capabilities.sample_interval_min_s
    for path, interval in wanted:
        if interval.value < least_s:
            least = format_amount(least_s, "time")
            problems.add(path, f"The channel ({capabilities.model}) takes a sample every {least} at most.")


def check_size(body: tuple[Node, ...], capabilities: Capabilities, problems: Problems) -> None:
    """Note a program that the channel has no room for."""
    steps_max, longest_s = capabilities.steps_max, capabilities.step_max_s
    leaves = [leaf for leaf, _ in walk(body)]
    if steps_max is not None and len(leaves) > steps_max:
        message = (
            f"The program has {len(leaves)} steps; the channel ({capabilities.model}) takes {steps_max}."
        )
        problems.add(("steps",), message, "Use 'repeat', or split the protocol.")
    for leaf, loops in walk(body):
        if math.prod(loop.total for loop in loops) > MAX_VISITS:
            message = f"{leaf.label}: it would run more than {MAX_VISITS:.0e} times."
            problems.add(("steps",), message, "Repeat less often, or write a longer interval.")
        if longest_s is not None and leaf.remaining_s > longest_s:
            most = format_amount(longest_s, "time")
            message = f"{leaf.label}: longer than the channel's longest step ({capabilities.model}: {most})."
            problems.add(("steps",), message, "Split it with 'repeat'.")
