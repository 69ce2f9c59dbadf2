"""Moments as people write them."""

from __future__ import annotations

from datetime import datetime

import pytest

from monitor.moments import parse_moment
from protocols.errors import UsageError

NOW = datetime(2026, 11, 27, 12, 0, 30).astimezone()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-12-01 08:00", datetime(2026, 12, 1, 8)),
        ("2026-12-01", datetime(2026, 12, 1)),
        ("12:01", datetime(2026, 11, 27, 12, 1)),
        ("12:00", datetime(2026, 11, 28, 12, 0)),
        ("8:05", datetime(2026, 11, 28, 8, 5)),
        ("+2 h", datetime(2026, 11, 27, 14, 0, 30)),
        (" + 90 min ", datetime(2026, 11, 27, 13, 30, 30)),
    ],
)
def test_a_moment_that_lies_ahead(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW.timestamp()) == moment.timestamp()


def test_an_offset_is_heeded() -> None:
    assert parse_moment("2026-12-01T08:00+02:00", NOW.timestamp()) == parse_moment(
        "2026-12-01T06:00+00:00", NOW.timestamp()
    )


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "+2", "+2 V", "+-2 h", "2026-02-30", "2026-11-27 12:00"]
)
def test_anything_else_says_what_to_write(text: str) -> None:
    with pytest.raises(UsageError):
        parse_moment(text, NOW.timestamp())
