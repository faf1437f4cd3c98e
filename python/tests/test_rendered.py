"""Every KPI is written for engines that nothing here runs, and read as SQL of theirs."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp

from cadran.core.compiler.metricflow import Compiler, Renderings
from cadran.core.project.artifacts import Project
from cadran.core.query.request import ask
from cadran.core.warehouse.dialects import SPARK
from cadran.errors import QueryError

ENGINES = {"bigquery", "databricks", "redshift", "snowflake", "trino"}
# An exact percentile is an aggregate of neither; the KPIs that are one are refused there.
WITHOUT_PERCENTILES = {"bigquery", "trino"}


@pytest.fixture(scope="module")
def renderings(layer):
    return Renderings(layer.project)


def unreadable(sql, dialect):
    """What an engine would not know in a statement; None of one that reads."""
    try:
        tree = sqlglot.parse_one(sql, dialect=dialect)
    except sqlglot.ParseError as error:
        return str(error)
    foreign = tree.find(exp.Anonymous, exp.Command)
    return foreign.sql(dialect=dialect) if foreign else None


def is_percentile(layer, metrics):
    """Whether one of the metrics rests on a percentile."""
    graph = layer.metric_graph
    kinds = {graph.aggregation(leaf)["agg"] for leaf in graph.leaves(*metrics)}
    return bool(kinds & {"median", "percentile"})


def test_every_kpi_and_kpi_table_is_written_for_five_engines_or_refused_by_name(layer, renderings):
    tables = [layer.resolved(ask(saved_query=query["name"])) for query in layer.saved_queries()]
    answered = [table.metrics for table in tables if not is_percentile(layer, table.metrics)]
    percentiles, others = [], {}
    for card in layer.kpis():
        if is_percentile(layer, [card.name]):
            percentiles.append(ask([card.name], [f"metric_time__{card.grains[-1]}"]))
        elif not any(card.name in metrics for metrics in answered):
            others.setdefault(card.grains[-1], []).append(card.name)
    # Many in one question are planned in a third of the time.
    kpis = [ask(names, [f"metric_time__{grain}"]) for grain, names in others.items()] + percentiles
    assert len(kpis) > len(percentiles) > 1
    for query in [*tables, *map(layer.resolved, kpis)]:
        answers = renderings.of(query)
        assert answers.keys() == ENGINES
        refused = {name for name, answer in answers.items() if isinstance(answer, QueryError)}
        expected = WITHOUT_PERCENTILES if is_percentile(layer, query.metrics) else set()
        assert refused == expected, (query.metrics, answers)
        for dialect, answer in answers.items():
            if dialect in refused:
                assert f"Not on {dialect}, {', '.join(query.metrics)}: " in str(answer)
                assert "ercentile" in str(answer)
            else:
                assert unreadable(answer, dialect) is None, (query.metrics, dialect)


@pytest.mark.parametrize(
    ("expression", "engine"),
    [("epoch(paid_at)", "snowflake"), ("minutes // 60", "redshift"), ("a: 1", "trino")],
)
def test_what_only_duckdb_knows_is_seen(expression, engine):
    statement = f"select max({expression}) as value from t"
    assert unreadable(statement, engine)
    assert not unreadable("select max(paid_at) as value from t", engine)


def test_spark_is_asked_for_exact_percentiles_doubles_and_nulls_last(layer):
    built = layer.project
    project = Project(built.semantic_manifest_path, built.database, None, dialect=SPARK)
    team = r"{{ Dimension('ticket__team') }} = 'O''Brien \n'"
    asked = ask(["resolution_hours_median"], ["metric_time__month", "ticket__team"], team)
    sql = Compiler(project).sql(layer.resolved(asked))
    assert "PERCENTILE(" in sql
    assert "APPROX" not in sql
    assert r"'O\'Brien \\n'" in sql
    assert "ticket__team NULLS LAST" in sql

    sql = Compiler(project).sql(layer.resolved(ask(["gross_margin_rate"], ["metric_time__month"])))
    divisions = list(sqlglot.parse_one(sql, dialect=SPARK).find_all(exp.Div))
    assert divisions
    assert all(each.this.is_type("double") for each in divisions)
