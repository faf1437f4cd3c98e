"""DuckDB beside any warehouse: SQL over files and over tables in memory, and files of its own.

What is read from raw files, what clients ask of answers, and what other programs get as a file of
DuckDB needs no warehouse, whatever engine that is.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

from cadran.core.warehouse.dialects import literal, quoted
from cadran.core.warehouse.duckdb import narrowed, whole_numbers
from cadran.errors import LimitError, QueryError, StoppedError, WarehouseError
from cadran.formats.files import placing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import duckdb
    import pyarrow as pa


class NoSuchTableError(WarehouseError):
    """A statement names a table that does not exist."""


class Scratch:
    """A database in memory, in UTC, in which files are read and worked on."""

    def __init__(self, connection: duckdb.DuckDBPyConnection | None = None) -> None:
        """Open it; or take another connection to one that is open."""
        if connection is None:
            import duckdb

            connection = duckdb.connect()
            connection.execute("set TimeZone = 'UTC'")
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database and of all that it holds."""
        self._connection.close()

    def cursor(self) -> Scratch:
        """Another connection to the same database, with temporary tables of its own."""
        return Scratch(self._connection.cursor())

    def execute(self, sql: str) -> None:
        """Run statements.

        Raises:
            WarehouseError: one is refused; NoSuchTableError where it names a table that lacks.
        """
        with _named_errors():
            self._connection.execute(sql)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement; `?` in it stands for a value.

        Raises:
            WarehouseError: as `execute`.
        """
        with _named_errors():
            return self._connection.execute(sql, list(values)).fetchall()

    def count(self, relation: str) -> int:
        """How many rows there are.

        Raises:
            WarehouseError: as `execute`.
        """
        return int(self.rows(f"select count(*) from {relation}")[0][0])

    def attach(self, database: Path, alias: str) -> None:
        """Let statements read a file of DuckDB under a name.

        Raises:
            WarehouseError: it cannot be opened.
        """
        self.execute(f"attach {literal(str(database))} as {quoted(alias)} (read_only)")

    def copy(self, sql: str, file: Path) -> None:
        """Write rows as Parquet into a file, which appears whole.

        Raises:
            WarehouseError: as `execute`.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        with placing(file) as aside:
            self.execute(
                f"copy ({sql}) to {literal(str(aside))} (format parquet, compression zstd)"
            )


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.CatalogException as error:
        raise NoSuchTableError(_first_line(error)) from error
    except duckdb.Error as error:
        raise WarehouseError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "?").splitlines()[0]


def write(path: Path, tables: Mapping[str, pa.Table]) -> None:
    """Write tables into a new database file, which takes the place of an old one at once.

    Who has the old file open keeps reading it until they let go of it.

    Args:
        path: the file.
        tables: their rows, by name.

    Raises:
        WarehouseError: the file cannot be written.
    """
    import duckdb

    path.parent.mkdir(parents=True, exist_ok=True)
    with placing(path) as aside, duckdb.connect() as connection:
        try:
            connection.execute(f"attach {literal(str(aside))} as made (storage_version 'v1.0.0')")
            for name, rows in tables.items():
                connection.register("given_rows", rows)
                connection.execute(f"create table made.{quoted(name)} as from given_rows")
                connection.unregister("given_rows")
            connection.execute("detach made")
        except duckdb.Error as error:
            raise WarehouseError(f"{path} cannot be written: {_first_line(error)}") from error


_BATCH_ROWS = 65_536
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "temp_directory": "",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
}


def answer(
    sql: str,
    tables: Mapping[str, pa.Table],
    *,
    schema: str,
    megabytes: int,
    stopper: Callable[[Callable[[], None]], AbstractContextManager[None]],
) -> pa.Table:
    """The rows of one statement over these tables.

    Args:
        sql: one SELECT, checked already.
        tables: by name.
        schema: in which they stand.
        megabytes: that the statement may use, and that its rows may take.
        stopper: is given what interrupts the statement, and may call it until the block ends.

    Raises:
        QueryError: the statement does not fit the tables.
        LimitError: it needs more memory.
        StoppedError: it was interrupted.
    """
    import duckdb
    import pyarrow as pa

    connection = duckdb.connect(":memory:", config=_SETTINGS | {"memory_limit": f"{megabytes}MB"})
    try:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"create schema {quoted(schema)}")
        for number, (name, table) in enumerate(tables.items()):
            relation = f"given_{number}"
            connection.register(relation, table)
            connection.execute(
                f"create view {quoted(schema)}.{quoted(name)} as select * from {relation}"
            )
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        with stopper(connection.interrupt):
            try:
                return _read(connection.sql(sql), megabytes, wide=False)
            except duckdb.ConversionException:
                # Only of what is too long for 64 bits; any other one comes again.
                return narrowed(_read(connection.sql(sql), megabytes, wide=True))
    except (duckdb.Error, pa.ArrowException) as error:
        raise _refusal(error) from None
    finally:
        connection.close()


def _read(relation: duckdb.DuckDBPyRelation, megabytes: int, *, wide: bool) -> pa.Table:
    import pyarrow as pa

    rows = whole_numbers(relation, wide=wide).to_arrow_reader(_BATCH_ROWS)
    return pa.Table.from_batches(_bounded(rows, megabytes), rows.schema)


def _bounded(rows: pa.RecordBatchReader, megabytes: int) -> Iterator[pa.RecordBatch]:
    remaining = megabytes * 1_000_000
    for batch in rows:
        remaining -= batch.nbytes
        if remaining < 0:
            raise LimitError(
                f"The answer has more than {megabytes} MB: ask for less with limit or a filter."
            )
        yield batch


def _refusal(error: Exception) -> Exception:
    import duckdb

    says = _first_line(error)
    if isinstance(error, duckdb.InterruptException) or "INTERRUPT" in says:
        return StoppedError("The statement was stopped before it was answered.")
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in says:
        return LimitError("The statement needs more memory than it may use: ask for less.")
    if isinstance(error, duckdb.BinderException):
        # It names columns of the tables in the statement, which the client may see.
        return QueryError(says)
    if isinstance(error, (duckdb.ConversionException, duckdb.OutOfRangeException)):
        return QueryError("A value in the statement does not fit the type that is asked of it.")
    return QueryError(
        "The statement cannot be run over these tables; it is not SQL that they take."
    )
