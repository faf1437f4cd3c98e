"""What a metric is made of, read from the semantic manifest in one place.

Metrics stand on each other: a ratio on two, a derived metric on several, a cumulative one on one, a
conversion on two; simple ones on the rows of a semantic model. Everything that follows from that
is told here: what is below a metric, what it divides, how many rows it rests on, and whether its
values may be summed.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.warehouse import dialects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlglot import exp

ADDITIVE, SEMI_ADDITIVE, NOT_ADDITIVE = "additive", "semi_additive", "not_additive"
SUMMING = ("sum", "count", "sum_boolean")


@dataclass(frozen=True, slots=True)
class Input:
    """A metric as another one reads it.

    Attributes:
        name: the metric that is read.
        role: numerator, denominator, term, accumulated, base or conversion.
        alias: what the expression of the reading metric calls it.
        offset_window: a count and a granularity, where another period is read.
        offset_to_grain: the grain to whose start it is shifted.
        filters: the filters of this reading, as the manifest writes them.
    """

    name: str
    role: str
    alias: str
    offset_window: dict[str, Any] | None
    offset_to_grain: str | None
    filters: tuple[dict[str, Any], ...]

    @property
    def is_shifted(self) -> bool:
        """Whether another period is read than the one that is asked."""
        return bool(self.offset_window or self.offset_to_grain)


@dataclass(frozen=True, slots=True)
class Components:
    """The metrics that stand for the two sides of a KPI and for the rows behind it, if any."""

    numerator: str | None
    denominator: str | None
    observations: str | None

    @property
    def names(self) -> list[str]:
        """Those that exist."""
        return [name for name in (self.numerator, self.denominator, self.observations) if name]


def filters_of(holder: dict[str, Any] | None) -> tuple[dict[str, Any], ...]:
    """The filters of a metric or of an input, as the manifest writes them."""
    return tuple(((holder or {}).get("filter") or {}).get("where_filters") or ())


def fills_gaps(metric: dict[str, Any]) -> bool:
    """Whether a metric has a value also where there are no rows."""
    params = metric["type_params"]
    return params.get("fill_nulls_with") is not None or bool(params.get("join_to_timespine"))


class MetricGraph:
    """The metrics of one semantic manifest, and what each is made of."""

    def __init__(self, manifest: dict[str, Any], dialect: str = dialects.DEFAULT) -> None:
        """Take a semantic manifest, and the dialect in which expressions are written."""
        self.metrics: dict[str, dict[str, Any]] = {
            metric["name"]: metric for metric in manifest["metrics"]
        }
        self.dialect = dialect
        self._additivity: dict[str, str | None] = {}
        self._inputs: dict[str, tuple[Input, ...]] = {}

    # What is below ----------------------------------------------------------------------------

    def inputs(self, name: str) -> tuple[Input, ...]:
        """The metrics that a metric reads itself; the numerator before the denominator."""
        if name not in self._inputs:
            self._inputs[name] = self._read_inputs(name)
        return self._inputs[name]

    def _read_inputs(self, name: str) -> tuple[Input, ...]:
        params = self.metrics[name]["type_params"]
        cumulative = params.get("cumulative_type_params") or {}
        conversion = params.get("conversion_type_params") or {}
        entries = (
            ("numerator", params.get("numerator")),
            ("denominator", params.get("denominator")),
            *(("term", entry) for entry in params.get("metrics") or ()),
            ("accumulated", cumulative.get("metric")),
            ("base", conversion.get("base_metric")),
            ("conversion", conversion.get("conversion_metric")),
        )
        return tuple(
            Input(
                entry["name"], role, entry.get("alias") or entry["name"],
                entry.get("offset_window"), entry.get("offset_to_grain"), filters_of(entry),
            )
            for role, entry in entries
            if entry
        )  # fmt: skip

    def closure(self, *names: str) -> list[str]:
        """These metrics and all below them, each once, a metric before what it reads."""
        below: dict[str, None] = {}
        waiting = list(reversed(names))
        while waiting:
            name = waiting.pop()
            if name not in below and name in self.metrics:
                below[name] = None
                waiting += reversed([part.name for part in self.inputs(name)])
        return list(below)

    def leaves(self, *names: str) -> list[str]:
        """The simple metrics at the bottom of metrics, each once, in the order of reading."""
        return [name for name in self.closure(*names) if self._kind(name) == "simple"]

    def direct_leaves(self, name: str) -> list[str]:
        """The simple metrics that a metric reads as they are: same period, no further filter."""
        if self._kind(name) == "simple":
            return [name]
        inputs = self.inputs(name)
        is_plain = self._kind(name) in {"ratio", "derived"} and not any(
            part.is_shifted or part.filters for part in inputs
        )
        leaves = (leaf for part in inputs for leaf in self.direct_leaves(part.name))
        return list(dict.fromkeys(leaves)) if is_plain else []

    def semantic_model(self, name: str) -> str | None:
        """The semantic model whose rows a simple metric aggregates; None for other metrics."""
        aggregation = self.aggregation(name)
        return str(aggregation["semantic_model"]) if aggregation else None

    def semantic_models(self, *names: str) -> set[str]:
        """The semantic models at the bottom of metrics."""
        return {model for leaf in self.leaves(*names) if (model := self.semantic_model(leaf))}

    def aggregation(self, name: str) -> dict[str, Any]:
        """How a simple metric aggregates rows; empty for other metrics."""
        params = self.metrics[name]["type_params"]
        return params.get("metric_aggregation_params") or {}

    def _kind(self, name: str) -> str:
        return str(self.metrics[name]["type"])

    # Time -------------------------------------------------------------------------------------

    def accumulates(self, name: str) -> bool:
        """Whether a metric is cumulative, or reads one that is."""
        return any(self._kind(below) == "cumulative" for below in self.closure(name))

    def needs_time(self, name: str) -> bool:
        """Whether a metric means something only by time: a window, a period to date, an offset."""
        for below in self.closure(name):
            span = self.metrics[below]["type_params"].get("cumulative_type_params") or {}
            if span.get("window") or span.get("grain_to_date"):
                return True
        return self._is_shifted(name)

    def reads_other_periods(self, *names: str) -> bool:
        """Whether a value of these metrics rests on other rows than those of its period."""
        return any(
            self._kind(name) in {"cumulative", "conversion"}
            or bool(self.aggregation(name).get("non_additive_dimension"))
            for name in self.closure(*names)
        ) or self._is_shifted(*names)

    def uneven_offset(self, name: str, grain: str) -> str | None:
        """The first offset at or below a metric that is no whole number of a grain's periods.

        MetricFlow subtracts an offset from a period's first day: one that does not lead to the
        first day of another period reads days twice, or never, or no period at all.

        Returns:
            The offset as it is written, such as `1 month`; None where each is whole.
        """
        for below in self.closure(name):
            for part in self.inputs(below):
                if part.offset_window and not _is_whole(part.offset_window, grain):
                    return f"{part.offset_window['count']} {part.offset_window['granularity']}"
        return None

    def offset_to_grain(self, name: str) -> str | None:
        """The grain to whose start a metric, or one below it, is shifted; None where none is."""
        parts = (part for below in self.closure(name) for part in self.inputs(below))
        return next((part.offset_to_grain for part in parts if part.offset_to_grain), None)

    def times(self, name: str) -> set[tuple[str, str]]:
        """The times by which the rows of a metric are counted, with their semantic models."""
        leaves = map(self.aggregation, self.leaves(name))
        return {
            (leaf["semantic_model"], leaf["agg_time_dimension"])
            for leaf in leaves
            if leaf.get("agg_time_dimension")
        }

    def is_counted_by(self, name: str, time: str) -> bool:
        """Whether a name, without its grain, is a time by which rows of a metric are counted."""
        own = time.rpartition("__")[2]
        return own == "metric_time" or own in {counted for _, counted in self.times(name)}

    def _is_shifted(self, *names: str) -> bool:
        return any(part.is_shifted for name in self.closure(*names) for part in self.inputs(name))

    def conversion_entities(self, *names: str) -> set[str]:
        """The entities by which the conversions among these metrics, or below them, are joined."""
        params = (
            self.metrics[name]["type_params"].get("conversion_type_params")
            for name in self.closure(*names)
        )
        return {str(conversion["entity"]) for conversion in params if conversion}

    # Sums -------------------------------------------------------------------------------------

    def additivity(self, name: str) -> str | None:
        """How the values of a metric may be summed, as its definition tells.

        Returns:
            `additive` over time and dimensions; `semi_additive` over dimensions alone;
            `not_additive`; None where the expression does not tell.
        """
        if name not in self._additivity:
            self._additivity[name] = self._read_additivity(name)
        return self._additivity[name]

    def is_additive(self, name: str) -> bool:
        """Whether the values of a metric may be summed over time and dimensions."""
        return self.additivity(name) == ADDITIVE

    def accrues(self, name: str) -> bool:
        """Whether the value of a period comes together over it: a sum, a count of distinct things.

        Before the end of the period it says nothing of where it will be.
        """
        kind = self._kind(name)
        if kind == "simple" and self.aggregation(name).get("agg") == "count_distinct":
            return True
        if kind != "derived":
            return self.is_additive(name)
        inputs = self.inputs(name)
        shape = _shape(self.metrics[name]["type_params"]["expr"], inputs, self.dialect)
        is_shifted = any(part.is_shifted for part in inputs)
        return shape == "linear" and not is_shifted and all(self.accrues(p.name) for p in inputs)

    def _read_additivity(self, name: str) -> str | None:
        kind = self._kind(name)
        if kind == "simple":
            return _additivity_of(self.aggregation(name))
        if kind in {"ratio", "conversion"}:
            return NOT_ADDITIVE
        inputs = self.inputs(name)
        below = [self.additivity(part.name) for part in inputs]
        if kind == "cumulative":
            return below[0] if below[0] != ADDITIVE else SEMI_ADDITIVE
        shape = _shape(self.metrics[name]["type_params"]["expr"], inputs, self.dialect)
        if shape != "linear" or None in below:
            return NOT_ADDITIVE if shape in {"quotient", "constant"} else None
        if NOT_ADDITIVE in below:
            return NOT_ADDITIVE
        # A value of another period does not move with the period's own sum.
        is_shifted = any(part.is_shifted for part in inputs)
        return SEMI_ADDITIVE if is_shifted or SEMI_ADDITIVE in below else ADDITIVE

    # Components -------------------------------------------------------------------------------

    def observed(self, name: str) -> str | None:
        """The simple metric whose rows say on how many observations a value rests.

        It is the first building block: of a ratio that of the denominator, of a conversion that
        of the base.
        """
        if self._kind(name) == "simple":
            return name
        inputs = self.inputs(name)
        below = [part for part in inputs if part.role == "denominator"] or inputs
        return self.observed(below[0].name) if below else None

    def with_components(
        self, kpis: Iterable[str]
    ) -> tuple[list[dict[str, Any]], dict[str, Components]]:
        """The metrics, with those that give each KPI's components beside them, and their names."""
        added: dict[str, dict[str, Any]] = {}
        components = {kpi: self._components(kpi, added) for kpi in kpis}
        return [*self.metrics.values(), *added.values()], components

    def _components(self, kpi: str, added: dict[str, dict[str, Any]]) -> Components:
        names: list[str | None] = []
        for side, (expression, inputs) in zip(
            ("numerator", "denominator"), self._sides(kpi), strict=False
        ):
            metric = copy.deepcopy(self.metrics[kpi])
            metric |= {
                "name": f"{kpi}_ledger_{side}", "label": None, "type": "derived", "config": None,
            }  # fmt: skip
            metric["type_params"] |= {
                "expr": expression, "metrics": inputs, "numerator": None, "denominator": None,
                "is_private": True,
            }  # fmt: skip
            added[metric["name"]] = metric
            names.append(metric["name"])
        numerator, denominator = names or (None, None)
        counted = self.observed(kpi)
        observations = None
        if counted is not None:
            observations = f"{counted}_ledger_observations"
            metric = copy.deepcopy(self.metrics[counted])
            metric |= {"name": observations, "label": None, "config": None}
            metric["type_params"] |= {
                "join_to_timespine": False, "fill_nulls_with": None, "is_private": True,
            }  # fmt: skip
            metric["type_params"]["metric_aggregation_params"] |= {
                "agg": "count", "agg_params": None, "non_additive_dimension": None,
            }  # fmt: skip
            added[observations] = metric
        return Components(numerator, denominator, observations)

    def _sides(self, kpi: str) -> list[tuple[str, list[dict[str, Any]]]]:
        """The expressions above and below a division, each with the inputs that it reads."""
        metric = self.metrics[kpi]
        params = metric["type_params"]
        if metric["type"] == "ratio":
            both = (params["numerator"], params["denominator"])
            return [(entry.get("alias") or entry["name"], [entry]) for entry in both]
        if metric["type"] != "derived":
            return []
        import sqlglot
        from sqlglot import exp

        try:
            tree = sqlglot.parse_one(params["expr"], dialect=self.dialect).unnest()
        except sqlglot.ParseError:
            return []
        if not isinstance(tree, exp.Div):
            return []
        below = tree.right.unnest()
        below = below.this if isinstance(below, exp.Nullif) else below
        sides = []
        for side in (tree.left.unnest(), below):
            names = {column.name for column in side.find_all(exp.Column)}
            inputs = [e for e in params["metrics"] if (e.get("alias") or e["name"]) in names]
            if not inputs:
                return []
            sides.append((side.sql(dialect=self.dialect), inputs))
        return sides


