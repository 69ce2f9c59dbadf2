"""Reading YAML with places, and refusing what could do harm."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import InvalidFileError
from protocols.yamlfile import MAX_BYTES, read_text, read_yaml

ALIAS_BOMB = "".join(
    f"{name}: &{name} [{', '.join([f'*{inner}'] * 9) if inner else ', '.join('1' * 9)}]\n"
    for inner, name in zip(["", *"abcdefgh"], "abcdefghi", strict=True)
)


def test_every_scalar_stays_text() -> None:
    source = read_yaml("a: no\nb: 12:30\nc: 1e3\nd: [0x10, ~, 2020-01-01]\n", "f.yaml")
    assert source.root.plain() == {"a": "no", "b": "12:30", "c": "1e3", "d": ["0x10", "~", "2020-01-01"]}


def test_places_of_values_and_keys() -> None:
    source = read_yaml("a: 1\nb:\n  - {c: 2,\n     long: three}\n", "f.yaml")
    value = source.find(("b", 0, "long")).place
    key = source.key_place(("b", 0, "long"))
    assert (value.line, value.column) == (4, 12)
    assert (key.line, key.column) == (4, 6)


def test_a_path_that_the_file_does_not_have_ends_at_the_deepest_place() -> None:
    source = read_yaml("a:\n  b: 1\n", "f.yaml")
    assert source.find(("a", "tag of a union", "b")).value == "1"
    assert source.key_place(("a", "missing")).line == 1


def test_an_alias_stands_for_its_value() -> None:
    assert read_yaml("a: &x {k: 1}\nb: *x\n", "f.yaml").root.plain() == {"a": {"k": "1"}, "b": {"k": "1"}}


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "written twice"),
        ("", 1, 1, "empty"),
        ("- 1\n", 1, 1, "key: value"),
        ("a: [1\nb: 2", 1, 4, "This '[' is not closed"),
        ("a:\n\t- 1\n", 2, 1, "no tabs"),
        ("a: 'x", 1, 4, "never closed"),
        ("a: !!python/object:os.system x", 1, 4, "Tags"),
        ("a: {b: !x {c: 1}}", 1, 8, "Tags"),
        ("a: 1\nb: *x\n", 2, 4, "stands for nothing"),
        ("a: &x {b: *x}\n", 1, 11, "stands for nothing"),
        ("a: 1\n---\nb: 2\n", 2, 1, "more than one document"),
        ("a: " + "[" * 60, 1, 44, "deep"),
        ("? [1]\n: 2\n", 1, 3, "key has to be a word"),
        (ALIAS_BOMB, 5, None, "more than"),
        ("a: 1\nb: \x00", 2, 4, "U+0000 is not allowed"),
        ('a: "\\UFFFFFFFF"', 0, 0, "does not allow"),
        ('a: "\\uD800"', 1, 4, "half of a character"),
        ("a: 1\n" + "#" * MAX_BYTES, 0, 0, "larger than"),
    ],
)
def test_what_is_refused(text: str, line: int, column: int | None, words: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        read_yaml(text, "f.yaml")
    problem = caught.value.problems[0]
    assert problem.file == "f.yaml"
    assert problem.line == line
    assert column in (None, problem.column)
    assert words in str(problem)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    huge, latin = tmp_path / "huge.yaml", tmp_path / "latin.yaml"
    huge.write_bytes(b"#" * (MAX_BYTES + 10))
    latin.write_bytes("a: 1\nname: µm\n".encode("latin-1"))
    with pytest.raises(InvalidFileError, match="larger than"):
        read_yaml(read_text(huge), str(huge))
    with pytest.raises(InvalidFileError, match=r"latin.yaml:2:1: This is no UTF-8"):
        read_text(latin)
    with pytest.raises(InvalidFileError, match="can't be read"):
        read_text(tmp_path / "absent.yaml")


yaml_like = st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"#%@`,?~ \n\t\\0x1.é"), max_size=60)


@given(yaml_like | st.text(max_size=60))
def test_any_text_is_a_file_or_an_invalid_file(text: str) -> None:
    try:
        source = read_yaml(text, "f.yaml")
    except InvalidFileError as error:
        assert error.problems
    else:
        assert isinstance(source.root.plain(), dict)
