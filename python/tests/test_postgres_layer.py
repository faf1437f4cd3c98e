"""A layer, its ledger and its servers on PostgreSQL: as on DuckDB, or refused in a sentence."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import shutil
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest
from postgres_lab import copied
from rest_fixtures import QUIET

import cadran
from cadran.core.ledger.reader import has_ledger
from cadran.core.ledger.verify import verify
from cadran.core.project import artifacts, dbt
from cadran.core.warehouse import Confinement, connect
from cadran.core.warehouse.postgres import address
from cadran.core.warehouse.postgres_ledger import guard
from cadran.errors import BusyError, ProjectError, StoppedError, WarehouseError
from cadran.governance.approval import Restatement
from cadran.governance.close import close
from cadran.governance.publish import publish
from cadran.server.run import serving

ROOT = Path(__file__).resolve().parents[2]
MARKS = """
create schema if not exists governance;
create table if not exists governance.build_marks
    (state varchar(20), invocation_id varchar(64), marked_at timestamp);
create table if not exists governance.build_pending
    (unique_id varchar(400), state varchar(20), marked_at timestamp);
"""
ME = {"author": "data@example.com"}
NO_LEDGER = [
    f"drop table if exists governance.kpi_ledger_{name} cascade"
    for name in ("rows", "batches", "waiting")
]


def run(url, *statements):
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def mark(url, state, number="1"):
    run(
        url,
        "delete from governance.build_marks",
        f"insert into governance.build_marks values ('{state}', '{number}', '2026-11-01 00:00')",
    )


@pytest.fixture(scope="module")
def shop_url(tiny, postgres_server):
    """The shop of five orders in PostgreSQL."""
    url = copied(tiny.parents[1] / "tiny.duckdb", postgres_server, "tiny")
    run(url, MARKS)
    mark(url, "finished")
    return url


@pytest.fixture
def there(tiny, shop_url):
    """The layer of the shop in PostgreSQL."""
    layer = cadran.open(manifest=tiny, database=shop_url)
    yield layer
    layer.close()


@pytest.fixture
def books(tiny, shop_url, tmp_path):
    """A project on each engine, without a ledger yet: it opens the layer of one."""
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    (tmp_path / "cadran_ledger.yml").write_text("grains: [month]\n")
    shutil.copytree(tiny.parent, tmp_path / "target", copy_function=shutil.copy)
    shutil.copy(tiny.parents[1] / "tiny.duckdb", tmp_path / "shop.duckdb")
    run(shop_url, *NO_LEDGER)
    places = {"duckdb": tmp_path / "shop.duckdb", "postgres": shop_url}
    opened = []

    def layer(engine):
        opened.append(cadran.open(tmp_path, database=places[engine]))
        return opened[-1], tmp_path / f"{engine}.lock"

    yield layer
    for made in opened:
        made.close()


ASKED = [
    (["revenue", "amount_per_order"], ["metric_time__day"]),
    (["revenue", "amount_per_order"], ["metric_time__month"]),
    (["amount", "orders", "buyers"], ["metric_time__week", "order_id__channel"]),
    (["mean_amount", "least_amount", "greatest_amount"], ["customer__country"]),
    (["amount_to_date", "amount_3_days"], ["metric_time__day"]),
    (["pings"], ["metric_time__hour"]),
]


def _types(table):
    """Names and types; a least decimal has the digits of a sum in PostgreSQL, and its scale."""
    return [(field.name, re.sub(r"decimal128\(\d+", "decimal", str(field.type)))
            for field in table.schema]  # fmt: skip


@pytest.mark.parametrize(("metrics", "groups"), ASKED)
def test_answers_have_the_values_and_types_of_duckdb(shop, there, metrics, groups):
    options = {"governed": False, "start": "2026-01-30", "end": "2026-02-04"}
    expected = shop.query(metrics, groups, **options).to_arrow()
    answer = there.query(metrics, groups, **options).to_arrow()
    assert _types(answer) == _types(expected)
    assert answer.to_pylist() == expected.to_pylist()
    assert expected.num_rows


def test_parts_of_dates_are_whole_numbers(shop, there):
    part = cadran.GroupBy("metric_time", date_part="month")
    for layer in (shop, there):
        table = layer.query(["orders"], [part], governed=False).to_arrow()
        assert [str(field.type) for field in table.schema] == ["int64", "int64"]


def test_types_of_columns_are_told_as_duckdb_tells_them(there):
    types = there.warehouse.column_types(
        "select 1.5::numeric(10, 2) as n, now() as t, date '2026-01-01' as d, 'x'::text as s"
    )
    assert types == {
        "n": "DECIMAL(10,2)", "t": "TIMESTAMP WITH TIME ZONE", "d": "DATE", "s": "VARCHAR",
    }  # fmt: skip


def test_a_number_that_no_decimal_holds_is_refused(there):
    with pytest.raises(WarehouseError, match="NaN or Infinity"):
        there.warehouse.arrow("select 'nan'::numeric as odd")


def test_a_password_stands_in_no_message(shop_url):
    wrong = shop_url.replace("cadran:", "cadran:s3cret-", 1)
    place = address(wrong)
    assert "s3cret" not in repr(place) + str(place)
    with pytest.raises(WarehouseError, match="password authentication failed") as refused:
        connect(place, None).arrow("select 1")
    assert "s3cret" not in str(refused.value)
    for broken in ("postgresql://u:s3cr@t@h:1/d", "postgresql://u:s3cret%ZZ@h/d"):
        with pytest.raises(ProjectError) as refused:
            address(broken)
        assert "s3cr" not in str(refused.value)


def test_a_profile_of_dbt_names_the_database(shop_url, tiny, tmp_path, monkeypatch):
    for name in ("CADRAN_DATABASE", "CADRAN_POSTGRES", "DBT_TARGET", "DBT_PROFILES_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    known = address(shop_url).parameters
    monkeypatch.setenv("SHOP_PASSWORD", known["password"])
    (tmp_path / "profiles.yml").write_text(f"""
