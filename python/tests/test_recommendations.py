"""Rules of recommendations: each fires, rests, and is held back, on figures made by hand."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from types import SimpleNamespace

import pytest

from cadran.cli.app import main
from cadran.cli.schema import schemas
from cadran.core.journal import Journal
from cadran.errors import CardError, QueryError, UnknownNameError
from cadran.insight.risk import breach_probability
from cadran.reports import recommend
from cadran.reports.expression import Expression
from cadran.reports.period import Period
from cadran.reports.published import PublishedFigure, publish
from cadran.reports.recommend import decide, decisions, judge, outcomes
from cadran.reports.recommendation import Writer
from cadran.reports.rules import read, shipped
from cadran.reports.subjects import Gathering, Problem, Subject

Q3 = Period.of(dt.date(2026, 7, 1), "quarter")
RULES = read(None)
SLO = {
    "used": 0.6, "used_1": 0.6, "used_2": 0.6, "used_3": 0.6, "target": Decimal("0.995"),
    "units": 1_000_000, "allowed": Decimal(5000), "cause": "database", "cause_share": 0.3,
    "cause_incidents": 2, "cause_cost": None, "breach": 0.1, "months": 12,
}  # fmt: skip
CONTRACT = {
    "months": 3, "breached": 0, "worst_net": 0.9999, "promise": Decimal("0.999"),
    "credits": Decimal(0), "slos": 2, "slos_overspent": 0, "maintenance_minutes": 60,
    "cap_minutes": 120,
}  # fmt: skip
INCIDENTS = {
    "incidents": 12, "detect_hours": 0.2, "restore_hours": 2.0, "acknowledge_hours": 0.2,
    "acknowledge_target": None,
}  # fmt: skip
ALERT = {"fired": 10, "useful": 8}
KPI = {
    "value": Decimal(90), "target": Decimal(100), "missed": 0, "driver": None,
    "driver_effect": None, "driver_base": None, "asked": 7, "decisions": 1,
    "review_by": dt.date(2027, 6, 30), "review_days": 200, "is_draft": 0,
}  # fmt: skip
USUAL = {"slos": SLO, "contracts": CONTRACT, "incidents": INCIDENTS, "alerts": ALERT, "kpis": KPI}

# Rule: figures at which it just fires, figures at which it just does not.
BOUNDS = {
    "budget_overspent_twice": ({"used": 1.01, "used_1": 1.01}, {"used": 1.01, "used_1": 1.0}),
    "budget_unused": (
        dict.fromkeys(("used", "used_1", "used_2", "used_3"), 0.19),
        {"used": 0.19, "used_1": 0.19, "used_2": 0.19, "used_3": None},
    ),
    "cause_dominates": ({"cause_share": 0.41}, {"cause_share": 0.4}),
    "low_volume_slo": ({"allowed": Decimal("9.9")}, {"allowed": Decimal(10)}),
    "breach_likely": ({"breach": 0.21}, {"breach": 0.2}),
    "slo_met_sla_breached": ({"breached": 1}, {"breached": 1, "slos_overspent": 1}),
    "sla_met_slo_overspent": ({"slos_overspent": 1}, {"slos_overspent": 1, "breached": 1}),
    "credits_over_fix": ({"credits": Decimal("1000.01")}, {"credits": Decimal(1000)}),
    "maintenance_over_cap": ({"maintenance_minutes": 121}, {"maintenance_minutes": 120}),
    "slow_detection": ({"detect_hours": 0.51}, {"detect_hours": 0.5}),
    "slow_acknowledgement": (
        {"acknowledge_hours": 0.26},
        {"acknowledge_hours": 0.26, "acknowledge_target": Decimal("0.5")},
    ),
    "imprecise_alerts": ({"useful": 4}, {"useful": 5}),
    "kpi_off_target": ({"missed": 3}, {"missed": 2}),
    "kpi_without_decision": ({"missed": 2, "decisions": 0}, {"missed": 2, "decisions": 1}),
    "kpi_unused": ({"asked": 0}, {"asked": None}),
    "definition_review_past": ({"review_days": -1}, {"review_days": 0}),
    "definition_under_review": ({"is_draft": 1}, {"is_draft": 0}),
}


def subject(kind, name="thing", problem=None, **figures):
    labels = {"en": "The thing", "fr": "La chose"}
    return Subject(
        kind, name, labels, "owner@example.com", {**USUAL[kind], **figures}, unit="EUR",
        question="cadran show thing", link="kpis/thing", problem=problem,
    )  # fmt: skip


def judged(rule, *subjects, lang="en", rules=RULES):
    return judge(rule, rules[rule], subjects, Writer(Q3, lang))


def test_every_shipped_rule_has_bounds_here_and_every_source_its_figures():
    assert set(BOUNDS) == set(shipped().rules) == set(RULES)
    assert {kind: set(figures) for kind, figures in shipped().figures.items()} == {
        kind: set(figures) for kind, figures in USUAL.items()
    }


@pytest.mark.parametrize("rule", BOUNDS)
def test_a_rule_fires_beyond_its_bound_and_not_at_it(rule):
    fires, rests = BOUNDS[rule]
    kind = RULES[rule].of
    [found] = judged(rule, subject(kind, **fires))
    assert (found.id, found.status) == (f"{rule}/thing/2026-Q3", "open")
    assert found.evidence
    assert judged(rule, subject(kind, **rests)) == []
    assert judged(rule, subject(kind)) == []


@pytest.mark.parametrize("lang", ["en", "fr"])
@pytest.mark.parametrize("rule", BOUNDS)
def test_a_recommendation_is_whole_sentences_in_either_language(rule, lang):
    [found] = judged(rule, subject(RULES[rule].of, **BOUNDS[rule][0]), lang=lang)
    for text in (found.title, found.because, found.action, found.effect):
        assert text
        assert "{" not in text
        assert "None" not in text


STILL = {"kpi_unused", "definition_review_past", "definition_under_review"}


@pytest.mark.parametrize("rule", BOUNDS)
def test_a_rule_whose_data_are_late_or_broken_is_held_back_with_its_reason(rule):
    kind = RULES[rule].of
    late = Problem("late", through=dt.date(2026, 9, 20))
    [found] = judged(rule, subject(kind, problem=late, **BOUNDS[rule][0]))
    if rule in STILL:
        assert found.status == "open"
    else:
        assert (found.status, found.evidence, found.confidence) == ("held", (), "low")
        assert found.because == "Held back: data are whole until 20 Sep 2026 only."
    unread = Subject(kind, "all", {}, "", {}, problem=Problem("broken", reason="No table."))
    [found] = judged(rule, unread, lang="fr")
    assert (found.id, found.status) == (f"{rule}/all/2026-Q3", "held")
    assert found.because == "Non évaluée, les données ne peuvent être lues : No table."


def test_what_is_held_back_for_one_reason_is_said_once():
    late, later = (Problem("late", through=dt.date(2026, 9, day)) for day in (20, 21))
    subjects = [subject("kpis", name, problem=late) for name in "abcde"]
    found = judged("kpi_off_target", *subjects, subject("kpis", "f", problem=later))
    assert [(entry.id, entry.owner) for entry in found] == [
        ("kpi_off_target/all/2026-Q3", "owner@example.com"),
        ("kpi_off_target/f/2026-Q3", "owner@example.com"),
    ]
    assert found[0].title.endswith("The thing, The thing, The thing and 2 more: not judged")


def test_texts_have_the_figures_as_they_are_written_and_the_gravest_comes_first():
    one = subject("slos", "one", used=1.25, used_1=1.5)
    two = subject("slos", "two", used=1.5, used_1=1.004)
    found = judged("budget_overspent_twice", one, two)
    assert [entry.subject for entry in found] == ["two", "one"]
    assert found[0].because == (
        "150.0% of the budget was used in Q3 2026 and 100.4% in Q2 2026, for a target of 99.50%."
    )
    assert [(e.name, e.value, e.text) for e in found[1].evidence] == [
        ("used", 1.25, "125.0%"), ("used_1", 1.5, "150.0%"), ("target", Decimal("0.995"), "99.50%"),
    ]  # fmt: skip
    assert {(e.question, e.link) for e in found[1].evidence} == {
        ("cadran show thing", "kpis/thing")
    }
    [french] = judged("credits_over_fix", subject("contracts", credits=Decimal(2500)), lang="fr")
    assert french.because.replace("\u202f", " ").replace("\xa0", " ") == (
        "Les avoirs dus sur T3 2026 s'élèvent à 2 500,00 € ; une correction est estimée à"
        " 1 000,00 €."
    )
    assert (french.cost.amount, french.cost.currency) == (Decimal(2500), "EUR")


@pytest.mark.parametrize(("incidents", "confidence"), [(5, "high"), (2, "medium"), (1, "low")])
def test_confidence_follows_the_number_behind_it(incidents, confidence):
    [found] = judged("cause_dominates", subject("slos", cause_share=0.9, cause_incidents=incidents))
    assert found.confidence == confidence


def test_what_is_dear_is_asked_only_of_what_was_found():
    asked = []

    def driver(name):
        asked.append(name)
        return {"driver": "France", "driver_effect": Decimal(-12), "driver_base": "2025-Q3"}

    subjects = [
        Subject("kpis", name, {"en": name}, "o@example.com", {**KPI, "missed": missed}, unit="EUR",
                more=lambda name=name: driver(name))
        for name, missed in (("a", 1), ("b", 3))
    ]  # fmt: skip
    [found] = judged("kpi_off_target", *subjects)
    assert asked == ["b"]
    assert "France, -€12" in found.because
    assert found.confidence == "high"


# The expression ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4 / 8", Decimal("6.5")), ("0.1 + 0.2 == 0.3", True), ("-a < 0", True),
        ("1 < a <= 2", True), ("a > 1 and b > 1", None), ("a > 2 and b > 1", False),
        ("a > 1 or b > 1", True), ("not b > 1", None), ("known(b)", False), ("known(a)", True),
        ("first(b, a, 7)", 2), ("share_of(a, 0)", None), ("a / 0 > 1", None), ("max(b, a, 1)", 2),
        ("min(b)", None), ("missing > 1", None), ("text > 1", None),
    ],
)  # fmt: skip
def test_an_expression_is_exact_and_knows_what_it_does_not_know(text, value):
    assert Expression(text).of({"a": 2, "b": None, "text": "x"}) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')", "a.b", "a[0]", "lambda: 1", "open(a)", "'text'", "a if b else c",
        "a ** 9", "1 if a", "", "a; b", "[a]", "(x := 1)", "max(a, key=b)", "max()", "True",
        "known(a, b)", "share_of(a)", "a in b", "a + " * 200 + "a", "f'{a}'", "max(*a)", "1j",
    ],
)  # fmt: skip
def test_an_expression_of_anything_else_is_refused(text):
    with pytest.raises(QueryError, match="expression"):
        Expression(text)


def test_what_is_wrong_in_an_expression_is_named():
    with pytest.raises(QueryError, match=r"'a \+ b\[0\]' holds 'b\[0\]'"):
        Expression("a + b[0]")


# Rules of a project ------------------------------------------------------------------------------

OWN = """
rules:
  budget_unused: off
  credits_over_fix:
    parameters: {fix_cost: 3000}
    subjects: {dear: {fix_cost: 5000.50}}
    owner: cfo@example.com
  much_used:
    of: slos
    when: used > bound
    parameters: {bound: 0.9}
    title: {en: "{label} at {used}", fr: "{label} à {used}"}
    because: {en: b, fr: b}
    action: {en: a, fr: a}
    effect: {en: e, fr: e}
