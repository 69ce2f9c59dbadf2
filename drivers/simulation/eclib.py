"""EClib with simulated instruments behind it: real C functions under the vendor's names.

Each is a ctypes callback of the vendor's signature, so that a driver goes through the same marshalling as
with the vendor's library: structs by value and by pointer, to the byte. The instruments themselves live in
server processes (:mod:`drivers.simulation.server`); this is a thin client of them, as the vendor's library
is of the real ones.
"""

from __future__ import annotations

import ctypes
import logging
import struct
import threading
from collections.abc import Callable
from ctypes import memmove, memset, sizeof
from pathlib import Path
from typing import Any

from drivers.biologic.constants import ErrorCode, ParamType
from drivers.biologic.library import FUNCTIONS, Library, function_type
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
from drivers.simulation.wire import LOAD_HEAD, Link, Operation, find_address

log = logging.getLogger(__name__)

VERSION = "6.8.0.0"
_DATA = sizeof(DataBuffer)
_INFOS = sizeof(DataInfos)
_VALUES = sizeof(CurrentValues)
_RECORD = struct.Struct("<64siIi")

Pointer = Any
"""A ctypes pointer as a callback receives it; typeshed has no usable type for it."""


class _Connection:
    """One instrument by its ID; one call at a time."""

    def __init__(self, link: Link, timeout_s: float) -> None:
        self._link = link
        self._timeout_s = timeout_s
        self._lock = threading.Lock()

    def ask(self, operation: Operation, channel: int, payload: bytes) -> tuple[int, bytes]:
        """Return error code and payload, like the vendor's library also when the link is lost."""
        if not self._lock.acquire(timeout=self._timeout_s):
            return ErrorCode.GEN_FUNCTIONINPROGRESS, b""
        try:
            return self._link.ask(operation, channel, payload)
        except (OSError, ValueError) as error:
            # A late reply would be taken for the next one's: this link is of no more use.
            log.info("simulated EClib: no reply to %s: %s", operation.name, error)
            self._link.close()
            return ErrorCode.COMM_COMMFAILED, b""
        finally:
            self._lock.release()

    def close(self) -> None:
        self._link.close()


class SimulatedLibrary:
    """The table of functions. May be used by many threads."""

    simulated = True

    def __init__(self, state_file: Path) -> None:
        self._state_file = state_file
        self._connections: dict[int, _Connection] = {}
        self._next_id = 0
        instrument: dict[str, Callable[..., int]] = {
            "BL_TestConnection": self._test,
            "BL_GetChannelsPlugged": self._plugged,
            "BL_GetChannelBoardType": self._reader(Operation.BOARD_TYPE, 4),
            "BL_GetChannelInfos": self._reader(Operation.CHANNEL_INFOS, sizeof(ChannelInfos)),
            "BL_LoadFirmware": self._load_firmware,
            "BL_GetHardConf": self._reader(Operation.GET_HARDWARE, sizeof(HardwareConf)),
            "BL_SetHardConf": self._writer(Operation.SET_HARDWARE),
            "BL_GetOptErr": self._option_error,
            "BL_LoadTechnique": self._load_technique,
            "BL_StartChannel": self._command(Operation.START),
            "BL_StopChannel": self._command(Operation.STOP),
            "BL_GetCurrentValues": self._reader(Operation.VALUES, _VALUES),
            "BL_GetData": self._data,
            "BL_SetExperimentInfos": self._writer(Operation.SET_EXPERIMENT),
            "BL_GetExperimentInfos": self._reader(Operation.GET_EXPERIMENT, sizeof(ExperimentInfos)),
        }
        here: dict[str, Callable[..., int]] = {
            "BL_Connect": self._connect,
            "BL_Disconnect": self._disconnect,
            "BL_GetLibVersion": _library_version,
            "BL_GetErrorMsg": _error_message,
            "BL_GetMessage": _no_message,
            "BL_DefineBoolParameter": _define_bool,
            "BL_DefineSglParameter": _define_single,
            "BL_DefineIntParameter": _define_int,
            "BL_ConvertChannelNumericIntoSingle": _convert_single,
        }
        self._functions = {name: _c_function(name, (here | instrument)[name]) for name in FUNCTIONS}

    def __getitem__(self, name: str) -> Callable[..., int]:
        function: Callable[..., int] = self._functions[name]
        return function

    def _ask(
        self, identity: int, operation: Operation, channel: int = 0, payload: bytes = b""
    ) -> tuple[int, bytes]:
        connection = self._connections.get(identity)
        if connection is None:
            return ErrorCode.GEN_NOTCONNECTED, b""
        return connection.ask(operation, channel, payload)

    def _connect(self, address: bytes, timeout_s: int, identity: Pointer, infos: Pointer) -> int:
        try:
            place = find_address(self._state_file, address.decode("latin-1"))
            connection = _Connection(Link(*place, timeout_s), timeout_s)
        except (OSError, KeyError, ValueError) as error:
            log.info("simulated EClib: cannot connect to %r by %s: %r", address, self._state_file, error)
            return ErrorCode.COMM_CONNECTIONFAILED
        code, payload = connection.ask(Operation.CONNECT, 0, address)
        if code < 0:
            connection.close()
            return code
        identity[0], self._next_id = self._next_id, self._next_id + 1
        self._connections[identity[0]] = connection
        memmove(infos, payload, sizeof(DeviceInfos))
        return code

    def _disconnect(self, identity: int) -> int:
        connection = self._connections.pop(identity, None)
        if connection is None:
            return ErrorCode.GEN_NOTCONNECTED
        connection.close()
        return ErrorCode.NOERROR

    def _test(self, identity: int) -> int:
        return self._ask(identity, Operation.TEST)[0]

    def _plugged(self, identity: int, flags: Pointer, size: int) -> int:
        code, payload = self._ask(identity, Operation.PLUGGED)
        memmove(flags, payload, min(size, len(payload)))
        return code

    def _reader(self, operation: Operation, size: int) -> Callable[..., int]:
        """Return a function that fills one struct of a channel, beside an error too if the reply holds it."""

        def read(identity: int, channel: int, target: Pointer) -> int:
            code, payload = self._ask(identity, operation, channel)
            memmove(target, payload, min(size, len(payload)))
            return code

        return read

    def _writer(self, operation: Operation) -> Callable[..., int]:
        """Return a function that hands over one struct by value."""

        def write(identity: int, channel: int, value: ctypes.Structure) -> int:
            return self._ask(identity, operation, channel, bytes(value))[0]

        return write

    def _command(self, operation: Operation) -> Callable[..., int]:
        def command(identity: int, channel: int) -> int:
            return self._ask(identity, operation, channel)[0]

        return command

    def _load_firmware(
        self,
        identity: int,
        channels: Pointer,
        results: Pointer,
        length: int,
        _gauge: bool,
        force: bool,
        _kernel: bytes | None,
        _fpga: bytes | None,
    ) -> int:
        if identity not in self._connections:
            return ErrorCode.GEN_NOTCONNECTED
        for channel in range(length):
            if channels[channel]:
                code, _ = self._ask(identity, Operation.LOAD_FIRMWARE, channel, bytes([force]))
                results[channel] = code
        return ErrorCode.NOERROR

    def _option_error(self, identity: int, channel: int, error: Pointer, position: Pointer) -> int:
        code, payload = self._ask(identity, Operation.OPTION_ERROR, channel)
        if code == ErrorCode.NOERROR:
            error[0], position[0] = struct.unpack("<ii", payload)
        return code

    def _load_technique(
        self,
        identity: int,
        channel: int,
        file: bytes,
        parameters: EccParams,
        first: bool,
        last: bool,
        _: bool,
    ) -> int:
        records = ctypes.string_at(parameters.pParams, sizeof(EccParam) * parameters.len)
        head = LOAD_HEAD.pack(first, last, len(file))
        return self._ask(identity, Operation.LOAD_TECHNIQUE, channel, head + file + records)[0]

    def _data(self, identity: int, channel: int, data: Pointer, infos: Pointer, values: Pointer) -> int:
        code, payload = self._ask(identity, Operation.DATA, channel)
        if code < 0:
            return code
        memmove(infos, payload, _INFOS)
        memmove(values, payload[_INFOS : _INFOS + _VALUES], _VALUES)
        records = payload[_INFOS + _VALUES :]
        memset(data, 0, _DATA)
        memmove(data, records, len(records))
        return code


