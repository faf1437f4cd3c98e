"""A broken card is refused in a sentence that names file, KPI and key, and what would be right."""

from __future__ import annotations

import copy
import json

import pytest

import cadran
from cadran.core.project.cards import read, restored

RIGHT = {
    "tier": "strategic", "objective": "grow_profitably", "scope": "global",
    "owner": {"business": "sales@example.com", "technical": "data@example.com"},
    "status": "certified", "unit": "EUR", "direction": "up", "decimals": 0,
    "additivity": "additive", "grains": ["day", "month"], "dimensions": ["order_id__channel"],
    "refresh": {"every": "1 hour", "late_after": "3 hours"}, "formula": "sum of amounts",
    "review_by": "2027-06-30", "version": 1,
    "fr": {"label": "Chiffre d'affaires", "description": "Montants.", "formula": "somme"},
}  # fmt: skip


def card(changes=None, **metric):
    content = copy.deepcopy(RIGHT)
    for key, value in (changes or {}).items():
        block, _, inner = key.partition(".")
        target = content[block] if inner else content
        if value is ...:
            del target[inner or block]
        else:
            target[inner or block] = value
    described = {"name": "revenue", "label": "Revenue", "description": "Amounts of orders."}
    described |= metric | {"config": {"meta": {"kpi": content}}}
    return read(described, lambda: "metrics/shop.yml")


def test_a_card_is_read_as_it_is_written():
    found = card()
    assert (found.name, found.label, found.tier, found.version) == (
        "revenue",
        "Revenue",
        "strategic",
        1,
    )
    assert found.owner.business == "sales@example.com"
    assert found.refresh.late_after == "3 hours"
    assert found.review_by.isoformat() == "2027-06-30"


def test_a_card_speaks_french_and_keeps_its_keys():
    french = card({"not_for": ["cash"], "fr.not_for": ["encaissements"]}).localized("fr")
    assert french.label == "Chiffre d'affaires"
    assert french.not_for == ("encaissements",)
    assert french.unit == "EUR"


def test_a_card_becomes_json():
    shown = card().to_dict("fr")
    assert json.loads(json.dumps(shown))["label"] == "Chiffre d'affaires"
    assert shown["review_by"] == "2027-06-30"
    assert shown["grains"] == ["day", "month"]


@pytest.mark.parametrize(
    "key", [*sorted(RIGHT.keys() - {"fr"}), "owner.technical", "refresh.every", "fr.formula"]
)
def test_a_missing_key_is_named(key):
    with pytest.raises(cadran.CardError) as caught:
        card({key: ...})
    for word in ("metrics/shop.yml", "revenue", key, "missing"):
        assert word in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("tier", "strategc", "strategic"),
        ("status", "live", "certified"),
        ("direction", "upwards", "up, down, band"),
        ("additivity", "yes", "semi_additive"),
        ("owner.business", "head of sales", "e-mail"),
        ("owner.technical", "sales@example.com", "two"),
        ("decimals", -1, "whole number"),
        ("decimals", 1.5, "whole number"),
        ("version", 0, "from 1"),
        ("version", True, "whole number"),
        ("grains", [], "at least one"),
        ("grains", ["day", "dya"], "month"),
        ("grains", ["day", "day"], "twice"),
        ("dimensions", "order_id__channel", "list"),
        ("refresh.every", "hourly", "1 day"),
        ("review_by", "next year", "2027-06-30"),
        ("formula", " ", "text"),
        ("fr.label", "", "text"),
        ("dimension", ["x"], "did you mean 'dimensions'"),
        ("owner.tecnical", "x", "did you mean 'technical'"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(key, value, says):
    with pytest.raises(cadran.CardError) as caught:
        card({key: value})
    for word in ("metrics/shop.yml", "revenue", key.split(".")[0], says):
        assert word in str(caught.value)


@pytest.mark.parametrize("what", ["label", "description"])
def test_the_metric_itself_must_be_described(what):
    with pytest.raises(cadran.CardError, match=what):
        card(**{what: None})


def test_the_layer_names_the_file_of_a_broken_card(tiny, tmp_path):
    for name in ("manifest.json", "semantic_manifest.json"):
        content = json.loads((tiny.parent / name).read_text())
        for metric in content["metrics"] if name.startswith("sem") else ():
            if metric["name"] == "revenue":
                metric["config"]["meta"]["kpi"]["tier"] = "strategc"
        (tmp_path / name).write_text(json.dumps(content))
    layer = cadran.open(manifest=tmp_path / "semantic_manifest.json", database=tmp_path / "none")
    with pytest.raises(cadran.CardError, match=r"metrics.metrics\.yml.*revenue.*tier"):
        layer.card("revenue")
    with pytest.raises(cadran.CardError, match=r"revenue.*tier"):
        layer.query("revenue", governed=False)
    assert layer.broken_cards.keys() == {"revenue"}
    assert "revenue" not in {card.name for card in layer.kpis()}
    assert layer.card("amount_per_order").version == 1


def test_a_draft_may_lack_anything_but_its_status_and_says_what():
    metric = {"name": "visits", "label": None, "description": None}
    draft = read(metric | {"config": {"meta": {"kpi": {"status": "draft", "unit": "EUR"}}}}, str)
    assert draft.lacks[:4] == ("label", "description", "tier", "objective")
    assert "unit" not in draft.lacks
    assert (draft.label, draft.unit, draft.formula) == ("visits", "EUR", "")
    assert draft.draft_note.startswith("visits is a draft: its card lacks label, description")
    assert restored(json.loads(json.dumps(draft.to_dict()))) == draft
    wrong = {"status": "draft", "unit": "EUR", "tier": "high"}
    with pytest.raises(cadran.CardError, match="key 'tier'"):
        read(metric | {"config": {"meta": {"kpi": wrong}}}, str)


def test_a_card_of_one_language_has_no_words_in_another():
    plain = card({"fr": ...})
    assert plain.localized("fr") == plain
    assert "fr" not in plain.to_dict()
    assert restored(plain.to_dict()) == plain
