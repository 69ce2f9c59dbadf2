"""A run as a workbook for people: units of the lab, a sheet for each kind of thing.

A sheet has a limit of rows. Where a run has more samples, each row stands for several of them; the overview
says so. No text from a run is ever a formula.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from protocols.cell import Cell
from storage import bdf
from storage.columns import Columns, join, length
from storage.files import to_json, whole_file
from storage.flat import utc
from storage.run_reader import RunReader

SHEET_ROWS = 1_048_576
"""Rows of a sheet in Excel (Microsoft's specification), the heading among them."""
COLUMNS = ("t_s", "voltage_V", "current_A", "half_cycle", "step")
WIDTH = 16
UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""Characters that XML 1.0 has no place for."""

Value = str | float | int | bool | datetime | None
Row = Sequence[Value]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: its name, its headings and its rows."""

    name: str
    headings: tuple[str, ...]
    rows: Iterable[Row]


def write(reader: RunReader, run: int, path: Path) -> None:
    """Write a run's workbook."""
    from openpyxl import Workbook

    workbook = Workbook(write_only=True)
    workbook.properties.creator = "sandtime"
    for sheet in _sheets(reader, run):
        _add(workbook, sheet)
    with whole_file(path) as draft:
        workbook.save(draft)


def _add(workbook: Any, sheet: Sheet) -> None:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    page = workbook.create_sheet(sheet.name)
    page.freeze_panes = "A2"
    for number in range(1, len(sheet.headings) + 1):
        page.column_dimensions[get_column_letter(number)].width = WIDTH
    heading = [WriteOnlyCell(page, text) for text in sheet.headings]
    for cell in heading:
        cell.font = Font(bold=True)
    page.append(heading)
    for row in itertools.islice(sheet.rows, SHEET_ROWS - 1):
        page.append([_cell(page, value) if isinstance(value, str) else _plain(value) for value in row])


def _cell(page: Any, text: str) -> Any:
    """Return a cell that holds a text as text, whatever it begins with."""
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(page, UNREADABLE.sub("\ufffd", text))
    if cell.data_type == "f":
        cell.data_type = "s"
        cell.quotePrefix = True
    return cell


def _plain(value: Value) -> Value:
    """Return a number that a sheet can hold: NaN and infinity it can't."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sheets(reader: RunReader, run: int) -> list[Sheet]:
    cell = reader.program(run).cell
    samples = _samples(reader, run, cell)
    spectra = _points(reader, run)
    return [
        _overview(
            reader, run, cell, {samples.name: _about_samples(reader.count(run)), **_about_points(spectra)}
        ),
        _half_cycles(reader, run, cell),
        _verdicts(reader, run),
        Sheet("Spectra", ("Spectrum", "Time (s)", "f (Hz)", "Z′ (Ω)", "−Z″ (Ω)", "E (V)", "I (mA)"), spectra),
        Sheet(
            "Gaps",
            ("From (s)", "To (s)", "Why samples are missing"),
            [(gap.t_from_s, gap.t_to_s, gap.reason) for gap in reader.gaps(run)],
        ),
        samples,
    ]


def _overview(reader: RunReader, run: int, cell: Cell, about: Mapping[str, str]) -> Sheet:
    info = reader.run(run)
    rows: list[Row] = [
        ("Run", info.run),
        ("Name", info.name),
        ("Cell", info.cell),
        ("Protocol", info.protocol),
        ("Station", info.station),
        ("State", info.state),
        ("Why", info.reason),
        ("Verdict", info.verdict.message if info.verdict else ""),
        ("Simulated", info.simulated),
        ("Started (UTC)", utc(info.started_unix_s)),
        ("Ended (UTC)", utc(info.ended_unix_s)),
        ("Electrode area (cm²)", _cm2(cell)),
        ("Samples", reader.count(run)),
        *((f"Sheet “{name}”", text) for name, text in about.items()),
        ("Sign of the current", bdf.CONVENTIONS["current"]),
    ]
    rows += [(f"Result: {name}", _as_value(value)) for name, value in (reader.results(run) or {}).items()]
    return Sheet("Overview", ("What", "Value"), rows)


def _as_value(value: object) -> Value:
    return value if isinstance(value, str | float | int | bool | None) else to_json(value)


def _about_samples(count: int) -> str:
    each = _samples_a_row(count)
    if each == 1:
        return "One row for each sample."
    return (
        f"A sheet holds {SHEET_ROWS} rows and the run has {count} samples: each row stands for {each} of "
        "them, one after the other, with the least, mean and greatest E. "
        "`sandtime export --format bdf-parquet` writes every sample."
    )


def _half_cycles(reader: RunReader, run: int, cell: Cell) -> Sheet:
    headings = (
        "Half-cycle",
        "Start (h)",
        "End (h)",
        "I set (mA)",
        "I (mA)",
        "j (mA/cm²)",
        "Q (mAh)",
        "Q (mAh/cm²)",
        "Complete",
        "Overpotential (mV)",
        "E min (V)",
        "E max (V)",
        "E end (V)",
    )
    rows: list[Row] = [
        (
            h.number,
            h.t_start_s / 3600,
            h.t_end_s / 3600,
            h.set_current_A * 1e3,
            h.current_A * 1e3,
            h.current_A * 1e3 / _cm2(cell),
            h.charge_C / 3.6,
            h.charge_C / 3.6 / _cm2(cell),
            h.complete,
            h.overpotential_V * 1e3,
            h.voltage_min_V,
            h.voltage_max_V,
            h.voltage_end_V,
        )
        for h in reader.half_cycles(run)
    ]
    return Sheet("Half-cycles", headings, rows)


def _verdicts(reader: RunReader, run: int) -> Sheet:
    headings = ("Kind", "Tier", "Reached (s)", "Began (s)", "Side", "False alarm", "What was found")
    rows: list[Row] = [
        (v.kind, v.tier, v.time_s, v.event_s, v.side, v.false_alarm, v.message) for v in reader.verdicts(run)
    ]
    return Sheet("Verdicts", headings, rows)


def _points(reader: RunReader, run: int) -> list[Row]:
    return [
        (number, t_s, frequency, real, -imaginary, whole.voltage_V, whole.current_A * 1e3)
        for number, (whole, _) in enumerate(reader.spectra(run))
        for t_s, frequency, real, imaginary in zip(
            whole.t_s, whole.frequency_Hz, whole.z_real_ohm, whole.z_imag_ohm, strict=True
        )
    ]


def _about_points(points: Sequence[Row]) -> dict[str, str]:
    if len(points) < SHEET_ROWS:
        return {}
    left_out = len(points) - SHEET_ROWS + 1
    return {
        "Spectra": f"The last {left_out} points are left out. `sandtime export --format eis-csv` has all."
    }


def _samples(reader: RunReader, run: int, cell: Cell) -> Sheet:
    each = _samples_a_row(reader.count(run))
    if each == 1:
        plain = ("Time (s)", "E (V)", "I (mA)", "j (mA/cm²)", "Half-cycle", "Step")
        return Sheet("Samples", plain, _one_by_one(reader, run, cell))
    voltages = ("From (s)", "To (s)", "Samples", "E min (V)", "E mean (V)", "E max (V)")
    headings = (*voltages, "I mean (mA)", "j mean (mA/cm²)", "Half-cycle", "Step")
    return Sheet("Samples, rolled up", headings, _rolled_up(reader, run, cell, each))


def _samples_a_row(count: int) -> int:
    """Return how many samples a row has to stand for, so that all find a place."""
    return max(1, math.ceil(count / (SHEET_ROWS - 1)))


def _one_by_one(reader: RunReader, run: int, cell: Cell) -> Iterator[Row]:
    for piece in reader.pieces(run, COLUMNS):
        current_mA = piece["current_A"] * 1e3
        values = (piece["t_s"], piece["voltage_V"], current_mA, current_mA / _cm2(cell))
        yield from zip(*(v.tolist() for v in (*values, piece["half_cycle"], piece["step"])), strict=True)


def _rolled_up(reader: RunReader, run: int, cell: Cell, each: int) -> Iterator[Row]:
    for piece in _in_multiples(reader.pieces(run, COLUMNS), each):
        size = min(each, length(piece))
        rows = {name: values.reshape(-1, size) for name, values in piece.items()}
        E, t_s = rows["voltage_V"], rows["t_s"]
        mean_mA = rows["current_A"].mean(axis=1) * 1e3
        columns = (
            *(t_s[:, 0], t_s[:, -1], np.full(len(t_s), size)),
            *(E.min(axis=1), E.mean(axis=1), E.max(axis=1)),
            *(mean_mA, mean_mA / _cm2(cell), rows["half_cycle"][:, 0], rows["step"][:, 0]),
        )
        yield from zip(*(column.tolist() for column in columns), strict=True)


def _in_multiples(pieces: Iterable[Columns], each: int) -> Iterator[Columns]:
    """Yield pieces whose lengths are multiples of ``each``, and at last the shorter rest, if there is one."""
    rest = join([], COLUMNS)
    for piece in pieces:
        whole = join([rest, piece], COLUMNS)
        cut = length(whole) // each * each
        if cut:
            yield {name: values[:cut] for name, values in whole.items()}
        rest = {name: values[cut:] for name, values in whole.items()}
    if length(rest):
        yield rest


def _cm2(cell: Cell) -> float:
    return float(f"{cell.area_m2 * 1e4:.12g}")