def simulated_library(state_file: Path) -> Library:
    """Return EClib for the simulated instruments that ``state_file`` lists (it is read at each connect)."""
    return SimulatedLibrary(state_file)


def _c_function(name: str, function: Callable[..., int]) -> Any:
    """Return a C function of the vendor's signature."""

    def call(*arguments: Any) -> int:
        try:
            return function(*arguments)
        # No exception can cross C: ctypes would print it and return an arbitrary number.
        except Exception:
            log.exception("simulated EClib: a bug in %s", name)
            return ErrorCode.GEN_FUNCTIONFAILED

    return function_type(name)(call)


def _put_text(text: str, target: Pointer, size: Pointer) -> int:
    """Write as much of a text as the caller's buffer holds, and its length."""
    part = text.encode("latin-1")[: size[0]]
    memmove(target, part, len(part))
    size[0] = len(part)
    return ErrorCode.NOERROR


def _library_version(target: Pointer, size: Pointer) -> int:
    return _put_text(VERSION, target, size)


def _error_message(code: int, target: Pointer, size: Pointer) -> int:
    if code not in list(ErrorCode):
        return ErrorCode.GEN_INVALIDPARAMETERS
    return _put_text(ErrorCode(code).name, target, size)


def _no_message(_identity: int, _channel: int, _target: Pointer, size: Pointer) -> int:
    size[0] = 0
    return ErrorCode.NOERROR


def _define(label: bytes, kind: ParamType, value: bytes, index: int, target: Pointer) -> int:
    (word,) = struct.unpack("<I", value)
    memmove(target, _RECORD.pack(label, kind, word, index), _RECORD.size)
    return ErrorCode.NOERROR


def _define_bool(label: bytes, value: bool, index: int, target: Pointer) -> int:
    return _define(label, ParamType.BOOLEAN, struct.pack("<i", value), index, target)


def _define_single(label: bytes, value: float, index: int, target: Pointer) -> int:
    return _define(label, ParamType.SINGLE, struct.pack("<f", value), index, target)


def _define_int(label: bytes, value: int, index: int, target: Pointer) -> int:
    return _define(label, ParamType.INTEGER, struct.pack("<i", value), index, target)


def _convert_single(word: int, target: Pointer, _board: int) -> int:
    (target[0],) = struct.unpack("<f", struct.pack("<I", word))
    return ErrorCode.NOERROR
