"""The schema of service.toml agrees with what the daemon, its drivers and the simulation understand."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from monitor.service_schema import FOLDER, NAME, schema_text, service_schema
from monitor.templates import SERVICE, write_start_files

REPOSITORY = Path(__file__).resolve().parent.parent.parent
BLOCK = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    block
    for page in sorted(REPOSITORY.glob("docs/*.md"))
    for block in BLOCK.findall(page.read_text(encoding="utf-8"))
]
ALL = """\
data = "data"
[instruments.vsp]
driver = "biologic"
address = "192.168.0.10"
[chambers.oven]
driver = "espec"
address = "simulation"
lowest_celsius = 10
highest_celsius = 80
[stations.bench-1]
instrument = "vsp"
channel = 1
[mqtt]
broker = "lab-server:8883"
user = "me"
password = { file = "secret" }
tls = true
[metrics]
token = { env = "TOKEN" }
[log]
format = "json"
"""


VALIDATOR = Draft7Validator(service_schema())


def mistakes(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(tomllib.loads(text))]


def test_the_shipped_file_is_that_of_the_models() -> None:
    shipped = (FOLDER / NAME).read_text(encoding="utf-8")
    assert shipped == schema_text(), "service.toml has changed: run `python -m monitor.service_schema`."
    Draft7Validator.check_schema(json.loads(shipped))


@pytest.mark.parametrize("text", [SERVICE, ALL, *(SERVICE + block for block in EXAMPLES)])
def test_what_is_right_suits_it(text: str) -> None:
    assert mistakes(text) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('driver = "biologic"', 'driver = "biologik"'),
        ("address =", "adress ="),
        ("lowest_celsius = 10", 'lowest_celsius = "10 °C"'),
        ("channel = 1", "channel = 0"),
        ("[stations.bench-1]", "[station.bench-1]"),
        ('{ file = "secret" }', '{ path = "secret" }'),
        ('{ env = "TOKEN" }', '{ env = "TOKEN", file = "x" }'),
        ('format = "json"', 'format = "xml"'),
    ],
)
def test_a_typo_is_marked(right: str, wrong: str) -> None:
    assert right in ALL
    assert mistakes(ALL.replace(right, wrong, 1))


def test_init_writes_it_where_the_first_line_says(tmp_path: Path) -> None:
    write_start_files(tmp_path)
    first = re.match(r"#:schema (\S+)\n", (tmp_path / "service.toml").read_text(encoding="utf-8"))
    assert first is not None
    assert (tmp_path / first[1]).read_text(encoding="utf-8") == schema_text()


def test_an_editor_says_what_each_key_is() -> None:
    schema = service_schema()
    ours = {name: schema["$defs"][name] for name in ("MqttConfig", "LogConfig", "MetricsConfig")}
    unsaid = [
        f"{name}.{key}"
        for name, part in ours.items()
        for key, about in part["properties"].items()
        if not _described(about, schema)
    ]
    assert unsaid == []


def _described(about: dict[str, Any], schema: dict[str, Any]) -> bool:
    found = schema["$defs"][about["$ref"].rpartition("/")[2]] if "$ref" in about else about
    return "description" in about or "description" in found
