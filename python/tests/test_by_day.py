"""Weeks and longer are aggregated by day first, where that is exact and the days are few."""

from __future__ import annotations

import duckdb
import pytest

from cadran.core.compiler.by_day import by_day_first
from cadran.core.query.request import ask

SALES = """
create table sales as select
    i as sale_id,
    ['web', 'app', null][1 + i % 3] as channel,
    (i * 37 % 1000 / 100)::decimal(9, 2) as amount,
    timestamp '2024-12-20' + to_hours((i * 7 % 900)::integer) as sold_at
from range(3000) t(i)
"""
QUICKER = {
    "its own period": """select date_trunc('week', sold_at) as w, channel as c, sum(amount) as a,
        max(amount) as m, sum(1) as n from sales s where amount > 1
        group by date_trunc('week', sold_at), channel order by w""",
    "of a subquery": """select w, c, sum(a) as a from (
        select date_trunc('year', sold_at) as w, channel as c, amount as a from sales s) r
        group by w, c""",
    "of a CTE that is read twice": """with r as (
        select date_trunc('month', sold_at) as w, channel as c, amount as a from sales s)
        select coalesce(x.w, y.w) as w, max(x.a) as a, max(y.b) as b from (
            select w, sum(a) as a from r group by w) x
        full outer join (select w, min(a) as b from r where c = 'web' group by w) y on x.w = y.w
        group by coalesce(x.w, y.w)""",
}
COUNTED = {
    "of rows": """select date_trunc('week', sold_at) as w, max(amount) as m,
        sum(case when channel is not null then 1 else 0 end) as n
        from sales s group by date_trunc('week', sold_at)""",
    "of a subquery": """select w, sum(n) as n, sum(a) as a from (
        select date_trunc('month', sold_at) as w, amount as a,
        case when channel is not null then 1 else 0 end as n from sales s) r group by w""",
}
SUMMED = {
    "ones that are filtered": """select w, sum(n) as n from (
        select date_trunc('month', sold_at) as w,
        case when channel is not null then 1 else 0 end as n from sales s) r
        where n = 1 group by w""",
    "ones of a condition": """select date_trunc('week', sold_at) as w,
        sum(case when channel = 'web' then 1 else 0 end) as n
        from sales s group by date_trunc('week', sold_at)""",
}
LEFT = {
    "a distinct count": """select date_trunc('week', sold_at) as w, count(distinct channel) as n
        from sales s group by date_trunc('week', sold_at)""",
    "an average": """select date_trunc('week', sold_at) as w, avg(amount) as n
        from sales s group by date_trunc('week', sold_at)""",
    "a key of many values": """select date_trunc('week', sold_at) as w, sale_id, sum(amount) as a
        from sales s group by date_trunc('week', sold_at), sale_id""",
    "a filter on the period": """select w, sum(a) as a from (
        select date_trunc('week', sold_at) as w, amount as a from sales s) r
        where w > date '2024-12-24' group by w""",
    "distinct rows": """select w, sum(a) as a from (
        select distinct date_trunc('week', sold_at) as w, amount as a from sales s) r group by w""",
    "a grain of a day": """select date_trunc('day', sold_at) as w, sum(amount) as a
        from sales s group by date_trunc('day', sold_at)""",
}


class Known:
    """Columns of the sales."""

    def __init__(self, *, local=True):
        self.local = local

    def is_time(self, relation, column):
        return (relation, column) == ("sales", "sold_at")

    def is_local_time(self, relation, column):
        return self.local and (relation, column) == ("sales", "sold_at")

    def has_few_values(self, relation, column):
        return (relation, column) == ("sales", "channel")


@pytest.fixture(scope="module")
def rows():
    connection = duckdb.connect()
    connection.execute(SALES)
    return lambda sql: sorted(connection.sql(sql).fetchall(), key=str)


@pytest.mark.parametrize("sql", QUICKER.values(), ids=QUICKER)
def test_sums_by_a_period_come_from_sums_by_day_with_the_same_rows(sql, rows):
    quicker = by_day_first(sql, "duckdb", Known())
    assert "AS by_day" in quicker
    assert rows(quicker) == rows(sql)
    assert by_day_first(sql, "duckdb", Known(local=False)) == sql


@pytest.mark.parametrize("sql", COUNTED.values(), ids=COUNTED)
def test_ones_for_each_value_are_counted(sql, rows):
    quicker = by_day_first(sql, "duckdb", Known())
    assert "COUNT(" in quicker
    assert rows(quicker) == rows(sql)


@pytest.mark.parametrize("sql", SUMMED.values(), ids=SUMMED)
def test_ones_for_anything_else_are_added_up(sql, rows):
    quicker = by_day_first(sql, "duckdb", Known())
    assert "COUNT(" not in quicker
    assert rows(quicker) == rows(sql)


@pytest.mark.parametrize("sql", LEFT.values(), ids=LEFT)
def test_what_does_not_add_up_or_has_many_groups_is_left_as_it_is(sql):
    assert by_day_first(sql, "duckdb", Known()) == sql


def test_the_statistics_of_a_table_say_what_has_few_values(shop):
    orders = '"tiny"."shop"."orders"'
    assert shop.has_few_values(orders, "channel")
    assert not shop.has_few_values(orders, "no_such_column")
    assert shop.is_local_time(orders, "ordered_date")
    sql = shop.sql("revenue", ["metric_time__month", "order_id__channel"])
    assert "by_day" in sql
    plain = shop.plain_sql(ask("revenue", ["metric_time__month", "order_id__channel"]))
    answers = [shop.warehouse.arrow(one).sort_by("revenue") for one in (sql, plain)]
    assert answers[0].to_pylist() == answers[1].to_pylist()
