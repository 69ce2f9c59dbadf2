"""The driver against a library that follows a script: what it calls, in order, and what it makes of replies.

The script's functions are C functions of the vendor's signatures, so that structs really travel.
"""

from __future__ import annotations

import asyncio
import ctypes
import struct
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from drivers.biologic import create
from drivers.biologic.connection import READBACK_INTERVAL_S
from drivers.biologic.constants import ChannelState, IRange
from drivers.biologic.following import MISSES_TO_GIVE_UP
from drivers.biologic.library import FUNCTIONS, function_type
from drivers.biologic.potentiostat import BioLogicInstrument
from drivers.biologic.settings import Settings
from drivers.biologic.structs import ChannelInfos, CurrentValues, DataInfos, ExperimentInfos
from drivers.instrument import Poll
from protocols.cell import Cell
from protocols.errors import BusyError, InstrumentError, InvalidFileError, UnreachableError
from protocols.measurements import FLAG_OVERFLOW
from protocols.nodes import ConstantCurrent, ConstantVoltage, Geis, Node, Repeat, Rest
from protocols.position import Position
from protocols.program import Limits, Program
from protocols.records import Ticket

STOP, RUN = ChannelState.STOP, ChannelState.RUN
TB = 2.0**-10
TICKET = Ticket(run=7, segment=2, program="0" * 64)

Block = tuple[dict[str, int | float], bytes, CurrentValues]


def values(state: int = RUN, filled: int = 0, **more: float) -> CurrentValues:
    return CurrentValues(State=state, MemFilled=filled, TimeBase=TB, IRange=7, **more)


NOTHING: Block = ({}, b"", values())
ALL_ZERO: Block = ({}, b"", CurrentValues())
ENDED: Block = ({}, b"", values(STOP))


def dc(
    index: int, *rows: tuple[float, float, float], start_s: float = 0.0, loop: int = 0, **more: Any
) -> Block:
    """A block of CPLIMIT rows: time in s, E, I."""
    words = b"".join(struct.pack("<IIffI", 0, round(t / TB), e, i, 0) for t, e, i in rows)
    infos = {"TechniqueID": 155, "NbRows": len(rows), "NbCols": 5, "TechniqueIndex": index, "loop": loop}
    return {**infos, "StartTime": start_s}, words, more.get("shown", values())


def ocv(index: int, *rows: tuple[float, float], start_s: float = 0.0) -> Block:
    """A block of OCV rows: time in s, E."""
    words = b"".join(struct.pack("<IIf", 0, round(t / TB), e) for t, e in rows)
    infos = {"TechniqueID": 100, "NbRows": len(rows), "NbCols": 3, "TechniqueIndex": index}
    return {**infos, "StartTime": start_s}, words, values()


def points(index: int, *rows: tuple[float, float], start_s: float = 0.0) -> Block:
    """A block of GEIS points: frequency, time in s; Z = 100 Ω."""
    words = b"".join(struct.pack("<14f", f, 1e-3, 1e-5, 0.0, 0.1, 5e-4, *[0.0] * 7, t) for f, t in rows)
    infos = {"TechniqueID": 107, "NbRows": len(rows), "NbCols": 14, "TechniqueIndex": index}
    return {**infos, "ProcessIndex": 1, "StartTime": start_s}, words, values(Freq=10.0)


def plain(argument: Any) -> Any:
    """Make an argument of a C function comparable; pointers are left out."""
    if isinstance(argument, ctypes.Structure):
        return getattr(argument, "FileName", argument.__class__.__name__)
    return argument if isinstance(argument, int | float | bytes | bool | None) else "pointer"


