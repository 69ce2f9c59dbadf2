"""A simulated instrument without its wire, the real time around it, and what a host says and fetches."""

from __future__ import annotations

import struct
import tomllib
from dataclasses import dataclass

import numpy as np

from drivers.biologic.constants import ParamType
from drivers.biologic.structs import CurrentValues, DataInfos
from drivers.simulation.box import Box
from drivers.simulation.clock import HeldClock
from drivers.simulation.config import SimulationConfig
from drivers.simulation.wire import LOAD_HEAD, Operation

MA = 1e-3
TIME_BASE_S = 40e-6
_INFOS = 40
_VALUES = 76
E_ABOVE, E_BELOW = 5, 1
STOP_EXPERIMENT, NEXT_TECHNIQUE = 2, 1


def record(label: str, value: float | int | bool, index: int = 0) -> bytes:
    """Return one TEccParam as the vendor's library packs it."""
    if isinstance(value, bool):
        kind, word = ParamType.BOOLEAN, struct.pack("<i", value)
    elif isinstance(value, int):
        kind, word = ParamType.INTEGER, struct.pack("<i", value)
    else:
        kind, word = ParamType.SINGLE, struct.pack("<f", value)
    return label.encode().ljust(64, b"\0") + struct.pack("<i", kind) + word + struct.pack("<i", index)


def parameters(**values: float | int | bool) -> bytes:
    return b"".join(record(label, value) for label, value in ({"tb": TIME_BASE_S} | values).items())


def rest(duration_s: float, every_s: float = 1.0) -> tuple[str, bytes]:
    return "ocv4.ecc", parameters(Rest_time_T=duration_s, Record_every_dT=every_s)


def drive(
    current_A: float, duration_s: float, limit_V: float = 1.5, **more: float | int
) -> tuple[str, bytes]:
    values: dict[str, float | int | bool] = {
        "Current_step": current_A,
        "vs_initial": False,
        "Duration_step": duration_s,
        "Step_number": 0,
        "N_Cycles": 0,
        "Record_every_dT": 1.0,
        "Test1_Config": E_ABOVE,
        "Test1_Value": limit_V,
        "Test2_Config": E_BELOW,
        "Test2_Value": -limit_V,
        "Exit_Cond": STOP_EXPERIMENT,
        "I_Range": 8,
    }
    return "cplimit4.ecc", parameters(**(values | more))


def sweep(current_A: float, points: int, lowest_Hz: float = 0.1, hold_s: float = 0.0) -> tuple[str, bytes]:
    return "geis4.ecc", parameters(
        vs_initial=False,
        Initial_Current_step=current_A,
        Duration_step=hold_s,
        Record_every_dT=1.0,
        Initial_frequency=1e5,
        Final_frequency=lowest_Hz,
        sweep=False,
        Amplitude_Current=0.1 * MA,
        Frequency_number=points,
        Average_N_times=1,
        I_Range=8,
    )


def loop(times: int, target: int) -> tuple[str, bytes]:
    return "loop4.ecc", record("loop_N_times", times) + record("protocol_number", target)


@dataclass
class Fetched:
    infos: DataInfos
    values: CurrentValues
    words: np.ndarray[tuple[int, int], np.dtype[np.uint32]]

    def floats(self, column: int) -> list[float]:
        return [float(value) for value in np.ascontiguousarray(self.words[:, column]).view(np.float32)]

    def seconds(self) -> list[float]:
        ticks = (self.words[:, 0].astype(np.int64) << 32) + self.words[:, 1]
        return [float(t) for t in self.infos.StartTime + ticks * self.values.TimeBase]


