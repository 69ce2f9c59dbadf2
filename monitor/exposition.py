"""The text format of Prometheus (version 0.0.4), as far as the daemon speaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from scheduler.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """All values of one name. A counter's name ends with ``_total``; units are in the names."""

    name: str
    kind: Literal["counter", "gauge"]
    about: str
    values: Sequence[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class HistogramFamily:
    """Histograms of one name."""

    name: str
    about: str
    values: Sequence[tuple[Labels, Histogram]]
    kind: Literal["histogram"] = field(default="histogram", init=False)


def render(families: Sequence[Family | HistogramFamily]) -> str:
    """Return the text; families without a value are left out."""
    lines: list[str] = []
    for family in families:
        if family.values:
            lines += [f"# HELP {family.name} {_escaped(family.about)}", f"# TYPE {family.name} {family.kind}"]
            lines += _lines(family)
    return "\n".join(lines) + "\n"


def _lines(family: Family | HistogramFamily) -> Iterator[str]:
    if isinstance(family, Family):
        for labels, value in family.values:
            yield f"{family.name}{_braces(labels)} {_number(value)}"
        return
    for labels, histogram in family.values:
        counts = list(accumulate(histogram.counts))
        for bound, count in zip((*histogram.bounds, float("inf")), counts, strict=True):
            yield f"{family.name}_bucket{_braces({**labels, 'le': _number(bound)})} {count}"
        yield f"{family.name}_sum{_braces(labels)} {_number(histogram.sum)}"
        yield f"{family.name}_count{_braces(labels)} {counts[-1]}"


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value, quote=True)}"' for name, value in labels.items()) + "}"


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quote else text


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
