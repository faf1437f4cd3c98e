"""DuckDB: the warehouse's file, attached read-only to a database in memory.

Attaching, instead of opening the file itself, lets it have any name: compiled SQL calls the
database what it was called when it was built, and that is the alias here. Sessions run in UTC.
While the file is open no other process can write to it; `close` lets go of it. Only a batch of the
ledger writes, through `writing`, in a connection of its own.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cadran.core.warehouse import dialects
from cadran.core.warehouse.dialects import literal, quoted
from cadran.errors import LimitError, StoppedError, WarehouseError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from cadran.core.warehouse.protocol import Confinement, Fault, Writing


# DuckDB sums integers into 128 bits, which Arrow can only hold as decimals.
_WHOLE = (
    "TINYINT", "SMALLINT", "INTEGER", "HUGEINT",
    "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
)  # fmt: skip

# It would rather have a relation; see `DuckDB.arrow`.
warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)

_WHOLE_TABLE = "select * from "
_COLUMNS = """
select '"' || concat_ws('"."', database_name, schema_name, table_name) || '"' as relation,
    column_name, data_type
from duckdb_columns() where database_name = {} and not internal order by column_index
"""
_PAUSE = 0.05  # seconds between two tries at a file that another process holds


class HeldError(WarehouseError):
    """Another process has the file."""


class DuckDB:
    """One DuckDB file, safe to ask from several threads: each has a cursor of its own."""

    dialect = dialects.DUCKDB

    def __init__(
        self, path: Path, alias: str | None, *, confined: Confinement | None = None
    ) -> None:
        """Remember where the file is; the first statement opens it.

        Args:
            path: the database file.
            alias: what compiled SQL calls it; by default its file's name.
            confined: reach no other file, load nothing, and let no statement change a setting.

        The attribute `catalog` is the alias, and `wait` says for how many seconds a file that
        another process writes is tried again; 0, as it begins, refuses at once. A file that
        `is_copy` is written by nobody, and not looked at before each statement.
        """
        self.path = path
        self.wait = 0.0
        self.is_copy = False
        self.catalog = alias or path.stem
        self._confined = confined
        self._root: duckdb.DuckDBPyConnection | None = None
        self._stamp: tuple[int, int] | None = None
        self._types: tuple[object, dict[str, dict[str, str]]] | None = None
        self._lock = threading.Lock()
        self._local = threading.local()

    def arrow(self, sql: str, dates: Collection[str] = ()) -> pa.Table:
        """The rows of a statement: every whole number is int64, and these columns are dates.

        A column with a whole number beyond 64 bits is decimal(38, 0), which holds it exactly.

        Raises:
            LimitError: it needs more memory than there may be.
            WarehouseError: the file cannot be opened, or the statement fails.
            KeyboardInterrupt: it was interrupted by a signal.
        """
        import duckdb

        try:
            # A relation would be bound a second time to be read, and a third to be cast: that costs
            # more than the copy of its rows, and than the cast by Arrow of what few there are.
            cursor = self._cursor().execute(sql)
            kinds = [str(column[1]) for column in cursor.description]
            return _typed(cursor.to_arrow_table(), kinds, dates)
        except RuntimeError as error:
            if "interrupt" in str(error).casefold():
                raise KeyboardInterrupt from None
            raise
        except duckdb.InterruptException:
            raise StoppedError("The question was stopped before it was answered.") from None
        except duckdb.OutOfMemoryException:
            raise LimitError(
                "The question needs more memory than the warehouse may use: ask for less with a"
                " filter, a time range or a coarser grain."
            ) from None
        except duckdb.Error as error:
            incomparable = isinstance(
                error,
                (duckdb.BinderException, duckdb.ConversionException, duckdb.InvalidInputException,
                 duckdb.OutOfRangeException),
            )  # fmt: skip
            raise WarehouseError(self._refusal(error), incomparable=incomparable) from error

    def arrow_beside(
        self, sql: str, tables: Mapping[str, pa.Table], dates: Collection[str] = ()
    ) -> pa.Table:
        """As `arrow`, with rows that stand as tables of these names for this statement alone."""
        cursor = self._cursor()
        with contextlib.ExitStack() as stack:
            for name, rows in tables.items():
                stack.enter_context(Session(cursor).table(name, rows))
            return self.arrow(sql, dates)

    @property
    def ledger(self) -> DuckDB:
        """Itself: the ledger lies beside what was built."""
        return self

    def catalog_faults(self) -> list[Fault]:
        """None here: tables are judged by the SQL that made them."""
        return []

    def apart(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement that names tables with their catalog.

        It runs in the namespace of the database in memory, so that no macro of the file is called.

        Raises:
            WarehouseError: the file cannot be opened, or the statement fails.
        """
        import duckdb

        self._cursor()
        try:
            with self._lock:
                if self._root is None:
                    raise WarehouseError(f"{self.path} was closed while it was read.")
                cursor = self._root.cursor()
            rows: list[dict[str, Any]] = cursor.sql(sql).to_arrow_table().to_pylist()
        except duckdb.Error as error:
            raise WarehouseError(self._refusal(error)) from error
        return rows

    def column_types(self, sql: str) -> dict[str, str]:
        """The columns of a statement with DuckDB's names of their types; nothing is computed."""
        if sql.startswith(_WHOLE_TABLE):
            types = self._types_by_relation().get(sql.removeprefix(_WHOLE_TABLE))
            if types is not None:
                return dict(types)
        rows = self.arrow(f"describe {sql}").to_pylist()
        return {row["column_name"]: row["column_type"] for row in rows}

    def _types_by_relation(self) -> dict[str, dict[str, str]]:
        """The same of every table of the file by its name in full; read once a state of it."""
        stamp, known = self.stamp(), self._types
        if known is None or stamp != known[0]:
            types: dict[str, dict[str, str]] = {}
            for row in self.arrow(_COLUMNS.format(literal(self.catalog))).to_pylist():
                types.setdefault(row["relation"], {})[row["column_name"]] = row["data_type"]
            known = self._types = stamp, types
        return known[1]

    def distinct_values(self, relation: str, column: str) -> int | None:
        """About how many values a column has, by the statistics of its table; None of a view."""
        try:
            known = f"cast(stats({quoted(column)}).approx_unique as bigint)"
            rows = self.arrow(f"select {known} as known from {relation} limit 1").to_pylist()
        except WarehouseError:
            return None
        count: int | None = rows[0]["known"] if rows else None
        return count

    @property
    def engine(self) -> str:
        """The engine and its version."""
        return f"{dialects.DUCKDB} {version('duckdb')}"

    def watermark(self, sql: str) -> dt.datetime | None:  # noqa: ARG002 - whatever is asked
        """Nothing: rows are those of the last build."""
        return None

    def stamp(self) -> object | None:
        """When the file was written, and which one it is.

        Raises:
            WarehouseError: it is not there.
        """
        return self._stamp_now()

    def stopper(self) -> Callable[[], None]:
        """What stops the statement of this thread, to be called from another one.

        Raises:
            WarehouseError: the file cannot be opened.
        """
        return self._cursor().interrupt

    def close(self) -> None:
        """Let go of the file, so that it can be written; the next statement opens it again."""
        with self._lock:
            if self._root is not None:
                self._root.close()
            self._root = self._stamp = None
            self._local = threading.local()

    @contextlib.contextmanager
    def writing(self, wait: float) -> Iterator[Writing]:
        """A connection that may write; the process's own readers are closed for it.

        Args:
            wait: for how many seconds to try again while other processes hold the file.

        Raises:
            WarehouseError: the file is still held by then, or a statement failed.
        """
        import duckdb

        self.close()
        self._stamp_now()
        root = self._attached(wait, "read_write")
        try:
            root.execute(f"use {quoted(self.catalog)}")
            yield Session(root)
        except duckdb.Error as error:
            raise WarehouseError(self._refusal(error)) from error
        finally:
            root.close()

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
                cursor.execute(f"use {quoted(self.catalog)}")
                self._local.cursor = cursor
            return cursor

    def _stamp_now(self) -> tuple[int, int]:
        if self.is_copy and self._stamp is not None:
            return self._stamp
        try:
            stat = self.path.stat()
        except OSError:
            raise WarehouseError(
                f"There is no warehouse at {self.path}. Build it with `dbt build`, or name it"
                " with database= or CADRAN_DATABASE."
            ) from None
        return stat.st_mtime_ns, stat.st_ino

    def _open(self) -> duckdb.DuckDBPyConnection:
        return self._attached(self.wait, "read_only")

    def _attached(self, wait: float, mode: str) -> duckdb.DuckDBPyConnection:
        import duckdb

        until, is_swept = time.monotonic() + wait, False
        while True:
            root = duckdb.connect()
            try:
                root.execute("set global TimeZone = 'UTC'")
                # Otherwise a table that is missing would be looked for among Python's variables.
                root.execute("set global python_enable_replacements = false")
                self._attach(root, mode)
                if self._confined is not None:
                    self._confine(root, self._confined)
            except duckdb.Error as error:
                root.close()
                if _is_held_here(error) and not is_swept:
                    gc.collect()  # a connection that was let go of holds the file until then
                    is_swept = True
                    continue
                if isinstance(error, duckdb.IOException) and time.monotonic() < until:
                    time.sleep(_PAUSE)
                    continue
                waited = f" Waited {wait:g} s." if wait else ""
                kind = HeldError if _is_held_elsewhere(error) else WarehouseError
                raise kind(self._refusal(error) + waited) from error
            return root

    def _attach(self, root: duckdb.DuckDBPyConnection, mode: str) -> None:
        root.execute(f"attach {literal(str(self.path))} as {quoted(self.catalog)} ({mode})")

    @staticmethod
    def _confine(root: duckdb.DuckDBPyConnection, confined: Confinement) -> None:
        if confined.memory is not None:
            root.execute(f"set global memory_limit = '{confined.memory}'")
        if confined.threads is not None:
            root.execute(f"set global threads = {confined.threads}")
        if confined.spill is not None:
            root.execute(f"set global temp_directory = {literal(str(confined.spill))}")
        # What heavy statements needed goes back to the system soon after them.
        root.execute("set global allocator_background_threads = true")
        root.execute("set global enable_external_access = false")
        root.execute("set global lock_configuration = true")

    def _refusal(self, error: Exception) -> str:
        import duckdb

        says = str(error).strip().splitlines()[0]
        text = says.casefold()
        if _is_held_elsewhere(error):
            return (
                f"{self.path} is held by another process, probably a build or a board: DuckDB lets"
                f" no one read while another process writes, nor write while another reads. Wait"
                f" until it ends. DuckDB says: {says}"
            )
        if _is_held_here(error):
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


