"""``sandtime analyze eis``: documents, words, figures, and what is said of data that tell nothing."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_spectra import FREQUENCY, impedance, write_spectra
from scripted_instrument import program, sweep
from stored_runs import Impedance, StoredRun, open_store

from monitor.cli import run
from monitor.print_style import quantity, scaled
from monitor.templates import SERVICE

KEYS = {"index", "t_s", "current_A", "points", "kk", "summary", "drt", "circuit", "warnings", "error"}
KK_KEYS = {"passed", "noise", "rms", "lag1", "drift", "drift_std", "valid_from_Hz", "valid_to_Hz"}
DRT_KEYS = {
    "method",
    "tau_s",
    "gamma_ohm",
    "lower_ohm",
    "upper_ohm",
    "window_s",
    "r_inf_ohm",
    "inductance_H",
    "capacitance_F",
    "r_p_ohm",
    "noise",
    "peaks",
}
PEAK_KEYS = {"name", "tau_s", "resistance_ohm", "std_ohm", "capacitance_F", "inside_window"}
RANGES = """\
grain boundary: {from: 1 µs, to: 0.1 ms}
interface: {from: 1 ms, to: 100 ms}
"""


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.stdout)


Call = Callable[..., Done]


@pytest.fixture
def eis(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Return a function that runs ``analyze eis`` in this process, in an empty folder."""

    def run_here(*arguments: object) -> Done:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["sandtime", "analyze", "eis", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run()
        shown = capfd.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, shown.out, shown.err)

    return run_here


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """Return a file with one spectrum of two arcs."""
    return write_spectra(tmp_path / "one.csv", impedance())


@pytest.fixture
def ranges(tmp_path: Path) -> Path:
    """Return a file that names both arcs."""
    path = tmp_path / "processes.yaml"
    path.write_text(RANGES, encoding="utf-8")
    return path


def test_the_document_has_the_keys_that_are_promised(eis: Call, one: Path, ranges: Path) -> None:
    done = eis(one, "--json", "--ranges", ranges, "--circuit", "R0-p(R1,CPE1)-p(R2,CPE2)")
    assert done.code == 0, done.stderr
    document = done.document
    assert set(document) == {"spectra", "note"}
    (spectrum,) = document["spectra"]
    assert set(spectrum) == KEYS
    assert spectrum["points"] == len(FREQUENCY)
    assert set(spectrum["kk"]) == KK_KEYS
    assert spectrum["kk"]["passed"] is True
    assert spectrum["summary"]["r_hf_ohm"] == pytest.approx(40, rel=0.2)
    drt = spectrum["drt"]
    assert set(drt) == DRT_KEYS
    assert drt["method"] == "hierarchical"
    assert len(drt["tau_s"]) == len(drt["gamma_ohm"]) == len(drt["lower_ohm"]) == len(drt["upper_ohm"])
    assert all(set(peak) == PEAK_KEYS for peak in drt["peaks"])
    by_name = {peak["name"]: peak for peak in drt["peaks"] if peak["resistance_ohm"] > 10}
    assert by_name["interface"]["resistance_ohm"] == pytest.approx(300, rel=0.05)
    assert by_name["interface"]["inside_window"] is True
    assert by_name["interface"]["std_ohm"] > 0
    parameters = spectrum["circuit"]["parameters"]
    assert parameters["R2"]["value"] == pytest.approx(300, rel=0.02)
    assert parameters["R2"]["unit"] == "Ω"


def test_words_name_the_verdict_and_each_arc(eis: Call, one: Path, ranges: Path) -> None:
    done = eis(one, "--ranges", ranges, "--circuit", "R0-p(R1,CPE1)-p(R2,CPE2)")
    assert "81 points, 1 MHz to 10 mHz" in done.stdout
    assert "Kramers–Kronig: passed" in done.stdout
    assert re.search(r"Ω .* grain boundary", done.stdout)
    assert re.search(r"circuit R0-p\(R1,CPE1\)-p\(R2,CPE2\): .* % of \|Z\| left", done.stdout)
    assert done.stderr == ""


def test_ridge_is_told_from_hierarchical(eis: Call, one: Path) -> None:
    assert eis(one, "--json", "--method", "ridge").document["spectra"][0]["drt"]["method"] == "ridge"


def test_several_spectra_make_a_series(eis: Call, tmp_path: Path, ranges: Path) -> None:
    spectra = [impedance([(120, 1e-5), (300 + 20 * k, 1e-2)], seed=k) for k in range(6)]
    path = write_spectra(tmp_path / "six.csv", *spectra)
    document = eis(path, "--json", "--ranges", ranges).document
    assert [spectrum["t_s"] for spectrum in document["spectra"]] == [3600 * k for k in range(6)]
    assert len(document["series"]["t_s"]) == 6
    (interface,) = [row for row in document["series"]["processes"] if row["name"] == "interface"]
    assert interface["resistance_ohm"] == pytest.approx([300 + 20 * k for k in range(6)], rel=0.06)
    assert interface["index"] == list(range(6))
    rows = eis(path, "--ranges", ranges).stdout.splitlines()
    assert "grain boundary" in rows[0]
    assert re.search(r"τ: +\S+ µs +\S+ ms", rows[1])
    assert [row.split()[0] for row in rows[2:8]] == list("012345")


