"""The classes of the corpus: how many runs of what, and the one run of a class and a number."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmarks.detection.bench import Bench
from benchmarks.detection.cells import LithiumCell, draw_cell
from benchmarks.detection.disturbances import ORDINARY, Mix, draw_disturbances, only
from benchmarks.detection.events import Dips, Short, draw_dips, draw_gradual, draw_hard, draw_soft
from benchmarks.detection.full_cells import FullRun, draw_full, seconds_after
from benchmarks.detection.plans import HOUR_S, SWEEP_S, Plan, draw_plan, within
from benchmarks.detection.render import Run
from benchmarks.detection.runaways import (
    Runaway,
    draw_contact,
    draw_depletion,
    draw_open,
    made_symmetric,
    with_lithium,
)
from protocols.verdicts import Side

FOIL_C_PER_M2 = 20 * 7380.0
"""Lithium of 20 µm."""
Seeds = Literal["development", "held-out"]
SEEDS: dict[Seeds, int] = {"development": 1, "held-out": 2}
Event = Short | Runaway | Dips
DrawEvent = Callable[[np.random.Generator, LithiumCell, Plan], tuple[Event, LithiumCell]]


@dataclass(frozen=True, slots=True)
class CorpusClass:
    """One class of runs."""

    name: str
    runs: int
    """At full scale."""
    hours: float = 30.0
    """Length of a healthy run."""
    dt_s: tuple[float, ...] = (1.0,)
    """Intervals of samples, one drawn for each run."""
    mix: Mix = ORDINARY
    event: DrawEvent | None = None
    after_h: float = 1.0
    """How long a run with an event goes on after it, at most."""
    called: tuple[str, ...] = ()
    """Kinds of verdict that are right; none if nothing happens."""
    full: bool = False
    """Full cells."""

    @property
    def healthy(self) -> bool:
        """Whether nothing happens to its cells."""
        return not self.called


@dataclass(frozen=True, slots=True)
class Drawn:
    """A run, ready to be rendered."""

    run: Run | FullRun
    bench: Bench
    until_s: float
    event_s: float | None = None
    complete_s: float | None = None
    """When the event has reached its size."""
    where: str = ""
    limit_V: float | None = None
    """That E runs away to."""
    in_time_s: float = 0.0
    """What is found so long after the event's full size is found in time: a half-cycle and its rest."""


def _hard(rng: np.random.Generator, cell: LithiumCell, plan: Plan) -> tuple[Event, LithiumCell]:
    return draw_hard(rng, plan), cell


def _gradual(rng: np.random.Generator, cell: LithiumCell, plan: Plan) -> tuple[Event, LithiumCell]:
    return draw_gradual(rng, plan), cell


def _symmetric(rng: np.random.Generator, cell: LithiumCell, plan: Plan) -> tuple[Event, LithiumCell]:
    event, cell = draw_contact(rng, cell, plan)
    return event, made_symmetric(cell)


def _dips(rng: np.random.Generator, cell: LithiumCell, plan: Plan) -> tuple[Event, LithiumCell]:
    return draw_dips(rng, plan), cell


def _soft(depth: float) -> DrawEvent:
    return lambda rng, cell, plan: (draw_soft(rng, plan, depth), cell)


