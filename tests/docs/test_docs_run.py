"""Docs are code: each command and snippet of README and docs/ is run here, in the order of its page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from protocols.capabilities import Capabilities
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.protocol import parse_protocol

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([REPOSITORY / "README.md", *REPOSITORY.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
TIMEOUT_S = 100
SETTLE = "for i in $(seq 300); do {condition} && break; sleep 0.1; done\n"
"""A reader takes a moment between starting something and the next command."""

CELL = "sandtime: 1\nname: any\ngeometry: symmetric\narea: 1 cm²\nelectrolyte: {class: garnet}\n"
ABLE = Capabilities(
    model="any",
    current_max_A=0.5,
    voltage_min_V=-10,
    voltage_max_V=10,
    current_ranges_A=(1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0),
    step_kinds=("rest", "constant_current", "constant_voltage", "voltage_sweep", "geis", "peis"),
    frequency_min_Hz=1e-5,
    frequency_max_Hz=7e6,
)


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of one language."""
    text = page.read_text(encoding="utf-8")
    return [match[2] for match in BLOCK.finditer(text) if match[1] == language]


def pages_with(language: str) -> list[Path]:
    """Return the pages that hold a block of one language."""
    return [page for page in PAGES if blocks(page, language)]


def _script(page: Path) -> str:
    """Join a page's commands; leave out what makes the environment, which this test already has."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    kept = [line for line in lines if not re.match(r"(make|source|git clone) ", line)]
    script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n"
    for line in kept:
        command = line.split("  #")[0].rstrip()
        script += _in_background(command.removesuffix("&")) if command.endswith("&") else f"{command}\n"
    return script


def _in_background(command: str) -> str:
    ready = "sandtime status >/dev/null 2>&1" if "serve" in command else "test -e data/simulation.json"
    return f"{command} >/dev/null 2>&1 &\n" + SETTLE.format(condition=ready)


@pytest.mark.timeout(TIMEOUT_S + 20)
@pytest.mark.parametrize("page", pages_with("sh"), ids=lambda page: page.name)
def test_commands_run(page: Path, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", _script(page)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def test_every_make_command_is_a_target() -> None:
    named = {name for page in PAGES for name in re.findall(r"make (\w+)", "\n".join(blocks(page, "sh")))}
    assert named
    for name in named:
        done = subprocess.run(["make", "-n", name], cwd=REPOSITORY, capture_output=True, check=False)
        assert done.returncode == 0, name


@pytest.mark.parametrize("page", pages_with("yaml"), ids=lambda page: page.name)
def test_protocols_compile(page: Path) -> None:
    for text in blocks(page, "yaml"):
        protocol = parse_protocol(text, page.name)
        assert compile_program(protocol, parse_cell(CELL, "cell.yaml"), ABLE).steps


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
