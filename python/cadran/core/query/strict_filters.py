"""Filters from a network: parsed, held to a small grammar, and written anew.

A filter is comparisons of one dimension with values, `in`, `between`, `like`, `is null`, joined by
`and`, `or`, `not`. Nothing of the text that came in goes on: what was understood is written down
again, so that what could not be understood has no way through.
"""

from __future__ import annotations

import ast
import datetime as dt
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import TokenType

from cadran.core.query.request import GroupBy
from cadran.errors import QueryError

if TYPE_CHECKING:
    from cadran.core.query.filters import Fields


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
        raise _template_refusal(inner)
    try:
        call: ast.expr = ast.parse(inner.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _template_refusal(inner) from None
    grain = None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
        if call.func.attr != "grain" or len(call.args) != 1 or call.keywords:
            raise _template_refusal(inner)
        grain = _text(call.args[0], inner)
        call = call.func.value
    kind, given = _call(call, inner)
    if "grain" in given:
        if grain is not None:
            raise _template_refusal(inner)
        grain = _text(given["grain"], inner)
    path = _path(given["entity_path"], inner) if "entity_path" in given else ()
    return Field("TimeDimension" if grain else kind, _text(given["name"], inner), grain, path)


def _call(call: ast.expr, inner: str) -> tuple[str, dict[str, ast.expr]]:
    """The object that a call makes, and its arguments by their names."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise _template_refusal(inner)
    names = _ARGUMENTS.get(call.func.id, ())
    if len(call.args) > len(names):
        raise _template_refusal(inner)
    given = dict(zip(names, call.args, strict=False))
    for keyword in call.keywords:
        name = _ALSO.get(keyword.arg or "", keyword.arg or "")
        if name not in names or name in given:
            raise _template_refusal(inner)
        given[name] = keyword.value
    if "name" not in given:
        raise _template_refusal(inner)
    return call.func.id, given


def _text(node: ast.expr, inner: str) -> str:
    if (
        not isinstance(node, ast.Constant)
        or not isinstance(node.value, str)
        or not _NAME.fullmatch(node.value)
    ):
        raise _template_refusal(inner)
    return node.value.lower()


def _path(node: ast.expr, inner: str) -> tuple[str, ...]:
    if isinstance(node, (ast.List, ast.Tuple)):
        return tuple(_text(one, inner) for one in node.elts)
    return (_text(node, inner),)


def _template_refusal(inner: str) -> QueryError:
    shown = inner.strip() if len(inner) <= 80 else f"{inner.strip()[:80]}…"  # noqa: PLR2004
    return QueryError(
        f"The template {{{{ {shown} }}}} is none that a filter may hold: Dimension, TimeDimension"
        f" or Entity with a name in quotes, and a grain. {_EXAMPLE}"
    )


LONGEST = 4_000  # characters
_DEEPEST = 20  # brackets and `not` within each other
_MOST_JOINED = 100  # conditions joined by `and` and `or`
_LONGEST_NUMBER = 40

_TOKENS = {
    *(TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER, TokenType.DASH),
    *(TokenType.AND, TokenType.OR, TokenType.NOT, TokenType.IN, TokenType.BETWEEN),
    *(TokenType.LIKE, TokenType.ILIKE, TokenType.IS, TokenType.NULL, TokenType.TRUE),
    *(TokenType.FALSE, TokenType.L_PAREN, TokenType.R_PAREN, TokenType.COMMA, TokenType.EQ),
    *(TokenType.NEQ, TokenType.GT, TokenType.GTE, TokenType.LT, TokenType.LTE),
    *(TokenType.DATE, TokenType.TIMESTAMP, TokenType.TIMESTAMPNTZ, TokenType.ALIAS),
    TokenType.DCOLON,
}
_COMPARISONS = {
    exp.EQ: "=", exp.NEQ: "<>", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<=",
}  # fmt: skip
_TURNED = {"=": "=", "<>": "<>", ">": "<", ">=": "<=", "<": ">", "<=": ">="}
_TIMES = {exp.DType.DATE: "date", exp.DType.TIMESTAMP: "timestamp",
          exp.DType.TIMESTAMPNTZ: "timestamp"}  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_GRAMMAR = (
    "A filter compares dimensions with values, such as {{ Dimension('customer__country') }} = 'FR'"
    " or customer__country in ('FR', 'DE'); it may use and, or, not, in, between, like, ilike,"
    " is null and dates, and nothing else."
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter that was understood.

    Attributes:
        text: it as a MetricFlow template.
        compared: each dimension in it with the kind of value it is compared with: `text`,
            `number`, `boolean`, `time`, or `nothing` where it is only looked at.
    """

    text: str
    compared: tuple[tuple[Field, str], ...]

    @property
    def fields(self) -> tuple[Field, ...]:
        """The dimensions that it names, each once."""
        return tuple(dict.fromkeys(field for field, _ in self.compared))


def strict(text: str, fields: Fields) -> Condition:
    """What a filter from a network says.

    Raises:
        QueryError: it is anything but a filter of the small grammar.
    """
    if len(text) > LONGEST:
        raise QueryError(f"A filter has {len(text):,} characters; it may have {LONGEST:,}.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise QueryError("A filter is not text in Unicode.") from None
    plain, templates = cut(text)
    _tokens(plain, text)
    try:
        tree = sqlglot.parse_one(plain, dialect="duckdb", into=exp.Condition)
    except (SqlglotError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise _refusal(text) from None
    writer = _Writer(text, templates, fields)
    return Condition(writer.condition(tree, _DEEPEST), tuple(writer.compared))


def _tokens(plain: str, text: str) -> None:
    """Refuse what holds any token that the grammar has no use for, or too many."""
    try:
        tokens = sqlglot.tokenize(plain, dialect="duckdb")
    except (SqlglotError, ValueError, RecursionError, LookupError):
        raise _refusal(text) from None
    depth = joined = 0
    for token in tokens:
        if token.token_type not in _TOKENS or token.comments:
            raise _refusal(text)
        depth += token.token_type in (TokenType.L_PAREN, TokenType.NOT)
        depth -= token.token_type is TokenType.R_PAREN
        joined += token.token_type in (TokenType.AND, TokenType.OR, TokenType.NOT, TokenType.DASH)
        joined += token.token_type is TokenType.DCOLON
        if depth > _MOST_JOINED or joined > _MOST_JOINED:
            raise QueryError(f"The filter {_short(text)} is too long: ask in smaller parts.")


class _Writer:
    """Writes a tree down again, node by node; a node that it does not know is refused."""

    def __init__(self, text: str, templates: tuple[Field, ...], fields: Fields) -> None:
        self.text, self.templates, self.fields = text, templates, fields
        self.compared: list[tuple[Field, str]] = []

    def condition(self, node: exp.Expression, deep: int) -> str:
        """A condition; `and` and `or` are written flat, so that long ones are not deep."""
        if deep < 0:
            raise QueryError(f"The filter {_short(self.text)} is nested too deeply.")
        if isinstance(node, (exp.And, exp.Or)):
            self.only(node, "this", "expression")
            word = " and " if isinstance(node, exp.And) else " or "
            parts = [self.condition(part, deep - 1) for part in self.joined(node)]
            return f"({word.join(parts)})"
        if isinstance(node, exp.Paren):
            self.only(node, "this")
            return self.condition(node.this, deep - 1)
        if isinstance(node, exp.Not):
            self.only(node, "this")
            return f"not ({self.condition(node.this, deep - 1)})"
        if isinstance(node, exp.Column):
            return self.field(node, "boolean")
        return self.comparison(node)

    def joined(self, node: exp.Expression) -> list[exp.Expression]:
        """The parts of a chain of one connector, however long it is."""
        parts: list[exp.Expression] = []
        current = node
        while type(current) is type(node):
            self.only(current, "this", "expression")
            parts.append(current.expression)
            current = current.this
        return [current, *reversed(parts)]

    def comparison(self, node: exp.Expression) -> str:
        """A comparison of one dimension with values."""
        if type(node) in _COMPARISONS:
            return self.compared_with(node, _COMPARISONS[type(node)])
        write = {
            exp.Like: self.like,
            exp.ILike: self.like,
            exp.Between: self.between,
            exp.In: self.within,
            exp.Is: self.state,
        }.get(type(node))
        if write is None:
            raise _refusal(self.text)
        return write(node)

    def compared_with(self, node: exp.Expression, sign: str) -> str:
        self.only(node, "this", "expression")
        column, value = self.bare(node.this), self.bare(node.expression)
        if not isinstance(column, exp.Column):
            column, value, sign = value, column, _TURNED[sign]
        written, kind = self.value(value)
        return f"{self.field(column, kind)} {sign} {written}"

    def like(self, node: exp.Expression) -> str:
        self.only(node, "this", "expression", "negate")
        written, kind = self.value(node.expression)
        if kind != "text":
            raise _refusal(self.text)
        word = "ilike" if isinstance(node, exp.ILike) else "like"
        negated = "not " if node.args.get("negate") else ""
        return f"{self.field(node.this, 'text')} {negated}{word} {written}"

    def between(self, node: exp.Expression) -> str:
        self.only(node, "this", "low", "high")
        (low, kind), (high, other) = self.value(node.args["low"]), self.value(node.args["high"])
        if kind != other:
            raise _refusal(self.text)
        return f"{self.field(node.this, kind)} between {low} and {high}"

    def within(self, node: exp.Expression) -> str:
        self.only(node, "this", "expressions")
        values = [self.value(one) for one in node.expressions]
        kinds = {kind for _, kind in values}
        if len(kinds) != 1:
            raise _refusal(self.text)
        column = self.field(node.this, kinds.pop())
        return f"{column} in ({', '.join(written for written, _ in values)})"

    def state(self, node: exp.Expression) -> str:
        self.only(node, "this", "expression")
        if isinstance(node.expression, exp.Null):
            return f"{self.field(node.this, 'nothing')} is null"
        if isinstance(node.expression, exp.Boolean):
            word = "true" if node.expression.this else "false"
            return f"{self.field(node.this, 'boolean')} is {word}"
        raise _refusal(self.text)

    def field(self, node: exp.Expression, kind: str) -> str:
        """A dimension, as a template."""
        node = self.bare(node)
        if not isinstance(node, exp.Column) or not isinstance(node.this, exp.Identifier):
            raise _refusal(self.text)
        self.only(node, "this")
        field = Field.of(node.name, self.templates, self.fields)
        if field is None:
            raise _refusal(self.text)
        self.compared.append((field, kind))
        return field.template

    def value(self, node: exp.Expression) -> tuple[str, str]:
        """A value as SQL, and its kind."""
        node = self.bare(node)
        if isinstance(node, exp.Literal):
            return self.literal(node)
        if isinstance(node, exp.Boolean):
            return ("true" if node.this else "false"), "boolean"
        if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
            self.only(node, "this")
            written, kind = self.literal(node.this)
            if kind == "number":
                return f"-{written}", kind
        if isinstance(node, exp.Cast) and type(node) is exp.Cast:
            self.only(node, "this", "to")
            kind_of_time = _TIMES.get(node.to.this)
            inner = node.this
            if kind_of_time and isinstance(inner, exp.Literal) and inner.is_string:
                return f"{kind_of_time} '{self.instant(inner.this, kind_of_time)}'", "time"
        raise _refusal(self.text)

    def literal(self, node: exp.Literal) -> tuple[str, str]:
        value = str(node.this)
        if node.is_string:
            # A curly bracket could begin a template; a line break could be laid out anew.
            if "{" in value or "}" in value or STAND_IN in value or _CONTROL.search(value):
                raise QueryError(
                    f"The filter {_short(self.text)} holds a text with curly brackets or control"
                    " characters, which no filter may hold."
                )
            return "'" + value.replace("'", "''") + "'", "text"
        is_number = re.fullmatch(r"\d*\.?\d+(?:[eE][+-]?\d{1,3})?|\d+\.", value, re.ASCII)
        if not is_number or len(value) > _LONGEST_NUMBER or not math.isfinite(float(value)):
            raise _refusal(self.text)
        return value, "number"

    def instant(self, value: str, kind: str) -> str:
        try:
            if kind == "date":
                return dt.date.fromisoformat(value).isoformat()
            return dt.datetime.fromisoformat(value).replace(tzinfo=None).isoformat(" ")
        except ValueError:
            raise QueryError(
                f"The filter {_short(self.text)} holds the {kind} {_short(value)}; write it as"
                " 2026-01-31" + (" or 2026-01-31 18:00." if kind == "timestamp" else ".")
            ) from None

    def bare(self, node: exp.Expression) -> exp.Expression:
        """A node without the brackets around it."""
        while isinstance(node, exp.Paren):
            self.only(node, "this")
            node = node.this
        return node

    def only(self, node: exp.Expression, *known: str) -> None:
        """Refuse a node that says more than is written down of it."""
        if any(value for name, value in node.args.items() if name not in known):
            raise _refusal(self.text)


def _refusal(text: str) -> QueryError:
    return QueryError(f"The filter {_short(text)} is refused. {_GRAMMAR}")


def _short(text: str, most: int = 80) -> str:
    return repr(text if len(text) <= most else f"{text[:most]}…")
