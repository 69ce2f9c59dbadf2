"""What a simulated channel understands of the vendor's technique files, and the phases they stand for.

Labels, types and meaning: EC-Lab Development Package, User's Guide 6.11, §7 (300 series).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PureWindowsPath

import numpy as np
from numpy.typing import NDArray

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
from protocols.errors import InstrumentError

FloatArray = NDArray[np.float64]
Value = float | int | bool

_INT, _BOOL, _SINGLE = ParamType.INTEGER, ParamType.BOOLEAN, ParamType.SINGLE
_HARDWARE = {"I_Range": _INT, "E_Range": _INT, "Bandwidth": _INT, "tb": _SINGLE}
_RECORD = {"Record_every_dT": _SINGLE, "Record_every_dE": _SINGLE}
_CP = _RECORD | {
    "Current_step": _SINGLE,
    "vs_initial": _BOOL,
    "Duration_step": _SINGLE,
    "Step_number": _INT,
    "N_Cycles": _INT,
}
_TESTS = {f"Test{n}_Config": _INT for n in (1, 2, 3)} | {f"Test{n}_Value": _SINGLE for n in (1, 2, 3)}
LABELS: Mapping[TechniqueId, Mapping[str, ParamType]] = {
    TechniqueId.OCV: _HARDWARE | _RECORD | {"Rest_time_T": _SINGLE},
    TechniqueId.CP: _HARDWARE | _CP,
    TechniqueId.CPLIMIT: _HARDWARE | _CP | _TESTS | {"Exit_Cond": _INT},
    TechniqueId.GEIS: _HARDWARE
    | _RECORD
    | {
        "vs_initial": _BOOL,
        "vs_final": _BOOL,
        "Initial_Current_step": _SINGLE,
        "Final_Current_step": _SINGLE,
        "Duration_step": _SINGLE,
        "Step_number": _INT,
        "Final_frequency": _SINGLE,
        "Initial_frequency": _SINGLE,
        "sweep": _BOOL,
        "Amplitude_Current": _SINGLE,
        "Frequency_number": _INT,
        "Average_N_times": _INT,
        "Correction": _BOOL,
        "Wait_for_steady": _SINGLE,
    },
    TechniqueId.LOOP: {"loop_N_times": _INT, "protocol_number": _INT},
}
"""Technique → label → type."""

_FILES = {
    "ocv": TechniqueId.OCV,
    "cp": TechniqueId.CP,
    "cplimit": TechniqueId.CPLIMIT,
    "geis": TechniqueId.GEIS,
    "loop": TechniqueId.LOOP,
}
_SUFFIX = "4"
"""Of the files for the boards of the 300 series."""
_STEPS_MAX = {TechniqueId.CP: 100, TechniqueId.CPLIMIT: 20}
_AMPLITUDE_MAX = 0.5
_TEST_OF_E, _TEST_OF_I = 0, 3
_PARAMETER = struct.Struct("<64siIi")


class RefusedError(InstrumentError):
    """The instrument refuses a command."""

    def __init__(self, code: ErrorCode, reason: str, payload: bytes = b"") -> None:
        super().__init__(f"simulated instrument: {reason} ({code.name}, {int(code)})")
        self.code = code
        self.payload = payload
        """What the reply holds all the same."""


@dataclass(frozen=True, slots=True)
class LimitTest:
    """One comparison of a CPLIMIT step."""

    on_voltage: bool
    above: bool
    and_next: bool
    value: float

    @classmethod
    def from_word(cls, config: int, value: float) -> LimitTest | None:
        """Decode Test*_Config (bits 0, 1, 2…4, 5…31); None if the test is inactive."""
        if not config & 1:
            return None
        variable = config >> 5
        if variable not in (_TEST_OF_E, _TEST_OF_I):
            raise RefusedError(ErrorCode.GEN_INVALIDPARAMETERS, f"no input for test variable {variable}")
        return cls(variable == _TEST_OF_E, bool(config >> 2 & 1), bool(config >> 1 & 1), value)

    def holds(self, volts: FloatArray, current_A: float) -> NDArray[np.bool_]:
        """Return where the comparison is true, shape of ``volts``."""
        compared = volts if self.on_voltage else np.full(len(volts), current_A)
        return compared >= self.value if self.above else compared <= self.value


def tripped(tests: Sequence[LimitTest], volts: FloatArray, current_A: float) -> NDArray[np.bool_]:
    """Return where ((T1 op T2) op T3) is true; the operators are those of T1 and T2."""
    result = tests[0].holds(volts, current_A)
    for before, test in pairwise(tests):
        holds = test.holds(volts, current_A)
        result = result & holds if before.and_next else result | holds
    return result


@dataclass(frozen=True, slots=True)
class Steady:
    """Open circuit (``current_A`` None) or a constant current."""

    current_A: float | None
    duration_s: float
    record_dT_s: float
    record_dE_V: float
    tests: tuple[LimitTest, ...] = ()
    exit_condition: ExitCondition = ExitCondition.NEXT_STEP
    cycle: int = 0


@dataclass(frozen=True, slots=True)
class Sweep:
    """An impedance spectrum around a constant current."""

    current_A: float
    amplitude_A: float
    frequency_Hz: FloatArray
    ends_s: FloatArray
    """Time since the sweep's start at which each point is done."""


