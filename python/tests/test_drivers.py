"""Contributions to a change add up to it, are those worked out by hand, or are refused."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from fractions import Fraction

import pytest
from paper import line, source

from cadran.core.days import Days, base_of, of_period
from cadran.core.result import Break
from cadran.errors import QueryError, UnknownNameError
from cadran.insight.drivers import by_factor, by_member
from cadran.insight.evidence import compared
from cadran.insight.source import Source


def day(text):
    return dt.date.fromisoformat(text)


def days(first, last):
    return Days(day(first), day(last))


JULY, AUGUST = days("2026-07-01", "2026-07-31"), days("2026-08-01", "2026-08-31")
CHANNEL = "order_id__channel"
LINES = [
    line("2026-07-03", "web", 4, "100.10"), line("2026-07-09", "app", 1, "50.00"),
    line("2026-08-03", "web", 5, "130.40"), line("2026-08-31", "app", 2, "40.00"),
    line("2026-08-04", None, 1, "10.05"),
]  # fmt: skip


def adds_up(result):
    parts = [*result.contributions, *([result.others] if result.others else [])]
    amounts = [Fraction(part.amount) for part in parts]
    return sum(amounts) + Fraction(result.remainder) == Fraction(result.change)


# Members --------------------------------------------------------------------------------------


def test_a_sum_changes_by_what_each_member_changes_to_the_cent():
    result = by_member(source(LINES), "amount", CHANNEL, AUGUST, JULY)
    amounts = {part.name: part.amount for part in result.contributions}
    assert amounts == {
        "web": Decimal("30.30"), "app": Decimal("-10.00"), None: Decimal("10.05"),
    }  # fmt: skip
    assert (result.change, result.remainder) == (Decimal("30.35"), 0)
    assert result.method == "member-deltas-1"
    assert result.contributions[0].name == "web"


def test_members_beyond_the_largest_are_others_and_lose_nothing():
    result = by_member(source(LINES), "amount", CHANNEL, AUGUST, JULY, shown=1)
    assert [part.name for part in result.contributions] == ["web"]
    assert (result.others.amount, result.others_count) == (Decimal("0.05"), 2)
    assert (result.others.base, result.others.value) == (Decimal("50.00"), Decimal("50.05"))
    names = [row["name"] for row in result.to_rows("fr")]
    assert names == ["web", "2 autres", "Arrondi", "Variation"]


def test_a_rate_changes_by_rates_and_by_the_mix():
    # Web 10 of 20 orders at 5, now 30 of 40 at 6; app 10 at 1, now 10 at 1: 3 becomes 4.75.
    lines = [
        line("2026-07-01", "web", 10, 50), line("2026-07-01", "app", 10, 10),
        line("2026-08-01", "web", 30, 180), line("2026-08-31", "app", 10, 10),
    ]  # fmt: skip
    result = by_member(source(lines), "amount_per_order", CHANNEL, AUGUST, JULY)
    web, app = result.contributions
    # Rate: mean share 0.625 x 1. Mix: (5.5 - 3.875) x 0.25; of the app (1 - 3.875) x -0.25.
    assert (web.name, web.rate, web.mix) == ("web", 0.625, 0.40625)
    assert (app.name, app.rate, app.mix) == ("app", 0.0, 0.71875)
    assert (result.base, result.value, result.change) == (3.0, 4.75, 1.75)
    assert (web.base_share, web.share) == (0.5, 0.75)
    assert adds_up(result)
    together = by_member(source(lines), "amount_per_order", CHANNEL, AUGUST, JULY, shown=0)
    assert (together.others.rate, together.others.mix) == (0.625, 1.125)
    assert (together.others.base, together.others.value) == (3.0, 4.75)


def test_a_member_that_is_new_mixes_and_one_without_a_denominator_only_rates():
    lines = [
        line("2026-07-01", "web", 10, 20), line("2026-08-01", "web", 10, 20),
        line("2026-08-31", "app", 10, 60), line("2026-08-31", "fee", 0, 10),
    ]  # fmt: skip
    result = by_member(source(lines), "amount_per_order", CHANNEL, AUGUST, JULY)
    parts = {part.name: (part.rate, part.mix) for part in result.contributions}
    # 2 becomes 90 / 20 = 4.5; the fee is 10 / 20; the app mixes (6 - 3.25) x 0.5 and the web
    # (2 - 3.25) x -0.5.
    assert parts == {"app": (0.0, 1.375), "web": (0.0, 0.625), "fee": (0.5, 0.0)}
    assert result.change == 2.5
    assert adds_up(result)


def test_what_does_not_add_up_over_members_is_refused():
    many = source(LINES)
    with pytest.raises(QueryError, match="no value that may be shown from 2026-06-01"):
        by_member(many, "amount", CHANNEL, AUGUST, days("2026-06-01", "2026-06-30"))
    with pytest.raises(UnknownNameError, match="order_id__chanel"):
        by_member(many, "amount", "order_id__chanel", AUGUST, JULY)
    twice = Source(many.layer, lambda q: many.answer(q) if q.group_by else _doubled(many.answer(q)),
                   many.kpis)  # fmt: skip
    with pytest.raises(QueryError, match="some rows count for several members or for none"):
        by_member(twice, "amount", CHANNEL, AUGUST, JULY)
    with pytest.raises(QueryError, match=r"amount of order_id__channel app has no value that may"):
        by_member(source(LINES, hidden=["app"]), "amount", CHANNEL, AUGUST, JULY)


def _doubled(rows):
    import pyarrow as pa

    return type(rows)(pa.Table.from_pylist([{"amount": Decimal(1)}]), (), "")


def test_a_break_of_the_definition_between_the_two_is_said_and_one_in_the_values_refused():
    def broken(**more):
        return Break(
            "amount", dt.datetime(2026, 8, 1, tzinfo=dt.UTC), 1, 2, "policy", "no tax", None, **more
        )

    told = source(LINES, breaks=[broken(in_series=False)])
    result = by_member(told, "amount", CHANNEL, AUGUST, JULY)
    assert "no tax" in " ".join(result.notes())
    assert result.notes("fr")[0].startswith("Les contributions")
    with pytest.raises(QueryError, match="not like for like"):
        by_member(source(LINES, breaks=[broken(in_series=True)]), "amount", CHANNEL, AUGUST, JULY)


# Factors --------------------------------------------------------------------------------------


def test_a_product_is_split_by_logarithms():
    result = by_factor(source(LINES), "amount", AUGUST, JULY)
    base, value = 150.10, 180.45
    mean = (value - base) / math.log(value / base)
    orders, price = (part.amount for part in result.contributions)
    assert result.method == "lmdi-1"
    assert float(orders) == pytest.approx(mean * math.log(8 / 5))
    assert float(price) == pytest.approx(mean * math.log((value / 8) / (base / 5)))
    assert float(orders + price) == pytest.approx(30.35)
    assert adds_up(result)
    assert [part.name for part in result.contributions] == ["order_count", "price"]


def test_a_quotient_is_split_into_what_is_above_and_below():
    lines = [line("2026-07-01", "web", 10, 100), line("2026-08-31", "web", 20, 400)]
    above, below = by_factor(source(lines), "amount_per_order", AUGUST, JULY).contributions
    mean = 10 / math.log(2)
    assert above.amount == pytest.approx(mean * math.log(4))
    assert below.amount == pytest.approx(-mean * math.log(2))
    assert (above.base, above.value) == (100, 400)
    assert (above.name, below.name) == ("amount", "order_count")  # the KPIs that they are


def test_where_there_is_no_logarithm_each_factor_has_its_shapley_value():
    lines = [line("2026-07-01", "web", 10, 30, 40), line("2026-08-31", "web", 10, 60, 20)]
    result = by_factor(source(lines), "profit_rate", AUGUST, JULY)
    # f(30, 40) = -1/3; f(60, 40) = 1/3; f(30, 20) = 1/3; f(60, 20) = 2/3: each is half of 1.
    assert result.method == "shapley-1"
    assert [part.amount for part in result.contributions] == [0.5, 0.5]
    summed = by_factor(source(lines), "profit", AUGUST, JULY)  # paid - 2 x cost
    assert [part.amount for part in summed.contributions] == [Decimal(30), Decimal(40)]
    assert summed.change == 70


def test_a_kpi_without_factors_and_a_relation_that_is_false_are_refused():
    many = source(LINES)
    with pytest.raises(QueryError, match="has no factors"):
        by_factor(many, "order_count", AUGUST, JULY)
    wrong = Source(many.layer, lambda q: _of_other_prices(many.answer(q)), many.kpis)
    with pytest.raises(QueryError, match="the relation does not hold"):
        by_factor(wrong, "amount", AUGUST, JULY)


def _of_other_prices(rows):
    import pyarrow as pa

    changed = [row | ({"price": 1.0} if "price" in row else {}) for row in rows.table.to_pylist()]
    return type(rows)(pa.Table.from_pylist(changed), (), "")


# Days -----------------------------------------------------------------------------------------


def test_a_running_period_is_compared_with_the_same_days_of_the_other_one():
    running = of_period(day("2026-11-01"), "month", day("2026-11-10"))
    assert running == days("2026-11-01", "2026-11-10")
    assert base_of(running, "previous", "month") == days("2026-10-01", "2026-10-10")
    assert base_of(running, "year", "month") == days("2025-11-01", "2025-11-10")
    whole = of_period(day("2026-03-01"), "month", day("2026-11-10"))
    assert base_of(whole, "previous", "month") == days("2026-02-01", "2026-02-28")
    late = of_period(day("2026-03-01"), "month", day("2026-03-30"))
    assert base_of(late, "previous", "month") == days("2026-02-01", "2026-02-28")
    with pytest.raises(QueryError, match="no whole day yet"):
        of_period(day("2026-12-01"), "month", day("2026-11-10"))


def test_days_that_are_no_period_are_compared_with_as_many():
    ten = days("2026-11-11", "2026-11-20")
    assert base_of(ten) == days("2026-11-01", "2026-11-10")
    assert base_of(ten, "same_days") == days("2026-10-28", "2026-11-06")  # Wednesdays both
    assert base_of(ten, "year") == days("2025-11-12", "2025-11-21")
    with pytest.raises(UnknownNameError, match="yesterday"):
        base_of(ten, "yesterday")


def test_a_day_that_is_not_whole_is_compared_with_nothing():
    late = source(LINES, through=day("2026-08-15"))
    assert compared(late, "amount")[0] == days("2026-08-01", "2026-08-15")
    with pytest.raises(QueryError, match="is whole until 2026-08-15"):
        by_member(late, "amount", CHANNEL, AUGUST, JULY)
    with pytest.raises(QueryError, match="Name a period, or the days"):
        compared(late, "amount", end=day("2026-08-10"))
    late.layer.begins = day("2026-07-20")
    with pytest.raises(QueryError, match="The data of amount begin after 2026-07-01"):
        compared(late, "amount")


def test_days_are_said_as_people_say_them():
    ten = days("2026-08-01", "2026-08-10")
    assert [word for word in ten.label("fr").split() if word.isalpha()] == ["août"]
    assert ten.label("en").startswith("Aug 1")
    assert (AUGUST.label("fr"), AUGUST.label("en")) == ("août 2026", "August 2026")


# The demo -------------------------------------------------------------------------------------

RATE_AND_MIX = """
with lines as (
    select o.channel, l.amount, l.line_type,
        cast((l.booked_at at time zone 'UTC') at time zone 'Europe/Paris' as date) as day
    from shop.order_lines as l
    inner join (select distinct order_id, channel from shop.orders) as o using (order_id)
),
sides as (
    select channel, day >= date '2026-10-01' as is_now,
        -coalesce(sum(amount) filter (line_type = 'refund'), 0)::double as n,
        sum(amount) filter (line_type = 'sale')::double as d
    from lines where day between date '2026-09-01' and date '2026-10-31' group by all
),
shares as (
    select *, n / d as r, d / sum(d) over (partition by is_now) as w,
        sum(n) over (partition by is_now) / sum(d) over (partition by is_now) as whole
    from sides
)
select a.channel, (a.w + b.w) / 2 * (b.r - a.r) as rate,
    ((a.r + b.r) / 2 - (a.whole + b.whole) / 2) * (b.w - a.w) as mix, b.whole - a.whole as change
from shares as a inner join shares as b on a.channel = b.channel and not a.is_now and b.is_now
"""


def test_the_refund_rate_of_the_demo_is_split_as_sql_on_the_raw_files_splits_it(layer, raw):
    now, before = days("2026-10-01", "2026-10-31"), days("2026-09-01", "2026-09-30")
    result = by_member(Source.of(layer), "refund_rate", CHANNEL, now, before)
    expected = {name: (rate, mix) for name, rate, mix, _ in raw.execute(RATE_AND_MIX).fetchall()}
    assert len(expected) == len(result.contributions) > 2
    for part in result.contributions:
        assert (part.rate, part.mix) == pytest.approx(expected[part.name], abs=1e-12)
    assert result.change == pytest.approx(raw.execute(RATE_AND_MIX).fetchone()[3], abs=1e-12)
    assert adds_up(result)
    assert abs(result.remainder) < 1e-15
