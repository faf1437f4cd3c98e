"""Turns SQL over metrics and dimensions into DAX that means the same, NULL for BLANK.

DAX counts a BLANK as 0 where SQL gives NULL, takes BLANK = 0 for true, and compares texts without
regard to capitals. So each value knows whether it may be blank, and a condition is translated in
two forms, when it is true and when it is false: neither is the other's opposite where a NULL is in
it. What is not known here is refused, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from cadran.core.query.filters import read
from cadran.core.warehouse import dialects
from cadran.exports.powerbi.dates import BLANK
from cadran.exports.powerbi.model import NotInDaxError, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cadran.core.query.request import Field
    from cadran.exports.powerbi.model import Kind
    from cadran.exports.powerbi.star import Star


_ATOM = re.compile(r"""[\w.]+|"[^"]*"|\[[^\[\]]*\]|'[^']*'\[[^\[\]]*\]|[A-Z]+\([^()]*\)""")


@dataclass(frozen=True, slots=True)
class Value:
    """A scalar in DAX: its text, its kind, and how it stands to BLANK.

    `is_strict` says that it is BLANK whenever all that it is made of is.
    """

    text: str
    kind: Kind
    may_be_blank: bool = True
    is_strict: bool = True

    @property
    def is_atom(self) -> bool:
        """Whether it is one name, number or call, that no operator tears apart."""
        return _ATOM.fullmatch(self.text) is not None

    @property
    def part(self) -> str:
        """The text, in brackets where an operator beside it could tear it apart."""
        return self.text if self.is_atom else f"({self.text})"

    @property
    def wide(self) -> str:
        """The value as a floating number: a fixed decimal divided stays one, cut at four places."""
        return f"CONVERT({self.text}, DOUBLE)" if self.kind == "decimal" else self.text


def literal(node: exp.Literal | exp.Boolean) -> Value:
    """A constant; a number that is whole stays whole, however it is written."""
    if isinstance(node, exp.Boolean):
        return Value("TRUE()" if node.this else "FALSE()", "boolean", False, False)  # noqa: FBT003
    if node.is_string:
        doubled = node.this.replace('"', '""')
        return Value(f'"{doubled}"', "string", False, False)  # noqa: FBT003
    number = float(node.this)
    if number.is_integer() and abs(number) < 2**53:
        return Value(str(int(number)), "int64", False, False)  # noqa: FBT003
    return Value(f"CONVERT({number!r}, DOUBLE)", "double", False, False)  # noqa: FBT003


def wider(left: Value, right: Value) -> Kind:
    """The kind of a sum or a product of the two."""
    for kind in ("double", "decimal"):
        if kind in {left.kind, right.kind}:
            return kind
    return left.kind


def either_strict(left: Value, right: Value) -> bool:
    """Whether one of them suffices to be BLANK where its inputs are."""
    return left.is_strict or right.is_strict


_COMPARED = {exp.LT: ("<", ">="), exp.LTE: ("<=", ">"), exp.GT: (">", "<="), exp.GTE: (">=", "<")}


