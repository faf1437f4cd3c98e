"""Contracts settled by hand: clocks that change, runs, boundaries of tiers, exclusions, caps."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from cadran.errors import QueryError
from cadran.reliability.sla import Contract, read_contracts, settled
from cadran.reliability.sla_statement import csv_text, html, percent

ROOT = Path(__file__).resolve().parents[2]
MINUTE = dt.timedelta(minutes=1)
BASE = {
    "contract": "c", "title": "C", "fr": {"title": "Cé"}, "customer": "K & <Co>",
    "owner": "o@example.com", "services": ["s"], "kpi": "availability",
    "time_zone": "Europe/Paris", "starts": "2026-01-01", "grammar": "bad_runs",
    "target": Decimal("0.999"), "bad_below": Decimal("0.95"), "minimum_run": 5,
    "tiers": [
        {"below": Decimal("0.999"), "credit": Decimal("0.10")},
        {"below": Decimal("0.99"), "credit": Decimal("0.25")},
    ],
    "base_amount": Decimal("999.99"), "currency": "EUR",
}  # fmt: skip


def contract(**said):
    return Contract.model_validate(BASE | said)


def bad(contract, month, spans, good=0, total=10):
    """Counts of a month in which some spans of minutes are bad, the first minute being 0."""
    start, end = contract.month(month)
    cells = {start + n * MINUTE: (10, 10) for n in range(int((end - start) / MINUTE))}
    for first, length in spans:
        for n in range(first, first + length):
            cells[start + n * MINUTE] = (good, total)
    return cells


@pytest.mark.parametrize(
    ("zone", "month", "hours"),
    [
        ("Europe/Paris", "2026-03-01", 743), ("Europe/Paris", "2026-10-01", 745),
        ("Europe/Paris", "2026-02-01", 672), ("Asia/Kolkata", "2026-12-01", 744),
        ("UTC", "2028-02-01", 696),
    ],
)  # fmt: skip
def test_a_month_is_one_of_the_contracts_zone(zone, month, hours):
    done = settled(contract(time_zone=zone), dt.date.fromisoformat(month), {})
    assert done.agreed_minutes == hours * 60
    assert done.net == 1


def test_only_runs_that_are_long_enough_count():
    month, c = dt.date(2026, 4, 1), contract()
    done = settled(c, month, bad(c, month, [(0, 4), (100, 5), (200, 6), (207, 4)]))
    assert done.net == 1 - Fraction(11, 30 * 1440)
    assert len(done.bad_minutes) == 19
    assert sum(minute.counts for minute in done.bad_minutes) == 11
    assert done.credit == 0


def test_a_minute_at_the_bound_is_good_and_below_it_bad():
    month, c = dt.date(2026, 4, 1), contract(minimum_run=1)
    assert settled(c, month, bad(c, month, [(0, 1)], 95, 100)).net == 1
    assert settled(c, month, bad(c, month, [(0, 1)], 949, 1000)).net < 1


@pytest.mark.parametrize(
    ("minutes", "credit"),
    [
        (43, "0.00"),  # 99.9005 %
        (44, "100.00"),  # 99.8981 %: rounded to two places it would read 99.90
        (432, "100.00"),  # 99 % exactly is not below 99 %
        (433, "250.00"),
    ],
)
def test_a_tier_begins_strictly_below_its_bound_and_the_highest_alone_counts(minutes, credit):
    month, c = dt.date(2026, 4, 1), contract()  # 43,200 minutes
    done = settled(c, month, bad(c, month, [(0, minutes)]))
    assert done.credit == Decimal(credit)


def test_99_895_is_not_99_90():
    c = contract(grammar="mean_of_slices", bad_below=None, minimum_run=1, time_zone="UTC")
    month = dt.date(2026, 4, 1)
    start, end = c.month(month)
    cells = {start + n * MINUTE: (99_895, 100_000) for n in range(int((end - start) / MINUTE))}
    done = settled(c, month, cells)
    assert done.net == Fraction(99_895, 100_000)
    assert done.credit == Decimal("100.00")
    assert percent(Fraction(99_899_999, 100_000_000), "en", 2) == "99.89%"


def test_the_credit_is_capped_and_rounded_once():
    month = dt.date(2026, 4, 1)
    c = contract(cap=Decimal("0.15"))
    assert settled(c, month, bad(c, month, [(0, 5000)])).credit == Decimal("150.00")
    c = contract(base_amount=Decimal("33.35"))
    assert settled(c, month, bad(c, month, [(0, 100)])).credit == Decimal("3.34")  # of 3.335


def exclusion(starts, minutes, **said):
    return {
        "kind": "maintenance", "subject": None, "slo": None, "approver": "a@example.com",
        "reason": "r",
        "announced_at": starts - dt.timedelta(hours=72), "starts_at": starts,
        "ends_at": starts + minutes * MINUTE,
    } | said  # fmt: skip


@pytest.mark.parametrize(
    ("said", "net_down"),
    [
        ({}, 40), ({"approver": None}, 60), ({"reason": " "}, 60), ({"kind": "agreed"}, 60),
        ({"subject": "other"}, 60), ({"announced_at": None}, 60), ({"slo": "c"}, 40),
        ({"slo": "d"}, 60),
    ],
)  # fmt: skip
def test_exclusions_count_as_the_contract_says(said, net_down):
    month = dt.date(2026, 4, 1)
    c = contract(exclusions={"kinds": ["maintenance"], "notice_hours": 72})
    start, _ = c.month(month)
    done = settled(c, month, bad(c, month, [(0, 60)]), [exclusion(start, 20, **said)])
    assert done.gross == 1 - Fraction(60, 43_200)
    assert done.net == 1 - Fraction(net_down, 43_200)


def test_exclusions_are_united_and_capped_and_leave_a_run_whole():
    month = dt.date(2026, 4, 1)
    c = contract(exclusions={"kinds": ["maintenance"], "cap_minutes": 25})
    start, _ = c.month(month)
    rows = [exclusion(start, 20), exclusion(start + 10 * MINUTE, 20)]  # 30 minutes together
    done = settled(c, month, bad(c, month, [(0, 28)]), rows)
    assert done.excluded_minutes == 25
    # Three bad minutes are left of a run of 28: too few for a run of their own, and they count.
    assert done.net == 1 - Fraction(3, 43_200)


def test_excluded_time_is_taken_off_where_the_grammar_says_so():
    month = dt.date(2026, 4, 1)
    c = contract(grammar="time_less_exclusions", exclusions={"kinds": ["maintenance"]})
    start, _ = c.month(month)
    done = settled(c, month, bad(c, month, [(0, 60)]), [exclusion(start, 40)])
    assert done.net == 1 - Fraction(20, 43_160)


def test_the_mean_of_slices_is_no_ratio_of_sums():
    c = contract(
        grammar="mean_of_slices", bad_below=None, minimum_run=1, slice_minutes=5, no_data="ignore"
    )
    start, _ = c.month(dt.date(2026, 4, 1))
    cells = {start: (1, 1), start + MINUTE: (998, 999), start + 5 * MINUTE: (0, 1)}
    assert settled(c, dt.date(2026, 4, 1), cells).net == (Fraction(999, 1000) + 0) / 2


def test_service_hours_are_local_and_last_through_the_change_of_clocks():
    hours = {"days": ["sun"], "from": "01:00", "to": "05:00"}
    spring = settled(contract(service_hours=hours), dt.date(2026, 3, 1), {})
    autumn = settled(contract(service_hours=hours), dt.date(2026, 10, 1), {})
    assert spring.agreed_minutes == (5 * 4 - 1) * 60
    assert autumn.agreed_minutes == (4 * 4 + 1) * 60


def test_the_first_and_the_last_month_have_the_minutes_of_their_days():
    month = dt.date(2026, 3, 1)
    first = settled(contract(starts="2026-03-29"), month, {})
    assert first.agreed_minutes == (3 * 24 - 1) * 60  # the clocks go forward on the 29th
    last = settled(contract(ends="2026-03-02"), month, {})
    assert last.agreed_minutes == 2 * 1440
    # What was bad before it began is none of its business.
    c = contract(starts="2026-03-29")
    assert settled(c, month, bad(c, month, [(0, 500)])).bad_minutes == ()


def test_silent_slices_that_are_ignored_leave_no_minutes():
    c = contract(grammar="mean_of_slices", bad_below=None, minimum_run=1, no_data="ignore")
    month = dt.date(2026, 4, 1)
    start, _ = c.month(month)
    cells = {start + n * MINUTE: (int(n >= 3), 1) for n in range(1000)}
    done = settled(c, month, cells, last_instant=start + dt.timedelta(days=10))
    # 1,000 minutes had events, three of them bad, and 20 days are to come: 0.1 % of 29,800.
    assert done.net == Fraction(997, 1000)
    assert done.tier is not None
    better = dict.fromkeys(cells, (1, 1)) | {start: (0, 1)}
    done = settled(c, month, better, last_instant=start + dt.timedelta(days=10))
    assert (done.net, done.minutes_left) == (Fraction(999, 1000), 28)


def test_shares_are_shown_with_all_their_decimals():
    c = contract(
        target=Decimal("0.99999"),
        tiers=[{"below": Decimal("0.99999"), "credit": Decimal("0.125")}],
    )
    done = settled(c, dt.date(2026, 4, 1), bad(c, dt.date(2026, 4, 1), [(0, 60)]))
    page = html(done, "en")
    assert page.count("99.999%") == 2
    assert page.count("12.5%") == 2
    assert "Avoir\u202f: 125,00" in html(done, "fr")


def test_the_running_month_tells_the_minutes_before_the_next_tier():
    month, c = dt.date(2026, 4, 1), contract(minimum_run=1)
    start, _ = c.month(month)
    until = start + dt.timedelta(days=10)
    done = settled(c, month, bad(c, month, [(0, 13)]), last_instant=until)
    assert done.is_running
    assert done.net == 1 - Fraction(13, 14_400)
    assert done.minutes_left == 43 - 13  # 0.1 % of 43,200 is 43.2
    more = bad(c, month, [(0, 13), (20_000, done.minutes_left)])
    assert settled(c, month, more).credit == 0
    more = bad(c, month, [(0, 13), (20_000, done.minutes_left + 1)])
    assert settled(c, month, more).credit > 0


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"target": Decimal(1)}, "between 0 and 1"),
        ({"bad_below": None}, "bad_below"),
        ({"no_data": "ignore"}, "no gaps"),
        ({"time_zone": "Europe/Pari"}, "time zone"),
        ({"tiers": list(reversed(BASE["tiers"]))}, "highest bound down"),
        ({"service_hours": {"from": 28_800}}, "in quotes"),
        ({"credits": 1}, "Extra"),
        ({"ends": "2025-12-31"}, "ends before it starts"),
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(said, told):
    with pytest.raises(ValueError, match=told):
        contract(**said)


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "x.yml").write_text("contract: x\n")
    with pytest.raises(QueryError, match=r"x\.yml, key 'title': is missing"):
        read_contracts(tmp_path)


def test_the_projects_contracts_use_each_grammar():
    contracts = read_contracts(ROOT / "contracts")
    assert {c.grammar for c in contracts.values()} == {
        "mean_of_slices", "bad_runs", "time_less_exclusions",
    }  # fmt: skip


def test_a_statement_tells_every_minute_in_both_languages_and_escapes_names():
    month, c = dt.date(2026, 10, 1), contract()
    done = settled(c, month, bad(c, month, [(34_620, 50)]))  # into the hour that comes twice
    english, french = html(done, "en"), html(done, "fr")
    assert "K &amp; &lt;Co&gt;" in english
    assert "€100.00" in english
    assert "octobre 2026" in french
    assert "100,00" in french
    assert english.count("+0200") + english.count("+0100") == 50
    rows = csv_text(done, "en").splitlines()
    assert "Credit,100.00,EUR" in rows
    assert sum("+0" in row for row in rows) == 50
