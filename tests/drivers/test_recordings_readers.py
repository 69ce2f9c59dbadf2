"""Readers of recorded files: what they understand, and what they say of files that they don't."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.recordings import Recording, open_recording, read_spectra
from protocols.errors import InvalidFileError, SandtimeError

PAIRS = ("ca", "cp", "gcpl", "ocv", "geis", "peis")
LABELS = {
    "test_time_second": "Test Time / s",
    "voltage_volt": "Voltage / V",
    "current_ampere": "Current / A",
    "step_count": "Step Count / 1",
    "cycle_count": "Cycle Count / 1",
    "frequency_hertz": "Frequency / Hz",
    "real_impedance_ohm": "Real Impedance / ohm",
    "imaginary_impedance_ohm": "Imaginary Impedance / ohm",
}
COLUMNS: dict[str, list[float | None]] = {
    "test_time_second": [5.0, 6.5, 8.0, 9.0, 9.5, 10.0],
    "voltage_volt": [0.01, 0.02, -0.03, None, None, 0.5],
    "current_ampere": [0.0, 1e-6, -2.5e-6, None, None, 1e-6],
    "step_count": [1, 2, 3, 4, 4, 5],
    "cycle_count": [0, 0, 1, 1, 1, 1],
    "frequency_hertz": [None, None, None, 1e5, 1e3, None],
    "real_impedance_ohm": [None, None, None, 100.0, 150.0, None],
    "imaginary_impedance_ohm": [None, None, None, -10.0, -50.0, None],
}


def write_csv(path: Path, columns: dict[str, list[float | None]], separator: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def write_parquet(path: Path, columns: dict[str, list[float | None]]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def assert_holds_columns(recording: Recording) -> None:
    is_dc = [frequency is None for frequency in COLUMNS["frequency_hertz"]]

    def dc(name: str) -> list[float | None]:
        return [value for value, keep in zip(COLUMNS[name], is_dc, strict=True) if keep]

    def eis(name: str) -> tuple[float | None, ...]:
        return tuple(value for value, keep in zip(COLUMNS[name], is_dc, strict=True) if not keep)

    assert recording.t_s.tolist() == dc("test_time_second")
    assert recording.voltage_V.tolist() == dc("voltage_volt")
    assert recording.current_A.tolist() == dc("current_ampere")
    assert recording.step is not None
    assert recording.step.tolist() == dc("step_count")
    assert recording.cycle is not None
    assert recording.cycle.tolist() == dc("cycle_count")
    (spectrum,) = recording.spectra
    assert recording.samples_before == (3,)
    assert spectrum.frequency_Hz == eis("frequency_hertz")
    assert spectrum.z_real_ohm == eis("real_impedance_ohm")
    assert spectrum.z_imag_ohm == eis("imaginary_impedance_ohm")
    assert spectrum.t_s == eis("test_time_second")
    assert not recording.inferred_current
    assert "charges" in recording.metadata["current_sign"]


@pytest.mark.parametrize("technique", PAIRS)
def test_binary_and_text_of_one_measurement_agree(recordings: Path, technique: str) -> None:
    binary = open_recording(recordings / "biologic" / f"{technique}.issue_149.mpr")
    text = open_recording(recordings / "biologic" / f"{technique}.issue_149.mpt")
    for name in ("t_s", "voltage_V", "current_A"):
        np.testing.assert_allclose(getattr(binary, name), getattr(text, name), rtol=1e-6, atol=1e-12)
    for ours, theirs in zip(binary.spectra, text.spectra, strict=True):
        for name in ("t_s", "frequency_Hz", "z_real_ohm", "z_imag_ohm"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6)
        assert ours.amplitude == pytest.approx(theirs.amplitude)
    assert len(binary.t_s) + len(binary.spectra) > 0


def test_text_of_eclab_has_decimal_commas_and_milliamperes(recordings: Path) -> None:
    source = recordings / "biologic" / "cp.issue_149.mpt"
    row = source.read_text(encoding="cp1252").splitlines()[63].split("\t")
    assert "," in row[7]
    recording = open_recording(source)
    assert recording.t_s[0] == float(row[7].replace(",", "."))
    assert recording.voltage_V[0] == float(row[9].replace(",", "."))
    assert recording.current_A[0] == pytest.approx(float(row[10].replace(",", ".")) / 1000)
    assert recording.metadata["technique"] == "Chronopotentiometry"
    assert recording.metadata["device"].startswith("SP-300")


def test_charge_between_rows_gives_the_current_that_eclab_computes_itself(recordings: Path) -> None:
    """GCPL's binary file has no current; its text has <I>, computed by EC-Lab. 33 rows make a loop."""
    binary = open_recording(recordings / "biologic" / "gcpl.issue_149.mpr")
    lines = (recordings / "biologic" / "gcpl.issue_149.mpt").read_text(encoding="cp1252").splitlines()
    column = lines[80].split("\t").index("<I>/mA")
    by_eclab = [float(line.split("\t")[column].replace(",", ".")) / 1000 for line in lines[81:]]
    np.testing.assert_allclose(binary.current_A, by_eclab, rtol=1e-9, atol=1e-15)


