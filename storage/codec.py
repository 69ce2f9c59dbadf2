"""Columns of samples as few bytes, without loss: every column comes back bit for bit.

A column becomes whole numbers first, in the way that needs the fewest bits:

- *steps*: multiples of one step, the resolution of the instrument's converter, or of a decimal place (10 µV);
  taken only if the multiples give every value back exactly;
- *bits*: else the bit patterns, of single precision if that holds every value;
- *charge* is foretold from time and current, by the trapezoids that made it: hardly anything is left.

The whole numbers, less a base or each less the one before, are stored in as few bytes as they need; bytes of
equal weight are laid together, so that the slow upper ones compress, and zlib does the rest.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocols.measurements import COLUMNS, SAMPLE, Block
from storage.columns import Columns

Whole = NDArray[np.int64]
Candidate: TypeAlias = "tuple[Kind, float, Whole]"
"""What whole numbers are, the step or places, and they themselves."""

SHUFFLED, NEWEST = 0, 1
"""Numbers of the codecs: that of release 1, and this one."""
LEVEL = 1
EXACT = float(1 << 53)
"""Whole numbers up to here are exact in double precision."""
POWERS = np.array([float(f"1e{places}") for places in range(13)])
TENTHS = np.array([float(f"1e-{places}") for places in range(13)])
"""10^places and 10^−places for the decimal places that are tried; written out, since powers may be rounded
otherwise on another machine."""
NEARLY = 1e-7
"""Relative error of a decimal in single precision."""
WIDTHS = (1, 2, 4, 8)
"""Bytes that a number may take; 0: all are the base."""
A_FEW = 16
"""Values that are looked at before all of them are."""
NEEDS = {"charge_C": ("t_s", "current_A", "step", "visit")}
"""Column → columns that it may be foretold from."""

RAW = -zlib.MAX_WBITS
"""Without zlib's own head and checksum."""

_CRC = struct.Struct("<I")
_HEAD = struct.Struct("<BBBxdq")
"""Kind, whether differences, bytes of a number; step or decimal places; base."""


class Kind(IntEnum):
    """What the whole numbers of a column are."""

    INTEGERS = 0
    """The values themselves."""
    STEPS = 1
    """Multiples of the step."""
    PLACES = 2
    """Value × 10^places, divided to give the value."""
    TIMES_PLACES = 3
    """The same, but multiplied with 10^−places, which may differ in the last bit."""
    SINGLE_PLACES = 4
    """As PLACES, and the value is then rounded to single precision."""
    SINGLES = 5
    """Bit patterns in single precision."""
    DOUBLES = 6
    """Bit patterns in double precision."""
    FORETOLD = 7
    """Bit patterns in double precision, less those of what is foretold."""


DECIMAL = (Kind.PLACES, Kind.TIMES_PLACES, Kind.SINGLE_PLACES)


class DamagedError(ValueError):
    """A packed column cannot be read."""


def pack(samples: Block) -> dict[str, bytes]:
    """Return each stored column of samples of one run as bytes."""
    with np.errstate(all="ignore"):
        return {name: _pack(name, samples) for name in COLUMNS}


def unpack(number: int, blobs: Mapping[str, bytes], n: int) -> Columns:
    """Return columns of ``n`` values that a codec has packed, each with the columns that it needs.

    Raises DamagedError.
    """
    if number not in (SHUFFLED, NEWEST):
        raise DamagedError(f"packed in a way ({number}) that only a newer sandtime knows")
    unpacked = _unshuffle if number == SHUFFLED else _unpack
    found: Columns = {}
    for name in sorted(blobs, key=lambda name: name in NEEDS):
        try:
            with np.errstate(all="ignore"):
                found[name] = unpacked(name, blobs[name], n, found)
        except (zlib.error, struct.error, ValueError, KeyError) as error:
            raise DamagedError(f"column {name}: {error}") from error
    return found


def with_needed(columns: Sequence[str]) -> tuple[str, ...]:
    """Return columns together with those that they may be foretold from."""
    return tuple(dict.fromkeys([*columns, *(more for name in columns for more in NEEDS.get(name, ()))]))


def _pack(name: str, samples: Block) -> bytes:
    values = np.ascontiguousarray(samples[name])
    if values.dtype.kind != "f":
        return _squeeze(Kind.INTEGERS, 0.0, values.astype(np.int64))
    way = _as_foretold(values, {need: samples[need] for need in NEEDS[name]}) if name in NEEDS else None
    return _squeeze(*(way or _as_whole(values)))


