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
    from cadran.serving.snapshots import Snapshot


class Metadata:
    """Lists what one caller may know of one state."""

    def __init__(self, service: QueryService, caller: Caller, state: Snapshot) -> None:
        """Take who asks and what of."""
        self._service, self._caller, self._layer = service, caller, state.layer
        self._seen = service.visible(caller)
        manifest = state.fields.get("graphql")
        if not isinstance(manifest, Manifest):
            manifest = state.fields["graphql"] = Manifest(
                state.layer.project.semantic_manifest, state.layer.metric_graph
            )
        self.manifest: Manifest = manifest

    def metrics(self) -> list[dict[str, Any]]:
        """The metrics that are listed: name, label, description, type."""
        return self._service.metrics(self._caller)

    def names(self) -> list[str]:
        """The names of the metrics that are listed."""
        return [metric["name"] for metric in self.metrics()]

    def known(self, metrics: Iterable[str]) -> tuple[str, ...]:
        """Metrics by name, hidden ones included, as far as the caller may see them.

        Raises:
            UnknownNameError: one does not exist, or not for this caller.
        """
        names = tuple(metrics)
        for name in names:
            if not self._seen.metric(name) or name not in self.manifest.metrics:
                raise UnknownNameError("metric", name, self.names())
        return names

    def group_bys(self, metrics: Iterable[str]) -> list[dict[str, str]]:
        """What metrics can be grouped by together, dimensions and entities.

        Raises:
            UnknownNameError: a metric does not exist, or not for this caller.
        """
        return self._service.dimensions(self._caller, self.known(metrics))

    def dimensions(self, metrics: Iterable[str]) -> list[t.Dimension]:
        """The dimensions of metrics.

        Raises:
            UnknownNameError: as `group_bys`.
        """
        names = self.known(metrics)
        dimensions = [d for d in self.group_bys(names) if d["type"] != "entity"]
        return [self._dimension(d, names) for d in dimensions]

    def entities(self, metrics: Iterable[str]) -> list[t.Entity]:
        """The entities that metrics can be grouped by.

        Raises:
            UnknownNameError: as `group_bys`.
        """
        names = self.known(metrics)
        entities = []
        for item in self.group_bys(names):
            if item["type"] != "entity":
                continue
            entity = self.manifest.entity(item["name"], names)
            entities.append(
                t.Entity(
                    name=item["name"],
                    description=item["description"],
                    type=t.EntityType(entity["type"]),
                    role=entity.get("role") or "",
                    expr=entity.get("expr") or entity["name"],
                    config=_config(entity),
                )
            )
        return entities

    def measures(self, metrics: Iterable[str]) -> list[t.Measure]:
        """The aggregations that metrics are made of; of every listed metric where none is named.

        Raises:
            UnknownNameError: a metric does not exist, or not for this caller.
        """
        names = self.known(metrics) or tuple(self.names())
        return [
            t.Measure(
                name=name,
                agg_time_dimension=self.manifest.time_of(name),
                agg=t.AggregationType(self.manifest.graph.aggregation(name)["agg"]),
                expr=self.manifest.metrics[name]["type_params"].get("expr") or name,
            )
            for name in self.manifest.graph.leaves(*names)
        ]

    def grains(self, metrics: Iterable[str]) -> list[str]:
        """The grains of `metric_time` at which metrics can be asked together, finest first."""
        names = tuple(metrics)
        cards = [self._layer.card(name) for name in names if self._layer.is_kpi(name)]
        rest = [name for name in names if not self._layer.is_kpi(name)]
        possible = self.manifest.grains(rest) if rest or not cards else list(GRAINS)
        return [grain for grain in possible if all(grain in card.grains for card in cards)]

    def meta(self, name: str) -> t.Config:
        """What a metric carries; of the card of a KPI, what the caller may know of."""
        meta = dict(_meta(self.manifest.metrics[name]))
        if isinstance(meta.get("kpi"), dict):
            card = dict(meta["kpi"])
            for key, may in (("dimensions", self._seen.dimension), ("drivers", self._seen.metric)):
                if key in card:
                    card[key] = [value for value in card[key] if may(value)]
            meta["kpi"] = card
        return t.Config(meta=JSON(meta))

    def type_params(self, name: str) -> t.MetricTypeParams:
        """What a metric is made of."""
        params = self.manifest.metrics[name]["type_params"]
        cumulative = params.get("cumulative_type_params") or {}
        measures = [t.MetricInputMeasure(name=value) for value in self.manifest.graph.leaves(name)]
        return t.MetricTypeParams(
            measure=measures[0] if self.manifest.metrics[name]["type"] == "simple" else None,
            input_measures=measures,
            numerator=self._input(params.get("numerator")),
            denominator=self._input(params.get("denominator")),
            expr=params.get("expr"),
            window=_window(cumulative.get("window")),
            grain_to_date=known_grain(cumulative.get("grain_to_date")),
            metrics=[value for ref in params.get("metrics") or () if (value := self._input(ref))],
        )

    def _input(self, ref: dict[str, Any] | None) -> t.InputMetric | None:
        if not ref:
            return None
        return t.InputMetric(
            name=ref["name"],
            alias=ref.get("alias"),
            filter=where(self.manifest.filters(ref)),
            offset_window=_window(ref.get("offset_window")),
            offset_to_grain=known_grain(ref.get("offset_to_grain")),
        )

    def saved_query(self, name: str) -> t.SavedQuery:
        """One saved query.

        Raises:
            UnknownNameError: there is none of that name, or not for this caller.
        """
        queries = {query.name: query for query in self.saved_queries()}
        if name not in queries:
            raise UnknownNameError("saved query", name, queries)
        return queries[name]

    def saved_queries(self) -> list[t.SavedQuery]:
        """The saved queries that the caller may ask."""
        entries = []
        for saved in self._service.saved_queries(self._caller):
            # What it asks as written: the filters of the caller's role are not told.
            query = self._layer.saved_query(saved["name"])
            exports = self.manifest.saved_queries[saved["name"]].get("exports") or ()
            entries.append(
                t.SavedQuery(
                    name=saved["name"],
                    description=saved["description"],
                    label=saved["label"],
                    query_params=t.SavedQueryQueryParams(
                        metrics=[t.SavedQueryMetricParam(name=name) for name in query.metrics],
                        group_by=[_group(group) for group in query.group_by],
                        where=where(query.where),
                    ),
                    exports=[_export(export) for export in exports],
                )
            )
        return entries

    def _dimension(self, item: dict[str, str], metrics: tuple[str, ...]) -> t.Dimension:
        definition = self.manifest.dimension(item["name"])
        grains: list[str] = []
        if item["name"] == TIME:
            grains = self.grains(metrics)
        elif item["type"] == "time":
            grains = self.manifest.from_grain(definition["type_params"]["time_granularity"])
        return t.Dimension(
            name=item["name"],
            qualified_name=item["name"],
            description=item["description"],
            type=t.DimensionType(item["type"]),
            label=definition.get("label"),
            is_partition=bool(definition.get("is_partition")),
            expr=definition.get("expr"),
            queryable_granularities=known_grains(grains),
            queryable_time_granularities=grains,
            type_params=t.DimensionTypeParams(time_granularity=known_grains(grains)[0])
            if known_grains(grains)
            else None,
            config=_config(definition),
        )


