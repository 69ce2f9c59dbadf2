"""The files that ``sandtime init`` writes: a service.toml, a cell and a protocol to start from."""

from __future__ import annotations

from pathlib import Path

from protocols.errors import InvalidFileError, Problem

SERVICE = """\
# What sandtime has to know of this lab. Everything here can be changed; restart the daemon afterwards.

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

[simulation.vsp]                   # what stands behind the simulated address: sandtime simulate
address = "192.168.0.10"
channels = { 1 = { preset = "generic_symmetric" }, 2 = { preset = "tfoh_llzto" } }

[simulation_chambers.oven]         # what stands behind the chamber of the same name: sandtime simulate
start_celsius = 25
rate_K_per_min = 3
"""

CELL = """\
# The cell under test. Every value carries its unit.
sandtime: 1
name: my first cell
geometry: symmetric                # symmetric, asymmetric, full, half or blocking
area: 0.785 cm²                    # or  diameter: 10 mm
working: {lithium: 100 µm}
counter: {lithium: 100 µm}
electrolyte: {name: LLZTO, class: garnet, thickness: 600 µm}
temperature: 25 °C
"""

PROTOCOL = """\
# A first test: rest, then strip and plate three times.
# Change the numbers, then: sandtime check first_protocol.yaml
sandtime: 1
name: first_protocol
description: Three cycles at 0.2 mA/cm², 0.1 mAh/cm² per half-cycle.
parameters:
  current: 0.2 mA/cm²
  capacity: 0.1 mAh/cm²
steps:
  - rest: {for: 1 min}
  - repeat:
      times: 3
      steps:
        - constant_current: {current: $current, until: {areal_capacity: $capacity}}
        - constant_current: {current: -$current, until: {areal_capacity: $capacity}}
"""

FILES = {"service.toml": SERVICE, "my_cell.yaml": CELL, "first_protocol.yaml": PROTOCOL}


def write_start_files(folder: Path) -> list[Path]:
    """Write the files into ``folder``, which may exist. Raises InvalidFileError rather than overwrite one."""
    folder.mkdir(parents=True, exist_ok=True)
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        hint = "choose another folder, or move these files away"
        raise InvalidFileError([Problem(str(folder / name), 0, 0, "exists already", hint) for name in there])
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in FILES]
