"""The circuits that the field uses for cells, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from analysis.circuit.notation import parse_circuit
from analysis.circuit.tree import Circuit
from protocols.errors import CircuitError, nearest


@dataclass(frozen=True, slots=True)
class StockCircuit:
    """A circuit with a name, and what its parts stand for."""

    text: str
    description: str


STOCK: Mapping[str, StockCircuit] = MappingProxyType(
    {
        "garnet_symmetric": StockCircuit(
            "R0-p(R1,CPE1)-p(R2,CPE2)",
            "Li|garnet|Li up to 1 MHz: R0 grains (their arc is faster), 1 grain boundaries, 2 interfaces",
        ),
        "garnet_symmetric_grain": StockCircuit(
            "p(R1,CPE1)-p(R2,CPE2)-p(R3,CPE3)",
            "Li|garnet|Li up to 7 MHz or cold: 1 grains, 2 grain boundaries, 3 interfaces",
        ),
        "sulfide_symmetric": StockCircuit(
            "R0-p(R1,CPE1)", "Li|sulfide|Li: R0 electrolyte, 1 interphases and charge transfer"
        ),
        "polymer_symmetric": StockCircuit(
            "R0-p(R1,CPE1)-Ws1", "Li|polymer|Li: R0 electrolyte, 1 interphases, Ws1 diffusion of the salt"
        ),
        "polymer_symmetric_bulk": StockCircuit(
            "p(R1,CPE1)-p(R2,CPE2)-Ws1",
            "Li|polymer|Li, cold or thick: 1 electrolyte, 2 interphases, Ws1 diffusion of the salt",
        ),
        "liquid_symmetric": StockCircuit(
            "L1-R0-p(R1,CPE1)-p(R2,CPE2)-Ws1",
            "Li|liquid|Li: L1 leads, R0 electrolyte, 1 SEI, 2 charge transfer, Ws1 diffusion of the salt",
        ),
        "blocking": StockCircuit(
            "R0-CPE1", "blocking electrodes, arc of the electrolyte too fast to see: R0 electrolyte"
        ),
        "blocking_bulk": StockCircuit(
            "p(R1,CPE1)-CPE2", "blocking electrodes: 1 electrolyte, CPE2 the electrodes' double layers"
        ),
        "blocking_grain": StockCircuit(
            "p(R1,CPE1)-p(R2,CPE2)-CPE3",
            "blocking electrodes on a ceramic: 1 grains, 2 grain boundaries, CPE3 the electrodes",
        ),
        "blocking_mixed": StockCircuit(
            "p(R1,R2-CPE1)",
            "mixed conductor, electrodes that block ions: R1 electrons, R2 ions, CPE1 ions at the electrodes",
        ),
        "full_cell": StockCircuit(
            "R0-p(R1,CPE1)-p(R2,CPE2)-W1",
            "full cell: R0 electrolyte, 1 Li's interphase, 2 charge transfer, W1 diffusion in the cathode",
        ),
        "full_cell_inductive": StockCircuit(
            "L1-R0-p(R1,CPE1)-p(R2,CPE2)-W1", "full cell with the inductance of its leads (L1)"
        ),
        "full_cell_solid": StockCircuit(
            "R0-p(R1,CPE1)-p(R2,CPE2)-p(R3,CPE3)-W1",
            "full solid-state cell: R0 bulk, 1 grain boundaries, 2 Li side, 3 cathode, W1 diffusion in it",
        ),
        "full_cell_capacitive": StockCircuit(
            "R0-p(R1,CPE1)-p(R2,CPE2)-Wo1",
            "full cell at low frequency: as full_cell, Wo1 diffusion in particles that fill up",
        ),
        "randles": StockCircuit(
            "R0-p(R1-W1,CPE1)",
            "one electrode: R0 electrolyte, R1 charge transfer, W1 diffusion, CPE1 double layer",
        ),
        "randles_film": StockCircuit(
            "R0-p(R1,CPE1)-p(R2-W1,CPE2)",
            "one electrode under a film: 1 film, 2 charge transfer with diffusion W1",
        ),
        "gerischer": StockCircuit(
            "R0-p(R1,CPE1)-G1",
            "porous or mixed-conducting electrode: 1 interphase, G1 reaction with diffusion",
        ),
        "wire": StockCircuit("L1-R0", "a cell that is short-circuited, or the leads alone"),
    }
)
"""By name, in words of letters and underscores; a name is no circuit in the notation."""


def circuit_named_or_parsed(text: str) -> Circuit:
    """Return a stock circuit by its name, else read the notation. Raises CircuitError if it is neither."""
    name = text.strip().lower().replace("-", "_").replace(" ", "_")
    if name in STOCK:
        return parse_circuit(STOCK[name].text)
    try:
        return parse_circuit(text)
    except CircuitError as error:
        # Only a name has words of small letters.
        if any(len(word) > 3 and word.isalpha() for word in name.split("_")) and "(" not in text:
            raise CircuitError(text, 1, "no stock circuit has this name", nearest(name, STOCK)) from error
        raise
