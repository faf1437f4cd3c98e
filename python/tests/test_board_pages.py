"""Pages of service levels, incidents and impact: what stands in them, and for whom."""

from __future__ import annotations

import datetime as dt
import re
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import duckdb
import pytest

import cadran
from cadran.core.recent import Recent
from cadran.errors import UnknownNameError
from cadran.formats import numbers
from cadran.insight import service_levels
from cadran.insight.exposure import exposure
from cadran.insight.readings import MOST_KEPT, Reader, Reading
from cadran.insight.source import Source
from cadran.insight.view import View, Window
from cadran.insight.wording import Words
from cadran.reliability import sla
from cadran.reliability.alerts.machine import Key, State
from cadran.web import alerts, kpi, levels, pages
from cadran.web.render import rendered


@pytest.fixture(scope="module")
def kept():
    """What pages read beside the layer, once for all tests as for all readers of a server."""
    return Recent(MOST_KEPT), Recent(MOST_KEPT)


@pytest.fixture
def read(layer, kept):
    """Renders a page as a reader sees it, with its content."""

    def page(path, lang="en", *, whole=lambda _: True, **view):
        reader = Reader(Source.of(layer), View(lang=lang, **view), whole, *kept)
        words = Words(lang, service_levels.zone(reader))
        page = pages.page(path, reader, words)
        text = rendered(
            page.template, words, view=reader.view, pages=pages.NAVIGATION, here=page.here,
            path=f"/board/{path}", events="", signed_in=False, **page.content,
        )  # fmt: skip
        return text, page.content

    return page


def marks(text):
    return [int(number) for number in re.findall(r'data-marks="(\d+)"', text)]


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_service_levels_are_drawn_in_both_languages(read, lang):
    text, _ = read("levels", lang)
    assert f'<html lang="{lang}"' in text
    assert marks(text)
    assert all(marks(text))
    assert ("Service levels" if lang == "en" else "Niveaux de service") in text


def test_the_budget_of_a_month_is_what_its_minutes_say(read, layer):
    slo_id, month = "availability_28d:checkout", dt.date(2026, 10, 1)
    text, content = read(f"levels/{slo_id}", start=month)
    (row,) = layer.warehouse.arrow(
        "select sum(bad_units) as bad, sum(allowed_units) as allowed"
        " from reliability.fct_slo_slices_minutely as slices"
        f" where slo_id = '{slo_id}' and not is_excluded"
        " and timezone('Europe/Paris', timezone('UTC', minute_at)) >= date '2026-10-01'"
        " and timezone('Europe/Paris', timezone('UTC', minute_at)) < date '2026-11-01'"
    ).to_pylist()
    left = 1 - row["bad"] / row["allowed"]
    plot = content["burn_down"].plot
    assert plot.table.rows[0][1] == f"{left * 100:.1f}%"
    assert len(plot.table.rows) == 31
    assert plot.table.rows[0][1] in text


def test_the_month_of_a_contract_is_what_its_minutes_say(layer, project_root):
    contract = sla.read_contracts(project_root / "contracts")["partners_api"]
    month = dt.date(2026, 10, 1)
    settlement = sla.settle(layer, contract, month)
    row = levels.contract_row(contract, settlement, Words("en"))
    # Runs of five bad minutes or more: minutes in a row share their distance to their place.
    (found,) = layer.warehouse.arrow(
        "with bad as ("
        " select minute_at, minute_at - interval 1 minute * row_number() over (order by minute_at)"
        "  as run"
        " from reliability.int_sli_minutely"
        " where kpi = 'platform_availability' and subject = 'public_api'"
        " and good_count < 0.95 * total_count"
        " and timezone('Europe/Paris', timezone('UTC', minute_at)) >= date '2026-10-01'"
        " and timezone('Europe/Paris', timezone('UTC', minute_at)) < date '2026-11-01'),"
        " runs as (select count(*) as length from bad group by run)"
        " select coalesce(sum(length), 0) as down from runs where length >= 5"
    ).to_pylist()
    october = (31 * 24 + 1) * 60  # the clock goes back
    assert row.gross == f"{int((1 - found['down'] / october) * 1_000_000) / 10_000:.4f}%"
    assert row.credit == f"€{settlement.credit:,.2f}"
    # The same figures of a month that is not over: minutes left, and nothing owed yet.
    running = replace(settlement, last_instant=settlement.ends_at - dt.timedelta(days=1))
    row = levels.contract_row(contract, running, Words("en"))
    assert (row.credit, row.state) == (numbers.DASH, "month so far")
    assert row.left not in {"", numbers.DASH}


