"""The simulated library as C functions over TCP, with the instrument in a process of its own."""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from ctypes import byref
from pathlib import Path

import numpy as np
import pytest

from drivers.biologic.constants import ErrorCode
from drivers.biologic.library import FUNCTIONS, Library, Signature
from drivers.biologic.structs import (
    ChannelInfos,
    CurrentValues,
    DataBuffer,
    DataInfos,
    DeviceInfos,
    EccParam,
    EccParams,
    ExperimentInfos,
    HardwareConf,
)
from drivers.simulation.control import inject
from drivers.simulation.eclib import simulated_library
from drivers.simulation.faults import Fault
from drivers.simulation.presets import describe
from protocols.errors import UnreachableError

REPOSITORY = Path(__file__).resolve().parents[2]
ADDRESS = "192.168.0.10"
MA = 1e-3
CANARY = 0xA5
CONFIG = f"""
[simulation.box]
address = "{ADDRESS}"
techniques_max = 10
connections_max = 2
channels = {{1 = {{preset = "tfoh_llzto", seed = 1}}, 2 = {{preset = "generic_symmetric", working_um = 1.0}}}}
"""


class Server:
    """The simulation as a child process."""

    def __init__(self, folder: Path, *options: str) -> None:
        (folder / "simulation.toml").write_text(CONFIG, encoding="utf-8")
        self.state_file = folder / "simulation.json"
        command = [sys.executable, "-m", "drivers.simulation"]
        command += ["--config", str(folder / "simulation.toml"), "--state", str(self.state_file)]
        self.process = subprocess.Popen([*command, *options], cwd=REPOSITORY)
        # The state file is there once it listens.
        while not self.state_file.exists() and self.process.poll() is None:
            time.sleep(0.01)
        assert self.process.poll() is None

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


