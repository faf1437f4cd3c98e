"""Whether a metric may be summed, derived from its type, aggregation and expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot import exp

    from cadran.governance.context import Context

ADDITIVE, SEMI_ADDITIVE, NOT_ADDITIVE = "additive", "semi_additive", "not_additive"
_SUMMING = {"sum", "count", "sum_boolean"}


def derive(context: Context, metric: str) -> str | None:
    """How the values of a metric may be summed.

    Returns:
        `additive` over time and dimensions; `semi_additive` over dimensions alone;
        `not_additive`; None where the expression does not tell.
    """
    found = context.metrics[metric]
    kind = found["type"]
    if kind == "simple":
        return _simple(found["type_params"]["metric_aggregation_params"] or {})
    if kind in {"ratio", "conversion"}:
        return NOT_ADDITIVE
    inputs = context.inputs(metric)
    parts = [derive(context, entry["name"]) for entry in inputs]
    if kind == "cumulative":
        return parts[0] if parts[0] != ADDITIVE else SEMI_ADDITIVE
    return _derived(found["type_params"]["expr"], inputs, parts)


def _simple(aggregation: dict[str, Any]) -> str:
    if aggregation.get("agg") not in _SUMMING:
        return NOT_ADDITIVE
    return SEMI_ADDITIVE if aggregation.get("non_additive_dimension") else ADDITIVE


def _derived(expr: str, inputs: list[dict[str, Any]], parts: list[str | None]) -> str | None:
    import sqlglot
    from sqlglot.errors import SqlglotError

    names = {entry.get("alias") or entry["name"] for entry in inputs}
    try:
        shape = _shape(sqlglot.parse_one(expr, dialect="duckdb"), names)
    except SqlglotError:
        return None
    if shape != "linear" or None in parts:
        return NOT_ADDITIVE if shape in {"quotient", "constant"} else None
    if NOT_ADDITIVE in parts:
        return NOT_ADDITIVE
    # A value of another period does not move with the period's own sum.
    is_offset = any(i.get("offset_window") or i.get("offset_to_grain") for i in inputs)
    return SEMI_ADDITIVE if is_offset or SEMI_ADDITIVE in parts else ADDITIVE


def _shape(node: exp.Expr, names: set[str]) -> str | None:
    """`linear` in the inputs, `constant`, a `quotient` of inputs, or None where it is not told."""
    from sqlglot import exp

    if isinstance(node, exp.Column):
        return "linear" if node.name in names else None
    if isinstance(node, exp.Literal):
        return "constant"
    if isinstance(node, (exp.Paren, exp.Neg, exp.Cast, exp.Nullif)) or _is_or_zero(node):
        return _shape(node.this, names)
    if isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.Div)):
        return _of_two(node, _shape(node.this, names), _shape(node.expression, names))
    return None


def _is_or_zero(node: exp.Expr) -> bool:
    """True for `coalesce(x, 0)`."""
    from sqlglot import exp

    if not isinstance(node, exp.Coalesce) or len(node.expressions) != 1:
        return False
    other = node.expressions[0]
    return bool(other.is_number) and float(other.name) == 0


def _of_two(node: exp.Expr, left: str | None, right: str | None) -> str | None:
    from sqlglot import exp

    if "quotient" in {left, right}:
        return "quotient"
    if None in {left, right}:
        return None
    if isinstance(node, (exp.Add, exp.Sub)):
        # A constant that is added once a period is added as often as there are periods.
        return left if left == right else "quotient"
    if isinstance(node, exp.Div):
        return left if right == "constant" else "quotient"
    return right if left == "constant" else left if right == "constant" else "quotient"
