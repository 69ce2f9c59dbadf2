"""``verify`` says what is wrong, where, and what to do; what is as it should be is not called wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from rich_runs import PROGRAM, ROWS, add_run, make_data, samples, spectrum, write

from protocols.measurements import Block
from protocols.records import Gap, Ticket
from storage.database import DATABASE
from storage.reader import Reader
from storage.run_folder import RunFolder
from storage.store import Store
from storage.verify import Findings, verify_data, verify_folder, verify_run

LONG_S = 300.0
"""Longer than any usual interval."""


async def checked(folder: Path, block: Block, change: str = "") -> Findings:
    """Return what is found of a run with these samples."""
    store = Store(folder)
    await store.open()
    add_run(store, store.next_run(), block=block)
    match change:
        case "gap":
            store.add_gap(1, Gap(t_from_s=100.0, t_to_s=100.0 + LONG_S, reason="no contact"))
        case "segment":
            ticket = Ticket(run=1, segment=1, program=PROGRAM.digest())
            store.save_ticket(ticket, PROGRAM, "ended", 300.0, 1.7e9)
        case "spectrum":
            whole, few = spectrum(1)
            during = {"t_start_s": 110.0, "t_end_s": 395.0}
            store.add_spectrum(1, whole.model_copy(update=during), few)
    await store.seal(1, write)
    reader = store.reader
    await store.close()
    return verify_run(reader, 1)


def interrupted() -> Block:
    """Samples every second, but for some minutes."""
    block = samples(1, 400)
    block["t_s"][101:] += LONG_S
    return block


async def test_a_whole_run_and_its_copy_have_nothing_wrong(tmp_path: Path) -> None:
    await make_data(tmp_path)
    found = verify_run(Reader(tmp_path), 1)
    assert found.problems == []
    assert found.notes == ["no samples from 1 s to 2 s, as recorded: the daemon was killed"]
    (folder,) = (tmp_path / "runs").iterdir()
    assert verify_folder(RunFolder(folder)) == found
    assert verify_data(tmp_path) == Findings()


async def test_a_gap_that_nobody_recorded_is_wrong(tmp_path: Path) -> None:
    found = await checked(tmp_path, interrupted())
    assert found.problems == ["no samples from 100 s to 401 s, and no reason is recorded"]
    (folder,) = (tmp_path / "runs").iterdir()
    assert verify_folder(RunFolder(folder)).problems == found.problems


@pytest.mark.parametrize("reason", ["gap", "segment", "spectrum"])
async def test_a_gap_with_a_reason_is_not(tmp_path: Path, reason: str) -> None:
    assert (await checked(tmp_path, interrupted(), reason)).problems == []


async def test_another_visit_may_begin_later(tmp_path: Path) -> None:
    block = interrupted()
    block["visit"][101:] = 1
    assert (await checked(tmp_path, block)).problems == []


async def test_many_gaps_are_counted(tmp_path: Path) -> None:
    block = samples(1, 30)
    block["t_s"] = 1000.0 * np.arange(30)
    found = await checked(tmp_path, block)
    assert len(found.problems) == 21
    assert found.problems[-1] == "and 9 more such gaps"


async def test_time_that_goes_back_is_told_of_a_copy_too(tmp_path: Path) -> None:
    block = samples(1, 400)
    block["t_s"][200:] -= 50.0
    found = await checked(tmp_path, block)
    assert found.problems == ["t_s goes back at 199 s"]
    (folder,) = (tmp_path / "runs").iterdir()
    assert verify_folder(RunFolder(folder)).problems == found.problems


async def test_fewer_samples_than_were_counted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    await store.open()
    add_run(store, 1)
    await store.commit()
    store.save_run(store.reader.run(1).model_copy(update={"samples": ROWS + 1}))
    await store.close()
    assert (
        f"{ROWS + 1} samples were measured, but {ROWS} are stored" in verify_run(Reader(tmp_path), 1).problems
    )


@pytest.mark.parametrize("name", ["run.json", "cell.yaml", "spectra.json"])
async def test_a_changed_file_is_named(tmp_path: Path, name: str) -> None:
    await make_data(tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    with (folder / name).open("ab") as file:
        file.write(b" ")
    for found in (verify_run(Reader(tmp_path), 1), verify_folder(RunFolder(folder))):
        assert [name in text and "checksum differs" in text for text in found.problems] == [True]


async def test_other_samples_with_a_checksum_of_their_own_are_not_ours(tmp_path: Path) -> None:
    await make_data(tmp_path, runs=2)
    one, two = (RunFolder(path) for path in sorted((tmp_path / "runs").iterdir()))
    sums = (one.path / "checksums.sha256").read_text()
    file = one.files[0]
    (one.path / file.file).write_bytes((two.path / two.files[0].file).read_bytes())
    (one.path / "checksums.sha256").write_text(sums.replace(file.sha256, two.files[0].sha256))
    (problem,) = verify_folder(one).problems
    assert "not the file that run.json tells of" in problem


async def test_a_damaged_database_is_reported_not_raised(tmp_path: Path) -> None:
    await make_data(tmp_path)
    size = (tmp_path / DATABASE).stat().st_size
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / DATABASE).open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (size - 8192))
    found = verify_data(tmp_path)
    assert found.problems
    assert "is damaged" in found.problems[0]


async def test_what_no_run_knows_is_told(tmp_path: Path) -> None:
    await make_data(tmp_path)
    (tmp_path / "runs" / "7-stray").mkdir()
    (tmp_path / "incoming" / "abcd").mkdir(parents=True)
    found = verify_data(tmp_path)
    assert found.problems == []
    assert ["7-stray" in found.notes[0], "abcd" in found.notes[1]] == [True, True]
