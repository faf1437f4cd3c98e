"""Filters, made safe: one condition each, with every field as a MetricFlow template.

MetricFlow pastes a filter into SQL as it is written. So a filter is parsed first: it is a condition
and nothing else, no second statement, no subquery, no comment. Its fields are templates,
`{{ Dimension('order_id__channel') }} = 'web'`, or simply the names that one groups by,
`order_id__channel = 'web'`: a plain name is rewritten to its template here, so that both mean the
same and are held to the same cards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cadran.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_STAND_IN = "cadran_field_"
_GRAINS = (
    *("nanosecond", "microsecond", "millisecond", "second", "minute", "hour"),
    *("day", "week", "month", "quarter", "year"),
)
_SYNTAX = (
    "Write one SQL condition, such as order_id__channel = 'web' or "
    "{{ Dimension('order_id__channel') }} = 'web'; text values stand in single quotes."
)


@dataclass(frozen=True, slots=True)
class Fields:
    """Which names are times, entities and grains; every other one is a dimension."""

    times: frozenset[str]
    entities: frozenset[str]
    grains: frozenset[str]

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Fields:
        """The fields of a semantic manifest."""
        models = manifest["semantic_models"]
        configuration = manifest.get("project_configuration") or {}
        spines = configuration.get("time_spines") or ()
        custom = (grain for spine in spines for grain in spine.get("custom_granularities") or ())
        times = {
            dimension["name"]
            for model in models
            for dimension in model.get("dimensions") or ()
            if dimension["type"] == "time"
        }
        entities = {one["name"] for model in models for one in model.get("entities") or ()}
        entities |= {model.get("primary_entity") for model in models} - {None}
        return cls(
            times=frozenset(times | {"metric_time"}),
            entities=frozenset(entities),
            grains=frozenset([*_GRAINS, *(grain["name"] for grain in custom)]),
        )


def templated(text: str, fields: Fields) -> str:
    """The filter as a MetricFlow template.

    Raises:
        QueryError: it is not one plain condition.
    """
    templates: list[str] = _TEMPLATE.findall(text)
    if "{%" in text or "{#" in text or text.count("{{") != len(templates):
        raise QueryError(f"The filter {text!r} holds a broken template. {_SYNTAX}")
    numbers = iter(range(len(templates)))
    plain = _TEMPLATE.sub(lambda _: f"{_STAND_IN}{next(numbers)}", text)
    columns = _columns(plain, text)
    if sum(column.name.startswith(_STAND_IN) for column in columns) != len(templates):
        raise QueryError(f"The filter {text!r} has a template inside a text value. {_SYNTAX}")
    # From the end, so that the positions of what comes before stay true.
    for column in sorted(columns, key=_start, reverse=True):
        name = column.name
        if name.startswith(_STAND_IN):
            field = templates[int(name.removeprefix(_STAND_IN))]
        else:
            field = _template(name, fields)
        plain = plain[: _start(column)] + field + plain[_end(column) :]
    return plain


def _columns(plain: str, text: str) -> list[exp.Column]:
    try:
        tokens = sqlglot.tokenize(plain, dialect="duckdb")
        tree = sqlglot.parse_one(plain, dialect="duckdb", into=exp.Condition)
    except (SqlglotError, ValueError) as error:
        raise QueryError(f"The filter {text!r} is not a condition. {_SYNTAX}") from error
    if any(token.comments for token in tokens) or tree.find(
        exp.Query, exp.Table, exp.Semicolon, exp.Placeholder, exp.Parameter, exp.Alias
    ):
        raise QueryError(
            f"The filter {text!r} is more than a condition: no subquery, comment, parameter or "
            f"second statement is read. {_SYNTAX}"
        )
    columns = list(tree.find_all(exp.Column))
    for column in columns:
        if column.table or not isinstance(column.this, exp.Identifier):
            raise QueryError(f"The filter {text!r} names {column.sql()} of a table. {_SYNTAX}")
    return columns


def _start(column: exp.Column) -> int:
    return int(column.this.meta["start"])


def _end(column: exp.Column) -> int:
    return int(column.this.meta["end"]) + 1


def _template(name: str, fields: Fields) -> str:
    base, _, last = name.lower().rpartition("__")
    if base and last in fields.grains:
        return f"{{{{ TimeDimension({base!r}, {last!r}) }}}}"
    kind = "Entity" if last in fields.entities else "Dimension"
    kind = "TimeDimension" if last in fields.times else kind
    return f"{{{{ {kind}({name.lower()!r}) }}}}"