def known_grains(grains: Iterable[str | None]) -> list[t.TimeGranularity]:
    """Grains as the enumeration has them: those that a project made are not in it."""
    names = {member.value for member in t.TimeGranularity}
    return [t.TimeGranularity(grain) for grain in grains if grain in names]


def known_grain(grain: str | None) -> t.TimeGranularity | None:
    """One grain as the enumeration has it, or None."""
    return next(iter(known_grains([grain])), None)


def where(conditions: Iterable[str]) -> t.WhereFilter | None:
    """Conditions that all hold, as one; None where there are none."""
    templates = list(conditions)
    if not templates:
        return None
    text = (
        templates[0]
        if len(templates) == 1
        else " and ".join(f"({template})" for template in templates)
    )
    return t.WhereFilter(where_sql_template=text)


def _window(window: dict[str, Any] | None) -> t.MetricTimeWindow | None:
    if not window:
        return None
    grain = window["granularity"]
    return t.MetricTimeWindow(
        count=window["count"],
        granularity=known_grain(grain),
        time_granularity=grain,
    )


def _meta(definition: dict[str, Any]) -> dict[str, Any]:
    return (definition.get("config") or {}).get("meta") or {}


def _config(definition: dict[str, Any]) -> t.Config:
    return t.Config(meta=JSON(_meta(definition)))