class ScriptedLibrary:
    """One VSP-300 with channels 0 and 3; answers of BL_GetData and BL_GetCurrentValues come from queues."""

    simulated = True

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.results: dict[str, deque[int]] = {}
        self.blocks: dict[int, deque[Block]] = {0: deque(), 3: deque()}
        self.shown: deque[CurrentValues] = deque()
        self.infos: deque[ChannelInfos] = deque()
        self.firmware = {0: 5, 3: 5}
        self.state = STOP
        self.marker = b""
        self.board = 2
        self.gate = threading.Event()
        """While it is clear, BL_GetData does not return."""
        self.gate.set()
        self._functions = {name: self._make(name) for name in FUNCTIONS}

    def __getitem__(self, name: str) -> Callable[..., int]:
        function: Callable[..., int] = self._functions[name]
        return function

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def _make(self, name: str) -> Any:
        act: Callable[..., int | None] = getattr(self, name.removeprefix("BL_"), lambda *_: 0)

        def call(*arguments: Any) -> int:
            self.calls.append((name, *map(plain, arguments)))
            queue = self.results.get(name)
            result = queue.popleft() if queue else 0
            return result or act(*arguments) or 0

        return function_type(name)(call)

    def Connect(self, address: bytes, timeout: int, number: Any, infos: Any) -> None:
        number[0] = 5
        infos[0].DeviceCode = 20

    def GetChannelsPlugged(self, number: int, plugged: Any, size: int) -> None:
        for channel in self.blocks:
            plugged[channel] = 1

    def GetChannelBoardType(self, number: int, channel: int, board: Any) -> None:
        board[0] = self.board

    def GetChannelInfos(self, number: int, channel: int, infos: Any) -> int:
        if self.infos:
            infos[0] = self.infos.popleft()
            return 0
        infos[0].FirmwareCode = self.firmware[channel]
        infos[0].MemSize = 1000
        infos[0].State = self.state
        return 0 if self.firmware[channel] == 5 else -308

    def LoadFirmware(self, number: int, channels: Any, results: Any, *_: Any) -> None:
        for channel in self.firmware:
            if channels[channel]:
                self.firmware[channel] = 5

    def SetExperimentInfos(self, number: int, channel: int, infos: ExperimentInfos) -> None:
        self.marker = infos.FileName

    def GetExperimentInfos(self, number: int, channel: int, infos: Any) -> None:
        infos[0].FileName = self.marker

    def GetData(self, number: int, channel: int, buffer: Any, infos: Any, shown: Any) -> None:
        self.gate.wait(30.0)
        fields, words, now = self.blocks[channel].popleft() if self.blocks[channel] else NOTHING
        infos[0] = DataInfos(**fields)
        ctypes.memmove(buffer, words, len(words))
        shown[0] = now

    def GetCurrentValues(self, number: int, channel: int, shown: Any) -> None:
        shown[0] = self.shown.popleft() if self.shown else values(STOP)

    def DefineSglParameter(self, label: bytes, value: float, index: int, record: Any) -> None:
        record[0].ParamStr = label


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def library() -> ScriptedLibrary:
    return ScriptedLibrary()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def box(library: ScriptedLibrary, clock: Clock) -> AsyncIterator[BioLogicInstrument]:
    instrument = BioLogicInstrument("box", Settings(address="10.0.0.2"), library, clock)
    await instrument.connect()
    library.calls.clear()
    yield instrument
    await instrument.close()


def drive(index: int = 0, current_A: float = 5e-4, duration_s: float = 100.0) -> ConstantCurrent:
    return ConstantCurrent(index=index, label=f"drive {index}", current_A=current_A, duration_s=duration_s)


def sweep(index: int) -> Geis:
    edges = {"frequency_start_Hz": 100.0, "frequency_end_Hz": 1.0, "points_per_decade": 1}
    return Geis(index=index, label="sweep", current_A=5e-4, amplitude_A=1e-5, **edges)


def program(*steps: Node) -> Program:
    return Program(
        protocol="test",
        cell=Cell(name="cell", area_m2=1e-4),
        steps=steps or (drive(),),
        limits=Limits(voltage_min_V=-1.0, voltage_max_V=1.5, current_max_A=0.01),
    )


async def poll_after(
    box: BioLogicInstrument, library: ScriptedLibrary, *blocks: Block, channel: int = 0
) -> Poll:
    library.blocks[channel].extend(blocks)
    return await box.poll()


