"""What faces and service say to each other. Light, so that a client need not load the service."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from protocols.frozen import Frozen
from protocols.queueing import PRIORITY_MAX, Maintenance
from protocols.records import RunInfo, RunState

STATE_FILE = "daemon.json"
"""In the data folder: url, token and pid of the daemon that runs there."""


class Submission(Frozen):
    """A run that is asked for: the texts of both files, so that the daemon need not see them."""

    # FastAPI needs the validator when it is told of the model.
    model_config = ConfigDict(defer_build=False)

    protocol_text: str
    protocol_file: str = "protocol.yaml"
    cell_text: str
    cell_file: str = "cell.yaml"
    station: str = ""
    """Empty: any that can do it."""
    name: str = ""
    settings: dict[str, str] = {}
    included: dict[str, str] = {}
    """The texts of the files that the protocol includes, by name."""
    priority: int = Field(default=0, ge=-PRIORITY_MAX, le=PRIORITY_MAX)
    needs: tuple[str, ...] = ()
    """What it asks of its station, as ``eis:7MHz`` (:mod:`protocols.wishes`)."""
    chamber: str = ""
    not_before_unix_s: float | None = None
    no_check: str = ""
    """Why it is to start without a check of the cell; empty: it is checked."""


class CalibrationRequest(Frozen):
    """What a channel showed on a known load."""

    model_config = ConfigDict(defer_build=False)

    instrument: str
    channel: int = Field(ge=1)
    """As printed on the instrument, from 1."""
    valid_for_s: float | None = Field(default=None, gt=0)
    """None: no end is known."""
    load: str = ""
    results: dict[str, float] = Field(min_length=1)
    """Names with their SI unit, as ``resistance_ohm``, and values."""
    note: str = ""


class Adoption(Frozen):
    """A run's folder that is to become a run."""

    model_config = ConfigDict(defer_build=False)

    folder: str
    """In ``incoming/`` of the data folder."""
    is_new: bool = False
    """It was made here, and has no origin elsewhere."""


class InstrumentInfo(Frozen):
    """An instrument as the faces see it."""

    name: str
    reachable: bool
    simulated: bool
    stations: tuple[str, ...]


class ChamberInfo(Frozen):
    """A temperature chamber as the faces see it."""

    name: str
    reachable: bool
    simulated: bool
    temperature_K: float | None = None
    """None unless it was read just now."""
    setpoint_K: float | None = None
    problem: str = ""
    """What is wrong with it, in words."""


class StopOutcome(Frozen):
    """What a stop came to."""

    run: int | None
    """None: a channel that ran something of ours without a run."""
    where: str = ""
    """That channel."""
    state: RunState
    started: bool = True
    """Whether the run had ever started; if not, there was no circuit to open."""
    open_circuit_confirmed: bool
    seconds: float


class RunReply(Frozen):
    """A run and what it waits for."""

    run: RunInfo
    waits_for: str = ""


class StorageInfo(Frozen):
    """How storing stands."""

    state: Literal["ok", "low", "failing"] = "ok"
    """``low``: there is little room on the disk. ``failing``: nothing can be stored, measuring and guards go
    on from memory, and a crash would lose what waits there."""
    problem: str = ""
    """What is wrong, in words."""
    since_unix_s: float | None = None
    """Since when nothing can be stored."""
    waiting_samples: int = 0
    """How many samples wait in memory."""
    safe_end_in_s: float | None = None
    """So long until all runs are ended at open circuit; None while that is not to be expected."""
    ended_runs: bool = False
    """They were."""
    free_bytes: int | None = None
    hours_left: float | None = None
    """Until the disk is full, at the rate of the last hour; None if that is not known."""
    starts: bool = True
    """Whether runs may start."""


ConnectionKind = Literal["instrument", "chamber", "broker"]


class ConnectionInfo(Frozen):
    """How the connection to a device or a broker stands."""

    name: str
    kind: ConnectionKind
    reachable: bool
    since_unix_s: float
    """Since when it is there, or lost."""
    problem: str = ""
    """What went wrong last, in words; empty while there is contact."""
    next_try_in_s: float | None = None
    """None while there is contact, or an attempt is under way."""


class ProblemInfo(Frozen):
    """A part of the daemon that has died of a fault of its own."""

    task: str
    problem: str
    deaths: int
    since_unix_s: float
    """When it died last."""
    meanwhile: str
    """What that means until it works again."""
    works_again: bool
    """It was started again and is at work."""
    next_try_in_s: float | None = None
    """Until it is started again."""


class ReloadReply(Frozen):
    """What a changed service.toml has changed."""

    changes: list[str]
    """A line each; empty if nothing is different."""


AlarmKind = Literal["stop_all", "not_open"]


class AlarmInfo(Frozen):
    """An alarm that stands until a person acknowledges it."""

    model_config = ConfigDict(defer_build=False)

    id: int
    kind: AlarmKind
    """``stop_all``: everything was stopped, and no run starts before ``sandtime resume-queue``; ``not_open``:
    a circuit was not confirmed open when it should have been."""
    key: str
    """What it is about, so that it comes once."""
    message: str
    run: int | None = None
    since_unix_s: float
    over_unix_s: float | None = None
    """Since when what it is about is in order again."""