"""


def test_a_project_switches_off_tunes_and_adds_rules(tmp_path):
    (tmp_path / "cadran_recommendations.yml").write_text(OWN)
    rules = read(tmp_path)
    assert set(rules) == (set(RULES) - {"budget_unused"}) | {"much_used"}
    cheap, dear = (subject("contracts", name, credits=Decimal(4000)) for name in ("cheap", "dear"))
    [found] = judged("credits_over_fix", cheap, dear, rules=rules)
    assert (found.subject, found.owner) == ("cheap", "cfo@example.com")
    [found] = judged("much_used", subject("slos", used=0.95), rules=rules)
    assert found.title == "The thing at 95.0%"


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("budget_unused: {when: usde > 1}", "names 'usde'"),
        ("budget_unused: {when: open(used)}", "holds 'open(used)': an expression takes"),
        ("budget_unused: {parameters: {unused: much}}", "unused"),
        ("budget_unused: {title: {en: '{usd}', fr: x}}", "names 'usd'"),
        ("budget_unused: {title: {en: '{used:.1f}', fr: x}}", "write '{used}'"),
        ("budget_unused: {title: {en: x, fr: '{used!r}'}}", "gives 'used' a format in '{used!r}'"),
        ("budget_unused: {subjects: {x: {other: 1}}}", "gives a subject 'other'"),
        ("budget_unused: {color: red}", "color"),
        ("budget_unused: maybe", "is 'maybe'"),
        ("mine: {of: slos, when: used > 1}", "title"),
    ],
)
def test_what_a_project_must_not_say_is_refused_by_its_place(tmp_path, rule, sentence):
    (tmp_path / "cadran_recommendations.yml").write_text(f"rules:\n  {rule}\n")
    with pytest.raises(CardError) as refused:
        read(tmp_path)
    assert sentence in str(refused.value)
    assert "cadran_recommendations.yml" in str(refused.value)


def test_the_schema_completes_the_settings():
    schema = schemas()["cadran_recommendations.schema.json"]
    assert set(schema["$defs"]["Change"]["properties"]) >= {"when", "parameters", "owner"}


# Decisions ----------------------------------------------------------------------------------------


class Gathered:
    """Figures that stand still: an SLO that overspends in each period, another one never."""

    def __init__(self, *_args, **_kwargs):
        pass

    def subjects(self, kind):
        if kind != "slos":
            return ()
        return (subject("slos", "one", used=1.2, used_1=1.2), subject("slos", "two"))


@pytest.fixture
def layer(tmp_path, monkeypatch):
    monkeypatch.setattr(recommend, "Gathering", Gathered)
    source = SimpleNamespace(of=lambda layer: layer)
    monkeypatch.setattr(recommend, "Source", source)
    return SimpleNamespace(project=SimpleNamespace(root=tmp_path))


ONE = "budget_overspent_twice/one/2026-Q2"


def test_a_decision_is_kept_and_comes_back_with_the_recommendation_and_in_the_next_period(layer):
    assert [entry.id for entry in recommend.recommendations(layer, "2026-Q2")] == [ONE]
    decide(layer, ONE, "accepted", note="Two people until June.", by="ann@example.com")
    [found] = recommend.recommendations(layer, "2026-Q2")
    assert (found.status, found.decided_by, found.note) == (
        "accepted", "ann@example.com", "Two people until June.",
    )  # fmt: skip
    after = recommend.recommendations(layer, Q3, lang="fr")
    [outcome] = outcomes(layer, Q3, after, lang="fr")
    assert (outcome.id, outcome.status, outcome.is_back) == (ONE, "accepted", True)
    assert outcome.title == "La chose : budget d'erreur dépassé deux périodes de suite"
    decide(layer, ONE, "done", note="It is.", by="ben@example.com")
    assert [d.decision for d in decisions(layer, ONE)] == ["accepted", "done"]
    assert Journal(layer.project.root / "journal", "decisions").faults() == []


def test_what_the_last_pack_of_a_period_said_is_told_in_the_next_one(layer):
    assert outcomes(layer, Q3, ()) == ()
    titles = {"old_rule/two/2026-Q2": {"en": "As it was said.", "fr": "Comme dit alors."}}
    figure = PublishedFigure("net_revenue", Q3.start, Q3.end, 1)
    for said in ({}, titles):
        publish(layer, "2026-Q2", [figure], by="ann@example.com", recommendations=said)
    [outcome] = outcomes(layer, Q3, (), lang="fr")
    assert (outcome.title, outcome.status, outcome.is_back) == ("Comme dit alors.", "open", False)


@pytest.mark.parametrize(
    ("decision", "note", "sentence"),
    [
        ("done", "It is.", "accept it first"),
        ("accepted", "  ", "takes a note"),
        ("accepted", "x" * 2001, "takes a note"),
    ],
)
def test_a_decision_that_makes_no_sense_is_not_kept(layer, decision, note, sentence):
    with pytest.raises(QueryError, match=sentence):
        decide(layer, ONE, decision, note=note, by="ann@example.com")
    assert decisions(layer) == ()


def test_the_same_decision_twice_and_one_about_nothing_are_refused(layer):
    decide(layer, ONE, "rejected", note="Not now.", by="ann@example.com")
    with pytest.raises(QueryError, match="was rejected before"):
        decide(layer, ONE, "rejected", note="Not now.", by="ann@example.com")
    with pytest.raises(UnknownNameError, match=ONE):
        decide(layer, ONE.replace("one", "won"), "accepted", note="x", by="ann@example.com")


# The probability ---------------------------------------------------------------------------------


def test_the_probability_of_a_breach_is_that_of_all_draws():
    # One month of six is so bad that it alone overspends a quarter: 1 - (5/6)^3 = 91/216.
    assert breach_probability([40, 1, 1, 1, 1, 1], [10] * 6) == pytest.approx(91 / 216)
    # It takes two of them: 3 (1/6)^2 (5/6) + (1/6)^3 = 16/216.
    assert breach_probability([16, 1, 1, 1, 1, 1], [10] * 6) == pytest.approx(16 / 216)
    assert breach_probability([1] * 6, [10] * 6) == 0
    assert breach_probability([1] * 5, [10] * 5) is None


def test_a_year_is_drawn_the_same_way_each_time_and_near_the_exact_value():
    bad = [130, *[0] * 11]
    exact = 1 - (11 / 12) ** 12
    drawn = breach_probability(bad, [10] * 12, months=12)
    assert drawn == breach_probability(bad, [10] * 12, months=12)
    assert drawn == pytest.approx(exact, abs=0.012)


def test_what_cannot_be_read_is_one_subject_that_says_so(monkeypatch):
    def broken(_self):
        raise QueryError("The warehouse has no such table.")

    monkeypatch.setattr(Gathering, "_slos", broken)
    gathering = Gathering.__new__(Gathering)
    gathering._known = {}
    [found] = gathering.subjects("slos")
    assert found.problem == Problem("broken", reason="The warehouse has no such table.")


def test_the_command_lists_decides_and_tells_what_was_decided(layer, monkeypatch, capsys):
    monkeypatch.setattr("cadran.cli.recommend.open_layer", lambda _: layer)
    assert main(["recommend", "list", "--period", "2026-Q2", "--lang", "fr"]) == 0
    title = "La chose\N{NO-BREAK SPACE}: budget d\N{RIGHT SINGLE QUOTATION MARK}erreur dépassé"
    assert title in capsys.readouterr().out
    assert main(["recommend", "accept", ONE, "--note", "Yes.", "--by", "ann@example.com"]) == 0
    assert main(["recommend", "history", "--format", "json"]) == 0
    [line] = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert (line["decision"], line["by"], line["note"]) == ("accepted", "ann@example.com", "Yes.")
    assert main(["recommend", "accept", ONE, "--note", "Yes.", "--by", "ann@example.com"]) == 2
    assert "was accepted before" in capsys.readouterr().err
