"""The demo built on PostgreSQL gives every KPI the values and types that it has on DuckDB."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from pathlib import Path
from urllib.parse import quote

import duckdb
import parity
import psycopg
import pytest
from telemetry_fixtures import BY_TIME, EQUAL, land_day
from telemetry_fixtures import CUT as HOT_FROM

import cadran
from cadran.core.layer import Layer
from cadran.core.project import dbt as compiler
from cadran.core.project.artifacts import Project
from cadran.errors import BusyError
from cadran.telemetry import hot

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "test" / "parity"
# Requests and probes of three months are enough to compare two; the rest of the demo is whole.
FIRST_MONTH, START, END = "2026-08", date(2026, 9, 1), date(2026, 10, 31)
PASSWORD = "p@ss:50%/wörd"  # noqa: S105 - each of these means something in a URL
CUT = re.compile(r"fct_requests_minutely|fct_probes|slo|sli|requests_by_day")


@pytest.fixture(scope="module")
def there(demo, postgres_server):
    """The layer of the demo, built by dbt in PostgreSQL from the files of the other."""
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as server:
        server.execute("drop database if exists parity with (force)")
        server.execute("drop role if exists builder")
        server.execute(f"create role builder login password '{PASSWORD}'")
        server.execute("create database parity owner builder")
    place = postgres_server.rpartition("@")[2]
    url, files = f"postgresql://builder:{quote(PASSWORD, safe='')}@{place}/parity", WORK / "data"
    _cut(demo.data, files)
    environment = os.environ | {
        "CADRAN_TARGET": "postgres", "CADRAN_POSTGRES": url, "DO_NOT_TRACK": "1",
    }  # fmt: skip
    dbt = Path(sys.executable).with_name("dbt")
    for command in (
        [sys.executable, "-m", "cadran", "load", "--project-dir", ROOT, "--sources", files],
        [
            dbt, "--no-use-colors", "build", "--project-dir", ROOT, "--profiles-dir", ROOT,
            "--target-path", WORK / "dbt", "--vars", json.dumps({"cadran_sources": str(files)}),
            "--exclude-resource-type", "saved_query", "test", "unit_test",
        ],
    ):  # fmt: skip
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    layer = cadran.open(manifest=WORK / "dbt" / "semantic_manifest.json", database=url)
    yield layer
    layer.close()


def _cut(data, folder):
    """The demo's files by links, requests and probes without what lies before the first month."""
    for file in data.rglob("*.parquet"):
        place = folder / file.relative_to(data)
        month = file.parent.name.partition("month=")[2]
        if month and month < FIRST_MONTH:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        if file.name == "probes.parquet":
            duckdb.execute(
                f"copy (select * from '{file}' where probed_at >= '{FIRST_MONTH}-01') to '{place}'"
            )
        else:
            place.symlink_to(file)


def test_every_kpi_is_that_of_duckdb_by_its_coarsest_grain_and_a_dimension(layer, there):
    wrong, compared = [], 0
    for card in layer.kpis():
        months = f"metric_time__{card.grains[-1]}"
        span = {}
        if CUT.search(layer.sql([card.name], [months])):
            months, span = "metric_time__month", {"start": START, "end": END}
        for group_by in ([months], [months, *card.dimensions[:1]]):
            mine, theirs = (each.query([card.name], group_by, **span) for each in (layer, there))
            assert mine.to_arrow().num_rows, (card.name, group_by)
            wrong += parity.differences(card.name, group_by, mine, theirs)
            compared += 1
    assert wrong == []
    assert compared == 2 * len(layer.kpis())


# Live ---------------------------------------------------------------------------------------------


@pytest.fixture
def live(there, tmp_path, monkeypatch):
    """What opens the build as it was at the cut, with what is landed in a folder beside it."""
    built = there.project
    project = Project(built.semantic_manifest_path, built.database, tmp_path)
    monkeypatch.setattr(compiler, "compiled_there", lambda _: built)
    monkeypatch.setattr("cadran.core.warehouse.postgres_live._HOURLY", 0.0)
    with psycopg.connect(**built.database.parameters, autocommit=True) as database:
        database.execute("drop schema if exists whole cascade")
        database.execute("create schema whole")
        for schema, name in EQUAL:
            database.execute(f"create table whole.{name} as select * from {schema}.{name}")
        for (schema, name), column in BY_TIME.items():
            database.execute(f"delete from {schema}.{name} where {column} >= '{HOT_FROM}'")
        stores = []

        def opened():
            stores.append(hot.opened(project, project, tmp_path))
            stores[-1].warehouse.every = 0.0
            return stores[-1]

        yield opened
        for store in stores:
            store.close()
        for (schema, name), column in BY_TIME.items():
            database.execute(
                f"insert into {schema}.{name} select * from whole.{name}"
                f" where {column} >= '{HOT_FROM}'"
            )


