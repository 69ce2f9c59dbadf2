"""The interface's layouts and words against the figures of the fact sheet (User's Guide)."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import pytest

from drivers.biologic import structs
from drivers.biologic.constants import (
    BOARD_FILES,
    BoardType,
    ErrorCode,
    LimitVariable,
    TechniqueId,
    limit_config,
)
from drivers.biologic.error_texts import ERRORS, error_of
from drivers.biologic.library import FUNCTIONS, function_type, load_library
from drivers.biologic.settings import MODELS, capabilities
from protocols.errors import BusyError, InstrumentError, UnreachableError

LAYOUTS: list[tuple[type[Any], str, int]] = [
    (structs.DeviceInfos, "11i", 44),
    (structs.ChannelInfos, "19i", 76),
    (structs.CurrentValues, "2i7fif2i3f3i", 76),
    (structs.DataInfos, "7idi", 40),
    (structs.EccParam, "64siii", 76),
    (structs.HardwareConf, "2i", 8),
    (structs.ExperimentInfos, "4i256s", 272),
]


def expand(layout: str) -> list[str]:
    items: list[str] = []
    count = ""
    for letter in layout:
        if letter.isdigit():
            count += letter
        else:
            items += [count + letter] if letter == "s" else [letter] * int(count or 1)
            count = ""
    return items


@pytest.mark.parametrize(("record", "layout", "size"), LAYOUTS)
def test_size_and_offsets(record: type[Any], layout: str, size: int) -> None:
    items = expand(layout)
    assert ctypes.sizeof(record) == size == struct.calcsize("<" + layout)
    assert len(record._fields_) == len(items)
    for place, (name, *_) in enumerate(record._fields_):
        assert getattr(record, name).offset == struct.calcsize("<" + "".join(items[:place])), name


def test_the_offsets_that_clients_get_wrong() -> None:
    names = ["IRQskipped", "NbRows", "NbCols", "TechniqueIndex", "TechniqueID", "ProcessIndex", "loop"]
    offsets = [getattr(structs.DataInfos, name).offset for name in [*names, "StartTime", "MuxPad"]]
    assert offsets == [0, 4, 8, 12, 16, 20, 24, 28, 36]
    assert structs.EccParams.pParams.offset == 4
    assert ctypes.sizeof(structs.EccParams) == 4 + ctypes.sizeof(ctypes.c_void_p)
    assert ctypes.sizeof(structs.DataBuffer) == 4000


@pytest.mark.parametrize(
    ("variable", "above", "and_next", "word"),
    [
        (LimitVariable.E, False, False, 1),
        (LimitVariable.E, True, False, 5),
        (LimitVariable.I, False, False, 97),
        (LimitVariable.I, True, False, 101),
        (LimitVariable.AUX2, True, True, 71),
    ],
)
def test_limit_words(variable: LimitVariable, above: bool, and_next: bool, word: int) -> None:
    assert limit_config(variable, above=above, and_next=and_next) == word


def test_every_error_has_a_text_and_a_kind() -> None:
    assert set(ERRORS) == set(ErrorCode) - {ErrorCode.NOERROR}
    assert isinstance(error_of(-201, "BL_Connect", "box"), UnreachableError)
    assert isinstance(error_of(-13, "BL_LoadTechnique", "box"), BusyError)
    assert isinstance(error_of(-401, "BL_LoadTechnique", "box"), InstrumentError)
    assert "ERR_TECH_INCOMPATIBLEECC" in str(error_of(-401, "BL_LoadTechnique", "box channel 2"))
    assert "-999" in str(error_of(-999, "BL_Connect", "box"))


def test_numbers_of_models_boards_and_techniques() -> None:
    assert MODELS["VSP-300"] == 20
    assert BOARD_FILES[BoardType.PREMIUM].suffix == "4"
    assert (BOARD_FILES[BoardType.PREMIUM_P].kernel, BOARD_FILES[BoardType.PREMIUM_P].fpga) == (
        "kernel5.bin",
        None,
    )
    techniques = (TechniqueId.OCV, TechniqueId.GEIS, TechniqueId.LOOP, TechniqueId.CPLIMIT)
    assert [int(technique) for technique in techniques] == [100, 107, 150, 155]
    assert capabilities("VSP-300").current_ranges_A[-1] == 1.0


def test_structs_travel_by_value_through_c() -> None:
    seen: list[object] = []

    def load(
        device: int, channel: int, path: bytes, parameters: Any, first: bool, last: bool, show: bool
    ) -> int:
        labels = [parameters.pParams[place].ParamStr for place in range(parameters.len)]
        seen.append((device, channel, path, labels, first, last, show))
        return -403

    function = function_type("BL_LoadTechnique")(load)
    records = (structs.EccParam * 2)(structs.EccParam(b"tb", 2, 7, 0), structs.EccParam(b"I_Range", 0, 8, 0))
    assert function(3, 15, b"ocv4.ecc", structs.EccParams(2, records), True, False, True) == -403
    assert seen == [(3, 15, b"ocv4.ecc", [b"tb", b"I_Range"], True, False, True)]


def test_every_function_has_a_prototype() -> None:
    for name, signature in FUNCTIONS.items():
        assert function_type(name)._restype_ is signature.restype


def test_a_library_that_is_none(tmp_path: Any) -> None:
    file = tmp_path / "EClib64.dll"
    file.write_bytes(b"not a library")
    with pytest.raises(InstrumentError, match="cannot load EClib"):
        load_library(file)