class Translator:
    """Translates one expression; long parts that are needed twice become variables."""

    def __init__(self, names: Mapping[str, Value], dialect: str = dialects.DEFAULT) -> None:
        """Say what the names in the expression stand for, and in which dialect it is written."""
        self._dialect = dialect
        self._names = {name.casefold(): value for name, value in names.items()}
        self.variables: dict[str, str] = {}

    def value(self, sql: str) -> Value:
        """The expression in DAX; it may read `variables`, names by what they stand for.

        Raises:
            NotInDaxError: something in it has no exact counterpart.
        """
        return self._value(self._parsed(sql))

    def conditions(self, sql: str) -> list[str]:
        """Conditions that hold together exactly where the SQL condition is true."""
        return [self._is(node, truth=True) for node in _conjuncts(self._parsed(sql))]

    def _parsed(self, sql: str) -> exp.Expression:
        try:
            tree = parse_one(sql, read=self._dialect, into=exp.Condition)
        except SqlglotError as error:
            raise NotInDaxError(f"`{' '.join(sql.split())}` cannot be read") from error
        return tree

    def _value(self, node: exp.Expression) -> Value:
        handler = self._VALUES.get(type(node))
        if handler is None:
            raise _unknown(node)
        return handler(self, node)

    def _inner(self, node: exp.Paren) -> Value:
        return self._value(node.this)

    def _negative(self, node: exp.Neg) -> Value:
        inner = self._number(node.this)
        text = inner.text if inner.text.isdigit() else f"1 * {inner.part}"
        return Value(f"-{text}", inner.kind, inner.may_be_blank, inner.is_strict)

    def _unless(self, node: exp.Nullif) -> Value:
        inner, other = self._twice(self._value(node.this)), self._value(node.expression)
        text = f"IF({inner.text} == {other.text}, {BLANK}, {inner.text})"
        return Value(text, inner.kind, True, inner.is_strict)  # noqa: FBT003

    def _cast(self, node: exp.Cast) -> Value:
        if not node.to.is_type("double", "float"):
            raise _unknown(node)
        inner = self._number(node.this)
        text = f"CONVERT({inner.text}, DOUBLE)"
        return Value(text, "double", inner.may_be_blank, inner.is_strict)

    def _named(self, node: exp.Column) -> Value:
        name = node.name.casefold()
        if node.table or name not in self._names:
            raise _unknown(node)
        return self._names[name]

    def _number(self, node: exp.Expression) -> Value:
        value = self._value(node)
        if value.kind not in {"int64", "decimal", "double"}:
            raise NotInDaxError(f"`{node.sql()}` is no number")
        return value

    def _sum(self, node: exp.Add | exp.Sub) -> Value:
        left, right = self._number(node.left), self._number(node.right)
        sign = "+" if isinstance(node, exp.Add) else "-"
        kind = wider(left, right)
        both = left.is_strict and right.is_strict  # BLANK + BLANK is BLANK, BLANK + 1 is not
        if not (left.may_be_blank or right.may_be_blank):
            return Value(f"{left.part} {sign} {right.part}", kind, False, both)  # noqa: FBT003
        left, right = (self._twice(side) if side.may_be_blank else side for side in (left, right))
        unsure = [side for side in (left, right) if side.may_be_blank]
        missing = " || ".join(f"ISBLANK({side.text})" for side in unsure)
        text = f"IF({missing}, {BLANK}, {left.part} {sign} {right.part})"
        return Value(text, kind, True, both or any(side.is_strict for side in unsure))  # noqa: FBT003

    def _product(self, node: exp.Mul) -> Value:
        left, right = self._number(node.left), self._number(node.right)
        sides = [left.part, right.part]
        kind = wider(left, right)
        if "decimal" in {left.kind, right.kind} and "int64" not in {left.kind, right.kind}:
            sides = [f"CONVERT({side.text}, DOUBLE)" for side in (left, right)]
            kind = "double"
        blank = left.may_be_blank or right.may_be_blank
        return Value(" * ".join(sides), kind, blank, either_strict(left, right))

    def _quotient(self, node: exp.Div) -> Value:
        above, below = self._number(node.left), node.right.unnest()
        if isinstance(below, exp.Nullif) and below.expression.sql() == "0":
            under = self._number(below.this)
            text = f"DIVIDE({above.wide}, {under.text})"
            return Value(text, "double", True, either_strict(above, under))  # noqa: FBT003
        under = self._number(below)
        dividend = above.wide if above.kind == "decimal" else above.part
        if not under.may_be_blank:
            text = f"{dividend} / {under.part}"
            return Value(text, "double", above.may_be_blank, above.is_strict)
        under = self._twice(under)
        text = f"IF(ISBLANK({under.text}), {BLANK}, {dividend} / {under.part})"
        return Value(text, "double", True, either_strict(above, under))  # noqa: FBT003

    def _first_known(self, node: exp.Coalesce) -> Value:
        values = [self._value(argument) for argument in (node.this, *node.expressions)]
        options = []
        for value in values:
            options.append(value)
            if not value.may_be_blank:
                break
        if len(options) == 1:
            return options[0]
        kind = options[0].kind
        for value in options[1:]:
            kind = wider(Value("", kind), value)
        text = f"COALESCE({', '.join(value.text for value in options)})"
        return Value(
            text,
            kind,
            options[-1].may_be_blank,
            all(value.is_strict for value in options),
        )

    def _case(self, node: exp.Case) -> Value:
        if node.this is not None:
            raise _unknown(node)
        lines, results = [], []
        for branch in node.args["ifs"]:
            result = self._value(branch.args["true"])
            results.append(result)
            lines.append(f"{self._is(branch.this, truth=True)}, {result.text}")
        default = node.args.get("default")
        results.append(self._value(default) if default is not None else Value(BLANK, "double"))
        lines.append(results[-1].text)
        non_blank = [result for result in results if result.text != BLANK] or results
        kind = non_blank[0].kind
        for result in non_blank[1:]:
            kind = wider(Value("", kind), result)
        body = ",\n".join("\t" + line.replace("\n", "\n\t") for line in lines)
        blank = any(result.may_be_blank for result in results)
        return Value(
            f"SWITCH(\n\tTRUE(),\n{body}\n)", kind, blank, all(r.is_strict for r in results)
        )

    def _is(self, node: exp.Expression, *, truth: bool) -> str:
        """DAX that is true exactly where the SQL condition is true, or false if that is wanted."""
        handler = self._CONDITIONS.get(type(node))
        if handler is None:
            raise _unknown(node)
        return handler(self, node, truth)

    def _joined(self, node: exp.And | exp.Or, truth: bool) -> str:  # noqa: FBT001 - see _is
        sides = [self._is(side, truth=truth) for side in (node.left, node.right)]
        sign = "&&" if isinstance(node, exp.And) == truth else "||"
        return f" {sign} ".join(f"({side})" for side in sides)

    def _missing(self, node: exp.Is, truth: bool) -> str:  # noqa: FBT001 - see _is
        if not isinstance(node.expression, exp.Null):
            raise _unknown(node)
        text = f"ISBLANK({self._value(node.this).text})"
        return text if truth else f"NOT({text})"

    def _one_of(self, node: exp.In, truth: bool) -> str:  # noqa: FBT001 - see _is
        if not node.expressions:
            raise _unknown(node)
        equal = [exp.EQ(this=node.this, expression=member) for member in node.expressions]
        sides = [self._is(member, truth=truth) for member in equal]
        return (" || " if truth else " && ").join(f"({side})" for side in sides)

    def _between(self, node: exp.Between, truth: bool) -> str:  # noqa: FBT001 - see _is
        low = exp.GTE(this=node.this, expression=node.args["low"])
        high = exp.LTE(this=node.this, expression=node.args["high"])
        return self._is(exp.And(this=low, expression=high), truth=truth)

    def _ordered(self, node: exp.Expression, truth: bool) -> str:  # noqa: FBT001 - see _is
        left, right = self._named_sides(self._number(node.left), self._number(node.right))
        sign = _COMPARED[type(node)][0 if truth else 1]
        return self._known(f"{left.part} {sign} {right.part}", left, right)

    def _flag(self, node: exp.Expression, truth: bool) -> str:  # noqa: FBT001 - see _is
        value = self._value(node)
        if value.kind != "boolean":
            raise _unknown(node)
        return f"{value.text} == {'TRUE()' if truth else 'FALSE()'}"

    def _named_sides(self, *sides: Value) -> tuple[Value, ...]:
        return tuple(self._twice(side) if side.may_be_blank else side for side in sides)

    def _equal(self, node: exp.Expression, truth: bool) -> str:  # noqa: FBT001 - see _is
        truth = isinstance(node, exp.EQ) == truth
        left, right = self._named_sides(self._value(node.left), self._value(node.right))
        if left.kind != right.kind and "string" in {left.kind, right.kind}:
            raise NotInDaxError(f"`{node.sql()}` compares a text with something else")
        if not truth:
            return self._known(f"{left.part} <> {right.part}", left, right)
        if left.may_be_blank and right.may_be_blank:
            return self._known(f"{left.part} == {right.part}", left, right)
        return f"{left.part} == {right.part}"

    @staticmethod
    def _known(text: str, *values: Value) -> str:
        checks = [f"NOT(ISBLANK({value.text}))" for value in values if value.may_be_blank]
        return " && ".join([*checks, text])

    def _twice(self, value: Value) -> Value:
        """The value under a name, when it is longer than one."""
        if value.is_atom:
            return value
        name = self.variables.setdefault(value.text, f"_part{len(self.variables) + 1}")
        return Value(name, value.kind, value.may_be_blank, value.is_strict)

    _VALUES: ClassVar[dict[type, Callable[[Any, Any], Value]]] = {
        exp.Paren: _inner,
        exp.Column: _named,
        exp.Literal: lambda _, node: literal(node),
        exp.Boolean: lambda _, node: literal(node),
        exp.Null: lambda *_: Value(BLANK, "double"),
        exp.Neg: _negative,
        exp.Add: _sum,
        exp.Sub: _sum,
        exp.Mul: _product,
        exp.Div: _quotient,
        exp.Coalesce: _first_known,
        exp.Nullif: _unless,
        exp.Case: _case,
        exp.Cast: _cast,
    }
    _CONDITIONS: ClassVar[dict[type, Callable[[Any, Any, bool], str]]] = {
        exp.Paren: lambda self, node, truth: self._is(node.this, truth=truth),
        exp.Not: lambda self, node, truth: self._is(node.this, truth=not truth),
        exp.And: _joined,
        exp.Or: _joined,
        exp.Is: _missing,
        exp.In: _one_of,
        exp.Between: _between,
        exp.EQ: _equal,
        exp.NEQ: _equal,
        **dict.fromkeys(_COMPARED, _ordered),
        exp.Column: _flag,
        exp.Boolean: _flag,
    }


