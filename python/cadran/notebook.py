"""One KPI in the hand: its card, its values over time, and their picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.charts import rows
from cadran.charts.still import Drawing
from cadran.formats import periods
from cadran.governance.bridge import Bridge, bridge, revisions
from cadran.governance.close import period as read_period
from cadran.insight import anomalies, drivers, forecast
from cadran.insight.breaks import marks
from cadran.insight.evidence import compared
from cadran.insight.source import Source

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.core.result import Result
    from cadran.insight.drivers import Drivers
    from cadran.insight.forecast import Forecast

SHOWN = {"day": 90, "week": 53, "month": 25, "quarter": 9, "year": 5}


class Kpi:
    """A KPI of a layer: `cadran.Kpi(layer, "net_revenue").plot()`."""

    def __init__(self, layer: Layer, name: str) -> None:
        """Take a KPI by its name; nothing is asked yet."""
        self.layer = layer
        self.card: Card = layer.card(name)

    @property
    def grain(self) -> str:
        """The grain it is usually read at: the month, or its coarsest up to the month."""
        grains = [grain for grain in periods.GRAINS if grain in self.card.grains]
        return "month" if "month" in grains or not grains else grains[-1]

    def values(  # noqa: PLR0913 - a question's own arguments
        self,
        grain: str | None = None,
        by: str | None = None,
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        *,
        known_at: str | dt.date | None = None,
        view: str | None = None,
    ) -> Result:
        """Its values by period, complete ones only unless `end` says otherwise.

        Args:
            grain: of the periods; by default the month.
            by: one dimension of its card.
            start: first day; by default two years of months, or the like.
            end: last day.
            known_at: what the ledger held at this instant, instead of now.
            view: "published", "restated", "both" or "spliced"; see `cadran.core.ledger.reader`.

        Raises:
            CadranError: as `Layer.query`.
        """
        grain = grain or self.grain
        if grain in periods.GRAINS and (start is None or end is None):
            until = self.layer.complete_through(self.card.name) or self.layer.last_day()
            latest = periods.last_complete(until, grain)
            start = start or periods.shifted(latest, grain, 1 - SHOWN[grain])
            end = end or periods.last_of(latest, grain)
        groups = [f"metric_time__{grain}", *([by] if by else [])]
        return self.layer.query(
            [self.card.name], groups, start=start, end=end, known_at=known_at, view=view
        )

    def plot(  # noqa: PLR0913 - a question's own arguments, and the language
        self,
        grain: str | None = None,
        by: str | None = None,
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        lang: str = "en",
        *,
        known_at: str | dt.date | None = None,
        view: str | None = None,
    ) -> Drawing:
        """The picture of `values`; cut and marked where their definition changes.

        Where only the published values changed their definition, and those drawn are all of one,
        the place is marked and the line goes on.

        Raises:
            CadranError: as `Layer.query`.
        """
        result = self.values(grain, by, start, end, known_at=known_at, view=view)
        breaks = marks(result.breaks, self.card.name, lang)
        return Drawing(rows.line(result, self.card, lang=lang, breaks=breaks))

    def explain(self, period: str, known_at: str | None = None, by: str | None = None) -> Bridge:
        """The bridge of one period, from its published value to that of now; `.plot()` draws it.

        Args:
            period: 2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31.
            known_at: the value that was published by then; by default the first.
            by: the dimension that splits the effect of a definition; by default the card's first.

        Raises:
            QueryError: nothing was published of that period by then.
        """
        return bridge(self.layer, self.card.name, period, known_at=known_at, by=by)

    def history(self, period: str) -> list[dict[str, Any]]:
        """Every value that was published of one period, the first first, with change and reason.

        Raises:
            QueryError: nothing was published of it.
        """
        return revisions(self.layer, self.card.name, period)

    def drivers(
        self,
        by: str | None = None,
        period: str | None = None,
        compare: str = "previous",
        *,
        where: Iterable[str] = (),
    ) -> Drivers:
        """What contributes to its change: members of a dimension, or its factors without one.

        Args:
            by: a dimension of its card.
            period: 2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31; by default the month of the
                last whole day. While it is running it is compared with the same days.
            compare: `previous`, `year` or `same_days`; see `cadran.insight.evidence.base_of`.
            where: conditions on the rows.

        Raises:
            CadranError: as `cadran.insight.drivers.by_member` and `by_factor`.
        """
        source, name = Source.of(self.layer), self.card.name
        start = read_period(period)[:2] if period else None
        current, base = compared(source, name, period=start, comparison=compare)
        if by is None:
            return drivers.by_factor(source, name, current, base, where=where)
        return drivers.by_member(source, name, by, current, base, where=where)

    def forecast(self, grain: str = "month", *, where: Iterable[str] = ()) -> Forecast:
        """Its value at the end of the running period, with an interval from past errors.

        Raises:
            CadranError: as `cadran.insight.forecast.to_end`.
        """
        return forecast.to_end(Source.of(self.layer), self.card.name, grain, where=where)

    def anomalies(
        self, days: int = anomalies.SHOWN, *, where: Iterable[str] = ()
    ) -> anomalies.Anomalies:
        """Those of its last whole days that were unlike the same weekdays before.

        Raises:
            CadranError: as `cadran.insight.anomalies.find`.
        """
        return anomalies.find(Source.of(self.layer), self.card.name, days=days, where=where)

    def __repr__(self) -> str:
        return f"<KPI {self.card.name}: {self.card.label}, version {self.card.version}>"

    def _repr_svg_(self) -> str:
        return self.plot().svg()
