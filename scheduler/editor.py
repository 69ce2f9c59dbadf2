"""What people ask to be changed of a run that goes on: checked like a protocol, kept, and told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from protocols import tree
from protocols.editing import FILE, changes, edited, edited_late, loops_of_program, passes_begun
from protocols.edits import (
    Edit,
    End,
    EndName,
    Limit,
    Passes,
    PendingEdit,
    ProgramEdit,
    Skip,
    SpectrumNow,
)
from protocols.ends import ENDS
from protocols.errors import BusyError, InvalidFileError, NotAllowedError, Problem, StorageError
from protocols.nodes import ChargePassed, ConstantCurrent, ConstantVoltage, Rest, Step
from protocols.plan import make_plan
from protocols.position import Position
from protocols.program import Program
from protocols.records import RunState
from protocols.units import KindName, format_amount
from scheduler.audit import UNKNOWN, AuditLog
from scheduler.clock import Clock
from scheduler.edit_reading import Situation, read_changes, read_spectrum
from scheduler.edits import running_step
from scheduler.recorder import Recorder
from scheduler.requests import EditableReply, EditReply, EditRequest, EndsReply, LoopReply
from scheduler.run import ActiveRun

EDITABLE: set[RunState] = {"running", "paused", "lost"}

Alive = Callable[[int, set[RunState]], ActiveRun]
"""Returns a run that is in one of these states. Raises NotAllowedError."""


@dataclass(frozen=True, slots=True)
class _Worked:
    """What was worked out of a request, away from the loop."""

    edits: tuple[Edit, ...]
    before: str
    """Digests of the program before and after."""
    program: str
    left_before_s: float
    """Longest time that is left of the test without the edit, and with it."""
    left_s: float
    changes: list[str]
    warnings: list[str]


class Editor:
    """Takes edits; what becomes of them is :mod:`scheduler.edits`."""

    def __init__(self, alive: Alive, audit: AuditLog, recorder: Recorder, clock: Clock) -> None:
        self._alive = alive
        self._audit = audit
        self._recorder = recorder
        self._clock = clock

    async def edit(self, run: int, request: EditRequest, who: str = UNKNOWN) -> EditReply:
        """Check an edit and, unless only its outcome is asked for, keep it until it takes effect.

        Raises InvalidFileError for what does not fit, BusyError if somebody else has edited the run,
        NotAllowedError, StorageError.
        """
        if request.dry_run:
            return await self._edit(run, request, who)
        asked = request.model_dump(mode="json", exclude_defaults=True)
        with self._audit.asked(who, "edit", run, **asked):
            return await self._edit(run, request, who)

    async def editable(self, run: int) -> EditableReply:
        """Return what of a run may be edited. Raises NotAllowedError."""
        active = self._alive(run, EDITABLE)
        at, pending = _situation(active), active.info.edits
        return await asyncio.to_thread(_editable, run, at, pending)

    async def _edit(self, run: int, request: EditRequest, who: str) -> EditReply:
        _require_one_thing(request)
        active = self._alive(run, EDITABLE)
        if not request.dry_run and not self._recorder.storing:
            raise StorageError(
                f"nothing can be stored at present, so no edit is taken: {self._recorder.storage_problem}"
            )
        known, at, spot = active.info.edits, _situation(active), running_step(active)
        worked = await asyncio.to_thread(_work_out, request, at, spot)
        if not worked.before.startswith(request.expects):
            raise BusyError(
                f"run {run} was edited meanwhile: its program is {worked.before[:12]} by now. "
                f"Look at it again with: sandtime edit {run}"
            )
        effect = _takes_effect(active, worked.edits)
        if not request.dry_run:
            await self._keep(active, known, worked, who)
        return EditReply(
            run=run,
            changes=worked.changes,
            takes_effect=effect,
            before=worked.before,
            program=worked.program,
            left_before_s=worked.left_before_s,
            left_s=worked.left_s,
            ends_unix_s=self._clock.unix() + worked.left_s,
            warnings=worked.warnings,
            dry_run=request.dry_run,
        )

    async def _keep(
        self, active: ActiveRun, known: tuple[PendingEdit, ...], worked: _Worked, who: str
    ) -> None:
        """Make an edit durable. Nobody may have edited the run since ``known`` was what is pending."""
        self._alive(active.number, EDITABLE)
        if active.info.edits != known:
            raise BusyError(f"run {active.number} was edited by somebody else just now: look at it again")
        progress = active.progress
        asked = tuple(
            PendingEdit(
                edit=edit,
                who=who,
                unix_s=self._clock.unix(),
                step=progress.step,
                visit=progress.visit,
                half_cycle=progress.meter.number,
            )
            for edit in worked.edits
        )
        active.amend((*known, *asked))
        active.tell("edit", {"who": who, "changes": worked.changes})
        try:
            await self._recorder.commit()
        except StorageError:
            active.amend(tuple(pending for pending in active.info.edits if pending not in asked))
            raise


def _situation(active: ActiveRun) -> Situation:
    """Return how a run stands. Raises NotAllowedError if its channel is not known yet."""
    if active.able is None or active.info.outcome is not None or active.phase == "afterwards":
        raise NotAllowedError(f"run {active.number} can't be edited now: its test is over, or not begun")
    place = active.test_place()
    pending = [edit.edit for edit in active.info.edits if isinstance(edit.edit, ProgramEdit)]
    program = edited_late(active.program, place, pending, active.able)
    head = tree.head(program.remainder(place).steps)[0]
    here = head if isinstance(head, Step) and head.index == place.step else None
    now_V = active.progress.voltage_V if active.progress.begun and not active.open_confirmed else None
    return Situation(program, place, here, active.able, now_V)


def _require_one_thing(request: EditRequest) -> None:
    program = request.cycles is not None or bool(request.limits) or bool(request.ends)
    if sum((program, request.skip, request.spectrum is not None)) != 1:
        hint = "Change the program, or skip a step, or measure a spectrum."
        raise InvalidFileError([Problem(FILE, 0, 0, "An edit does one thing at a time.", hint)])


def _work_out(request: EditRequest, at: Situation, running: tuple[Step, int] | None) -> _Worked:
    """Read a request, check it and see what comes of it. Raises InvalidFileError, NotAllowedError."""
    before, left_s = at.program.digest(), _left_s(at.program, at.place)
    if request.skip:
        edit, behind = _skip(at, running)
        said = [f"{at.program.step(edit.step).label}: what is left of it is skipped"]
        return _Worked((edit,), before, before, left_s, _left_s(at.program, behind), said, [])
    if request.spectrum is not None:
        spectrum = read_spectrum(request.spectrum, at)
        return _Worked((spectrum,), before, before, left_s, left_s, [_words(spectrum)], [])
    edits = read_changes(request, at)
    after = edited(at.program, at.place, edits, at.able)
    said = changes(at.program, after)
    if not said:
        raise InvalidFileError([Problem(FILE, 0, 0, "Nothing would change: it is like that already.")])
    old = make_plan(at.program, at.able).warnings
    warnings = [text for text in make_plan(after, at.able).warnings if text not in old]
    return _Worked(edits, before, after.digest(), left_s, _left_s(after, at.place), said, warnings)


def _skip(at: Situation, running: tuple[Step, int] | None) -> tuple[Skip, Position]:
    """Return the skip of the step that runs, and the place behind it. Raises NotAllowedError."""
    if running is None:
        raise NotAllowedError("no step runs just now that could be skipped; try again in a moment")
    step, visit = running
    there = at.program.position(step.index, visit)
    return Skip(step=step.index, visit=visit), there.model_copy(update={"over": True})


def _words(spectrum: SpectrumNow) -> str:
    how = "under the current that runs" if spectrum.under_current else "at open circuit"
    ends = (spectrum.frequency_start_Hz, spectrum.frequency_end_Hz)
    first, last = (format_amount(frequency_Hz, "frequency") for frequency_Hz in ends)
    peak = format_amount(spectrum.amplitude_A, "current")
    return f"a spectrum from {first} to {last} {how}, with a peak of {peak}"


def _left_s(program: Program, place: Position) -> float:
    after_s = program.with_steps(program.afterwards).duration_s()
    return program.remainder(place).duration_s() + after_s


def _takes_effect(active: ActiveRun, edits: tuple[Edit, ...]) -> str:
    if active.info.state == "paused":
        return "when the run goes on"
    if active.info.state == "lost":
        return "when the instrument answers again"
    if not any(isinstance(edit, ProgramEdit) for edit in edits):
        return "now"
    is_open = active.progress.meter.began_s is not None
    rests = isinstance(active.progress.current_step, Rest)
    return "from the next half-cycle on" if is_open and not rests else "as soon as the step allows it"


# What may be edited


def _asked_words(program: Program, edit: Edit) -> str:
    """Say what was asked for."""
    match edit:
        case Passes():
            return f"{edit.loop}: {edit.count} passes"
        case Limit():
            return f"safety limit {edit.which}: {edit.value:g} {'A' if edit.which == 'current_max' else 'V'}"
        case End():
            kinds: dict[EndName, KindName] = {"time": "time", "charge": "charge", "current": "current"}
            kind = kinds.get(edit.which, "voltage")
            return f"{program.step(edit.step).label}: {edit.which} {format_amount(edit.value, kind)}"
        case Skip():
            return f"{program.step(edit.step).label}: what is left of it is skipped"
        case SpectrumNow():
            return _words(edit)


def _editable(run: int, at: Situation, pending: tuple[PendingEdit, ...]) -> EditableReply:
    limits = at.program.limits
    return EditableReply(
        run=run,
        program=at.program.digest(),
        loops=[
            LoopReply(
                label=loop.label,
                passes=loop.passes,
                begun=(begun := passes_begun(loop, at.place)),
                can_change=begun is not None and not loop.nested,
            )
            for loop in loops_of_program(at.program)
        ],
        steps=[
            EndsReply(step=step.index, label=step.label, ends=_ends(step, at.program.cell.area_m2))
            for step, _ in at.program.walk()
        ],
        limits={
            "voltage_min": f"{limits.voltage_min_V:g} V",
            "voltage_max": f"{limits.voltage_max_V:g} V",
            "current_max": format_amount(limits.current_max_A, "current"),
        },
        pending=[f"{_asked_words(at.program, asked.edit)} (by {asked.who})" for asked in pending],
    )


def _ends(step: Step, area_m2: float) -> dict[str, str]:
    """Return what ends a step, in words, of what may be changed."""
    found: dict[str, str] = {}
    if step.kind in ENDS and isinstance(step, Rest | ConstantCurrent | ConstantVoltage):
        found["time"] = format_amount(step.duration_s, "time")
    if isinstance(step, ConstantCurrent):
        if step.charge_C is not None:
            found["areal_capacity"] = format_amount(step.charge_C / area_m2, "areal_capacity")
        if step.until_voltage_V is not None:
            found["voltage"] = f"{step.until_voltage_V:g} V"
    if isinstance(step, ConstantVoltage):
        if step.until_current_A is not None:
            found["current"] = format_amount(step.until_current_A, "current")
        for end in step.host_ends:
            if isinstance(end, ChargePassed):
                found["areal_capacity"] = format_amount(end.charge_C / area_m2, "areal_capacity")
    return found
