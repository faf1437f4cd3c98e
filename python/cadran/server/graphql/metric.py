"""A metric, and what belongs to it as far as a client asks for it."""

# Strawberry reads the annotations as it runs.
# ruff: noqa: TC001

from __future__ import annotations

import strawberry

from cadran.server.graphql.listing import Listing, known_grains, where
from cadran.server.graphql.types import (
    Config,
    Dimension,
    Entity,
    Measure,
    MetricType,
    MetricTypeParams,
    TimeGranularity,
    WhereFilter,
)


@strawberry.type
class Metric:
    """A measurement with a name; a KPI carries its card in `config`."""

    listing: strawberry.Private[Listing]
    name: str
    label: str
    description: str | None
    type: MetricType

    @strawberry.field
    def requires_metric_time(self) -> bool:
        """Whether it means something only by time."""
        return self.listing.manifest.needs_time(self.name)

    @strawberry.field
    def queryable_granularities(self) -> list[TimeGranularity]:
        """The grains of `metric_time` at which it can be asked."""
        return known_grains(self.listing.grains([self.name]))

    @strawberry.field
    def queryable_time_granularities(self) -> list[str]:
        """The same by name, with those that the project made."""
        return self.listing.grains([self.name])

    @strawberry.field
    def dimensions(self) -> list[Dimension]:
        """What it can be grouped by."""
        return self.listing.dimensions([self.name])

    @strawberry.field
    def entities(self) -> list[Entity]:
        """The keys that it can be grouped by."""
        return self.listing.entities([self.name])

    @strawberry.field
    def measures(self) -> list[Measure]:
        """The aggregations that it is made of."""
        return self.listing.measures([self.name])

    @strawberry.field
    def filter(self) -> WhereFilter | None:
        """The filter in its definition."""
        return where(self.listing.manifest.filters(self.listing.manifest.metrics[self.name]))

    @strawberry.field
    def type_params(self) -> MetricTypeParams:
        """What it is made of."""
        return self.listing.type_params(self.name)

    @strawberry.field
    def config(self) -> Config | None:
        """What it carries: of a KPI, its card under `meta.kpi`."""
        return self.listing.meta(self.name)