PURE = ("nucleation", "arcing", "activation", "temperature", "glitches", "ranges")
_EQUAL = ("polarization", "contact_loss")
"""Two equal electrodes can't show which one is empty."""
_SHORT = ("short_circuit", "soft_short")
_DEPTHS = (0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
_ALL = (
    CorpusClass("healthy-1Hz", 3400),
    CorpusClass("healthy-10Hz", 5100, hours=12.0, dt_s=(0.1,)),
    *(CorpusClass(name, 340, mix=only(**{name: 20.0})) for name in PURE),
    CorpusClass("missing", 340, mix=only(missing=20.0), dt_s=(1.0, 1.0, 2.0, 10.0, 60.0, 120.0)),
    CorpusClass("hard-1Hz", 4000, event=_hard, called=_SHORT),
    CorpusClass("hard-10Hz", 1000, dt_s=(0.1,), event=_hard, called=_SHORT),
    *(CorpusClass(f"soft-{depth}", 2000, event=_soft(depth), called=_SHORT) for depth in _DEPTHS),
    CorpusClass("gradual", 2000, event=_gradual, after_h=6.0, called=_SHORT),
    CorpusClass("micro", 500, dt_s=(0.1, 1.0), event=_dips, after_h=2.0, called=("micro_short",)),
    CorpusClass("depletion", 2000, event=draw_depletion, called=("li_depletion",)),
    CorpusClass("contact", 2000, event=draw_contact, after_h=3.0, called=("contact_loss",)),
    CorpusClass("contact-symmetric", 2000, event=_symmetric, after_h=3.0, called=_EQUAL),
    CorpusClass("open", 2000, event=draw_open, after_h=0.2, called=("open_circuit",)),
    CorpusClass("full-healthy", 340, full=True),
    CorpusClass("full-short", 2000, full=True, called=(*_SHORT, "micro_short")),
)
CLASSES = {found.name: found for found in _ALL}


def draw(corpus: CorpusClass, number: int, seeds: Seeds) -> Drawn:
    """Draw the run of a class and a number: always the same."""
    rng = np.random.default_rng([SEEDS[seeds], zlib.crc32(corpus.name.encode()), number])
    return _draw_full(rng, corpus) if corpus.full else _draw_lithium(rng, corpus)


def _draw_lithium(rng: np.random.Generator, corpus: CorpusClass) -> Drawn:
    cell = draw_cell(rng)
    spectra = bool(rng.random() < 0.5)
    if not spectra:
        # Without spectra of the healthy cell, one of wires and short together would look like it.
        cell = replace(cell, wire_ohm=0.0)
    plan = draw_plan(rng, cell, spectra)
    dist = draw_disturbances(rng, corpus.mix, corpus.hours)
    plan = within(plan, cell, dist.highest())
    cell = _supplied(rng, cell, plan, corpus.hours)
    event, cell = corpus.event(rng, cell, plan) if corpus.event else (None, cell)
    run = Run(
        cell=cell,
        plan=plan,
        dist=dist,
        rng=rng,
        dt_s=float(rng.choice(corpus.dt_s)),
        short=event if isinstance(event, Short) else None,
        dips=event if isinstance(event, Dips) else None,
        runaway=event if isinstance(event, Runaway) else None,
        tells_temperature=bool(rng.random() < 0.3),
        spectrum_noise=float(rng.choice([0.001, 0.005, 0.01])),
    )
    bench = Bench(run, eis=spectra or bool(rng.random() < 0.6))
    if event is None:
        return Drawn(run, bench, corpus.hours * HOUR_S)
    return _until_found(run, bench, event, corpus.after_h * HOUR_S)


def _until_found(run: Run, bench: Bench, event: Event, after_s: float) -> Drawn:
    """Return a run that goes on for two half-cycles after its event, but no longer than ``after_s``."""
    plan = run.plan
    after_s = min(after_s, 2.0 * plan.half_cycle_s + 2.0 * plan.rest_s + 1800.0)
    return Drawn(
        run=run,
        bench=bench,
        until_s=event.complete_s + after_s,
        event_s=event.t_s,
        complete_s=event.complete_s,
        where=event.sort,
        limit_V=run.limit_V if isinstance(event, Runaway) else None,
        in_time_s=plan.half_cycle_s + plan.rest_s + SWEEP_S,
    )


def _supplied(rng: np.random.Generator, cell: LithiumCell, plan: Plan, hours: float) -> LithiumCell:
    """Return the cell with more lithium than its test can use up; a part of them asymmetric."""
    lasts_s = hours * HOUR_S if plan.kind == "one way" else plan.half_cycle_s
    least_C = 2.0 * plan.current_A * plan.levels * lasts_s
    amount_C = least_C + cell.facts.area_m2 * FOIL_C_PER_M2
    side: Side = "working" if rng.random() < 0.7 else "counter"
    cell = with_lithium(cell, side, amount_C, amount_C * float(rng.uniform(2.0, 10.0)))
    return cell if rng.random() < 0.4 else made_symmetric(cell)


def _draw_full(rng: np.random.Generator, corpus: CorpusClass) -> Drawn:
    dist = draw_disturbances(rng, corpus.mix, corpus.hours)
    run = draw_full(rng, dist, float(rng.choice(corpus.dt_s)), shorted=bool(corpus.called))
    bench = Bench(None, eis=False)
    if run.event is None:
        return Drawn(run, bench, corpus.hours * HOUR_S)
    at_s = run.event.t_s
    return Drawn(run, bench, at_s + seconds_after(run), at_s, at_s, run.event.cause)
