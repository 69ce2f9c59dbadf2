"""The ESPEC driver against a scripted controller: every byte, refusals, garbage, silence, late replies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.chamber import Chamber
from drivers.espec import create
from protocols.errors import InstrumentError, InvalidFileError, NotAllowedError, UnreachableError

LIMITS = {"lowest_celsius": -20, "highest_celsius": 80}
READ = [(b"TEMP?\r\n", b"24.9,25.0,85.0,-25.0\r\n"), (b"MODE?\r\n", b"CONSTANT\r\n")]
OFF = [(b"TEMP?\r\n", b"24.9,25.0,85.0,-25.0\r\n"), (b"MODE?\r\n", b"OFF\r\n")]
HANG_UP = b""
"""As a reply: the controller closes the connection."""
SILENCE = None
DEADLINE_S = 20.0

Dialogue = Sequence[tuple[bytes, bytes | None]]


def set_to(celsius: str, shows: str | None = None, mode: str = "CONSTANT") -> Dialogue:
    """Return the dialogue of a set-point, and what the controller then shows."""
    shows = celsius if shows is None else shows
    return [
        (f"TEMP, S{celsius}\r\n".encode(), f"OK:TEMP, S{celsius}\r\n".encode()),
        (b"POWER,ON\r\n", b"OK:POWER,ON\r\n"),
        (b"MODE,CONSTANT\r\n", b"OK:MODE,CONSTANT\r\n"),
        (b"TEMP?\r\n", f"24.9,{shows},85.0,-25.0\r\n".encode()),
        (b"MODE?\r\n", f"{mode}\r\n".encode()),
    ]


class Controller:
    """Answers what its dialogue says, and remembers what differed and how many hosts have come."""

    def __init__(self, dialogue: Dialogue) -> None:
        self.dialogue = list(dialogue)
        self.wrong: list[bytes] = []
        self.connections = 0
        self.place = ("", 0)
        self.gone = asyncio.Event()
        """Set when a host has closed a connection."""
        self.late = b""
        """What a controller that kept silent says before its next reply on that connection, or hanging up."""
        self.asked = asyncio.Event()

    async def serve_host(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        owed = b""
        try:
            while line := await reader.readline():
                self.asked.set()
                expected, reply = self.dialogue.pop(0) if self.dialogue else (b"nothing more", b"NA:?\r\n")
                if line != expected:
                    self.wrong.append(line)
                if reply is SILENCE:
                    owed = self.late
                    continue
                writer.write(owed + (reply or self.late))
                if reply == HANG_UP:
                    break
        finally:
            writer.close()
            self.gone.set()


@asynccontextmanager
async def controller(*parts: Dialogue) -> AsyncIterator[Controller]:
    """Serve a dialogue on a free port; it has to be held to the end."""
    made = Controller([turn for part in parts for turn in part])
    server = await asyncio.start_server(made.serve_host, "127.0.0.1", 0)
    made.place = server.sockets[0].getsockname()[:2]
    try:
        yield made
    finally:
        server.close()
    assert (made.wrong, made.dialogue) == ([], [])


@asynccontextmanager
async def chamber(at: Controller, **changes: object) -> AsyncIterator[Chamber]:
    host, port = at.place
    made = create("oven", {"address": f"{host}:{port}", **LIMITS, **changes})
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield made
    finally:
        await made.close()


def test_settings_become_limits_in_kelvin() -> None:
    made = create("oven", {"address": "192.168.0.20", **LIMITS})
    assert (made.temperature_min_K, made.temperature_max_K) == pytest.approx((253.15, 353.15))
    assert (made.name, made.simulated, made.at_host_loss) == ("oven", False, "keeps its set-point")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"address": "oven:0"}, "host:port"),
        ({"address": "oven:70000"}, "host:port"),
        ({"address": "fe80::1"}, "host:port"),
        ({"address": ""}, "host:port"),
        ({"adress": "oven"}, "adress"),
        ({"lowest_celsius": "cold"}, "lowest_celsius"),
        ({"lowest_celsius": 90}, "below"),
        ({"highest_celsius": float("nan")}, "highest_celsius"),
        ({"reply_timeout_s": 0}, "reply_timeout_s"),
    ],
)
def test_a_mistake_in_the_section_is_named(changes: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidFileError, match=named) as found:
        create("oven", {"address": "192.168.0.20", **LIMITS, **changes})
    assert "[chambers.oven]" in str(found.value)


def test_limits_have_to_be_given() -> None:
    with pytest.raises(InvalidFileError, match="highest_celsius"):
        create("oven", {"address": "192.168.0.20", "lowest_celsius": 10})


async def test_connecting_reads_and_changes_nothing() -> None:
    async with controller(READ, READ) as at, chamber(at) as oven:
        await oven.connect()
        reading = await oven.read()
        assert (reading.temperature_K, reading.setpoint_K) == pytest.approx((298.05, 298.15))
        assert reading.running
        assert at.connections == 1


@pytest.mark.parametrize("mode", ["OFF", "STANDBY", "RUN"])
async def test_only_constant_mode_counts_as_running(mode: str) -> None:
    dialogue: Dialogue = [READ[0], (b"MODE?\r\n", f"{mode}\r\n".encode())]
    async with controller(dialogue) as at, chamber(at) as oven:
        assert not (await oven.read()).running


@pytest.mark.parametrize(
    ("kelvin", "celsius"), [(333.15, "60.0"), (273.11, "0.0"), (254.11, "-19.0"), (298.19, "25.0")]
)
async def test_a_set_point_is_sent_before_the_power_and_read_back(kelvin: float, celsius: str) -> None:
    async with controller(OFF, set_to(celsius)) as at, chamber(at) as oven:
        await oven.connect()
        await oven.set_temperature(kelvin)


async def test_a_chamber_is_made_safe_by_switching_it_off_and_reading_back() -> None:
    async with controller([(b"POWER,OFF\r\n", b"OK:POWER,OFF\r\n"), OFF[1]]) as at, chamber(at) as oven:
        await oven.make_safe()


async def test_a_chamber_that_stays_on_is_an_error() -> None:
    async with controller([(b"POWER,OFF\r\n", b"OK:POWER,OFF\r\n"), READ[1]]) as at, chamber(at) as oven:
        with pytest.raises(InstrumentError, match="look at its panel"):
            await oven.make_safe()


async def test_a_chamber_with_a_safe_set_point_goes_there() -> None:
    async with controller(set_to("25.0")) as at, chamber(at, safe_celsius=25) as oven:
        await oven.make_safe()


def test_a_safe_set_point_lies_within_the_limits() -> None:
    with pytest.raises(InvalidFileError, match="safe_celsius"):
        create("oven", {"address": "192.168.0.20", **LIMITS, "safe_celsius": 90})


@pytest.mark.parametrize("kelvin", [253.0, 354.0, float("nan"), float("inf")])
async def test_nothing_outside_the_limits_is_ever_sent(kelvin: float) -> None:
    async with controller() as at, chamber(at) as oven:
        with pytest.raises(NotAllowedError, match="oven"):
            await oven.set_temperature(kelvin)
        assert at.connections == 0


async def test_a_refusal_says_what_was_refused_and_why_and_the_line_goes_on() -> None:
    refusal: Dialogue = [(b"TEMP, S60.0\r\n", b"NA:PROTECT ON\r\n")]
    async with controller(refusal, READ) as at, chamber(at) as oven:
        with pytest.raises(InstrumentError, match=r"oven refuses 'TEMP, S60.0': PROTECT ON"):
            await oven.set_temperature(333.15)
        assert (await oven.read()).running
        assert at.connections == 1


@pytest.mark.parametrize(
    ("dialogue", "named"),
    [
        (set_to("60.0", shows="25.0"), "shows 25.0 °C"),
        (set_to("60.0", mode="STANDBY"), "not running"),
        ([(b"TEMP, S60.0\r\n", b"24.9,25.0,85.0,-25.0\r\n")], "24.9,25.0"),
    ],
)
async def test_a_set_point_that_does_not_arrive_is_an_error(dialogue: Dialogue, named: str) -> None:
    async with controller(dialogue) as at, chamber(at) as oven:
        with pytest.raises(InstrumentError, match=named):
            await oven.set_temperature(333.15)


GARBAGE = [
    b"hello\r\n",
    b"\r\n",
    b"24.9,25.0\r\n",
    b"24.9,25.0,85.0,-25.0,3\r\n",
    b"24.9,,85.0,-25.0\r\n",
    b"nan,25.0,85.0,-25.0\r\n",
    b"24.9,inf,85.0,-25.0\r\n",
    b"-300.0,25.0,85.0,-25.0\r\n",
    b"9999,25.0,85.0,-25.0\r\n",
    b"\xff\xfe\x00\r\n",
    b"x" * 5000,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: repr(garbage[:12]))
async def test_garbage_is_shown_and_the_next_command_has_a_connection_of_its_own(garbage: bytes) -> None:
    async with controller([(b"TEMP?\r\n", garbage)], READ) as at, chamber(at) as oven:
        with pytest.raises(InstrumentError, match="oven answers 'TEMP\\?'") as found:
            await oven.read()
        assert garbage[:5].decode("ascii", "replace").strip("\r\n\ufffd\0") in str(found.value)
        assert len(str(found.value)) < 300
        assert (await oven.read()).temperature_K == pytest.approx(298.05)
        assert at.connections == 2


async def test_a_mode_that_does_not_exist_is_garbage() -> None:
    async with controller([READ[0], (b"MODE?\r\n", b"PARTY\r\n")]) as at, chamber(at) as oven:
        with pytest.raises(InstrumentError, match="PARTY"):
            await oven.read()


async def test_two_lines_for_one_command_are_found_out_before_anything_is_believed() -> None:
    shifted: Dialogue = [
        (b"TEMP?\r\n", b"60.0,60.0,85.0,-25.0\r\n24.9,25.0,85.0,-25.0\r\n"),
        (b"MODE?\r\n", b"CONSTANT\r\n"),
    ]
    async with controller(shifted, READ) as at, chamber(at) as oven:
        with pytest.raises(InstrumentError, match="'MODE\\?'"):
            await oven.read()
        assert (await oven.read()).temperature_K == pytest.approx(298.05)


async def test_silence_is_no_contact() -> None:
    async with controller([(b"TEMP?\r\n", SILENCE)]) as at, chamber(at, reply_timeout_s=0.05) as oven:
        with pytest.raises(UnreachableError, match=r"oven: no reply to 'TEMP\?' in 0\.05 s"):
            await oven.read()
        await at.gone.wait()


async def test_a_late_reply_is_never_taken_for_the_next_one() -> None:
    # With time to answer: a busy computer must not turn the second half into silence.
    async with controller([(b"TEMP?\r\n", SILENCE)], READ) as at, chamber(at, reply_timeout_s=2.0) as oven:
        at.late = b"60.0,60.0,85.0,-25.0\r\n"
        with pytest.raises(UnreachableError):
            await oven.read()
        assert (await oven.read()).temperature_K == pytest.approx(298.05)
        assert at.connections == 2


async def test_a_command_that_is_cancelled_leaves_no_reply_behind() -> None:
    async with controller([(b"TEMP?\r\n", SILENCE)], READ) as at, chamber(at) as oven:
        at.late = READ[0][1]
        task = asyncio.create_task(oven.read())
        await at.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await oven.read()).running
        assert at.connections == 2


async def test_one_command_is_in_flight_at_a_time() -> None:
    first: Dialogue = [(b"TEMP?\r\n", READ[0][1]), (b"TEMP?\r\n", READ[0][1])]
    then: Dialogue = [(b"MODE?\r\n", READ[1][1]), (b"MODE?\r\n", READ[1][1])]
    async with controller(first, then) as at, chamber(at) as oven:
        one, other = await asyncio.gather(oven.read(), oven.read())
        assert one == other
        assert at.connections == 1


@pytest.mark.parametrize("part", [b"", b"24.9,25"])
async def test_a_closed_connection_is_no_contact_and_is_opened_again(part: bytes) -> None:
    async with controller([(b"TEMP?\r\n", HANG_UP)], READ) as at, chamber(at) as oven:
        at.late = part
        with pytest.raises(UnreachableError, match="oven closed the connection"):
            await oven.read()
        at.late = b""
        assert (await oven.read()).running


async def test_nobody_there_is_no_contact() -> None:
    async with controller() as at:
        pass
    async with chamber(at) as oven:
        with pytest.raises(UnreachableError, match=f"oven at 127.0.0.1:{at.place[1]} can't be reached"):
            await oven.connect()


async def test_the_place_of_a_simulated_chamber_is_asked_for_at_each_connection() -> None:
    async with controller(READ) as first, controller(READ) as second:
        places = [first.place, second.place]
        oven = create("oven", {"address": "simulation", **LIMITS}, lambda: places.pop(0))
        assert oven.simulated
        await oven.connect()
        await oven.connect()
        await oven.close()
    assert (first.connections, second.connections) == (1, 1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reply=st.binary(max_size=400))
def test_whatever_comes_is_a_reading_or_an_error_of_ours(reply: bytes) -> None:
    async def ask() -> None:
        dialogue: Dialogue = [(b"TEMP?\r\n", reply + b"\r\n"), READ[1]]
        at = Controller(dialogue)
        server = await asyncio.start_server(at.serve_host, "127.0.0.1", 0)
        at.place = server.sockets[0].getsockname()[:2]
        async with chamber(at) as oven:
            try:
                reading = await oven.read()
            except InstrumentError:
                return
            finally:
                server.close()
            assert 0 < reading.temperature_K < 1000

    asyncio.run(ask())
