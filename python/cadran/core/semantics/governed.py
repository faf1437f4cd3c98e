"""A KPI is answered at the grains and by the dimensions of its card, and not otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from cadran.core.query.filters import read
from cadran.core.query.request import GRAINS, GroupBy, Query
from cadran.errors import NotGovernedError, QueryError, UnknownNameError, listing

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.core.project.cards import Card

TIME = "metric_time"


def govern(
    query: Query,
    cards: list[Card],
    dimensions: Callable[[tuple[str, ...]], list[dict[str, str]]],
    *,
    remote: bool = False,
) -> Query:
    """The question when every card in it allows it; several KPIs are asked by what they share.

    Args:
        query: the question.
        cards: the cards of the KPIs in it.
        dimensions: tells what metrics could be grouped by, to tell a wrong name from a forbidden.
        remote: whoever asks cannot ask the metric behind a KPI.

    Returns:
        The question, with `metric_time` at the finest grain that the cards share where none was
        given.

    Raises:
        NotGovernedError: a grain or dimension is not on the cards.
        UnknownNameError: a dimension does not exist at all.
        QueryError: a filter is no template, so that nothing can be said of what it filters.
    """
    rules = _Rules(cards, dimensions, remote=remote)
    checked = tuple(rules.checked(group, query.metrics) for group in query.group_by)
    for text in query.where:
        condition = read(text)
        if not condition.fields:
            raise QueryError(
                f"The filter {text!r} names no dimension as a template, so it cannot be checked"
                " against the card. Write for instance {{ Dimension('customer__country') }} = 'FR'."
            )
        for group in condition.groups:
            rules.checked(group, query.metrics)
        for field in condition.fields:
            if field.kind == "Metric":
                rules.refuse(f"where {field.name} is filtered")
    return replace(query, group_by=checked)


class _Rules:
    """What some cards allow together."""

    def __init__(
        self,
        cards: list[Card],
        dimensions: Callable[[tuple[str, ...]], list[dict[str, str]]],
        *,
        remote: bool,
    ) -> None:
        self.remote = remote
        self.cards = cards
        self.dimensions_of = dimensions
        self.grains = [g for g in GRAINS if all(g in card.grains for card in cards)]
        self.shared = [
            d for d in cards[0].dimensions if all(d in card.dimensions for card in cards)
        ]

    def checked(self, group: GroupBy, metrics: tuple[str, ...]) -> GroupBy:
        """The same, with a grain where a bare `metric_time` had none."""
        if group.base != TIME:
            if group.base not in self.shared or group.date_part:
                if group.base not in [item["name"] for item in self.dimensions_of(metrics)]:
                    of = f" of {', '.join(metrics)}"
                    raise UnknownNameError("dimension", group.base, [*self.shared, TIME], where=of)
                self.refuse(f"by {group.base}")
            return group
        if group.date_part:
            self.refuse(f"by the {group.date_part} of {TIME}")
        grain = group.asked_grain or next(iter(self.grains), None)
        if grain not in self.grains:
            self.refuse(f"by {grain or TIME}")
        return group if group.asked_grain else GroupBy(TIME, grain)

    def refuse(self, what: str) -> NoReturn:
        names = ", ".join(card.name for card in self.cards)
        owners = ", ".join(dict.fromkeys(card.owner.business for card in self.cards))
        several = len(self.cards) > 1
        behind = ", or ask with governed=False for the metric behind, which is not the KPI"
        raise NotGovernedError(
            f"{names} {'are' if several else 'is'} not defined {what}:"
            f" {'they share' if several else 'its card has'} the grains {listing(self.grains)} and"
            f" the dimensions {listing(self.shared)}. Ask {owners} to add it to the"
            f" card{'' if self.remote else behind}."
        )
