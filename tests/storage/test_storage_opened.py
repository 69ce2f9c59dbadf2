"""A run opens in one call as a data frame of pandas or Polars, or as an Arrow table."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from cycled_run import HOURS, SHORT, add_cycled_run, cycling, sealed, spectrum
from pyarrow import parquet

import storage
from protocols.errors import NotFoundError, StorageError
from storage import arrow
from storage.numbering import Numbering
from storage.reader import Reader
from storage.store import Store

SEALED, LIVE = 1, 2
HALVES = (slice(500), slice(500, None))
"""Cut within a half-cycle."""


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    """A data folder whose daemon still writes: run 1 is sealed, run 2 goes on."""
    store = Store(tmp_path / "data")
    await store.open()
    await add_cycled_run(store, "first")
    await add_cycled_run(store, "second", "running")
    await store.seal(SEALED, sealed)
    yield store.folder
    await store.close()


@pytest.mark.parametrize("run", [SEALED, LIVE])
def test_pandas_polars_and_arrow_hold_every_sample(folder: Path, run: int) -> None:
    opened = storage.open_run(folder, run)
    samples = cycling()
    for table in (opened.pandas(), opened.polars(), opened.arrow()):
        columns = {name: np.asarray(table[name]) for name in opened.columns}
        assert np.array_equal(columns["test_time_second"], samples["t_s"])
        assert np.array_equal(columns["voltage_volt"], samples["voltage_V"])
        assert np.array_equal(columns["visit_charge_coulomb"], samples["charge_C"])
        assert np.array_equal(columns["half_cycle"], samples["half_cycle"])
        assert np.array_equal(columns["step_count"], samples["half_cycle"] + 1)
        assert np.array_equal(columns["unix_time_second"], 1.7e9 + samples["t_s"])


@pytest.mark.parametrize("run", [SEALED, LIVE])
def test_some_columns_of_some_hours(folder: Path, run: int) -> None:
    table = storage.open_run(str(folder), run).arrow(columns=["voltage_volt", "step_count"], t0=3600, t1=7200)
    assert table.column_names == ["voltage_volt", "step_count"]
    samples = cycling()
    inside = (samples["t_s"] >= 3600) & (samples["t_s"] <= 7200)
    assert np.array_equal(table["voltage_volt"].to_numpy(), samples["voltage_V"][inside])
    assert np.array_equal(table["step_count"].to_numpy(), samples["half_cycle"][inside] + 1)


def test_other_tables_and_what_is_known_of_the_run(folder: Path) -> None:
    run = storage.open_run(folder, SEALED)
    assert run.info.verdict == SHORT
    assert run.cell.area_m2 == 1e-4
    assert run.results == {"hours": HOURS}
    assert run.pandas("half_cycles")["overpotential_V"].tolist() == [0.03] * HOURS
    assert run.polars("verdicts")["kind"].to_list() == ["short_circuit"]
    assert run.arrow("events").num_rows == 4
    whole, _ = spectrum(100.0)
    assert np.array_equal(run.spectra[0].impedance(), whole.impedance())


def test_numbers_go_on_where_a_sealed_file_ended(folder: Path, tmp_path: Path) -> None:
    reader = Reader(folder)
    program, clock = reader.program(LIVE), reader.clock(LIVE)
    samples = reader.samples(LIVE)
    first, second = ({name: values[part] for name, values in samples.items()} for part in HALVES)
    sealed_before = tmp_path / "before.parquet"
    before = pyarrow.Table.from_batches(arrow.batches(Numbering(program, clock), [first]))
    parquet.write_table(before, sealed_before, row_group_size=100)
    [after] = arrow.batches(Numbering(program, clock, sealed_before), [second])
    whole = storage.open_run(folder, LIVE).arrow()
    assert pyarrow.concat_tables([before, pyarrow.Table.from_batches([after])]).equals(whole)


def test_a_run_without_samples_has_the_same_columns(folder: Path, tmp_path: Path) -> None:
    columns = storage.open_run(folder, LIVE).arrow(t0=1e9).column_names
    assert columns == storage.open_run(folder, SEALED).arrow().column_names


def test_what_is_not_there_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no run 9"):
        storage.open_run(folder, 9)
    with pytest.raises(StorageError, match="holds no sandtime data"):
        storage.open_run(tmp_path, 1)
    run = storage.open_run(folder, SEALED)
    with pytest.raises(StorageError, match="Did you mean 'half_cycles'"):
        run.arrow("halfcycles")
    with pytest.raises(StorageError, match="Did you mean 'voltage_volt'"):
        run.arrow(columns=["voltage_vol"])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_library_that_is_missing_is_named_with_its_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    run = storage.open_run(folder, SEALED)
    with pytest.raises(StorageError, match=f"pip install {library}"):
        getattr(run, library)()
