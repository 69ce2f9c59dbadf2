"""What is kept of a run besides its samples."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from protocols.check import SeenCell
from protocols.edits import PendingEdit
from protocols.frozen import Frozen
from protocols.verdicts import Verdict

RunState = Literal[
    "queued", "waiting", "running", "paused", "stopping", "lost", "finished", "protected", "stopped", "failed"
]
ENDED: frozenset[RunState] = frozenset({"finished", "protected", "stopped", "failed"})
"""The four states that end a run."""


def folder_marker(folder: str) -> str:
    """How every marker of a data folder begins."""
    return f"sandtime/{folder}/"


class Ticket(Frozen):
    """Stored before a start is commanded; lets a later daemon find out whether it took place."""

    run: int
    segment: int
    """Number of the segment in the run, from 0."""
    program: str
    """Digest of the segment's program."""
    folder: str = ""
    """Identity of the data folder, so that two daemons never take each other's segments for their own."""

    @property
    def marker(self) -> str:
        """What an instrument is asked to keep for us: names this segment and nobody else's."""
        return f"{self.run_marker}{self.segment}/{self.program[:32]}"

    @property
    def run_marker(self) -> str:
        """How every marker of this run begins."""
        return f"{folder_marker(self.folder)}{self.run}/"


class HalfCycle(Frozen):
    """One plating or stripping, in SI. Times are run times (t_s)."""

    number: int
    """From 0, counted over the run."""
    step: int
    visit: int
    t_start_s: float
    t_end_s: float
    set_current_A: float
    """Signed; > 0 oxidises (strips) the working electrode."""
    current_A: float
    """Mean of the measured current."""
    charge_C: float
    """Signed charge that passed."""
    planned_charge_C: float | None
    complete: bool
    """Whether the planned end was reached."""
    overpotential_V: float
    """Charge-weighted mean of |E|: |∫E·I dt / ∫I dt|."""
    voltage_min_V: float
    voltage_max_V: float
    voltage_end_V: float


class Cycle(Frozen):
    """The half-cycles of one cycle, summed up, in SI."""

    number: int
    """As the program counts them, 0 before the first; else two half-cycles each, from 1."""
    half_cycles: int
    t_start_s: float
    t_end_s: float
    charging_C: float
    """Charge that passed with current > 0 (which oxidises the working electrode)."""
    discharging_C: float
    """Charge that passed with current < 0, as a positive number."""
    complete: bool
    """Whether each of its half-cycles reached its planned end."""


class Event(Frozen):
    """Something that happened to a run or to the daemon."""

    kind: str
    """``state``, ``verdict``, ``gap``, ``cycle``, ``spectrum``, ``open_circuit``, ``message``, ``decision``,
    ``step_ended``, ``temperature``, ``result``, ``note``, ``alarm``, ``storage``, ``clock_step``, ``placed``,
    ``maintenance``, ``check`` (:class:`protocols.check.CheckOutcome`), ``edit`` (asked for), ``edited`` (it
    holds), ``inserted`` (a spectrum that a person asked for begins)."""
    t_s: float | None = None
    unix_s: float
    data: dict[str, object] = {}


class Gap(Frozen):
    """A stretch of run time whose samples are missing, and why."""

    t_from_s: float
    t_to_s: float
    reason: str


class Archived(Frozen):
    """Where the samples of a run are that have left the data folder."""

    file: str
    """The archive, as it was called then."""
    sha256: str
    """Of the archive; of one that is a folder, of its ``checksums.sha256``."""
    unix_s: float


class RunInfo(Frozen):
    """A run as other programs see it."""

    run: int
    name: str
    station: str
    """Empty while it waits for whichever of its ``candidates`` is free first."""
    candidates: tuple[str, ...] = ()
    """Stations that it may get; empty once it has one."""
    protocol: str
    cell: str
    cell_identity: str = ""
    """What is written on the cell; empty if its file does not say."""
    state: RunState
    reason: str = ""
    """Why it is in this state, one sentence."""
    waits_for: str = ""
    """What the step that runs waits for; empty if for nothing."""
    outcome: RunState | None = None
    """What it ends as once the circuit is open and ``afterwards`` has run; None until that is known."""
    verdict: Verdict | None = None
    t_s: float = 0.0
    """Run time of the newest sample."""
    step: str = ""
    half_cycle: int = 0
    voltage_V: float | None = None
    current_A: float | None = None
    submitted_unix_s: float
    started_unix_s: float | None = None
    ended_unix_s: float | None = None
    open_circuit_confirmed: bool = False
    acknowledged: bool = False
    """A person has seen why it was protected, and freed the station."""
    simulated: bool = False
    samples: int = Field(default=0, ge=0)
    cell_digest: str = ""
    """What runs of the same cell file have in common; see :func:`protocols.check.cell_digest`."""
    unchecked: str = ""
    """Why a person lets it start without a check of the cell; empty: it is checked."""
    seen: SeenCell | None = None
    """How it left its cell; None while it goes on, or if it never saw it."""
    archived: Archived | None = None
    """Its samples have left the data folder."""
    edits: tuple[PendingEdit, ...] = ()
    """What people have asked to be changed and does not hold yet."""
