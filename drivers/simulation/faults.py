"""Faults that a test or a user injects into a simulated instrument."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from drivers.simulation.wire import Link, Operation, find_address
from protocols.errors import UnreachableError

_TIMEOUT_S = 5.0


class Fault(BaseModel):
    """What goes wrong, and how often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["zeros", "comm_loss", "skipped"]
    """``zeros``: the next ``count`` readings are all-zero replies; ``comm_loss``: the next ``count`` calls
    fail with −200; ``skipped``: ``count`` records of ``channel`` are reported as lost."""
    count: int = Field(ge=1)
    channel: int = Field(default=0, ge=0)
    """Channel index, from 0."""


def inject(state_file: Path, address: str, fault: Fault) -> None:
    """Inject a fault into the instrument with this address. Raises UnreachableError."""
    try:
        link = Link(*find_address(state_file, address), timeout_s=_TIMEOUT_S)
        try:
            link.ask(Operation.INJECT, payload=fault.model_dump_json().encode())
        finally:
            link.close()
    except (OSError, KeyError, ValueError) as error:
        raise UnreachableError(
            f"no simulated instrument {address} answers by {state_file}: {error!r}; does the simulation run?"
        ) from error
