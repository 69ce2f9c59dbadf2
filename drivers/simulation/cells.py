"""A cell with a solid electrolyte: one circuit for the response in time and in frequency.

The bulk is a resistor, the interfaces are arcs (chains of RCs), so that the response to a constant current is
known in closed form at any time, and Z(f) follows from the same numbers. A positive current oxidises (strips)
the working electrode, and E = I·R > 0. Around the circuit stands what a lab sees on such cells
(facts/recipes.md): slow activation and loss of contact, a nucleation spike at the start of each half-cycle, a
hard short at a current density, lithium on each side that is lost a little in every cycle, and the run-away
of E when the stripped side has none left. Li | Li is the plain case; a positive electrode with an
open-circuit voltage makes it a full or half cell, a working side without lithium Li | Cu, no need of lithium
at all a blocking cell. The state depends on what has passed alone, never on how the time was cut. No noise
here: that belongs to the instrument.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.simulation.electrode import PositiveElectrode
from protocols.impedance import inductor, rc_chain, zarc_as_rc_chain

FloatArray = NDArray[np.float64]

CURRENT_TOLERANCE = 0.005
"""A set-point this close below a threshold counts as reaching it: instruments keep single precision."""
NO_CURRENT_A_PER_M2 = 1e-3
"""What flows below this at a controlled voltage turns no half-cycle: it is what a decay leaves behind."""
STARVED_PART = 1e-5
"""Of the current at a controlled voltage, what goes on once the stripped side has no lithium left."""
_NOW = np.zeros(1)
BOLTZMANN_EV_PER_K = 8.617333e-5
REFERENCE_K = 298.15
_FAR = 60.0
"""exp of more than this is beyond every voltage range."""


@dataclass(frozen=True, slots=True)
class Arc:
    """One arc of the spectrum: a ZARC (an RC where ``alpha`` is 1)."""

    resistance_ohm_m2: float
    tau_s: float
    alpha: float = 1.0
    interface: bool = True
    """Whether it grows when contact to the lithium is lost (a grain boundary does not)."""


@dataclass(frozen=True, slots=True)
class CellParameters:
    """What a cell is made of. Resistances and charges are per electrode area."""

    area_m2: float
    bulk_ohm_m2: float
    arcs: tuple[Arc, ...]
    """At least one."""
    bulk_activation_eV: float = 0.0
    """Activation energy of the bulk's resistance, which is given at 25 °C."""
    inductance_H: float = 0.0
    activation: float = 0.0
    """The fresh cell's resistance is higher by this part; it decays with the charge passed."""
    activation_C_per_m2: float = 1.8e5
    drift_per_s: float = 0.0
    """Slow relative change of the resistance."""
    contact_loss_m2_per_C: float = 0.0
    """Relative growth of the interface arcs per net charge moved from one side to the other."""
    roughness: float = 0.0
    """Relative amplitude of slow fluctuations of the resistance."""
    roughness_seed: int = 0
    nucleation: float = 0.0
    """Height of the spike at the start of a half-cycle, relative to the cell's resistance."""
    nucleation_C_per_m2: float = 36.0
    short_at_A_per_m2: float | None = None
    """Current density from which a half-cycle ends in a short; None: never."""
    short_after_C_per_m2: float = 0.0
    """Charge passed in the half-cycle when the short comes."""
    short_residual: float = 0.02
    """Resistance of the shorted cell relative to the sound one."""
    short_fall_s: float = 0.1
    working_C_per_m2: float = 7.38e5
    """Lithium on the working side; infinite where it is never the lithium that ends a half-cycle. A side
    without any is a bare collector, which keeps ``loss_C_per_m2`` of the first lithium plated on it."""
    counter_C_per_m2: float = 7.38e5
    loss_C_per_m2: float = 0.0
    """Lithium that a side loses each time its stripping has ended (isolated or consumed)."""
    runaway_V: float = 0.02
    runaway_s: float = 4.0
    """Time constant of the exponential rise once the stripped side has no lithium left."""
    positive: PositiveElectrode | None = None
    """The working electrode of a full or half cell."""


@dataclass(slots=True)
class CellState:
    """What has happened to a cell."""

    rc_V: FloatArray
    accessible_C: list[float]
    """Lithium within reach: working, counter. Below 0: lost from what will be plated next."""
    time_s: float = 0.0
    passed_C: float = 0.0
    """Charge passed in either direction."""
    moved_C: float = 0.0
    """Net charge stripped from the working electrode."""
    half_cycle_C: float = 0.0
    direction: int = 0
    """Sign of the last current: 1 strips the working electrode, −1 the counter electrode."""
    starved_s: float = 0.0
    """Time for which the present half-cycle has stripped a side without lithium."""
    shorted_s: float | None = None
    """Time since the short."""
    charged: float = 0.0
    """Part of the positive electrode's lithium that is out of it, 0 to 1."""
    capacity_C: float = 1.0
    """What the positive electrode still takes."""


