"""How an alarm looks on the terminal."""

from __future__ import annotations

from monitor.output import local_time
from scheduler.requests import AlarmInfo


def alarm_line(alarm: AlarmInfo) -> str:
    """Say in one line what is wrong since when, and what ends the alarm."""
    since = local_time(alarm.since_unix_s)
    if alarm.kind == "stop_all":
        return f"NO RUN STARTS since {since}: {alarm.message}; to let runs start again: sandtime resume-queue"
    over = "" if alarm.over_unix_s is None else f"; in order again since {local_time(alarm.over_unix_s)}"
    return f"ALARM {alarm.id} since {since}: {alarm.message}{over}; seen? sandtime ack --alarm {alarm.id}"
