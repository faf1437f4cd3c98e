"""KPI tables say what the layer says, and follow their definition."""

from __future__ import annotations

import shutil

import pytest

from cadran.exports import dbt_models

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


def test_the_tables_in_the_project_are_those_of_their_definitions(layer, project_root):
    assert dbt_models.differences(layer, project_root) == []


def test_a_table_that_was_edited_by_hand_is_shown_and_mended(layer, project_root, tmp_path):
    shutil.copytree(project_root / "models" / "kpis", tmp_path / "models" / "kpis")
    edited = next((tmp_path / "models" / "kpis").rglob("kpi_daily_commerce.sql"))
    edited.write_text(edited.read_text().replace("sum(", "max(").replace("SUM(", "MAX("))
    shown = dbt_models.differences(layer, tmp_path)
    assert len(shown) == 1
    assert "kpi_daily_commerce.sql" in shown[0]
    assert "+" in shown[0]
    assert dbt_models.write(layer, tmp_path) == [edited]
    assert dbt_models.differences(layer, tmp_path) == []


def test_a_ratio_stands_beside_the_parts_that_may_be_summed(layer):
    documented = {table.path.name: table.documentation for table in dbt_models.kpi_tables(layer)}
    assert "additive: false" in documented["kpi_daily_commerce"]
    assert "part_of" in documented["kpi_daily_commerce"]
