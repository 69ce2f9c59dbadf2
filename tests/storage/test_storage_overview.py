"""A whole run as a few points: nothing that is large or small is lost, on whatever level it is stored."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from sealed_runs import HOUR_S, add, cycling, info, opened, stored, with_run, write

from protocols.measurements import Block
from storage import rollup, rollup_files
from storage.columns import Columns, of_block
from storage.rollup import MINUTE_S


def bounds(columns: Columns) -> tuple[float, ...]:
    """Return what must not change, however a run is cut: number, extremes and means."""
    n = columns["n"]
    return (
        float(n.sum()),
        *(float(columns[f"{name}_min_{unit}"].min()) for name, unit in (("voltage", "V"), ("current", "A"))),
        *(float(columns[f"{name}_max_{unit}"].max()) for name, unit in (("voltage", "V"), ("current", "A"))),
        *(float((columns[f"{name}_mean_{unit}"] * n).sum()) for name, unit in (("voltage", "V"),)),
    )


def of_block_bounds(block: Block) -> tuple[float, ...]:
    voltage, current = block["voltage_V"], block["current_A"]
    return (len(block), voltage.min(), current.min(), voltage.max(), current.max(), voltage.sum())


def with_a_dip(rows: int) -> Block:
    block = cycling(0, rows)
    block["voltage_V"][rows // 3] = -7.0
    return block


async def test_an_overview_is_the_same_on_every_level(tmp_path: Path) -> None:
    store = await with_run(tmp_path)
    block = with_a_dip(30_000)
    await add(store, block[:25_000])
    await store.seal(1, write)
    await add(store, block[25_000:])
    expected = pytest.approx(of_block_bounds(block), rel=1e-5)
    for points in (20, 60, 500, 2000, 40_000):
        found = store.reader.overview(1, points)
        assert len(found["t_s"]) <= points
        assert np.all(np.diff(found["t_s"]) > 0)
        assert bounds(found) == expected, points
        lowest = found["t_s"][found["voltage_min_V"].argmin()]
        assert abs(lowest - 100_000.0) <= max(300_000.0 / points, HOUR_S)
    exact = store.reader.overview(1, 40_000)
    assert exact["t_s"].tobytes() == block["t_s"].tobytes()
    assert exact["voltage_mean_V"].tobytes() == block["voltage_V"].tobytes()
    await store.close()


async def test_an_overview_of_a_stretch(tmp_path: Path) -> None:
    store = await with_run(tmp_path, "finished")
    await add(store, with_a_dip(30_000))
    await store.seal(1, write)
    few = store.reader.overview(1, 500, 10_000.0, 12_000.0)
    assert few["t_s"].tolist() == [10_000.0 + 10 * k for k in range(201)]
    for points in (30, 500):
        some = store.reader.overview(1, points, 50_000.0, 200_000.0)
        assert len(some["t_s"]) <= points
        assert 50_000.0 - HOUR_S <= some["t_s"][0] <= 50_000.0 + 150_000.0 / points
        assert 200_000.0 - 150_000.0 / points <= some["t_s"][-1] <= 200_000.0 + HOUR_S
        assert some["voltage_min_V"].min() == -7.0
    nothing = store.reader.overview(1, 500, 1e9)
    assert [len(values) for values in nothing.values()] == [0] * len(nothing)
    await store.close()


async def test_an_overview_of_nothing(tmp_path: Path) -> None:
    store = await with_run(tmp_path)
    assert len(store.reader.overview(1)["t_s"]) == 0
    await store.close()


async def test_roll_ups_are_made_before_thinning(tmp_path: Path) -> None:
    store = await with_run(tmp_path, "finished", record_s=600.0, record_dE_V=None)
    block = with_a_dip(10_000)
    await add(store, block)
    part = await store.seal(1, write)
    assert (part.n, store.reader.count(1)) == (10_000, 10_000)
    assert part.rows < 1000
    kept = stored(store.reader)
    assert len(kept["t_s"]) == part.rows
    assert kept["voltage_V"].min() == -7.0
    for points in (20, 200):
        assert bounds(store.reader.overview(1, points)) == pytest.approx(of_block_bounds(block), rel=1e-5)
    assert store.reader.verify(1) == []
    await store.close()


async def test_a_part_whose_roll_up_is_gone_or_damaged_is_read_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = await with_run(tmp_path, "finished")
    block = with_a_dip(10_000)
    await add(store, block)
    part = await store.seal(1, write)
    path = rollup_files.path_of(tmp_path / part.file, MINUTE_S)
    expected = pytest.approx(of_block_bounds(block), rel=1e-5)
    path.write_bytes(b"PAR1")
    assert bounds(store.reader.overview(1, 200)) == expected
    assert "rollup-60s-000.parquet" in caplog.text
    path.unlink()
    assert bounds(store.reader.overview(1, 200)) == expected
    await store.close()


async def test_the_files_say_what_they_hold(tmp_path: Path) -> None:
    store = await with_run(tmp_path, "finished")
    await add(store, cycling(0, 1000))
    part = await store.seal(1, write)
    table = parquet.read_table(tmp_path / part.file.replace("samples", "rollup-3600s").replace(".bdf", ""))
    assert table["samples"].to_pylist() == [360, 360, 280]
    assert table["test_time_second"].to_pylist() == [1800.0, 5400.0, 9000.0]
    assert table["current_mean_ampere"].to_pylist() == pytest.approx([-1e-4, 1e-4, -1e-4])
    assert table.schema.field("voltage_min_volt").metadata[b"unit"] == b"V"
    minutes = parquet.read_table(tmp_path / "runs/1-c/rollup-60s-000.parquet")
    assert sum(minutes["samples"].to_pylist()) == 1000
    await store.close()


numbers = st.lists(st.sampled_from([0.0, 0.5, 30.0, 59.0, 61.0, 4000.0]), min_size=1, max_size=80)


@given(numbers, st.lists(st.integers(0, 80), max_size=4))
def test_a_roll_up_does_not_depend_on_how_the_samples_were_cut(steps: list[float], cuts: list[int]) -> None:
    block = cycling(0, len(steps))
    block["t_s"] = np.cumsum(steps)
    pieces = np.split(block, sorted(min(cut, len(block)) for cut in cuts))
    whole = rollup.of_samples(of_block(block, rollup.NEEDED), MINUTE_S)
    joined = rollup.join([rollup.of_samples(of_block(p, rollup.NEEDED), MINUTE_S) for p in pieces])
    hours = rollup.coarser(whole, 60)
    direct = rollup.of_samples(of_block(block, rollup.NEEDED), HOUR_S)
    for name in rollup.NAMES:
        assert joined[name] == pytest.approx(whole[name])
        assert hours[name] == pytest.approx(direct[name])
    assert rollup.unpack(rollup.pack(whole))["n"].tolist() == whole["n"].tolist()


@settings(max_examples=5)
@given(st.lists(st.sampled_from([100, 700, 4000, "seal"]), min_size=1, max_size=6), st.integers(1, 300))
async def test_an_overview_counts_every_sample_once(todo: list[int | str], points: int) -> None:
    count = 0
    with tempfile.TemporaryDirectory() as name:
        store = await with_run(Path(name))
        for action in todo:
            if isinstance(action, int):
                await add(store, cycling(count, action))
                count += action
            elif count > 4000:
                await store.seal(1, write)
        store.save_run(info("finished"))
        await store.close()
        store = await opened(Path(name))
        found = store.reader.overview(1, points)
        assert int(found["n"].sum()) == count
        assert len(found["t_s"]) <= points
        await store.close()
