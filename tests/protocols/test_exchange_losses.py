"""Writing for other programs: nothing is lost unless it is named and agreed to."""

from __future__ import annotations

import aurora_unicycler as judge
import pytest

from protocols.capabilities import Capabilities
from protocols.cell import Cell
from protocols.compile import compile_program
from protocols.errors import InvalidFileError, SandtimeError
from protocols.exchange.conversion import convert, to_battinfo, to_pybamm, to_unicycler
from protocols.exchange.losses import ACCEPTABLE, TARGETS, LostInConversionError
from protocols.program import Program
from protocols.protocol import library_protocols, load_protocol, parse_protocol

HEAD = "sandtime: 1\nname: any\n"
ALL = tuple(ACCEPTABLE)
WARM = {"temperature_min_K": 270.0, "temperature_max_K": 370.0}
STEP = "steps:\n  - constant_current: {current: 0.1 mA/cm², until: {time: 1 h}}\n"


def compiled(text: str, cell: Cell, channel: Capabilities) -> Program:
    return compile_program(parse_protocol(HEAD + text, "p.yaml"), cell, channel)


def lost(program: Program, target: str, allow: tuple[str, ...] = ()) -> set[str]:
    with pytest.raises(LostInConversionError) as caught:
        convert(program, target, allow)
    assert caught.value.exit_code == 3
    return {loss.what for loss in caught.value.losses}