async def test_connect_identifies_and_loads_firmware_where_it_is_missing(library: ScriptedLibrary) -> None:
    library.firmware[3] = 0
    instrument = BioLogicInstrument("box", Settings(address="10.0.0.2", technique_folder="/ec/"), library)
    await instrument.connect()
    await instrument.close()
    assert library.calls == [
        ("BL_Connect", b"10.0.0.2", 5, "pointer", "pointer"),
        ("BL_GetChannelsPlugged", 5, "pointer", 16),
        ("BL_GetChannelBoardType", 5, 0, "pointer"),
        ("BL_GetChannelInfos", 5, 0, "pointer"),
        ("BL_GetChannelBoardType", 5, 3, "pointer"),
        ("BL_GetChannelInfos", 5, 3, "pointer"),
        (
            "BL_LoadFirmware",
            *(5, "pointer", "pointer", 16, False, False, b"/ec/kernel4.bin", b"/ec/Vmp_iv_0395_aa.xlx"),
        ),
        ("BL_Disconnect", 5),
    ]


async def test_an_all_zero_answer_never_loads_firmware(library: ScriptedLibrary) -> None:
    library.infos.extend([ChannelInfos(), ChannelInfos()])
    instrument = create("box", {"address": "10.0.0.2"}, library)
    await instrument.connect()
    await instrument.close()
    assert "BL_LoadFirmware" not in library.names()


async def test_a_channel_that_runs_other_firmware_is_left_alone(library: ScriptedLibrary) -> None:
    library.infos.append(ChannelInfos(FirmwareCode=1, MemSize=1000, State=RUN))
    instrument = create("box", {"address": "10.0.0.2"}, library)
    await instrument.connect()
    with pytest.raises(InstrumentError, match="another program"):
        await instrument.start(0, program(), TICKET)
    assert [look.connected for look in await instrument.look()] == [False, True]
    await instrument.close()
    assert "BL_LoadFirmware" not in library.names()


@pytest.mark.parametrize(
    ("section", "code", "error"),
    [({}, -201, UnreachableError), ({"model": "SP-300"}, 0, InstrumentError)],
)
async def test_connect_refused(
    library: ScriptedLibrary, section: dict[str, object], code: int, error: type[Exception]
) -> None:
    library.results["BL_Connect"] = deque([code])
    instrument = create("box", {"address": "10.0.0.2", **section}, library)
    with pytest.raises(error):
        await instrument.connect()
    with pytest.raises(UnreachableError, match="not connected"):
        await instrument.look()


@pytest.mark.parametrize("section", [{}, {"address": "x", "speed": 2}, {"address": "x", "model": "VMP3"}])
def test_mistakes_in_the_section_are_named(library: ScriptedLibrary, section: dict[str, object]) -> None:
    with pytest.raises(InvalidFileError, match=r"\[instruments.box\]"):
        create("box", section, library)


async def test_start_marks_loads_and_starts(box: BioLogicInstrument, library: ScriptedLibrary) -> None:
    await box.start(3, program(Rest(index=0, label="rest", duration_s=10.0), drive(1)), TICKET)
    told = [call for call in library.calls if not call[0].startswith("BL_Define")]
    assert told == [
        ("BL_GetChannelInfos", 5, 3, "pointer"),
        ("BL_LoadTechnique", 5, 3, b"ocv4.ecc", "EccParams", True, False, False),
        ("BL_LoadTechnique", 5, 3, b"cplimit4.ecc", "EccParams", False, False, False),
        ("BL_LoadTechnique", 5, 3, b"ocv4.ecc", "EccParams", False, True, False),
        ("BL_SetExperimentInfos", 5, 3, TICKET.marker.encode()),
        ("BL_StartChannel", 5, 3),
    ]
    defined = [call[:2] + call[3:4] for call in library.calls if call[0].startswith("BL_Define")]
    assert defined[0] == ("BL_DefineSglParameter", b"Rest_time_T", 0)
    assert ("BL_DefineBoolParameter", b"vs_initial", 0) in defined
    assert ("BL_DefineIntParameter", b"Test1_Config", 0) in defined


