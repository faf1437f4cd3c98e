"""Days that see all rows up to them read one running aggregate, with the rows of a range join."""

from __future__ import annotations

import duckdb
import pytest

from cadran.core.compiler.optimizer import faster
from cadran.core.compiler.range_joins import aggregate_before_range_join

# Days without a sale, a day twice in the spine, days before the first and after the last; sales
# after the last day, without a day, without a channel, without an amount.
TABLES = """
create table days as select unnest(generate_series(date '2026-01-01', date '2026-03-31',
    interval 1 day))::date as day;
insert into days values (date '2026-02-02'), (null);
create table zones as select day::timestamptz as day from days;
create table shops as select i as shop, ['north', 'south', null][1 + i % 3] as region
    from range(5) t(i);
create table sales as select
    i as sale,
    if(i % 11 = 0, null, timestamp '2026-01-09 13:00' + to_hours((i * 7 % 2500)::integer))
        as sold_at,
    if(i % 11 = 0, null, ['2026-02-1', '2026-01-31', '2026-1-5'][1 + i % 3]) as written,
    ['web', 'app', null][1 + i % 3] as channel,
    i % 7 as shop,
    if(i % 5 = 0, null, (i * 37 % 1000 / 100 - 3)::decimal(9, 2)) as amount
from range(300) t(i);
"""
RUNNING = {
    "all days": """select d.day as m, sum(s.amount) as v, min(s.amount) as w, sum(1) as n
        from days as d inner join sales as s on (date_trunc('day', s.sold_at) <= d.day)
        group by d.day order by m""",
    "a channel": """select d.day as m, s.channel as channel, sum(s.amount) as v
        from days as d inner join sales as s on (date_trunc('day', s.sold_at) <= d.day)
        group by d.day, s.channel order by m, channel""",
    "a range": """select d.m as m, s.channel as channel, sum(s.v) as v from (
            select day as m from days where day between '2026-02-01' and '2026-03-10') as d
        inner join (select date_trunc('day', sold_at) as m, channel, amount as v from sales
            where date_trunc('day', sold_at) between '2000-01-01' and '2026-03-10') as s
        on (s.m <= d.m) where d.m between '2026-02-01' and '2026-03-10'
        group by d.m, s.channel order by m, channel""",
    "days that are cast": """select d.day as m, sum(s.v) as v from days as d
        inner join (select cast(sold_at as date) as m, amount as v from sales) as s
        on (s.m <= d.day) group by d.day order by m""",
    "a dimension by month": """select j.m as m, h.region as region, sum(j.v) as v, max(j.w) as w
        from (select d.day as day, date_trunc('month', d.day) as m, s.shop as shop,
            s.amount as v, case when s.amount is not null then 1 else 0 end as w
            from days as d inner join sales as s on (date_trunc('day', s.sold_at) <= d.day)) as j
        left outer join shops as h on j.shop = h.shop group by j.m, h.region""",
}
LEFT = {
    "a window": """select d.day as m, sum(s.amount) as v from days as d inner join sales as s
        on (date_trunc('day', s.sold_at) <= d.day)
        and (date_trunc('day', s.sold_at) > d.day - interval 28 day) group by d.day""",
    "a time that is shown": """select d.day as m, date_trunc('day', s.sold_at) as t,
            sum(s.amount) as v
        from days as d inner join sales as s on (date_trunc('day', s.sold_at) <= d.day)
        group by d.day, date_trunc('day', s.sold_at)""",
    "days of a zone": """select d.day as m, sum(s.amount) as v from zones as d
        inner join sales as s on (date_trunc('day', s.sold_at) <= d.day) group by d.day""",
    "days that are texts": """select d.day as m, sum(s.amount) as v from days as d
        inner join sales as s on (cast(s.written as date) <= d.day) group by d.day""",
    "a group of many values": """select d.day as m, s.sale as sale, sum(s.amount) as v
        from days as d inner join sales as s on (date_trunc('day', s.sold_at) <= d.day)
        group by d.day, s.sale""",
    "days after it": """select d.day as m, sum(s.amount) as v from days as d
        inner join sales as s on (date_trunc('day', s.sold_at) >= d.day) group by d.day""",
}


class Known:
    """Columns of the tables."""

    def __init__(self, *, reads_few_rows=False):
        self.reads_few_rows = reads_few_rows

    def is_time(self, relation, column):
        return self.is_local_time(relation, column) or (relation, column) == ("zones", "day")

    def is_local_time(self, relation, column):
        return (relation, column) in {("days", "day"), ("sales", "sold_at")}

    def has_few_values(self, relation, column):  # noqa: ARG002 - one name, one table
        return column in {"channel", "region"}


@pytest.fixture(scope="module")
def answer():
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(TABLES)

    def answered(sql):
        relation = connection.sql(sql)
        return list(map(str, relation.types)), sorted(relation.fetchall(), key=str)

    return answered


def written(sql, columns):
    return aggregate_before_range_join(f"-- Join Self Over Time Range\n{sql}", "duckdb", columns)


@pytest.mark.parametrize("sql", RUNNING.values(), ids=RUNNING)
def test_a_day_that_sees_all_before_reads_one_row_of_each_group(sql, answer):
    quicker = written(sql, Known())
    assert quicker.count("ASOF JOIN") == 1
    assert answer(quicker) == answer(sql)
    assert len(answer(sql)[1]) > 2


@pytest.mark.parametrize("sql", LEFT.values(), ids=LEFT)
def test_a_day_that_sees_less_or_otherwise_keeps_its_range_join(sql, answer):
    left = written(sql, Known())
    assert "ASOF" not in left
    assert answer(left) == answer(sql)


@pytest.mark.parametrize("reads_few_rows", [False, True])
def test_days_of_few_rows_read_one_row_too_and_weeks_of_them_add_up_all(reads_few_rows, answer):
    known = Known(reads_few_rows=reads_few_rows)
    running = f"-- Join Self Over Time Range\n{RUNNING['a channel']}"
    assert "ASOF" in faster(running, "duckdb", known)
    weeks = """select date_trunc('week', sold_at) as w, sum(amount) as v from sales s
        group by date_trunc('week', sold_at) order by w"""
    quicker = faster(weeks, "duckdb", known)
    assert (quicker == weeks) is reads_few_rows
    assert answer(quicker) == answer(weeks)


def test_without_knowledge_of_columns_nothing_runs(answer):
    left = written(RUNNING["a channel"], None)
    assert "ASOF" not in left
    assert answer(left) == answer(RUNNING["a channel"])


def test_a_bare_table_is_added_up_before_its_rows_meet_days_and_dimensions():
    quicker = written(RUNNING["a dimension by month"], None).lower()
    assert quicker.index("group by") < quicker.index("<=")
    assert quicker.index("join shops") < quicker.index("group by")
