"""The file of checksums is that of coreutils, whatever files are called, and leads nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import StorageError
from storage.checksums import (
    check_files,
    format_checksums,
    is_inside,
    parse_checksums,
    read_checksums,
    renew_checksums,
    write_checksums,
)

CHECKSUM = st.text("0123456789abcdef", min_size=64, max_size=64)
PART = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1).filter(
    lambda part: part not in (".", "..")
)
NAME = st.lists(PART, min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(NAME, CHECKSUM))
def test_any_names_come_back(sums: dict[str, str]) -> None:
    assert parse_checksums(format_checksums(sums), "x") == sums


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        sums = parse_checksums(text, "the file")
    except StorageError as error:
        assert "the file, line" in str(error)
    else:
        assert all(is_inside(name) for name in sums)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a/../x", "..", "a//b"])
def test_a_path_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(StorageError, match=r"line 1.*outside the folder"):
        parse_checksums(f"{'0' * 64}  {name}\n", "x")


def test_what_was_changed_or_is_missing_is_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    write_checksums(tmp_path)
    assert check_files(tmp_path) == []
    (tmp_path / "a").write_text("other")
    (tmp_path / "b").unlink()
    changed, missing = check_files(tmp_path)
    assert f"{tmp_path / 'a'} was changed" in changed
    assert f"{tmp_path / 'b'} is missing" in missing
    assert check_files(tmp_path, but=["b"]) == [changed]


def test_files_that_come_later_join(tmp_path: Path) -> None:
    renew_checksums(tmp_path, ["a"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").write_text("a")
    write_checksums(tmp_path)
    (tmp_path / "a").write_text("newer")
    (tmp_path / "b").write_text("b")
    renew_checksums(tmp_path, ["a", "b"])
    assert check_files(tmp_path) == []
    assert set(read_checksums(tmp_path)) == {"a", "b"}


def test_a_folder_without_checksums_is_not_called_whole(tmp_path: Path) -> None:
    (fault,) = check_files(tmp_path)
    assert "checksums.sha256 is missing" in fault
