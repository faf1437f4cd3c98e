"""Plain SQL over KPI tables: what it answers, and the many things that it does not."""

from __future__ import annotations

import pyarrow as pa
import pytest
from adbc_driver_manager import AdbcStatusCode, Error
from flight_clients import SECRETS, TABLES

pytest_plugins = ["flight_fixtures"]


def test_plain_sql_reads_kpi_tables(flight, layer):
    weekly = layer.query(saved_query="kpi_weekly_support").to_arrow()
    for name in ("kpis.kpi_weekly_support", "kpi_weekly_support", "cadran.KPIS.KPI_WEEKLY_SUPPORT"):
        assert flight(f"select * from {name}").equals(weekly)
    totals = flight(
        "with opened as (select ticket__team as team, tickets_opened from kpi_weekly_support)"
        " select team, sum(tickets_opened) as tickets, count(*) as weeks,"
        " row_number() over (order by team) as place,"
        " case when team like 'a%' then upper(team) || '!' else team end as shown"
        " from opened group by team order by team -- by team"
    )
    expected = weekly.group_by("ticket__team").aggregate([("tickets_opened", "sum")])
    assert totals.schema.field("tickets").type == pa.int64()
    assert dict(zip(totals["team"].to_pylist(), totals["tickets"].to_pylist(), strict=True)) == (
        dict(zip(*expected.to_pydict().values(), strict=True))
    )
    joined = flight(
        "select b.metric_time__week, sum(b.ticket_backlog) n, max(s.tickets_opened) from"
        " kpis.kpi_weekly_backlog b join kpis.kpi_weekly_support s"
        " on s.metric_time__week = b.metric_time__week group by 1 order by 1 limit 3"
    )
    assert joined.num_rows == 3


def test_plain_sql_reads_a_question_beside_a_kpi_table(flight):
    table = flight(
        "select m.metric_time__month, m.net_revenue - q.net_revenue as rest from"
        " {{ semantic_layer.query(metrics=['net_revenue'], group_by=['metric_time__month']) }} q"
        " join kpis.kpi_monthly_strategic m using (metric_time__month)"
    )
    assert table.num_rows > 12
    assert set(table["rest"].to_pylist()) == {0}


_HOSTILE = [
    "select * from read_csv('/etc/passwd')",
    "select * from read_text('/etc/passwd')",
    "select * from read_parquet('/tmp/*.parquet')",
    "select * from '/etc/passwd'",
    "select * from 'warehouse.duckdb'",
    "select * from glob('/*')",
    "select * from kpis.kpi_weekly_support, read_blob('/etc/passwd')",
    "select * from duckdb_settings()",
    "select * from pragma_database_list",
    "select * from information_schema.tables",
    "select * from sqlite_master",
    "select * from given_0",
    "select * from main.fct_orders",
    "select * from marts.fct_order_lines",
    "select * from query('select 1')",
    "select * from query_table('fct_orders')",
    "select * from arrow_scan(1, 2, 3)",
    "select current_setting('temp_directory')",
    "select getenv('HOME')",
    "select version()",
    "select getvariable('x')",
    "select repeat('x', 1000000000)",
    "select unnest(range(1000000000))",
    "select * from range(1000000000)",
    "select * from generate_series(1, 1000000000)",
    "select 1; select 2",
    "select 1; drop table kpis.kpi_weekly_support",
    "drop table kpis.kpi_weekly_support",
    "insert into kpis.kpi_weekly_support values (1)",
    "update kpis.kpi_weekly_support set ticket__team = 'x'",
    "delete from kpis.kpi_weekly_support",
    "create table x as select 1",
    "create table kpis.x as select * from kpis.kpi_weekly_support",
    "attach '/tmp/x.duckdb' as x",
    "copy kpis.kpi_weekly_support to '/tmp/x.csv'",
    "copy (select 1) to '/tmp/x.csv'",
    "export database '/tmp/x'",
    "set memory_limit = '100GB'",
    "reset lock_configuration",
    "pragma threads = 8",
    "install httpfs",
    "load httpfs",
    "call pragma_version()",
    "explain select 1",
    "describe kpis.kpi_weekly_support",
    "show tables",
    "use kpis",
    "begin",
    "with x as (delete from kpis.kpi_weekly_support returning 1) select * from x",
    "select 1 into x",
    "select ? from kpis.kpi_weekly_support",
    "select $1",
    "select columns('.*') from kpis.kpi_weekly_support",
    "pivot kpis.kpi_weekly_support on ticket__team using sum(tickets_opened)",
    "select replace('a', 'a', ticket__team) from kpis.kpi_weekly_support",
    "with " + ", ".join(
        f"t{n} as (select {'||'.join(['a'] * 8)} a from t{n - 1})" if n else "t0 as (select 'x' a)"
        for n in range(40)
    ) + " select length(a) from t39",
    "select " + "(" * 5000 + "1" + ")" * 5000,
    "select " + "+".join(["1"] * 20_000),
    "select '\x00' from",
    "selekt 1",
    ";",
]  # fmt: skip


@pytest.mark.parametrize("sql", _HOSTILE, ids=lambda sql: sql[:60])
def test_hostile_sql_is_refused_with_a_clean_sentence(flight_connection, sql):
    with flight_connection.cursor() as cursor, pytest.raises(Error) as caught:
        cursor.execute(sql)
    assert caught.value.status_code == AdbcStatusCode.INVALID_ARGUMENT, caught.value
    sentence = str(caught.value)
    assert "recorded" not in sentence
    asked = {word for word in SECRETS if word in sql}
    assert not [word for word in SECRETS if word in sentence and word not in asked]


def test_a_wrong_name_in_plain_sql_is_answered_with_the_right_one(flight_refusal):
    assert "Did you mean 'kpi_weekly_support'" in flight_refusal(
        "select * from kpis.kpi_wekly_support"
    )
    assert ", ".join(TABLES) in flight_refusal("select * from nothing_like_it")
    assert "'kpis'" in flight_refusal("select * from kpi.kpi_weekly_support")
    assert '"nope" not found' in flight_refusal("select nope from kpi_weekly_support")
    assert "date_trunc" in flight_refusal("select datetrunk('month', metric_time__week) from"
                                   " kpi_weekly_support")  # fmt: skip


def test_an_answer_without_end_is_refused_before_it_fills_the_memory(flight):
    with pytest.raises(Error, match="more than 256 MB"):
        flight("select a.*, b.*, c.* from kpis.kpi_daily_commerce a, kpis.kpi_daily_commerce b,"
            " kpis.kpi_weekly_support c")  # fmt: skip