def test_capacitive_points_have_negative_imaginary_part(recordings: Path) -> None:
    (spectrum,) = open_recording(recordings / "eis" / "impedance.py__exampleDataBioLogic.mpt").spectra
    assert spectrum.frequency_Hz[0] > spectrum.frequency_Hz[-1]
    assert spectrum.z_imag_ohm[-1] < 0
    assert spectrum.z_real_ohm[-1] > 0


def test_spectra_by_modulus_and_phase_are_capacitive_too(recordings: Path) -> None:
    recording = open_recording(recordings / "symmetric" / "li_llzo_li_peis_and_cycling.mpr")
    assert len(recording.spectra) == 8
    for spectrum in recording.spectra:
        assert spectrum.z_imag_ohm[0] < 0 < spectrum.z_real_ohm[0] < spectrum.z_real_ohm[-1]
        assert spectrum.frequency_Hz[0] == pytest.approx(1e6, rel=1e-3)
        assert spectrum.frequency_Hz[-1] == pytest.approx(0.1, rel=2e-2)


def test_bdf_csv_with_machine_names_and_with_labels(tmp_path: Path) -> None:
    assert_holds_columns(open_recording(write_csv(tmp_path / "names.bdf.csv", COLUMNS)))
    labelled = {LABELS[name]: values for name, values in COLUMNS.items()}
    assert_holds_columns(open_recording(write_csv(tmp_path / "labels.csv", labelled)))


def test_bdf_parquet_with_machine_names_and_with_labels(tmp_path: Path) -> None:
    assert_holds_columns(open_recording(write_parquet(tmp_path / "names.bdf.parquet", COLUMNS)))
    labelled = {LABELS[name]: values for name, values in COLUMNS.items()}
    assert_holds_columns(open_recording(write_parquet(tmp_path / "labels.parquet", labelled)))


def test_csv_with_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "german.csv", COLUMNS, separator=";")
    path.write_text(path.read_text(encoding="utf-8").replace(".", ","), encoding="utf-8")
    assert_holds_columns(open_recording(path))


TIMES = st.lists(st.floats(0, 1e6), min_size=1, max_size=20).map(sorted)


@given(t_s=TIMES, data=st.data())
def test_every_row_of_a_csv_comes_back(
    t_s: list[float], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    numbers = st.lists(st.floats(-1e3, 1e3), min_size=len(t_s), max_size=len(t_s))
    rows = list(zip(t_s, data.draw(numbers), data.draw(numbers), strict=True))
    columns: dict[str, list[float | None]] = {
        name: [row[k] for row in rows]
        for k, name in enumerate(("test_time_second", "voltage_volt", "current_ampere"))
    }
    recording = open_recording(write_csv(tmp_path_factory.mktemp("csv") / "any.csv", columns))
    back = list(zip(recording.t_s, recording.voltage_V, recording.current_A, strict=True))
    kept_once = [row for k, row in enumerate(rows) if k == 0 or row != rows[k - 1]]
    assert back == kept_once


def three_columns(t_s: list[float | None]) -> dict[str, list[float | None]]:
    values: list[float | None] = [float(k) for k in range(len(t_s))]
    return {"test_time_second": t_s, "voltage_volt": values, "current_ampere": values}


def test_rows_a_little_out_of_order_are_sorted(tmp_path: Path) -> None:
    recording = open_recording(write_csv(tmp_path / "a.csv", three_columns([0.0, 10.0, 9.9, 20.0])))
    assert recording.t_s.tolist() == [0.0, 9.9, 10.0, 20.0]
    assert recording.voltage_V.tolist() == [0.0, 2.0, 1.0, 3.0]


def test_time_that_begins_again_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", three_columns([0.0, 100.0, 0.0, 100.0]))
    with pytest.raises(InvalidFileError, match=r"row 3 .* from 100 s to 0 s") as caught:
        open_recording(path)
    assert "whole test" in caught.value.problems[0].hint


def test_voltage_alone_needs_a_current_and_marks_it(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "a.csv", {name: COLUMNS[name][:3] for name in ("test_time_second", "voltage_volt")}
    )
    with pytest.raises(InvalidFileError, match="--current"):
        open_recording(path)
    recording = open_recording(path, current_A=-2e-6)
    assert recording.inferred_current
    assert recording.current_A.tolist() == [-2e-6] * 3


def test_a_given_current_is_refused_where_one_was_measured(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="measured"):
        open_recording(write_csv(tmp_path / "a.csv", COLUMNS), current_A=1e-3)


def test_a_missing_voltage_is_named_by_its_row(tmp_path: Path) -> None:
    columns = three_columns([0.0, 1.0, 2.0])
    columns["voltage_volt"][1] = None
    with pytest.raises(InvalidFileError, match=r"row 2 .*voltage_V"):
        open_recording(write_csv(tmp_path / "a.csv", columns))


def test_a_cell_that_is_no_number_is_named_by_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("test_time_second,voltage_volt,current_ampere\n0,1,1\n1,oops,1\n")
    with pytest.raises(InvalidFileError, match=r"a\.csv:3:.*'voltage_volt'.*'oops'"):
        open_recording(path)


def test_columns_of_another_tool_are_listed(recordings: Path) -> None:
    with pytest.raises(InvalidFileError, match=r"Voltage\(mV\)(.|\n)*test_time_second"):
        open_recording(recordings / "neware" / "new_nda_file.parquet")


@pytest.mark.parametrize("suffix", [".csv", ".mpr", ".mpt", ".parquet", ".xyz", ".ndax"])
def test_an_empty_file_is_called_empty(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.touch()
    with pytest.raises(InvalidFileError, match="empty"):
        open_recording(path)


def test_files_that_are_absent_unknown_or_for_later_say_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="can't be opened"):
        open_recording(tmp_path / "absent.csv")
    with pytest.raises(InvalidFileError, match="can't be opened"):
        open_recording(tmp_path)
    for suffix, words in ((".xyz", "unknown format"), (".ndax", "fastnda")):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"something")
        with pytest.raises(InvalidFileError, match=words):
            open_recording(path)


