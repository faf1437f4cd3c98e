"""Values side by side: bars by member, and a waterfall from one total to another."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import altair as alt

from cadran.charts import theme
from cadran.charts.theme import plain
from cadran.formats.numbers import change_of, measure

if TYPE_CHECKING:
    from cadran.core.project.cards import Card

ROW = 30
MOST_BARS = 12
ROOM_BELOW = 0.6
HEIGHT = 300
NARROWEST, WIDEST = 76, 104  # pixels of a step, of which the fewer the wider
ROOM = 900


def bars(data: Any, card: Card, *, lang: str = "en", width: int = 420) -> alt.LayerChart:
    """A KPI by member of one dimension, the greatest first, each with its figure.

    Args:
        data: an Arrow table, a result or rows with one dimension and the KPI; the twelve greatest
            are drawn.
        card: of the KPI.
        lang: language of the figures.
        width: in pixels, of the longest bar.
    """
    rows = [row for row in plain(data) if row[card.name] is not None]
    by = next((name for name in (rows[0] if rows else ()) if name != card.name), "")
    rows = sorted(rows, key=lambda row: -row[card.name])[:MOST_BARS]
    drawn = [
        {
            "member": DASHED if row[by] is None else str(row[by]),
            "value": row[card.name],
            "text": measure(row[card.name], card.unit, decimals=card.decimals, lang=lang),
        }
        for row in rows
    ]
    base = theme.chart(drawn).encode(
        y=alt.Y(
            "member:N",
            sort=[row["member"] for row in drawn],
            axis=alt.Axis(title=None, labelLimit=200, labelColor=theme.INK),
        )
    )
    along = alt.X("value:Q", axis=None, scale=alt.Scale(zero=True))
    marks = base.mark_bar(color=theme.BLUE, height=16, cornerRadiusEnd=2)
    texts = base.mark_text(align="left", dx=6).encode(x=along, text="text:N")
    chart = alt.layer(marks.encode(x=along), texts)
    return theme.styled(chart.properties(width=width, height=ROW * max(len(drawn), 1)), lang)


def waterfall(
    steps: list[dict[str, Any]], card: Card, *, lang: str = "en", width: int | None = None
) -> alt.LayerChart:
    """A bridge from a first to a last total, each step standing on the one before.

    Args:
        steps: in order, `{"label", "value", "kind"}`: kind `total` stands on zero, kind `step` is
            added to what is before it. A label may have several lines.
        card: of the KPI.
        lang: language of the figures.
        width: in pixels; by default as wide as the labels need.
    """
    drawn: list[dict[str, Any]] = []
    level = 0.0
    for index, step in enumerate(plain(steps)):
        is_total = step.get("kind") == "total"
        start = 0.0 if is_total else level
        level = step["value"] if is_total else level + step["value"]
        sign = "total" if is_total else "up" if step["value"] >= 0 else "down"
        text = measure if is_total else change_of
        drawn.append(
            {
                "label": step["label"],
                "order": index,
                "from": start,
                "to": level,
                "top": max(start, level),
                "sign": sign,
                "text": text(step["value"], card.unit, decimals=card.decimals, lang=lang),
            }
        )
    ends = [row["to"] for row in drawn] or [0.0]
    names = [row["label"] for row in drawn]
    count = max(len(drawn), 1)
    slot = width / count if width else min(max(ROOM / count, NARROWEST), WIDEST)
    axis = alt.Axis(
        title=None, labelAngle=0, labelLimit=slot - 6, labelColor=theme.INK,
        labelExpr="split(datum.label, '\\n')", domain=False,
    )  # fmt: skip
    scale = alt.Scale(paddingInner=0.35, paddingOuter=0.2)
    along = alt.X("label:N", sort=names, axis=axis, scale=scale)
    base = theme.chart(drawn).encode(x=along)
    # Steps that are small beside their totals would be hairlines: the totals are then cut off
    # below, which a sign on them says, and no axis pretends to measure them. Every bar has its
    # figure.
    low, high = min(ends), max(ends)
    floor = max(low - (high - low) * ROOM_BELOW, 0) if low > 0 else low
    for row in drawn:
        row["from"] = max(row["from"], floor)
    upright = alt.Scale(domain=[floor, high], nice=False)
    height = alt.Y("from:Q", axis=None, scale=upright)
    colour = alt.Color(
        "sign:N",
        legend=None,
        scale=alt.Scale(
            domain=["total", "up", "down"], range=[theme.GREY, theme.BLUE, theme.ORANGE]
        ),
    )
    boxes = base.mark_bar(cornerRadius=1).encode(y=height, y2="to:Q", color=colour)
    layers = [
        _links(drawn, along, upright),
        boxes,
        base.mark_text(dy=-8).encode(y="top:Q", text="text:N"),
    ]
    if floor > 0:
        cut = base.transform_filter("datum.sign == 'total'")
        layers.append(
            cut.mark_text(text="≈", fontSize=26, color="white").encode(y=alt.value(HEIGHT - 14))
        )
    chart = alt.layer(*layers).properties(width=slot * len(drawn), height=HEIGHT)
    return theme.styled(chart, lang)


def _links(drawn: list[dict[str, Any]], along: alt.X, scale: alt.Scale) -> Any:
    """Thin lines that lead from the end of each bar to the next."""
    pairs = [
        {"label": bar["label"], "next": following["label"], "level": bar["to"]}
        for bar, following in itertools.pairwise(drawn)
    ]
    base = theme.chart(pairs).mark_rule(color=theme.GREY, strokeWidth=1, opacity=0.6)
    return base.encode(
        x=along.copy().bandPosition(1),
        x2=alt.X2("next:N", bandPosition=0),
        y=alt.Y("level:Q", axis=None, scale=scale),
    )


DASHED = "–"  # noqa: RUF001 - the dash that stands for no member
