"""What ``sandtime doctor`` finds: each kind of trouble, and nothing where there is none."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Here

from monitor.doctor import computer, data_folder, laboratory
from monitor.doctor.examination import examine
from monitor.doctor.file_systems import kind_of_disk, why_unsafe
from monitor.doctor.finding import Finding, Setup, ok
from monitor.doctor.library_file import made_for
from monitor.doctor.service_manager import judge_unit
from monitor.templates import write_start_files
from protocols.laboratory import Calibration
from scheduler.requests import STATE_FILE, InstrumentInfo, StatusReply
from storage.lock import LOCK
from storage.store import Store

PLANTED = "correct-horse-battery"
LAB = """
[mqtt]
broker = "127.0.0.1:1"
user = "me"
password = {password}
"""


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(monkeypatch, capsys)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Return the service.toml of a new lab."""
    write_start_files(tmp_path)
    return tmp_path / "service.toml"


def with_password(lab: Path, password: str) -> Setup:
    text = lab.read_text(encoding="utf-8")
    section = text[text.index("[mqtt]") : text.index("[storage]")]
    lab.write_text(text.replace(section, LAB.format(password=password)), encoding="utf-8")
    return Setup.of(lab)


def bad(findings: Iterator[Finding] | list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level != "ok"]


def test_a_new_lab_has_no_problem(lab: Path, call: Here) -> None:
    done = call("doctor", "--json", folder=lab.parent)
    document = json.loads(done.stdout)
    assert (done.code, document["ok"]) == (0, True)
    abouts = {finding["about"] for finding in document["findings"]}
    assert {"Python", "SQLite", "service.toml", "data folder", "daemon", "service"} <= abouts
    assert all(finding["mend"] for finding in document["findings"] if finding["level"] != "ok")


def test_a_mistake_in_service_toml_has_its_line_and_the_exit_code_1(lab: Path, call: Here) -> None:
    text = lab.read_text(encoding="utf-8").replace("channel = 2", 'channel = "two"')
    lab.write_text(text, encoding="utf-8")
    done = call("doctor", folder=lab.parent)
    line = text[: text.index('channel = "two"')].count("\n") + 1
    assert done.code == 1
    assert f"service.toml:{line}: stations.bench-2.channel" in done.stdout
    assert "1 problem, " in done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [('model = "VSP-300"', 'model = "VSP-3000"'), ("highest_celsius = 80", "highest_celsius = 8000")],
)
def test_so_has_one_in_a_drivers_table(lab: Path, right: str, wrong: str) -> None:
    text = lab.read_text(encoding="utf-8").replace(right, wrong)
    lab.write_text(text, encoding="utf-8")
    [found] = bad(laboratory.service_toml(Setup.of(lab)))
    line = text[: text.index(wrong)].count("\n") + 1
    assert f"service.toml:{line}:" in found.message


def test_no_service_toml_at_all(tmp_path: Path) -> None:
    found = bad(examine(Setup.of(tmp_path / "service.toml")))
    assert any("sandtime init" in finding.mend for finding in found)


def test_a_secret_is_looked_for_and_never_shown(lab: Path, call: Here) -> None:
    with_password(lab, f'"{PLANTED}"')
    done = call("doctor", "--json", folder=lab.parent)
    assert PLANTED not in done.stdout + done.stderr
    found = [finding for finding in json.loads(done.stdout)["findings"] if finding["about"] == "secrets"]
    assert [finding["level"] for finding in found] == ["warning"]


