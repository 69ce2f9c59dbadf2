"""The command ``cells``: what it writes, what it refuses, and what it never does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from monitor.commands.cells import file_name, register
from protocols.cellfile import check_cell, load_cell

SHEET = "name,geometry,area / cm²,working.lithium / µm\nA/1,symmetric,0.785,100\nB 2,half,1,\n"


def call(*arguments: str | Path) -> tuple[int, str]:
    app = Typer()
    app.callback()(lambda: None)
    register(app)
    done = CliRunner().invoke(app, ["cells", *map(str, arguments)])
    return done.exit_code, done.stdout


def sheet(folder: Path, text: str = SHEET) -> Path:
    path = folder / "cells.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_each_row_becomes_a_cell_file(tmp_path: Path) -> None:
    code, said = call(sheet(tmp_path), "-o", tmp_path / "made", "--json")
    document = json.loads(said)
    assert code == 0
    assert [Path(cell["file"]).name for cell in document["cells"]] == ["A_1.yaml", "B_2.yaml"]
    assert [cell["name"] for cell in document["cells"]] == ["A/1", "B 2"]
    assert document["errors"] == []
    assert [warning["line"] for warning in document["warnings"]] == [3]
    assert load_cell(tmp_path / "made" / "A_1.yaml").area_m2 == pytest.approx(0.785e-4)
    assert check_cell(tmp_path / "made" / "B_2.yaml")[1] == []


def test_people_are_told_what_was_written(tmp_path: Path) -> None:
    code, said = call(sheet(tmp_path), "-o", tmp_path / "made")
    assert code == 0
    assert f"wrote {tmp_path / 'made' / 'A_1.yaml'}" in said
    assert "warning: " in said


def test_nothing_is_written_if_a_row_is_wrong(tmp_path: Path) -> None:
    wrong = sheet(tmp_path, SHEET.replace("half", "halv"))
    code, said = call(wrong, "-o", tmp_path / "made", "--json")
    document = json.loads(said)
    assert code == 3
    assert document["cells"] == []
    [error] = document["errors"]
    assert set(error) == {"file", "line", "column", "message", "hint"}
    assert (error["line"], error["column"]) == (3, 2)
    assert not (tmp_path / "made").exists()
    assert f"error: {wrong}:3:2: column 'geometry'" in call(wrong, "-o", tmp_path / "made")[1]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    there = tmp_path / "B_2.yaml"
    there.write_text("mine", encoding="utf-8")
    code, said = call(sheet(tmp_path), "-o", tmp_path)
    assert code == 3
    assert f"{there}: exists already" in said
    assert there.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "A_1.yaml").exists()


def test_two_names_that_give_one_file_are_refused(tmp_path: Path) -> None:
    code, said = call(sheet(tmp_path, SHEET.replace("B 2", "a:1")), "-o", tmp_path / "made")
    assert code == 3
    assert "the same file name as row 2" in said
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("LLZTO 01", "LLZTO_01.yaml"),
        ("../../etc/passwd", "etc_passwd.yaml"),
        ("C:\\cells", "C_cells.yaml"),
        ("..", "cell.yaml"),
        ("con", "cell_con.yaml"),
        ("Zelle µ", "Zelle_µ.yaml"),
        ("x" * 100, "x" * 50 + ".yaml"),
    ],
)
def test_a_name_becomes_a_file_name_that_every_system_takes(name: str, file: str) -> None:
    assert file_name(name) == file
