"""Questions as people ask them, in both languages: the KPI is found, and its call is sound."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from cadran.insight.search import search


@pytest.fixture(scope="module")
def questions(project_root):
    file = project_root / "python" / "tests" / "fixtures" / "questions.yml"
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def found(layer, question, shown=3):
    return [one.card.name for one in search(layer.kpis(), question["ask"], shown)]


@pytest.mark.parametrize("held_out", [False, True])
def test_the_right_kpi_is_among_the_first_three(layer, questions, held_out):
    asked = [one for one in questions if one.get("held_out", False) == held_out]
    missed = [(one["ask"], found(layer, one)) for one in asked if one["metric"] not in
              found(layer, one)]  # fmt: skip
    assert len(questions) == 60
    assert len(asked) == (20 if held_out else 40)
    assert len(missed) <= len(asked) * 0.05, missed


def test_the_call_that_answers_each_question_is_one_that_the_cards_allow(layer, questions):
    for question in questions:
        call = {key: value for key, value in question.items()
                if key in ("group_by", "where", "start", "end")}  # fmt: skip
        assert layer.sql([question["metric"]], **call), question["ask"]


def test_both_languages_find_the_same_and_a_synonym_is_enough(layer):
    cards = layer.kpis()
    for text in ("average basket", "PANIER MOYEN", "panier-moyen ?", "aov"):
        (first, *_) = search(cards, text)
        assert first.card.name == "average_order_value"
    assert search(cards, "xyzzy, et le de la") == ()
    bare = [replace(card, synonyms=()) for card in cards]
    assert not any(one.card.name == "average_order_value" for one in search(bare, "aov"))


def test_what_is_found_says_by_which_words(layer):
    (first, *_) = search(layer.kpis(), "Quel était le chiffre d'affaires net ?")
    assert first.card.name == "net_revenue"
    assert set(first.words) >= {"chiffre", "affaires", "net"}
    assert "etait" not in first.words


def test_a_trade_that_the_search_was_not_made_for_finds_its_metrics(layer, project_root):
    file = project_root / "python" / "tests" / "fixtures" / "insurance.yml"
    insurer = yaml.safe_load(file.read_text(encoding="utf-8"))
    anyone = layer.card("net_revenue")
    cards = [
        replace(
            anyone, name=name, label=label, description=description, formula=formula,
            synonyms=(), dimensions=(), objective="insure", fr=None, en=None,
        )
        for name, (label, description, formula) in insurer["cards"].items()
    ]  # fmt: skip
    answers = [
        (one["ask"], one["metric"], [match.card.name for match in search(cards, one["ask"], 3)])
        for one in insurer["questions"]
    ]
    missed = [answer for answer in answers if answer[1] not in answer[2]]
    assert len(insurer["questions"]) == 20
    assert len(missed) <= 1, missed
