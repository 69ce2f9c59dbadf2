"""What a simulated channel understands of the vendor's technique files, and the phases they stand for.

Labels, types and meaning: EC-Lab Development Package, User's Guide 6.11, §7 (300 series).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import PureWindowsPath

import numpy as np

from drivers.biologic.constants import (
    I_RANGE_FULL_SCALE_A,
    TICKS_MAX,
    TIMEBASE_MIN_S,
    ERange,
    ErrorCode,
    ExitCondition,
    IRange,
    ParamType,
    TechniqueId,
)
from drivers.simulation.phases import FloatArray, LimitTest, Phase, Potential, Scan, Steady, Sweep
from protocols.errors import InstrumentError

Value = float | int | bool

_INT, _BOOL, _SINGLE = ParamType.INTEGER, ParamType.BOOLEAN, ParamType.SINGLE
_HARDWARE = {"I_Range": _INT, "E_Range": _INT, "Bandwidth": _INT, "tb": _SINGLE}
_RECORD_E = {"Record_every_dT": _SINGLE, "Record_every_dE": _SINGLE}
_RECORD_I = {"Record_every_dT": _SINGLE, "Record_every_dI": _SINGLE}
_STEPS = {"vs_initial": _BOOL, "Duration_step": _SINGLE, "Step_number": _INT, "N_Cycles": _INT}
_CP = _HARDWARE | _RECORD_E | _STEPS | {"Current_step": _SINGLE}
_CA = _HARDWARE | _RECORD_I | _STEPS | {"Voltage_step": _SINGLE}
_VSCAN = _HARDWARE | {
    "Voltage_step": _SINGLE,
    "vs_initial": _BOOL,
    "Scan_Rate": _SINGLE,
    "Scan_number": _INT,
    "Record_every_dE": _SINGLE,
    "N_Cycles": _INT,
    "Begin_measuring_I": _SINGLE,
    "End_measuring_I": _SINGLE,
}
_EIS = _HARDWARE | {
    "vs_initial": _BOOL,
    "vs_final": _BOOL,
    "Duration_step": _SINGLE,
    "Step_number": _INT,
    "Final_frequency": _SINGLE,
    "Initial_frequency": _SINGLE,
    "sweep": _BOOL,
    "Frequency_number": _INT,
    "Average_N_times": _INT,
    "Correction": _BOOL,
    "Wait_for_steady": _SINGLE,
}
_GEIS = _RECORD_E | dict.fromkeys(
    ("Initial_Current_step", "Final_Current_step", "Amplitude_Current"), _SINGLE
)
_PEIS = _RECORD_I | dict.fromkeys(
    ("Initial_Voltage_step", "Final_Voltage_step", "Amplitude_Voltage"), _SINGLE
)
_TESTS = {f"Test{n}_Config": _INT for n in (1, 2, 3)} | {f"Test{n}_Value": _SINGLE for n in (1, 2, 3)}
_LIMITS = _TESTS | {"Exit_Cond": _INT}
LABELS: Mapping[TechniqueId, Mapping[str, ParamType]] = {
    TechniqueId.OCV: _HARDWARE | _RECORD_E | {"Rest_time_T": _SINGLE},
    TechniqueId.CP: _CP,
    TechniqueId.CPLIMIT: _CP | _LIMITS,
    TechniqueId.CA: _CA,
    TechniqueId.CALIMIT: _CA | _LIMITS,
    TechniqueId.VSCAN: _VSCAN,
    TechniqueId.VSCANLIMIT: _VSCAN | _LIMITS,
    TechniqueId.GEIS: _EIS | _GEIS,
    TechniqueId.PEIS: _EIS | _PEIS,
    TechniqueId.LOOP: {"loop_N_times": _INT, "protocol_number": _INT},
}
"""Technique → label → type."""

_FILES = {identity.name.lower(): identity for identity in LABELS}
_SUFFIX = "4"
"""Of the files for the boards of the 300 series."""
_STEPS_MAX = {
    TechniqueId.CP: 100,
    TechniqueId.CPLIMIT: 20,
    TechniqueId.CA: 100,
    TechniqueId.CALIMIT: 20,
    TechniqueId.VSCAN: 100,
    TechniqueId.VSCANLIMIT: 20,
}
"""Steps, or vertices of a scan."""
_SCANS = (TechniqueId.VSCAN, TechniqueId.VSCANLIMIT)
_OF_VOLTAGE = (TechniqueId.CA, TechniqueId.CALIMIT, *_SCANS, TechniqueId.PEIS)
_AMPLITUDE_MAX = 0.5
_PARAMETER = struct.Struct("<64siIi")


class RefusedError(InstrumentError):
    """The instrument refuses a command."""

    def __init__(self, code: ErrorCode, reason: str, payload: bytes = b"") -> None:
        super().__init__(f"simulated instrument: {reason} ({code.name}, {int(code)})")
        self.code = code
        self.payload = payload
        """What the reply holds all the same."""


class Technique:
    """One loaded technique."""

    def __init__(self, identity: TechniqueId, values: Mapping[str, Mapping[int, Value]]) -> None:
        self.id = identity
        self._values = values
        self.time_base_s = self.number("tb") or TIMEBASE_MIN_S[identity]
        self.e_range = ERange(self.integer("E_Range", default=ERange.E_5V))
        self.i_range = IRange(self.integer("I_Range", default=IRange.I_10MA))
        _check(self)

    @classmethod
    def parse(cls, file: str, parameters: bytes) -> Technique:
        """Read a technique from its file's name and TEccParam records. Raises RefusedError."""
        identity = _identify(file)
        labels = LABELS[identity]
        values: dict[str, dict[int, Value]] = {}
        for raw_label, kind, word, index in _PARAMETER.iter_unpack(parameters):
            label = raw_label.partition(b"\0")[0].decode("latin-1")
            if labels.get(label) != kind:
                raise RefusedError(
                    ErrorCode.GEN_INVALIDPARAMETERS, f"{identity.name} knows no {label!r} of type {kind}"
                )
            values.setdefault(label, {})[index] = _value(kind, word)
        try:
            return cls(identity, values)
        except ValueError as error:
            raise RefusedError(ErrorCode.GEN_INVALIDPARAMETERS, f"{identity.name}: {error}") from error

    def number(self, label: str, index: int = 0, default: float = 0.0) -> float:
        """Return a parameter, ``default`` if it was not given."""
        return float(self._values.get(label, {}).get(index, default))

    def integer(self, label: str, index: int = 0, default: int = 0) -> int:
        """Return a whole-numbered parameter."""
        return int(self._values.get(label, {}).get(index, default))

    def count(self, label: str) -> int:
        """Return how many elements of a parameter were given."""
        return len(self._values.get(label, {}))

    def phases(self, previous_A: float, initial_V: float) -> Iterator[Phase]:
        """Yield what the technique does, in order.

        ``previous_A`` is the last controlled current, ``initial_V`` the voltage at the technique's start.
        """
        if self.id == TechniqueId.OCV:
            yield self._steady(None, self.number("Rest_time_T"))
        elif self.id == TechniqueId.GEIS:
            yield from self._galvanostatic_spectrum(previous_A)
        elif self.id == TechniqueId.PEIS:
            yield from self._potentiostatic_spectrum(initial_V)
        elif self.id in _SCANS:
            yield from self._scans(initial_V)
        elif self.id in _OF_VOLTAGE:
            yield from self._voltage_steps(initial_V)
        else:
            yield from self._current_steps(previous_A)

    def legs(self) -> range:
        """Return the indices of the vertices to which a scan's legs lead. Scan_number is legs − 1."""
        return range(1, self.integer("Scan_number") + 2)

    def vertex_V(self, index: int, initial_V: float) -> float:
        """Return the voltage of a step or a vertex."""
        return self.number("Voltage_step", index) + initial_V * self.integer("vs_initial", index)

    def _current_steps(self, previous_A: float) -> Iterator[Phase]:
        for cycle in range(self.integer("N_Cycles") + 1):
            for step in range(self.integer("Step_number") + 1):
                previous_A = self.number("Current_step", step) + previous_A * self.integer("vs_initial", step)
                yield self._steady(previous_A, self.number("Duration_step", step), step, cycle)

    def _voltage_steps(self, initial_V: float) -> Iterator[Phase]:
        for cycle in range(self.integer("N_Cycles") + 1):
            for step in range(self.integer("Step_number") + 1):
                voltage_V = self.vertex_V(step, initial_V)
                yield self._potential(voltage_V, self.number("Duration_step", step), step, cycle)

    def _scans(self, initial_V: float) -> Iterator[Phase]:
        for cycle in range(self.integer("N_Cycles") + 1):
            for vertex in self.legs():
                start_V, end_V = self.vertex_V(vertex - 1, initial_V), self.vertex_V(vertex, initial_V)
                if start_V != end_V:
                    yield self._scan(start_V, end_V, vertex, cycle)

    def _steady(self, current_A: float | None, duration_s: float, step: int = 0, cycle: int = 0) -> Steady:
        return Steady(
            current_A=current_A,
            duration_s=duration_s,
            record_dT_s=self.number("Record_every_dT"),
            record_dE_V=self.number("Record_every_dE"),
            tests=self.limit_tests(step),
            exit_condition=ExitCondition(self.integer("Exit_Cond", step)),
            cycle=cycle,
        )

    def _potential(self, voltage_V: float, duration_s: float, step: int = 0, cycle: int = 0) -> Potential:
        return Potential(
            voltage_V=voltage_V,
            duration_s=duration_s,
            record_dT_s=self.number("Record_every_dT"),
            record_dI_A=self.number("Record_every_dI"),
            tests=self.limit_tests(step),
            exit_condition=ExitCondition(self.integer("Exit_Cond", step)),
            cycle=cycle,
        )

    def _scan(self, start_V: float, end_V: float, vertex: int, cycle: int) -> Scan:
        return Scan(
            start_V=start_V,
            end_V=end_V,
            rate_V_per_s=self.number("Scan_Rate", vertex),
            record_dE_V=self.number("Record_every_dE"),
            measuring=(self.number("Begin_measuring_I"), self.number("End_measuring_I", default=1.0)),
            tests=self.limit_tests(vertex),
            exit_condition=ExitCondition(self.integer("Exit_Cond", vertex)),
            cycle=cycle,
        )

    def limit_tests(self, step: int) -> tuple[LimitTest, ...]:
        """Return the active tests of a step; a test counts only if the ones before it are active."""
        tests: list[LimitTest] = []
        for n in (1, 2, 3):
            config = self.integer(f"Test{n}_Config", step)
            test = LimitTest.from_word(config, self.number(f"Test{n}_Value", step))
            if test is None:
                break
            tests.append(test)
        return tuple(tests)

    def _galvanostatic_spectrum(self, previous_A: float) -> Iterator[Phase]:
        current_A = self.number("Initial_Current_step") + previous_A * self.integer("vs_initial")
        if self.number("Duration_step") > 0:
            yield self._steady(current_A, self.number("Duration_step"))
        yield Sweep(current_A, self.number("Amplitude_Current"), *self._points())

    def _potentiostatic_spectrum(self, initial_V: float) -> Iterator[Phase]:
        voltage_V = self.number("Initial_Voltage_step") + initial_V * self.integer("vs_initial")
        if self.number("Duration_step") > 0:
            yield self._potential(voltage_V, self.number("Duration_step"))
        yield Sweep(voltage_V, self.number("Amplitude_Voltage"), *self._points(), of_voltage=True)

    def _points(self) -> tuple[FloatArray, FloatArray]:
        """Return the frequencies of a spectrum and when each is done."""
        space = np.linspace if self.integer("sweep") else np.geomspace
        start_Hz, end_Hz = self.number("Initial_frequency"), self.number("Final_frequency")
        frequency_Hz = np.asarray(space(start_Hz, end_Hz, self.integer("Frequency_number")))
        periods = max(self.integer("Average_N_times"), 1) + self.number("Wait_for_steady")
        return frequency_Hz, np.cumsum(periods / frequency_Hz)