class Bench:
    """A box, the real time around it, and a host's view of it."""

    def __init__(self, cell: str = "{}", speed: float = 1.0, hosted: bool = True, **box: int | str) -> None:
        self._real_s = 0.0
        options = "".join(f", {key} = {value}" for key, value in box.items())
        text = f'[simulation]\nbox = {{address = "10.0.0.1", channels = {{1 = {cell}, 3 = {cell}}}{options}}}'
        self.box = Box(config(text).boxes["box"], HeldClock(lambda: self._real_s, speed))
        if hosted:
            self.box.connect()
        for channel in (0, 2):
            self.ask(Operation.LOAD_FIRMWARE, channel, b"\0")

    def ask(self, operation: Operation, channel: int = 0, payload: bytes = b"") -> bytes:
        return self.box.answer(operation, channel, payload)

    def load(self, *techniques: tuple[str, bytes], channel: int = 0) -> None:
        for place, (file, records) in enumerate(techniques):
            head = LOAD_HEAD.pack(place == 0, place == len(techniques) - 1, len(file))
            self.ask(Operation.LOAD_TECHNIQUE, channel, head + file.encode() + records)

    def start(self, *techniques: tuple[str, bytes], channel: int = 0) -> None:
        self.load(*techniques, channel=channel)
        self.ask(Operation.START, channel)

    def wait(self, real_s: float) -> None:
        self._real_s += real_s
        self.box.advance()

    def values(self, channel: int = 0) -> CurrentValues:
        return CurrentValues.from_buffer_copy(self.ask(Operation.VALUES, channel))

    def fetch(self, channel: int = 0) -> Fetched:
        reply = self.ask(Operation.DATA, channel)
        infos = DataInfos.from_buffer_copy(reply)
        words = np.frombuffer(reply[_INFOS + _VALUES :], np.uint32)
        return Fetched(
            infos,
            CurrentValues.from_buffer_copy(reply[_INFOS:]),
            words.reshape(infos.NbRows, max(infos.NbCols, 1)),
        )

    def fetch_all(self, channel: int = 0) -> list[Fetched]:
        blocks = []
        while (block := self.fetch(channel)).infos.NbRows:
            blocks.append(block)
        return blocks


def config(text: str) -> SimulationConfig:
    return SimulationConfig.from_table(tomllib.loads(text)["simulation"], "test.toml")


def hold(voltage_V: float, duration_s: float, **more: float | int | bool) -> tuple[str, bytes]:
    values: dict[str, float | int | bool] = {
        "Voltage_step": voltage_V,
        "vs_initial": False,
        "Duration_step": duration_s,
        "Step_number": 0,
        "N_Cycles": 0,
        "Record_every_dT": 1.0,
        "Record_every_dI": 0.0,
        "I_Range": 12,
    }
    limited = any(label.startswith("Test") for label in more)
    return ("calimit4.ecc" if limited else "ca4.ecc"), parameters(**(values | more))


def scan(*vertices_V: float, rate: float, dE: float, **more: float | int | bool) -> tuple[str, bytes]:
    """Return VSCANLIMIT; of ``more``, what belongs to a leg counts for every one."""
    values: dict[str, float | int | bool] = {
        "Scan_number": len(vertices_V) - 2,
        "Record_every_dE": dE,
        "N_Cycles": 0,
        "Begin_measuring_I": 0.5,
        "End_measuring_I": 1.0,
        "I_Range": 12,
    }
    arrays = {label: value for label, value in more.items() if label[:4] in ("Test", "Exit", "vs_i")}
    records = parameters(**(values | {label: more[label] for label in more.keys() - arrays.keys()}))
    for index, voltage_V in enumerate(vertices_V):
        for label, value in (
            {"vs_initial": False, "Voltage_step": voltage_V, "Scan_Rate": rate} | arrays
        ).items():
            records += record(label, value, index)
    return "vscanlimit4.ecc", records


def potentiostatic_sweep(
    voltage_V: float, points: int, hold_s: float = 0.0, **more: float | bool
) -> tuple[str, bytes]:
    values: dict[str, float | int | bool] = {
        "vs_initial": False,
        "Initial_Voltage_step": voltage_V,
        "Duration_step": hold_s,
        "Record_every_dT": 1.0,
        "Record_every_dI": 0.0,
        "Initial_frequency": 1e5,
        "Final_frequency": 0.1,
        "sweep": False,
        "Amplitude_Voltage": 0.01,
        "Frequency_number": points,
        "Average_N_times": 1,
        "Correction": False,
        "Wait_for_steady": 0.1,
        "I_Range": 12,
    }
    return "peis4.ecc", parameters(**(values | more))
