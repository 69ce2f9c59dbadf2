"""Numbers of the vendor's interface (User's Guide 6.11 §5.4 and appendices; 300 series)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class DeviceCode(IntEnum):
    """TDeviceInfos.DeviceCode."""

    VMP = 0
    VMP2 = 1
    MPG = 2
    BISTAT = 3
    MCS_200 = 4
    VMP3 = 5
    VSP = 6
    HCP_803 = 7
    EPP_400 = 8
    EPP_4000 = 9
    BISTAT2 = 10
    FCT_150S = 11
    VMP_300 = 12
    SP_50 = 13
    SP_150 = 14
    FCT_50S = 15
    SP_300 = 16
    CLB_500 = 17
    HCP_1005 = 18
    CLB_2000 = 19
    VSP_300 = 20
    SP_200 = 21
    MPG_2 = 22
    SP_100 = 23
    MOSLED = 24
    BCS_815 = 26
    SP_240 = 27
    MPG_205 = 28
    MPG_210 = 29
    MPG_220 = 30
    MPG_240 = 31
    BP_300 = 32
    VMP_3E = 33
    VSP_3E = 34
    SP_50E = 35
    SP_150E = 36
    UNKNOWN = 255


class BoardType(IntEnum):
    """Kind of channel board: decides technique files, firmware and record layouts."""

    UNKNOWN = 0
    ESSENTIAL = 1
    PREMIUM = 2
    PREMIUM_P = 3


@dataclass(frozen=True, slots=True)
class BoardFiles:
    """Vendor files of a board. ``fpga`` is None where the board has none."""

    suffix: str
    """Stands between a technique's stem and ``.ecc``."""
    kernel: str
    fpga: str | None


BOARD_FILES: dict[BoardType, BoardFiles] = {
    BoardType.ESSENTIAL: BoardFiles("", "kernel.bin", "Vmp_ii_0437_a6.xlx"),
    BoardType.PREMIUM: BoardFiles("4", "kernel4.bin", "Vmp_iv_0395_aa.xlx"),
    BoardType.PREMIUM_P: BoardFiles("5", "kernel5.bin", None),
}


class FirmwareCode(IntEnum):
    """TChannelInfos.FirmwareCode."""

    NONE = 0
    INTERPR = 1
    """EC-Lab's own firmware."""
    UNKNOWN = 4
    KERNEL = 5
    """The library's firmware, the only one it can work with."""
    INVALID = 8
    ECAL = 10
    ECAL4 = 11


class ChannelState(IntEnum):
    """State in TCurrentValues and TChannelInfos."""

    STOP = 0
    RUN = 1
    PAUSE = 2
    SYNC = 3


class ParamType(IntEnum):
    """TEccParam.ParamType."""

    INTEGER = 0
    BOOLEAN = 1
    SINGLE = 2


class TechniqueId(IntEnum):
    """TDataInfos.TechniqueID."""

    NONE = 0
    OCV = 100
    CA = 101
    CP = 102
    CV = 103
    PEIS = 104
    GEIS = 107
    VSCAN = 124
    LOOP = 150
    CPLIMIT = 155
    CALIMIT = 157
    VSCANLIMIT = 158


class IRange(IntEnum):
    """Current ranges. AUTO is not allowed where the current is controlled."""

    KEEP = -1
    I_100PA = 0
    I_1NA = 1
    I_10NA = 2
    I_100NA = 3
    I_1UA = 4
    I_10UA = 5
    I_100UA = 6
    I_1MA = 7
    I_10MA = 8
    I_100MA = 9
    I_1A = 10
    BOOSTER = 11
    AUTO = 12


I_RANGE_FULL_SCALE_A: dict[IRange, float] = {
    IRange.I_100PA: 1e-10,
    IRange.I_1NA: 1e-9,
    IRange.I_10NA: 1e-8,
    IRange.I_100NA: 1e-7,
    IRange.I_1UA: 1e-6,
    IRange.I_10UA: 1e-5,
    IRange.I_100UA: 1e-4,
    IRange.I_1MA: 1e-3,
    IRange.I_10MA: 1e-2,
    IRange.I_100MA: 1e-1,
    IRange.I_1A: 1.0,
}
"""Nominal full scale. A board may carry less than its highest range is named."""


