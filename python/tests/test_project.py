"""Where a layer finds its artefacts and its warehouse, and what it says when it does not."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading

import duckdb
import pytest

import cadran
from cadran.core.warehouse.duckdb import DuckDB
from cadran.errors import ProjectError, WarehouseError

PROFILE = """
shop:
  target: "{{ env_var('SHOP_TARGET', 'dev') }}"
  outputs:
    dev: {type: duckdb, path: "{{ env_var('SHOP_PATH', 'tiny.duckdb') }}"}
    prod: {type: snowflake, account: x}
"""


@pytest.fixture
def project(tiny, tmp_path, monkeypatch):
    for name in ("CADRAN_DATABASE", "DBT_PROFILES_DIR", "DBT_TARGET", "DBT_TARGET_PATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    (tmp_path / "profiles.yml").write_text(PROFILE)
    (tmp_path / "target").mkdir()
    for name in ("manifest.json", "semantic_manifest.json"):
        (tmp_path / "target" / name).write_bytes((tiny.parent / name).read_bytes())
    (tmp_path / "tiny.duckdb").write_bytes((tiny.parents[1] / "tiny.duckdb").read_bytes())
    return tmp_path


def orders(layer):
    return layer.query(["orders"]).to_arrow().column("orders").to_pylist()


def test_a_built_project_opens_through_its_profile(project):
    assert orders(cadran.open(project)) == [5]


def test_the_variable_and_the_argument_name_another_warehouse(project, monkeypatch):
    other = project / "some other name.duckdb"
    (project / "tiny.duckdb").rename(other)
    assert orders(cadran.open(project, database=other)) == [5]
    monkeypatch.setenv("CADRAN_DATABASE", str(other))
    assert orders(cadran.open(project)) == [5]


def test_the_profile_is_rendered_with_environment_variables(project, monkeypatch):
    (project / "tiny.duckdb").rename(project / "moved.duckdb")
    monkeypatch.setenv("SHOP_PATH", "moved.duckdb")
    assert orders(cadran.open(project)) == [5]


def test_a_target_of_another_engine_is_refused(project, monkeypatch):
    monkeypatch.setenv("SHOP_TARGET", "prod")
    with pytest.raises(cadran.ProjectError, match="snowflake"):
        orders(cadran.open(project))


def test_a_folder_without_a_project_says_so(tmp_path):
    with pytest.raises(cadran.ProjectError, match=r"dbt_project\.yml") as caught:
        cadran.open(tmp_path)
    assert isinstance(caught.value, FileNotFoundError)


def test_a_project_that_is_not_built_is_told_to_build(project):
    (project / "target" / "semantic_manifest.json").unlink()
    with pytest.raises(cadran.ProjectError, match="dbt build"):
        cadran.open(project).metrics()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"metrics": 1}', "\x00"])
def test_a_manifest_that_is_none_is_refused(project, content):
    (project / "target" / "semantic_manifest.json").write_text(content)
    with pytest.raises(cadran.ProjectError, match="semantic manifest"):
        cadran.open(project).metrics()


def test_a_manifest_alone_needs_a_warehouse(project, monkeypatch):
    monkeypatch.delenv("CADRAN_DATABASE", raising=False)
    layer = cadran.open(manifest=project / "target" / "semantic_manifest.json")
    with pytest.raises(cadran.ProjectError, match="database="):
        orders(layer)


def test_a_file_that_is_no_database_is_refused(project):
    (project / "tiny.duckdb").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(cadran.WarehouseError, match="no DuckDB warehouse"):
        orders(cadran.open(project))


def test_a_table_that_was_not_built_asks_for_a_build(project):
    with duckdb.connect(str(project / "tiny.duckdb")) as connection:
        connection.execute("drop table shop.orders")
    orders_here = [1]  # noqa: F841 - a variable of that kind must never stand in for a table
    with pytest.raises(cadran.WarehouseError, match="dbt build"):
        orders(cadran.open(project))


def test_a_warehouse_that_another_process_writes_is_told_apart(project):
    code = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True);"
        " sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, project / "tiny.duckdb"]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline().strip() == "held"
        with pytest.raises(cadran.WarehouseError, match="another process"):
            orders(cadran.open(project))
    finally:
        holder.communicate("")
    assert orders(cadran.open(project)) == [5]


def test_a_warehouse_put_in_place_is_seen_by_the_next_question(project):
    layer = cadran.open(project)
    assert orders(layer) == [5]
    aside = project / "aside.duckdb"
    aside.write_bytes((project / "tiny.duckdb").read_bytes())
    with duckdb.connect(str(aside)) as connection:
        connection.execute("delete from shop.orders where order_id = 'o1'")
    aside.replace(project / "tiny.duckdb")
    assert orders(layer) == [4]


def test_a_closed_layer_lets_a_build_write_and_opens_again(project):
    layer = cadran.open(project)
    assert orders(layer) == [5]
    layer.close()
    with duckdb.connect(str(project / "tiny.duckdb")) as connection:
        connection.execute("delete from shop.orders")
    assert orders(layer) == [0] or orders(layer) == [None]


def test_one_warehouse_serves_many_threads(project):
    warehouse, found = DuckDB(project / "tiny.duckdb", "tiny"), []

    def count():
        for _ in range(20):
            table = warehouse.arrow("select count(*) as n from shop.orders")
            found.append(table.column(0)[0].as_py())

    threads = [threading.Thread(target=count) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [5] * 120


def test_times_are_in_utc_whatever_the_machine_thinks(project):
    zone = DuckDB(project / "tiny.duckdb", "tiny").arrow("select current_setting('TimeZone') as z")
    assert zone.to_pylist() == [{"z": "UTC"}]


def test_a_connection_that_waits_to_be_collected_does_not_hold_the_warehouse(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table numbers as select 1 as n")
    gc.disable()
    try:
        circle = [duckdb.connect(str(path))]
        circle.append(circle)
        del circle
        assert DuckDB(path, None).arrow("select n from numbers").to_pylist() == [{"n": 1}]
    finally:
        gc.enable()


def test_a_connection_that_is_used_holds_the_warehouse_and_is_named(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with (
        duckdb.connect(str(path)),
        pytest.raises(WarehouseError, match="is open for writing in this process"),
    ):
        DuckDB(path, None).arrow("select 1")


def test_artefacts_of_a_dbt_that_is_too_old_are_refused_with_the_version_to_install(project):
    path = project / "target" / "semantic_manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["project_configuration"]["time_spines"]  # dbt knew none in YAML before 1.9
    path.write_text(json.dumps(manifest))
    with pytest.raises(ProjectError, match=r"too old.*pip install 'dbt-core>=1\.12'"):
        cadran.open(project).metrics()
