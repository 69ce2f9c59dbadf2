"""The simulated instrument without its wire: techniques, records, limits, memory, and life without a host."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from simulated_box import (
    E_ABOVE,
    MA,
    NEXT_TECHNIQUE,
    STOP_EXPERIMENT,
    TIME_BASE_S,
    Bench,
    config,
    drive,
    loop,
    record,
    rest,
    sweep,
)

from drivers.biologic.constants import ErrorCode
from drivers.biologic.structs import ChannelInfos, ExperimentInfos
from drivers.simulation.attention import HOLD_S
from drivers.simulation.box import Box
from drivers.simulation.clock import HeldClock
from drivers.simulation.faults import Fault
from drivers.simulation.phases import LimitTest, tripped
from drivers.simulation.techniques import RefusedError
from drivers.simulation.wire import Operation


def code_of(call: pytest.ExceptionInfo[RefusedError]) -> ErrorCode:
    return call.value.code


def test_a_list_runs_technique_after_technique_with_its_columns_and_times() -> None:
    bench = Bench()
    bench.start(rest(10.0), drive(0.2 * MA, 20.0), rest(5.0))
    bench.wait(60.0)
    blocks = bench.fetch_all()
    assert [(b.infos.TechniqueIndex, b.infos.TechniqueID, b.infos.NbCols) for b in blocks] == [
        (0, 100, 3),
        (1, 155, 5),
        (2, 100, 3),
    ]
    assert [b.infos.StartTime for b in blocks] == pytest.approx([0.0, 10.0, 30.0])
    assert blocks[1].seconds() == pytest.approx(list(range(10, 31)), abs=2 * TIME_BASE_S)
    assert blocks[1].floats(3) == pytest.approx([0.2 * MA] * 21, rel=0.01)


def test_the_first_look_after_the_start_still_shows_stop() -> None:
    bench = Bench()
    bench.start(rest(10.0))
    assert [bench.values().State for _ in range(3)] == [0, 1, 1]
    bench.wait(20.0)
    tail = bench.fetch()
    assert (tail.values.State, tail.infos.NbRows) == (0, 11)
    assert bench.fetch().values.MemFilled == 0


def test_a_block_holds_at_most_what_its_buffer_can() -> None:
    bench = Bench()
    bench.start(drive(0.2 * MA, 500.0))
    bench.wait(600.0)
    assert [block.infos.NbRows for block in bench.fetch_all()] == [200, 200, 101]


def test_a_loop_passes_once_more_than_its_count_and_numbers_the_passes() -> None:
    bench = Bench()
    bench.start(drive(0.2 * MA, 5.0), drive(-0.2 * MA, 5.0), loop(2, 0), rest(1.0))
    bench.wait(60.0)
    blocks = bench.fetch_all()
    assert [(b.infos.TechniqueIndex, b.infos.loop) for b in blocks] == [
        (0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (3, 0),
    ]  # fmt: skip
    assert blocks[4].infos.StartTime == pytest.approx(20.0)


def test_steps_and_cycles_of_one_technique_count_on() -> None:
    file, records = drive(0.2 * MA, 3.0, N_Cycles=1, Step_number=1)
    bench = Bench()
    bench.start((file, records + record("Current_step", -0.2 * MA, 1) + record("Duration_step", 2.0, 1)))
    bench.wait(60.0)
    (block,) = bench.fetch_all()
    assert block.words[:, 4].tolist() == [0] * 7 + [1] * 7
    assert np.sign(block.floats(3)).tolist() == [1] * 4 + [-1] * 3 + [1] * 4 + [-1] * 3
    assert block.seconds() == sorted(block.seconds())


def test_a_limit_opens_the_circuit_with_nobody_connected_and_its_run_away_leaves_rows() -> None:
    bench = Bench('{working_um = 1.0, preset = "mii2_100_20"}', speed=100.0, hosted=False)
    bench.start(drive(0.3 * MA, 36_000.0, Record_every_dE=0.05))
    bench.wait(200.0)
    values = bench.values()
    assert abs(values.I) == 0
    rows = [row for block in bench.fetch_all() for row in zip(block.seconds(), block.floats(2), strict=True)]
    assert rows[-1][1] == pytest.approx(1.5, abs=0.01)
    run_away = [row for row in rows if row[1] > 0.1]
    assert len(run_away) >= 1.4 / 0.06
    steps = np.diff([volt for _, volt in run_away])
    assert steps.max() < 0.06


def test_the_limit_is_seen_within_10_ms() -> None:
    limits = []
    for stride_s in (0.25, 100.0):
        bench = Bench("{working_um = 0.5}")
        bench.start(drive(0.3 * MA, 36_000.0))
        for _ in range(round(2000 / stride_s)):
            bench.wait(stride_s)
        limits.append(bench.fetch_all()[-1].seconds()[-1])
    assert limits[0] == pytest.approx(limits[1], abs=0.011)


@pytest.mark.parametrize(("exit_condition", "states"), [(NEXT_TECHNIQUE, [0, 1]), (STOP_EXPERIMENT, [0])])
def test_a_limit_ends_the_technique_or_the_experiment(exit_condition: int, states: list[int]) -> None:
    bench = Bench()
    bench.start(drive(0.5 * MA, 100.0, limit_V=0.01, Exit_Cond=exit_condition), rest(3.0))
    bench.wait(200.0)
    assert [block.infos.TechniqueIndex for block in bench.fetch_all()] == states


def test_tests_are_joined_by_the_logic_of_the_one_before() -> None:
    # ((E ≤ 1 OR E ≥ 3) AND E ≤ 4)
    words = [(1, 1.0), (E_ABOVE | 2, 3.0), (1, 4.0)]
    tests = [test for word, value in words if (test := LimitTest.from_word(word, value))]
    volts = np.array([0.5, 2.0, 3.5, 5.0])
    assert tripped(tests, volts, 0.0).tolist() == [True, False, True, False]


def test_a_test_of_the_current_sees_the_current() -> None:
    test = LimitTest.from_word(101, 0.5)
    assert test is not None
    assert test.holds(np.zeros(1), 0.6).all()
    assert not test.holds(np.zeros(1), 0.4).any()


def test_a_spectrum_gives_a_row_for_each_frequency_once_its_period_has_passed() -> None:
    bench = Bench()
    bench.start(sweep(0.0, points=7))
    bench.wait(5.0)
    first = bench.fetch()
    assert (first.infos.ProcessIndex, first.infos.NbCols, first.infos.NbRows) == (1, 14, 6)
    assert first.values.Freq == pytest.approx(0.1)
    bench.wait(10.0)
    last = bench.fetch()
    assert first.floats(0) + last.floats(0) == pytest.approx(np.geomspace(1e5, 0.1, 7).tolist(), rel=1e-5)
    assert last.floats(13)[0] == pytest.approx(sum(1 / f for f in np.geomspace(1e5, 0.1, 7)), rel=1e-5)


def test_a_spectrum_and_the_dc_response_agree() -> None:
    bench = Bench("{activation = 0.0, nucleation = 0.0}")
    bench.start(drive(0.2 * MA, 60.0), sweep(0.2 * MA, points=8, lowest_Hz=0.001))
    bench.wait(3000.0)
    direct, spectrum = bench.fetch_all()
    dc_ohm = direct.floats(2)[-1] / direct.floats(3)[-1]
    ac_ohm = spectrum.floats(1)[-1] / spectrum.floats(2)[-1] * np.cos(spectrum.floats(3)[-1])
    assert ac_ohm == pytest.approx(dc_ohm, rel=0.01)
    assert spectrum.floats(3)[-3] < 0
    assert spectrum.floats(4)[-1] == pytest.approx(direct.floats(2)[-1], rel=0.02)


def test_the_hold_before_a_spectrum_gives_rows_of_process_0() -> None:
    bench = Bench()
    bench.start(sweep(0.2 * MA, points=3, lowest_Hz=10.0, hold_s=4.0))
    bench.wait(30.0)
    assert [(b.infos.ProcessIndex, b.infos.NbCols, b.infos.NbRows) for b in bench.fetch_all()] == [
        (0, 4, 5),
        (1, 14, 3),
    ]


def test_noise_belongs_to_the_sample_and_repeats_with_the_seed() -> None:
    def volts(stride_s: float, seed: int) -> list[float]:
        bench = Bench(f"{{seed = {seed}}}")
        bench.start(drive(0.2 * MA, 100.0))
        for _ in range(round(110 / stride_s)):
            bench.wait(stride_s)
        return [volt for block in bench.fetch_all() for volt in block.floats(2)]

    assert volts(1.0, seed=4) == volts(110.0, seed=4) == volts(0.3, seed=4)
    assert volts(1.0, seed=4) != volts(1.0, seed=5)


@pytest.mark.parametrize(
    "cell",
    ["{}", "{short_at_mA_per_cm2 = 0.2, short_after_mAh_per_cm2 = 0.001}", "{working_um = 0.01}"],
    ids=["sound", "shorts", "runs dry"],
)
def test_records_by_change_of_voltage_come_at_the_same_times_however_the_time_is_cut(cell: str) -> None:
    def rows(stride_s: float) -> list[tuple[float, float]]:
        bench = Bench(cell)
        bench.start(
            rest(2.0),
            drive(0.3 * MA, 25.0, Record_every_dE=0.001),
            drive(-0.3 * MA, 20.0, Record_every_dE=0.001, Record_every_dT=5.0),
        )
        for _ in range(round(50 / stride_s)):
            bench.wait(stride_s)
        return [
            row for block in bench.fetch_all() for row in zip(block.seconds(), block.floats(2), strict=True)
        ]

    assert rows(0.0213) == rows(0.7) == rows(50.0)


def test_a_full_memory_loses_rows_and_says_how_many() -> None:
    bench = Bench(memory_bytes=50 * 20)
    bench.start(drive(0.2 * MA, 99.0))
    bench.wait(200.0)
    kept = bench.fetch()
    assert (kept.infos.NbRows, kept.infos.IRQskipped) == (50, 50)
    assert bench.fetch().infos.IRQskipped == 0


def test_an_accelerated_box_waits_for_its_host() -> None:
    bench = Bench(speed=10_000.0)
    bench.start(drive(0.2 * MA, 3600.0))
    bench.start(drive(0.2 * MA, 3600.0), channel=2)
    bench.wait(1.0)
    assert bench.values().ElapsedTime == 10.0
    for channel in (0, 2):
        bench.fetch(channel)
        bench.wait(1.0)
        # A host that was given data has not acted on them yet.
        assert bench.values().ElapsedTime == 10.0
    bench.fetch(0)
    bench.wait(1.0)
    assert bench.values().ElapsedTime == 20.0
    bench.box.disconnect()
    bench.wait(1.0)
    assert bench.values().State == 0


def fetch_round(bench: Bench, *channels: int) -> None:
    for channel in channels:
        bench.fetch_all(channel)


def test_no_time_passes_while_a_host_decides_what_follows_a_list() -> None:
    volts = []
    for thinks_s in (0.0, 0.5):
        bench = Bench("{activation = 0.0}", speed=10_000.0)
        bench.start(drive(0.2 * MA, 14.0))
        for _ in range(6):
            bench.wait(0.1)
            fetch_round(bench, 0)
        bench.wait(thinks_s)
        bench.start(rest(4.0, every_s=0.1))
        bench.wait(0.1)
        volts.append([volt for block in bench.fetch_all() for volt in block.floats(2)])
    # The cell has not relaxed meanwhile.
    assert volts[0] == volts[1]
    assert max(volts[0]) > 1e-3


def test_a_host_that_does_not_come_back_to_a_channel_is_not_waited_for_for_ever() -> None:
    bench = Bench(speed=10_000.0)
    bench.start(drive(0.2 * MA, 5.0))
    bench.wait(1.0)
    fetch_round(bench, 0)
    bench.wait(HOLD_S)
    bench.wait(1.0)
    bench.start(rest(3600.0))
    bench.start(rest(3600.0), channel=2)
    bench.wait(1.0)
    assert bench.values(2).ElapsedTime == 10.0


def test_who_polls_the_other_channels_only_has_finished_with_one_that_ended() -> None:
    bench = Bench(speed=10_000.0)
    bench.start(drive(0.2 * MA, 5.0))
    bench.start(rest(3600.0), channel=2)
    elapsed_s = []
    for _ in range(8):
        bench.wait(0.1)
        fetch_round(bench, 0, 2) if bench.values().State else fetch_round(bench, 2)
        elapsed_s.append(bench.values(2).ElapsedTime)
    assert elapsed_s[0] == 5.0
    assert elapsed_s[-1] > 20.0


def test_a_fresh_cell_does_not_age_while_it_waits_for_its_first_list() -> None:
    def first_volts(waits_s: float) -> list[float]:
        bench = Bench("{drift_per_h = 0.5, roughness = 0.1}", speed=10_000.0)
        bench.start(drive(0.2 * MA, 3600.0), channel=2)
        bench.wait(0.1)
        fetch_round(bench, 2)
        bench.box.disconnect()
        bench.wait(waits_s)
        bench.start(drive(0.2 * MA, 20.0))
        bench.wait(1.0)
        return [volt for block in bench.fetch_all() for volt in block.floats(2)]

    assert first_volts(0.0) == first_volts(1.0)


def test_the_box_keeps_the_data_of_a_host_that_vanished_for_the_next() -> None:
    bench = Bench()
    bench.start(drive(0.2 * MA, 100.0))
    bench.box.disconnect()
    bench.wait(50.0)
    bench.box.connect()
    bench.wait(100.0)
    (block,) = bench.fetch_all()
    assert block.seconds() == pytest.approx(list(range(101)), abs=2 * TIME_BASE_S)


def test_stop_opens_the_circuit_and_keeps_the_tail() -> None:
    bench = Bench()
    bench.start(drive(0.5 * MA, 3600.0))
    bench.wait(10.0)
    bench.ask(Operation.STOP)
    bench.wait(10.0)
    values = bench.values()
    assert values.State == 0
    assert values.TimeBase > 0
    assert abs(values.I) < 1e-12
    assert abs(values.Ewe) < 1e-3
    assert bench.fetch().infos.NbRows == 11


@pytest.mark.parametrize(
    ("technique", "code"),
    [
        (("cplimit.ecc", b""), ErrorCode.TECH_INCOMPATIBLEECC),
        (("nonsense4.ecc", b""), ErrorCode.TECH_ECCFILENOTEXISTS),
        (("ocv4.ecc", record("Rest_time", 1.0)), ErrorCode.GEN_INVALIDPARAMETERS),
        (("ocv4.ecc", record("Rest_time_T", 1)), ErrorCode.GEN_INVALIDPARAMETERS),
        (drive(0.2 * MA, 1.0, I_Range=12), ErrorCode.GEN_INVALIDPARAMETERS),
        (drive(0.2 * MA, 1.0, Test1_Config=32 + 5), ErrorCode.GEN_INVALIDPARAMETERS),
        (rest(1e6), ErrorCode.GEN_INVALIDPARAMETERS),
        (loop(1, 0), ErrorCode.GEN_INVALIDPARAMETERS),
    ],
)
def test_what_the_instrument_cannot_do_is_refused(technique: tuple[str, bytes], code: ErrorCode) -> None:
    with pytest.raises(RefusedError) as refused:
        Bench().load(technique)
    assert code_of(refused) == code


def test_too_many_techniques_are_refused() -> None:
    bench = Bench(techniques_max=2)
    with pytest.raises(RefusedError) as refused:
        bench.load(rest(1.0), rest(1.0), rest(1.0))
    assert code_of(refused) == ErrorCode.TECH_MEMFULL


def test_a_running_channel_takes_no_start_and_no_load() -> None:
    bench = Bench()
    bench.start(rest(100.0))
    calls: list[Callable[[], object]] = [
        lambda: bench.load(rest(1.0)),
        lambda: bench.ask(Operation.START),
        lambda: bench.ask(Operation.LOAD_FIRMWARE, 0, b"\1"),
    ]
    for call in calls:
        with pytest.raises(RefusedError) as refused:
            call()
        assert code_of(refused) == ErrorCode.GEN_CHANNEL_RUNNING


def test_the_first_channel_of_the_configuration_is_index_0() -> None:
    plugged = Bench().ask(Operation.PLUGGED)
    assert [index for index, flag in enumerate(plugged) if flag] == [0, 2]


def test_a_channel_without_firmware_says_so_and_shows_its_boards() -> None:
    text = '[simulation]\nbox = {address = "10.0.0.1", channels = {1 = {}}}'
    box = Box(config(text).boxes["box"], HeldClock(lambda: 0.0))
    with pytest.raises(RefusedError) as refused:
        box.answer(Operation.CHANNEL_INFOS, 0, b"")
    infos = ChannelInfos.from_buffer_copy(refused.value.payload)
    assert (code_of(refused), infos.FirmwareCode) == (ErrorCode.FIRM_FIRMWARENOTLOADED, 0)
    assert infos.BoardSerialNumber > 0


def named(bench: Bench, marker: str, channel: int = 0) -> None:
    """Leave a marker with the experiment, as a driver does."""
    infos = ExperimentInfos(FileName=marker.encode())
    bench.ask(Operation.SET_EXPERIMENT, channel, bytes(infos))


def test_books_tell_what_each_technique_made_whether_it_was_fetched_or_not() -> None:
    bench = Bench(hosted=False)
    assert bench.box.books() == {"now_s": 0.0, "made": []}
    named(bench, "first")
    bench.start(drive(MA, 10.0), rest(5.0))
    bench.wait(12.0)
    named(bench, "second", channel=2)
    bench.start(drive(MA, 3.0), channel=2)
    bench.wait(1.5)
    bench.box.inject(Fault(kind="reboot", duration_s=1.0))
    books = bench.box.books()
    assert books["now_s"] == pytest.approx(13.5)
    assert books["made"] == [("first", [11, 4]), ("second", [2])]
