"""What a person may change of a test that goes on: edits as data, in SI.

What becomes of a program by them is worked out in :mod:`protocols.editing`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from protocols.frozen import Frozen

LimitName = Literal["voltage_min", "voltage_max", "current_max"]
EndName = Literal["time", "charge", "voltage", "current"]


class Passes(Frozen):
    """A loop gets another number of passes."""

    kind: Literal["passes"] = "passes"
    loop: str
    """The loop's label, as :func:`protocols.editing.loops_of_program` gives it."""
    count: int = Field(ge=1)
    """In all, those that are done included."""


class Limit(Frozen):
    """A safety limit gets another value."""

    kind: Literal["limit"] = "limit"
    which: LimitName
    value: float


class End(Frozen):
    """An end condition of a step gets another value, or the step another end condition."""

    kind: Literal["end"] = "end"
    step: int
    which: EndName
    value: float


class Skip(Frozen):
    """This visit of a step ends; the test goes on with what comes after it."""

    kind: Literal["skip"] = "skip"
    step: int
    visit: int


class SpectrumNow(Frozen):
    """One spectrum that the program does not have, in the middle of a step; then the step goes on."""

    kind: Literal["spectrum"] = "spectrum"
    under_current: bool = False
    """Under the current that runs, if there is one and the step lasts long enough; else at open circuit."""
    frequency_start_Hz: float = Field(gt=0)
    frequency_end_Hz: float = Field(gt=0)
    points_per_decade: int = Field(default=8, gt=0)
    amplitude_A: float = Field(gt=0)
    """Peak."""


ProgramEdit = Passes | Limit | End
"""What changes the program."""
Edit = Annotated[Passes | Limit | End | Skip | SpectrumNow, Field(discriminator="kind")]


class PendingEdit(Frozen):
    """An edit that was asked for and does not hold yet: who asked, when, and where the run was."""

    edit: Edit
    who: str
    unix_s: float
    step: int
    visit: int
    half_cycle: int
    """Number of the half-cycle that was open, else of the last one; −1 before the first."""
