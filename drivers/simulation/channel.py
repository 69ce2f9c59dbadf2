"""One channel of a simulated instrument: firmware, the list of techniques, the cell, the memory."""

from __future__ import annotations

import ctypes

import numpy as np

from drivers.biologic.constants import ChannelState, ErrorCode, FirmwareCode, TechniqueId
from drivers.biologic.structs import ChannelInfos, CurrentValues, ExperimentInfos, HardwareConf
from drivers.simulation.description import CellDescription
from drivers.simulation.faults import Fault
from drivers.simulation.memory import Block, Memory
from drivers.simulation.meter import NO_ERRORS, Meter, MeterErrors
from drivers.simulation.run import Run
from drivers.simulation.techniques import RefusedError, Technique
from drivers.simulation.warmth import Warmth
from drivers.simulation.wiring import Wiring

IDLE_TIME_BASE_S = 24e-6
KERNEL_VERSION = 540
FPGA_VERSION = 43551
_NOW = np.zeros(1)


class Channel:
    """What the instrument keeps of a channel, host or no host. Times are the instrument's."""

    def __init__(
        self,
        number: int,
        cell: CellDescription,
        memory_bytes: int,
        techniques_max: int,
        warmth: Warmth | None = None,
        errors: MeterErrors = NO_ERRORS,
    ) -> None:
        """``warmth``: the temperature of a cell that sits in a chamber."""
        self.number = number
        self.memory = Memory(memory_bytes)
        self.firmware = FirmwareCode.NONE
        self.hardware = bytes(ctypes.sizeof(HardwareConf))
        self.experiment = bytes(ctypes.sizeof(ExperimentInfos))
        self.fetched = False
        """Whether a connected host takes an interest in this channel's records."""
        self._cell = cell.build()
        self.wiring = Wiring(self._cell, cell.seed)
        self._meter = Meter(cell.seed, errors)
        self._techniques: list[Technique] = []
        self._techniques_max = techniques_max
        self._complete = False
        self._run: Run | None = None
        self._rested_until_s: float | None = None
        self._just_started = False
        self.books: list[tuple[str, list[int]]] = []
        """Every list that was started, by the host's marker, with how many records each technique made."""
        self._warmth = warmth
        if warmth is not None:
            self._cell.set_temperature(warmth.kelvin)

    @property
    def begun(self) -> bool:
        """Whether any list was ever started: a cell's life begins then, and it ages from then on."""
        return self._rested_until_s is not None

    @property
    def running(self) -> bool:
        """Whether a list of techniques runs."""
        return self._run is not None and not self._run.finished

    def advance_to(self, now_s: float) -> float | None:
        """Let a running list go on until ``now_s``; return the time of its end if it comes by then."""
        run = self._run
        if run is None or run.finished:
            self._warm(now_s)
            return None
        while self._warmth is not None and self._warmth.next_s <= now_s and self.running:
            next_s = self._warmth.next_s
            run.advance_to(next_s)
            self._warm(next_s)
        run.advance_to(now_s)
        self._rested_until_s = run.now_s
        return None if self.running else run.now_s

    def load_firmware(self, *, force: bool) -> None:
        """Load the library's firmware; a fresh load forgets the list of techniques."""
        if self.running:
            raise RefusedError(ErrorCode.GEN_CHANNEL_RUNNING, f"channel {self.number} runs")
        if force or self.firmware != FirmwareCode.KERNEL:
            self.firmware = FirmwareCode.KERNEL
            self.experiment = bytes(len(self.experiment))
            self._forget()

    def load_technique(self, file: str, parameters: bytes, *, first: bool, last: bool) -> None:
        """Link a technique to the list, or begin a new one. Raises RefusedError."""
        self._check_idle()
        technique = Technique.parse(file, parameters)
        if first:
            self._forget()
        if len(self._techniques) >= self._techniques_max:
            raise RefusedError(ErrorCode.TECH_MEMFULL, f"more than {self._techniques_max} techniques")
        self._check_loop(technique)
        self._techniques.append(technique)
        self._complete = last

    def start(self, now_s: float) -> None:
        """Start the list. The first look at the channel still shows STOP, as on the real one."""
        self._check_idle()
        if not self._complete:
            raise RefusedError(ErrorCode.GEN_FUNCTIONFAILED, f"channel {self.number} holds no complete list")
        self._rest_until(now_s)
        self._rested_until_s = now_s if self._rested_until_s is None else self._rested_until_s
        self.memory.begin(len(self._techniques))
        marker = ExperimentInfos.from_buffer_copy(self.experiment).FileName.decode("latin-1")
        self.books.append((marker, self.memory.made))
        self._run = Run(self._techniques, self.wiring, self._meter, self.memory, now_s)
        self._just_started = True
        self.fetched = True

    def stop(self) -> None:
        """Open the circuit; what was recorded stays to be fetched."""
        if self._run is not None:
            self._run.stop()

    def meet(self, fault: Fault, *, begins: bool) -> None:
        """Carry out a channel's part of a fault that begins or ends."""
        match fault.kind:
            case "open_clip":
                self.wiring.unclip(begins)
                self._look_again()
            case "swapped_leads":
                self.wiring.swap(begins)
                self._look_again()
            case "full_memory":
                self.memory.block(begins)
            case "skipped" if begins:
                self.memory.skip(fault.count)
            case "clock_step" if begins and self._run is not None:
                self._run.step_clock(fault.by_s)
            case "reboot" if begins:
                self._power_on()

    def _look_again(self) -> None:
        if self._run is not None:
            self._run.look_again()

    def _power_on(self) -> None:
        """Begin anew: the circuit is open, and all that a power cut takes away is gone."""
        self.stop()
        self._run = None
        self._forget()
        self.memory.clear()
        self.firmware = FirmwareCode.NONE
        self.hardware = bytes(len(self.hardware))
        self.experiment = bytes(len(self.experiment))
        self.fetched = self._just_started = False

    def take(self) -> Block | None:
        """Take the oldest block of records."""
        self.fetched = True
        return self.memory.take()

    def values(self, now_s: float, time_base_s: float | None = None) -> CurrentValues:
        """Return what the channel shows. ``time_base_s``: that of the records fetched with it."""
        self.check_firmware()
        run, meter = self._run, self._meter
        true_V = self._voltage_V(now_s)
        current_A = self.wiring.current_A
        return CurrentValues(
            State=self._shown_state(),
            MemFilled=self.memory.filled_bytes,
            TimeBase=time_base_s or self._time_base_s(),
            Ewe=min(max(true_V, -meter.full_scale_V), meter.full_scale_V),
            EweRangeMin=-meter.full_scale_V,
            EweRangeMax=meter.full_scale_V,
            Eoverflow=abs(true_V) > meter.full_scale_V,
            I=current_A,
            IRange=meter.i_range,
            Ioverflow=abs(current_A) > meter.full_scale_A or (run is not None and run.overflow),
            ElapsedTime=run.now_s - run.started_s if run else 0.0,
            Freq=run.frequency_Hz if run else 0.0,
        )

    def infos(self) -> ChannelInfos:
        """Return boards, firmware and state. Without firmware the instrument fills a part only."""
        loaded = self.firmware == FirmwareCode.KERNEL
        return ChannelInfos(
            Channel=self.number - 1,
            BoardSerialNumber=1000 + self.number,
            FirmwareCode=self.firmware,
            FirmwareVersion=KERNEL_VERSION if loaded else 0,
            XilinxVersion=FPGA_VERSION if loaded else 0,
            Zboard=1,
            MemSize=self.memory.size_bytes,
            MemFilled=self.memory.filled_bytes,
            State=ChannelState.RUN if self.running else ChannelState.STOP,
            MaxIRange=10,
            MinIRange=1,
            MaxBandwidth=9,
            NbOfTechniques=len(self._techniques),
        )

    def check_firmware(self) -> None:
        """Raise RefusedError unless the library's firmware is loaded."""
        if self.firmware != FirmwareCode.KERNEL:
            raise RefusedError(ErrorCode.FIRM_FIRMWARENOTLOADED, f"channel {self.number} has no firmware")

    def _check_idle(self) -> None:
        self.check_firmware()
        if self.running:
            raise RefusedError(ErrorCode.GEN_CHANNEL_RUNNING, f"channel {self.number} runs")

    def _check_loop(self, technique: Technique) -> None:
        """A LOOP may only jump back, to a technique that takes time."""
        if technique.id != TechniqueId.LOOP:
            return
        target = technique.integer("protocol_number")
        if not 0 <= target < len(self._techniques) or self._techniques[target].id == TechniqueId.LOOP:
            raise RefusedError(ErrorCode.GEN_INVALIDPARAMETERS, f"LOOP cannot jump to technique {target}")

    def _forget(self) -> None:
        self._techniques = []
        self._complete = False

    def _rest_until(self, now_s: float) -> None:
        """Let the cell rest since the last list ended. One that is fresh does not age."""
        if self._rested_until_s is not None and now_s > self._rested_until_s:
            self.wiring.let_pass(now_s - self._rested_until_s)
            self._rested_until_s = now_s

    def _warm(self, now_s: float) -> None:
        """Give the cell the temperature that it has now."""
        if self._warmth is not None and self._warmth.reach(now_s):
            self._cell.set_temperature(self._warmth.kelvin)

    def _voltage_V(self, now_s: float) -> float:
        """Return the true E."""
        if self._run is not None and not self._run.finished:
            return self._run.voltage_V
        self._rest_until(now_s)
        return float(self.wiring.voltages(_NOW)[0])

    def _shown_state(self) -> ChannelState:
        if self._just_started:
            self._just_started = False
            return ChannelState.STOP
        return ChannelState.RUN if self.running else ChannelState.STOP

    def _time_base_s(self) -> float:
        return self._run.technique.time_base_s if self._run is not None and self.running else IDLE_TIME_BASE_S
