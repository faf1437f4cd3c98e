"""Days that are judged by the same weekdays before: found, left alone, muted, or not judged yet."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from paper import line, source

from cadran.core.result import Break
from cadran.errors import QueryError
from cadran.insight.anomalies import find, judged

LAST = dt.date(2026, 8, 30)


def days(count):
    return [LAST - dt.timedelta(days=back) for back in reversed(range(count))]


def shop(count=200, changed=None, size=1000, **more):
    """Weekends of twice the size, a tenth up and down from day to day, and some days changed."""
    lines = []
    for place, day in enumerate(days(count)):
        paid = size * (2 if day.weekday() >= 5 else 1) * (1 + (place % 3 - 1) / 10)
        paid = (changed or {}).get(day, paid)
        if paid is not None:
            lines.append(line(day, "web", 1, round(paid, 2)))
    return source(lines, through=LAST, **more)


def test_a_day_is_judged_by_its_weekday_and_not_by_the_days_beside_it():
    monday, saturday = dt.date(2026, 8, 24), dt.date(2026, 8, 22)
    usual = find(shop(), "amount")
    assert (usual.found, usual.judged, usual.unknown, usual.muted) == ((), 60, 0, 0)
    # A Monday like a Saturday, and a Saturday like a Monday.
    result = find(shop(changed={monday: 2000, saturday: 1000}), "amount")
    assert [(one.day, one.is_better) for one in result.found] == [(saturday, False), (monday, True)]
    up = result.found[1]
    assert (up.value, up.expected) == (2000, 1000)
    # Of the three sizes of days two are a tenth off: the median distance of weekdays is 100.
    assert up.score == pytest.approx(1000 / (1.4826 * 100))
    assert up.high == pytest.approx(1000 + 3.5 * 148.26)
    assert up.effect == 1.0
    assert result.to_rows("fr")[1]["verdict"] == "mieux"


def test_what_is_unusual_and_small_is_no_anomaly():
    quiet = {day: 1000 + place % 2 for place, day in enumerate(days(200))}
    odd = quiet | {dt.date(2026, 8, 24): 1050}
    assert find(shop(changed=odd), "amount").found == ()
    (one,) = find(shop(changed=odd), "amount", minimum=0.01).found
    assert one.score > 30
    assert one.effect == pytest.approx(0.05, abs=0.001)


def test_a_share_matters_by_what_is_left_of_it():
    # From 99.9 % to 99.5 % is five times the loss.
    lines = [line(day, "web", 1, 1000, 1 + place % 2 / 10) for place, day in enumerate(days(200))]
    lines[-3] = line(lines[-3]["day"], "web", 1, 1000, 5)
    (one,) = find(source(lines), "profit_rate").found
    assert one.effect == pytest.approx(3.8, abs=0.3)
    assert not one.is_better


def test_a_day_that_is_not_whole_is_not_judged():
    half = {LAST: 10}
    assert [one.day for one in find(shop(changed=half), "amount").found] == [LAST]
    late = shop(changed=half)
    late.layer.through = LAST - dt.timedelta(days=1)
    result = find(late, "amount")
    assert result.found == ()
    assert result.days.end == LAST - dt.timedelta(days=1)


def test_a_changed_definition_mutes_until_there_is_a_history_of_its_own():
    changed = {day: 5000 + place % 2 for place, day in enumerate(days(70))}
    start = dt.datetime(2026, 6, 22, tzinfo=dt.UTC)  # the first of the 70 days
    broken = Break("amount", start, 1, 2, "policy", "with tax", None, in_series=True)
    assert find(shop(changed=changed), "amount").found
    result = find(shop(changed=changed, breaks=[broken]), "amount")
    # Eight weeks for a median of four and the distances of four more.
    assert (result.found, result.muted, result.judged) == ((), 46, 14)
    assert "with tax" in " ".join(result.notes())
    assert "46" in result.notes("fr")[1]


def test_days_without_value_or_history_have_no_verdict():
    result = find(shop(count=80), "amount")
    assert (result.judged, result.unknown) == (24, 36)
    gone = {dt.date(2026, 8, 25): None}
    missing = find(shop(changed=gone), "amount")
    assert [(one.day, one.value) for one in missing.found] == [(dt.date(2026, 8, 25), 0)]
    assert find(shop(changed=gone), "amount_per_order").unknown == 1  # a ratio of nothing is none
    with pytest.raises(QueryError, match="days is 0"):
        find(shop(), "amount", days=0)


def test_counts_scatter_by_the_root_of_their_size():
    rare = [0.0] * 140
    rare[-1], rare[-2] = 3.0, 4.0
    few = judged(rare, 7, is_count=True)
    assert (few[-1].score, few[-2].score) == (3.0, 4.0)
    assert judged(rare, 7)[-2].score == math.inf
    assert judged(rare, 7)[-3].score == 0
