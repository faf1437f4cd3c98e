"""The template objects that a filter from a network may hold, read without running anything.

`{{ Dimension('customer__country') }}`, `{{ Dimension('metric_time').grain('month') }}`,
`{{ TimeDimension('metric_time', 'month') }}` and `{{ Entity('customer') }}`, with an entity path
where one is needed. Jinja would evaluate any expression; this reads calls with constant arguments.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.errors import QueryError
from cadran.query import GroupBy

if TYPE_CHECKING:
    from cadran.filters import Fields

_TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
STAND_IN = "cadran_field_"
_LONGEST = 400
_EXAMPLE = "Write for instance {{ Dimension('customer__country') }} = 'FR'."
# Keyword arguments by object, the positional ones first and in their order.
_ARGUMENTS = {
    "Dimension": ("name", "entity_path"),
    "TimeDimension": ("name", "grain", "entity_path"),
    "Entity": ("name", "entity_path"),
}
_ALSO = {"time_granularity_name": "grain", "dimension_name": "name", "time_dimension_name": "name",
         "entity_name": "name"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """A dimension or entity that a filter names, in lower case.

    Attributes:
        kind: `Dimension`, `TimeDimension` or `Entity`.
        name: as MetricFlow names it, without a grain.
        grain: of a time; None for its own.
        path: entities through which it is reached, where the name does not say it.
    """

    kind: str
    name: str
    grain: str | None = None
    path: tuple[str, ...] = ()

    @property
    def group(self) -> GroupBy:
        """What a question would be grouped by."""
        return GroupBy("__".join([*self.path, self.name]), self.grain)

    @property
    def template(self) -> str:
        """It as MetricFlow reads it."""
        grain = f", {self.grain!r}" if self.grain else ""
        path = f", entity_path={list(self.path)!r}" if self.path else ""
        return f"{{{{ {self.kind}({self.name!r}{grain}{path}) }}}}"

    @classmethod
    def of(cls, column: str, templates: tuple[Field, ...], fields: Fields) -> Field | None:
        """The field that a column of a filter stands for; None when it can be none."""
        if column.startswith(STAND_IN):
            number = column.removeprefix(STAND_IN)
            known = number.isascii() and number.isdigit() and int(number) < len(templates)
            return templates[int(number)] if known else None
        if not _NAME.fullmatch(column):
            return None
        name = column.lower()
        base, _, last = name.rpartition("__")
        if base and last in fields.grains:
            return cls("TimeDimension", base, last)
        if last in fields.times:
            return cls("TimeDimension", name)
        return cls("Entity" if last in fields.entities else "Dimension", name)


def cut(text: str) -> tuple[str, tuple[Field, ...]]:
    """A filter with a plain name in the place of each template, and what the templates name.

    Raises:
        QueryError: a template is broken, or is none of those that a filter may hold.
    """
    if STAND_IN in text.lower():
        raise QueryError(f"A filter cannot use the name {STAND_IN}. {_EXAMPLE}")
    found = tuple(_field(inner) for inner in _TEMPLATE.findall(text))
    numbers = iter(range(len(found)))
    # A blank on each side: two templates in a row must not become one name.
    return _TEMPLATE.sub(lambda _: f" {STAND_IN}{next(numbers)} ", text), found


def _field(inner: str) -> Field:
    """The field that the inside of a template names."""
    if len(inner) > _LONGEST or "\\" in inner:
        raise _refusal(inner)
    try:
        call: ast.expr = ast.parse(inner.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _refusal(inner) from None
    grain = None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
        if call.func.attr != "grain" or len(call.args) != 1 or call.keywords:
            raise _refusal(inner)
        grain = _text(call.args[0], inner)
        call = call.func.value
    kind, given = _call(call, inner)
    if "grain" in given:
        if grain is not None:
            raise _refusal(inner)
        grain = _text(given["grain"], inner)
    path = _path(given["entity_path"], inner) if "entity_path" in given else ()
    return Field("TimeDimension" if grain else kind, _text(given["name"], inner), grain, path)


def _call(call: ast.expr, inner: str) -> tuple[str, dict[str, ast.expr]]:
    """The object that a call makes, and its arguments by their names."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise _refusal(inner)
    names = _ARGUMENTS.get(call.func.id, ())
    if len(call.args) > len(names):
        raise _refusal(inner)
    given = dict(zip(names, call.args, strict=False))
    for keyword in call.keywords:
        name = _ALSO.get(keyword.arg or "", keyword.arg or "")
        if name not in names or name in given:
            raise _refusal(inner)
        given[name] = keyword.value
    if "name" not in given:
        raise _refusal(inner)
    return call.func.id, given


def _text(node: ast.expr, inner: str) -> str:
    if (
        not isinstance(node, ast.Constant)
        or not isinstance(node.value, str)
        or not _NAME.fullmatch(node.value)
    ):
        raise _refusal(inner)
    return node.value.lower()


def _path(node: ast.expr, inner: str) -> tuple[str, ...]:
    if isinstance(node, (ast.List, ast.Tuple)):
        return tuple(_text(one, inner) for one in node.elts)
    return (_text(node, inner),)


def _refusal(inner: str) -> QueryError:
    shown = inner.strip() if len(inner) <= 80 else f"{inner.strip()[:80]}…"  # noqa: PLR2004
    return QueryError(
        f"The template {{{{ {shown} }}}} is none that a filter may hold: Dimension, TimeDimension"
        f" or Entity with a name in quotes, and a grain. {_EXAMPLE}"
    )
