"""Reads a csv export with PyProBE, in PyProBE's own environment, and prints what PyProBE makes of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars
import pyprobe
from pyprobe.cyclers import column_maps

COLUMNS = {
    "Time [s]": ("test_time_second", polars.Float64),
    "Voltage [V]": ("voltage_volt", polars.Float64),
    "Current [A]": ("current_ampere", polars.Float64),
    "Capacity [Ah]": ("net_capacity_ah", polars.Float64),
    "Step": ("step_count", polars.UInt64),
}
"""Column of PyProBE → column of BDF and its type."""


def main(source: str) -> None:
    """Print one JSON document."""
    cell = pyprobe.Cell(info={"Name": "c"})
    maps = [column_maps.CastAndRenameMap(name, of, kind) for name, (of, kind) in COLUMNS.items()]
    target = str(Path(source).with_name("pyprobe.parquet"))
    cell.import_from_cycler("run", "generic", source, target, column_importers=maps)
    run = cell.procedure["run"]
    charge = run.charge(0)
    found = {name: run.get(name).tolist() for name in COLUMNS}
    json.dump({"columns": found, "first_charge_Ah": charge.capacity}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
