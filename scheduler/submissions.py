"""What a submission becomes: a program, and what is kept of the files that it was made from."""

from __future__ import annotations

import hashlib
import json

from protocols.capabilities import Capabilities
from protocols.cellfile import parse_cell
from protocols.compile import compile_program
from protocols.program import Program
from protocols.protocol import parse_protocol
from protocols.queueing import Request
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


def provenance(submission: Submission, station: StationConfig | None) -> dict[str, str]:
    """Return what a run's folder needs to describe itself; ``station`` is None while it has none."""
    wiring = {} if station is None else {"instrument": station.instrument, "channel": str(station.channel)}
    included = json.dumps(submission.included, ensure_ascii=False, sort_keys=True)
    return {
        **({"included": included} if submission.included else {}),
        "protocol_text": submission.protocol_text,
        "protocol_file": submission.protocol_file,
        "protocol_sha256": hashlib.sha256(submission.protocol_text.encode()).hexdigest(),
        "cell_text": submission.cell_text,
        "cell_file": submission.cell_file,
        "settings": ", ".join(f"{key}={value}" for key, value in submission.settings.items()),
        **wiring,
    }


def submission_of(request: Request, extra: dict[str, str]) -> Submission:
    """Return a submission again, from what was kept of it."""
    return Submission(
        protocol_text=extra["protocol_text"],
        protocol_file=extra["protocol_file"],
        cell_text=extra["cell_text"],
        cell_file=extra["cell_file"],
        included=json.loads(extra.get("included", "{}")),
        **request.model_dump(
            include={"station", "needs", "chamber", "priority", "settings", "not_before_unix_s"}
        ),
    )
