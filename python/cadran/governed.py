"""A KPI is answered at the grains and by the dimensions of its card, and not otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cadran.errors import NotGovernedError, QueryError, UnknownNameError, listing
from cadran.query import GRAINS, GroupBy, Query
from cadran.where import names_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.cards import Card

TIME = "metric_time"


def govern(
    query: Query, cards: list[Card], dimensions: Callable[[tuple[str, ...]], list[dict[str, str]]]
) -> Query:
    """The question when every card in it allows it; several KPIs are asked by what they share.

    Args:
        query: the question.
        cards: the cards of the KPIs in it.
        dimensions: tells what metrics could be grouped by, to tell a wrong name from a forbidden.

    Returns:
        The question, with `metric_time` at the finest grain that the cards share where none was
        given.

    Raises:
        NotGovernedError: a grain or dimension is not on the cards.
        UnknownNameError: a dimension does not exist at all.
        QueryError: a filter is no template, so that nothing can be said of what it filters.
    """
    grains = [grain for grain in GRAINS if all(grain in card.grains for card in cards)]
    shared = [d for d in cards[0].dimensions if all(d in card.dimensions for card in cards)]

    def refuse(what: str) -> None:
        names = ", ".join(card.name for card in cards)
        owners = ", ".join(dict.fromkeys(card.owner.business for card in cards))
        together = "they share" if len(cards) > 1 else "its card has"
        raise NotGovernedError(
            f"{names} {'are' if len(cards) > 1 else 'is'} not defined {what}: {together} the"
            f" grains {listing(grains)} and the dimensions {listing(shared)}. Ask {owners} to add"
            " it to the card, or ask with governed=False for the metric behind, which is not"
            " the KPI."
        )

    def check(group: GroupBy) -> GroupBy:
        if group.base != TIME:
            if group.base not in shared or group.date_part:
                known = [item["name"] for item in dimensions(query.metrics)]
                if group.base not in known:
                    of = f" of {', '.join(query.metrics)}"
                    raise UnknownNameError("dimension", group.base, [*shared, TIME], where=of)
                refuse(f"by {group.base}")
            return group
        if group.date_part:
            refuse(f"by the {group.date_part} of {TIME}")
        grain = group.asked_grain
        if grain is None:
            if not grains:
                refuse(f"by {TIME}")
            return GroupBy(TIME, grains[0])
        if grain not in grains:
            refuse(f"by {grain}")
        return group

    checked = tuple(check(group) for group in query.group_by)
    for text in query.where:
        named = names_in(text)
        if not named.is_template:
            raise QueryError(
                f"The filter {text!r} names no dimension as a template, so it cannot be checked"
                " against the card. Write for instance {{ Dimension('customer__country') }} = 'FR'."
            )
        for name in (*named.dimensions, *map(GroupBy, named.entities)):
            check(name)
        for name in named.metrics:
            refuse(f"where {name} is filtered")
    return replace(query, group_by=checked)
