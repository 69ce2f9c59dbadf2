"""Recorded spectra of healthy cells through the engine: no guard finds anything in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.replay import Given, play

WITH_SPECTRA = {
    "symmetric/li_llzo_li_peis_and_cycling.mpr": 8,
    "biologic/geis.issue_149.mpt": 4,
    "biologic/peis.issue_149.mpr": 4,
    "eis/hybrid-drt__PEIS_SSB.mpr": 1,
    "eis/impedance.py__exampleDataGamry.DTA": 1,
    "eis/pyDRTtools__LIB_data.txt": 1,
}


@pytest.mark.parametrize("name", WITH_SPECTRA)
async def test_nothing_is_found_in_a_healthy_recording(recordings: Path, tmp_path: Path, name: str) -> None:
    played = await play(recordings / name, tmp_path, Given())
    assert played.spectra == WITH_SPECTRA[name]
    assert played.verdicts == []
