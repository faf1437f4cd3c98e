"""Cadran: one KPI, one definition, one number everywhere.

    import cadran

    layer = cadran.open(".")
    layer.query(["net_revenue"], group_by=["metric_time__month"]).to_pandas()

Names are loaded when they are first used, so that importing costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cadran.core.layer import Layer
    from cadran.core.layer import open_layer as open  # noqa: A004 - `cadran.open` reads as it should
    from cadran.core.project.cards import Card
    from cadran.core.query.request import GroupBy
    from cadran.core.result import Result
    from cadran.errors import (
        CadranError,
        CardError,
        LimitError,
        NotAllowedError,
        NotGovernedError,
        PolicyError,
        ProjectError,
        QueryError,
        StoppedError,
        UnauthenticatedError,
        UnknownNameError,
        WarehouseError,
    )
    from cadran.notebook import Kpi

__version__ = "0.1.0"

__all__ = [
    "CadranError",
    "Card",
    "CardError",
    "GroupBy",
    "Kpi",
    "Layer",
    "LimitError",
    "NotAllowedError",
    "NotGovernedError",
    "PolicyError",
    "ProjectError",
    "QueryError",
    "Result",
    "StoppedError",
    "UnauthenticatedError",
    "UnknownNameError",
    "WarehouseError",
    "open",
]

_HOMES = {
    "Card": ("core.project.cards", "Card"),
    "GroupBy": ("core.query.request", "GroupBy"),
    "Kpi": ("notebook", "Kpi"),
    "Layer": ("core.layer", "Layer"),
    "Result": ("core.result", "Result"),
    "open": ("core.layer", "open_layer"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'cadran' has no attribute {name!r}")
    module, attribute = _HOMES.get(name, ("errors", name))
    found = globals()[name] = getattr(import_module(f"cadran.{module}"), attribute)
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
