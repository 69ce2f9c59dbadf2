"""Published against obtained, value by value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from monitor.published.bench import Trial
from monitor.published.extractions import EXTRACTIONS, NotObtainedError, Record
from monitor.published.study import Quantity
from monitor.published.units import UNITS

ABOUT = 0.15
"""How far a value that is printed with ~ may be from what is obtained."""
AIM = 0.05
"""How far an exact figure should be from what is obtained, at most."""


@dataclass(frozen=True)
class Row:
    """One published value and what came out."""

    study: str
    cell: str
    test: str
    quantity: Quantity
    obtained: float | str | None
    """In the quantity's unit; None: not obtained, see ``problem``."""
    problem: str = ""

    @property
    def list(self) -> Literal["exact", "inequality", "clash"]:
        """The table that it belongs to."""
        if self.quantity.clashes:
            return "clash"
        return "exact" if self.quantity.relation == "=" else "inequality"

    @property
    def deviation(self) -> float | None:
        """Relative deviation of an exact figure."""
        published, obtained = self.quantity.published, self.obtained
        if self.quantity.relation != "=" or isinstance(published, str) or not isinstance(obtained, float):
            return None
        return obtained / published - 1 if published else obtained

    @property
    def met(self) -> bool:
        """Whether what came out agrees with what was published."""
        if self.deviation is not None:
            return abs(self.deviation) <= AIM
        return _holds(self.quantity, self.obtained)

    def document(self) -> dict[str, Any]:
        """Return the row of the ``--json`` document."""
        return {
            "study": self.study,
            "cell": self.cell,
            "quantity": self.quantity.name,
            "unit": self.quantity.unit,
            "relation": self.quantity.relation,
            "published": self.quantity.published,
            "obtained": self.obtained,
            "deviation": self.deviation,
            "met": self.met,
            "test": self.test,
            "note": self.problem or self.quantity.note,
            **({"clashes": self.quantity.clashes} if self.quantity.clashes else {}),
        }


def compare(trials: Sequence[Trial], records: Sequence[Record]) -> list[Row]:
    """Obtain every quantity of every test; return the rows by study, in the order of the data files."""
    of_test = {(t.study.letter, t.test.name): r for t, r in zip(trials, records, strict=True)}
    studies = {trial.study.letter: trial.study for trial in trials}
    return [
        _row(letter, studies[letter].cells[test.cell].label, test.name, quantity, of_test[letter, test.name])
        for letter in sorted(studies)
        for test in studies[letter].tests
        for quantity in test.quantities
    ]


def _row(study: str, cell: str, test: str, quantity: Quantity, record: Record) -> Row:
    try:
        value = EXTRACTIONS[quantity.by](record, quantity.arguments)
    except NotObtainedError as error:
        return Row(
            study, cell, test, quantity, None, f"{error}; run {record.info.state} {record.info.reason}"
        )
    if not isinstance(value, str):
        value = float(value) / UNITS[quantity.unit][1]
    return Row(study, cell, test, quantity, value)


def _holds(quantity: Quantity, obtained: float | str | None) -> bool:
    published = quantity.published
    if obtained is None or isinstance(obtained, str) or isinstance(published, str):
        return obtained == published
    match quantity.relation:
        case "~" | "=":
            return abs(obtained - published) <= ABOUT * abs(published)
        case ">":
            return obtained > published
        case ">=":
            return obtained >= published
        case "<":
            return obtained < published
        case "<=":
            return obtained <= published
        case _:
            return False
