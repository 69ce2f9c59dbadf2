"""Docs are code: each command and snippet of README and docs/ is run here, in the order of its page.

The word after a fence's language says what a block is; readers do not see it.

| fence | what it is |
|---|---|
| ``sh`` | commands; ``sh fails``: the last of them has to fail |
| ``text`` | what the commands before it answer; a line ``…`` stands for any lines |
| ``yaml`` | a whole protocol; ``full`` after it: for a full cell |
| ``yaml steps``, ``yaml keys`` | a list of steps; keys of a protocol: made whole before they are compiled |
| ``yaml group`` | a file that another one includes |
| ``yaml ranges`` | names of processes by their time constants |
| ``toml`` | tables that the service.toml of ``sandtime init`` gets besides |
| ``python`` | a program that runs between the page's commands |
| ``yaml wrong`` | a protocol with mistakes: the commands below it show them |

Commands on files in ``eis/`` and ``symmetric/`` find recordings of real instruments there, if they are beside
the repository.
A first line ``# name.yaml`` makes a block a file beside the page's commands.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from services import needs

from drivers.simulation.config import SimulationConfig
from monitor.templates import SERVICE
from protocols.capabilities import Capabilities
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.protocol import library_protocols, parse_protocol
from protocols.schema import protocol_schema
from scheduler.config import load_config

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([REPOSITORY / "README.md", *REPOSITORY.glob("docs/**/*.md")])
RECORDINGS = REPOSITORY.parent / "shared" / "data"
RECORDED = ("eis", "symmetric")
"""Folders of recordings that pages read."""

REFERENCE = REPOSITORY / "docs" / "write_a_protocol.md"
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w./-]+\.yaml)\n")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
TIMEOUT_S = 300
AHEAD = 4
"""So many pages are read side by side."""
SETTLE = "for i in $(seq 300); do {condition} && break; sleep 0.1; done\n"
"""A reader takes a moment between starting something and the next command."""

HEAD = "sandtime: 1\nname: any\n"
BODY = "steps: [{rest: {for: 1 min}}]\n"
SYMMETRIC = """\
sandtime: 1
name: any
geometry: symmetric
area: 1 cm²
working: {lithium: 100 µm}
counter: {lithium: 100 µm}
electrolyte: {class: garnet}
temperature_window: {from: 10 °C, to: 80 °C}
"""
FULL = """\
sandtime: 1
name: any
geometry: full
area: 1 cm²
area_of: working
capacity: 2 mAh
mass: 12 mg
voltage_window: {from: 2.4 V, to: 4.4 V}
temperature_window: {from: 10 °C, to: 80 °C}
"""
ABLE = Capabilities(
    model="any",
    current_max_A=0.5,
    voltage_min_V=-10,
    voltage_max_V=10,
    current_ranges_A=(1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0),
    step_kinds=("rest", "constant_current", "constant_voltage", "voltage_sweep", "geis", "peis"),
    frequency_min_Hz=1e-5,
    frequency_max_Hz=7e6,
    temperature_min_K=263.15,
    temperature_max_K=373.15,
    sample_interval_min_s=0.001,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    language: str
    words: frozenset[str]
    text: str

    @property
    def file(self) -> str:
        """Name of the file that it stands for; empty if it stands for none."""
        named = FILE.match(self.text) if self.language == "yaml" else None
        return named[1] if named else ""


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the fenced blocks of some languages."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(m[1], frozenset(m[2].split()), m[3]) for m in found if m[1] in languages]


def pages_with(language: str) -> list[Path]:
    """Return the pages that hold a block of one language."""
    return [page for page in PAGES if blocks(page, language)]


def wants_recordings(page: Path) -> bool:
    """Whether a page's commands read recordings of real instruments."""
    return any(f"{name}/" in block.text for block in blocks(page, "sh", "python") for name in RECORDED)


def _script(page: Path, shown: Path) -> str:
    """Return a page's files and commands as one script; what each block of commands shows goes to a file."""
    script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n"
    for number, block in enumerate(blocks(page, "sh", "yaml", "python")):
        if block.language == "python":
            script += f"{shlex.quote(sys.executable)} - <<'END OF FILE'\n{block.text}END OF FILE\n"
            continue
        if block.language == "yaml":
            script += _write(block)
            continue
        output = shlex.quote(str(shown / f"{number}"))
        commands = f"{{\n{_commands(block.text)}true\n}} > {output} 2>&1\n"
        if "fails" in block.words:
            commands = f"if (\n{_commands(block.text)}) > {output} 2>&1; then false; fi\n"
        script += commands
    return script


def _write(block: Block) -> str:
    if not block.file:
        return ""
    return f"mkdir -p $(dirname {block.file}); cat > {block.file} <<'END OF FILE'\n{block.text}END OF FILE\n"


def _commands(text: str) -> str:
    """Return a block's commands without those that make the environment, which this test already has."""
    kept = [line for line in text.splitlines() if not re.match(r"(make|source|git clone) ", line)]
    commands = [line.split("  #")[0].rstrip() for line in kept]
    return "".join(_in_background(c.removesuffix("&")) if c.endswith("&") else f"{c}\n" for c in commands)


