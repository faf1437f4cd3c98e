"""Values over time: a line with its breaks, two versions of one, and a sparkline."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import altair as alt

from cadran.charts import theme
from cadran.charts.theme import plain, time_column

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from cadran.core.project.cards import Card

WIDTH, HEIGHT = 680, 260
MOST_SERIES = len(theme.SERIES)


@dataclass(frozen=True, slots=True)
class Break:
    """The first period of a new definition, and what to write beside the mark.

    Attributes:
        cuts: whether the values drawn change their meaning there, so that no line may cross.
    """

    period: dt.date
    label: str
    cuts: bool = True


def line(  # noqa: PLR0913 - what is marked, and the size of the picture
    data: Any,
    card: Card,
    *,
    lang: str = "en",
    breaks: Iterable[Break] = (),
    target: float | None = None,
    published: Any = None,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> alt.LayerChart:
    """A KPI over time; the line is cut where the definition changed, and never joined across it.

    Args:
        data: an Arrow table, a result or rows with `metric_time__<grain>`, the KPI, and at most one
            dimension, which gives one line per member (the six greatest).
        card: of the KPI.
        lang: language of labels and figures.
        breaks: where the definition changed.
        target: a value to compare with, drawn as a dashed rule.
        published: rows without a dimension as they were published, dashed behind the line; breaks
            cut them then, and not the line.
        width: in pixels, of the plot.
        height: in pixels, of the plot.

    Raises:
        QueryError: the rows have no period.
    """
    rows = plain(data)
    time, grain = time_column(rows)
    members = [name for name in rows[0] if name not in {time, card.name}]
    cuts = sorted(breaks, key=lambda change: change.period)
    drawn = [
        {
            "at": row[time],
            "value": row[card.name],
            "part": 0 if published else _part(row[time], cuts),
            "member": str(row[members[0]]) if members else card.localized(lang).label,
        }
        for row in rows
        if row[card.name] is not None
    ]
    names = _greatest(drawn)
    drawn = [row for row in drawn if row["member"] in names]
    base = theme.chart(drawn)
    layers: list[Any] = []
    if target is not None:
        goal = theme.chart([{"value": target}])
        layers.append(
            goal.mark_rule(color=theme.ORANGE, strokeDash=[2, 3], strokeWidth=1.5).encode(
                y=alt.Y("value:Q")
            )
        )
    encoded = base.encode(
        x=_time_axis(grain),
        y=_value_axis(card, drawn, lang),
        color=_colour(names),
        detail="part:N",
        tooltip=["at:T", "member:N", "value:Q"],
    )
    if published:
        layers.append(_published(plain(published), card, time, cuts))
    layers.append(encoded.mark_line(strokeWidth=2.25, interpolate="linear", clip=False))
    layers.append(_last_point(encoded, drawn))
    layers += _marks(cuts)
    if len(names) > 1:
        layers.append(_ends(drawn, names))
    return theme.styled(alt.layer(*layers).properties(width=width, height=height), lang)


def _part(period: Any, cuts: list[Break]) -> int:
    """Which of the lines between the breaks a period belongs to."""
    return sum(period >= _stamp(cut.period) for cut in cuts if cut.cuts)


def _published(rows: list[dict[str, Any]], card: Card, time: str, cuts: list[Break]) -> Any:
    drawn = [
        {"at": row[time], "value": row[card.name], "part": _part(row[time], cuts)}
        for row in rows
        if row[card.name] is not None
    ]
    dashed = theme.chart(drawn).mark_line(
        color=theme.ORANGE, strokeDash=[5, 4], strokeWidth=2, point={"size": 14}, clip=False
    )
    return dashed.encode(x="at:T", y="value:Q", detail="part:N", tooltip=["at:T", "value:Q"])


def overlap(  # noqa: PLR0913 - two versions, their names, and the size of the picture
    old: Any,
    new: Any,
    card: Card,
    *,
    lang: str = "en",
    names: tuple[str, str] = ("v1", "v2"),
    effective: dt.date | None = None,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> alt.LayerChart:
    """Two versions of a KPI over the same periods; the old one dashed.

    Args:
        old: rows of the old version, as for `line` without a dimension.
        new: rows of the new version.
        card: of the KPI.
        lang: language of labels and figures.
        names: how the versions are called, old then new.
        effective: from when the new one counts, marked when given.
        width: in pixels.
        height: in pixels.

    Raises:
        QueryError: the rows have no period.
    """
    drawn, grain = [], "month"
    for name, data in zip(names, (old, new), strict=True):
        rows = plain(data)
        time, grain = time_column(rows)
        drawn += [
            {"at": row[time], "value": row[card.name], "member": name}
            for row in rows
            if row[card.name] is not None
        ]
    shape = alt.StrokeDash("member:N", scale=alt.Scale(domain=names, range=[[5, 4], [1, 0]]))
    lines = (
        theme.chart(drawn)
        .mark_line(strokeWidth=2.25)
        .encode(
            x=_time_axis(grain),
            y=_value_axis(card, drawn, lang),
            color=alt.Color(
                "member:N",
                scale=alt.Scale(domain=names, range=[theme.ORANGE, theme.BLUE]),
                legend=None,
            ),
            strokeDash=shape.legend(None),
            tooltip=["at:T", "member:N", "value:Q"],
        )
    )
    cuts = [] if effective is None else [Break(effective, names[1])]
    ends = _ends(drawn, list(names), (theme.ORANGE, theme.BLUE))
    chart = alt.layer(lines, *_marks(cuts), ends).properties(width=width, height=height)
    return theme.styled(chart, lang)


def sparkline(values: Sequence[Any], *, width: int = 120, height: int = 28) -> alt.LayerChart:
    """The course of a value in the size of a word, with its last point; gaps stay gaps."""
    rows = [
        {"at": index, "value": None if value is None else float(value)}
        for index, value in enumerate(values)
    ]
    base = theme.chart(rows).encode(
        x=alt.X("at:Q", axis=None, scale=alt.Scale(domain=[0, max(len(rows) - 1, 1)])),
        y=alt.Y("value:Q", axis=None, scale=alt.Scale(zero=False)),
    )
    last = max((index for index, value in enumerate(values) if value is not None), default=0)
    chart = alt.layer(
        base.mark_line(color=theme.BLUE, strokeWidth=1.5, clip=False),
        base.transform_filter(f"datum.at == {last}").mark_circle(
            color=theme.BLUE, size=26, opacity=1
        ),
    ).properties(width=width, height=height, padding=3)
    return theme.styled(chart)


def _time_axis(grain: str) -> alt.X:
    return alt.X(
        "at:T",
        axis=alt.Axis(
            title=None,
            grid=False,
            format=theme.time_format(grain),
            tickCount=8,
            labelOverlap=True,
            labelFlush=False,
        ),
    )


def _value_axis(card: Card, drawn: list[dict[str, Any]], lang: str) -> alt.Y:
    values = [abs(row["value"]) for row in drawn]
    scale = alt.Scale(zero=card.unit != "%", nice=True)
    labels = theme.value_labels(card, max(values, default=0), lang)
    return alt.Y("value:Q", scale=scale, axis=alt.Axis(title=None, tickCount=5, labelExpr=labels))


def _colour(names: list[str]) -> alt.Color:
    scale = alt.Scale(domain=names, range=list(theme.SERIES[: len(names)]))
    return alt.Color("member:N", scale=scale, legend=None)


def _greatest(drawn: list[dict[str, Any]]) -> list[str]:
    sizes: dict[str, float] = {}
    for row in drawn:
        sizes[row["member"]] = max(sizes.get(row["member"], 0), abs(row["value"]))
    return sorted(sizes, key=lambda name: -sizes[name])[:MOST_SERIES]


def _last_point(encoded: Any, drawn: list[dict[str, Any]]) -> Any:
    last = max((row["at"] for row in drawn), default="")
    points = encoded.copy()
    points.data = theme.chart([row for row in drawn if row["at"] == last]).data
    return points.mark_circle(size=48, opacity=1)


def _marks(cuts: list[Break]) -> list[Any]:
    if not cuts:
        return []
    places = [{"at": _stamp(cut.period), "label": cut.label} for cut in cuts]
    base = theme.chart(places).encode(x="at:T")
    rule = base.mark_rule(color=theme.INK, strokeDash=[4, 3], strokeWidth=1)
    text = base.mark_text(
        align="left", baseline="bottom", dx=5, dy=-4, color=theme.INK, fontSize=theme.SMALL
    )
    return [rule, text.encode(text="label:N", y=alt.value(0))]


def _ends(
    drawn: list[dict[str, Any]], names: list[str], colours: Sequence[str] = theme.SERIES
) -> Any:
    """The name of each line at its end, pushed apart where two ends are close."""
    ends: dict[str, dict[str, Any]] = {}
    for row in drawn:
        if row["member"] not in ends or row["at"] >= ends[row["member"]]["at"]:
            ends[row["member"]] = row
    placed = sorted((dict(row) for row in ends.values()), key=lambda row: row["value"])
    values = [row["value"] for row in drawn]
    span = (max(values) - min(*values, 0)) or 1
    for below, above in itertools.pairwise(placed):
        above["value"] = max(above["value"], below["value"] + span * 0.065)
    scale = alt.Scale(domain=names, range=list(colours[: len(names)]))
    return (
        theme.chart(placed)
        .mark_text(align="left", dx=8, fontSize=theme.TEXT)
        .encode(
            x="at:T",
            y="value:Q",
            text="member:N",
            color=alt.Color("member:N", scale=scale, legend=None),
        )
    )


def _stamp(day: dt.date) -> str:
    return f"{day.isoformat()}T00:00:00"
