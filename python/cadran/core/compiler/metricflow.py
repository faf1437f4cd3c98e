"""MetricFlow, behind one wall: a question goes in, SQL comes out.

MetricFlow's Python API is declared unstable, so nothing else in Cadran imports it, and its version
is pinned. It is imported by the first question whose plan is not cached.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from metricflow.engine.metricflow_engine import (
    MetricFlowEngine,
    MetricFlowQueryRequest,
    OutputColumnOrderMode,
)
from metricflow.protocols.sql_client import SqlEngine
from metricflow.sql.render.big_query import BigQuerySqlPlanRenderer
from metricflow.sql.render.databricks import (
    DatabricksSqlExpressionRenderer,
    DatabricksSqlPlanRenderer,
)
from metricflow.sql.render.duckdb_renderer import DuckDbSqlPlanRenderer
from metricflow.sql.render.postgres import (
    PostgresSqlExpressionRenderer,
    PostgresSQLSqlPlanRenderer,
)
from metricflow.sql.render.redshift import RedshiftSqlPlanRenderer
from metricflow.sql.render.snowflake import SnowflakeSqlPlanRenderer
from metricflow.sql.render.trino import TrinoSqlPlanRenderer
from metricflow_semantic_interfaces.references import MetricReference
from metricflow_semantic_interfaces.type_enums import TimeGranularity
from metricflow_semantic_interfaces.type_enums.date_part import DatePart
from metricflow_semantics.errors.error_classes import UnsupportedEngineFeatureError
from metricflow_semantics.filters.time_constraint import TimeRangeConstraint
from metricflow_semantics.model.dbt_manifest_parser import (
    parse_manifest_from_dbt_generated_manifest,
)
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup
from metricflow_semantics.query.query_parser import MetricFlowQueryParser
from metricflow_semantics.specs.query_param_implementations import (
    DimensionOrEntityParameter,
    MetricParameter,
    OrderByParameter,
    TimeDimensionParameter,
)
from metricflow_semantics.sql.sql_exprs import (
    SqlAddTimeExpression,
    SqlArithmeticExpression,
    SqlArithmeticOperator,
    SqlIntegerExpression,
    SqlPercentileFunctionType,
)
from metricflow_semantics.time.dateutil_adjuster import DateutilTimePeriodAdjuster

from cadran.core.compiler.corrections import corrected
from cadran.core.compiler.optimizer import faster
from cadran.core.query.filters import read
from cadran.core.query.request import GRAINS, GroupBy, Query, ask
from cadran.core.warehouse import dialects
from cadran.errors import CadranError, QueryError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cadran.core.compiler.trees import Columns
    from cadran.core.project.artifacts import Project


def first_unknown(
    groups: Iterable[GroupBy], known: Mapping[str, Sequence[str]], metrics: Sequence[str]
) -> UnknownNameError | None:
    """The error for the first of the names that does not exist for these metrics, if any.

    Args:
        groups: what a question groups and filters by.
        known: what it could, each with its grains when it is a time.
        metrics: the metrics of the question.
    """
    of = f" for {', '.join(metrics)}" if metrics else ""
    for group in groups:
        name, grain = group.name.lower(), group.grain
        head, _, tail = name.rpartition("__")
        if name not in known and (known.get(head) or tail in GRAINS):
            name, grain = head, tail  # a grain stands at the end of the name
        if name not in known:
            return UnknownNameError("dimension", name, known, where=of)
        if grain and grain.lower() not in known[name]:
            return UnknownNameError("grain", grain, known[name], where=f" of {name}{of}")
    return None


def gist(error: Exception) -> str:
    """The telling paragraph of one of MetricFlow's long messages."""
    text = str(error)
    _, mark, message = text.partition("Message:")
    words = (message if mark else text).strip().split("\n\n")[0].split()
    return " ".join(words) or type(error).__name__


