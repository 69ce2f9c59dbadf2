"""Faults of simulated instruments: their words in a file, their times, and what each does to one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_box import MA, Bench, config, drive, hold, rest, sweep

from drivers.biologic.constants import ChannelState, ErrorCode
from drivers.simulation.chamber import SimulatedChamber
from drivers.simulation.config import ChamberConfig, SimulationConfig
from drivers.simulation.faults import Fault, Faults, ScriptedFault
from drivers.simulation.techniques import RefusedError
from drivers.simulation.wire import Operation
from protocols.errors import InvalidFileError

BOX = 'a = {{address = "10.0.0.1", channels = {{1 = {{}}}}, faults = [{{{fault}}}]}}'
TWIN = "seed = 3"


def script(**words: object) -> ScriptedFault:
    return ScriptedFault.model_validate(words)


# The file


def test_a_script_in_words() -> None:
    text = BOX.format(fault='at = "2 h", kind = "drop_link", for = "30 s"')
    (fault,) = config(f"[simulation]\n{text}").boxes["a"].faults
    assert (fault.kind, fault.at_s, fault.duration_s) == ("drop_link", 7200.0, 30.0)
    late = script(every="5 h", kind="delay", by="200 ms", **{"for": "1 min"})
    assert (late.every_s, late.by_s, late.duration_s) == (18000.0, 0.2, 60.0)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ('kind = "drop_link"', "either `at`"),
        ('kind = "drop_link", at = "1 h", every = "1 h"', "either `at`"),
        ('kind = "drop_link", at = 3', "a time with a unit in quotes"),
        ('kind = "drop_link", at = "3"', "no unit"),
        ('kind = "drop_link", at = "3 V"', "a time is wanted"),
        ('kind = "drop_link", at = "-3 s"', "at_s: Input should be greater"),
        ('kind = "drop_link", at = "1 h", seed = 3', "`seed` belongs to `every`"),
        ('kind = "drop_link", every = "1 ms"', "greater than or equal to 1"),
        ('kind = "freeze", at = "1 h"', "freeze needs `for`"),
        ('kind = "clock_step", at = "1 h"', "clock_step needs `by`"),
        ('kind = "garbage", at = "1 h", for = "3 s"', "garbage takes no `for`"),
        ('kind = "freeze", at = "1 h", for = "1 s", channel = 1', "freeze takes no `channel`"),
        ('kind = "delay", at = "1 h", for = "1 s", by = "-1 s"', "no reply can be earlier"),
        ('kind = "open_clip", at = "1 h", for = "1 s", channel = 2', "there is no channel 2"),
        ('kind = "door_open", at = "1 h", for = "1 s"', "cannot happen to it"),
        ('kind = "fire", at = "1 h"', "kind"),
        ('kind = "garbage", at = "1 h", often = 2', "often"),
    ],
)
def test_a_mistake_in_a_script_is_named(fault: str, named: str) -> None:
    with pytest.raises(InvalidFileError) as found:
        config(f"[simulation]\n{BOX.format(fault=fault)}")
    assert named in str(found.value)
    assert "[simulation] a" in str(found.value)


def test_a_chamber_has_its_own_kinds() -> None:
    fault = {"kind": "open_clip", "at": "1 h", "for": "1 s"}
    with pytest.raises(InvalidFileError, match=r"simulation_chambers\] oven.*cannot happen"):
        SimulationConfig.from_table({}, "service.toml", {"oven": {"faults": [fault]}})


# Times


def begun(faults: Faults, moments: Sequence[float]) -> list[float]:
    return [change.at_s for now_s in moments for change in faults.due(now_s) if change.begins]


@given(st.lists(st.floats(0.1, 5000), max_size=30), st.integers(0, 5))
def test_random_times_are_those_of_the_seed_however_time_passes(strides: list[float], seed: int) -> None:
    written = script(kind="garbage", every="10 min", seed=seed)
    end_s = sum(strides) + 3600.0
    found = begun(Faults([written]), [*itertools.accumulate(strides), end_s])
    assert found == begun(Faults([written]), [end_s])
    assert found == sorted(found)


def test_random_times_have_their_mean_and_another_seed_gives_others() -> None:
    first, second = (
        begun(Faults([script(kind="garbage", every="10 min", seed=seed)]), [6e6]) for seed in (1, 2)
    )
    assert len(first) == pytest.approx(1e4, rel=0.05)
    assert not set(first) & set(second)


def test_what_lasts_ends_and_what_overlaps_lasts_until_the_last_end() -> None:
    faults = Faults([script(kind="freeze", at="10 s", **{"for": "20 s"})])
    frozen = []
    for now_s in (9.0, 10.0, 25.0, 31.0, 45.0, 46.0):
        if now_s == 25.0:
            faults.add(Fault(kind="freeze", duration_s=20.0), now_s)
        begun(faults, [now_s])
        frozen.append(faults.link.frozen > 0)
    assert frozen == [False, True, True, True, False, False]


# A box


def samples(bench: Bench) -> tuple[list[float], list[float], list[float], int]:
    """Return t, E, I and how many were lost of everything that waits on the first channel."""
    blocks = bench.fetch_all()
    t = [time_s for block in blocks for time_s in block.seconds()]
    volts = [value for block in blocks for value in block.floats(2)]
    amperes = [value for block in blocks for value in block.floats(3)]
    return t, volts, amperes, sum(block.infos.IRQskipped for block in blocks)


def test_an_open_clip_leaves_the_output_at_compliance_and_no_current() -> None:
    bench = Bench(hosted=False)
    bench.start(drive(1 * MA, 100.0, limit_V=20.0, E_Range=2))
    bench.wait(10.0)
    bench.box.inject(Fault(kind="open_clip", duration_s=5.0, channel=1))
    assert bench.values().Ewe == pytest.approx(10.0)
    assert bench.values().Eoverflow
    bench.wait(10.0)
    t, volts, amperes, _ = samples(bench)
    at_compliance = [round(time_s) for time_s, volt in zip(t, volts, strict=True) if volt > 9.0]
    without_current = [round(time_s) for time_s, ampere in zip(t, amperes, strict=True) if ampere < 0.01 * MA]
    assert at_compliance == without_current == [11, 12, 13, 14, 15]


def test_an_open_clip_at_open_circuit_floats_and_repeats_by_its_seed() -> None:
    def floating() -> list[float]:
        bench = Bench(cell=f"{{{TWIN}}}", hosted=False)
        bench.start(rest(60.0))
        bench.box.inject(Fault(kind="open_clip", duration_s=50.0))
        bench.wait(60.0)
        return [value for block in bench.fetch_all() for value in block.floats(2)]

    first = floating()
    assert first == floating()
    assert 0.05 < float(np.std(first[:49])) < 0.5
    assert max(map(abs, first[51:])) < 0.01


def test_an_open_clip_passes_no_current_at_a_voltage_and_no_spectrum() -> None:
    bench = Bench(hosted=False)
    bench.start(hold(0.05, 20.0), sweep(0.0, 5, lowest_Hz=10.0))
    bench.wait(10.0)
    bench.box.inject(Fault(kind="open_clip", duration_s=100.0))
    bench.wait(8.0)
    t, _, amperes, _ = samples(bench)
    held = {round(time_s): ampere for time_s, ampere in zip(t, amperes, strict=True)}
    assert held[8] > 0.1 * MA
    assert abs(held[16]) < 0.01 * MA
    bench.wait(20.0)
    spectrum = next(block for block in bench.fetch_all() if block.infos.ProcessIndex == 1)
    impedance_ohm = np.divide(spectrum.floats(1), spectrum.floats(2))
    assert min(impedance_ohm) > 1e4
    assert max(spectrum.floats(1)) <= 10.1


def test_swapped_leads_turn_the_sign_of_a_cell_around() -> None:
    bench = Bench(cell='{preset = "lfp_full", positive_charged = 0.5}', hosted=False)
    bench.start(rest(30.0))
    bench.wait(10.0)
    before_V = bench.values().Ewe
    bench.box.inject(Fault(kind="swapped_leads", duration_s=10.0))
    assert bench.values().Ewe == pytest.approx(-before_V, rel=1e-3)
    bench.wait(15.0)
    assert bench.values().Ewe == pytest.approx(before_V, rel=1e-3)
    assert before_V > 3.0


def test_swapped_leads_strip_the_other_side() -> None:
    cell = '{preset = "mii2_100_20", working_um = 1}'
    ends = {}
    for swapped in (False, True):
        bench = Bench(cell=cell, hosted=False)
        if swapped:
            bench.box.inject(Fault(kind="swapped_leads", duration_s=1e6))
        bench.start(drive(0.2 * MA, 36000.0))
        assert bench.values().State == ChannelState.STOP  # the first look, as on the real one
        bench.wait(7200.0)
        ends[swapped] = bench.values().State
    assert ends == {False: ChannelState.STOP, True: ChannelState.RUN}


def test_a_full_memory_loses_the_records_of_its_time_and_counts_them() -> None:
    bench = Bench(hosted=False)
    bench.start(drive(1 * MA, 100.0))
    bench.wait(10.5)
    bench.box.inject(Fault(kind="full_memory", duration_s=20.0, channel=1))
    bench.wait(39.5)
    t, _, _, lost = samples(bench)
    assert max(np.diff(t)) == pytest.approx(21.0, abs=0.01)
    assert lost == 20


@pytest.mark.parametrize("by_s", [50.0, -5.0, -500.0])
def test_a_clock_step_moves_shown_times_and_nothing_else(by_s: float) -> None:
    bench = Bench(hosted=False)
    bench.start(drive(1 * MA, 20.0), rest(100.0))
    bench.wait(10.5)
    bench.box.inject(Fault(kind="clock_step", by_s=by_s))
    elapsed_s = bench.values().ElapsedTime
    assert elapsed_s == pytest.approx(10.5 + by_s)
    bench.wait(49.5)
    blocks = bench.fetch_all()
    driven = [time_s for block in blocks if block.infos.TechniqueIndex == 0 for time_s in block.seconds()]
    rested = [time_s for block in blocks if block.infos.TechniqueIndex == 1 for time_s in block.seconds()]
    assert len(driven) == 21
    assert driven[10] == pytest.approx(10.0, abs=1e-3)
    assert driven[12] == pytest.approx(max(12.0 + by_s, 0.0), abs=1e-3)
    assert rested[-1] == pytest.approx(60.0 + by_s, abs=0.01)


def test_a_reboot_opens_circuits_and_forgets_what_power_kept() -> None:
    bench = Bench(hosted=False)
    bench.ask(Operation.SET_EXPERIMENT, 0, b"ours".ljust(len(bench.ask(Operation.GET_EXPERIMENT)), b"\0"))
    bench.start(drive(1 * MA, 100.0))
    bench.wait(10.0)
    bench.box.inject(Fault(kind="reboot", duration_s=30.0))
    with pytest.raises(RefusedError) as refused:
        bench.values()
    assert refused.value.code == ErrorCode.FIRM_FIRMWARENOTLOADED
    assert bench.box.faults.link.down == 1
    bench.wait(31.0)
    assert bench.box.faults.link.down == 0
    assert not any(bench.ask(Operation.GET_EXPERIMENT))
    bench.ask(Operation.LOAD_FIRMWARE, 0, b"\0")
    values = bench.values()
    assert (values.State, values.MemFilled, values.I, values.ElapsedTime) == (ChannelState.STOP, 0, 0.0, 0.0)
    with pytest.raises(RefusedError):
        bench.ask(Operation.START)


@given(st.lists(st.floats(0.3, 40.0), min_size=1, max_size=12))
def test_faults_of_a_script_come_at_the_same_record_however_it_is_polled(strides: list[float]) -> None:
    def recorded(moments: list[float]) -> list[bytes]:
        bench = Bench(cell=f"{{{TWIN}}}", hosted=False, faults=FAULTS)
        bench.start(drive(1 * MA, 200.0, limit_V=30.0))
        for moment in moments:
            bench.wait(moment)
        return [block.words.tobytes() for block in bench.fetch_all()]

    once = recorded([210.0])
    assert recorded([*strides, 500.0]) == once


FAULTS = (
    '[{kind = "open_clip", at = "17.3 s", for = "2.2 s"}, {kind = "full_memory", at = "50 s", for = "7 s"}, '
    '{kind = "swapped_leads", every = "40 s", for = "5 s", seed = 2}]'
)


# A chamber


class Air:
    """A simulated chamber and its time."""

    def __init__(self, **more: object) -> None:
        self.now_s = 5000.0
        given = {"start_celsius": 20, "ripple_K": 0, "on": True, **more}
        self.chamber = SimulatedChamber(ChamberConfig.model_validate(given), lambda: self.now_s)
        self.chamber.answer("TEMP,S60.0")

    def shown(self, passed_s: float) -> list[float]:
        self.now_s += passed_s
        return [float(part) for part in self.chamber.answer("TEMP?").split(",")[:2]]


def test_an_open_door_lets_the_room_in_and_the_chamber_recovers() -> None:
    air = Air(faults=[{"kind": "door_open", "at": "2 h", "for": "5 min"}])
    assert air.shown(7199.0) == [60.0, 60.0]
    assert air.shown(300.0)[0] == pytest.approx(20.0, abs=0.5)
    assert air.chamber.answer("MODE?") == "CONSTANT"
    assert air.shown(7200.0) == [60.0, 60.0]


def test_a_chamber_that_reboots_keeps_its_set_point_and_stays_off() -> None:
    air = Air()
    air.shown(7200.0)
    air.chamber.inject(Fault(kind="reboot", duration_s=60.0))
    assert air.chamber.faults.link.down == 1
    assert air.shown(7200.0) == [20.0, 60.0]
    assert air.chamber.answer("MODE?") == "OFF"
    assert air.chamber.faults.link.down == 0
