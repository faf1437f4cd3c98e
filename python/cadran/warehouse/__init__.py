"""Warehouses: what runs SQL and returns Arrow. One module for each engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa


class Warehouse(Protocol):
    """What the layer needs of an engine."""

    dialect: str

    def arrow(self, sql: str, dates: Collection[str] = ()) -> pa.Table:
        """The rows of a statement: every whole number is int64, and these columns are dates."""

    def column_types(self, sql: str) -> dict[str, str]:
        """The columns of a statement with the engine's names of their types."""

    def close(self) -> None:
        """Let go of the warehouse."""


def connect(database: Path | str, alias: str | None) -> Warehouse:
    """The warehouse behind a path; the engine's driver is imported at the first question."""
    from cadran.warehouse.duckdb import DuckDB

    return DuckDB(Path(database), alias)
