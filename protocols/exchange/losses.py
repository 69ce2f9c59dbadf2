"""What another format has no word for: named one by one, and refused unless a person agrees to lose it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from protocols.errors import SandtimeError, nearest

TARGETS: dict[str, str] = {"unicycler": "aurora-unicycler", "pybamm": "PyBaMM", "battinfo": "BattINFO"}
"""What a program can be converted to, and its name for people."""
ACCEPTABLE: dict[str, str] = {
    "guards": "what sandtime watches besides the limits",
    "limits": "safety limits",
    "ends_on": "a verdict of a guard that is the planned end",
    "afterwards": "what runs after the end",
    "on_suspicion": "what runs when a guard suspects something",
    "record": "when a sample is kept",
    "dense": "denser samples at the start of a step",
    "cycles": "which passes are counted as cycles",
    "messages": "messages to people",
    "spectra": "impedance spectra at open circuit",
    "spectrum_details": "points, averages and order of the frequencies of a spectrum",
}
"""What a person may agree to lose: it watches, records, tells or measures. What drives the cell stays."""
_PLACES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Loss:
    """One setting of one step, or of the whole protocol, that would be lost."""

    what: str
    """A word of :data:`ACCEPTABLE`, or what the step can't do without."""
    place: str
    """The step, or the key of the protocol file."""
    message: str

    @property
    def acceptable(self) -> bool:
        """Whether a person may agree to it."""
        return self.what in ACCEPTABLE

    def __str__(self) -> str:
        return f"{self.place}: {self.message} [{self.what}]"


class LostInConversionError(SandtimeError):
    """Another format can't say all that a protocol says."""

    exit_code = 3

    def __init__(self, target: str, losses: Collection[Loss]) -> None:
        self.losses = tuple(losses)
        lines = [f"{target} can't say all of this protocol. Lost would be:", *listed(self.losses)]
        if all(loss.acceptable for loss in self.losses):
            words = ",".join(dict.fromkeys(loss.what for loss in self.losses))
            lines.append(f"    If that may be lost, write: --without {words}")
        super().__init__("\n".join(lines))


def listed(losses: Collection[Loss]) -> list[str]:
    """Return a line for each kind of loss, with the first places where it would happen."""
    places: dict[tuple[str, str], list[str]] = {}
    for loss in losses:
        places.setdefault((loss.what, loss.message), []).append(loss.place)
    return [f"  {what}: {message} ({_some(where)})" for (what, message), where in places.items()]


def _some(places: list[str]) -> str:
    more = len(places) - _PLACES_SHOWN
    return ", ".join(places[:_PLACES_SHOWN]) + (f" and {more} more" if more > 0 else "")


class Ledger:
    """Collects what would be lost in one conversion."""

    def __init__(self, target: str, allow: Collection[str]) -> None:
        for word in allow:
            if word not in ACCEPTABLE:
                raise SandtimeError(f"'{word}' is nothing that may be lost. {nearest(word, ACCEPTABLE)}")
        self.target = target
        self.losses: list[Loss] = []
        self._allow = frozenset(allow)

    def add(self, what: str, place: str, message: str) -> None:
        """Note a loss."""
        self.losses.append(Loss(what, place, message))

    def settle(self) -> None:
        """Raise LostInConversionError with every loss that nobody agreed to."""
        refused = [loss for loss in self.losses if loss.what not in self._allow]
        if refused:
            raise LostInConversionError(self.target, refused)