def test_a_missing_secret_is_a_problem_if_it_is_a_file(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = laboratory.secrets(with_password(lab, '{ file = "none" }'))
    assert (found.level, "none can't be read" in found.message) == ("problem", True)
    monkeypatch.delenv("SANDTIME_TEST_PASSWORD", raising=False)
    [found] = laboratory.secrets(replace(Setup.of(lab), config=_with_env(lab)))
    assert (found.level, "in this shell" in found.message) == ("warning", True)


def _with_env(lab: Path):  # type: ignore[no-untyped-def]  # the type is that of Setup.config
    lab.write_text(
        lab.read_text(encoding="utf-8").replace('{ file = "none" }', '{ env = "SANDTIME_TEST_PASSWORD" }'),
        encoding="utf-8",
    )
    return Setup.of(lab).config


def test_a_broker_that_does_not_answer(lab: Path) -> None:
    [found] = laboratory.broker(with_password(lab, '"abcd"'))
    assert (found.level, "127.0.0.1:1" in found.message) == ("problem", True)


@pytest.mark.parametrize(
    ("head", "made"),
    [
        (b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0\x4c\x01", ("Windows", "32-bit x86")),
        (b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0\x64\x86", ("Windows", "64-bit x86")),
        (b"\x7fELF" + bytes(14) + b"\xb7\0", ("Linux", "64-bit ARM")),
        (b"MZ" + bytes(58) + b"\xff\xff\xff\xff", ("", "")),
        (b"something else", ("", "")),
    ],
)
def test_for_which_computer_a_library_was_made(tmp_path: Path, head: bytes, made: tuple[str, str]) -> None:
    path = tmp_path / "EClib64.dll"
    path.write_bytes(head)
    assert made_for(path) == made


def test_a_library_that_cannot_be_loaded_says_what_it_is(lab: Path) -> None:
    dll = lab.parent / "EClib.dll"
    dll.write_bytes(b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0\x4c\x01")
    text = lab.read_text(encoding="utf-8").replace('library = "simulation"', f'library = "{dll}"')
    lab.write_text(text, encoding="utf-8")
    [found] = laboratory.libraries(Setup.of(lab))
    assert found.level == "problem"
    assert "Windows on 32-bit x86" in found.message
    assert "Development Package" in found.mend


def test_a_daemon_tells_which_instrument_is_out_of_contact(lab: Path) -> None:
    seen = InstrumentInfo(name="vsp", reachable=False, simulated=False, stations=("bench-1",))
    setup = replace(Setup.of(lab), status=StatusReply(ready=True, instruments=[seen], runs=[]))
    [found] = laboratory.instruments(setup)
    assert (found.about, found.level) == ("vsp", "problem")
    assert "ping 192.168.0.10" in found.mend


def test_what_is_left_of_a_daemon(lab: Path) -> None:
    setup, data = Setup.of(lab), lab.parent / "data"
    data.mkdir()
    assert bad(data_folder.daemon(setup)) == []
    (data / STATE_FILE).write_text(json.dumps({"pid": os.getpid()}), encoding="utf-8")
    [found] = data_folder.daemon(setup)
    assert (found.level, str(os.getpid()) in found.message) == ("problem", True)
    (data / STATE_FILE).write_text(json.dumps({"pid": 2**22 + 1}), encoding="utf-8")
    [found] = data_folder.daemon(setup)
    assert "was killed" in found.message
    (data / STATE_FILE).unlink()
    (data / LOCK).write_text(str(os.getpid()), encoding="utf-8")
    [found] = data_folder.daemon(setup)
    assert "may hold" in found.message


def test_a_state_file_that_others_can_read_gives_the_lab_away(lab: Path) -> None:
    data = lab.parent / "data"
    data.mkdir()
    (data / STATE_FILE).write_text("{}", encoding="utf-8")
    setup = replace(Setup.of(lab), status=StatusReply(ready=True, instruments=[], runs=[]))
    (data / STATE_FILE).chmod(0o644)
    assert [finding.level for finding in data_folder.daemon(setup)] == ["ok", "problem"]
    (data / STATE_FILE).chmod(0o600)
    assert [finding.level for finding in data_folder.daemon(setup)] == ["ok"]


async def test_a_database_of_a_newer_version(lab: Path) -> None:
    data = lab.parent / "data"
    store = Store(data)
    await store.open()
    await store.close()
    setup = Setup.of(lab)
    assert bad(data_folder.database(setup)) == []
    with sqlite3.connect(data / "sandtime.sqlite") as raw:
        raw.execute("UPDATE schema_version SET version = version + 998")
    raw.close()
    [found] = data_folder.database(setup)
    assert "newer sandtime" in found.message


def test_a_disk_without_room(lab: Path) -> None:
    (lab.parent / "data").mkdir()
    text = lab.read_text(encoding="utf-8").replace("least_gigabytes = 1", "least_gigabytes = 1000000000")
    lab.write_text(text, encoding="utf-8")
    assert any("no run starts" in finding.message for finding in data_folder.disk(Setup.of(lab)))


def test_on_what_kind_of_disk_a_folder_lies(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    (tmp_path / "with space" / "data").mkdir(parents=True)
    point = str(tmp_path / "with space").replace(" ", r"\040")
    mounts.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:9 / {point} rw shared:1 - nfs4 server:/lab rw\n",
        encoding="utf-8",
    )
    assert kind_of_disk(tmp_path / "with space" / "data", mounts) == "nfs4"
    assert kind_of_disk(tmp_path, mounts) == "ext4"
    assert "network" in why_unsafe("nfs4")
    assert why_unsafe("ext4") == ""


@pytest.mark.parametrize(
    ("valid_until", "level"), [(None, "ok"), (1e6, "ok"), (1e3 + 86400.0, "warning"), (999.0, "warning")]
)
def test_a_calibration_expires(valid_until: float | None, level: str) -> None:
    kept = Calibration(
        instrument="vsp", channel=1, unix_s=0.0, valid_until_unix_s=valid_until, who="me", results={}
    )
    # A fortnight is 1.2e6 s: what holds for longer than that is not told yet.
    kept = kept if valid_until != 1e6 else kept.model_copy(update={"valid_until_unix_s": 2e6})
    assert laboratory.judge_calibration("vsp", 1, kept, 1e3).level == level


def test_a_channel_without_a_calibration() -> None:
    found = laboratory.judge_calibration("vsp", 2, None, 0.0)
    assert "sandtime calibration add vsp 2" in found.mend


def test_a_working_folder_that_shadows_our_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Path
) -> None:
    setup = Setup.of(lab)
    monkeypatch.chdir(tmp_path)
    assert bad(computer.packages(setup)) == []
    (tmp_path / "analysis").mkdir()
    [found] = bad(computer.packages(setup))
    assert (found.level, "analysis" in found.message) == ("warning", True)


def test_an_old_sqlite_is_warned_of(monkeypatch: pytest.MonkeyPatch, lab: Path) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 2))
    assert [finding.level for finding in computer.sqlite(Setup.of(lab))] == ["warning"]
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    assert [finding.level for finding in computer.sqlite(Setup.of(lab))] == ["ok"]


@pytest.mark.parametrize(
    ("said", "level", "mend"),
    [
        ({"LoadState": "not-found"}, "warning", "service-unit"),
        ({"LoadState": "loaded", "ActiveState": "failed", "Result": "watchdog"}, "problem", "journalctl"),
        ({"LoadState": "loaded", "ActiveState": "inactive"}, "warning", "systemctl start"),
        (
            {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "disabled"},
            "warning",
            "systemctl enable",
        ),
        ({"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}, "ok", ""),
    ],
)
def test_how_the_service_stands(said: dict[str, str], level: str, mend: str) -> None:
    found = judge_unit(said, is_up=True)
    assert found.level == level
    assert mend in found.mend


def test_a_check_that_fails_hides_no_other(lab: Path) -> None:
    def broken(setup: Setup) -> Iterator[Finding]:
        yield ok("before", "this comes through")
        raise OSError("odd")

    found = examine(Setup.of(lab), (broken, computer.python))
    assert [(finding.about, finding.level) for finding in found] == [
        ("before", "ok"),
        ("broken", "problem"),
        ("Python", "ok"),
    ]
