"""What happens to a cell when the PC dies, as its driver declares: a table of docs/when_the_pc_dies.md.

``python -m monitor.host_loss`` prints it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from protocols.capabilities import Capabilities, Quantity

HEADINGS = (
    "driver",
    "what it drives",
    "when the PC dies, it",
    "what still ends a step",
    "what nobody watches then",
)
STEPS = {
    "constant_current": "constant current",
    "constant_voltage": "constant voltage",
    "voltage_sweep": "voltage sweep",
    "geis": "galvanostatic spectrum",
    "peis": "potentiostatic spectrum",
    "rest": "rest",
}
QUANTITIES: dict[Quantity, str] = {
    "voltage": "its voltage limit",
    "current": "its current limit",
    "charge": "its charge",
    "end_current": "its end current",
    "time": "its time",
}
WATCHED: tuple[Quantity, ...] = ("voltage", "current", "time")
"""What every step that drives a current has a limit for."""


@dataclass(frozen=True, slots=True)
class HostLoss:
    """One row."""

    driver: str
    drives: str
    at_host_loss: str
    on_board: str
    unwatched: str

    def cells(self) -> tuple[str, ...]:
        """Return the row's cells."""
        return (f"`{self.driver}`", self.drives, self.at_host_loss, self.on_board, self.unwatched)


def rows() -> list[HostLoss]:
    """Return a row for each driver there is."""
    from drivers.biologic import capabilities
    from drivers.espec.controller import EspecChamber
    from drivers.recordings.playback import CAPABILITIES

    return [
        _of_instrument("biologic", "cells, by BioLogic potentiostats of the 300 series", capabilities()),
        _of_instrument("recordings", "nothing: a recorded file plays", CAPABILITIES),
        HostLoss(
            "espec",
            "temperature chambers with a P300 or SCP-220 controller",
            EspecChamber.at_host_loss,
            "the controller's own limits, set at its panel",
            "whether a cell's own temperature follows",
        ),
    ]


def _of_instrument(driver: str, drives: str, able: Capabilities) -> HostLoss:
    if not able.on_board:
        return HostLoss(
            driver, drives, able.at_host_loss, "there is no step to end", "nothing is there to watch"
        )
    held = "; ".join(
        f"{words}: {' or '.join(QUANTITIES[one] for one in QUANTITIES if one in able.on_board[kind])}"
        for kind, words in STEPS.items()
        if kind in able.on_board
    )
    return HostLoss(driver, drives, able.at_host_loss, held, _unwatched(able))


def _unwatched(able: Capabilities) -> str:
    parts = ["all guards (short circuits, depletion, contact)"]
    for kind in ("constant_voltage", "geis", "peis"):
        missing = [QUANTITIES[one] for one in WATCHED if one not in able.on_board.get(kind, WATCHED)]
        if missing:
            parts.append(f"of a {STEPS[kind]}: {' and '.join(missing)}")
    return "; ".join(parts)


def table() -> str:
    """Return the table in Markdown."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *(row.cells() for row in rows())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
