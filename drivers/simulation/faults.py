"""Faults of a simulated instrument: what can go wrong, when it does by a script, and what holds at present.

Times and durations are in s of the instrument's clock, counted from when it was switched on; only the
lateness of a delayed reply is real time, since it is the host that waits for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count as numbers
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.simulation.linkfaults import LinkFaults
from protocols.errors import QuantityError
from protocols.units import parse_amount

Kind = Literal[
    "drop_link",
    "delay",
    "garbage",
    "truncated",
    "freeze",
    "reboot",
    "full_memory",
    "clock_step",
    "zeros",
    "comm_loss",
    "skipped",
    "door_open",
    "open_clip",
    "swapped_leads",
]

LINK_KINDS: frozenset[Kind] = frozenset({"drop_link", "delay", "garbage", "truncated", "freeze", "reboot"})
"""What happens to the link of any instrument. A reboot does more to the instrument behind it."""
BOX_KINDS: frozenset[Kind] = LINK_KINDS | {
    *("full_memory", "clock_step", "zeros", "comm_loss", "skipped", "open_clip", "swapped_leads")
}
CHAMBER_KINDS: frozenset[Kind] = LINK_KINDS | {"door_open"}

EVERY_MIN_S = 1.0
"""Shortest mean time between faults at random."""

_NEEDED: dict[Kind, tuple[str, ...]] = {
    "delay": ("by", "for"),
    "freeze": ("for",),
    "reboot": ("for",),
    "full_memory": ("for",),
    "clock_step": ("by",),
    "door_open": ("for",),
    "open_clip": ("for",),
    "swapped_leads": ("for",),
}
_POSSIBLE: dict[Kind, tuple[str, ...]] = {
    "drop_link": ("for",),
    "garbage": ("count",),
    "truncated": ("count",),
    "full_memory": ("channel",),
    "zeros": ("count",),
    "comm_loss": ("count",),
    "skipped": ("count", "channel"),
    "open_clip": ("channel",),
    "swapped_leads": ("channel",),
}
_FIELDS = {"for": "duration_s", "by": "by_s", "at": "at_s", "every": "every_s"}
"""Word in a file → field that holds its value in s."""


class Fault(BaseModel):
    """One thing that goes wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Kind
    """``drop_link``: connections end, and new ones end at once for ``duration_s``; ``delay``: replies come
    later by ``by_s`` of real time; ``garbage``: random bytes in place of the next ``count`` replies;
    ``truncated``: the next ``count`` replies stop half-way, and their link stays silent; ``freeze``: requests
    are taken and neither carried out nor answered; ``reboot``: as ``drop_link``, and the instrument comes
    back as after power-on; ``full_memory``: no record is kept; ``clock_step``: shown times jump by ``by_s``;
    ``zeros``: the next ``count`` readings are all-zero replies; ``comm_loss``: the next ``count`` calls fail
    with −200; ``skipped``: ``count`` records are reported as lost; ``door_open``: a chamber's air goes
    towards the room; ``open_clip``: a cell's lead is off; ``swapped_leads``: a cell is connected the wrong
    way round.
    """
    duration_s: float = Field(default=0.0, ge=0)
    by_s: float = 0.0
    count: int = Field(default=1, ge=1)
    channel: int | None = Field(default=None, ge=1)
    """As printed on the instrument, from 1; None: every channel."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Fault:
        words = {field: word for word, field in _FIELDS.items()}
        given = {words.get(name, name) for name in self.model_fields_set} & {"for", "by", "count", "channel"}
        needed = _NEEDED.get(self.kind, ())
        for word in needed:
            if word not in given:
                raise ValueError(f'{self.kind} needs `{word}`, such as {word} = "30 s"')
        for word in sorted(given - {*needed, *_POSSIBLE.get(self.kind, ())}):
            raise ValueError(f"{self.kind} takes no `{word}`")
        if self.kind == "delay" and self.by_s < 0:
            raise ValueError("no reply can be earlier: `by` has to be above 0")
        return self


class ScriptedFault(Fault):
    """A fault of a script: once at a time, or again and again at random times.

    In a file its times are texts with units: ``at``, ``every``, ``for``, ``by``.
    """

    at_s: float | None = Field(default=None, ge=0)
    every_s: float | None = Field(default=None, ge=EVERY_MIN_S)
    """Mean time between two of them, which is exponentially distributed."""
    seed: int = Field(default=0, ge=0)
    """Decides on the times at random: the same seed gives the same times at any speed."""

    @model_validator(mode="before")
    @classmethod
    def _from_words(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {_FIELDS.get(key, key): _seconds(key, value) for key, value in given.items()}

    @model_validator(mode="after")
    def _has_one_time(self) -> ScriptedFault:
        if (self.at_s is None) == (self.every_s is None):
            raise ValueError('write either `at`, such as at = "2 h", or `every`')
        if self.every_s is None and "seed" in self.model_fields_set:
            raise ValueError("`seed` belongs to `every`")
        return self

    def times_s(self) -> Iterator[float]:
        """Yield when it begins, in ascending order."""
        if self.at_s is not None:
            yield self.at_s
        elif self.every_s is not None:
            random, time_s = np.random.default_rng(self.seed), 0.0
            while True:
                time_s += float(random.exponential(self.every_s))
                yield time_s


def _seconds(key: str, value: object) -> object:
    """Return a time of a file in s; what stands for no time as it is."""
    if key not in _FIELDS:
        return value
    if not isinstance(value, str):
        raise ValueError(f'`{key}` is a time with a unit in quotes, such as {key} = "30 s"')
    try:
        return parse_amount(value, "time").value
    except QuantityError as error:
        raise ValueError(f"`{key}`: {error} {error.hint}") from error


def check(fault: Fault, kinds: frozenset[Kind], channels: Collection[int] = ()) -> None:
    """Raise ValueError if an instrument that knows these kinds, and has these channels, cannot have it."""
    if fault.kind not in kinds:
        raise ValueError(f"{fault.kind} cannot happen to it; choose one of {', '.join(sorted(kinds))}")
    if fault.channel is not None and fault.channel not in channels:
        raise ValueError(f"{fault.kind}: there is no channel {fault.channel}")


@dataclass(frozen=True, order=True, slots=True)
class Change:
    """A fault begins or ends."""

    at_s: float
    number: int
    """Order among changes of one time."""
    fault: Fault = field(compare=False)
    begins: bool = field(compare=False, default=True)


class Faults:
    """The faults of one instrument: those of its script, those injected, and the state of its link."""

    def __init__(self, script: Sequence[ScriptedFault] = ()) -> None:
        self.link = LinkFaults()
        self._number = numbers()
        self._coming: list[Change] = []
        self._repeated: dict[int, tuple[ScriptedFault, Iterator[float]]] = {}
        for fault in script:
            self._repeat(fault, fault.times_s())

    def add(self, fault: Fault, at_s: float) -> None:
        """Let a fault begin at a time that has not passed."""
        self._put(at_s, fault)

    def due(self, now_s: float) -> Iterator[Change]:
        """Yield what begins and ends until ``now_s``, in order of time. The link's part is done already."""
        while self._coming and self._coming[0].at_s <= now_s:
            change = heapq.heappop(self._coming)
            if change.begins and change.fault.duration_s:
                self._put(change.at_s + change.fault.duration_s, change.fault, begins=False)
            if change.number in self._repeated:
                self._repeat(*self._repeated.pop(change.number))
            self._touch_link(change.fault, change.begins)
            yield change

    def _repeat(self, fault: ScriptedFault, times_s: Iterator[float]) -> None:
        at_s = next(times_s, None)
        if at_s is not None:
            self._repeated[self._put(at_s, fault)] = fault, times_s

    def _put(self, at_s: float, fault: Fault, *, begins: bool = True) -> int:
        number = next(self._number)
        heapq.heappush(self._coming, Change(at_s, number, fault, begins))
        return number

    def _touch_link(self, fault: Fault, begins: bool) -> None:
        link, sign = self.link, 1 if begins else -1
        match fault.kind:
            case "drop_link" | "reboot":
                if begins:
                    link.drop()
                link.down += sign if fault.duration_s else 0
            case "freeze":
                link.frozen += sign
            case "delay":
                link.late_s += sign * fault.by_s
            case "garbage":
                link.garbage = fault.count
            case "truncated":
                link.truncated = fault.count
