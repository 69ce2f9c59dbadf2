"""What a poll brought, followed run by run and judged by the guards: at once, before anything is stored."""

from __future__ import annotations

import itertools
import logging
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.kramers_kronig import summarize
from drivers.instrument import ChannelValues, Poll
from protocols.errors import SpectrumError
from protocols.measurements import Block, Spectrum, SpectrumSummary
from scheduler.alarms import heed
from scheduler.columns import NOT_OURS, Columns
from scheduler.run import ActiveRun

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Judged:
    """A poll's data as the store keeps them: in run time, under run numbers, of our runs only."""

    samples: Block
    spectra: list[tuple[ActiveRun, Spectrum, SpectrumSummary]] = field(default_factory=list)
    brought_s: float = 0.0
    """Most instrument time that the poll brought to one run."""


def judge(poll: Poll, runs: Mapping[int, ActiveRun]) -> Judged:
    """Let each run follow what is new, in order; the runs note whether their circuit is to be opened.

    A run whose data can't be followed is to be opened as well: nobody watches its cell any more.
    """
    columns = Columns.of(poll.samples)
    judged = Judged(poll.samples)
    followed = 0
    for channel, items in stream(columns, poll.spectra):
        run = runs.get(channel)
        if run is None:
            continue
        before_s = run.progress.t_s
        try:
            followed += _follow(run, items, columns, judged)
        except Exception as error:
            # One run's bad data must not leave the other cells unwatched.
            about = {"run": run.number, "station": run.info.station}
            log.exception("run %d can't be followed, its circuit is opened", run.number, extra=about)
            run.give_up(f"its data could not be followed: {error!r}")
        judged.brought_s = max(judged.brought_s, run.progress.t_s - before_s)
    _look_at_sweeps(poll.values, runs)
    columns.write(poll.samples)
    if followed < len(poll.samples):
        judged.samples = poll.samples[np.asarray(columns.run) != NOT_OURS]
    return judged


def _follow(run: ActiveRun, items: list[slice | Spectrum], columns: Columns, judged: Judged) -> int:
    """Let a run follow its items; return how many samples were among them."""
    samples = 0
    _look_at_temperature(run)
    for item in items:
        if isinstance(item, Spectrum):
            run.look_for_gap((item.t_start_s + run.offset_s,), (item.step, item.visit))
            spectrum = in_run_time(item, run.number, run.offset_s)
            try:
                summary = summarize(spectrum)
            except SpectrumError as error:
                log.warning("run %d: %s", run.number, error)
                run.tell("unusable_spectrum", {"reason": str(error), "step": spectrum.step})
                continue
            judged.spectra.append((run, spectrum, summary))
            heed(run, run.progress.spectrum(spectrum, summary))
        else:
            heed(run, run.take(columns, item))
            samples += item.stop - item.start
    return samples


def _look_at_temperature(run: ActiveRun) -> None:
    """Tell the guards of the temperature around the cell when it is new.

    The event keeps its place among the samples, so that a new daemon tells them again in the same order.
    """
    kelvin = None if run.climate is None else run.climate.temperature_K
    if kelvin is None or not run.progress.is_news(kelvin):
        return
    run.tell("temperature", {"temperature_K": kelvin, "samples_at_t": run.progress.samples_at_t})
    heed(run, run.progress.temperature(run.progress.t_s, kelvin))


def in_run_time(spectrum: Spectrum, run: int, offset_s: float) -> Spectrum:
    """Return a spectrum as the store keeps it: run number and run time."""
    return spectrum.model_copy(
        update={
            "channel": run,
            "t_start_s": spectrum.t_start_s + offset_s,
            "t_end_s": spectrum.t_end_s + offset_s,
            "t_s": tuple(t + offset_s for t in spectrum.t_s),
        }
    )


def _look_at_sweeps(values: list[ChannelValues], runs: Mapping[int, ActiveRun]) -> None:
    for value in values:
        run = runs.get(value.channel)
        if run is not None and value.sweeping:
            heed(run, run.progress.live(run.progress.t_s, value.voltage_V, value.current_A))


def stream(columns: Columns, spectra: Sequence[Spectrum]) -> Iterator[tuple[int, list[slice | Spectrum]]]:
    """Yield each channel with its samples and spectra in the order in which they were measured."""
    rows = _rows(columns.channel)
    if not spectra:
        for channel, where in rows.items():
            yield channel, [where]
        return
    for channel in sorted(rows.keys() | {spectrum.channel for spectrum in spectra}):
        own = [spectrum for spectrum in spectra if spectrum.channel == channel]
        yield channel, _merge(columns.t_s, rows.get(channel, slice(0, 0)), own)


def _rows(channels: list[int]) -> dict[int, slice]:
    """Return where each channel's samples stand."""
    rows = {}
    first = 0
    for channel, same in itertools.groupby(channels):
        last = first + len(list(same))
        rows[channel] = slice(first, last)
        first = last
    return rows


def _merge(t_s: list[float], rows: slice, spectra: list[Spectrum]) -> list[slice | Spectrum]:
    items: list[slice | Spectrum] = []
    first = rows.start
    for spectrum in sorted(spectra, key=lambda item: item.t_start_s):
        split = bisect_right(t_s, spectrum.t_start_s, first, rows.stop)
        if split > first:
            items.append(slice(first, split))
        items.append(spectrum)
        first = split
    if rows.stop > first:
        items.append(slice(first, rows.stop))
    return items
