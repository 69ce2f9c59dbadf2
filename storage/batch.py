"""What is queued in memory between two commits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlmodel import SQLModel

from protocols.measurements import Block
from protocols.records import Event

Row = dict[str, object]
Key = tuple[object, ...]


@dataclass(slots=True)
class Batch:
    """Everything that one commit writes."""

    blocks: list[Block] = field(default_factory=list)
    rows: dict[type[SQLModel], dict[Key, Row]] = field(default_factory=dict)
    """Table → primary key → columns; of two rows with one key the newer columns win."""
    added: list[tuple[type[SQLModel], Row]] = field(default_factory=list)
    """Rows that get a number of their own, in order."""
    events: list[tuple[int | None, Event]] = field(default_factory=list)
    samples: int = 0
    """Number of samples."""

    def add(self, block: Block) -> None:
        """Queue samples."""
        self.blocks.append(block)
        self.samples += len(block)

    past_events: list[tuple[int, Event]] = field(default_factory=list)
    """Events of runs that were measured elsewhere: no news for anybody."""

    def put(self, table: type[SQLModel], key: Mapping[str, object], **values: object) -> None:
        """Queue an insert-or-update of one row."""
        row = self.rows.setdefault(table, {}).setdefault(tuple(key.values()), dict(key))
        row.update(values)

    def append(self, later: Batch) -> None:
        """Take over what was queued after this batch."""
        self.blocks += later.blocks
        self.added += later.added
        self.samples += later.samples
        self.events += later.events
        self.past_events += later.past_events
        for table, rows in later.rows.items():
            mine = self.rows.setdefault(table, {})
            for key, row in rows.items():
                mine.setdefault(key, {}).update(row)

    def oldest(self, samples: int) -> Batch:
        """Return a batch of the oldest blocks: as many as hold ``samples`` samples, at least one."""
        part = Batch()
        for block in self.blocks:
            if part.blocks and part.samples + len(block) > samples:
                break
            part.add(block)
        return part

    def without(self, part: Batch) -> Batch:
        """Return what is left when ``part``, which is this batch or its oldest blocks, is written."""
        if part is self:
            return Batch()
        left = self.samples - part.samples
        return Batch(self.blocks[len(part.blocks) :], self.rows, self.added, self.events, left)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.blocks or self.rows or self.added or self.events)
        return not (self.blocks or self.rows or self.events or self.past_events)