class ERange(IntEnum):
    """Voltage ranges."""

    E_2_5V = 0
    E_5V = 1
    E_10V = 2
    AUTO = 3


E_RANGE_FULL_SCALE_V: dict[ERange, float] = {ERange.E_2_5V: 2.5, ERange.E_5V: 5.0, ERange.E_10V: 10.0}


class LimitVariable(IntEnum):
    """What a limit test looks at."""

    E = 0
    AUX1 = 1
    AUX2 = 2
    I = 3  # noqa: E741  the field's symbol


class ExitCondition(IntEnum):
    """What happens when a limit test becomes true."""

    NEXT_STEP = 0
    NEXT_TECHNIQUE = 1
    STOP_EXPERIMENT = 2


def limit_config(variable: LimitVariable, *, above: bool, and_next: bool = False) -> int:
    """Return the word of an active limit test: ``variable`` ≥ value if ``above``, else ≤ value.

    ``and_next`` joins it with the next test by AND, else by OR (User's Guide §7.36, bits 0, 1, 2…4, 5…31).
    """
    return 1 | and_next << 1 | above << 2 | variable << 5


TIMEBASE_MIN_S: dict[TechniqueId, float] = {
    TechniqueId.OCV: 20e-6,
    TechniqueId.LOOP: 20e-6,
    TechniqueId.CP: 21e-6,
    TechniqueId.CA: 21e-6,
    TechniqueId.PEIS: 24e-6,
    TechniqueId.GEIS: 24e-6,
    TechniqueId.CPLIMIT: 34e-6,
    TechniqueId.CALIMIT: 34e-6,
    TechniqueId.CV: 45e-6,
    TechniqueId.VSCAN: 50e-6,
    TechniqueId.VSCANLIMIT: 60e-6,
}
"""Smallest time base of the 300 series."""

TICKS_MAX = 2**31
"""A step lasts at most this many time bases."""


class ErrorCode(IntEnum):
    """Results of the library's functions; 0 is success."""

    NOERROR = 0
    GEN_NOTCONNECTED = -1
    GEN_CONNECTIONINPROGRESS = -2
    GEN_CHANNELNOTPLUGGED = -3
    GEN_INVALIDPARAMETERS = -4
    GEN_FILENOTEXISTS = -5
    GEN_FUNCTIONFAILED = -6
    GEN_NOCHANNELSELECTED = -7
    GEN_INVALIDCONF = -8
    GEN_ECLAB_LOADED = -9
    GEN_LIBNOTCORRECTLYLOADED = -10
    GEN_USBLIBRARYERROR = -11
    GEN_FUNCTIONINPROGRESS = -12
    GEN_CHANNEL_RUNNING = -13
    GEN_DEVICE_NOTALLOWED = -14
    GEN_UPDATEPARAMETERS = -15
    INSTR_VMEERROR = -101
    INSTR_TOOMANYDATA = -102
    INSTR_RESPNOTPOSSIBLE = -103
    INSTR_RESPERROR = -104
    INSTR_MSGSIZEERROR = -105
    COMM_COMMFAILED = -200
    COMM_CONNECTIONFAILED = -201
    COMM_WAITINGACK = -202
    COMM_INVALIDIPADDRESS = -203
    COMM_ALLOCMEMFAILED = -204
    COMM_LOADFIRMWAREFAILED = -205
    COMM_INCOMPATIBLESERVER = -206
    COMM_MAXCONNREACHED = -207
    FIRM_FIRMFILENOTEXISTS = -300
    FIRM_FIRMFILEACCESSFAILED = -301
    FIRM_FIRMINVALIDFILE = -302
    FIRM_FIRMLOADINGFAILED = -303
    FIRM_XILFILENOTEXISTS = -304
    FIRM_XILFILEACCESSFAILED = -305
    FIRM_XILINVALIDFILE = -306
    FIRM_XILLOADINGFAILED = -307
    FIRM_FIRMWARENOTLOADED = -308
    FIRM_FIRMWAREINCOMPATIBLE = -309
    TECH_ECCFILENOTEXISTS = -400
    TECH_INCOMPATIBLEECC = -401
    TECH_ECCFILECORRUPTED = -402
    TECH_LOADTECHNIQUEFAILED = -403
    TECH_DATACORRUPTED = -404
    TECH_MEMFULL = -405
