"""The classes of the corpus: how many runs of what, and the one run of a class and a number."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmarks.detection.cells import draw_cell
from benchmarks.detection.disturbances import ORDINARY, Mix, draw_disturbances, only
from benchmarks.detection.events import PLACES, Short, draw_gradual, draw_hard, draw_soft
from benchmarks.detection.plans import HOUR_S, Plan, draw_plan, within
from benchmarks.detection.render import Run

Seeds = Literal["development", "held-out"]
SEEDS: dict[Seeds, int] = {"development": 1, "held-out": 2}
DrawShort = Callable[[np.random.Generator, Plan], Short]


@dataclass(frozen=True, slots=True)
class CorpusClass:
    """One class of runs."""

    name: str
    runs: int
    """At full scale."""
    hours: float = 30.0
    """Length of a healthy run."""
    dt_s: float = 1.0
    mix: Mix = ORDINARY
    short: DrawShort | None = None
    after_h: float = 1.0
    """How long a run with an event goes on after it."""
    true_kind: str = ""

    @property
    def healthy(self) -> bool:
        """Whether nothing happens to its cells."""
        return self.short is None


@dataclass(frozen=True, slots=True)
class Drawn:
    """A run, ready to be rendered."""

    run: Run
    until_s: float
    event_s: float | None
    complete_s: float | None
    """When the event has reached its size."""
    eis: bool


def _hard(rng: np.random.Generator, plan: Plan) -> Short:
    return draw_hard(rng, plan, PLACES)


def _soft(depth: float) -> DrawShort:
    return lambda rng, plan: draw_soft(rng, plan, depth)


_PURE = ("nucleation", "arcing", "activation", "temperature", "glitches", "ranges", "missing")
CLASSES: dict[str, CorpusClass] = {
    found.name: found
    for found in (
        CorpusClass("healthy-1Hz", 3400),
        CorpusClass("healthy-10Hz", 5100, hours=12.0, dt_s=0.1),
        *(CorpusClass(name, 340, mix=only(**{name: 20.0})) for name in _PURE),
        CorpusClass("hard-1Hz", 4000, short=_hard, true_kind="short_circuit"),
        CorpusClass("hard-10Hz", 1000, dt_s=0.1, short=_hard, true_kind="short_circuit"),
        *(
            CorpusClass(f"soft-{depth}", 2000, short=_soft(depth), true_kind="soft_short")
            for depth in (0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
        ),
        CorpusClass("gradual", 2000, short=draw_gradual, after_h=6.0, true_kind="soft_short"),
    )
}


def draw(corpus: CorpusClass, number: int, seeds: Seeds) -> Drawn:
    """Draw the run of a class and a number: always the same."""
    rng = np.random.default_rng([SEEDS[seeds], zlib.crc32(corpus.name.encode()), number])
    cell = draw_cell(rng)
    spectra = bool(rng.random() < 0.5)
    plan = draw_plan(rng, cell, spectra)
    short = corpus.short(rng, plan) if corpus.short else None
    until_s = corpus.hours * HOUR_S
    if short is not None:
        until_s = short.t_s + short.fall_s + min(corpus.after_h * HOUR_S, 2 * plan.half_cycle_s + 1800.0)
    dist = draw_disturbances(rng, corpus.mix, until_s / HOUR_S)
    run = Run(
        cell=cell,
        plan=within(plan, cell, dist.highest()),
        dist=dist,
        rng=rng,
        dt_s=corpus.dt_s,
        short=short,
        tells_temperature=bool(rng.random() < 0.3),
        spectrum_noise=float(rng.choice([0.001, 0.005, 0.01])),
    )
    return Drawn(
        run,
        until_s,
        short.t_s if short else None,
        short.t_s + short.fall_s if short else None,
        spectra or bool(rng.random() < 0.6),
    )
