"""The tools that agents have: what each takes and gives, and what it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.cards import LANGUAGES, TIERS
from cadran.encoding import csv_cell, plain
from cadran.server.agents import words
from cadran.server.agents.schemas import GIVES
from cadran.server.parameters import Parameter
from cadran.server.rest.operations import ASKING
from cadran.serving.about import about
from cadran.serving.described import columns, described
from cadran.serving.explain import defined, explained
from cadran.serving.question import Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.serving.desk import Asked, Desk

_ROWS = 200  # that an agent gets where it does not say how many
_MOST_ROWS = 1000
_VALUES = 500
_LISTED = (
    "name", "label", "description", "unit", "tier", "scope", "status", "direction", "additivity",
    "grains", "dimensions", "version", "not_for",
)  # fmt: skip
_LANG = Parameter("lang", "Language of the words: en or fr.", "choice", choices=LANGUAGES)
_KPI = Parameter("kpi", "Name of the KPI, such as net_revenue.", required=True)

Told = tuple[dict[str, Any], str]


@dataclass(frozen=True, slots=True)
class AgentTool:
    """One tool.

    Attributes:
        title: for people.
        about: what it does, for the agent.
        scope: what the caller's token has to allow.
        takes: its arguments.
        gives_schema: the JSON schema of what it gives.
        work: does it, in a worker thread; gives JSON types and the same as text.
    """

    title: str
    about: str
    scope: str
    takes: tuple[Parameter, ...]
    gives_schema: dict[str, Any]
    work: Callable[[Desk, Asked, dict[str, Any]], Told]

    @property
    def takes_schema(self) -> dict[str, Any]:
        """The JSON schema of its arguments."""
        return {
            "type": "object",
            "properties": {
                one.name: {**one.schema(), "description": one.about}
                | ({"examples": [one.example]} if one.example is not None else {})
                for one in self.takes
            },
            "required": [one.name for one in self.takes if one.required],
            "additionalProperties": False,
        }


def _list_kpis(desk: Desk, asked: Asked, given: dict[str, Any]) -> Told:
    cards = [
        card.to_dict(given.get("lang", "en"))
        for card in desk.kpis(asked.caller)
        if given.get("tier") in (None, card.tier) and given.get("scope") in (None, card.scope)
    ]
    told = {
        "kpis": [{key: card[key] for key in _LISTED} for card in cards],
        "saved_queries": [
            {key: saved[key] for key in ("name", "label", "description")}
            for saved in desk.saved_queries(asked.caller)
        ],
    }
    return told, words.kpis(told)


def _kpi_card(desk: Desk, asked: Asked, given: dict[str, Any]) -> Told:
    told: dict[str, Any] = plain(about(desk, asked.caller, given["kpi"], given.get("lang", "en")))
    return told, words.card(told)


def _query(desk: Desk, asked: Asked, given: dict[str, Any]) -> Told:
    most = given.pop("max_rows", _ROWS)
    answer = desk.ask(asked, Question.of(given)).answer
    shown = answer.table.slice(0, most)
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
    told["warnings"] = words.warnings(told)
    exact = [list(map(csv_cell, row.values())) for row in shown.to_pylist()]
    return told, words.answer(told, exact)


def _dimension_values(desk: Desk, asked: Asked, given: dict[str, Any]) -> Told:
    found = desk.values(asked, given["dimension"], tuple(given.get("metrics", ())))
    told = {
        "dimension": given["dimension"],
        "values": plain(found[:_VALUES]),
        "total": len(found),
    }
    return told, words.values(told)


def _explain(desk: Desk, asked: Asked, given: dict[str, Any]) -> Told:
    if given.get("period") is None:
        told: dict[str, Any] = plain(defined(desk, asked, given["kpi"], given.get("lang", "en")))
        return told, words.definition(told)
    told = plain(
        explained(
            desk, asked, given["kpi"], given["period"],
            known_at=given.get("known_at"), by=given.get("by"),
        )
    )  # fmt: skip
    return told, words.bridge(told)


TOOLS: dict[str, AgentTool] = {
    "list_kpis": AgentTool(
        "List the KPIs",
        "The KPIs there are, with unit, definition, version, and the grains and dimensions at which"
        " each may be asked; and the saved queries.",
        "metadata",
        (
            Parameter("tier", "Only strategic or only operational ones.", "choice", choices=TIERS),
            Parameter("scope", "Only those of this scope, such as global."),
            _LANG,
        ),
        GIVES["list_kpis"],
        _list_kpis,
    ),
    "kpi_card": AgentTool(
        "Show one KPI",
        "One KPI in full: definition, formula, owners, limits, versions, breaks and targets.",
        "metadata",
        (_KPI, _LANG),
        GIVES["kpi_card"],
        _kpi_card,
    ),
    "query": AgentTool(
        "Ask for values",
        "Values of KPIs by periods and dimensions, from their one definition, with unit,"
        " definition, version and breaks. What a card or the policy forbids is refused with the"
        " reason and the person to ask.",
        "query",
        (
            *ASKING,
            Parameter(
                "max_rows", f"Rows given at most; {_ROWS} where it is not said.", "whole",
                least=1, most=_MOST_ROWS,
            ),
        ),
        GIVES["query"],
        _query,
    ),
    "dimension_values": AgentTool(
        "List the values of a dimension",
        "The values that a dimension has for some metrics, for filters that match something.",
        "query",
        (
            Parameter("dimension", "Such as customer__country.", required=True),
            Parameter("metrics", "Names of metrics or KPIs.", "names"),
        ),
        GIVES["dimension_values"],
        _dimension_values,
    ),
    "explain": AgentTool(
        "Explain a KPI or a changed value",
        "With a period: how the value that was published of it became the value now (data that came"
        " later, a changed definition). Without: how the KPI is computed, its SQL and its sources.",
        "query",
        (
            _KPI,
            Parameter("period", "2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31."),
            Parameter("known_at", "The value published by then; else the first.", "time"),
            Parameter("by", "Dimension that splits the effect of a changed definition."),
            _LANG,
        ),
        GIVES["explain"],
        _explain,
    ),
}  # fmt: skip
