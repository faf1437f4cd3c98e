"""Cadran: one KPI, one definition, one number everywhere.

import cadran

layer = cadran.open(".")
layer.query(["net_revenue"], group_by=["metric_time__month"]).to_pandas()
"""

from cadran.errors import (
    CadranError,
    CardError,
    NotGovernedError,
    ProjectError,
    QueryError,
    UnknownNameError,
    WarehouseError,
)
from cadran.layer import Layer
from cadran.layer import open_layer as open  # noqa: A004 - `cadran.open` reads as it should
from cadran.query import GroupBy

__version__ = "0.1.0"

__all__ = [
    "CadranError",
    "CardError",
    "GroupBy",
    "Layer",
    "NotGovernedError",
    "ProjectError",
    "QueryError",
    "UnknownNameError",
    "WarehouseError",
    "open",
]