SETTINGS = {
    "ends_on": "ends_on: [short_circuit]\n" + STEP,
    "afterwards": STEP + "afterwards:\n  - rest: {for: 1 min}\n",
    "on_suspicion": "on_suspicion: {steps: [{rest: {for: 1 min}}], then: pause}\n" + STEP,
    "dense": "record: {dense: {for: 1 min, every: 0.1 s}}\n" + STEP,
    "messages": STEP + "  - message: look at me\n",
    "cycles": "steps:\n  - repeat: {times: 2, counts: cycles, steps: [{rest: {for: 1 h}}]}\n",
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("what", SETTINGS)
def test_a_setting_is_named_and_can_be_given_up(
    what: str, target: str, cell: Cell, channel: Capabilities
) -> None:
    program = compiled(SETTINGS[what], cell, channel)
    assert {"guards", what} <= lost(program, target)
    others = tuple(word for word in ALL if word != what)
    assert lost(program, target, others) == {what}
    assert what in {loss.what for loss in convert(program, target, ALL).lost}


STEPS = {
    "decision": "if: {when: {cycle: {above: 3}}, then: end}",
    "temperature": "temperature: {to: 60 °C}",
    "person": "wait_for_person: {message: turn the cell}",
    "end": "rest: {until: {drift: 1 mV/h, time: 12 h}}",
    "relative_voltage": "constant_voltage: {voltage: 10 mV vs ocv, until: {time: 1 h}}",
    "bias": "geis: {current: 0.1 mA/cm², amplitude: 10 µA, frequency: {from: 1 kHz, to: 1 Hz}}",
    "amplitude": "geis: {amplitude: {response: 10 mV, largest: 10 µA}, frequency: {from: 1 kHz, to: 1 Hz}}",
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("what", STEPS)
def test_what_drives_the_cell_is_never_given_up(
    what: str, target: str, cell: Cell, channel: Capabilities
) -> None:
    program = compiled(STEP + f"  - {STEPS[what]}\n", cell.model_copy(update=WARM), channel)
    assert lost(program, target, ALL) == {what}


def test_more_ends_that_only_the_host_judges(cell: Cell, channel: Capabilities) -> None:
    for until in ("{steady: {change: 1 %}, time: 1 h}", "{charge: 1 mAh, time: 1 h}"):
        text = STEP + f"  - constant_voltage: {{voltage: 0.1 V, until: {until}}}\n"
        assert lost(compiled(text, cell, channel), "unicycler", ALL) == {"end"}


def test_a_charge_is_written_as_its_exact_time_unless_it_is_counted(
    cell: Cell, channel: Capabilities
) -> None:
    text = "steps:\n  - constant_current: {current: 0.3 mA/cm², until: {areal_capacity: 0.1 mAh/cm²}}\n"
    assert to_unicycler(compiled(text, cell, channel), ALL)["method"] == [
        {"step": "constant_current", "current_mA": 0.15, "until_time_s": 1200.0}
    ]
    counting = channel.model_copy(update={"charge_counter": True})
    assert lost(compiled(text, cell, counting), "pybamm", ALL) == {"charge_end"}


def test_an_end_at_0_V_is_refused_for_unicycler_only(cell: Cell, channel: Capabilities) -> None:
    text = "steps:\n  - constant_current: {current: -0.1 mA/cm², until: {time: 1 h, voltage: 0 V}}\n"
    program = compiled(text, cell, channel)
    assert lost(program, "unicycler", ALL) == {"zero_voltage"}
    assert to_pybamm(program, ALL) == ["Discharge at 0.05 mA for 3600.0 seconds or until 0.0 V"]
    assert to_battinfo(program, ALL)["hasInput"][1]["hasNumericalPart"]["hasNumberValue"] == 0.0


def test_sweeps_and_voltages_below_zero_are_nothing_for_pybamm(cell: Cell, channel: Capabilities) -> None:
    text = STEP + "  - cyclic_voltammetry: {from: 0 V, first: 0.5 V, second: -0.5 V, rate: 1 mV/s}\n"
    program = compiled(text, cell, channel)
    assert lost(program, "pybamm", ALL) == {"sweep"}
    scans = [item for item in to_unicycler(program, ALL)["method"] if item["step"] == "voltage_scan"]
    assert [(scan["start_voltage_V"], scan["end_voltage_V"]) for scan in scans] == [
        (0.0, 0.5),
        (0.5, -0.5),
        (-0.5, 0.5),
    ]
    text = STEP + "  - constant_voltage: {voltage: -0.1 V, until: {time: 1 h}}\n"
    assert lost(compiled(text, cell, channel), "pybamm", ALL) == {"negative_voltage"}


SPECTRUM = "[{peis: {amplitude: 10 mV, frequency: {from: 1 kHz, to: 1 Hz}}}]"


@pytest.mark.parametrize(
    ("times", "spectra", "passes"),
    [
        (12, "every: 5 cycles", {5, 10}),
        (100, "every: 1 cycles", set(range(1, 101))),
        (10, "after_cycles: [1, 2, 7]", {1, 2, 7}),
        (3, "every: 5 cycles", set()),
    ],
)
def test_spectra_of_some_passes_are_written_out(
    times: int, spectra: str, passes: set[int], cell: Cell, channel: Capabilities
) -> None:
    text = f"steps:\n  - repeat:\n      times: {times}\n      spectra: {{{spectra}, steps: {SPECTRUM}}}\n"
    text += "      steps:\n        - constant_current: {current: 0.1 mA/cm², until: {time: 1 h}}\n"
    program = compiled(text, cell, channel)
    judged = judge.CyclingProtocol.from_dict(to_unicycler(program, ALL))
    found: list[str] = []
    tags: dict[str, int] = {}
    for item in judged.method:
        match item:
            case judge.Tag():
                tags[item.tag] = len(found)
            case judge.Loop():
                found += found[tags[str(item.loop_to)] :] * (item.cycle_count - 1)
            case _:
                found.append(item.step)
    expected: list[str] = []
    for number in range(1, times + 1):
        expected += ["constant_current"] + ["impedance_spectroscopy"] * (number in passes)
    assert found == expected
    assert len(to_pybamm(program, ALL)) == times


def test_pybamm_is_told_how_often_to_record(cell: Cell, channel: Capabilities) -> None:
    program = compiled("record: {every: 30 s}\nsteps:\n  - rest: {for: 2 min}\n", cell, channel)
    assert to_pybamm(program, ALL) == ["Rest for 120.0 seconds (30.0 second period)"]


@pytest.mark.parametrize(("target", "times"), [("pybamm", 10_001), ("battinfo", 201)])
def test_what_is_too_long_is_refused(target: str, times: int, cell: Cell, channel: Capabilities) -> None:
    if target == "pybamm":
        text = f"steps:\n  - repeat: {{times: {times}, steps: [{{rest: {{for: 1 h}}}}]}}\n"
    else:
        text = "steps:\n" + "  - rest: {for: 1 h}\n" * times
    assert lost(compiled(text, cell, channel), target, ALL) == {"length"}


def test_a_program_of_spectra_leaves_nothing_for_pybamm(cell: Cell, channel: Capabilities) -> None:
    text = "steps:\n  - peis: {amplitude: 10 mV, frequency: {from: 1 kHz, to: 1 Hz}}\n"
    assert lost(compiled(text, cell, channel), "pybamm", ALL) == {"steps"}


def test_the_message_says_what_to_agree_to(cell: Cell, channel: Capabilities) -> None:
    program = compiled(SETTINGS["ends_on"], cell, channel)
    with pytest.raises(LostInConversionError, match=r"--without guards,ends_on$"):
        to_unicycler(program)
    with pytest.raises(SandtimeError, match=r"'guard' is nothing that may be lost\. Did you mean 'guards'"):
        to_unicycler(program, ["guard"])


FULL = Cell(
    name="full",
    geometry="full",
    area_m2=1e-4,
    capacity_C=7.2,
    mass_kg=1e-5,
    voltage_min_V=1.5,
    voltage_max_V=4.5,
)


@pytest.mark.parametrize("name", library_protocols())
def test_every_protocol_of_the_library_is_written_or_refused(
    name: str, cell: Cell, channel: Capabilities
) -> None:
    protocol = load_protocol(name)
    cell = cell.model_copy(update=WARM)
    try:
        program = compile_program(protocol, cell, channel)
    except InvalidFileError:
        program = compile_program(protocol, FULL, channel)
    for target in TARGETS:
        assert lost(program, target)
        try:
            document = convert(program, target, ALL).document
        except LostInConversionError as error:
            assert not all(loss.acceptable for loss in error.losses)
        else:
            assert target != "unicycler" or judge.CyclingProtocol.from_dict(document)
