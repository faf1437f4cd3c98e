"""The values of a KPI as they are now, with what stands behind them: all by `Layer.query`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.governance.parts import Parts, leaves, measuring

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from cadran.governance.ledger_settings import Publication
    from cadran.layer import Layer


@dataclass(frozen=True, slots=True)
class Measured:
    """The values of one KPI at one grain and by one set of dimensions.

    Attributes:
        table: the time column, the dimensions, the KPI, and those of its parts that exist.
    """

    grain: str
    dimensions: tuple[str, ...]
    table: pa.Table
    kpi: str
    parts: Parts

    @property
    def time(self) -> str:
        """The name of the time column."""
        return f"metric_time__{self.grain}"


class Measurer:
    """Measures KPIs of one layer; knows from when to when there is anything to measure."""

    def __init__(self, layer: Layer) -> None:
        """Take a layer; the bounds are asked of the warehouse when they are first needed."""
        self._layer = layer
        self._wider, self._parts = measuring(layer)
        self._bounds: dict[str, tuple[dt.datetime, dt.datetime] | None] = {}

    def data_as_of(self, kpi: str) -> dt.datetime | None:
        """The last instant in the sources of a KPI; None when they are empty."""
        found = [bound for leaf in leaves(self._layer, kpi) if (bound := self._bound(leaf))]
        return max((last for _, last in found), default=None)

    def bounds(self) -> tuple[dt.datetime, dt.datetime]:
        """The first and last instant of which any source of any KPI knows."""
        names = {leaf for card in self._layer.kpis() for leaf in leaves(self._layer, card.name)}
        found = [bound for leaf in sorted(names) if (bound := self._bound(leaf))]
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        if not found:
            return now, now
        return min(first for first, _ in found), max(last for _, last in found)

    def measure(self, kpi: str, publication: Publication) -> Iterator[Measured]:
        """The values at each grain and by each set of dimensions that is published.

        The question covers whole years, so that its plan stays good from one day to the next;
        cumulative and shifted KPIs would otherwise be computed over all the time spine.
        """
        parts = self._parts[kpi]
        first, last = self.bounds()
        for names in publication.dimension_sets:
            for grain in publication.grains:
                result = self._wider.query(
                    [kpi, *parts.names],
                    [f"metric_time__{grain}", *names],
                    start=dt.date(first.year, 1, 1),
                    end=dt.date(last.year, 12, 31),
                    governed=False,
                    ordered=False,
                )
                yield Measured(grain, names, result.to_arrow(), kpi, parts)

    def _bound(self, leaf: str) -> tuple[dt.datetime, dt.datetime] | None:
        time = self._time_of(leaf)
        if time not in self._bounds:
            found = self._layer.query((), [time], min_max_only=True).to_arrow()
            instants = [_instant(column[0].as_py()) for column in found.columns]
            ends = [instant for instant in instants if instant is not None]
            self._bounds[time] = (min(ends), max(ends)) if ends else None
        return self._bounds[time]

    def _time_of(self, leaf: str) -> str:
        """The time dimension that a simple metric is counted by, at its own grain."""
        given = self._layer.metric(leaf)["type_params"]["metric_aggregation_params"]
        models = self._layer.project.semantic_manifest["semantic_models"]
        model = next(model for model in models if model["name"] == given["semantic_model"])
        time = next(d for d in model["dimensions"] if d["name"] == given["agg_time_dimension"])
        primary = [entity["name"] for entity in model["entities"] if entity["type"] == "primary"]
        entity = model["primary_entity"] or primary[0]
        return f"{entity}__{time['name']}__{time['type_params']['time_granularity']}"


def _instant(value: Any) -> dt.datetime | None:
    if isinstance(value, dt.datetime) or value is None:
        return value
    return dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - UTC without a zone
