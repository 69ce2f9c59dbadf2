"""E at rest: does it settle, or does it keep falling?"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class RestVoltage:
    """E in pieces of a rest. Relaxation slows down from one piece to the next; a leak does not."""

    began_s: float | None = None
    mark_s: float | None = None
    """Start of the piece that is open."""
    marks_V: list[float] = field(default_factory=list)
    """E at the newest three marks."""

    def begin(self, t_s: float) -> None:
        """A rest begins, or goes on after a spectrum."""
        if self.began_s is None:
            self.began_s = t_s

    def end(self) -> None:
        """The cell is driven."""
        self.began_s = self.mark_s = None
        self.marks_V = []

    def add(self, t_s: float, voltage_V: float, relax_s: float, piece_s: float) -> bool:
        """Take in E, smoothed; return whether a piece has just ended that has one before it."""
        if self.began_s is None:
            return False
        if t_s < (self.began_s + relax_s if self.mark_s is None else self.mark_s + piece_s):
            return False
        self.mark_s = t_s
        self.marks_V = [*self.marks_V, voltage_V][-3:]
        return len(self.marks_V) == 3

    @property
    def falls_V(self) -> tuple[float, float]:
        """By how much E fell in the last piece but one and in the last one."""
        first, second, third = self.marks_V
        return first - second, second - third
