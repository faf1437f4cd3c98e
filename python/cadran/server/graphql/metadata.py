"""What a caller may know of, in the types of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strawberry.scalars import JSON

from cadran.core.query.request import GRAINS
from cadran.core.semantics.governed import TIME
from cadran.errors import UnknownNameError
from cadran.server.graphql import types as t

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cadran.access.caller import Caller
    from cadran.core.query.request import GroupBy
    from cadran.core.semantics.metrics import MetricGraph
    from cadran.serving.service import QueryService
    from cadran.serving.snapshots import State


class Listing:
    """Lists what one caller may know of one state."""

    def __init__(self, desk: QueryService, caller: Caller, state: State) -> None:
        """Take who asks and what of."""
        self._desk, self._caller, self._layer = desk, caller, state.layer
        self._seen = desk.visible(caller)
        known = state.fields.get("graphql")
        if not isinstance(known, Manifest):
            known = state.fields["graphql"] = Manifest(
                state.layer.project.semantic_manifest, state.layer.metric_graph
            )
        self.manifest: Manifest = known

    def metrics(self) -> list[dict[str, Any]]:
        """The metrics that are listed: name, label, description, type."""
        return self._desk.metrics(self._caller)

    def names(self) -> list[str]:
        """The names of the metrics that are listed."""
        return [one["name"] for one in self.metrics()]

    def known(self, metrics: Iterable[str]) -> tuple[str, ...]:
        """Metrics by name, hidden ones included, as far as the caller may see them.

        Raises:
            UnknownNameError: one does not exist, or not for this caller.
        """
        asked = tuple(metrics)
        for name in asked:
            if not self._seen.metric(name) or name not in self.manifest.metrics:
                raise UnknownNameError("metric", name, self.names())
        return asked

    def group_bys(self, metrics: Iterable[str]) -> list[dict[str, str]]:
        """What metrics can be grouped by together, dimensions and entities.

        Raises:
            UnknownNameError: a metric does not exist, or not for this caller.
        """
        return self._desk.dimensions(self._caller, self.known(metrics))

    def dimensions(self, metrics: Iterable[str]) -> list[t.Dimension]:
        """The dimensions of metrics.

        Raises:
            UnknownNameError: as `group_bys`.
        """
        asked = self.known(metrics)
        found = [one for one in self.group_bys(asked) if one["type"] != "entity"]
        return [self._dimension(one, asked) for one in found]

    def entities(self, metrics: Iterable[str]) -> list[t.Entity]:
        """The entities that metrics can be grouped by.

        Raises:
            UnknownNameError: as `group_bys`.
        """
        asked = self.known(metrics)
        shown = []
        for one in self.group_bys(asked):
            if one["type"] != "entity":
                continue
            entity = self.manifest.entity(one["name"], asked)
            shown.append(
                t.Entity(
                    name=one["name"],
                    description=one["description"],
                    type=t.EntityType(entity["type"]),
                    role=entity.get("role") or "",
                    expr=entity.get("expr") or entity["name"],
                    config=_config(entity),
                )
            )
        return shown

    def measures(self, metrics: Iterable[str]) -> list[t.Measure]:
        """The aggregations that metrics are made of; of every listed metric where none is named.

        Raises:
            UnknownNameError: a metric does not exist, or not for this caller.
        """
        asked = self.known(metrics) or tuple(self.names())
        return [
            t.Measure(
                name=name,
                agg_time_dimension=self.manifest.time_of(name),
                agg=t.AggregationType(self.manifest.graph.aggregation(name)["agg"]),
                expr=self.manifest.metrics[name]["type_params"].get("expr") or name,
            )
            for name in self.manifest.graph.leaves(*asked)
        ]

    def grains(self, metrics: Iterable[str]) -> list[str]:
        """The grains of `metric_time` at which metrics can be asked together, finest first."""
        asked = tuple(metrics)
        cards = [self._layer.card(name) for name in asked if self._layer.is_kpi(name)]
        rest = [name for name in asked if not self._layer.is_kpi(name)]
        possible = self.manifest.grains(rest) if rest or not cards else list(GRAINS)
        return [one for one in possible if all(one in card.grains for card in cards)]

    def meta(self, name: str) -> t.Config:
        """What a metric carries; of the card of a KPI, what the caller may know of."""
        meta = dict(_meta(self.manifest.metrics[name]))
        if isinstance(meta.get("kpi"), dict):
            card = dict(meta["kpi"])
            for key, may in (("dimensions", self._seen.dimension), ("drivers", self._seen.metric)):
                if key in card:
                    card[key] = [one for one in card[key] if may(one)]
            meta["kpi"] = card
        return t.Config(meta=JSON(meta))

    def type_params(self, name: str) -> t.MetricTypeParams:
        """What a metric is made of."""
        made = self.manifest.metrics[name]["type_params"]
        cumulative = made.get("cumulative_type_params") or {}
        measures = [t.MetricInputMeasure(name=one) for one in self.manifest.graph.leaves(name)]
        return t.MetricTypeParams(
            measure=measures[0] if self.manifest.metrics[name]["type"] == "simple" else None,
            input_measures=measures,
            numerator=self._input(made.get("numerator")),
            denominator=self._input(made.get("denominator")),
            expr=made.get("expr"),
            window=_window(cumulative.get("window")),
            grain_to_date=known_grain(cumulative.get("grain_to_date")),
            metrics=[one for given in made.get("metrics") or () if (one := self._input(given))],
        )

    def _input(self, given: dict[str, Any] | None) -> t.InputMetric | None:
        if not given:
            return None
        return t.InputMetric(
            name=given["name"],
            alias=given.get("alias"),
            filter=where(self.manifest.filters(given)),
            offset_window=_window(given.get("offset_window")),
            offset_to_grain=known_grain(given.get("offset_to_grain")),
        )

    def saved_query(self, name: str) -> t.SavedQuery:
        """One saved query.

        Raises:
            UnknownNameError: there is none of that name, or not for this caller.
        """
        found = {one.name: one for one in self.saved_queries()}
        if name not in found:
            raise UnknownNameError("saved query", name, found)
        return found[name]

    def saved_queries(self) -> list[t.SavedQuery]:
        """The saved queries that the caller may ask."""
        shown = []
        for one in self._desk.saved_queries(self._caller):
            # What it asks as written: the filters of the caller's role are not told.
            asked = self._layer.saved_query(one["name"])
            exports = self.manifest.saved_queries[one["name"]].get("exports") or ()
            shown.append(
                t.SavedQuery(
                    name=one["name"],
                    description=one["description"],
                    label=one["label"],
                    query_params=t.SavedQueryQueryParams(
                        metrics=[t.SavedQueryMetricParam(name=name) for name in asked.metrics],
                        group_by=[_group(group) for group in asked.group_by],
                        where=where(asked.where),
                    ),
                    exports=[_export(export) for export in exports],
                )
            )
        return shown

    def _dimension(self, one: dict[str, str], metrics: tuple[str, ...]) -> t.Dimension:
        made = self.manifest.dimension(one["name"])
        grains: list[str] = []
        if one["name"] == TIME:
            grains = self.grains(metrics)
        elif one["type"] == "time":
            grains = self.manifest.from_grain(made["type_params"]["time_granularity"])
        return t.Dimension(
            name=one["name"],
            qualified_name=one["name"],
            description=one["description"],
            type=t.DimensionType(one["type"]),
            label=made.get("label"),
            is_partition=bool(made.get("is_partition")),
            expr=made.get("expr"),
            queryable_granularities=known_grains(grains),
            queryable_time_granularities=grains,
            type_params=t.DimensionTypeParams(time_granularity=known_grains(grains)[0])
            if known_grains(grains)
            else None,
            config=_config(made),
        )


def known_grains(grains: Iterable[str | None]) -> list[t.TimeGranularity]:
    """Grains as the enumeration has them: those that a project made are not in it."""
    names = {one.value for one in t.TimeGranularity}
    return [t.TimeGranularity(grain) for grain in grains if grain in names]


def known_grain(grain: str | None) -> t.TimeGranularity | None:
    """One grain as the enumeration has it, or None."""
    return next(iter(known_grains([grain])), None)


def where(conditions: Iterable[str]) -> t.WhereFilter | None:
    """Conditions that all hold, as one; None where there are none."""
    listed = list(conditions)
    if not listed:
        return None
    text = listed[0] if len(listed) == 1 else " and ".join(f"({one})" for one in listed)
    return t.WhereFilter(where_sql_template=text)


def _window(given: dict[str, Any] | None) -> t.MetricTimeWindow | None:
    if not given:
        return None
    grain = given["granularity"]
    return t.MetricTimeWindow(
        count=given["count"],
        granularity=known_grain(grain),
        time_granularity=grain,
    )


def _meta(made: dict[str, Any]) -> dict[str, Any]:
    return (made.get("config") or {}).get("meta") or {}


def _config(made: dict[str, Any]) -> t.Config:
    return t.Config(meta=JSON(_meta(made)))


def _group(given: GroupBy) -> t.SavedQueryGroupByParam:
    grain, part = given.asked_grain, given.date_part
    return t.SavedQueryGroupByParam(
        name=given.base,
        grain=known_grain(grain),
        time_granularity=grain,
        date_part=t.DatePart(part.lower()) if part else None,
    )


def _export(given: dict[str, Any]) -> t.Export:
    config = given.get("config") or {}
    return t.Export(
        name=given["name"],
        config=t.ExportConfig(
            alias=config.get("alias"),
            schema=config.get("schema_name") or config.get("schema"),
            export_as=t.ExportDestinationType(config.get("export_as") or "table"),
        ),
    )


_GRAINS = (
    *("nanosecond", "microsecond", "millisecond", "second", "minute", "hour"),
    *("day", "week", "month", "quarter", "year"),
)
_KEYS = ("primary", "unique", "natural")


class Manifest:
    """A semantic manifest, looked up by name."""

    def __init__(self, given: Mapping[str, Any], graph: MetricGraph) -> None:
        """Take the manifest as it was read, and what its metrics are made of."""
        self.graph, self.metrics = graph, graph.metrics
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

    @staticmethod
    def filters(made: Mapping[str, Any]) -> list[str]:
        """The conditions in a definition, each as a template."""
        given = (made.get("filter") or {}).get("where_filters") or ()
        return [one["where_sql_template"] for one in given]

    def dimension(self, name: str) -> dict[str, Any]:
        """What defines a dimension, by the name that one groups by; empty for `metric_time`."""
        parts = name.split("__")
        return self._dimensions.get((parts[-2], parts[-1]), {}) if len(parts) > 1 else {}

    def entity(self, name: str, metrics: Iterable[str]) -> dict[str, Any]:
        """What defines an entity: in the models of the metrics, else where it is the key."""
        own = [self._model(one) for one in self.graph.leaves(*metrics)]
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
        model = self._model(simple) or {}
        given = self.graph.aggregation(simple).get("agg_time_dimension")
        return given or (model.get("defaults") or {}).get("agg_time_dimension")

    def grains(self, metrics: Iterable[str]) -> list[str]:
        """The grains of time at which metrics can be asked together; without metrics, every one."""
        bases = []
        for name in self.graph.leaves(*metrics):
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
        return self._models.get(self.graph.semantic_model(simple) or "")