class Host:
    """A client of the library that says what it wants as the vendor's examples do."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.id = ctypes.c_int32(-7)
        self.infos = DeviceInfos()
        code = library["BL_Connect"](ADDRESS.encode(), 5, byref(self.id), byref(self.infos))
        assert code == ErrorCode.NOERROR

    def call(self, name: str, channel: int, *arguments: object) -> int:
        return self.library[name](self.id, channel, *arguments)

    def load_firmware(self) -> None:
        channels, results = (ctypes.c_uint8 * 16)(1, 1), (ctypes.c_int32 * 16)()
        code = self.library["BL_LoadFirmware"](self.id, channels, results, 16, False, False, None, None)
        assert (code, set(results)) == (0, {0})

    def define(self, label: str, value: float | int | bool) -> EccParam:
        record = EccParam()
        kind = {bool: "Bool", int: "Int", float: "Sgl"}[type(value)]
        code = self.library[f"BL_Define{kind}Parameter"](label.encode(), value, 0, byref(record))
        assert code == 0
        return record

    def load(self, channel: int, file: str, first: bool, last: bool, **values: float | int | bool) -> int:
        records = [self.define(label, value) for label, value in values.items()]
        array = (EccParam * len(records))(*records)
        parameters = EccParams(len(records), array)
        return self.call("BL_LoadTechnique", channel, file.encode(), parameters, first, last, False)

    def fetch(self, channel: int) -> tuple[ctypes.Array[ctypes.c_uint32], DataInfos, CurrentValues]:
        data, infos, values = DataBuffer(), DataInfos(), CurrentValues()
        assert self.call("BL_GetData", channel, byref(data), byref(infos), byref(values)) == 0
        return data, infos, values

    def close(self) -> None:
        assert self.library["BL_Disconnect"](self.id) == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path, "--speed", "10000")
    yield started
    started.end()


@pytest.fixture
def host(server: Server) -> Iterator[Host]:
    connected = Host(simulated_library(server.state_file))
    connected.load_firmware()
    yield connected
    connected.close()


def guarded(kind: type[ctypes.Structure]) -> tuple[ctypes.Array[ctypes.c_uint8], ctypes.Structure]:
    """Return memory full of canaries, and a struct at its start."""
    memory = (ctypes.c_uint8 * (ctypes.sizeof(kind) + 32))(*[CANARY] * (ctypes.sizeof(kind) + 32))
    return memory, kind.from_buffer(memory)


def test_every_function_of_the_table_is_a_c_function(tmp_path: Path) -> None:
    library = simulated_library(tmp_path / "none.json")
    for name in FUNCTIONS:
        function = library[name]
        signature = Signature(function.restype, tuple(function.argtypes))  # type: ignore[attr-defined]  # ctypes
        assert signature == FUNCTIONS[name]
        assert ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]  # a ctypes function


@pytest.mark.parametrize(
    ("name", "kind", "size"),
    [
        ("BL_GetChannelInfos", ChannelInfos, 76),
        ("BL_GetCurrentValues", CurrentValues, 76),
        ("BL_GetHardConf", HardwareConf, 8),
        ("BL_GetExperimentInfos", ExperimentInfos, 272),
    ],
)
def test_a_struct_is_written_to_its_last_byte_and_no_further(
    host: Host, name: str, kind: type[ctypes.Structure], size: int
) -> None:
    memory, struct = guarded(kind)
    assert host.call(name, 0, byref(struct)) == 0
    assert CANARY not in bytes(memory)[size - 4 : size]
    assert bytes(memory)[size:] == bytes([CANARY]) * 32


def test_structs_by_value_come_back(host: Host) -> None:
    assert host.call("BL_SetHardConf", 0, HardwareConf(Conn=2, Ground=1)) == 0
    given = ExperimentInfos(Group=3, TimeYMD=20260101, FileName=b"run-17/segment-2")
    assert host.call("BL_SetExperimentInfos", 0, given) == 0
    hardware, experiment = HardwareConf(), ExperimentInfos()
    assert host.call("BL_GetHardConf", 0, byref(hardware)) == 0
    assert host.call("BL_GetExperimentInfos", 0, byref(experiment)) == 0
    assert (hardware.Conn, hardware.Ground) == (2, 1)
    assert bytes(experiment) == bytes(given)


def test_a_whole_list_runs_over_the_wire(host: Host) -> None:
    cplimit = {
        "vs_initial": False,
        "Duration_step": 30.0,
        "Step_number": 0,
        "N_Cycles": 0,
        "Record_every_dT": 1.0,
        "Record_every_dE": 0.005,
        "Test1_Config": 5,
        "Test1_Value": 1.5,
        "Test2_Config": 1,
        "Test2_Value": -1.5,
        "Exit_Cond": 2,
        "I_Range": 8,
    }
    geis = {
        "vs_initial": False,
        "Initial_Current_step": 0.1 * MA,
        "Duration_step": 0.0,
        "Initial_frequency": 1e5,
        "Final_frequency": 1.0,
        "sweep": False,
        "Amplitude_Current": 0.1 * MA,
        "Frequency_number": 21,
        "Average_N_times": 1,
        "I_Range": 8,
    }
    assert host.load(0, "ocv4.ecc", True, False, Rest_time_T=10.0, Record_every_dT=1.0) == 0
    assert host.load(0, "cplimit4.ecc", False, False, Current_step=0.1 * MA, **cplimit) == 0
    assert host.load(0, r"C:\EClib\cplimit4.ecc", False, False, Current_step=-0.1 * MA, **cplimit) == 0
    assert host.load(0, "/opt/loop4.ecc", False, False, loop_N_times=1, protocol_number=1) == 0
    assert host.load(0, "geis4.ecc", False, True, **geis) == 0
    assert host.call("BL_StartChannel", 0) == 0
    seen: list[tuple[int, int, int, int]] = []
    rows, time_bases, ran = 0, set(), False
    while True:
        data, infos, values = host.fetch(0)
        ran = ran or values.State == 1
        if infos.NbRows:
            seen.append((infos.TechniqueIndex, infos.TechniqueID, infos.ProcessIndex, infos.loop))
            rows += infos.NbRows
            time_bases.add(round(values.TimeBase * 1e6))
        assert not any(data[infos.NbRows * infos.NbCols :])
        if ran and values.State == 0 and values.MemFilled == 0 and infos.NbRows == 0:
            break
    assert list(dict.fromkeys(seen)) == [
        (0, 100, 0, 0), (1, 155, 0, 0), (2, 155, 0, 0), (1, 155, 0, 1), (2, 155, 0, 1), (4, 107, 1, 0),
    ]  # fmt: skip
    assert rows >= 11 + 4 * 31 + 21
    assert time_bases == {20, 34, 24}


def test_a_spectrum_by_the_library_is_that_of_the_cell(host: Host) -> None:
    host.load(
        0,
        "geis4.ecc",
        True,
        True,
        Initial_Current_step=0.0,
        Initial_frequency=1e6,
        Final_frequency=1.0,
        sweep=False,
        Amplitude_Current=0.1 * MA,
        Frequency_number=13,
        I_Range=8,
    )
    host.call("BL_StartChannel", 0)
    data, infos, _ = host.fetch(0)
    while infos.NbRows < 13:
        more, infos_more, _ = host.fetch(0)
        ctypes.memmove(ctypes.addressof(data) + 56 * infos.NbRows, more, 56 * infos_more.NbRows)
        infos.NbRows += infos_more.NbRows
    table = np.frombuffer(memoryview(data), np.float32)[: 13 * 14].reshape(13, 14)
    measured = table[:, 1] / table[:, 2] * np.exp(1j * table[:, 3])
    expected = describe("tfoh_llzto").build().spectrum(np.geomspace(1e6, 1.0, 13))
    np.testing.assert_allclose(measured, expected, rtol=0.005)


def test_error_codes(host: Host, server: Server) -> None:
    other = ctypes.c_int32(99)
    infos = DeviceInfos()
    assert host.library["BL_TestConnection"](other) == ErrorCode.GEN_NOTCONNECTED
    assert host.library["BL_StartChannel"](other, 0) == ErrorCode.GEN_NOTCONNECTED
    assert host.library["BL_Connect"](b"10.9.9.9", 5, byref(other), byref(infos)) == -201
    assert host.call("BL_StartChannel", 5) == ErrorCode.GEN_CHANNELNOTPLUGGED
    assert host.load(0, "ocv4.ecc", True, True, Rest_time=1.0) == ErrorCode.GEN_INVALIDPARAMETERS
    assert host.load(0, "ocv.ecc", True, True, Rest_time_T=1.0) == ErrorCode.TECH_INCOMPATIBLEECC
    for place in range(10):
        assert host.load(0, "ocv4.ecc", place == 0, place == 9, Rest_time_T=30_000.0) == 0
    assert host.load(0, "ocv4.ecc", False, True, Rest_time_T=1.0) == ErrorCode.TECH_MEMFULL
    assert host.call("BL_StartChannel", 0) == 0
    assert host.call("BL_StartChannel", 0) == ErrorCode.GEN_CHANNEL_RUNNING
    second = Host(simulated_library(server.state_file))
    third = simulated_library(server.state_file)
    assert third["BL_Connect"](ADDRESS.encode(), 5, byref(other), byref(infos)) == -207
    second.close()


def test_firmware_is_needed_first(server: Server) -> None:
    fresh = Host(simulated_library(server.state_file))
    memory, infos = guarded(ChannelInfos)
    code = fresh.call("BL_GetChannelInfos", 0, byref(infos))
    assert code == ErrorCode.FIRM_FIRMWARENOTLOADED
    assert ChannelInfos.from_buffer(memory).FirmwareCode == 0
    assert fresh.load(0, "ocv4.ecc", True, True, Rest_time_T=1.0) == ErrorCode.FIRM_FIRMWARENOTLOADED
    fresh.load_firmware()
    assert fresh.call("BL_GetChannelInfos", 0, byref(infos)) == 0
    assert ChannelInfos.from_buffer(memory).FirmwareCode == 5
    fresh.close()


def test_texts_fit_their_buffers(host: Host) -> None:
    text, size = ctypes.create_string_buffer(b"x" * 8, 8), ctypes.c_uint32(4)
    assert host.library["BL_GetLibVersion"](text, byref(size)) == 0
    assert (size.value, text.raw) == (4, b"6.8.xxxx")


def test_injected_faults_come_as_the_real_ones_do(host: Host, server: Server) -> None:
    inject(server.state_file, ADDRESS, Fault(kind="zeros", count=1))
    _, infos, values = host.fetch(0)
    assert (bytes(infos), bytes(values)) == (bytes(40), bytes(76))
    assert host.fetch(0)[2].TimeBase > 0
    inject(server.state_file, ADDRESS, Fault(kind="comm_loss", count=2))
    shown = CurrentValues()
    codes = [host.call("BL_GetCurrentValues", 0, byref(shown)) for _ in range(3)]
    assert codes == [-200, -200, 0]


def test_a_dead_box_is_lost_and_cannot_be_connected_again(tmp_path: Path) -> None:
    server = Server(tmp_path)
    host = Host(simulated_library(server.state_file))
    state = json.loads(server.state_file.read_text())
    assert state["pid"] == server.process.pid
    assert server.end() == 0
    assert not server.state_file.exists()
    assert host.library["BL_TestConnection"](host.id) == ErrorCode.COMM_COMMFAILED
    infos, new = DeviceInfos(), ctypes.c_int32()
    assert host.library["BL_Connect"](ADDRESS.encode(), 1, byref(new), byref(infos)) == -201
    with pytest.raises(UnreachableError):
        inject(server.state_file, ADDRESS, Fault(kind="zeros", count=1))
    host.close()


def test_the_box_trips_its_limit_while_no_host_is_there(server: Server) -> None:
    first = Host(simulated_library(server.state_file))
    first.load_firmware()
    first.load(
        1,
        "cplimit4.ecc",
        True,
        True,
        Current_step=0.3 * MA,
        Duration_step=30_000.0,
        Record_every_dT=10.0,
        Record_every_dE=0.1,
        Test1_Config=5,
        Test1_Value=1.5,
        Exit_Cond=2,
        I_Range=8,
    )
    first.call("BL_StartChannel", 1)
    first.close()
    second = Host(simulated_library(server.state_file))
    volts: list[float] = []
    while True:
        data, infos, values = second.fetch(1)
        used = infos.NbRows * infos.NbCols
        volts.extend(np.frombuffer(memoryview(data), np.float32)[:used][2 :: infos.NbCols or 1].tolist())
        if volts and values.State == 0 and infos.NbRows == 0:
            break
    assert volts[-1] == pytest.approx(1.5, abs=0.02)
    assert sum(volt > 0.1 for volt in volts) >= 10
    assert abs(values.I) == 0
    second.close()


def test_without_a_client_the_server_ends_itself_when_told_so(tmp_path: Path) -> None:
    server = Server(tmp_path, "--exit-without-client", "1")
    assert server.process.wait(timeout=20) == 0
    assert not server.state_file.exists()


def test_a_bad_configuration_is_an_error_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[simulation.a]\nadress = 1\n", encoding="utf-8")
    command = [sys.executable, "-m", "drivers.simulation", "--config", str(tmp_path / "bad.toml")]
    done = subprocess.run(
        [*command, "--state", str(tmp_path / "state.json")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "adress" in done.stderr
