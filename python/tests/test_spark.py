"""The demo company on Apache Spark: the numbers of DuckDB, and what happens where a part fails."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
import types

import parity
import pytest
import spark_lab

import cadran
from cadran.core.warehouse import Spark, connect, spark

# Tables whose rows no KPI shows: what SLOs came to, and the KPI tables as dbt built them.
TABLES = {
    "reliability": ["fct_slo_status", "fct_slo_periods", "fct_slo_burn", "fct_slo_slices_hourly"],
    "kpis": [
        "kpi_daily_commerce", "kpi_weekly_support", "kpi_weekly_backlog", "kpi_monthly_strategic",
        "kpi_minute_reliability",
    ],
    "preaggregates": ["sales_by_day", "requests_by_day"],
    "governance": ["kpi_catalog", "kpi_targets"],
}  # fmt: skip
# A statement that takes a core half a minute.
LONG = "select count(*) as n from range(60000000) as a where hash(a.id, uuid()) % 7 = 3"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if os.environ.get("CADRAN_TEST_SPARK") != "1":
        pytest.skip("`make test-spark` starts a cluster and builds the demo on it")
    with spark_lab.cluster(tmp_path_factory.mktemp("spark")) as started:
        yield started


@pytest.fixture(scope="module")
def target(cluster, demo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("target")
    build = cluster.dbt(
        folder, demo.data, "build", "--exclude-resource-type", "test", "unit_test", "saved_query"
    )
    build.wait()
    assert build.returncode == 0, build.log.read_text()[-5000:]
    return folder


@pytest.fixture(scope="module")
def data_tests(cluster, target, demo):
    """dbt's tests of data, at work while questions are asked."""
    return cluster.dbt(target, demo.data, "test", "--exclude-resource-type", "unit_test")


@pytest.fixture(scope="module")
def on_spark(cluster, target):
    layer = cluster.layer(target)
    yield layer
    layer.close()


@pytest.fixture(scope="module")
def on_duckdb(demo):
    return spark_lab.open_duckdb(demo.target, demo.database)


@pytest.fixture
def place(monkeypatch):
    """An address, as a machine that has the driver reads it."""
    monkeypatch.setitem(sys.modules, "pyspark", types.ModuleType("pyspark"))
    return spark.remote("sc://spark.example.com:15002/;token=secret")


def test_an_address_is_told_without_what_follows_host_and_port(place):
    assert str(place) == "sc://spark.example.com:15002"
    assert "secret" not in repr(place)
    for url in ("sc://", "http://spark.example.com", "sc://["):
        with pytest.raises(cadran.ProjectError, match="written sc://HOST:PORT"):
            spark.remote(url)


def test_another_way_to_spark_and_a_driver_that_is_missing_are_told(monkeypatch):
    with pytest.raises(cadran.ProjectError, match="`method: session`"):
        spark.remote_of_profile({"type": "spark", "method": "thrift", "host": "localhost"})
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(cadran.ProjectError, match="pip install"):
        spark.remote("sc://localhost:15002")


def test_nothing_is_published_to_spark(place):
    warehouse = connect(place, None)
    assert isinstance(warehouse, Spark)
    with (
        pytest.raises(cadran.CadranError, match="Keep the ledger in DuckDB or PostgreSQL"),
        warehouse.writing(0),
    ):
        pass


@pytest.mark.usefixtures("data_tests")
def test_every_kpi_equals_duckdb_s_in_value_type_and_order(on_spark, on_duckdb):
    found, count, sources = [], 0, set()
    for name, groups in spark_lab.questions(on_duckdb):
        results = [each.query([name], groups) for each in (on_spark, on_duckdb)]
        found += parity.differences(name, groups, *results)
        sources.add(results[0].source)
        count += 1
    assert not found
    assert count > 100
    assert {"pre-aggregate sales_by_day", "pre-aggregate requests_by_day"} <= sources


def test_every_test_that_dbt_has_of_data_passes(data_tests):
    data_tests.wait()
    log = data_tests.log.read_text()
    assert data_tests.returncode == 0, log[-5000:]
    assert int(re.search(r"Done\. PASS=(\d+)", log)[1]) > 300


