"""Parts of the pack on figures made by hand: edges of a period, months that run, late KPIs."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import pytest

from cadran.core.project import names
from cadran.errors import (
    CardError,
    NotAllowedError,
    NotForecastError,
    NotGovernedError,
    QueryError,
)
from cadran.governance.notes import Note, Remark
from cadran.insight.drivers import Contribution
from cadran.insight.readings import Reading
from cadran.insight.view import View, Window
from cadran.reliability.sla import Contract, settled
from cadran.reports import appendix, costs, levels, make, outlook, summary, trends
from cadran.reports.basis import Basis
from cadran.reports.levels import CONSUMED, SLO, LevelFacts
from cadran.reports.pack import Figure, stated_by
from cadran.reports.period import Period
from cadran.reports.published import PublishedFigure, publish
from cadran.reports.speech import Speech

QUARTER = dt.date(2026, 7, 1)
CARD = SimpleNamespace(name="orders", unit="", additivity="additive", grains=("month",), version=1)
WEEK = "metric_time__week"


def basis_of(grain="quarter", start=QUARTER, through=dt.date(2026, 12, 31), lang="en", **reader):
    """The ground of a pack of a period whose data reach a day."""
    view = View(lang, grain, start, "year")
    period = Period.of(start, grain)
    basis = Basis(SimpleNamespace(view=view, **reader), period, Speech(lang), "Acme")
    basis.window = Window.of(view, through)
    return basis


# Service levels -----------------------------------------------------------------------------


def test_weeks_at_the_ends_of_a_period_have_its_days_only_and_an_slo_without_events_is_left_out(
    monkeypatch,
):
    asked = []

    def rows(metrics, dimensions, *, start, end):
        assert metrics == [CONSUMED]
        asked.append((start, end))
        if WEEK in dimensions:
            starts = [dt.date(2026, 6, 29), dt.date(2026, 9, 21), dt.date(2026, 9, 28)]
            return [{WEEK: first, SLO: "s", CONSUMED: 0.1} for first in starts]
        used = 1.18 if end == dt.date(2026, 7, 5) else 0.5
        return [{SLO: "s", CONSUMED: used}, {SLO: "none", CONSUMED: None}]

    aim = SimpleNamespace(is_composite=False, target=Decimal("0.999"))
    one, none = (
        SimpleNamespace(id=name, service="Shop", label=name, title=f"Shop · {name}", status=aim)
        for name in ("s", "none")
    )
    monkeypatch.setattr("cadran.insight.service_levels.levels", lambda *_: [one, none])
    layer = SimpleNamespace(project=SimpleNamespace(root=None))
    source = SimpleNamespace(layer=layer, rows=rows, sees=lambda _: True)
    basis = basis_of(source=source)
    found = levels.facts(basis)
    assert found.used == {"s": 0.5}
    assert {start.day: used["s"] for start, used in found.by_part.items()} == {
        29: 1.18, 21: 0.1, 28: 0.5,
    }  # fmt: skip
    assert asked[2:] == [
        (QUARTER, dt.date(2026, 7, 5)), (dt.date(2026, 9, 28), dt.date(2026, 9, 30)),
    ]  # fmt: skip
    page = levels.page(basis, found)
    assert page.title.text == "The internal objective holds its error budget."
    [heat] = page.blocks
    assert [series.name for series in heat.series] == ["Shop · s"]
    stated = [(figure.question.start, figure.question.end, figure.question.grain, figure.value)
              for figure in stated_by(heat)]  # fmt: skip
    assert stated == [
        (QUARTER, dt.date(2026, 7, 5), "", 1.18),
        (dt.date(2026, 9, 21), dt.date(2026, 9, 27), "week", 0.1),
        (dt.date(2026, 9, 28), dt.date(2026, 9, 30), "", 0.5),
    ]
    assert {figure.definition for figure in stated_by(heat)} == {"target 0.999"}


@pytest.fixture(scope="module")
def months():
    """A contract that a first hour breaks: the month that is over, and the one that runs."""
    contract = Contract.model_validate({
        "contract": "c", "title": "Shop", "fr": {"title": "Boutique"}, "customer": "Acme",
        "owner": "o@example.com", "services": ["s"], "kpi": "availability", "time_zone": "UTC",
        "starts": "2026-01-01", "grammar": "bad_runs", "target": Decimal("0.999"),
        "bad_below": Decimal("0.95"), "base_amount": Decimal(1000), "currency": "EUR",
        "tiers": [{"below": Decimal("0.999"), "credit": Decimal("0.10")}],
    })  # fmt: skip
    hour = {dt.timedelta(minutes=n) for n in range(60)}
    found = {}
    for month, last in ((QUARTER, None), (dt.date(2026, 8, 1), dt.datetime(2026, 8, 9))):  # noqa: DTZ001 - UTC without zone
        begin = contract.month(month)[0]
        found[month] = settled(contract, month, {begin + n: (0, 1) for n in hour}, (), last)
    return found


def test_a_month_that_runs_owes_nothing_and_is_not_judged(months):
    assert [one.credit for one in months.values()] == [100, 100]
    basis = basis_of(through=dt.date(2026, 8, 8))
    both = LevelFacts({"c": months}, frozenset(), (), {}, {})
    assert both.credits == {"EUR": 100}
    page = levels.page(basis, both)
    assert "owes nothing yet" in page.subtitle.text
    [table] = page.blocks
    over, running, _, credit = table.rows[0].cells[2:]
    assert (over.state, over.has_sign) == ("bad", True)
    assert (running.state, running.has_sign) == ("", False)
    assert credit.figure.value == 100
    assert table.rows[1].cells[-1].figure.value == 100
    beside = costs._beside(basis, both, 5)
    assert [figure.value for text in beside.texts for figure in text.figures] == [100]


def test_what_a_contract_came_to_is_stated_net_gross_and_credited_with_its_text(months):
    basis = basis_of(through=dt.date(2026, 8, 8))
    # A month whose exclusions make a difference.
    one = replace(months[QUARTER], gross=Fraction(1, 2))
    page = levels.page(basis, LevelFacts({"c": {QUARTER: one}}, frozenset(), (), {}, {}))
    stated = {figure.origin: figure for figure in stated_by(page)}
    assert {name: figure.value for name, figure in stated.items()} == {
        "sla credits EUR": 100, "sla c 2026-07 net": one.net, "sla c 2026-07 gross": one.gross,
        "sla c excluded minutes": 0, "sla c credits": 100,
    }  # fmt: skip
    [definition] = {figure.definition for figure in stated.values()}
    other = one.contract.model_copy(update={"base_amount": Decimal(2000)})
    assert definition == levels.contracted(one.contract) != levels.contracted(other)


def test_where_no_month_is_over_the_title_says_so(months):
    month = dt.date(2026, 8, 1)
    basis = basis_of("month", month, dt.date(2026, 8, 8))
    served = LevelFacts({"c": {month: months[month]}}, frozenset(), (), {}, {})
    page = levels.page(basis, served)
    assert page.title.text.startswith("A contract is judged at the end of a month")
    [table] = page.blocks
    [row] = table.rows  # no credits, so no total of them
    assert row.cells[-1].figure is None
    assert levels.credit_figures(basis, served) == []


# KPIs ---------------------------------------------------------------------------------------


def test_a_month_that_a_late_kpi_does_not_know_whole_is_no_signal_and_not_drawn():
    basis = basis_of("month", dt.date(2026, 9, 1), dt.date(2026, 9, 30))
    *before, last = basis.months()
    history = dict.fromkeys(before, 100) | {last: 10}

    def reading(through):
        window = Window.of(View("en", "month", last, "year"), through)
        return Reading(CARD, window, 10, history=history, accrues=True)

    late, known = reading(dt.date(2026, 9, 3)), reading(dt.date(2026, 9, 30))
    assert basis.partial_month is None
    assert trends._panel(basis, late).signals == ()
    assert trends._panel(basis, known).signals == (last,)
    basis.words.label = lambda _: "Orders"
    for one, end in ((late, None), (known, 10)):
        basis.courses = {"orders": one}
        _, [series] = summary.course(basis, one)
        assert series.values == (*[100] * 12, end)


@pytest.mark.parametrize("is_all", [True, False])
def test_contributions_all_go_the_same_way_only_where_all_are_shown(is_all):
    basis = basis_of()
    figure = Figure("x", 1)
    for name in ("change", "figure", "target", "gap"):
        setattr(basis, name, lambda *_, **__: figure)
    basis.words.label = lambda _: "Orders"
    basis.words.amount = lambda value, _: str(value)
    reading = Reading(CARD, basis.window, 10, 5)
    basis.key_readings = (reading,)
    parts = tuple(Contribution(name, "", 1, 3, 2) for name in ("a", "b"))
    rest = None if is_all else Contribution(None, "", 2, 3, 1)
    split = SimpleNamespace(card=CARD, by="d", change=5, contributions=parts, others=rest)
    [text] = summary._focus_told(basis, split)
    assert ("go the same way" in text.text) is is_all


def test_a_note_names_who_said_it(monkeypatch):
    remark = Remark("orders", "2026-Q3", "Bad weather.", action="Wait.")
    note = Note(1, remark, "ann@example.com", dt.datetime(2026, 10, 1, tzinfo=dt.UTC))
    monkeypatch.setattr(make, "notes", lambda *_, **__: (note,))
    source = SimpleNamespace(layer=None)
    for lang, colon in (("en", ": "), ("fr", "\N{NO-BREAK SPACE}: ")):
        basis = basis_of(lang=lang, source=source, whole=lambda _: True)
        said = make._notes(basis)
        assert said == {"orders": f"ann@example.com{colon}Bad weather. Wait."}


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (NotForecastError("", "short"), "no forecast: short history"),
        (NotForecastError("", "sums"), "no forecast: days do not add up"),
        (NotAllowedError("too few observations"), "no forecast: hidden values"),
        (NotGovernedError("not by day"), "no forecast: no value by day"),
        (QueryError("no data"), "cannot be forecast"),
    ],
)
def test_why_a_kpi_has_no_forecast_stands_in_its_row(monkeypatch, problem, told):
    def refused(*_):
        raise problem

    monkeypatch.setattr(outlook.forecast, "to_end", refused)
    monkeypatch.setattr(outlook, "targets", lambda _: {})
    basis = basis_of(source=SimpleNamespace(layer=None))
    basis.cards, basis.words.label = (CARD,), lambda _: "Orders"
    [expected] = outlook._expected(basis)
    assert [cell.text for cell in outlook._forecast(basis, expected).cells][0::5] == [
        "Orders", told,
    ]  # fmt: skip


# Appendix and names -------------------------------------------------------------------------


def test_restatements_are_told_since_the_last_pack_of_an_earlier_period(monkeypatch, tmp_path):
    asked = []
    rows = [{"kpi": "orders", "published_at": dt.datetime(2026, 10, 2), "details": "{}"}] * 8  # noqa: DTZ001 - UTC without zone
    table = SimpleNamespace(to_pylist=lambda: rows)
    monkeypatch.setattr(appendix, "has_ledger", lambda _: True)
    project = SimpleNamespace(root=tmp_path)
    warehouse = SimpleNamespace(arrow=lambda sql: asked.append(sql) or table)
    warehouse.ledger = warehouse
    layer = SimpleNamespace(project=project, warehouse=warehouse)
    basis = basis_of(source=SimpleNamespace(layer=layer))
    basis.cards = (CARD,)
    basis.words.label = lambda _: "Orders"
    texts = [text.text for text in appendix._changes(basis)]
    assert "No pack of an earlier period was published" in texts[1]
    assert "timestamp '2026-07-01'" in asked[-1]
    said = [PublishedFigure("orders", QUARTER, QUARTER, 1)]
    before = publish(layer, "2026-08", said, by="ann@example.com")
    publish(layer, "2026-Q3", said, by="ann@example.com")
    publish(layer, "2026-10", said, by="ann@example.com")
    texts = [text.text for text in appendix._changes(basis)]
    assert "since the last pack (pack-1, 2026-08)" in texts[1]
    assert f"timestamp '{before.at.replace(tzinfo=None)}'" in asked[-1]
    assert texts[-1] == "Two further restatements are not shown."


def test_a_project_says_what_its_services_are_called(tmp_path):
    file = tmp_path / names.FILE
    assert names.words(tmp_path, "fr") == {}
    file.write_text("names:\n  mkt_2: {en: Market two, fr: Marché deux}\n")
    for lang, name, of_checkout in (
        ("en", "Market two", "Checkout"),
        ("fr", "Marché deux", "Paiement"),
    ):
        speech = Speech(lang, more=names.words(tmp_path, lang))
        assert (speech.name("mkt_2"), speech.name("checkout")) == (name, of_checkout)
        assert speech.name("back_office") == "Back office"
    file.write_text("names:\n  ann@example.com: {en: Head of sales, fr: Direction commerciale}\n")
    french = Speech("fr", more=names.words(tmp_path, "fr"))
    assert french.person("ann@example.com") == "Direction commerciale"
    assert french.person("platform.lead@example.com") == "Platform lead"
    file.write_text("names:\n  mkt_2: {en: Market two}\n")
    with pytest.raises(CardError, match="fr"):
        names.read(tmp_path)


@pytest.mark.parametrize(
    ("reason", "french"),
    [
        ("opened_at is missing", "opened_at manque"),
        ("score is no integer: four", "score n'est pas un integer : four"),
        ("price is no decimal(18, 4): -", "price n'est pas un decimal(18, 4) : -"),
        ("kind is none of sale, cancellation", "kind n'est aucun de sale, cancellation"),
        ("score is below 1", "score est inférieur à 1"),
        ("order_id, line_id stands more than once", "order_id, line_id figure plus d'une fois"),
        ("more refunds than sales", "plus de remboursements que de ventes"),
        ("bought on the moon", "Bought on the moon"),
    ],
)
def test_why_a_row_was_set_aside_is_said_in_both_languages(reason, french):
    own = {"name_more refunds than sales": "plus de remboursements que de ventes"}
    said = appendix._reason(Speech("fr", more=own), reason)
    assert (
        said.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("\N{NO-BREAK SPACE}", " ")
        == french
    )
    if reason != "bought on the moon":
        assert appendix._reason(Speech("en"), reason).lower() == reason
