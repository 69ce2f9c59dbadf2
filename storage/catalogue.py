"""The laboratory, and the files that runs were made from: written as rows, read as records."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Row, Select, Table, select
from sqlmodel import SQLModel, col

from protocols.capabilities import Capabilities
from protocols.laboratory import (
    AuditEntry,
    Calibration,
    FileVersion,
    InstrumentIdentity,
    KnownInstrument,
    KnownStation,
)
from protocols.program import Program
from protocols.queueing import Maintenance, Request
from protocols.records import ENDED
from storage import tables
from storage.batch import Batch
from storage.files import to_json
from storage.migrate import text_digest

Rows = Callable[[Select[*tuple[Any, ...]]], Sequence[Row[Any]]]
"""Answers a query."""


def put_versions(batch: Batch, run: int, program: Program, extra: dict[str, str], unix_s: float) -> None:
    """Queue the versions of protocol and cell that a run is made from, and its program; refer to them."""
    row: dict[str, object] = {"program": put_program(batch, program.digest(), program)}
    text, included = extra.get("protocol_text"), extra.get("included", "{}")
    if text is not None:
        row["protocol"] = text_digest(text if included == "{}" else text + included)
        values = {"name": program.protocol, "text": text, "included": included, "first_unix_s": unix_s}
        batch.put(tables.Protocol, {"digest": row["protocol"]}, **values)
    cell = program.cell.model_dump_json()
    text = extra.get("cell_text", "")
    row["cell"] = text_digest(text or cell)
    values = {"name": program.cell.name, "text": text, "value": cell, "first_unix_s": unix_s}
    batch.put(tables.Cell, {"digest": row["cell"]}, **values)
    batch.put(tables.Run, {"run": run}, **row)


def put_program(batch: Batch, digest: str, program: Program) -> str:
    """Queue a program, unless it waits already; return its digest."""
    if (digest,) not in batch.rows.get(tables.Program, {}):
        batch.put(tables.Program, {"digest": digest}, program=program.model_dump_json())
    return digest


def put_instrument(batch: Batch, seen: KnownInstrument) -> None:
    """Queue that an instrument was connected."""
    batch.put(
        tables.Instrument,
        {"name": seen.name, **seen.identity.model_dump()},
        simulated=seen.simulated,
        capabilities=seen.capabilities.model_dump_json(),
        first_unix_s=seen.first_unix_s,
        last_unix_s=seen.last_unix_s,
    )


def put_station(batch: Batch, seen: KnownStation) -> None:
    """Queue how a station is wired."""
    key = seen.model_dump(include={"name", "instrument", "channel", "chamber"})
    batch.put(tables.Station, key, first_unix_s=seen.first_unix_s, last_unix_s=seen.last_unix_s)


def put_request(batch: Batch, request: Request) -> None:
    """Queue what a run asks of the queue; only the newest is kept."""
    batch.put(tables.Request, {"run": request.run}, value=request.model_dump_json())


def put_maintenance(batch: Batch, kept: Maintenance, *, over: bool) -> None:
    """Queue that something is in maintenance, or is no longer."""
    batch.put(tables.Maintenance, {"name": kept.name}, value=kept.model_dump_json(), over=over)


def audit_row(entry: AuditEntry) -> dict[str, object]:
    """Return the row of an entry, without its number."""
    return {**entry.model_dump(exclude={"id", "details"}), "details": to_json(entry.details)}


def calibration_row(calibration: Calibration) -> dict[str, object]:
    """Return the row of a calibration."""
    columns = ("instrument", "channel", "unix_s", "valid_until_unix_s", "who")
    return {**calibration.model_dump(include=set(columns)), "value": calibration.model_dump_json()}


class Catalogue:
    """Answers questions about laboratory, files and audit; part of a :class:`storage.reader.Reader`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def instruments(self) -> list[KnownInstrument]:
        """Return every instrument that was ever connected, by name and time."""
        table = tables.Instrument
        query = select(table).order_by(col(table.name), col(table.first_unix_s))
        return [_instrument(row) for row in self._rows(query)]

    def stations(self) -> list[KnownStation]:
        """Return every wiring that service.toml ever had, by name and time."""
        table = tables.Station
        query = select(table).order_by(col(table.name), col(table.first_unix_s))
        return [KnownStation.model_validate(row._asdict()) for row in self._rows(query)]

    def protocols(self) -> list[FileVersion]:
        """Return every version of a protocol that a run was made from, the oldest first."""
        return self._versions(tables.Protocol, col(tables.Run.protocol))

    def cells(self) -> list[FileVersion]:
        """Return every version of a cell file that a run was made from, the oldest first."""
        return self._versions(tables.Cell, col(tables.Run.cell))

    def audit(self, run: int | None = None, after_id: int = 0, limit: int = 1000) -> list[AuditEntry]:
        """Return the oldest ``limit`` entries after ``after_id``, of one run or (None) of everything."""
        query = select(tables.Audit).where(col(tables.Audit.id) > after_id)
        if run is not None:
            query = query.where(col(tables.Audit.run) == run)
        rows = self._rows(query.order_by(col(tables.Audit.id)).limit(limit))
        return [
            AuditEntry.model_validate({**row._asdict(), "details": json.loads(row.details)}) for row in rows
        ]

    def calibrations(self, instrument: str | None = None, channel: int | None = None) -> list[Calibration]:
        """Return what was found on known loads, by instrument, channel and time; the newest of each last."""
        table = tables.Calibration
        order = (col(table.instrument), col(table.channel), col(table.unix_s))
        query = select(col(table.value)).order_by(*order)
        if instrument is not None:
            query = query.where(col(table.instrument) == instrument)
        if channel is not None:
            query = query.where(col(table.channel) == channel)
        return [Calibration.model_validate_json(row.value) for row in self._rows(query)]

    def requests(self) -> list[Request]:
        """Return what the runs that have not ended ask of the queue, by run."""
        table = tables.Request
        query = select(col(table.value)).join(tables.Run, col(tables.Run.run) == col(table.run))
        query = query.where(col(tables.Run.state).not_in(ENDED)).order_by(col(table.run))
        return [Request.model_validate_json(row.value) for row in self._rows(query)]

    def maintenance(self) -> list[Maintenance]:
        """Return what is in maintenance, by name; its time may be over."""
        table = tables.Maintenance
        query = select(col(table.value)).where(col(table.over).is_(False)).order_by(col(table.name))
        return [Maintenance.model_validate_json(row.value) for row in self._rows(query)]

    def program(self, digest: str) -> Program | None:
        """Return a program by its digest, None if there is none."""
        table = tables.Program
        rows = self._rows(select(col(table.program)).where(col(table.digest) == digest))
        return Program.model_validate_json(rows[0].program) if rows else None

    def _versions(self, table: type[SQLModel], reference: Any) -> list[FileVersion]:
        used: dict[str, list[int]] = {}
        runs = select(col(tables.Run.run), reference.label("digest")).where(reference.is_not(None))
        for row in self._rows(runs.order_by(col(tables.Run.run))):
            used.setdefault(row.digest, []).append(row.run)
        columns = _table(table).columns
        query = select(*(columns[name] for name in ("digest", "name", "text", "first_unix_s")))
        rows = self._rows(query.order_by(columns.first_unix_s, columns.digest))
        return [FileVersion(**row._asdict(), runs=tuple(used.get(row.digest, ()))) for row in rows]


def _table(model: type[SQLModel]) -> Table:
    table: Table = SQLModel.metadata.tables[str(model.__tablename__)]
    return table


def _instrument(row: Row[Any]) -> KnownInstrument:
    identity = InstrumentIdentity(
        driver=row.driver, model=row.model, serial=row.serial, firmware=row.firmware
    )
    return KnownInstrument(
        name=row.name,
        identity=identity,
        simulated=row.simulated,
        capabilities=Capabilities.model_validate_json(row.capabilities),
        first_unix_s=row.first_unix_s,
        last_unix_s=row.last_unix_s,
    )
