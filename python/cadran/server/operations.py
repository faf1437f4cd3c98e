"""Every operation under `/api/v1`, once: it is read, checked and told in OpenAPI from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cadran.core.comparison import SIDES
from cadran.core.project.cards import ADDITIVITIES, DIRECTIONS, STATUSES, TIERS
from cadran.core.query.request import GRAINS
from cadran.server.problems import TITLES
from cadran.server.requests import (
    AnomaliesRequest,
    DimensionsRequest,
    DriversRequest,
    ForecastRequest,
    ImpactRequest,
    KpiRequest,
    KpisRequest,
    NoteRequest,
    NotesRequest,
    PagesRequest,
    QueryRequest,
    Request,
    SavedFileRequest,
    ShapedQueryRequest,
    ValuesRequest,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be done at one address.

    Attributes:
        id: its name, also that of what does it.
        method: of HTTP; GET includes HEAD.
        path: below `/api/v1`, with names in braces.
        summary: one line.
        scope: what the caller's token has to allow; empty for everybody.
        takes: the model of its parameters; those in braces stand in the path.
        gives: the schema of its JSON, by name; `Answer` also comes in other formats.
        in_body: whether the parameters stand in a body.
        is_file: whether the format stands in the path and is the only one.
    """

    id: str
    method: str
    path: str
    summary: str
    scope: str
    takes: type[Request] = Request
    gives: str = "Answer"
    in_body: bool = False
    is_file: bool = False


OPERATIONS = (
    Operation("index", "GET", "", "What there is at this address.", "", gives="Index"),
    Operation("openapi", "GET", "/openapi.json", "This description.", "", gives="OpenApi"),
    Operation("docs", "GET", "/docs", "This description as a page.", "", gives="Page"),
    Operation("explorer", "GET", "/explorer", "A page to try each request.", "", gives="Page"),
    Operation(
        "kpis", "GET", "/kpis", "The KPIs with their cards.", "metadata", KpisRequest, "Kpis"
    ),
    Operation(
        "kpi", "GET", "/kpis/{name}", "One KPI: card, versions, breaks, targets.", "metadata",
        KpiRequest, "Kpi",
    ),
    Operation(
        "drivers", "GET", "/kpis/{name}/drivers",
        "What contributes to a change of a KPI: members of a dimension, or its factors.", "query",
        DriversRequest, "Drivers",
    ),
    Operation(
        "forecast", "GET", "/kpis/{name}/forecast",
        "A KPI at the end of the running period, with an interval from past errors.", "query",
        ForecastRequest, "Forecast",
    ),
    Operation(
        "anomalies", "GET", "/kpis/{name}/anomalies",
        "The last days of a KPI that were unlike the same weekdays before.", "query",
        AnomaliesRequest, "Anomalies",
    ),
    Operation("metrics", "GET", "/metrics", "The metrics.", "metadata", PagesRequest, "Metrics"),
    Operation(
        "dimensions", "GET", "/dimensions", "What these metrics can be grouped by together.",
        "metadata", DimensionsRequest, "Dimensions",
    ),
    Operation(
        "saved_queries", "GET", "/saved-queries", "The saved queries, with links.", "metadata",
        PagesRequest, "SavedQueries",
    ),
    Operation(
        "saved_file", "GET", "/saved-queries/{name}.{format}",
        "A saved query as a file: a link for a sheet that refreshes.", "query", SavedFileRequest,
        is_file=True,
    ),
    Operation(
        "query", "GET", "/query", "The answer to a question, as a link.", "query",
        ShapedQueryRequest,
    ),
    Operation(
        "query_body", "POST", "/query", "The answer to a question, as a body.", "query",
        ShapedQueryRequest, in_body=True,
    ),
    Operation(
        "values", "GET", "/values", "The values of a dimension.", "query", ValuesRequest, "Values"
    ),
    Operation(
        "impact", "GET", "/impact", "What incidents cost, with the bounds of each estimate.",
        "query", ImpactRequest, "Impact",
    ),
    Operation(
        "notes", "GET", "/notes", "What people said about a KPI.", "query", NotesRequest, "Notes",
    ),
    Operation(
        "note", "POST", "/notes", "Say something about a KPI and a period; it stays said.",
        "write", NoteRequest, "Note", in_body=True,
    ),
    Operation(
        "sql", "GET", "/sql", "The SQL of a question; nothing is run.", "query", QueryRequest,
        "Sql",
    ),
    Operation(
        "sql_body", "POST", "/sql", "The SQL of a question; nothing is run.", "query",
        QueryRequest, "Sql", in_body=True,
    ),
    Operation(
        "refresh", "POST", "/refresh", "Take over a new build now.", "admin", gives="Refreshed",
    ),
)  # fmt: skip


Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_NUMBER: Schema = {"type": "number"}
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
    breaks=_list(_ref("Break")), like_for_like=_SWITCH, governed=_SWITCH,
    complete_through=_by_name(_maybe(_TEXT)), note=_TEXT, state=_TEXT,
    paging=_ref("Paging"), cached=_SWITCH, watermark=_TEXT, optional=("watermark",),
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
_EVIDENCE = _object(
    metrics=_list(_TEXT),
    days=_list(_list(_TEXT)),
    count=_WHOLE,
    complete_through=_maybe(_TEXT),
    breaks=_list(_TEXT),
)
_ANALYSIS = _object(
    kpi=_TEXT, label=_TEXT, unit=_TEXT, method=_TEXT, notes=_list(_TEXT), evidence=_EVIDENCE
)