class Session:
    """A connection of DuckDB as the rest of the house sees one: statements, rows and tables."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Take an open connection."""
        self._connection = connection

    def begin(self) -> None:
        """Begin a transaction."""
        self._connection.begin()

    def commit(self) -> None:
        """Make the transaction last."""
        self._connection.commit()

    def rollback(self) -> None:
        """Undo the transaction."""
        self._connection.rollback()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run statements; `?` in one stands for a value."""
        self._connection.execute(sql, list(values))

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement, by the names of their columns."""
        rows: list[dict[str, Any]] = self._connection.sql(sql).to_arrow_table().to_pylist()
        return rows

    @contextlib.contextmanager
    def table(self, name: str, rows: pa.Table) -> Iterator[None]:
        """Let statements read rows as a table of this name within the block."""
        self._connection.register(name, rows)
        try:
            yield
        finally:
            self._connection.unregister(name)


def _typed(table: pa.Table, kinds: Sequence[str], dates: Collection[str]) -> pa.Table:
    """The rows with whole numbers as int64 where they fit, and instants in these columns as dates.

    Args:
        table: the rows as DuckDB hands them over.
        kinds: its own names of their types.
        dates: the columns that hold dates.
    """
    import pyarrow as pa

    for place, (field, kind) in enumerate(zip(table.schema, kinds, strict=True)):
        if kind in _WHOLE:
            column = _int64(table.column(place))
        elif kind == "TIMESTAMP" and field.name in dates:
            column = table.column(place).cast(pa.date32(), safe=False)
        else:
            continue
        table = table.set_column(place, field.name, column)
    return table


