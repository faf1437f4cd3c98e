"""The project builds: every model, data test and unit test of dbt passes on the demo."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import parsed
import pytest

AGES = {
    "shop": {"orders", "order_lines", "sessions"},
    "helpdesk": {"tickets", "ticket_events"},
    "telemetry": {"requests", "request_lines", "probes"},
}


def test_dbt_build_passes_every_model_and_test(demo):
    assert demo.returncode == 0, demo.log[-5000:]
    results = [
        result
        for result in json.loads((demo.target / "run_results.json").read_text())["results"]
        if not result["unique_id"].startswith("saved_query.")  # open-source dbt runs no exports
    ]
    statuses = {result["status"] for result in results}
    assert statuses <= {"success", "pass"}, [
        result["unique_id"] for result in results if result["status"] not in {"success", "pass"}
    ]
    kinds = {result["unique_id"].split(".")[0] for result in results}
    assert {"model", "test", "unit_test", "seed"} <= kinds


def test_every_model_and_every_column_that_was_built_is_described(demo):
    assert demo.returncode == 0, demo.log[-5000:]
    manifest = json.loads((demo.target / "manifest.json").read_text())
    nodes = [n for n in manifest["nodes"].values() if n["resource_type"] in {"model", "seed"}]
    assert [node["name"] for node in nodes if not node["description"]] == []
    described = {
        (node["schema"], node["alias"]): {
            name.lower() for name, column in node["columns"].items() if column["description"]
        }
        for node in nodes
    }
    with duckdb.connect(str(demo.database), read_only=True) as warehouse:
        built = warehouse.sql(
            "select schema_name, table_name, column_name from duckdb_columns() where not internal"
        ).fetchall()
    # The marks of the build itself are no model.
    built = [row for row in built if row[:2] in described]
    assert {row[:2] for row in built} == described.keys()
    silent = [row for row in built if row[2].lower() not in described[row[:2]]]
    assert silent == []


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_dbt_tells_how_old_the_files_of_a_source_are(demo, ending, tmp_path):
    data = tmp_path / "data"
    with duckdb.connect() as files:
        for source, tables in AGES.items():
            (data / source).mkdir(parents=True)
            for table in tables:
                raw = [
                    str(path)
                    for pattern in (f"{table}.parquet", f"{table}/**/*.parquet")
                    for path in Path(demo.data, source).glob(pattern)
                ]
                written = f"{data}/{source}/{table}.{ending}"
                files.execute(f"copy (from read_parquet({raw})) to '{written}'")
        (newest,) = files.execute(
            f"select max(booked_at)::timestamp from '{demo.data}/shop/order_lines.parquet'"
        ).fetchone()
    (tmp_path / "ages").mkdir()
    asked = parsed.dbt(
        demo, tmp_path, tmp_path / "ages" / "warehouse.duckdb", "source freshness",
        cadran_sources=str(data),
    )  # fmt: skip
    assert asked.success, asked.exception or asked.result
    ages = {
        (found.node.source_name, found.node.name): found
        for found in asked.result.results
        if found.node.resource_type == "source"  # and no hook
    }
    assert set(ages) == {(source, table) for source, tables in AGES.items() for table in tables}
    assert {found.status for found in ages.values()} <= {"pass", "warn"}
    told = ages["shop", "order_lines"].max_loaded_at
    assert told.replace(tzinfo=None) == newest
