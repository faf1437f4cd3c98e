"""The tools that agents have: what each takes and gives, and what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.formats.encoding import csv_cell, plain
from cadran.insight import impact
from cadran.insight.search import search
from cadran.server.arguments import properties, required
from cadran.server.requests import (
    AnomaliesTool,
    CardTool,
    DriversTool,
    ExplainTool,
    ForecastTool,
    ImpactTool,
    ListTool,
    QueryTool,
    Request,
    SearchTool,
    ValuesTool,
)
from cadran.serving import analyses
from cadran.serving.metadata import about, defined, explained
from cadran.serving.response import columns, described

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.serving.service import QueryService, RequestContext


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
    "search_kpis": _object(
        kpis={
            "type": "array",
            "items": _object(
                name=_TEXT, label=_TEXT, description=_TEXT, unit=_TEXT, grains=_TEXTS,
                dimensions=_TEXTS, words=_TEXTS,
            ),
        },
        warnings=_TEXTS,
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
        complete_through={"type": "object", "additionalProperties": _CELL},
    ),
    "dimension_values": _object(
        dimension=_TEXT, values={"type": "array", "items": _CELL}, total=_WHOLE
    ),
    "explain": _object(kpi=_TEXT, unit=_TEXT),
    "drivers": _object(
        kpi=_TEXT, unit=_TEXT, method=_TEXT, value=_CELL, base=_CELL, change=_CELL, rows=_OBJECTS,
        notes=_TEXTS,
    ),
    "forecast": _object(
        kpi=_TEXT, unit=_TEXT, method=_TEXT, start=_TEXT, end=_TEXT, forecast=_CELL, low=_CELL,
        high=_CELL, level=_CELL, coverage=_CELL, notes=_TEXTS,
    ),
    "anomalies": _object(kpi=_TEXT, unit=_TEXT, method=_TEXT, anomalies=_OBJECTS, notes=_TEXTS),
    "impact": _object(rows=_OBJECTS, method=_TEXT, warnings=_TEXTS),
}  # fmt: skip


ToolPayload = dict[str, Any]


def kpis(payload: ToolPayload) -> str:
    """A line for each KPI and saved query."""
    lines = [
        f"{entry['name']}: {entry['label']}, in {entry['unit']}, version {entry['version']}"
        f" ({entry['status']}, {entry['tier']}). By {', '.join(entry['grains'])}; by"
        f" {', '.join(entry['dimensions']) or 'no dimension'}."
        for entry in payload["kpis"]
    ]
    saved = [f"saved query {entry['name']}: {entry['label']}" for entry in payload["saved_queries"]]
    return "\n".join([*lines, *saved]) or "There is no KPI that you may see."


def search_text(payload: ToolPayload) -> str:
    """A line for each KPI that was found: what it is, and how it may be asked."""
    lines = [
        f"{entry['name']}: {entry['label']}, in {entry['unit']}. {entry['description']} By"
        f" {', '.join(entry['grains'])}; by {', '.join(entry['dimensions']) or 'no dimension'}."
        for entry in payload["kpis"]
    ]
    return "\n".join([*lines, *payload["warnings"]])


def card_text(payload: ToolPayload) -> str:
    """A card as lines of keys and texts."""
    card = payload["kpi"]
    lines = [
        f"{card['label']} ({card['name']}), version {card['version']}, {card['status']}",
        f"Definition: {card['description']}",
        f"Formula: {card['formula']}",
        f"Unit: {card['unit']}; direction: {card['direction']}; {card['additivity']}",
        f"Grains: {', '.join(card['grains'])}",
        f"Dimensions: {', '.join(card['dimensions']) or 'none'}",
        (
            f"Owners: {card['owner']['business']} (meaning),"
            f" {card['owner']['technical']} (computation)"
        ),
    ]
    if card["not_for"]:
        lines.append(f"Not for: {', '.join(card['not_for'])}")
    lines += [f"Break: {broken['sentence']}" for broken in payload["breaks"]]
    if payload["targets"]:
        last = payload["targets"][-1]
        lines.append(f"Last target: {last['target']} for the {last['grain']} of {last['period']}")
    return "\n".join(lines)


def warnings(payload: ToolPayload) -> list[str]:
    """What has to be said when these values are quoted."""
    sentences = [version_break["sentence"] for version_break in payload["breaks"]]
    if not payload["like_for_like"]:
        sentences.append(
            "Values on both sides of a break are not like for like: do not compare them."
        )
    if not payload["governed"]:
        sentences.append("Not every metric here is a governed KPI.")
    if payload["note"]:
        sentences.append(payload["note"])
    if payload["rows_left_out"]:
        sentences.append(
            f"{payload['rows_left_out']} of {payload['total_rows']} rows are left out: ask with"
            " max_rows, limit, a filter or a coarser grain."
        )
    return sentences


def answer_text(payload: ToolPayload, rows: list[list[Any]]) -> str:
    """The rows, with every digit, then what they mean."""
    heads = [
        f"{entry['name']} ({entry['unit']})" if "unit" in entry else entry["name"]
        for entry in payload["columns"]
    ]
    lines = [" | ".join(heads)]
    lines += [" | ".join("" if cell is None else str(cell) for cell in row) for row in rows]
    if not rows:
        lines.append("(no row)")
    lines.append("")
    for name, entry in payload["kpis"].items():
        note = "; a fraction, shown times 100" if entry["unit"] == "%" else ""
        lines.append(
            f"{name}: {entry['label']}, unit {entry['unit']}{note}, version"
            f" {', '.join(map(str, entry['versions']))}, {entry['status']}. {entry['definition']}"
            + (f" Not for: {', '.join(entry['not_for'])}." if entry["not_for"] else "")
        )
    lines += [f"Warning: {entry}" for entry in payload["warnings"]]
    return "\n".join(lines)


def values(payload: ToolPayload) -> str:
    """The values in one line, with the number of those left out."""
    rest = payload["total"] - len(payload["values"])
    more = f" and {rest} more" if rest else ""
    return f"{payload['dimension']}: {', '.join(map(str, payload['values'])) or 'no value'}{more}"


def definition(payload: ToolPayload) -> str:
    """How a KPI is computed."""
    return "\n".join(
        [
            (
                f"{payload['kpi']}, version {payload['version']}, in {payload['unit']}:"
                f" {payload['definition']}"
            ),
            f"Formula: {payload['formula']}",
            f"Sources: {', '.join(payload['sources']) or 'unknown'}",
            f"Models: {', '.join(payload['models']) or 'unknown'}",
            "SQL:",
            payload["sql"],
        ]
    )


def bridge(payload: ToolPayload) -> str:
    """From the value as published to the value now, a line for each step."""
    before, after = payload["versions"]
    what = f"{payload['kpi']}, {payload['grain']} of {payload['period']}, in {payload['unit']}"
    then = f"published {payload['published_at']} by version {before}"
    lines = [f"{what}: {then}; now by version {after}."]
    for step in payload["steps"]:
        member = f" ({payload['by']} = {step['member']})" if step["member"] is not None else ""
        lines.append(f"{step['step']}{member}: {step['amount']}, reaching {step['reached']}")
    if before != after:
        lines.append("Both values are not like for like: the definition changed between them.")
    return "\n".join([*lines, *payload["notes"]])


def analysis(payload: ToolPayload) -> str:
    """An analysis as lines: what it is of, its rows if it has any, and what has to be said."""
    rows = payload.get("rows", payload.get("anomalies", ()))
    beside = ("rows", "anomalies", "notes", "evidence", "path")
    lines = [f"{key}: {value}" for key, value in payload.items() if key not in beside]
    if rows:
        lines += ["", " | ".join(rows[0])]
        lines += [" | ".join("" if c is None else str(c) for c in row.values()) for row in rows]
    return "\n".join([*lines, "", *payload["notes"]])


def costs(payload: ToolPayload) -> str:
    """A line an incident, or a group of them, and outcome."""
    lines = []
    for row in payload["rows"]:
        name = row.get("incident_id") or next(iter(row.values()))
        if row["estimate"] is None:
            lines.append(f"{name}, {row['outcome']}: not known ({row['note']})")
            continue
        verdict = "measurable" if row["is_measurable"] else "no measurable loss"
        lines.append(
            f"{name}, {row['outcome']}: {row['estimate']}, between {row['lower']} and"
            f" {row['upper']} ({verdict})"
        )
    return "\n".join([*(lines or ["(no incident)"]), "", *payload["warnings"]])


_VALUES = 500
_CARD_KEYS = (
    "name", "label", "description", "unit", "tier", "scope", "status", "direction", "additivity",
    "grains", "dimensions", "version", "not_for",
)  # fmt: skip
_NOTHING = (
    "No card has a word of this question: put it in other words, or see what there is with"
    " list_kpis. Do not answer from another number."
)
_ESTIMATED = (
    "Estimates against the same hours of quiet weeks. Where no loss is measurable, chance would do"
    " as much: say so, and no number. Money is never added to credits of a contract."
)
ToolResult = tuple[dict[str, Any], str]


@dataclass(frozen=True, slots=True)
class McpTool:
    """One tool.

    Attributes:
        title: for people.
        about: what it does, for the agent.
        scope: what the caller's token has to allow.
        takes: the model of its arguments.
        gives_schema: the JSON schema of what it gives.
        work: does it, in a worker thread; gives JSON types and the same as text.
    """

    title: str
    about: str
    scope: str
    takes: type[Request]
    gives_schema: dict[str, Any]
    work: Callable[[QueryService, RequestContext, Any], ToolResult]

    @property
    def takes_schema(self) -> dict[str, Any]:
        """The JSON schema of its arguments."""
        return {
            "type": "object",
            "properties": properties(self.takes),
            "required": required(self.takes),
            "additionalProperties": False,
        }


def _list_kpis(service: QueryService, context: RequestContext, arguments: ListTool) -> ToolResult:
    cards = [
        card.to_dict(arguments.lang)
        for card in service.kpis(context.caller)
        if arguments.tier in (None, card.tier) and arguments.scope in (None, card.scope)
    ]
    payload = {
        "kpis": [{key: card[key] for key in _CARD_KEYS} for card in cards],
        "saved_queries": [
            {key: saved[key] for key in ("name", "label", "description")}
            for saved in service.saved_queries(context.caller)
        ],
    }
    return payload, kpis(payload)


def _search_kpis(
    service: QueryService, context: RequestContext, arguments: SearchTool
) -> ToolResult:
    matches = search(service.kpis(context.caller), arguments.question, arguments.top)
    cards = [(match.card.to_dict(arguments.lang), match.words) for match in matches]
    payload: dict[str, Any] = {
        "kpis": [{key: card[key] for key in _CARD_KEYS} | {"words": [*w]} for card, w in cards],
        "warnings": [] if matches else [_NOTHING],
    }
    return payload, search_text(payload)


def _kpi_card(service: QueryService, context: RequestContext, arguments: CardTool) -> ToolResult:
    payload: dict[str, Any] = plain(about(service, context.caller, arguments.kpi, arguments.lang))
    return payload, card_text(payload)


def _query(service: QueryService, context: RequestContext, arguments: QueryTool) -> ToolResult:
    answer = service.ask(context, arguments.query)
    table = answer.table.slice(0, arguments.max_rows)
    payload: dict[str, Any] = {
        "columns": columns(answer),
        "rows": [plain(row) for row in table.to_pylist()],
        "total_rows": answer.table.num_rows,
        "rows_left_out": answer.table.num_rows - table.num_rows,
        "kpis": {
            name: {
                "label": card.label, "unit": card.unit, "definition": card.description,
                "versions": list(answer.versions.get(name, (card.version,))),
                "status": card.status, "additivity": card.additivity,
                "not_for": list(card.not_for),
            }
            for name, card in answer.cards.items()
        },
    }  # fmt: skip
    metadata = described(answer)
    payload |= {
        key: metadata[key]
        for key in (
            "breaks", "like_for_like", "governed", "complete_through", "note", "state", "watermark",
        )
        if key in metadata
    }  # fmt: skip
    payload["warnings"] = warnings(payload)
    exact = [list(map(csv_cell, row.values())) for row in table.to_pylist()]
    return payload, answer_text(payload, exact)


def _dimension_values(
    service: QueryService, context: RequestContext, arguments: ValuesTool
) -> ToolResult:
    members = service.values(context, arguments.dimension, arguments.metrics)
    payload = {
        "dimension": arguments.dimension,
        "values": plain(members[:_VALUES]),
        "total": len(members),
    }
    return payload, values(payload)


def _explain(service: QueryService, context: RequestContext, arguments: ExplainTool) -> ToolResult:
    if arguments.period is None:
        payload: dict[str, Any] = plain(defined(service, context, arguments.kpi, arguments.lang))
        return payload, definition(payload)
    payload = plain(
        explained(
            service,
            context,
            arguments.kpi,
            arguments.period,
            known_at=arguments.known_at,
            by=arguments.by,
        )
    )
    return payload, bridge(payload)


def _analysed(
    work: Callable[..., dict[str, Any]],
) -> Callable[[QueryService, RequestContext, Any], ToolResult]:
    def call(service: QueryService, context: RequestContext, request: Request) -> ToolResult:
        payload: dict[str, Any] = plain(work(service, context, **request.arguments))
        return payload, analysis(payload)

    return call


def _impact(service: QueryService, context: RequestContext, arguments: ImpactTool) -> ToolResult:
    rows = analyses.impact_rows(service, context, arguments.model_dump())
    payload = {"rows": plain(rows), "method": impact.METHOD, "warnings": [_ESTIMATED]}
    return payload, costs(payload)


TOOLS: dict[str, McpTool] = {
    "list_kpis": McpTool(
        "List the KPIs",
        "The KPIs there are, with unit, definition, version, and the grains and dimensions at which"
        " each may be asked; and the saved queries.",
        "metadata",
        ListTool,
        GIVES["list_kpis"],
        _list_kpis,
    ),
    "search_kpis": McpTool(
        "Find the KPI of a question",
        "The KPIs whose cards have most words of a question, in English or French, the best first,"
        " each with its definition and the grains and dimensions at which it may be asked. Read the"
        " definitions before you choose; where two could be meant, ask which.",
        "metadata",
        SearchTool,
        GIVES["search_kpis"],
        _search_kpis,
    ),
    "kpi_card": McpTool(
        "Show one KPI",
        "One KPI in full: definition, formula, owners, limits, versions, breaks and targets.",
        "metadata",
        CardTool,
        GIVES["kpi_card"],
        _kpi_card,
    ),
    "query": McpTool(
        "Ask for values",
        "Values of KPIs by periods and dimensions, from their one definition, with unit,"
        " definition, version and breaks. Ask for a change with compare, never by subtracting: a"
        " running period is then held against the same days. What a card or the policy forbids is"
        " refused with the reason and the person to ask.",
        "query",
        QueryTool,
        GIVES["query"],
        _query,
    ),
    "dimension_values": McpTool(
        "List the values of a dimension",
        "The values that a dimension has for some metrics, for filters that match something.",
        "query",
        ValuesTool,
        GIVES["dimension_values"],
        _dimension_values,
    ),
    "explain": McpTool(
        "Explain a KPI or a changed value",
        "With a period: how the value that was published of it became the value now (data that came"
        " later, a changed definition). Without: how the KPI is computed, its SQL and its sources.",
        "query",
        ExplainTool,
        GIVES["explain"],
        _explain,
    ),
    "drivers": McpTool(
        "Split a change of a KPI",
        "Exact contributions to the change of a KPI between two periods: of the members of a"
        " dimension (by), of a rate as rate and mix effect; or of the factors it is made of. They"
        " add up to the change. They say where it lies: never call them causes.",
        "query",
        DriversTool,
        GIVES["drivers"],
        _analysed(analyses.drivers),
    ),
    "forecast": McpTool(
        "Forecast the running period",
        "A KPI at the end of the running period, with an interval from past errors at the same"
        " horizon, and how often that interval held in the past. Quote the interval with it.",
        "query",
        ForecastTool,
        GIVES["forecast"],
        _analysed(analyses.forecast),
    ),
    "anomalies": McpTool(
        "Find unusual days",
        "The last whole days of a KPI that were unlike the same weekdays of eight weeks before.",
        "query",
        AnomaliesTool,
        GIVES["anomalies"],
        _analysed(analyses.anomalies),
    ),
    "impact": McpTool(
        "Tell what incidents cost",
        "What an incident, or each, or those of a cause, service or month together, took: orders,"
        " net revenue (EUR), conversion and satisfaction (fractions), and extra tickets, each with"
        " bounds of 90 %. Harm is positive.",
        "query",
        ImpactTool,
        GIVES["impact"],
        _impact,
    ),
}  # fmt: skip