async def test_start_refuses_a_running_channel(box: BioLogicInstrument, library: ScriptedLibrary) -> None:
    library.state = RUN
    with pytest.raises(BusyError, match="runs already"):
        await box.start(0, program(), TICKET)
    assert library.names() == ["BL_GetChannelInfos"]


@pytest.mark.parametrize("name", ["BL_LoadTechnique", "BL_StartChannel", "BL_SetExperimentInfos"])
async def test_a_failed_start_opens_the_circuit(
    box: BioLogicInstrument, library: ScriptedLibrary, name: str
) -> None:
    library.results[name] = deque([-6])
    with pytest.raises(InstrumentError, match="its circuit is open"):
        await box.start(0, program(), TICKET)
    assert library.names()[-3:] == ["BL_StopChannel", "BL_GetCurrentValues", "BL_GetCurrentValues"]
    await poll_after(box, library)
    assert library.names()[-1] == "BL_GetCurrentValues"


async def test_samples_carry_step_visit_and_the_segments_time(
    box: BioLogicInstrument, library: ScriptedLibrary
) -> None:
    loop = Repeat(total=9, start=4, stop=9, body=(drive(0), drive(1, -5e-4)))
    await box.start(0, program(loop), TICKET)
    poll = await poll_after(
        box,
        library,
        dc(0, (0.0, 0.1, 5e-4), (1.0, 0.11, 5e-4), shown=values(filled=20)),
        dc(1, (0.0, -0.1, -5e-4), start_s=300.0, loop=1, shown=values(Eoverflow=1, Ewe=-0.1, I=-5e-4)),
    )
    rows = [tuple(row) for row in poll.samples[["channel", "t_s", "step", "visit", "flags"]].tolist()]
    assert rows == [(0, 0.0, 0, 4, 0), (0, 1.0, 0, 4, 0), (0, 300.0, 1, 5, FLAG_OVERFLOW)]
    assert poll.samples["current_A"].tolist() == pytest.approx([5e-4, 5e-4, -5e-4])
    (shown,) = poll.values
    assert shown.running
    assert shown.voltage_V == pytest.approx(-0.1)
    assert not poll.more


async def test_a_spectrum_of_two_blocks(box: BioLogicInstrument, library: ScriptedLibrary) -> None:
    await box.start(0, program(drive(0), sweep(1)), TICKET)
    poll = await poll_after(box, library, points(1, (100.0, 0.01), (10.0, 0.11), start_s=100.0))
    assert not poll.spectra
    assert poll.values[0].sweeping
    assert not len(poll.samples)
    poll = await poll_after(box, library, points(1, (1.0, 1.11), start_s=100.0))
    (spectrum,) = poll.spectra
    assert spectrum.frequency_Hz == pytest.approx((100.0, 10.0, 1.0))
    assert spectrum.z_real_ohm == pytest.approx((100.0,) * 3, rel=1e-6)
    assert spectrum.t_s == pytest.approx((100.01, 100.11, 101.11))
    assert spectrum.step == 1
    assert spectrum.current_A == pytest.approx(5e-4)


async def test_the_start_race_and_zeros_are_no_end(
    box: BioLogicInstrument, library: ScriptedLibrary, clock: Clock
) -> None:
    await box.start(0, program(), TICKET)
    for reply in (ENDED, ENDED, ENDED, ALL_ZERO):
        poll = await poll_after(box, library, reply)
        assert not poll.ended
    poll = await poll_after(box, library, NOTHING, ALL_ZERO)
    poll = await poll_after(box, library, ALL_ZERO)
    poll = await poll_after(box, library, ALL_ZERO, ALL_ZERO)
    assert not poll.ended
    assert not poll.values


async def test_a_channel_that_never_runs_has_failed(
    box: BioLogicInstrument, library: ScriptedLibrary, clock: Clock
) -> None:
    await box.start(0, program(), TICKET)
    assert not (await poll_after(box, library, ENDED)).ended
    clock.now_s = 11.0
    assert (await poll_after(box, library, ENDED)).ended[0].reason == "fault"