@dataclass(frozen=True, slots=True)
class _Fluctuation:
    """Slow fluctuations: a few sines of seeded phases, so that they need no history."""

    omega: FloatArray
    phase: FloatArray

    @classmethod
    def seeded(cls, seed: int) -> _Fluctuation:
        random = np.random.default_rng(seed)
        return cls(2 * np.pi / np.geomspace(30, 900, 6), random.uniform(0, 2 * np.pi, 6))

    def at(self, time_s: FloatArray) -> FloatArray:
        sines = np.sin(time_s[:, np.newaxis] * self.omega + self.phase)
        return np.asarray(sines.sum(axis=1) / np.sqrt(len(self.omega) / 2))


class Cell:
    """One cell, driven by one current at a time."""

    def __init__(self, parameters: CellParameters) -> None:
        self.parameters = parameters
        self.current_A = 0.0
        self.temperature_K = REFERENCE_K
        chains = [zarc_as_rc_chain(arc.resistance_ohm_m2, arc.tau_s, arc.alpha) for arc in parameters.arcs]
        area = parameters.area_m2
        self._bulk_ohm = parameters.bulk_ohm_m2 / area
        self._rc_ohm = np.concatenate([resistance for resistance, _ in chains]) / area
        self._tau_s = np.concatenate([tau for _, tau in chains])
        grows = [float(arc.interface) for arc in parameters.arcs]
        self._grows = np.repeat(grows, [len(tau) for _, tau in chains])
        self.resistance_ohm = self._bulk_ohm + float(self._rc_ohm.sum())
        """Bulk and arcs of the cell as built, without activation and ageing."""
        self._fluctuation = _Fluctuation.seeded(parameters.roughness_seed)
        self._last_decay = 0.0, np.ones(len(self._tau_s))
        lithium = (parameters.working_C_per_m2, parameters.counter_C_per_m2)
        self.state = CellState(
            rc_V=np.zeros(len(self._tau_s)),
            accessible_C=[(on_side or -parameters.loss_C_per_m2) * area for on_side in lithium],
        )
        if parameters.positive is not None:
            self.state.charged = parameters.positive.charged
            self.state.capacity_C = parameters.positive.capacity_C_per_m2 * area

    def set_temperature(self, kelvin: float) -> None:
        """Give the cell another temperature, constant until the next call."""
        self.temperature_K = kelvin
        inverse_kT = (1 / kelvin - 1 / REFERENCE_K) / BOLTZMANN_EV_PER_K
        factor = np.exp(self.parameters.bulk_activation_eV * inverse_kT)
        self._bulk_ohm = self.parameters.bulk_ohm_m2 / self.parameters.area_m2 * float(factor)

    def drive(self, current_A: float) -> None:
        """Set the current (0: open circuit). A change of sign begins a half-cycle."""
        self.current_A = current_A
        self._turn(int(np.sign(current_A)))

    def control(self, voltage_V: float, seconds: float, limit_A: float) -> float:
        """Set the one current that brings E to ``voltage_V`` in this time, and return that E.

        The potentiostat gives no more than ``limit_A`` either way: then E stays where that current takes it.
        """
        series_ohm, rest_V, charge_per_A = self._line(seconds)
        wanted_A = self._current_at(voltage_V, series_ohm, rest_V, charge_per_A)
        self.current_A = self._within_lithium(wanted_A, seconds)
        if abs(self.current_A) > limit_A:
            self.current_A = float(np.copysign(limit_A, self.current_A))
            voltage_V = series_ohm * self.current_A + rest_V
            voltage_V += float(self._open_circuit_V(self.state.charged + self.current_A * charge_per_A))
        if abs(self.current_A) > NO_CURRENT_A_PER_M2 * self.parameters.area_m2:
            self._turn(int(np.sign(self.current_A)))
        return float(voltage_V)

    def voltages(self, after_s: FloatArray) -> FloatArray:
        """E in V at the ascending times ``after_s`` from now, shape (n,), if the present current goes on."""
        sound = self._sound_voltages(after_s)
        short_s = self._seconds_to_short()
        if short_s is None or after_s[-1] <= short_s:
            return sound
        sound_part = self._sound_part(after_s - short_s)
        return sound * sound_part + (1 - sound_part) * (self.current_A * self._shorted_ohm)

    def let_pass(self, seconds: float) -> None:
        """Let the present current go on for a time."""
        state, current_A = self.state, self.current_A
        steady_V = current_A * self._rc_ohm
        state.rc_V = steady_V + (state.rc_V - steady_V) * self._decay(seconds)
        state.time_s += seconds
        ionic_s = self._move_short(seconds)
        charge_C = current_A * ionic_s
        if charge_C:
            self._move_lithium(charge_C, ionic_s)
            if self.parameters.positive is not None:
                state.charged += charge_C / state.capacity_C
        state.passed_C += abs(charge_C)
        state.moved_C += charge_C
        state.half_cycle_C += abs(charge_C)

    def advance(self, current_A: float, after_s: FloatArray) -> FloatArray:
        """Drive ``current_A`` until the last of the ascending times ``after_s``; return E at all of them."""
        self.drive(current_A)
        volts = self.voltages(after_s)
        self.let_pass(float(after_s[-1]))
        return volts

    def spectrum(self, frequency_Hz: FloatArray, dc_current_A: float = 0.0) -> NDArray[np.complex128]:
        """Z in Ω in the present state, shape of ``frequency_Hz``; ``dc_current_A`` flows underneath."""
        growth = 1 + self._contact_loss(_NOW)[0] * self._grows
        sound = rc_chain(frequency_Hz, self._rc_ohm * growth, self._tau_s) + self._bulk_ohm
        if abs(dc_current_A) > NO_CURRENT_A_PER_M2 * self.parameters.area_m2:
            sound = sound + self._nucleation_ohm(_NOW)[0]
        sound = sound * self._ageing(_NOW)[0] + inductor(frequency_Hz, self.parameters.inductance_H)
        if self.parameters.positive is not None:
            slope_V = self.parameters.positive.slope_at(self.state.charged)
            sound = sound + slope_V / (2j * np.pi * frequency_Hz * self.state.capacity_C)
        if self.state.shorted_s is None:
            return np.asarray(sound)
        sound_part = self._sound_part(np.array([self.state.shorted_s]))[0]
        return np.asarray(sound * sound_part + (1 - sound_part) * self._shorted_ohm)

    def _turn(self, direction: int) -> None:
        """Begin a half-cycle, unless the present one has this direction (or there is none: 0)."""
        state, parameters = self.state, self.parameters
        if direction == 0 or direction == state.direction:
            return
        if state.direction:
            stripped = _stripped_side(state.direction)
            state.accessible_C[stripped] -= parameters.loss_C_per_m2 * parameters.area_m2
            if parameters.positive is not None and direction > 0:
                state.capacity_C *= 1 - parameters.positive.fade
        state.direction, state.half_cycle_C, state.starved_s = direction, 0.0, 0.0

    def _decay(self, seconds: float) -> FloatArray:
        """Return what is left of each arc's voltage; a controlled voltage asks twice for every interval."""
        if seconds != self._last_decay[0]:
            self._last_decay = seconds, np.exp(seconds / -self._tau_s)
        return self._last_decay[1]

    def _line(self, seconds: float) -> tuple[float, float, float]:
        """Return R, V and κ of E(I) = R·I + V + U(charged + κ·I), after a current I for this time.

        What changes slowly (nucleation, contact, age) is taken as it is now.
        """
        decay = self._decay(seconds)
        growth = 1 + self._contact_loss(_NOW)[0] * self._grows
        ageing = self._ageing(_NOW)[0]
        arcs_ohm = (self._rc_ohm * (1 - decay)) @ growth
        series_ohm = ageing * (self._bulk_ohm + self._nucleation_ohm(_NOW)[0] + arcs_ohm)
        rest_V = ageing * ((self.state.rc_V * decay) @ growth)
        if self.state.shorted_s is None:
            return float(series_ohm), float(rest_V), seconds / self.state.capacity_C
        sound = self._sound_part(np.array([self.state.shorted_s + seconds]))[0]
        series_ohm = sound * series_ohm + (1 - sound) * self._shorted_ohm
        # All of the open-circuit voltage falls off with the sound part; the line holds it once already.
        open_V = self._open_circuit_V(self.state.charged)
        return float(series_ohm), float(sound * (rest_V + open_V) - open_V), 0.0

    def _current_at(self, voltage_V: float, series_ohm: float, rest_V: float, charge_per_A: float) -> float:
        """Solve that line for I."""
        if self.parameters.positive is None:
            return (voltage_V - rest_V) / series_ohm
        return self.parameters.positive.solve(
            voltage_V - rest_V, series_ohm, self.state.charged, charge_per_A, self.current_A
        )

    def _within_lithium(self, current_A: float, seconds: float) -> float:
        """Return as much of a current as the stripped side has lithium for."""
        if not current_A:
            return current_A
        left_C = max(self.state.accessible_C[_stripped_side(int(np.sign(current_A)))], 0.0)
        if abs(current_A) * seconds <= left_C:
            return current_A
        return float(np.copysign(max(left_C / seconds, STARVED_PART * abs(current_A)), current_A))

    def _open_circuit_V(self, charged: FloatArray | float) -> FloatArray | float:
        positive = self.parameters.positive
        return 0.0 if positive is None else positive.open_circuit_V(charged)

    def _sound_voltages(self, after_s: FloatArray) -> FloatArray:
        steady_V = self.current_A * self._rc_ohm
        decay = np.exp(after_s[:, np.newaxis] / -self._tau_s)
        rc_V = steady_V + (self.state.rc_V - steady_V) * decay
        ohmic_V = self.current_A * (self._bulk_ohm + self._nucleation_ohm(after_s))
        arcs_V = rc_V.sum(axis=1) + self._contact_loss(after_s) * (rc_V @ self._grows)
        volts = (ohmic_V + arcs_V) * self._ageing(after_s)
        if self.parameters.positive is not None:
            charged = self.state.charged + self.current_A * after_s / self.state.capacity_C
            volts += self._open_circuit_V(charged)
        starved_s = self._starved(float(after_s[-1]))
        if starved_s > 0:
            volts += self._runaway(after_s - after_s[-1] + starved_s)
        return np.asarray(volts)

    def _nucleation_ohm(self, after_s: FloatArray) -> FloatArray:
        parameters, state = self.parameters, self.state
        scale_C = parameters.nucleation_C_per_m2 * parameters.area_m2
        charge_C = state.half_cycle_C + abs(self.current_A) * after_s
        return parameters.nucleation * self.resistance_ohm * np.exp(charge_C / -scale_C)

    def _contact_loss(self, after_s: FloatArray) -> FloatArray:
        per_C = self.parameters.contact_loss_m2_per_C / self.parameters.area_m2
        return np.asarray(per_C * np.abs(self.state.moved_C + self.current_A * after_s))

    def _ageing(self, after_s: FloatArray) -> FloatArray:
        """Return the factor of activation, drift and fluctuation on all resistances."""
        parameters, state = self.parameters, self.state
        passed_C = state.passed_C + abs(self.current_A) * after_s
        time_s = state.time_s + after_s
        fresh = np.exp(passed_C / (-parameters.activation_C_per_m2 * parameters.area_m2))
        factor = 1 + parameters.activation * fresh + parameters.drift_per_s * time_s
        if parameters.roughness:
            factor = factor * (1 + parameters.roughness * self._fluctuation.at(time_s))
        return np.asarray(factor)

    @property
    def _shorted_ohm(self) -> float:
        return self.parameters.short_residual * self.resistance_ohm

    def _sound_part(self, since_short_s: FloatArray) -> FloatArray:
        return np.exp(np.maximum(since_short_s, 0.0) / -self.parameters.short_fall_s)

    def _seconds_to_short(self) -> float | None:
        """Time until the short if the present current goes on; ≤ 0: it is there; None: it does not come."""
        parameters, state = self.parameters, self.state
        if state.shorted_s is not None:
            return -state.shorted_s
        threshold = parameters.short_at_A_per_m2
        density = abs(self.current_A) / parameters.area_m2
        if threshold is None or not density or density < threshold * (1 - CURRENT_TOLERANCE):
            return None
        left_C = parameters.short_after_C_per_m2 * parameters.area_m2 - state.half_cycle_C
        return max(left_C / abs(self.current_A), 0.0)

    def _move_short(self, seconds: float) -> float:
        """Let the short come or grow older; return for how long ions carried the current."""
        short_s = self._seconds_to_short()
        if short_s is None or short_s > seconds:
            return seconds
        self.state.shorted_s = seconds - short_s
        return max(short_s, 0.0)

    def _move_lithium(self, charge_C: float, seconds: float) -> None:
        state = self.state
        stripped = _stripped_side(int(np.sign(charge_C)))
        state.starved_s = max(self._starved(seconds), 0.0)
        left_C = state.accessible_C[stripped]
        state.accessible_C[stripped] = max(left_C - abs(charge_C), min(left_C, 0.0))
        state.accessible_C[1 - stripped] += abs(charge_C)

    def _starved(self, after_s: float) -> float:
        """Return for how long the stripped side will have been without lithium; ≤ 0 means not yet."""
        if not self.current_A:
            return 0.0
        left_C = max(self.state.accessible_C[_stripped_side(int(np.sign(self.current_A)))], 0.0)
        return self.state.starved_s + after_s - left_C / abs(self.current_A)

    def _runaway(self, starved_s: FloatArray) -> FloatArray:
        parameters = self.parameters
        exponent = np.clip(starved_s / parameters.runaway_s, 0.0, _FAR)
        return np.asarray(np.sign(self.current_A) * parameters.runaway_V * np.expm1(exponent))


def _stripped_side(direction: int) -> int:
    return 0 if direction > 0 else 1
