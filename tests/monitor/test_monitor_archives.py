"""Runs that leave the lab, come back, and come in: while a daemon runs, and without one."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Here
from labbench import Lab, cell, lab
from rich_runs import make_data

from protocols.protocol import find_protocol
from storage.reader import Reader

RAMP = find_protocol("ccd_constant_capacity").read_text(encoding="utf-8")
LEVELS = {"start": "0.3 mA/cm²", "step": "0.1 mA/cm²", "highest": "0.8 mA/cm²", "capacity": "0.05 mAh/cm²"}
LONG_REST = "sandtime: 1\nname: long rest\nsteps: [{rest: {for: 100 h}}]\n"
WITHOUT_INSTRUMENTS = 'data = "data"\n[instruments]\n[stations]\n'
NOT_ALLOWED = 7


class Command(Here):
    """Runs commands, and looks at how they end."""

    def json(self, *arguments: str | Path, folder: Path, code: int = 0) -> Any:
        """Return the document that a command prints."""
        done = self(*arguments, "--json", folder=folder)
        assert done.code == code, done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: str | Path, folder: Path, code: int) -> str:
        """Return what a command says that fails."""
        done = self(*arguments, folder=folder)
        assert done.code == code, (done.stdout, done.stderr)
        return done.stderr


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capfd)


def _recording(path: Path, **extra: float) -> Path:
    """Write a csv in BDF names: an hour of plating and an hour of stripping."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["test_time_second", "voltage_volt", "current_ampere", *extra])
        for k in range(240):
            current_A = -1e-4 if k < 120 else 1e-4
            writer.writerow([30.0 * k, 300 * current_A, current_A, *(v + 30.0 * k for v in extra.values())])
    return path


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return a lab with a daemon in which run 1 has ended with a short circuit and run 2 goes on."""
    channels = ["seed = 4, short_at_mA_per_cm2 = 0.5, short_after_mAh_per_cm2 = 0.02", "seed = 5"]
    with lab(tmp_path_factory.mktemp("ended"), channels, 1000.0) as bench:
        run = bench.submit(RAMP, "s1", cell(), LEVELS)
        bench.submit(LONG_REST, "s2", cell())
        assert bench.until_ended(run).state == "finished"
        bench.until(lambda: bench.reader().unsealed() == [], "the sealed file")
        yield bench


def test_a_copy_of_a_run_answers_as_the_run(command: Command, ended: Lab, tmp_path: Path) -> None:
    copy = tmp_path / "copied run"
    shutil.copytree(ended.reader().folder_of(1), copy)
    for words in (("analyze", "run"), ("why",)):
        mine = command.json(*words, copy, folder=tmp_path)
        theirs = command.json(*words, "1", folder=ended.folder)
        for document in (mine, theirs):
            document.pop("commands", None)
            document.pop("files", None)
        assert mine == theirs
    assert command.json("verify", copy, folder=tmp_path)["problems"] == {str(copy): []}
    assert command.json("verify", "1", folder=ended.folder)["problems"] == {"1": []}
    for source, folder in ((copy, tmp_path), ("1", ended.folder)):
        assert command("export", source, "-o", tmp_path / f"{folder.name}.csv", folder=folder).code == 0
    files = [(tmp_path / f"{folder.name}.csv").read_bytes() for folder in (tmp_path, ended.folder)]
    assert files[0] == files[1]


def test_a_copy_is_judged_anew_by_its_own_protocol(command: Command, ended: Lab, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ended.reader().folder_of(1), copy)
    found = command.json("replay", copy, folder=tmp_path)
    assert found["verdicts"][0]["kind"] == "short_circuit"
    assert found["spectra"] == len(ended.reader().spectra(1))
    assert "leave out --current" in command.refused(
        "replay", copy, "--current", "1 mA", folder=tmp_path, code=2
    )


def test_samples_leave_and_come_back_under_a_daemon(command: Command, ended: Lab, tmp_path: Path) -> None:
    before = ended.reader().samples(1)
    target = tmp_path / "runs.tar"
    (moved,) = command.json("archive", "1", "-o", target, "--remove", folder=ended.folder)
    assert (moved["run"], moved["archive"], moved["removed"]) == (1, str(target), True)
    archived = ended.info(1).archived
    assert archived is not None
    assert (archived.file, archived.sha256) == (str(target), moved["sha256"])
    assert f"archived in {target}" in command("status", folder=ended.folder).stdout
    assert not list(ended.reader().folder_of(1).glob("samples*.parquet"))
    told = command.refused("export", "1", "-o", tmp_path / "x.csv", folder=ended.folder, code=1)
    assert f"sandtime restore {target}" in told
    assert command.json("verify", target, folder=tmp_path)["problems"] == {str(target): []}
    assert not any(command.json("verify", folder=ended.folder)["problems"].values())
    (back,) = command.json("restore", target, folder=ended.folder)
    assert back == {"run": 1, "was": 1, "restored": True}
    assert ended.info(1).archived is None
    after = ended.reader().samples(1)
    assert all((after[name] == before[name]).all() for name in before)
    (again,) = command.json("restore", target, folder=ended.folder)
    assert again == {"run": 1, "was": 1, "restored": False}
    assert not any(command.json("verify", folder=ended.folder)["problems"].values())
    assert not (ended.data / "incoming").exists()


def test_a_run_that_goes_on_stays(command: Command, ended: Lab, tmp_path: Path) -> None:
    told = command.refused(
        "archive", "2", "-o", tmp_path / "x.tar", "--remove", folder=ended.folder, code=NOT_ALLOWED
    )
    assert "can be archived when it has ended" in told
    assert list(tmp_path.iterdir()) == []


def test_a_recording_becomes_a_run_under_a_daemon(command: Command, ended: Lab, tmp_path: Path) -> None:
    file = _recording(tmp_path / "bench.csv", unix_time_second=1.6e9)
    (cell_file := tmp_path / "cell.yaml").write_text(cell("mine"), encoding="utf-8")
    given = ("--cell", cell_file, "--name", "old cell")
    (made,) = command.json("import", file, *given, folder=ended.folder)
    info = ended.info(made["run"])
    assert (info.state, info.name, info.cell, info.samples) == ("finished", "old cell", "mine", 240)
    assert (info.started_unix_s, info.ended_unix_s) == (1.6e9, 1.6e9 + 239 * 30.0)
    assert made["inferred"] == ["steps: where the current changes, since the file numbers none"]
    results = command.json("analyze", "run", str(info.run), folder=ended.folder)["results"]
    assert results["half_cycles"] == 2
    assert ended.submit(LONG_REST, "s1", cell()) > info.run
    assert not any(command.json("verify", folder=ended.folder)["problems"].values())


def test_an_import_says_where_it_comes_from_and_what_is_inferred(command: Command, tmp_path: Path) -> None:
    (tmp_path / "service.toml").write_text(WITHOUT_INSTRUMENTS, encoding="utf-8")
    file = _recording(tmp_path / "bench.csv")
    (made,) = command.json("import", file, folder=tmp_path)
    assert [text.partition(":")[0] for text in made["inferred"]] == [
        "time of the start",
        "steps",
        "electrode area",
    ]
    reader = Reader(tmp_path / "data")
    texts = reader.extra(1)  # noqa: S610 - not Django's extra
    assert (texts["recording"], texts["reader"]) == ("bench.csv", "BDF csv")
    assert len(texts["recording_sha256"]) == 64
    assert reader.verdicts(1) == []
    assert reader.program(1).kind == "playback"
    assert "electrode area" in command.json("analyze", "run", "1", folder=tmp_path)["inferred"]
    exported = command("export", "1", "-o", tmp_path / "out.csv", folder=tmp_path)
    assert exported.code == 0
    with (tmp_path / "out.csv").open(encoding="utf-8") as out:
        rows = list(csv.DictReader(out))
    assert [float(row["test_time_second"]) for row in rows] == [30.0 * k for k in range(240)]


def test_a_recording_of_a_vendor(command: Command, recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "service.toml").write_text(WITHOUT_INSTRUMENTS, encoding="utf-8")
    file = recordings / "biologic" / "cp.issue_149.mpt"
    (made,) = command.json("import", file, folder=tmp_path)
    assert "without a time zone" in made["inferred"][0]
    reader = Reader(tmp_path / "data")
    texts = reader.extra(1)  # noqa: S610 - not Django's extra
    assert texts["instrument"].startswith("SP-300")
    assert not any(command.json("verify", folder=tmp_path)["problems"].values())


def test_spectra_alone_become_a_run_too(command: Command, tmp_path: Path) -> None:
    (tmp_path / "service.toml").write_text(WITHOUT_INSTRUMENTS, encoding="utf-8")
    points = "".join(f"{10.0**k},{50 + k},{-5 - k}\n" for k in range(5, -2, -1))
    head = "frequency_hertz,real_impedance_ohm,imaginary_impedance_ohm\n"
    (tmp_path / "eis.csv").write_text(head + points, encoding="utf-8")
    (made,) = command.json("import", "eis.csv", folder=tmp_path)
    assert "electrode area" in made["inferred"][-1]
    reader = Reader(tmp_path / "data")
    assert (reader.run(1).state, reader.count(1), len(reader.spectra(1))) == ("finished", 0, 1)
    assert (
        command("export", "1", "--format", "eis-csv", "-o", tmp_path / "out.csv", folder=tmp_path).code == 0
    )
    assert len((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()) == 8
    assert not any(command.json("verify", folder=tmp_path)["problems"].values())


@pytest.mark.parametrize("content", ["", "hello\n", "test_time_second,voltage_volt\n0,x\n"])
def test_a_bad_recording_leaves_nothing_behind(command: Command, tmp_path: Path, content: str) -> None:
    (tmp_path / "service.toml").write_text(WITHOUT_INSTRUMENTS, encoding="utf-8")
    (tmp_path / "bad.csv").write_text(content, encoding="utf-8")
    told = command.refused("import", "bad.csv", folder=tmp_path, code=3)
    assert "bad.csv" in told
    assert not (tmp_path / "data").exists()


def test_archive_and_restore_without_a_daemon(command: Command, tmp_path: Path) -> None:
    (tmp_path / "service.toml").write_text(WITHOUT_INSTRUMENTS, encoding="utf-8")
    asyncio.run(make_data(tmp_path / "data", runs=2))
    command.json("archive", "1", "2", "-o", "both.tar", "--remove", folder=tmp_path)
    assert not list((tmp_path / "data").rglob("samples*.parquet"))
    found = command.json("restore", "both.tar", folder=tmp_path)
    assert [(each["run"], each["restored"]) for each in found] == [(1, True), (2, True)]
    assert not any(command.json("verify", folder=tmp_path)["problems"].values())
    assert "exists already" in command.refused("archive", "1", "-o", "both.tar", folder=tmp_path, code=1)
    assert "no run 9" in command.refused("archive", "9", "-o", "x.tar", folder=tmp_path, code=2)
    assert "no such file" in command.refused("restore", "none.tar", folder=tmp_path, code=3)


def test_verify_names_what_it_was_asked_for(command: Command, tmp_path: Path) -> None:
    (tmp_path / "service.toml").write_text(WITHOUT_INSTRUMENTS, encoding="utf-8")
    asyncio.run(make_data(tmp_path / "data"))
    (folder,) = (tmp_path / "data" / "runs").iterdir()
    (folder / "events.json").unlink()
    found = command.json("verify", "data", folder, folder=tmp_path, code=1)["problems"]
    assert found["database"] == []
    for name in ("1", str(folder)):
        assert "events.json is missing" in found[name][0]
    shown = command("verify", folder=tmp_path)
    assert (shown.code, shown.stdout.count("events.json is missing")) == (1, 1)
    assert "neither" in command.refused("verify", "nothing", folder=tmp_path, code=2)
    assert "neither" in command.refused("export", "nothing", folder=tmp_path, code=2)
