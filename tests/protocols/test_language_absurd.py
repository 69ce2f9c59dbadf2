"""Files that would take all memory or time if they were believed: each is refused with words."""

from __future__ import annotations

import pytest

from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.compile import compile_program
from protocols.errors import InvalidFileError
from protocols.protocol import parse_protocol

HEAD = "sandtime: 1\nname: absurd\n"
GIANT = "9" * 5000
REST = "rest: {for: 1 s}"
ALIASES = "".join(f"{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 1}]\n" for n in range(9))
STEPS = {
    "nested repeats": "repeat: {times: 1000000, steps: [" * 9 + REST + "]}" * 9,
    "nested too deep": "[" * 5000,
    "giant count": f"repeat: {{times: {GIANT}, steps: [{REST}]}}",
    "giant time": f"rest: {{for: {GIANT} s}}",
    "giant exponent": "rest: {for: 1e308 s}",
    "giant key": f"{'a' * 100_000}: 1",
    "huge ramp": f"ramp: {{current: {{from: 1 mA, step: 1e-99 mA, to: 1 A}}, steps: [{REST}]}}",
    "ramps of ramps": "ramp: {current: {from: 1 mA, step: 1 µA, to: 2 mA}, steps: [ramp: "
    f"{{voltage: {{from: 1 mV, step: 1 mV, to: 1 V}}, steps: [{REST}]}}]}}",
    "spectra without end": "constant_current: {current: 1 mA, until: {time: 99 d}, "
    f"spectra: {{every: 1e-99 s, steps: [{REST}]}}}}",
    "points without end": "peis: {amplitude: 10 mV, frequency: {from: 1 MHz, to: 1 Hz}, "
    "points_per_decade: 1000000}",
}
ABSURD = {name: f"{HEAD}steps: [{step}]\n" for name, step in STEPS.items()}
ABSURD["aliases of aliases"] = HEAD + ALIASES


@pytest.mark.parametrize("text", ABSURD.values(), ids=ABSURD)
def test_an_absurd_file_is_refused(text: str, cell: Cell, channel: Capabilities) -> None:
    with pytest.raises(InvalidFileError) as caught:
        compile_program(parse_protocol(text, "f.yaml"), cell, channel)
    assert all(problem.file == "f.yaml" and problem.message for problem in caught.value.problems)
