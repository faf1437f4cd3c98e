"""What a caller may know of: cards, metrics, dimensions and saved queries, without the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.errors import CadranError, UnknownNameError
from cadran.serving import bounds, told
from cadran.serving.question import Question

if TYPE_CHECKING:
    from cadran.access.caller import Caller
    from cadran.access.gate import Gate, Visible
    from cadran.cards import Card
    from cadran.serving.states import States


class Listings:
    """Shows callers what there is; the part of the desk that answers no question."""

    def __init__(self, states: States, gate: Gate) -> None:
        """Take the data that is served, and what judges callers."""
        self.states = states
        self.gate = gate

    def visible(self, caller: Caller) -> Visible:
        """What the caller may know of.

        Raises:
            NotAllowedError: nothing.
        """
        bounds.entitled(caller, "metadata")
        return self.gate.visible(caller, self.states.current.layer)

    def kpis(self, caller: Caller) -> list[Card]:
        """The cards that the caller may see, with the dimensions it may see."""
        seen = self.visible(caller)
        layer = self.states.current.layer
        names = told.metric_names(layer)
        cards = [card for card in layer.kpis() if seen.metric(card.name)]
        return [told.seen_card(card, seen, names) for card in cards]

    def card(self, caller: Caller, name: str) -> Card:
        """One card.

        Raises:
            UnknownNameError: there is no such KPI, or not for this caller.
        """
        cards = {card.name: card for card in self.kpis(caller)}
        if name not in cards:
            raise UnknownNameError("KPI", name, cards)
        return cards[name]

    def metrics(self, caller: Caller) -> list[dict[str, Any]]:
        """The metrics that the caller may see, as `Layer.metrics` gives them."""
        seen = self.visible(caller)
        return [m for m in self.states.current.layer.metrics() if seen.metric(m["name"])]

    def dimensions(self, caller: Caller, metrics: tuple[str, ...]) -> list[dict[str, str]]:
        """What these metrics can be grouped by together, as `Layer.dimensions` gives it.

        Raises:
            UnknownNameError: a metric does not exist, or not for this caller.
        """
        seen = self.visible(caller)
        for name in metrics:
            if not seen.metric(name):
                raise UnknownNameError("metric", name, [m["name"] for m in self.metrics(caller)])
        found = self.states.current.layer.dimensions(metrics)
        return [one for one in found if one["name"] == "metric_time" or seen.dimension(one["name"])]

    def saved_queries(self, caller: Caller) -> list[dict[str, Any]]:
        """The saved queries that the caller may ask: name, label, description and `query`."""
        bounds.entitled(caller, "metadata")
        layer = self.states.current.layer
        found = []
        for saved in layer.saved_queries():
            try:
                allowed = self.gate.allow(
                    caller, Question.of({"saved_query": saved["name"]}), layer
                )
            except CadranError:
                continue
            found.append({**saved, "query": allowed.question.query})
        return found
