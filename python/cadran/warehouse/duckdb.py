"""DuckDB: the warehouse's file, attached read-only to a database in memory.

Attaching, instead of opening the file itself, lets it have any name: compiled SQL calls the
database what it was called when it was built, and that is the alias here. Sessions run in UTC.
While the file is open no other process can write to it; `close` lets go of it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cadran.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import duckdb
    import pyarrow as pa

# DuckDB sums integers into 128 bits, which Arrow can only hold as decimals.
_WHOLE = (
    "TINYINT", "SMALLINT", "INTEGER", "HUGEINT",
    "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
)  # fmt: skip


class DuckDB:
    """One DuckDB file, safe to ask from several threads: each has a cursor of its own."""

    dialect = "duckdb"

    def __init__(self, path: Path, alias: str | None) -> None:
        """Remember where the file is; the first statement opens it.

        Args:
            path: the database file.
            alias: what compiled SQL calls it; by default its file's name.
        """
        self.path = path
        self._alias = alias or path.stem
        self._root: duckdb.DuckDBPyConnection | None = None
        self._stamp: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._local = threading.local()

    def arrow(self, sql: str, dates: Collection[str] = ()) -> pa.Table:
        """The rows of a statement: every whole number is int64, and these columns are dates.

        Raises:
            WarehouseError: the file cannot be opened, the statement fails, or a whole number does
                not fit 64 bits.
        """
        import duckdb

        try:
            relation = self._cursor().sql(sql)
            casts = {
                name: "bigint" if str(kind) in _WHOLE else "date"
                for name, kind in zip(relation.columns, relation.types, strict=True)
                if str(kind) in _WHOLE or (name in dates and str(kind) == "TIMESTAMP")
            }
            if casts:
                # Cast by the engine as it hands the rows over; their order stays.
                relation = relation.project(
                    ", ".join(
                        f"cast({_quoted(name)} as {casts[name]}) as {_quoted(name)}"
                        if name in casts
                        else _quoted(name)
                        for name in relation.columns
                    )
                )
            return relation.to_arrow_table()
        except duckdb.Error as error:
            raise WarehouseError(self._refusal(error)) from error

    def column_types(self, sql: str) -> dict[str, str]:
        """The columns of a statement with DuckDB's names of their types; nothing is computed."""
        rows = self.arrow(f"describe {sql}").to_pylist()
        return {row["column_name"]: row["column_type"] for row in rows}

    def close(self) -> None:
        """Let go of the file, so that it can be written; the next statement opens it again."""
        with self._lock:
            if self._root is not None:
                self._root.close()
            self._root = self._stamp = None
            self._local = threading.local()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        stamp = self._stamp_now()
        with self._lock:
            if self._root is None or stamp != self._stamp:
                # A build that put a new file in place is seen by the next statement; threads that
                # still read the old one keep it until they are done.
                self._root, self._stamp = self._open(), stamp
                self._local = threading.local()
            cursor: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
            if cursor is None:
                cursor = self._root.cursor()
                cursor.execute(f"use {_quoted(self._alias)}")
                self._local.cursor = cursor
            return cursor

    def _stamp_now(self) -> tuple[int, int]:
        try:
            found = self.path.stat()
        except OSError:
            raise WarehouseError(
                f"There is no warehouse at {self.path}. Build it with `dbt build`, or name it"
                " with database= or CADRAN_DATABASE."
            ) from None
        return found.st_mtime_ns, found.st_ino

    def _open(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        root = duckdb.connect()
        file = str(self.path).replace("'", "''")
        try:
            root.execute("set global TimeZone = 'UTC'")
            # Otherwise a table that is missing would be looked for among the caller's variables.
            root.execute("set global python_enable_replacements = false")
            root.execute(f"attach '{file}' as {_quoted(self._alias)} (read_only)")
        except duckdb.Error as error:
            root.close()
            raise WarehouseError(self._refusal(error)) from error
        return root

    def _refusal(self, error: Exception) -> str:
        import duckdb

        says = str(error).strip().splitlines()[0]
        text = says.casefold()
        if "lock" in text and "conflict" in text:
            return (
                f"{self.path} is held by another process, probably a build: DuckDB lets no one read"
                f" while another process writes. Wait until it ends. DuckDB says: {says}"
            )
        if "already attached" in text or "file handle conflict" in text:
            return (
                f"{self.path} is open for writing in this process. Close that connection first."
                f" DuckDB says: {says}"
            )
        if "not a valid duckdb database" in text:
            return f"{self.path} is no DuckDB warehouse, or one of a newer DuckDB: {says}"
        if isinstance(error, duckdb.CatalogException):
            return (
                f"{self.path} lacks what the project's models should have built: run `dbt build`."
                f" DuckDB says: {says}"
            )
        return f"The warehouse refused the statement: {says}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
