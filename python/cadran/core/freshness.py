"""How old the data behind a KPI is, beside what its card promises."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.errors import WarehouseError
from cadran.formats import periods

if TYPE_CHECKING:
    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card


@dataclass(frozen=True, slots=True)
class Freshness:
    """The newest record behind a KPI and its age when the catalogue was made."""

    model: str
    newest: dt.datetime
    age: dt.timedelta
    promise: dt.timedelta

    @property
    def is_late(self) -> bool:
        """True when the data is older than the card allows."""
        return self.age > self.promise


class Newest:
    """Looks up the newest record of each mart, once."""

    def __init__(self, layer: Layer, now: dt.datetime) -> None:
        """Take the layer and the moment that ages are told at."""
        self.layer = layer
        self.now = now
        self._models = {m["name"]: m for m in layer.project.semantic_manifest["semantic_models"]}
        self._known: dict[str, dt.datetime | None] = {}

    def of(self, card: Card) -> Freshness | None:
        """The oldest among the marts of the KPI: it is no fresher than its stalest part."""
        models = self.layer.metric_graph.semantic_models(card.name)
        ages = {name: self._newest(name) for name in sorted(models)}
        times = {name: newest for name, newest in ages.items() if newest is not None}
        if not times:
            return None
        model = min(times, key=times.__getitem__)
        promise = periods.length(card.refresh.late_after)
        return Freshness(model, times[model], max(self.now - times[model], dt.timedelta()), promise)

    def _newest(self, name: str) -> dt.datetime | None:
        if name not in self._known:
            self._known[name] = self._query_newest(self._models[name])
        return self._known[name]

    def _query_newest(self, model: dict[str, Any]) -> dt.datetime | None:
        default = (model.get("defaults") or {}).get("agg_time_dimension")
        times = {
            dimension["name"]: dimension["expr"] or dimension["name"]
            for dimension in model["dimensions"]
        }
        column = times.get(default or "")
        if column is None:
            return None
        relation = model["node_relation"]["relation_name"]
        # A business day says less than the moment it was made from, which stands beside it.
        for candidate in (column.removesuffix("_date") + "_at", column):
            try:
                answer = self.layer.warehouse.arrow(f"select max({candidate}) from {relation}")
            except WarehouseError:
                continue
            newest = answer.column(0)[0].as_py()
            if isinstance(newest, dt.datetime):
                return newest if newest.tzinfo else newest.replace(tzinfo=dt.UTC)
            if isinstance(newest, dt.date):
                whole_day = dt.datetime.combine(newest, dt.time.max, dt.UTC)
                return min(whole_day, self.now)
        return None
