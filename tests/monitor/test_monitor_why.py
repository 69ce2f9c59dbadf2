"""From a verdict to the raw data: files beside the run, and the command that explains them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from labbench import Lab, cell, lab, sandtime

from monitor.verdict_words import KINDS, headline, levels, place_words
from protocols.protocol import find_protocol, parse_protocol
from protocols.records import RunInfo
from protocols.verdicts import Verdict, VerdictKind

RAMP = find_protocol("ccd_constant_capacity").read_text(encoding="utf-8")
LEVELS = {"start": "0.4 mA/cm²", "step": "0.1 mA/cm²", "highest": "0.6 mA/cm²", "capacity": "0.05 mAh/cm²"}
REST = "sandtime: 1\nname: rest\nsteps: [{rest: {for: 1 min}}]\n"


@pytest.fixture(scope="module")
def shorted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return a lab in which run 1 has ended with a short circuit, and run 2 without a verdict."""
    channels = ["seed = 4, short_at_mA_per_cm2 = 0.5, short_after_mAh_per_cm2 = 0.02"]
    with lab(tmp_path_factory.mktemp("shorted"), channels, 1000.0) as bench:
        bench.until_ended(bench.submit(RAMP, "s1", cell(), LEVELS))
        bench.until_ended(bench.submit(REST, "s1", cell()))
        bench.until(lambda: not bench.reader().unsealed(), "the sealed files")
        bench.end()
        yield bench


def explained(bench: Lab, *arguments: str | Path) -> Any:
    done = sandtime("why", *arguments, "--json", folder=bench.folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_verdict_that_stopped_a_run_is_explained_without_a_daemon(shorted: Lab) -> None:
    found = explained(shorted, "1")
    assert (found["number"], found["verdict"]["kind"], found["guard"]) == (
        1,
        "short_circuit",
        "short_circuit",
    )
    assert found["verdict"]["evidence"]["half_cycle"] == 2.0
    assert found["settings"]["confirm_s"] > 0.0
    assert found["look_alikes"]
    text = sandtime("why", "1", folder=shorted.folder).stdout
    for words in ("What was seen", "Which threshold", "What the look found", "0.5 mA/cm²", "half-cycle 3"):
        assert words in text


def test_the_settings_it_shows_are_words_of_a_protocol(shorted: Lab) -> None:
    text = sandtime("why", "1", folder=shorted.folder).stdout.splitlines()
    begin = next(k for k, line in enumerate(text) if line.strip() == "guards:")
    block = "\n".join(line[4:] for line in text[begin : begin + 2])
    protocol = parse_protocol(f"{REST}{block}\n", "as_shown.yaml")
    shown = protocol.content.guard_settings.overrides["short_circuit"]
    assert shown == pytest.approx(explained(shorted, "1")["settings"])


def test_the_raw_window_is_there_and_the_guards_find_the_same_in_it(shorted: Lab) -> None:
    found = explained(shorted, "1")
    names = {Path(path).name for path in found["files"]}
    assert names == {f"1-short_circuit{ending}" for ending in (".csv", "-before.csv", ".json", ".png")}
    picture = next(Path(path) for path in found["files"] if path.endswith(".png"))
    assert (shorted.folder / picture).read_bytes().startswith(b"\x89PNG")
    commands = [command.split() for command in found["commands"]]
    replayed = next(command for command in commands if command[1] == "replay")
    again = sandtime(*replayed[1:], "--json", folder=shorted.folder)
    verdict, *_ = json.loads(again.stdout)["verdicts"]
    assert verdict["kind"] == "short_circuit"


def test_files_that_the_daemon_could_not_write_any_more_are_written_now(shorted: Lab) -> None:
    folder = Path(explained(shorted, "1")["files"][0]).parent
    for path in (shorted.folder / folder).iterdir():
        path.unlink()
    assert len(explained(shorted, "1")["files"]) == 4


def test_every_command_that_it_names_works(shorted: Lab) -> None:
    for command in explained(shorted, "1")["commands"]:
        done = sandtime(*command.split()[1:], folder=shorted.folder)
        assert done.returncode == 0, (command, done.stderr)
    assert (shorted.folder / "verdict.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_without_a_verdict_says_how_it_ended(shorted: Lab) -> None:
    assert explained(shorted, "2") == {"run": 2, "state": "finished", "verdict": None, "checks": []}
    assert "no guard has found anything" in sandtime("why", "2", folder=shorted.folder).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("7",), 2, "no run 7"),
        (("1", "--verdict", "2"), 2, "no verdict 2"),
        (("1", "--verdict", "0"), 2, "no verdict 0"),
        (("2", "--verdict", "1"), 2, "it has none"),
        (("1", "--plot", "picture.gif"), 1, ".png"),
    ],
)
def test_what_is_not_there_is_one_clear_error(
    shorted: Lab, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = sandtime("why", *arguments, folder=shorted.folder)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_every_kind_of_verdict_has_words() -> None:
    assert set(KINDS) == set(get_args(VerdictKind))
    assert all(words.meaning and words.look_alikes and words.advice for words in KINDS.values())


def verdict(criterion: str, **evidence: float | str) -> Verdict:
    found: dict[str, float | str] = {"criterion": criterion, "threshold": 2.0, **evidence}
    return Verdict(kind="limit", tier=1, time_s=7200.0, event_s=7190.0, message="", evidence=found)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (verdict("R < 0.4 × same phase", healthy_ohm=5.0), {("R", 2.0), ("R", 5.0)}),
        (verdict("R < 0.4 × same phase", healthy_ohm=0.0, baseline=4.0), {("R", 2.0), ("R", 4.0)}),
        (verdict("limit of E fired", voltage_V=-2.1), {("E", -2.0)}),
        (verdict("E at its limit and |I| < 5 %"), {("I", 2.0)}),
        (verdict("samples in a row"), set()),
    ],
)
def test_levels_are_drawn_where_they_belong(found: Verdict, expected: set[tuple[str, float]]) -> None:
    assert {(level.quantity, level.value) for level in levels(found)} == expected


def test_little_evidence_gives_few_words_and_no_error() -> None:
    bare = Verdict(kind="limit", tier=1, time_s=7200.0, event_s=7190.0, message="")
    info = RunInfo(
        run=3, name="n", station="s", protocol="p", cell="c", state="protected", submitted_unix_s=0.0
    )
    assert headline(info, bare) == "Run 3 (c): limit after 2.000 h"
    assert place_words(bare) == ""
