"""What is kept of runs besides samples, as flat rows: for SQL, data frames and spreadsheets.

A column is called like the field that it holds, so that its name ends in its unit. Texts of JSON hold what
has no fixed columns.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from protocols.errors import StorageError
from protocols.measurements import Spectrum, SpectrumSummary
from protocols.records import Gap, HalfCycle, RunInfo
from protocols.verdicts import Verdict
from storage.run_reader import RunReader

Kind = Literal["whole", "number", "yes_no", "text", "time", "numbers"]
"""``time``: UTC, without a zone, as its name says; ``numbers``: a list."""

FlatRow = dict[str, Any]

_KINDS: dict[Any, Kind] = {int: "whole", float: "number", bool: "yes_no", str: "text"}


@dataclass(frozen=True, slots=True)
class FlatTable:
    """One table: its columns, and its rows for one run."""

    columns: Mapping[str, Kind]
    rows: Callable[[RunReader, int], Iterator[FlatRow]]


def utc(unix_s: float | None) -> datetime | None:
    """Return a Unix time as UTC without a zone; None stays None."""
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC).replace(tzinfo=None)


def _runs(reader: RunReader, run: int) -> Iterator[FlatRow]:
    info = reader.run(run)
    try:
        cell = reader.program(run).cell
    except StorageError:  # stored without its program
        cell = None
    yield {
        **{name: getattr(info, name) for name in _RUN_FIELDS},
        "verdict": None if info.verdict is None else info.verdict.kind,
        "geometry": None if cell is None else cell.geometry,
        "area_m2": None if cell is None else cell.area_m2,
        "submitted_utc": utc(info.submitted_unix_s),
        "started_utc": utc(info.started_unix_s),
        "ended_utc": utc(info.ended_unix_s),
    }


def _half_cycles(reader: RunReader, run: int) -> Iterator[FlatRow]:
    for half_cycle in reader.half_cycles(run):
        yield {"run": run, **_plain(half_cycle)}


def _spectra(reader: RunReader, run: int) -> Iterator[FlatRow]:
    for number, (spectrum, summary) in enumerate(reader.spectra(run)):
        few = {name: value for name, value in _plain(summary).items() if name in _SUMMARY}
        whole = _plain(spectrum)
        del whole["channel"]
        yield {"run": run, "spectrum": number, **whole, **few}


def _verdicts(reader: RunReader, run: int) -> Iterator[FlatRow]:
    for verdict in reader.verdicts(run):
        yield {"run": run, **_plain(verdict)}


def _gaps(reader: RunReader, run: int) -> Iterator[FlatRow]:
    for gap in reader.gaps(run):
        yield {"run": run, **_plain(gap)}


def _events(reader: RunReader, run: int) -> Iterator[FlatRow]:
    for stored in reader.events_of(run):
        yield {
            "run": run,
            "event": stored.id,
            "kind": stored.event.kind,
            "t_s": stored.event.t_s,
            "utc": utc(stored.event.unix_s),
            "data": json.dumps(stored.event.data, ensure_ascii=False),
        }


def _plain(model: BaseModel) -> FlatRow:
    """Return the fields of a model; mappings as JSON, tuples as lists."""
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
        for name, value in model.model_dump().items()
    }


def _columns(model: type[BaseModel]) -> dict[str, Kind]:
    hints = get_type_hints(model)
    return {name: _kind(hints[name]) for name in model.model_fields}


def _kind(annotation: Any) -> Kind:
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is tuple:
        return "numbers"
    return _KINDS.get(annotation, "text")


_RUN_FIELDS = ("run", "name", "state", "reason", "protocol", "cell", "station", "simulated", "t_s", "samples")
_SUMMARY = {
    name: kind for name, kind in _columns(SpectrumSummary).items() if name not in ("t_s", "current_A")
}
_OF_RUN: dict[str, Kind] = {"run": "whole"}

TABLES: dict[str, FlatTable] = {
    "runs": FlatTable(
        {
            **{name: kind for name, kind in _columns(RunInfo).items() if name in _RUN_FIELDS},
            "verdict": "text",
            "geometry": "text",
            "area_m2": "number",
            "submitted_utc": "time",
            "started_utc": "time",
            "ended_utc": "time",
        },
        _runs,
    ),
    "half_cycles": FlatTable({**_OF_RUN, **_columns(HalfCycle)}, _half_cycles),
    "spectra": FlatTable(
        {
            **_OF_RUN,
            "spectrum": "whole",
            **{name: kind for name, kind in _columns(Spectrum).items() if name != "channel"},
            **_SUMMARY,
        },
        _spectra,
    ),
    "verdicts": FlatTable({**_OF_RUN, **_columns(Verdict)}, _verdicts),
    "gaps": FlatTable({**_OF_RUN, **_columns(Gap)}, _gaps),
    "events": FlatTable(
        {**_OF_RUN, "event": "whole", "kind": "text", "t_s": "number", "utc": "time", "data": "text"}, _events
    ),
}
"""Name of a table → what it holds."""
