"""Spectra in the files of other programs: what is read, what is refused, and what a person is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.recordings import open_recording, read_spectra, read_spectra_and_note
from protocols.errors import InvalidFileError, SandtimeError
from protocols.measurements import Spectrum

F = (1e4, 1e2, 1.0)
Z_REAL = (10.0, 20.5, 30.0)
Z_IMAG = (0.5, -2.25, -3.0)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def table(head: str, separator: str = ",", factors: tuple[float, float, float] = (1, 1, 1)) -> str:
    rows = [
        separator.join(f"{value / factor:.12g}" for value, factor in zip(row, factors, strict=True))
        for row in zip(F, Z_REAL, Z_IMAG, strict=True)
    ]
    return "\n".join(([head] if head else []) + rows) + "\n"


def assert_is_the_spectrum(spectrum: Spectrum) -> None:
    assert spectrum.frequency_Hz == pytest.approx(F)
    assert spectrum.z_real_ohm == pytest.approx(Z_REAL)
    assert spectrum.z_imag_ohm == pytest.approx(Z_IMAG)


FILES = {
    "hybrid-drt__EISGALV_EISTest3.DTA": (71, 1000078, 0.1001603, 0.06649166 - 0.001555721j),
    "hybrid-drt__PEIS_LPSCl_IonBlocking_-25C.mpr": (79, 7e6, 0.10002, 1.7994e6 - 8.0938e6j),
    "hybrid-drt__PEIS_LPSCl_IonBlocking_-25C.txt": (79, 7e6, 0.10002, 1.7994e6 - 8.0938e6j),
    "hybrid-drt__PEIS_SSB.mpr": (89, 7e6, 0.0099973, 2416.7 - 454.96j),
    "hybrid-drt__Sample1_PEIS_EndOfDischarge.mpr": (86, 7e6, 0.019992, 888.77 - 126.49j),
    "impedance.py__exampleData.csv": (66, 0.0031623, 1e4, 0.015771 + 0.010157j),
    "impedance.py__exampleDataBioLogic.mpt": (43, 1000.32, 0.016896, 110.97 - 2.3459j),
    "impedance.py__exampleDataGamry.DTA": (72, 200015.6, 0.0158898, 17007.49 - 6635.557j),
    "impedance.py__exampleDataZPlot.z": (21, 3e5, 3e3, 613.68 - 137.13j),
    "pyDRTtools__1ZARC.csv": (81, 0.01, 1e6, 10.318 + 31.164j),
    "pyDRTtools__2ZARC0.csv": (81, 0.01, 1e6, 9.9252 + 0.28345j),
    "pyDRTtools__LIB_data.txt": (107, 999.04, 0.0050008, 0.15174 - 0.01374j),
}


@pytest.mark.parametrize("name", FILES)
def test_every_recorded_spectrum_is_read(recordings: Path, name: str) -> None:
    points, first_Hz, last_Hz, last_ohm = FILES[name]
    (spectrum,) = read_spectra(recordings / "eis" / name)
    assert len(spectrum.frequency_Hz) == points
    assert spectrum.frequency_Hz[0] == pytest.approx(first_Hz, rel=1e-4)
    assert spectrum.frequency_Hz[-1] == pytest.approx(last_Hz, rel=1e-4)
    last = complex(spectrum.impedance()[-1])
    assert abs(last - last_ohm) < 0.006 * abs(last_ohm)


def test_no_recording_is_missing_from_this_list(recordings: Path) -> None:
    found = {path.name for path in (recordings / "eis").iterdir() if "LICENSE" not in path.name}
    assert found == set(FILES)


def test_binary_and_text_of_one_blocking_cell_agree(recordings: Path) -> None:
    stem = recordings / "eis" / "hybrid-drt__PEIS_LPSCl_IonBlocking_-25C"
    (binary,), (text,) = (read_spectra(f"{stem}{suffix}") for suffix in (".mpr", ".txt"))
    np.testing.assert_allclose(binary.impedance(), text.impedance(), rtol=1e-6)
    np.testing.assert_allclose(binary.frequency_Hz, text.frequency_Hz, rtol=1e-6)
    np.testing.assert_allclose(binary.t_s, text.t_s, rtol=1e-9)


def test_a_gamry_file_tells_direct_current_voltage_and_start(recordings: Path) -> None:
    recording = open_recording(recordings / "eis" / "hybrid-drt__EISGALV_EISTest3.DTA")
    (spectrum,) = recording.spectra
    assert spectrum.voltage_V == pytest.approx(1.4625, rel=1e-3)
    assert spectrum.current_A == pytest.approx(0.4975, rel=1e-3)
    assert (spectrum.t_start_s, spectrum.t_end_s) == (1.541807, 257.4416)
    assert recording.metadata["started"] == "10/25/2024 21:09:58.727375"
    assert recording.metadata["technique"] == "GALVEIS"


def test_a_sweep_that_ended_early_is_read_and_said(recordings: Path) -> None:
    _, note = read_spectra_and_note(recordings / "eis" / "impedance.py__exampleDataZPlot.z")
    assert "56 points and holds 21" in note


@pytest.mark.parametrize(
    ("head", "factors"),
    [
        ("freq/Hz, Re(Z)/Ohm, -Im(Z)/Ohm", (1, 1, -1)),
        ("frequency (kHz), Z' (Ω), -Z'' (Ω)", (1e3, 1, -1)),
        ("Frequency [mHz], Zreal [kOhm], Zimag [kOhm]", (1e-3, 1e3, 1e3)),
        ("f/MHz, Re(Z)/MOhm, Im(Z)/mOhm", (1e6, 1e6, 1e-3)),
        ("freq_khz, real_kohm, neg_imag_kohm", (1e3, 1e3, -1e3)),
        ("Freq/Hz, Z′/Ω, −Z″/Ω", (1, 1, -1)),
        ("Freq/Hz, Z'/ohm, Z\"/ohm", (1, 1, 1)),
        ("Frequency in Hz, Re(Z) in Ohm, minus Im(Z) in Ohm", (1, 1, -1)),
        ("# f/Hz, Zre/ohm, Zim/ohm", (1, 1, 1)),
    ],
)
def test_headings_say_sign_and_unit(tmp_path: Path, head: str, factors: tuple[float, float, float]) -> None:
    spectra, note = read_spectra_and_note(write(tmp_path / "z.csv", table(head, ",", factors)))
    assert_is_the_spectrum(spectra[0])
    assert note == ""


@pytest.mark.parametrize("separator", [",", ";", "\t", "  "])
def test_without_headings_three_columns_are_f_and_z(tmp_path: Path, separator: str) -> None:
    spectra, note = read_spectra_and_note(write(tmp_path / "z.txt", table("", separator)))
    assert_is_the_spectrum(spectra[0])
    assert "no headings" in note


def test_headings_without_units_are_taken_as_si_and_it_is_said(tmp_path: Path) -> None:
    text = table("Freq,Real,Imag").replace("\n", "\n7,").replace("7,Freq", ",Freq")
    spectra, note = read_spectra_and_note(write(tmp_path / "z.csv", "," + text.removesuffix("7,")))
    assert_is_the_spectrum(spectra[0])
    assert "no units" in note


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_decimal_commas_between_semicolons_or_tabs(tmp_path: Path, separator: str, encoding: str) -> None:
    text = table(separator.join(("freq/Hz", "Re(Z)/Ohm", "Im(Z)/Ohm")), separator).replace(".", ",")
    assert_is_the_spectrum(read_spectra(write(tmp_path / "z.csv", text, encoding))[0])


def test_settings_before_the_headings_and_units_below_them(tmp_path: Path) -> None:
    text = "Init E (V) = 0.2\nQuiet Time (sec) = 0\n\n" + table(
        "Freq,Zreal,Zimag\nkHz,Ohm,Ohm", ",", (1e3, 1, 1)
    )
    spectra, note = read_spectra_and_note(write(tmp_path / "z.txt", text))
    assert_is_the_spectrum(spectra[0])
    assert note == ""


def test_modulus_and_phase_stand_for_real_and_imaginary(tmp_path: Path) -> None:
    path = write(tmp_path / "z.csv", "f/Hz;|Z|/kOhm;-Phase(Z)/deg\n1000;0,1;30\n10;0,2;60\n")
    (spectrum,) = read_spectra(path)
    expected = np.array([100, 200]) * np.exp(-1j * np.radians([30, 60]))
    np.testing.assert_allclose(spectrum.impedance(), expected)


def test_columns_of_other_things_are_passed_over(tmp_path: Path) -> None:
    head = "T/°C;Freq/Hz;Zreal/Ohm;Zimag/Ohm;Phase (?);E/V"
    rows = [f"25;{f};{re};{im};x;" for f, re, im in zip(F, Z_REAL, Z_IMAG, strict=True)]
    path = write(tmp_path / "z.csv", "\n".join([head, *rows]).replace(";x;", ";1;"))
    assert_is_the_spectrum(read_spectra(path)[0])


def test_an_index_that_counts_points_does_not_split_spectra(tmp_path: Path) -> None:
    head = "Index;Frequency (Hz);Z' (Ω);-Z'' (Ω);Time (s)"
    nova = write(tmp_path / "nova.txt", f"{head}\n1;100;1;1;0\n2;10;2;1;1\n3;1;3;1;2\n")
    assert [len(spectrum.frequency_Hz) for spectrum in read_spectra(nova)] == [3]
    text = "index,frequency_hertz,real_impedance_ohm,imaginary_impedance_ohm\n0,9,1,-1\n1,8,2,-1\n2,7,3,-1\n"
    assert [len(spectrum.frequency_Hz) for spectrum in read_spectra(write(tmp_path / "b.csv", text))] == [3]
    several = write(tmp_path / "c.csv", f"{head}\n1;100;1;1;0\n1;10;2;1;1\n2;100;3;1;2\n2;10;3;1;3\n")
    assert [len(spectrum.frequency_Hz) for spectrum in read_spectra(several)] == [2, 2]


REFUSED = [
    ("freq/Hz,Re(Z)/Ohm,Im(Z)/Ohm cm²\n1,2,3\n", 1, "area", "divide by the electrode area"),
    ("freq_mhz,real_ohm,imag_ohm\n1,2,3\n", 1, "'mhz'", "Hz, kHz, MHz or mHz"),
    ("freq/Hz,Re(Z)/MOHM,Im(Z)/MOHM\n1,2,3\n", 1, "'MOHM'", "mOhm"),
    ("freq/Hz,Re(Z)/A,Im(Z)/Ohm\n1,2,3\n", 1, "'A'", "Ohm"),
    ("f/Hz,Z'/Ohm,Z''/Ohm,Z'/Ohm\n1,2,3,4\n", 1, "two columns", "below each other"),
    ("f/Hz,Z'/Ohm,Z''/Ohm\n1,2,3\n0,2,3\n", 3, "above 0", "remove this line"),
    ("f/Hz,Z'/Ohm,Z''/Ohm\n1,2,3\n2,inf,3\n", 3, "not a usable number", "remove this line"),
    ("f/Hz,Z'/Ohm,Z''/Ohm\n1,2,\n2,2,3\n", 2, "not a usable number", "remove this line"),
    ("f/Hz,Z'/Ohm,Z''/Ohm\n1,2,3\n2,x,3\n", 3, "'x' is not a number", "export"),
    ("f/Hz,Z'/Ohm,Z''/Ohm\n1,2,3\n2,2\n", 3, "2 of 3 columns", "remove this line"),
    ("f/Hz,Z'/Ohm,Z''/Ohm\n1,5,2,5,3,5\n", 2, "6 columns, the headings 3", "semicolon or a tab"),
    ("1,2,3,4\n5,6,7,8\n", 1, "4 columns of numbers", "line of headings"),
    ("f/Hz,|Z|/Ohm,phase\n1,2,3\n", 0, "phase has no unit", "Phase/deg"),
    ("f/Hz,Z'/Ohm,Z''/Ohm,|Z|/kOhm\n1,3,4,5\n2,3,4,5\n", 2, "0.001 times", "units of these columns"),
    ("f/Hz,Z'/Ohm,Z''/Ohm,Phase/deg\n1,3,-4,53\n2,3,-4,53\n", 2, "differ in sign", "-Im(Z)"),
]


@pytest.mark.parametrize(("text", "line", "what", "hint"), REFUSED)
def test_what_can_not_be_known_is_refused_with_place_and_remedy(
    tmp_path: Path, text: str, line: int, what: str, hint: str
) -> None:
    with pytest.raises(InvalidFileError) as caught:
        read_spectra(write(tmp_path / "z.csv", text))
    (problem,) = caught.value.problems
    assert problem.line == line
    assert what in problem.message
    assert hint in problem.hint


GAMRY = """\
EXPLAIN
TAG\tEISPOT
DATE\tLABEL\t4.5.2026\tDate
ZCURVE\tTABLE
\tPt\tTime\tFreq\tZreal\tZimag\tIdc\tVdc
\t#\ts\tHz\tohm\tohm\tA\tV
\t0\t1,5\t10000\t10\t0,5\t0,001\t0,2
\t1\t2,5\t100\t20,5\t-2,25\t0,001\t0,2
\t2\t3,5\t1\t30\t-3\t0,001\t0,2
"""
SECOND = GAMRY[GAMRY.index("ZCURVE") :].replace("\t10\t", "\t11\t")


def test_gamry_with_decimal_commas(tmp_path: Path) -> None:
    (spectrum,), note = read_spectra_and_note(write(tmp_path / "a.DTA", GAMRY))
    assert_is_the_spectrum(spectrum)
    assert spectrum.voltage_V == pytest.approx(0.2)
    assert note == ""


def test_several_tables_of_one_gamry_file_come_in_order(tmp_path: Path) -> None:
    (first, second), note = read_spectra_and_note(write(tmp_path / "a.DTA", GAMRY + SECOND))
    assert first.z_real_ohm[0] == 10
    assert second.z_real_ohm[0] == 11
    assert second.t_start_s == 5.0
    assert "anew" in note


def test_gamry_corrected_for_drift_gives_the_corrected_values(tmp_path: Path) -> None:
    head, *rows = GAMRY[GAMRY.index("\tPt") :].splitlines()
    corrected = [head + "\tZrealDrCor\tZimagDrCor", rows[0] + "\tohm\tohm"]
    corrected += [f"{row}\t{k}5\t-{k}" for k, row in enumerate(rows[1:], 1)]
    path = write(tmp_path / "a.DTA", "EXPLAIN\nDRIFTCOR\tTOGGLE\tT\nZCURVE\tTABLE\n" + "\n".join(corrected))
    (spectrum,), note = read_spectra_and_note(path)
    assert spectrum.z_real_ohm == (15, 25, 35)
    assert spectrum.z_imag_ohm == (-1, -2, -3)
    assert "drift" in note


def test_gamry_units_are_read_from_their_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.DTA", GAMRY.replace("\tohm\tohm", "\tkohm\tkohm"))
    assert read_spectra(path)[0].z_real_ohm == (10_000, 20_500, 30_000)
    with pytest.raises(InvalidFileError, match="'ohm x'"):
        read_spectra(write(tmp_path / "b.DTA", GAMRY.replace("\tohm\t", "\tohm x\t", 1)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("EXPLAIN\nTAG\tCHRONOA\nCURVE\tTABLE\n\tPt\tT\n\t#\ts\n\t0\t1\n", "no table ZCURVE"),
        (GAMRY[: GAMRY.index("\tPt")], "no rows"),
        (GAMRY[: GAMRY.index("\t0")], "no rows"),
        (GAMRY.replace("Zimag", "Zxyz"), "no columns Freq, Zreal and Zimag"),
        (GAMRY.removesuffix("\t0,001\t0,2\n"), "5 of 7 columns"),
        (GAMRY.replace("20,5", "?"), "'\\?' is not a number"),
    ],
)
def test_damaged_gamry_files_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidFileError, match=words):
        read_spectra(write(tmp_path / "a.DTA", text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ZPLOT2 ASCII\n  Freq(Hz)\tTime(Sec)\tZ'(a)\tZ''(b)\n", "no line 'End Comments'"),
        ("ZPLOT2 ASCII\nEnd Comments\n1\t2\t3\t4\n", "no line that names the columns"),
        ("ZPLOT2 ASCII\n  Freq(Hz)\tTime(Sec)\tZ'(a)\tZ''(b)\nEnd Comments\n", "no points"),
        ("ZPLOT2 ASCII\n  Freq(Hz)\tTime(Sec)\tZ'(a)\tZ''(b)\nEnd Comments\n1\t2\t3\n", "3 of 4 columns"),
    ],
)
def test_damaged_zplot_files_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidFileError, match=words):
        read_spectra(write(tmp_path / "a.z", text))


def test_zplot_with_commas_and_quotes(tmp_path: Path) -> None:
    head = '"ZPlotW Data File: Version 2.6b"\n"  Freq(Hz)","Time(Sec)","Z\'(a)","Z\'\'(b)"\n"End Comments"\n'
    rows = "".join(f"{f}, 0, {re}, {im}\n" for f, re, im in zip(F, Z_REAL, Z_IMAG, strict=True))
    assert_is_the_spectrum(read_spectra(write(tmp_path / "a.z", head + rows))[0])


def test_eclab_text_of_a_spectrum_needs_no_time(tmp_path: Path) -> None:
    head = "EC-Lab ASCII FILE\nNb header lines : 3\nfreq/Hz\tRe(Z)/Ohm\t-Im(Z)/Ohm\n"
    assert_is_the_spectrum(read_spectra(write(tmp_path / "a.mpt", head + table("", "\t", (1, 1, -1))))[0])


HEADS = (
    "",
    "EXPLAIN\nZCURVE\tTABLE\n",
    GAMRY,
    "ZPLOT2 ASCII\n  Freq(Hz)\tZ'(a)\tZ''(b)\nEnd Comments\n",
    "f/Hz,Z'/Ohm,Z''/Ohm\n",
    "Freq;|Z|;Phase/deg\n",
)


def only_a_sandtime_error(path: Path) -> None:
    try:
        spectra = read_spectra(path)
    except SandtimeError as error:
        assert str(path) in str(error)
    else:
        assert all(np.all(np.isfinite(spectrum.impedance())) for spectrum in spectra)


@given(
    head=st.sampled_from(HEADS),
    text=st.text(alphabet="0123456789.,;-+eE\t\n \"nafHzohmRe(Z)'/", max_size=200) | st.text(max_size=60),
    suffix=st.sampled_from([".csv", ".txt", ".DTA", ".z", ".dat"]),
)
def test_garbage_gives_nothing_but_a_sandtime_error(
    head: str, text: str, suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"garbage{suffix}"
    path.write_bytes((head + text).encode("utf-8", "surrogatepass"))
    only_a_sandtime_error(path)


@settings(max_examples=80)
@given(data=st.data())
def test_cut_and_damaged_files_give_nothing_but_a_sandtime_error(
    data: st.DataObject, recordings: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = recordings / "eis" / data.draw(st.sampled_from([name for name in FILES if ".mpr" not in name]))
    content = bytearray(source.read_bytes()[: data.draw(st.integers(0, source.stat().st_size))])
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"damaged{source.suffix}"
    path.write_bytes(bytes(content))
    only_a_sandtime_error(path)
