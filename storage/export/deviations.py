"""What went otherwise than planned in a run, in the categories of BattINFO's ``test`` records."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from protocols.records import Event, Gap
from protocols.verdicts import Verdict
from storage.bdf import Clock
from storage.run_reader import RunReader

Deviation = dict[str, Any]

GAPS = {
    "contact": "communication_loss",
    "watched": "communication_loss",
    "dropped": "equipment_failure",
    "daemon": "software_error",
    "crash": "software_error",
}
"""Word in the reason of a gap → category; the first that is found counts."""
VERDICTS = {
    "temperature_drift": "temperature_excursion",
    "over_range": "out_of_tolerance",
    "limit": "out_of_tolerance",
}
"""Kind of a verdict → category, where it is another than ``premature_termination`` or ``other``."""
STATES = {
    "lost": ("communication_loss", "moderate"),
    "paused": ("operator_intervention", "moderate"),
    "stopped": ("operator_intervention", "major"),
    "failed": ("premature_termination", "major"),
}
"""State of a run that nobody plans → category and impact."""
BY_PERSON = "by a person"
"""What the reason of a state holds that a person asked for."""


def deviations(reader: RunReader, run: int) -> list[Deviation]:
    """Return the deviations of a run, by time: gaps, verdicts, lost contact, edits, what people and faults
    ended."""
    to_unix = reader.clock(run)
    ends_on = reader.program(run).ends_on
    found = [_of_gap(gap, to_unix) for gap in reader.gaps(run)]
    found += [_of_verdict(v, to_unix) for v in reader.verdicts(run) if v.kind not in ends_on]
    found += _of_states([stored.event for stored in reader.events_of(run, "state")])
    found += [_of_alarm(stored.event) for stored in reader.events_of(run, "alarm")]
    found += map(_of_edit, reader.edits(run))
    return sorted(found, key=lambda deviation: int(deviation["occurred_at"]))


def _of_gap(gap: Gap, to_unix: Clock) -> Deviation:
    category = next((of for word, of in GAPS.items() if word in gap.reason), "other")
    return {
        "category": category,
        "type": "gap",
        "occurred_at": _at(gap.t_from_s, to_unix),
        "duration_s": math.ceil(max(0.0, gap.t_to_s - gap.t_from_s)),
        "description": f"samples are missing: {gap.reason}",
        "impact": "minor",
    }


def _of_verdict(verdict: Verdict, to_unix: Clock) -> Deviation:
    otherwise = "premature_termination" if verdict.stops else "other"
    return {
        "category": VERDICTS.get(verdict.kind, otherwise),
        "type": verdict.kind,
        "occurred_at": _at(verdict.event_s, to_unix),
        "description": verdict.message,
        "impact": "major" if verdict.stops else "minor",
    }


def _of_states(events: list[Event]) -> Iterator[Deviation]:
    """Yield the states that nobody plans, each as long as it lasted if it did not end the run."""
    for event, following in itertools.zip_longest(events, events[1:]):
        state, reason = str(event.data.get("state")), str(event.data.get("reason") or "")
        if state not in STATES or (state == "paused" and BY_PERSON not in reason):
            continue
        category, impact = STATES[state]
        found: Deviation = {"category": category, "type": state, "occurred_at": int(event.unix_s)}
        if following is not None:
            found["duration_s"] = math.ceil(max(0.0, following.unix_s - event.unix_s))
        yield {**found, "description": reason or state, "impact": impact}


def _of_edit(edit: Mapping[str, Any]) -> Deviation:
    what = "; ".join(edit.get("changes", ())) or f"a spectrum was inserted, {edit.get('how')}"
    return {
        "category": "operator_intervention",
        "type": "edit",
        "occurred_at": int(edit["unix_s"]),
        "description": f"edited by {edit.get('who')}: {what}",
        "impact": "moderate",
    }


def _of_alarm(event: Event) -> Deviation:
    return {
        "category": "equipment_failure",
        "type": "alarm",
        "occurred_at": int(event.unix_s),
        "description": str(event.data.get("message") or "alarm"),
        "impact": "moderate",
    }


def _at(t_s: float, to_unix: Clock) -> int:
    """Return UTC in whole seconds."""
    return int(to_unix(np.array([t_s]))[0])
