"""What the semantic manifest says beside what can be asked: what metrics are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_GRAINS = (
    *("nanosecond", "microsecond", "millisecond", "second", "minute", "hour"),
    *("day", "week", "month", "quarter", "year"),
)
_KEYS = ("primary", "unique", "natural")


class Manifest:
    """A semantic manifest, looked up by name."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Take the manifest as it was read."""
        self.metrics: dict[str, dict[str, Any]] = {one["name"]: one for one in given["metrics"]}
        self.saved_queries = {one["name"]: one for one in given.get("saved_queries") or ()}
        self._models = {one["name"]: one for one in given["semantic_models"]}
        self._dimensions: dict[tuple[str, str], dict[str, Any]] = {}
        for model in self._models.values():
            keys = {one["name"] for one in model["entities"] if one["type"] in _KEYS}
            for key in keys | {model.get("primary_entity")} - {None}:
                for one in model["dimensions"]:
                    self._dimensions.setdefault((key, one["name"]), one)
        spines = (given.get("project_configuration") or {}).get("time_spines") or ()
        self._custom = {
            one["name"]: spine["primary_column"]["time_granularity"]
            for spine in spines
            for one in spine.get("custom_granularities") or ()
        }

    def inputs(self, name: str) -> list[dict[str, Any]]:
        """The metrics that a metric is made of, as it names them."""
        made = self.metrics[name]["type_params"]
        cumulative = made.get("cumulative_type_params") or {}
        conversion = made.get("conversion_type_params") or {}
        parts = (
            made.get("numerator"), made.get("denominator"), *(made.get("metrics") or ()),
            cumulative.get("metric"), conversion.get("base_metric"),
            conversion.get("conversion_metric"),
        )  # fmt: skip
        return [one for one in parts if one]

    def simple(self, names: Iterable[str]) -> list[str]:
        """The simple metrics at the bottom of metrics, each once, in the order met."""
        found: dict[str, None] = {}
        for name in names:
            below = self.inputs(name)
            found |= dict.fromkeys(self.simple(one["name"] for one in below) if below else [name])
        return list(found)

    @staticmethod
    def filters(made: Mapping[str, Any]) -> list[str]:
        """The conditions in a definition, each as a template."""
        given = (made.get("filter") or {}).get("where_filters") or ()
        return [one["where_sql_template"] for one in given]

    def needs_time(self, name: str) -> bool:
        """Whether a metric means something only by time: a window, a period to date, an offset."""
        cumulative = self.metrics[name]["type_params"].get("cumulative_type_params") or {}
        return (
            bool(cumulative.get("window") or cumulative.get("grain_to_date"))
            or any(
                one.get("offset_window") or one.get("offset_to_grain") for one in self.inputs(name)
            )
            or any(self.needs_time(one["name"]) for one in self.inputs(name))
        )

    def dimension(self, name: str) -> dict[str, Any]:
        """What defines a dimension, by the name that one groups by; empty for `metric_time`."""
        parts = name.split("__")
        return self._dimensions.get((parts[-2], parts[-1]), {}) if len(parts) > 1 else {}

    def entity(self, name: str, metrics: Iterable[str]) -> dict[str, Any]:
        """What defines an entity: in the models of the metrics, else where it is the key."""
        own = [self._model(one) for one in self.simple(metrics)]
        element = name.rsplit("__", maxsplit=1)[-1]
        found = [
            (model not in own, one["type"] not in _KEYS, number, one)
            for number, model in enumerate(self._models.values())
            for one in model["entities"]
            if one["name"] == element
        ]
        if not found:  # a model may only name its primary entity
            return {"name": element, "type": "primary"}
        best: dict[str, Any] = min(found, key=lambda one: one[:3])[3]
        return best

    def time_of(self, simple: str) -> str | None:
        """The dimension that is the time of a simple metric."""
        made = self.metrics[simple]["type_params"]["metric_aggregation_params"] or {}
        model = self._model(simple) or {}
        given = made.get("agg_time_dimension")
        return given or (model.get("defaults") or {}).get("agg_time_dimension")

    def grains(self, metrics: Iterable[str]) -> list[str]:
        """The grains of time at which metrics can be asked together; without metrics, every one."""
        bases = []
        for name in self.simple(metrics):
            time, model = self.time_of(name), self._model(name) or {"dimensions": ()}
            bases += [
                one["type_params"]["time_granularity"]
                for one in model["dimensions"]
                if one["name"] == time
            ]
        every = [
            one["type_params"]["time_granularity"]
            for model in self._models.values()
            for one in model["dimensions"]
            if one["type"] == "time"
        ]
        if bases:
            return self.from_grain(max(bases, key=_GRAINS.index))
        return self.from_grain(min(every, key=_GRAINS.index)) if every else []

    def from_grain(self, finest: str) -> list[str]:
        """A grain and the coarser ones, then those that the project made."""
        place = _GRAINS.index(finest)
        made = [name for name, base in self._custom.items() if _GRAINS.index(base) >= place]
        return [*_GRAINS[place:], *made]

    def _model(self, simple: str) -> dict[str, Any] | None:
        made = self.metrics[simple]["type_params"]["metric_aggregation_params"] or {}
        return self._models.get(made.get("semantic_model", ""))