def _unpack(name: str, blob: bytes, n: int, found: Columns) -> NDArray[Any]:
    kind, parameter, whole = _unsqueeze(blob, n)
    if kind == Kind.INTEGERS:
        return whole.astype(SAMPLE[name])
    return _restored(whole, found) if kind == Kind.FORETOLD else _values(kind, parameter, whole)


def _unshuffle(name: str, blob: bytes, n: int, found: Columns) -> NDArray[Any]:
    """Return a column of release 1: bytes of equal weight together; times as differences of their bits."""
    kind = SAMPLE[name]
    planes = np.frombuffer(zlib.decompress(blob), dtype=np.uint8).reshape(kind.itemsize, n)
    plain = np.ascontiguousarray(planes.T)
    if name == "t_s":
        return np.cumsum(plain.view(np.int64).ravel()).view(kind)
    return plain.view(kind).ravel()


def _as_whole(values: NDArray[np.float64]) -> Candidate:
    """Return values as whole numbers that give them back bit for bit."""
    if np.isfinite(values).all():
        places = _as_places(values)
        if places is not None:
            return places
        ways = [way for way in (_as_steps(values), _as_singles(values)) if way is not None]
        if ways:
            return min(ways, key=_roughness)
    return Kind.DOUBLES, 0.0, values.view(np.int64)


def _roughness(candidate: Candidate) -> float:
    """Return about how many bits the differences need: the more, the worse a column packs."""
    return _bits(_folded(np.diff(candidate[2])))


