"""What one layer has names for, as far as a network may know: without what shows persons."""

from __future__ import annotations

import datetime as dt
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cadran.filters import Fields
from cadran.governed import TIME
from cadran.query import GroupBy

if TYPE_CHECKING:
    from cadran.cards import Card
    from cadran.layer import Layer


class Names:
    """The names of one layer. Read once, when they are first needed."""

    def __init__(self, layer: Layer) -> None:
        """Take a layer; nothing is read yet."""
        self._layer = layer

    @cached_property
    def fields(self) -> Fields:
        """Which names are times, entities and grains."""
        return Fields.of(self._layer.project.semantic_manifest)

    @cached_property
    def cards(self) -> dict[str, Card]:
        """The KPIs."""
        return {card.name: card for card in self._layer.kpis()}

    @cached_property
    def listed(self) -> frozenset[str]:
        """The metrics that are not hidden."""
        return frozenset(metric["name"] for metric in self._layer.metrics())

    @cached_property
    def metrics(self) -> frozenset[str]:
        """Every metric, hidden ones included."""
        found = self._layer.project.semantic_manifest["metrics"]
        return frozenset(metric["name"] for metric in found)

    @cached_property
    def personal(self) -> frozenset[str]:
        """What shows persons, by the names under which it can be asked: `customer__email`."""
        from cadran.governance import personal, settings
        from cadran.governance.context import Context
        from cadran.governance.rules import registered

        project = self._layer.project
        read = settings.read(project.root, set(registered()))
        context = Context(self._layer, read, dt.datetime.now(dt.UTC).date())
        return frozenset(name for item in personal.items(context) for name in item.asked_as)

    @cached_property
    def dimensions(self) -> frozenset[str]:
        """Every dimension and entity that does not show persons."""
        found = {item["name"] for item in self._layer.dimensions()} | self.fields.entities
        found |= {name for card in self.cards.values() for name in card.dimensions}
        return frozenset(name for name in found if not self.is_personal(name))

    def is_personal(self, name: str) -> bool:
        """Whether something to group by shows persons, at whatever grain and through any path."""
        around = f"__{name.lower()}__"
        return any(f"__{one.lower()}__" in around for one in self.personal)

    def plain(self, group: GroupBy) -> GroupBy:
        """Something to group by in the form in which it is compared: lower case, grain apart."""
        name, grain = group.name.lower(), group.grain
        base, _, last = name.rpartition("__")
        if base and grain is None and last in self.fields.grains:
            name, grain = base, last
        part = group.date_part.lower() if group.date_part else None
        return GroupBy(name, grain.lower() if grain else None, part)

    def known(self, metrics: tuple[str, ...]) -> list[dict[str, str]]:
        """What these metrics can be grouped by, whatever their cards say, but for persons."""
        found = self._layer.dimensions(metrics, governed=False)
        names = {item["name"] for item in found}
        extra = [] if TIME in names else [{"name": TIME, "type": "time", "description": ""}]
        return [item for item in [*found, *extra] if not self.is_personal(item["name"])]

    def conversions(self, metrics: tuple[str, ...]) -> set[str]:
        """The entities by which the conversions among these metrics, or below them, are joined."""
        given = (one["type_params"].get("conversion_type_params") for one in self._closure(metrics))
        return {str(one["entity"]) for one in given if one}

    def looks_around(self, metrics: tuple[str, ...]) -> bool:
        """Whether a value of these metrics rests on other rows than those of its period."""
        for one in self._closure(metrics):
            given = one["type_params"]
            simple = given.get("metric_aggregation_params") or {}
            shifted = any(
                part.get("offset_window") or part.get("offset_to_grain")
                for part in given.get("metrics") or ()
            )
            if shifted or one["type"] in {"cumulative", "conversion"}:
                return True
            if simple.get("non_additive_dimension"):
                return True
        return False

    def _closure(self, metrics: tuple[str, ...]) -> list[dict[str, Any]]:
        """These metrics and every metric below them, as the manifest defines them."""
        defined = {one["name"]: one for one in self._layer.project.semantic_manifest["metrics"]}
        names = list(metrics)
        for name in names:
            names += [other for other in _inputs(defined[name]) if other not in names]
        return [defined[name] for name in names]


def _inputs(metric: dict[str, Any]) -> list[str]:
    """The metrics that a metric is computed from."""
    given = metric["type_params"]
    conversion = given.get("conversion_type_params") or {}
    cumulative = given.get("cumulative_type_params") or {}
    found = [
        given.get("numerator"), given.get("denominator"), *(given.get("metrics") or ()),
        cumulative.get("metric"), conversion.get("base_metric"),
        conversion.get("conversion_metric"),
    ]  # fmt: skip
    return [str(one["name"]) for one in found if one]
