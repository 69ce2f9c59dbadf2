"""The files that ``sandtime init`` writes: a service.toml, a cell and a protocol to start from."""

from __future__ import annotations

import shutil
from pathlib import Path

from protocols.errors import InvalidFileError, Problem
from protocols.schema import FOLDER as SHIPPED

SERVICE_SCHEMA = Path(__file__).parent / "schema"

SERVICE = """\
#:schema schema/service.schema.json
# What sandtime has to know of this lab. Everything here can be changed. Afterwards:
#   sandtime doctor     finds mistakes
#   sandtime reload     lets the daemon take what has changed; cells that run are not touched

data = "data"                      # folder for all data, relative to this file

[instruments.vsp]
driver = "biologic"
model = "VSP-300"
address = "192.168.0.10"           # of the potentiostat in your network
library = "simulation"             # with a real instrument: the path of EClib64.dll
# technique_folder = "C:/EC-Lab Development Package/lib"   # where the vendor's .ecc files are

[chambers.oven]                    # a temperature chamber; leave it out if you have none
driver = "espec"                   # ESPEC P300 or SCP-220, by a serial-to-TCP adapter
address = "simulation"             # with a real chamber: host and port, such as "192.168.0.20:10001"
lowest_celsius = 10                # no set-point outside these two is ever sent
highest_celsius = 80
# safe_celsius = 25               # where `stop --all --chambers-off` brings it; else that switches it off

[stations.bench-1]                 # what one cell is wired to
instrument = "vsp"
channel = 1
chamber = "oven"                   # where the cell is; several stations may share a chamber

[stations.bench-2]
instrument = "vsp"
channel = 2

[mqtt]
broker = "embedded"                # or "lab-server:1883"
site = "lab"

[storage]                          # what happens when the disk fills up, or is gone
hold_minutes = 10                  # so long measuring goes on from memory; just before, all runs end
hold_megabytes = 400               # or earlier, when the samples that wait fill so much memory
warn_gigabytes = 5                 # with less free space there is a warning,
warn_hours = 24                    # and when the disk is full earlier than this, at the rate of the last hour
least_gigabytes = 1                # with less free space no run starts

[checks]                           # what is looked at before a test starts
before_start = true                # cell and contacts: E, a small spectrum, and whether it is the same cell
calibration = "warn"               # a channel without a valid one: "ignore", "warn" or "require"

[simulation.vsp]                   # what stands behind the simulated address: sandtime simulate
address = "192.168.0.10"
channels = { 1 = { preset = "generic_symmetric" }, 2 = { preset = "tfoh_llzto" } }

[simulation_chambers.oven]         # what stands behind the chamber of the same name: sandtime simulate
# A simulated cell sits in it with  chamber = "oven"  beside its preset.
start_celsius = 25
rate_K_per_min = 3
"""

CELL = """\
# yaml-language-server: $schema=schema/cell.schema.json
# The cell under test. Every value carries its unit. What follows a '#' is a remark: to make one of the last
# lines count, take its '# ' away.
sandtime: 1
name: my first cell
geometry: symmetric                # symmetric, asymmetric, full, half or blocking
area: 0.785 cm²                    # of the electrode; or  diameter: 10 mm
working: {lithium: 100 µm}         # positive current strips this side; the thin side of an asymmetric cell
counter: {lithium: 100 µm}         # a thickness, or a capacity such as 20 mAh/cm²; leave out what has none
electrolyte: {name: LLZTO, class: garnet, thickness: 600 µm}   # its class gives the voltage limits
temperature: 25 °C
# identity: A-17                   # what is written on the cell
# capacity: 2 mAh                  # for C-rates; also per area, or per mass
# mass: 12 mg                      # of active material, for mA/g and mAh/g
# voltage_window: {from: 2.5 V, to: 4.3 V}          # a full or half cell needs it
# activation_energy: 0.35 eV        # of its resistance; else a usual one of the electrolyte's class
# temperature_window: {from: 10 °C, to: 80 °C}      # needed by protocols that set a temperature
"""

PROTOCOL = """\
# yaml-language-server: $schema=schema/protocol.schema.json
# A first test: rest, measure a spectrum, then strip and plate three times.
# Change the numbers, then: sandtime check first_protocol.yaml --cell my_cell.yaml
sandtime: 1
name: first_protocol
description: Three cycles at 0.5 mA/cm², 0.05 mAh/cm² per half-cycle.

parameters:                        # values to change for one run: --set current="0.2 mA/cm²"
  current: 0.5 mA/cm²
  capacity: 0.05 mAh/cm²           # per half-cycle; the time follows as capacity / current
  cycles: 3

record:
  every: 10 s                      # what is kept for good; guards see a sample every second all the same

steps:
  - rest: {for: 1 min}
  - geis: {amplitude: 0.05 mA/cm², frequency: {from: 1 MHz, to: 1 Hz}}
  - repeat:
      times: $cycles
      steps:                       # a positive current strips the working electrode, a negative one plates it
        - constant_current: {current: $current, until: {areal_capacity: $capacity}}
        - constant_current: {current: -$current, until: {areal_capacity: $capacity}}

afterwards:                        # at open circuit, however the test ended
  - rest: {for: 1 min}
"""

FILES = {"service.toml": SERVICE, "my_cell.yaml": CELL, "first_protocol.yaml": PROTOCOL}
SCHEMAS = "schema"
"""Folder of the schemas that make an editor offer words; the first lines of the files above name it."""


def write_start_files(folder: Path) -> list[Path]:
    """Write the files into ``folder``, which may exist. Raises InvalidFileError rather than overwrite one."""
    folder.mkdir(parents=True, exist_ok=True)
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        hint = "choose another folder, or move these files away"
        raise InvalidFileError([Problem(str(folder / name), 0, 0, "exists already", hint) for name in there])
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [*(folder / name for name in FILES), *_write_schemas(folder / SCHEMAS)]


def _write_schemas(folder: Path) -> list[Path]:
    """Copy the schemas that came with sandtime."""
    folder.mkdir(exist_ok=True)
    shipped = [*SHIPPED.glob("*.json"), *SERVICE_SCHEMA.glob("*.json")]
    return [Path(shutil.copyfile(path, folder / path.name)) for path in sorted(shipped)]
