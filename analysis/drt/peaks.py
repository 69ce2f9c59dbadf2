"""The processes in a distribution of relaxation times: its peaks, with names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peak:
    """One peak of γ(ln τ)."""

    tau_s: float
    """Time at its highest point."""
    resistance_ohm: float
    """Area between the minima on both sides."""
    std_ohm: float | None
    """Standard deviation of the resistance; None where the method gives none."""
    height_ohm: float
    """γ at its highest point."""
    from_s: float
    """Where the peak begins and ends: the minima on both sides."""
    to_s: float
    inside: bool
    """Whether its time lies inside the measured window; else place and resistance are an extrapolation."""
    name: str = ""
    """The process, by the ranges that were given; empty if it lies in none."""

    @property
    def capacitance_F(self) -> float:
        """τ/R: capacitance of an RC element of this time and resistance."""
        return self.tau_s / self.resistance_ohm if self.resistance_ohm > 0 else float("inf")
