"""What a client's statement asks: read once, remembered by its text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from cadran.core.query.request import GroupBy, Query
from cadran.errors import QueryError, UnknownNameError

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment


_LAYER = "semantic_layer"
_OPENS = ("{{", "{%", "{#")
_WRITE = (
    "Write for instance {{ semantic_layer.query(metrics=['name'], group_by=['metric_time']) }}."
)


@dataclass(frozen=True, slots=True)
class Item:
    """What `Dimension("x").grain("month")` and its sisters stand for.

    Attributes:
        kind: `Dimension`, `TimeDimension`, `Entity` or `Metric`.
        name: with the path before it.
    """

    kind: str
    name: str
    grain: str | None = None
    part: str | None = None
    down: bool = False

    @property
    def group(self) -> GroupBy:
        """The thing to group by."""
        return GroupBy(self.name, self.grain, self.part)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of `semantic_layer`: the function and its named arguments."""

    function: str
    arguments: dict[str, Any]


def is_template(text: str) -> bool:
    """Whether a statement holds a template at all."""
    return any(mark in text for mark in _OPENS)


def stand_in(number: int) -> str:
    """The name of the table that stands where the call of that number stood."""
    return f"cadran_answer_{number}"


def read(text: str) -> tuple[str, list[Call]]:
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
    calls: list[Call] = []
    sql: list[str] = []
    for part in tree.body:
        if not isinstance(part, nodes.Output):
            raise QueryError(f"A statement takes {{{{ }}}} and no other Jinja. {_WRITE}")
        for node in part.nodes:
            if isinstance(node, nodes.TemplateData):
                sql.append(node.data)
                continue
            call = _value(node, 0)
            if not isinstance(call, Call):
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
    if isinstance(node, nodes.Call) and not node.dyn_args and not node.dyn_kwargs:
        positional = [_value(argument, depth + 1) for argument in node.args]
        keywords = {keyword.key: _value(keyword.value, depth + 1) for keyword in node.kwargs}
        return _called(node.node, positional, keywords, depth)
    if isinstance(node, nodes.Name):
        raise UnknownNameError("name", node.name, [_LAYER, *_ITEMS], where=" in a template")
    raise QueryError(f"A template takes calls, lists, texts and numbers only. {_WRITE}")


def _called(node: nodes.Node, positional: list[Any], keywords: dict[str, Any], depth: int) -> Any:
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        if node.name not in _ITEMS:
            raise UnknownNameError("name", node.name, [_LAYER, *_ITEMS], where=" in a template")
        return _item(node.name, positional, keywords)
    if isinstance(node, nodes.Getattr):
        if isinstance(node.node, nodes.Name) and node.node.name == _LAYER:
            if positional:
                raise QueryError(
                    f"{_LAYER}.{node.attr} takes its arguments by name, such as metrics=['name']."
                )
            return Call(node.attr, keywords)
        on = _value(node.node, depth + 1)
        if isinstance(on, Item):
            return _changed(on, node.attr, [*positional, *keywords.values()])
    raise QueryError(f"A template takes calls of {_LAYER} only. {_WRITE}")


_ITEMS = {  # the names of the arguments, in their order
    "Dimension": ("name", "entity_path"),
    "TimeDimension": ("name", "grain", "entity_path"),
    "Entity": ("name", "entity_path"),
    "Metric": ("name",),
}
_SAME = {"time_granularity_name": "grain", "time_granularity": "grain"}


def _item(kind: str, positional: list[Any], keywords: dict[str, Any]) -> Item:
    takes = _ITEMS[kind]
    arguments = dict(zip(takes, positional, strict=False))
    arguments |= {_SAME.get(name, name): value for name, value in keywords.items()}
    for name in arguments:
        if name not in takes:
            raise UnknownNameError("argument", name, takes, where=f" of {kind}")
    path, grain = arguments.get("entity_path"), arguments.get("grain")
    path = [path] if isinstance(path, str) else path or []
    if len(positional) > len(takes) or not _texts([arguments.get("name"), *path, grain or "day"]):
        raise QueryError(f"{kind} takes {', '.join(takes)} as text, such as {kind}('name').")
    return Item(kind, "__".join([*path, arguments["name"]]), grain.lower() if grain else None)


def _changed(item: Item, method: str, positional: list[Any]) -> Item:
    if method == "descending" and item.kind != "Entity":
        return replace(item, down=bool(positional[0]) if positional else True)
    if item.kind in ("Dimension", "TimeDimension") and len(positional) == 1 and _texts(positional):
        if method == "grain":
            return replace(item, grain=positional[0].lower())
        if method == "date_part":
            return replace(item, part=positional[0].lower())
    raise UnknownNameError(
        "method", method, ("grain", "date_part", "descending"), where=f" of {item.kind}"
    )


def _texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) and value for value in values)


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
    if not is_template(text):
        return Sql(text)
    sql, calls = read(text)
    parts = tuple(_part(call) for call in calls)
    simple = _SIMPLE.fullmatch(sql)
    if len(parts) == 1 and simple and simple[1] == stand_in(0):
        return parts[0]
    return Sql(sql, parts)


def _part(call: Call) -> Part:
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
        value.name if isinstance(value, Item) else value
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
        item.name if isinstance(item, Item) else item
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
    if isinstance(item, Item) and item.kind != "Metric":
        return item.group
    if isinstance(item, str) and item.strip():
        return GroupBy(item.strip())
    raise QueryError("group_by takes dimensions, such as 'customer__country' or Dimension('name').")


def _order(item: Any, groups: list[GroupBy]) -> str:
    if isinstance(item, str):
        sign, name = ("-" if item.startswith("-") else ""), item.lstrip("+-").strip()
    elif isinstance(item, Item):
        sign, name = ("-" if item.down else ""), item.name
        if item.kind != "Metric":
            name = item.group.column
    else:
        raise QueryError("order_by takes columns, such as '-metric_time' or Metric('name').")
    # A time without a grain is the one that the question is grouped by.
    columns = [group.column for group in groups]
    if name not in columns:
        same = [group.column for group in groups if group.base == name]
        name = same[0] if len(same) == 1 else name
    return sign + name