async def test_the_final_ocv_means_complete(box: BioLogicInstrument, library: ScriptedLibrary) -> None:
    await box.start(0, program(), TICKET)
    poll = await poll_after(box, library, dc(0, (100.0, 0.2, 5e-4)))
    assert not poll.ended
    poll = await poll_after(box, library, ocv(1, (0.125, 0.0), start_s=100.0))
    assert not len(poll.samples)
    assert not poll.ended
    poll = await poll_after(box, library, ENDED)
    assert not poll.ended
    poll = await poll_after(box, library, ENDED, ENDED)
    assert poll.ended[0].reason == "complete"
    assert poll.ended[0].position.finished
    assert not (await box.poll()).values


async def test_a_limit_on_board_is_named(box: BioLogicInstrument, library: ScriptedLibrary) -> None:
    await box.start(0, program(), TICKET)
    await poll_after(box, library, NOTHING)
    tail = dc(0, (10.0, 0.2, 5e-4), (10.5, -1.01, 5e-4), shown=values(STOP))
    poll = await poll_after(box, library, tail, ENDED, ENDED)
    end = poll.ended[0]
    assert end.reason == "limit"
    assert "lower voltage limit of -1 V" in end.message
    assert end.position.time_s == pytest.approx(10.5)
    assert end.position.charge_C == pytest.approx(10.5 * 5e-4, rel=1e-6)
    assert len(poll.samples) == 2


async def test_position_counts_what_was_done_before(
    box: BioLogicInstrument, library: ScriptedLibrary
) -> None:
    left = program().remainder(Position(step=0, time_s=40.0, charge_C=0.02))
    await box.start(0, left, TICKET)
    poll = await poll_after(box, library, dc(0, (10.0, 1.6, 5e-4), shown=values(STOP)), ENDED, ENDED)
    position = poll.ended[0].position
    assert position.time_s == 50.0
    assert position.charge_C == pytest.approx(0.025, rel=1e-6)


async def test_an_early_end_of_a_rest_is_a_fault(box: BioLogicInstrument, library: ScriptedLibrary) -> None:
    await box.start(0, program(Rest(index=0, label="rest", duration_s=60.0)), TICKET)
    poll = await poll_after(box, library, ocv(0, (5.0, 0.1)))
    assert not poll.ended
    poll = await poll_after(box, library, ENDED, ENDED)
    assert (poll.ended[0].reason, poll.ended[0].position.time_s) == ("fault", 5.0)


async def test_a_foreign_load_is_a_fault(box: BioLogicInstrument, library: ScriptedLibrary) -> None:
    await box.start(0, program(), TICKET)
    poll = await poll_after(box, library, dc(8, (1.0, 0.1, 1e-3)))
    assert poll.ended[0].reason == "fault"
    assert "technique 8" in poll.ended[0].message


async def test_stop_reads_back_past_zeros_and_current(
    box: BioLogicInstrument, library: ScriptedLibrary
) -> None:
    await box.start(0, program(), TICKET)
    await poll_after(box, library, dc(0, (1.0, 0.2, 5e-4)))
    library.calls.clear()
    confirming = values(STOP, Ewe=0.05, I=1e-8, ElapsedTime=1.5)
    library.shown.extend(
        [
            CurrentValues(),
            values(STOP),
            values(RUN),
            values(STOP, I=5e-4),
            confirming,
            CurrentValues(),
            confirming,
        ]
    )
    opened = await box.stop(0)
    assert library.names() == ["BL_StopChannel"] + ["BL_GetCurrentValues"] * 7
    assert opened.confirmed
    assert opened.segment_t_s == 1.5
    assert opened.voltage_V == pytest.approx(0.05)
    over: Block = ({}, b"", confirming)
    poll = await poll_after(box, library, dc(0, (1.25, 0.2, 5e-4), shown=values(STOP)), over, over)
    assert len(poll.samples) == 1
    assert poll.ended[0].reason == "stopped"
    assert poll.ended[0].position.time_s == pytest.approx(1.5)
    assert poll.ended[0].position.charge_C == pytest.approx(1.5 * 5e-4, rel=1e-6)


