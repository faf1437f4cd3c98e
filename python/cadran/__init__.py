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
    from pathlib import Path

    from cadran.client import RemoteLayer, connect
    from cadran.core.layer import Layer
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
        ServiceError,
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
    "RemoteLayer",
    "Result",
    "ServiceError",
    "StoppedError",
    "UnauthenticatedError",
    "UnknownNameError",
    "WarehouseError",
    "connect",
    "open",
]

_HOMES = {
    "Card": ("core.project.cards", "Card"),
    "GroupBy": ("core.query.request", "GroupBy"),
    "Kpi": ("notebook", "Kpi"),
    "Layer": ("core.layer", "Layer"),
    "RemoteLayer": ("client", "RemoteLayer"),
    "Result": ("core.result", "Result"),
    "connect": ("client", "connect"),
}


def open(  # noqa: A001 - `cadran.open` reads as it should
    project_dir: Path | str | None = ".",
    *,
    manifest: Path | str | None = None,
    database: Path | str | None = None,
    plan_cache: bool = True,
    live: bool = False,
) -> Layer:
    """The layer of a built dbt project, or of a semantic manifest and a warehouse.

    Args:
        project_dir: the folder of the dbt project.
        manifest: a `semantic_manifest.json`, instead of a project.
        database: the DuckDB file; by default the one of the project's profile.
        plan_cache: False keeps compiled questions in memory only.
        live: answer also from what `cadran collect` landed since the build; needs a project.

    Definitions that are older than a file of the project are parsed again.

    Raises:
        ProjectError: there is no dbt project there, or a file of it is newer than its definitions
            and dbt, which would parse it, is not installed or refuses it; or it cannot be live.
    """
    if live:
        opener = import_module("cadran.telemetry.hot").open_live
    else:
        opener = import_module("cadran.core.layer").open_layer
    layer: Layer = opener(project_dir, manifest=manifest, database=database, plan_cache=plan_cache)
    _hand_pictures()
    return layer


def _draw(result: Result, kpi: str | None, lang: str) -> Any:
    return import_module("cadran.notebook").chart(result, kpi, lang)


def _hand_pictures() -> None:
    """Let answers be drawn; pictures are loaded with the first one."""
    import_module("cadran.core.result").Result.drawer = staticmethod(_draw)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'cadran' has no attribute {name!r}")
    module, attribute = _HOMES.get(name, ("errors", name))
    value = globals()[name] = getattr(import_module(f"cadran.{module}"), attribute)
    if name in {"Layer", "RemoteLayer", "connect"}:
        _hand_pictures()
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
