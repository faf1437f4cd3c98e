"""Metrics as Ossie writes them: one expression in standard SQL over the fields of datasets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from cadran.exports.expressions import UnsayableError, said
from cadran.where import names_in

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_PERCENTILES = ("median", "percentile")
_AGGREGATES: dict[str, type[exp.AggFunc]] = {
    "sum": exp.Sum, "count": exp.Count, "min": exp.Min, "max": exp.Max, "average": exp.Avg,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """An expression, the datasets whose fields it reads, and the fields that are their time."""

    sql: str
    datasets: tuple[str, ...]
    times: tuple[str, ...]


@dataclass(slots=True)
class Expressions:
    """Writes the metrics of one semantic manifest, and notes which columns they read."""

    metrics: Mapping[str, dict[str, Any]]
    models: Mapping[str, dict[str, Any]]
    columns: dict[str, set[str]] = field(default_factory=dict)

    def of(self, name: str) -> Said:
        """The expression of a metric.

        Raises:
            UnsayableError: the format has none for it.
        """
        datasets: list[str] = []
        times: list[str] = []

        def leaf(metric: dict[str, Any], filters: tuple[dict[str, Any], ...]) -> exp.Expression:
            aggregation = metric["type_params"]["metric_aggregation_params"]
            model = aggregation["semantic_model"]
            time = aggregation["agg_time_dimension"]
            datasets.append(model)
            times.append(f"{model}.{time or self.models[model]['defaults']['agg_time_dimension']}")
            return self._aggregate(metric, aggregation, filters)

        # Postgres' dialect is the nearest to the standard: its division of integers is whole.
        sql = said(self.metrics, name, leaf).sql(dialect="postgres")
        return Said(str(sql), tuple(dict.fromkeys(datasets)), tuple(dict.fromkeys(times)))

    def _aggregate(
        self,
        metric: dict[str, Any],
        aggregation: dict[str, Any],
        filters: tuple[dict[str, Any], ...],
    ) -> exp.Expression:
        given = metric["type_params"]
        if aggregation["non_additive_dimension"]:
            raise UnsayableError("it is a stock, read at one moment of each period")
        if given["fill_nulls_with"] is not None or given["join_to_timespine"]:
            raise UnsayableError("it has a value where there are no rows")
        model = aggregation["semantic_model"]
        row = self._qualified(given["expr"] or metric["name"], model)
        agg = aggregation["agg"]
        if agg == "sum_boolean":
            row, agg = exp.case().when(row, "1").else_("0"), "sum"
        for one in filters:
            row = exp.case().when(self._condition(one["where_sql_template"], model), row)
        if agg in _AGGREGATES:
            return _AGGREGATES[agg](this=row)
        if agg == "count_distinct":
            return exp.Count(this=exp.Distinct(expressions=[row]))
        parameters = aggregation["agg_params"] or {}
        if agg in _PERCENTILES and not parameters.get("use_approximate_percentile"):
            share = "0.5" if agg == "median" else str(parameters["percentile"])
            discrete = parameters.get("use_discrete_percentile")
            kind = exp.PercentileDisc if discrete else exp.PercentileCont
            order = exp.Order(expressions=[exp.Ordered(this=row)])
            return exp.WithinGroup(this=kind(this=exp.Literal.number(share)), expression=order)
        raise UnsayableError(f"standard SQL has no aggregate for {agg}")

    def _qualified(self, sql: str, model: str) -> exp.Expression:
        """A row's expression with each column as `dataset.column`."""

        def put(node: exp.Expression) -> exp.Expression:
            if not isinstance(node, exp.Column):
                return node
            self.columns.setdefault(model, set()).add(node.name)
            return exp.column(node.name, table=model)

        return sqlglot.parse_one(sql, dialect="duckdb").transform(put)

    def _condition(self, template: str, model: str) -> exp.Expression:
        """A filter with each template as the expression of the dataset's own dimension."""
        dimensions = {one["name"]: one for one in self.models[model]["dimensions"]}
        key = primary_entity(self.models[model])

        def put(found: re.Match[str]) -> str:
            named = names_in(found[0])
            if len(named.dimensions) != 1 or named.dimensions[0].grain:
                raise UnsayableError(f"its filter reads {found[0]}")
            entity, _, name = named.dimensions[0].name.rpartition("__")
            if entity != key or name not in dimensions:
                raise UnsayableError(f"its filter reads {found[0]}, which is of another table")
            return f"({dimensions[name]['expr']})" if dimensions[name]["expr"] else name

        return self._qualified(_TEMPLATE.sub(put, template), model)


def primary_entity(model: dict[str, Any]) -> str | None:
    """The name of a semantic model's own entity, by which its dimensions are asked."""
    for entity in model["entities"]:
        if entity["type"] == "primary":
            return str(entity["name"])
    named: str | None = model["primary_entity"]
    return named
