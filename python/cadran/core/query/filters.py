"""Filters: one grammar, read once into a small tree, and printed for whoever applies them.

A filter is comparisons of one dimension with values, `in`, `between`, `like`, `is null`, joined by
`and`, `or`, `not`. Its dimensions are templates, `{{ Dimension('order_id__channel') }} = 'web'`, or
simply the names that one groups by, `order_id__channel = 'web'`; both mean the same. What stands in
quotes is a value, whatever it holds. Nothing of the text that came in goes on: what was understood
is written down again, so that what could not be understood has no way through.

Who asks locally may also compare a metric by its entity and a time cast to `date` or `timestamp`;
from a network both are refused. A saved query was reviewed in git, so its filter may be any one SQL
condition over templates.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from cadran.core.query.request import EXAMPLE, Field, Fields, GroupBy, field_of, template_refusal
from cadran.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlglot import exp


@dataclass(frozen=True, slots=True)
class Value:
    """What a dimension is compared with.

    Attributes:
        kind: `text`, `number`, `boolean`, `date`, `timestamp` or `nothing` for NULL.
        text: the text itself, or the value as SQL writes it.
    """

    kind: str
    text: str

    @property
    def sql(self) -> str:
        """It as SQL."""
        if self.kind in ("date", "timestamp"):
            return f"{self.kind} '{self.text}'"
        return "'" + self.text.replace("'", "''") + "'" if self.kind == "text" else self.text


@dataclass(frozen=True, slots=True)
class Comparison:
    """One dimension compared with values; without an operator it is itself true or false."""

    field: Field
    operator: str = ""
    values: tuple[Value, ...] = ()
    cast: str = ""

    @property
    def kind(self) -> str:
        """The kind of what it is compared with: `time` for dates and timestamps."""
        kind = self.values[0].kind if self.values else "boolean"
        return "time" if kind in ("date", "timestamp") else kind


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    of: Node


@dataclass(frozen=True, slots=True)
class Joined:
    """Conditions of which all hold (`and`), or one (`or`)."""

    word: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A condition of a saved query beyond the grammar: its SQL, cut where it names a field."""

    parts: tuple[str | Field, ...]


Node: TypeAlias = Comparison | Not | Joined | Reviewed


def _printed(node: Node, write: Callable[[Field], str], value: Callable[[str], str]) -> str:
    """A tree as SQL, with each field and each value as these functions write it."""
    if isinstance(node, Joined):
        parts = [_printed(part, write, value) for part in node.parts]
        return f"({f' {node.word} '.join(parts)})"
    if isinstance(node, Not):
        return f"not ({_printed(node.of, write, value)})"
    if isinstance(node, Reviewed):
        return "".join(value(part) if isinstance(part, str) else write(part) for part in node.parts)
    field = write(node.field)
    if node.cast:
        field = f"cast({field} as {node.cast})"
    values = [value(item.sql) for item in node.values]
    if node.operator == "in":
        return f"{field} in ({', '.join(values)})"
    return f"{field} {node.operator} {' and '.join(values)}" if node.operator else field


def _walked(node: Node) -> Iterator[Comparison | Reviewed]:
    if isinstance(node, Joined):
        for part in node.parts:
            yield from _walked(part)
    elif isinstance(node, Not):
        yield from _walked(node.of)
    else:
        yield node


_LITERAL = re.compile(r"'((?:[^']|'')*)'")


