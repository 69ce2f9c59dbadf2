"""``query`` and ``export`` on the command line: what stands on stdout, and exit codes."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cycled_run import HOURS, SHORT, store_cycled_run

from monitor.cli import run
from monitor.templates import SERVICE

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
async def lab(tmp_path: Path) -> Path:
    """A lab's folder with one run."""
    (tmp_path / "service.toml").write_text(SERVICE, encoding="utf-8")
    await store_cycled_run(tmp_path / "data", name="first", seal=True)
    return tmp_path


@pytest.fixture
def call(lab: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in the lab's folder; return exit code, stdout and stderr."""

    def run_here(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(lab)
        monkeypatch.setattr(sys, "argv", ["sandtime", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run()
        shown = capfd.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run_here


def test_an_answer_as_json_is_one_document(call: Call) -> None:
    code, out, _ = call("query", "SELECT run, verdict, started_utc FROM runs", "--json")
    assert code == 0
    assert json.loads(out) == {
        "columns": ["run", "verdict", "started_utc"],
        "rows": [[1, "short_circuit", "2023-11-14T22:13:20"]],
    }


def test_an_answer_as_csv_is_whole(call: Call) -> None:
    code, out, _ = call("query", "SELECT test_time_second, voltage_volt FROM samples", "--csv")
    assert code == 0
    header, *rows = csv.reader(out.splitlines())
    assert header == ["test_time_second", "voltage_volt"]
    assert len(rows) == 360 * HOURS


def test_a_person_sees_the_first_rows_and_that_there_are_more(call: Call) -> None:
    code, out, said = call("query", "SELECT run, test_time_second FROM samples ORDER BY 2")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["run", "test_time_second"]
    assert lines[2].split() == ["1", "10"]
    assert len(lines) == 52
    assert "only the first 50 rows" in said
    assert call("query", "SELECT run FROM samples LIMIT 50")[2] == ""


def test_an_empty_answer_has_its_headings(call: Call) -> None:
    code, out, _ = call("query", "SELECT run, message FROM verdicts WHERE run = 9")
    assert (code, out.split()[:2]) == (0, ["run", "message"])


@pytest.mark.parametrize("sql", ["DELETE FROM runs", "SELECT * FROM nothing", "COPY runs TO 'runs.csv'"])
def test_what_cannot_be_asked_is_said_and_nothing_is_written(call: Call, lab: Path, sql: str) -> None:
    before = sorted(lab.iterdir())
    code, out, said = call("query", sql)
    assert (code, out) == (2, "")
    assert said
    assert sorted(lab.iterdir()) == before


def test_json_and_csv_at_once_are_refused(call: Call) -> None:
    assert call("query", "SELECT 1", "--json", "--csv")[0] == 2


@pytest.mark.parametrize(
    ("file_format", "files"),
    [
        ("bdf-csv", ["run1.bdf.csv", "run1.bdf.csv.metadata.json"]),
        ("xlsx", ["run1.xlsx"]),
        ("eln", ["run1.eln"]),
        ("battinfo", ["run1.test-protocol.json", "run1.test.json"]),
    ],
)
def test_an_export_names_the_files_that_it_wrote(
    call: Call, lab: Path, file_format: str, files: list[str]
) -> None:
    code, out, said = call("export", "1", "--format", file_format)
    assert (code, out) == (0, "")
    assert sorted(path.name for path in lab.glob("run1*")) == files
    for name in files:
        assert f"wrote {name}" in said
    assert SHORT.message not in out
