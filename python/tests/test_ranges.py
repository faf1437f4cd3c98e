"""Ranges and filters of days select the same rows as MetricFlow's own, of any type of time."""

from __future__ import annotations

import random
import re
import shutil

import duckdb
import pytest

import cadran
from cadran.core.compiler import metricflow
from cadran.core.compiler.optimizer import half_open_ranges

TYPES = ["date", "timestamp", "timestamptz", "text"]
ROWS = """
create or replace table shop.orders as
select 'o' || i as order_id, 'c' || (i % 3 + 1) as customer_id,
    case i % 4 when 0 then 'web' when 1 then 'app' end as channel,
    case when i % 17 = 0 then null else
        (timestamp '2025-12-28' + interval 1 minute * (i * 331 % 60000)
            + interval 1 microsecond * (i % 2))::{type} end as ordered_date,
    null::date as shipped_date, (i % 91)::decimal(14, 2) as amount
from range(700) as t (i);
insert into shop.orders
select 'edge' || i, 'c1', 'web', (day::timestamp - interval 1 microsecond * (i % 2))::{type},
    null, 7
from (select unnest(range(timestamp '2026-01-01', timestamp '2026-02-05', interval 1 day)) as day,
    unnest(range(35)) as i);
"""


@pytest.fixture(scope="module", params=TYPES)
def typed(request, tiny, tmp_path_factory):
    """A layer over a fact whose time has this type, and one that answers as MetricFlow writes."""
    database = tmp_path_factory.mktemp(request.param) / "tiny.duckdb"
    shutil.copy(tiny.parents[1] / "tiny.duckdb", database)
    with duckdb.connect(str(database)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(ROWS.format(type=request.param))
    ours = cadran.open(manifest=tiny, database=database, plan_cache=False)
    plain = cadran.open(manifest=tiny, database=database, plan_cache=False)

    def theirs(**question):
        with pytest.MonkeyPatch.context() as patch:
            # A text has no DATE_TRUNC, so that MetricFlow's own shape is written with a cast.
            patch.setattr(metricflow, "faster", lambda sql, *_: metricflow_days(sql))
            patch.setattr(plain.ranges, "with_days_of_filters", lambda query: query)
            return plain.query(**question)

    yield request.param, ours, theirs
    ours.close()
    plain.close()


def metricflow_days(sql):
    return re.sub(r"(?i)DATE_TRUNC\('day', ([\w.]+)\)", r"CAST(\1 AS DATE)", sql)


def questions(seed, count):
    draw = random.Random(seed)  # noqa: S311
    days = [f"2026-01-{day:02}" for day in range(1, 32)] + ["2025-12-31", "2026-02-03"]
    for _ in range(count):
        first, last = sorted(draw.choices(days, k=2))
        question = {
            "metrics": draw.choice([["amount"], ["orders", "buyers"], ["web_amount", "amount"]]),
            "group_by": draw.choice([
                [], ["metric_time__day"], ["metric_time__week"], ["metric_time__month"],
                ["order_id__channel"], ["metric_time__day", "customer__country"],
            ]),
            "governed": False,
        }  # fmt: skip
        kind = draw.randrange(5)
        if kind < 2:  # two of five have a range
            question |= {"start": first, "end": last}
        else:
            day = "metric_time__day"
            question["where"] = [
                draw.choice([
                    f"{day} between date '{first}' and date '{last}'",
                    f"{day} >= date '{first}' and {day} < date '{last}'",
                    f"{day} = date '{first}'", f"{day} in (date '{first}', date '{last}')",
                    f"{day} = date '{first}' or order_id__channel = 'web'",
                    f"not {day} > date '{first}'", f"date '{first}' < {day}",
                ])
            ]  # fmt: skip
        yield question


def test_every_range_and_filter_gives_the_same_rows(typed):
    kind, ours, theirs = typed
    for question in questions(kind, 30):
        if kind == "text" and set(question["group_by"]) & {
            "metric_time__week",
            "metric_time__month",
        }:
            continue  # DuckDB has no DATE_TRUNC of a text
        mine = ours.query(**question).to_arrow()
        assert mine.equals(theirs(**question).to_arrow()), question


def test_a_range_of_a_time_is_half_open_and_one_of_a_text_stays(typed):
    kind, ours, _ = typed
    range_ = {"start": "2026-01-05", "end": "2026-01-06"}
    filtered = {"where": "metric_time__day between date '2026-01-05' and date '2026-01-06'"}
    for narrowed in (range_, filtered):
        sql = ours.sql(["amount"], ["metric_time__day"], governed=False, **narrowed)
        half_open = "(ordered_date >= DATE '2026-01-05' AND ordered_date < DATE '2026-01-06' + 1)"
        assert (half_open in sql) == (kind != "text"), sql


def test_a_plan_for_another_type_is_compiled_anew(tiny, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    manifest = shutil.copy(tiny, target / tiny.name)
    database = tmp_path / "tiny.duckdb"
    rows = []
    for kind in ("timestamp", "text"):
        with duckdb.connect(str(database)) as connection:
            connection.execute("create schema if not exists shop")
            connection.execute(ROWS.format(type=kind))
        layer = cadran.open(manifest=manifest, database=database)
        answer = layer.query(["amount"], start="2026-01-05", end="2026-01-06", governed=False)
        rows.append((answer.to_arrow().to_pylist(), "CAST(" in answer.sql))
        layer.close()
    assert rows[0][0] == rows[1][0]
    assert [cast for _, cast in rows] == [False, True]


@pytest.mark.parametrize(
    "sql",
    [
        "FROM a x WHERE t = 'DATE_TRUNC(''day'', d) BETWEEN ''2026-01-01'' AND ''2026-01-02'''",
        "FROM (SELECT d FROM a) y WHERE DATE_TRUNC('day', d) BETWEEN '2026-01-01' AND '2026-01-02'",
        "FROM a x JOIN b x WHERE DATE_TRUNC('day', x.d) BETWEEN '2026-01-01' AND '2026-01-02'",
    ],
    ids=["a text", "a column of a subquery", "an alias of two relations"],
)
def test_what_is_no_range_of_a_known_column_is_left_alone(sql):
    assert half_open_ranges(sql, lambda *_: True) == sql
