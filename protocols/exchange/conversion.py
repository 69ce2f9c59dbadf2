"""A program for another program: written if nothing is lost but what a person agreed to lose."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, cast

from protocols.exchange import battinfo_writer, pybamm_writer, unicycler_writer
from protocols.exchange.losses import TARGETS, Ledger, Loss
from protocols.program import Program

_WRITERS: dict[str, Callable[[Program, Ledger], Any]] = {
    "unicycler": unicycler_writer.write,
    "pybamm": pybamm_writer.write,
    "battinfo": battinfo_writer.write,
}


@dataclass(frozen=True, slots=True)
class Conversion:
    """A program in another format."""

    document: Any
    """JSON-ready."""
    lost: tuple[Loss, ...]
    """What was left out by agreement."""


def convert(program: Program, target: str, allow: Collection[str] = ()) -> Conversion:
    """Return a program in the format ``target``, one of :data:`protocols.exchange.losses.TARGETS`.

    ``allow``: words of :data:`protocols.exchange.losses.ACCEPTABLE` that may be lost. Raises
    LostInConversionError with all that would be lost otherwise, and KeyError for an unknown target.
    """
    ledger = Ledger(TARGETS[target], allow)
    document = _WRITERS[target](program, ledger)
    ledger.settle()
    return Conversion(document, tuple(ledger.losses))


def to_unicycler(program: Program, allow: Collection[str] = ()) -> dict[str, Any]:
    """Return an aurora-unicycler protocol. Raises LostInConversionError."""
    return cast("dict[str, Any]", convert(program, "unicycler", allow).document)


def to_pybamm(program: Program, allow: Collection[str] = ()) -> list[str]:
    """Return the steps of a ``pybamm.Experiment``. Raises LostInConversionError."""
    return cast("list[str]", convert(program, "pybamm", allow).document)


def to_battinfo(program: Program, allow: Collection[str] = ()) -> dict[str, Any]:
    """Return BattINFO JSON-LD. Raises LostInConversionError."""
    return cast("dict[str, Any]", convert(program, "battinfo", allow).document)