async def test_a_stop_that_cannot_be_confirmed_says_so(
    box: BioLogicInstrument, library: ScriptedLibrary
) -> None:
    library.shown.extend([values(RUN, I=5e-4)] * 1000)
    assert not (await box.stop(0)).confirmed
    waited_s = library.names().count("BL_GetCurrentValues") * READBACK_INTERVAL_S
    assert 0.1 < waited_s <= 0.25


async def test_no_current_in_a_range_that_the_instrument_chooses(
    box: BioLogicInstrument, library: ScriptedLibrary
) -> None:
    hold = ConstantVoltage(index=0, label="hold", duration_s=100.0, voltage_V=0.5)
    await box.start(0, program(hold), TICKET)
    shown = [values(state, I=current_A) for state, current_A in [(RUN, 0.0), (STOP, 2e-5), (STOP, 5e-6)]]
    for show in (*shown, shown[-1]):
        show.IRange = IRange.AUTO
        library.shown.append(show)
    assert (await box.stop(0)).confirmed
    assert not library.shown


async def test_attach_takes_over_its_own_segment_only(
    box: BioLogicInstrument, library: ScriptedLibrary
) -> None:
    plan = program(Repeat(total=5, stop=5, body=(drive(0), drive(1, -5e-4))))
    library.marker = b"somebody.mps"
    assert await box.attach(0, plan, TICKET) is None
    assert not (await box.poll()).values
    library.marker = TICKET.marker.encode()
    library.blocks[0].append(dc(1, (20.0, -0.1, -5e-4), start_s=500.0, loop=2))
    position = await box.attach(0, plan, TICKET)
    assert position is not None
    assert (position.step, position.loops, position.time_s) == (1, (2,), 20.0)
    assert position.charge_C == pytest.approx(-0.01, rel=1e-6)
    poll = await box.poll()
    assert poll.samples["visit"].tolist() == [2]
    assert await box.attach(0, plan, TICKET) == position


async def test_attach_without_data_begins_at_the_start(
    box: BioLogicInstrument, library: ScriptedLibrary
) -> None:
    library.marker = TICKET.marker.encode()
    assert await box.attach(0, program(), TICKET) == Position(step=0)
    late: Block = ({}, b"", values(STOP, ElapsedTime=101.0))
    poll = await poll_after(box, library, late, late)
    assert poll.ended[0].reason == "complete"


@pytest.mark.parametrize(("elapsed_s", "reason"), [(99.0, "fault"), (160.0, "complete"), (3600.0, "fault")])
async def test_a_time_that_is_not_the_lists_is_no_end_of_it(
    box: BioLogicInstrument, library: ScriptedLibrary, elapsed_s: float, reason: str
) -> None:
    library.marker = TICKET.marker.encode()
    await box.attach(0, program(), TICKET)
    stale: Block = ({}, b"", values(STOP, ElapsedTime=elapsed_s))
    assert (await poll_after(box, library, stale, stale)).ended[0].reason == reason


async def test_attach_drops_what_another_program_has_replaced(
    box: BioLogicInstrument, library: ScriptedLibrary
) -> None:
    await box.start(0, program(), TICKET)
    await poll_after(box, library, dc(0, (1.0, 0.1, 5e-4)))
    await box.close()
    await box.connect()
    library.marker = b"somebody.mps"
    assert await box.attach(0, program(), TICKET) is None
    poll = await poll_after(box, library, dc(0, (100.0, 0.5, 5e-4)))
    assert not len(poll.samples)
    assert not poll.ended


