"""Sheets of cells: csv and xlsx, errors per row, and the cell files made of them."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.cell import Cell
from protocols.cellfile import parse_cell
from protocols.cellsheet import as_yaml, read_cell_sheet
from protocols.errors import InvalidFileError, Problem
from protocols.spreadsheet import MAX_BYTES, MAX_COLUMNS, MAX_ROWS, MAX_UNPACKED

HEADER = [
    "name",
    "identity",
    "geometry",
    "area / cm²",
    "working.lithium [µm]",
    "counter.lithium",
    "metadata.batch",
]
FIRST = ["A 1", "0042", "symmetric", 0.785, 100, "100 µm", "7"]
SECOND = ["A 2", "0043", "symmetric", 0.503, 50, "10.25 mAh/cm²", "8: new"]

Write = Callable[[list[list[Any]]], Path]


def as_csv(rows: list[list[Any]], delimiter: str = ",") -> str:
    return "".join(delimiter.join("" if v is None else str(v) for v in row) + "\n" for row in rows)


@pytest.fixture(params=["csv", "xlsx"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Return a function that writes rows as a sheet of either kind."""

    def write_csv(rows: list[list[Any]]) -> Path:
        path = tmp_path / "cells.csv"
        path.write_text(as_csv(rows), encoding="utf-8")
        return path

    def write_xlsx(rows: list[list[Any]]) -> Path:
        return workbook(tmp_path, rows)

    return write_csv if request.param == "csv" else write_xlsx


