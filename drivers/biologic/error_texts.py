"""What the library's error codes mean and what a person can do about them (User's Guide 6.11 §5.4)."""

from __future__ import annotations

from drivers.biologic.constants import ErrorCode as Code
from protocols.errors import BusyError, InstrumentError, SandtimeError, UnreachableError

_NETWORK = "check the instrument's power, cable and address"
_BUG = "report this with the log: the driver called the library wrongly"
_PACKAGE = "put DLL, firmware and technique files of one Development Package version into one folder"
_FIRMWARE = "close EC-Lab, then power-cycle the instrument or set reload_firmware = true"
_FILES = "check technique_folder and the files of the Development Package"

ERRORS: dict[Code, tuple[str, str]] = {
    Code.GEN_NOTCONNECTED: ("no instrument connected", _NETWORK),
    Code.GEN_CONNECTIONINPROGRESS: ("a connection is being made", "try again"),
    Code.GEN_CHANNELNOTPLUGGED: ("channel not plugged", "check the channel's number and board"),
    Code.GEN_INVALIDPARAMETERS: ("invalid function parameters", _BUG),
    Code.GEN_FILENOTEXISTS: ("file missing", _FILES),
    Code.GEN_FUNCTIONFAILED: ("function failed, as with files of another series", _PACKAGE),
    Code.GEN_NOCHANNELSELECTED: ("no channel selected", _BUG),
    Code.GEN_INVALIDCONF: ("invalid instrument configuration", "check the boards of the instrument"),
    Code.GEN_ECLAB_LOADED: ("EC-Lab's firmware is loaded", _FIRMWARE),
    Code.GEN_LIBNOTCORRECTLYLOADED: ("library not properly loaded", _PACKAGE),
    Code.GEN_USBLIBRARYERROR: ("USB library problem", "install the vendor's USB driver or use Ethernet"),
    Code.GEN_FUNCTIONINPROGRESS: ("another library call is in progress", "try again"),
    Code.GEN_CHANNEL_RUNNING: ("channel already in use", "stop what runs on it first"),
    Code.GEN_DEVICE_NOTALLOWED: ("device not allowed", "the library does not serve this instrument"),
    Code.GEN_UPDATEPARAMETERS: ("invalid update of parameters", _BUG),
    Code.INSTR_VMEERROR: ("internal communication of the instrument failed", "power-cycle the instrument"),
    Code.INSTR_TOOMANYDATA: ("too much data to transfer", "use a longer watch interval"),
    Code.INSTR_RESPNOTPOSSIBLE: ("channel unplugged or not allowed", "check the channel's board"),
    Code.INSTR_RESPERROR: ("response error", "try again; else power-cycle the instrument"),
    Code.INSTR_MSGSIZEERROR: ("bad message size", _PACKAGE),
    Code.COMM_COMMFAILED: ("communication failed", _NETWORK),
    Code.COMM_CONNECTIONFAILED: ("cannot connect", _NETWORK),
    Code.COMM_WAITINGACK: ("waiting for a response", "try again"),
    Code.COMM_INVALIDIPADDRESS: ("invalid IP address", "write address as 192.168.0.10 or USB0"),
    Code.COMM_ALLOCMEMFAILED: ("the instrument is out of memory", "power-cycle the instrument"),
    Code.COMM_LOADFIRMWAREFAILED: ("cannot load firmware", _PACKAGE),
    Code.COMM_INCOMPATIBLESERVER: ("communication firmware does not fit the library", _PACKAGE),
    Code.COMM_MAXCONNREACHED: ("too many connections", "close other programs that use the instrument"),
    Code.FIRM_FIRMFILENOTEXISTS: ("kernel file missing", _FILES),
    Code.FIRM_FIRMFILEACCESSFAILED: ("kernel file unreadable", _FILES),
    Code.FIRM_FIRMINVALIDFILE: ("kernel file invalid", _PACKAGE),
    Code.FIRM_FIRMLOADINGFAILED: ("kernel cannot be loaded", _FIRMWARE),
    Code.FIRM_XILFILENOTEXISTS: ("FPGA file missing", _FILES),
    Code.FIRM_XILFILEACCESSFAILED: ("FPGA file unreadable", _FILES),
    Code.FIRM_XILINVALIDFILE: ("FPGA file invalid", _PACKAGE),
    Code.FIRM_XILLOADINGFAILED: ("FPGA file cannot be loaded", _FIRMWARE),
    Code.FIRM_FIRMWARENOTLOADED: ("no firmware on the channel", "connect again: that loads it"),
    Code.FIRM_FIRMWAREINCOMPATIBLE: ("firmware does not fit the library", _FIRMWARE),
    Code.TECH_ECCFILENOTEXISTS: ("technique file missing", _FILES),
    Code.TECH_INCOMPATIBLEECC: ("technique file does not fit the channel's firmware", _FIRMWARE),
    Code.TECH_ECCFILECORRUPTED: ("technique file corrupted", _PACKAGE),
    Code.TECH_LOADTECHNIQUEFAILED: ("technique cannot be loaded", _FILES),
    Code.TECH_DATACORRUPTED: ("data corrupted", "try again; else power-cycle the instrument"),
    Code.TECH_MEMFULL: ("technique memory full", "set a smaller max_techniques"),
}
"""Code → meaning, what to do."""

_UNREACHABLE = {Code.GEN_NOTCONNECTED, Code.GEN_FUNCTIONINPROGRESS, Code.GEN_CONNECTIONINPROGRESS}


def error_of(code: int, function: str, where: str) -> SandtimeError:
    """Return the exception for a negative result of ``function``, called for ``where``.

    UnreachableError if the instrument does not answer, BusyError if the channel runs, else InstrumentError.
    """
    if code not in set(Code):
        return InstrumentError(f"{where}: {function} failed with unknown code {code}; {_PACKAGE}")
    known = Code(code)
    meaning, advice = ERRORS[known]
    text = f"{where}: {function} failed with {code} (ERR_{known.name}): {meaning}; {advice}"
    if known in _UNREACHABLE or known.name.startswith("COMM_"):
        return UnreachableError(text)
    return BusyError(text) if known is Code.GEN_CHANNEL_RUNNING else InstrumentError(text)
