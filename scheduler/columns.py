"""A poll's samples as lists of plain floats: numpy's price is paid once a poll, not once a channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from protocols.measurements import Block

NOT_OURS = -1
"""In place of a run's number: nobody follows this sample."""


@dataclass(slots=True)
class Columns:
    """All of one length. What the engine adds is filled in as the runs follow."""

    channel: list[int]
    t_s: list[float]
    voltage_V: list[float]
    current_A: list[float]
    step: list[int]
    visit: list[int]
    run: list[int]
    charge_C: list[float]
    half_cycle: list[int]

    @classmethod
    def of(cls, samples: Block) -> Self:
        """Return a block's columns."""
        rows = len(samples)
        return cls(
            channel=samples["channel"].tolist(),
            t_s=samples["t_s"].tolist(),
            voltage_V=samples["voltage_V"].tolist(),
            current_A=samples["current_A"].tolist(),
            step=samples["step"].tolist(),
            visit=samples["visit"].tolist(),
            run=[NOT_OURS] * rows,
            charge_C=[0.0] * rows,
            half_cycle=[0] * rows,
        )

    def write(self, samples: Block) -> None:
        """Write into the block what the engine has made of it."""
        if self.run:
            samples["channel"], samples["t_s"] = self.run, self.t_s
            samples["charge_C"], samples["half_cycle"] = self.charge_C, self.half_cycle