class Condition(str):
    """A filter that was understood: its text, as it was written anew, with its tree.

    Being text, it stands in a question wherever a filter does, and is not read a second time.
    """

    __slots__ = ("tree",)
    tree: Node

    def __new__(cls, tree: Node) -> Self:
        """Write a tree down."""
        condition = super().__new__(
            cls, _printed(tree, lambda field: field.template, lambda sql: sql)
        )
        condition.tree = tree
        return condition

    def __deepcopy__(self, _: object) -> Condition:
        """Itself: it never changes."""
        return self

    @property
    def compared(self) -> tuple[tuple[Field, str], ...]:
        """Each field with the kind of value that it is compared with.

        That is `text`, `number`, `boolean`, `time`, or `nothing` where it is only looked at.
        """
        pairs: list[tuple[Field, str]] = []
        for node in _walked(self.tree):
            if isinstance(node, Comparison):
                pairs.append((node.field, node.kind))
            else:
                pairs += [(part, "nothing") for part in node.parts if isinstance(part, Field)]
        return tuple(pairs)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Its comparisons, in the order in which they stand."""
        return tuple(node for node in _walked(self.tree) if isinstance(node, Comparison))

    @property
    def is_reviewed(self) -> bool:
        """Whether a part of it is SQL beyond the grammar."""
        return any(isinstance(node, Reviewed) for node in _walked(self.tree))

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields that it names, each once."""
        return tuple(dict.fromkeys(field for field, _ in self.compared))

    @property
    def groups(self) -> tuple[GroupBy, ...]:
        """The dimensions and entities that it names."""
        return tuple(field.group for field in self.fields if field.kind != "Metric")

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that it compares with."""
        texts: list[str] = []
        for node in _walked(self.tree):
            if isinstance(node, Comparison):
                texts += [value.text for value in node.values if value.kind == "text"]
            else:
                sql = (part for part in node.parts if isinstance(part, str))
                texts += [t.replace("''", "'") for part in sql for t in _LITERAL.findall(part)]
        return tuple(texts)

    @property
    def template(self) -> str:
        """It for MetricFlow, whose templates would read curly brackets in a value as their own."""
        return _printed(
            self.tree, lambda field: field.template, lambda sql: _OPENING.sub("{{ '{' }}", sql)
        )

    def sql(self, write: Callable[[Field], str]) -> str:
        """It as SQL over columns.

        Args:
            write: gives the column of a field.
        """
        return _printed(self.tree, write, lambda sql: sql)


def days_of(condition: Condition) -> tuple[dt.date | None, dt.date | None]:
    """The first and last day of `metric_time` that can meet a condition, as far as it says so.

    A condition with other days in the same places has its bounds from the same places or further
    out, so that plans can be shared.
    """
    first, last = dt.date.min, dt.date.max
    node = condition.tree
    for part in node.parts if isinstance(node, Joined) and node.word == "and" else (node,):
        if not isinstance(part, Comparison) or part.cast:
            continue
        if part.field != _METRIC_DAY or any(value.kind != "date" for value in part.values):
            continue
        days = [dt.date.fromisoformat(value.text) for value in part.values]
        if part.operator in ("=", ">", ">=", "between"):
            first = max(first, days[0])
        if part.operator in ("=", "<", "<=", "between"):
            last = min(last, days[-1])
    return None if first == dt.date.min else first, None if last == dt.date.max else last


_METRIC_DAY = Field("TimeDimension", "metric_time", "day")
_OPENING = re.compile(r"\{(?=[{%#])")
LONGEST = 4_000  # characters, from a network
_DEEPEST = 20  # brackets and `not` within each other
_MOST_REMOTE = 100  # conditions joined by `and` and `or`
_MOST_LOCAL = 2_000
_LONGEST_NUMBER = 40
_REMEMBERED = 1024


def read(
    text: str, fields: Fields | None = None, *, remote: bool = False, reviewed: bool = False
) -> Condition:
    """What a filter says.

    Args:
        text: the filter.
        fields: tell what a plain name means; without them it is a dimension or a time.
        remote: it came over a network.
        reviewed: it stands in a saved query or a metric.

    Raises:
        QueryError: it is not of the grammar.
    """
    if isinstance(text, Condition):
        condition = text
    else:
        if remote and len(text) > LONGEST:
            raise QueryError(f"A filter has {len(text):,} characters; it may have {LONGEST:,}.")
        most = _MOST_REMOTE if remote else _MOST_LOCAL
        condition = _read(text, fields or Fields(), reviewed, most)
    if remote:
        for node in _walked(condition.tree):
            if isinstance(node, Reviewed) or node.cast:
                raise _refusal(text, "It does more than compare dimensions.")
            if node.field.kind == "Metric" or node.field.date_part:
                raise template_refusal(node.field.template.strip("{} "))
    return condition


@lru_cache(maxsize=_REMEMBERED)
def _read(text: str, fields: Fields, reviewed: bool, most: int) -> Condition:  # noqa: FBT001
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        text.encode()
    except UnicodeEncodeError:
        raise QueryError("A filter is not text in Unicode.") from None
    plain, names = _cut(text)
    broken = (SqlglotError, ValueError, RecursionError, LookupError, TypeError, AttributeError)
    try:
        tokens = sqlglot.tokenize(plain, dialect="duckdb")
    except broken:
        raise _refusal(text, "It is not a condition.") from None
    if not reviewed:
        _check_tokens(tokens, text, most)
    try:
        tree = sqlglot.parse_one(plain, dialect="duckdb", into=exp.Condition)
    except broken:
        raise _refusal(text, "It is not a condition.") from None
    reader = _Reader(text, names, fields)
    try:
        return Condition(reader.condition(tree, _DEEPEST))
    except QueryError:
        if not reviewed:
            raise
        return Condition(reader.reviewed(tree, plain))


_PIECES = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\{\{(.*?)\}\}", re.DOTALL)
_STAND_IN = "cadran_field_"


def _cut(text: str) -> tuple[str, tuple[Field, ...]]:
    """A filter with a plain name in the place of each template, and what the templates name."""
    rest = _PIECES.sub(" ", text).lower()
    if _STAND_IN in rest:
        raise QueryError(f"A filter cannot use the name {_STAND_IN}. {EXAMPLE}")
    if "{" in rest or "}" in rest:
        raise _refusal(text, "It holds a broken template.")
    names: list[Field] = []

    def stand_in(piece: re.Match[str]) -> str:
        if piece[1] is None:
            return piece[0]
        field, descending = field_of(piece[1])
        if descending:
            raise template_refusal(piece[1])
        names.append(field)
        # A blank on each side: two templates in a row must not become one name.
        return f" {_STAND_IN}{len(names) - 1} "

    return _PIECES.sub(stand_in, text), tuple(names)


_TOKENS = frozenset([
    *("VAR", "IDENTIFIER", "STRING", "NUMBER", "DASH", "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE"),
    *("ILIKE", "IS", "NULL", "TRUE", "FALSE", "L_PAREN", "R_PAREN", "COMMA", "EQ", "NEQ", "GT"),
    *("GTE", "LT", "LTE", "DATE", "TIMESTAMP", "TIMESTAMPNTZ", "ALIAS", "DCOLON"),
])  # fmt: skip
_SAID = {
    "SELECT": "It holds a subquery.", "SEMICOLON": "It is more than one condition.",
    "DOT": "It names a column of a table.",
}  # fmt: skip


def _check_tokens(tokens: list[Any], text: str, most: int) -> None:
    """Refuse what holds any token that the grammar has no use for, or too many."""
    depth = joined = 0
    for token in tokens:
        kind = token.token_type.name
        if token.comments:
            raise _refusal(text, "It holds a comment.")
        if kind not in _TOKENS:
            raise _refusal(text, _SAID.get(kind, "It is not a condition."))
        depth += kind in ("L_PAREN", "NOT")
        depth -= kind == "R_PAREN"
        joined += kind in ("AND", "OR", "NOT", "DASH", "DCOLON")
        if depth > most or joined > most:
            raise QueryError(f"The filter {_short(text)} is too long: ask in smaller parts.")


_COMPARISONS = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_TURNED = {"=": "=", "<>": "<>", ">": "<", ">=": "<=", "<": ">", "<=": ">="}
_TIMES = {"DATE": "date", "TIMESTAMP": "timestamp", "TIMESTAMPNTZ": "timestamp"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_GRAMMAR = (
    "A filter compares dimensions with values, such as {{ Dimension('customer__country') }} = 'FR'"
    " or customer__country in ('FR', 'DE'); it may use and, or, not, in, between, like, ilike,"
    " is null and dates, and nothing else."
)


class _Reader:
    """Reads sqlglot's tree, node by node; a node that it does not know is refused."""

    def __init__(self, text: str, templates: tuple[Field, ...], fields: Fields) -> None:
        self.text, self.templates, self.fields = text, templates, fields

    def condition(self, node: exp.Expression, deep: int) -> Node:
        """A condition; `and` and `or` are read flat, so that long ones are not deep."""
        if deep < 0:
            raise QueryError(f"The filter {_short(self.text)} is nested too deeply.")
        if node.key in ("and", "or"):
            parts = tuple(self.condition(part, deep - 1) for part in self.joined(node))
            return Joined(node.key, parts)
        if node.key == "paren":
            self.only(node, "this")
            return self.condition(node.this, deep - 1)
        if node.key == "not":
            self.only(node, "this")
            return Not(self.condition(node.this, deep - 1))
        if node.key == "column":
            return Comparison(self.field(node))
        return self.comparison(node)

    def joined(self, node: exp.Expression) -> list[exp.Expression]:
        """The parts of a chain of one connector, however long it is."""
        parts: list[exp.Expression] = []
        current = node
        while current.key == node.key:
            self.only(current, "this", "expression")
            parts.append(current.expression)
            current = current.this
        return [current, *reversed(parts)]

    def comparison(self, node: exp.Expression) -> Comparison:
        """A comparison of one dimension with values."""
        if node.key in _COMPARISONS:
            return self.compared(node, _COMPARISONS[node.key])
        if node.key in ("like", "ilike"):
            self.only(node, "this", "expression", "negate")
            word = f"not {node.key}" if node.args.get("negate") else node.key
            return self.of_one_kind(node.this, word, [node.expression], only="text")
        if node.key == "between":
            self.only(node, "this", "low", "high")
            return self.of_one_kind(node.this, "between", [node.args["low"], node.args["high"]])
        if node.key == "in":
            self.only(node, "this", "expressions")
            return self.of_one_kind(node.this, "in", node.expressions)
        if node.key == "is":
            self.only(node, "this", "expression")
            if node.expression.key == "null":
                return Comparison(self.field(node.this), "is", (Value("nothing", "null"),))
            if node.expression.key == "boolean":
                return Comparison(self.field(node.this), "is", (self.value(node.expression),))
        raise _refusal(self.text)

    def compared(self, node: exp.Expression, sign: str) -> Comparison:
        self.only(node, "this", "expression")
        column, value = self.bare(node.this), self.bare(node.expression)
        cast = self.cast_of(column)
        if column.key != "column" and not cast:
            column, value, sign = value, column, _TURNED[sign]
            cast = self.cast_of(column)
        column = column.this if cast else column
        return Comparison(self.field(column), sign, (self.value(value),), cast)

    def cast_of(self, node: exp.Expression) -> str:
        """The type of time to which a column is cast; empty where it is none."""
        if node.key != "cast" or self.bare(node.this).key != "column":
            return ""
        self.only(node, "this", "to")
        kind = _TIMES.get(getattr(node.to.this, "name", ""))
        if kind is None:
            raise _refusal(self.text)
        return kind

    def of_one_kind(
        self, node: exp.Expression, word: str, values: list[exp.Expression], only: str = ""
    ) -> Comparison:
        literals = tuple(self.value(value) for value in values)
        comparison = Comparison(self.field(node), word, literals)
        kinds = {
            "time" if value.kind in ("date", "timestamp") else value.kind for value in literals
        }
        if len(kinds) != 1 or only not in ("", comparison.kind):
            raise _refusal(self.text)
        return comparison

    def field(self, node: exp.Expression) -> Field:
        """What a column names."""
        node = self.bare(node)
        if node.key != "column" or node.this.key != "identifier":
            raise _refusal(self.text)
        self.only(node, "this")
        field = self.named_by(node.name)
        if field is None:
            raise _refusal(self.text)
        return field

    def named_by(self, column: str) -> Field | None:
        if not column.startswith(_STAND_IN):
            return Field.named(column, self.fields)
        number = column.removeprefix(_STAND_IN)
        is_known = number.isascii() and number.isdigit() and int(number) < len(self.templates)
        return self.templates[int(number)] if is_known else None

    def value(self, node: exp.Expression) -> Value:
        """A value that a dimension is compared with."""
        node = self.bare(node)
        if node.key == "literal":
            return self.literal(node)
        if node.key == "boolean":
            return Value("boolean", "true" if node.this else "false")
        if node.key == "neg" and node.this.key == "literal":
            self.only(node, "this")
            value = self.literal(node.this)
            if value.kind == "number":
                return Value("number", f"-{value.text}")
        if node.key == "cast":
            self.only(node, "this", "to")
            kind = _TIMES.get(getattr(node.to.this, "name", ""))
            if kind and node.this.key == "literal" and node.this.is_string:
                return Value(kind, self.instant(node.this.this, kind))
        raise _refusal(self.text)

    def literal(self, node: exp.Expression) -> Value:
        value = str(node.this)
        if node.is_string:
            # A line break could be laid out anew.
            if _CONTROL.search(value):
                raise QueryError(
                    f"The filter {_short(self.text)} holds a text with control characters, which"
                    " no filter may hold."
                )
            return Value("text", value)
        is_number = re.fullmatch(r"\d*\.?\d+(?:[eE][+-]?\d{1,3})?|\d+\.", value, re.ASCII)
        if not is_number or len(value) > _LONGEST_NUMBER or not math.isfinite(float(value)):
            raise _refusal(self.text)
        return Value("number", value)

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
        while node.key == "paren":
            self.only(node, "this")
            node = node.this
        return node

    def only(self, node: exp.Expression, *allowed: str) -> None:
        """Refuse a node that says more than is written down of it."""
        if any(value for name, value in node.args.items() if name not in allowed):
            raise _refusal(self.text)

    def reviewed(self, tree: exp.Expression, plain: str) -> Reviewed:
        """Any one condition, cut where it names a field.

        Raises:
            QueryError: it is more than a condition.
        """
        from sqlglot import exp, tokenize

        if any(token.comments for token in tokenize(plain, dialect="duckdb")) or tree.find(
            exp.Query, exp.Table, exp.Semicolon, exp.Placeholder, exp.Parameter, exp.Alias
        ):
            raise _refusal(self.text, "It is more than one condition.")
        parts: list[str | Field] = []
        end = 0
        for column in sorted(tree.find_all(exp.Column), key=lambda item: item.this.meta["start"]):
            field = self.named_by(column.name) if not column.table else None
            if field is None:
                raise _refusal(self.text, "It names a column of a table.")
            parts += [plain[end : column.this.meta["start"]], field]
            end = column.this.meta["end"] + 1
        return Reviewed((*parts, plain[end:]))


def _refusal(text: str, why: str = "") -> QueryError:
    return QueryError(f"The filter {_short(text)} is refused. {f'{why} ' if why else ''}{_GRAMMAR}")


def _short(text: str, most: int = 80) -> str:
    return repr(text if len(text) <= most else f"{text[:most]}…")
