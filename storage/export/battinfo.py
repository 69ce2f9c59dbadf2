"""A run as BattINFO describes a test: one ``test`` record and one ``test-protocol`` record, each a file.

What went otherwise than planned is a deviation, in BattINFO's categories (:mod:`storage.export.deviations`).
BattINFO wants an address for everything; these are made from a run's own marks, the same each time, and
nobody has registered them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from protocols.exchange import battinfo_protocol
from protocols.program import Program
from protocols.records import ENDED, RunInfo
from storage.bdf import CONVENTIONS
from storage.export.deviations import deviations
from storage.files import write_json
from storage.run_reader import RunReader

Record = dict[str, Any]

SCHEMA = "1.0.0"
"""Version of the records; the schemas are those that battery-data-format held in August 2026."""
ADDRESS = "https://w3id.org/battinfo"
LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's alphabet, in which BattINFO writes its addresses."""
STATUS = {"finished": "completed", "protected": "aborted", "stopped": "aborted", "failed": "aborted"}


def write(reader: RunReader, run: int, path: Path, unix_s: float) -> list[Path]:
    """Write the test to ``path`` and its protocol beside it, and return both paths."""
    beside = path.with_name(f"{path.name.removesuffix('.json').removesuffix('.test')}.test-protocol.json")
    write_json(path, test_record(reader, run, unix_s))
    write_json(beside, protocol_record(reader, run, unix_s))
    return [path, beside]


def test_record(reader: RunReader, run: int, unix_s: float) -> Record:
    """Return the ``test`` record of a run."""
    info, program = reader.run(run), reader.program(run)
    extra = reader.extra(run)  # noqa: S610 - not Django's extra
    folder, instrument = reader.identity, extra.get("instrument", "")
    test: Record = {
        "id": _address("test", folder, str(run), info.name, str(info.submitted_unix_s)),
        "identifier": str(run),
        "name": info.name or f"run {run}",
        "kind": battinfo_protocol.kind(program),
        "status": STATUS.get(info.state, "planned" if info.started_unix_s is None else "running"),
        "description": f"{info.state}: {info.reason}" if info.reason else info.state,
        "cell_id": _address("cell", program.cell.identity or folder, program.cell.name),
        "protocol_id": _protocol_address(program, extra),
        "protocol_name": info.protocol,
        "conditions": _conditions(program),
        "conformance": _conformance(reader, run),
    }
    if instrument:
        test["instrument_name"] = instrument
        test["equipment_id"] = _address("equipment", folder, instrument)
        test["channel_id"] = _address("channel", folder, instrument, extra.get("channel", ""))
    for name, moment in (("started_at", info.started_unix_s), ("ended_at", info.ended_unix_s)):
        if moment is not None:
            test[name] = int(moment)
    return {"schema_version": SCHEMA, "test": test, "provenance": _provenance(info, unix_s)}


def protocol_record(reader: RunReader, run: int, unix_s: float) -> Record:
    """Return the ``test-protocol`` record of a run."""
    info, program = reader.run(run), reader.program(run)
    extra = reader.extra(run)  # noqa: S610 - not Django's extra
    return {
        "schema_version": SCHEMA,
        "test_spec": {
            "id": _protocol_address(program, extra),
            "name": info.protocol or f"protocol of run {run}",
            "kind": battinfo_protocol.kind(program),
        },
        "method": battinfo_protocol.method(program),
        "safety": battinfo_protocol.safety(program),
        "record": battinfo_protocol.record(program),
        "artifacts": _artifacts(program, extra),
        "notes": [CONVENTIONS["current"]],
        "provenance": {**_provenance(info, unix_s), "source_type": "lab"},
    }


def _artifacts(program: Program, extra: dict[str, str]) -> list[Record]:
    compiled = {
        "role": "executed_protocol",
        "format": "sandtime program, JSON",
        "locator": "run.json#program",
    }
    found = [{**compiled, "sha256": program.digest(), "media_type": "application/json"}]
    text = extra.get("protocol_text", "")
    if text:
        source = {"role": "source_protocol", "format": "sandtime protocol, YAML"}
        name = extra.get("protocol_file") or "protocol.yaml"
        found.insert(
            0, {**source, "locator": name, "sha256": _sha256(text), "media_type": "application/yaml"}
        )
    return found


def _conditions(program: Program) -> Record:
    return {
        "electrode_area_m2": program.cell.area_m2,
        "cell_geometry": program.cell.geometry,
        "electrolyte": program.cell.electrolyte or program.cell.electrolyte_class,
        "voltage_window_v": [program.limits.voltage_min_V, program.limits.voltage_max_V],
        "current_convention": CONVENTIONS["current"],
    }


def _conformance(reader: RunReader, run: int) -> Record:
    found = deviations(reader, run)
    if found:
        return {"status": "non-conformant", "deviations": found}
    return {"status": "conformant" if reader.run(run).state in ENDED else "unknown"}


def _provenance(info: RunInfo, unix_s: float) -> Record:
    kind = "simulation" if info.simulated else "measurement"
    return {"source_type": kind, "source_name": "sandtime", "retrieved_at": int(unix_s)}


def _protocol_address(program: Program, extra: dict[str, str]) -> str:
    return _address("spec", extra.get("protocol_text") or program.digest())


def _address(what: str, *marks: str) -> str:
    """Return an address of 16 letters that is the same for the same marks."""
    digest = hashlib.sha256("\x1f".join((what, *marks)).encode()).digest()
    letters = "".join(LETTERS[byte % len(LETTERS)] for byte in digest[:16])
    return f"{ADDRESS}/{what}/" + "-".join(letters[k : k + 4] for k in range(0, 16, 4))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
