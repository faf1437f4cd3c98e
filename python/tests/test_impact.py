"""What incidents cost, on shops whose losses are known and on the demo, whose truth is written."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import anyio
import duckdb
import forked
import httpx
import numpy as np
import pyarrow as pa
import pytest
from mcp import Client
from paper import Rows

from cadran.access import policy as policies
from cadran.access.authorize import PolicyGate
from cadran.access.caller import Caller
from cadran.cli import main
from cadran.core.project import artifacts
from cadran.core.project import calendar as calendars
from cadran.core.query.request import ask
from cadran.core.warehouse import Confinement
from cadran.errors import CardError, NotAllowedError, QueryError, UnknownNameError
from cadran.formats.encoding import plain
from cadran.insight import counterfactual, dose, impact
from cadran.insight.counterfactual import Calm, Series, Stretch, Timeline, expect
from cadran.insight.harm import OUTCOMES, Ground
from cadran.insight.source import Source
from cadran.serving.service import QueryService, RequestContext
from cadran.serving.snapshots import SnapshotStore

pytest_plugins = ("rest_fixtures",)
ROOT = Path(__file__).resolve().parents[2]


def utc(*parts):
    """An instant as the warehouse has it: UTC without a zone."""
    return dt.datetime(*parts, tzinfo=dt.UTC).replace(tzinfo=None)


FIRST = utc(2026, 1, 5)  # a Monday
WEEKS = 40
DAY = np.array(
    [2, 1, 1, 1, 2, 4, 8, 12, 16, 18, 20, 20, 22, 20, 18, 18, 20, 24, 28, 30, 24, 16, 8, 4]
)
WEEKDAY = np.array([1.0, 1.0, 1.1, 1.0, 0.9, 1.3, 1.2])
STARTED = FIRST + dt.timedelta(weeks=20, days=2, hours=12, minutes=15)


def hourly_rate():
    """Orders of an hour: the hour of the day, the day of the week, and a growth of 1 % a week."""
    hours = np.arange(WEEKS * 168)
    return DAY[hours % 24] * WEEKDAY[hours // 24 % 7] * 1.01 ** (hours // 168)


def incident(number, started, minutes, **more):
    return {
        "incident_id": f"i{number}", "service": "checkout", "severity": "sev1", "cause": "database",
        "started_at": started, "restored_at": started + dt.timedelta(minutes=minutes), **more,
    }  # fmt: skip


class Shop:
    """A shop that answers as a layer does: orders by the minute, drawn with a fixed seed."""

    BLOCKS = ("orders_placed", "sessions_started")

    def __init__(self, incidents):
        self.incidents = incidents
        self.orders = np.random.default_rng(4).poisson(np.repeat(hourly_rate() / 60, 60))
        self.errors = np.random.default_rng(7).exponential(0.001, WEEKS * 168)

    @staticmethod
    def minute(instant):
        return int((instant - FIRST) / dt.timedelta(minutes=1))

    def lose(self, start, minutes, share):
        """Take a share of the orders of some minutes away; returns how many that were."""
        a = self.minute(start)
        window = self.orders[a : a + minutes]
        lost = np.random.default_rng(a).binomial(window, share)
        self.orders[a : a + minutes] = window - lost
        return int(lost.sum())

    def answer(self, query):
        tables = {
            "incident_count": (np.array([0]), np.array([1])),
            "orders_placed": (np.arange(len(self.orders)), self.orders),
            "sessions_started": (
                np.arange(0, len(self.orders), 60),
                np.full(len(self.orders) // 60, 900),
            ),
            "error_rate": (np.arange(0, len(self.errors) * 60, 60), self.errors),
            "net_revenue": (np.arange(0, len(self.orders), 1440), self.daily() * 50),
            "order_count": (np.arange(0, len(self.orders), 1440), self.daily()),
        }
        (metric,) = query.metrics
        if metric not in tables:
            raise UnknownNameError("metric", metric, tables)
        minutes, counts = tables[metric]
        at = np.datetime64(FIRST, "us") + minutes.astype("timedelta64[m]")
        (time,) = query.group_by
        return Rows(pa.table({time.column: at, metric: counts}))

    def daily(self):
        return self.orders.reshape(-1, 1440).sum(axis=1)

    def source(self, monkeypatch):
        monkeypatch.setattr(impact, "incidents", lambda _: self.incidents)
        layer = SimpleNamespace(
            project=SimpleNamespace(root=None),
            metric=lambda name: {"name": name},
            metric_graph=SimpleNamespace(closure=lambda _: self.BLOCKS),
        )
        return Source(
            layer, self.answer, (),
            finer=lambda _, metric, time: self.answer(ask([metric], [time])).table,
        )  # fmt: skip


def of_one(shop, monkeypatch, name="i1", **more):
    return impact.of_incident(shop.source(monkeypatch), name, **more)


def without_noise(rate):
    """The timeline and the series of a rate by the hour that has no chance in it."""
    timeline = Timeline.spanning(FIRST, FIRST + dt.timedelta(hours=len(rate)), "UTC")
    begin = timeline.minute(FIRST)
    minutes = begin + np.arange(len(rate) * 60)
    series = Series.of(timeline, minutes, np.repeat(rate / 60, 60))
    known = np.zeros(timeline.hours, dtype=bool)
    known[begin // 60 : begin // 60 + len(rate)] = True
    calm = Calm(known, np.ones(timeline.hours, dtype=bool), np.zeros(timeline.hours, dtype=int))
    return timeline, series, calm


def test_without_chance_the_expected_count_is_the_true_one_whatever_the_growth():
    rate = hourly_rate()
    timeline, series, calm = without_noise(rate)
    start = timeline.minute(STARTED)
    weeks = expect(series, calm, Stretch(((start, start + 90, 1.0),)))
    hour = int((STARTED - FIRST) / dt.timedelta(hours=1))
    assert weeks.actual[weeks.own] == pytest.approx(rate[hour] * 0.75 + rate[hour + 1] * 0.75)
    assert weeks.expected == pytest.approx(weeks.actual, rel=0.01)
    assert weeks.baseline_weeks == 16
    assert weeks.is_placebo.sum() == WEEKS - 1


def test_a_promotion_disturbs_what_it_is_compared_with_unless_it_is_masked():
    rate = hourly_rate()
    promoted = slice(168 * 21 + 48 + 8, 168 * 21 + 48 + 20)  # hours of one day a week later
    rate[promoted] *= 5
    timeline, series, calm = without_noise(rate)
    start = timeline.minute(STARTED)
    stretch = Stretch(((start, start + 90, 1.0),))
    blind = expect(series, calm, stretch)
    calm.regime[timeline.minute(FIRST) // 60 + np.arange(promoted.start, promoted.stop)] = 1
    masked = expect(series, calm, stretch)
    truth = blind.actual[blind.own]
    assert blind.expected[blind.own] > truth * 1.15
    assert masked.expected[masked.own] == pytest.approx(truth, rel=0.01)
    assert masked.baseline_weeks == 15


def test_an_incident_in_a_promotion_is_held_against_the_level_of_the_promotion():
    rate = hourly_rate()
    day = slice(168 * 20 + 48, 168 * 20 + 72)
    rate[day] *= 3
    timeline, series, calm = without_noise(rate)
    calm.regime[timeline.minute(FIRST) // 60 + np.arange(day.start, day.stop)] = 1
    start = timeline.minute(STARTED)
    weeks = expect(series, calm, Stretch(((start, start + 90, 1.0),)))
    assert weeks.expected[weeks.own] == pytest.approx(weeks.actual[weeks.own], rel=0.01)
    assert weeks.baseline_hours == 22  # of that day, but the two of the incident


def test_weeks_are_those_of_the_local_clock_and_a_repeated_hour_is_never_quiet():
    timeline = Timeline.spanning(utc(2026, 3, 1), utc(2026, 11, 5), "Europe/Paris")
    spring, summer = utc(2026, 3, 25, 11), utc(2026, 4, 1, 10)  # noon in Paris
    assert timeline.minute(summer) - timeline.minute(spring) == counterfactual.WEEK
    assert timeline.utc(timeline.minute(summer)) == summer
    shown = {timeline.first + dt.timedelta(hours=int(hour)) for hour in timeline.irregular}
    assert {utc(2026, 3, 29, 2), utc(2026, 10, 25, 2)} <= shown


def test_a_known_loss_lies_between_the_bounds_and_is_told_with_its_evidence(monkeypatch):
    shop = Shop([incident(1, STARTED, 120)])
    lost = shop.lose(STARTED, 120, 0.7)
    told = of_one(shop, monkeypatch)
    orders = told.effects["orders"]
    assert orders.is_measurable
    assert orders.interval.lower <= lost <= orders.interval.upper
    assert orders.interval.estimate == pytest.approx(lost, abs=12)
    assert (orders.evidence.starts_at, orders.evidence.baseline_weeks) == (STARTED, 16)
    assert orders.evidence.placebos == WEEKS - 1
    revenue = told.effects["net_revenue"].interval
    assert revenue.estimate == pytest.approx(orders.interval.estimate * 50)
    conversion = told.effects["conversion"]
    assert conversion.actual == pytest.approx(orders.actual / 1815, rel=1e-6)  # 121 minutes
    assert conversion.is_measurable
    assert set(told.absent) == {"satisfaction", "tickets"}
    rows = {row["outcome"]: row for row in told.to_rows()}
    assert tuple(rows) == OUTCOMES
    assert rows["orders"]["method"] == impact.METHOD
    assert str(rows["net_revenue"]["estimate"]) == f"{revenue.estimate:.2f}"
    assert rows["tickets"]["note"].startswith("tickets_opened_count is nothing of tickets_opened")


def test_where_nothing_was_lost_no_loss_is_measurable(monkeypatch):
    told = of_one(Shop([incident(1, STARTED, 120)]), monkeypatch)
    assert not any(effect.is_measurable for effect in told.effects.values())
    assert told.effects["orders"].interval.holds_zero


def test_what_comes_back_afterwards_is_taken_off_and_no_more_than_was_lost(monkeypatch):
    end = STARTED + dt.timedelta(minutes=121)
    plain = Shop([incident(1, STARTED, 120)])
    lost = plain.lose(STARTED, 120, 0.9)
    without = of_one(plain, monkeypatch).effects["orders"]
    back = Shop([incident(1, STARTED, 120)])
    back.lose(STARTED, 120, 0.9)
    first = back.minute(end)
    back.orders[first : first + 180] += np.random.default_rng(6).poisson(0.9 * lost / 180, 180)
    regained = int((back.orders - plain.orders)[first : first + 180].sum())
    orders = of_one(back, monkeypatch).effects["orders"]
    assert without.rebound == 0
    assert orders.rebound == pytest.approx(min(regained, lost), abs=0.35 * lost)
    assert orders.interval.estimate < without.interval.estimate - 0.5 * lost
    back.orders[first : first + 180] += 20
    assert of_one(back, monkeypatch).effects["orders"].interval.lower <= 0


def test_incidents_that_overlap_share_what_was_lost_and_their_sum_counts_it_once(monkeypatch):
    alone = Shop([incident(1, STARTED, 120)])
    alone.lose(STARTED, 120, 0.7)
    one = of_one(alone, monkeypatch).effects["orders"].interval.estimate
    both = Shop([incident(1, STARTED, 120), incident(2, STARTED, 120, service="search")])
    both.lose(STARTED, 120, 0.7)
    every = impact.of_all(both.source(monkeypatch))
    halves = [told.effects["orders"].interval.estimate for told in every.impacts]
    assert halves == pytest.approx([one / 2, one / 2])
    assert every.impacts[0].shared_with == ("i2",)
    (orders,) = (total for total in every.totals() if total.outcome == "orders")
    assert orders.interval.estimate == pytest.approx(one)


def test_sums_have_bounds_of_their_own_and_one_incident_keeps_its_own(monkeypatch):
    starts = [STARTED + dt.timedelta(weeks=n) for n in (-8, -4, 0, 4)]
    rows = [incident(n, start, 120) for n, start in enumerate(starts)]
    rows[0]["cause"] = "network"
    shop = Shop(rows)
    lost = [shop.lose(start, 120, 0.7) for start in starts]
    every = impact.of_all(shop.source(monkeypatch))
    bounds = [told.effects["orders"].interval for told in every.impacts]
    totals = {(t.name, t.outcome): t for t in every.totals("cause")}
    database = totals["database", "orders"]
    assert database.incidents == 3
    assert database.interval.lower <= sum(lost[1:]) <= database.interval.upper
    width = database.interval.upper - database.interval.lower
    assert width < 0.8 * sum(bound.upper - bound.lower for bound in bounds[1:])
    assert totals["network", "orders"].interval is bounds[0]
    assert every.totals("cause")[0].name == "database"
    assert [row["month"] for row in every.to_rows("month")][::2] == sorted(
        {f"{start:%Y-%m-01}" for start in starts}
    )
    later = impact.of_all(shop.source(monkeypatch), start=starts[2].date(), end=starts[2].date())
    assert [told.incident_id for told in later.impacts] == ["i2"]


def test_what_is_published_is_a_relation_of_the_project_and_nothing_is_written_anew(
    monkeypatch, tmp_path, capsys
):
    shop = Shop([incident(n, STARTED + dt.timedelta(weeks=n), 120) for n in range(2)])
    lost = shop.lose(STARTED, 120, 0.7)
    every = impact.of_all(shop.source(monkeypatch))
    monkeypatch.setattr(impact, "of_all", lambda _: every)
    monkeypatch.setattr("cadran.cli.impact.open_layer", lambda _: None)
    monkeypatch.setattr("cadran.cli.impact.Source", SimpleNamespace(of=lambda _: None))
    root = tmp_path / "project"
    ignored = shutil.ignore_patterns(".*", "target", "data", "*.duckdb*", "logs", "python", "docs")
    shutil.copytree(ROOT, root, ignore=ignored)
    variables = (root / "vars.yml").read_text()
    variables = variables.replace("cadran_impacts: false", "cadran_impacts: true")
    (root / "vars.yml").write_text(variables.replace("data/demo", str(tmp_path)))
    for at in ("2026-08-01 06:00", "2026-08-02 06:00"):
        now = dt.datetime.fromisoformat(f"{at}+00:00")
        clock = SimpleNamespace(now=lambda _, now=now: now)
        monkeypatch.setattr("cadran.cli.impact.dt", SimpleNamespace(datetime=clock, UTC=dt.UTC))
        assert main(["impact", "--publish", "--project-dir", str(root)]) == 0
        assert main(["impact", "--publish", "--project-dir", str(root)]) == 2
    assert "publish again" in capsys.readouterr().err
    assert main(["impact", "--publish", "--by", "cause", "--project-dir", str(root)]) == 2
    assert "leave out --by" in capsys.readouterr().err
    database = tmp_path / "warehouse.duckdb"
    done = forked.run(
        ["dbt", "--no-use-colors", "build", "--project-dir", root, "--profiles-dir", root,
         "--target-path", tmp_path / "target", "--log-path", tmp_path / "logs",
         "--select", "+fct_incident_impacts"],
        env=os.environ | {"CADRAN_DATABASE": str(database), "DO_NOT_TRACK": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    with duckdb.connect(str(database), read_only=True) as warehouse:
        rows = warehouse.execute(
            "select incident_id, estimate, lower_bound, upper_bound, is_measurable, published_at"
            " from reliability.fct_incident_impacts where outcome = 'orders' order by incident_id"
        ).fetchall()
        said = warehouse.execute(
            "select count(*) from staging.stg_impact__incident_impacts where outcome = 'orders'"
        ).fetchone()
    (_, estimate, low, high, is_measurable, at), (_, _, _, _, is_other, _) = rows
    assert float(estimate) == pytest.approx(every.impacts[0].effects["orders"].interval.estimate)
    assert low <= lost <= high
    assert (is_measurable, is_other, at, said) == (True, False, utc(2026, 8, 2, 6), (4,))


def test_a_running_incident_counts_to_the_end_of_the_data(monkeypatch):
    start = FIRST + dt.timedelta(weeks=WEEKS) - dt.timedelta(hours=3)
    shop = Shop([incident(1, start, 0) | {"restored_at": None}])
    lost = shop.lose(start, 180, 0.8)
    orders = of_one(shop, monkeypatch).effects["orders"]
    assert orders.interval.lower <= lost <= orders.interval.upper
    assert orders.evidence.ends_at == FIRST + dt.timedelta(weeks=WEEKS)


def test_too_little_history_is_said_and_no_number_given(monkeypatch):
    early = FIRST + dt.timedelta(days=1, hours=12)
    shop = Shop([incident(1, early, 60)])
    shop.orders = shop.orders[: 12 * 10_080]
    told = of_one(shop, monkeypatch)
    assert "orders" not in told.effects
    assert told.absent["orders"] == (
        "There are 11 quiet weeks to judge the estimate by, and it takes 19."
    )


def test_a_wrong_name_and_a_caller_without_rights_are_refused(monkeypatch):
    shop = Shop([incident(1, STARTED, 60)])
    with pytest.raises(UnknownNameError, match="There is no incident 'i7'"):
        of_one(shop, monkeypatch, "i7")
    source = shop.source(monkeypatch)

    def refuse(query):
        raise UnknownNameError("metric", query.metrics[0], ())

    with pytest.raises(UnknownNameError, match="incident_count"):
        impact.of_all(Source(source.layer, refuse, ()))


def test_a_dose_that_halves_orders_is_found_and_one_that_does_nothing_is_not(monkeypatch):
    shop = Shop([])
    idle = dose.response(shop.source(monkeypatch))
    assert idle.buckets[0].response == pytest.approx(1)
    assert [bucket.response for bucket in idle.buckets[1:3]] == pytest.approx([1, 1], abs=0.02)
    assert sum(bucket.hours for bucket in idle.buckets) == WEEKS * 168
    worst = np.flatnonzero(shop.errors > np.quantile(shop.errors, 0.99))
    for hour in worst.tolist():
        shop.lose(FIRST + dt.timedelta(hours=hour), 60, 0.5)
    found = dose.response(shop.source(monkeypatch))
    assert [bucket.response for bucket in found.buckets[1:3]] == pytest.approx([1, 1], abs=0.02)
    for bucket in found.buckets[-2:]:
        assert bucket.lower <= 0.5 <= bucket.upper < 1
    assert found.to_rows() == dose.response(shop.source(monkeypatch)).to_rows()
    assert sum(bucket.hours for bucket in found.buckets[-2:]) == len(worst)


def test_a_dose_that_is_always_the_same_or_known_for_too_short_is_refused(monkeypatch):
    shop = Shop([])
    shop.errors = shop.errors[: 5 * 168]
    with pytest.raises(QueryError, match="There are 5 weeks of error_rate, and it takes 8"):
        dose.response(shop.source(monkeypatch))
    shop.errors = np.zeros(WEEKS * 168)
    with pytest.raises(QueryError, match="error_rate is the same in nearly all hours"):
        dose.response(shop.source(monkeypatch))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("time_zone: Europe/Pariss", "Europe/Pariss"),
        ("holidays: [Christmas]", "takes a date"),
        ("holiday: [2026-12-25]", "did you mean 'holidays'"),
        (
            "promotions: [{name: Sale, first_day: 2026-06-24, last_day: 2026-06-15}]",
            "Sale ends on 2026-06-15, before it begins on 2026-06-24",
        ),
    ],
)
def test_a_wrong_calendar_is_told_with_file_and_key(tmp_path, text, sentence):
    (tmp_path / calendars.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(CardError, match=calendars.FILE) as refused:
        calendars.read(tmp_path)
    assert sentence in str(refused.value)


def test_the_demo_company_finds_its_true_losses_again(demo, layer, project_root):
    truth = json.loads((demo.data / "truth.json").read_text(encoding="utf-8"))
    true = {row["incident_id"]: row for row in truth["incidents"]}
    calendar = calendars.read(project_root)
    assert {str(day) for day in calendar.holidays} >= set(truth["demand"]["holidays"])
    every = impact.of_all(Source.of(layer), calendar=calendar)
    told = [one for one in every.impacts if one.incident_id in true]
    assert len(told) == len(true)

    def judged(outcome, of):
        pairs = [
            (one.effects[outcome].interval, of(true[one.incident_id]))
            for one in told
            if outcome in one.effects
        ]
        covered = sum(bounds.lower <= loss <= bounds.upper for bounds, loss in pairs)
        return pairs, covered / len(pairs)

    # At a twentieth of its size an incident costs a fifth of an order: chance is all there is.
    orders, covered = judged("orders", lambda row: row["commerce"]["orders_lost"])
    tickets, helped = judged("tickets", lambda row: row["support"]["tickets_extra"])
    assert len(orders) == len(tickets) == len(true)
    assert 0.85 <= covered <= 1
    assert 0.85 <= helped <= 1
    extra = sum(loss for _, loss in tickets)
    assert sum(bounds.estimate for bounds, _ in tickets) == pytest.approx(extra, rel=0.1)
    (total,) = (t for t in every.totals() if t.outcome == "orders")
    lost = sum(loss for _, loss in orders)
    assert total.interval.lower <= lost <= total.interval.upper


def test_quiet_hours_of_the_demo_company_are_rarely_taken_for_a_loss(layer, project_root):
    real = impact.incidents(layer)
    rng = np.random.default_rng(8)
    every = [row["started_at"] for row in real]
    fakes = []
    while len(fakes) < 60:
        started = utc(2024, 12, 1) + dt.timedelta(minutes=int(rng.integers(0, 680 * 1440)))
        if all(abs(started - other) > dt.timedelta(hours=30) for other in every):
            fakes.append(incident(len(fakes), started, int(rng.integers(20, 180))))
    alarms = {"orders": [], "tickets": []}
    source, calendar = Source.of(layer), calendars.read(project_root)
    for batch in (fakes[:20], fakes[20:40], fakes[40:]):  # few at a time: they mask each other
        ground = Ground(source, [*real, *batch], calendar)
        for row in batch:
            effects, _ = ground.effects(row)
            for outcome in alarms.keys() & effects.keys():
                alarms[outcome].append(effects[outcome].is_measurable)
    for told in alarms.values():
        assert len(told) > 0.8 * len(fakes)
        assert sum(told) <= 0.1 * len(told)


POLICY = """
roles:
  all: {metrics: "*", dimensions: "*"}
  support: {metrics: [incident_count, tickets_opened], dimensions: "*"}
  sales: {metrics: [order_count, net_revenue], dimensions: "*"}
  france: {metrics: "*", dimensions: "*", rows: ["customer__country = 'FR'"]}
