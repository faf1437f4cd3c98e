"""Values beside earlier ones: which days are compared, what changes, and what must not be said.

The shop of five orders has two orders in January (the 30th and 31st) and three in February, which
ends with the 3rd.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from decimal import Decimal

import httpx
import pyarrow as pa
import pytest
from paper import Rows

import cadran
from cadran.access.authorize import PolicyGate
from cadran.access.caller import Caller
from cadran.cli import main
from cadran.core.comparison import Comparison, change, percent
from cadran.core.days import Days, base_of, is_same_dates
from cadran.core.project.artifacts import find
from cadran.core.query.request import Query
from cadran.core.result import Break
from cadran.insight.view import View, Window
from cadran.server.run import serving
from cadran.server.settings import Settings
from cadran.serving.service import QueryService, RequestContext
from cadran.serving.snapshots import SnapshotStore

JANUARY, FEBRUARY, MARCH = (dt.date(2026, month, 1) for month in (1, 2, 3))


def on_paper(  # noqa: PLR0913 - an answer in its parts
    shop, rows, *, breaks=(), through=dt.date(2026, 2, 28), begins=dt.date(2020, 1, 1),
    metric="orders", **asked,
):  # fmt: skip
    """What comes of answers that are given: by month, and over days by their range."""

    def answer(query):
        table = rows[query.start.date() if query.start and not query.group_by else None]
        return Rows(pa.Table.from_pylist(table), breaks)

    query = Query.of({"metrics": [metric], "group_by": ["metric_time__month"], **asked})
    found = Comparison(
        query, shop, answer, lambda _: through, lambda _, first: begins > first
    ).result()
    return [tuple(row.values())[1:] for row in found.table.to_pylist()], found


MONTHS = {None: [
    {"metric_time__month": dt.date(2025, 2, 1), "orders": 8},
    {"metric_time__month": JANUARY, "orders": 10},
    {"metric_time__month": FEBRUARY, "orders": 12},
]}  # fmt: skip


def test_each_month_stands_beside_the_month_before(shop):
    rows, _ = on_paper(shop, MONTHS, compare="previous")
    assert rows == [
        (8, None, None, None, None),
        (10, None, None, None, None),
        (12, 10, 2, 20.0, True),
    ]


def test_and_beside_the_same_month_of_the_year_before(shop):
    rows, found = on_paper(shop, MONTHS, compare="year", start="2026-02-10")
    assert rows == [(12, 8, 4, 50.0, True)]
    assert "start 2026-02-10 was widened to 2026-02-01" in found.note


def test_a_base_that_the_data_begin_within_is_not_like_for_like(shop):
    rows, found = on_paper(shop, MONTHS, compare="year", begins=dt.date(2025, 2, 20))
    assert rows[-1] == (12, 8, 4, 50.0, False)
    assert "The data of orders begin after 2025-02-01, the first day of its base." in found.note
    rows, found = on_paper(shop, MONTHS, compare="previous", begins=dt.date(2025, 2, 20))
    assert rows[-1] == (12, 10, 2, 20.0, True)
    assert "begin after" not in found.note


def test_a_running_year_is_compared_with_the_same_dates():
    half = Days(dt.date(2025, 1, 1), dt.date(2025, 6, 30))
    assert base_of(half, "year", "year") == Days(dt.date(2024, 1, 1), dt.date(2024, 6, 30))
    assert is_same_dates(half, base_of(half, "year", "year"))
    quarter = Days(dt.date(2024, 1, 1), dt.date(2024, 3, 10))
    assert base_of(quarter, "year", "quarter").end == dt.date(2023, 3, 10)
    for days, grain in ((half, "year"), (quarter, "quarter")):
        view = View("en", grain, days.start, "year")
        window = Window.of(view, days.end)
        assert Days(window.base_first, window.base_last) == base_of(days, "year", grain)


@pytest.mark.parametrize("odd", [float("inf"), float("nan"), True, dt.date(2026, 1, 1), "x"])
def test_what_is_no_finite_number_has_no_change(odd):
    assert change(odd, 1.0) is None
    assert change(1, odd) is None
    assert percent(odd, 1) is None
    assert percent(1, odd) is None


def test_a_running_month_is_compared_with_as_many_days(shop):
    part = {FEBRUARY: [{"orders": 11}], JANUARY: [{"orders": 5}]}
    rows, found = on_paper(shop, MONTHS | part, compare="previous", through=dt.date(2026, 2, 9))
    assert rows[-1] == (11, 5, 6, 120.0, True)
    assert "orders of 2026-02-01 to 2026-02-09 is compared with 2026-01-01 to" in found.note


def test_thirty_days_of_march_and_the_28_of_february_are_not_like_for_like(shop):
    months = {None: [*MONTHS[None], {"metric_time__month": MARCH, "orders": 30}]}
    part = {MARCH: [{"orders": 30}], FEBRUARY: [{"orders": 12}]}
    rows, found = on_paper(shop, months | part, compare="previous", through=dt.date(2026, 3, 30))
    assert rows[-1] == (30, 12, 18, 150.0, False)
    assert "30 days with 28" in found.note


def test_a_leap_day_and_weeks_keep_their_weekdays():
    leap = Days(dt.date(2024, 2, 29), dt.date(2024, 2, 29))
    assert base_of(leap, "year", "day").start == dt.date(2023, 3, 2)  # a Thursday as well
    month = Days(dt.date(2024, 2, 1), dt.date(2024, 2, 29))
    assert base_of(month, "year", "month") == Days(dt.date(2023, 2, 1), dt.date(2023, 2, 28))
    week = Days(dt.date(2024, 12, 30), dt.date(2025, 1, 5))
    assert base_of(week, "year", "week").start == dt.date(2024, 1, 1)
    assert base_of(month, "same_days", "month") == Days(dt.date(2023, 12, 28), dt.date(2024, 1, 25))


def test_what_is_hidden_or_nothing_leaves_no_change(shop):
    hidden = {None: [
        {"metric_time__month": JANUARY, "orders": None},
        {"metric_time__month": FEBRUARY, "orders": 12},
    ]}  # fmt: skip
    rows, _ = on_paper(shop, hidden, compare="previous")
    assert rows[-1] == (12, None, None, None, None)
    nothing = {None: [
        {"metric_time__month": JANUARY, "orders": 0},
        {"metric_time__month": FEBRUARY, "orders": 12},
    ]}  # fmt: skip
    rows, _ = on_paper(shop, nothing, compare="previous")
    assert rows[-1] == (12, 0, 12, None, True)


def test_values_on_both_sides_of_a_break_are_not_like_for_like(shop):
    change = Break(
        "orders", dt.datetime(2026, 2, 1, tzinfo=dt.UTC), 1, 2, "policy", "x", None, in_series=True
    )
    rows, found = on_paper(shop, MONTHS, compare="previous", breaks=(change,))
    assert rows[-1] == (12, 10, 2, 20.0, False)
    assert found.breaks == (change,)
    rows, _ = on_paper(shop, MONTHS, compare="previous", breaks=(replace(change, in_series=False),))
    assert rows[-1][-1] is True  # all values are of one version; the break is told none the less


def test_amounts_are_exact_and_rates_change_in_points(shop, full):
    days = shop.query(
        ["web_amount"], start="2026-02-01", end="2026-02-03", compare="previous"
    ).to_arrow()
    assert days.to_pylist()[0] == {
        "web_amount": Decimal("50.50"), "web_amount__base": Decimal("30.30"),
        "web_amount__change": Decimal("20.20"),
        "web_amount__change_percent": pytest.approx(66.6667, abs=1e-4),
        "web_amount__like_for_like": True,
    }  # fmt: skip
    rates = full.query(
        ["satisfaction_rate"], ["metric_time__month"], start="2026-02-01", compare="previous"
    )
    first = rates.to_arrow().to_pylist()[0]
    assert first["satisfaction_rate"] == pytest.approx(42 / 62)
    assert first["satisfaction_rate__change"] == pytest.approx((42 / 62 - 46 / 71) * 100)
    assert first["satisfaction_rate__change_percent"] is None


def test_members_of_one_side_only_are_shown_and_ordered(shop):
    table = shop.query(
        ["orders"], ["customer__country"], start="2026-02-01", end="2026-02-03",
        compare="previous", order_by=["-orders__base", "customer__country"],
    ).to_arrow()  # fmt: skip
    assert [tuple(row.values())[:3] for row in table.to_pylist()] == [
        ("DE", None, 1), ("FR", 2, 1), (None, 1, None),
    ]  # fmt: skip
    cut = shop.query(
        ["orders"], ["customer__country"], start="2026-02-01", end="2026-02-03",
        compare="previous", order_by=["-orders"], limit=1,
    )  # fmt: skip
    assert cut.to_arrow().column("orders").to_pylist() == [2]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"compare": "last"}, "no comparison 'last'"),
        ({"compare": "year"}, "give start and end, or group by metric_time"),
        ({"compare": "year", "group_by": ["metric_time__shop_week"]}, "would stay where it is"),
        ({"compare": "year", "group_by": ["metric_time__hour"]}, "by day, week, month"),
        ({"compare": "year", "group_by": ["order_id__shipped_date__month"]}, "would stay"),
        ({"compare": "year", "view": "published"}, "leave out known_at and view"),
        ({"compare": "year", "where": ["metric_time >= '2026-01-01'"]}, "start and end"),
        (
            {"compare": "year", "group_by": ["metric_time__day"], "order_by": ["orders__bas"]},
            "Did you mean 'orders__base'",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_can(shop, asked, reason):
    with pytest.raises(cadran.QueryError, match=reason):
        shop.query(["orders"], **asked)


@pytest.fixture(scope="module")
def full(guarded):
    opened = cadran.open(manifest=guarded, database=guarded.parents[1] / "guarded.duckdb")
    yield opened
    opened.close()


def test_a_hidden_value_has_no_change_on_either_side(guarded, full):
    project = find(None, guarded, guarded.parents[1] / "guarded.duckdb")
    with_gate = QueryService(SnapshotStore(project), gate=PolicyGate())
    try:
        asked = {
            "metrics": ["satisfaction_rate"], "compare": "previous",
            "group_by": ["metric_time__month", "answer__team"],
        }  # fmt: skip
        answer = with_gate.ask(RequestContext(Caller("somebody"), "rest"), Query.of(asked))
        plain = with_gate.ask(
            RequestContext(Caller("somebody"), "rest"), Query.of(asked | {"compare": None})
        )
    finally:
        with_gate.close()
    shown = {tuple(row.values())[:2]: row["satisfaction_rate"] for row in plain.table.to_pylist()}
    assert None in shown.values()
    hidden = 0
    for row in answer.table.to_pylist():
        month, team, value, base, change, _, alike = row.values()
        before = (dt.date(month.year, month.month - 1, 1), team) if month.month > 1 else None
        assert (value, base) == (shown.get((month, team)), shown.get(before))
        if value is None or base is None:
            hidden += 1
            assert (change, alike) == (None, None)
    every = full.query(**asked).to_arrow().column("satisfaction_rate__change")
    assert answer.table.column("satisfaction_rate__change").null_count > every.null_count
    assert hidden


def test_the_faces_give_the_same_comparison(tiny, tmp_path, capsys):
    database = tiny.parents[1] / "tiny.duckdb"
    asked = {
        "metrics": ["orders"], "start": "2026-02-01", "end": "2026-02-03", "compare": "previous",
    }  # fmt: skip
    apart = {name: tmp_path / name for name in ("tokens", "policy", "audit")}
    settings = replace(Settings(port=0, flight_port=None, warm=False, refresh=0.0), **apart)
    with serving(find(None, tiny, database), settings) as running:
        reply = httpx.post(f"{running.http}/api/v1/query", json=asked, timeout=30)
        same = {"if-none-match": reply.headers["etag"]}
        again = httpx.post(f"{running.http}/api/v1/query", json=asked, headers=same, timeout=30)
    assert reply.json()["rows"] == [
        {
            "orders": 3, "orders__base": 2, "orders__change": 1, "orders__change_percent": 50.0,
            "orders__like_for_like": True,
        }
    ]  # fmt: skip
    assert "is compared with 2026-01-29 to 2026-01-31" in reply.json()["meta"]["note"]
    assert again.status_code == 304
    arguments = ["orders", "--start", "2026-02-01", "--end", "2026-02-03", "--compare", "previous"]
    place = ["--manifest", str(tiny), "--database", str(database), "--format", "json"]
    assert main(["query", *arguments, *place]) == 0
    assert json.loads(capsys.readouterr().out) == reply.json()["rows"]