def workbook(folder: Path, rows: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    path = folder / "cells.xlsx"
    book.save(path)
    return path


def csv_file(folder: Path, text: str | bytes) -> Path:
    path = folder / "cells.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems_of(path: Path) -> list[Problem]:
    with pytest.raises(InvalidFileError) as caught:
        read_cell_sheet(path)
    return list(caught.value.problems)


def test_each_row_is_a_cell(write: Write) -> None:
    rows = read_cell_sheet(write([HEADER, FIRST, [None] * 7, SECOND]))
    assert [(row.row, row.cell.name) for row in rows] == [(2, "A 1"), (4, "A 2")]
    first, second = (row.cell for row in rows)
    assert first.area_m2 == pytest.approx(0.785e-4)
    assert first.identity == "0042"
    assert first.metadata == {"batch": "7"}
    assert second.inventory_C("working") == pytest.approx(second.inventory_C("counter"))


def test_a_row_reads_as_its_cell_file_does(write: Write) -> None:
    for row in read_cell_sheet(write([HEADER, FIRST, SECOND])):
        text = as_yaml(row)
        assert f"row {row.row} of {Path(row.file).name}" in text.splitlines()[0]
        assert parse_cell(text, "cell.yaml") == row.cell


WRONG: list[tuple[int, Any, str, str]] = [
    (1, None, "column 'name': 'name' has no value", ""),
    (3, "symetric", "column 'geometry': 'symetric' is not known", "'symmetric'"),
    (4, -1, "column 'area / cm²': '-1 cm²' has to be more than zero", ""),
    (4, "big", "column 'area / cm²': 'big' is not an area", "cm²"),
    (4, "1 cm", "column 'area / cm²': '1 cm' is a length", "cm²"),
    (6, "100", "column 'counter.lithium': '100' has no unit", "µm"),
    (6, "20 µm", "column 'counter.lithium': A symmetric cell has the same lithium", "asymmetric"),
    (2, "0042", "column 'identity': '0042' stands in row 2 too", "its own"),
    (1, "A 1", "column 'name': 'A 1' stands in row 2 too", "its own"),
    (7, "x" * 201, "column 'metadata.batch': One line of up to 200", ""),
    (8, "stray", "the column has no header", "Write a header"),
]


@pytest.mark.parametrize(("column", "value", "message", "hint"), WRONG)
def test_a_wrong_value_is_told_by_row_column_and_header(
    write: Write, column: int, value: Any, message: str, hint: str
) -> None:
    row = [*SECOND, None]
    row[column - 1] = value
    path = write([HEADER, FIRST, row])
    [problem] = problems_of(path)
    assert (problem.file, problem.line, problem.column) == (str(path), 3, column)
    assert message in problem.message
    assert hint in problem.hint


def test_each_wrong_row_is_told_at_once(write: Write) -> None:
    path = write([HEADER, ["a", "", "half", 0, "", "", ""], FIRST, ["b", "", "ful", 1, "x", "", ""]])
    assert [(problem.line, problem.column) for problem in problems_of(path)] == [(2, 4), (4, 3), (4, 5)]


def test_a_cell_without_a_size_is_a_problem_of_its_row(write: Write) -> None:
    [problem] = problems_of(write([HEADER, [*FIRST[:3], None, *FIRST[4:]]]))
    assert (problem.line, problem.column) == (2, 0)
    assert "'area' or a 'diameter'" in problem.message


@pytest.mark.parametrize(
    ("header", "column", "message", "hint"),
    [
        (["name", "geometry", "aera"], 3, "'aera' is not known", "'area'"),
        (["name", "geometry", "area / V"], 3, "is a voltage", "cm²"),
        (["name", "geometry", "area / cmm"], 3, "unit 'cmm' is not known", ""),
        (["name", "geometry [mm]", "area"], 2, "takes no unit", "alone"),
        (["name", "geometry", "area", "area / cm²"], 4, "stands there twice", ""),
        (["name", "geometry", "working"], 3, "'working' is not known", "working.lithium"),
        (["name", "area"], 1, "no column 'geometry'", "geometry"),
    ],
)
def test_a_wrong_header_is_told_once(
    write: Write, header: list[str], column: int, message: str, hint: str
) -> None:
    [problem] = problems_of(write([header, ["a", "b", "c", "d"], ["a", "b", "c", "d"]]))
    assert (problem.line, problem.column) == (1, column)
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_may_be_separated_by_any_of_three_signs(tmp_path: Path, delimiter: str, mark: str) -> None:
    path = csv_file(tmp_path, mark + as_csv([HEADER, FIRST], delimiter).replace("\n", "\r\n"))
    assert read_cell_sheet(path)[0].cell.area_m2 == pytest.approx(0.785e-4)


@pytest.mark.parametrize("value", ["0,785", "0,785 cm²", "-0,5"])
def test_a_decimal_comma_is_refused(tmp_path: Path, value: str) -> None:
    row = [*FIRST[:3], value, *FIRST[4:]]
    [problem] = problems_of(csv_file(tmp_path, as_csv([HEADER, row], ";")))
    assert (problem.line, problem.column) == (2, 4)
    assert "decimal point, not a comma" in problem.message


def test_a_value_over_several_lines_does_not_shift_the_rows(tmp_path: Path) -> None:
    text = 'name,geometry,area,notes\na,half,1 cm²,"two\nlines"\n\nb,hal,1 cm²,\n'
    [problem] = problems_of(csv_file(tmp_path, text))
    assert problem.line == 4


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"", 1, "hold the headers"),
        (b"\nname,geometry\n", 1, "hold the headers"),
        (b"name,geometry,area\n", 2, "no cell below"),
        ("name,geometry,area\nµ,half,1 cm".encode("latin-1"), 2, "neither UTF-8"),
        (b'name,geometry,area\n"a,half', 2, "can't be read as csv"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0, "old or encrypted Excel"),
        (b"PK\x03\x04 nothing", 0, "can't be read as .xlsx"),
        (b"#" * (MAX_BYTES + 1), 0, "larger than"),
        (b"name,geometry\n" + b"a,b\n" * MAX_ROWS, MAX_ROWS + 1, "more than"),
        (b"name" + b",a" * MAX_COLUMNS, 1, "more than"),
    ],
)
def test_what_is_no_sheet_is_refused(tmp_path: Path, content: bytes, line: int, message: str) -> None:
    [problem] = problems_of(csv_file(tmp_path, content))
    assert problem.line == line
    assert message in problem.message


def test_a_sheet_that_is_not_there_is_refused(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path / "absent.xlsx")
    assert "can't be read" in problem.message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("=0.5*2", "A formula"),
        ("#REF!", "error of the spreadsheet"),
        (datetime.date(2026, 1, 2), "has made a date"),
    ],
)
def test_what_a_spreadsheet_computes_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    [problem] = problems_of(workbook(tmp_path, [HEADER, FIRST, [*SECOND[:3], value, *SECOND[4:]]]))
    assert (problem.line, problem.column) == (3, 4)
    assert message in problem.message
    assert "column 'area / cm²'" in problem.message


