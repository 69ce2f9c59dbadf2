"""A simulated VSP-300: what it keeps and does, whoever is connected."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from drivers.biologic.constants import BoardType, DeviceCode, ErrorCode
from drivers.biologic.structs import CurrentValues, DataInfos, DeviceInfos
from drivers.simulation.channel import Channel
from drivers.simulation.clock import HeldClock
from drivers.simulation.config import CHANNELS_MAX, BoxConfig
from drivers.simulation.faults import Fault, Faults
from drivers.simulation.techniques import RefusedError
from drivers.simulation.wire import LOAD_HEAD, Operation

DEVICE_FIRMWARE = 1140

Answer = Callable[[Channel, bytes], bytes]


class Box:
    """The instrument's side of every operation of the wire, and its life between requests."""

    def __init__(self, config: BoxConfig, clock: HeldClock) -> None:
        self.faults = Faults(config.faults)
        self.zeros_left = 0
        """How many of the next readings are answered with zeros."""
        self.lost_calls = 0
        """How many of the next calls fail."""
        self._clock = clock
        self._channels = {
            number - 1: Channel(number, channel.cell, config.memory_bytes, config.techniques_max)
            for number, channel in config.channels.items()
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
        self._meet_faults()

    def advance(self) -> None:
        """Bring every channel up to the clock, as far as the clock may go."""
        self._clock.accrue()
        self._meet_faults()
        while self._clock.step(self._oldest_unfetched_s(), hosted=self._connections > 0):
            self._meet_faults()
            self._advance_channels(self._clock.now_s)

    def _advance_channels(self, now_s: float) -> None:
        for channel in self._channels.values():
            channel.advance_to(now_s)

    def _meet_faults(self) -> None:
        """Carry out what begins and ends until now, each exactly at its time."""
        for change in self.faults.due(self._clock.now_s):
            self._advance_channels(change.at_s)
            if change.begins:
                self._begin(change.fault)
            for channel in self._hit_by(change.fault):
                channel.meet(change.fault, begins=change.begins)

    def _begin(self, fault: Fault) -> None:
        if fault.kind == "zeros":
            self.zeros_left = fault.count
        elif fault.kind == "comm_loss":
            self.lost_calls = fault.count

    def _hit_by(self, fault: Fault) -> list[Channel]:
        """Return the channels that a fault concerns."""
        if fault.channel is None:
            return list(self._channels.values())
        return [self._channels[fault.channel - 1]]

    def stop_all(self) -> None:
        """Open all circuits."""
        for channel in self._channels.values():
            channel.stop()

    def _oldest_unfetched_s(self) -> float | None:
        """Time of the oldest record of a channel that runs or that a host has begun to fetch."""
        waiting = [
            oldest_s
            for channel in self._channels.values()
            if (channel.running or channel.fetched) and (oldest_s := channel.memory.oldest_s) is not None
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
        return b""

    def _stop(self, channel: Channel, _: bytes) -> bytes:
        channel.check_firmware()
        channel.stop()
        return b""

    def _data(self, channel: Channel, _: bytes) -> bytes:
        block = channel.take()
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
