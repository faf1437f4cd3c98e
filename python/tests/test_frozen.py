"""While nothing changed, the frozen SQL of every KPI of the demo gives what the layer gives."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from cadran.core.layer import Layer
from cadran.core.project import lock
from cadran.core.project.artifacts import Project

ROOT = Path(__file__).resolve().parents[2]
KPIS = sorted(json.loads((ROOT / lock.FILE).read_text(encoding="utf-8"))["kpis"])
OTHERWISE = [
    # The end of a day is its last minute, of a range of months the last day of a month.
    ("platform_availability", "hour", {"start": "2026-10-30", "end": "2026-10-30"}),
    ("conversion_rate", "month", {"start": "2026-03-10", "end": "2026-05-02"}),
    ("revenue_trailing_28_days", "week", {
        "start": "2026-06-03", "where": "order_id__channel in ('web', 'mobile_app')",
    }),
    ("net_revenue", "quarter", {
        "where": ["customer__country = 'FR'", "product__category > 'b' or customer__segment = 'x'"],
        "order_by": "-metric_time__quarter", "limit": 3,
    }),
]  # fmt: skip


@pytest.fixture(scope="module")
def recorded(demo):
    """The layer of the demo with the records of this project."""
    assert demo.returncode == 0, demo.log[-3000:]
    layer = Layer(Project(demo.target / "semantic_manifest.json", demo.database, ROOT))
    yield layer
    layer.close()


def same(layer, **asked):
    """Version 1 answers as the layer does; a sum of fractions may differ in its last digit."""
    now = layer.query(**asked).to_arrow()
    answer = layer.query(**asked, version=1)
    assert "from its frozen SQL" in answer.note
    then = answer.to_arrow()
    assert then.schema == now.schema
    rows = now.to_pylist()
    assert rows, asked
    for was, row in zip(then.to_pylist(), rows, strict=True):
        assert all(is_close(was[name], row[name]) for name in row), (asked, was, row)


def is_close(one, other):
    inexact = isinstance(one, float) and isinstance(other, float)
    return math.isclose(one, other, rel_tol=1e-9) if inexact else one == other


@pytest.mark.parametrize("kpi", KPIS)
def test_the_frozen_sql_of_a_kpi_gives_what_the_layer_gives(recorded, kpi):
    card = recorded.card(kpi)
    time = "metric_time__month" if "month" in card.grains else f"metric_time__{card.grains[-1]}"
    same(recorded, metrics=kpi, group_by=[time])
    if card.dimensions:
        same(recorded, metrics=kpi, group_by=[card.dimensions[-1], time])


@pytest.mark.parametrize(("kpi", "grain", "asked"), OTHERWISE)
def test_a_version_answers_otherwise_than_it_was_frozen_as_the_layer_does(
    recorded, kpi, grain, asked
):
    same(recorded, metrics=kpi, group_by=f"metric_time__{grain}", **asked)


def test_the_records_of_this_project_cover_its_kpis_and_fit_in_a_repository():
    files = list((ROOT / lock.FOLDER).glob("*/v*.yml"))
    assert sorted({path.parent.name for path in files}) == KPIS
    assert max(path.stat().st_size for path in files) < 100_000
