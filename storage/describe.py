"""The metadata that goes with every file of samples."""

from __future__ import annotations

from collections.abc import Sequence

from protocols.measurements import as_json
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