def _unlike(warehouse, tables=EQUAL):
    """The tables of which hot and built rows together are not those of the whole build."""
    both = "((select * from {0} except all select * from {1}) union all"
    both += " (select * from {1} except all select * from {0}))"
    return [
        (name, number)
        for schema, name in tables
        if (
            number := warehouse.arrow(
                f"select count(*) as n from {both.format(f'{schema}.{name}', f'whole.{name}')} as x"
            )["n"][0].as_py()
        )
    ]


def test_what_lands_gives_the_rows_of_the_build_and_one_process_writes_them(live, raw, tmp_path):
    first, second = live(), live()
    assert (first.cut, second.cut) == (HOT_FROM, HOT_FROM)
    assert (first.warehouse.leads(), second.warehouse.leads()) == (True, False)
    land_day(raw, tmp_path)
    assert "marts__fct_requests_minutely" in first.tick()
    assert "marts__fct_requests_minutely" in second.tick()
    assert second.warehouse.moves == first.warehouse.moves
    assert _unlike(second.warehouse) == []
    # The same parts again, by another process: it takes over, and each row is there once.
    first.close()
    assert second.tick()
    assert second.warehouse.leads()
    assert _unlike(second.warehouse, BY_TIME) == []


def test_a_question_of_a_live_layer_says_how_far_it_reaches(live, there, raw, tmp_path):
    store, day = live(), HOT_FROM.date()
    layer = Layer(there.project, opened=store.warehouse)
    asked = {"metrics": ["request_count"], "group_by": ["metric_time__day"], "start": day}
    before = layer.query(**asked)
    land_day(raw, tmp_path)
    store.tick()
    after = layer.query(**asked)
    assert after.watermark > before.watermark
    counted = f"select sum(request_count) from telemetry.requests where minute_at >= '{day}'"
    assert after.to_arrow()["request_count"].to_pylist() == [raw.execute(counted).fetchone()[0]]
    # The build is left alone. Its pre-aggregates have the rows that the test took away.
    built = Layer(there.project, opened=there.warehouse, is_routed=False)
    assert built.query(**asked).to_arrow().equals(before.to_arrow())


def test_a_day_that_begins_gives_the_spine_its_minutes_and_the_next_minute_none(live, raw):
    store = live()
    columns = [name.split()[0] for name in store.warehouse.plan.sources["requests"].split(",")]
    counted = "select count(*) as n, count(distinct minute_at) as one, max(minute_at) as last"
    spine = f"{counted} from utilities.time_spine_minute"
    before = store.warehouse.arrow(spine).to_pylist()[0]
    night = datetime.combine(END, time(23, 59))
    moved, counters = [], raw.cursor()
    for at in (night, night + timedelta(minutes=1), night + timedelta(minutes=2)):
        rows = counters.sql(
            f"select {', '.join(columns)} from"
            f" (select * replace (timestamp '{at}' as minute_at) from telemetry.requests limit 1)"
        ).to_arrow_table()
        moved.append(store.warehouse.take({"requests": rows}, [at], at))
    assert ["utilities__time_spine_minute" in keys for keys in moved] == [False, True, False]
    after = store.warehouse.arrow(spine).to_pylist()[0]
    assert after["n"] == after["one"] == before["n"] + 24 * 60
    assert after["last"].date() == END + timedelta(days=1)


def test_nothing_is_hot_beside_a_build_that_goes_on(live, there):
    store = live()
    with psycopg.connect(**there.project.database.parameters, autocommit=True) as database:
        database.execute("update governance.build_marks set state = 'building'")
        try:
            with pytest.raises(BusyError, match="is being built"):
                store.tick()
            assert not store.warehouse.is_begun
        finally:
            database.execute("update governance.build_marks set state = 'finished'")
    store.tick()
    assert store.warehouse.is_begun
