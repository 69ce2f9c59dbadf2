"""What a channel can do, as far as it is known without touching it, so that ``plan`` works offline."""

from __future__ import annotations

from typing import Literal

from protocols.frozen import Frozen

Quantity = Literal["voltage", "current", "charge", "time", "end_current"]
"""``end_current``: the end of a step at constant voltage when the current has fallen."""
StepKind = Literal["rest", "constant_current", "constant_voltage", "voltage_sweep", "geis", "peis"]
HostLoss = Literal["keeps running with its limits", "stops", "stays on"]


class Capabilities(Frozen):
    """The declared abilities of one channel, in SI."""

    model: str
    """Name of the instrument class, for people."""
    current_max_A: float
    current_min_A: float | None = None
    """Most negative current; None: as large as ``current_max_A``. 0: it can only push."""
    voltage_min_V: float
    """Lowest voltage the channel can measure and bear."""
    voltage_max_V: float
    current_ranges_A: tuple[float, ...] = ()
    """Full scales, ascending; empty: one range."""
    current_accuracy: float = 1e-3
    """Error of a current, as a part of its range."""
    voltage_accuracy_V: float = 1e-3
    step_kinds: tuple[StepKind, ...] = ("rest", "constant_current")
    """What it runs by itself."""
    steps_max: int | None = None
    """Most steps of one program, where the instrument can't be given more later."""
    step_max_s: float | None = None
    """Longest step."""
    frequency_min_Hz: float | None = None
    """None: no impedance."""
    frequency_max_Hz: float | None = None
    eis_amplitude_fraction: float = 0.5
    """Largest peak amplitude of a galvanostatic spectrum as a fraction of the current range."""
    temperature_min_K: float | None = None
    """Of the station's chamber; None: there is none."""
    temperature_max_K: float | None = None
    sample_interval_min_s: float = 1.0
    on_board: dict[str, tuple[Quantity, ...]] = {}
    """Kind of step (``constant_current``, ``geis``, ``rest``) → limits that the instrument itself holds."""
    charge_counter: bool = False
    """Whether the instrument itself ends a step by charge."""
    opposite_voltage_on_board: bool = True
    """Whether a step that ends by a voltage also holds the opposite voltage limit on board."""
    at_host_loss: HostLoss = "stays on"
    open_circuit: bool = True
    """Whether it can open the circuit (and not only hold 0 A)."""
    notes: tuple[str, ...] = ()
    """Anything a user has to know, a sentence each."""

    def with_chamber(self, lowest_K: float, highest_K: float) -> Capabilities:
        """Return the abilities of a station that has a chamber besides."""
        return self.model_copy(update={"temperature_min_K": lowest_K, "temperature_max_K": highest_K})

    @property
    def lowest_current_A(self) -> float:
        """Most negative current that it can drive."""
        return -self.current_max_A if self.current_min_A is None else self.current_min_A