@pytest.fixture(scope="module")
def grave(layer):
    """The incident that took most of one budget, with that SLO and the share by plain SQL."""
    (row,) = layer.warehouse.arrow(
        "select incidents.incident_id, slices.slo_id, incidents.started_at,"
        " sum(slices.bad_units) as bad"
        " from marts.fct_incidents as incidents"
        " inner join reliability.fct_slo_slices_minutely as slices"
        "  on slices.slo_id = 'availability_28d:' || incidents.service_id"
        "  and slices.minute_at >= date_trunc('minute', incidents.started_at)"
        "  and slices.minute_at <= incidents.restored_at and not slices.is_excluded"
        " where incidents.severity = 'sev1' group by all order by bad desc limit 1"
    ).to_pylist()
    (month,) = layer.warehouse.arrow(
        "select sum(allowed_units) as allowed from reliability.fct_slo_slices_minutely"
        f" where slo_id = '{row['slo_id']}' and not is_excluded"
        " and date_trunc('month', timezone('Europe/Paris', timezone('UTC', minute_at)))"
        f" = date '{row['started_at']:%Y-%m}-01'"
    ).to_pylist()
    return row | {"share": row["bad"] / month["allowed"]}


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_incidents_are_listed_with_a_page_of_each(read, grave, lang):
    text, content = read("incidents", lang, start=dt.date(grave["started_at"].year, 1, 1),
                         grain="year")  # fmt: skip
    assert f"/board/incidents/{grave['incident_id']}?" in text
    assert len(content["entries"]) == text.count('<tr><th scope="row">')
    text, _ = read(f"incidents/{grave['incident_id']}", lang)
    assert len(marks(text)) == 3  # requests, errors, budgets
    assert all(marks(text))


def test_deployments_are_marks_of_a_chart_and_steps_of_an_incident(read, layer, grave, kept):
    def drawn(whole):
        view = View(start=dt.date(2026, 10, 1))
        content = kpi.kpi(Reader(Source.of(layer), view, whole, *kept), "net_revenue", Words("en"))
        return [mark.title for mark in content["trend"].events], content["marks"]

    (row,) = layer.warehouse.arrow(
        "select count(*) as deployments, count(*) filter (is_failed) as failed"
        " from marts.fct_deployments where deployed_at >= '2026-10-01'"
        " and deployed_at < '2026-11-01'"
    ).to_pylist()
    texts, legend = drawn(lambda _: True)
    (october,) = [text for text in texts if "October 2026" in text and "deployment" in text]
    assert october.startswith(f"{row['deployments']} deployments")
    assert (f"{row['failed']} failed" in october) == (row["failed"] > 0)
    assert legend.startswith("Below: deployments")
    texts, legend = drawn(lambda name: name == "net_revenue")
    assert "eployment" not in " ".join([*texts, legend])
    # Of an incident: the last one of its service before it, and those until it was over.
    around = layer.warehouse.arrow(
        "select deployment_id, deployed_at < started_at as is_before"
        " from marts.fct_deployments as deployments"
        " inner join marts.fct_incidents as incidents using (service_id)"
        f" where incidents.incident_id = '{grave['incident_id']}'"
        " and deployed_at between started_at - interval 6 hour and restored_at"
        " order by deployed_at"
    ).to_pylist()
    known = [one["deployment_id"] for one in around if one["is_before"]][-1:]
    known += [one["deployment_id"] for one in around if not one["is_before"]]
    _, content = read(f"incidents/{grave['incident_id']}")
    steps = [step.text.partition(",")[0] for step in content["steps"] if step.title == "Deployment"]
    assert steps == known


def test_an_incident_that_runs_has_a_page_up_to_now(read, kept, grave):
    read("incidents")
    at, rows = kept[1].get("incidents")
    running = [
        row | {"restored_at": None, "hours_to_restore": None, "hours_to_acknowledge": None}
        if row["incident_id"] == grave["incident_id"] else row for row in rows
    ]  # fmt: skip
    kept[1].put("incidents", (at, running))
    try:
        text, content = read(f"incidents/{grave['incident_id']}")
    finally:
        kept[1].put("incidents", (at, rows))
    titles = [step.title for step in content["steps"]]
    assert [title for title in titles if title != "Deployment"][-2:] == [
        "Detected",
        "still running",
    ]
    assert titles[-1] == "still running"
    assert "acknowledged in" not in text
    assert "Restored" not in text
    assert all(marks(text))


