"""A run's folder, copied elsewhere, is still the whole data set."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich_runs import CELL, PROGRAM, PROTOCOL, make_data
from services import needs

from protocols.errors import NotFoundError, StorageError
from storage.export import Format, export_run
from storage.reader import Reader
from storage.run_folder import RunFolder
from storage.run_reader import RunReader

ANSWERS: dict[str, Callable[[RunReader], object]] = {
    "run": lambda reader: reader.run(1),
    "program": lambda reader: reader.program(1),
    "extra": lambda reader: reader.extra(1),  # noqa: S610 - not Django's extra
    "count": lambda reader: reader.count(1),
    "last_sample": lambda reader: reader.last_sample(1),
    "spectra": lambda reader: reader.spectra(1),
    "half_cycles": lambda reader: reader.half_cycles(1),
    "verdicts": lambda reader: reader.verdicts(1),
    "gaps": lambda reader: reader.gaps(1),
    "tickets": lambda reader: reader.tickets(1),
    "results": lambda reader: reader.results(1),
    "events": lambda reader: reader.events_of(1),
    "notes": lambda reader: reader.events_of(1, "note"),
    "identity": lambda reader: reader.identity,
    "clock": lambda reader: reader.clock(1)(np.array([0.0, 7.5])).tolist(),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that no test changes."""
    folder = tmp_path_factory.mktemp("data")
    asyncio.run(make_data(folder))
    return folder


@pytest.fixture
def copied(data: Path, tmp_path: Path) -> Path:
    """A copy of the run's folder, and nothing of the data folder."""
    (found,) = (data / "runs").iterdir()
    shutil.copytree(found, tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


@pytest.mark.parametrize("what", ANSWERS)
def test_a_copy_gives_the_same_answers(data: Path, copied: Path, what: str) -> None:
    ask = ANSWERS[what]
    assert ask(RunFolder(copied)) == ask(Reader(data))


def test_a_copy_gives_the_same_samples(data: Path, copied: Path) -> None:
    folder, reader = RunFolder(copied), Reader(data)
    for given in ((), (100.0, 200.5), (None, 3.0, ("voltage_V",))):
        mine, theirs = folder.samples(1, *given), reader.samples(1, *given)
        assert mine.keys() == theirs.keys()
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("fmt", ["bdf-csv", "eis-csv", "json"])
def test_a_copy_exports_the_same_bytes(data: Path, copied: Path, tmp_path: Path, fmt: Format) -> None:
    export_run(RunFolder(copied), 1, fmt, tmp_path / "mine")
    export_run(Reader(data), 1, fmt, tmp_path / "theirs")
    assert (tmp_path / "mine").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_what_a_person_wrote_is_there_byte_for_byte(copied: Path) -> None:
    assert (copied / "protocol.yaml").read_bytes() == PROTOCOL.encode()
    assert (copied / "cell.yaml").read_bytes() == CELL.encode()
    assert (copied / "included" / "warm_up.yaml").read_bytes() == b"steps: []\n"
    assert not list(copied.parent.rglob("secret.yaml"))


def test_run_json_says_what_when_and_with_what(copied: Path) -> None:
    about = json.loads((copied / "run.json").read_text(encoding="utf-8"))
    assert about["run"]["name"] == "Li|LLZO"
    assert about["instrument"] == {"station": "A", "instrument": "vsp", "channel": "3", "simulated": False}
    assert about["program_sha256"] == PROGRAM.digest()
    assert about["segments"][0]["start_unix_s"] == 1.7e9
    assert "oxidises the working electrode" in about["conventions"]["current"]
    assert about["columns"]["voltage_volt"].startswith("V;")
    assert about["results"] == {"hours": 0.4}
    assert about["gaps"][0]["reason"] == "the daemon was killed"


def test_coreutils_finds_every_file_whole(copied: Path) -> None:
    sha256sum = shutil.which("sha256sum")
    needs("sha256sum", sha256sum is not None)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "checksums.sha256"],
        cwd=copied,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listed = {line.rpartition(":")[0] for line in done.stdout.splitlines()}
    there = {path.relative_to(copied).as_posix() for path in copied.rglob("*") if path.is_file()}
    assert listed == there - {"checksums.sha256"}


def test_another_number_is_no_run_of_the_folder(copied: Path) -> None:
    with pytest.raises(NotFoundError, match="holds run 1, not run 2"):
        RunFolder(copied).run(2)


def test_a_folder_that_is_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no folder of a run"):
        RunFolder(tmp_path)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "can't be understood"),
        ("[]", "did not describe themselves"),
        ('{"run": {}}', "did not describe themselves"),
        ('{"format": 99}', "newer sandtime"),
        ('{"format": 1}', "can't be understood"),
    ],
)
def test_a_run_json_that_is_not_ours_says_so(copied: Path, document: str, words: str) -> None:
    (copied / "run.json").write_text(document, encoding="utf-8")
    with pytest.raises(StorageError, match=words):
        RunFolder(copied)


def test_a_file_of_samples_outside_the_folder_is_not_read(copied: Path) -> None:
    about = json.loads((copied / "run.json").read_text(encoding="utf-8"))
    about["files"][0]["file"] = "../secret.parquet"
    (copied / "run.json").write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(StorageError, match="no file of the folder"):
        RunFolder(copied)


@pytest.mark.parametrize("name", ["program.json", "spectra.json", "events.json", "samples"])
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    folder = RunFolder(copied)
    (copied / (folder.files[0].file if name == "samples" else name)).unlink()
    with pytest.raises(StorageError, match=name):
        [folder.program(1), folder.spectra(1), folder.events_of(1), folder.samples(1)]
