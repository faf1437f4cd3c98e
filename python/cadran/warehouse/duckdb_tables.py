"""DuckDB over given tables only: a database in memory that can reach nothing else.

It answers a client's own SQL over rows that the client may see anyway. Each statement has a
database of its own, without files, extensions, settings that can be changed, or Python variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.errors import LimitError, QueryError, StoppedError
from cadran.warehouse.duckdb import whole_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    import pyarrow as pa

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
        connection.execute(f"create schema {_quoted(schema)}")
        for number, (name, table) in enumerate(tables.items()):
            given = f"given_{number}"
            connection.register(given, table)
            connection.execute(
                f"create view {_quoted(schema)}.{_quoted(name)} as select * from {given}"
            )
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        with stopper(connection.interrupt):
            rows = whole_numbers(connection.sql(sql)).to_arrow_reader(_BATCH_ROWS)
            return pa.Table.from_batches(_bounded(rows, megabytes), rows.schema)
    except (duckdb.Error, pa.ArrowException) as error:
        raise _refusal(error) from None
    finally:
        connection.close()


def _bounded(rows: pa.RecordBatchReader, megabytes: int) -> Iterator[pa.RecordBatch]:
    left = megabytes * 1_000_000
    for batch in rows:
        left -= batch.nbytes
        if left < 0:
            raise LimitError(
                f"The answer has more than {megabytes} MB: ask for less with limit or a filter."
            )
        yield batch


def _refusal(error: Exception) -> Exception:
    import duckdb

    says = (str(error).strip() or "?").splitlines()[0]
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


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
