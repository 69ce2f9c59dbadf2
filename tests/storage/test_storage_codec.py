"""Packed columns come back bit for bit, whatever they hold; and what instruments send packs well."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocols.measurements import COLUMNS, Block, empty_block
from storage import codec

Floats = NDArray[np.float64]

SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -2.2e-308, 1.8e308, -1.8e308, 9.9e37, 1.0, 2.0**53]
any_float = st.one_of(st.floats(), st.sampled_from(SPECIAL), st.integers(-(2**53), 2**53).map(float))
multiples = st.lists(st.integers(-(2**24), 2**24), min_size=1, max_size=60)
WAYS: dict[str, Callable[[list[int]], Floats]] = {
    "decimals": lambda whole: np.array(whole) / 1e5,
    "decimals, multiplied": lambda whole: np.array(whole) * 1e-5,
    "decimals in single precision": lambda whole: (np.array(whole) / 1e4).astype(np.float32).astype(float),
    "steps of a converter": lambda whole: np.array(whole) * (10.0 / 65536),
    "single precision": lambda whole: np.sin(np.array(whole)).astype(np.float32).astype(float),
    "double precision": lambda whole: np.sin(np.array(whole)),
    "a time base": lambda whole: 1234.5678 + np.array(whole) * 40e-6,
}


def block(**columns: object) -> Block:
    rows = len(next(iter(columns.values())))  # type: ignore[arg-type]  # every column is a sequence
    samples = empty_block(rows)
    for name, values in columns.items():
        samples[name] = values
    return samples


def integrated(samples: Block) -> Block:
    """Fill in the charge as the engine sums it up, anew in each visit."""
    charge_C, charges = 0.0, []
    for before, sample in itertools.pairwise([samples[0], *samples]):
        charge_C = charge_C if before["visit"] == sample["visit"] else 0.0
        mean_A = 0.5 * (float(before["current_A"]) + float(sample["current_A"]))
        charge_C += mean_A * (float(sample["t_s"]) - float(before["t_s"]))
        charges.append(charge_C)
    samples["charge_C"] = charges
    return samples


def steady(rows: int = 600) -> Block:
    """A cell of 60 Ω that cycles at 0.1 mA, as a converter of 16 bits and single precision give it."""
    rng = np.random.default_rng(1)
    k = np.arange(rows)
    current_A = (1e-4 + 1e-7 * rng.standard_normal(rows)).astype(np.float32)
    read = np.rint((60 * current_A + 5e-5 * rng.standard_normal(rows)) * 6553.6)
    visit = k // 400
    return integrated(
        block(t_s=100.0 + k * 25000 * 40e-6, voltage_V=read / 6553.6, current_A=current_A, visit=visit)
    )


def assert_comes_back(samples: Block) -> dict[str, bytes]:
    packed = codec.pack(samples)
    found = codec.unpack(codec.NEWEST, packed, len(samples))
    for name in COLUMNS:
        assert found[name].dtype == samples[name].dtype
        assert found[name].tobytes() == samples[name].tobytes(), name
    return packed


@settings(max_examples=150)
@given(st.data())
def test_any_values_come_back(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 40))
    floats = st.lists(any_float, min_size=rows, max_size=rows)
    integers = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=rows, max_size=rows)
    flags = st.lists(st.integers(0, 2**32 - 1), min_size=rows, max_size=rows)
    samples = block(
        **{name: data.draw(floats) for name in ("t_s", "voltage_V", "current_A", "charge_C")},
        **{name: data.draw(integers) for name in ("step", "visit", "half_cycle")},
        flags=data.draw(flags),
    )
    assert_comes_back(samples)


@settings(max_examples=100)
@given(
    st.sampled_from(sorted(WAYS)), st.lists(st.integers(-(2**24), 2**24), min_size=1, max_size=60), st.data()
)
def test_what_instruments_send_comes_back(way: str, whole: list[int], data: st.DataObject) -> None:
    values = WAYS[way](whole)
    values[data.draw(st.integers(0, len(values) - 1))] = data.draw(any_float)
    with np.errstate(all="ignore"):
        samples = block(
            t_s=values, voltage_V=WAYS[way](whole), current_A=values[::-1], visit=np.array(whole) % 3
        )
    assert_comes_back(samples)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40), st.integers(1, 9))
def test_a_charge_that_was_summed_up_comes_back(current_A: list[float], visits: int) -> None:
    k = np.arange(len(current_A))
    samples = integrated(block(t_s=np.sort(np.sin(k)) * 1e3, current_A=current_A, visit=k // visits))
    assert_comes_back(samples)


def test_random_bits_come_back() -> None:
    rng = np.random.default_rng(3)
    samples = np.frombuffer(rng.bytes(1000 * empty_block().itemsize), dtype=empty_block().dtype)
    assert_comes_back(samples.copy())


@pytest.mark.parametrize(
    ("way", "largest"),
    [
        ("decimals", 1.5),
        ("decimals, multiplied", 1.5),
        ("decimals in single precision", 1.5),
        ("steps of a converter", 1.5),
    ],
)
def test_a_resolution_is_found(way: str, largest: float) -> None:
    """Noise of a few steps on any level: about a byte a value, where raw ones take eight."""
    rng = np.random.default_rng(2)
    values = WAYS[way]((7000 + np.rint(4 * rng.standard_normal(600))).astype(int).tolist())
    packed = assert_comes_back(block(voltage_V=values))
    assert len(packed["voltage_V"]) / 600 < largest


def test_a_steady_cell_packs_well() -> None:
    packed = assert_comes_back(steady())
    assert len(packed["charge_C"]) < 100
    assert sum(map(len, packed.values())) / 600 < 4.5


def test_a_charge_is_not_foretold_from_what_is_not_measured() -> None:
    samples = steady()
    samples["current_A"][100] = np.nan
    assert_comes_back(samples)


def test_columns_come_with_those_they_need() -> None:
    samples = steady()
    packed = codec.pack(samples)
    assert codec.with_needed(["voltage_V", "t_s"]) == ("voltage_V", "t_s")
    needed = codec.with_needed(["charge_C"])
    found = codec.unpack(codec.NEWEST, {name: packed[name] for name in needed}, len(samples))
    assert found["charge_C"].tobytes() == samples["charge_C"].tobytes()


@given(st.data())
def test_damage_is_named(data: st.DataObject) -> None:
    samples = steady(50)
    packed = codec.pack(samples)
    name = data.draw(st.sampled_from(COLUMNS))
    blob = bytearray(packed[name])
    place = data.draw(st.integers(0, len(blob) - 1))
    if data.draw(st.booleans()):
        del blob[place:]
    else:
        blob[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(codec.DamagedError, match=f"column {name}"):
        codec.unpack(codec.NEWEST, {**packed, name: bytes(blob)}, len(samples))


def test_a_wrong_number_of_values_is_damage() -> None:
    with pytest.raises(codec.DamagedError):
        codec.unpack(codec.NEWEST, codec.pack(steady()), 599)


def test_a_newer_codec_is_refused() -> None:
    with pytest.raises(codec.DamagedError, match="newer sandtime"):
        codec.unpack(99, codec.pack(steady()), 600)
