"""What a run is in the middle of, beyond its place in the program."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import TypeAdapter

from protocols.check import CheckResult
from protocols.nodes import Node
from protocols.position import Position
from protocols.verdicts import Verdict

Phase = Literal["check", "test", "suspicion", "look", "inserted", "afterwards"]
"""Which steps run: those of the check before the start, the program's own, those it wants when a guard
suspects something, those of the engine's own look at the cell, of a spectrum that a person asked for, those
after the program's end."""


@dataclass(slots=True)
class Course:
    """Intentions that outlive the daemon: saved before they are acted on."""

    place: Position | None = None
    """Where the test goes on, while the cell is looked at."""
    step_ended: str = ""
    """Why the host has ended the step that runs; empty if it has not."""
    suspicion: Verdict | None = None
    """What a guard suspects and is still to be looked into."""
    interrupting: bool = False
    """The segment is stopped by ourselves, to go on from there."""
    suspected: dict[str, int] = field(default_factory=dict)
    """Kind of verdict → half-cycle in which it last interrupted the run."""
    trip: Verdict | None = None
    """What has opened the circuit and is still to be looked at before it is final."""
    tripped: int | None = None
    """Half-cycle of the last trip: another one in it is final at once."""
    looking: tuple[Node, ...] = ()
    """Steps that no program has: of the engine's look, or of the spectrum that a person asked for, whichever
    runs or comes next."""
    inserted: int = 0
    """How many spectra that a person asked for have begun."""
    looks_again: bool = False
    """The look that has ended decided nothing, and ``looking`` is another one that comes next."""
    retries: int = 0
    """How often the present spectrum was measured again for a better amplitude."""
    demanded_K: float | None = None
    """Temperature that the run last demanded of its chamber."""
    checking: tuple[Node, ...] = ()
    """Steps of the check before the start, of the engine's own making."""
    check: Literal["", "due", CheckResult] = ""
    """How the check before the start stands. ``due``: it runs, or has to run again."""
    check_reason: str = ""
    """Why it does not let the test start."""

    @property
    def is_held_back(self) -> bool:
        """Whether the check before the start lets the test start only if a person says so."""
        return self.check in ("asks", "refused")

    def suspect(self, verdict: Verdict, half_cycle: int) -> None:
        """Look closer, unless that was done for this kind of verdict in this half-cycle."""
        if self.suspicion is None and self.suspected.get(verdict.kind) != half_cycle:
            self.suspicion = verdict
            self.suspected[verdict.kind] = half_cycle

    def trips(self, verdict: Verdict, half_cycle: int) -> bool:
        """Note that a verdict is to be looked at; return False if one of this half-cycle already was."""
        if self.tripped == half_cycle:
            return False
        self.trip, self.tripped = verdict, half_cycle
        return True

    def passed(self, passed_C: float, current_A: float) -> None:
        """A look has passed some of the step's charge: let it go on behind that, at the step's current."""
        if self.place is not None and current_A and not self.place.over:
            charge_C, time_s = self.place.charge_C + passed_C, self.place.time_s + passed_C / current_A
            self.place = self.place.model_copy(update={"charge_C": charge_C, "time_s": time_s})

    def test_goes_on(self) -> None:
        """The test goes on from its place: whatever the cell was looked at for is over."""
        self.place, self.suspicion, self.looking = None, None, ()

    def follow(self, phase: Phase, steps: tuple[Node, ...]) -> None:
        """Remember the steps of the engine's own that an earlier daemon started."""
        if phase in ("look", "inserted"):
            self.looking = steps
        elif phase == "check":
            self.checking = steps

    def forget_interruption(self) -> None:
        """Nothing interrupts the run any more."""
        self.step_ended, self.suspicion, self.interrupting = "", None, False

    def state(self) -> dict[str, object]:
        """Return it all, JSON-ready."""
        dumped: dict[str, object] = _COURSE.dump_python(self, mode="json")
        return dumped


_COURSE = TypeAdapter(Course)


def course_of(state: object) -> Course:
    """Return what :meth:`Course.state` gave. Raises ValueError."""
    return _COURSE.validate_python(state)
