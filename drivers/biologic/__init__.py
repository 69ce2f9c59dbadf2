"""BioLogic potentiostats of the 300 series, through EClib.

:func:`create` makes an instrument of a section of service.toml and a library object: the vendor's DLL
(:func:`drivers.biologic.library.load_library`) or anything else with the same functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from drivers.biologic.settings import capabilities, read_settings

if TYPE_CHECKING:
    from drivers.biologic.library import Library
    from drivers.biologic.potentiostat import BioLogicInstrument

__all__ = ["capabilities", "create"]


def create(name: str, section: Mapping[str, object], library: Library) -> BioLogicInstrument:
    """Return the instrument that ``section`` describes, not yet connected. Raises InvalidFileError."""
    from drivers.biologic.potentiostat import BioLogicInstrument

    return BioLogicInstrument(name, read_settings(name, section), library)
