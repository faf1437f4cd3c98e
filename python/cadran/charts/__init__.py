"""Charts, each drawn once: Altair functions for notebooks, catalogue, board and pack."""

from cadran.charts.amounts import bars, waterfall
from cadran.charts.graph import Edge, Node, tree
from cadran.charts.render import png, quick, svg
from cadran.charts.series import Break, line, overlap, sparkline

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