def test_a_series_tells_of_a_short_circuit_and_of_resistances_per_area(eis: Call, tmp_path: Path) -> None:
    before, z = impedance(seed=0), impedance(seed=1)
    file = write_spectra(tmp_path / "short.csv", before, 1.0 / (1.0 / z + 1.0 / 200.0))
    told = eis(file)
    assert re.search(r"0 → 1: a resistor came in parallel, 2\d\d Ω|0 → 1: .* 19\d Ω", told.stdout)
    found = eis(file, "--json", "--area", "2 cm²").document
    assert found["changes"][0]["kind"] == "parallel_resistor"
    assert found["changes"][0]["parallel_ohm"] == pytest.approx(200.0, rel=0.1)
    assert [one["under_current"] for one in found["steadiness"]] == [False, False]
    for process in found["series"]["processes"]:
        assert process["asr_ohm_cm2"][0] == pytest.approx(2 * process["resistance_ohm"][0])


def test_drift_is_taken_out_of_three_spectra_and_refused_for_two(eis: Call, tmp_path: Path) -> None:
    spectra = [impedance(seed=seed) * (1.0 + 0.1 * seed) for seed in range(3)]
    assert eis(write_spectra(tmp_path / "three.csv", *spectra), "--corrected").code == 0
    refused = eis(write_spectra(tmp_path / "two.csv", *spectra[:2]), "--corrected")
    assert refused.code == 3
    assert "3 are needed" in refused.stderr
    rows = (tmp_path / "three.csv").read_text(encoding="utf-8").splitlines()
    timeless = [",".join(cell for place, cell in enumerate(row.split(",")) if place != 1) for row in rows]
    (tmp_path / "timeless.csv").write_text("\n".join(timeless), encoding="utf-8")
    refused = eis(tmp_path / "timeless.csv", "--corrected")
    assert refused.code == 3
    assert "no spectrum could be corrected" in refused.stderr


@pytest.mark.parametrize("area", ["0 cm²", "-1 cm²", "2 cm", "wide"])
def test_an_area_that_is_none_is_refused(eis: Call, one: Path, area: str) -> None:
    refused = eis(one, "--area", area)
    assert refused.code == 3
    assert "Traceback" not in refused.stderr


def test_long_work_shows_how_far_it_is(eis: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.commands.eis.SHOW_S", 0.0)
    done = eis(write_spectra(tmp_path / "three.csv", *[impedance(seed=k) for k in range(3)]), "--json")
    shown = done.stderr.splitlines()
    assert [line.split(",")[0] for line in shown] == [f"{k} of 3 spectra" for k in (1, 2, 3)]
    assert "s left" in shown[0]
    assert len(done.document["spectra"]) == 3


def test_a_spectrum_that_tells_nothing_does_not_spoil_the_others(eis: Call, tmp_path: Path) -> None:
    path = write_spectra(tmp_path / "mixed.csv", impedance(), impedance())
    lines = path.read_text(encoding="utf-8").splitlines()
    few = write_spectra(tmp_path / "few.csv", impedance()).read_text(encoding="utf-8").splitlines()[:4]
    path.write_text("\n".join([*lines[:82], *lines[82:85]]) + "\n", encoding="utf-8")
    done = eis(path, "--json")
    assert done.code == 0
    whole, short = done.document["spectra"]
    assert whole["error"] is None
    assert short["points"] == 3
    assert "too few" in short["error"]
    assert short["drt"] is None
    (tmp_path / "few.csv").write_text("\n".join(few) + "\n", encoding="utf-8")
    alone = eis(tmp_path / "few.csv")
    assert alone.code == 3
    assert "not resolved" in alone.stdout


def test_a_turned_sign_is_said(eis: Call, tmp_path: Path) -> None:
    done = eis(write_spectra(tmp_path / "turned.csv", impedance().conj()))
    assert "probably holds −Z″" in done.stdout


def test_what_was_taken_for_granted_is_said(eis: Call, tmp_path: Path, one: Path) -> None:
    rows = [line.split(",")[2:] for line in one.read_text(encoding="utf-8").splitlines()[1:]]
    path = tmp_path / "plain.txt"
    path.write_text("\n".join("\t".join(row) for row in rows), encoding="utf-8")
    assert "note: no headings" in eis(path).stdout
    assert "no headings" in eis(path, "--json").document["note"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("interface: {from: 1 ms}\n", ":1:", "needs from and to"),
        ("interface: {from: 1 ms, to: 1 V}\n", ":1:", "1 V"),
        ("interface: {from: 10 ms, to: 1 ms}\n", ":1:", "begins at 0.01 s and ends at 0.001 s"),
        ("interface: {from: 1 ms, to: [1]}\n", ":1:", "a time is wanted"),
        ("a: {from: 1 ms, to: 2 ms}\nb: 3\n", ":2:", "process 'b'"),
        ("{}\n", ":1:", "names no process"),
    ],
)
def test_a_file_of_ranges_with_a_mistake_is_refused_with_its_line(
    eis: Call, one: Path, ranges: Path, text: str, place: str, words: str
) -> None:
    ranges.write_text(text, encoding="utf-8")
    done = eis(one, "--ranges", ranges)
    assert done.code == 3
    assert f"{ranges}{place}" in done.stderr
    assert words in done.stderr


