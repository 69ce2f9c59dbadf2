"""A program as the steps of a ``pybamm.Experiment``: one text each, loops written out.

As PyBaMM reads a step: "Charge at 2 mA for 3600 seconds or until 4.2 V (10 second period)", with one ``for``
and one ``until``; ``until`` a voltage means from below in a charge and from above in a discharge, as here.
"""

from __future__ import annotations

from protocols.exchange.losses import Ledger
from protocols.exchange.plain import Loop, Plain, milli, note_settings, plain_steps, tidy
from protocols.nodes import ConstantCurrent, ConstantVoltage, Rest, Step, VoltageSweep
from protocols.program import Program
from protocols.units import format_amount

MAX_STEPS = 10_000
"""More steps than a simulation can be expected to solve; loops count written out."""


def write(program: Program, ledger: Ledger) -> list[str]:
    """Return one text a step; what would be lost is noted."""
    note_settings(program, ledger, keeps=("record",))
    _note_record(program, ledger)
    plain = plain_steps(program, ledger)
    fits = _length(plain) <= MAX_STEPS
    if not fits:
        ledger.add("length", program.protocol, f"more than {MAX_STEPS} steps, with the loops written out")
    found = _texts(plain, ledger, written_out=fits)
    if not found:
        ledger.add("steps", program.protocol, "there is no step that it could hold")
    period = "" if program.record_s is None else f" ({tidy(program.record_s)} second period)"
    return [text + period for text in found]


def _note_record(program: Program, ledger: Ledger) -> None:
    if program.record_dE_V:
        ledger.add("record", "record", f"keeping a sample at a change of {program.record_dE_V:g} V")
    if program.record_dI_A:
        words = format_amount(program.record_dI_A, "current")
        ledger.add("record", "record", f"keeping a sample at a change of {words}")


def _length(steps: tuple[Plain, ...]) -> int:
    return sum(step.count * _length(step.body) if isinstance(step, Loop) else 1 for step in steps)


def _texts(steps: tuple[Plain, ...], ledger: Ledger, written_out: bool) -> list[str]:
    found: list[str] = []
    for step in steps:
        if isinstance(step, Loop):
            found += _texts(step.body, ledger, written_out) * (step.count if written_out else 1)
        else:
            found += _text(step, ledger)
    return found


def _text(step: Step, ledger: Ledger) -> list[str]:
    """Return the text of a step; none if it has to be left out."""
    time = f"for {tidy(step.remaining_s)} seconds"
    match step:
        case Rest():
            return [f"Rest {time}"]
        case ConstantCurrent():
            word = "Charge" if step.current_A > 0 else "Discharge"
            text = f"{word} at {abs(milli(step.current_A))} mA {time}"
            return [
                text if step.until_voltage_V is None else f"{text} or until {tidy(step.until_voltage_V)} V"
            ]
        case ConstantVoltage():
            if step.voltage_V <= 0:
                ledger.add("negative_voltage", step.label, "holding a voltage that is not above 0 V")
            text = f"Hold at {tidy(step.voltage_V)} V {time}"
            end_A = step.until_current_A
            return [text if end_A is None else f"{text} or until {milli(end_A)} mA"]
        case VoltageSweep():
            ledger.add("sweep", step.label, "a sweep of the voltage")
            return []
        case _:
            ledger.add("spectra", step.label, "an impedance spectrum")
            return []