def _int64(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column.cast(pa.decimal128(38, 0))


def narrowed(table: pa.Table) -> pa.Table:
    """The rows with whole numbers of 128 bits as int64 in each column where all of them fit."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if field.type == pa.decimal128(38, 0):
            table = table.set_column(place, field.name, _int64(table.column(place)))
    return table


def whole_numbers(
    relation: duckdb.DuckDBPyRelation, dates: Collection[str] = (), *, wide: bool = False
) -> duckdb.DuckDBPyRelation:
    """The same rows with every whole number as BIGINT, and instants in these columns as dates.

    Args:
        relation: the rows.
        dates: the columns that hold dates.
        wide: whether those that may not fit 64 bits become DECIMAL(38, 0) instead.
    """
    casts = {
        name: _whole_type(str(kind), wide=wide) if str(kind) in _WHOLE else "date"
        for name, kind in zip(relation.columns, relation.types, strict=True)
        if str(kind) in _WHOLE or (name in dates and str(kind) == "TIMESTAMP")
    }
    if not casts:
        return relation
    # Cast by the engine as it hands the rows over; their order stays.
    return relation.project(
        ", ".join(
            f"cast({quoted(name)} as {casts[name]}) as {quoted(name)}"
            if name in casts
            else quoted(name)
            for name in relation.columns
        )
    )


def _whole_type(kind: str, *, wide: bool) -> str:
    return "decimal(38, 0)" if wide and kind in {"HUGEINT", "UHUGEINT", "UBIGINT"} else "bigint"


def _is_held_elsewhere(error: Exception) -> bool:
    """Whether another process has the file."""
    text = str(error).strip().partition("\n")[0].casefold()
    return "lock" in text and "conflict" in text


def _is_held_here(error: Exception) -> bool:
    """Whether another connection of this process has the file."""
    text = str(error).lower()
    return "already attached" in text or "file handle conflict" in text
