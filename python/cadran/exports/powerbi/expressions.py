"""Turns SQL over metrics and dimensions into DAX that means the same, NULL for BLANK.

DAX counts a BLANK as 0 where SQL gives NULL, takes BLANK = 0 for true, and compares texts without
regard to capitals. So each value knows whether it may be blank, and a condition is translated in two
forms, when it is true and when it is false: neither is the other's opposite where a NULL is in it.
What is not known here is refused, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from cadran.exports.powerbi.model import NotSayableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cadran.exports.powerbi.model import Kind

BLANK = "BLANK()"
_COMPARED = {exp.LT: ("<", ">="), exp.LTE: ("<=", ">"), exp.GT: (">", "<="), exp.GTE: (">=", "<")}
_ATOM = re.compile(r"[\w.]+|\[[^\[\]]*\]|'[^']*'\[[^\[\]]*\]|[A-Z]+\([^()]*\)")


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
    def part(self) -> str:
        """The text, in brackets where an operator beside it could tear it apart."""
        return self.text if _ATOM.fullmatch(self.text) else f"({self.text})"

    @property
    def wide(self) -> str:
        """The value as a floating number: a fixed decimal divided stays one, cut at four places."""
        return f"CONVERT({self.text}, DOUBLE)" if self.kind == "decimal" else self.text


class Translator:
    """Translates one expression; long parts that are needed twice become variables."""

    def __init__(self, names: Mapping[str, Value]) -> None:
        """Say what the names in the expression stand for."""
        self._names = {name.casefold(): value for name, value in names.items()}
        self.variables: dict[str, str] = {}

    def value(self, sql: str) -> Value:
        """The expression in DAX; it may read `variables`, names by what they stand for.

        Raises:
            NotSayableError: something in it has no exact counterpart.
        """
        return self._value(_parsed(sql))

    def conditions(self, sql: str) -> list[str]:
        """Conditions that hold together exactly where the SQL condition is true."""
        return [self._is(node, wanted=True) for node in _conjuncts(_parsed(sql))]

    def _value(self, node: exp.Expression) -> Value:
        if isinstance(node, exp.Paren):
            return self._value(node.this)
        if isinstance(node, exp.Column):
            return self._named(node)
        if isinstance(node, (exp.Literal, exp.Boolean)):
            return _literal(node)
        if isinstance(node, exp.Null):
            return Value(BLANK, "double")
        if isinstance(node, exp.Neg):
            inner = self._number(node.this)
            text = inner.text if inner.text.isdigit() else f"1 * {inner.part}"
            return Value(f"-{text}", inner.kind, inner.may_be_blank, inner.is_strict)
        if isinstance(node, (exp.Add, exp.Sub)):
            return self._sum(node)
        if isinstance(node, exp.Mul):
            return self._product(node)
        if isinstance(node, exp.Div):
            return self._quotient(node)
        if isinstance(node, exp.Coalesce):
            return self._first_known(node)
        if isinstance(node, exp.Nullif):
            inner, other = self._value(node.this), self._value(node.expression)
            kept = self._twice(inner)
            text = f"IF({kept.text} == {other.text}, {BLANK}, {kept.text})"
            return Value(text, inner.kind, True, inner.is_strict)  # noqa: FBT003
        if isinstance(node, exp.Case) and node.this is None:
            return self._case(node)
        if isinstance(node, exp.Cast) and node.to.is_type("double", "float"):
            inner = self._number(node.this)
            text = f"CONVERT({inner.text}, DOUBLE)"
            return Value(text, "double", inner.may_be_blank, inner.is_strict)
        raise _unknown(node)

    def _named(self, node: exp.Column) -> Value:
        name = node.name.casefold()
        if node.table or name not in self._names:
            raise _unknown(node)
        return self._names[name]

    def _number(self, node: exp.Expression) -> Value:
        value = self._value(node)
        if value.kind not in {"int64", "decimal", "double"}:
            raise NotSayableError(f"`{node.sql()}` is no number")
        return value

    def _sum(self, node: exp.Add | exp.Sub) -> Value:
        left, right = self._number(node.left), self._number(node.right)
        sign = "+" if isinstance(node, exp.Add) else "-"
        kind = _wider(left, right)
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
        kind = _wider(left, right)
        if "decimal" in {left.kind, right.kind} and "int64" not in {left.kind, right.kind}:
            sides = [f"CONVERT({side.text}, DOUBLE)" for side in (left, right)]
            kind = "double"
        blank = left.may_be_blank or right.may_be_blank
        return Value(" * ".join(sides), kind, blank, _strict(left, right))

    def _quotient(self, node: exp.Div) -> Value:
        above, below = self._number(node.left), node.right.unnest()
        if isinstance(below, exp.Nullif) and below.expression.sql() == "0":
            under = self._number(below.this)
            text = f"DIVIDE({above.wide}, {under.text})"
            return Value(text, "double", True, _strict(above, under))  # noqa: FBT003
        under = self._number(below)
        dividend = above.wide if above.kind == "decimal" else above.part
        if not under.may_be_blank:
            text = f"{dividend} / {under.part}"
            return Value(text, "double", above.may_be_blank, above.is_strict)
        under = self._twice(under)
        text = f"IF(ISBLANK({under.text}), {BLANK}, {dividend} / {under.part})"
        return Value(text, "double", True, _strict(above, under))  # noqa: FBT003

    def _first_known(self, node: exp.Coalesce) -> Value:
        values = [self._value(one) for one in (node.this, *node.expressions)]
        kept = []
        for value in values:
            kept.append(value)
            if not value.may_be_blank:
                break
        if len(kept) == 1:
            return kept[0]
        kind = kept[0].kind
        for value in kept[1:]:
            kind = _wider(Value("", kind), value)
        text = f"COALESCE({', '.join(value.text for value in kept)})"
        return Value(text, kind, kept[-1].may_be_blank, all(value.is_strict for value in kept))

    def _case(self, node: exp.Case) -> Value:
        lines, results = [], []
        for branch in node.args["ifs"]:
            result = self._value(branch.args["true"])
            results.append(result)
            lines.append(f"{self._is(branch.this, wanted=True)}, {result.text}")
        default = node.args.get("default")
        results.append(self._value(default) if default is not None else Value(BLANK, "double"))
        lines.append(results[-1].text)
        known = [result for result in results if result.text != BLANK] or results
        kind = known[0].kind
        for result in known[1:]:
            kind = _wider(Value("", kind), result)
        body = ",\n".join("\t" + line.replace("\n", "\n\t") for line in lines)
        blank = any(result.may_be_blank for result in results)
        return Value(
            f"SWITCH(\n\tTRUE(),\n{body}\n)", kind, blank, all(r.is_strict for r in results)
        )

    def _is(self, node: exp.Expression, *, wanted: bool) -> str:
        """DAX that is true exactly where the SQL condition is true, or false if that is wanted."""
        if isinstance(node, exp.Paren):
            return self._is(node.this, wanted=wanted)
        if isinstance(node, exp.Not):
            return self._is(node.this, wanted=not wanted)
        if isinstance(node, (exp.And, exp.Or)):
            sides = [self._is(side, wanted=wanted) for side in (node.left, node.right)]
            joined = "&&" if isinstance(node, exp.And) == wanted else "||"
            return f" {joined} ".join(f"({side})" for side in sides)
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            text = f"ISBLANK({self._value(node.this).text})"
            return text if wanted else f"NOT {text}"
        if isinstance(node, exp.In) and node.expressions:
            equal = [exp.EQ(this=node.this, expression=one) for one in node.expressions]
            sides = [self._is(one, wanted=wanted) for one in equal]
            return (" || " if wanted else " && ").join(f"({side})" for side in sides)
        if isinstance(node, exp.Between):
            low = exp.GTE(this=node.this, expression=node.args["low"])
            high = exp.LTE(this=node.this, expression=node.args["high"])
            return self._is(exp.And(this=low, expression=high), wanted=wanted)
        if isinstance(node, (exp.EQ, exp.NEQ)):
            return self._equal(node, wanted=isinstance(node, exp.EQ) == wanted)
        if type(node) in _COMPARED:
            left, right = self._number(node.left), self._number(node.right)
            sign = _COMPARED[type(node)][0 if wanted else 1]
            return self._known(f"{left.part} {sign} {right.part}", left, right)
        if isinstance(node, (exp.Column, exp.Boolean)):
            value = self._value(node)
            if value.kind == "boolean":
                return f"{value.text} == {'TRUE()' if wanted else 'FALSE()'}"
        raise _unknown(node)

    def _equal(self, node: exp.Expression, *, wanted: bool) -> str:
        left, right = self._value(node.left), self._value(node.right)
        if left.kind != right.kind and "string" in {left.kind, right.kind}:
            raise NotSayableError(f"`{node.sql()}` compares a text with something else")
        if not wanted:
            return self._known(f"{left.part} <> {right.part}", left, right)
        if left.may_be_blank and right.may_be_blank:
            return self._known(f"{left.part} == {right.part}", left, right)
        return f"{left.part} == {right.part}"

    @staticmethod
    def _known(text: str, *values: Value) -> str:
        known = [f"NOT ISBLANK({value.text})" for value in values if value.may_be_blank]
        return " && ".join([*known, text])

    def _twice(self, value: Value) -> Value:
        """The value under a name, when it is longer than one."""
        if _ATOM.fullmatch(value.text):
            return value
        name = self.variables.setdefault(value.text, f"_part{len(self.variables) + 1}")
        return Value(name, value.kind, value.may_be_blank, value.is_strict)


def _parsed(sql: str) -> exp.Expression:
    try:
        tree = parse_one(sql, read="duckdb", into=exp.Condition)
    except SqlglotError as error:
        raise NotSayableError(f"`{' '.join(sql.split())}` cannot be read") from error
    return tree


def _conjuncts(node: exp.Expression) -> list[exp.Expression]:
    node = node.unnest()
    if isinstance(node, exp.And):
        return [*_conjuncts(node.left), *_conjuncts(node.right)]
    return [node]


def _literal(node: exp.Literal | exp.Boolean) -> Value:
    if isinstance(node, exp.Boolean):
        return Value("TRUE()" if node.this else "FALSE()", "boolean", False, False)  # noqa: FBT003
    if node.is_string:
        doubled = node.this.replace('"', '""')
        return Value(f'"{doubled}"', "string", False, False)  # noqa: FBT003
    number = float(node.this)
    if number.is_integer() and abs(number) < 2**53:
        return Value(str(int(number)), "int64", False, False)  # noqa: FBT003
    return Value(f"CONVERT({number!r}, DOUBLE)", "double", False, False)  # noqa: FBT003


def _wider(left: Value, right: Value) -> Kind:
    for kind in ("double", "decimal"):
        if kind in {left.kind, right.kind}:
            return kind
    return left.kind


def _strict(left: Value, right: Value) -> bool:
    return left.is_strict or right.is_strict


def _unknown(node: exp.Expression) -> NotSayableError:
    return NotSayableError(f"`{node.sql(dialect='duckdb')}` has no exact counterpart in DAX")
