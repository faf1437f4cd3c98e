"""What a caller may know of, in the types of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strawberry.scalars import JSON

from cadran.errors import UnknownNameError
from cadran.governed import TIME
from cadran.query import GRAINS
from cadran.server.graphql import types as t

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.access.caller import Caller
    from cadran.query import GroupBy
    from cadran.server.graphql.manifest import Manifest
    from cadran.serving.desk import Desk
    from cadran.serving.states import State


class Listing:
    """Lists what one caller may know of one state."""

    def __init__(self, desk: Desk, caller: Caller, state: State) -> None:
        """Take who asks and what of."""
        from cadran.server.graphql.manifest import Manifest

        self._desk, self._caller, self._layer = desk, caller, state.layer
        self._seen = desk.visible(caller)
        known = state.fields.get("graphql")
        if not isinstance(known, Manifest):
            known = state.fields["graphql"] = Manifest(state.layer.project.semantic_manifest)
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
                agg=t.AggregationType(made["metric_aggregation_params"]["agg"]),
                expr=made.get("expr") or name,
            )
            for name in self.manifest.simple(asked)
            if (made := self.manifest.metrics[name]["type_params"])["metric_aggregation_params"]
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
        measures = [t.MetricInputMeasure(name=one) for one in self.manifest.simple([name])]
        return t.MetricTypeParams(
            measure=measures[0] if not self.manifest.inputs(name) else None,
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
