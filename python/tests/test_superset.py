"""What Superset gets: every governed metric is the layer's number, or is empty.

The metrics are evaluated in DuckDB on the tables that are exported, grouped as Superset groups
them. The same in a real Superset: test_superset_server.py.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import duckdb
import jsonschema
import pyarrow as pa
import pytest
import yaml

import cadran
from cadran.cli.app import main
from cadran.core.query.request import GRAINS
from cadran.core.semantics.metrics import MetricGraph
from cadran.core.warehouse import duckdb_local as duckdb_file
from cadran.errors import CardError, QueryError, ServiceError
from cadran.exports import superset
from cadran.exports.expressions import NotExpressibleError, summable
from cadran.exports.superset import model as superset_model
from cadran.exports.superset import model as superset_values
from cadran.exports.superset import payload as superset_payload
from cadran.exports.superset.client import Client

HERE = Path(__file__).parent
TAKEN = json.loads((HERE / "fixtures" / "exports" / "superset_openapi.json").read_text())["$defs"]
# What no tool can put together from groups.
READY_MADE = {
    "active_customers", "conversion_rate", "first_response_hours_p90", "resolution_hours_median",
    "revenue_growth_yoy", "revenue_month_to_date", "revenue_trailing_28_days", "ticket_backlog",
    "hours_to_acknowledge_median", "hours_to_acknowledge_p90", "hours_to_detect_median",
    "hours_to_detect_p90", "hours_to_restore_median", "hours_to_restore_p90",
}  # fmt: skip


@pytest.fixture(scope="module")
def model(layer):
    return superset_model.make(layer)


@pytest.fixture(scope="module")
def cubes(model):
    return [made for made in model.datasets if made.grain]


@pytest.fixture(scope="module")
def values(layer):
    """The table of values at two grains and by one dimension of each KPI, to be quick."""
    cards = []
    for name in sorted(READY_MADE):
        card = layer.card(name)
        grains = tuple(grain for grain in ("week", "month") if grain in card.grains)
        cards.append(replace(card, grains=grains, dimensions=card.dimensions[:1]))
    return cards, superset_values.value_rows(layer, cards)


@pytest.fixture(scope="module")
def stored(cubes):
    """A database with the exported tables, as Superset sees it."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    for made in cubes:
        connection.register("rows", made.rows())
        connection.execute(f"create table {made.name} as from rows")
    return connection


def test_every_kpi_is_in_one_dataset(model, layer):
    kpis = [metric.card.name for made in model.datasets for metric in made.metrics]
    assert sorted(kpis) == sorted(card.name for card in layer.kpis())
    (last,) = (made for made in model.datasets if made.grain is None)
    assert {metric.card.name for metric in last.metrics} == READY_MADE
    assert model.left_out == {}


def differences(stored, made, layer, grain, dimension):
    """The groups at which a cube's metrics are not what the layer answers."""
    kpis = [metric.card.name for metric in made.metrics]
    groups = [f"metric_time__{grain}", *([dimension] if dimension else [])]
    stored.register("answer", layer.query(kpis, groups, ordered=False).to_arrow())
    metrics = ", ".join(f"{metric.expression} as {metric.card.name}" for metric in made.metrics)
    by, same = "", f"a.at = b.metric_time__{grain}::timestamp"
    if dimension:
        by, same = f", {dimension}", f"{same} and a.{dimension} is not distinct from b.{dimension}"
    # Where only the other KPIs of an answer have rows, a count is 0 here and missing there.
    wrong = " or ".join(
        f"coalesce(abs(a.{k}::double - b.{k}::double) > 1e-9 * abs(b.{k}::double),"
        f" coalesce(a.{k}, b.{k}, 0) <> 0)"
        for k in kpis
    )
    grouped = f"select date_trunc('{grain}', metric_time)::timestamp as at{by}, {metrics}"
    stored.execute(f"create or replace temp table shown as {grouped} from {made.name} group by all")
    assert stored.execute("select count(*) from shown").fetchone()[0] > 0
    return stored.execute(
        f"select * from shown as a full join answer as b on {same} where {wrong}"
    ).fetchall()


def test_a_cube_gives_the_numbers_of_the_layer_by_each_of_its_dimensions(cubes, stored, layer):
    for made in cubes:
        for column in made.columns:
            if column.role == "dimension":
                assert differences(stored, made, layer, "month", column.name) == []


def test_a_cube_gives_the_numbers_of_the_layer_at_each_period(cubes, stored, layer):
    for made in cubes:
        for grain in GRAINS[GRAINS.index(made.grain) :]:
            assert differences(stored, made, layer, grain, None) == []


def test_a_wrong_expression_would_be_seen(cubes, stored, layer):
    made = next(made for made in cubes if made.name == "order_lines_by_day")
    (refund,) = (metric for metric in made.metrics if metric.card.name == "refund_rate")
    averaged = replace(refund, expression="AVG(refunded_amount / NULLIF(sold_amount, 0))")
    assert differences(stored, replace(made, metrics=(averaged,)), layer, "month", None)


