"""Moments as people write them: ``2026-12-01 08:00``, ``08:00`` (the next one), or ``+2 h``."""

from __future__ import annotations

from datetime import datetime, timedelta

from protocols.errors import QuantityError, UsageError
from protocols.units import parse_amount

HINT = "write '2026-12-01 08:00', '08:00' or '+2 h'"


def parse_moment(text: str, now_unix_s: float) -> float:
    """Return a moment that lies ahead as UTC in s; times without an offset are local. Raises UsageError."""
    words = text.strip()
    if words.startswith("+"):
        return now_unix_s + _span_s(words)
    now = datetime.fromtimestamp(now_unix_s).astimezone()
    moment = _clock_time(words, now) or _date(words)
    if moment is None:
        raise UsageError(f"{text!r} is no moment; {HINT}")
    if moment.timestamp() <= now_unix_s:
        raise UsageError(f"{text!r} has passed; {HINT}")
    return moment.timestamp()


def _span_s(words: str) -> float:
    try:
        return parse_amount(words[1:], "time").value
    except QuantityError as error:
        raise UsageError(f"{words!r}: {error} {error.hint}") from error


def _clock_time(words: str, now: datetime) -> datetime | None:
    """Return the next time at which clocks show this, None if it is no time of a day."""
    try:
        time = datetime.strptime(words, "%H:%M").time()
    except ValueError:
        return None
    days = 0 if (time.hour, time.minute) > (now.hour, now.minute) else 1
    # Without an offset, then local: where clocks change over night, it is that of the day itself.
    return datetime.combine(now.date() + timedelta(days=days), time).astimezone()


def _date(words: str) -> datetime | None:
    try:
        return datetime.fromisoformat(words).astimezone()
    except ValueError:
        return None