def test_numbers_of_a_workbook_are_read_as_they_are_shown(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(
        ["name", "identity", "geometry", "area / cm²", "contains_liquid", "working.uncertainty"]
    )
    book.active.append([12, 4006381333931, "half", 1e-3, True, 0.05])
    book.active["F2"].number_format = "0%"
    book.save(tmp_path / "cells.xlsx")
    [row] = read_cell_sheet(tmp_path / "cells.xlsx")
    assert (row.cell.name, row.cell.identity) == ("12", "4006381333931")
    assert row.cell.contains_liquid
    assert row.cell.area_m2 == pytest.approx(1e-7)
    assert row.cell.working.uncertainty == pytest.approx(0.05)
    assert parse_cell(as_yaml(row), "c.yaml") == row.cell


def test_a_percentage_is_no_percentage_of_a_percent(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["name", "geometry", "area", "max_loss / %"])
    book.active.append(["a", "half", "1 cm²", 0.3])
    book.active["D2"].number_format = "0.0%"
    book.save(tmp_path / "cells.xlsx")
    assert read_cell_sheet(tmp_path / "cells.xlsx")[0].cell.max_loss == pytest.approx(0.3)


def _repacked(folder: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """Return a workbook with one of its parts changed."""
    path = workbook(folder, [HEADER, FIRST])
    content = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as new:
        assert name in old.namelist()
        for part in old.namelist():
            new.writestr(part, change(old.read(part)) if part == name else old.read(part))
    path.write_bytes(content.getvalue())
    return path


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = _repacked(tmp_path, "xl/styles.xml", lambda _: b" " * (MAX_UNPACKED + 1))
    assert path.stat().st_size < MAX_BYTES
    [problem] = problems_of(path)
    assert "Unpacked" in problem.message


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    for part in ("xl/worksheets/sheet1.xml", "xl/styles.xml", "xl/workbook.xml"):
        path = _repacked(tmp_path, part, lambda text: bomb + text)
        [problem] = problems_of(path)
        assert "can't be read as .xlsx" in problem.message


def test_a_row_far_below_does_not_run_the_memory_full(tmp_path: Path) -> None:
    far = b'<row r="900000000000"><c r="A900000000000" t="n"><v>1</v></c></row></sheetData>'
    path = _repacked(tmp_path, "xl/worksheets/sheet1.xml", lambda text: text.replace(b"</sheetData>", far))
    [problem] = problems_of(path)
    assert "more than" in problem.message


@pytest.mark.parametrize("column", [MAX_COLUMNS + 1, MAX_COLUMNS + 100])
def test_a_workbook_that_is_too_wide_is_refused(tmp_path: Path, column: int) -> None:
    wide = [*HEADER, *["metadata.x"] * (column - len(HEADER))]
    [problem] = problems_of(workbook(tmp_path, [wide, FIRST]))
    assert "columns" in problem.message


def test_a_doubtful_row_is_read_with_a_warning(write: Write) -> None:
    [row] = read_cell_sheet(write([HEADER, ["a", "", "full", 1, None, "50 µm", None]]))
    [warning] = row.warnings
    assert (warning.line, warning.column) == (2, 4)
    assert "column 'area / cm²': It is not said which electrode" in warning.message


printable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)


@given(name=printable, fixture=printable, key=printable, value=printable, electrolyte=printable)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_any_text_survives_sheet_and_cell_file(
    tmp_path: Path, name: str, fixture: str, key: str, value: str, electrolyte: str
) -> None:
    header = ["name", "geometry", "area", "fixture", "electrolyte.name", f"metadata.{key}"]
    row = [name, "half", "1 cm²", fixture, electrolyte, value]
    quoted = [['"' + text.replace('"', '""') + '"' for text in texts] for texts in (header, row)]
    [read] = read_cell_sheet(csv_file(tmp_path, as_csv(quoted, "\t")))
    cell: Cell = parse_cell(as_yaml(read), "c.yaml")
    assert cell == read.cell
    assert (cell.name, cell.fixture, cell.metadata) == (name, fixture, {key: value})


HEADED = as_csv([HEADER]).encode()


@given(
    st.binary(max_size=200)
    | st.binary(max_size=60).map(lambda end: b"PK\x03\x04" + end)
    | st.binary(max_size=100).map(lambda end: HEADED + end)
    | st.text(max_size=100).map(lambda end: HEADED + end.encode())
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_sheet_or_an_invalid_file(tmp_path: Path, content: bytes) -> None:
    try:
        rows = read_cell_sheet(csv_file(tmp_path, content))
    except InvalidFileError as error:
        assert error.problems
    else:
        assert rows


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return workbook(tmp_path_factory.mktemp("book"), [HEADER, FIRST, SECOND]).read_bytes()


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_workbook_is_a_sheet_or_an_invalid_file(
    tmp_path: Path, healthy: bytes, data: st.DataObject
) -> None:
    """Damage inside the XML, which the zip's checksums would otherwise hide."""
    with zipfile.ZipFile(io.BytesIO(healthy)) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    name = data.draw(st.sampled_from(sorted(parts)))
    start = data.draw(st.integers(0, len(parts[name])))
    end = start + data.draw(st.integers(0, 40))
    parts[name] = parts[name][:start] + data.draw(st.binary(max_size=10)) + parts[name][end:]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as book:
        for part, text in parts.items():
            book.writestr(part, text)
    try:
        read_cell_sheet(csv_file(tmp_path, content.getvalue()))
    except InvalidFileError as error:
        assert error.problems
