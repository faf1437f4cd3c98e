"""A KPI is answered at the grains and by the dimensions of its card, and not otherwise."""

from __future__ import annotations

import pytest

import cadran


def test_the_error_names_grains_dimensions_and_owner(shop):
    with pytest.raises(cadran.NotGovernedError) as caught:
        shop.query(["revenue"], ["metric_time__week"])
    text = str(caught.value)
    for word in ("revenue", "week", "day, month", "order_id__channel", "sales@example.com"):
        assert word in text
    assert isinstance(caught.value, PermissionError)


@pytest.mark.parametrize(
    "asked",
    [
        {"group_by": ["metric_time__year"]},
        {"group_by": [cadran.GroupBy("metric_time", date_part="dow")]},
        {"group_by": ["order_id__shipped_date__day"]},
        {"group_by": ["customer"]},
        {"where": "order_id__shipped_date > '2026-02-01'"},
        {"where": "{{ TimeDimension('metric_time', 'week') }} > '2026-02-01'"},
        {"where": "{{ Metric('orders', group_by=['customer']) }} > 1"},
        {"where": "{{ Dimension('order_id__shipped_date').grain('month') }} > '2026-01-01'"},
    ],
)
def test_what_is_not_on_the_card_is_refused(shop, asked):
    with pytest.raises(cadran.NotGovernedError):
        shop.query(["revenue"], **asked)
    assert shop.query(["revenue"], **asked, governed=False).governed is False


def test_a_kpi_without_group_by_is_answered(shop):
    assert len(shop.query(["revenue"])) == 1


def test_several_kpis_are_answered_by_what_their_cards_share(shop):
    both = ["revenue", "amount_per_order"]
    assert len(shop.query(both, ["metric_time__month", "customer__country"])) == 4
    for outside in ("metric_time__day", "metric_time__quarter", "order_id__channel"):
        with pytest.raises(cadran.NotGovernedError):
            shop.query(both, [outside])


def test_a_metric_beside_a_kpi_does_not_widen_its_card(shop):
    with pytest.raises(cadran.NotGovernedError):
        shop.query(["orders", "revenue"], ["metric_time__week"])


def test_metrics_without_a_card_have_no_such_limit(shop):
    result = shop.query(["orders"], ["metric_time__week", "order_id__shipped_date__day"])
    assert result.governed


def test_the_answer_outside_the_card_says_it_is_not_the_kpi(shop):
    result = shop.query(["revenue"], ["metric_time__week"], governed=False)
    assert not result.governed
    assert "not governed" in repr(result)
    assert "not the governed KPI" in result._repr_html_()


def test_a_refusal_is_not_softened_by_a_kept_plan(shop):
    shop.query(["revenue"], ["metric_time__week"], governed=False)
    with pytest.raises(cadran.NotGovernedError):
        shop.query(["revenue"], ["metric_time__week"])


def test_dimensions_and_values_are_held_to_the_card_too(shop):
    listed = {item["name"] for item in shop.dimensions(["revenue"])}
    assert listed == {"metric_time", "order_id__channel", "customer__country"}
    with pytest.raises(cadran.NotGovernedError):
        shop.dimension_values("order_id__shipped_date", metrics=["revenue"])
