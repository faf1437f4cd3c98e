"""DuckDB, read-only."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cadran.errors import WarehouseError

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb
    import pyarrow as pa


class DuckDB:
    """A DuckDB file, attached read-only under the name that compiled SQL gives it.

    The connection is opened by the first statement and shared; each thread has its own cursor.
    """

    dialect = "duckdb"

    def __init__(self, path: Path, alias: str | None) -> None:
        """Remember where the file is; nothing is opened yet."""
        self.path = path
        self._alias = alias or path.stem
        self._root: duckdb.DuckDBPyConnection | None = None
        self._lock = threading.Lock()
        self._local = threading.local()

    def arrow(self, sql: str) -> pa.Table:
        """The rows of a statement, with DuckDB's own types.

        Raises:
            WarehouseError: the file cannot be opened or the statement fails.
        """
        import duckdb

        try:
            return self._cursor().sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise WarehouseError(f"The warehouse refused the statement: {error}") from error

    def column_types(self, sql: str) -> dict[str, str]:
        """The columns of a statement with DuckDB's names of their types; nothing is computed."""
        rows = self.arrow(f"describe {sql}").to_pylist()
        return {row["column_name"]: row["column_type"] for row in rows}

    def close(self) -> None:
        """Close every cursor, so that the file can be replaced or written again."""
        with self._lock:
            if self._root is not None:
                self._root.close()
            self._root = None
            self._local = threading.local()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if cursor is None:
            with self._lock:
                if self._root is None:
                    self._root = self._open()
                cursor = self._root.cursor()
            cursor.execute(f'use "{self._alias}"')
            self._local.cursor = cursor
        return cursor

    def _open(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        if not self.path.exists():
            raise WarehouseError(
                f"There is no warehouse at {self.path}. Build it with `dbt build`, or name it"
                " with database= or CADRAN_DATABASE."
            )
        root = duckdb.connect()
        quoted = str(self.path).replace("'", "''")
        try:
            root.execute("set TimeZone = 'UTC'")
            root.execute(f"attach '{quoted}' as \"{self._alias}\" (read_only)")
        except duckdb.IOException as error:
            root.close()
            raise WarehouseError(
                f"{self.path} cannot be opened: {str(error).splitlines()[0]} If a build is"
                " running, wait until it ends: DuckDB lets no one read while another process"
                " writes."
            ) from error
        except duckdb.Error as error:
            root.close()
            raise WarehouseError(f"{self.path} is no DuckDB warehouse: {error}") from error
        return root
