"""Charts, each drawn once: Altair functions for notebooks, catalogue, board and pack."""

from cadran.charts.bars import bars, waterfall
from cadran.charts.graph import Edge, Node, tree
from cadran.charts.series import Break, line, overlap, sparkline
from cadran.charts.theme import png, quick, svg

__all__ = [
    "Break",
    "Edge",
    "Node",
    "bars",
    "line",
    "overlap",
    "png",
    "quick",
    "sparkline",
    "svg",
    "tree",
    "waterfall",
]
