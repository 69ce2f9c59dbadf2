"""Files that are cut off, damaged or nothing at all give a SandtimeError and never another exception."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.recordings import open_recording
from protocols.errors import SandtimeError


def small_parquet(path: Path) -> bytes:
    numbers = [0.0, 1.0, 2.0, 3.0]
    columns = dict.fromkeys(("test_time_second", "voltage_volt", "current_ampere"), numbers)
    pq.write_table(pa.table(columns), path)
    return path.read_bytes()


def only_a_sandtime_error(path: Path) -> None:
    try:
        open_recording(path, current_A=1e-3)
    except SandtimeError as error:
        assert str(path) in str(error)


HEADS = (b"", b"EC-Lab ASCII FILE\r\nNb header lines : 3\r\n", b"BIO-LOGIC MODULAR FILE\x1a", b"PAR1")
BDF_HEAD = b"test_time_second,voltage_volt,current_ampere\n"


@given(
    content=st.binary(max_size=400),
    head=st.sampled_from([*HEADS, BDF_HEAD, b"time/s\tEwe/V\n"]),
    suffix=st.sampled_from([".csv", ".mpr", ".mpt", ".parquet", ".txt", ""]),
)
def test_random_bytes_give_nothing_but_a_sandtime_error(
    content: bytes, head: bytes, suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"random{suffix}"
    path.write_bytes(head + content)
    only_a_sandtime_error(path)


@given(text=st.text(alphabet='0123456789.,;-+eE\t\n "naif', max_size=200))
def test_random_numbers_in_a_csv_give_nothing_but_a_sandtime_error(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    path.write_bytes(BDF_HEAD + text.encode())
    only_a_sandtime_error(path)


@settings(max_examples=60)
@given(data=st.data())
def test_damaged_real_files_give_nothing_but_a_sandtime_error(
    data: st.DataObject, recordings: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = [
        f"biologic/{technique}.issue_149.{kind}" for technique in ("gcpl", "peis") for kind in ("mpr", "mpt")
    ]
    source = recordings / data.draw(st.sampled_from([*names, "symmetric/li_llzo_li_peis_and_cycling.mpr"]))
    content = bytearray(source.read_bytes()[: data.draw(st.integers(0, source.stat().st_size))])
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path_factory.getbasetemp() / f"damaged{source.suffix}"
    damaged.write_bytes(bytes(content))
    only_a_sandtime_error(damaged)


@settings(max_examples=60)
@given(cut=st.integers(0, 5000), place=st.integers(0, 4999), value=st.integers(0, 255))
def test_a_damaged_parquet_file_gives_nothing_but_a_sandtime_error(
    cut: int, place: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    content = bytearray(small_parquet(path)[:cut])
    if place < len(content):
        content[place] = value
    path.write_bytes(bytes(content))
    only_a_sandtime_error(path)
