"""Every kind of metric in Power BI, on a shop of five orders with gaps, NULLs and odd texts."""

from __future__ import annotations

import shutil

import dax
import duckdb
import pytest
from test_powerbi import differences, of_layer

import cadran
from cadran.exports import powerbi
from cadran.exports.powerbi import dates, pbip
from cadran.exports.powerbi.measures import Measures
from cadran.exports.powerbi.model import Model, NotInDaxError
from cadran.exports.powerbi.planner import Plan
from cadran.exports.powerbi.star import Star

SAID = (
    "amount", "orders", "rows_seen", "buyers", "least_amount", "greatest_amount", "mean_amount",
    "web_amount", "amount_to_date", "amount_3_days", "amount_month_to_date",
    "orders_to_date", "rows_to_date", "buyers_to_date", "least_to_date", "greatest_3_days",
    "mean_to_date", "web_to_date", "amount_to_date_per_order",
    "share_of_web_to_date", "pings",
)  # fmt: skip
REFUSED = {
    "pings_2_hours": "finer than a day",
    "pings_to_date": "finer than a day",
    "median_amount": "no whole or floating number",
    "median_to_date": "no whole or floating number",
}


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory):
    """A layer of the shop, its metrics in a model, and why the others are not."""
    layer = cadran.open(manifest=tiny, database=tiny.parents[1] / "tiny.duckdb")
    star = Star(layer)
    for name in ("order_id__channel", "customer__country"):
        star.dimension("orders", name)
    measures, reasons = Measures(layer, star), {}
    for name in (*SAID, *REFUSED):
        try:
            measures.of(name)
        except NotInDaxError as reason:
            reasons[name] = str(reason)
    tables = (dates.table(), *star.tables)
    model = Model("tiny", tables, tuple(star.relationships), tuple(measures.by_key.values()))
    folder = tmp_path_factory.mktemp("tiny_powerbi") / "project"
    pbip.write(
        layer, Plan(model, {dates.TABLE: dates.rows(layer)}), folder,
        data=folder / "data", data_as=None, say=lambda _: None,
    )  # fmt: skip
    yield layer, dax.Model(folder / "tiny.SemanticModel" / "definition", folder / "data"), reasons
    layer.close()


def test_what_cannot_be_said_is_refused_with_the_reason(made):
    _, _, reasons = made
    assert reasons.keys() == REFUSED.keys()
    for name, words in REFUSED.items():
        assert words in reasons[name]


@pytest.mark.parametrize("metric", SAID)
def test_a_metric_is_equal_by_day_month_and_dimension(made, metric):
    layer, model, _ = made
    name = next(n for n, one in model.measures.items() if one.annotation("cadran_metric") == metric)
    dimensions = [] if metric.startswith("pings") else ["order_id__channel", "customer__country"]
    # A cumulative metric that does not take the last day of a period is said by day alone.
    cumulative = metric.endswith(("_to_date", "_3_days", "_per_order"))
    for grain in ("day",) if cumulative else ("day", "month"):
        for dimension in (None, *dimensions):
            groups = [f"metric_time__{grain}", *([dimension] if dimension else [])]
            found = model.answer(name, [model.named(one) for one in groups])
            expected = of_layer(layer, metric, *groups)
            assert expected
            assert not differences(expected, found), groups


@pytest.fixture
def altered(tiny, tmp_path):
    """The shop's layer, once a statement has changed its warehouse."""

    def change(sql):
        database = tmp_path / "tiny.duckdb"
        shutil.copy(tiny.parents[1] / "tiny.duckdb", database)
        with duckdb.connect(str(database)) as connection:
            connection.execute(sql)
        return cadran.open(manifest=tiny, database=database)

    return change


def test_texts_that_power_bi_would_merge_are_left_out_by_name(altered, tmp_path):
    for at, sql in enumerate(("set channel = 'WEB' where", "set channel = 'web ' where")):
        layer = altered(f"update shop.orders {sql} order_id = 'o3'")
        model = powerbi.export(layer, tmp_path / f"project{at}")
        left = {one.what: one.reason for one in model.left_out}
        assert left.keys() == {"revenue by order_id__channel"}
        assert "differ only by capitals or spaces" in left["revenue by order_id__channel"]
        assert [m.metric for m in model.measures if m.version] == ["revenue", "amount_per_order"]
        shown = [c.layer for t in model.tables for c in t.columns if c.layer and not c.is_hidden]
        assert "customer__country" in shown
        assert "order_id__channel" not in shown
        layer.close()


def test_a_kpi_whose_key_power_bi_would_merge_is_served_as_a_table(altered, tmp_path):
    layer = altered("update shop.customers set customer_id = 'C2' where customer_id = 'c3'")
    model = powerbi.export(layer, tmp_path / "project")
    left = [one.what for one in model.left_out]
    assert left == ["revenue by customer__country", "amount_per_order by customer__country"]
    layer.close()


def test_rows_beyond_the_dates_are_said(altered, tmp_path):
    layer = altered("update shop.orders set ordered_date = '2031-01-01' where order_id = 'o5'")
    model = powerbi.export(layer, tmp_path / "project")
    assert [one.what for one in model.left_out] == ["1 rows of orders by ordered_date"]
    layer.close()


def test_an_export_that_fails_leaves_nothing_behind(altered, tmp_path):
    layer = altered("drop table shop.customers")
    with pytest.raises(cadran.WarehouseError):
        powerbi.export(layer, tmp_path / "project")
    assert [entry.name for entry in tmp_path.iterdir()] == ["tiny.duckdb"]
    layer.close()