@pytest.mark.parametrize("schema", TABLES)
def test_tables_that_dbt_built_equal_duckdb_s(schema, on_spark, on_duckdb):
    for name in TABLES[schema]:
        columns = list(on_duckdb.warehouse.column_types(f"select * from {schema}.{name}"))
        sql = f"select {', '.join(columns)} from {schema}.{name}"
        rows = [each.warehouse.arrow(sql) for each in (on_spark, on_duckdb)]
        assert not parity.different_rows(*rows), name


def test_a_filter_takes_quotes_and_backslashes_as_text(on_spark):
    for text in ("O''Brien", "a\\b", "x''; drop table marts.fct_orders; --"):
        where = f"order_id__channel = '{text}'"
        assert on_spark.query(["orders_placed"], where=where).to_arrow().num_rows <= 1
    assert on_spark.warehouse.arrow("select count(*) from marts.fct_orders").num_rows == 1


def test_a_version_is_refused_by_name(on_spark):
    with pytest.raises(cadran.QueryError, match="frozen SQL, which is DuckDB's"):
        on_spark.query(["net_revenue"], ["metric_time__month"], version=1)


def test_an_incremental_run_replaces_whole_days_and_changes_no_number(
    cluster, target, demo, on_spark
):
    sql = "select count(*) as n, sum(request_count) as requests from marts.fct_requests_minutely"
    before = on_spark.warehouse.arrow(sql).to_pylist()
    run = cluster.dbt(target, demo.data, "run", "--select", "fct_requests_minutely")
    run.wait()
    assert run.returncode == 0, run.log.read_text()[-5000:]
    assert on_spark.warehouse.arrow(sql).to_pylist() == before


def test_a_statement_is_stopped_from_another_thread(on_spark):
    stops = []

    def ask():
        stops.append(on_spark.warehouse.stopper())
        with pytest.raises(cadran.CadranError, match="stopped before it was answered"):
            on_spark.warehouse.arrow(LONG)
        stops.append("ended")

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(5)
    stops[0]()
    thread.join(20)
    assert stops[1:] == ["ended"]


def test_a_worker_that_is_killed_in_mid_question_changes_no_answer(cluster, on_spark):
    answers = []
    sql = """select sum(n) as n, sum(total) as total, count(*) as groups from (
        select id % 1000 as rest, count(*) as n, sum(id) as total
        from range(0, 300000000, 1, 16) group by 1
    )"""
    thread = threading.Thread(target=lambda: answers.append(on_spark.warehouse.arrow(sql)))
    thread.start()
    time.sleep(2)
    assert not answers
    cluster.kill_executor(1)
    thread.join(300)
    assert answers[0].to_pylist() == [
        {"n": 300_000_000, "total": 44_999_999_850_000_000, "groups": 1000}
    ]
    cluster.script("worker", cluster.folder, 1)


def test_a_server_that_is_started_anew_is_told_once_and_then_asked(cluster, on_spark):
    on_spark.warehouse.arrow("select 1 as one")
    cluster.stop("connect")
    with pytest.raises(cadran.CadranError, match="cannot be reached, or was started anew"):
        on_spark.warehouse.arrow("select 1 as one")
    cluster.script("connect", cluster.folder)
    assert on_spark.query(["orders_placed"]).to_arrow().num_rows == 1


def test_a_build_that_is_stopped_leaves_the_old_tables(cluster, target, demo, on_spark):
    sql = "select count(*) as n, sum(amount) as amount from marts.fct_order_lines"
    before = on_spark.warehouse.arrow(sql).to_pylist()
    run = cluster.dbt(target, demo.data, "run", "--select", "fct_order_lines")
    while "START sql table" not in run.log.read_text():
        assert run.poll() is None, run.log.read_text()[-5000:]
        time.sleep(0.1)
    time.sleep(1)
    assert run.poll() is None
    run.kill()
    run.wait()
    assert "OK created" not in run.log.read_text()
    assert on_spark.warehouse.arrow(sql).to_pylist() == before
    run = cluster.dbt(target, demo.data, "run", "--select", "fct_order_lines")
    run.wait()
    assert run.returncode == 0, run.log.read_text()[-5000:]
    assert on_spark.warehouse.arrow(sql).to_pylist() == before
