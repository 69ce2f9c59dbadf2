"""What a submission becomes: a program, and what is kept of the files that it was made from."""

from __future__ import annotations

import hashlib
import json

from protocols.capabilities import Capabilities
from protocols.cellfile import parse_cell
from protocols.check import cell_digest
from protocols.compile import compile_program
from protocols.program import Program
from protocols.protocol import parse_protocol
from protocols.records import RunInfo
from scheduler.config import StationConfig
from scheduler.requests import Submission


def compile_submission(submission: Submission, able: Capabilities) -> Program:
    """Return the program of a submission for a station that is so able. Raises InvalidFileError."""
    protocol = parse_protocol(
        submission.protocol_text,
        submission.protocol_file,
        submission.settings,
        included=submission.included,
    )
    cell = parse_cell(submission.cell_text, submission.cell_file)
    return compile_program(protocol, cell, able)


def new_run(number: int, submission: Submission, program: Program, unix_s: float, simulated: bool) -> RunInfo:
    """Return a run that was submitted now."""
    return RunInfo(
        run=number,
        name=submission.name or f"{program.protocol} on {program.cell.name}",
        station=submission.station,
        protocol=program.protocol,
        cell=program.cell.name,
        cell_digest=cell_digest(program.cell),
        unchecked=submission.no_check,
        state="queued",
        submitted_unix_s=unix_s,
        simulated=simulated,
    )


def provenance(submission: Submission, station: StationConfig) -> dict[str, str]:
    """Return what a run's folder needs to describe itself."""
    included = json.dumps(submission.included, ensure_ascii=False, sort_keys=True)
    return {
        **({"included": included} if submission.included else {}),
        "protocol_text": submission.protocol_text,
        "protocol_file": submission.protocol_file,
        "protocol_sha256": hashlib.sha256(submission.protocol_text.encode()).hexdigest(),
        "cell_text": submission.cell_text,
        "cell_file": submission.cell_file,
        "settings": ", ".join(f"{key}={value}" for key, value in submission.settings.items()),
        "instrument": station.instrument,
        "channel": str(station.channel),
    }