def _group(item: GroupBy) -> t.SavedQueryGroupByParam:
    grain, part = item.asked_grain, item.date_part
    return t.SavedQueryGroupByParam(
        name=item.base,
        grain=known_grain(grain),
        time_granularity=grain,
        date_part=t.DatePart(part.lower()) if part else None,
    )


def _export(export: dict[str, Any]) -> t.Export:
    config = export.get("config") or {}
    return t.Export(
        name=export["name"],
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

    def __init__(self, manifest: Mapping[str, Any], graph: MetricGraph) -> None:
        """Take the manifest as it was read, and what its metrics are made of."""
        self.graph, self.metrics = graph, graph.metrics
        self.saved_queries = {item["name"]: item for item in manifest.get("saved_queries") or ()}
        self._models = {item["name"]: item for item in manifest["semantic_models"]}
        self._dimensions: dict[tuple[str, str], dict[str, Any]] = {}
        for model in self._models.values():
            keys = {item["name"] for item in model["entities"] if item["type"] in _KEYS}
            for key in keys | {model.get("primary_entity")} - {None}:
                for item in model["dimensions"]:
                    self._dimensions.setdefault((key, item["name"]), item)
        spines = (manifest.get("project_configuration") or {}).get("time_spines") or ()
        self._custom = {
            item["name"]: spine["primary_column"]["time_granularity"]
            for spine in spines
            for item in spine.get("custom_granularities") or ()
        }

    @staticmethod
    def filters(definition: Mapping[str, Any]) -> list[str]:
        """The conditions in a definition, each as a template."""
        filters = (definition.get("filter") or {}).get("where_filters") or ()
        return [condition["where_sql_template"] for condition in filters]

    def dimension(self, name: str) -> dict[str, Any]:
        """What defines a dimension, by the name that one groups by; empty for `metric_time`."""
        parts = name.split("__")
        return self._dimensions.get((parts[-2], parts[-1]), {}) if len(parts) > 1 else {}

    def entity(self, name: str, metrics: Iterable[str]) -> dict[str, Any]:
        """What defines an entity: in the models of the metrics, else where it is the key."""
        own = [self._model(item) for item in self.graph.leaves(*metrics)]
        element = name.rsplit("__", maxsplit=1)[-1]
        candidates = [
            (model not in own, item["type"] not in _KEYS, number, item)
            for number, model in enumerate(self._models.values())
            for item in model["entities"]
            if item["name"] == element
        ]
        if not candidates:  # a model may only name its primary entity
            return {"name": element, "type": "primary"}
        best: dict[str, Any] = min(candidates, key=lambda item: item[:3])[3]
        return best

    def time_of(self, simple: str) -> str | None:
        """The dimension that is the time of a simple metric."""
        model = self._model(simple) or {}
        time = self.graph.aggregation(simple).get("agg_time_dimension")
        return time or (model.get("defaults") or {}).get("agg_time_dimension")

    def grains(self, metrics: Iterable[str]) -> list[str]:
        """The grains of time at which metrics can be asked together; without metrics, every one."""
        bases = []
        for name in self.graph.leaves(*metrics):
            time, model = self.time_of(name), self._model(name) or {"dimensions": ()}
            bases += [
                d["type_params"]["time_granularity"]
                for d in model["dimensions"]
                if d["name"] == time
            ]
        every = [
            d["type_params"]["time_granularity"]
            for model in self._models.values()
            for d in model["dimensions"]
            if d["type"] == "time"
        ]
        if bases:
            return self.from_grain(max(bases, key=_GRAINS.index))
        return self.from_grain(min(every, key=_GRAINS.index)) if every else []

    def from_grain(self, finest: str) -> list[str]:
        """A grain and the coarser ones, then those that the project made."""
        place = _GRAINS.index(finest)
        custom = [name for name, base in self._custom.items() if _GRAINS.index(base) >= place]
        return [*_GRAINS[place:], *custom]

    def _model(self, simple: str) -> dict[str, Any] | None:
        return self._models.get(self.graph.semantic_model(simple) or "")
