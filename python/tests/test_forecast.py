"""Forecasts to the end of a period: worked out by hand, tried on the past, or refused."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal

import pyarrow as pa
import pytest
from paper import Rows, line, source

from cadran.core.days import Days
from cadran.errors import NotForecastError, NotGovernedError, QueryError, UnknownNameError
from cadran.insight.forecast import to_end
from cadran.insight.source import Source

LAST = dt.date(2026, 8, 20)  # a Thursday; eleven days of August are left


def days(count):
    """The last days, earliest first."""
    return [LAST - dt.timedelta(days=back) for back in reversed(range(count))]


def lines_of(count, orders, paid):
    return [line(day, "web", orders(day), paid(day)) for day in days(count)]


def test_a_week_that_repeats_is_forecast_exactly_and_the_past_says_so():
    def orders(day):
        return 30 if day.weekday() >= 5 else 10

    result = to_end(source(lines_of(300, orders, orders)), "order_count")
    # 20 days hold 3 weekends less a day (1st, 2nd, 8th, 9th, 15th, 16th); 4 such days are left.
    assert result.so_far == 6 * 30 + 14 * 10
    assert result.value == 320 + 4 * 30 + 7 * 10
    assert (result.low, result.high) == (510, 510)
    assert (result.coverage, result.error) == (1.0, 0.0)
    assert result.period == Days(dt.date(2026, 8, 1), dt.date(2026, 8, 31))
    assert [value for _, value in result.path][:3] == [10, 30, 30]  # Friday to Sunday
    # Weeks back from the one whose 11 days are over to the 8 weeks of the pattern: 2 to 34.
    assert result.evidence.count == 33
    assert 0 < result.coverage_count < 33


def test_a_new_level_is_taken_over_from_the_last_four_weeks():
    since = LAST - dt.timedelta(days=27)
    result = to_end(
        source(lines_of(300, lambda d: 20 if d >= since else 10, lambda _: 1)), "order_count"
    )
    assert result.value == pytest.approx(20 * 20 + 11 * 20)
    assert result.low <= result.value < result.high


def test_a_ratio_divides_what_is_forecast_of_its_sides_and_is_never_averaged():
    def orders(day):
        return 30 if day.weekday() >= 5 else 10

    result = to_end(
        source(lines_of(300, orders, lambda d: 30 * (1 + d.weekday()))), "amount_per_order"
    )
    august = [dt.date(2026, 8, 1) + dt.timedelta(days=i) for i in range(31)]
    paid = sum(30 * (1 + day.weekday()) for day in august)
    assert result.value == pytest.approx(paid / sum(map(orders, august)))
    assert result.so_far == pytest.approx(
        sum(30 * (1 + day.weekday()) for day in august[:20]) / sum(map(orders, august[:20]))
    )


def test_the_value_so_far_is_the_warehouses_to_the_cent_and_may_be_none():
    cents = lines_of(300, lambda _: 1, lambda _: "0.10")
    assert to_end(source(cents), "amount").so_far == Decimal("2.00")
    through = dt.date(2026, 7, 31)
    before = [entry for entry in cents if entry["day"] <= through]
    whole = to_end(source(before), "amount")
    assert whole.so_far is None
    assert whole.period.start == dt.date(2026, 8, 1)
    assert whole.value == pytest.approx(3.10)


def test_the_interval_holds_about_what_it_promises_on_noise():
    noise = random.Random(7)  # noqa: S311 - no secret
    result = to_end(
        source(lines_of(1000, lambda _: noise.randint(50, 150), lambda _: 1)), "order_count"
    )
    assert 0.8 <= result.coverage <= 1.0
    assert result.coverage_count >= 50
    assert result.low < result.value < result.high
    assert result.low > result.so_far


def test_too_little_history_is_refused_with_what_is_needed():
    # 56 days of pattern, two weeks for the 11 days left, 19 weeks more for 20 errors.
    with pytest.raises(QueryError, match=r"has 202 whole days of history, .* needs 203"):
        to_end(source(lines_of(202, lambda _: 1, lambda _: 1)), "order_count")
    assert to_end(source(lines_of(203, lambda _: 1, lambda _: 1)), "order_count").coverage is None


def test_what_days_do_not_add_up_to_is_refused():
    many = source(lines_of(300, lambda _: 1, lambda _: 1))
    with pytest.raises(UnknownNameError, match="decade"):
        to_end(many, "order_count", "decade")
    with pytest.raises(NotGovernedError, match="not asked by week"):
        to_end(many, "order_count", "week")
    twice = Source(many.layer, lambda q: many.answer(q) if q.group_by else _of(1), many.kpis)
    with pytest.raises(NotForecastError, match="do not add up to longer periods") as refused:
        to_end(twice, "order_count")
    assert refused.value.reason == "sums"
    hidden = source(lines_of(300, lambda _: 1, lambda _: 1), hidden=[LAST])
    with pytest.raises(NotForecastError, match="days whose value may not be shown") as refused:
        to_end(hidden, "order_count")
    assert refused.value.reason == "hidden"


def _of(count):
    return Rows(pa.Table.from_pylist([{"order_count": count}]))
