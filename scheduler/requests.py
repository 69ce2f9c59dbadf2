"""What faces and service say to each other. Light, so that a client need not load the service."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from protocols.frozen import Frozen
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
    station: str
    name: str = ""
    settings: dict[str, str] = {}
    included: dict[str, str] = {}
    """The texts of the files that the protocol includes, by name."""
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

    run: int
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


class StatusReply(Frozen):
    """The daemon at a glance."""

    ready: bool
    storing: bool = True
    """False while commits fail: measuring goes on from memory, and a crash would lose it."""
    storage: StorageInfo = StorageInfo()
    instruments: list[InstrumentInfo]
    chambers: list[ChamberInfo] = []
    runs: list[RunInfo]


class ResumeRequest(Frozen):
    """How a paused run is to go on."""

    model_config = ConfigDict(defer_build=False)

    anyway: str = ""
    """Why it starts all the same, if its check before the start holds it back."""
