"""The link between the simulated library and a simulated instrument. It stands for the vendor's unknown one.

A frame is its length (u32, little-endian) and its body. Requests begin with operation (u8) and channel (u8,
from 0), replies with the library's error code (i32). Structs travel as the bytes that the library writes.
"""

from __future__ import annotations

import json
import socket
import struct
from enum import IntEnum
from pathlib import Path

from protocols.errors import UnreachableError

LENGTH = struct.Struct("<I")
HEAD = struct.Struct("<BB")
CODE = struct.Struct("<i")
FRAME_MAX = 1 << 20
_RECEIVE = 1 << 16


class Operation(IntEnum):
    """What a request asks for; the payload of request → reply follows in brackets."""

    CONNECT = 1  # (address → DeviceInfos)
    TEST = 2
    PLUGGED = 3  # (→ one byte a channel)
    BOARD_TYPE = 4  # (→ u32)
    CHANNEL_INFOS = 5  # (→ ChannelInfos)
    LOAD_FIRMWARE = 6  # (force u8)
    GET_HARDWARE = 7  # (→ HardwareConf)
    SET_HARDWARE = 8  # (HardwareConf)
    OPTION_ERROR = 9  # (→ 2 × i32)
    LOAD_TECHNIQUE = 10  # (first u8, last u8, length of name u16, name, TEccParam records)
    START = 11
    STOP = 12
    VALUES = 13  # (→ CurrentValues)
    DATA = 14  # (→ DataInfos, CurrentValues, used part of the data)
    GET_EXPERIMENT = 15  # (→ ExperimentInfos)
    SET_EXPERIMENT = 16  # (ExperimentInfos)


LOAD_HEAD = struct.Struct("<BBH")


def pack_frame(body: bytes) -> bytes:
    """Return a body with its length in front."""
    return LENGTH.pack(len(body)) + body


def split_frames(buffer: bytearray) -> list[bytes]:
    """Take all whole frames out of a receive buffer. Raises ValueError for an impossible length."""
    bodies: list[bytes] = []
    start = 0
    while len(buffer) - start >= LENGTH.size:
        (length,) = LENGTH.unpack_from(buffer, start)
        if length > FRAME_MAX:
            raise ValueError(f"a frame of {length} bytes")
        end = start + LENGTH.size + length
        if end > len(buffer):
            break
        bodies.append(bytes(buffer[start + LENGTH.size : end]))
        start = end
    del buffer[:start]
    return bodies


class Link:
    """A blocking connection to a simulated instrument. Its methods raise OSError when the link is lost."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._socket = socket.create_connection((host, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def ask(self, operation: Operation, channel: int = 0, payload: bytes = b"") -> tuple[int, bytes]:
        """Send a request; return the error code and the payload of the reply."""
        self._socket.sendall(pack_frame(HEAD.pack(operation, channel) + payload))
        while True:
            part = self._socket.recv(_RECEIVE)
            if not part:
                raise ConnectionResetError("the simulated instrument has closed the connection")
            self._buffer += part
            bodies = split_frames(self._buffer)
            if bodies:
                (code,) = CODE.unpack_from(bodies[0])
                return code, bodies[0][CODE.size :]

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def find_address(state_file: Path, address: str) -> tuple[str, int]:
    """Return host and port on which the instrument with this address listens.

    Raises OSError if there is no readable state file, KeyError if it does not know the address.
    """
    return _find(state_file, "addresses", address)


def find_chamber(state_file: Path, name: str) -> tuple[str, int]:
    """Return host and port on which the simulated chamber of this name listens. Raises UnreachableError."""
    try:
        return _find(state_file, "chambers", name)
    except (OSError, ValueError):
        what = "the simulation does not run; start it with: sandtime simulate"
    except KeyError:
        what = f"the simulation runs without it; service.toml needs [simulation_chambers.{name}]"
    raise UnreachableError(f"no simulated chamber {name}: {what}")


def find_control(state_file: Path) -> tuple[str, int]:
    """Return host and port on which the simulation takes faults. Raises OSError, ValueError, KeyError."""
    return _find(state_file, "control", "faults")


def _find(state_file: Path, kind: str, key: str) -> tuple[str, int]:
    entry = json.loads(state_file.read_text(encoding="utf-8"))[kind][key]
    return entry["host"], entry["port"]