shop:
  target: live
  outputs:
    live:
      type: postgres
      host: {known["host"]}
      port: "{{{{ '{known["port"]}' | as_number }}}}"
      user: {known["user"]}
      pass: "{{{{ env_var('SHOP_PASSWORD') }}}}"
      dbname: tiny
      schema: shop
      threads: 4
""")
    shutil.copytree(tiny.parent, tmp_path / "target", copy_function=shutil.copy)
    layer = cadran.open(tmp_path)
    assert layer.project.dialect == "postgres"
    assert layer.query(["revenue"]).to_arrow().num_rows == 1
    layer.close()
    monkeypatch.setenv("CADRAN_POSTGRES", "postgresql://reader@elsewhere:5433/tiny")
    place = artifacts.find(tmp_path, None, None).database
    assert str(place) == "postgresql://reader@elsewhere:5433/tiny"


DOORS = [
    "insert into shop.orders (order_id) values ('o9')",
    "with put as (insert into shop.orders (order_id) values ('o9') returning 1) select * from put",
    "select 1; insert into shop.orders (order_id) values ('o9')",
    "set default_transaction_read_only = off",
    "commit",
    "create table shop.mine (one int)",
    "select setval('shop.made', 7)",
    "truncate shop.orders",
]


@pytest.mark.parametrize("statement", DOORS)
def test_no_statement_of_a_layer_writes(there, shop_url, statement):
    run(shop_url, "create sequence if not exists shop.made")
    warehouse = there.warehouse
    for door in (warehouse.arrow, warehouse.apart):
        with pytest.raises(WarehouseError):
            door(statement)
    with contextlib.suppress(WarehouseError):
        warehouse.column_types(statement)  # of which no row is computed
    now = warehouse.arrow(
        "select count(*) as n, max(order_id) as last, (select is_called from shop.made) as made"
        " from shop.orders"
    )
    assert now.to_pylist() == [{"n": 5, "last": "o5", "made": False}]


def test_no_setting_makes_a_session_write(there):
    warehouse = there.warehouse
    for _ in range(3):
        warehouse.arrow("select set_config('default_transaction_read_only', 'off', false) as x")
        with pytest.raises(WarehouseError, match="only read"):
            warehouse.arrow(DOORS[1])


def test_a_statement_is_stopped_from_another_thread(there):
    ready, stops = threading.Event(), []

    def stop():
        ready.wait()
        time.sleep(0.3)
        stops[0]()

    threading.Thread(target=stop, daemon=True).start()
    stops.append(there.warehouse.stopper())
    ready.set()
    begun = time.monotonic()
    with pytest.raises(StoppedError, match="was stopped"):
        there.warehouse.arrow("select pg_sleep(20)")
    assert time.monotonic() - begun < 5
    assert there.warehouse.arrow("select 1 as one").to_pylist() == [{"one": 1}]


def test_a_statement_may_take_so_long_and_no_longer(shop_url):
    warehouse = connect(address(shop_url), None, confined=Confinement(seconds=0.2))
    with pytest.raises(StoppedError, match=r"longer than the 0\.2 s"):
        warehouse.arrow("select pg_sleep(20)")
    warehouse.close()


def test_the_ledger_has_the_same_rows_and_hashes_as_on_duckdb(books):
    sealed = {}
    for engine in ("duckdb", "postgres"):
        layer, lock = books(engine)
        written = publish(layer, ["revenue", "amount_per_order"], lock=lock, **ME)
        assert [one.refused for one in written] == ["", ""]
        assert [one.rows for one in publish(layer, ["revenue"], lock=lock, **ME)] == [0]
        close(layer, "2026-01", ["revenue"], lock=lock, **ME)
        verified = verify(layer.warehouse, lock)
        assert verified.holds, verified.damages
        sealed[engine] = layer.warehouse.ledger.arrow(
            "select batch, kind, kpi, value_type, row_count, rows_hash, row_marks"
            " from governance.kpi_ledger_batches order by batch"
        ).to_pylist()
        sealed[engine] += layer.warehouse.ledger.arrow(
            "select * from governance.kpi_ledger_rows order by batch, row"
        ).to_pylist()
    assert sealed["postgres"] == sealed["duckdb"]
    assert len(sealed["duckdb"]) > 6


def test_a_restatement_is_told_beside_what_was_published(books, shop_url):
    layer, lock = books("postgres")
    publish(layer, ["revenue"], lock=lock, **ME)
    known = dt.datetime.now(dt.UTC)
    close(layer, "2026-01", ["revenue"], lock=lock, **ME)
    try:
        run(shop_url, "update shop.orders set amount = amount + 5 where order_id = 'o1'")
        waits = publish(layer, ["revenue"], lock=lock, **ME)[0]
        assert "35.3" in {str(row["computed"]) for row in waits.waiting}
        assert verify(layer.warehouse, lock).holds
        agreed = Restatement(
            dt.date(2026, 1, 1), dt.date(2026, 2, 1), "error", "found", layer.card(
                "revenue").owner.business,
        )  # fmt: skip
        restated = publish(layer, ["revenue"], lock=lock, restatement=agreed, **ME)[0]
        assert restated.restated == len(waits.waiting)
        both = layer.query(["revenue"], ["metric_time__month"], view="both").to_arrow().to_pylist()
        assert {name: str(value) for name, value in both[0].items()} == {
            "metric_time__month": "2026-01-01",
            "revenue": "35.30",
            "revenue_published": "30.30",
        }
        then = layer.query(["revenue"], ["metric_time__month"], known_at=known.isoformat())
        assert str(then.to_arrow().to_pylist()[0]["revenue"]) == "30.30"
        assert verify(layer.warehouse, lock).holds
    finally:
        run(shop_url, "update shop.orders set amount = amount - 5 where order_id = 'o1'")


def test_two_processes_write_the_ledger_one_after_the_other(books):
    layer, lock = books("postgres")
    other, _ = books("postgres")
    publish(layer, ["revenue"], lock=lock, **ME)
    with (
        layer.warehouse.ledger.writing(1.0),
        pytest.raises(BusyError, match="another process"),
        other.warehouse.ledger.writing(0.2),
    ):
        pass
    publish(other, ["amount_per_order"], lock=lock, **ME)
    assert len(verify(layer.warehouse, lock).hashes) == len(verify(other.warehouse, lock).hashes)


CHANGES = [
    "update governance.kpi_ledger_rows set value = '1'",
    "delete from governance.kpi_ledger_rows where row = 1",
    "truncate governance.kpi_ledger_batches",
    "drop table governance.kpi_ledger_rows",
    "alter table governance.kpi_ledger_rows disable trigger append_only",
    """create trigger mine before insert on governance.kpi_ledger_rows for each row
    execute function suppress_redundant_updates_trigger()""",
    "alter table governance.kpi_ledger_rows rename to gone",
    "create rule mine as on insert to governance.kpi_ledger_rows do instead nothing",
    """create or replace function governance.refuse_change() returns trigger language plpgsql as
    $$begin return null; end$$""",
]


def test_a_role_that_publishes_changes_nothing(books, shop_url):
    layer, lock = books("postgres")
    publish(layer, ["revenue"], lock=lock, **ME)
    run(
        shop_url, "drop owned by publisher" if _is_role(shop_url) else "create role publisher",
        "grant usage on schema governance, shop to publisher",
        "grant select on all tables in schema governance, shop to publisher",
        "grant insert on governance.kpi_ledger_rows, governance.kpi_ledger_batches to publisher",
        "grant insert, delete on governance.kpi_ledger_waiting to publisher",
    )  # fmt: skip
    as_role = f"{shop_url}?options=-c%20role%3Dpublisher"
    theirs = cadran.open(layer.project.root, database=as_role)
    assert publish(theirs, ["amount_per_order"], lock=lock, **ME)[0].rows
    theirs.close()
    with psycopg.connect(shop_url, autocommit=True) as connection:
        connection.execute("set role publisher")
        for change in CHANGES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change)
        # Neither does the owner, before the guard is gone.
        connection.execute("reset role")
        for change in CHANGES[:3]:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                connection.execute(change)
    assert verify(layer.warehouse, lock).holds


def _is_role(url):
    with psycopg.connect(url) as connection:
        return bool(connection.execute("select from pg_roles where rolname='publisher'").fetchall())


DAMAGES = {
    "has a trigger that the ledger did not make": [CHANGES[5]],
    "is rewritten by a rule": [CHANGES[7]],
    "hides rows by a policy": ["alter table governance.kpi_ledger_rows enable row level security"],
    "has rows of tables that inherit it": [
        "create table governance.more () inherits (governance.kpi_ledger_rows)"
    ],
    "is no plain table": [
        "drop view governance.kpi_ledger", CHANGES[6],
        "create view governance.kpi_ledger_rows as select * from governance.gone",
    ],
    "has lost the trigger append_only": [CHANGES[4]],
    "that the ledger did not make": ["alter table governance.kpi_ledger_rows add more text"],
    "the row was edited": [
        CHANGES[4], "update governance.kpi_ledger_rows set value = '1' where row = 1",
        guard("governance.kpi_ledger_rows"),
    ],
    "its record was deleted": [
        "alter table governance.kpi_ledger_batches disable trigger append_only",
        "delete from governance.kpi_ledger_batches where batch = 1",
        guard("governance.kpi_ledger_batches"),
    ],
}  # fmt: skip


def test_what_an_owner_does_to_the_ledger_is_found(books, postgres_server):
    layer, lock = books("postgres")
    publish(layer, ["revenue", "amount_per_order"], lock=lock, **ME)
    assert verify(layer.warehouse, lock).holds
    layer.close()
    for told, changes in DAMAGES.items():
        run(
            f"{postgres_server}/postgres", "drop database if exists damaged with (force)",
            "create database damaged template tiny",
        )  # fmt: skip
        url = f"{postgres_server}/damaged"
        run(url, *changes)
        warehouse = connect(address(url), None)
        found = verify(warehouse, lock)
        warehouse.close()
        assert any(told in str(damage) for damage in found.damages), (told, found.damages)


def test_a_changed_guard_is_found(books, shop_url):
    layer, lock = books("postgres")
    publish(layer, ["revenue"], lock=lock, **ME)
    run(shop_url, CHANGES[8])
    assert "has lost the trigger" in str(verify(layer.warehouse, lock).damages[0])
    run(shop_url, guard("governance.kpi_ledger_rows"))
    assert verify(layer.warehouse, lock).holds


def test_the_guard_is_that_of_the_macro(project_root):
    macro = (project_root / "macros" / "append_only.sql").read_text()
    body = guard("x").partition("$guard$")[2].partition("$guard$")[0]
    assert " ".join(body.split()) in " ".join(macro.split())


@pytest.fixture
def server(tiny, tmp_path):
    """What starts a server on the shop in a database of PostgreSQL."""

    def start(url, **settings):
        home = tmp_path / str(time.monotonic_ns())
        home.mkdir()
        apart = {"tokens": home / "tokens.json", "policy": home / "policy.yml"}
        options = {"audit": home / "audit", "refresh": 0.1, **apart, **settings}
        return serving(artifacts.find(None, tiny, url), replace(QUIET, **options))

    return start


def ask(running, group="metric_time__month", **more):
    body = {"metrics": ["revenue"], "group_by": [group], **more}
    return httpx.post(f"{running.http}/api/v1/query", json=body, timeout=20)


def until(reads, seconds=5.0):
    end = time.monotonic() + seconds
    while not (answer := reads()) and time.monotonic() < end:
        time.sleep(0.05)
    return answer


def test_two_servers_take_over_a_build_when_it_has_ended(server, shop_url):
    with server(shop_url) as first, server(shop_url) as second:
        states = {one.server_context.service.snapshots.current.id for one in (first, second)}
        assert len(states) == 1
        before = [ask(one).json()["rows"] for one in (first, second)]
        assert before[0] == before[1]
        try:
            mark(shop_url, "building", "2")
            run(shop_url, "update shop.orders set amount = amount + 1")
            for running in (first, second):
                assert ask(running).json()["rows"] == before[0]  # kept, and of the state before
                refused = ask(running, "metric_time__day")
                assert (refused.status_code, "is being built" in refused.text) == (503, True)
                assert int(refused.headers["Retry-After"]) >= 1
            mark(shop_url, "failed", "2")
            assert "did not end well" in ask(first, "order_id__channel").text
            mark(shop_url, "finished", "3")
            for running in (first, second):
                assert until(lambda one=running: ask(one).json().get("rows") != before[0])
                assert ask(running, "metric_time__day").status_code == 200
        finally:
            run(shop_url, "update shop.orders set amount = amount - 1")
            mark(shop_url, "finished", "4")


def test_a_reader_who_may_only_read_is_enough(server, shop_url):
    run(
        shop_url, *NO_LEDGER, "drop role if exists reader",
        "create role reader login password 'only'",
        "grant usage on schema shop, governance to reader",
        "grant select on all tables in schema shop, governance to reader",
    )  # fmt: skip
    place = address(shop_url).parameters
    url = f"postgresql://reader:only@127.0.0.1:{place['port']}/tiny"
    try:
        with server(url) as running:
            assert ask(running).status_code == 200
            warehouse = running.server_context.service.snapshots.current.layer.warehouse
            with pytest.raises(WarehouseError), warehouse.ledger.writing(0.1):
                pass
            for door in DOORS[:3]:
                with pytest.raises(WarehouseError):
                    warehouse.arrow(door)
    finally:
        run(shop_url, "drop owned by reader", "drop role reader")


def test_a_pool_without_a_free_connection_says_when_to_come_again(server, shop_url):
    with server(shop_url, connections=1) as running:
        warehouse = running.server_context.service.snapshots.current.layer.warehouse
        with warehouse.connection():
            begun = time.monotonic()
            refused = ask(running)
        assert time.monotonic() - begun < 6
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "2"
        assert "are at work" in refused.text
        assert ask(running).status_code == 200


def test_live_rows_are_made_by_the_target_that_builds_there(shop_url, tiny, tmp_path, monkeypatch):
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    (tmp_path / "profiles.yml").write_text("shop: {outputs: {one: {type: duckdb}}}\n")
    shutil.copytree(tiny.parent, tmp_path / "target")

    def compile_there(_, folder, *__):
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text('{"metadata": {"adapter_type": "duckdb"}}')
        return subprocess.CompletedProcess([], 0)

    monkeypatch.setattr(dbt, "_run_compile", compile_there)
    project = artifacts.find(tmp_path, None, shop_url)
    settings = replace(QUIET, live=True, tokens=tmp_path / "t", policy=tmp_path / "p")
    with (
        pytest.raises(ProjectError, match="target of dbt's profile is of duckdb"),
        serving(project, settings),
    ):
        pass


def test_a_second_target_publishes_nothing_into_the_ledger_of_the_first(books):
    layer, lock = books("postgres")
    layer.project.marks_schema = "dev_governance"
    with pytest.raises(WarehouseError, match="of another target, whose tables lie in governance"):
        publish(layer, ["revenue"], lock=lock, **ME)
    assert not has_ledger(layer.warehouse)


def test_a_database_that_goes_and_comes_back_is_asked_again(server, tiny, tool):
    names = dict(line.split("=", 1) for line in tool("postgres", "start").splitlines())
    password = Path(names["PGPASSFILE"]).read_text().strip().rsplit(":", 1)[1]
    url = f"postgresql://cadran:{password}@127.0.0.1:{names['PGPORT']}"
    try:
        copied(tiny.parents[1] / "tiny.duckdb", url, "tiny")
        with server(f"{url}/tiny") as running:
            assert ask(running).status_code == 200
            _control(names["PGDATA"], "stop", "--mode=fast")
            refused = ask(running, "metric_time__day")
            assert refused.status_code == 503
            assert "Retry-After" in refused.headers
            assert password not in refused.text
            _control(names["PGDATA"], "start", f"--log={names['PGDATA']}/../log")
            assert until(lambda: ask(running, "order_id__channel").status_code == 200)
    finally:
        tool("postgres", "stop", names["PGDATA"])


def _control(folder, *arguments):
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    command = [programs / "pg_ctl", f"--pgdata={folder}", "--wait", *arguments]
    as_owner = ["runuser", "-u", "postgres", "--"] if Path(folder).owner() == "postgres" else []
    options = (Path(folder) / "postmaster.opts").read_text().split('" "')
    if arguments[0] == "start":
        command += ["--options", " ".join(option.strip('"\n') for option in options[2:])]
    subprocess.run([*as_owner, *command], check=True, capture_output=True, cwd="/")
