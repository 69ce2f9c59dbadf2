"""What BattINFO's schemas say of the keys that sandtime writes: battery-data-format, August 2026."""

from __future__ import annotations

from typing import Any

CATEGORIES = (
    *("power_outage", "equipment_failure", "temperature_excursion", "software_error"),
    *("operator_intervention", "premature_termination", "communication_loss", "parameter_drift"),
    *("setpoint_deviation", "calibration_issue", "out_of_tolerance", "dimensional", "other"),
)
ADDRESS = r"^https://w3id\.org/battinfo/{}/[0-9a-hjkmnp-tv-z]{{4}}(-[0-9a-hjkmnp-tv-z]{{4}}){{3}}$"


def address(what: str) -> dict[str, Any]:
    """An address of one kind of thing."""
    return {"type": "string", "pattern": ADDRESS.format(what)}


def closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object that has these keys and may have those."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


TEXT, WHOLE, NUMBER = (
    {"type": "string", "minLength": 1},
    {"type": "integer", "minimum": 0},
    {"type": "number"},
)
QUANTITY = closed({"value": NUMBER, "unit": TEXT})
DEVIATION = closed(
    {"category": {"enum": list(CATEGORIES)}},
    type=TEXT,
    occurred_at=WHOLE,
    duration_s=WHOLE,
    description=TEXT,
    impact={"enum": ["minor", "moderate", "major"]},
)
PROVENANCE = closed(
    {"source_type": {"enum": ["measurement", "lab", "simulation"]}, "retrieved_at": WHOLE}, source_name=TEXT
)
TEST = closed(
    {
        "schema_version": TEXT,
        "provenance": PROVENANCE,
        "test": closed(
            {
                "id": address("test"),
                "cell_id": address("cell"),
                "name": TEXT,
                "kind": {"enum": ["cycling", "eis", "characterization"]},
            },
            identifier=TEXT,
            status={"enum": ["planned", "running", "completed", "aborted", "other"]},
            description=TEXT,
            protocol_id=address("spec"),
            protocol_name=TEXT,
            conditions={"type": "object", "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"}},
            conformance=closed(
                {"status": {"enum": ["conformant", "non-conformant", "unknown"]}},
                deviations={"type": "array", "items": DEVIATION},
            ),
            instrument_name=TEXT,
            equipment_id=address("equipment"),
            channel_id=address("channel"),
            started_at=WHOLE,
            ended_at=WHOLE,
        ),
    }
)
STEP = closed(
    {"mode": {"enum": ["cc", "cv", "rest", "eis", "scan", "group"]}},
    direction={"enum": ["charge", "discharge", "hold", "rest", "none"]},
    setpoints={"type": "object", "additionalProperties": QUANTITY},
    termination={
        "type": "array",
        "items": closed(
            {
                "quantity": {"enum": ["voltage", "current", "c_rate", "capacity", "duration"]},
                "value": NUMBER,
                "unit": TEXT,
            },
            direction={"enum": ["below", "above", "elapsed"]},
        ),
    },
    duration=QUANTITY,
    temperature=QUANTITY,
    description={"type": "string"},
    tags={"type": "array", "items": {"type": "string"}},
    count={"type": "integer", "minimum": 1},
    steps={"type": "array", "items": {"$ref": "#/$defs/step"}},
)
PROTOCOL = {
    "$defs": {"step": STEP},
    **closed(
        {
            "schema_version": TEXT,
            "test_spec": closed(
                {
                    "id": address("spec"),
                    "name": TEXT,
                    "kind": {"enum": ["cycling", "eis", "characterization"]},
                }
            ),
            "provenance": PROVENANCE,
        },
        method={"type": "array", "items": {"$ref": "#/$defs/step"}},
        safety={"type": "object", "additionalProperties": NUMBER},
        record={"type": "object", "additionalProperties": {"type": "number", "exclusiveMinimum": 0}},
        artifacts={
            "type": "array",
            "items": closed(
                {"role": TEXT, "format": TEXT, "locator": TEXT},
                sha256={"pattern": "^[0-9a-f]{64}$"},
                media_type=TEXT,
            ),
        },
        notes={"type": "array", "items": TEXT},
    ),
}
"""What BattINFO's schemas (battery-data-format, August 2026) say of the keys that are written."""
