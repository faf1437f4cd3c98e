"""Filters, made safe: one condition each, with every field as a MetricFlow template.

MetricFlow pastes a filter into SQL as it is written. So a filter is parsed first: it is a condition
and nothing else, no second statement, no subquery, no comment. Its fields are templates,
`{{ Dimension('order_id__channel') }} = 'web'`, or simply the names that one groups by,
`order_id__channel = 'web'`: a plain name is rewritten to its template here, so that both mean the
same and are held to the same cards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cadran.core.query.request import GroupBy
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


@dataclass(slots=True)
class Named:
    """The dimensions, entities and metrics that a filter names, and whether it is a template."""

    dimensions: list[GroupBy] = field(default_factory=list)
    entities: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    descending: bool = False

    @property
    def is_template(self) -> bool:
        """Whether it names anything at all; plain SQL does not."""
        return bool(self.dimensions or self.entities or self.metrics)


class _Note:
    """Stands for what a template names, and writes down the grain and order asked of it."""

    def __init__(self, named: Named, at: int = -1) -> None:
        self._named = named
        self._at = at

    def grain(self, grain: str) -> _Note:
        noted = self._named.dimensions[self._at]
        self._named.dimensions[self._at] = GroupBy(noted.name, grain, noted.date_part)
        return self

    def date_part(self, date_part: str) -> _Note:
        noted = self._named.dimensions[self._at]
        self._named.dimensions[self._at] = GroupBy(noted.name, noted.grain, date_part)
        return self

    def descending(self, descending: bool = True) -> _Note:  # noqa: FBT001, FBT002 - MetricFlow's
        self._named.descending = descending
        return self

    def __str__(self) -> str:
        return "noted"


def names_in(where: str) -> Named:
    """What a filter such as "{{ Dimension('order_id__channel') }} = 'web'" names.

    Raises:
        QueryError: the template is broken or uses something that MetricFlow does not offer.
    """
    from jinja2 import StrictUndefined
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    named = Named()

    def dimension(name: str, entity_path: Any = ()) -> _Note:
        named.dimensions.append(GroupBy("__".join([*_path(entity_path), name])))
        return _Note(named, len(named.dimensions) - 1)

    def time_dimension(
        name: str,
        time_granularity_name: str | None = None,
        entity_path: Any = (),
        descending: bool | None = None,  # noqa: ARG001, FBT001 - MetricFlow's signature
        date_part_name: str | None = None,
    ) -> _Note:
        full = "__".join([*_path(entity_path), name])
        named.dimensions.append(GroupBy(full, time_granularity_name, date_part_name))
        return _Note(named, len(named.dimensions) - 1)

    def entity(name: str, entity_path: Any = ()) -> _Note:
        named.entities.append("__".join([*_path(entity_path), name]))
        return _Note(named)

    def metric(name: str, group_by: Any = ()) -> _Note:  # noqa: ARG001 - MetricFlow's signature
        named.metrics.append(name)
        return _Note(named)

    try:
        ImmutableSandboxedEnvironment(undefined=StrictUndefined).from_string(where).render(
            Dimension=dimension, TimeDimension=time_dimension, Entity=entity, Metric=metric
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise QueryError(
            f"The filter {where!r} cannot be read: {error}. Write for instance"
            " {{ Dimension('customer__country') }} = 'FR'."
        ) from None
    return named


def _path(entity_path: Any) -> list[str]:
    return [entity_path] if isinstance(entity_path, str) else list(entity_path)