def _value(kind: int, word: int) -> Value:
    if kind == ParamType.SINGLE:
        (single,) = struct.unpack("<f", struct.pack("<I", word))
        return float(single)
    (whole,) = struct.unpack("<i", struct.pack("<I", word))
    return int(whole)


def _identify(file: str) -> TechniqueId:
    """Return the technique of a file's name; a path may be Windows' or POSIX'."""
    name = PureWindowsPath(file).name.lower()
    stem, _, extension = name.rpartition(".")
    if extension == "ecc" and stem in _FILES:
        raise RefusedError(ErrorCode.TECH_INCOMPATIBLEECC, f"{name} is not for a 300-series board")
    identity = _FILES.get(stem.removesuffix(_SUFFIX))
    if extension != "ecc" or identity is None:
        raise RefusedError(ErrorCode.TECH_ECCFILENOTEXISTS, f"there is no technique file {file!r}")
    return identity


def _check(technique: Technique) -> None:
    """Raise ValueError for values that the real instrument could not carry out."""
    identity = technique.id
    _check_current_range(technique)
    last = technique.legs()[-1] if identity in _SCANS else technique.integer("Step_number")
    steps = range(last + 1)
    if len(steps) > _STEPS_MAX.get(identity, 1):
        raise ValueError(f"{len(steps)} steps are too many")
    durations = [technique.number("Rest_time_T"), *(technique.number("Duration_step", n) for n in steps)]
    if not all(0 <= duration <= technique.time_base_s * TICKS_MAX for duration in durations):
        raise ValueError("a step is longer than the time base can count, or negative")
    if identity in (TechniqueId.CA, TechniqueId.CALIMIT) and not all(durations[1:]):
        raise ValueError("a step of controlled voltage needs a Duration_step above 0")
    if identity in (TechniqueId.GEIS, TechniqueId.PEIS):
        _check_spectrum(technique)
    if identity in _SCANS:
        _check_scan(technique)
    for step in steps:
        technique.limit_tests(step)
        ExitCondition(technique.integer("Exit_Cond", step))


