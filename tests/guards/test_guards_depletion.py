"""Depletion, contact loss, open circuit and polarisation are told apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from guards.guard import StepFacts
from guards.watch import Watch
from protocols.cell import LITHIUM_C_PER_M3, Cell, Electrode
from protocols.program import Limits, Program
from protocols.verdicts import Verdict

AREA_m2 = 0.785e-4
LIMIT_V = 1.5
CURRENT_A = 0.5e-3 * 0.785
HALF_s = 3600.0
PLANNED_C = CURRENT_A * HALF_s


@dataclass(frozen=True)
class Lithium:
    """What happens to the lithium of a cell of 100|``thin_um``, the thin one on ``side``."""

    thin_um: float = 20.0
    thick_um: float = 100.0
    side: str = "working"
    loss: float = 0.5
    """Part of each stripped charge that never comes back to the thin side."""
    tau_s: float = 5.0
    """E grows e-fold in this time once the side is empty."""
    contact_lost_C: float | None = None
    """Contact is lost when this much was stripped gross, whatever is left."""

    def cell(self) -> Cell:
        thin, thick = (
            Electrode(inventory_C_per_m2=um * 1e-6 * LITHIUM_C_PER_M3) for um in (self.thin_um, self.thick_um)
        )
        working, counter = (thin, thick) if self.side == "working" else (thick, thin)
        return Cell(name="100|20", geometry="asymmetric", area_m2=AREA_m2, working=working, counter=counter)

    def half_cycles(self, count: int = 60) -> Iterator[tuple[StepFacts, np.ndarray, np.ndarray, np.ndarray]]:
        """Facts, t, E and I of each half-cycle until E has passed the limit (by the last sample)."""
        stripping = 1.0 if self.side == "working" else -1.0
        left, gross = self.thin_um * 1e-6 * LITHIUM_C_PER_M3 * AREA_m2, 0.0
        rng = np.random.default_rng(1)
        for number in range(count):
            sign = 1.0 if number % 2 == 0 else -1.0
            facts = StepFacts(0, number, "constant_current", number * HALF_s, sign * CURRENT_A, PLANNED_C)
            since = np.arange(1.0, HALF_s + 1.0)
            size = 0.02 * (1.0 + 0.01 * rng.standard_normal(len(since)))
            if sign == stripping:
                reach = left if self.contact_lost_C is None else min(left, self.contact_lost_C - gross)
                over_s = np.maximum(since - reach / CURRENT_A, 0.0)
                size = size * np.exp(np.minimum(over_s / self.tau_s, 50.0))
                gross += PLANNED_C
                left -= PLANNED_C
            else:
                left += PLANNED_C * (1.0 - self.loss)
            end = int(np.argmax(size >= LIMIT_V)) + 1 if (size >= LIMIT_V).any() else len(size)
            current = np.full(end, sign * CURRENT_A)
            yield facts, facts.t_s + since[:end], sign * size[:end], current
            if end < len(since):
                return


def watch_of(cell: Cell) -> Watch:
    limits = Limits(voltage_min_V=-LIMIT_V, voltage_max_V=LIMIT_V, current_max_A=1.0)
    return Watch.for_program(Program(protocol="depletion", cell=cell, steps=(), limits=limits))


def tell(
    watch: Watch, facts: StepFacts, t: np.ndarray, voltage: np.ndarray, current: np.ndarray
) -> Verdict | None:
    watch.enter(facts)
    charge = current * (t - facts.t_s)
    return watch.samples(t.tolist(), voltage.tolist(), current.tolist(), charge.tolist())


def run(lithium: Lithium, cell: Cell | None = None) -> tuple[Verdict, float]:
    """Return what the guards say, live or once the limit on board has fired, and the time of the end."""
    watch = watch_of(cell or lithium.cell())
    end_s = 0.0
    for facts, t, voltage, current in lithium.half_cycles():
        verdict = tell(watch, facts, t, voltage, current)
        end_s = float(t[-1])
        if verdict is not None:
            return verdict, end_s
    return watch.tripped(end_s, "E reached 1.5 V"), end_s


@pytest.mark.parametrize("side", ["working", "counter"])
@pytest.mark.parametrize("tau_s", [0.3, 1.0, 20.0, 150.0])
def test_an_exhausted_electrode_is_named_with_its_side(side: str, tau_s: float) -> None:
    lithium = Lithium(side=side, tau_s=tau_s)
    verdict, end_s = run(lithium)
    assert (verdict.kind, verdict.side) == ("li_depletion", side)
    assert verdict.stops
    assert verdict.event_s <= verdict.time_s <= end_s
    assert verdict.evidence["stripping_side"] == side


def test_the_books_in_the_evidence_are_those_of_the_charge_passed() -> None:
    lithium = Lithium(tau_s=0.3)
    verdict, end_s = run(lithium)
    halves, rest_s = divmod(end_s, HALF_s)
    assert halves % 2 == 0
    assert verdict.evidence["net_stripped_C"] == pytest.approx(rest_s * CURRENT_A)
    assert verdict.evidence["gross_stripped_C"] == pytest.approx((halves / 2 * HALF_s + rest_s) * CURRENT_A)
    assert verdict.evidence["inventory_C"] == lithium.cell().inventory_C("working")


@pytest.mark.parametrize("tau_s", [0.3, 20.0])
def test_contact_lost_while_there_is_lithium_is_no_depletion(tau_s: float) -> None:
    verdict, _ = run(Lithium(tau_s=tau_s, contact_lost_C=2.5 * PLANNED_C))
    assert verdict.kind == "contact_loss"
    assert verdict.side is None


def test_the_thick_side_that_runs_away_is_no_depletion() -> None:
    verdict, _ = run(Lithium(thin_um=100.0, thick_um=20.0, contact_lost_C=2.5 * PLANNED_C))
    assert verdict.kind == "contact_loss"


@pytest.mark.parametrize("tau_s", [0.3, 20.0])
def test_equal_inventories_can_only_polarise(tau_s: float) -> None:
    verdict, _ = run(Lithium(thick_um=20.0, tau_s=tau_s))
    assert verdict.kind == "polarization"


def test_no_current_at_the_limit_is_an_open_circuit() -> None:
    lithium = Lithium()
    watch = watch_of(lithium.cell())
    facts, t, voltage, current = next(lithium.half_cycles())
    voltage[2000:], current[2000:] = LIMIT_V, 1e-3 * CURRENT_A
    verdict = tell(watch, facts, t, voltage, current)
    assert verdict is not None
    assert verdict.kind == "open_circuit"
    assert (verdict.event_s, verdict.time_s) == (t[2000], t[2001])


def test_a_single_row_of_a_circuit_that_opened_is_enough_after_a_trip() -> None:
    lithium = Lithium()
    watch = watch_of(lithium.cell())
    facts, t, voltage, current = next(lithium.half_cycles())
    voltage[2000], current[2000] = LIMIT_V, 0.0
    voltage[2001:], current[2001:] = 0.0, 0.0
    assert tell(watch, facts, t[:2010], voltage[:2010], current[:2010]) is None
    assert watch.tripped(t[2010], "limit").kind == "open_circuit"


def test_a_planned_end_by_voltage_is_no_runaway() -> None:
    lithium = Lithium(tau_s=20.0)
    watch = watch_of(lithium.cell())
    for facts, t, voltage, current in lithium.half_cycles():
        planned = StepFacts(
            facts.step, facts.visit, facts.kind, facts.t_s, facts.set_current_A, None, until_voltage_V=1.4
        )
        assert (
            tell(
                watch,
                planned,
                t[abs(voltage) < 1.4],
                voltage[abs(voltage) < 1.4],
                current[abs(voltage) < 1.4],
            )
            is None
        )


def test_charge_that_passes_under_a_spectrum_is_counted() -> None:
    cell = Lithium().cell()
    watch = watch_of(cell)
    inventory = cell.inventory_C("working")
    assert inventory is not None
    sweep_s = inventory / CURRENT_A
    watch.enter(StepFacts(0, 0, "geis", 0.0, CURRENT_A, None))
    facts = StepFacts(1, 0, "constant_current", sweep_s, CURRENT_A, PLANNED_C)
    t = sweep_s + np.arange(1.0, 200.0)
    voltage = np.where(t < sweep_s + 150.0, 0.02, 1.2)
    verdict = tell(watch, facts, t, voltage, np.full(len(t), CURRENT_A))
    assert verdict is not None
    assert verdict.kind == "li_depletion"


def test_a_visit_that_goes_on_after_a_pause_is_counted_once() -> None:
    lithium = Lithium(tau_s=0.3)
    facts, t, voltage, current = next(lithium.half_cycles())
    whole, paused = watch_of(lithium.cell()), watch_of(lithium.cell())
    voltage[-1] = LIMIT_V
    tell(whole, facts, t, voltage, current)
    half = len(t) // 2
    tell(paused, facts, t[:half], voltage[:half], current[:half])
    paused.enter(StepFacts(9, 0, "rest", t[half - 1], 0.0, None))
    paused.enter(StepFacts(0, 0, "constant_current", t[half - 1], facts.set_current_A, PLANNED_C))
    charge = current * (t - facts.t_s)
    paused.samples(*(column[half:].tolist() for column in (t, voltage, current, charge)))
    expected = whole.tripped(t[-1], "").evidence
    found = paused.tripped(t[-1], "").evidence
    assert found["net_stripped_C"] == expected["net_stripped_C"] == pytest.approx(PLANNED_C)


def test_a_restored_guard_names_the_same() -> None:
    lithium = Lithium(tau_s=20.0)
    expected, _ = run(lithium)
    watch, answers = watch_of(lithium.cell()), []
    for half_cycle in lithium.half_cycles():
        answers.append(tell(watch, *half_cycle))
        saved = json.loads(json.dumps(watch.state(), allow_nan=False))
        watch = watch_of(lithium.cell())
        watch.restore(saved)
    assert answers[-1] == expected
