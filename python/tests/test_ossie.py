"""The Ossie document says what the layer says, and gives back everything it was given."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import sqlglot
from sqlglot import exp

from cadran.core.project.graph import Node
from cadran.core.semantics.metrics import MetricGraph
from cadran.core.versions.meaning import CompiledQuery, Definition
from cadran.core.versions.record import VersionRecord
from cadran.errors import ProjectError
from cadran.exports import ossie
from cadran.exports import ossie as ossie_document
from cadran.exports.expressions import NotExpressibleError
from cadran.exports.ossie import Expressions

FORM = json.loads(
    (Path(__file__).parent / "fixtures" / "exports" / "ossie_schema.json").read_text()
)
NOT_EXPRESSED = {
    "conversion_rate", "revenue_growth_yoy", "revenue_month_to_date", "revenue_trailing_28_days",
    "ticket_backlog",
}  # fmt: skip


def version(kpi, number):
    """A version record with something in every field."""
    definition = Definition(
        kpi,
        (CompiledQuery(("day", "month"), ("customer__country",), "select 'é' as \"x\"\nfrom a"),),
        {"a": "select 1"},
        {"raw.orders": ["order_id", "amount"]},
        (Node("model", "a", "models/a.sql", "abc"),),
        {"a": "def"},
        "texts are compared",
    )
    return VersionRecord(
        kpi=kpi, version=number, effective_from=dt.date(2026, 3, 1), kind="policy",
        reason="Gift cards count.", author="a@example.com", approver="b@example.com",
        restatement="window", hash="123", definition=definition, ticket="FIN-7",
        window=(dt.date(2025, 1, 1), dt.date(2025, 12, 31)), overlap="3 months",
        expected_impact=(-0.02, 0.05), proof={"compared": ["month"], "rows": 3},
        tools=("sqlglot 30",), file=f"versions/{kpi}/v{number}.yml",
    )  # fmt: skip


@pytest.fixture(scope="module")
def given(layer):
    """What the demo has to tell, with two versions of every KPI."""
    told = ossie.exchange(layer)
    return replace(told, versions={n: (version(n, 1), version(n, 2)) for n in told.cards})


@pytest.fixture(scope="module")
def written(given, tmp_path_factory):
    path = tmp_path_factory.mktemp("ossie") / "ossie.json"
    return path, ossie.write(given, path)


@pytest.fixture(scope="module")
def model(written):
    return json.loads(written[0].read_text(encoding="utf-8"))["semantic_model"][0]


def test_what_is_read_is_what_was_written(written, given):
    found = ossie.read(written[0])
    assert found.project == given.project == "cadran"
    assert found.cards == given.cards
    assert found.versions == given.versions
    assert len(found.targets) > 100
    assert found.targets == given.targets
    assert found.semantic_manifest == given.semantic_manifest


@pytest.mark.parametrize("spec", ossie_document.SPECS)
def test_the_document_has_the_form_of_the_specification(given, spec, tmp_path):
    path = tmp_path / "ossie.json"
    ossie.write(given, path, spec=spec, lang="fr")
    document = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(document, FORM)
    assert document["version"] == spec
    assert ossie.read(path) == given
    del document["semantic_model"][0]["metrics"][0]["expression"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, FORM)


def test_every_kpi_is_expressed_or_named_with_the_reason(written, model, layer):
    expressed = {metric["name"] for metric in model["metrics"]}
    assert set(written[1]) == NOT_EXPRESSED
    assert expressed | NOT_EXPRESSED == {card.name for card in layer.kpis()}
    assert not expressed & NOT_EXPRESSED
    kept = json.loads(model["custom_extensions"][0]["data"])["cadran"]["not_expressed"]
    assert {entry["metric"]["name"]: entry["reason"] for entry in kept} == written[1]


def test_the_release_before_is_read_by_metricflow_as_dbt_does(given, tmp_path):
    from metricflow.converters.models import OSIDocument
    from metricflow.converters.osi_to_msi import OSIToMSIConverter

    path = tmp_path / "ossie.json"
    ossie.write(given, path, spec="0.1.1")
    read = OSIDocument.parse_raw(path.read_text(encoding="utf-8"))
    made = OSIToMSIConverter().convert(read).output
    named = {one["name"] for one in given.semantic_manifest["semantic_models"]}
    assert {one.name for one in made.semantic_models} == named
    assert "net_revenue" in {metric.name for metric in made.metrics}


def test_relationships_join_fields_that_there_are(model):
    fields = {d["name"]: {f["name"] for f in d["fields"]} for d in model["datasets"]}
    assert len(model["relationships"]) >= 10
    for one in model["relationships"]:
        assert set(one["from_columns"]) <= fields[one["from"]]
        assert set(one["to_columns"]) <= fields[one["to"]]


def expression_of(metric):
    return metric["expression"]["dialects"][0]["expression"]


def by_month(metric, model, layer):
    """The values of a metric by month, from its expression, its datasets and its times alone."""
    tree = sqlglot.parse_one(expression_of(metric), dialect="postgres")
    sources = {dataset["name"]: dataset["source"] for dataset in model["datasets"]}
    said = metric["ai_context"]["instructions"].removeprefix("Its time is ")
    times = dict(one.split(".") for one in said[: said.index(". ")].split(", "))
    parts: dict[str, list[str]] = {}

    def put(node):
        if not isinstance(node, (exp.AggFunc, exp.WithinGroup)):
            return node
        (dataset,) = {column.table for column in node.find_all(exp.Column)}
        parts.setdefault(dataset, []).append(node.sql(dialect="duckdb"))
        return exp.column(f"a{len(parts[dataset]) - 1}", table=f"t_{dataset}")

    outer = tree.transform(put).sql(dialect="duckdb")
    tables = [
        f"(select date_trunc('month', {name}.{times[name]})::date as month,"
        + ", ".join(f"{sql} as a{place}" for place, sql in enumerate(aggregates))
        + f" from {sources[name]} as {name} group by all) as t_{name}"
        for name, aggregates in parts.items()
    ]
    first, *others = tables
    joined = first + "".join(f" full join {other} using (month)" for other in others)
    sql = f"select month, {outer} as value from {joined} where month is not null"
    return {row["month"]: row["value"] for row in layer.warehouse.arrow(sql).to_pylist()}


def test_every_expression_gives_the_numbers_of_the_layer(model, layer):
    for metric in model["metrics"]:
        name = metric["name"]
        answer = layer.query(name, "metric_time__month").to_arrow().to_pylist()
        expected = {row["metric_time__month"]: row[name] for row in answer}
        found = by_month(metric, model, layer)
        assert any(expected.values())
        for month, value in expected.items():
            if value is not None:
                assert float(found[month]) == pytest.approx(float(value), rel=1e-9), (name, month)


def test_every_column_of_an_expression_is_a_field(model):
    fields = {(d["name"], f["name"]) for d in model["datasets"] for f in d["fields"]}
    for metric in model["metrics"]:
        tree = sqlglot.parse_one(expression_of(metric), dialect="postgres")
        assert {(c.table, c.name) for c in tree.find_all(exp.Column)} <= fields


def test_a_filter_on_another_table_is_not_said_wrongly(given):
    manifest = given.semantic_manifest
    metrics = {metric["name"]: metric for metric in manifest["metrics"]}
    models = {one["name"]: one for one in manifest["semantic_models"]}
    template = "{{ Dimension('customer__country') }} = 'FR'"
    filters = {"where_filters": [{"where_sql_template": template}]}
    metrics["orders_placed"] = metrics["orders_placed"] | {"filter": filters}
    with pytest.raises(NotExpressibleError, match="customer__country"):
        Expressions(MetricGraph({"metrics": list(metrics.values())}), models).of("order_count")


@pytest.mark.parametrize(
    "text",
    ["no json", "[]", '{"semantic_model": []}',
     '{"semantic_model": [{"name": "x", "datasets": [], "metrics": []}]}'],
)  # fmt: skip
def test_a_document_of_someone_else_is_refused_in_a_sentence(text, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError, match="no Ossie document of this export"):
        ossie.read(path)