def _check_current_range(technique: Technique) -> None:
    """Only where the voltage is controlled can the instrument choose the range."""
    if technique.id in (TechniqueId.OCV, TechniqueId.LOOP) or technique.i_range in I_RANGE_FULL_SCALE_A:
        return
    if technique.id not in _OF_VOLTAGE or technique.i_range != IRange.AUTO:
        raise ValueError(f"{technique.id.name} cannot use the current range {technique.i_range.name}")


def _check_scan(technique: Technique) -> None:
    vertices = technique.count("Voltage_step")
    if not technique.legs() or vertices != technique.legs()[-1] + 1:
        raise ValueError(f"{vertices} vertices do not make Scan_number + 1 legs")
    if min(technique.number("Scan_Rate", vertex) for vertex in technique.legs()) <= 0:
        raise ValueError("a scan needs a rate above 0 towards each vertex but the first")
    if technique.number("Record_every_dE") <= 0:
        raise ValueError("a scan needs a Record_every_dE above 0")
    begin, end = technique.number("Begin_measuring_I"), technique.number("End_measuring_I", default=1.0)
    if not 0 <= begin < end <= 1:
        raise ValueError(f"the current cannot be averaged from {begin} to {end} of a step")


def _check_spectrum(technique: Technique) -> None:
    frequencies = [technique.number("Initial_frequency"), technique.number("Final_frequency")]
    if min(frequencies) <= 0 or technique.integer("Frequency_number") < 1:
        raise ValueError("a spectrum needs frequencies above 0 and at least one point")
    if technique.id == TechniqueId.PEIS:
        if technique.number("Amplitude_Voltage") <= 0:
            raise ValueError("the amplitude must be above 0 V")
        return
    amplitude_A = technique.number("Amplitude_Current")
    # Single precision: exactly half of the range is allowed.
    if not 0 < amplitude_A <= _AMPLITUDE_MAX * I_RANGE_FULL_SCALE_A[technique.i_range] * (1 + 1e-6):
        raise ValueError(f"the amplitude {amplitude_A} A must lie between 0 and half of the current range")
