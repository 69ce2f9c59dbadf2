"""``sandtime calibration`` and ``sandtime audit``, in a lab whose daemon does not run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from labbench import sandtime

from storage.reader import Reader

SERVICE = """\
data = "data"

[instruments.box]
driver = "biologic"
model = "VSP-300"
address = "192.168.0.1"

[stations]
s1 = {instrument = "box", channel = 1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "service.toml").write_text(SERVICE, encoding="utf-8")
    return tmp_path


def test_a_calibration_is_added_and_listed(folder: Path) -> None:
    result = ("--result", "resistance=1.0002 kΩ", "-r", "offset=-20 µV")
    added = sandtime(
        "calibration", "add", "box", "1", *result, "--load", "1 kΩ", "--valid-for", "180 d", folder=folder
    )
    assert added.returncode == 0, added.stderr
    assert "resistance_ohm 1000.2, offset_V -2e-05; valid until" in added.stdout
    listed = sandtime("calibration", "list", "--json", folder=folder)
    [entry] = json.loads(listed.stdout)["calibrations"]
    assert entry["results"] == {"resistance_ohm": 1000.2, "offset_V": -2e-5}
    assert entry["valid_until_unix_s"] - entry["unix_s"] == pytest.approx(180 * 86400)
    [asked] = json.loads(sandtime("audit", "--json", folder=folder).stdout)["audit"]
    assert (asked["what"], asked["details"]) == ("calibrate", {"instrument": "box", "channel": 1})
    assert "calibrate (instrument: box, channel: 1)" in sandtime("audit", folder=folder).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("box", "1", "-r", "resistance=1000"), 2, "has no unit"),
        (("bax", "1", "-r", "resistance=1 Ω"), 3, "no instrument 'bax'"),
        (("box", "1", "-r", "resistance"), 2, "no '='"),
    ],
)
def test_a_mistake_is_named(folder: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    refused = sandtime("calibration", "add", *arguments, folder=folder)
    assert refused.returncode == code
    assert message in refused.stderr
    assert not (folder / "data").exists()


def test_an_empty_lab_has_nothing_to_show(folder: Path) -> None:
    sandtime("calibration", "add", "box", "1", "-r", "resistance=1 Ω", folder=folder)
    assert sandtime("audit", "7", folder=folder).stdout == "nothing was asked\n"
    assert sandtime("calibration", "list", "other", folder=folder).stdout == "no calibration is kept\n"
    assert Reader(folder / "data").runs() == []
