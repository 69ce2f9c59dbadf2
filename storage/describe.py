"""The metadata that goes with every file of samples."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from protocols.measurements import as_json
from protocols.program import Program
from storage import bdf
from storage.run_reader import RunReader


def describe(reader: RunReader, run: int, columns: Sequence[str]) -> dict[str, object]:
    """Return what a reader of the file has to know: run, cell and protocol, units, signs."""
    return {
        "generator": "sandtime",
        "run": as_json(reader.run(run)),
        "cell": as_json(reader.program(run).cell),
        "texts": reader.extra(run),  # noqa: S610 - not Django's extra
        "conventions": bdf.CONVENTIONS,
        "columns": {name: bdf.DESCRIPTIONS[name] for name in columns},
        "gaps": [as_json(gap) for gap in reader.gaps(run)],
    }


def provenance(reader: RunReader, run: int, **part: int) -> dict[str, object]:
    """Return what a Parquet file says of where it comes from; ``part``: which part of the run it is."""
    info, program = reader.run(run), reader.program(run)
    return {
        "generator": "sandtime",
        "version": version("sandtime"),
        "run": run,
        "name": info.name,
        "cell": program.cell.name,
        "protocol": info.protocol,
        "program": program.digest(),
        "station": info.station,
        "simulated": info.simulated,
        "started_unix_s": info.started_unix_s,
        **part,
        "kept": _kept_words(program),
        "conventions": bdf.CONVENTIONS,
    }


def _kept_words(program: Program) -> str:
    if program.record_s is None:
        return "all samples"
    return f"one sample every {program.record_s:g} s, and those that the protocol's record asks for besides"
