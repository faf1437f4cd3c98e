"""What stands behind a value: numerator, denominator and observations, as metrics of their own.

The layer answers only what the semantic manifest defines. So a copy of the manifest is kept beside
it, in which each KPI that divides has two metrics more, its two sides, and each KPI one that counts
the rows of its building block. Nothing in it is changed, only added; the definitions stay one.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.core.project.artifacts import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlglot import exp

    from cadran.core.layer import Layer
    from cadran.governance.context import Context


_MOST_LEVELS = 20


@dataclass(frozen=True, slots=True)
class Parts:
    """The names of the metrics behind a KPI in the measuring layer; None where there is none."""

    numerator: str | None
    denominator: str | None
    observations: str | None

    @property
    def names(self) -> list[str]:
        """Those that exist."""
        return [name for name in (self.numerator, self.denominator, self.observations) if name]


def measuring(layer: Layer, home: Path | None = None) -> tuple[Layer, dict[str, Parts]]:
    """A layer that also knows the parts of each KPI, and their names by KPI.

    It answers from the same warehouse connection as the layer given.

    Args:
        layer: the layer whose KPIs are measured.
        home: the folder for its manifest; by default one beside the compiled questions, for all
            that measure the same project.
    """
    metrics = {metric["name"]: metric for metric in layer.project.semantic_manifest["metrics"]}
    added: dict[str, dict[str, Any]] = {}
    parts = {card.name: _parts(card.name, metrics, added) for card in layer.kpis()}
    manifest = copy.copy(layer.project.semantic_manifest)
    manifest["metrics"] = [*metrics.values(), *added.values()]
    folder = _folder(layer) if home is None else home
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "semantic_manifest.json"
    text = json.dumps(manifest, sort_keys=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    plans = None if home is None else layer.project.plans
    project = Project(path, layer.project.database, layer.project.root, plans=plans)
    return layer.over(project), parts


def leaves(layer: Layer, kpi: str) -> list[str]:
    """The simple metrics that a KPI is made of, whatever stands between."""
    return [metric["name"] for metric in reached(layer, kpi) if metric["type"] == "simple"]


def reached(layer: Layer, kpi: str) -> list[dict[str, Any]]:
    """The metrics that a KPI is made of, itself and those between included, each once."""
    metrics = {metric["name"]: metric for metric in layer.project.semantic_manifest["metrics"]}
    return [metrics[name] for name in dict.fromkeys(_reached(kpi, metrics))]


def _folder(layer: Layer) -> Path:
    plans = layer.project.plans
    if plans is None:
        return Path(tempfile.mkdtemp(prefix="cadran-ledger-"))
    return plans.parent / "ledger"


def _parts(kpi: str, metrics: dict[str, dict[str, Any]], added: dict[str, dict[str, Any]]) -> Parts:
    sides = _sides(metrics[kpi])
    names: list[str | None] = []
    for side, found in zip(("numerator", "denominator"), sides or (), strict=False):
        name = f"{kpi}_ledger_{side}"
        expression, inputs = found
        metric = copy.deepcopy(metrics[kpi])
        metric |= {"name": name, "label": None, "type": "derived", "config": None}
        metric["type_params"] |= {
            "expr": expression, "metrics": inputs, "numerator": None, "denominator": None,
            "is_private": True,
        }  # fmt: skip
        added[name] = metric
        names.append(name)
    numerator, denominator = names or (None, None)
    simple = (name for name in _reached(kpi, metrics) if metrics[name]["type"] == "simple")
    counted = next(simple, None)
    observations = None
    if counted is not None:
        observations = f"{counted}_ledger_observations"
        metric = copy.deepcopy(metrics[counted])
        metric |= {"name": observations, "label": None, "config": None}
        metric["type_params"] |= {
            "join_to_timespine": False, "fill_nulls_with": None, "is_private": True,
        }  # fmt: skip
        metric["type_params"]["metric_aggregation_params"] |= {
            "agg": "count", "agg_params": None, "non_additive_dimension": None,
        }  # fmt: skip
        added[observations] = metric
    return Parts(numerator, denominator, observations)


def _sides(metric: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]] | None:
    """The expressions above and below a division, each with the metrics that it reads."""
    given = metric["type_params"]
    if metric["type"] == "ratio":
        return [
            (part["alias"] or part["name"], [part])
            for part in (given["numerator"], given["denominator"])
        ]
    if metric["type"] != "derived":
        return None
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(given["expr"], dialect="duckdb").unnest()
    except sqlglot.ParseError:
        return None
    if not isinstance(tree, exp.Div):
        return None
    below = tree.right.unnest()
    below = below.this if isinstance(below, exp.Nullif) else below
    sides = []
    for side in (tree.left.unnest(), below):
        read = {column.name for column in side.find_all(exp.Column)}
        inputs = [part for part in given["metrics"] if (part["alias"] or part["name"]) in read]
        if not inputs:
            return None
        sides.append((side.sql(dialect="duckdb"), inputs))
    return sides


def _reached(name: str, metrics: dict[str, dict[str, Any]], level: int = 0) -> Iterator[str]:
    """A metric and all below, the denominator of a ratio first: it says how many were looked at."""
    yield name
    given = metrics[name]["type_params"]
    conversion = given["conversion_type_params"] or {}
    cumulative = given["cumulative_type_params"] or {}
    inputs = [
        given["denominator"], given["numerator"], cumulative.get("metric"),
        conversion.get("base_metric"), conversion.get("conversion_metric"),
        *(given["metrics"] or []),
    ]  # fmt: skip
    for part in filter(None, inputs):
        if level < _MOST_LEVELS:
            yield from _reached(part["name"], metrics, level + 1)


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
