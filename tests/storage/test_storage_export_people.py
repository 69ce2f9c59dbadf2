"""Workbooks, archives for lab notebooks, and BattINFO records say what the store holds."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import openpyxl
import pytest
from battinfo_schema import ADDRESS, PROTOCOL, TEST
from cycled_run import HOURS, SHORT, TEXTS, add_cycled_run, cycling, half_cycle, store_cycled_run
from numpy.typing import NDArray
from pyarrow import parquet

from protocols.measurements import as_json
from protocols.records import Event, Gap, RunState
from storage.export import export_run, xlsx
from storage.export.deviations import deviations
from storage.files import run_folder
from storage.reader import Reader
from storage.store import Store

Rows = list[tuple[Any, ...]]


@pytest.fixture
async def reader(tmp_path: Path) -> Reader:
    return await store_cycled_run(tmp_path / "data")


def sheets(path: Path) -> dict[str, Rows]:
    workbook = openpyxl.load_workbook(path, read_only=True)
    try:
        return {sheet.title: list(sheet.values) for sheet in workbook}
    finally:
        workbook.close()


def overview_of(found: dict[str, Rows]) -> dict[str, Any]:
    return {str(name): value for name, value in found["Overview"]}


def test_a_workbook_holds_the_run_in_the_units_of_a_lab(reader: Reader, tmp_path: Path) -> None:
    export_run(reader, 1, "xlsx", tmp_path / "a.xlsx")
    found = sheets(tmp_path / "a.xlsx")
    assert list(found) == ["Overview", "Half-cycles", "Verdicts", "Spectra", "Gaps", "Samples"]
    overview = overview_of(found)
    assert overview["Verdict"] == SHORT.message
    assert overview["Started (UTC)"] == datetime(2023, 11, 14, 22, 13, 20)
    assert overview["Result: hours"] == HOURS
    heading, *rows = found["Half-cycles"]
    first = dict(zip(heading, rows[0], strict=True))
    assert first["j (mA/cm²)"] == pytest.approx(-0.1)
    assert first["Q (mAh)"] == pytest.approx(half_cycle(0).charge_C / 3.6)
    assert found["Verdicts"][1] == ("short_circuit", 1, 14399, 14390, None, False, SHORT.message)
    assert found["Spectra"][1] == (0, 100, 1000, 50.5, 1.5, 0.03, pytest.approx(0.1))
    assert found["Gaps"][1] == (1, 2, "crash")


def test_a_workbook_holds_every_sample_as_long_as_they_fit(reader: Reader, tmp_path: Path) -> None:
    export_run(reader, 1, "xlsx", tmp_path / "a.xlsx")
    heading, *rows = sheets(tmp_path / "a.xlsx")["Samples"]
    assert heading == ("Time (s)", "E (V)", "I (mA)", "j (mA/cm²)", "Half-cycle", "Step")
    samples = cycling()
    columns: NDArray[np.float64] = np.array(rows, float).T
    for column, name, factor in (
        (0, "t_s", 1),
        (1, "voltage_V", 1),
        (2, "current_A", 1e3),
        (4, "half_cycle", 1),
    ):
        assert np.allclose(columns[column], samples[name] * factor, rtol=1e-14, atol=0)


@pytest.mark.parametrize("limit", [1000, 721, 100, 22])
def test_more_samples_than_rows_are_rolled_up_and_no_extreme_is_lost(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(xlsx, "SHEET_ROWS", limit)
    export_run(reader, 1, "xlsx", tmp_path / "a.xlsx")
    found = sheets(tmp_path / "a.xlsx")
    heading, *rows = found["Samples, rolled up"]
    assert len(rows) + 1 <= limit
    columns: dict[str, Any] = {
        str(name): np.array([row[k] for row in rows]) for k, name in enumerate(heading)
    }
    samples = cycling()
    assert columns["Samples"].sum() == len(samples)
    assert columns["E min (V)"].min() == pytest.approx(samples["voltage_V"].min(), rel=1e-14)
    assert columns["E max (V)"].max() == pytest.approx(samples["voltage_V"].max(), rel=1e-14)
    mean = np.average(columns["E mean (V)"], weights=columns["Samples"])
    assert mean == pytest.approx(samples["voltage_V"].mean(), abs=1e-12)
    assert (columns["From (s)"][0], columns["To (s)"][-1]) == (samples["t_s"][0], samples["t_s"][-1])
    said = overview_of(found)["Sheet “Samples, rolled up”"]
    assert "each row stands for" in said
    assert "bdf-parquet" in said


def test_no_text_of_a_run_is_a_formula(reader: Reader, tmp_path: Path) -> None:
    export_run(reader, 1, "xlsx", tmp_path / "a.xlsx")
    overview = openpyxl.load_workbook(tmp_path / "a.xlsx")["Overview"]
    [name] = [row[1] for row in overview.iter_rows() if row[0].value == "Name"]
    assert (name.value, name.data_type) == ("=a+1", "s")


async def test_a_text_that_xml_cannot_hold_does_not_break_a_workbook(tmp_path: Path) -> None:
    reader = await store_cycled_run(tmp_path / "data", name="bell\x07")
    export_run(reader, 1, "xlsx", tmp_path / "a.xlsx")
    assert overview_of(sheets(tmp_path / "a.xlsx"))["Name"] == "bell\ufffd"


def unpacked(path: Path) -> tuple[dict[str, bytes], dict[str, dict[str, Any]]]:
    """Return an archive's files, by their place in the crate, and its entities by their name."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        files = {name.removeprefix(f"{path.stem}/"): archive.read(name) for name in archive.namelist()}
        assert all(name.startswith(f"{path.stem}/") for name in archive.namelist())
    crate = json.loads(files["ro-crate-metadata.json"])
    assert crate["@context"] == "https://w3id.org/ro/crate/1.1/context"
    entities = {entity["@id"]: entity for entity in crate["@graph"]}
    assert len(entities) == len(crate["@graph"])
    return files, entities