def test_what_an_incident_took_of_a_budget_is_what_its_minutes_say(read, grave):
    _, content = read(f"incidents/{grave['incident_id']}")
    taken = {bar.link.partition("?")[0].rpartition("/")[2]: bar for bar in content["budgets"].rows}
    assert taken[grave["slo_id"]].value == f"{grave['share'] * 100:.1f}%"


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_the_impact_of_incidents_names_the_worst_of_a_month_and_what_it_cost(read, grave, lang):
    month = grave["started_at"].date().replace(day=1)
    text, content = read("impact", lang, start=month)
    worst = content["worst"]
    assert worst.cost.loss in text
    assert worst.cost.amount == max(one.cost.amount or 0 for one in
                                    [*content["costly"], *content["others"]])  # fmt: skip
    assert all(marks(text))
    assert len(content["axis"].plots) == 2


def test_what_incidents_cost_is_told_to_who_sees_all_orders_and_revenue(read, grave):
    month = grave["started_at"].date().replace(day=1)
    for hidden in ("order_count", "net_revenue"):
        text, content = read("impact", start=month, whole=lambda kpi, no=hidden: kpi != no)
        assert content["worst"].cost is None
        assert not content["is_told"]
        assert "Costs are told to those who see all orders and revenue" in text
        text, _ = read(f"incidents/{grave['incident_id']}", whole=lambda kpi, no=hidden: kpi != no)
        assert "Revenue lost" not in text


def test_who_sees_a_part_of_the_rows_is_told_of_no_incident(read, grave):
    text, content = read("incidents", whole=lambda _: False)
    assert content["entries"] == []
    assert grave["incident_id"] not in text
    with pytest.raises(UnknownNameError) as refused:
        read(f"incidents/{grave['incident_id']}", whole=lambda _: False)
    assert "i00" not in str(refused.value).replace(grave["incident_id"], "")


def test_who_sees_a_part_of_the_rows_is_told_of_no_service_level(read):
    text, content = read("levels", whole=lambda _: False)
    assert not content["levels"]
    assert not content["contracts"]
    assert "There is no service level objective" in text


def test_what_fires_says_once_a_service_what_is_at_stake(layer, kept):
    began = dt.datetime(2025, 11, 3, 9, 30, 20, tzinfo=dt.UTC)
    [row] = layer.warehouse.arrow(
        """
        with checkout as (
            select minute_at, request_count, failed_request_count
            from marts.fct_requests_minutely where service_id = 'checkout'
        ), days as (
            select max(ordered_date) as last from marts.fct_orders
        )
        select
            (select sum(failed_request_count) from checkout
             where minute_at >= '2025-11-03 09:30') as failed,
            (select sum(request_count) from checkout, days
             where cast(minute_at as date) between last - 27 and last) as requests,
            count(*) as orders, sum(ordered_amount) as amount
        from marts.fct_orders, days where ordered_date between last - 27 and last
        """
    ).to_pylist()
    found = exposure(Source.of(layer), "Checkout", began)
    assert found.failed == row["failed"]
    assert found.orders == pytest.approx(row["failed"] * row["orders"] / row["requests"])
    assert found.revenue == pytest.approx(found.orders * float(row["amount"]) / row["orders"])
    assert exposure(Source.of(layer), "Nobody's", began) is None

    def standing(tier, since):
        key = Key("budget_burn", f"checkout:{tier}", "fast")
        facts = {
            "slo": tier, "kpi": "platform_availability", "subject": "checkout", "kind": "burn",
            "subject_id": tier, "active_at": since.isoformat(), "zone": "UTC",
            "values": {"long_burn": 20.0, "short_burn": 21.0, "factor": 14.4, "long_minutes": 60,
                       "short_minutes": 5},
        }  # fmt: skip
        alert = SimpleNamespace(state=State.FIRING, fired_at=since)
        return key, SimpleNamespace(key=key, severity="page", alert=alert, facts=facts)

    fires = dict(
        standing(tier, began + later)
        for tier, later in (("a", dt.timedelta()), ("b", dt.timedelta(hours=9)))
    )
    store = SimpleNamespace(standings=lambda: fires)
    reader = Reader(Source.of(layer), View(), lambda _: True, *kept)
    texts = [alert.at_stake for alert in alerts.open_alerts(reader, store, Words("en"))]
    money = Words("en").short(found.revenue, "EUR")
    assert len(texts) == 2
    assert [text.partition(":")[0] for text in texts if text] == [
        f"{found.orders:.0f} orders at stake so far, about {money}"
    ]
    hidden = Reader(Source.of(layer), View(), lambda kpi: kpi != "order_count", *kept)
    told = alerts.open_alerts(hidden, store, Words("en"))
    assert [alert.at_stake for alert in told] == ["", ""]


