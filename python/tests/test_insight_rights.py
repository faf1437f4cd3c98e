"""Analyses over a server's door: what they work on is what the caller's role may see."""

from __future__ import annotations

import duckdb
import pytest

from cadran.access import policy as policies
from cadran.access.authorize import PolicyGate
from cadran.access.caller import Caller
from cadran.core.project import artifacts
from cadran.core.warehouse import Confinement
from cadran.errors import NotAllowedError, UnknownNameError
from cadran.serving.service import QueryService, RequestContext
from cadran.serving.snapshots import SnapshotStore

POLICY = """
roles:
  france:
    metrics: [satisfaction_rate, revenue]
    dimensions: [answer__team, order_id__channel]
    rows: ["customer__country = 'FR'"]
  sales: {metrics: [revenue], dimensions: "*"}
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


def test_a_kpi_that_the_role_may_not_see_has_no_sides_either(service):
    with service.source(RequestContext(Caller("someone", ("sales",)), "test")) as source:
        assert not source.sees("satisfaction_rate")
        with pytest.raises(UnknownNameError):
            source.rows_with_sides("satisfaction_rate", ["answer__team"], **YEAR)
