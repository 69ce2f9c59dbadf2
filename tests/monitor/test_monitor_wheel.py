"""The built wheel: ours are plain top-level packages, so only a wheel shows what would be installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = {"protocols", "drivers", "guards", "analysis", "storage", "scheduler", "monitor"}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the names of all files in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [*command, "--quiet", "--wheel-dir", str(folder), str(REPOSITORY)], check=True, capture_output=True
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        return packed.namelist()


def test_only_our_packages_are_in_it(names: list[str]) -> None:
    top = {name.partition("/")[0] for name in names}
    assert {part for part in top if not part.endswith(".dist-info")} == PACKAGES
    assert not [
        name for name in names if Path(name).name.startswith(("test_", "conftest")) or "__pycache__" in name
    ]


def test_every_module_and_data_file_is_in_it(names: list[str]) -> None:
    wanted = {
        path.relative_to(REPOSITORY).as_posix()
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert {"protocols/library/ccd_constant_capacity.yaml", "protocols/schema/cell.schema.json"} <= wanted
    assert {f"{package}/py.typed" for package in PACKAGES} <= wanted
    assert [name for name in wanted if name.startswith("storage/migrations/")]


def test_it_installs_the_command_and_carries_the_licence(names: list[str]) -> None:
    inside = {name.partition(".dist-info/")[2] for name in names}
    assert {"entry_points.txt", "licenses/LICENSE"} <= inside