def _as_steps(values: NDArray[np.float64]) -> Candidate | None:
    """Return values as multiples of the largest step that all are multiples of, a sum of powers of two."""
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    if not whole.any():
        return None
    zeros = np.log2((whole & -whole).astype(np.float64), where=whole != 0, out=np.full(len(whole), 1e4))
    lowest = int((exponent - 53 + zeros).min())
    scaled = np.ldexp(values, -lowest) if -1000 < lowest < 1000 else values
    if not (np.abs(scaled) < EXACT).all():
        return None
    multiples = scaled.astype(np.int64)
    divisor = int(np.gcd.reduce(multiples))
    step = float(np.ldexp(float(divisor), lowest))
    return _checked(Kind.STEPS, step, multiples // max(divisor, 1), values)


def _as_places(values: NDArray[np.float64]) -> Candidate | None:
    """Return values as multiples of a decimal place, as instruments give them that write or send decimals."""
    few = values[:A_FEW, np.newaxis] * POWERS
    near = (np.abs(few - np.rint(few)) <= NEARLY * np.abs(few)).all(axis=0)
    if not near.any():
        return None
    places = int(near.argmax())
    scaled = np.rint(values * POWERS[places])
    if not (np.abs(scaled) < EXACT).all():
        return None
    whole = scaled.astype(np.int64)
    ways = (_checked(kind, float(places), whole, values) for kind in DECIMAL)
    return next((way for way in ways if way is not None), None)


def _as_singles(values: NDArray[np.float64]) -> Candidate | None:
    bits = values.astype(np.float32).view(np.int32).astype(np.int64)
    return _checked(Kind.SINGLES, 0.0, bits, values)


def _checked(kind: Kind, parameter: float, whole: Whole, values: NDArray[np.float64]) -> Candidate | None:
    """Return a way to write values if it gives them back bit for bit."""
    back = _values(kind, parameter, whole)
    return (kind, parameter, whole) if np.array_equal(back.view(np.int64), values.view(np.int64)) else None


def _values(kind: Kind, parameter: float, whole: Whole) -> NDArray[np.float64]:
    values: NDArray[np.float64] = whole.astype(np.float64)
    match kind:
        case Kind.STEPS:
            values *= parameter
        case Kind.PLACES:
            values /= POWERS[int(parameter)]
        case Kind.TIMES_PLACES:
            values *= TENTHS[int(parameter)]
        case Kind.SINGLE_PLACES:
            values = (values / POWERS[int(parameter)]).astype(np.float32).astype(np.float64)
        case Kind.SINGLES:
            values = whole.astype(np.int32).view(np.float32).astype(np.float64)
        case _:
            values = whole.view(np.float64)
    return values


def _as_foretold(values: NDArray[np.float64], needed: Columns) -> Candidate | None:
    """Return what is left of the bits where the charge is foretold; at a visit's start they are kept whole.

    None unless that is nothing for most of them.
    """
    starts = _visit_starts(needed)
    foretold = _foretold(values[starts], starts, needed)
    if foretold is None:
        return None
    bits = values.view(np.int64)
    left = bits - foretold.view(np.int64)
    if 2 * np.count_nonzero(left) > len(left):
        return None
    left[starts] = bits[starts]
    return Kind.FORETOLD, 0.0, left


def _restored(left: Whole, needed: Columns) -> NDArray[np.float64]:
    """Return the charge: the inverse of :func:`_as_foretold`."""
    starts = _visit_starts(needed)
    foretold = _foretold(left[starts].view(np.float64), starts, needed)
    if foretold is None:
        raise ValueError("what it was foretold from is damaged")
    bits = left + foretold.view(np.int64)
    bits[starts] = left[starts]
    return bits.view(np.float64)


def _foretold(
    first_C: NDArray[np.float64], starts: NDArray[np.intp], needed: Columns
) -> NDArray[np.float64] | None:
    """Return the charge from that of each visit's first sample on, by trapezoids, as the engine sums it up.

    None where it is no number: its bits would not be the same on every machine.
    """
    current_A, t_s = needed["current_A"], needed["t_s"]
    passed = np.empty(len(t_s))
    passed[1:] = 0.5 * (current_A[:-1] + current_A[1:]) * (t_s[1:] - t_s[:-1])
    passed[starts] = first_C
    # One visit after the other: the order of additions decides about the last bits.
    charge_C = np.concatenate([np.add.accumulate(visit) for visit in np.split(passed, starts[1:])])
    return charge_C if np.isfinite(charge_C).all() else None


def _visit_starts(needed: Columns) -> NDArray[np.intp]:
    changed = np.ones(len(needed["step"]), dtype=bool)
    changed[1:] = (np.diff(needed["step"]) != 0) | (np.diff(needed["visit"]) != 0)
    return np.flatnonzero(changed)


def _squeeze(kind: Kind, parameter: float, whole: Whole) -> bytes:
    """Return whole numbers as bytes: less a middle one, or each less the one before, whichever is smaller."""
    if (whole == whole[0]).all():
        return _sealed(_HEAD.pack(kind, False, 0, parameter, int(whole[0])))
    middle = int(np.partition(whole, len(whole) // 2)[len(whole) // 2])
    plain, steep = _folded(whole - middle), _folded(np.diff(whole, prepend=whole[:1]))
    differences = _bits(steep) < _bits(plain)
    numbers, base = (steep, int(whole[0])) if differences else (plain, middle)
    width = next(size for size in WIDTHS if int(numbers.max()) < 1 << 8 * size)
    planes = numbers.astype(f"<u{width}").view(np.uint8).reshape(len(numbers), width).T
    head = _HEAD.pack(kind, differences, width, parameter, base)
    return _sealed(head + zlib.compress(planes.tobytes(), LEVEL, wbits=RAW))


def _unsqueeze(blob: bytes, n: int) -> Candidate:
    body = blob[_CRC.size :]
    if _sealed(body) != blob:
        raise ValueError("its checksum differs")
    kind, differences, width, parameter, base = _HEAD.unpack_from(body)
    if not width:
        return Kind(kind), parameter, np.full(n, base, dtype=np.int64)
    planes = np.frombuffer(zlib.decompress(body[_HEAD.size :], wbits=RAW), dtype=np.uint8).reshape(width, n)
    folded = np.ascontiguousarray(planes.T).view(f"<u{width}").ravel().astype(np.uint64)
    numbers = (folded >> np.uint64(1)).view(np.int64) ^ -(folded & np.uint64(1)).view(np.int64)
    return Kind(kind), parameter, (np.cumsum(numbers) if differences else numbers) + base


def _sealed(body: bytes) -> bytes:
    """Return bytes behind their checksum: a column that is read alone shows its damage."""
    return _CRC.pack(zlib.crc32(body)) + body


def _folded(numbers: Whole) -> NDArray[np.uint64]:
    """Return numbers without a sign: 0, −1, 1, −2, … become 0, 1, 2, 3, …"""
    return ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)


def _bits(folded: NDArray[np.uint64]) -> float:
    """Return how many bits the numbers need, about, added up."""
    return float(np.log2(folded.astype(np.float64) + 1.0).sum())
