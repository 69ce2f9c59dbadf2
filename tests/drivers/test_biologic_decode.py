"""Words of data buffers to columns."""

from __future__ import annotations

import cmath
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.biologic.decode import Header, SweepRows, Words, decode
from protocols.errors import InstrumentError


def header(technique_id: int, columns: int, rows: int = 1, process: int = 0, start_s: float = 0.0) -> Header:
    return Header(0, technique_id, process, 0, rows, columns, start_s)


def buffer(layout: str, *rows: tuple[float, ...]) -> Words:
    """Pack rows as the instrument does, zeros behind them."""
    packed = b"".join(struct.pack("<" + layout, *row) for row in rows)
    return np.frombuffer(packed.ljust(4000, b"\0"), dtype=np.uint32)


def test_rows_of_a_limited_constant_current() -> None:
    words = buffer("IIffI", (0, 500, 0.25, -1e-3, 0), (1, 0, 0.5, -2e-3, 0))
    rows = decode(header(155, 5, 2), words, 1e-4)
    np.testing.assert_allclose(rows.t_s, [0.05, 2**32 * 1e-4], rtol=1e-12)
    np.testing.assert_allclose(rows.voltage_V, [0.25, 0.5])
    np.testing.assert_allclose(rows.current_A, [-1e-3, -2e-3], rtol=1e-6)


def test_a_scan_sends_the_current_first() -> None:
    rows = decode(header(158, 5), buffer("IIffI", (0, 500, -1e-3, 0.25, 0)), 1e-4)
    np.testing.assert_allclose([rows.t_s[0], rows.voltage_V[0], rows.current_A[0]], [0.05, 0.25, -1e-3])


def test_rows_of_a_constant_voltage() -> None:
    rows = decode(header(157, 5), buffer("IIffI", (0, 500, 0.25, -1e-3, 0)), 1e-4)
    np.testing.assert_allclose([rows.t_s[0], rows.voltage_V[0], rows.current_A[0]], [0.05, 0.25, -1e-3])


def test_a_rest_has_no_current() -> None:
    rows = decode(header(100, 3, 2), buffer("IIf", (0, 0, 0.01), (0, 10, 0.02)), 0.1)
    assert rows.current_A.tolist() == [0.0, 0.0]
    np.testing.assert_allclose(rows.t_s, [0.0, 1.0])


def test_a_hold_before_a_sweep_is_dc() -> None:
    rows = decode(header(107, 4), buffer("IIff", (0, 3, 0.1, 0.5)), 1.0)
    assert not isinstance(rows, SweepRows)
    assert (rows.t_s[0], rows.current_A[0]) == (3.0, 0.5)


@pytest.mark.parametrize("technique_id", [104, 107])
@given(
    st.floats(1.0, 1e6), st.floats(-cmath.pi / 2, cmath.pi / 2), st.floats(1e-5, 1e-2), st.floats(1e-3, 1e6)
)
def test_points_of_a_spectrum(
    technique_id: int, modulus_ohm: float, phase: float, current_A: float, f_Hz: float
) -> None:
    words = buffer(
        "14f",
        (f_Hz, modulus_ohm * current_A, current_A, phase, 0.2, 1e-3, *[9.0] * 7, 12.5),
    )
    rows = decode(header(technique_id, 14, process=1), words, 34e-6)
    assert isinstance(rows, SweepRows)
    expected = cmath.rect(modulus_ohm, phase)
    assert abs(rows.impedance_ohm[0] - expected) < 1e-6 * modulus_ohm
    np.testing.assert_allclose(
        [rows.frequency_Hz[0], rows.t_s[0], rows.voltage_V[0], rows.current_A[0]],
        [f_Hz, 12.5, 0.2, 1e-3],
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    "strange",
    [
        header(155, 6),
        header(102, 5),
        header(158, 6),
        header(104, 15, process=1),
        header(107, 15, process=1),
        header(100, 3, start_s=float("nan")),
    ],
)
def test_blocks_that_are_not_ours_are_refused(strange: Header) -> None:
    with pytest.raises(InstrumentError, match="technique id"):
        decode(strange, np.zeros(1000, dtype=np.uint32), 1e-3)


def test_other_boards_have_their_own_numbers() -> None:
    words = buffer("IIf", (0, 1, 0.0))
    rows = decode(header(100, 3), words, 1.0, lambda table: np.full(table.shape, 7.0))
    assert rows.voltage_V.tolist() == [7.0]
