"""A simulated cell with a solid electrolyte: its parts joined, driven by a current or held at a voltage.

E of a cell is that of its circuit (:mod:`circuit`: one for time and frequency) with the overpotentials that
bend (:mod:`overpotential`), scaled by age (:mod:`ageing`) and contact (:mod:`lithium`), with a nucleation
spike at the start of each half-cycle, the run-away of E once the stripped side has no lithium left, and the
open-circuit voltage of a positive electrode, if there is one. Ions share the current with an electronic path
once there is a short (:mod:`shorts`). A positive current oxidises (strips) the working electrode.

The ions' current is constant over a piece of time, and inside a piece everything is known in closed form.
A piece ends when the current is changed from outside or something happens to the path. So the state depends
on what has passed alone, never on how the time was cut. No noise here: that belongs to the instrument.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.simulation.ageing import Ageing, AgeingParameters
from drivers.simulation.circuit import Arc, Circuit, Diffusion, Part
from drivers.simulation.decomposition import Decomposition
from drivers.simulation.electrode import ElectrodeState, PositiveElectrode
from drivers.simulation.lithium import Lithium, LithiumModel, LithiumParameters
from drivers.simulation.overpotential import (
    charge_transfer,
    charge_transfer_slope,
    concentration,
    concentration_slope,
)
from drivers.simulation.reach import Electrode, Leak, Reach
from drivers.simulation.shorts import Path, ShortModel, ShortParameters

FloatArray = NDArray[np.float64]

NO_CURRENT_A_PER_M2 = 1e-3
"""What flows below this at a controlled voltage turns no half-cycle: it is what a decay leaves behind."""
STARVED_PART = 1e-5
"""Of the current at a controlled voltage, what goes on once the stripped side has no lithium left."""
_NOW = np.zeros(1)


@dataclass(frozen=True, slots=True)
class CellParameters:
    """What a cell is made of. Resistances and charges are per electrode area."""

    area_m2: float
    bulk_ohm_m2: float
    arcs: tuple[Arc, ...]
    """At least one."""
    bulk_activation_eV: float = 0.0
    diffusion: Diffusion | None = None
    inductance_H: float = 0.0
    reference_K: float = 298.15
    """Temperature at which the resistances hold."""
    temperature_K: float = 298.15
    """Of the cell, as long as nobody sets another."""
    nucleation: float = 0.0
    """Height of the spike at the start of a half-cycle, relative to the cell's resistance."""
    nucleation_C_per_m2: float = 36.0
    nucleation_from_A_per_m2: float = 0.0
    """Current density above which the spike shows, growing with what exceeds it."""
    ageing: AgeingParameters = field(default_factory=AgeingParameters)
    lithium: LithiumParameters = field(default_factory=LithiumParameters)
    short: ShortParameters = field(default_factory=ShortParameters)
    positive: PositiveElectrode | None = None
    """The working electrode of a full or half cell."""
    decomposition: Decomposition | None = None


@dataclass(slots=True)
class CellState:
    """What has happened to a cell."""

    rc_V: FloatArray
    lithium: Lithium
    path: Path
    positive: ElectrodeState | None = None
    time_s: float = 0.0
    driven_C: float = 0.0
    """Charge passed from outside in either direction."""
    passed_C: float = 0.0
    """The ions' part of it."""
    half_cycle_C: float = 0.0
    direction: int = 0
    """Sign of the last current: 1 strips the working electrode, −1 the counter electrode."""

    @property
    def accessible_C(self) -> list[float]:
        """Lithium within reach: working, counter."""
        return self.lithium.accessible_C

    def copy(self) -> CellState:
        """Return one that changes by itself."""
        return CellState(
            self.rc_V,
            self.lithium.copy(),
            self.path.copy(),
            None if self.positive is None else self.positive.copy(),
            self.time_s,
            self.driven_C,
            self.passed_C,
            self.half_cycle_C,
            self.direction,
        )


@dataclass(slots=True)
class _Piece:
    """A stretch of time with one current of ions, from ``state`` on."""

    state: CellState
    driven_A: float
    """Current from outside; an electronic path takes what the ions don't."""
    ions_A: float
    length_s: float
    flat_V: float | None = None
    """E where the path determines it, since there is no lithium left for the ions."""


