"""Which process a peak is, by the time constant it lies at: a stock list by name, or a person's file.

A file names each process with the range of its time constants::

    grain boundary: {from: 0.1 µs, to: 0.1 ms}
    interface: {from: 0.1 ms, to: 10 ms}
"""

from __future__ import annotations

from pathlib import Path

from analysis.drt.peaks import PROCESSES, Ranges
from protocols.errors import InvalidFileError, Problem, QuantityError, nearest
from protocols.units import parse_amount
from protocols.yamlfile import Node, read_text, read_yaml

EXAMPLE = "write it as    interface: {from: 0.1 ms, to: 10 ms}"


def processes_named(text: str) -> Ranges:
    """Return the processes of a stock list or of a file. Raises InvalidFileError."""
    if text in PROCESSES:
        return PROCESSES[text]
    path = Path(text)
    if not path.exists():
        hint = f"{nearest(text, PROCESSES)} Or give a file of ranges."
        raise InvalidFileError([Problem(text, 0, 0, "neither a stock list of processes nor a file", hint)])
    return _read(path)


def _read(path: Path) -> Ranges:
    root = read_yaml(read_text(path), str(path)).root
    entries = root.value if isinstance(root.value, dict) else {}
    if not entries:
        raise _wrong(path, root, "the file names no process", EXAMPLE)
    return {name: _range(path, name, node) for name, node in entries.items()}


def _range(path: Path, name: str, node: Node) -> tuple[float, float]:
    ends = node.value if isinstance(node.value, dict) else {}
    if set(ends) != {"from", "to"}:
        raise _wrong(path, node, f"process '{name}' needs from and to, and nothing else", EXAMPLE)
    fast, slow = (_time(path, ends[key]) for key in ("from", "to"))
    if not 0 <= fast < slow:
        raise _wrong(path, node, f"process '{name}' begins at {fast:g} s and ends at {slow:g} s", EXAMPLE)
    return fast, slow


def _time(path: Path, node: Node) -> float:
    if not isinstance(node.value, str):
        raise _wrong(path, node, "a time is wanted here", EXAMPLE)
    try:
        return parse_amount(node.value, "time").value
    except QuantityError as error:
        raise _wrong(path, node, str(error), error.hint) from error


def _wrong(path: Path, node: Node, message: str, hint: str) -> InvalidFileError:
    return InvalidFileError([Problem(str(path), node.place.line, node.place.column, message, hint)])
