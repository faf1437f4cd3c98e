"""What a caller may know of: KPIs, metrics, dimensions and saved queries, before a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.core.query.request import Query
from cadran.errors import CadranError, NotAllowedError, UnknownNameError
from cadran.serving import redaction

if TYPE_CHECKING:
    from cadran.access.caller import Caller
    from cadran.access.gate import Gate, Visible
    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.serving.snapshots import SnapshotStore


_ACTS = {"query": "ask for numbers", "metadata": "see what there is", "write": "write notes"}


def entitled(caller: Caller, scope: str) -> None:
    """Refuse what the caller's token is not for.

    Raises:
        NotAllowedError: so.
    """
    if scope not in caller.scopes:
        what = _ACTS.get(scope, scope)
        has = ", ".join(sorted(caller.scopes)) or "none"
        raise NotAllowedError(
            f"{caller.name} may not {what}: that needs a token with the scope {scope} (it has"
            f" {has})."
        )


class MetadataService:
    """Shows callers what there is; the part of the service that answers no question."""

    def __init__(self, snapshots: SnapshotStore, gate: Gate) -> None:
        """Take the data that is served, and what judges callers."""
        self.snapshots = snapshots
        self.gate = gate

    def visible(self, caller: Caller) -> Visible:
        """What the caller may know of.

        Raises:
            NotAllowedError: nothing.
        """
        entitled(caller, "metadata")
        return self.gate.visible(caller, self.snapshots.current.layer)

    def kpis(self, caller: Caller) -> list[Card]:
        """The cards that the caller may see, with the dimensions it may see."""
        return self._cards(self.visible(caller), self.snapshots.current.layer)

    @staticmethod
    def _cards(visible: Visible, layer: Layer) -> list[Card]:
        names = redaction.metric_names(layer)
        cards = [card for card in layer.kpis() if visible.metric(card.name)]
        return [redaction.visible_card(card, visible, names) for card in cards]

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
        visible = self.visible(caller)
        return [m for m in self.snapshots.current.layer.metrics() if visible.metric(m["name"])]

    def dimensions(self, caller: Caller, metrics: tuple[str, ...]) -> list[dict[str, str]]:
        """What these metrics can be grouped by together, as `Layer.dimensions` gives it.

        Raises:
            UnknownNameError: a metric does not exist, or not for this caller.
        """
        visible = self.visible(caller)
        for name in metrics:
            if not visible.metric(name):
                raise UnknownNameError("metric", name, [m["name"] for m in self.metrics(caller)])
        dimensions = self.snapshots.current.layer.dimensions(metrics)
        return [d for d in dimensions if d["name"] == "metric_time" or visible.dimension(d["name"])]

    def sees_all_rows(self, caller: Caller, kpi: str) -> bool:
        """Whether the caller may see a KPI of the whole company, so that its targets are told."""
        layer = self.snapshots.current.layer
        try:
            allowed = self.gate.allow(caller, Query(metrics=(kpi,)), layer)
        except CadranError:
            return False
        return not allowed.query.confined and not allowed.query.where

    def sees_whole(self, caller: Caller, kpi: str) -> bool:
        """Whether the caller may see all rows of a KPI, by every dimension of its card."""
        if not self.sees_all_rows(caller, kpi):
            return False
        try:
            visible = self.visible(caller)
        except CadranError:
            return False
        dimensions = self.snapshots.current.layer.card(kpi).dimensions
        return all(visible.dimension(name) for name in dimensions)

    def saved_queries(self, caller: Caller) -> list[dict[str, Any]]:
        """The saved queries that the caller may ask: name, label, description and `query`."""
        entitled(caller, "metadata")
        layer = self.snapshots.current.layer
        entries = []
        for saved in layer.saved_queries():
            try:
                allowed = self.gate.allow(caller, Query(saved_query=saved["name"]), layer)
            except CadranError:
                continue
            entries.append({**saved, "query": allowed.query})
        return entries
