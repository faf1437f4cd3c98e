"""Numbers that MetricFlow gives wrong without a word: right here, refused, or said."""

from __future__ import annotations

import json

import duckdb
import pytest

import cadran
from cadran.errors import QueryError


def derived(name, *inputs, expr="now - before"):
    return {
        "name": name, "type": "derived", "expr": expr,
        "inputs": [{"name": metric, "alias": alias, **more} for metric, alias, more in inputs],
    }  # fmt: skip


@pytest.fixture
def opened(tiny, tmp_path):
    """Opens the shop with more metrics, and statements run in its warehouse before."""
    layers = []

    def made(*metrics, sql=""):
        manifest = json.loads(tiny.read_text())
        shape = next(m for m in manifest["metrics"] if m["name"] == "revenue")
        for metric in metrics:
            entry = json.loads(json.dumps(shape)) | {"name": metric["name"], "config": None}
            rest = shape["type_params"]["metrics"][0]
            entry["type_params"] |= {
                "expr": metric["expr"], "metrics": [rest | one for one in metric["inputs"]],
            }  # fmt: skip
            manifest["metrics"].append(entry)
        path = tmp_path / "semantic_manifest.json"
        path.write_text(json.dumps(manifest))
        database = tmp_path / "tiny.duckdb"
        database.write_bytes((tiny.parents[1] / "tiny.duckdb").read_bytes())
        if sql:
            with duckdb.connect(str(database)) as connection:
                connection.execute(sql)
        layers.append(cadran.open(manifest=path, database=database))
        return layers[-1]

    yield made
    for layer in layers:
        layer.close()


MONTH_BEFORE = derived(
    "more_than_before",
    ("amount", "now", {}),
    ("amount", "before", {"offset_window": {"count": 1, "granularity": "month"}}),
)
SINCE_START = derived(
    "since_start",
    ("amount_to_date", "now", {}),
    ("amount_to_date", "before", {"offset_to_grain": "month"}),
)


def test_an_offset_of_a_month_is_asked_by_day_or_month_and_refused_by_quarter_and_week(opened):
    shop = opened(MONTH_BEFORE)
    months = shop.query("more_than_before", "metric_time__month", start="2026-02-01")
    assert [str(row["more_than_before"]) for row in months.to_arrow().to_pylist()] == ["90.90"]
    for grain in ("week", "quarter", "year"):
        with pytest.raises(QueryError, match=rf"1 month back.*{grain}s.*day, month"):
            shop.query("more_than_before", f"metric_time__{grain}")


def test_a_shift_to_the_start_of_a_period_takes_a_range_by_day_only(opened):
    shop = opened(SINCE_START)
    days = shop.query("since_start", "metric_time__day", start="2026-02-03", end="2026-02-03")
    assert len(days) == 1
    for grain in ("week", "month", "quarter"):
        with pytest.raises(QueryError, match="metric_time__day"):
            shop.query("since_start", f"metric_time__{grain}", start="2026-02-01")


def test_a_filter_on_a_metric_is_refused_with_a_range_that_it_would_ignore(shop):
    many = "{{ Metric('orders', group_by=['customer']) }} > 1"
    assert shop.query("orders", where=many).to_arrow().to_pylist() == [{"orders": 3}]
    with pytest.raises(QueryError, match="filter on a metric"):
        shop.query("orders", where=many, start="2026-02-01")
