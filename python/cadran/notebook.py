"""For notebooks: one KPI in the hand, the picture of an answer, and the magic `%%cadran`."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import yaml

from cadran.charts import rows
from cadran.charts.still import Drawing
from cadran.core.layer import open_layer
from cadran.core.query.request import Query
from cadran.errors import QueryError
from cadran.formats import periods
from cadran.formats.periods import read as read_period
from cadran.governance import notes
from cadran.governance.bridge import Bridge, bridge, revisions
from cadran.insight import anomalies, drivers, forecast
from cadran.insight.breaks import marks
from cadran.insight.evidence import compared
from cadran.insight.occasions import occasions
from cadran.insight.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.charts.plots import Mark
    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.core.result import Result
    from cadran.governance.notes import Note
    from cadran.insight.drivers import Drivers
    from cadran.insight.forecast import Forecast

_PERIOD = "metric_time__"
SHOWN = {"day": 90, "week": 53, "month": 25, "quarter": 9, "year": 5}


def chart(result: Result, kpi: str | None = None, lang: str = "en") -> Drawing:
    """The picture of an answer: a line over time, one for each member; or bars of the members.

    A line is cut where the definition changed, and never joined across it.

    Args:
        result: by metric_time, by one dimension, or by both.
        kpi: one of its KPIs; by default the first.
        lang: language of labels and figures.

    Raises:
        QueryError: it has no KPI, or is by more than that.
        UnknownNameError: the KPI is not in it.
    """
    names = [name for name in result.metrics if name in result.units]
    if kpi is None and not names:
        raise QueryError("A chart shows a KPI, and no metric of this answer has a card.")
    card = result.card(kpi or names[0])
    groups = [group.column for group in result.query.group_by]
    times = [name for name in groups if name.startswith(_PERIOD)]
    others = [name for name in groups if name not in times]
    if len(times) > 1 or len(others) > 1 or not groups:
        raise QueryError(
            "A chart takes an answer by metric_time, by one dimension, or by both; this one is by"
            f" {', '.join(groups) or 'nothing'}."
        )
    table = result.to_arrow().select([*groups, card.name])
    if not times:
        return Drawing(rows.ranked(table, card, title=card.localized(lang).label, lang=lang))
    breaks = marks(result.breaks, card.name, lang)
    return Drawing(rows.line(table, card, lang=lang, breaks=breaks))


def load_ipython_extension(ipython: Any) -> None:
    """Give a notebook the cell magic `%%cadran`, by `%load_ext cadran.notebook`.

    A cell holds the arguments of `Layer.query` as YAML. In its first line may stand the name under
    which the result is kept, `--chart`, and `--layer NAME` for another layer than `layer`; where
    there is none of that name, the project of this folder is opened.
    """
    ipython.register_magic_function(partial(_magic, ipython.user_ns), "cell", "cadran")


def _magic(variables: dict[str, Any], line: str, cell: str) -> Result | Drawing:
    words = line.split()
    is_chart = "--chart" in words
    name = "layer"
    if "--layer" in words:
        at = words.index("--layer")
        name = "".join(words[at + 1 : at + 2])
        del words[at : at + 2]
    names = [word for word in words if word != "--chart"]
    if len(names) > 1 or not all(word.isidentifier() for word in [*names, name]):
        raise QueryError(f"%%cadran takes a name, --chart and --layer NAME; here stands '{line}'.")
    if name not in variables:
        if name != "layer":
            raise QueryError(f"There is no layer '{name}': make it with cadran.open or connect.")
        variables[name] = open_layer(".")
    try:
        arguments = yaml.safe_load(cell)
    except yaml.YAMLError as problem:
        raise QueryError(f"The cell is no YAML: {problem}") from None
    if not isinstance(arguments, dict):
        raise QueryError("The cell holds arguments of query as YAML, such as metrics: [name].")
    Query.of(arguments)  # says what is no argument
    result: Result = variables[name].query(**arguments)
    for word in names:
        variables[word] = result
    return chart(result) if is_chart else result


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
        kind: Literal["line", "histogram"] = "line",
    ) -> Drawing:
        """The picture of `values`: over time, or how often they are how large.

        A line is cut and marked where its definition changes; where only the published values
        changed theirs, and those drawn are all of one, it is marked and goes on. By day, public
        holidays and sales of the project's calendar are marked below.

        Raises:
            CadranError: as `Layer.query`.
        """
        result = self.values(grain, by, start, end, known_at=known_at, view=view)
        if kind == "histogram":
            return Drawing(rows.histogram(result, self.card, lang=lang))
        return Drawing(
            rows.line(
                result, self.card, lang=lang, breaks=marks(result.breaks, self.card.name, lang),
                events=self._occasions(result, lang) if grain == "day" else (),
            )
        )  # fmt: skip

    def _occasions(self, result: Result, lang: str) -> list[Mark]:
        days = [day for day in result.to_arrow()["metric_time__day"].to_pylist() if day]
        days = [day.date() if isinstance(day, dt.datetime) else day for day in days]
        return occasions(self.layer, min(days), max(days), lang) if days else []

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

    def notes(self, period: str | None = None) -> tuple[Note, ...]:
        """What people said about it, of a period or at all; see `cadran.governance.notes`."""
        return notes.notes(self.layer, self.card.name, period)

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
            compare: `previous`, `year` or `same_days`; see `cadran.core.days.base_of`.
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
