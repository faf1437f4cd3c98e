"""The demo built on PostgreSQL gives every KPI the values and types that it has on DuckDB."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import psycopg
import pytest

import cadran

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "test" / "parity"
# Requests and probes of three months are enough to compare two; the rest of the demo is whole.
FIRST_MONTH, START, END = "2026-08", date(2026, 9, 1), date(2026, 10, 31)
CUT = re.compile(r"fct_requests_minutely|fct_probes|slo|sli|requests_by_day")


@pytest.fixture(scope="module")
def there(demo, postgres_server):
    """The layer of the demo, built by dbt in PostgreSQL from the files of the other."""
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as server:
        server.execute("drop database if exists parity with (force)")
        server.execute("create database parity")
    url, files = f"{postgres_server}/parity", WORK / "data"
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


def _rows(result, keys):
    rows = result.to_arrow().to_pylist()
    return sorted(rows, key=lambda row: [str(row[key]) for key in keys])


def _differs(one, other):
    if type(one) is not type(other):
        return True
    if isinstance(one, float):
        return abs(one - other) > 1e-9 * max(1.0, abs(one))
    return one != other


def _differences(here, there, kpi, group_by, **span):
    mine, theirs = (layer.query([kpi], group_by, **span) for layer in (here, there))
    keys = [name for name in mine.to_arrow().column_names if name != kpi]
    left, right = _rows(mine, keys), _rows(theirs, keys)
    assert left, (kpi, group_by)
    if len(left) != len(right):
        return [(kpi, group_by, len(left), len(right))]
    return [
        (kpi, group_by, a, b)
        for a, b in zip(left, right, strict=True)
        if any(_differs(a[name], b[name]) for name in a)
    ]


def test_every_kpi_is_that_of_duckdb_by_its_coarsest_grain_and_a_dimension(layer, there):
    wrong, compared = [], 0
    for card in layer.kpis():
        months = f"metric_time__{card.grains[-1]}"
        span = {}
        if CUT.search(layer.sql([card.name], [months])):
            months, span = "metric_time__month", {"start": START, "end": END}
        for group_by in ([months], [months, *card.dimensions[:1]]):
            wrong += _differences(layer, there, card.name, group_by, **span)
            compared += 1
    assert wrong == []
    assert compared == 2 * len(layer.kpis())
