"""Hot rows beside the built ones: the same rows, whichever of the two makes them."""

import datetime as dt
import json
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from alert_lab import Clock, evaluating, policies
from telemetry_fixtures import (
    BY_TIME,
    CUT,
    EQUAL,
    KILLS,
    SINCE,
    Process,
    Senders,
    cells,
    land,
    land_day,
    landed,
)

from cadran.access.caller import Caller
from cadran.cli import main
from cadran.core.layer import Layer
from cadran.core.project import dbt
from cadran.core.project.artifacts import Project
from cadran.core.query.request import Query
from cadran.core.warehouse import Confinement
from cadran.errors import ProjectError
from cadran.serving.service import QueryService, RequestContext
from cadran.serving.snapshots import SnapshotStore
from cadran.telemetry import hot, parts

pytest_plugins = ["rest_fixtures"]

BROWSER = Path(__file__).with_name("browser")
TOOLS = Path(__file__).resolve().parents[2] / "target" / "browser"


@pytest.fixture(scope="module")
def compiled(demo, tmp_path_factory):
    """The demo as compiled over bare source tables: its build, with the files' place taken out."""
    assert demo.returncode == 0, demo.log[-3000:]
    home = tmp_path_factory.mktemp("compiled")
    manifest = json.loads((demo.target / "manifest.json").read_text())
    for node in manifest["nodes"].values():
        if node["name"].startswith("stg_telemetry__"):
            table = node["name"].removeprefix("stg_telemetry__")
            relation = manifest["sources"][f"source.cadran.telemetry.{table}"]["relation_name"]
            node["compiled_code"], places = re.subn(
                r"read_parquet\('[^']*', union_by_name = true\)", relation, node["compiled_code"]
            )
            assert places, node["name"]
    (home / "manifest.json").write_text(json.dumps(manifest))
    shutil.copy(demo.target / "semantic_manifest.json", home)
    return Project(home / "semantic_manifest.json", None, None)