def _conjuncts(node: exp.Expression) -> list[exp.Expression]:
    node = node.unnest()
    if isinstance(node, exp.And):
        return [*_conjuncts(node.left), *_conjuncts(node.right)]
    return [node]


def _unknown(node: exp.Expression) -> NotInDaxError:
    sql = node.sql(dialect=dialects.DEFAULT)
    return NotInDaxError(f"`{sql}` has no exact counterpart in DAX")


_TABLE = re.compile(r"'((?:[^']|'')+)'\[")
_DAX_TEXT = re.compile(r'"(?:[^"]|"")*"')


def conditions(star: Star, facts: Iterable[str], template: str) -> list[str]:
    """Conditions in DAX, one for each table, that hold together where the filter is true.

    Args:
        star: the star that gets the columns which the filter reads.
        facts: the semantic models whose rows are filtered.
        template: the filter, such as "{{ Dimension('ticket__is_resolved') }}".

    Raises:
        NotInDaxError: it names more than dimensions, or something without a counterpart in DAX.
        QueryError: the template is broken.
    """
    facts = sorted(facts)
    condition = read(template, reviewed=True)
    columns: dict[str, Value] = {}
    places: dict[Field, str] = {}
    for field in condition.fields:
        if field.kind not in ("Dimension", "TimeDimension") or field.grain or field.date_part:
            raise NotInDaxError(f"the filter `{template}` names more than dimensions")
        # Rows of several facts are filtered through the table that they share.
        columns_of = {
            star.dimension(fact, field.group.name, is_hidden=True, own=len(facts) == 1)
            for fact in facts
        }
        if len(columns_of) != 1:
            raise NotInDaxError(f"the filter `{template}` means different columns in {facts}")
        table, column = columns_of.pop()
        places[field] = f"cadran_field_{len(places)}"
        columns[places[field]] = Value(reference(table, column.name), column.kind)
        if column.kind == "string":
            star.compare(table, column, list(condition.texts))
    texts = Translator(columns, star.dialect).conditions(condition.sql(places.__getitem__))
    for text in texts:
        if len(set(_TABLE.findall(_DAX_TEXT.sub("", text)))) != 1:
            raise NotInDaxError(f"the filter `{template}` mixes several tables in one condition")
    return texts
