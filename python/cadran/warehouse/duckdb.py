"""DuckDB: read-only for every question, and read-write for the short moment of a ledger batch."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from cadran.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb
    import pyarrow as pa

_PAUSE = 0.05  # seconds between two tries at a file that another process holds


class DuckDB:
    """A DuckDB file, attached read-only under the name that compiled SQL gives it.

    The connection is opened by the first statement and shared; each thread has its own cursor.
    """

    dialect = "duckdb"

    def __init__(self, path: Path, alias: str | None) -> None:
        """Remember where the file is; nothing is opened yet.

        The attribute `wait` is for how many seconds a file that another process writes is tried
        again; 0 refuses at once.
        """
        self.path = path
        self.wait = 0.0
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

    @contextlib.contextmanager
    def writing(self, wait: float) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that may write, and nothing else open meanwhile.

        The process's own readers are closed first, because DuckDB refuses one file in two modes.
        Nothing is written unless the block commits.

        Args:
            wait: for how many seconds to try again while other processes hold the file.

        Raises:
            WarehouseError: the file is still held by then, or a statement failed.
        """
        import duckdb

        self.close()
        root = self._attached(wait, read_only=False)
        try:
            root.execute(f'use "{self._alias}"')
            yield root
        except duckdb.Error as error:
            raise WarehouseError(f"The warehouse refused the statement: {error}") from error
        finally:
            root.close()

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
        return self._attached(self.wait, read_only=True)

    def _attached(self, wait: float, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        import duckdb

        if not self.path.exists():
            raise WarehouseError(
                f"There is no warehouse at {self.path}. Build it with `dbt build`, or name it"
                " with database= or CADRAN_DATABASE."
            )
        quoted = str(self.path).replace("'", "''")
        until = time.monotonic() + wait
        while True:
            root = duckdb.connect()
            try:
                root.execute("set TimeZone = 'UTC'")
                mode = "read_only" if read_only else "read_write"
                root.execute(f"attach '{quoted}' as \"{self._alias}\" ({mode})")
            except duckdb.IOException as error:
                root.close()
                if time.monotonic() < until:
                    time.sleep(_PAUSE)
                    continue
                waited = f" after {wait:g} s" if wait else ""
                raise WarehouseError(
                    f"{self.path} cannot be opened{waited}: {str(error).splitlines()[0]} If a build"
                    " or a publication is running, wait until it ends: DuckDB lets no one read"
                    " while another process writes, nor write while another reads."
                ) from error
            except duckdb.Error as error:
                root.close()
                raise WarehouseError(f"{self.path} is no DuckDB warehouse: {error}") from error
            return root
