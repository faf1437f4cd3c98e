"""Expressions of rules: figures by name, numbers, the four operations, comparisons, and, or, not.

    used > 1 and used_1 > 1
    share_of(detect, restore) > detection_share or known(credit)

Python's own parser reads them; nothing but what stands here is understood, and nothing is called
or looked up beyond it. Numbers are exact. A figure without a value makes what is made of it
unknown, and `and` and `or` know what they can: `false and unknown` is false.
"""

from __future__ import annotations

import ast
import operator
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LONGEST = 500
_OPERATIONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
FUNCTIONS = {
    "known": "whether a figure has a value",
    "first": "the first of several that has a value",
    "share_of": "the first divided by the second; unknown where that is 0",
    "min": "the least of those that have a value",
    "max": "the greatest of those that have a value",
}
_PLACES = {"share_of": 2, "known": 1}
_GRAMMAR = (
    "figures by name, numbers, + - * /, comparisons, and, or, not, brackets and "
    f"{', '.join(FUNCTIONS)}"
)


class Expression:
    """One expression, read once."""

    def __init__(self, text: str) -> None:
        """Read it.

        Raises:
            QueryError: it is none of this grammar.
        """
        self.text = text
        if len(text) > _LONGEST:
            raise QueryError(
                f"An expression has at most {_LONGEST} characters; this has {len(text)}."
            )
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
            self.names = frozenset(self._checked(self._tree))
        except QueryError:
            raise
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise QueryError(f"'{text}' is no expression: it takes {_GRAMMAR}.") from None

    def of(self, values: Mapping[str, Any]) -> Fraction | bool | None:
        """Its value; None where that is not known.

        Args:
            values: the figures by name; one that is not there, or is a text, has no number.
        """
        value: Fraction | bool | None = self._value(self._tree, values)
        return value

    def holds(self, values: Mapping[str, Any]) -> bool | None:
        """Whether it holds; None where that is not known."""
        value = self.of(values)
        return None if value is None else bool(value)

    def _refuse(self, what: str) -> QueryError:
        return QueryError(f"'{self.text}' holds {what}: an expression takes {_GRAMMAR}.")

    def _checked(self, node: ast.AST) -> list[str]:
        """The figures below a node, all of which is of the grammar."""
        inner: list[ast.expr]
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return []
            case ast.Name(id=name):
                return [name]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in {*_OPERATIONS, ast.Div}:
                inner = [left, right]
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                inner = [operand]
            case ast.BoolOp(values=values):
                inner = values
            case ast.Compare(left=left, ops=ops, comparators=others) if all(
                type(op) in _OPERATIONS for op in ops
            ):
                inner = [left, *others]
            case ast.Call(func=ast.Name(id=name), args=inner, keywords=[]) if name in FUNCTIONS:
                if not inner or len(inner) != _PLACES.get(name, len(inner)):
                    raise self._refuse(f"{name} of {len(inner)}")
            case _:
                raise self._refuse(f"'{ast.unparse(node)}'")
        return [name for part in inner for name in self._checked(part)]

    def _value(self, node: ast.AST, values: Mapping[str, Any]) -> Any:
        value: Any
        match node:
            case ast.Constant(value=int() as number):
                value = Fraction(number)
            case ast.Constant():
                source = ast.get_source_segment(self.text.strip(), node)
                value = Fraction(source or str(node.value))
            case ast.Name(id=name):
                value = exact(values.get(name))
            case ast.Call(func=ast.Name(id=name), args=parts):
                value = _called(name, [self._value(part, values) for part in parts])
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [self._value(part, values) for part in (left, *others)]
                pairs = list(zip(ops, sides, sides[1:], strict=False))
                value = None if None in sides else all(_operated(*pair) for pair in pairs)
            case _:
                value = self._joined(node, values)
        return value

    def _joined(self, node: ast.AST, values: Mapping[str, Any]) -> Any:
        """The value of operations and of what `and`, `or` and `not` make of conditions."""
        value: Any = None
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                value = _operated(op, self._value(left, values), self._value(right, values))
            case ast.UnaryOp(op=op, operand=operand):
                inner = self._value(operand, values)
                if inner is not None:
                    value = not inner if isinstance(op, ast.Not) else -inner
            case ast.BoolOp(op=op, values=parts):
                known = [self._value(part, values) for part in parts]
                decides = isinstance(op, ast.Or)  # one that is true decides an `or`
                if any(inner is not None and bool(inner) is decides for inner in known):
                    value = decides
                elif None not in known:
                    value = not decides
        return value


def exact(value: Any) -> Fraction | None:
    """A number exactly as it is written; None for what is none."""
    if isinstance(value, bool):
        return Fraction(int(value))
    if isinstance(value, float):
        value = repr(value)
    elif not isinstance(value, (int, Decimal, Fraction)):
        return None
    try:
        return Fraction(value)
    except (ValueError, OverflowError):
        return None  # infinite, or no number


def _operated(op: ast.AST, left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    if isinstance(op, ast.Div):
        return left / right if right else None
    return _OPERATIONS[type(op)](left, right)


def _called(name: str, values: list[Any]) -> Any:
    known = [value for value in values if value is not None]
    if name == "known":
        return bool(known)
    if name == "share_of":
        return _operated(ast.Div(), *values)
    if not known:
        return None
    return known[0] if name == "first" else {"min": min, "max": max}[name](known)
