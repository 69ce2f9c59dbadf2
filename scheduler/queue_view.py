"""The queue as people see it: who waits for what, and when what is expected. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from protocols.records import RunInfo
from protocols.wishes import parse_wish
from scheduler.clock import Clock
from scheduler.dispatcher import Dispatcher, cell_key, longest_s
from scheduler.forecast import Expected, Outlook, forecast
from scheduler.placing import Fit
from scheduler.queue import Entry, LabQueue
from scheduler.requests import Order, QueueReply, QueueRow, Submission
from scheduler.why_waiting import Circumstances, why_waiting


class QueueView:
    """Answers questions about the queue."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock) -> None:
        self._dispatcher = dispatcher
        self._clock = clock

    def why(self, run: int) -> str:
        """Say what a run waits for before it starts; empty if it does not wait."""
        dispatcher = self._dispatcher
        entry = dispatcher.queue.waiting.get(run)
        if entry is not None:
            return self._why(
                dispatcher.queue,
                entry,
                wants(dispatcher.requests[run].needs, dispatcher.requests[run].chamber),
            )
        station = dispatcher.queue.station_of(run)
        active = dispatcher.runs.get(run)
        if active is None or active.ticket is not None or not station:
            return ""
        keeper = dispatcher.stations.place(station).keeper
        lost = f"contact with {keeper.instrument.name}: is it on, and its address right?"
        return "" if keeper.reachable else lost

    async def rows(self) -> QueueReply:
        """Return what has a station, then what waits, in order, each with what is expected."""
        queue = self._dispatcher.queue.copy()
        expected = await asyncio.to_thread(forecast, queue, self._outlook(queue))
        now_s = self._clock.unix()
        alive = [o.run for o in queue.occupants.values() if o.run in self._dispatcher.runs]
        waiting = [entry.run for entry in queue.order(now_s)]
        infos = {
            run: self._dispatcher.runs[run].snapshot()
            for run in [*alive, *waiting]
            if run in self._dispatcher.runs
        }
        rows = [self._row(info, queue.waiting.get(run), expected.get(run)) for run, info in infos.items()]
        return QueueReply(runs=rows, maintenance=self._dispatcher.maintenance.entries())

    async def preview(self, order: Order) -> list[QueueRow]:
        """Return where and when runs would run if they were submitted now. Raises InvalidFileError."""
        fits = await self._dispatcher.fits(order)
        queue = self._dispatcher.queue.copy()
        number = max([*self._dispatcher.runs, 0]) + 1
        asked: list[tuple[Submission, Entry, Fit, int]] = []
        for series, fit in zip(order.series, fits, strict=True):
            for place, submission in enumerate(series):
                entry = self._imagined(submission, fit, place, number)
                queue.add(entry)
                asked.append((submission, entry, fit, place))
                number += 1
        reasons = self._reasons(queue, asked)
        expected = await asyncio.to_thread(forecast, queue, self._outlook(queue))
        return [
            _imagined_row(submission, entry, fit, place, reasons[entry.run], expected.get(entry.run))
            for submission, entry, fit, place in asked
        ]

    def _imagined(self, submission: Submission, fit: Fit, place: int, number: int) -> Entry:
        program = next(iter(fit.programs(place).values()))
        cell = program.cell
        return Entry(
            run=number,
            cell=f"{cell.name} ({cell.identity})" if cell.identity else cell.name,
            stations=frozenset(fit.stations),
            priority=submission.priority,
            submitted_unix_s=self._clock.unix(),
            not_before_unix_s=submission.not_before_unix_s or 0.0,
            after=number - 1 if place else None,
            duration_s=longest_s(program),
        )

    def _reasons(self, queue: LabQueue, asked: list[tuple[Submission, Entry, Fit, int]]) -> dict[int, str]:
        """Return why each of these runs would wait; empty for one that would start at once."""
        trial, known = queue.copy(), self._known()
        if not known.no_start:
            trial.starts(known.now_unix_s, known.shut, known.away)
        return {
            entry.run: self._why(trial, entry, wants(submission.needs, submission.chamber))
            if entry.run in trial.waiting
            else ""
            for submission, entry, _, _ in asked
        }

    def _why(self, queue: LabQueue, entry: Entry, asked: str) -> str:
        return why_waiting(queue, entry, asked, self._known())

    def _known(self) -> Circumstances:
        dispatcher, now_s = self._dispatcher, self._clock.unix()

        def end_of(run: int) -> float | None:
            left_s = self._left_s(run)
            return None if left_s is None else now_s + left_s

        return Circumstances(
            now_s,
            dispatcher.maintenance.shut(),
            dispatcher.stations.away(),
            end_of,
            dispatcher.why_no_start(),
        )

    def _outlook(self, queue: LabQueue) -> Outlook:
        dispatcher = self._dispatcher
        shut = {name: entry.until_unix_s for name, entry in dispatcher.maintenance.shut().items()}
        return Outlook(
            now_unix_s=self._clock.unix(),
            left_s={o.run: self._left_s(o.run) for o in queue.occupants.values() if not o.held},
            shut=shut,
            away=dispatcher.stations.away(),
            pace={name: dispatcher.stations.place(name).keeper.pace for name in queue.stations},
        )

    def _left_s(self, run: int) -> float | None:
        """Return how long a run that has a station takes yet, at most; None if nobody knows."""
        active = self._dispatcher.runs.get(run)
        if active is None or active.info.state == "paused" or active.waits_for():
            return None
        left_s = longest_s(active.program) - active.progress.t_s
        return max(0.0, left_s) / self._dispatcher.stations.place(active.info.station).keeper.pace

    def _row(self, info: RunInfo, entry: Entry | None, expected: Expected | None) -> QueueRow:
        request = self._dispatcher.requests[info.run]
        return QueueRow(
            run=info.run,
            name=info.name,
            protocol=info.protocol,
            cell=cell_key(info),
            state=info.state,
            priority=request.priority,
            gained=0 if entry is None else entry.gained(self._clock.unix()),
            station=info.station,
            candidates=info.candidates,
            wants=wants(request.needs, request.chamber),
            after=request.after,
            not_before_unix_s=request.not_before_unix_s,
            waits_for=info.waits_for or self.why(info.run),
            **_expectation(expected, info.started_unix_s),
        )


def wants(needs: tuple[str, ...], chamber: str) -> str:
    """Say what a run asks of its station, in words; empty if nothing."""
    words = [parse_wish(text).words() for text in needs]
    if chamber:
        words.append(f"chamber {chamber}")
    return f"needs {' and '.join(words)}" if words else ""


def _expectation(expected: Expected | None, started_unix_s: float | None = None) -> Mapping[str, object]:
    if expected is None:
        return {}
    return {
        "expected_station": expected.station,
        "expected_start_unix_s": started_unix_s or expected.start_unix_s,
        "expected_end_unix_s": expected.end_unix_s,
    }


def _imagined_row(
    submission: Submission, entry: Entry, fit: Fit, place: int, reason: str, expected: Expected | None
) -> QueueRow:
    program = next(iter(fit.programs(place).values()))
    return QueueRow(
        run=None,
        name=submission.name or f"{program.protocol} on {program.cell.name}",
        protocol=program.protocol,
        cell=entry.cell,
        state="queued",
        priority=submission.priority,
        station=submission.station,
        candidates=() if submission.station else fit.stations,
        wants=wants(submission.needs, submission.chamber),
        not_before_unix_s=submission.not_before_unix_s,
        waits_for=reason,
        **_expectation(expected),
    )
