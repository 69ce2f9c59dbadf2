"""For which processor a library was made, by the head of its file: loading the wrong one says little."""

from __future__ import annotations

import struct
from pathlib import Path

PE_MACHINES = {0x014C: "32-bit x86", 0x8664: "64-bit x86", 0xAA64: "64-bit ARM"}
ELF_MACHINES = {3: "32-bit x86", 62: "64-bit x86", 183: "64-bit ARM"}
HEAD_BYTES = 4096


def made_for(path: Path) -> tuple[str, str]:
    """Return system and processor, as ``("Windows", "64-bit x86")``; empty words where the head tells none.

    Raises OSError.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head[:2] == b"MZ" and len(head) >= 64:
        (start,) = struct.unpack_from("<I", head, 60)
        if head[start : start + 4] == b"PE\0\0" and len(head) >= start + 6:
            (machine,) = struct.unpack_from("<H", head, start + 4)
            return "Windows", PE_MACHINES.get(machine, "")
    if head[:4] == b"\x7fELF" and len(head) >= 20:
        (machine,) = struct.unpack_from("<H", head, 18)
        return "Linux", ELF_MACHINES.get(machine, "")
    return "", ""
