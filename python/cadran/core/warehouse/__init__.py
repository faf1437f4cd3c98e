"""Warehouses: what runs SQL and returns Arrow. One module for each engine."""

from __future__ import annotations

from pathlib import Path

from cadran.core.warehouse.duckdb import DuckDB
from cadran.core.warehouse.postgres import Address, Postgres
from cadran.core.warehouse.protocol import Confinement, Warehouse, Writing
from cadran.core.warehouse.spark import Remote, Spark

__all__ = ["Address", "Confinement", "Remote", "Spark", "Warehouse", "Writing", "connect"]


def connect(
    database: Path | Address, alias: str | None, *, confined: Confinement | None = None
) -> Warehouse:
    """The warehouse behind a path or an address; its driver is imported at the first question."""
    if isinstance(database, Remote):
        return Spark(database, alias, confined=confined)
    if isinstance(database, Address):
        return Postgres(database, alias, confined=confined)
    return DuckDB(Path(database), alias, confined=confined)
