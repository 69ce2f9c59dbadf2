"""How a run looks on the terminal, and how a person follows it to its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from monitor.output import say
from protocols.records import ENDED, RunInfo
from scheduler.requests import RunReply, StopOutcome

if TYPE_CHECKING:
    from monitor.client import Client

WATCH_S = 1.0
PLAIN_S = 30.0
"""Where lines can't be written over: least time between two lines that say the same of state and step."""
PROTECTED_EXIT, FAILED_EXIT = 6, 5


def exit_code(info: RunInfo) -> int:
    """Return the command's exit code for the end of a run."""
    return {"protected": PROTECTED_EXIT, "failed": FAILED_EXIT}.get(info.state, 0)


def describe(info: RunInfo, waits_for: str = "", longest_s: float | None = None) -> str:
    """Say in one line how a run stands; ``longest_s`` is the plan's duration."""
    total = "" if longest_s is None or info.state in ENDED else f" of at most {longest_s / 3600:.2f} h"
    parts = [f"run {info.run} {info.name}: {info.state.upper()}", f"{info.t_s / 3600:.2f} h{total}"]
    if info.voltage_V is not None and info.current_A is not None and info.state not in ENDED:
        parts += [f"E {info.voltage_V * 1e3:.2f} mV, I {info.current_A * 1e3:.3f} mA", info.step]
    if waits_for or info.waits_for:
        parts.append(f"waits for {waits_for or info.waits_for}")
    if info.reason:
        parts.append(info.reason)
    if info.edits and info.state not in ENDED:
        parts.append(f"edits that do not hold yet: {len(info.edits)}")
    if info.archived is not None:
        parts.append(f"archived in {info.archived.file}")
    return " · ".join(part for part in parts if part)


def describe_stop(outcome: StopOutcome) -> str:
    """Say in one line what a stop came to."""
    what = outcome.where or f"run {outcome.run}"
    if not outcome.started:
        return f"{what}: {outcome.state}, it had not started"
    circuit = "open, confirmed" if outcome.open_circuit_confirmed else "NOT confirmed open"
    return f"{what}: {outcome.state}, circuit {circuit} after {outcome.seconds:.2f} s"


def watch(client: Client, number: int, longest_s: float | None = None) -> RunInfo:
    """Follow a run to its end on stderr. Ctrl-C asks whether to open the circuit.

    Raises InstrumentError if it can't be confirmed open.
    """
    show = progress_line()
    while True:
        try:
            reply = client.run(number)
            show(reply, longest_s)
            if reply.run.state in ENDED:
                return reply.run
            time.sleep(WATCH_S)
        except KeyboardInterrupt:
            _ask_to_stop(client, number)


def progress_line() -> Callable[[RunReply, float | None], None]:
    """Return a function that shows how a run stands: one line on a terminal, few lines in a log."""
    shown: tuple[str, str, str] | None = None
    last_s = 0.0

    def show(reply: RunReply, longest_s: float | None) -> None:
        nonlocal shown, last_s
        text = describe(reply.run, reply.waits_for, longest_s)
        changed = shown != (shown := (reply.run.state, reply.run.step, reply.waits_for))
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}" + ("\n" if reply.run.state in ENDED else ""))
            sys.stderr.flush()
        elif changed or time.monotonic() - last_s >= PLAIN_S:
            last_s = time.monotonic()
            say(text)

    return show


def _ask_to_stop(client: Client, number: int) -> None:
    """Open the circuit unless the person says no; where nobody can be asked, Ctrl-C means yes."""
    say()
    if sys.stdin.isatty() and not _confirmed(f"Open the circuit of run {number}?"):
        return
    say(describe_stop(client.stop(number, "stopped by a person (Ctrl-C)")))


def _confirmed(question: str) -> bool:
    """Ask; Ctrl-C instead of an answer is meant as yes."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        return True
