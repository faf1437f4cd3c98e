"""KPI tables say what the layer says, and follow their definition."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta
from types import SimpleNamespace

import pytest
from conftest import ROOT
from jinja2 import Environment

from cadran.formats import periods
from cadran.governance import kpi_tables

SAVED = [
    "kpi_daily_commerce",
    "kpi_weekly_support",
    "kpi_minute_reliability",
    "kpi_monthly_strategic",
]


@pytest.mark.parametrize("name", SAVED)
def test_a_kpi_table_equals_the_same_question_asked_of_the_layer(name, layer):
    answer = layer.query(saved_query=name, governed=False).to_arrow()
    columns = ", ".join(answer.column_names)
    stored = layer.warehouse.arrow(f"select {columns} from kpis.{name}")
    keys = [(group.column, "ascending") for group in layer.saved_query(name).group_by]
    ours, theirs = answer.sort_by(keys), stored.sort_by(keys)
    assert ours.num_rows == theirs.num_rows > 0
    for column in answer.column_names:
        for left, right in zip(ours[column].to_pylist(), theirs[column].to_pylist(), strict=True):
            assert left == right or left == pytest.approx(right, rel=1e-9), column


@pytest.mark.parametrize("name", SAVED)
def test_each_row_of_a_kpi_table_says_whether_its_period_is_complete(name, layer):
    query = layer.saved_query(name)
    time = next(group for group in query.group_by if group.base == "metric_time")
    if time.grain == "minute":
        assert "is_complete" not in layer.warehouse.column_types(f"select * from kpis.{name}")
        return
    through = min(layer.complete_through(metric) for metric in query.metrics)
    rows = layer.warehouse.arrow(
        f"select distinct {time.column} as start, is_complete from kpis.{name} order by 1"
    ).to_pylist()
    assert rows
    for row in rows:
        end = periods.last_of(row["start"], time.grain)
        if end > through:
            assert not row["is_complete"], row
        elif end <= through - timedelta(days=7):  # a table counts no silence at the end as whole
            assert row["is_complete"], row


def test_a_source_without_rows_or_with_a_stamp_in_the_future_completes_nothing(layer):
    # The macro of the package, with dbt's words for DuckDB; it makes SQL and no page.
    macro = Environment().from_string(  # noqa: S701
        (ROOT / "macros" / "is_complete.sql").read_text()
        + "{{ is_complete(\"date '2026-10-01'\", 'month', [('feed', 'seen_at', 180)]) }}"
    )
    dbt = SimpleNamespace(
        dateadd=lambda part, count, of: f"({of}) + interval '{count} {part}'",
        current_timestamp=lambda: "timestamp '2026-11-05 00:00:00'",
    )
    sql = macro.render(dbt=dbt)
    for stamps, complete in (
        ((), False),
        (("2026-10-31 20:00:00",), False),  # four hours of the month are missing
        (("2026-10-31 21:00:00",), True),  # three may be
        (("2026-10-15 00:00:00", "2027-01-01 00:00:00"), False),
    ):
        values = ", ".join(f"('{stamp}'::timestamp)" for stamp in stamps)
        feed = f"values {values}" if stamps else "select null::timestamp where false"
        [row] = layer.warehouse.arrow(
            f"with feed(seen_at) as ({feed}) select {sql} as complete"
        ).to_pylist()
        assert row["complete"] is complete, stamps


def test_the_tables_in_the_project_are_those_of_their_definitions(layer, project_root):
    assert kpi_tables.differences(layer, project_root) == {}


def test_a_table_that_was_edited_by_hand_is_shown_and_mended(layer, project_root, tmp_path):
    for folder in ("kpis", "preaggregates"):
        shutil.copytree(project_root / "models" / folder, tmp_path / "models" / folder)
    # With fewer domains MetricFlow gives its steps other numbers.
    for path in (tmp_path / "models" / "kpis").rglob("*.sql"):
        path.write_text(re.sub(r"\b(subq|sma)_(\d+)", r"\1_9\2", path.read_text()))
    assert kpi_tables.differences(layer, tmp_path, as_built=False) == {}
    edited = next((tmp_path / "models" / "kpis").rglob("kpi_daily_commerce.sql"))
    edited.write_text(edited.read_text().replace("sum(", "max(").replace("SUM(", "MAX("))
    shown = kpi_tables.differences(layer, tmp_path)
    [(file, difference)] = shown.items()
    assert file.name == "kpi_daily_commerce.sql"
    assert "+" in difference
    assert kpi_tables.write(layer, tmp_path) == [edited]
    assert kpi_tables.differences(layer, tmp_path) == {}


def test_a_ratio_stands_beside_the_parts_that_may_be_summed(layer):
    documented = {table.path.name: table.documentation for table in kpi_tables.tables(layer)}
    assert "additive: false" in documented["kpi_daily_commerce"]
    assert "part_of" in documented["kpi_daily_commerce"]