class _SparkExpressions(DatabricksSqlExpressionRenderer):  # type: ignore[misc] # untyped here
    """Expressions as Databricks takes them, with exact percentiles as functions.

    Of `PERCENTILE_CONT(...) WITHIN GROUP` sqlglot makes an approximate one, without a word.
    """

    @property
    def supported_percentile_function_types(self) -> set[Any]:
        return {SqlPercentileFunctionType.DISCRETE, *super().supported_percentile_function_types}

    def visit_percentile_expr(self, node: Any) -> Any:
        kind, share = node.percentile_args.function_type, node.percentile_args.percentile
        column = self.render_sql_expr(node.order_by_arg)
        if kind is SqlPercentileFunctionType.CONTINUOUS:
            return replace(column, sql=f"PERCENTILE({column.sql}, {share})")
        if kind is SqlPercentileFunctionType.DISCRETE:
            values = f"SORT_ARRAY(COLLECT_LIST({column.sql}))"
            place = f"GREATEST(CEIL({share} * COUNT({column.sql})), 1)"
            return replace(column, sql=f"ELEMENT_AT({values}, CAST({place} AS INT))")
        return super().visit_percentile_expr(node)


class _SparkPlans(DatabricksSqlPlanRenderer):  # type: ignore[misc] # MetricFlow is untyped here
    EXPR_RENDERER = _SparkExpressions()


class _PostgresExpressions(PostgresSqlExpressionRenderer):  # type: ignore[misc] # untyped here
    """Expressions as PostgreSQL takes them; MetricFlow adds a month where it means a quarter."""

    def visit_add_time_expr(self, node: Any) -> Any:
        if node.granularity is TimeGranularity.QUARTER:
            three = SqlIntegerExpression.create(3)
            months = SqlArithmeticExpression.create(
                left_expr=node.count_expr,
                operator=SqlArithmeticOperator.MULTIPLY,
                right_expr=three,
            )
            node = SqlAddTimeExpression.create(node.arg, months, TimeGranularity.MONTH)
        return super().visit_add_time_expr(node)


class _PostgresPlans(PostgresSQLSqlPlanRenderer):  # type: ignore[misc] # MetricFlow is untyped here
    EXPR_RENDERER = _PostgresExpressions()


# What MetricFlow calls the engine of a dialect, and how it writes for it.
_ENGINES = {
    dialects.DUCKDB: (SqlEngine.DUCKDB, DuckDbSqlPlanRenderer),
    dialects.POSTGRES: (SqlEngine.POSTGRES, _PostgresPlans),
    dialects.SPARK: (SqlEngine.DATABRICKS, _SparkPlans),
}
# The same of engines that nothing here runs.
_RENDERED = {
    "bigquery": (SqlEngine.BIGQUERY, BigQuerySqlPlanRenderer),
    "databricks": (SqlEngine.DATABRICKS, DatabricksSqlPlanRenderer),
    "redshift": (SqlEngine.REDSHIFT, RedshiftSqlPlanRenderer),
    "snowflake": (SqlEngine.SNOWFLAKE, SnowflakeSqlPlanRenderer),
    "trino": (SqlEngine.TRINO, TrinoSqlPlanRenderer),
}
# The years that MetricFlow can constrain. UTC without a zone, as all times here.
_FIRST, _LAST = TimeRangeConstraint.ALL_TIME_BEGIN(), TimeRangeConstraint.ALL_TIME_END()
_SUB_DAILY = frozenset(grain.value for grain in TimeGranularity if grain < TimeGranularity.DAY)


class _WholePeriods(DateutilTimePeriodAdjuster):  # type: ignore[misc] # MetricFlow is untyped here
    """Widens a time range to whole periods, to the last second of a day.

    MetricFlow ends a range at 00:00 of its last day, and at 00:00 of the day too when nothing is
    grouped by time: of a fact by the minute, only the first minute of that day is left.
    """

    def __init__(self) -> None:
        """Behave as MetricFlow does until told that a question is about sub-daily facts."""
        self.sub_daily = False
        self.as_asked = False

    def expand_time_constraint_to_fill_granularity(
        self, time_constraint: TimeRangeConstraint, granularity: TimeGranularity
    ) -> TimeRangeConstraint:
        """The range, as asked when nothing is grouped by time."""
        if self.sub_daily and self.as_asked:
            return time_constraint
        whole = super().expand_time_constraint_to_fill_granularity(time_constraint, granularity)
        if not self.sub_daily or granularity < TimeGranularity.DAY or whole.end_time >= _LAST:
            return whole
        end = dt.datetime.combine(whole.end_time, dt.time(23, 59, 59))
        return TimeRangeConstraint(start_time=whole.start_time, end_time=end)


