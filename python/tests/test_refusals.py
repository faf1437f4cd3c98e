"""What a wrong question is told: what is wrong, what was probably meant, what is allowed."""

from __future__ import annotations

import pytest

import cadran

TYPO = "customer__contry"


@pytest.mark.parametrize(
    ("asked", "name", "meant"),
    [
        ({"metrics": ["revnue"]}, "revnue", "revenue"),
        ({"metrics": ["orders"], "group_by": [TYPO]}, TYPO, "customer__country"),
        ({"metrics": ["orders"], "group_by": ["metric_tim__month"]}, "metric_tim", "metric_time"),
        ({"metrics": ["orders"], "group_by": ["metric_time__moonth"]}, "moonth", "month"),
        ({"metrics": ["orders"], "where": f"{TYPO} = 'FR'"}, TYPO, "customer__country"),
        (
            {"metrics": ["orders"], "where": "{{ Dimension('customer__contry') }} = 'FR'"},
            TYPO,
            "customer__country",
        ),
        ({"metrics": ["orders"], "order_by": ["-order"]}, "-order", "orders"),
        ({"saved_query": "by_chanel"}, "by_chanel", "by_channel"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_told_its_near_miss(shop, asked, name, meant):
    with pytest.raises(cadran.UnknownNameError) as caught:
        shop.query(**asked)
    assert caught.value.name.startswith(name)
    assert meant in caught.value.suggestions
    assert meant in str(caught.value)
    assert isinstance(caught.value, LookupError)


def test_a_grain_finer_than_the_data_is_refused_with_the_grains_there_are(shop):
    with pytest.raises(cadran.UnknownNameError, match=r"hour.*day"):
        shop.query(["orders"], ["metric_time__hour"])


@pytest.mark.parametrize("name", ["ревеню", "收入", "a b", "'; drop table x; --", "é☕", ""])
def test_weird_names_are_unknown_names(shop, name):
    with pytest.raises(cadran.UnknownNameError):
        shop.query([name])
    with pytest.raises(cadran.QueryError):
        shop.query(["orders"], [name])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "Nothing is asked"),
        ({"metrics": ["orders"], "start": "2026-02-01", "end": "2026-01-01"}, "after"),
        ({"metrics": ["orders"], "start": "yesterday"}, "2026-01-31"),
        ({"metrics": ["orders"], "limit": -1}, "limit"),
        ({"metrics": ["orders"], "limit": True}, "limit"),
        ({"metrics": ["orders", "orders"]}, "twice"),
        ({"metrics": ["orders"], "where": "customer__country ="}, "not a condition"),
        ({"metrics": ["orders"], "where": "1 = 1) union select (1"}, "not a condition"),
        ({"metrics": ["orders"], "where": "customer__country in (select 1)"}, "subquery"),
        ({"metrics": ["orders"], "where": "customer__country = 'FR' -- and"}, "comment"),
        ({"metrics": ["orders"], "where": "customer__country = 1; drop table t"}, "one condition"),
        ({"metrics": ["orders"], "where": "{% for x in y %}"}, "template"),
        ({"metrics": ["orders"], "where": "shop.orders.amount > 1"}, "of a table"),
        ({"metrics": ["amount_to_date"], "start": "2026-02-01"}, "metric_time"),
    ],
)
def test_a_question_without_sense_is_refused_in_a_sentence(shop, asked, says):
    with pytest.raises(cadran.QueryError, match=says) as caught:
        shop.query(**asked)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_a_card_that_is_not_in_the_answer_is_an_unknown_name(shop):
    result = shop.query(["revenue", "orders"])
    assert result.card("revenue").version == 3
    with pytest.raises(cadran.UnknownNameError):
        result.card("orders")


def test_a_text_that_is_no_number_is_the_warehouses_refusal(shop):
    with pytest.raises(cadran.WarehouseError, match="refused"):
        shop.query(["orders"], where="customer__country = 1")