_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


def _is_whole(window: dict[str, Any], grain: str) -> bool:
    """Whether a window leads from the start of each period of a grain to that of another one."""
    count, unit = int(window["count"]), str(window["granularity"]).lower()
    for sizes in (_DAYS, _MONTHS):
        if grain in sizes and unit in sizes:
            return count * sizes[unit] % sizes[grain] == 0
    # Each day has one some months before; nothing is said of calendars of the project's own.
    is_known = unit in _DAYS or unit in _MONTHS
    return not is_known or grain not in {*_DAYS, *_MONTHS} or grain == "day"


def _additivity_of(aggregation: dict[str, Any]) -> str:
    if aggregation.get("agg") not in SUMMING:
        return NOT_ADDITIVE
    return SEMI_ADDITIVE if aggregation.get("non_additive_dimension") else ADDITIVE


def _shape(expr: str, inputs: Iterable[Input], dialect: str) -> str | None:
    """`linear` in the inputs, `constant`, a `quotient` of inputs, or None where it is not told."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        return _shape_of(sqlglot.parse_one(expr, dialect=dialect), {i.alias for i in inputs})
    except SqlglotError:
        return None


def _shape_of(node: exp.Expr, names: set[str]) -> str | None:
    from sqlglot import exp

    if isinstance(node, exp.Column):
        return "linear" if node.name in names else None
    if isinstance(node, exp.Literal):
        return "constant"
    if isinstance(node, (exp.Paren, exp.Neg, exp.Cast, exp.Nullif)) or _is_or_zero(node):
        return _shape_of(node.this, names)
    if isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.Div)):
        return _of_two(node, _shape_of(node.this, names), _shape_of(node.expression, names))
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