Phase = Steady | Sweep


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

    def number(self, label: str, index: int = 0) -> float:
        """Return a parameter, 0 if it was not given."""
        return float(self._values.get(label, {}).get(index, 0.0))

    def integer(self, label: str, index: int = 0, default: int = 0) -> int:
        """Return a whole-numbered parameter."""
        return int(self._values.get(label, {}).get(index, default))

    def phases(self, previous_A: float) -> Iterator[Phase]:
        """Yield what the technique does, in order; ``previous_A`` is the last controlled current."""
        if self.id == TechniqueId.OCV:
            yield self._steady(None, self.number("Rest_time_T"))
        elif self.id == TechniqueId.GEIS:
            yield from self._spectrum(previous_A)
        else:
            yield from self._current_steps(previous_A)

    def _current_steps(self, previous_A: float) -> Iterator[Phase]:
        for cycle in range(self.integer("N_Cycles") + 1):
            for step in range(self.integer("Step_number") + 1):
                previous_A = self.number("Current_step", step) + previous_A * self.integer("vs_initial", step)
                yield self._steady(previous_A, self.number("Duration_step", step), step, cycle)

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

    def _spectrum(self, previous_A: float) -> Iterator[Phase]:
        current_A = self.number("Initial_Current_step") + previous_A * self.integer("vs_initial")
        if self.number("Duration_step") > 0:
            yield self._steady(current_A, self.number("Duration_step"))
        space = np.linspace if self.integer("sweep") else np.geomspace
        start_Hz, end_Hz = self.number("Initial_frequency"), self.number("Final_frequency")
        frequency_Hz = np.asarray(space(start_Hz, end_Hz, self.integer("Frequency_number")))
        periods = max(self.integer("Average_N_times"), 1) + self.number("Wait_for_steady")
        yield Sweep(
            current_A, self.number("Amplitude_Current"), frequency_Hz, np.cumsum(periods / frequency_Hz)
        )


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
    if identity in (TechniqueId.CP, TechniqueId.CPLIMIT, TechniqueId.GEIS):
        _check_current_range(technique)
    steps = range(technique.integer("Step_number") + 1)
    if len(steps) > _STEPS_MAX.get(identity, 1):
        raise ValueError(f"{len(steps)} steps are too many")
    durations = [technique.number("Rest_time_T"), *(technique.number("Duration_step", n) for n in steps)]
    if not all(0 <= duration <= technique.time_base_s * TICKS_MAX for duration in durations):
        raise ValueError("a step is longer than the time base can count, or negative")
    if identity == TechniqueId.GEIS:
        _check_spectrum(technique)
    for step in steps:
        technique.limit_tests(step)
        ExitCondition(technique.integer("Exit_Cond", step))


def _check_current_range(technique: Technique) -> None:
    if technique.i_range not in I_RANGE_FULL_SCALE_A:
        raise ValueError(f"the current range {technique.i_range.name} cannot control a current")


def _check_spectrum(technique: Technique) -> None:
    frequencies = [technique.number("Initial_frequency"), technique.number("Final_frequency")]
    if min(frequencies) <= 0 or technique.integer("Frequency_number") < 1:
        raise ValueError("a spectrum needs frequencies above 0 and at least one point")
    amplitude_A = technique.number("Amplitude_Current")
    # Single precision: exactly half of the range is allowed.
    if not 0 < amplitude_A <= _AMPLITUDE_MAX * I_RANGE_FULL_SCALE_A[technique.i_range] * (1 + 1e-6):
        raise ValueError(f"the amplitude {amplitude_A} A must lie between 0 and half of the current range")
