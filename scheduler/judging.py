"""What a poll brought, followed run by run and judged by the guards: at once, before anything is stored."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from analysis.kramers_kronig import summarize
from drivers.instrument import ChannelValues, Poll
from protocols.measurements import Block, Spectrum, SpectrumSummary, empty_block
from scheduler.run import ActiveRun

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Judged:
    """A poll's data as the store keeps them: in run time, under run numbers, of our runs only."""

    blocks: list[Block] = field(default_factory=list)
    spectra: list[tuple[ActiveRun, Spectrum, SpectrumSummary]] = field(default_factory=list)
    brought_s: float = 0.0
    """Most instrument time that the poll brought to one run."""

    @property
    def samples(self) -> Block:
        """All samples."""
        return np.concatenate(self.blocks) if self.blocks else empty_block()


def judge(poll: Poll, runs: Mapping[int, ActiveRun]) -> Judged:
    """Let each run follow what is new, in order; the runs note whether their circuit is to be opened.

    A run whose data can't be followed is to be opened as well: nobody watches its cell any more.
    """
    judged = Judged()
    for channel, items in stream(poll):
        run = runs.get(channel)
        if run is None:
            continue
        before_s = run.progress.t_s
        try:
            _follow(run, items, judged)
        except Exception as error:
            # One run's bad data must not leave the other cells unwatched.
            log.exception("run %d can't be followed, its circuit is opened", run.number)
            run.give_up(f"its data could not be followed: {error!r}")
        judged.brought_s = max(judged.brought_s, run.progress.t_s - before_s)
    _look_at_sweeps(poll.values, runs)
    return judged


def _follow(run: ActiveRun, items: list[Block | Spectrum], judged: Judged) -> None:
    for item in items:
        if isinstance(item, Spectrum):
            spectrum = run.in_run_time(item)
            summary = summarize(spectrum)
            judged.spectra.append((run, spectrum, summary))
            run.heed(run.progress.spectrum(spectrum, summary))
        else:
            run.heed(run.take(item))
            judged.blocks.append(item)


def _look_at_sweeps(values: list[ChannelValues], runs: Mapping[int, ActiveRun]) -> None:
    for value in values:
        run = runs.get(value.channel)
        if run is not None and value.sweeping:
            run.heed(run.progress.live(run.progress.t_s, value.voltage_V, value.current_A))


def stream(poll: Poll) -> Iterator[tuple[int, list[Block | Spectrum]]]:
    """Yield each channel with its samples and spectra in the order in which they were measured."""
    samples = poll.samples
    channels = samples["channel"]
    edges = np.flatnonzero(np.diff(channels)) + 1
    blocks = {int(block["channel"][0]): block for block in np.split(samples, edges) if len(block)}
    spectra: dict[int, list[Spectrum]] = {}
    for spectrum in poll.spectra:
        spectra.setdefault(spectrum.channel, []).append(spectrum)
    for channel in sorted(blocks.keys() | spectra.keys()):
        yield channel, _merge(blocks.get(channel), spectra.get(channel, []))


def _merge(block: Block | None, spectra: list[Spectrum]) -> list[Block | Spectrum]:
    items: list[Block | Spectrum] = []
    rest = block if block is not None else empty_block()
    for spectrum in sorted(spectra, key=lambda item: item.t_start_s):
        split = int(np.searchsorted(rest["t_s"], spectrum.t_start_s, side="right"))
        if split:
            items.append(rest[:split])
        items.append(spectrum)
        rest = rest[split:]
    if len(rest):
        items.append(rest)
    return items
