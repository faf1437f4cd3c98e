"""Things and what they are made from, from left to right: lineage, and the KPI tree."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.charts.picture import Arrow, Box, Graph, Style
from cadran.charts.svg import SMALL, TEXT, cut, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cadran.charts.svg import Canvas

_BOX, _INSET = 138.0, 8.0  # points
_GAP, _ROOM = 39.0, 9.0
_LINE = 11.5
_SWEEPS = 8
_LANE = 4.5
_MOST_LINES = 3
_FILLS = {  # of a box, its words, its note and its edge
    "strong": ("blue", "paper", "paper", "blue"),
    "plain": ("paper", "ink", "muted", "grey"),
    "soft": ("sunk", "ink", "muted", "rule"),
}


@dataclass(frozen=True, slots=True)
class Node:
    """A box: its key, its words, a note under them, and how it is filled."""

    key: str
    label: str
    note: str = ""
    style: Style = "plain"


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow from a part to what is made of it; dashed when it is declared, not exact."""

    tail: str
    head: str
    label: str = ""
    is_dashed: bool = False


def tree(nodes: Sequence[Node], edges: Sequence[Edge], *, title: str) -> Graph:
    """The picture of a graph without cycles; what others are made from stands on the left.

    Args:
        nodes: the boxes.
        edges: the arrows; those to unknown boxes are left out.
        title: what a screen reader says.
    """
    named = {node.key: node for node in nodes}
    edges = [edge for edge in edges if edge.tail in named and edge.head in named]
    columns, routes = _columns(nodes, edges)
    lines = {key: _lines(node.label) for key, node in named.items()}
    heights = {key: _LINE * (len(lines[key]) + bool(node.note)) + 12 for key, node in named.items()}
    heights |= {key: _LANE for column in columns for key in column if key not in named}
    tallest = max(
        (sum(heights[key] + _ROOM for key in column) - _ROOM for column in columns), default=0.0
    )
    place: dict[str, tuple[float, float]] = {}
    for index, column in enumerate(columns):
        used = sum(heights[key] + _ROOM for key in column) - _ROOM
        top = (tallest - used) / 2 + 1
        for key in column:
            place[key] = (index * (_BOX + _GAP) + 1, top)
            top += heights[key] + _ROOM
    arrows = []
    for edge, route in zip(edges, routes, strict=True):
        ways = []
        for key in route:
            x, middle = place[key][0], place[key][1] + heights[key] / 2
            # A lane is crossed on the level; a box is reached at its left and left at its right.
            ways += [(x, middle), (x + _BOX, middle)]
        arrows.append(Arrow(tuple(ways[1:-1]), edge.label, edge.is_dashed))
    boxes = [
        Box(*place[key], _BOX, heights[key], lines[key], node.note, node.style)
        for key, node in named.items()
    ]
    width = len(columns) * (_BOX + _GAP) - _GAP + 2
    return Graph(title, max(width, _BOX), max(tallest, _LINE) + 2, tuple(boxes), tuple(arrows))


def draw(canvas: Canvas, graph: Graph) -> None:
    """Put a graph on a canvas, in its own size."""
    for arrow in graph.arrows:
        style = "dashed" if arrow.is_dashed else "solid"
        canvas.line(arrow.points, "grey", width=1, style=style, curved=True)
    for box in graph.boxes:
        fill, ink, muted, edge = _FILLS[box.style]
        canvas.rect(box.x, box.y, box.width, box.height, fill, radius=3, edge=edge)
        x, y = box.x + _INSET, box.y + 6 + _LINE / 2
        room = box.width - 2 * _INSET
        for line in box.lines:
            canvas.text(x, y, cut(line, room, bold=True), ink, bold=True)
            y += _LINE
        canvas.text(x, y, cut(box.note, room, SMALL), muted, size=SMALL)
    for arrow in graph.arrows:
        x, y = arrow.points[-1]
        canvas.text(x - 4, y + 6, arrow.label, size=SMALL, anchor="end")


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
    for sweep in range(_SWEEPS):
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


def _lines(label: str) -> tuple[str, ...]:
    """The words of a box; a name in snake case is broken at its underscores."""
    joint = "_" if "_" in label and " " not in label else " "
    lines: list[str] = []
    for word in label.split(joint):
        longer = f"{lines[-1]}{joint}{word}" if lines else word
        is_full = text_width(longer, TEXT, bold=True) > _BOX - 2 * _INSET
        if lines and is_full and len(lines) < _MOST_LINES:
            lines.append(word)
        else:
            lines[-1:] = [longer]
    return tuple(lines)
