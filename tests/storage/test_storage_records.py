"""What is kept of a run besides its samples comes back as it was saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocols.cell import Cell
from protocols.errors import StorageError
from protocols.measurements import Spectrum, SpectrumSummary
from protocols.nodes import Rest
from protocols.program import Limits, Program
from protocols.records import Event, Gap, HalfCycle, RunInfo, RunState, Ticket
from protocols.verdicts import Verdict
from storage.reader import Reader
from storage.store import Store


def info(run: int, state: RunState = "running") -> RunInfo:
    return RunInfo(
        run=run,
        name="a",
        station="A",
        protocol="p",
        cell="c",
        state=state,
        submitted_unix_s=1.0,
    )


def program(duration_s: float = 60.0) -> Program:
    rest = Rest(index=0, label="rest", duration_s=duration_s)
    limits = Limits(voltage_min_V=-2, voltage_max_V=2, current_max_A=1e-3)
    return Program(protocol="p", cell=Cell(name="c", area_m2=1e-4), steps=(rest,), limits=limits)


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    await store.open()
    return store


async def reread(store: Store) -> Reader:
    """Commit, close, and read as another process would."""
    reader = store.reader
    await store.close()
    return reader


def spectrum(t_start_s: float, z: float) -> Spectrum:
    return Spectrum(
        channel=5,
        step=1,
        visit=0,
        t_start_s=t_start_s,
        t_end_s=t_start_s + 3,
        frequency_Hz=(1e3, 1e2),
        z_real_ohm=(z, 2 * z),
        z_imag_ohm=(-1.0, -2.0),
        t_s=(t_start_s + 1, t_start_s + 2),
    )


def summary(t_s: float) -> SpectrumSummary:
    return SpectrumSummary(
        t_s=t_s,
        current_A=0,
        r_hf_ohm=1,
        r_total_ohm=3,
        r_int_ohm=2,
        phase_low_rad=-0.1,
        z_imag_low_ohm=1,
        f_low_Hz=1,
        conductance_low_S=0.3,
        kk_passed=True,
        kk_rms=1e-3,
        kk_lag1=0.1,
        noise=1e-3,
    )


def half_cycle(number: int, charge_C: float) -> HalfCycle:
    return HalfCycle(
        number=number,
        step=0,
        visit=number,
        t_start_s=0,
        t_end_s=10,
        set_current_A=1,
        current_A=1,
        charge_C=charge_C,
        planned_charge_C=None,
        complete=True,
        overpotential_V=0.1,
        voltage_min_V=0,
        voltage_max_V=1,
        voltage_end_V=1,
    )


async def test_a_run_with_its_program_and_texts(store: Store) -> None:
    store.add_run(info(1), program(), {"protocol": "rest: 60 s\n", "cell": "Ω"})
    await store.commit()
    newer = info(1, "finished").model_copy(update={"samples": 7})
    store.save_run(newer)
    store.add_run(info(2), program(30.0), {})
    reader = await reread(store)
    assert reader.runs() == [newer, info(2)]
    assert reader.run(1) == newer
    assert (reader.program(1), reader.program(2)) == (program(), program(30.0))
    texts = reader.extra(1)  # noqa: S610 - not Django's extra
    assert texts == {"protocol": "rest: 60 s\n", "cell": "Ω"}
    assert reader.unsealed() == [1]
    with pytest.raises(StorageError, match="no run 3"):
        reader.run(3)


async def test_a_ticket_keeps_its_newest_state(store: Store) -> None:
    first, second = (
        Ticket(run=1, segment=k, program=p.digest(), folder=store.identity)
        for k, p in enumerate((program(), program(30.0)))
    )
    store.save_ticket(first, program(), "intent", 0.0, 100.0)
    await store.commit()
    store.save_ticket(first, program(), "started", 0.0, 101.0)
    store.save_ticket(second, program(30.0), "intent", 60.0, 161.0)
    reader = await reread(store)
    stored = reader.tickets(1)
    assert [s.ticket for s in stored] == [first, second]
    assert [s.state for s in stored] == ["started", "intent"]
    assert [s.program for s in stored] == [program(), program(30.0)]
    assert [(s.offset_s, s.anchor_unix_s) for s in stored] == [(0.0, 101.0), (60.0, 161.0)]
    assert reader.tickets(2) == []


async def test_spectra_half_cycles_verdicts_and_gaps_come_back_in_order_and_once(store: Store) -> None:
    verdicts = [
        Verdict(kind="short_circuit", tier=1, time_s=t, event_s=t, message="E fell", evidence={"value": 0.01})
        for t in (9.0, 5.0)
    ]
    gaps = [Gap(t_from_s=t, t_to_s=t + 1, reason="crash") for t in (8.0, 2.0)]
    for _ in range(2):  # what a recovered engine finds again is not stored twice
        for t in (20.0, 10.0):
            store.add_spectrum(1, spectrum(t, t), summary(t))
        for number in (1, 0):
            store.add_half_cycle(1, half_cycle(number, 0.5))
        for verdict, gap in zip(verdicts, gaps, strict=True):
            store.add_verdict(1, verdict)
            store.add_gap(1, gap)
        await store.commit()
    store.add_half_cycle(1, half_cycle(0, 0.7))
    reader = await reread(store)
    whole = [spectrum(t, t).model_copy(update={"channel": 1}) for t in (10.0, 20.0)]
    assert reader.spectra(1) == list(zip(whole, [summary(10.0), summary(20.0)], strict=True))
    assert reader.half_cycles(1) == [half_cycle(0, 0.7), half_cycle(1, 0.5)]
    assert reader.verdicts(1) == verdicts[::-1]
    assert reader.gaps(1) == gaps[::-1]


async def test_events_are_numbered_in_order_and_read_from_a_cursor(store: Store) -> None:
    events = [Event(kind="note", t_s=float(k), unix_s=float(k), data={"k": k}) for k in range(6)]
    returned = []
    for k, event in enumerate(events):
        store.add_event(None if k == 0 else k % 2, event)
        if k % 3 == 2:
            returned += await store.commit()
    reader = await reread(store)
    assert [stored.event for stored in returned] == events
    assert reader.events() == returned
    assert reader.events(after_id=returned[1].id, limit=2) == returned[2:4]
    assert reader.events(run=1) == [s for s in returned if s.run == 1]


async def test_only_the_newest_guards_and_results_are_kept(store: Store) -> None:
    assert (store.reader.guards(1), store.reader.results(1)) == (None, None)
    for t_s in (1.0, 2.0):
        store.save_guards(1, t_s, {"depletion": {"net_C": t_s}})
        store.save_result(1, {"ccd_mA_per_cm2": t_s, "curve": [1, None]})
        await store.commit()
    reader = await reread(store)
    assert reader.guards(1) == (2.0, {"depletion": {"net_C": 2.0}})
    assert reader.results(1) == {"ccd_mA_per_cm2": 2.0, "curve": [1, None]}


@pytest.mark.parametrize("value", [float("nan"), object()])
async def test_what_json_cannot_hold_is_refused_when_it_is_given(store: Store, value: object) -> None:
    with pytest.raises(StorageError, match="cannot be stored as JSON"):
        store.save_result(1, {"x": value})
    reader = await reread(store)
    assert reader.results(1) is None
