"""Runs leave a data folder and come back, into this one or another; nothing that is not whole gets in."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich_runs import add_run, make_data, write

from protocols.errors import NotAllowedError, StorageError
from protocols.records import Archived, Event, RunInfo
from storage.adopt import Adopted, prepare
from storage.archive import check_archive, ready_folder, unpack, write_archive
from storage.checksums import format_checksums, renew_checksums
from storage.files import INCOMING
from storage.reader import Reader
from storage.run_folder import RunFolder
from storage.store import Store
from storage.verify import verify_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two runs, and an archive of both beside it."""
    folder = tmp_path_factory.mktemp("made")
    asyncio.run(make_data(folder / "data", runs=2))
    reader = Reader(folder / "data")
    write_archive([ready_folder(reader, run) for run in (1, 2)], folder / "both.tar")
    return folder


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "data", tmp_path / "data")
    return tmp_path / "data"


async def in_thread(folder: Path, number: int, identity: str) -> Adopted:
    return await asyncio.to_thread(prepare, folder, number, identity)


async def restored(data: Path, source: Path) -> list[RunInfo]:
    """Bring what an archive holds into a data folder."""
    store = Store(data)
    await store.open()
    into = data / INCOMING / "here"
    try:
        return [await store.adopt(folder, in_thread) for folder in unpack(source, into)]
    finally:
        shutil.rmtree(into)
        await store.close()


def contents(reader: Reader, run: int) -> list[object]:
    """Everything that a run has brought, but its number and where it is."""
    samples = {name: values.tobytes() for name, values in reader.samples(run).items()}
    events = [stored.event for stored in reader.events_of(run)]
    spectra = [(whole.z_real_ohm, few) for whole, few in reader.spectra(run)]
    rows = [reader.half_cycles(run), reader.verdicts(run), reader.gaps(run), reader.results(run)]
    return [samples, events, spectra, *rows, reader.program(run), reader.count(run)]


async def archived(data: Path, target: Path, run: int = 1) -> None:
    """Archive a run and remove its samples."""
    reader = Reader(data)
    (copy,) = write_archive([ready_folder(reader, run)], target)
    store = Store(data)
    await store.open()
    store.mark_archived(run, Archived(file=str(copy.path), sha256=copy.sha256, unix_s=1.0))
    await store.close()
    for path in reader.folder_of(run).glob("samples*.parquet"):
        path.unlink()


async def test_an_archive_of_both_is_whole_in_another_lab(made: Path, tmp_path: Path) -> None:
    infos = await restored(tmp_path / "other", made / "both.tar")
    assert [info.run for info in infos] == [1, 2]
    here, there = Reader(tmp_path / "other"), Reader(made / "data")
    for run in (1, 2):
        assert contents(here, run) == contents(there, run)
        assert verify_run(here, run).problems == []
        assert here.unsealed() == []


