"""The configuration of simulated instruments."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.simulation.config import SimulationConfig
from protocols.errors import InvalidFileError


def load(folder: Path, text: str) -> SimulationConfig:
    file = folder / "service.toml"
    file.write_text(text, encoding="utf-8")
    return SimulationConfig.load(file)


def test_a_preset_takes_overrides_and_the_rest_of_the_file_is_left_alone(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        [store]
        folder = "data"
        [simulation.left]
        address = "192.168.0.10"
        channels = {1 = {preset = "tfoh_llzto", seed = 7, short_at_mA_per_cm2 = 1.7}, 16 = {}}
        """,
    )
    channels = config.boxes["left"].channels
    assert set(channels) == {1, 16}
    assert channels[1].cell.seed == 7
    assert channels[1].cell.parameters().short.critical_A_per_m2 == pytest.approx(17.0)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[simulation.a]\naddress = "10.0.0.1"\nchannels = {1 = {preset = "tfoh"}}', "tfoh_llzto"),
        ('[simulation.a]\naddress = "10.0.0.1"\nchannels = {1 = {sed = 3}}', "sed"),
        ('[simulation.a]\naddress = "10.0.0.1"\nchannels = {17 = {}}', "17"),
        ('[simulation.a]\naddress = "10.0.0.1"\nchannels = {}', "channels"),
        ('[simulation.a]\naddress = "box"\nchannels = {1 = {}}', "address"),
        (
            "[simulation]\n"
            'a = {address = "10.0.0.1", channels = {1 = {}}}\n'
            'b = {address = "10.0.0.1", channels = {1 = {}}}',
            "same address",
        ),
        ("[store]\nfolder = 3", "no [simulation] table"),
        ("[simulation", "TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(InvalidFileError) as error:
        load(tmp_path, text)
    assert named in str(error.value)


def test_a_channel_may_read_wrongly(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
        [simulation.left]
        address = "192.168.0.10"
        channels = {1 = {meter = {offset_mV = 1.5, glitch_mV = 20, glitch_every = 200}}}
        """,
    )
    errors = config.boxes["left"].channels[1].meter.errors()
    assert (errors.offset_V, errors.glitch_V, errors.glitch_every) == (0.0015, 0.02, 200)
