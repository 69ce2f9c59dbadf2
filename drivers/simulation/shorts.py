"""Short circuits: lithium that grows through the electrolyte, and the electronic path that it makes.

A dendrite advances with the charge that passes: slowly at any current, fast above a critical current density
(facts/shorts.md §2). A hard short stays; a soft one flickers, heals when the current stops, and burns off
(Counihan et al., Joule 8 (2024) 64). Either is a conductance in parallel to the ions' path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CURRENT_TOLERANCE = 0.005
"""A set-point this close below a threshold counts as reaching it: instruments keep single precision."""
AT_ONCE_C_PER_M2 = 1e-6
"""Charge that stands for none where a short comes at once."""
FULLY_FALLEN = 30.0
"""Time constants after which a short has fallen to its last resistance."""
GONE = 1e-4
"""Strength below which a soft short is no path any more."""
_ROUNDING = 1e-9
"""Part of a charge by which sums of it may be off."""
FIRST_S, GROWTH, LONGEST_S, LONGEST_REST_S = 1e-3, 0.25, 30.0, 6 * 3600.0
"""A path is followed in strides that grow with the time since something happened to it; at rest for long."""


@dataclass(frozen=True, slots=True)
class ShortParameters:
    """When a cell shorts and how. Charges and currents are per electrode area."""

    critical_A_per_m2: float | None = None
    """Current density from which a dendrite advances fast; None: never."""
    critical_C_per_m2: float = 0.0
    """Charge above it with which the dendrite is through."""
    lifetime_C_per_m2: float | None = None
    """Charge in either direction with which it is through at any current; None: never."""
    residual: float = 0.02
    """Resistance of the shorted cell relative to the sound one."""
    path_ohm_m2: float | None = None
    """Resistance of a hard short's path; None: what ``residual`` says."""
    fall_s: float = 0.1
    """Time constant with which the resistance falls."""
    from_start: bool = False
    """Whether the cell has a hard short before anything is done to it."""
    soft_from_C_per_m2: float | None = None
    """Charge passed at which a soft short begins; None: never."""
    soft_to_C_per_m2: float = np.inf
    """Charge passed at which it has burnt off."""
    soft_residual: float = 0.3
    """Resistance of the softly shorted cell relative to the sound one."""
    soft_path_ohm_m2: float | None = None
    """Resistance of a soft short's path; None: what ``soft_residual`` says."""
    form_s: float = 5.0
    """Time constant with which it forms."""
    heal_s: float = 120.0
    """Time constant with which it heals without current, and once it has burnt off."""
    flicker: float = 0.0
    """Part of its conductance that comes and goes (telegraph noise)."""
    flicker_s: float = 10.0
    """Mean time between its flips."""
    seed: int = 0


@dataclass(slots=True)
class Path:
    """State of the electronic path, and of the dendrite before it."""

    penetration: float = 0.0
    """Part of the electrolyte that the dendrite has crossed."""
    shorted_s: float | None = None
    """Time since the hard short."""
    strength: float = 0.0
    """Of the soft short, 0 to 1."""
    flips: int = 0
    """How often the soft short has flickered."""
    flip_left_s: float = 0.0
    """Time until it flickers again."""
    quiet_s: float = 0.0
    """Time since something happened to the path or the current."""

    def copy(self) -> Path:
        """Return one that changes by itself."""
        return Path(
            self.penetration, self.shorted_s, self.strength, self.flips, self.flip_left_s, self.quiet_s
        )


