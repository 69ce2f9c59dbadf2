"""Moments as people write them: ``2026-12-01 08:00``, ``08:00`` (the next one), or ``+2 h``."""

from __future__ import annotations

from datetime import datetime, timedelta

from protocols.errors import QuantityError, UsageError
from protocols.units import parse_amount

HINT = "write '2026-12-01 08:00', '08:00' or '+2 h'"


def parse_moment(text: str, now_unix_s: float) -> float:
    """Return a moment that lies ahead as UTC in s; times without an offset are local. Raises UsageError."""
    words, now = text.strip(), datetime.fromtimestamp(now_unix_s).astimezone()
    moment = _later(words, now) or _clock_time(words, now) or _date(words)
    if moment is None:
        raise UsageError(f"{text!r} is no moment; {HINT}")
    if moment <= now:
        raise UsageError(f"{text!r} does not lie ahead; {HINT}")
    return moment.timestamp()


def _later(words: str, now: datetime) -> datetime | None:
    """Return the moment that lies so far ahead; None if it is no span. Raises UsageError."""
    if not words.startswith("+"):
        return None
    try:
        return now + timedelta(seconds=parse_amount(words[1:], "time").value)
    except (QuantityError, OverflowError) as error:
        raise UsageError(f"{words!r}: {error}; {HINT}") from error


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
