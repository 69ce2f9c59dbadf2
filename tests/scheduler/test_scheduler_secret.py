"""Secrets of service.toml: where they stand, that they are found, and that nobody sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.errors import InvalidFileError
from scheduler.config import ServiceConfig, load_config
from scheduler.secret import HIDDEN, hide

PLANTED = "tr0ub4dor-and-3"
SERVICE = """\
data = "data"
[instruments]
[stations]
[mqtt]
broker = "lab-server:8883"
user = "sandtime"
tls = true
ca_file = "lab.pem"
password = {written}
"""


def config(folder: Path, password: str) -> ServiceConfig:
    file = folder / "service.toml"
    file.write_text(SERVICE.format(written=password), encoding="utf-8")
    return load_config(file)


def revealed(made: ServiceConfig) -> str:
    return made.secrets()["mqtt.password"].reveal()


def test_a_secret_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = config(tmp_path, '{ env = "LAB_PASSWORD" }')
    with pytest.raises(InvalidFileError, match="LAB_PASSWORD is not set"):
        revealed(made)
    monkeypatch.setenv("LAB_PASSWORD", PLANTED)
    assert revealed(made) == PLANTED
    assert made.secrets()["mqtt.password"].concerns() == []


def test_a_secret_comes_from_a_file_beside_service_toml(tmp_path: Path) -> None:
    made = config(tmp_path, '{ file = "secret" }')
    with pytest.raises(InvalidFileError, match=r"secret can't be read: No such file"):
        revealed(made)
    (tmp_path / "secret").write_text(f"{PLANTED}\n", encoding="utf-8")
    (tmp_path / "secret").chmod(0o600)
    assert revealed(made) == PLANTED
    assert made.secrets()["mqtt.password"].concerns() == []
    (tmp_path / "secret").chmod(0o644)
    [concern] = made.secrets()["mqtt.password"].concerns()
    assert "chmod 600" in concern


def test_an_empty_file_holds_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n", encoding="utf-8")
    with pytest.raises(InvalidFileError, match="is empty"):
        revealed(config(tmp_path, '{ file = "secret" }'))


def test_a_secret_comes_from_systemds_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = config(tmp_path, '{ file = "$CREDENTIALS_DIRECTORY/mqtt" }')
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(InvalidFileError, match="CREDENTIALS_DIRECTORY"):
        revealed(made)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt").write_text(PLANTED, encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert revealed(made) == PLANTED


def test_a_secret_in_the_file_itself_works_but_is_warned_of(tmp_path: Path) -> None:
    made = config(tmp_path, f'"{PLANTED}"')
    assert revealed(made) == PLANTED
    assert "as it is" in made.secrets()["mqtt.password"].concerns()[0]


def test_nothing_that_is_printed_of_a_configuration_shows_it(tmp_path: Path) -> None:
    made = config(tmp_path, f'"{PLANTED}"')
    for shown in (repr(made), str(made), made.model_dump_json(), repr(made.model_dump())):
        assert PLANTED not in shown


@pytest.mark.parametrize(
    "written",
    [
        f'{{ text = "{PLANTED}" }}',
        f'{{ env = "{PLANTED} " }}',
        f'{{ env = "A", file = "{PLANTED}" }}',
        f'["{PLANTED}"]',
    ],
)
def test_a_mistake_does_not_show_it_either(tmp_path: Path, written: str) -> None:
    with pytest.raises(InvalidFileError) as raised:
        config(tmp_path, written)
    assert PLANTED not in str(raised.value)
    [problem] = raised.value.problems
    assert problem.line == 9


def test_a_secret_that_was_read_is_hidden_in_every_text(tmp_path: Path) -> None:
    revealed(config(tmp_path, f'"{PLANTED}"'))
    assert hide(f"refused: {PLANTED}!") == f"refused: {HIDDEN}!"


@pytest.mark.parametrize(
    ("broker", "wrong"),
    [
        ('"embedded"', "embedded broker has no users"),
        (f'"me:{PLANTED}@lab-server:1883"', "host:port"),
    ],
)
def test_what_does_not_fit_together(tmp_path: Path, broker: str, wrong: str) -> None:
    file = tmp_path / "service.toml"
    file.write_text(SERVICE.format(written='"abcd"').replace('"lab-server:8883"', broker), encoding="utf-8")
    with pytest.raises(InvalidFileError, match=wrong) as raised:
        load_config(file)
    assert PLANTED not in str(raised.value)
