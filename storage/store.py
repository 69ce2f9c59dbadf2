"""The store of one data folder, as the daemon uses it.

Everything that is added only waits in memory; :meth:`Store.commit` makes it durable in one transaction. The
database is written by one thread, which alone owns the one writing connection.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np

from protocols.errors import NotAllowedError, StorageError
from protocols.laboratory import AuditEntry, Calibration, KnownInstrument, KnownStation
from protocols.measurements import SAMPLE, Block, Spectrum, SpectrumSummary
from protocols.program import Program
from protocols.queueing import Maintenance, Request
from protocols.records import ENDED, Archived, Event, Gap, HalfCycle, RunInfo, Ticket
from protocols.verdicts import Verdict
from storage import catalogue, tables
from storage.adopt import Adopted, find, move_in, origin_of_folder, sealed_rows
from storage.batch import Batch
from storage.damage import mark_closed, mark_in_use, refuse_lost
from storage.database import DATABASE
from storage.files import (
    delete_files,
    has_folder,
    make_folder,
    name_folder,
    newest_folder,
    remove_drafts,
    run_folder,
    to_json,
)
from storage.lock import FolderLock
from storage.reader import Reader
from storage.rollup_files import files_of
from storage.tables import SealedFile, StoredEvent, TicketState
from storage.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")

MOST_SAMPLES = 200_000
"""Samples of one transaction. More pile up only while the disk is gone; all at once would need their memory
several times over."""


class Store:
    """Keeps what runs bring. One store writes to a folder at a time; its ``reader`` sees committed rows only.

    Not for use from more than one event loop.
    """

    reader: Reader
    """Made by :meth:`open`."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = FolderLock(folder)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="storage-writer")
        self._writer: Writer | None = None
        self._queued = Batch()
        self._in_flight = Batch()
        self._committing = asyncio.Lock()
        self._sealing = asyncio.Lock()
        self._untold: list[StoredEvent] = []
        """Events that were committed by sealing, for who calls :meth:`commit` next."""
        self._last_run = 0
        self._given: set[int] = set()
        """Numbers that runs have got since the store was opened, maybe not committed yet."""
        self._adopting = asyncio.Lock()
        self.identity = ""
        """Random name of this data folder, the same for ever; known once the store is open."""

    async def open(self) -> None:
        """Lock the folder, open or make the database and bring its schema up to date. A store opens once.

        Raises BusyError if another daemon has the folder, StorageError if it or the database cannot be used.
        """
        try:
            await _finished(self._submit(self._open))
        except BaseException:
            await self._let_go()
            raise
        self.reader = Reader(self._folder)

    async def close(self) -> None:
        """Commit what is pending and let go of the folder, even if the commit fails (then StorageError)."""
        try:
            await self.commit()
        except StorageError as error:
            message = f"{self.pending()} samples that waited in memory are lost, and what belongs to them"
            raise StorageError(f"{message}: {error}") from error
        finally:
            await self._let_go()

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self._folder

    def next_run(self) -> int:
        """Return a number that no run in this folder has had."""
        self._last_run += 1
        self._given.add(self._last_run)
        return self._last_run

    def add_run(self, info: RunInfo, program: Program, extra: dict[str, str]) -> None:
        """Queue a new run. ``extra``: texts of protocol and cell file, their names and checksums.

        ``protocol_text``, ``included`` (JSON: name → text) and ``cell_text`` are kept as versions besides.
        """
        self.save_run(info)
        self._queued.put(tables.Run, {"run": info.run}, extra=to_json(extra))
        catalogue.put_versions(self._queued, info.run, program, extra, info.submitted_unix_s)

    def save_run(self, info: RunInfo) -> None:
        """Queue the newest state of a run."""
        values = {"name": info.name, "state": info.state, "info": info.model_dump_json()}
        self._queued.put(tables.Run, {"run": info.run}, **values)

    def change_program(self, info: RunInfo, program: Program) -> None:
        """Queue the program that a run has from now on, and its state; its earlier programs stay."""
        self.save_run(info)
        digest = catalogue.put_program(self._queued, program.digest(), program)
        self._queued.put(tables.Run, {"run": info.run}, program=digest)

    def save_ticket(
        self, ticket: Ticket, program: Program, state: TicketState, offset_s: float, anchor_unix_s: float
    ) -> None:
        """Queue one segment's ticket, its program, whose digest it holds, and how far its start has come.

        ``offset_s`` is the run time and ``anchor_unix_s`` the UTC at the segment's start.
        """
        self._queued.put(
            tables.Ticket,
            {"run": ticket.run, "segment": ticket.segment},
            digest=catalogue.put_program(self._queued, ticket.program, program),
            state=state,
            offset_s=offset_s,
            anchor_unix_s=anchor_unix_s,
        )

    def add_samples(self, block: Block) -> None:
        """Queue samples, ``channel`` being the run's number; of any runs, each run's in order of time.

        The block is kept, not copied: do not write to it any more. Raises StorageError if it is no block of
        samples or holds a time that is no number.
        """
        if block.dtype != SAMPLE:
            raise StorageError(f"samples of dtype {block.dtype} cannot be stored; SAMPLE is what is stored")
        if not np.isfinite(block["t_s"]).all():
            raise StorageError("samples without a finite t_s cannot be stored; their driver has a fault")
        if len(block):
            self._queued.add(block)

    def add_spectrum(self, run: int, spectrum: Spectrum, summary: SpectrumSummary) -> None:
        """Queue a spectrum; one that began at the same run time is replaced."""
        spectrum = spectrum.model_copy(update={"channel": run})
        key = {"run": run, "t_start_s": spectrum.t_start_s}
        values = {"spectrum": spectrum.model_dump_json(), "summary": summary.model_dump_json()}
        self._queued.put(tables.Spectrum, key, **values)

    def add_half_cycle(self, run: int, half_cycle: HalfCycle, cycle: int | None = None) -> None:
        """Queue a half-cycle; one with the same number is replaced.

        ``cycle``: the cycle that it belongs to; None: two half-cycles are a cycle, from 1.
        """
        key = {"run": run, "number": half_cycle.number}
        number = half_cycle.number // 2 + 1 if cycle is None else cycle
        self._queued.put(tables.HalfCycle, key, value=half_cycle.model_dump_json(), cycle=number)

    def add_verdict(self, run: int, verdict: Verdict) -> None:
        """Queue a verdict; one of the same kind and time is replaced."""
        key = {"run": run, "time_s": verdict.time_s, "kind": verdict.kind}
        self._queued.put(tables.Verdict, key, value=verdict.model_dump_json())

    def add_gap(self, run: int, gap: Gap) -> None:
        """Queue a gap; one that begins at the same run time is replaced."""
        key = {"run": run, "t_from_s": gap.t_from_s}
        self._queued.put(tables.Gap, key, value=gap.model_dump_json())

    def add_event(self, run: int | None, event: Event) -> None:
        """Queue an event of a run, or of the daemon (None)."""
        self._queued.events.append((run, event))

    def save_guards(self, run: int, t_s: float, state: dict[str, object]) -> None:
        """Queue the guards' state after the sample at ``t_s``; only the newest is kept."""
        self._queued.put(tables.Guards, {"run": run}, t_s=t_s, state=to_json(state))

    def save_result(self, run: int, results: dict[str, object]) -> None:
        """Queue the results of a run; only the newest are kept."""
        self._queued.put(tables.Result, {"run": run}, value=to_json(results))

    def see_instrument(self, seen: KnownInstrument) -> None:
        """Queue that an instrument was connected."""
        catalogue.put_instrument(self._queued, seen)

    def see_station(self, seen: KnownStation) -> None:
        """Queue how a station is wired."""
        catalogue.put_station(self._queued, seen)

    def add_audit(self, entry: AuditEntry) -> None:
        """Queue what a person asked for; the store numbers it."""
        self._queued.added.append((tables.Audit, catalogue.audit_row(entry)))

    def save_request(self, request: Request) -> None:
        """Queue what a run asks of the queue."""
        catalogue.put_request(self._queued, request)

    def save_program(self, program: Program) -> str:
        """Queue a program that a run may get; return its digest."""
        return catalogue.put_program(self._queued, program.digest(), program)

    def save_maintenance(self, kept: Maintenance, *, over: bool = False) -> None:
        """Queue that a station or an instrument is in maintenance, or is no longer."""
        catalogue.put_maintenance(self._queued, kept, over=over)

    def add_calibration(self, calibration: Calibration) -> None:
        """Queue what a channel showed on a known load."""
        self._queued.added.append((tables.Calibration, catalogue.calibration_row(calibration)))

    def pending(self) -> int:
        """Return the number of samples that are not durable yet."""
        return self._queued.samples + self._in_flight.samples

    @property
    def settled(self) -> bool:
        """Whether everything that was handed over is durable."""
        return self._queued.empty and self._in_flight.empty

    async def commit(self) -> list[StoredEvent]:
        """Make everything queued so far durable, in one transaction; return the events in it, in order.

        More samples than :data:`MOST_SAMPLES` go before the rest, in transactions of their own. Raises
        StorageError; what was not stored then stays queued, in its order, for the next commit.
        """
        events = await self._commit()
        earlier, self._untold = self._untold, []
        return earlier + events

    async def seal(self, run: int, write: Callable[[Path, int], Awaitable[SealedFile]]) -> SealedFile:
        """Move a run's samples that can be from the database to the next of its Parquet files.

        ``write`` runs :func:`storage.seal.seal_run` in another process. Killed at any point, each sample is
        in the database or in a recorded file, and sealing may be done again. Samples that come meanwhile
        stay in the database. Raises StorageError; then all of them do.
        """
        async with self._sealing:
            self._untold += await self._commit(to_chunks=(run,))
            part = await write(self._folder, run)
            await _finished(self._submit(self._record_seal, part))
            return part

    async def merge(self, run: int, write: Callable[[Path, int], Awaitable[SealedFile | None]]) -> bool:
        """Merge neighbouring parts of a run to one file; return whether there were any to be merged.

        ``write`` runs :func:`storage.compact.compact_run` in another process. Killed at any point, the parts
        or the merged file are recorded and whole. The parts' files stay until
        :meth:`delete_superseded`. Raises StorageError; then the parts stay what they are.
        """
        async with self._sealing:
            merged = await write(self._folder, run)
            if merged is not None:
                await _finished(self._submit(self._record_merge, merged))
            return merged is not None

    async def delete_superseded(self, older_than_s: float = 0.0) -> None:
        """Delete the files that merged ones took the place of so long ago. Raises StorageError."""
        await _finished(self._submit(self._delete_superseded, older_than_s))

    async def adopt(self, incoming: Path, prepare: Callable[[Path, int, str], Awaitable[Adopted]]) -> RunInfo:
        """Take over the folder of a run that was archived, copied or imported; return the run.

        ``incoming`` lies in this data folder, ``prepare`` runs :func:`storage.adopt.prepare` in another
        process. The run keeps its number if that is free. One that is here already stays as it is, and
        ``incoming`` too; one whose samples were archived gets them back. Killed at any point, nothing is lost
        but the copy in ``incoming``. Raises StorageError, NotAllowedError.
        """
        async with self._adopting:
            origin = await asyncio.to_thread(origin_of_folder, incoming)
            known = await asyncio.to_thread(find, self.reader, origin)
            if known is not None and known.archived is None:
                return known
            number = self._free_number(origin.run) if known is None else known.run
            adopted = await prepare(incoming, number, self.identity)
            if known is not None:
                adopted = _samples_only(adopted, known)
            sealed_rows(adopted.batch, adopted.files, self._clock())
            await _finished(self._submit(self._take_over, adopted, incoming))
            return adopted.info

    def mark_archived(self, run: int, archived: Archived) -> RunInfo:
        """Queue that a run's samples have left the data folder; return the run. Raises NotAllowedError."""
        info = self.reader.run(run)
        if info.state not in ENDED or run in self.reader.unsealed():
            raise NotAllowedError(f"run {run} is {info.state} and not sealed: its samples have to stay")
        if info.archived is not None:
            raise NotAllowedError(f"run {run} has been archived already, in {info.archived.file}")
        info = info.model_copy(update={"archived": archived})
        self.save_run(info)
        return info

    def _free_number(self, wanted: int) -> int:
        """Return the wanted number if no run has had it, else a new one."""
        if wanted > self._last_run:
            self._last_run = wanted
            return wanted
        is_used = wanted in self._given or has_folder(self._folder, wanted) or self.reader.has(wanted)
        return self.next_run() if wanted < 1 or is_used else wanted

    async def _commit(self, to_chunks: Sequence[int] = ()) -> list[StoredEvent]:
        async with self._committing:
            if self._queued.empty and not to_chunks:
                return []
            self._in_flight, self._queued = self._queued, Batch()
            try:
                while self._in_flight.samples > MOST_SAMPLES:
                    await self._write_part(self._in_flight.oldest(MOST_SAMPLES))
                return await self._write_part(self._in_flight, to_chunks)
            finally:
                self._in_flight.append(self._queued)
                self._queued, self._in_flight = self._in_flight, Batch()

    async def _write_part(self, part: Batch, to_chunks: Sequence[int] = ()) -> list[StoredEvent]:
        work = self._submit(self._write, part, to_chunks)
        try:
            return await _finished(work)
        finally:
            if work.exception() is None:
                self._in_flight = self._in_flight.without(part)

    def _submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        call = functools.partial(function, *args, **kwargs)
        return asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _let_go(self) -> None:
        await _finished(self._submit(self._close))
        self._thread.shutdown()

    def _open(self) -> None:
        try:
            # A power cut must not take the folder away with all that was synced inside it.
            folder = self._folder.absolute()
            make_folder(folder, inside=next(above for above in folder.parents if above.is_dir()))
            self._lock.acquire()
        except OSError as error:
            raise StorageError(f"{self._folder} cannot be used: {error}. Choose another folder.") from error
        refuse_lost(self._folder / DATABASE)
        remove_drafts(self._folder)
        self._writer = Writer(self._folder)
        mark_in_use(self._folder)
        self._delete_superseded(0.0)
        self.identity = name_folder(self._folder)
        self._last_run = max(self._writer.last_run(), newest_folder(self._folder))

    def _close(self) -> None:
        if self._writer is not None:
            mark_closed(self._folder)
            self._writer.close()
            self._writer = None
        self._lock.release()

    def _write(self, batch: Batch, to_chunks: Sequence[int]) -> list[StoredEvent]:
        return self._opened().write(batch, to_chunks)

    def _record_seal(self, part: SealedFile) -> None:
        self._opened().record_seal(part, self._clock())

    def _record_merge(self, merged: SealedFile) -> None:
        self._opened().record_merge(merged, self._clock())

    def _delete_superseded(self, older_than_s: float) -> None:
        files = self._opened().superseded(self._clock() - older_than_s)
        if files:
            delete_files([path for file in files for path in files_of(self._folder / file)])
            self._opened().forget(files)

    def _take_over(self, adopted: Adopted, incoming: Path) -> None:
        """Move a run's folder to its place, then tell of it; a folder alone is found by ``verify``."""
        folder = run_folder(self._folder, adopted.info.run, adopted.info.name)
        is_new = not folder.exists()
        move_in(incoming, folder)
        try:
            self._opened().write(adopted.batch)
        except StorageError:
            if is_new:
                folder.rename(incoming)
            raise

    def _opened(self) -> Writer:
        if self._writer is None:
            raise StorageError(f"the store of {self._folder} is not open")
        return self._writer


def _samples_only(adopted: Adopted, known: RunInfo) -> Adopted:
    """Return what to write of a run whose rows have never left."""
    info = known.model_copy(update={"archived": None})
    batch = Batch()
    batch.put(tables.Run, {"run": info.run}, name=info.name, state=info.state, info=info.model_dump_json())
    return Adopted(info, batch, adopted.files)


async def _finished(work: asyncio.Future[T]) -> T:
    """Return what the writer thread's work brings.

    A cancellation waits until the work is done: a transaction that is under way has an outcome, and it must
    be known before anything else is queued or closed.
    """
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        work.exception()
        raise cancelled
    return work.result()
