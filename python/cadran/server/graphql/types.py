"""The words of the dbt Semantic Layer's GraphQL API: its types, enumerations and inputs.

Names, nullability and letter case are those that its clients ask for and read.
"""

from __future__ import annotations

import enum
import re
from typing import Any, Generic, NewType, TypeVar

import strawberry
from graphql import GraphQLError
from strawberry.scalars import JSON  # noqa: TC002 - strawberry reads annotations as it runs

_Item = TypeVar("_Item")


def _whole(value: Any) -> int:
    """A whole number of any size; clients send environment numbers as text, too.

    Raises:
        GraphQLError: it is none.
    """
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,40}", text):
        raise GraphQLError("BigInt takes a whole number, or one as text.")
    return int(text)


BigInt = NewType("BigInt", int)
SCALARS: dict[object, Any] = {
    BigInt: strawberry.scalar(
        name="BigInt", description="A whole number of any size.", serialize=int, parse_value=_whole
    )
}


# Their values are the names in lower case, as dbt's artefacts and Cadran have them.
TimeGranularity = enum.StrEnum(
    "TimeGranularity",
    "NANOSECOND MICROSECOND MILLISECOND SECOND MINUTE HOUR DAY WEEK MONTH QUARTER YEAR",
)
DatePart = enum.StrEnum("DatePart", "DOY DOW DAY MONTH QUARTER YEAR")
MetricType = enum.StrEnum("MetricType", "SIMPLE RATIO CUMULATIVE DERIVED CONVERSION")
DimensionType = enum.StrEnum("DimensionType", "CATEGORICAL TIME")
EntityType = enum.StrEnum("EntityType", "FOREIGN NATURAL PRIMARY UNIQUE")
AggregationType = enum.StrEnum(
    "AggregationType",
    "SUM MIN MAX COUNT_DISTINCT SUM_BOOLEAN AVERAGE PERCENTILE MEDIAN COUNT",
)
QueryStatus = enum.StrEnum("QueryStatus", "PENDING RUNNING COMPILED SUCCESSFUL FAILED")
ExportDestinationType = enum.StrEnum("ExportDestinationType", "TABLE VIEW")
PandasJsonOrient = enum.StrEnum("PandasJsonOrient", "TABLE RECORDS SPLIT COLUMNS INDEX VALUES")
SqlEngine = enum.StrEnum(
    "SqlEngine", "BIGQUERY DATABRICKS DUCKDB POSTGRES REDSHIFT SNOWFLAKE TRINO"
)
SqlDialect = enum.StrEnum(
    "SqlDialect", "BIGQUERY DATABRICKS DUCKDB POSTGRES REDSHIFT SNOWFLAKE TRINO"
)
for _one in (
    TimeGranularity, DatePart, MetricType, DimensionType, EntityType, AggregationType,
    QueryStatus, ExportDestinationType, PandasJsonOrient, SqlEngine, SqlDialect,
):  # fmt: skip
    strawberry.enum(_one)


@strawberry.input
class MetricInput:
    """A metric by its name."""

    name: str
    alias: str | None = None


@strawberry.input
class GroupByInput:
    """A dimension or an entity by its name, a time with its grain or a part of it."""

    name: str
    grain: TimeGranularity | None = None
    time_granularity: str | None = None
    date_part: DatePart | None = None


@strawberry.input
class WhereInput:
    """One condition."""

    sql: str


@strawberry.input
class OrderByInput:
    """A metric or a group-by, one of the two."""

    metric: MetricInput | None = None
    group_by: GroupByInput | None = None
    descending: bool = False


@strawberry.type
class Config:
    """What a definition carries beside what is computed: of a KPI, its card."""

    meta: JSON


@strawberry.type
class WhereFilter:
    """A filter, as a template of SQL."""

    where_sql_template: str


@strawberry.type
class DimensionTypeParams:
    """The finest grain that a time dimension has."""

    time_granularity: TimeGranularity


@strawberry.type
class Dimension:
    """Something to group by."""

    name: str
    qualified_name: str
    description: str | None
    type: DimensionType
    label: str | None
    is_partition: bool
    expr: str | None
    queryable_granularities: list[TimeGranularity]
    queryable_time_granularities: list[str]
    type_params: DimensionTypeParams | None
    config: Config | None


@strawberry.type
class Entity:
    """A key to group by."""

    name: str
    description: str | None
    type: EntityType
    role: str
    expr: str
    config: Config | None


@strawberry.type
class Measure:
    """One aggregation that a metric is made of: MetricFlow's simple metric."""

    name: str
    agg_time_dimension: str | None
    agg: AggregationType
    expr: str


@strawberry.type
class MetricTimeWindow:
    """A number of periods."""

    count: int
    granularity: TimeGranularity | None
    time_granularity: str


@strawberry.type
class InputMetric:
    """A metric as it goes into another one."""

    name: str
    alias: str | None
    filter: WhereFilter | None
    offset_window: MetricTimeWindow | None
    offset_to_grain: TimeGranularity | None


@strawberry.type
class MetricInputMeasure:
    """A measure as it goes into a metric."""

    name: str
    alias: str | None = None
    filter: WhereFilter | None = None


@strawberry.type
class MetricTypeParams:
    """What a metric is made of."""

    measure: MetricInputMeasure | None
    input_measures: list[MetricInputMeasure]
    numerator: InputMetric | None
    denominator: InputMetric | None
    expr: str | None
    window: MetricTimeWindow | None
    grain_to_date: TimeGranularity | None
    metrics: list[InputMetric]


@strawberry.type
class ExportConfig:
    """Where dbt would write an export to."""

    alias: str | None
    schema: str | None
    export_as: ExportDestinationType


@strawberry.type
class Export:
    """An export of a saved query."""

    name: str
    config: ExportConfig


@strawberry.type
class SavedQueryMetricParam:
    """A metric of a saved query."""

    name: str


@strawberry.type
class SavedQueryGroupByParam:
    """A group-by of a saved query."""

    name: str
    grain: TimeGranularity | None
    time_granularity: str | None
    date_part: DatePart | None


@strawberry.type
class SavedQueryQueryParams:
    """What a saved query asks."""

    metrics: list[SavedQueryMetricParam]
    group_by: list[SavedQueryGroupByParam]
    where: WhereFilter | None


@strawberry.type
class SavedQuery:
    """A question with a name."""

    name: str
    description: str | None
    label: str | None
    query_params: SavedQueryQueryParams
    exports: list[Export]


@strawberry.type
class EnvironmentInfo:
    """What the numbers are computed by."""

    sql_dialect: SqlDialect
    has_metrics_defined: bool
    dialect: SqlEngine
    dialect_supported_by_slg: bool


@strawberry.type
class CompleteThrough:
    """Until which day a metric is whole in the data; null where its sources do not tell."""

    metric: str
    day: str | None


@strawberry.type
class CompileSqlResult:
    """SQL that was not run."""

    sql: str


@strawberry.type(name="CreateQueryResult")
class QueryHandle:
    """The number under which a query is asked for, by who created it."""

    query_id: str


@strawberry.type(name="ResultPage")
class Page(Generic[_Item]):
    """Some of a list; pages are counted from 1."""

    items: list[_Item]
    page_num: int
    page_size: int
    total_items: int
    total_pages: int