class Cell:
    """One cell, driven by one current at a time."""

    def __init__(self, parameters: CellParameters) -> None:
        self.parameters = parameters
        self.current_A = 0.0
        area = parameters.area_m2
        self.circuit = Circuit(
            area,
            parameters.bulk_ohm_m2,
            parameters.arcs,
            parameters.diffusion,
            parameters.inductance_H,
            parameters.bulk_activation_eV,
            parameters.reference_K,
        )
        self.resistance_ohm = self.circuit.resistance_ohm
        """Bulk and arcs of the cell as built, at the reference temperature, without activation and ageing."""
        self._ageing = Ageing(parameters.ageing, area)
        self._lithium = LithiumModel(parameters.lithium, area)
        self._shorts = ShortModel(parameters.short, area, self.resistance_ohm)
        self._limiting_V = _limiting_V(parameters.diffusion)
        positive = None if parameters.positive is None else parameters.positive.fresh(area)
        state = CellState(self.circuit.at_rest(), self._lithium.fresh(), self._shorts.fresh(), positive)
        self.temperature_K = parameters.temperature_K
        self.circuit.set_temperature(self.temperature_K)
        self._begin(state)

    @property
    def state(self) -> CellState:
        """What has happened until now."""
        return self._passed(self._pieces[0], self._into_s)

    def set_temperature(self, temperature_K: float) -> None:
        """Bring the cell to a temperature, from now on."""
        state = self.state
        self.temperature_K = temperature_K
        self.circuit.set_temperature(temperature_K)
        self._begin(state)

    def drive(self, current_A: float) -> None:
        """Set the current (0: open circuit). A change of sign begins a half-cycle."""
        if current_A == self.current_A:
            return
        state = self.state
        self._shorts.disturb(state.path)
        self.current_A = current_A
        self._turn(state, int(np.sign(current_A)))
        self._begin(state)

    def control(self, voltage_V: float, seconds: float, limit_A: float) -> float:
        """Set the one current that brings E to ``voltage_V`` in this time, and return that E.

        The potentiostat gives no more than ``limit_A`` either way: then E stays where that current takes it.
        """
        state = self.state
        reach = self._reach(state, seconds)
        leak = self._leak(state, seconds)
        ions_A = self._within_lithium(state, reach.current_at(voltage_V, self.current_A), seconds)
        self.current_A = ions_A + leak.current(voltage_V)[0]
        if abs(self.current_A) > limit_A:
            self.current_A = float(np.copysign(limit_A, self.current_A))
            ions_A = reach.share_of(self.current_A, leak)
            voltage_V = reach.voltage(ions_A)[0]
        if abs(ions_A) > NO_CURRENT_A_PER_M2 * self.parameters.area_m2:
            self._turn(state, int(np.sign(ions_A)))
        self._into_s = 0.0
        length_s = self._shorts.next_event_s(state.path, state.driven_C, self.current_A)
        self._pieces = [_Piece(state, self.current_A, ions_A, max(length_s, seconds))]
        return float(voltage_V)

    def voltages(self, after_s: FloatArray) -> FloatArray:
        """E in V at the ascending times ``after_s`` from now, shape (n,), if the present current goes on."""
        times_s = self._into_s + after_s
        first = self._pieces[0]
        if times_s[-1] <= first.length_s:
            return self._volts(first, times_s)
        self._look_ahead(float(times_s[-1]))
        volts, done, start_s = [], 0, 0.0
        for piece in self._pieces:
            stop = int(np.searchsorted(times_s, start_s + piece.length_s, side="right"))
            if stop > done:
                volts.append(self._volts(piece, times_s[done:stop] - start_s))
            done, start_s = max(stop, done), start_s + piece.length_s
        return np.concatenate(volts)

    def let_pass(self, seconds: float) -> None:
        """Let the present current go on for a time."""
        self._into_s += seconds
        self._look_ahead(self._into_s)
        while self._into_s >= self._pieces[0].length_s and len(self._pieces) > 1:
            self._into_s -= self._pieces.pop(0).length_s

    def advance(self, current_A: float, after_s: FloatArray) -> FloatArray:
        """Drive ``current_A`` until the last of the ascending times ``after_s``; return E at all of them."""
        self.drive(current_A)
        volts = self.voltages(after_s)
        self.let_pass(float(after_s[-1]))
        return volts

    def spectrum(self, frequency_Hz: FloatArray, dc_current_A: float = 0.0) -> NDArray[np.complex128]:
        """Z in Ω in the present state, shape of ``frequency_Hz``; ``dc_current_A`` flows underneath."""
        state, ions_A = self.state, self._pieces[0].ions_A
        flows = abs(dc_current_A) > NO_CURRENT_A_PER_M2 * self.parameters.area_m2
        of_all, of_interface = (float(factor[0]) for factor in self._scales(state, ions_A, _NOW))
        linear_V = self.circuit.voltages(state.rc_V, ions_A, _NOW)[0]
        scale = np.ones(len(Part))
        scale[Part.INTERFACE] = scale[Part.TRANSFER] = of_interface
        scale[Part.TRANSFER] *= charge_transfer_slope(
            of_interface * linear_V[Part.TRANSFER], self.temperature_K
        )
        if self._limiting_V is not None:
            scale[Part.DIFFUSION] = concentration_slope(linear_V[Part.DIFFUSION], self._limiting_V)
        sound = self.circuit.bulk_ohm + self.circuit.impedance(frequency_Hz, scale)
        if flows:
            sound = sound + self._nucleation_ohm(state, ions_A, _NOW)[0]
        sound = sound * of_all + self.circuit.lead_impedance(frequency_Hz)
        if self.parameters.positive is not None and state.positive is not None:
            sound = sound + self.parameters.positive.impedance(state.positive, frequency_Hz)
        path_S = self._shorts.conductance_S(state.path)
        return np.asarray(sound / (1 + path_S * sound))

    def _begin(self, state: CellState) -> None:
        """Go on from ``state`` with the present current."""
        self._into_s = 0.0
        self._pieces = [self._piece(state, self.current_A)]

    def _look_ahead(self, until_s: float) -> None:
        """Make pieces until this time from the first one's start."""
        reached_s = sum(piece.length_s for piece in self._pieces)
        while reached_s < until_s:
            last = self._pieces[-1]
            self._pieces.append(self._piece(self._passed(last, last.length_s), self.current_A))
            reached_s += self._pieces[-1].length_s

    def _piece(self, state: CellState, current_A: float) -> _Piece:
        """Return what follows from ``state`` with this current from outside."""
        shorts = self._shorts
        length_s = shorts.next_event_s(state.path, state.driven_C, current_A)
        leaks = self.parameters.decomposition is not None
        if shorts.is_open(state.path) and not leaks:
            return _Piece(state, current_A, current_A, length_s)
        length_s = min(length_s, shorts.stride_s(state.path, current_A))
        leak = self._leak(state, length_s)
        wanted_A = self._reach(state, length_s).share_of(current_A, leak)
        ions_A = self._within_lithium(state, wanted_A, length_s)
        flat_V = (current_A - ions_A) / leak.path_S if ions_A != wanted_A and leak.path_S else None
        return _Piece(state, current_A, ions_A, length_s, flat_V)

    def _passed(self, piece: _Piece, seconds: float) -> CellState:
        """Return the state after a part of a piece."""
        state, ions_A = piece.state.copy(), piece.ions_A
        if not seconds:
            return state
        state.rc_V = self.circuit.passed(state.rc_V, ions_A, seconds)
        self._lithium.let_pass(state.lithium, ions_A, state.time_s, seconds)
        self._shorts.let_pass(state.path, state.driven_C, piece.driven_A, seconds)
        if self.parameters.positive is not None and state.positive is not None:
            self.parameters.positive.let_pass(state.positive, ions_A, seconds)
        state.time_s += seconds
        state.driven_C += abs(piece.driven_A) * seconds
        state.passed_C += abs(ions_A) * seconds
        state.half_cycle_C += abs(ions_A) * seconds
        return state

    def _turn(self, state: CellState, direction: int) -> None:
        """Begin a half-cycle, unless the present one has this direction (or there is none: 0)."""
        if direction == 0 or direction == state.direction:
            return
        if state.direction:
            self._lithium.turn(state.lithium, state.direction, state.half_cycle_C)
            if self.parameters.positive is not None and state.positive is not None and direction > 0:
                self.parameters.positive.begin_charge(state.positive)
        state.direction, state.half_cycle_C, state.lithium.starved_s = direction, 0.0, 0.0

    def _leak(self, state: CellState, after_s: float) -> Leak:
        """Return what flows beside the ions after a time."""
        path_S = self._shorts.conductance_S(state.path, after_s)
        return Leak(path_S, self.parameters.decomposition, self.parameters.area_m2)

    def _within_lithium(self, state: CellState, ions_A: float, seconds: float) -> float:
        """Return as much of a current as the stripped side has lithium for."""
        left_C = self._lithium.left_C(state.lithium, ions_A)
        if not ions_A or abs(ions_A) * seconds <= left_C:
            return ions_A
        return float(np.copysign(max(left_C / seconds, STARVED_PART * abs(ions_A)), ions_A))

    def _volts(self, piece: _Piece, after_s: FloatArray) -> FloatArray:
        """Return E at times in a piece."""
        if piece.flat_V is not None:
            return np.full(len(after_s), piece.flat_V)
        state, ions_A = piece.state, piece.ions_A
        of_all, of_interface = self._scales(state, ions_A, after_s)
        linear_V = self.circuit.voltages(state.rc_V, ions_A, after_s)
        ohmic_V = ions_A * (self.circuit.bulk_ohm + self._nucleation_ohm(state, ions_A, after_s))
        volts = ohmic_V + linear_V[:, Part.SERIES] + of_interface * linear_V[:, Part.INTERFACE]
        volts += charge_transfer(of_interface * linear_V[:, Part.TRANSFER], self.temperature_K)
        volts += self._concentration(linear_V[:, Part.DIFFUSION])
        volts *= of_all
        if self.parameters.positive is not None and state.positive is not None:
            surface = self.parameters.positive.surface(state.positive, ions_A, after_s)
            volts += self.parameters.positive.open_circuit_V(surface)
        starved_s = self._lithium.starved_s(state.lithium, ions_A, float(after_s[-1]))
        if starved_s > 0:
            volts += self._lithium.runaway_V(after_s - after_s[-1] + starved_s, ions_A)
        return volts

    def _scales(self, state: CellState, ions_A: float, after_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the factors on all resistances and, besides, on the interface's, at times in a piece."""
        age_s = state.time_s + after_s
        of_all = self._ageing.of_all(age_s) * self._warmth(age_s)
        passed_C = state.passed_C + abs(ions_A) * after_s
        of_interface = self._ageing.of_interface(age_s, passed_C)
        of_interface *= 1 + self._lithium.contact_loss(state.lithium, ions_A, after_s)
        return of_all, of_interface

    def _warmth(self, age_s: FloatArray) -> FloatArray | float:
        """Return the factor by which the room's swing changes all resistances."""
        if not self.parameters.ageing.swing_K:
            return 1.0
        kelvin = self.temperature_K + self._ageing.swing_K(age_s)
        return self.circuit.bulk_factor(kelvin) / self.circuit.bulk_factor(self.temperature_K)

    def _nucleation_ohm(self, state: CellState, ions_A: float, after_s: FloatArray) -> FloatArray:
        """Return the resistance that stands for the spike of nucleation: it falls with the charge plated."""
        parameters = self.parameters
        threshold_A = parameters.nucleation_from_A_per_m2 * parameters.area_m2
        if not parameters.nucleation or abs(ions_A) <= threshold_A:
            return np.zeros(len(after_s))
        height_ohm = parameters.nucleation * self.resistance_ohm * (1 - threshold_A / abs(ions_A))
        scale_C = parameters.nucleation_C_per_m2 * parameters.area_m2
        return np.asarray(height_ohm * np.exp((state.half_cycle_C + abs(ions_A) * after_s) / -scale_C))

    def _concentration(self, linear_V: FloatArray) -> FloatArray:
        return linear_V if self._limiting_V is None else concentration(linear_V, self._limiting_V)

    def _reach(self, state: CellState, seconds: float) -> Reach:
        """Return how E after this time depends on the ions' current.

        What changes slowly (nucleation, contact, age) is taken as it is now.
        """
        of_all, of_interface = (float(factor[0]) for factor in self._scales(state, self.current_A, _NOW))
        resistance_ohm, rest_V = self.circuit.line(state.rc_V, seconds)
        scale = np.array([1.0, of_interface, of_interface, 1.0])
        ohmic = self.circuit.bulk_ohm + self._nucleation_ohm(state, self.current_A, _NOW)[0]
        electrode = None
        if self.parameters.positive is not None and state.positive is not None:
            electrode = Electrode.after(self.parameters.positive, state.positive, seconds)
        return Reach(
            ohmic_ohm=float(ohmic),
            part_ohm=(resistance_ohm * scale).tolist(),
            part_V=(rest_V * scale).tolist(),
            factor=of_all,
            temperature_K=self.temperature_K,
            limiting_V=self._limiting_V,
            electrode=electrode,
        )


def _limiting_V(diffusion: Diffusion | None) -> float | None:
    if diffusion is None or diffusion.limiting_A_per_m2 is None:
        return None
    return diffusion.resistance_ohm_m2 * diffusion.limiting_A_per_m2
