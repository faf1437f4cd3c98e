"""What a client's statement asks: read once, remembered by its text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cadran.errors import QueryError, UnknownNameError
from cadran.query import GroupBy
from cadran.server.flight import template
from cadran.server.flight.template import Call, Item
from cadran.serving.question import Question

MOST_TEXT = 100_000  # characters of one statement
_REMEMBERED = 2048
_SIMPLE = re.compile(r"\s*(?:select\s+\*\s+from\s+)?(\w+)\s*;?\s*", re.IGNORECASE)
LISTINGS = {  # what each of them takes
    "metrics": ("search",),
    "dimensions": ("metrics", "search"),
    "entities": ("metrics", "search"),
    "measures": ("metrics",),
    "saved_queries": ("search",),
    "queryable_granularities": ("metrics",),
    "metrics_for_dimensions": ("group_by",),
}


@dataclass(frozen=True, slots=True)
class Ask:
    """A question; `column` asks for the values of that one column only."""

    question: Question
    read_cache: bool = True
    column: bool = False


@dataclass(frozen=True, slots=True)
class Compile:
    """A question of which the SQL is wanted."""

    question: Question


@dataclass(frozen=True, slots=True)
class Listing:
    """What there is to ask."""

    what: str
    names: tuple[str, ...] = ()
    search: str = ""


_NAMED = {str: "text", int: "whole number"}
_ASKED: dict[str, type | None] = {
    "metrics": None, "group_by": None, "where": None, "order_by": None, "limit": int,
    "start": str, "end": str, "saved_query": str, "version": int, "known_at": str, "view": str,
}  # fmt: skip

Part = Ask | Compile | Listing


@dataclass(frozen=True, slots=True)
class Sql:
    """A statement in SQL, over KPI tables and the parts that its templates ask for."""

    text: str
    parts: tuple[Part, ...] = ()


Statement = Part | Sql


@lru_cache(maxsize=_REMEMBERED)
def parse(text: str) -> Statement:
    """What a statement asks.

    Raises:
        QueryError: it is empty, too long, or its template cannot be read.
        UnknownNameError: its template uses something that is not offered.
    """
    if not text.strip():
        raise QueryError("The statement is empty.")
    if len(text) > MOST_TEXT:
        raise QueryError(
            f"The statement has {len(text):,} characters; at most {MOST_TEXT:,} are read."
        )
    if not template.is_template(text):
        return Sql(text)
    sql, calls = template.read(text)
    parts = tuple(_part(call) for call in calls)
    simple = _SIMPLE.fullmatch(sql)
    if len(parts) == 1 and simple and simple[1] == template.stand_in(0):
        return parts[0]
    return Sql(sql, parts)


def _part(call: Call) -> Part:
    given = dict(call.arguments)
    if call.function == "query":
        return _query(given)
    if call.function == "dimension_values":
        return _values(given)
    if call.function not in LISTINGS:
        raise UnknownNameError(
            "function", call.function, ["query", "dimension_values", *LISTINGS],
            where=" of semantic_layer",
        )  # fmt: skip
    takes = LISTINGS[call.function]
    for name in given:
        if name not in takes:
            raise UnknownNameError("argument", name, takes, where=f" of {call.function}")
    names = [
        one.name if isinstance(one, Item) else one
        for argument in ("metrics", "group_by")
        for one in _several(given.get(argument))
    ]
    if not all(isinstance(name, str) for name in names):
        raise QueryError(f"{call.function} takes names as text.")
    return Listing(call.function, tuple(names), str(given.get("search") or ""))


def _query(given: dict[str, Any]) -> Part:
    compiled = _switch(given, "compile", default=False)
    read_cache = _switch(given, "read_cache", default=True)
    asked = {name: value for name, value in given.items() if value is not None}
    for name, value in asked.items():
        if name not in _ASKED:
            raise UnknownNameError(
                "argument", name, [*_ASKED, "compile", "read_cache"], where=" of query"
            )
        kind = _ASKED[name]
        if kind is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise QueryError(f"{name} is {value!r}; it takes a {_NAMED[kind]}.")
    groups = [_group(one) for one in _several(asked.pop("group_by", None))]
    orders = [_order(one, groups) for one in _several(asked.pop("order_by", None))]
    metrics = [
        one.name if isinstance(one, Item) else one for one in _several(asked.pop("metrics", None))
    ]
    asked |= {"metrics": metrics, "group_by": groups, "order_by": orders}
    question = Question.of(asked)
    return Compile(question) if compiled else Ask(question, read_cache)


def _values(given: dict[str, Any]) -> Ask:
    for name in given:
        if name not in ("metrics", "group_by"):
            raise UnknownNameError(
                "argument", name, ("metrics", "group_by"), where=" of dimension_values"
            )
    groups = [_group(one) for one in _several(given.get("group_by"))]
    if len(groups) != 1:
        raise QueryError(
            f"dimension_values takes one dimension as group_by; {len(groups)} are given."
        )
    metrics = _several(given.get("metrics"))
    return Ask(Question.of({"group_by": groups, "metrics": metrics}), column=True)


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _switch(given: dict[str, Any], name: str, *, default: bool) -> bool:
    value = given.pop(name, None)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise QueryError(f"{name} is {value!r}; it takes True or False.")
    return value


def _group(one: Any) -> GroupBy:
    if isinstance(one, Item) and one.kind != "Metric":
        return one.group
    if isinstance(one, str) and one.strip():
        return GroupBy(one.strip())
    raise QueryError("group_by takes dimensions, such as 'customer__country' or Dimension('name').")


def _order(one: Any, groups: list[GroupBy]) -> str:
    if isinstance(one, str):
        sign, name = ("-" if one.startswith("-") else ""), one.lstrip("+-").strip()
    elif isinstance(one, Item):
        sign, name = ("-" if one.down else ""), one.name
        if one.kind != "Metric":
            name = one.group.column
    else:
        raise QueryError("order_by takes columns, such as '-metric_time' or Metric('name').")
    # A time without a grain is the one that the question is grouped by.
    columns = [group.column for group in groups]
    if name not in columns:
        same = [group.column for group in groups if group.base == name]
        name = same[0] if len(same) == 1 else name
    return sign + name
