"""EClib as a table of C functions: the vendor's DLL, or anything else with the same names and signatures.

Source of the signatures: EC-Lab Development Package, User's Guide 6.11 §5.3. Structs go by value where the
vendor's do.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from ctypes import POINTER, c_bool, c_char, c_char_p, c_float, c_int32, c_uint8, c_uint32
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from drivers.biologic.structs import (
    ChannelInfos,
    CurrentValues,
    DataBuffer,
    DataInfos,
    DeviceInfos,
    EccParam,
    EccParams,
    ExperimentInfos,
    HardwareConf,
)
from protocols.errors import InstrumentError


@dataclass(frozen=True, slots=True)
class Signature:
    """Result and parameters of a C function."""

    restype: Any
    argtypes: tuple[Any, ...]


def _int32(*argtypes: Any) -> Signature:
    return Signature(c_int32, argtypes)


_CHARS = POINTER(c_char)
_SIZE = POINTER(c_uint32)
_CHANNEL = (c_int32, c_uint8)
_VERSION_CHARS = 64

FUNCTIONS: dict[str, Signature] = {
    "BL_GetLibVersion": _int32(_CHARS, _SIZE),
    "BL_GetErrorMsg": _int32(c_int32, _CHARS, _SIZE),
    "BL_Connect": _int32(c_char_p, c_uint8, POINTER(c_int32), POINTER(DeviceInfos)),
    "BL_Disconnect": _int32(c_int32),
    "BL_TestConnection": _int32(c_int32),
    "BL_GetChannelsPlugged": _int32(c_int32, POINTER(c_uint8), c_uint8),
    "BL_GetChannelBoardType": _int32(*_CHANNEL, POINTER(c_uint32)),
    "BL_GetChannelInfos": _int32(*_CHANNEL, POINTER(ChannelInfos)),
    "BL_LoadFirmware": _int32(
        c_int32, POINTER(c_uint8), POINTER(c_int32), c_uint8, c_bool, c_bool, c_char_p, c_char_p
    ),
    "BL_GetMessage": _int32(*_CHANNEL, _CHARS, _SIZE),
    "BL_GetHardConf": _int32(*_CHANNEL, POINTER(HardwareConf)),
    "BL_SetHardConf": _int32(*_CHANNEL, HardwareConf),
    "BL_GetOptErr": _int32(*_CHANNEL, POINTER(c_int32), POINTER(c_int32)),
    "BL_DefineBoolParameter": _int32(c_char_p, c_bool, c_int32, POINTER(EccParam)),
    "BL_DefineSglParameter": _int32(c_char_p, c_float, c_int32, POINTER(EccParam)),
    "BL_DefineIntParameter": _int32(c_char_p, c_int32, c_int32, POINTER(EccParam)),
    "BL_LoadTechnique": _int32(*_CHANNEL, c_char_p, EccParams, c_bool, c_bool, c_bool),
    "BL_StartChannel": _int32(*_CHANNEL),
    "BL_StopChannel": _int32(*_CHANNEL),
    "BL_GetCurrentValues": _int32(*_CHANNEL, POINTER(CurrentValues)),
    "BL_GetData": _int32(*_CHANNEL, POINTER(DataBuffer), POINTER(DataInfos), POINTER(CurrentValues)),
    "BL_ConvertChannelNumericIntoSingle": _int32(c_uint32, POINTER(c_float), c_uint32),
    "BL_SetExperimentInfos": _int32(*_CHANNEL, ExperimentInfos),
    "BL_GetExperimentInfos": _int32(*_CHANNEL, POINTER(ExperimentInfos)),
}
"""Every function that a driver may call. int32 results: 0 is success, < 0 an error code."""


class Library(Protocol):
    """C functions by their vendor's names."""

    simulated: bool
    """Whether a simulated instrument stands behind it."""

    def __getitem__(self, name: str) -> Callable[..., int]:
        """Return the function of this name (one of :data:`FUNCTIONS`)."""


class SharedLibrary:
    """A library loaded from a file, its functions typed by :data:`FUNCTIONS`."""

    simulated = False

    def __init__(self, path: Path) -> None:
        library = _open(path)
        self._functions = {name: _function(library, path, name) for name in FUNCTIONS}

    def __getitem__(self, name: str) -> Callable[..., int]:
        return self._functions[name]


def load_library(path: Path) -> Library:
    """Load EClib from ``path``. Raises InstrumentError if the file cannot be loaded here."""
    return SharedLibrary(path)


def library_version(library: Library) -> str:
    """Return the version that the library names; empty if it names none."""
    size = c_uint32(_VERSION_CHARS)
    text = ctypes.create_string_buffer(_VERSION_CHARS)
    code = library["BL_GetLibVersion"](text, ctypes.byref(size))
    return text.value.decode("latin-1") if code >= 0 else ""


def function_type(name: str) -> Any:
    """Return the ctypes prototype of a function, to make a C function of the same signature."""
    signature = FUNCTIONS[name]
    return ctypes.CFUNCTYPE(signature.restype, *signature.argtypes)


def _function(library: ctypes.CDLL, path: Path, name: str) -> Callable[..., int]:
    try:
        function: Any = library[name]
    except AttributeError as error:
        raise InstrumentError(
            f"{path} has no function {name}: it is not EClib, or too old; "
            "name EClib64.dll of a Development Package in service.toml"
        ) from error
    function.restype = FUNCTIONS[name].restype
    function.argtypes = FUNCTIONS[name].argtypes
    return function  # type: ignore[no-any-return]  # ctypes' functions have no static type


def _open(path: Path) -> ctypes.CDLL:
    loader: type[ctypes.CDLL]
    if sys.platform == "win32":
        loader = ctypes.WinDLL
    else:
        loader = ctypes.CDLL
    try:
        return loader(str(path))
    except OSError as error:
        raise InstrumentError(
            f"cannot load EClib from {path}: {error}; the vendor's library runs on Windows only and "
            "has to be 64-bit with a 64-bit Python; install the EC-Lab Development Package and set "
            '`library` in service.toml, or use library = "simulation"'
        ) from error
