"""Files that a protocol includes: those of its own folder, each read once, errors told where they stand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.compile import compile_program
from protocols.errors import InvalidFileError, Problem
from protocols.includes import Includes
from protocols.program import Program
from protocols.protocol import load_protocol, parse_protocol
from protocols.yamlfile import read_yaml

HEAD = "sandtime: 1\nname: x\nsteps:\n"
REST = "steps: [rest: {for: 1 s}]\n"


def problem_of(folder: Path, *names: str) -> Problem:
    """Return the only problem of a protocol in ``folder`` that includes these files."""
    path = folder / "protocol.yaml"
    path.write_text(HEAD + "".join(f"  - include: {name}\n" for name in names), encoding="utf-8")
    with pytest.raises(InvalidFileError) as caught:
        load_protocol(path)
    [problem] = caught.value.problems
    return problem


def test_a_file_of_the_folder_is_included(tmp_path: Path) -> None:
    (tmp_path / "groups").mkdir()
    (tmp_path / "groups" / "a.yaml").write_text(REST, encoding="utf-8")
    path = tmp_path / "protocol.yaml"
    path.write_text(HEAD + "  - include: groups/a.yaml\n  - rest: {for: 2 s}\n", encoding="utf-8")
    protocol = load_protocol(path)
    assert len(protocol.content.steps) == 2
    again = parse_protocol(path.read_text(encoding="utf-8"), "protocol.yaml", {}, protocol.included)
    assert again.content == protocol.content


def test_a_missing_file_is_told_at_its_include_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "formation.yaml").write_text(REST, encoding="utf-8")
    problem = problem_of(tmp_path, "formaton.yaml")
    assert (problem.line, problem.column) == (4, 14)
    assert "no such file" in problem.message
    assert "'formation.yaml'" in problem.hint


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text(REST, encoding="utf-8")
    folder = tmp_path / "protocols"
    folder.mkdir()
    (folder / "a.yaml").symlink_to(tmp_path / "outside.yaml")
    (folder / "elsewhere").symlink_to(tmp_path)
    assert "outside of the protocol's folder" in problem_of(folder, "a.yaml").message
    assert "outside of the protocol's folder" in problem_of(folder, "elsewhere/outside.yaml").message


def test_links_that_lead_to_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "b.yaml")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "a.yaml")
    assert problem_of(tmp_path, "a.yaml").line == 4


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    assert "no such file" in problem_of(tmp_path, "a.yaml").message


def test_an_error_inside_has_the_name_and_line_of_the_included_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("steps:\n  - rest: {for: 1 V}\n", encoding="utf-8")
    problem = problem_of(tmp_path, "a.yaml")
    assert (problem.file, problem.line, problem.column) == ("a.yaml", 2, 17)


def test_a_file_is_read_once_however_often_it_is_included() -> None:
    read: Counter[str] = Counter()

    def reader(name: str) -> str:
        read[name] += 1
        return REST

    source = read_yaml(HEAD + "  - include: a.yaml\n" * 30, "f.yaml")
    includes = Includes(source, reader)
    steps = includes.expanded().root.child("steps")
    assert steps is not None
    assert len(steps.value) == 30
    assert read == {"a.yaml": 1}


def test_files_that_multiply_each_other_are_refused() -> None:
    texts = {f"{n}.yaml": "steps:\n" + f"  - include: {n + 1}.yaml\n" * 30 for n in range(1, 5)}
    texts["5.yaml"] = REST
    with pytest.raises(InvalidFileError, match="hold over"):
        parse_protocol(HEAD + "  - include: 1.yaml\n" * 30, "f.yaml", {}, texts)


def test_too_many_files_are_refused() -> None:
    texts = {f"{n}.yaml": REST for n in range(21)}
    text = HEAD + "".join(f"  - include: {name}\n" for name in texts)
    with pytest.raises(InvalidFileError, match="At most 20 files"):
        parse_protocol(text, "f.yaml", {}, texts)
    few = dict(list(texts.items())[:20])
    again = HEAD + "".join(f"  - include: {name}\n" for name in [*few, "0.yaml"])
    assert len(parse_protocol(again, "f.yaml", {}, few).content.steps) == 21


def test_the_deepest_nesting_that_is_read_also_compiles_and_comes_back(
    cell: Cell, channel: Capabilities
) -> None:
    def nested(inmost: str) -> str:
        text = inmost
        for _ in range(9):
            text = f"repeat: {{times: 1, steps: [{text}]}}"
        return text

    texts = {f"{n}.yaml": f"steps: [{nested(f'include: {n + 1}.yaml')}]\n" for n in range(1, 5)}
    texts["5.yaml"] = f"steps: [{nested('rest: {for: 1 s}')}]\n"
    protocol = parse_protocol(f"{HEAD}  - {nested('include: 1.yaml')}\n", "f.yaml", {}, texts)
    program = compile_program(protocol, cell, channel)
    assert program.duration_s() == 1.0
    assert Program.model_validate_json(program.model_dump_json()) == program
