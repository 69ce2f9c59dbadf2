"""The parameters of each technique: labels, types and array indices of User's Guide 6.11 §7. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.biologic.constants import ERange, ExitCondition, IRange, LimitVariable, ParamType, limit_config
from drivers.biologic.ranges import i_range_for, i_range_for_sweep
from protocols.capabilities import Capabilities
from protocols.errors import InstrumentError
from protocols.nodes import ConstantCurrent, ConstantVoltage, Geis, Peis, VoltageSweep
from protocols.program import Limits

WAIT_PERIODS = 0.1
"""Part of a period that a sweep waits at each frequency before it measures."""

SCAN_RECORD_MIN_V = 1e-4
"""Least change of E between two records of a scan: finer ones are steps of the converter."""

SCAN_AVERAGED = (0.5, 1.0)
"""Part of each step of a scan in which I is averaged: charging of the double layer comes before."""

VERTICES_MAX = 20

TESTS = 3
"""Limit tests of a step. All have one exit."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value of one label. Labels of arrays come once for each element."""

    label: str
    type: ParamType
    value: float
    index: int = 0


Parameters = tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """What all techniques of a load share."""

    limits: Limits
    interval_s: float
    record_dE_V: float
    """0: no recording by change of E."""
    record_dI_A: float
    """0: no recording by change of I."""
    e_range: ERange
    bandwidth: int
    timebase_s: float


def single(label: str, value: float, index: int = 0) -> Parameter:
    """Return a floating-point parameter."""
    return Parameter(label, ParamType.SINGLE, value, index)


def integer(label: str, value: int, index: int = 0) -> Parameter:
    """Return an integer parameter."""
    return Parameter(label, ParamType.INTEGER, int(value), index)


def boolean(label: str, value: bool, index: int = 0) -> Parameter:
    """Return a boolean parameter."""
    return Parameter(label, ParamType.BOOLEAN, value, index)


def ocv_parameters(duration_s: float, settings: Settings, interval_s: float | None = None) -> Parameters:
    """Return the parameters of OCV; ``interval_s`` stands in for the program's interval of samples."""
    return (
        single("Rest_time_T", max(duration_s, settings.timebase_s)),
        single("Record_every_dE", settings.record_dE_V),
        single("Record_every_dT", settings.interval_s if interval_s is None else interval_s),
        *_hardware(settings),
    )


def current_limit_parameters(
    step: ConstantCurrent, settings: Settings, capabilities: Capabilities, interval_s: float | None = None
) -> Parameters:
    """Return the parameters of CPLIMIT with one step; ``interval_s`` as for :func:`ocv_parameters`."""
    return (
        single("Current_step", step.current_A),
        boolean("vs_initial", False),
        single("Duration_step", max(step.remaining_s, settings.timebase_s)),
        integer("Step_number", 0),
        single("Record_every_dT", settings.interval_s if interval_s is None else interval_s),
        single("Record_every_dE", settings.record_dE_V),
        integer("N_Cycles", 0),
        *_voltage_tests(step, settings.limits),
        integer("I_Range", i_range_for(step, capabilities)),
        *_hardware(settings),
    )


def voltage_limit_parameters(step: ConstantVoltage, settings: Settings) -> Parameters:
    """Return the parameters of CALIMIT with one step."""
    return (
        single("Voltage_step", step.voltage_V),
        boolean("vs_initial", step.relative),
        single("Duration_step", max(step.remaining_s, settings.timebase_s)),
        integer("Step_number", 0),
        single("Record_every_dT", settings.interval_s),
        single("Record_every_dI", settings.record_dI_A),
        integer("N_Cycles", 0),
        *_current_tests(step, settings.limits),
        integer("I_Range", IRange.AUTO),
        *_hardware(settings),
    )


def scan_parameters(step: VoltageSweep, settings: Settings) -> Parameters:
    """Return the parameters of VSCANLIMIT. Raises InstrumentError for more vertices than it takes."""
    vertices = step.vertices
    if len(vertices) > VERTICES_MAX:
        raise InstrumentError(
            f"step {step.label!r}: a sweep of {len(vertices)} vertices; the instrument takes {VERTICES_MAX}: "
            "write several sweeps"
        )
    arrays: list[Parameter] = []
    for place, vertex in enumerate(vertices):
        arrays += (
            single("Voltage_step", vertex.voltage_V, place),
            boolean("vs_initial", vertex.relative, place),
            single("Scan_Rate", step.rate_V_per_s, place),
            *_safe_current(settings.limits, place),
        )
    begin, end = SCAN_AVERAGED
    return (
        *arrays,
        # The number of legs minus 1.
        integer("Scan_number", len(vertices) - 2),
        single("Record_every_dE", scan_record_V(step, settings.interval_s, settings.record_dE_V)),
        integer("N_Cycles", 0),
        single("Begin_measuring_I", begin),
        single("End_measuring_I", end),
        integer("I_Range", IRange.AUTO),
        *_hardware(settings),
    )


def scan_record_V(step: VoltageSweep, interval_s: float, record_dE_V: float) -> float:
    """Return the change of E between two records of a scan: it has no record by time.

    It is what passes in ``interval_s``, or ``record_dE_V`` (0: none) where that is less.
    """
    passing_V = step.rate_V_per_s * interval_s
    return max(min(passing_V, record_dE_V or passing_V), SCAN_RECORD_MIN_V)