def test_an_alert_has_fired_from_its_first_firing_state_to_the_next_that_is_none(layer):
    steps = [
        ("slow", "pending", "09:00"), ("slow", "firing", "09:05"), ("slow", "keep firing", "09:20"),
        ("fast", "firing", "09:30"), ("slow", "resolved", "09:40"),
    ]  # fmt: skip
    windows = {"slow": {"long_minutes": 4320, "short_minutes": 360}, "fast": {}}
    rows = [
        {"rule": "budget_burn", "subject": "a:b", "tier": tier, "severity": "page",
         "to_state": state, "at": f"2026-11-01T{at}:00+00:00", "values": windows[tier]}
        for tier, state, at in steps
    ]  # fmt: skip
    slow = {Key("budget_burn", "a:b", "slow"): SimpleNamespace(facts={"kpi": "hidden"})}
    store = SimpleNamespace(history=lambda most: rows[::-1][:most], standings=lambda: slow)
    source = Source.of(layer)
    whole = Reader(source, View(), lambda _: True)
    fired = alerts.firings(whole, store, Words("en"), {"a:b": "B"})
    assert [(one.subject, one.began.minute, one.ended and one.ended.minute) for one in fired] == [
        ("B", 30, None), ("B", 5, 40),
    ]  # fmt: skip
    assert [one.rule.replace("\N{NO-BREAK SPACE}", " ") for one in fired] == [
        "Budget burns too fast", "Budget burns too fast, 3.0 d · 6 h",
    ]  # fmt: skip
    assert alerts.firings(Reader(source, View(), lambda _: False), store, Words("en"), {}) == []
    sees = Reader(source, View(), lambda kpi: kpi != "hidden")
    assert [one.began.minute for one in alerts.firings(sees, store, Words("en"), {})] == [30]
    assert alerts.firings(whole, None, Words("en"), {}) is None


@pytest.mark.parametrize(("of_month", "told"), [(0.8, ["90.0%", "70.0%"]), (0.81, ["hidden"] * 2)])
def test_members_that_days_would_tell_are_those_of_the_month_where_it_holds_no_more(
    layer, of_month, told
):
    days, month = (dt.date(2026, 11, 1), dt.date(2026, 11, 28)), dt.date(2026, 11, 30)
    card = layer.card("customer_satisfaction_rate")
    shown = {"purchase": 0.9, "support": 0.7}
    reader = SimpleNamespace(
        view=View(grain="month"),
        members=lambda _, __, of, **___: shown if of[1] == month else dict.fromkeys(shown),
        course=lambda *_, by=None, **__: {} if by else {None: {days[0]: of_month}},
    )
    window = Window.of(reader.view, days[1])
    reading = Reading(card, window, value=0.8)
    split = kpi._split(reader, reading, "answer__touchpoint", (), Words("en"))
    assert [member.value for member in split.members] == told


def test_a_project_without_service_levels_and_incidents_says_so(demo, tmp_path):
    database = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"attach '{demo.database}' as demo (read_only)")
        connection.execute("create schema utilities")
        connection.execute(
            "create table utilities.time_spine_day as from demo.utilities.time_spine_day"
        )
    with closing(
        cadran.open(manifest=demo.target / "semantic_manifest.json", database=database)
    ) as foreign:
        for path, sentence in (
            ("levels", "There is no service level objective"),
            ("incidents", "No incident was ever reported"),
            ("impact", "No incident was ever reported"),
        ):
            reader = Reader(Source.of(foreign), View(), lambda _: True)
            page = pages.page(path, reader, Words("en"))
            text = rendered(
                page.template, Words("en"), view=reader.view, pages=pages.NAVIGATION,
                here=page.here, path=f"/board/{path}", events="", signed_in=False, **page.content,
            )  # fmt: skip
            assert sentence in text