class ShortModel:
    """How the path of one cell comes, changes and goes."""

    def __init__(self, parameters: ShortParameters, area_m2: float, resistance_ohm: float) -> None:
        self._parameters = parameters
        self._area_m2 = area_m2
        self._resistance_ohm = resistance_ohm

    def fresh(self) -> Path:
        """Return the path of a cell as it was built."""
        return Path(shorted_s=FULLY_FALLEN * self._parameters.fall_s if self._parameters.from_start else None)

    def conductance_S(self, path: Path, after_s: float = 0.0) -> float:
        """Return the path's conductance after a time in which nothing else happens to it."""
        parameters = self._parameters
        hard_S = soft_S = 0.0
        if path.shorted_s is not None:
            sound = np.exp(-(path.shorted_s + after_s) / parameters.fall_s)
            hard_S = self._conductance(parameters.path_ohm_m2, sound + (1 - sound) * parameters.residual)
            if parameters.path_ohm_m2 is not None:
                hard_S *= 1 - sound
        if path.strength:
            soft_S = self._conductance(parameters.soft_path_ohm_m2, parameters.soft_residual)
            soft_S *= path.strength * (1 - parameters.flicker * (path.flips % 2))
        return float(hard_S + soft_S)

    def is_open(self, path: Path) -> bool:
        """Whether there is no path at all."""
        return path.shorted_s is None and not path.strength

    def next_event_s(self, path: Path, driven_C: float, current_A: float) -> float:
        """Return after which time something happens to the path if the current goes on; or infinity."""
        events = [np.inf]
        if current_A:
            events += [left_C / abs(current_A) for left_C in self._charges_ahead(path, driven_C, current_A)]
        if not self.is_open(path):
            events.append(self.stride_s(path, current_A))
            if path.strength and self._parameters.flicker:
                events.append(path.flip_left_s)
        return max(min(events), 0.0)

    def stride_s(self, path: Path, current_A: float) -> float:
        """Return the longest time over which the ions' share of this current may be taken as constant."""
        return min(max(FIRST_S, GROWTH * path.quiet_s), LONGEST_S if current_A else LONGEST_REST_S)

    def let_pass(self, path: Path, driven_C: float, current_A: float, seconds: float) -> None:
        """Let a constant current from outside go on, after ``driven_C``, for at most :meth:`next_event_s`."""
        was_open = self.is_open(path)
        path.quiet_s += seconds
        if path.shorted_s is not None:
            path.shorted_s += seconds
        elif current_A:
            path.penetration += self._advance_per_C(current_A) * abs(current_A) * seconds
            if path.penetration >= 1 - 1e-12:
                path.shorted_s = 0.0
        self._let_soft_pass(path, driven_C + abs(current_A) * seconds, current_A, seconds)
        if was_open and not self.is_open(path):
            path.quiet_s = 0.0

    def disturb(self, path: Path) -> None:
        """Take note that the current has changed."""
        path.quiet_s = 0.0

    def _let_soft_pass(self, path: Path, driven_C: float, current_A: float, seconds: float) -> None:
        parameters = self._parameters
        if parameters.soft_from_C_per_m2 is None:
            return
        first_C = parameters.soft_from_C_per_m2 * self._area_m2
        rounding_C = _ROUNDING * driven_C
        within = first_C <= driven_C + rounding_C
        within = within and driven_C + rounding_C < parameters.soft_to_C_per_m2 * self._area_m2
        if within and current_A:
            if not path.strength:
                path.strength = GONE
                path.flip_left_s = self._dwell_s(path.flips)
            path.strength = 1 - (1 - path.strength) * float(np.exp(-seconds / parameters.form_s))
        elif path.strength:
            path.strength *= float(np.exp(-seconds / parameters.heal_s))
            if path.strength < GONE:
                path.strength = 0.0
        if path.strength and parameters.flicker:
            self._flicker(path, seconds)

    def _flicker(self, path: Path, seconds: float) -> None:
        path.flip_left_s -= seconds
        if path.flip_left_s <= 1e-9:
            path.flips += 1
            path.flip_left_s = self._dwell_s(path.flips)
            path.quiet_s = 0.0

    def _dwell_s(self, flip: int) -> float:
        """Return the time from this flip to the next: the same whoever looks ahead how often."""
        random = np.random.default_rng((self._parameters.seed, flip))
        return float(random.exponential(self._parameters.flicker_s))

    def _charges_ahead(self, path: Path, driven_C: float, current_A: float) -> list[float]:
        """Return the charges from here to what charge makes happen."""
        parameters = self._parameters
        ahead = []
        if path.shorted_s is None and (per_C := self._advance_per_C(current_A)):
            ahead.append(max(1 - path.penetration, 0.0) / per_C)
        if parameters.soft_from_C_per_m2 is not None:
            edges = (parameters.soft_from_C_per_m2, parameters.soft_to_C_per_m2)
            lefts = [edge * self._area_m2 - driven_C for edge in edges if np.isfinite(edge)]
            ahead += [left_C for left_C in lefts if left_C > _ROUNDING * driven_C]
        return ahead

    def _advance_per_C(self, current_A: float) -> float:
        """Return the part of the electrolyte that a dendrite crosses per charge."""
        parameters = self._parameters
        density, per_C_per_m2 = abs(current_A) / self._area_m2, 0.0
        if parameters.lifetime_C_per_m2 is not None:
            per_C_per_m2 += 1 / parameters.lifetime_C_per_m2
        critical = parameters.critical_A_per_m2
        if critical is not None and density >= critical * (1 - CURRENT_TOLERANCE):
            per_C_per_m2 += 1 / max(parameters.critical_C_per_m2, AT_ONCE_C_PER_M2)
        return per_C_per_m2 / self._area_m2

    def _conductance(self, path_ohm_m2: float | None, residual: float) -> float:
        """Return that of a path with this resistance, or with which this part of the sound one is left."""
        if path_ohm_m2 is not None:
            return self._area_m2 / path_ohm_m2
        return (1 / residual - 1) / self._resistance_ohm
