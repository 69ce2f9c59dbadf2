"""The instrument that plays a recording."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivers.instrument import Instrument, Poll
from drivers.recordings import PlaybackInstrument, Recording, open_recording, phases, program_of
from protocols.cell import Cell
from protocols.errors import InstrumentError
from protocols.measurements import FLAG_INFERRED, SAMPLE
from protocols.program import Program
from protocols.records import Ticket

CELL = Cell(name="cell", area_m2=1e-4)
TICKET = Ticket(run=1, segment=0, program="0" * 64)


@pytest.fixture(scope="module")
def symmetric(recordings: Path) -> Recording:
    return open_recording(recordings / "symmetric" / "li_llzo_li_peis_and_cycling.mpr")


async def started(
    recording: Recording, rows_per_poll: int, program: Program | None = None
) -> PlaybackInstrument:
    instrument = PlaybackInstrument(recording, rows_per_poll=rows_per_poll)
    await instrument.connect()
    await instrument.start(0, program or program_of(recording, CELL), TICKET)
    return instrument


async def played(instrument: Instrument) -> list[Poll]:
    polls = [await instrument.poll()]
    while not polls[-1].ended:
        assert polls[-1].more
        polls.append(await instrument.poll())
    return polls


@pytest.mark.parametrize("rows_per_poll", [1, 7, 257, 100_000])
async def test_every_sample_and_spectrum_comes_once_and_in_order(
    symmetric: Recording, rows_per_poll: int
) -> None:
    polls = await played(await started(symmetric, rows_per_poll))
    samples = np.concatenate([poll.samples for poll in polls])
    assert samples.dtype == SAMPLE
    np.testing.assert_allclose(samples["t_s"], symmetric.t_s - symmetric.t_s[0], atol=1e-9)
    np.testing.assert_array_equal(samples["voltage_V"], symmetric.voltage_V)
    np.testing.assert_array_equal(samples["current_A"], symmetric.current_A)
    assert not samples["flags"].any()
    spectra = [spectrum for poll in polls for spectrum in poll.spectra]
    assert [s.z_real_ohm for s in spectra] == [s.z_real_ohm for s in symmetric.spectra]
    assert max(len(poll.samples) for poll in polls) <= rows_per_poll


async def test_spectra_stand_between_the_samples_they_were_taken_between(symmetric: Recording) -> None:
    newest_s = -1.0
    for poll in await played(await started(symmetric, 1)):
        for row in poll.samples:
            assert row["t_s"] >= newest_s
            newest_s = float(row["t_s"])
        for spectrum in poll.spectra:
            assert spectrum.t_start_s >= newest_s
            assert spectrum.t_s[-1] == spectrum.t_end_s
            newest_s = spectrum.t_end_s


async def test_steps_are_those_of_the_program(symmetric: Recording) -> None:
    polls = await played(await started(symmetric, 300))
    samples = np.concatenate([poll.samples for poll in polls])
    for index, phase in enumerate(phases(symmetric)):
        assert np.count_nonzero(samples["step"] == index) == phase.stop - phase.first
    steps = [spectrum.step for poll in polls for spectrum in poll.spectra]
    assert steps == [index for index, phase in enumerate(phases(symmetric)) if phase.kind == "spectrum"]


async def test_the_end_is_complete_and_comes_with_the_last_rows(symmetric: Recording) -> None:
    polls = await played(await started(symmetric, 500))
    end = polls[-1].ended[0]
    assert end.reason == "complete"
    assert end.position.finished
    assert not program_of(symmetric, CELL).remainder(end.position).steps
    assert len(polls) == -(-len(symmetric.t_s) // 500)


async def test_spectra_alone_play_too(recordings: Path) -> None:
    recording = open_recording(recordings / "biologic" / "peis.issue_149.mpr")
    (poll,) = await played(await started(recording, 10))
    assert len(poll.samples) == 0
    assert [spectrum.step for spectrum in poll.spectra] == [0, 1, 2, 3]
    assert poll.spectra[0].t_start_s == 0


async def test_stop_ends_at_once_and_the_circuit_is_open(symmetric: Recording) -> None:
    instrument = await started(symmetric, 100)
    given = await instrument.poll()
    opened = await instrument.stop(0)
    assert opened.confirmed
    assert opened.current_A == 0
    assert opened.segment_t_s == pytest.approx(given.samples["t_s"][-1])
    last = await instrument.poll()
    assert len(last.samples) == 0
    assert last.ended[0].reason == "stopped"
    assert last.ended[0].position.step == given.samples["step"][-1]
    assert not (await instrument.poll()).ended
    assert not (await instrument.look())[0].running


@pytest.mark.parametrize("polls_before", [1, 2, 5])
async def test_the_remainder_goes_on_where_it_was_stopped(symmetric: Recording, polls_before: int) -> None:
    program = program_of(symmetric, CELL)
    instrument = await started(symmetric, 150, program)
    before = [await instrument.poll() for _ in range(polls_before)]
    stop = await instrument.stop(0)
    position = (await instrument.poll()).ended[0].position
    await instrument.start(0, program.remainder(position), TICKET)
    after = await played(instrument)
    voltages = np.concatenate([poll.samples["voltage_V"] for poll in before + after])
    np.testing.assert_array_equal(voltages, symmetric.voltage_V)
    assert sum(len(poll.spectra) for poll in before + after) == len(symmetric.spectra)
    assert stop.segment_t_s is not None
    times = np.concatenate([poll.samples["t_s"] for poll in after]) + stop.segment_t_s
    np.testing.assert_allclose(times[-1], symmetric.t_s[-1] - symmetric.t_s[0], atol=1e-6)


async def test_an_inferred_current_is_marked_in_every_sample(symmetric: Recording) -> None:
    recording = replace(symmetric, inferred_current=True)
    polls = await played(await started(recording, 1000))
    assert all((poll.samples["flags"] == FLAG_INFERRED).all() for poll in polls)


async def test_it_drives_nothing(symmetric: Recording) -> None:
    instrument = await started(symmetric, 10)
    with pytest.raises(InstrumentError, match="already"):
        await instrument.start(0, program_of(symmetric, CELL), TICKET)
    await instrument.close()
    test = program_of(symmetric, CELL).model_copy(update={"kind": "test"})
    with pytest.raises(InstrumentError, match="can't run a test"):
        await instrument.start(0, test, TICKET)
    with pytest.raises(InstrumentError, match="channel 0 only"):
        await instrument.stop(1)
    assert await instrument.attach(0, program_of(symmetric, CELL), TICKET) is None
    assert not instrument.simulated
    assert "playback" in instrument.capabilities(0).model


async def test_a_look_shows_whose_recording_plays(symmetric: Recording) -> None:
    instrument = await started(symmetric, 10)
    (look,) = await instrument.look()
    assert look.running
    assert look.marker == TICKET.marker