def test_without_galvani_the_error_says_what_to_install(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "galvani", None)
    with pytest.raises(SandtimeError, match=r'pip install "sandtime\[readers\]"'):
        open_recording(recordings / "biologic" / "ocv.issue_149.mpr")


def test_the_content_counts_more_than_the_name(recordings: Path, tmp_path: Path) -> None:
    source = recordings / "biologic" / "ocv.issue_149.mpt"
    renamed = tmp_path / "ocv.txt"
    renamed.write_bytes(source.read_bytes())
    assert len(open_recording(renamed).t_s) == len(open_recording(source).t_s)


@pytest.mark.parametrize("technique", ["cp", "ocv", "gcpl"])
def test_a_text_file_cut_within_its_last_number_is_refused(
    recordings: Path, tmp_path: Path, technique: str
) -> None:
    content = (recordings / "biologic" / f"{technique}.issue_149.mpt").read_bytes()
    cut = tmp_path / "cut.mpt"
    cut.write_bytes(content.rstrip()[:-2])
    with pytest.raises(InvalidFileError, match="cut off"):
        open_recording(cut)


SPECTRA: dict[str, list[float | None]] = {
    "frequency_hertz": [1e4, 1e2, 1.0, 1e4, 1e2, 1.0],
    "real_impedance_ohm": [10.0, 20.0, 30.0, 11.0, 21.0, 31.0],
    "imaginary_impedance_ohm": [-1.0, -2.0, -3.0, -1.1, -2.1, -3.1],
}


def test_a_table_of_spectra_is_split_where_the_frequency_returns(tmp_path: Path) -> None:
    first, second = read_spectra(write_csv(tmp_path / "z.csv", SPECTRA))
    assert first.z_real_ohm == (10.0, 20.0, 30.0)
    assert second.z_imag_ohm == (-1.1, -2.1, -3.1)


def test_an_index_splits_spectra_and_a_time_places_them(tmp_path: Path) -> None:
    columns: dict[str, list[float | None]] = {
        **SPECTRA,
        "index": [0, 0, 1, 2, 2, 2],
        "time": [100, 101, 102, 200, 201, 202],
    }
    spectra = read_spectra(write_csv(tmp_path / "z.csv", columns))
    assert [spectrum.z_real_ohm for spectrum in spectra] == [(10.0, 20.0), (30.0,), (11.0, 21.0, 31.0)]
    assert [(spectrum.t_start_s, spectrum.t_end_s) for spectrum in spectra] == [
        (100, 101),
        (102, 102),
        (200, 202),
    ]


def test_a_file_without_spectra_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="no impedance spectra"):
        read_spectra(write_csv(tmp_path / "a.csv", three_columns([0.0, 1.0])))


def test_readers_import_heavy_libraries_only_when_used() -> None:
    import subprocess

    code = (
        "import sys, drivers.recordings;"
        "print([name for name in ('pyarrow', 'galvani', 'scipy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
