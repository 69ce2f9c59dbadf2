"""The daemon's log: lines for people or for programs, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from monitor import logs
from monitor.event_log import EventLog
from protocols.records import Event, RunInfo
from scheduler.operation_config import LogConfig
from scheduler.secret import HIDDEN, Secret
from storage.tables import StoredEvent

PLANTED = 'pass"word\\with-odd-letters'


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Return what the root logger writes; how loggers are set up is put back afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    before = {name: logging.getLogger(name).level for name in ("", *logs.OURS)}
    handlers, handler = root.handlers[:], logging.StreamHandler(stream)
    root.handlers = [handler]
    yield stream
    root.handlers = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(autouse=True)
def nobody_wishes_a_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(logs.VARIABLE, raising=False)


def lines(written: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_json_is_one_object_a_line_with_what_it_is_about(written: io.StringIO) -> None:
    logs.configure(LogConfig(format="json"))
    about = {"run": 3, "station": "bench-1", "instrument": "vsp"}
    logging.getLogger("scheduler.run").warning("run %d\nis odd", 3, extra=about)
    [line] = lines(written)
    assert line.items() >= {**about, "level": "warning", "logger": "scheduler.run"}.items()
    assert line["message"] == "run 3\nis odd"
    assert str(line["time"]).endswith("Z")


def test_a_traceback_is_part_of_its_line(written: io.StringIO) -> None:
    logs.configure(LogConfig(format="json"))
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("scheduler").exception("it failed")
    [line] = lines(written)
    assert "ValueError: odd" in str(line["exception"])


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_in_no_line(written: io.StringIO, form: str) -> None:
    assert Secret.model_validate(PLANTED).reveal() == PLANTED
    logs.configure(LogConfig.model_validate({"format": form}))
    log = logging.getLogger("monitor.mqtt")
    log.error("refused: %s", PLANTED)
    try:
        raise ConnectionError(PLANTED)
    except ConnectionError:
        log.exception("refused")
    shown = written.getvalue()
    assert shown.count(HIDDEN) == 2
    assert PLANTED not in shown
    assert json.dumps(PLANTED)[1:-1] not in shown


def test_the_level_is_for_our_own_lines(written: io.StringIO) -> None:
    logs.configure(LogConfig(level="debug"))
    logging.getLogger("scheduler.keeper").debug("ours")
    logging.getLogger("httpx").info("theirs")
    logging.getLogger("httpx").warning("grave")
    assert "ours" in written.getvalue()
    assert "theirs" not in written.getvalue()
    assert "grave" in written.getvalue()


def test_a_level_of_the_environment_goes_first(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logs.VARIABLE, "error")
    logs.configure(LogConfig(level="debug"))
    logging.getLogger("scheduler").warning("not so grave")
    assert written.getvalue() == ""
    monkeypatch.setenv(logs.VARIABLE, "loud")
    logs.configure(LogConfig(level="info"))
    logging.getLogger("scheduler").info("a level that is none counts for nothing")
    assert written.getvalue()


def event(what: str, run: int | None, **data: object) -> StoredEvent:
    return StoredEvent(1, run, Event(kind=what, t_s=1.0, unix_s=0.0, data=data))


def test_events_become_lines_with_run_station_and_instrument(written: io.StringIO) -> None:
    info = RunInfo(
        run=3, name="", station="bench-1", protocol="", cell="", state="running", submitted_unix_s=0.0
    )
    told = EventLog(lambda run: info, lambda station: "vsp")
    logs.configure(LogConfig(format="json"))
    told.event(event("state", 3, state="stopping", reason="E too high"))
    told.event(event("verdict", 3, kind="short_circuit", message="E fell"))
    told.event(event("reload", None, changes=["instrument more added", "[log] changed"]))
    told.event(event("cycle", 3, half_cycle=2))
    state, verdict, reload = lines(written)
    about = {"run": 3, "station": "bench-1", "instrument": "vsp"}
    assert state.items() >= {**about, "event": "state", "level": "info"}.items()
    assert "stopping, E too high" in str(state["message"])
    assert verdict.items() >= {**about, "event": "verdict", "level": "warning"}.items()
    assert "instrument more added; [log] changed" in str(reload["message"])
