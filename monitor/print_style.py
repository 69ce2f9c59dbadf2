"""Figures that fit into a column of a journal: widths, type, units. matplotlib is loaded when used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from protocols.errors import SandtimeError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Width = Literal["single", "double"]

WIDTHS_MM = {"single": 88.0, "double": 180.0}
"""Of one and of two columns of most journals."""
PNG_DPI = 300
SUFFIXES = (".png", ".svg", ".pdf")
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "svg.fonttype": "none",  # letters stay letters, in svg and in pdf
    "svg.hashsalt": "sandtime",
    "pdf.fonttype": 42,
}
"""Any: matplotlib's types list every key there is as a literal."""

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


@contextmanager
def printed(width: Width, height_mm: float) -> Iterator[Figure]:
    """Give an empty figure of one or two columns' width; everything is drawn for print inside."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.use("Agg")
    with mpl.rc_context(STYLE):
        yield Figure(figsize=(WIDTHS_MM[width] / 25.4, height_mm / 25.4), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as its path's ending says, without a date. Raises SandtimeError for another ending."""
    check_ending(path)
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    figure.savefig(path, dpi=PNG_DPI, metadata=metadata)


def check_ending(path: Path) -> None:
    """Raise SandtimeError if no figure can be written to this path."""
    if path.suffix.lower() not in SUFFIXES:
        raise SandtimeError(f"{path}: a figure's name ends in {', '.join(SUFFIXES)}")


def scaled(values: np.ndarray | float, unit: str) -> tuple[float, str]:
    """Return the factor and the unit with its prefix in which the largest of some values reads best."""
    finite = np.abs(np.atleast_1d(np.asarray(values, dtype=np.float64)))
    largest = float(np.max(finite[np.isfinite(finite)], initial=0.0))
    exponent = 0 if largest == 0.0 else int(np.clip(3 * np.floor(np.log10(largest * 1.0001) / 3), -15, 12))
    return 10.0**-exponent, f"{_PREFIXES[exponent]}{unit}"


def quantity(value: float, unit: str, digits: int = 3) -> str:
    """Return a value for people: ``12.3 kΩ``."""
    factor, name = scaled(value, unit)
    text = f"{value * factor:.{digits}g}"
    return f"{float(text):.0f} {name}" if "e" in text else f"{text} {name}"
