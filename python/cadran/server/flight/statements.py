"""What a client's statement asks: read once, remembered by its text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from cadran.core.query.request import OBJECTS, Field, GroupBy, Query, field_of
from cadran.errors import QueryError, UnknownNameError

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment


_LAYER = "semantic_layer"
_OPENS = ("{{", "{%", "{#")
_WRITE = (
    "Write for instance {{ semantic_layer.query(metrics=['name'], group_by=['metric_time']) }}."
)


class Item(NamedTuple):
    """What `Dimension("x").grain("month")` and its sisters name, and whether downwards."""

    field: Field
    down: bool


_CONSTANTS = f"A template takes calls, lists, texts and numbers only. {_WRITE}"


@dataclass(frozen=True, slots=True)
class LayerCall:
    """One call of `semantic_layer`: the function and its named arguments."""

    function: str
    arguments: dict[str, Any]


def is_template(text: str) -> bool:
    """Whether a statement holds a template at all."""
    return any(mark in text for mark in _OPENS)


def stand_in(number: int) -> str:
    """The name of the table that stands where the call of that number stood."""
    return f"cadran_answer_{number}"


def read(text: str) -> tuple[str, list[LayerCall]]:
    """A statement with its calls taken out: the SQL with stand-ins, and the calls in order.

    Raises:
        QueryError: the template is broken, or holds more than calls with literals.
        UnknownNameError: it names something that is not offered.
    """
    from jinja2 import TemplateSyntaxError, nodes

    try:
        tree = _environment().parse(text)
    except TemplateSyntaxError as problem:
        raise QueryError(f"The template cannot be read: {problem.message} {_WRITE}") from None
    except (RecursionError, ValueError, UnicodeError):
        raise QueryError(f"The template cannot be read. {_WRITE}") from None
    calls: list[LayerCall] = []
    sql: list[str] = []
    for part in tree.body:
        if not isinstance(part, nodes.Output):
            raise QueryError(f"A statement takes {{{{ }}}} and no other Jinja. {_WRITE}")
        for node in part.nodes:
            if isinstance(node, nodes.TemplateData):
                sql.append(node.data)
                continue
            call = _value(node, 0)
            if not isinstance(call, LayerCall):
                raise QueryError(f"A template holds one call of {_LAYER}. {_WRITE}")
            sql.append(stand_in(len(calls)))
            calls.append(call)
    return "".join(sql), calls


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined)


_DEEPEST = 8


def _value(node: nodes.Node, depth: int) -> Any:
    from jinja2 import nodes

    if depth > _DEEPEST:
        raise QueryError(f"The template is nested too deeply. {_WRITE}")
    if isinstance(node, nodes.Const):
        return _whole(node.value) if isinstance(node.value, str) else node.value
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return [_value(item, depth + 1) for item in node.items]
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const):
        number = node.node.value
        if isinstance(number, (int, float)):
            return -number
    if isinstance(node, nodes.Call):
        return _called(node, depth)
    if isinstance(node, nodes.Name):
        raise UnknownNameError("name", node.name, [_LAYER, *OBJECTS], where=" in a template")
    raise QueryError(_CONSTANTS)


def _called(node: nodes.Call, depth: int) -> LayerCall | Item:
    from jinja2 import nodes

    of = node.node
    layer = of.node if isinstance(of, nodes.Getattr) else None
    is_ours = isinstance(layer, nodes.Name) and layer.name == _LAYER
    if not isinstance(of, nodes.Getattr) or not is_ours or node.dyn_args or node.dyn_kwargs:
        return _item(_source(node, depth))
    if node.args:
        raise QueryError(
            f"{_LAYER}.{of.attr} takes its arguments by name, such as metrics=['name']."
        )
    return LayerCall(of.attr, {key.key: _value(key.value, depth + 1) for key in node.kwargs})


def _item(text: str) -> Item:
    field, down = field_of(text)
    if text.startswith("Metric") and field.kind != "Metric":
        raise QueryError(f"A metric has no grain and no part of a date: {text[:80]}.")
    return Item(field, down)


def _source(node: nodes.Node, depth: int) -> str:
    """A call of an object of a template, as it is written."""
    from jinja2 import nodes

    if depth > _DEEPEST:
        raise QueryError(f"The template is nested too deeply. {_WRITE}")
    if isinstance(node, nodes.Call) and not node.dyn_args and not node.dyn_kwargs:
        arguments = [_source(argument, depth + 1) for argument in node.args]
        arguments += [f"{k.key}={_source(k.value, depth + 1)}" for k in node.kwargs]
        return f"{_source(node.node, depth + 1)}({', '.join(arguments)})"
    if isinstance(node, nodes.Getattr):
        return f"{_source(node.node, depth + 1)}.{node.attr}"
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return f"[{', '.join(_source(item, depth + 1) for item in node.items)}]"
    if isinstance(node, nodes.Const):
        return repr(node.value)
    if isinstance(node, nodes.Name) and node.name in OBJECTS:
        return str(node.name)
    if isinstance(node, nodes.Name):
        raise UnknownNameError("name", node.name, [_LAYER, *OBJECTS], where=" in a template")
    raise QueryError(_CONSTANTS)


def _whole(value: str) -> str:
    r"""A text in which pairs such as `\ud83d\ude00`, as JSON writes them, are one sign each."""
    if value.isascii():
        return value
    try:
        return value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise QueryError("A text of the template is no Unicode.") from None


MOST_TEXT = 100_000  # characters of one statement
_REMEMBERED = 2048
_SIMPLE = re.compile(r"\s*(?:select\s+\*\s+from\s+)?(\w+)\s*;?\s*", re.IGNORECASE)
METADATA = {  # what each of them takes
    "metrics": ("search",),
    "dimensions": ("metrics", "search"),
    "entities": ("metrics", "search"),
    "measures": ("metrics",),
    "saved_queries": ("search",),
    "queryable_granularities": ("metrics",),
    "metrics_for_dimensions": ("group_by",),
}


@dataclass(frozen=True, slots=True)
class QueryStatement:
    """A question; `column` asks for the values of that one column only."""

    query: Query
    read_cache: bool = True
    column: bool = False


@dataclass(frozen=True, slots=True)
class CompileStatement:
    """A question of which the SQL is wanted."""

    query: Query


@dataclass(frozen=True, slots=True)
class MetadataStatement:
    """What there is to ask."""

    kind: str
    names: tuple[str, ...] = ()
    search: str = ""


_TYPE_NAMES = {str: "text", int: "whole number"}
_ARGUMENTS: dict[str, type | None] = {
    "metrics": None, "group_by": None, "where": None, "order_by": None, "limit": int,
    "start": str, "end": str, "saved_query": str, "version": int, "known_at": str, "view": str,
}  # fmt: skip

Part = QueryStatement | CompileStatement | MetadataStatement


@dataclass(frozen=True, slots=True)
class SqlStatement:
    """A statement in SQL, over KPI tables and the parts that its templates ask for."""

    text: str
    parts: tuple[Part, ...] = ()


Statement = Part | SqlStatement


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
    if not is_template(text):
        return SqlStatement(text)
    sql, calls = read(text)
    parts = tuple(_part(call) for call in calls)
    simple = _SIMPLE.fullmatch(sql)
    if len(parts) == 1 and simple and simple[1] == stand_in(0):
        return parts[0]
    return SqlStatement(sql, parts)


def _part(call: LayerCall) -> Part:
    arguments = dict(call.arguments)
    if call.function == "query":
        return _query(arguments)
    if call.function == "dimension_values":
        return _values(arguments)
    if call.function not in METADATA:
        raise UnknownNameError(
            "function", call.function, ["query", "dimension_values", *METADATA],
            where=" of semantic_layer",
        )  # fmt: skip
    takes = METADATA[call.function]
    for name in arguments:
        if name not in takes:
            raise UnknownNameError("argument", name, takes, where=f" of {call.function}")
    names = [
        value.field.name if isinstance(value, Item) else value
        for argument in ("metrics", "group_by")
        for value in _several(arguments.get(argument))
    ]
    if not all(isinstance(name, str) for name in names):
        raise QueryError(f"{call.function} takes names as text.")
    return MetadataStatement(call.function, tuple(names), str(arguments.get("search") or ""))


def _query(arguments: dict[str, Any]) -> Part:
    compiled = _switch(arguments, "compile", default=False)
    read_cache = _switch(arguments, "read_cache", default=True)
    complete = _switch(arguments, "complete", default=False)
    fields = {name: value for name, value in arguments.items() if value is not None}
    for name, value in fields.items():
        if name not in _ARGUMENTS:
            names = [*_ARGUMENTS, "complete", "compile", "read_cache"]
            raise UnknownNameError("argument", name, names, where=" of query")
        kind = _ARGUMENTS[name]
        if kind is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise QueryError(f"{name} is {value!r}; it takes a {_TYPE_NAMES[kind]}.")
    groups = [_group(item) for item in _several(fields.pop("group_by", None))]
    orders = [_order(item, groups) for item in _several(fields.pop("order_by", None))]
    metrics = [
        item.field.name if isinstance(item, Item) else item
        for item in _several(fields.pop("metrics", None))
    ]
    fields |= {"metrics": metrics, "group_by": groups, "order_by": orders, "complete": complete}
    query = Query.of(fields)
    return CompileStatement(query) if compiled else QueryStatement(query, read_cache)


def _values(arguments: dict[str, Any]) -> QueryStatement:
    for name in arguments:
        if name not in ("metrics", "group_by"):
            raise UnknownNameError(
                "argument", name, ("metrics", "group_by"), where=" of dimension_values"
            )
    groups = [_group(item) for item in _several(arguments.get("group_by"))]
    if len(groups) != 1:
        raise QueryError(
            f"dimension_values takes one dimension as group_by; {len(groups)} are given."
        )
    metrics = _several(arguments.get("metrics"))
    return QueryStatement(Query.of({"group_by": groups, "metrics": metrics}), column=True)


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _switch(arguments: dict[str, Any], name: str, *, default: bool) -> bool:
    value = arguments.pop(name, None)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise QueryError(f"{name} is {value!r}; it takes True or False.")
    return value


def _group(item: Any) -> GroupBy:
    if isinstance(item, Item) and item.field.kind != "Metric":
        return item.field.group
    if isinstance(item, str) and item.strip():
        return GroupBy(item.strip())
    raise QueryError("group_by takes dimensions, such as 'customer__country' or Dimension('name').")


def _order(item: Any, groups: list[GroupBy]) -> str:
    if isinstance(item, str):
        sign, name = ("-" if item.startswith("-") else ""), item.lstrip("+-").strip()
    elif isinstance(item, Item):
        sign, name = ("-" if item.down else ""), item.field.name
        if item.field.kind != "Metric":
            name = item.field.group.column
    else:
        raise QueryError("order_by takes columns, such as '-metric_time' or Metric('name').")
    # A time without a grain is the one that the question is grouped by.
    columns = [group.column for group in groups]
    if name not in columns:
        same = [group.column for group in groups if group.base == name]
        name = same[0] if len(same) == 1 else name
    return sign + name
