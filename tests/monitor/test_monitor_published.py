"""The published values as data, their comparison, and one small study through the real command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from labbench import sandtime

from drivers.simulation.config import SimulationConfig
from drivers.simulation.presets import PRESETS, describe
from drivers.simulation.published_cells import about_cells, published_cells
from monitor.published.bench import BOX_CHANNELS, service_toml, trials_of
from monitor.published.comparison import ABOUT, AIM, Row
from monitor.published.study import Quantity, Study, chosen, load_studies, load_study
from monitor.published.tables import page, summary
from protocols.errors import InvalidFileError
from scheduler.config import load_config

LEAST_CELLS, LEAST_EXACT = 24, 60


@pytest.fixture(scope="module")
def studies() -> list[Study]:
    return load_studies()


def _quantities(studies: list[Study]) -> list[Quantity]:
    return [quantity for study in studies for test in study.tests for quantity in test.quantities]


def test_all_studies_are_there_with_enough_cells_and_exact_figures(studies: list[Study]) -> None:
    assert [study.letter for study in studies] == ["A", "B", "C", "D", "E"]
    assert len({cell.preset for study in studies for cell in study.cells.values()}) >= LEAST_CELLS
    exact = [one for one in _quantities(studies) if one.relation == "=" and not one.clashes]
    assert len(exact) >= LEAST_EXACT


def test_values_that_contradict_each_other_are_told_apart(studies: list[Study]) -> None:
    clashing = {
        (study.letter, test.name)
        for study in studies
        for test in study.tests
        if any(quantity.clashes for quantity in test.quantities)
    }
    assert {("B", "life_llzto_pma"), ("B", "life_llzto_pma_02"), ("C", "life_tfoh_1")} <= clashing


def test_each_cell_is_tested_and_each_parameter_set_is_a_cell(studies: list[Study]) -> None:
    for study in studies:
        assert {test.cell for test in study.tests} == set(study.cells)
    used = {cell.preset for study in studies for cell in study.cells.values()}
    assert used == set(published_cells())
    assert all(about_cells().values())


@pytest.mark.parametrize("preset", sorted(published_cells()))
def test_a_parameter_set_makes_a_cell(preset: str) -> None:
    assert preset in PRESETS
    assert describe(preset).build().current_A == 0.0


def test_every_protocol_fits_its_cell_and_all_tests_fit_into_one_lab(
    studies: list[Study], tmp_path: Path
) -> None:
    trials = trials_of(studies)
    assert len(trials) == sum(len(study.tests) for study in studies)
    config = tmp_path / "service.toml"
    config.write_text(service_toml(trials), encoding="utf-8")
    lab = load_config(config)
    assert set(lab.stations) == {trial.station for trial in trials}
    boxes = SimulationConfig.load(config).boxes
    assert sum(len(box.channels) for box in boxes.values()) == len(trials)
    assert max(len(box.channels) for box in boxes.values()) <= BOX_CHANNELS


def test_only_some_studies_cells_or_tests(studies: list[Study]) -> None:
    assert [study.letter for study in chosen(studies, ["c"])] == ["C"]
    (only,) = chosen(studies, ["ccd_air"])
    assert [test.name for test in only.tests] == ["ccd_air"]
    assert [test.name for test in chosen(studies, ["dual"])[0].tests] == ["ccd_dual"]
    with pytest.raises(InvalidFileError, match="Did you mean 'ccd_air'"):
        chosen(studies, ["ccd_ari"])


STUDY = """\
letter = "X"
source = "a paper"
[cells.one]
label = "a cell"
preset = "generic_symmetric"
file = { geometry = "symmetric", area = "1 cm²" }
[[tests]]
name = "life"
cell = "one"
protocol = "symmetric_cycling"
quantities = [ { name = "overpotential", published = 10.0, unit = "mV", by = "overpotential" } ]
"""
WRONG = {
    "no such extraction": ('by = "overpotential"', 'by = "overpotentail"', "Did you mean 'overpotential'"),
    "no such argument": (
        'by = "overpotential" }',
        'by = "overpotential", arguments = { day = 1 } }',
        "'day'",
    ),
    "no such unit": ('unit = "mV"', 'unit = "mv"', "'mv' is not known"),
    "another kind": ('unit = "mV"', 'unit = "h"', "gives a voltage, but a time is published"),
    "no number": ("published = 10.0", 'published = "ten"', "overpotential gives a voltage"),
    "no such cell": ('cell = "one"', 'cell = "ore"', "Did you mean 'one'"),
    "no such preset": ("generic_symmetric", "generic_symetric", "Did you mean 'generic_symmetric'"),
    "no such protocol": ("symmetric_cycling", "symetric_cycling", "Did you mean 'symmetric_cycling'"),
    "a cell without area": (', area = "1 cm²"', "", "'area' or a 'diameter'"),
    "no TOML": ("[[tests]]", "[[tests", "cannot be read as TOML"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_in_a_data_file_is_named(what: str, tmp_path: Path) -> None:
    right, wrong, message = WRONG[what]
    file = tmp_path / "study_x.toml"
    file.write_text(STUDY, encoding="utf-8")
    assert load_study(file).letter == "X"
    assert right in STUDY
    file.write_text(STUDY.replace(right, wrong), encoding="utf-8")
    with pytest.raises(InvalidFileError, match=re.escape(message)):
        load_study(file)


def test_two_tests_of_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "study_x.toml"
    file.write_text(STUDY + STUDY[STUDY.index("[[tests]]") :], encoding="utf-8")
    with pytest.raises(InvalidFileError, match="two tests are called life"):
        load_study(file)


def test_parameter_sets_may_build_on_each_other(tmp_path: Path) -> None:
    file = tmp_path / "study_x.toml"
    file.write_text(
        '[a]\nabout = "one"\nseed = 1\narea_cm2 = 2.0\n[b]\nlike = "a"\nseed = 3\n', encoding="utf-8"
    )
    assert published_cells(tmp_path) == {
        "x_a": {"seed": 1, "area_cm2": 2.0},
        "x_b": {"seed": 3, "area_cm2": 2.0},
    }
    for like, message in (("c", "b like c does not exist"), ("b", "b like b is like itself")):
        file.write_text(f'[b]\nlike = "{like}"\n', encoding="utf-8")
        with pytest.raises(InvalidFileError, match=message):
            published_cells(tmp_path)
    file.write_text('about = "nothing"\n', encoding="utf-8")
    with pytest.raises(InvalidFileError, match="stands outside of any cell"):
        published_cells(tmp_path)


def _row(published: float | str, obtained: float | str | None, relation: str = "=", clashes: str = "") -> Row:
    words = relation == "words"
    quantity = Quantity.model_validate(
        {
            "name": "how it ended" if words else "overpotential",
            "published": published,
            "unit": "" if words else "mV",
            "relation": relation,
            "by": "cause" if words else "overpotential",
            "clashes": clashes,
        }
    )
    return Row("X", "a | cell", "life", quantity, obtained, "" if obtained is not None else "no half-cycle")


@pytest.mark.parametrize(
    ("relation", "published", "obtained", "met"),
    [
        ("=", 100.0, 100.0 * (1 + AIM * 0.99), True),
        ("=", 100.0, 100.0 * (1 - AIM * 1.01), False),
        ("=", 100.0, None, False),
        ("~", 100.0, 100.0 * (1 + ABOUT * 0.99), True),
        ("~", 100.0, 100.0 * (1 + ABOUT * 1.01), False),
        (">", 100.0, 100.1, True),
        (">", 100.0, 100.0, False),
        (">=", 100.0, 100.0, True),
        ("<", 100.0, 100.0, False),
        ("<=", 100.0, 100.0, True),
        ("<", 100.0, None, False),
        ("words", "short_circuit", "short_circuit", True),
        ("words", "short_circuit", "none", False),
    ],
)
def test_what_agrees(relation: str, published: float | str, obtained: float | str | None, met: bool) -> None:
    row = _row(published, obtained, relation)
    assert row.met is met
    assert (row.deviation is not None) == (relation == "=" and obtained is not None)


def test_the_page_holds_three_tables_and_says_what_agreement_means() -> None:
    rows = [
        _row(10.0, 10.2),
        _row(10.0, None),
        _row("short_circuit", "none", "words"),
        _row(40.0, 50.0, "~", clashes="10 mV at 0.2 mA/cm²"),
    ]
    text = page(rows, {"X": "a paper"}, "2 cores", "Took 1.0 min", "figures/published.png")
    exact, others, clashes = (
        text[text.index(title) :].split("\n\n## ")[0]
        for title in ("## Exact figures", "## About,", "## Values that contradict")
    )
    assert "| X | a \\| cell | overpotential | 10 mV | 10.2 mV | +2.0% |" in exact
    assert "NOT MET" in others and "short_circuit" in others
    assert "10 mV at 0.2 mA/cm²" in clashes and "~ 40 mV | 50 mV" in clashes
    assert "fitted to these papers" in text and "a paper" in text and "no half-cycle" in text
    assert summary(rows).startswith("2 exact figures, 1 of them within 5%; 1 values")


def test_a_small_study_through_the_whole_system(tmp_path: Path) -> None:
    only = ["--only", "conductivity_lni", "--only", "activation_cnt50"]
    ran = sandtime("published", *only, "--json", "--write", "published.md", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert set(document) == {"rows", "clashes", "machine", "seconds"}
    rows = {(row["test"], row["quantity"]): row for row in document["rows"]}
    sigma = rows["conductivity_lni", "σ"]
    assert {"study", "cell", "quantity", "unit", "published", "obtained", "deviation"} <= set(sigma)
    assert (sigma["study"], sigma["cell"], sigma["unit"], sigma["published"]) == ("E", "LNI", "S/cm", 3.1e-4)
    assert sigma["obtained"] == pytest.approx(3.1e-4, rel=0.05)
    assert sigma["deviation"] == pytest.approx(sigma["obtained"] / 3.1e-4 - 1)
    assert sigma["met"]
    about = rows["conductivity_lni", "resistance"]
    assert (about["relation"], about["deviation"], about["met"]) == ("~", None, True)
    assert rows["activation_cnt50", "activation"]["obtained"] == "falls"
    text = (tmp_path / "published.md").read_text(encoding="utf-8")
    assert "| E | LNI | σ |" in text
    assert (tmp_path / "figures" / "published.png").read_bytes().startswith(b"\x89PNG")


def test_a_name_that_fits_nothing(tmp_path: Path) -> None:
    ran = sandtime("published", "--only", "Z", folder=tmp_path)
    assert ran.returncode == InvalidFileError.exit_code
    assert "nothing is called 'Z'" in ran.stderr
