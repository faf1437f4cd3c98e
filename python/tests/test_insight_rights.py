"""Analyses over a server's door: what they work on is what the caller's role may see."""

from __future__ import annotations

import duckdb
import pytest

from cadran.access import policy as policies
from cadran.access.authorize import PolicyGate
from cadran.access.caller import Caller, Limits
from cadran.core.project import artifacts
from cadran.core.warehouse import Confinement
from cadran.errors import LimitError, NotAllowedError, UnknownNameError
from cadran.serving import analyses
from cadran.serving.service import QueryService, RequestContext
from cadran.serving.snapshots import SnapshotStore

POLICY = """
roles:
  france:
    metrics: [satisfaction_rate, revenue]
    dimensions: [answer__team, order_id__channel]
    rows: ["customer__country = 'FR'"]
  sales: {metrics: [revenue], dimensions: "*"}
  ratios: {metrics: [revenue, amount_per_order], dimensions: "*"}
"""
YEAR = {"start": "2026-01-01", "end": "2026-12-31"}


@pytest.fixture(scope="module")
def service(guarded, tmp_path_factory):
    found = artifacts.find(None, guarded, guarded.parents[1] / "guarded.duckdb")
    snapshots = SnapshotStore(found, confined=Confinement())
    file = tmp_path_factory.mktemp("rights") / "cadran_policy.yml"
    file.write_text(POLICY)
    made = QueryService(snapshots, gate=PolicyGate(policies.read(file)))
    yield made
    made.close()


@pytest.fixture
def source(service):
    with service.source(RequestContext(Caller("someone", ("france",)), "test")) as made:
        yield made


def test_the_sides_of_a_rate_are_of_the_rows_that_the_role_may_see(source, guarded):
    rows = source.rows_with_sides("satisfaction_rate", ["metric_time__month"], **YEAR)
    with duckdb.connect(str(guarded.parents[1] / "guarded.duckdb"), read_only=True) as raw:
        expected = raw.execute(
            "select date_trunc('month', answered_date)::date, sum(is_satisfied::int), count(*)"
            " from shop.answers"
            " join shop.customers using (customer_id) where country = 'FR' group by 1 order by 1"
        ).fetchall()
    assert [tuple(r[k] for k in ("metric_time__month", "numerator", "denominator"))
            for r in rows] == expected  # fmt: skip
    again = source.rows_with_sides("satisfaction_rate", ["metric_time__month"], **YEAR)
    assert again == rows


def test_a_rate_whose_cells_are_too_small_to_be_shown_is_not_split(source):
    days = {"start": "2026-01-01", "end": "2026-01-20"}
    values = source.rows(["satisfaction_rate"], ["answer__team"], **days)
    assert any(row["satisfaction_rate"] is None for row in values)
    with pytest.raises(NotAllowedError, match="rests on too few observations"):
        source.rows_with_sides("satisfaction_rate", ["answer__team"], **days)


def test_sides_that_were_kept_are_held_to_the_rows_that_the_next_one_may_take(service):
    few = Caller("someone else", ("france",), limits=Limits(rows=2))
    for caller in (Caller("someone", ("france",)), few):
        with service.source(RequestContext(caller, "test")) as source:
            if caller is not few:
                assert len(source.rows_with_sides("satisfaction_rate", ["metric_time__month"])) == 3
                continue
            with pytest.raises(LimitError, match="more than 2 rows"):
                source.rows_with_sides("satisfaction_rate", ["metric_time__month"])


def test_the_most_rows_that_somebody_may_take_hold_for_answers_and_not_for_pages(service):
    few = Caller("someone else", ("france",), limits=Limits(rows=2, per_minute=2))
    months = (["satisfaction_rate", "revenue"], ["metric_time__month"])
    with (
        service.source(RequestContext(few, "test")) as source,
        pytest.raises(LimitError, match="more than 2 rows"),
    ):
        source.rows(*months)
    with service.source(RequestContext(few, "board", is_page=True)) as source:
        assert len(source.rows(*months)) == 3
        assert len(source.rows_with_sides("satisfaction_rate", ["metric_time__month"])) == 3
        # A page is one question of its reader's minute: it is begun whole, or not at all.
        assert len(source.rows(["revenue"], ["metric_time__month"])) == 3
    with (
        pytest.raises(LimitError, match="2 questions in a minute"),
        service.source(RequestContext(few, "board", is_page=True)),
    ):
        pass


def test_a_kpi_that_the_role_may_not_see_has_no_sides_either(service):
    with service.source(RequestContext(Caller("someone", ("sales",)), "test")) as source:
        assert not source.sees("satisfaction_rate")
        with pytest.raises(UnknownNameError):
            source.rows_with_sides("satisfaction_rate", ["answer__team"], **YEAR)


def context(role):
    return RequestContext(Caller("someone", (role,)), "test")


FEBRUARY = {"start": "2026-02-01", "end": "2026-02-28"}  # against the 28 days before


def test_a_change_is_split_over_the_rows_that_the_role_may_see(service, guarded):
    found = analyses.drivers(
        service, context("france"), "revenue", by="order_id__channel", **FEBRUARY
    )
    with duckdb.connect(str(guarded.parents[1] / "guarded.duckdb"), read_only=True) as raw:
        expected = dict(
            raw.execute(
                "select channel, sum(case when ordered_date >= '2026-02-01' then amount"
                " else -amount end) from shop.orders join shop.customers using (customer_id)"
                " where country = 'FR' and ordered_date between '2026-01-04' and '2026-02-28'"
                " group by 1"
            ).fetchall()
        )
    rows = {row["name"]: row["contribution"] for row in found["rows"]}
    assert {name: rows[name] for name in expected} == expected
    assert rows["Change"] == sum(expected.values()) == found["change"]
    assert rows["Rounding"] == 0


def test_factors_that_the_role_may_not_see_are_not_told_through_their_quotient(service):
    with pytest.raises(NotAllowedError, match="Not everything that amount_per_order is made of"):
        analyses.drivers(service, context("ratios"), "amount_per_order", **FEBRUARY)
    with pytest.raises(UnknownNameError, match="There is no KPI 'satisfaction_rate'"):
        analyses.drivers(service, context("sales"), "satisfaction_rate", **FEBRUARY)
    with pytest.raises(UnknownNameError, match="customer__country"):
        analyses.drivers(service, context("france"), "revenue", by="customer__country", **FEBRUARY)


def test_a_day_that_is_hidden_is_forecast_for_nobody_and_no_anomaly(service):
    with pytest.raises(NotAllowedError, match="rests on too few observations"):
        analyses.forecast(service, context("france"), "satisfaction_rate")
    found = analyses.anomalies(service, context("france"), "satisfaction_rate", days=30)
    assert (found["anomalies"], found["unknown"]) == ([], 30)
