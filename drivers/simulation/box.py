"""A simulated VSP-300: what it keeps and does, whoever is connected."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping

from drivers.biologic.constants import BoardType, DeviceCode, ErrorCode
from drivers.biologic.structs import CurrentValues, DataInfos, DeviceInfos
from drivers.simulation.attention import Attention
from drivers.simulation.chamber import SimulatedChamber
from drivers.simulation.channel import Channel
from drivers.simulation.clock import HeldClock
from drivers.simulation.config import CHANNELS_MAX, BoxConfig, ChannelConfig
from drivers.simulation.faults import Change, Fault, Faults
from drivers.simulation.techniques import RefusedError
from drivers.simulation.warmth import Warmth
from drivers.simulation.wire import LOAD_HEAD, Operation

DEVICE_FIRMWARE = 1140

Answer = Callable[[Channel, bytes], bytes]


class Box:
    """The instrument's side of every operation of the wire, and its life between requests."""

    def __init__(
        self, config: BoxConfig, clock: HeldClock, chambers: Mapping[str, SimulatedChamber] | None = None
    ) -> None:
        """``chambers``: those that cells of this box sit in, on the same clock."""
        self.faults = Faults(config.faults)
        self.zeros_left = 0
        """How many of the next readings are answered with zeros."""
        self.lost_calls = 0
        """How many of the next calls fail."""
        self._clock = clock
        self._attention = Attention(clock.real_s)
        self._channels = {
            number - 1: Channel(
                number,
                wired.cell,
                config.memory_bytes,
                config.techniques_max,
                _warmth(wired, chambers or {}),
                wired.meter.errors(),
            )
            for number, wired in config.channels.items()
        }
        self._connections = 0
        self._connections_max = config.connections_max
        self._answers: dict[Operation, Answer] = {
            Operation.BOARD_TYPE: lambda channel, _: int(BoardType.PREMIUM).to_bytes(4, "little"),
            Operation.CHANNEL_INFOS: self._channel_infos,
            Operation.LOAD_FIRMWARE: self._load_firmware,
            Operation.GET_HARDWARE: lambda channel, _: channel.hardware,
            Operation.SET_HARDWARE: self._set_hardware,
            Operation.OPTION_ERROR: lambda channel, _: bytes(8),
            Operation.LOAD_TECHNIQUE: self._load_technique,
            Operation.START: self._start,
            Operation.STOP: self._stop,
            Operation.VALUES: lambda channel, _: bytes(channel.values(self._clock.now_s)),
            Operation.DATA: self._data,
            Operation.GET_EXPERIMENT: lambda channel, _: channel.experiment,
            Operation.SET_EXPERIMENT: self._set_experiment,
        }

    def connect(self) -> bytes:
        """Let one more host connect; return the DeviceInfos. Raises RefusedError if there are too many."""
        if self._connections >= self._connections_max:
            raise RefusedError(ErrorCode.COMM_MAXCONNREACHED, f"{self._connections} hosts are connected")
        self._connections += 1
        return self.describe()

    def disconnect(self) -> None:
        """Note that a host has gone. What runs goes on."""
        self._connections -= 1
        if not self._connections:
            self._attention.forget()
            for channel in self._channels.values():
                channel.fetched = False

    def describe(self) -> bytes:
        """Return the DeviceInfos."""
        return bytes(
            DeviceInfos(
                DeviceCode=DeviceCode.VSP_300,
                RAMsize=64,
                NumberOfChannels=len(self._channels),
                NumberOfSlots=CHANNELS_MAX,
                FirmwareVersion=DEVICE_FIRMWARE,
                NbOfConnectedPC=self._connections,
            )
        )

    def answer(self, operation: Operation, channel_index: int, payload: bytes) -> bytes:
        """Carry out a request and return the reply's payload. Raises RefusedError with the code to answer."""
        self._take_note(operation, channel_index)
        if self._clock.is_due() or operation in (Operation.START, Operation.STOP):
            self.advance()
        if operation == Operation.TEST:
            return b""
        if operation == Operation.PLUGGED:
            return bytes(index in self._channels for index in range(CHANNELS_MAX))
        channel = self._channels.get(channel_index)
        if channel is None:
            raise RefusedError(ErrorCode.GEN_CHANNELNOTPLUGGED, f"there is no channel {channel_index}")
        return self._answers[operation](channel, payload)

    def zeros(self, operation: Operation, channel_index: int) -> bytes:
        """Return the all-zero reply that an overloaded instrument gives, of the right size."""
        sizes = {Operation.DATA: ctypes.sizeof(DataInfos) + ctypes.sizeof(CurrentValues)}
        return bytes(sizes.get(operation) or len(self.answer(operation, channel_index, b"")))

    def inject(self, fault: Fault) -> None:
        """Let something go wrong from now on."""
        self.advance()
        self.faults.add(fault, self._clock.now_s)
        self._move_until(self._clock.now_s)

    def advance(self) -> None:
        """Bring every channel up to the clock, as far as the clock may go."""
        hosted = self._connections > 0
        self._clock.accrue()
        self._move_until(self._clock.now_s)
        while self._clock.step(self._unseen_s(), hosted=hosted, stands=self._stands()):
            self._move()

    def _carry_out(self, change: Change) -> None:
        """Let a fault begin or end."""
        fault = change.fault
        if change.begins and fault.kind == "zeros":
            self.zeros_left = fault.count
        elif change.begins and fault.kind == "comm_loss":
            self.lost_calls = fault.count
        for channel in self._hit_by(fault):
            channel.meet(fault, begins=change.begins)

    def _hit_by(self, fault: Fault) -> list[Channel]:
        """Return the channels that a fault concerns."""
        if fault.channel is None:
            return list(self._channels.values())
        return [self._channels[fault.channel - 1]]

    def stop_all(self) -> None:
        """Open all circuits."""
        for channel in self._channels.values():
            channel.stop()

    def books(self) -> dict[str, object]:
        """Return what ran on all channels with how many records it made, and the time of the clock."""
        self.advance()
        made = [entry for channel in self._channels.values() for entry in channel.books]
        return {"now_s": self._clock.now_s, "made": made}

    def _take_note(self, operation: Operation, index: int) -> None:
        """Notice what a request tells of the host."""
        channel = self._channels.get(index)
        if channel is None:
            return
        self._attention.speaks_to(index)
        if operation == Operation.DATA:
            has_all = channel.running and channel.memory.oldest_s is None
            self._attention.asks(index, has_all=has_all)

    def _stands(self) -> bool:
        """Whether no time passes: no list has run yet, or the host decides what follows one.

        At real speed nothing waits for anybody.
        """
        fresh = not any(channel.begun for channel in self._channels.values())
        return fresh or (self._clock.accelerated and self._attention.at_work)

    def _move(self) -> None:
        """Bring every channel up to the clock, and the clock back to the first end of a list.

        Channels that were moved before that end was found are ahead of the clock then; they wait for it.
        """
        self._clock.return_to(self._move_until(self._clock.now_s))

    def _move_until(self, until_s: float) -> float:
        """Bring every channel up to a time, with what begins and ends on the way exactly at its time.

        Return when the first list ended whose end a host has to see first, else that time.
        """
        ended_s = until_s
        for change in self.faults.due(until_s):
            ended_s = min(ended_s, self._move_channels(change.at_s))
            self._carry_out(change)
        return min(ended_s, self._move_channels(until_s))

    def _move_channels(self, until_s: float) -> float:
        for index, channel in self._channels.items():
            ended_s = channel.advance_to(until_s)
            if ended_s is not None and self._note_end(index, channel):
                until_s = min(until_s, ended_s)
        return until_s

    def _note_end(self, index: int, channel: Channel) -> bool:
        """A list has ended; return whether the clock waits for a host to see it."""
        if self._connections and channel.fetched:
            self._attention.ends(index)
        return self._clock.accelerated and self._attention.at_work

    def _unseen_s(self) -> float | None:
        """Time of the oldest record of a channel that runs which no host has acted on."""
        waiting = [
            unseen_s
            for index, channel in self._channels.items()
            if channel.running
            and (unseen_s := self._attention.unseen_s(index, channel.memory.oldest_s)) is not None
        ]
        return min(waiting, default=None)

    def _channel_infos(self, channel: Channel, _: bytes) -> bytes:
        """Without firmware the reply is an error, but a part of the infos comes all the same."""
        infos = bytes(channel.infos())
        try:
            channel.check_firmware()
        except RefusedError as error:
            raise RefusedError(error.code, "no firmware", infos) from error
        return infos

    def _load_firmware(self, channel: Channel, payload: bytes) -> bytes:
        channel.load_firmware(force=bool(payload[0]))
        return b""

    def _set_hardware(self, channel: Channel, payload: bytes) -> bytes:
        channel.hardware = payload
        return b""

    def _set_experiment(self, channel: Channel, payload: bytes) -> bytes:
        channel.experiment = payload
        return b""

    def _load_technique(self, channel: Channel, payload: bytes) -> bytes:
        first, last, length = LOAD_HEAD.unpack_from(payload)
        name_end = LOAD_HEAD.size + length
        file = payload[LOAD_HEAD.size : name_end].decode("latin-1")
        channel.load_technique(file, payload[name_end:], first=bool(first), last=bool(last))
        return b""

    def _start(self, channel: Channel, _: bytes) -> bytes:
        channel.start(self._clock.now_s)
        self._attention.starts(channel.number - 1)
        return b""

    def _stop(self, channel: Channel, _: bytes) -> bytes:
        channel.check_firmware()
        if channel.running:
            self._attention.ends(channel.number - 1)
        channel.stop()
        return b""

    def _data(self, channel: Channel, _: bytes) -> bytes:
        oldest_s = channel.memory.oldest_s
        block = channel.take()
        if oldest_s is not None:
            self._attention.gives(channel.number - 1, oldest_s)
        if block is None:
            return bytes(DataInfos()) + bytes(channel.values(self._clock.now_s))
        origin = block.origin
        infos = DataInfos(
            IRQskipped=block.skipped,
            NbRows=block.rows,
            NbCols=origin.columns,
            TechniqueIndex=origin.technique_index,
            TechniqueID=origin.technique_id,
            ProcessIndex=origin.process,
            loop=origin.loop,
            StartTime=origin.start_s,
        )
        values = channel.values(self._clock.now_s, origin.time_base_s)
        return bytes(infos) + bytes(values) + block.records


def _warmth(wired: ChannelConfig, chambers: Mapping[str, SimulatedChamber]) -> Warmth | None:
    """Return the temperature of a channel's cell, if it sits in a chamber."""
    if wired.chamber is None:
        return None
    return Warmth(chambers[wired.chamber].air_K, wired.thermal_s)