def test_a_cube_holds_nothing_that_may_not_be_added_up(cubes, layer):
    for made in cubes:
        parts = {column.name for column in made.columns if column.role == "part"}
        assert parts.isdisjoint(card.name for card in layer.kpis())
        for part in parts:
            assert layer.metric(part)["type_params"]["metric_aggregation_params"]["agg"] in {
                "sum", "count", "sum_boolean",
            }  # fmt: skip


def test_a_ready_made_value_is_the_layers(values, layer):
    cards, rows = values
    for card in cards:
        for grain in card.grains:
            for dimension in (None, *card.dimensions):
                groups = [f"metric_time__{grain}", *([dimension] if dimension else [])]
                answer = layer.query(card.name, groups).to_arrow().to_pylist()
                expected = {
                    (row[groups[0]], str(row[dimension]) if dimension else "all"): row[card.name]
                    for row in answer
                    if row[card.name] is not None and row[groups[0]] is not None
                }
                found = shown(rows, card.name, grain, dimension or "all", "period")
                assert len(expected) > 10
                assert {key: float(value) for key, value in expected.items()} == found


def shown(rows, kpi, grain, dimension, period):
    """The metric of a KPI as Superset shows it under two filters, grouped by period and member."""
    connection = duckdb.connect()
    connection.register("kpi_values", rows)
    sql = (
        f"select {period} as at, coalesce(member, 'None') as member,"
        f" {superset_values.value_expression(kpi)} as value from kpi_values"
        f" where grain = '{grain}' and dimension = '{dimension}' group by all"
    )
    return {
        (at, member): v for at, member, v in connection.execute(sql).fetchall() if v is not None
    }


def test_a_ready_made_value_is_never_shown_for_a_longer_period(values):
    cards, rows = values
    for card in cards:
        for grain in card.grains:
            for dimension in ("all", *card.dimensions):
                for longer in ("month", "quarter", "year")[("week", "month").index(grain) :]:
                    period = f"date_trunc('{longer}', period)"
                    assert shown(rows, card.name, grain, dimension, period) == {}


def test_ready_made_values_cannot_be_added_up(values):
    connection = duckdb.connect()
    connection.register("kpi_values", values[1])
    with pytest.raises(duckdb.BinderException):
        connection.sql("select sum(active_customers) from kpi_values")
    everything = f"select {superset_values.value_expression('active_customers')} from kpi_values"
    assert connection.execute(everything).fetchall() == [(None,)]


def test_the_payload_is_what_superset_takes(model):
    for kind, payload in (
        ("DatabaseRestApi.post", superset_payload.database(model, "/data/kpis.duckdb")),
        *(("DatasetRestApi.put", superset_payload.dataset(model, d)) for d in model.datasets),
    ):
        jsonschema.validate(payload, {"$ref": f"#/$defs/{kind}", "$defs": TAKEN})
    payloads = [superset_payload.dataset(model, made) for made in model.datasets]
    marks = [one["uuid"] for made in payloads for one in (made, *made["metrics"])]
    assert len(set(marks)) == len(marks)


def test_a_metric_bears_the_words_of_its_card(model, layer):
    (made,) = (made for made in model.datasets if made.name == "order_lines_by_day")
    metrics = {m["metric_name"]: m for m in superset_payload.dataset(model, made)["metrics"]}
    revenue, rate = metrics["net_revenue"], metrics["refund_rate"]
    assert revenue["verbose_name"] == "Net revenue"
    assert revenue["description"].startswith(layer.card("net_revenue").description)
    assert (revenue["d3format"], rate["d3format"]) == (",.0f", ",.2%")
    assert revenue["currency"] == {"symbol": "EUR", "symbolPosition": "suffix"}
    certified = json.loads(revenue["extra"])["certification"]
    assert certified["certified_by"] == "head.of.sales@example.com"
    assert "data.commerce@example.com" in certified["details"]


def test_what_is_not_certified_says_so(model):
    (made,) = (made for made in model.datasets if made.name == "orders_by_day")
    (metric,) = made.metrics
    for status, word in (("draft", "not certified"), ("deprecated", "replaced by net_revenue")):
        card = replace(metric.card, status=status, replaced_by="net_revenue")
        changed = replace(made, metrics=(replace(metric, card=card),))
        extra = json.loads(superset_payload.dataset(model, changed)["metrics"][0]["extra"])
        assert "certification" not in extra
        assert word in extra["warning_markdown"]


def test_in_french_labels_and_descriptions_are_french(layer):
    model = superset_model.make(layer, "fr")
    (made,) = (made for made in model.datasets if made.name == "order_lines_by_day")
    payload = superset_payload.dataset(model, made)
    assert "Chiffre d'affaires net" in {metric["verbose_name"] for metric in payload["metrics"]}
    assert payload["description"].startswith("Une ligne par jour")