"""


def test_a_server_tells_each_role_the_outcomes_that_its_kpis_are_made_of(demo, tmp_path):
    (tmp_path / "policy.yml").write_text(POLICY, encoding="utf-8")
    found = artifacts.find(None, demo.target / "semantic_manifest.json", demo.database)
    snapshots = SnapshotStore(found, confined=Confinement(), folder=tmp_path / "snapshots")
    snapshots.refresh(force=True)
    gate = PolicyGate(policies.read(tmp_path / "policy.yml"))
    service = QueryService(snapshots, gate=gate)

    def told(role):
        context = RequestContext(Caller(f"in {role}", (role,)), "test")
        with service.source(context) as source:
            return impact.of_incident(source, "i0025")

    try:
        seen = set(told("all").effects)
        assert seen >= {"orders", "net_revenue", "conversion", "tickets"}
        support = told("support")
        assert set(support.effects) == {"tickets"}
        assert "order_count" in support.absent["orders"]
        with pytest.raises(UnknownNameError, match="incident_count"):
            told("sales")
        with pytest.raises(NotAllowedError, match="france"):
            told("france")
    finally:
        service.close()


def test_rest_and_agents_get_the_numbers_of_the_layer(layer, rest_server):
    def seen(rows):
        return [row for row in rows if row["outcome"] != "satisfaction"]  # some days are hidden

    address = f"{rest_server.http}/api/v1/impact"
    expected = plain(seen(impact.rows(Source.of(layer), "i0025")))
    reply = httpx.get(address, params={"incident": "i0025", "page_size": 5}).json()
    assert plain(seen(reply["impact"])) == expected
    assert reply["method"] == impact.METHOD
    assert httpx.get(address, params={"incident": "i0025", "by": "cause"}).status_code == 400
    assert httpx.get(address, params={"incident": "i7"}).status_code == 404

    async def talk():
        async with Client(f"{rest_server.http}/mcp") as client:
            return await client.call_tool("impact", {"by": "cause", "start": "2026-01-01"})

    told = anyio.run(talk)
    by_cause = impact.rows(Source.of(layer), by="cause", start=dt.date(2026, 1, 1))
    assert told.structured_content["rows"] == plain(by_cause)
    assert f"{by_cause[0]['cause']}, orders: {by_cause[0]['estimate']}" in told.content[0].text
