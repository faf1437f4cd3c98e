"""A real Superset takes the export, and its charts show the numbers of the layer.

Superset is installed once into an environment of its own (scripts/superset.sh), so this runs where
CADRAN_TEST_SUPERSET is set.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx
import pyarrow as pa
import pytest

from cadran.core.warehouse import duckdb_local as duckdb
from cadran.errors import ServiceError
from cadran.exports import superset
from cadran.exports import superset as superset_bundle
from cadran.exports.superset import client as superset_client
from cadran.exports.superset import model as superset_model
from cadran.exports.superset.client import Client, push

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "superset.sh"
PATIENCE = 240  # seconds for Superset to make its tables and answer

pytestmark = pytest.mark.skipif(
    not os.environ.get("CADRAN_TEST_SUPERSET"),
    reason="a real Superset takes minutes to install: set CADRAN_TEST_SUPERSET, or run"
    " `make test-superset`",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A new Superset on a free port, with an administrator whose password nobody knows."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("superset")
    password = secrets.token_urlsafe(16)
    login = {superset_client.USER: "admin", superset_client.PASSWORD: password}
    kept = {name: os.environ.get(name) for name in login}
    os.environ.update(login)
    subprocess.run([SCRIPT, "install"], check=True, timeout=900)
    with (home / "log").open("w") as log:
        running = subprocess.Popen(
            [SCRIPT, "run", home / "home", str(port)],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + PATIENCE
        while not answers(url):
            assert running.poll() is None, (home / "log").read_text()[-3000:]
            assert time.monotonic() < until, (home / "log").read_text()[-3000:]
            time.sleep(0.5)
        yield SimpleNamespace(url=url, password=password, log=home / "log")
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(30)
        for name, value in kept.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def answers(url):
    try:
        return httpx.get(f"{url}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def client(server):
    with Client(server.url) as logged_in:
        yield logged_in


@pytest.fixture(scope="module")
def pushed(client, layer, tmp_path_factory):
    """The demo, exported and pushed as `cadran export superset` does it.

    One technical owner has an account there.
    """
    (role,) = (r["id"] for r in client.all("/security/roles/") if r["name"] == "Alpha")
    client.post(
        "/security/users/",
        {"username": "owen", "first_name": "Owen", "last_name": "Owner", "active": True,
         "email": "Data.Commerce@example.com", "roles": [role], "groups": [],
         "password": secrets.token_urlsafe(16)},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("files of it")
    path = str(folder / superset.FILE)
    list(superset.export(layer, folder, path=path))
    model = superset_model.make(layer)
    done = push(client, model, path)
    return SimpleNamespace(model=model, path=path, folder=folder, done=done)


def datasets(client):
    return {entry["table_name"]: entry for entry in client.all("/dataset/")}


def known(client, name):
    return client.get(f"/dataset/{datasets(client)[name]['id']}")["result"]


def metric_of(client, dataset, kpi):
    (found,) = (m for m in known(client, dataset)["metrics"] if m["metric_name"] == kpi)
    return found


GRAINS = {"week": "P1W", "month": "P1M", "quarter": "P3M", "year": "P1Y", None: None}


def chart(client, made, metrics, by, only=()):
    """What a chart by a grain and columns shows: {(period, *columns): {metric: value}}."""
    grain, *columns = by
    period = next(column.name for column in made.columns if column.role == "time")
    axis = {
        "columnType": "BASE_AXIS", "expressionType": "SQL", "sqlExpression": period,
        "label": "at", "timeGrain": GRAINS[grain],
    }  # fmt: skip
    query = {
        "columns": [axis, *columns], "metrics": metrics, "row_limit": 50_000, "orderby": [],
        "filters": [{"col": col, "op": "==", "val": value} for col, value in only],
    }  # fmt: skip
    source = {"id": datasets(client)[made.name]["id"], "type": "table"}
    body = {
        "datasource": source, "queries": [query], "force": True,
        "result_format": "json", "result_type": "full",
    }  # fmt: skip
    rows = client.post("/chart/data", body)["result"][0]["data"]
    return {
        (day(row["at"]), *(row[column] for column in columns)): {m: row[m] for m in metrics}
        for row in rows
    }


def day(milliseconds):
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).date()


def asked(layer, kpis, grain, dimension):
    column = f"metric_time__{grain}"
    rows = layer.query(kpis, [column, dimension]).to_arrow().to_pylist()
    found = {}
    for row in rows:
        at = row[column].date() if isinstance(row[column], dt.datetime) else row[column]
        found[at, row[dimension]] = {kpi: row[kpi] for kpi in kpis}
    return found


def same(shown, expected):
    """True where a chart's number is the layer's; a count of nothing is 0 or missing."""
    if shown is None or expected is None:
        return (shown or 0) == (expected or 0) == 0
    return float(shown) == pytest.approx(float(expected), rel=1e-9)


def test_everything_is_created_and_a_second_push_changes_nothing(client, pushed):
    assert len(pushed.done.changes) == len(pushed.model.datasets) + 1
    assert all(change.endswith("created") for change in pushed.done.changes)
    before = {name: entry["changed_on_utc"] for name, entry in datasets(client).items()}
    again = push(client, pushed.model, pushed.path)
    assert (again.changes, again.unchanged) == ([], len(pushed.model.datasets))
    assert {n: entry["changed_on_utc"] for n, entry in datasets(client).items()} == before


def test_a_chart_on_a_cube_shows_the_numbers_of_the_layer(client, pushed, layer):
    compared = 0
    for made in pushed.model.datasets:
        if made.grain is None:
            continue
        kpis = [metric.card.name for metric in made.metrics]
        dimension = made.metrics[0].card.dimensions[0]
        shown = chart(client, made, kpis, ["month", dimension])
        expected = asked(layer, kpis, "month", dimension)
        assert shown.keys() == expected.keys()
        for key, row in expected.items():
            for kpi in kpis:
                assert same(shown[key][kpi], row[kpi]), (kpi, key, shown[key][kpi], row[kpi])
                compared += row[kpi] is not None
    assert compared > 1000


def test_a_chart_of_ready_made_values_shows_them_and_nothing_at_a_longer_period(
    client, pushed, layer
):
    (made,) = (made for made in pushed.model.datasets if made.grain is None)
    for metric in made.metrics:
        kpi, dimension = metric.card.name, metric.card.dimensions[0]
        only = (("grain", "month"), ("dimension", dimension))
        shown = chart(client, made, [kpi], [None, "member"], only)
        expected = {k: v for k, v in asked(layer, [kpi], "month", dimension).items() if v[kpi]}
        assert expected
        for (at, member), row in expected.items():
            assert same(shown[at, str(member)][kpi], row[kpi])
        for longer in ("quarter", "year"):
            rows = chart(client, made, [kpi], [longer, "member"], only).values()
            assert rows
            assert {row[kpi] for row in rows} == {None}


def test_a_chart_that_a_user_saves_shows_the_number(client, pushed, layer):
    (made,) = (made for made in pushed.model.datasets if made.name == "order_lines_by_day")
    number = datasets(client)[made.name]["id"]
    query = {"metrics": ["refund_rate"], "columns": ["order_id__channel"], "filters": []}
    context = {
        "datasource": {"id": number, "type": "table"}, "queries": [query], "force": True,
        "result_format": "json", "result_type": "full",
    }  # fmt: skip
    saved = client.post(
        "/chart/",
        {"slice_name": "Refunds", "viz_type": "table", "datasource_id": number,
         "datasource_type": "table", "params": "{}", "query_context": json.dumps(context)},
    )["id"]  # fmt: skip
    rows = client.get(f"/chart/{saved}/data/")["result"][0]["data"]
    expected = layer.query("refund_rate", "order_id__channel").to_arrow().to_pylist()
    shown = {row["order_id__channel"]: row["refund_rate"] for row in rows}
    assert shown == pytest.approx({r["order_id__channel"]: r["refund_rate"] for r in expected})


@pytest.mark.usefixtures("pushed")
def test_a_metric_is_certified_and_its_technical_owner_owns_the_dataset(client):
    metric = metric_of(client, "order_lines_by_day", "net_revenue")
    assert metric["verbose_name"] == "Net revenue"
    assert metric["d3format"] == ",.0f"
    certified = json.loads(metric["extra"])["certification"]
    assert certified["certified_by"] == "head.of.sales@example.com"
    names = {owner["first_name"] for owner in known(client, "order_lines_by_day")["owners"]}
    assert names == {"Ada", "Owen"}
    assert known(client, "order_lines_by_day")["is_managed_externally"]


def test_what_a_user_adds_stays_and_a_changed_definition_is_the_only_change(client, pushed):
    name = "tickets_by_day"
    number = datasets(client)[name]["id"]
    there = known(client, name)
    sent = ("id", "metric_name", "expression", "description", "extra", "d3format", "verbose_name")
    metrics = [{key: metric[key] for key in sent} for metric in there["metrics"]]
    mine = {"metric_name": "mine", "expression": "COUNT(*)"}
    client.put(f"/dataset/{number}", {"metrics": [*metrics, mine]})
    assert push(client, pushed.model, pushed.path).changes == []
    changed = renamed(pushed.model, "tickets_opened", "Tickets that came in")
    assert push(client, changed, pushed.path).changes == [f"dataset {name}: changed (metrics)"]
    assert metric_of(client, name, "tickets_opened")["verbose_name"] == "Tickets that came in"
    assert metric_of(client, name, "mine")["expression"] == "COUNT(*)"
    assert push(client, pushed.model, pushed.path).changes == [f"dataset {name}: changed (metrics)"]


def renamed(model, kpi, label):
    def of(metric):
        is_it = metric.card.name == kpi
        return replace(metric, card=replace(metric.card, label=label)) if is_it else metric

    made = (replace(d, metrics=tuple(map(of, d.metrics))) for d in model.datasets)
    return replace(model, datasets=tuple(made))


def without(model, *kpis):
    made = (
        replace(d, metrics=tuple(m for m in d.metrics if m.card.name not in kpis))
        for d in model.datasets
    )
    return replace(model, datasets=tuple(d for d in made if d.metrics))


def test_a_kpi_that_is_gone_takes_its_metric_with_it(client, pushed):
    smaller = without(pushed.model, "reopened_rate")
    assert push(client, smaller, pushed.path).changes == [
        "dataset tickets_by_day: changed (metrics)"
    ]
    names = {metric["metric_name"] for metric in known(client, "tickets_by_day")["metrics"]}
    assert "reopened_rate" not in names
    assert names >= {"tickets_opened", "mine"}
    push(client, pushed.model, pushed.path)


def test_a_dataset_that_is_gone_is_removed_or_marked_where_a_chart_uses_it(client, pushed):
    other = client.post(
        "/dataset/",
        {"database": known(client, "orders_by_day")["database"]["id"], "table_name": "of_a_user",
         "sql": "select 1 as one", "schema": "main"},
    )["id"]  # fmt: skip
    of_lines = ("gross_margin_rate", "net_revenue", "refund_rate")  # a saved chart uses these
    smaller = without(pushed.model, "returning_order_share", *of_lines)
    done = push(client, smaller, pushed.path)
    assert "dataset orders_by_day: removed" in done.changes
    assert any("order_lines_by_day: no longer exported; kept" in one for one in done.changes)
    assert "orders_by_day" not in datasets(client)
    marked = known(client, "order_lines_by_day")
    assert "No longer exported" in json.loads(marked["extra"])["warning_markdown"]
    assert push(client, smaller, pushed.path).changes == []
    restored = push(client, pushed.model, pushed.path)
    assert "dataset orders_by_day: created" in restored.changes
    assert "warning_markdown" not in json.loads(known(client, "order_lines_by_day")["extra"])
    assert datasets(client)["of_a_user"]["id"] == other


def test_a_name_that_someone_else_took_is_refused_and_named(client, pushed):
    name = "deployments_by_day"
    number = datasets(client)[name]["id"]
    client.put(f"/dataset/{number}", {"metrics": []})
    theirs = {"metric_name": "change_failure_rate", "expression": "1"}
    client.put(f"/dataset/{number}", {"metrics": [theirs]})
    with pytest.raises(ServiceError, match="change_failure_rate"):
        push(client, pushed.model, pushed.path)
    client.put(f"/dataset/{number}", {"metrics": []})
    assert push(client, pushed.model, pushed.path).changes == [f"dataset {name}: changed (metrics)"]


def test_a_new_file_is_read_without_another_push(client, pushed):
    (made,) = (made for made in pushed.model.datasets if made.name == "incidents_by_day")
    before = chart(client, made, ["incident_count"], ["year"])
    path = Path(pushed.path)
    kept = path.read_bytes()
    duckdb.write(path, {made.name: pa.concat_tables([made.rows(), made.rows()])})
    after = chart(client, made, ["incident_count"], ["year"])
    assert {k: row["incident_count"] for k, row in after.items()} == {
        k: 2 * row["incident_count"] for k, row in before.items()
    }
    aside = path.with_suffix(".old")
    aside.write_bytes(kept)
    aside.replace(path)
    assert chart(client, made, ["incident_count"], ["year"]) == before


@pytest.mark.usefixtures("pushed")
def test_sql_lab_reads_no_other_file_and_writes_nothing(client):
    database = known(client, "orders_by_day")["database"]["id"]

    def run(sql):
        asked = {"database_id": database, "sql": sql, "runAsync": False, "schema": "main"}
        return client.post("/sqllab/execute/", asked)["data"]

    assert run("select count(*) as n from main.orders_by_day")[0]["n"] > 0
    for sql in ("select * from read_text('/etc/hostname')", "create table main.t as select 1"):
        with pytest.raises(ServiceError, match="refused"):
            run(sql)


def test_the_archive_is_imported_and_a_push_finds_it(client, pushed):
    archive = pushed.folder / superset.ARCHIVE
    superset_bundle.write(pushed.model, archive, pushed.path)
    answer = client._http.post(
        "/assets/import/",
        files={"bundle": (archive.name, archive.read_bytes(), "application/zip")},
        data={"passwords": "{}"},
    )
    assert answer.is_success, answer.text
    assert metric_of(client, "order_lines_by_day", "net_revenue")["verbose_name"] == "Net revenue"
    push(client, pushed.model, pushed.path)  # metrics get the marks that the archive cannot hold
    assert push(client, pushed.model, pushed.path).changes == []


def test_a_wrong_password_is_one_sentence_that_does_not_hold_it(server, monkeypatch):
    monkeypatch.setenv(superset_client.PASSWORD, "wrong-and-secret")
    with pytest.raises(ServiceError, match="does not accept the login") as refused:
        Client(server.url)
    assert "wrong-and-secret" not in str(refused.value)
    assert server.password not in server.log.read_text()