def geis_parameters(step: Geis, settings: Settings, capabilities: Capabilities) -> Parameters:
    """Return the parameters of GEIS: the sweep alone, with the DC current underneath."""
    _check_frequencies(step, capabilities)
    i_range: IRange = i_range_for_sweep(step, capabilities)
    return (
        boolean("vs_initial", False),
        single("Initial_Current_step", step.current_A),
        single("Duration_step", 0.0),
        single("Record_every_dT", settings.interval_s),
        single("Record_every_dE", settings.record_dE_V),
        *_frequencies(step, single("Amplitude_Current", step.amplitude_A)),
        integer("I_Range", i_range),
        *_hardware(settings),
    )


def peis_parameters(step: Peis, settings: Settings, capabilities: Capabilities) -> Parameters:
    """Return the parameters of PEIS: the sweep alone, around the DC voltage."""
    _check_frequencies(step, capabilities)
    return (
        boolean("vs_initial", step.relative),
        single("Initial_Voltage_step", step.voltage_V),
        single("Duration_step", 0.0),
        single("Record_every_dT", settings.interval_s),
        single("Record_every_dI", settings.record_dI_A),
        *_frequencies(step, single("Amplitude_Voltage", step.amplitude_V)),
        integer("I_Range", IRange.AUTO),
        *_hardware(settings),
    )


def loop_parameters(first: int, passes: int) -> Parameters:
    """Return the parameters of LOOP: back to technique ``first``, so that it is passed ``passes`` times."""
    return integer("loop_N_times", passes - 1), integer("protocol_number", first)


def _hardware(settings: Settings) -> Parameters:
    return (
        integer("E_Range", settings.e_range),
        integer("Bandwidth", settings.bandwidth),
        single("tb", settings.timebase_s),
    )


def _frequencies(step: Geis | Peis, amplitude: Parameter) -> Parameters:
    """Return the parameters of a logarithmic sweep."""
    return (
        single("Final_frequency", step.frequency_end_Hz),
        single("Initial_frequency", step.frequency_start_Hz),
        # True would be linear.
        boolean("sweep", False),
        amplitude,
        integer("Frequency_number", len(step.frequencies())),
        integer("Average_N_times", step.average),
        boolean("Correction", False),
        single("Wait_for_steady", WAIT_PERIODS),
    )


def _voltage_tests(step: ConstantCurrent, limits: Limits) -> Parameters:
    """Return the tests at constant current. A planned end by voltage leaves no room for the limits."""
    above, below = (limit_config(LimitVariable.E, above=side) for side in (True, False))
    if step.until_voltage_V is None:
        tests = ((above, limits.voltage_max_V), (below, limits.voltage_min_V))
        return _tests(tests, ExitCondition.STOP_EXPERIMENT)
    planned = above if step.current_A > 0 else below
    return _tests(((planned, step.until_voltage_V),), ExitCondition.NEXT_TECHNIQUE)


def _current_tests(step: ConstantVoltage, limits: Limits) -> Parameters:
    """Return the tests at constant voltage. A planned end by current leaves no room for the limit."""
    least_A = step.until_current_A
    if least_A is None:
        return _safe_current(limits)
    # A test has no absolute value: small is at most +I and at least -I.
    not_above = limit_config(LimitVariable.I, above=False, and_next=True)
    not_below = limit_config(LimitVariable.I, above=True)
    return _tests(((not_above, least_A), (not_below, -least_A)), ExitCondition.NEXT_TECHNIQUE)


def _safe_current(limits: Limits, index: int = 0) -> Parameters:
    """Return the tests that open the circuit where |I| reaches its limit."""
    above, below = (limit_config(LimitVariable.I, above=side) for side in (True, False))
    largest_A = limits.current_max_A
    return _tests(((above, largest_A), (below, -largest_A)), ExitCondition.STOP_EXPERIMENT, index)


def _tests(tests: tuple[tuple[int, float], ...], exit_condition: ExitCondition, index: int = 0) -> Parameters:
    """Return the tests of a step, joined by their words, with the exit that all share."""
    unused = [(0, 0.0)] * (TESTS - len(tests))
    parameters: list[Parameter] = []
    for number, (config, value) in enumerate([*tests, *unused], start=1):
        parameters.append(integer(f"Test{number}_Config", config, index))
        parameters.append(single(f"Test{number}_Value", value, index))
    return (*parameters, integer("Exit_Cond", exit_condition, index))


def _check_frequencies(step: Geis | Peis, capabilities: Capabilities) -> None:
    least_Hz, most_Hz = capabilities.frequency_min_Hz, capabilities.frequency_max_Hz
    if least_Hz is None or most_Hz is None:
        raise InstrumentError(f"step {step.label!r}: {capabilities.model} measures no impedance")
    if not least_Hz <= min(step.frequency_start_Hz, step.frequency_end_Hz) or not most_Hz >= max(
        step.frequency_start_Hz, step.frequency_end_Hz
    ):
        raise InstrumentError(
            f"step {step.label!r}: {capabilities.model} measures from {least_Hz:g} to {most_Hz:g} Hz; "
            "change the frequencies"
        )
