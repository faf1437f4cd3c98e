"""The JSON schemas of what the operations give."""

from __future__ import annotations

from typing import Any

from cadran.cards import ADDITIVITIES, DIRECTIONS, STATUSES, TIERS
from cadran.query import GRAINS
from cadran.server.problems import TITLES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_SWITCH: Schema = {"type": "boolean"}
_CELL: Schema = {"type": ["string", "number", "boolean", "null"]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(also: bool = False, optional: tuple[str, ...] = (), **properties: Schema) -> Schema:  # noqa: FBT001, FBT002
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": also,
    }


def _by_name(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


_META = _object(
    units=_by_name(_TEXT), definitions=_by_name(_TEXT), versions=_by_name(_list(_WHOLE)),
    breaks=_list(_ref("Break")), like_for_like=_SWITCH, governed=_SWITCH, note=_TEXT, state=_TEXT,
    paging=_ref("Paging"), cached=_SWITCH,
)  # fmt: skip
_OWNER = _object(business=_TEXT, technical=_TEXT)
_WORDS = _object(label=_TEXT, description=_TEXT, formula=_TEXT, not_for=_list(_TEXT))
_CARD = _object(
    name=_TEXT, label=_TEXT, description=_TEXT, tier={"enum": list(TIERS)}, objective=_TEXT,
    scope=_TEXT, owner=_OWNER, status={"enum": list(STATUSES)}, unit=_TEXT,
    direction={"enum": list(DIRECTIONS)}, decimals=_WHOLE,
    additivity={"enum": list(ADDITIVITIES)}, grains=_list({"enum": list(GRAINS)}),
    dimensions=_list(_TEXT), refresh=_object(every=_TEXT, late_after=_TEXT), formula=_TEXT,
    review_by=_TEXT, version=_WHOLE, fr=_WORDS, not_for=_list(_TEXT), replaced_by=_maybe(_TEXT),
    sunset=_maybe(_TEXT), drivers=_list(_TEXT), relation=_maybe(_TEXT),
    also=True,
)  # fmt: skip
_LIST_META = _object(state=_TEXT, paging=_ref("Paging"))

SCHEMAS: dict[str, Schema] = {
    "Problem": _object(
        type=_TEXT, title={"enum": list(TITLES.values())}, status=_WHOLE, detail=_TEXT,
        name=_TEXT, did_you_mean=_list(_TEXT), allowed=_list(_TEXT), record=_TEXT,
        optional=("name", "did_you_mean", "allowed", "record"),
    ),
    "Break": _object(
        kpi=_TEXT, period=_TEXT, before=_WHOLE, after=_WHOLE, kind=_maybe(_TEXT),
        reason=_maybe(_TEXT), in_series=_SWITCH, sentence=_TEXT,
    ),
    "Paging": _object(
        page_size=_maybe(_WHOLE), offset=_WHOLE, rows=_WHOLE, total_rows=_WHOLE,
        next_cursor=_maybe(_TEXT), most_rows_of_a_page=_WHOLE,
    ),
    "Column": _object(
        name=_TEXT,
        type={"enum": ["boolean", "integer", "decimal", "float", "date", "timestamp", "text"]},
        label=_TEXT, unit=_TEXT, decimals=_WHOLE, optional=("label", "unit", "decimals"),
    ),
    "Answer": _object(columns=_list(_ref("Column")), rows=_list(_by_name(_CELL)), meta=_META),
    "Card": _CARD,
    "Kpis": _object(kpis=_list(_ref("Card")), meta=_LIST_META),
    "Kpi": _object(
        kpi=_ref("Card"),
        versions=_list(
            _object(
                version=_WHOLE, effective_from=_maybe(_TEXT), kind=_maybe(_TEXT),
                reason=_maybe(_TEXT), restatement=_maybe(_TEXT), author=_maybe(_TEXT),
                approver=_maybe(_TEXT),
            )
        ),
        breaks=_list(_ref("Break")),
        targets=_list(
            _object(
                grain=_TEXT, period=_TEXT, target=_CELL, warning=_CELL, critical=_CELL,
            )
        ),
        state=_TEXT,
    ),
    "Metrics": _object(
        metrics=_list(
            _object(name=_TEXT, label=_TEXT, description=_TEXT, type=_TEXT, is_kpi=_SWITCH,
                    also=True)
        ),
        meta=_LIST_META,
    ),
    "Dimensions": _object(dimensions=_list(_object(name=_TEXT, also=True)), meta=_LIST_META),
    "SavedQueries": _object(
        saved_queries=_list(
            _object(
                name=_TEXT, label=_TEXT, description=_TEXT, metrics=_list(_TEXT),
                group_by=_list(_TEXT), links=_by_name(_TEXT),
            )
        ),
        meta=_LIST_META,
    ),
    "Values": _object(
        dimension=_TEXT, metrics=_list(_TEXT), values=_list(_CELL), meta=_LIST_META
    ),
    "Sql": _object(sql=_TEXT),
    "Refreshed": _object(refreshed=_SWITCH, state=_TEXT),
    "Index": _object(openapi=_TEXT, docs=_TEXT, kpis=_TEXT, query=_TEXT, saved_queries=_TEXT),
    "OpenApi": _object(openapi=_TEXT, also=True),
}  # fmt: skip