class Compiler:
    """Compiles questions against one semantic manifest. Thread-safe."""

    def __init__(self, project: Project) -> None:
        """Load the project's semantic manifest.

        Raises:
            ProjectError: there is none.
        """
        # A refused question would log hundreds of lines of traceback; the error says it in one.
        for name in ("metricflow", "metricflow_semantics", "metricflow_semantic_interfaces"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._dialect = project.dialect
        self._lock = threading.Lock()
        text = project.text.decode()
        self._lookup = SemanticManifestLookup(parse_manifest_from_dbt_generated_manifest(text))
        self._periods = _WholePeriods()
        parser = MetricFlowQueryParser(semantic_manifest_lookup=self._lookup)
        parser._time_period_adjuster = self._periods  # noqa: SLF001 - it takes none
        self._client = self._client_of(project.dialect)
        self._engine = MetricFlowEngine(self._lookup, self._client, query_parser=parser)

    @staticmethod
    def _client_of(dialect: str) -> Any:
        return _CompileOnly(dialect)

    def sql(self, query: Query, columns: Columns | None = None, *, same_days: bool = False) -> str:
        """The SQL of a question, in the shape that is quickest to run.

        Args:
            query: the question.
            columns: tells what is known of columns, as `faster` takes it.
            same_days: as `corrected` takes it.

        Raises:
            CadranError: as `plain_sql`.
        """
        sql = corrected(self.plain_sql(query), query, self._dialect, same_days=same_days)
        return faster(sql, self._dialect, columns)

    def plain_sql(self, query: Query) -> str:
        """The SQL of a question as MetricFlow writes it.

        Raises:
            UnknownNameError: a metric, dimension or grain in it does not exist.
            QueryError: MetricFlow refuses it for another reason.
        """
        try:
            request = MetricFlowQueryRequest.create(
                metric_names=query.metrics or None,
                where_constraints=[read(text).template for text in query.where] or None,
                **_grouping(query),
                limit=query.limit,
                **_time_range(query),
                min_max_only=query.min_max_only,
                apply_group_by=query.apply_group_by,
                output_column_order_mode=OutputColumnOrderMode.INPUT_ORDER,
            )
            with self._lock:
                ranged = query.start is not None or query.end is not None
                self._periods.sub_daily = ranged and self._is_sub_daily(query.metrics)
                self._periods.as_asked = not any(g.base == "metric_time" for g in query.group_by)
                sql: str = self._engine.explain(request).sql_statement.sql
        except CadranError:
            raise
        except Exception as error:  # MetricFlow's errors share no class
            raise self._refusal(query, error) from error
        return sql

    def dimension_values_sql(self, dimension: GroupBy, metrics: Iterable[str]) -> str:
        """The SQL that lists the values of a dimension, as far as the metrics have them."""
        names = list(metrics)
        if not names:
            return self.sql(ask(group_by=[dimension]))
        try:
            with self._lock:
                explained = self._engine.explain_get_dimension_values(
                    metric_names=names, get_group_by_values=dimension.column
                )
        except Exception as error:  # MetricFlow's errors share no class
            raise self._refusal(ask(names, [dimension]), error) from error
        sql: str = explained.sql_statement.sql
        return sql

    def group_bys(self, metrics: Iterable[str]) -> list[dict[str, str]]:
        """What these metrics can be grouped by: name, kind and description, sorted by name."""
        names = list(metrics)
        items = self._engine.list_group_bys(metric_names=names or None)
        listed: dict[str, dict[str, str]] = {}
        for item in items:
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
        groups = list(query.group_by)
        for text in query.where:
            groups += read(text).groups
        unknown = first_unknown(groups, self._known(query.metrics), query.metrics)
        of = f" for {', '.join(query.metrics)}" if query.metrics else ""
        return unknown or QueryError(f"MetricFlow refuses the question{of}: {gist(error)}")

    def _known(self, metrics: Iterable[str]) -> dict[str, list[str]]:
        """What metrics can be grouped by, each with its grains when it is a time."""
        known: dict[str, list[str]] = {}
        names = tuple(MetricReference(name) for name in metrics)
        if not names:
            grains = [grain.value for grain in TimeGranularity]
            return {item["name"]: grains for item in self.group_bys(())} | {"metric_time": grains}
        common = self._lookup.metric_lookup.get_common_group_by_items(metric_references=names)
        for item in common.annotated_specs:
            name = "__".join([*item.entity_link_names, item.element_name])
            grains = known.setdefault(name, [])
            if item.time_grain is not None:
                grains.append(item.time_grain.name)
        return known

    def _is_sub_daily(self, metrics: Iterable[str]) -> bool:
        """Whether one of the metrics has a time finer than a day."""
        return any(
            not _SUB_DAILY.isdisjoint(self._known([metric]).get("metric_time", ()))
            for metric in metrics
        )


class Renderings(Compiler):
    """Writes questions for engines that nothing here runs. Of one thread."""

    @staticmethod
    def _client_of(dialect: str) -> Any:  # noqa: ARG004 - it writes for other engines than the own
        return _EachEngine()

    def of(self, query: Query) -> dict[str, str | QueryError]:
        """The SQL of a question by sqlglot's names of the dialects, or why there is none of it.

        Raises:
            CadranError: as `plain_sql`, where no engine is to blame.
        """
        answers = self._client.answers = {}
        # MetricFlow plans for all engines alike, but for how BigQuery groups.
        for engine in (SqlEngine.BIGQUERY, SqlEngine.DUCKDB):
            self._client.sql_engine_type = engine
            self.plain_sql(query)
        return {
            dialect: answer
            if isinstance(answer, str)
            else QueryError(f"Not on {dialect}, {', '.join(query.metrics)}: {gist(answer)}")
            for dialect, answer in sorted(answers.items())
        }


class _EachEngine:
    """A client and renderer in one that writes each plan for every engine of `_RENDERED`."""

    def __init__(self) -> None:
        self.sql_engine_type = SqlEngine.DUCKDB
        self.sql_plan_renderer = self
        self.answers: dict[str, str | Exception] = {}
        self._own = DuckDbSqlPlanRenderer()
        self._renderers = {name: (kind, made()) for name, (kind, made) in _RENDERED.items()}

    def render_sql_plan(self, plan: Any) -> Any:
        for name, (engine, renderer) in self._renderers.items():
            if (engine is SqlEngine.BIGQUERY) is (self.sql_engine_type is SqlEngine.BIGQUERY):
                try:
                    self.answers[name] = renderer.render_sql_plan(plan).sql
                except (UnsupportedEngineFeatureError, RuntimeError) as error:
                    self.answers[name] = error
        return self._own.render_sql_plan(plan)


class _CompileOnly:
    """A client that renders SQL of one dialect and runs none."""

    def __init__(self, dialect: str) -> None:
        self.sql_engine_type, renderer = _ENGINES[dialect]
        self.sql_plan_renderer = renderer()


def _time_range(query: Query) -> dict[str, dt.datetime]:
    """The range as MetricFlow takes it: it refuses an end beyond its last year."""
    if query.start is None and query.end is None:
        return {}
    end = min(query.end or _LAST, _LAST)
    return {"time_constraint_start": min(query.start or _FIRST, end), "time_constraint_end": end}


def _grouping(query: Query) -> dict[str, Any]:
    """Group-by and order-by arguments: all names, or all parameters when one item needs it."""
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
    if group.asked_grain is None and group.date_part is None:
        return DimensionOrEntityParameter(name=group.name)
    return TimeDimensionParameter(
        name=group.base,
        grain=group.asked_grain,
        date_part=DatePart(group.date_part.lower()) if group.date_part else None,
    )


def _order_by(query: Query, groups: dict[str, GroupBy]) -> list[tuple[str, bool]]:
    """The columns to order by and whether descending; by default time, then the dimensions."""
    order = query.order_by
    if not order and query.ordered and not query.min_max_only:
        bare = [group for group in query.group_by if group.base == "metric_time"]
        times = [
            group
            for group in query.group_by
            # A bare name beside one with a grain would name two columns to MetricFlow.
            if group.asked_grain or bare == [group]
        ]
        others = [g for g in query.group_by if g not in times and g not in bare]
        order = tuple(group.column for group in (*times, *others))
    for item in order:
        if item.removeprefix("-") not in {*groups, *query.metrics}:
            choices = [*query.metrics, *groups]
            raise UnknownNameError("column to order by", item, choices, where=" in this question")
    return [(item.removeprefix("-"), item.startswith("-")) for item in order]
