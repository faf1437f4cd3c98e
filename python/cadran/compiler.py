"""MetricFlow, behind one wall: a question goes in, SQL comes out.

MetricFlow's Python API is declared unstable, so nothing else in Cadran imports it, and its version
is pinned. It is imported by the first question whose plan is not cached.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
import threading
from typing import TYPE_CHECKING, Any

from cadran.errors import CadranError, QueryError, UnknownNameError
from cadran.rewrite import faster

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.project import Project
    from cadran.query import GroupBy, Query

# MetricFlow refuses a later end. UTC without a zone, as all times here.
_FIRST, _LAST = dt.datetime(1900, 1, 1), dt.datetime(2040, 12, 31)  # noqa: DTZ001

_LAST_DAY = re.compile(
    r"(DATE_TRUNC\('(?:second|minute|hour)', [\w.]+\) BETWEEN '[^']+' AND '\d{4}-\d\d-\d\d)'"
)


class Compiler:
    """Compiles questions against one semantic manifest. Thread-safe."""

    def __init__(self, project: Project) -> None:
        """Remember the project; MetricFlow reads it at the first question."""
        self._project = project
        self._engine_made: Any = None
        self._lock = threading.Lock()

    @property
    def _engine(self) -> Any:
        with self._lock:
            if self._engine_made is None:
                self._engine_made = _make_engine(self._project)
            return self._engine_made

    def sql(self, query: Query) -> str:
        """The SQL of a question.

        Raises:
            UnknownNameError: a metric, dimension or grain in it does not exist.
            QueryError: MetricFlow refuses it for another reason.
        """
        from metricflow.engine.metricflow_engine import (
            MetricFlowQueryRequest,
            OutputColumnOrderMode,
        )

        try:
            request = MetricFlowQueryRequest.create(
                metric_names=query.metrics or None,
                where_constraints=query.where or None,
                **_grouping(query),
                limit=query.limit,
                **_time_range(query),
                min_max_only=query.min_max_only,
                apply_group_by=query.apply_group_by,
                output_column_order_mode=OutputColumnOrderMode.INPUT_ORDER,
            )
            sql: str = self._engine.explain(request).sql_statement.sql
        except CadranError:
            raise
        except Exception as error:  # noqa: BLE001 - MetricFlow raises many kinds
            raise self._refusal(query, error) from None
        return faster(_whole_last_day(sql), dialect="duckdb")

    def dimension_values_sql(self, dimension: GroupBy, metrics: Iterable[str]) -> str:
        """The SQL that lists the values of a dimension, as far as the metrics have them."""
        from cadran.query import ask

        return (
            self.sql(ask(metrics=(), group_by=[dimension]))
            if not metrics
            else self._values(dimension, tuple(metrics))
        )

    def _values(self, dimension: GroupBy, metrics: tuple[str, ...]) -> str:
        from cadran.query import ask

        try:
            explained = self._engine.explain_get_dimension_values(
                metric_names=list(metrics), get_group_by_values=dimension.column
            )
        except Exception as error:  # noqa: BLE001 - MetricFlow raises many kinds
            raise self._refusal(ask(metrics, [dimension]), error) from None
        sql: str = explained.sql_statement.sql
        return sql

    def group_bys(self, metrics: Iterable[str]) -> list[dict[str, str]]:
        """What these metrics can be grouped by: name, kind and description, sorted by name."""
        names = list(metrics)
        found = self._engine.list_group_bys(metric_names=names or None)
        listed: dict[str, dict[str, str]] = {}
        for item in found:
            kind = type(item).__name__.lower()
            if kind == "dimension":
                kind = str(item.type.value)
            name = (
                item.granularity_free_dunder_name
                if hasattr(item, "granularity_free_dunder_name")
                else item.name
            )
            listed[name] = {"name": name, "type": kind, "description": item.description or ""}
        return [listed[name] for name in sorted(listed)]

    def _refusal(self, query: Query, error: Exception) -> QueryError:
        """The error that names what is wrong, found by asking MetricFlow what would be right."""
        allowed = {item["name"] for item in self.group_bys(query.metrics)} | {"metric_time"}
        grains = self._project_grains()
        of = f" for {', '.join(query.metrics)}" if query.metrics else ""
        for group in query.group_by:
            base = group.name
            head, _, tail = base.rpartition("__")
            if base not in allowed and head in allowed:
                if tail not in grains:
                    return UnknownNameError("grain", tail, grains, where=f" of {head}")
                base = head
            if base not in allowed:
                return UnknownNameError("dimension", base, allowed, where=of)
            if group.grain and group.grain.lower() not in grains:
                return UnknownNameError("grain", group.grain, grains, where=f" of {base}")
        from cadran.where import names_in

        for text in query.where:
            for name in names_in(text).dimensions:
                if name.base not in allowed:
                    return UnknownNameError("dimension", name.base, allowed, where=of)
        return QueryError(f"MetricFlow refuses the question{of}: {_first_words(error)}")

    def _project_grains(self) -> list[str]:
        from metricflow_semantic_interfaces.type_enums import TimeGranularity

        custom = [
            grain["name"]
            for spine in self._project.semantic_manifest["project_configuration"]["time_spines"]
            for grain in spine["custom_granularities"]
        ]
        return [grain.value for grain in TimeGranularity] + custom


def _make_engine(project: Project) -> Any:
    from metricflow.engine.metricflow_engine import MetricFlowEngine
    from metricflow.protocols.sql_client import SqlEngine
    from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer
    from metricflow_semantics.model.dbt_manifest_parser import (
        parse_manifest_from_dbt_generated_manifest,
    )
    from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

    class CompileOnly:
        """A client that renders SQL and runs none."""

        sql_engine_type = SqlEngine.DUCKDB
        sql_plan_renderer = DuckDbSqlPlanRenderer()

    # A refused question would log hundreds of lines of traceback; the error says it in one.
    for name in ("metricflow", "metricflow_semantics", "metricflow_semantic_interfaces"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    text = project.semantic_manifest_path.read_text(encoding="utf-8")
    manifest = parse_manifest_from_dbt_generated_manifest(text)
    return MetricFlowEngine(SemanticManifestLookup(manifest), CompileOnly())


def _time_range(query: Query) -> dict[str, dt.datetime]:
    """The range as MetricFlow takes it; it would begin an open one in 2000 and drop what is older.

    Raises:
        QueryError: the range lies outside the years that MetricFlow can compute.
    """
    if query.start is None and query.end is None:
        return {}
    start, end = max(query.start or _FIRST, _FIRST), min(query.end or _LAST, _LAST)
    if start > end:
        raise QueryError(f"Only times from {_FIRST.year} to {_LAST.year} can be asked.")
    return {"time_constraint_start": start, "time_constraint_end": end}


def _grouping(query: Query) -> dict[str, Any]:
    """Group-by and order-by arguments: all names, or all parameters when one item needs it."""
    from metricflow_semantics.specs.query_param_implementations import (
        MetricParameter,
        OrderByParameter,
    )

    groups = {name: group for group in query.group_by for name in (group.name, group.column)}
    order = _order_by(query, groups)
    if not any(group.grain or group.date_part for group in query.group_by):
        names = [group.name for group in query.group_by]
        ordered = [
            ("-" if down else "") + (groups[n].name if n in groups else n) for n, down in order
        ]
        return {"group_by_names": names or None, "order_by_names": ordered or None}
    return {
        "group_by": [_parameter(group) for group in query.group_by],
        "order_by": [
            OrderByParameter(
                order_by=_parameter(groups[name]) if name in groups else MetricParameter(name=name),
                descending=down,
            )
            for name, down in order
        ],
    }


def _parameter(group: GroupBy) -> Any:
    from metricflow_semantic_interfaces.type_enums.date_part import DatePart
    from metricflow_semantics.specs.query_param_implementations import (
        DimensionOrEntityParameter,
        TimeDimensionParameter,
    )

    if group.asked_grain is None and group.date_part is None:
        return DimensionOrEntityParameter(name=group.name)
    return TimeDimensionParameter(
        name=group.base,
        grain=group.asked_grain,
        date_part=DatePart(group.date_part.lower()) if group.date_part else None,
    )


def _order_by(query: Query, groups: dict[str, GroupBy]) -> list[tuple[str, bool]]:
    """The columns to order by and whether descending; by default time, then the dimensions."""
    asked = query.order_by
    if not asked and query.ordered and not query.min_max_only:
        bare = [group for group in query.group_by if group.base == "metric_time"]
        times = [
            group
            for group in query.group_by
            # A bare name beside one with a grain would name two columns to MetricFlow.
            if group.asked_grain or bare == [group]
        ]
        others = [g for g in query.group_by if g not in times and g not in bare]
        asked = tuple(group.column for group in (*times, *others))
    for item in asked:
        if item.removeprefix("-") not in {*groups, *query.metrics}:
            choices = [*query.metrics, *groups]
            raise UnknownNameError("column to order by", item, choices, where=" in this question")
    return [(item.removeprefix("-"), item.startswith("-")) for item in asked]


def _whole_last_day(sql: str) -> str:
    """The statement with the last day of a range whole for times finer than a day.

    MetricFlow widens a range to whole periods, but ends it with the first instant of its last day:
    a metric by the minute would lose all of that day but midnight.
    """
    return _LAST_DAY.sub(r"\1 23:59:59.999999'", sql)


def _first_words(error: Exception) -> str:
    """The first telling line of one of MetricFlow's long messages."""
    skipped = ("Got error", "Error #", "Query Input", "Message:")
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(skipped)]
    return (telling or lines or [type(error).__name__])[0]