@pytest.fixture(scope="module")
def whole(demo):
    """The build that has everything."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(f"attach '{demo.database}' as warehouse (read_only)")
    connection.execute("use warehouse")
    return connection


@pytest.fixture(scope="module")
def earlier(demo, tmp_path_factory):
    """The same warehouse as it was built at the cut."""
    path = tmp_path_factory.mktemp("earlier") / "warehouse.duckdb"
    shutil.copy(demo.database, path)
    with duckdb.connect(path) as connection:
        for (schema, name), column in BY_TIME.items():
            connection.execute(f"delete from {schema}.{name} where {column} >= timestamp '{CUT}'")
    return path


@pytest.fixture
def live(demo, compiled, earlier, tmp_path, monkeypatch):
    """A project with the earlier build, the folder that is landed in, and what opens both."""
    monkeypatch.setattr(dbt, "compiled", lambda _: compiled)
    monkeypatch.setattr("cadran.core.warehouse.duckdb_live._HOURLY", 0.0)
    database, folder = tmp_path / "warehouse.duckdb", tmp_path / "landed"
    shutil.copy(earlier, database)
    (tmp_path / "dbt_project.yml").write_text("name: demo\n", encoding="utf-8")
    project = Project(demo.target / "semantic_manifest.json", database, tmp_path)
    stores = []

    def opened():
        stores.append(hot.opened(project, project, folder, confined=Confinement()))
        return stores[-1]

    yield SimpleNamespace(open=opened, project=project, folder=folder, database=database)
    for store in stores:
        store.close()


def rows_of(warehouse, schema, name, condition="true"):
    return warehouse.arrow(f"select * from {schema}.{name} where {condition}")


def assert_equal(whole, warehouse):
    for schema, name in EQUAL:
        time = BY_TIME.get((schema, name))
        condition = f"{time} >= {SINCE}" if time else "true"
        live_rows = rows_of(warehouse, schema, name, condition)
        number = f"select count(*) as n from {schema}.{name}"
        assert warehouse.arrow(number)["n"].to_pylist() == [whole.execute(number).fetchone()[0]]
        columns = ", ".join(f'"{column}"' for column in live_rows.column_names)
        built = f"select {columns} from {schema}.{name} where {condition}"
        differing = whole.execute(
            f"select count(*) from (({built} except all select * from live_rows)"
            f" union all (select * from live_rows except all {built}))"
        ).fetchone()
        assert differing == (0,), (schema, name)


def test_hot_rows_are_those_that_the_build_makes_of_the_same_counters(live, raw, whole):
    land_day(raw, live.folder)
    store = live.open()
    assert store.cut == CUT
    assert_equal(whole, store.warehouse)


def test_what_lands_turn_by_turn_gives_the_rows_of_what_landed_at_once(live, raw, whole):
    folder = live.folder
    store = live.open()
    land_day(raw, folder, seed=2)
    assert "marts__fct_requests_minutely" in store.tick()
    # A merged file beside its parts brings nothing new.
    for place in (folder / "parts" / "requests").glob("date=*/hour=*"):
        files, last = parts.current(place)
        tables = [pa.parquet.read_table(file, partitioning=None) for file in files]
        parts.save(place / f"{parts.WHOLE}{last}.parquet", pa.concat_tables(tables))
    store.tick()
    assert_equal(whole, store.warehouse)


def test_what_says_how_many_days_there_are_follows_the_days_and_what_is_whole_the_minutes(live):
    tables = {table.name: table for table in live.open().warehouse.plan.tables}
    night = dt.datetime(2026, 10, 31, 23, 59)  # noqa: DTZ001 - as rows have it, UTC
    before, after = night - dt.timedelta(minutes=1), night + dt.timedelta(minutes=1)
    bounds, spine = tables["time_bounds"], tables["time_spine_minute"]
    assert (bounds.each, spine.each) == ("whole", "whole")
    assert [each.is_due(night, before) for each in (bounds, spine)] == [False, True]
    assert [each.is_due(after, night) for each in (bounds, spine)] == [True, True]
    assert bounds.is_due(night, None)
    assert not bounds.is_due(None, night)


def test_what_comes_for_a_built_minute_is_late_and_changes_nothing(live, raw):
    folder = live.folder
    land_day(raw, folder)
    store = live.open()
    before = rows_of(store.warehouse, "marts", "fct_requests_minutely")
    late = cells(raw, f"minute_at < timestamp '{CUT}'").slice(0, 5)
    old = pa.array([CUT - dt.timedelta(minutes=90)] * 5, pa.timestamp("us"))
    late = late.set_column(2, "minute_at", old)
    land(folder, "requests", late, 50)
    store.tick()
    assert store.late == {"requests": pc.sum(late["request_count"]).as_py()}
    assert rows_of(store.warehouse, "marts", "fct_requests_minutely").equals(before)


def test_a_service_that_is_new_has_rows_once_it_is_known(live, raw):
    folder = live.folder
    land_day(raw, folder)
    store = live.open()
    stranger = cells(raw, f"minute_at >= timestamp '{CUT}'").slice(0, 1)
    stranger = stranger.set_column(0, "service_id", pa.array(["newcomer"]))
    land(folder, "requests", stranger, 60)
    count = "select count(*) as n from marts.fct_requests_minutely where service_id = 'newcomer'"
    store.tick()
    assert store.warehouse.arrow(count).to_pylist() == [{"n": 0}]
    service = {"service_id": "newcomer", "service_name": "N", "team": "t", "tier": "standard"}
    parts.save(folder / "telemetry" / "services" / "part.parquet", pa.Table.from_pylist([service]))
    store.tick()
    assert store.warehouse.arrow(count).to_pylist() == [{"n": 1}]


def test_an_answer_is_kept_until_what_it_reads_moves_and_says_how_far_it_reaches(
    demo, live, raw, whole, tmp_path
):
    folder = live.folder
    store = SnapshotStore(live.project, folder=tmp_path / "copies", landed=folder)
    service = QueryService(store)
    try:
        context = RequestContext(Caller("someone"), "test")
        requests = Query.of(
            {"metrics": ["request_count"], "group_by": ["metric_time__day"], "start": "2026-10-31"}
        )
        revenue = Query.of({"metrics": ["net_revenue"], "group_by": ["metric_time__month"]})
        closed, widened = (
            Query.of({"metrics": ["request_count"], "group_by": ["metric_time__month"],
                      "start": "2026-09-01", "end": end})
            for end in ("2026-09-30", "2026-10-05")
        )  # fmt: skip
        # A time of its own is widened to its month too; an end that never comes is no past.
        own_time = Query.of(
            {"metrics": ["valid_requests"], "group_by": ["request_minute__minute_at__month"],
             "start": "2026-10-01", "end": "2026-10-05"}
        )  # fmt: skip
        open_end = Query.of(
            {"metrics": ["request_count"], "group_by": ["metric_time__month"],
             "start": "2026-10-01", "end": "9999-12-31"}
        )  # fmt: skip
        first = service.ask(context, requests)
        for question in (revenue, closed, widened, own_time, open_end):
            service.ask(context, question)
        assert service.ask(context, requests).cached
        land_day(raw, folder)
        with store.use() as state:
            assert state.hot.tick()
            for listener in store.move_listeners:
                listener(state)
        again = service.ask(context, requests)
        assert not again.cached
        assert again.state != first.state
        assert again.watermark > first.watermark
        # No row of now can be in closed periods; a range that is widened up to now has them.
        assert service.ask(context, closed).cached
        for question in (widened, own_time, open_end):
            assert not service.ask(context, question).cached
        kept = service.ask(context, revenue)
        assert kept.cached
        assert kept.watermark is None
        total = "select sum(request_count) from marts.fct_requests_minutely where minute_at >= {}"
        counted = whole.execute(total.format("timestamp '2026-10-31'")).fetchone()[0]
        assert again.table["request_count"].to_pylist() == [counted]
        # The next build has all of it: the cut moves with it, and the answer is the same.
        shutil.copy(demo.database, live.database)
        assert store.refresh(force=True)
        assert store.current.hot.cut > CUT
        built = service.ask(context, requests)
        assert built.table["request_count"].to_pylist() == [counted]
    finally:
        service.close()


def test_an_alert_and_what_is_at_stake_appear_on_a_page_that_stays_open(
    live, raw, whole, tool, another
):
    """A page of the board in a browser, while what is landed begins to fail."""
    root, until = live.project.root, CUT + dt.timedelta(minutes=20)
    (root / "cadran_collect.yml").write_text("folder: landed\n", encoding="utf-8")
    clock, script = Clock(f"{until}"), BROWSER / "live.mjs"
    burn = {"slos": ["availability_28d:checkout"], "tiers": ["fast"]}
    rules = policies(root, rules=[{"name": "burn", "burn": burn}])
    rows = cells(raw, f"service_id = 'checkout' and minute_at >= timestamp '{CUT}'"
                 f" and minute_at < timestamp '{until}'")  # fmt: skip
    many = pa.array([50] * len(rows))  # an alert needs a hundred requests
    counts = dict.fromkeys(("request_count", "error_5xx_count"), many)
    failing = pa.table({name: counts.get(name, rows[name]) for name in rows.column_names})
    with (
        another(live.project, live=True) as running,
        evaluating(rules, None, root, clock) as evaluator,
    ):
        context = running.server_context
        evaluator._layer = context.service.snapshots.layer
        context.alerts = evaluator.store
        address = f"{running.http}/board?lang=fr&compare=year&f.order_id__channel=web"
        command = ["node", script, TOOLS, tool("browser"), address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as browser:
            assert browser.stdout.readline() == "open\n"
            assert evaluator.look().transitions == ()
            land(live.folder, "requests", failing, 10)
            deadline = time.monotonic() + 30
            while not evaluator.look().transitions:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            shown = json.loads(browser.stdout.readline())
        (now,) = evaluator.store.standings().values()
        began = dt.datetime.fromisoformat(now.facts["active_at"])
    assert shown["after"] == shown["before"]
    assert shown["before"]["stayed"]
    assert shown["before"]["navigations"] == 1
    assert (shown["loads"], shown["errors"]) == (0, [])
    (alert,) = shown["appeared"]
    assert alert["title"].endswith("Paiement")
    since = pc.greater_equal(failing["minute_at"], pa.scalar(began.replace(tzinfo=None)))
    failed = pc.sum(pc.add(failing["error_5xx_count"], failing["timeout_count"]).filter(since))
    (orders,) = whole.execute(
        f"""with days as (select max(ordered_date) as last from marts.fct_orders)
        select {failed} * (
            select count(*) from marts.fct_orders, days where ordered_date > last - 28
        ) / (
            select sum(request_count) + {pc.sum(many)} from marts.fct_requests_minutely, days
            where service_id = 'checkout' and minute_at >= last - 27 and minute_at < '{CUT}'
        )"""
    ).fetchone()
    assert alert["stake"].startswith(f"{orders:.0f} commande")


def test_a_model_that_was_changed_since_the_build_is_refused(live, compiled, monkeypatch):
    nodes = compiled.dbt_manifest["nodes"]
    checksum = nodes["model.cadran.int_sli_minutely"]["checksum"]
    monkeypatch.setitem(checksum, "checksum", "another")
    with pytest.raises(ProjectError, match="int_sli_minutely was changed since the build"):
        live.open()


def test_what_is_live_needs_a_project(demo):
    with pytest.raises(ProjectError, match="live needs a dbt project"):
        hot.open_live(".", manifest=demo.target / "semantic_manifest.json", database=demo.database)


def test_a_question_of_a_live_layer_takes_in_what_landed(live, raw):
    store = live.open()
    store.warehouse.freshen = lambda: store.refresh(every=0.0)
    layer = Layer(live.project, opened=store.warehouse)
    count = "select count(*) as n from marts.fct_requests_minutely"
    before = layer.warehouse.arrow(count).to_pylist()[0]["n"]
    land_day(raw, live.folder)
    assert layer.warehouse.arrow(count).to_pylist()[0]["n"] > before
    layer.close()
    assert layer.warehouse.arrow(count).to_pylist()[0]["n"] > before


def test_killed_at_random_moments_under_load_hot_rows_are_what_was_acknowledged(live, tmp_path):
    home = tmp_path / "collector"
    home.mkdir()
    process = Process(home, folder=str(live.folder), flush=0.2, compact=0.7)
    senders = Senders(process.address, threads=1)
    luck = random.Random(11)  # noqa: S311 - no secret
    store = live.open()
    for number in range(KILLS):
        until = time.monotonic() + luck.uniform(0.3, 1.2)
        while time.monotonic() < until:
            store.tick()
            time.sleep(0.05)
        if number % 2:  # the collector, and at other times the server, which then starts anew
            store.close()
            store = live.open()
        else:
            process.kill()
            process.start()
    acknowledged = senders.end()
    process.stop()
    store.tick()
    by_minute = "select minute_at, cast(sum(request_count) as bigint) as n from {} group by all"
    of_shop = "marts.fct_requests_minutely where service_id = 'shop'"
    rows = store.warehouse.arrow(by_minute.format(of_shop) + " order by 1").to_pylist()
    assert acknowledged > 20 * KILLS
    assert sum(row["n"] for row in rows) == acknowledged
    counted = Counter()
    for minute, count in landed(live.folder, "requests", "minute_at, request_count"):
        counted[minute] += count
    assert {row["minute_at"]: row["n"] for row in rows} == counted


def test_the_demo_sends_its_requests_as_they_happen_and_an_outage_on_request(tmp_path, capsys):
    home = tmp_path / "collector"
    home.mkdir()
    process = Process(home, flush=0.2)
    command = ["demo", "--live", "--to", process.address, "--rate", "300", "--seconds", "1.5"]
    assert main([*command, "--outage", "checkout"]) == 0
    process.stop()
    counted = Counter()
    failed = Counter()
    for service, count, errors, timeouts in landed(
        process.folder, "requests", "service_id, request_count, error_5xx_count, timeout_count"
    ):
        counted[service] += count
        failed[service] += errors + timeouts
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.endswith(f"{counted.total():,} taken")
    assert set(counted) == {"storefront", "checkout", "search", "public_api", "accounts"}
    assert failed["checkout"] > 0.3 * counted["checkout"]
    assert failed["storefront"] < 0.1 * counted["storefront"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--live", "--outage", "chekout"], "the demo has storefront, checkout"),
        (["--live", "--to", "http://127.0.0.1:9"], "start `cadran collect`"),
        (["--outage", "checkout"], "--outage goes with --live"),
    ],
)
def test_the_live_demo_says_what_it_needs(arguments, sentence, capsys):
    assert main(["demo", *arguments]) == 2
    assert sentence in capsys.readouterr().err
