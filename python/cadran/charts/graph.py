"""Things and what they are made from, from left to right: lineage, and the KPI tree."""

from __future__ import annotations

import itertools
import statistics
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import altair as alt

from cadran.charts import theme

if TYPE_CHECKING:
    from collections.abc import Sequence

BOX, LETTERS = 184, 25
GAP, ROOM = 52, 12
LINE = 15
SWEEPS = 8
LANE = 6
CURVE = [step / 10 for step in range(11)]
FILLS = {
    "strong": (theme.BLUE, theme.PAPER, "#dbe7ef", theme.BLUE),
    "plain": (theme.PAPER, theme.INK, theme.MUTED, "#9fb0bd"),
    "soft": ("#f0f4f7", theme.INK, theme.MUTED, "#c3ccd4"),
    "warm": ("#fdf3e7", theme.INK, theme.MUTED, "#d9a066"),
}


@dataclass(frozen=True, slots=True)
class Node:
    """A box: its key, its words, a note under them, and how it is filled (a key of FILLS)."""

    key: str
    label: str
    note: str = ""
    style: str = "plain"


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow from a part to what is made of it; dashed when it is declared, not exact."""

    tail: str
    head: str
    label: str = ""
    is_dashed: bool = False


def tree(nodes: Sequence[Node], edges: Sequence[Edge], *, lang: str = "en") -> alt.LayerChart:
    """The picture of a graph without cycles; what others are made from stands on the left.

    Args:
        nodes: the boxes.
        edges: the arrows; those to unknown boxes are left out.
        lang: language of the formats.
    """
    boxes = {node.key: node for node in nodes}
    edges = [edge for edge in edges if edge.tail in boxes and edge.head in boxes]
    columns, routes = _columns(nodes, edges)
    heights = {
        key: LINE * (len(_lines(node.label)) + bool(node.note)) + 16 for key, node in boxes.items()
    }
    heights |= {key: LANE for column in columns for key in column if key not in boxes}
    tallest = max(
        (sum(heights[key] + ROOM for key in column) - ROOM for column in columns), default=0
    )
    place: dict[str, tuple[float, float]] = {}
    for index, column in enumerate(columns):
        used = sum(heights[key] + ROOM for key in column) - ROOM
        top = (tallest - used) / 2
        for key in column:
            place[key] = (index * (BOX + GAP), top)
            top += heights[key] + ROOM
    width = len(columns) * (BOX + GAP) - GAP
    chart = alt.layer(
        *_arrows(edges, routes, place, heights),
        *_boxes(boxes, place, heights),
        *_texts(boxes, place),
    )
    return theme.styled(
        chart.properties(width=max(width, BOX), height=max(tallest, LINE), padding=2).resolve_scale(
            color="independent", strokeDash="independent"
        ),
        lang,
    )


def _columns(
    nodes: Sequence[Node], edges: Sequence[Edge]
) -> tuple[list[list[str]], list[list[str]]]:
    """The keys of each column, and for each edge its way, with a lane in each column it crosses."""
    after: dict[str, list[str]] = {node.key: [] for node in nodes}
    for edge in edges:
        after[edge.tail].append(edge.head)
    depth: dict[str, int] = {}

    def of(key: str, seen: frozenset[str] = frozenset()) -> int:
        if key not in depth:
            ways = [of(other, seen | {key}) for other in after[key] if other not in seen]
            depth[key] = 1 + max(ways, default=-1)
        return depth[key]

    deepest = max((of(node.key) for node in nodes), default=0)
    columns: list[list[str]] = [[] for _ in range(deepest + 1)]
    for node in nodes:
        columns[deepest - depth[node.key]].append(node.key)
    routes = []
    for edge in edges:
        lanes = []
        for level in range(depth[edge.tail] - 1, depth[edge.head], -1):
            # Edges from one box share their lane, so that they part late.
            lane = f"{edge.tail}|{level}|{edge.is_dashed}"
            if lane not in columns[deepest - level]:
                columns[deepest - level].append(lane)
            lanes.append(lane)
        routes.append([edge.tail, *lanes, edge.head])
    _sort(columns, routes)
    return columns, routes


def _sort(columns: list[list[str]], routes: list[list[str]]) -> None:
    """Put each key beside the middle of its neighbours, to and fro, so that few edges cross."""
    near: tuple[dict[str, set[str]], dict[str, set[str]]] = ({}, {})
    for route in routes:
        for tail, head in itertools.pairwise(route):
            near[0].setdefault(head, set()).add(tail)
            near[1].setdefault(tail, set()).add(head)
    for sweep in range(SWEEPS):
        neighbours = near[sweep % 2]
        for column in columns if sweep % 2 == 0 else reversed(columns):
            middle = {
                key: (index + 0.5) / len(other)
                for other in columns
                for index, key in enumerate(other)
            }
            rank = {
                key: statistics.fmean(middle[other] for other in neighbours.get(key, {key}))
                for key in column
            }
            column.sort(key=rank.__getitem__)


def _lines(label: str) -> list[str]:
    # A name in snake case is broken at its underscores.
    return [
        line.replace(" ", "_") if "_" in label and " " not in label else line
        for line in textwrap.wrap(label.replace("_", " ") if " " not in label else label, LETTERS)
    ] or [""]


def _axis(field: str, kind: type[Any]) -> Any:
    return kind(
        field, type="quantitative", axis=None, scale=alt.Scale(zero=False, nice=False, padding=0)
    )


def _boxes(
    boxes: dict[str, Node], place: dict[str, tuple[float, float]], heights: dict[str, int]
) -> list[Any]:
    layers = []
    for style, (fill, _, _, stroke) in FILLS.items():
        rows = [
            {"x": place[key][0], "x2": place[key][0] + BOX,
             "y": -place[key][1], "y2": -place[key][1] - heights[key]}
            for key, node in boxes.items() if node.style == style
        ]  # fmt: skip
        if rows:
            layers.append(
                theme.chart(rows)
                .mark_rect(fill=fill, stroke=stroke, strokeWidth=1, cornerRadius=4)
                .encode(x=_axis("x", alt.X), x2="x2:Q", y=_axis("y", alt.Y), y2="y2:Q")
            )
    return layers


def _texts(boxes: dict[str, Node], place: dict[str, tuple[float, float]]) -> list[Any]:
    layers = []
    for style, (_, ink, muted, _) in FILLS.items():
        strong, small = [], []
        for key, node in boxes.items():
            if node.style != style:
                continue
            x, y = place[key]
            lines = _lines(node.label)
            strong += [
                {"x": x + 10, "y": -y - 15.5 - LINE * index, "text": text}
                for index, text in enumerate(lines)
            ]
            if node.note:
                row = {"x": x + 10, "y": -y - 15.5 - LINE * len(lines), "text": node.note}
                small.append(row)
        for rows, colour, size, weight in (
            (strong, ink, theme.TEXT, "bold"),
            (small, muted, theme.SMALL, "normal"),
        ):
            if rows:
                layers.append(
                    theme.chart(rows)
                    .mark_text(
                        align="left", baseline="middle", color=colour, fontSize=size,
                        fontWeight=weight, limit=BOX - 20,
                    )
                    .encode(x=_axis("x", alt.X), y=_axis("y", alt.Y), text="text:N")
                )  # fmt: skip
    return layers


def _arrows(
    edges: Sequence[Edge],
    routes: list[list[str]],
    place: dict[str, tuple[float, float]],
    heights: dict[str, int],
) -> list[Any]:
    layers = []
    labels = []
    for is_dashed in (False, True):
        rows: list[dict[str, float]] = []
        for number, (edge, route) in enumerate(zip(edges, routes, strict=True)):
            if edge.is_dashed != is_dashed:
                continue
            points: list[tuple[float, float]] = []
            for tail, head in itertools.pairwise(route):
                x1, y1 = place[tail][0] + BOX, place[tail][1] + heights[tail] / 2
                x2, y2 = place[head][0], place[head][1] + heights[head] / 2
                points += [
                    (x1 + (x2 - x1) * along, y1 + (y2 - y1) * along**2 * (3 - 2 * along))
                    for along in CURVE
                ]
            rows += [
                {"x": x, "y": -y, "edge": number, "step": step}
                for step, (x, y) in enumerate(points)
            ]
            if edge.label:
                labels.append({"x": points[-1][0] - 7, "y": -points[-1][1] + 9, "text": edge.label})
        if rows:
            layers.append(
                theme.chart(rows)
                .mark_line(
                    color="#8b99a5", strokeWidth=1.25, strokeDash=[4, 3] if is_dashed else [1, 0]
                )
                .encode(x=_axis("x", alt.X), y=_axis("y", alt.Y), detail="edge:N", order="step:Q")
            )
    if labels:
        layers.append(
            theme.chart(labels)
            .mark_text(align="right", color=theme.MUTED, fontSize=theme.SMALL)
            .encode(x=_axis("x", alt.X), y=_axis("y", alt.Y), text="text:N")
        )
    return layers
