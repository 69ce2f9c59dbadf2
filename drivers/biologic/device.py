"""One connected instrument, as blocking calls on the library. Every failure is an exception that says where.

Not for several threads at once: the driver gives each instrument one thread.
"""

from __future__ import annotations

from ctypes import byref, c_float, c_int32, c_uint8, c_uint32
from typing import Any

import numpy as np

from drivers.biologic.constants import BOARD_FILES, BoardType, ErrorCode, ParamType
from drivers.biologic.decode import Floats, Header, Reply, Words
from drivers.biologic.error_texts import error_of
from drivers.biologic.library import Library
from drivers.biologic.parameters import Parameter
from drivers.biologic.structs import (
    ChannelInfos,
    CurrentValues,
    DataBuffer,
    DataInfos,
    DeviceInfos,
    EccParam,
    EccParams,
    ExperimentInfos,
)
from drivers.biologic.techniques import Technique

MAX_CHANNELS = 16


class Device:
    """The connection to one instrument."""

    def __init__(self, name: str, library: Library, technique_folder: str = "") -> None:
        self._name = name
        self._library = library
        self._folder = technique_folder.rstrip("/\\")
        self._id = c_int32(-1)

    def connect(self, address: str, timeout_s: int) -> DeviceInfos:
        """Connect. Raises UnreachableError."""
        infos = DeviceInfos()
        self._call("BL_Connect", address.encode(), timeout_s, byref(self._id), byref(infos))
        return infos

    def disconnect(self) -> None:
        """Let go of the connection."""
        self._call("BL_Disconnect", self._id)

    def plugged(self) -> list[int]:
        """Return the numbers of the channels that have a board."""
        flags = (c_uint8 * MAX_CHANNELS)()
        self._call("BL_GetChannelsPlugged", self._id, flags, MAX_CHANNELS)
        return [channel for channel, flag in enumerate(flags) if flag]

    def board_type(self, channel: int) -> int:
        """Return the channel's board type; answers without firmware, too."""
        board = c_uint32()
        self._call("BL_GetChannelBoardType", self._id, channel, byref(board), channel=channel)
        return board.value

    def channel_infos(self, channel: int) -> tuple[ChannelInfos, bool]:
        """Return the channel's infos, and whether it says that it has no firmware."""
        infos = ChannelInfos()
        code = self._library["BL_GetChannelInfos"](self._id, channel, byref(infos))
        empty = code == ErrorCode.FIRM_FIRMWARENOTLOADED
        if code < 0 and not empty:
            raise error_of(code, "BL_GetChannelInfos", self._where(channel))
        return infos, empty

    def load_firmware(self, channel: int, board: BoardType, force: bool) -> None:
        """Load the library's firmware. Never call this for a channel that runs."""
        channels, results = (c_uint8 * MAX_CHANNELS)(), (c_int32 * MAX_CHANNELS)()
        channels[channel] = 1
        files = BOARD_FILES[board]
        fpga = None if files.fpga is None else self._path(files.fpga)
        kernel = self._path(files.kernel)
        self._call(
            "BL_LoadFirmware",
            self._id,
            channels,
            results,
            MAX_CHANNELS,
            False,
            force,
            kernel,
            fpga,
            channel=channel,
        )
        if results[channel] < 0:
            raise error_of(results[channel], "BL_LoadFirmware", self._where(channel))

    def load_technique(
        self, channel: int, board: BoardType, technique: Technique, first: bool, last: bool
    ) -> None:
        """Append a technique to the channel's list; ``first`` clears the list before."""
        records = (EccParam * len(technique.parameters))()
        for record, parameter in zip(records, technique.parameters, strict=True):
            self._define(parameter, record, channel)
        path = self._path(f"{technique.stem}{BOARD_FILES[board].suffix}.ecc")
        self._call(
            "BL_LoadTechnique",
            *(self._id, channel, path, EccParams(len(records), records), first, last, False),
            channel=channel,
        )

    def start(self, channel: int) -> None:
        """Start the loaded list."""
        self._call("BL_StartChannel", self._id, channel, channel=channel)

    def stop(self, channel: int) -> None:
        """Stop whatever runs; the circuit opens."""
        self._call("BL_StopChannel", self._id, channel, channel=channel)

    def values(self, channel: int) -> CurrentValues:
        """Return what the channel shows now."""
        values = CurrentValues()
        self._call("BL_GetCurrentValues", self._id, channel, byref(values), channel=channel)
        return values

    def data(self, channel: int) -> Reply:
        """Take the next block out of the channel's memory (no rows: nothing new)."""
        words, infos, values = DataBuffer(), DataInfos(), CurrentValues()
        self._call(
            "BL_GetData", self._id, channel, byref(words), byref(infos), byref(values), channel=channel
        )
        header = Header(
            technique=infos.TechniqueIndex,
            technique_id=infos.TechniqueID,
            process=infos.ProcessIndex,
            loop=infos.loop,
            rows=infos.NbRows,
            columns=infos.NbCols,
            start_s=infos.StartTime,
        )
        return Reply(header, np.frombuffer(memoryview(words), dtype=np.uint32), values, infos.IRQskipped)

    def set_marker(self, channel: int, marker: str) -> None:
        """Have the instrument keep a text with the experiment (at most 255 bytes)."""
        infos = ExperimentInfos(FileName=marker.encode())
        self._call("BL_SetExperimentInfos", self._id, channel, infos, channel=channel)

    def marker(self, channel: int) -> str:
        """Return the text that the instrument keeps with the experiment."""
        infos = ExperimentInfos()
        self._call("BL_GetExperimentInfos", self._id, channel, byref(infos), channel=channel)
        text: bytes = infos.FileName
        return text.decode("latin-1")

    def singles(self, board: BoardType, words: Words) -> Floats:
        """Have the library turn words of a board into numbers, in the same shape."""
        convert = self._library["BL_ConvertChannelNumericIntoSingle"]
        numbers = np.empty(words.shape)
        number = c_float()
        for place, word in np.ndenumerate(words):
            convert(int(word), byref(number), board)
            numbers[place] = number.value
        return numbers

    def _define(self, parameter: Parameter, record: EccParam, channel: int) -> None:
        name, convert = _DEFINE[parameter.type]
        label, value = parameter.label.encode(), convert(parameter.value)
        self._call(name, label, value, parameter.index, byref(record), channel=channel)

    def _path(self, file: str) -> bytes:
        return (f"{self._folder}/{file}" if self._folder else file).encode()

    def _where(self, channel: int | None) -> str:
        return self._name if channel is None else f"{self._name} channel {channel}"

    def _call(self, name: str, *arguments: Any, channel: int | None = None) -> None:
        code = self._library[name](*arguments)
        if code < 0:
            raise error_of(code, name, self._where(channel))


_DEFINE: dict[ParamType, tuple[str, type[bool] | type[int] | type[float]]] = {
    ParamType.BOOLEAN: ("BL_DefineBoolParameter", bool),
    ParamType.INTEGER: ("BL_DefineIntParameter", int),
    ParamType.SINGLE: ("BL_DefineSglParameter", float),
}
