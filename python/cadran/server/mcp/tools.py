"""The tools that agents have: what each takes and gives, and what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.formats.encoding import csv_cell, plain
from cadran.server.requests import (
    CardTool,
    ExplainTool,
    ListTool,
    QueryTool,
    Request,
    ValuesTool,
    properties,
    required,
)
from cadran.serving.metadata import about, defined, explained
from cadran.serving.response import columns, described

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.serving.service import Asked, QueryService


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


ToolTexts = dict[str, Any]


def kpis(told: ToolTexts) -> str:
    """A line for each KPI and saved query."""
    lines = [
        f"{one['name']}: {one['label']}, in {one['unit']}, version {one['version']}"
        f" ({one['status']}, {one['tier']}). By {', '.join(one['grains'])}; by"
        f" {', '.join(one['dimensions']) or 'no dimension'}."
        for one in told["kpis"]
    ]
    saved = [f"saved query {one['name']}: {one['label']}" for one in told["saved_queries"]]
    return "\n".join([*lines, *saved]) or "There is no KPI that you may see."


def card_text(told: ToolTexts) -> str:
    """A card as lines of keys and texts."""
    one = told["kpi"]
    lines = [
        f"{one['label']} ({one['name']}), version {one['version']}, {one['status']}",
        f"Definition: {one['description']}",
        f"Formula: {one['formula']}",
        f"Unit: {one['unit']}; direction: {one['direction']}; {one['additivity']}",
        f"Grains: {', '.join(one['grains'])}",
        f"Dimensions: {', '.join(one['dimensions']) or 'none'}",
        f"Owners: {one['owner']['business']} (meaning), {one['owner']['technical']} (computation)",
    ]
    if one["not_for"]:
        lines.append(f"Not for: {', '.join(one['not_for'])}")
    lines += [f"Break: {broken['sentence']}" for broken in told["breaks"]]
    if told["targets"]:
        last = told["targets"][-1]
        lines.append(f"Last target: {last['target']} for the {last['grain']} of {last['period']}")
    return "\n".join(lines)


def warnings(told: ToolTexts) -> list[str]:
    """What has to be said when these values are quoted."""
    said = [one["sentence"] for one in told["breaks"]]
    if not told["like_for_like"]:
        said.append("Values on both sides of a break are not like for like: do not compare them.")
    if not told["governed"]:
        said.append("Not every metric here is a governed KPI.")
    if told["note"]:
        said.append(told["note"])
    if told["rows_left_out"]:
        said.append(
            f"{told['rows_left_out']} of {told['total_rows']} rows are left out: ask with max_rows,"
            " limit, a filter or a coarser grain."
        )
    return said


def answer_text(told: ToolTexts, rows: list[list[Any]]) -> str:
    """The rows, with every digit, then what they mean."""
    heads = [
        f"{one['name']} ({one['unit']})" if "unit" in one else one["name"]
        for one in told["columns"]
    ]
    lines = [" | ".join(heads)]
    lines += [" | ".join("" if cell is None else str(cell) for cell in row) for row in rows]
    if not rows:
        lines.append("(no row)")
    lines.append("")
    for name, one in told["kpis"].items():
        shown = "; a fraction, shown times 100" if one["unit"] == "%" else ""
        lines.append(
            f"{name}: {one['label']}, unit {one['unit']}{shown}, version"
            f" {', '.join(map(str, one['versions']))}, {one['status']}. {one['definition']}"
            + (f" Not for: {', '.join(one['not_for'])}." if one["not_for"] else "")
        )
    lines += [f"Warning: {one}" for one in told["warnings"]]
    return "\n".join(lines)


def values(told: ToolTexts) -> str:
    """The values in one line, with the number of those left out."""
    rest = told["total"] - len(told["values"])
    more = f" and {rest} more" if rest else ""
    return f"{told['dimension']}: {', '.join(map(str, told['values'])) or 'no value'}{more}"


def definition(told: ToolTexts) -> str:
    """How a KPI is computed."""
    return "\n".join(
        [
            f"{told['kpi']}, version {told['version']}, in {told['unit']}: {told['definition']}",
            f"Formula: {told['formula']}",
            f"Sources: {', '.join(told['sources']) or 'unknown'}",
            f"Models: {', '.join(told['models']) or 'unknown'}",
            "SQL:",
            told["sql"],
        ]
    )


def bridge(told: ToolTexts) -> str:
    """From the value as published to the value now, a line for each step."""
    before, after = told["versions"]
    what = f"{told['kpi']}, {told['grain']} of {told['period']}, in {told['unit']}"
    then = f"published {told['published_at']} by version {before}"
    lines = [f"{what}: {then}; now by version {after}."]
    for step in told["steps"]:
        member = f" ({told['by']} = {step['member']})" if step["member"] is not None else ""
        lines.append(f"{step['step']}{member}: {step['amount']}, reaching {step['reached']}")
    if before != after:
        lines.append("Both values are not like for like: the definition changed between them.")
    return "\n".join([*lines, *told["notes"]])


_VALUES = 500
_LISTED = (
    "name", "label", "description", "unit", "tier", "scope", "status", "direction", "additivity",
    "grains", "dimensions", "version", "not_for",
)  # fmt: skip
Told = tuple[dict[str, Any], str]


@dataclass(frozen=True, slots=True)
class AgentTool:
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
    work: Callable[[QueryService, Asked, Any], Told]

    @property
    def takes_schema(self) -> dict[str, Any]:
        """The JSON schema of its arguments."""
        return {
            "type": "object",
            "properties": properties(self.takes),
            "required": required(self.takes),
            "additionalProperties": False,
        }


def _list_kpis(desk: QueryService, asked: Asked, given: ListTool) -> Told:
    cards = [
        card.to_dict(given.lang)
        for card in desk.kpis(asked.caller)
        if given.tier in (None, card.tier) and given.scope in (None, card.scope)
    ]
    told = {
        "kpis": [{key: card[key] for key in _LISTED} for card in cards],
        "saved_queries": [
            {key: saved[key] for key in ("name", "label", "description")}
            for saved in desk.saved_queries(asked.caller)
        ],
    }
    return told, kpis(told)


def _kpi_card(desk: QueryService, asked: Asked, given: CardTool) -> Told:
    told: dict[str, Any] = plain(about(desk, asked.caller, given.kpi, given.lang))
    return told, card_text(told)


def _query(desk: QueryService, asked: Asked, given: QueryTool) -> Told:
    answer = desk.ask(asked, given.query).answer
    shown = answer.table.slice(0, given.max_rows)
    told: dict[str, Any] = {
        "columns": columns(answer),
        "rows": [plain(row) for row in shown.to_pylist()],
        "total_rows": answer.table.num_rows,
        "rows_left_out": answer.table.num_rows - shown.num_rows,
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
    beside = described(answer)
    told |= {key: beside[key] for key in ("breaks", "like_for_like", "governed", "note", "state")}
    told["warnings"] = warnings(told)
    exact = [list(map(csv_cell, row.values())) for row in shown.to_pylist()]
    return told, answer_text(told, exact)


def _dimension_values(desk: QueryService, asked: Asked, given: ValuesTool) -> Told:
    found = desk.values(asked, given.dimension, given.metrics)
    told = {
        "dimension": given.dimension,
        "values": plain(found[:_VALUES]),
        "total": len(found),
    }
    return told, values(told)


def _explain(desk: QueryService, asked: Asked, given: ExplainTool) -> Told:
    if given.period is None:
        told: dict[str, Any] = plain(defined(desk, asked, given.kpi, given.lang))
        return told, definition(told)
    told = plain(
        explained(desk, asked, given.kpi, given.period, known_at=given.known_at, by=given.by)
    )
    return told, bridge(told)


TOOLS: dict[str, AgentTool] = {
    "list_kpis": AgentTool(
        "List the KPIs",
        "The KPIs there are, with unit, definition, version, and the grains and dimensions at which"
        " each may be asked; and the saved queries.",
        "metadata",
        ListTool,
        GIVES["list_kpis"],
        _list_kpis,
    ),
    "kpi_card": AgentTool(
        "Show one KPI",
        "One KPI in full: definition, formula, owners, limits, versions, breaks and targets.",
        "metadata",
        CardTool,
        GIVES["kpi_card"],
        _kpi_card,
    ),
    "query": AgentTool(
        "Ask for values",
        "Values of KPIs by periods and dimensions, from their one definition, with unit,"
        " definition, version and breaks. What a card or the policy forbids is refused with the"
        " reason and the person to ask.",
        "query",
        QueryTool,
        GIVES["query"],
        _query,
    ),
    "dimension_values": AgentTool(
        "List the values of a dimension",
        "The values that a dimension has for some metrics, for filters that match something.",
        "query",
        ValuesTool,
        GIVES["dimension_values"],
        _dimension_values,
    ),
    "explain": AgentTool(
        "Explain a KPI or a changed value",
        "With a period: how the value that was published of it became the value now (data that came"
        " later, a changed definition). Without: how the KPI is computed, its SQL and its sources.",
        "query",
        ExplainTool,
        GIVES["explain"],
        _explain,
    ),
}  # fmt: skip
