"""The files that ``sandtime init`` writes: right as they are, and with their remarks made to count."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from monitor.templates import CELL, FILES, write_start_files
from protocols.cellfile import cell_of
from protocols.errors import InvalidFileError
from protocols.protocol import load_protocol
from protocols.yamlfile import read_yaml

REMARK = re.compile(r"^# (?=[a-z_]+: \S)", re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".yaml")])
def test_the_first_line_names_a_schema_that_the_file_suits(tmp_path: Path, name: str) -> None:
    assert tmp_path / name in write_start_files(tmp_path)
    text = (tmp_path / name).read_text(encoding="utf-8")
    first = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert first is not None
    schema = json.loads((tmp_path / first[1]).read_text(encoding="utf-8"))
    Draft7Validator(schema).validate(YAML(typ="safe", pure=True).load(text))


def test_the_first_protocol_has_nothing_to_warn_of(tmp_path: Path) -> None:
    write_start_files(tmp_path)
    assert load_protocol(tmp_path / "first_protocol.yaml").warnings == ()


def test_remarks_in_the_cell_file_can_be_made_to_count() -> None:
    remarks = REMARK.findall(CELL)
    assert len(remarks) >= 4
    cell, warnings = cell_of(read_yaml(REMARK.sub("", CELL), "my_cell.yaml"))
    assert warnings == []
    assert cell.voltage_max_V is not None
    assert cell.temperature_max_K is not None
    assert cell.capacity_C is not None
    assert cell.mass_kg is not None


def test_nothing_is_overwritten_and_then_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "my_cell.yaml").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidFileError, match="exists already"):
        write_start_files(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["my_cell.yaml"]
