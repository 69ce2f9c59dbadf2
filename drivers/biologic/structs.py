"""The records that EClib reads and writes, byte for byte (User's Guide 6.11 §5.2; all packed to 4 bytes).

``_layout_`` says what ``_pack_`` implies: Python 3.14 and later wants both.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char, c_double, c_float, c_int32, c_uint32


class DeviceInfos(ctypes.Structure):
    """TDeviceInfos: what a connected instrument is."""

    _pack_ = 4
    _layout_ = "ms"
    _fields_ = [
        ("DeviceCode", c_int32),
        ("RAMsize", c_int32),
        ("CPU", c_int32),
        ("NumberOfChannels", c_int32),
        ("NumberOfSlots", c_int32),
        ("FirmwareVersion", c_int32),
        ("FirmwareDate_yyyy", c_int32),
        ("FirmwareDate_mm", c_int32),
        ("FirmwareDate_dd", c_int32),
        ("HTdisplayOn", c_int32),
        ("NbOfConnectedPC", c_int32),
    ]


class ChannelInfos(ctypes.Structure):
    """TChannelInfos: the boards and firmware of a channel."""

    _pack_ = 4
    _layout_ = "ms"
    _fields_ = [
        ("Channel", c_int32),
        ("BoardVersion", c_int32),
        ("BoardSerialNumber", c_int32),
        ("FirmwareCode", c_int32),
        ("FirmwareVersion", c_int32),
        ("XilinxVersion", c_int32),
        ("AmpCode", c_int32),
        ("NbAmps", c_int32),
        ("Lcboard", c_int32),
        ("Zboard", c_int32),
        ("MUXboard", c_int32),
        ("GPRAboard", c_int32),
        ("MemSize", c_int32),
        ("MemFilled", c_int32),
        ("State", c_int32),
        ("MaxIRange", c_int32),
        ("MinIRange", c_int32),
        ("MaxBandwidth", c_int32),
        ("NbOfTechniques", c_int32),
    ]


class CurrentValues(ctypes.Structure):
    """TCurrentValues: what a channel shows now. An instrument under load may answer with zeros throughout."""

    _pack_ = 4
    _layout_ = "ms"
    _fields_ = [
        ("State", c_int32),
        ("MemFilled", c_int32),
        ("TimeBase", c_float),
        ("Ewe", c_float),
        ("EweRangeMin", c_float),
        ("EweRangeMax", c_float),
        ("Ece", c_float),
        ("EceRangeMin", c_float),
        ("EceRangeMax", c_float),
        ("Eoverflow", c_int32),
        ("I", c_float),
        ("IRange", c_int32),
        ("Ioverflow", c_int32),
        ("ElapsedTime", c_float),
        ("Freq", c_float),
        ("Rcomp", c_float),
        ("Saturation", c_int32),
        ("OptErr", c_int32),
        ("OptPos", c_int32),
    ]


class DataInfos(ctypes.Structure):
    """TDataInfos: what the rows of one block are. ``StartTime`` in s is a double at offset 28."""

    _pack_ = 4
    _layout_ = "ms"
    _fields_ = [
        ("IRQskipped", c_int32),
        ("NbRows", c_int32),
        ("NbCols", c_int32),
        ("TechniqueIndex", c_int32),
        ("TechniqueID", c_int32),
        ("ProcessIndex", c_int32),
        ("loop", c_int32),
        ("StartTime", c_double),
        ("MuxPad", c_int32),
    ]


DATA_WORDS = 1000
"""Words of a data buffer."""

DataBuffer = c_uint32 * DATA_WORDS
"""TDataBuffer: NbRows × NbCols words, row after row; the rest is 0."""


class EccParam(ctypes.Structure):
    """TEccParam: one value of one label (arrays: one record an element)."""

    _pack_ = 4
    _layout_ = "ms"
    _fields_ = [
        ("ParamStr", c_char * 64),
        ("ParamType", c_int32),
        ("ParamVal", c_int32),
        ("ParamIndex", c_int32),
    ]


class EccParams(ctypes.Structure):
    """TEccParams: count and address of a technique's records. Passed by value."""

    _pack_ = 4
    _layout_ = "ms"
    _fields_ = [("len", c_int32), ("pParams", POINTER(EccParam))]


class HardwareConf(ctypes.Structure):
    """THardwareConf: electrode connection and ground. Passed by value when it is set."""

    _pack_ = 4
    _layout_ = "ms"
    _fields_ = [("Conn", c_int32), ("Ground", c_int32)]


class ExperimentInfos(ctypes.Structure):
    """TExperimentInfos: what a user noted with an experiment. Passed by value when it is set."""

    _pack_ = 4
    _layout_ = "ms"
    _fields_ = [
        ("Group", c_int32),
        ("PCidentifier", c_int32),
        ("TimeHMS", c_int32),
        ("TimeYMD", c_int32),
        ("FileName", c_char * 256),
    ]
