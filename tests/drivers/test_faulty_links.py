"""The real drivers against instruments whose link or power fails, over the real wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from simulated_server import ADDRESS, Collected, Server, collect, program, ticket

from drivers.biologic import create
from drivers.biologic.library import Library
from drivers.biologic.potentiostat import BioLogicInstrument
from drivers.simulation.control import inject
from drivers.simulation.eclib import simulated_library
from drivers.simulation.faults import Fault
from drivers.simulation.wire import find_control
from protocols.errors import InstrumentError, NotAllowedError, UnreachableError
from protocols.nodes import ConstantCurrent
from protocols.program import Program

DEADLINE_S = 60.0
QUICK = {"address": ADDRESS, "connect_timeout_s": 1, "call_timeout_s": 2.0}
PLAN = program(ConstantCurrent(index=0, label="drive", current_A=5e-4, duration_s=400.0))

LINK_FAULTS = [
    Fault(kind="drop_link"),
    Fault(kind="drop_link", duration_s=50.0),
    Fault(kind="delay", by_s=0.05, duration_s=20.0),
    Fault(kind="delay", by_s=5.0, duration_s=20.0),
    Fault(kind="garbage", count=2),
    Fault(kind="truncated"),
    Fault(kind="freeze", duration_s=30.0),
    Fault(kind="comm_loss", count=2),
    Fault(kind="zeros", count=5),
]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path, 200.0)
    await made.start()
    yield made
    await made.end()


@pytest.fixture
async def box(server: Server) -> AsyncIterator[BioLogicInstrument]:
    instrument = create("box1", QUICK, simulated_library(server.state_file))
    await instrument.connect()
    yield instrument
    await instrument.close()


async def go_wrong(server: Server, fault: Fault, instrument: str = ADDRESS) -> None:
    await asyncio.to_thread(inject, server.state_file, instrument, fault)


async def connect_again(box: BioLogicInstrument) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await box.connect()
            except (UnreachableError, InstrumentError):
                await asyncio.sleep(0.05)
            else:
                return


async def follow(box: BioLogicInstrument, plan: Program, got: Collected) -> None:
    """Collect to the segment's end, with a new connection and the old segment wherever contact is lost."""
    while not got.ended:
        try:
            await collect(box, lambda now: bool(now.ended), got)
        except UnreachableError:
            await connect_again(box)
            assert await box.attach(0, plan, ticket(plan)) is not None


@pytest.mark.parametrize("fault", LINK_FAULTS, ids=lambda fault: f"{fault.kind}-{fault.by_s or fault.count}")
async def test_a_segment_lives_through_faults_of_the_link(
    server: Server, box: BioLogicInstrument, fault: Fault
) -> None:
    await box.start(0, PLAN, ticket(PLAN))
    got = await collect(box, lambda now: len(now.samples) > 50)
    await go_wrong(server, fault)
    await follow(box, PLAN, got)
    assert got.ended[0].reason == "complete"
    steps_s = np.diff(got.samples["t_s"])
    assert steps_s.min() > 0
    assert got.samples["t_s"][-1] == pytest.approx(400.0, abs=0.1)
    in_doubt = {"drop_link", "garbage", "truncated", "delay", "freeze"}
    # Only a block that was on its way may be missing: at most max_lag of instrument time a fault.
    assert sum(steps_s[steps_s > 1.5]) <= (25.0 if fault.kind in in_doubt else 0.0)
    np.testing.assert_allclose(got.samples["current_A"], 5e-4, rtol=1e-2)


