"""The parameters of each technique: labels, types and array indices of User's Guide 6.11 §7. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.biologic.constants import ERange, ExitCondition, IRange, LimitVariable, ParamType, limit_config
from drivers.biologic.ranges import i_range_for, i_range_for_sweep
from protocols.capabilities import Capabilities
from protocols.errors import InstrumentError
from protocols.nodes import ConstantCurrent, Geis
from protocols.program import Limits

WAIT_PERIODS = 0.1
"""Part of a period that a sweep waits at each frequency before it measures."""


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
    e_range: ERange
    bandwidth: int
    timebase_s: float


def single(label: str, value: float) -> Parameter:
    """Return a floating-point parameter."""
    return Parameter(label, ParamType.SINGLE, value)


def integer(label: str, value: int) -> Parameter:
    """Return an integer parameter."""
    return Parameter(label, ParamType.INTEGER, int(value))


def boolean(label: str, value: bool) -> Parameter:
    """Return a boolean parameter."""
    return Parameter(label, ParamType.BOOLEAN, value)


def ocv_parameters(duration_s: float, settings: Settings, interval_s: float | None = None) -> Parameters:
    """Return the parameters of OCV; ``interval_s`` stands in for the program's interval of samples."""
    return (
        single("Rest_time_T", max(duration_s, settings.timebase_s)),
        single("Record_every_dE", settings.record_dE_V),
        single("Record_every_dT", settings.interval_s if interval_s is None else interval_s),
        *_hardware(settings),
    )


def current_limit_parameters(
    step: ConstantCurrent, settings: Settings, capabilities: Capabilities
) -> Parameters:
    """Return the parameters of CPLIMIT with one step."""
    return (
        single("Current_step", step.current_A),
        boolean("vs_initial", False),
        single("Duration_step", max(step.remaining_s, settings.timebase_s)),
        integer("Step_number", 0),
        single("Record_every_dT", settings.interval_s),
        single("Record_every_dE", settings.record_dE_V),
        integer("N_Cycles", 0),
        *_tests(step, settings.limits),
        integer("I_Range", i_range_for(abs(step.current_A), capabilities, step.label)),
        *_hardware(settings),
    )


def geis_parameters(step: Geis, settings: Settings, capabilities: Capabilities) -> Parameters:
    """Return the parameters of GEIS: the sweep alone, logarithmic, with the DC current underneath."""
    _check_frequencies(step, capabilities)
    i_range: IRange = i_range_for_sweep(step, capabilities)
    return (
        boolean("vs_initial", False),
        single("Initial_Current_step", step.current_A),
        single("Duration_step", 0.0),
        single("Record_every_dT", settings.interval_s),
        single("Record_every_dE", settings.record_dE_V),
        single("Final_frequency", step.frequency_end_Hz),
        single("Initial_frequency", step.frequency_start_Hz),
        # True would be linear.
        boolean("sweep", False),
        single("Amplitude_Current", step.amplitude_A),
        integer("Frequency_number", len(step.frequencies())),
        integer("Average_N_times", step.average),
        boolean("Correction", False),
        single("Wait_for_steady", WAIT_PERIODS),
        integer("I_Range", i_range),
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


def _tests(step: ConstantCurrent, limits: Limits) -> Parameters:
    """Return the limit tests. One exit for all: a planned end by voltage leaves no room for the limits."""
    above, below = (limit_config(LimitVariable.E, above=side) for side in (True, False))
    if step.until_voltage_V is None:
        exit_condition = ExitCondition.STOP_EXPERIMENT
        tests = [(above, limits.voltage_max_V), (below, limits.voltage_min_V), (0, 0.0)]
    else:
        exit_condition = ExitCondition.NEXT_TECHNIQUE
        planned = above if step.current_A > 0 else below
        tests = [(planned, step.until_voltage_V), (0, 0.0), (0, 0.0)]
    parameters: list[Parameter] = []
    for number, (config, value_V) in enumerate(tests, start=1):
        parameters.append(integer(f"Test{number}_Config", config))
        parameters.append(single(f"Test{number}_Value", value_V))
    return (*parameters, integer("Exit_Cond", exit_condition))


def _check_frequencies(step: Geis, capabilities: Capabilities) -> None:
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
