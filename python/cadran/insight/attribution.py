"""How the change of a formula is shared among its factors, so that the shares add up to it.

A product or quotient of factors above zero changes by L(v1, v0) x ln(x1 / x0) for each factor x,
with L the logarithmic mean (LMDI-I: Ang, "The LMDI approach to decomposition analysis", Energy
Policy 33, 2005). Where a sign or a zero has no logarithm, and for any other formula, each factor
has its Shapley value: its mean effect over all orders in which the factors could have changed one
by one.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError

if TYPE_CHECKING:
    from cadran.core.semantics.tree import Relation

Pair = tuple[Fraction, Fraction]


class Formula:
    """The expression of a relation, evaluated exactly."""

    def __init__(self, relation: Relation, dialect: str) -> None:
        """Take a relation that has an expression, in this dialect."""
        import sqlglot

        self._relation = relation
        self._tree = sqlglot.parse_one(relation.expression or "", read=dialect)

    def of(self, values: dict[str, Fraction]) -> Fraction:
        """Its value.

        Raises:
            QueryError: it divides by zero, or holds more than the four operations.
        """
        value = self._value(self._tree, values)
        if value is None:
            raise QueryError(
                f"{self._relation.expression}, of which {self._relation.kpi} is made, divides by"
                " zero for some of its factors, so its change is not split by them."
            )
        return value

    def _value(self, node: Any, values: dict[str, Fraction]) -> Fraction | None:
        from sqlglot import exp

        if isinstance(node, exp.Column):
            return values[node.name]
        if isinstance(node, exp.Literal) and not node.is_string:
            return Fraction(node.name)
        if isinstance(node, (exp.Paren, exp.Cast)):
            return self._value(node.this, values)
        if isinstance(node, exp.Neg):
            inner = self._value(node.this, values)
            return None if inner is None else -inner
        if isinstance(node, exp.Coalesce):
            found = (self._value(part, values) for part in (node.this, *node.expressions))
            return next((value for value in found if value is not None), None)
        if isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Nullif)):
            left, right = (self._value(n, values) for n in (node.this, node.expression))
            return _combined(node, left, right)
        raise QueryError(
            f"{self._relation.expression}, of which {self._relation.kpi} is made, is more than"
            " sums, products and quotients, so its change is not split by factors."
        )


def _combined(node: Any, left: Fraction | None, right: Fraction | None) -> Fraction | None:
    from sqlglot import exp

    if left is None or right is None:
        return left if isinstance(node, exp.Nullif) else None
    if isinstance(node, exp.Add):
        return left + right
    if isinstance(node, exp.Sub):
        return left - right
    if isinstance(node, exp.Mul):
        return left * right
    if isinstance(node, exp.Div):
        return left / right if right else None
    return None if left == right else left


def lmdi(
    base: float, value: float, factors: dict[str, Pair], signs: dict[str, int]
) -> dict[str, Fraction]:
    """The contributions of the factors of a product or quotient that are all above zero.

    Args:
        base: the product before.
        value: the product now.
        factors: of each its value before and now.
        signs: -1 of those that divide, else 1.
    """
    change = value - base
    mean = base if not change else change / math.log1p(change / base)
    return {
        alias: Fraction(signs[alias] * mean * math.log1p(pair[1] / pair[0] - 1))
        for alias, pair in factors.items()
    }


def shapley(formula: Formula, factors: dict[str, Pair]) -> dict[str, Fraction]:
    """The Shapley value of each factor: its mean effect over all orders of change."""
    names = list(factors)
    values = {
        changed: formula.of({n: factors[n][n in changed] for n in names})
        for size in range(len(names) + 1)
        for changed in map(frozenset, combinations(names, size))
    }
    count = len(names)
    weights = [
        Fraction(math.factorial(size) * math.factorial(count - size - 1), math.factorial(count))
        for size in range(count)
    ]
    return {
        name: sum(
            (
                weights[len(before)] * (values[before | {name}] - values[before])
                for before in values
                if name not in before
            ),
            Fraction(0),
        )
        for name in names
    }