def test_an_archive_is_a_crate_that_names_each_of_its_files(reader: Reader, tmp_path: Path) -> None:
    export_run(reader, 1, "eln", tmp_path / "run 1.eln")
    files, entities = unpacked(tmp_path / "run 1.eln")
    about = entities["ro-crate-metadata.json"]
    assert about["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert about["about"] == {"@id": "./"}
    assert {"name", "description", "datePublished", "license"} <= entities["./"].keys()
    [part] = entities["./"]["hasPart"]
    dataset = entities[part["@id"]]
    listed = {entry["@id"].removeprefix("./") for entry in dataset["hasPart"]}
    assert listed == files.keys() - {"ro-crate-metadata.json"}
    for place in listed:
        entity = entities[f"./{place}"]
        assert entity["sha256"] == hashlib.sha256(files[place]).hexdigest()
        assert entity["contentSize"] == str(len(files[place]))
        assert entity["@type"] == "File"
        assert entity["encodingFormat"]
        assert entity["description"] != "Around a verdict"
    for entity in entities.values():
        for value in entity.values():
            for reference in value if isinstance(value, list) else [value]:
                if isinstance(reference, dict) and not reference["@id"].startswith("https:"):
                    assert reference["@id"] in entities


def test_an_archive_holds_data_protocol_cell_and_events(reader: Reader, tmp_path: Path) -> None:
    export_run(reader, 1, "eln", tmp_path / "a.eln")
    files, entities = unpacked(tmp_path / "a.eln")
    (tmp_path / "samples.parquet").write_bytes(files["1-a-1/samples.bdf.parquet"])
    table = parquet.read_table(tmp_path / "samples.parquet")
    assert np.array_equal(table["voltage_volt"].to_numpy(), cycling()["voltage_V"])
    assert files["1-a-1/protocol.yaml"].decode() == TEXTS["protocol_text"]
    assert files["1-a-1/cell.yaml"].decode() == TEXTS["cell_text"]
    assert "no contact with box" in files["1-a-1/events.csv"].decode()
    assert json.loads(files["1-a-1/run.json"])["verdicts"] == [as_json(SHORT)]
    values = {e["propertyID"]: e["value"] for e in entities.values() if e["@type"] == "PropertyValue"}
    assert values["verdict"] == "short_circuit"
    assert values["cell.area_m2"] == 1e-4
    assert values["results.hours"] == HOURS


def test_an_archive_takes_the_pictures_of_verdicts_along(reader: Reader, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "data", 1, reader.run(1).name) / "verdicts"
    folder.mkdir(parents=True)
    (folder / "1-short_circuit.png").write_bytes(b"picture")
    export_run(reader, 1, "eln", tmp_path / "a.eln")
    files, entities = unpacked(tmp_path / "a.eln")
    assert files["1-a-1/verdicts/1-short_circuit.png"] == b"picture"
    assert entities["./1-a-1/verdicts/1-short_circuit.png"]["encodingFormat"] == "image/png"


def test_nothing_is_left_beside_an_archive(reader: Reader, tmp_path: Path) -> None:
    export_run(reader, 1, "eln", tmp_path / "a.eln")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.eln", "data"]


def test_battinfo_records_have_the_keys_of_its_schemas(reader: Reader, tmp_path: Path) -> None:
    written = export_run(reader, 1, "battinfo", tmp_path / "a.test.json", clock=lambda: 1.8e9)
    assert [path.name for path in written] == ["a.test.json", "a.test-protocol.json"]
    test, protocol = (json.loads(path.read_text()) for path in written)
    jsonschema.validate(test, TEST)
    jsonschema.validate(protocol, PROTOCOL)
    assert test["test"]["status"] == "aborted"
    assert test["test"]["protocol_id"] == protocol["test_spec"]["id"]
    assert test["provenance"]["retrieved_at"] == 1_800_000_000
    [source] = [artifact for artifact in protocol["artifacts"] if artifact["role"] == "source_protocol"]
    assert source["sha256"] == hashlib.sha256(TEXTS["protocol_text"].encode()).hexdigest()
    plate, strip = protocol["method"]
    assert (plate["direction"], strip["direction"]) == ("discharge", "charge")
    assert plate["setpoints"] == {"current": {"value": 0.1, "unit": "mA"}}
    assert plate["termination"][0] == {
        "quantity": "capacity",
        "direction": "above",
        "value": 0.1,
        "unit": "mAh",
    }


def test_what_went_otherwise_is_a_deviation_in_battinfos_words(reader: Reader, tmp_path: Path) -> None:
    export_run(reader, 1, "battinfo", tmp_path / "a.json")
    test = json.loads((tmp_path / "a.json").read_text())["test"]
    assert test["conformance"]["status"] == "non-conformant"
    found = [(d["category"], d["type"], d.get("duration_s")) for d in test["conformance"]["deviations"]]
    assert found == [
        ("software_error", "gap", 1),
        ("communication_loss", "lost", 60),
        ("premature_termination", "short_circuit", None),
    ]


@pytest.mark.parametrize(
    ("reason", "category"),
    [
        ("samples that were on their way when the contact was lost", "communication_loss"),
        ("the segment ended while nobody watched: its last samples may be missing", "communication_loss"),
        ("samples that were fetched but not yet stored when the daemon died", "software_error"),
        ("the instrument dropped 3 samples", "equipment_failure"),
        ("moths", "other"),
    ],
)
async def test_the_reason_of_a_gap_tells_its_category(tmp_path: Path, reason: str, category: str) -> None:
    store = Store(tmp_path / "data")
    await store.open()
    run = await add_cycled_run(store, "a")
    store.add_gap(run, Gap(t_from_s=5000.0, t_to_s=5000.5, reason=reason))
    await store.close()
    [found] = [d for d in deviations(Reader(tmp_path / "data"), run) if reason in d["description"]]
    assert (found["category"], found["duration_s"], found["occurred_at"]) == (category, 1, 1_700_005_000)


@pytest.mark.parametrize(
    ("state", "reason", "found"),
    [
        ("paused", "paused by a person; the circuit is open", [("operator_intervention", "paused")]),
        ("paused", "a suspicion", []),
        ("stopped", "stopped by a person", [("operator_intervention", "stopped")]),
        ("failed", "the box is on fire", [("premature_termination", "failed")]),
        ("finished", "all steps done", []),
    ],
)
async def test_the_state_of_a_run_tells_its_category(
    tmp_path: Path, state: RunState, reason: str, found: list[tuple[str, str]]
) -> None:
    store = Store(tmp_path / "data")
    await store.open()
    run = await add_cycled_run(store, "a")
    store.add_event(run, Event(kind="state", unix_s=1.8e9, data={"state": state, "reason": reason}))
    store.add_event(run, Event(kind="alarm", unix_s=1.81e9, data={"message": "the circuit is not open"}))
    await store.close()
    late = [d for d in deviations(Reader(tmp_path / "data"), run) if d["occurred_at"] >= 1.8e9]
    alarm = ("equipment_failure", "alarm")
    assert [(d["category"], d["type"]) for d in late] == [*found, alarm]


def test_a_battinfo_address_is_the_same_each_time(reader: Reader, tmp_path: Path) -> None:
    identities = set()
    for name in ("a.json", "b.json"):
        export_run(reader, 1, "battinfo", tmp_path / name)
        identities.add(json.loads((tmp_path / name).read_text())["test"]["id"])
    [identity] = identities
    assert re.match(ADDRESS.format("test"), identity)