async def test_a_reboot_leaves_no_segment_to_take_over_and_an_open_circuit(
    server: Server, box: BioLogicInstrument
) -> None:
    await box.start(0, PLAN, ticket(PLAN))
    await collect(box, lambda now: len(now.samples) > 50)
    await go_wrong(server, Fault(kind="reboot", duration_s=100.0), "box1")
    with pytest.raises(UnreachableError):
        await collect(box, lambda now: bool(now.ended))
    await connect_again(box)
    assert await box.attach(0, PLAN, ticket(PLAN)) is None
    look = {look.channel: look for look in await box.look()}[0]
    assert (look.running, look.marker, look.current_A) == (False, "", 0.0)
    await box.start(0, PLAN, ticket(PLAN))
    got = await collect(box, lambda now: len(now.samples) > 5)
    assert got.samples["t_s"][0] < 1.0
    assert (await box.stop(0)).confirmed


class Ambush:
    """The simulated library, with a fault that begins right before a function is called."""

    simulated = True

    def __init__(self, library: Library, state_file: Path, function: str, fault: Fault) -> None:
        self._library, self._state_file = library, state_file
        self._function, self._fault = function, fault
        self.sprung = 0

    def __getitem__(self, name: str) -> Callable[..., int]:
        if name == self._function and not self.sprung:
            self.sprung += 1
            inject(self._state_file, ADDRESS, self._fault)
        return self._library[name]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="truncated"),
        Fault(kind="garbage"),
        Fault(kind="drop_link"),
        Fault(kind="comm_loss", count=2),
    ],
    ids=lambda fault: fault.kind,
)
async def test_after_a_start_without_an_answer_the_channel_is_open_or_found_by_its_marker(
    server: Server, fault: Fault
) -> None:
    for function in ("BL_LoadTechnique", "BL_SetExperimentInfos", "BL_StartChannel"):
        library = Ambush(simulated_library(server.state_file), server.state_file, function, fault)
        box = create("box1", QUICK, library)
        await box.connect()
        await start_without_an_answer(box)
        assert library.sprung
        await box.close()


async def start_without_an_answer(box: BioLogicInstrument) -> None:
    with pytest.raises(InstrumentError, match="did not start"):
        await box.start(0, PLAN, ticket(PLAN))
    await connect_again(box)
    position = await box.attach(0, PLAN, ticket(PLAN))
    running = {look.channel: look.running for look in await box.look()}[0]
    assert not running or position is not None
    assert (await box.stop(0)).confirmed


async def test_a_stop_without_an_answer_is_confirmed_by_the_next_connection(server: Server) -> None:
    fault = Fault(kind="truncated")
    library = Ambush(simulated_library(server.state_file), server.state_file, "BL_StopChannel", fault)
    box = create("box1", QUICK, library)
    await box.connect()
    await box.start(0, PLAN, ticket(PLAN))
    got = await collect(box, lambda now: len(now.samples) > 50)
    with pytest.raises(UnreachableError):
        await box.stop(0)
    await connect_again(box)
    assert await box.attach(0, PLAN, ticket(PLAN)) is not None
    assert (await box.stop(0)).confirmed
    await collect(box, lambda now: bool(now.ended), got)
    assert got.ended[0].reason == "stopped"
    await box.close()


async def test_what_an_instrument_cannot_have_is_refused(server: Server) -> None:
    with pytest.raises(NotAllowedError, match="door_open cannot happen"):
        await go_wrong(server, Fault(kind="door_open", duration_s=1.0))
    with pytest.raises(NotAllowedError, match="there is no channel 9"):
        await go_wrong(server, Fault(kind="skipped", channel=9))
    with pytest.raises(NotAllowedError, match=r"there are 192\.168\.0\.10, box1"):
        await go_wrong(server, Fault(kind="drop_link"), "box2")
    reader, writer = await asyncio.open_connection(*find_control(server.state_file))
    for line, answer in ((b"{", b"Invalid JSON"), (b'{"fault": null}', b"instrument: Field required")):
        writer.write(line + b"\n")
        assert answer in await asyncio.wait_for(reader.readline(), DEADLINE_S)
    writer.close()
    await writer.wait_closed()
    await server.end()
    with pytest.raises(UnreachableError, match="sandtime simulate"):
        await go_wrong(server, Fault(kind="drop_link"))
