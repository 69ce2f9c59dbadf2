"""SQL sees all that is committed, and can neither change the store nor reach anything else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cycled_run import HOURS, SHORT, add_cycled_run, cycling, sealed

from protocols.errors import SandtimeError, StorageError, UsageError
from storage.files import sha256
from storage.query import Query
from storage.store import Store

SEALED, LIVE = 1, 2


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store that is open, as a daemon's is: run 1 is sealed, run 2 goes on."""
    store = Store(tmp_path / "data")
    await store.open()
    await add_cycled_run(store, "first")
    await add_cycled_run(store, "second", "running")
    await store.seal(SEALED, sealed)
    yield store
    await store.close()


@pytest.fixture
def query(store: Store) -> Iterator[Query]:
    with Query(store.folder) as opened:
        yield opened


def rows(query: Query, sql: str) -> list[tuple[Any, ...]]:
    return list(query.ask(sql).rows)


@pytest.mark.parametrize("run", [SEALED, LIVE])
def test_samples_are_the_same_whether_sealed_or_not(query: Query, run: int) -> None:
    measured = "test_time_second, voltage_volt, current_ampere, half_cycle"
    names = f"{measured}, step_count, cycle_count, unix_time_second"
    answer = query.ask(f"SELECT {names} FROM samples WHERE run = {run} ORDER BY test_time_second")  # noqa: S608
    t_s, voltage, current, half_cycle, steps, cycles, unix_s = np.array(list(answer.rows)).T
    samples = cycling()
    assert np.array_equal(t_s, samples["t_s"])
    assert np.array_equal(voltage, samples["voltage_V"])
    assert np.array_equal(current, samples["current_A"])
    assert np.array_equal(half_cycle, samples["half_cycle"])
    assert np.array_equal(steps, samples["half_cycle"] + 1)
    assert np.array_equal(cycles, samples["half_cycle"] // 2 + 1)
    assert np.array_equal(unix_s, 1.7e9 + samples["t_s"])


def test_one_table_may_be_scanned_twice(query: Query) -> None:
    count = 360 * HOURS
    assert rows(query, "SELECT count(*) FROM samples") == [(2 * count,)]
    sql = "SELECT count(*) FROM samples a JOIN samples b USING (run, test_time_second)"
    assert rows(query, sql) == [(2 * count,)]


async def test_what_is_committed_or_sealed_later_does_not_change_an_answer(store: Store) -> None:
    with Query(store.folder) as query:
        late = cycling()[:10]
        late["channel"], late["t_s"] = LIVE, late["t_s"] + 1e6
        store.add_samples(late)
        await store.commit()
        assert rows(query, "SELECT count(*) FROM samples WHERE run = 2") == [(360 * HOURS,)]
    with Query(store.folder) as query:
        assert rows(query, "SELECT count(*) FROM samples WHERE run = 2") == [(360 * HOURS + 10,)]


def test_a_filter_on_the_run_leaves_the_files_of_others_closed(store: Store, query: Query) -> None:
    file = next((store.folder / "runs").rglob("*.parquet"))
    file.unlink()
    assert rows(query, "SELECT count(*) FROM samples WHERE run = 2") == [(360 * HOURS,)]
    with pytest.raises(SandtimeError, match="parquet"):
        rows(query, "SELECT sum(voltage_volt) FROM samples WHERE run = 1")


def test_each_table_holds_what_was_stored(query: Query) -> None:
    assert rows(query, "SELECT run, name, state, verdict, area_m2, started_utc FROM runs ORDER BY run") == [
        (SEALED, "first", "protected", "short_circuit", 1e-4, "2023-11-14T22:13:20"),
        (LIVE, "second", "running", "short_circuit", 1e-4, "2023-11-14T22:13:20"),
    ]
    [(count, charge)] = rows(query, "SELECT count(*), sum(abs(charge_C)) FROM half_cycles WHERE run = 1")
    assert (count, charge) == (HOURS, pytest.approx(0.36 * HOURS))
    assert rows(query, "SELECT kind, message, evidence->>'$.criterion' FROM verdicts WHERE run = 1") == [
        (SHORT.kind, SHORT.message, "drop")
    ]
    assert rows(query, "SELECT t_from_s, t_to_s, reason FROM gaps WHERE run = 2") == [(1.0, 2.0, "crash")]
    sql = "SELECT data->>'$.state' FROM events WHERE kind = 'state' AND run = 1 ORDER BY event"
    assert rows(query, sql) == [("running",), ("lost",), ("running",), ("protected",)]


def test_spectra_are_lists_that_unfold(query: Query) -> None:
    assert rows(query, "SELECT spectrum, r_total_ohm, frequency_Hz FROM spectra WHERE run = 1") == [
        (0, 80.0, [1000.0, 100.0]),
        (1, 80.0, [1000.0, 100.0]),
    ]
    sql = "SELECT unnest(frequency_Hz), unnest(z_imag_ohm) FROM spectra WHERE run = 1 AND spectrum = 0"
    assert rows(query, sql) == [(1000.0, -1.5), (100.0, -20.0)]


def test_tables_describe_themselves(query: Query) -> None:
    names = {name for name, *_ in rows(query, "DESCRIBE samples")}
    assert {"run", "test_time_second", "voltage_volt", "current_ampere", "step_count"} <= names


def test_values_are_such_as_json_holds(query: Query) -> None:
    sql = "SELECT 'nan'::DOUBLE, 1.5::DECIMAL(4,1), DATE '2026-01-02', [1, NULL], {'a': 'inf'::FLOAT}"
    assert rows(query, sql) == [(None, 1.5, "2026-01-02", [1, None], {"a": None})]


FORBIDDEN = (
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM read_parquet('{parquet}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM read_json('https://example.org/a.json')",
    "COPY (SELECT 1) TO '{folder}/stolen.csv'",
    "COPY samples TO '{parquet}'",
    "EXPORT DATABASE '{folder}/stolen'",
    "ATTACH '{folder}/stolen.db'",
    "ATTACH '{database}' AS store",
    "INSTALL httpfs",
    "LOAD '{secret}'",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA enable_external_access = true",
    "CREATE TABLE mine AS SELECT 1",
    "DROP VIEW samples",
    "DELETE FROM runs",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/stolen.csv'",
    "SELECT 1; COPY (SELECT 1) TO '{folder}/stolen.csv'",
    "SELECT * FROM secret_of_this_test",
    "",
    "SELEKT",
)


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_a_query_reaches_no_other_file_and_changes_nothing(
    store: Store, query: Query, tmp_path: Path, sql: str
) -> None:
    secret_of_this_test = tmp_path / "secret.csv"  # no table either, though DuckDB can see Python's names
    secret_of_this_test.write_text("password\n1234\n")
    file = next((store.folder / "runs").rglob("*.parquet"))
    before = {path: sha256(path) for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"}
    places = {
        "secret": secret_of_this_test,
        "parquet": file,
        "folder": tmp_path,
        "database": store.folder / "sandtime.sqlite",
    }
    with pytest.raises(UsageError):
        rows(query, sql.format(**places))
    after = {path: sha256(path) for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert after == before


def test_a_damaged_file_is_named(store: Store) -> None:
    file = next((store.folder / "runs").rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-100])
    with Query(store.folder) as query, pytest.raises(SandtimeError, match="parquet"):
        rows(query, "SELECT avg(voltage_volt) FROM samples")


def test_a_run_without_its_program_is_named(store: Store, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "data" / "sandtime.sqlite") as raw:
        raw.execute("UPDATE run SET program = NULL WHERE run = 2")
    raw.close()
    with Query(store.folder) as query:
        assert rows(query, "SELECT area_m2 FROM runs WHERE run = 2") == [(None,)]
        with pytest.raises(StorageError, match="without its program"):
            rows(query, "SELECT count(*) FROM samples WHERE run = 2")


def test_without_duckdb_the_command_to_install_it_is_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    with pytest.raises(StorageError, match=r'pip install "sandtime\[query\]"'):
        Query(store.folder)
