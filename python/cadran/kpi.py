"""One KPI in the hand: its card, its values over time, and their picture."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from cadran import periods
from cadran.board import last_day

if TYPE_CHECKING:
    import altair as alt

    from cadran.cards import Card
    from cadran.governance.bridge import Bridge
    from cadran.layer import Layer
    from cadran.result import Result

SHOWN = {"day": 90, "week": 53, "month": 25, "quarter": 9, "year": 5}


class Kpi:
    """A KPI of a layer: `layer.kpi("net_revenue").plot()`."""

    def __init__(self, layer: Layer, name: str) -> None:
        """Take a KPI by its name; nothing is asked yet."""
        self.layer = layer
        self.card: Card = layer.card(name)

    @property
    def grain(self) -> str:
        """The grain it is usually read at: the month, or its coarsest up to the month."""
        known = [grain for grain in periods.GRAINS if grain in self.card.grains]
        return "month" if "month" in known or not known else known[-1]

    def values(
        self,
        grain: str | None = None,
        by: str | None = None,
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
    ) -> Result:
        """Its values by period, complete ones only unless `end` says otherwise.

        Args:
            grain: of the periods; by default the month.
            by: one dimension of its card.
            start: first day; by default two years of months, or the like.
            end: last day.

        Raises:
            CadranError: as `Layer.query`.
        """
        grain = grain or self.grain
        if grain in periods.GRAINS and (start is None or end is None):
            latest = periods.last_complete(last_day(self.layer), grain)
            start = start or periods.shifted(latest, grain, 1 - SHOWN[grain])
            end = end or periods.last_of(latest, grain)
        groups = [f"metric_time__{grain}", *([by] if by else [])]
        return self.layer.query([self.card.name], groups, start=start, end=end)

    def plot(
        self,
        grain: str | None = None,
        by: str | None = None,
        start: str | dt.date | None = None,
        end: str | dt.date | None = None,
        lang: str = "en",
    ) -> alt.LayerChart:
        """The picture of `values`; cut and marked where the definition changed.

        Raises:
            CadranError: as `Layer.query`.
            ImportError: Altair is not installed: `pip install cadran[charts]`.
        """
        from cadran import charts

        result = self.values(grain, by, start, end)
        breaks = breaks_of(result, self.card.name, lang)
        return charts.line(result, self.card, lang=lang, breaks=breaks)

    def explain(self, period: str, known_at: str | None = None, by: str | None = None) -> Bridge:
        """The bridge of one period, from its published value to that of now; `.plot()` draws it.

        Args:
            period: 2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31.
            known_at: the value that was published by then; by default the first.
            by: the dimension that splits the effect of a definition; by default the card's first.

        Raises:
            QueryError: nothing was published of that period by then.
        """
        from cadran.governance.bridge import bridge

        return bridge(self.layer, self.card.name, period, known_at=known_at, by=by)

    def history(self, period: str) -> list[dict[str, Any]]:
        """Every value that was published of one period, the first first, with change and reason.

        Raises:
            QueryError: nothing was published of it.
        """
        from cadran.governance.revisions import revisions

        return revisions(self.layer, self.card.name, period)

    def __repr__(self) -> str:
        return f"<KPI {self.card.name}: {self.card.label}, version {self.card.version}>"

    def _repr_mimebundle_(self, **_options: Any) -> Any:
        return self.plot()._repr_mimebundle_()


def breaks_of(result: Result, kpi: str, lang: str = "en") -> list[Any]:
    """The breaks that an answer carries, as marks for a chart."""
    from cadran.charts import Break

    marks = []
    for one in getattr(result, "breaks", ()):
        # A break outside the series (the published values changed, these did not) cuts no line.
        if one.kpi == kpi and getattr(one, "in_series", True):
            word = KINDS[lang].get(one.kind or "", one.kind or "")
            day = one.period.date() if isinstance(one.period, dt.datetime) else one.period
            marks.append(Break(day, f"v{one.after} {word}".strip()))
    return marks


KINDS = {
    "en": {
        "policy": "policy", "estimate": "estimate", "error": "correction", "source": "new source",
        "equivalent": "equivalent",
    },
    "fr": {
        "policy": "règle", "estimate": "estimation", "error": "correction",
        "source": "nouvelle source", "equivalent": "équivalente",
    },
}  # fmt: skip
