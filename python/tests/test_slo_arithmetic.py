"""SLOs worked out by hand, over the SQL that dbt compiled."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal

import pytest
from slo_lab import Lab


@pytest.fixture
def lab(demo):
    return Lab(demo.target / "manifest.json")


def at(text):
    return dt.datetime.fromisoformat(text)


def test_a_budget_is_bad_over_allowed_units_of_its_window(lab):
    lab.slo("a", 0.999)
    lab.every_minute("2026-03-01", "2026-04-01", 100, 100)
    # 28 days end at April 1st: what is bad on March 3rd is out of the window, on the 5th in it.
    lab.db.execute(
        "update int_sli_minutely set good_count = 0 where minute_at = '2026-03-03 12:00'"
    )
    lab.db.execute(
        "update int_sli_minutely set good_count = 0 where minute_at = '2026-03-05 12:00'"
    )
    row = lab.build().row("from fct_slo_status")
    assert (row["units"], row["bad_units"]) == (28 * 1440 * 100, 100)
    assert row["allowed_units"] == Decimal(4032)
    assert row["consumed_rate"] == pytest.approx(100 / 4032)
    assert row["remaining_rate"] == pytest.approx(1 - 100 / 4032)
    # What remains is what the SLI is above the target, over the budget.
    assert row["remaining_rate"] == pytest.approx((row["compliance_rate"] - 0.999) / 0.001)


def test_everything_bad_overspends_and_the_budget_is_negative(lab):
    lab.slo("a", 0.99)
    lab.every_minute("2026-03-01", "2026-03-02", 0, 7)
    row = lab.build().row("from fct_slo_status")
    assert row["compliance_rate"] == 0
    assert row["remaining_rate"] == pytest.approx(-99)
    assert row["burn_rate_1h"] == pytest.approx(100)
    assert row["hours_to_exhaustion"] == 0


def test_no_traffic_has_no_rates_and_minutes_without_events_count_nothing(lab):
    lab.slo("a", 0.99)
    lab.slo("b", 0.99, subject="silent", slice_rule="b")
    lab.every_minute("2026-03-01 00:00", "2026-03-01 00:10", 9, 10)
    lab.every_minute("2026-03-01 05:00", "2026-03-01 05:10", 10, 10)
    lab.build(watermark="2026-03-01 05:40")
    row = lab.row("from fct_slo_status where slo_id = 'a'")
    assert (row["units"], row["bad_units"]) == (200, 10)
    silent = lab.row("from fct_slo_status where slo_id = 'b'")
    assert silent["units"] == 0
    assert silent["consumed_rate"] is None
    assert silent["hours_to_exhaustion"] is None
    # The last half hour had no event: no burn, which is not a burn of 0.
    burns = {
        r["window_minutes"]: r["burn_rate"]
        for r in lab.rows("from fct_slo_burn_rates where slo_id = 'a'")
    }
    assert burns[30] is None
    assert burns[60] == 0


@pytest.mark.parametrize(
    ("no_data", "units", "bad"), [("ignore", 20, 5), ("good", 60, 5), ("bad", 60, 45)]
)
def test_an_empty_minute_is_what_the_slo_says(lab, no_data, units, bad):
    lab.slo("a", 0.9, budgeting="timeslices", slice_target=0.95, no_data=no_data)
    lab.every_minute("2026-03-01 00:00", "2026-03-01 00:15", 95, 100)
    lab.every_minute("2026-03-01 00:55", "2026-03-01 01:00", 94, 100)
    row = lab.build().row("from fct_slo_status")
    assert (row["units"], row["bad_units"]) == (units, bad)


def test_a_slice_is_good_at_its_target_and_bad_below_it(lab):
    lab.slo("t", 0.9, budgeting="timeslices", slice_target=0.999)
    lab.slo("r", 0.9, budgeting="ratio_timeslices")
    lab.minutes([(at("2026-03-01 00:00"), 999, 1000), (at("2026-03-01 00:01"), 998, 999)])
    lab.build()
    assert lab.row("from fct_slo_status where slo_id = 't'")["bad_units"] == 1
    # The mean of the ratios, not the ratio of the sums.
    assert lab.row("from fct_slo_status where slo_id = 'r'")["bad_units"] == Decimal("0.002001001")


@pytest.mark.parametrize(
    ("zone", "month", "hours"),
    [
        ("Europe/Paris", "2026-03-01", 743),
        ("Europe/Paris", "2026-10-01", 745),
        ("Europe/Paris", "2026-02-01", 672),
        ("Asia/Kolkata", "2026-03-01", 744),
        ("America/New_York", "2026-03-01", 743),
        ("Asia/Kathmandu", "2026-02-01", 672),
        ("Australia/Lord_Howe", "2026-04-01", 720.5),
        ("Australia/Lord_Howe", "2026-10-01", 743.5),
    ],
)
def test_a_local_month_has_its_own_hours(lab, zone, month, hours):
    lab.slo(
        "a",
        0.9,
        window_kind="calendar",
        window_minutes=None,
        calendar_grain="month",
        time_zone=zone,
    )
    first = dt.date.fromisoformat(month)
    lab.every_minute(first - dt.timedelta(days=3), first + dt.timedelta(days=34), 1, 1)
    lab.build()
    row = lab.row(f"from fct_slo_periods where period_grain = 'month' and period_start = '{month}'")
    assert row["units"] == hours * 60


@pytest.mark.parametrize(
    ("watermark", "start"),
    [
        ("2026-03-31 21:59", "2026-02-28 23:00"),  # in March still, which began in winter time
        ("2026-03-31 22:00", "2026-02-28 23:00"),  # the last complete minute is of March
        ("2026-03-31 22:01", "2026-03-31 22:00"),  # April begins in summer time
        ("2026-10-31 23:01", "2026-10-31 23:00"),
    ],
)
def test_a_calendar_window_begins_at_local_midnight(lab, watermark, start):
    lab.slo(
        "a", 0.9, window_kind="calendar", window_minutes=None, calendar_grain="month",
        time_zone="Europe/Paris",
    )  # fmt: skip
    end = at(watermark)
    lab.every_minute(end - dt.timedelta(days=40), end, 1, 1)
    row = lab.build().row("from fct_slo_status")
    assert row["window_starts_at"] == at(start)
    assert row["units"] == (end - at(start)) / dt.timedelta(minutes=1)


def test_half_hour_zones_divide_an_hour_between_two_days(lab):
    lab.slo("a", 0.9, time_zone="Asia/Kolkata")
    lab.every_minute("2026-03-31 18:00", "2026-03-31 19:00", 1, 1)
    lab.build()
    rows = lab.rows("select local_date, units from fct_slo_slices_hourly order by 1")
    assert [(r["local_date"].isoformat(), r["units"]) for r in rows] == [
        ("2026-03-31", 30),
        ("2026-04-01", 30),
    ]


def test_the_objective_of_the_day_holds_from_its_local_midnight(lab):
    lab.slo("a", [("2026-01-01", 0.9), ("2026-07-01", 0.99)], time_zone="Europe/Paris")
    lab.every_minute("2026-06-30 21:00", "2026-06-30 23:00", 10, 10)
    lab.build()
    row = lab.row("from fct_slo_status")
    # An hour at 10 %, an hour at 1 %, of 600 events each.
    assert row["allowed_units"] == Decimal(66)
    assert row["target"] == Decimal("0.99")
    months = lab.rows("from fct_slo_periods where period_grain = 'month' order by period_start")
    assert [m["allowed_units"] for m in months] == [Decimal(60), Decimal(6)]


def test_exclusions_that_overlap_take_a_minute_once(lab):
    lab.slo("a", 0.9)
    lab.every_minute("2026-03-01 00:00", "2026-03-01 02:00", 0, 10)
    lab.exclude("2026-03-01 00:10", "2026-03-01 00:40")
    lab.exclude("2026-03-01 00:30", "2026-03-01 00:50", kind="maintenance")
    lab.build()
    row = lab.row("from fct_slo_status")
    assert row["units"] == 80 * 10
    assert row["gross_consumed_rate"] == row["consumed_rate"] == pytest.approx(10)
    month = lab.row("from fct_slo_periods where period_grain = 'month'")
    assert (month["units"], month["gross_units"]) == (800, 1200)


@pytest.mark.parametrize(
    ("said", "minutes"),
    [
        ({}, 30),
        ({"approver": None}, 0),
        ({"approver": " "}, 0),
        ({"reason": None}, 0),
        ({"notice_hours": 24, "announced_at": "2026-02-28 00:10"}, 30),
        ({"notice_hours": 24, "announced_at": "2026-02-28 00:11"}, 0),
        ({"notice_hours": 24}, 0),
        ({"cap_minutes": 12}, 12),
        ({"subject": "other"}, 0),
        ({"slo": "other"}, 0),
    ],
)
def test_an_exclusion_counts_when_agreed_announced_and_within_its_cap(lab, said, minutes):
    lab.slo("a", 0.9)
    lab.every_minute("2026-03-01 00:00", "2026-03-01 02:00", 1, 1)
    lab.exclude("2026-03-01 00:10", "2026-03-01 00:40", **said)
    lab.build()
    assert lab.row("from fct_slo_status")["units"] == 120 - minutes


def test_an_exclusion_that_is_entered_afterwards_needs_no_slice_counted_again(lab):
    lab.slo("a", 0.9)
    lab.every_minute("2026-03-01 00:00", "2026-03-01 02:00", 1, 2)
    lab.build()
    assert lab.row("from fct_slo_status")["units"] == 240
    lab.exclude("2026-03-01 00:30", "2026-03-01 01:30")
    for name in ("slo_exclusions", "slo_excluded_minutes", "int_slo_excluded_hourly",
                 "fct_slo_slices_hourly", "fct_slo_periods"):  # fmt: skip
        lab.db.execute(f"create or replace table {name} as {lab.sql[name]}")
    row = lab.row("from fct_slo_status")
    assert (row["units"], row["bad_units"]) == (120, 60)
    month = lab.row("from fct_slo_periods where period_grain = 'month'")
    assert (month["units"], month["gross_units"], month["gross_bad_units"]) == (120, 240, 120)


def test_the_cap_is_of_a_kind_and_a_local_month(lab):
    lab.slo("a", 0.9, time_zone="Europe/Paris")
    lab.every_minute("2026-03-31 20:00", "2026-03-31 23:59", 1, 1)
    lab.exclude("2026-03-31 21:00", "2026-03-31 21:30", cap_minutes=40)
    lab.exclude("2026-03-31 21:40", "2026-03-31 22:20", cap_minutes=40)  # 20 in March, 20 in April
    lab.exclude("2026-03-31 20:00", "2026-03-31 20:05", kind="maintenance", cap_minutes=40)
    lab.build()
    rows = lab.rows("select minute_at from slo_excluded_minutes order by 1")
    assert len(rows) == 5 + 40 + 20
    assert rows[-1]["minute_at"] == at("2026-03-31 22:19")


def test_a_composite_weighs_consumed_budgets_and_the_worst_is_the_worst(lab):
    lab.slo("busy", 0.9, subject="busy", slice_rule="busy")
    lab.slo("quiet", 0.9, subject="quiet", slice_rule="quiet")
    lab.slo("w", None, is_composite=True, budgeting="weighted")
    lab.slo("x", None, is_composite=True, budgeting="worst")
    lab.db.execute("insert into slo_members values ('w', 'busy', 3), ('w', 'quiet', 1),"
                   " ('x', 'busy', 3), ('x', 'quiet', 1)")  # fmt: skip
    lab.every_minute("2026-03-01 00:00", "2026-03-01 01:00", 990, 1000, subject="busy")
    lab.every_minute("2026-03-01 00:00", "2026-03-01 01:00", 0, 1, subject="quiet")
    lab.build()
    rows = {r["slo_id"]: r for r in lab.rows("from fct_slo_status")}
    assert rows["busy"]["consumed_rate"] == pytest.approx(0.1)
    assert rows["quiet"]["consumed_rate"] == pytest.approx(10)
    assert rows["w"]["consumed_rate"] == pytest.approx((3 * 0.1 + 1 * 10) / 4)
    assert rows["x"]["consumed_rate"] == pytest.approx(10)
    assert rows["x"]["remaining_rate"] == pytest.approx(-9)
    assert rows["w"]["target"] is None


def test_time_to_exhaustion_is_what_is_left_at_the_pace_of_the_last_hour(lab):
    lab.slo("a", 0.99, window_minutes=10_080)
    lab.every_minute("2026-03-01 00:00", "2026-03-08 00:00", 100, 100)
    lab.db.execute(
        "update int_sli_minutely set good_count = 98 where minute_at >= '2026-03-07 23:00'"
    )
    row = lab.build().row("from fct_slo_status")
    assert row["burn_rate_1h"] == pytest.approx(2)
    # A burn of 2 spends a week's budget in half a week; 2 / 168 of it are gone.
    assert row["hours_to_exhaustion"] == pytest.approx(84 * (1 - 2 / 168))


@pytest.mark.parametrize("seed", range(4))
def test_a_status_is_a_plain_scan_of_its_minutes(lab, seed):
    """Hours and minute edges give what a scan gives, to the last digit, at any watermark."""
    rng = random.Random(seed)  # noqa: S311 - cases, not secrets
    zones = ["UTC", "Europe/Paris", "Asia/Kathmandu", "America/St_Johns"]
    for number, budgeting in enumerate(["occurrences", "timeslices", "ratio_timeslices"] * 2):
        calendar = number % 2
        lab.slo(
            f"s{number}", rng.choice([0.9, 0.999, 0.9999999]), budgeting=budgeting,
            slice_target=0.97 if budgeting == "timeslices" else None,
            no_data="ignore" if budgeting == "occurrences" else rng.choice(["good", "bad"]),
            window_kind="calendar" if calendar else "rolling",
            window_minutes=None if calendar else rng.randint(61, 9_000),
            calendar_grain=rng.choice(["week", "month", "quarter"]) if calendar else None,
            time_zone=rng.choice(zones), slice_rule=f"s{number}",
        )  # fmt: skip
    end = at("2026-03-30 00:00") + dt.timedelta(minutes=rng.randint(0, 4_000))
    start = end - dt.timedelta(days=9)
    rows = []
    for n in range(9 * 1440):
        if rng.random() < 0.7:
            total = rng.randint(1, 50)
            rows.append((start + dt.timedelta(minutes=n), total - rng.choice([0, 0, 0, 1]), total))
    lab.minutes(rows)
    for _ in range(3):
        begin = start + dt.timedelta(minutes=rng.randint(0, 9 * 1440))
        lab.exclude(
            begin,
            begin + dt.timedelta(minutes=rng.randint(1, 300)),
            cap_minutes=rng.choice([None, 100]),
        )
    lab.build()
    different = lab.rows(
        """
        select w.*, s.* from int_slo_window_sums as w
        join (
            select w.slo_id, w.starts_at,
                coalesce(sum(m.units) filter (not m.is_excluded), 0) as n,
                coalesce(sum(m.bad_units) filter (not m.is_excluded), 0) as b,
                coalesce(sum(m.allowed_units) filter (not m.is_excluded), 0) as a,
                coalesce(sum(m.units), 0) as gn, coalesce(sum(m.bad_units), 0) as gb
            from (select distinct slo_id, starts_at, ends_at from int_slo_windows) as w
            left join fct_slo_slices_minutely as m
                on m.slo_id = w.slo_id and m.minute_at >= w.starts_at and m.minute_at < w.ends_at
            group by all
        ) as s on s.slo_id = w.slo_id and s.starts_at = w.starts_at
        where (units, bad_units, allowed_units, gross_units, gross_bad_units) <> (n, b, a, gn, gb)
        """
    )
    assert different == []
    assert lab.row("select count(*) as n from int_slo_window_sums where gross_units > 0")["n"] > 30


def test_a_minute_after_the_build_counts_and_an_hour_that_was_built_half_too(lab):
    """Minutes that came after the hours were built are in the status, until the next build too."""
    lab.slo("a", 0.9)
    lab.every_minute("2026-03-01 00:00", "2026-03-01 05:20", 10, 10)
    lab.build()
    lab.every_minute("2026-03-01 05:20", "2026-03-01 07:31", 9, 10)
    lab.db.execute("update int_sli_watermarks set watermark_at = timestamp '2026-03-01 07:31'")
    row = lab.row("from fct_slo_status")
    assert (row["units"], row["bad_units"]) == (451 * 10, 131)
