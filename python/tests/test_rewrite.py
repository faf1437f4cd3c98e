"""The faster shapes of a statement answer exactly what MetricFlow's own shape answers."""

from __future__ import annotations

import duckdb
import pytest

import cadran
from cadran.core.compiler import metricflow, optimizer, range_joins
from cadran.core.components import measuring


@pytest.fixture(scope="module")
def plain_sql(demo):
    """Compiles as MetricFlow renders, without any rewriting."""
    layer = cadran.open(
        manifest=demo.target / "semantic_manifest.json", database=demo.database, plan_cache=False
    )

    def compiled(**asked):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metricflow, "faster", lambda sql, *_: sql)
            return layer.sql(**asked)

    return compiled


def equal(layer, ours, theirs):
    """Compare two statements in the warehouse, row by row and as bags."""
    counts = layer.warehouse.arrow(
        f"with a as ({ours}), b as ({theirs})"
        " select (select count(*) from a) as a, (select count(*) from b) as b,"
        " (select count(*) from (from a except all from b)) as only_a,"
        " (select count(*) from (from b except all from a)) as only_b"
    ).to_pylist()[0]
    return counts["a"] == counts["b"] > 0 and counts["only_a"] == counts["only_b"] == 0


CUMULATIVE = ["revenue_month_to_date", "revenue_trailing_28_days"]
RANGES = [{}, {"start": "2026-02-10", "end": "2026-04-09"}]


@pytest.mark.parametrize("kpi", CUMULATIVE)
@pytest.mark.parametrize("asked", RANGES, ids=["all time", "a range"])
def test_a_cumulative_kpi_is_the_same_at_every_grain_and_dimension(kpi, asked, layer, plain_sql):
    card = layer.card(kpi)
    for grain in card.grains:
        for dimension in [None, *card.dimensions]:
            question = {
                "metrics": [kpi],
                "group_by": [f"metric_time__{grain}"] + ([dimension] if dimension else []),
                "ordered": False,
                **asked,
            }
            ours = layer.sql(**question)
            theirs = plain_sql(**question)
            assert ours != theirs, f"{question} was not rewritten"
            assert equal(layer, ours, theirs), question


def test_every_cumulative_kpi_is_among_those_compared(layer):
    assert {c.name for c in layer.kpis() if layer.metric(c.name)["type"] == "cumulative"} == set(
        CUMULATIVE
    )


@pytest.mark.parametrize(
    "name", ["kpi_daily_commerce", "kpi_weekly_support", "kpi_monthly_strategic"]
)
def test_aggregates_computed_in_one_pass_are_the_same(name, layer, plain_sql):
    question = {"saved_query": name, "governed": False, "ordered": False}
    assert equal(layer, layer.sql(**question), plain_sql(**question))


ONE_LEFT = """-- Combine Aggregated Outputs
select coalesce(a.k, b.k) as k, {more} max(a.v) as v, max(cast(b.n as double) / nullif(b.n, 1)) as n
from (select k, j, sum(v) as v from t where v > 0 group by k, j) as a
full outer join (select k, j, sum(n) as n from t where {where} group by k, j) as b
on a.k = b.k and a.j = b.j group by {more} coalesce(a.k, b.k) order by k"""


@pytest.mark.parametrize(
    ("more", "where", "is_taken"),
    [
        ("coalesce(a.j, b.j),", "v > 0", True),
        ("", "v > 0", False),  # rows of two groups have the same key
        ("coalesce(a.j, b.j),", "v > 1", False),  # a join is left
    ],
    ids=["one aggregate is left", "of fewer keys", "two are left"],
)
def test_rows_of_the_one_aggregate_that_is_left_are_taken_as_they_are(more, where, is_taken):
    sql = ONE_LEFT.format(more=more, where=where)
    written = optimizer.merge_sibling_aggregates(sql, "duckdb")
    connection = duckdb.connect()
    connection.execute(
        "create table t as select if(i % 5 = 0, null, i % 4) as k, i % 3 as j, i % 7 as v,"
        " if(i % 2 = 0, null, i) as n from range(100) t(i)"
    )
    answers = [connection.sql(one).fetchall() for one in (sql, written)]
    assert ("max(" not in written.lower()) is is_taken
    assert sorted(map(str, answers[0])) == sorted(map(str, answers[1]))


@pytest.mark.parametrize(
    ("kpi", "group_by"),
    [
        ("platform_availability", ["metric_time__month", "service__team"]),
        ("response_ms_p95", ["metric_time__day", "service__tier"]),
        ("gross_margin_rate", ["metric_time__week", "product__category"]),
        ("average_order_value", ["metric_time__quarter", "customer__country"]),
    ],
)
def test_siblings_that_join_dimensions_are_the_same_in_one_pass(kpi, group_by, layer):
    wider, parts = measuring(layer)
    question = {"metrics": [kpi, *parts[kpi].names], "group_by": group_by, "governed": False}
    question |= {"start": "2026-01-01", "end": "2026-12-31", "ordered": False}
    ours = cadran.Layer(wider.project, plan_cache=False).sql(**question)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metricflow, "faster", lambda sql, *_: sql)
        theirs = cadran.Layer(wider.project, plan_cache=False).sql(**question)
    assert equal(layer, ours, theirs)
    assert ours.count("FULL OUTER JOIN") < theirs.count("FULL OUTER JOIN")


@pytest.mark.parametrize(
    "condition",
    ["j.late = d.id", "j.d >= d.valid_from and j.k = d.id"],
    ids=["computed between", "of the day"],
)
def test_a_dimension_that_depends_on_more_than_the_fact_stays_where_it_is(condition):
    sql = f"""-- Join Self Over Time Range
    select j.d, d.name, sum(j.v) as v from (
        select s.d as d, f.v as v, f.k as k, f.k + 1 as late from spine as s
        inner join (select t, v, k from fact) as f on f.t <= s.d
    ) as j left join dimension as d on {condition} group by j.d, d.name"""
    written = range_joins.aggregate_before_range_join(sql, "duckdb").lower()
    assert written.index("join dimension") > written.index("as j")


@pytest.mark.parametrize(
    "aggregate", ["count(distinct f.x)", "avg(f.x)", "quantile_cont(f.x, 0.5)"]
)
def test_what_is_no_sum_is_left_alone(aggregate):
    sql = f"""-- Join Self Over Time Range
    select s.d, {aggregate} as v from spine as s inner join fact as f on f.t <= s.d group by s.d"""
    assert range_joins.aggregate_before_range_join(sql, "duckdb") == sql


def test_a_measure_that_is_looked_at_before_it_is_summed_is_left_alone():
    sql = """-- Join Self Over Time Range
    select d, sum(v) as v from (
        select s.d as d, f.v as v from spine as s
        inner join (select t, v from fact) as f on f.t <= s.d where f.v > 10
    ) as j group by d"""
    assert range_joins.aggregate_before_range_join(sql, "duckdb") == sql
