"""Warehouses: what runs SQL and returns Arrow. One module for each engine."""

from __future__ import annotations

from pathlib import Path

from cadran.core.warehouse.duckdb import DuckDB
from cadran.core.warehouse.protocol import Confinement, Warehouse, Writing

__all__ = ["Confinement", "Warehouse", "Writing", "connect"]


def connect(
    database: Path | str, alias: str | None, *, confined: Confinement | None = None
) -> Warehouse:
    """The warehouse behind a path; the engine's driver is imported at the first question."""
    return DuckDB(Path(database), alias, confined=confined)
