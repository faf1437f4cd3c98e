"""dbt's templates, `{{ semantic_layer.query(metrics=[...]) }}`, read without running anything.

Jinja parses the text; of what it can express only calls of known names with literals are taken, by
walking the tree. So no template loops, computes or reaches into an object, however it is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError, UnknownNameError
from cadran.query import GroupBy

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
        given = [_value(argument, depth + 1) for argument in node.args]
        named = {one.key: _value(one.value, depth + 1) for one in node.kwargs}
        return _called(node.node, given, named, depth)
    if isinstance(node, nodes.Name):
        raise UnknownNameError("name", node.name, [_LAYER, *_ITEMS], where=" in a template")
    raise QueryError(f"A template takes calls, lists, texts and numbers only. {_WRITE}")


def _called(node: nodes.Node, given: list[Any], named: dict[str, Any], depth: int) -> Any:
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        if node.name not in _ITEMS:
            raise UnknownNameError("name", node.name, [_LAYER, *_ITEMS], where=" in a template")
        return _item(node.name, given, named)
    if isinstance(node, nodes.Getattr):
        if isinstance(node.node, nodes.Name) and node.node.name == _LAYER:
            if given:
                raise QueryError(
                    f"{_LAYER}.{node.attr} takes its arguments by name, such as metrics=['name']."
                )
            return Call(node.attr, named)
        on = _value(node.node, depth + 1)
        if isinstance(on, Item):
            return _changed(on, node.attr, [*given, *named.values()])
    raise QueryError(f"A template takes calls of {_LAYER} only. {_WRITE}")


_ITEMS = {  # the names of the arguments, in their order
    "Dimension": ("name", "entity_path"),
    "TimeDimension": ("name", "grain", "entity_path"),
    "Entity": ("name", "entity_path"),
    "Metric": ("name",),
}
_SAME = {"time_granularity_name": "grain", "time_granularity": "grain"}


def _item(kind: str, given: list[Any], named: dict[str, Any]) -> Item:
    takes = _ITEMS[kind]
    arguments = dict(zip(takes, given, strict=False))
    arguments |= {_SAME.get(name, name): value for name, value in named.items()}
    for name in arguments:
        if name not in takes:
            raise UnknownNameError("argument", name, takes, where=f" of {kind}")
    path, grain = arguments.get("entity_path"), arguments.get("grain")
    path = [path] if isinstance(path, str) else path or []
    if len(given) > len(takes) or not _texts([arguments.get("name"), *path, grain or "day"]):
        raise QueryError(f"{kind} takes {', '.join(takes)} as text, such as {kind}('name').")
    return Item(kind, "__".join([*path, arguments["name"]]), grain.lower() if grain else None)


def _changed(item: Item, method: str, given: list[Any]) -> Item:
    if method == "descending" and item.kind != "Entity":
        return replace(item, down=bool(given[0]) if given else True)
    if item.kind in ("Dimension", "TimeDimension") and len(given) == 1 and _texts(given):
        if method == "grain":
            return replace(item, grain=given[0].lower())
        if method == "date_part":
            return replace(item, part=given[0].lower())
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