class StatusReply(Frozen):
    """The daemon at a glance."""

    ready: bool
    storing: bool = True
    """False while commits fail: measuring goes on from memory, and a crash would lose it."""
    storage: StorageInfo = StorageInfo()
    instruments: list[InstrumentInfo]
    chambers: list[ChamberInfo] = []
    connections: list[ConnectionInfo] = []
    problems: list[ProblemInfo] = []
    """Parts of the daemon that have died lately of a fault of their own."""
    runs: list[RunInfo]
    maintenance: list[Maintenance] = []
    alarms: list[AlarmInfo] = []
    """What stands until a person acknowledges it."""


class Order(Frozen):
    """Runs that are submitted together: all of them are taken, or none."""

    model_config = ConfigDict(defer_build=False)

    series: tuple[tuple[Submission, ...], ...] = Field(min_length=1)
    """Each: what runs one after the other, on one station, for one cell."""


class PriorityRequest(Frozen):
    """A run's new priority."""

    model_config = ConfigDict(defer_build=False)

    priority: int = Field(ge=-PRIORITY_MAX, le=PRIORITY_MAX)


class MaintenanceRequest(Frozen):
    """What is to be in maintenance."""

    model_config = ConfigDict(defer_build=False)

    name: str
    reason: str = Field(min_length=1)
    until_unix_s: float | None = None


class QueueRow(Frozen):
    """A run of the queue as the faces see it, or one that might be submitted."""

    run: int | None
    """None: it is not submitted."""
    name: str
    protocol: str
    cell: str
    state: RunState
    priority: int = 0
    gained: int = 0
    """Levels of priority that it has gained by waiting."""
    station: str = ""
    candidates: tuple[str, ...] = ()
    wants: str = ""
    """What it asks of its station, in words."""
    after: int | None = None
    """The run of the same series that has to finish before."""
    not_before_unix_s: float | None = None
    waits_for: str = ""
    expected_station: str = ""
    expected_start_unix_s: float | None = None
    """None: nobody knows, since a person has to do something before."""
    expected_end_unix_s: float | None = None
    """At most."""


class QueueReply(Frozen):
    """The queue: what runs, then what waits, in order."""

    runs: list[QueueRow]
    maintenance: list[Maintenance] = []


class EndRequest(Frozen):
    """Another end of a step, as a person writes it."""

    step: str
    """Its number, its label, or the end of its label that no other one has."""
    which: str
    """``time``, ``charge``, ``areal_capacity``, ``voltage`` or ``current``."""
    value: str


class SpectrumRequest(Frozen):
    """A spectrum in the middle of a test. What is empty is chosen for the channel and the test."""

    start: str = ""
    """First frequency."""
    end: str = ""
    amplitude: str = ""
    """Peak of the current."""
    points_per_decade: int = Field(default=8, ge=1, le=100)
    under_current: bool = False


class EditRequest(Frozen):
    """What is to become another in a run that goes on: one skip, one spectrum, or changes of the program."""

    model_config = ConfigDict(defer_build=False)

    cycles: int | None = Field(default=None, ge=1)
    """Passes of a loop in all, those that are done included."""
    loop: str = ""
    """Its label, or its end; may be left out where only one can be meant."""
    limits: dict[str, str] = {}
    """``voltage`` (both signs), ``voltage_min``, ``voltage_max``, ``current_max`` → value."""
    ends: tuple[EndRequest, ...] = ()
    skip: bool = False
    spectrum: SpectrumRequest | None = None
    expects: str = ""
    """The program's digest, or its beginning, as the asker knows it: if another one holds by now, nothing is
    changed. Empty: whatever it is."""
    dry_run: bool = False
    """Only say what would change."""


class EditReply(Frozen):
    """What an edit comes to."""

    run: int
    changes: list[str]
    takes_effect: str
    before: str
    """Digest of the program before, with what is pending."""
    program: str
    """Digest of the program after."""
    left_before_s: float
    """Longest time that is left of the test without the edit."""
    left_s: float
    ends_unix_s: float
    """When it ends at the latest; spectra count with their least time."""
    warnings: list[str] = []
    dry_run: bool = False


class LoopReply(Frozen):
    """A loop of a run, and how far it is."""

    label: str
    passes: int
    begun: int | None
    """None: it is over."""
    can_change: bool


class EndsReply(Frozen):
    """A step of a run, and what ends it, in words."""

    step: int
    label: str
    ends: dict[str, str]
    """End condition that it may have → its value; empty: it has none."""


class EditableReply(Frozen):
    """What of a run may be edited."""

    run: int
    program: str
    """Digest of its program, with what is pending; ``expects`` of the next edit."""
    loops: list[LoopReply]
    steps: list[EndsReply]
    limits: dict[str, str]
    pending: list[str]
    """What was asked for and does not hold yet, a sentence each."""


class StopAllRequest(Frozen):
    """How everything is to be stopped."""

    model_config = ConfigDict(defer_build=False)

    chambers_off: bool = False
    """Whether chambers are made safe, too: off, or at their ``safe_celsius``."""


class ResumeRequest(Frozen):
    """How a paused run is to go on."""

    model_config = ConfigDict(defer_build=False)

    anyway: str = ""
    """Why it starts all the same, if its check before the start holds it back."""
