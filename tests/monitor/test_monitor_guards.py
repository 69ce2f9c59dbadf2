"""Guards through the whole system: many cells on several boxes, none of them like the demonstration's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from labbench import Lab, cell, lab

from protocols.protocol import find_protocol
from protocols.records import ENDED, RunInfo

CELLS = 20
SPEED = 4000.0
LOWEST = 0.6
"""mA/cm²; each cell's short lies 0.1 mA/cm² above that of the one before."""
SHORTS = [round(LOWEST + 0.1 * number, 1) for number in range(CELLS)]

RAMP = find_protocol("ccd_constant_capacity").read_text(encoding="utf-8")
CYCLING = find_protocol("symmetric_cycling").read_text(encoding="utf-8")


def _levels(short: float) -> dict[str, str]:
    """Return a ramp whose third level is the one at which the cell shorts."""
    return {
        "start": f"{short - 0.2:.1f} mA/cm²",
        "step": "0.1 mA/cm²",
        "highest": f"{short + 0.2:.1f} mA/cm²",
        "capacity": "0.05 mAh/cm²",
    }


class Campaign:
    """The runs of all cells, by what was wired to their stations."""

    def __init__(self, bench: Lab) -> None:
        self.bench = bench
        self.shorting = [self._ramp(number, short) for number, short in enumerate(SHORTS)]
        self.healthy = [self._ramp(CELLS + number, short) for number, short in enumerate(SHORTS)]
        thin = cell("20|20", working="20 µm", counter="20 µm")
        self.thin = bench.submit(CYCLING, f"s{2 * CELLS + 1}", thin, {"current": "2 mA/cm²"})

    def _ramp(self, index: int, short: float) -> int:
        return self.bench.submit(RAMP, f"s{index + 1}", cell(f"cell {index}"), _levels(short))

    def until_all_ended(self) -> None:
        """Wait until every run has ended and its results are there."""
        reader = self.bench.reader()
        runs = [*self.shorting, *self.healthy, self.thin]
        ended = {info.run for info in reader.runs() if info.state in ENDED}
        self.bench.until(
            lambda: all(info.state in ENDED for info in reader.runs()), f"all ends; so far {ended}", 100.0
        )
        self.bench.until(lambda: all(reader.results(run) for run in runs), "all results")

    def info(self, run: int) -> RunInfo:
        """Return what is stored of a run."""
        return self.bench.reader().run(run)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """Return all runs at their ends."""
    seeds = range(100, 100 + CELLS)
    channels = [
        f"seed = {seed}, short_at_mA_per_cm2 = {short}, short_after_mAh_per_cm2 = 0.02"
        for seed, short in zip(seeds, SHORTS, strict=True)
    ]
    channels += [f"seed = {seed}" for seed in seeds]
    channels.append('preset = "symmetric_20_20", seed = 7')
    folder: Path = tmp_path_factory.mktemp("campaign")
    with lab(folder, channels, SPEED) as bench:
        made = Campaign(bench)
        made.until_all_ended()
        yield made


@pytest.mark.timeout(200)
def test_every_cell_fails_where_its_model_shorts(campaign: Campaign) -> None:
    found = {}
    for short, run in zip(SHORTS, campaign.shorting, strict=True):
        info = campaign.info(run)
        results = campaign.bench.reader().results(run) or {}
        found[short] = (
            info.state,
            info.verdict.kind if info.verdict else None,
            info.open_circuit_confirmed,
            results.get("failed_at_mA_per_cm2"),
            results.get("ccd_mA_per_cm2"),
        )
    assert 1.7 in found
    assert found == {
        short: ("finished", "short_circuit", True, pytest.approx(short), pytest.approx(short - 0.1))
        for short in SHORTS
    }


def test_a_healthy_cell_of_each_seed_finishes_without_a_verdict(campaign: Campaign) -> None:
    infos = [campaign.info(run) for run in campaign.healthy]
    assert {(info.state, info.verdict) for info in infos} == {("finished", None)}
    for short, run in zip(SHORTS, campaign.healthy, strict=True):
        results = campaign.bench.reader().results(run) or {}
        assert "failed_at_mA_per_cm2" not in results
        assert results["ccd_mA_per_cm2"] == pytest.approx(short + 0.2)


def test_two_thin_electrodes_that_run_dry_are_polarization(campaign: Campaign) -> None:
    info = campaign.info(campaign.thin)
    assert info.verdict is not None
    assert (info.state, info.verdict.kind, info.verdict.side) == ("protected", "polarization", None)
    assert info.open_circuit_confirmed
    assert "li_depletion_side" not in (campaign.bench.reader().results(campaign.thin) or {})


def test_nothing_was_lost_at_full_speed(campaign: Campaign) -> None:
    for run in (*campaign.shorting, *campaign.healthy, campaign.thin):
        assert campaign.bench.reader().gaps(run) == []
