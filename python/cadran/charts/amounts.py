"""Values side by side: bars by member, and a waterfall from one total to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from cadran.charts import theme
from cadran.charts.rows import plain
from cadran.formats import change_of, measure

if TYPE_CHECKING:
    from cadran.cards import Card

ROW = 30
MOST_BARS = 12
ROOM_BELOW = 0.6


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
    whole = alt.layer(marks.encode(x=along), texts)
    return theme.finished(whole.properties(width=width, height=ROW * max(len(drawn), 1)), lang)


def waterfall(
    steps: list[dict[str, Any]], card: Card, *, lang: str = "en", width: int = 680
) -> alt.LayerChart:
    """A bridge from a first to a last total, each step standing on the one before.

    Args:
        steps: in order, `{"label", "value", "kind"}`: kind `total` stands on zero, kind `step` is
            added to what is before it.
        card: of the KPI.
        lang: language of the figures.
        width: in pixels.
    """
    drawn, level = [], 0.0
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
    base = theme.chart(drawn).encode(
        x=alt.X(
            "label:N",
            sort=names,
            axis=alt.Axis(title=None, labelAngle=0, labelLimit=110, labelColor=theme.INK),
            scale=alt.Scale(paddingInner=0.35, paddingOuter=0.2),
        )
    )
    # Steps that are small beside their totals would be hairlines: the totals are then cut off
    # below, and no axis pretends to measure them. Every bar has its figure.
    low, high = min(ends), max(ends)
    floor = max(low - (high - low) * ROOM_BELOW, 0) if low > 0 else low
    for row in drawn:
        row["from"] = max(row["from"], floor)
    height = alt.Y("from:Q", axis=None, scale=alt.Scale(domain=[floor, high], nice=False))
    colour = alt.Color(
        "sign:N",
        legend=None,
        scale=alt.Scale(
            domain=["total", "up", "down"], range=[theme.GREY, theme.BLUE, theme.ORANGE]
        ),
    )
    boxes = base.mark_bar(cornerRadius=1).encode(y=height, y2="to:Q", color=colour)
    texts = base.mark_text(dy=-8).encode(y="top:Q", text="text:N")
    whole = alt.layer(boxes, texts).properties(width=width, height=300)
    return theme.finished(whole, lang)


DASHED = "–"  # noqa: RUF001 - the dash that stands for no member
