"""What the simulated library takes of a process's CPU: it stands where the vendor's would."""

from __future__ import annotations

import time
from ctypes import byref, c_int32
from pathlib import Path

from drivers.biologic.structs import CurrentValues, DataBuffer, DataInfos, DeviceInfos
from drivers.simulation.eclib import simulated_library

CALLS = 3000
TIMEOUT_S = 5


def fetch_us(state_file: Path, address: str, calls: int = CALLS) -> float:
    """Return the CPU time of this process for one BL_GetData that brings nothing, in µs.

    The structs are made anew, as the driver does, but that is not counted.
    """
    library = simulated_library(state_file)
    identity = c_int32(-1)
    library["BL_Connect"](address.encode(), TIMEOUT_S, byref(identity), byref(DeviceInfos()))
    words, infos, values = DataBuffer(), DataInfos(), CurrentValues()
    began_s = time.process_time()
    for _ in range(calls):
        library["BL_GetData"](identity, 0, byref(words), byref(infos), byref(values))
    seconds = time.process_time() - began_s
    library["BL_Disconnect"](identity)
    return seconds / calls * 1e6