def _analysis(**properties: Schema) -> Schema:
    return _ANALYSIS | {
        "properties": _ANALYSIS["properties"] | properties,
        "required": [*_ANALYSIS["required"], *properties],
    }


_LIST_META = _object(state=_TEXT, paging=_ref("Paging"))

_NOTE = _object(
    number=_WHOLE, kpi=_TEXT, period=_TEXT, text=_TEXT, cause=_TEXT, action=_TEXT, owner=_TEXT,
    due=_maybe(_TEXT), incident=_TEXT, by=_TEXT, at=_TEXT,
)  # fmt: skip

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
        label=_TEXT, unit=_TEXT, decimals=_WHOLE, side={"enum": list(SIDES)},
        optional=("label", "unit", "decimals", "side"),
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
                approver=_maybe(_TEXT), approval=_maybe(_TEXT), evidence=_maybe(_TEXT),
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
    "Drivers": _analysis(
        by=_maybe(_TEXT), days=_list(_TEXT), base_days=_list(_TEXT), value=_CELL,
        base=_CELL, change=_CELL, rows=_list(_by_name(_CELL)),
    ),
    "Forecast": _analysis(
        grain=_TEXT, start=_TEXT, end=_TEXT, complete_through=_maybe(_TEXT),
        so_far=_CELL, forecast=_NUMBER, low=_NUMBER, high=_NUMBER, level=_NUMBER,
        coverage=_maybe(_NUMBER), coverage_count=_WHOLE, errors=_WHOLE,
        median_error=_maybe(_NUMBER),
        path=_list(_object(day=_TEXT, value=_maybe(_NUMBER))),
    ),
    "Anomalies": _analysis(
        days=_list(_TEXT), anomalies=_list(_by_name(_CELL)), judged=_WHOLE,
        muted=_WHOLE, unknown=_WHOLE, threshold=_NUMBER, minimum=_NUMBER,
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
    "Impact": _object(
        method=_TEXT, asked=_by_name(_maybe(_TEXT)),
        impact=_list(_object(outcome=_TEXT, also=True)), meta=_LIST_META,
    ),
    "Note": _NOTE,
    "Notes": _object(notes=_list(_NOTE), meta=_LIST_META),
    "Sql": _object(sql=_TEXT),
    "Refreshed": _object(refreshed=_SWITCH, state=_TEXT),
    "Index": _object(openapi=_TEXT, docs=_TEXT, kpis=_TEXT, query=_TEXT, saved_queries=_TEXT),
    "OpenApi": _object(openapi=_TEXT, also=True),
}  # fmt: skip
