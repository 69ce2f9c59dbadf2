"""What every test of the scheduler shares: a bench, and a keeper that does not wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scripted_instrument import Bench, bench_in

from scheduler import keeper


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait little between polls and before a new connection; no test depends on how little."""
    monkeypatch.setattr(keeper, "POLL_MIN_S", 0.001)
    monkeypatch.setattr(keeper, "POLL_MAX_S", 0.001)
    monkeypatch.setattr(keeper, "FIRST_SAMPLE_POLL_S", 0.001)
    monkeypatch.setattr(keeper, "BACKOFF_FIRST_S", 0.005)
    monkeypatch.setattr(keeper, "BACKOFF_MAX_S", 0.02)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_in(tmp_path) as bench:
        yield bench