def test_the_archive_is_the_same_bytes_for_the_same_definitions(model, tmp_path):
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    for path in (one, two):
        superset.write(model, path, "/data/kpis.duckdb")
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        content = {name: yaml.safe_load(archive.read(name)) for name in archive.namelist()}
    database = content["cadran/databases/kpis.yaml"]
    assert "access_mode=read_only" in database["sqlalchemy_uri"]
    for made in model.datasets:
        file = content[f"cadran/datasets/kpis/{made.name}.yaml"]
        assert file["database_uuid"] == database["uuid"]
        assert len(file["metrics"]) == len(made.metrics)


def test_the_file_is_in_the_format_that_older_duckdbs_read_and_is_replaced_whole(tmp_path):
    path = tmp_path / "made" / "it's.duckdb"
    duckdb_file.write(path, {"t": pa.table({"a": [1, 2]})})
    assert int.from_bytes(path.read_bytes()[12:20], "little") == 64  # of DuckDB 1.0
    with duckdb.connect(str(path), read_only=True) as reader:
        duckdb_file.write(path, {"t": pa.table({"a": [1, 2, 3]})})
        assert reader.execute("select count(*) from t").fetchone() == (2,)
    with duckdb.connect(str(path), read_only=True) as reader:
        assert reader.execute("select count(*) from t").fetchone() == (3,)
    assert list(path.parent.iterdir()) == [path]


def graph_of(metrics, changed):
    return MetricGraph({"metrics": [*(metrics | {changed["name"]: changed}).values()]})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type_params": {"fill_nulls_with": 0}}, "no rows"),
        ({"type_params": {"join_to_timespine": True}}, "no rows"),
    ],
)
def test_what_has_a_value_without_rows_is_not_put_into_a_cube(layer, change, reason):
    metrics = {m["name"]: m for m in layer.project.semantic_manifest["metrics"]}
    block = metrics["orders_placed"]
    given = block["type_params"] | change["type_params"]
    with pytest.raises(NotExpressibleError, match=reason):
        summable(graph_of(metrics, block | {"type_params": given}), "order_count")


def test_a_filter_on_top_of_a_part_is_not_lost(layer):
    metrics = {m["name"]: m for m in layer.project.semantic_manifest["metrics"]}
    filters = {
        "where_filters": [{"where_sql_template": "{{ Dimension('order_id__channel') }} = 'web'"}]
    }
    ratio = metrics["refund_rate"] | {"filter": filters}
    with pytest.raises(NotExpressibleError, match="filters"):
        summable(graph_of(metrics, ratio), "refund_rate")


def test_a_kpi_without_a_longer_period_on_its_card_is_not_offered_by_it(layer):
    card = replace(layer.card("order_count"), grains=("day", "month"))
    with pytest.raises(NotExpressibleError, match="'week'"):
        superset_model._shape(card)


def with_cards_of(kpis, demo, folder):
    """The demo's artefacts in a folder, with the cards of these KPIs alone."""
    manifest = json.loads((demo.target / "semantic_manifest.json").read_text())
    for metric in manifest["metrics"]:
        if metric["name"] not in kpis:
            metric["config"] = {"meta": {}}
    folder.mkdir()
    (folder / "manifest.json").symlink_to(demo.target / "manifest.json")
    path = folder / "semantic_manifest.json"
    path.write_text(json.dumps(manifest))
    return path


def test_a_project_without_a_kpi_is_told_so(demo, tmp_path):
    manifest = with_cards_of((), demo, tmp_path / "none")
    with pytest.raises(CardError, match="no KPI"):
        superset_model.make(cadran.open(manifest=manifest, database=demo.database))


def test_a_login_goes_to_this_machine_or_over_tls(monkeypatch):
    with pytest.raises(QueryError, match="plain HTTP to another machine"):
        Client("http://superset.example.com")
    with pytest.raises(QueryError, match="no URL"):
        Client("superset:8088")
    for name in ("USER", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"CADRAN_SUPERSET_{name}", raising=False)
    with pytest.raises(QueryError, match="CADRAN_SUPERSET_TOKEN"):
        Client("http://127.0.0.1:9")
    monkeypatch.setenv("CADRAN_SUPERSET_TOKEN", "not-to-be-told")
    with pytest.raises(ServiceError, match="cannot be reached") as refused:
        Client("http://127.0.0.1:9")
    assert "not-to-be-told" not in str(refused.value)


def test_the_command_writes_both_targets(demo, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("CADRAN_SUPERSET_URL", raising=False)
    manifest = with_cards_of(("net_revenue", "ticket_backlog"), demo, tmp_path / "two")
    flags = ["--manifest", str(manifest), "--database", str(demo.database)]
    for target, out in (("ossie", tmp_path / "ossie.json"), ("superset", tmp_path / "superset")):
        assert main(["export", target, "--help"]) == 0
        assert f"  cadran export {target}\n" in capsys.readouterr().out
        assert main(["export", target, "--output", str(out), *flags]) == 0
        assert str(out) in capsys.readouterr().out
    made = {path.name for path in (tmp_path / "superset").iterdir()}
    assert made == {"kpis.duckdb", "superset.zip"}
