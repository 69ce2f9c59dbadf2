"""Telling the guards of a run what a synthetic cell does."""

from __future__ import annotations

from collections.abc import Iterator

from synthetic_cells import Stretch

from guards.watch import Watch
from protocols.cell import Cell
from protocols.program import GuardSettings, Limits, Program
from protocols.verdicts import Verdict


def watch_of(**overrides: dict[str, float]) -> Watch:
    limits = Limits(voltage_min_V=-100.0, voltage_max_V=100.0, current_max_A=1.0)
    program = Program(
        protocol="synthetic",
        cell=Cell(name="synthetic", area_m2=1e-4),
        steps=(),
        limits=limits,
        guards=GuardSettings(overrides=overrides),
    )
    return Watch.for_program(program)


def tell(watch: Watch, stretch: Stretch) -> Verdict | None:
    watch.enter(stretch.facts)
    return feed(watch, stretch, slice(None))


def feed(watch: Watch, stretch: Stretch, part: slice) -> Verdict | None:
    columns = (stretch.t, stretch.voltage, stretch.current, stretch.charge)
    return watch.samples(*(column[part].tolist() for column in columns))


def first_verdict(stretches: Iterator[Stretch]) -> Verdict | None:
    watch = watch_of()
    answers = (tell(watch, stretch) for stretch in stretches)
    return next((verdict for verdict in answers if verdict is not None), None)