async def test_a_channel_that_refuses_its_data_blinds_no_other(
    box: BioLogicInstrument, library: ScriptedLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    await box.start(0, program(), TICKET)
    await box.start(3, program(), TICKET)
    polls = []
    for number in range(MISSES_TO_GIVE_UP):
        library.results["BL_GetData"] = deque([-104])
        polls.append(await poll_after(box, library, dc(0, (float(number), 0.1, 5e-4)), channel=3))
    assert [poll.samples["channel"].tolist() for poll in polls] == [[3]] * MISSES_TO_GIVE_UP
    assert [list(poll.ended) for poll in polls] == [[]] * (MISSES_TO_GIVE_UP - 1) + [[0]]
    end = polls[-1].ended[0]
    assert end.reason == "fault"
    assert "box channel 0: BL_GetData failed with -104" in end.message
    assert len(caplog.records) == 1


async def test_refusals_that_pass_are_no_fault(box: BioLogicInstrument, library: ScriptedLibrary) -> None:
    await box.start(0, program(), TICKET)
    for _ in range(MISSES_TO_GIVE_UP):
        library.results["BL_GetData"] = deque([-104])
        assert not (await box.poll()).ended
        assert not (await poll_after(box, library, NOTHING)).ended


async def test_no_second_thread_enters_the_library(library: ScriptedLibrary) -> None:
    instrument = create("box", {"address": "10.0.0.2", "call_timeout_s": 0.2}, library)
    await instrument.connect()
    await instrument.start(0, program(), TICKET)
    library.gate.clear()
    with pytest.raises(UnreachableError, match="did not answer"):
        await instrument.poll()
    library.calls.clear()
    for _ in range(2):
        with pytest.raises(UnreachableError, match="has not returned"):
            await instrument.connect()
    assert not library.calls
    library.gate.set()
    await until_connected(instrument)
    assert len((await poll_after(instrument, library, dc(0, (1.0, 0.1, 5e-4)))).samples) == 1
    await instrument.close()


async def until_connected(instrument: BioLogicInstrument) -> None:
    async with asyncio.timeout(10.0):
        while True:
            try:
                return await instrument.connect()
            except UnreachableError:
                await asyncio.sleep(0.01)


async def test_lost_samples_and_more(box: BioLogicInstrument, library: ScriptedLibrary) -> None:
    await box.start(0, program(), TICKET)
    fields, words, _ = dc(0, (1.0, 0.1, 5e-4))
    full = values(filled=4000)
    library.blocks[0].extend([({**fields, "IRQskipped": 4}, words, full)] + [(fields, words, full)] * 30)
    poll = await box.poll()
    assert poll.lost_samples == {0: 4}
    assert poll.more


async def test_a_lost_connection_keeps_what_was_fetched(
    box: BioLogicInstrument, library: ScriptedLibrary
) -> None:
    await box.start(0, program(), TICKET)
    await box.start(3, program(), TICKET)
    library.blocks[0].append(dc(0, (1.0, 0.1, 5e-4)))
    library.results["BL_GetData"] = deque([0, -200])
    with pytest.raises(UnreachableError, match="ERR_COMM_COMMFAILED"):
        await box.poll()
    await box.close()
    await box.connect()
    assert (await box.poll()).samples["t_s"].tolist() == [1.0]


async def test_look_touches_nothing(box: BioLogicInstrument, library: ScriptedLibrary) -> None:
    library.marker = TICKET.marker.encode()
    library.state = RUN
    library.shown.extend([values(RUN, Ewe=0.25, I=1e-3)] * 2)
    looks = await box.look()
    assert [(look.channel, look.running, look.marker) for look in looks] == [
        (0, True, TICKET.marker),
        (3, True, TICKET.marker),
    ]
    assert set(library.names()) == {"BL_GetChannelInfos", "BL_GetCurrentValues", "BL_GetExperimentInfos"}


async def test_boards_of_type_3_are_converted_by_the_library(library: ScriptedLibrary) -> None:
    library.board = 3
    instrument = create("box", {"address": "10.0.0.2"}, library)
    await instrument.connect()
    await instrument.start(0, program(), TICKET)
    assert ("BL_LoadTechnique", 5, 0, b"cplimit5.ecc", "EccParams", True, False, False) in library.calls
    await poll_after(instrument, library, dc(0, (1.0, 0.1, 5e-4)))
    assert ("BL_ConvertChannelNumericIntoSingle", struct.unpack("<I", struct.pack("<f", 0.1))[0]) in [
        call[:2] for call in library.calls
    ]
    await instrument.close()