def test_an_unknown_stock_list_names_those_there_are(eis: Call, one: Path) -> None:
    done = eis(one, "--ranges", "garnett")
    assert done.code == 3
    assert "garnet" in done.stderr.replace("garnett", "")


def test_a_circuit_that_is_none_is_refused(eis: Call, one: Path) -> None:
    done = eis(one, "--circuit", "R0-p(R1")
    assert done.code != 0
    assert "circuit" in done.stderr


def test_a_file_that_is_absent_or_holds_no_spectrum_is_refused(eis: Call, tmp_path: Path) -> None:
    assert eis("absent.csv").code == 3
    path = tmp_path / "dc.csv"
    path.write_text("test_time_second,voltage_volt,current_ampere\n0,1,1\n1,1,1\n", encoding="utf-8")
    done = eis(path)
    assert done.code == 3
    assert "no impedance spectra" in done.stderr


@pytest.mark.parametrize(
    ("suffix", "magic", "count", "width"),
    [
        (".png", b"\x89PNG", 1, "single"),
        (".svg", b"<?xml", 3, "double"),
        (".pdf", b"%PDF", 1, "double"),
        (".pdf", b"%PDF", 3, "single"),
    ],
)
def test_figures_are_written_as_their_ending_says(
    eis: Call, tmp_path: Path, ranges: Path, suffix: str, magic: bytes, count: int, width: str
) -> None:
    data = write_spectra(tmp_path / "z.csv", *[impedance(seed=k) for k in range(count)])
    figure = tmp_path / f"figure{suffix}"
    done = eis(data, "--plot", figure, "--ranges", ranges, "--width", width)
    assert done.code == 0, done.stderr
    assert figure.read_bytes().startswith(magic)
    assert f"wrote {figure}" in done.stderr


def test_a_drawing_has_a_column_s_width_and_letters_that_stay_letters(
    eis: Call, tmp_path: Path, one: Path, ranges: Path
) -> None:
    widths = {}
    for width in ("single", "double"):
        figure = tmp_path / f"{width}.svg"
        eis(one, "--plot", figure, "--ranges", ranges, "--width", width)
        text = figure.read_text(encoding="utf-8")
        match = re.search(r'width="([\d.]+)pt"', text)
        assert match is not None
        widths[width] = float(match[1]) / 72 * 25.4
        assert all(f">{word}<" in text for word in ("grain boundary", "interface", "100 Hz", "not measured"))
    assert widths == {"single": pytest.approx(88, abs=0.1), "double": pytest.approx(180, abs=0.1)}


def test_another_ending_is_refused_before_anything_is_computed(eis: Call, one: Path) -> None:
    done = eis(one, "--plot", "figure.bmp")
    assert done.code == 1
    assert ".png, .svg, .pdf" in done.stderr
    assert done.stdout == ""


async def test_the_spectra_of_a_run_are_analysed_by_its_number(eis: Call, tmp_path: Path) -> None:
    number = await stored(tmp_path / "data")
    (tmp_path / "service.toml").write_text(SERVICE, encoding="utf-8")
    document = eis(number, "--json").document
    assert len(document["spectra"]) == 2
    assert document["spectra"][1]["t_s"] > 0
    assert [process["name"] for process in document["series"]["processes"]] == ["charge transfer"]
    assert document["series"]["processes"][0]["asr_ohm_cm2"][0] > 0
    missing = eis(number + 1)
    assert missing.code == 2
    assert f"no run {number + 1}" in missing.stderr


def arc_of(ohm: float) -> Impedance:
    """Return the impedance of one arc."""
    return lambda f: np.asarray(40.0 + ohm / (1 + 2j * np.pi * f * 1e-3), dtype=np.complex128)


async def stored(folder: Path) -> int:
    """Store a run with two spectra; return its number."""
    store = await open_store(folder)
    try:
        whole = program(sweep(0), sweep(1))
        garnet = whole.cell.model_copy(update={"electrolyte_class": "garnet"})
        made = StoredRun(store, whole.model_copy(update={"cell": garnet}))
        for step, ohm in enumerate((300.0, 200.0)):
            made.spectrum(step, arc_of(ohm))
        await made.reader()
    finally:
        await store.close()
    return made.number


def test_quantities_are_written_with_their_prefix() -> None:
    assert quantity(0.0, "Ω") == "0 Ω"
    assert quantity(2416.7, "Ω") == "2.42 kΩ"
    assert quantity(1e6, "Hz") == "1 MHz"
    assert quantity(9.9999e-3, "Hz") == "10 mHz"
    assert quantity(-4.51e-5, "A") == "-45.1 µA"
    factor, unit = scaled(np.array([np.nan, 3e-3]), "Ω")
    assert factor == pytest.approx(1e3)
    assert unit == "mΩ"