def _in_background(command: str) -> str:
    ready = "sandtime status >/dev/null 2>&1" if "serve" in command else "test -e data/simulation.json"
    return f"{command} >/dev/null 2>&1 &\n" + SETTLE.format(condition=ready)


@dataclass(frozen=True, slots=True)
class Reading:
    """A page whose commands are being run."""

    process: subprocess.Popen[bytes]
    shown: Path

    def answers(self) -> list[str]:
        """Return what the blocks of commands have shown, in their order."""
        files = sorted(self.shown.iterdir(), key=lambda path: int(path.name))
        return [path.read_text(encoding="utf-8") for path in files]


class Readings:
    """Reads pages, a few side by side: much of their time is spent waiting for a simulated instrument."""

    def __init__(self, make_folder: Callable[[str], Path]) -> None:
        self._make_folder = make_folder
        self._started: dict[Path, Reading] = {}
        self._path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def of(self, page: Path) -> Reading:
        """Return the reading of a page; it and those that come next have been started."""
        pages = pages_with("sh")
        place = pages.index(page)
        for each in pages[place : place + AHEAD]:
            if each not in self._started and (RECORDINGS.is_dir() or not wants_recordings(each)):
                self._started[each] = self._start(each)
        return self._started[page]

    def _start(self, page: Path) -> Reading:
        shown, folder = self._make_folder("shown"), self._make_folder("folder")
        if wants_recordings(page):
            for name in RECORDED:
                (folder / name).symlink_to(RECORDINGS / name)
        process = subprocess.Popen(
            ["bash", "-c", _script(page, shown)],
            cwd=folder,
            env={**os.environ, "PATH": self._path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return Reading(process, shown)

    def end(self) -> None:
        """End what still runs."""
        for reading in self._started.values():
            reading.process.terminate()
            reading.process.wait()


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readings]:
    """Give what reads the pages."""
    made = Readings(tmp_path_factory.mktemp)
    yield made
    made.end()


@pytest.mark.timeout(TIMEOUT_S + 20)
@pytest.mark.parametrize("page", pages_with("sh"), ids=lambda page: page.name)
def test_commands_run_and_answer_as_the_page_says(page: Path, readings: Readings) -> None:
    needs("the folder shared/data with recordings", not wants_recordings(page) or RECORDINGS.is_dir())
    reading = readings.of(page)
    code = reading.process.wait(TIMEOUT_S)
    answers = reading.answers()
    assert code == 0, f"the last block of commands showed:\n{answers[-1][-3000:]}"
    following = iter(answers)
    answer = ""
    for block in blocks(page, "sh", "text"):
        if block.language == "sh":
            answer = next(following)
        else:
            assert _holds(answer, block.text), f"{answer}\n--- the page says:\n{block.text}"


def _holds(answer: str, said: str) -> bool:
    """Whether an answer is what the page says, where ``…`` on a line of its own stands for any lines.

    In a line it stands for the rest of a number or of a sentence.
    """
    pieces = [
        re.escape(piece.strip("\n")).replace("…", ".*")
        for piece in re.split(r"^…$", said, flags=re.MULTILINE)
    ]
    return re.fullmatch(r"(?s:.*?)".join(pieces), answer.strip("\n")) is not None


def test_every_make_command_is_a_target() -> None:
    text = "\n".join(block.text for page in PAGES for block in blocks(page, "sh"))
    named = set(re.findall(r"make (\w+)", text))
    assert named
    for name in named:
        done = subprocess.run(["make", "-n", name], cwd=REPOSITORY, capture_output=True, check=False)
        assert done.returncode == 0, name


@pytest.mark.parametrize("page", pages_with("yaml"), ids=lambda page: page.name)
def test_protocols_compile(page: Path) -> None:
    found = blocks(page, "yaml")
    groups = {block.file: block.text for block in found if "group" in block.words}
    for block in found:
        if block.words & {"wrong", "group", "ranges"}:
            continue
        cell = parse_cell(FULL if "full" in block.words else SYMMETRIC, "cell.yaml")
        protocol = parse_protocol(_whole(block), page.name, {}, groups)
        assert compile_program(protocol, cell, ABLE).steps, block.text


@pytest.mark.parametrize("page", pages_with("toml"), ids=lambda page: page.name)
def test_tables_of_service_toml_are_accepted(page: Path, tmp_path: Path) -> None:
    file = tmp_path / "service.toml"
    for block in blocks(page, "toml"):
        file.write_text(SERVICE + block.text, encoding="utf-8")
        load_config(file)
        SimulationConfig.load(file)


def _whole(block: Block) -> str:
    if "steps" in block.words:
        return f"{HEAD}steps:\n{block.text}"
    return f"{HEAD}{block.text}{BODY}" if "keys" in block.words else block.text


def test_the_reference_names_every_word_of_the_language() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    schema = protocol_schema()
    parts = [schema, *schema["$defs"].values()]
    words = {word for part in parts for word in part.get("properties", {})}
    assert len(words) > 60
    assert sorted(word for word in words if not re.search(rf"\b{word}\b", text)) == []


def test_the_reference_names_every_file_of_the_library() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    assert [name for name in library_protocols() if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
