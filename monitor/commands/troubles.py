"""What is out of order, in the words of ``sandtime status``."""

from __future__ import annotations

from monitor.output import local_time
from scheduler.requests import ConnectionInfo, ProblemInfo


def lost_words(connection: ConnectionInfo) -> str:
    """Say since when there is no contact, why, and when it is tried again."""
    if not connection.problem:
        return "not reached yet"
    again = "now" if connection.next_try_in_s is None else f"in {connection.next_try_in_s:.0f} s"
    since = local_time(connection.since_unix_s)
    return f"NO CONTACT since {since}, tried again {again} ({connection.problem})"


def problem_line(problem: ProblemInfo) -> str:
    """Say which part of the daemon has died, and what that means."""
    times = f", {problem.deaths} times by now" if problem.deaths > 1 else ""
    died = f"'{problem.task}' died at {local_time(problem.since_unix_s)}{times}: {problem.problem}"
    if problem.works_again:
        return f"FAULT OF THE DAEMON: {died}. It was started again; please report it"
    again = "" if problem.next_try_in_s is None else f"; started again in {problem.next_try_in_s:.0f} s"
    return f"FAULT OF THE DAEMON: {died}. MEANWHILE: {problem.meanwhile}{again}"
