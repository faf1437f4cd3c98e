"""The JSON schemas of what the tools give."""

from __future__ import annotations

from typing import Any

_CELL = {"type": ["string", "number", "boolean", "null"]}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_OBJECTS = {"type": "array", "items": {"type": "object"}}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties),
        "additionalProperties": True,
    }  # fmt: skip


_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_SWITCH = {"type": "boolean"}
_BREAK = _object(kpi=_TEXT, period=_TEXT, before=_WHOLE, after=_WHOLE, sentence=_TEXT)

GIVES: dict[str, dict[str, Any]] = {
    "list_kpis": _object(
        kpis={
            "type": "array",
            "items": _object(
                name=_TEXT, label=_TEXT, description=_TEXT, unit=_TEXT, version=_WHOLE,
                grains=_TEXTS, dimensions=_TEXTS,
            ),
        },
        saved_queries=_OBJECTS,
    ),
    "kpi_card": _object(
        kpi=_object(name=_TEXT, label=_TEXT, description=_TEXT, unit=_TEXT, version=_WHOLE),
        versions=_OBJECTS, breaks={"type": "array", "items": _BREAK}, targets=_OBJECTS,
    ),
    "query": _object(
        columns=_OBJECTS,
        rows={"type": "array", "items": {"type": "object", "additionalProperties": _CELL}},
        total_rows=_WHOLE, rows_left_out=_WHOLE,
        kpis={
            "type": "object",
            "additionalProperties": _object(
                label=_TEXT, unit=_TEXT, definition=_TEXT,
                versions={"type": "array", "items": _WHOLE},
            ),
        },
        breaks={"type": "array", "items": _BREAK}, like_for_like=_SWITCH, governed=_SWITCH,
        warnings=_TEXTS,
    ),
    "dimension_values": _object(
        dimension=_TEXT, values={"type": "array", "items": _CELL}, total=_WHOLE
    ),
    "explain": _object(kpi=_TEXT, unit=_TEXT),
}  # fmt: skip
