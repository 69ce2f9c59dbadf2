"""Temperature chambers with an ESPEC P300 or SCP-220 controller: lines of text over TCP.

:func:`create` makes a chamber of a section of service.toml. The controller has a serial port; its address is
that of the serial-to-TCP adapter in front of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from drivers.espec.settings import read_settings

if TYPE_CHECKING:
    from drivers.espec.controller import EspecChamber

__all__ = ["create"]


def create(
    name: str, section: Mapping[str, object], simulated_at: Callable[[], tuple[str, int]] | None = None
) -> EspecChamber:
    """Return the chamber that ``section`` describes, not yet connected. Raises InvalidFileError.

    ``simulated_at`` is for a chamber that is simulated: it is asked for host and port at each connection, in
    place of the section's address, and raises UnreachableError while there are none.
    """
    from drivers.espec.controller import EspecChamber
    from drivers.espec.line import Line

    settings = read_settings(name, section)
    line = Line(name, simulated_at or settings.place, settings.connect_timeout_s, settings.reply_timeout_s)
    return EspecChamber(name, settings, line, simulated=simulated_at is not None)