async def test_a_number_that_is_taken_by_another_run_gets_a_new_one(made: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    await make_data(other)
    infos = await restored(other, made / "both.tar")
    assert [info.run for info in infos] == [2, 3]
    here, there = Reader(other), Reader(made / "data")
    assert contents(here, 2) == contents(there, 1)
    texts = here.extra(2)  # noqa: S610 - not Django's extra
    assert texts["origin"] == f"{there.identity}/1"
    last = here.last_sample(2)
    assert last is not None
    assert last["channel"] == 2
    assert [spectrum.channel for spectrum, _ in here.spectra(2)] == [2]
    assert RunFolder(here.folder_of(2)).origin == (there.identity, 1)
    assert verify_run(here, 2).problems == []
    assert [info.run for info in await restored(other, made / "both.tar")] == [2, 3]
    assert [info.run for info in Reader(other).runs()] == [1, 2, 3]


async def test_a_restored_run_keeps_its_origin_when_it_is_archived_again(made: Path, tmp_path: Path) -> None:
    other, third = tmp_path / "other", tmp_path / "third"
    await make_data(other)
    await restored(other, made / "both.tar")
    write_archive([ready_folder(Reader(other), 2)], tmp_path / "again.tar")
    (info,) = await restored(third, tmp_path / "again.tar")
    assert info.run == 1, "the number that it had first"
    assert RunFolder(Reader(third).folder_of(info.run)).origin == (Reader(made / "data").identity, 1)


async def test_samples_that_were_archived_come_back(data: Path, tmp_path: Path) -> None:
    before = contents(Reader(data), 1)
    await archived(data, tmp_path / "a.tar")
    reader = Reader(data)
    with pytest.raises(StorageError, match=r"in the archive .*a\.tar.*sandtime restore"):
        reader.samples(1)
    assert reader.verdicts(1)
    assert verify_run(reader, 1).problems == []
    assert "a.tar" in verify_run(reader, 1).notes[0]
    assert reader.unsealed() == []
    with pytest.raises(NotAllowedError, match="archived already"):
        ready_folder(reader, 1)
    (info,) = await restored(data, tmp_path / "a.tar")
    assert info.archived is None
    assert contents(Reader(data), 1) == before
    assert verify_run(Reader(data), 1).problems == []


async def test_a_run_that_is_here_stays_as_it_is(data: Path, made: Path) -> None:
    before = [contents(Reader(data), run) for run in (1, 2)]
    assert [info.run for info in await restored(data, made / "both.tar")] == [1, 2]
    assert [contents(Reader(data), run) for run in (1, 2)] == before
    assert [info.run for info in Reader(data).runs()] == [1, 2]


async def test_what_is_restored_is_no_news(made: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "other")
    await store.open()
    for folder in unpack(made / "both.tar", tmp_path / "other" / INCOMING / "x"):
        await store.adopt(folder, in_thread)
    assert await store.commit() == []
    assert store.next_run() == 3
    await store.close()


async def test_a_copied_folder_is_an_archive_too(made: Path, tmp_path: Path) -> None:
    reader = Reader(made / "data")
    (copy,) = write_archive([ready_folder(reader, 2)], tmp_path / "copies")
    assert copy.path == tmp_path / "copies" / reader.folder_of(2).name
    (info,) = await restored(tmp_path / "other", copy.path)
    assert contents(Reader(tmp_path / "other"), 2) == contents(reader, info.run)
    with pytest.raises(StorageError, match="exists already"):
        write_archive([reader.folder_of(2)], tmp_path / "copies")


async def test_only_what_has_ended_and_is_sealed_is_archived(tmp_path: Path) -> None:
    store = Store(tmp_path)
    await store.open()
    add_run(store, 1, state="running")
    add_run(store, 2)
    await store.commit()
    with pytest.raises(NotAllowedError, match="is running"):
        ready_folder(store.reader, 1)
    with pytest.raises(NotAllowedError, match="not in their file yet"):
        ready_folder(store.reader, 2)
    where = Archived(file="x", sha256="0", unix_s=0.0)
    for run in (1, 2):
        with pytest.raises(NotAllowedError, match="have to stay"):
            store.mark_archived(run, where)
    await store.close()


async def test_a_damaged_run_is_not_archived(data: Path) -> None:
    reader = Reader(data)
    with (reader.folder_of(1) / "spectra.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(StorageError, match=r"run 1 is not whole.*spectra\.json"):
        ready_folder(reader, 1)


def test_an_archive_is_not_overwritten(made: Path) -> None:
    with pytest.raises(StorageError, match="exists already"):
        write_archive([], made / "both.tar")


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], list[tuple[str, bytes]]]) -> Path:
    """Write an archive anew, each member changed."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            file = old.extractfile(member)
            assert file is not None
            for name, content in change(member.name, file.read()):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                new.addfile(info, io.BytesIO(content))
    return target


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda name, text: [(name, text + b" " if name.endswith("cell.yaml") else text)], "was changed"),
        (lambda name, text: [] if name.endswith("events.json") else [(name, text)], "is missing"),
        (lambda name, text: [] if name.endswith("sha256") else [(name, text)], "sha256 is missing"),
        (lambda name, text: [(f"../{name}", text)], "no file of a run's folder"),
        (lambda name, text: [(f"/{name}", text)], "no file of a run's folder"),
        (lambda name, text: [(name, text), (name, b"")], "no file of a run's folder"),
        (lambda name, text: [(name.rpartition("/")[2], text)], "no file of a run's folder"),
    ],
)
def test_an_archive_that_was_changed_is_refused_whole(
    made: Path, tmp_path: Path, change: Callable[[str, bytes], list[tuple[str, bytes]]], words: str
) -> None:
    bad = rewritten(made / "both.tar", tmp_path / "bad.tar", change)
    assert any(words in problem for problem in check_archive(bad))
    into = tmp_path / "inside" / "into"
    with pytest.raises(StorageError, match=words):
        unpack(bad, into)
    assert not into.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo("1-a/run.json")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    assert "no file of a run's folder" in check_archive(tmp_path / "bad.tar")[0]


@given(names=st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=12), max_size=4))
def test_whatever_names_a_tar_file_has_nothing_lands_outside(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tar")
    with tarfile.open(folder / "any.tar", "w") as archive:
        for name in [*names, *(f"1-a/{name}" for name in names)]:
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(StorageError):
        unpack(folder / "any.tar", folder / "into")
    assert {path.name for path in folder.iterdir()} <= {"any.tar", "into"}


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.95])
def test_a_torn_archive_is_refused(made: Path, tmp_path: Path, part: float) -> None:
    whole = (made / "both.tar").read_bytes()
    (tmp_path / "torn.tar").write_bytes(whole[: int(part * len(whole))])
    assert check_archive(tmp_path / "torn.tar")
    with pytest.raises(StorageError, match=r"torn\.tar"):
        unpack(tmp_path / "torn.tar", tmp_path / "into")


def test_checksums_in_an_archive_that_lead_out_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        content = format_checksums({"../../x": "0" * 64}).encode()
        member = tarfile.TarInfo("1-a/checksums.sha256")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    assert "outside the folder" in check_archive(tmp_path / "bad.tar")[0]


async def test_a_run_that_goes_on_does_not_become_one_elsewhere(tmp_path: Path, data: Path) -> None:
    (folder, _) = sorted((data / "runs").iterdir())
    text = (folder / "run.json").read_text(encoding="utf-8")
    (folder / "run.json").write_text(text.replace('"state": "finished"', '"state": "running"', 1))
    renew_checksums(folder, ["run.json"])
    with pytest.raises(NotAllowedError, match="was running when it was copied"):
        await restored(tmp_path / "other", folder)


async def test_all_programs_that_an_edited_run_has_had_come_along(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    await store.open()
    add_run(store, 1)
    await store.commit()
    info, before = store.reader.run(1), store.reader.program(1).model_copy(update={"watch_s": 2.0})
    after = before.model_copy(update={"watch_s": 3.0})
    store.change_program(info, before)
    store.change_program(info, after)
    changed: dict[str, object] = {"from": before.digest(), "to": after.digest(), "changes": ["watch"]}
    store.add_event(1, Event(kind="edited", t_s=500.0, unix_s=1500.0, data=changed))
    await store.seal(1, write)
    await store.close()
    write_archive([ready_folder(Reader(tmp_path / "data"), 1)], tmp_path / "a.tar")
    await restored(tmp_path / "other", tmp_path / "a.tar")
    for reader in (Reader(tmp_path / "data"), Reader(tmp_path / "other")):
        assert reader.programs(1) == [(0.0, before), (500.0, after)]
        assert reader.edits(1) == [{"kind": "edited", "t_s": 500.0, "unix_s": 1500.0, **changed}]
        assert verify_run(reader, 1).problems == []


async def test_a_protected_run_of_another_lab_holds_no_station_here(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    await store.open()
    add_run(store, 1, state="protected")
    await store.seal(1, write)
    await store.close()
    write_archive([ready_folder(Reader(tmp_path / "data"), 1)], tmp_path / "a.tar")
    (info,) = await restored(tmp_path / "other", tmp_path / "a.tar")
    assert (info.state, info.acknowledged) == ("protected", True)
    assert np.array_equal(
        Reader(tmp_path / "other").samples(1)["t_s"], Reader(tmp_path / "data").samples(1)["t_s"]
    )


@pytest.mark.parametrize("first", [0, 1])
def test_killed_anywhere_the_run_is_whole_here_or_in_the_archive(
    made: Path, tmp_path: Path, first: int
) -> None:
    child = Path(__file__).with_name("archive_child.py")
    done = subprocess.run(
        [sys.executable, str(child), str(made / "data"), str(tmp_path / "work"), str(first), "8"],
        env={**os.environ, "PYTHONPATH": str(child.parent.parent.parent)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 4
