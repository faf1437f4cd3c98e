"""How old the data behind a KPI is, beside what its card promises."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.errors import WarehouseError

if TYPE_CHECKING:
    from cadran.cards import Card
    from cadran.layer import Layer

LENGTHS = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2678400}


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
        ages = {name: self._newest(name) for name in sorted(self._behind(card.name))}
        known = {name: newest for name, newest in ages.items() if newest is not None}
        if not known:
            return None
        model = min(known, key=known.__getitem__)
        promise = dt.timedelta(seconds=seconds(card.refresh.late_after))
        return Freshness(model, known[model], max(self.now - known[model], dt.timedelta()), promise)

    def _behind(self, metric: str) -> set[str]:
        given = self.layer.metric(metric)["type_params"]
        aggregated = given.get("metric_aggregation_params")
        if aggregated:
            return {aggregated["semantic_model"]}
        inputs: list[Any] = [*(given.get("metrics") or ())]
        inputs += [given.get("numerator"), given.get("denominator")]
        inputs.append((given.get("cumulative_type_params") or {}).get("metric"))
        conversion = given.get("conversion_type_params") or {}
        inputs += [conversion.get("base_metric"), conversion.get("conversion_metric")]
        return {name for one in inputs if one for name in self._behind(one["name"])}

    def _newest(self, name: str) -> dt.datetime | None:
        if name not in self._known:
            self._known[name] = self._asked(self._models[name])
        return self._known[name]

    def _asked(self, model: dict[str, Any]) -> dt.datetime | None:
        default = (model.get("defaults") or {}).get("agg_time_dimension")
        times = {one["name"]: one["expr"] or one["name"] for one in model["dimensions"]}
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


def seconds(duration: str) -> int:
    """The length of "3 hours" as a card writes it."""
    count, unit = duration.split()
    return int(count) * LENGTHS[unit.removesuffix("s")]
