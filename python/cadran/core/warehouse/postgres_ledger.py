"""The ledger on PostgreSQL: its tables lie there, and what is said of them is worked out in DuckDB.

A copy of the tables in memory follows them: what was appended since is read before each statement.
So a batch has the same hash on every engine, and whoever can write functions, views or triggers
into the database changes no judgement: nothing of it is called. A batch is made in the copy, then
written and committed there, and comes back into the copy as every other batch does.

The tables take INSERT and no more: the trigger of `append_only` (see the macro of that name) stops
their owner too, who would have to drop it first, and that is a fault which `cadran verify` names.
"""

from __future__ import annotations

import contextlib
import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.core.warehouse.dialects import literal, quoted
from cadran.core.warehouse.duckdb import DuckDB, Session
from cadran.core.warehouse.ledger_sql import BATCHES, CREATE, ROWS, SCHEMA, WAITING
from cadran.core.warehouse.protocol import Fault
from cadran.errors import BusyError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import duckdb
    import psycopg
    import pyarrow as pa

    from cadran.core.warehouse.protocol import Writing

GUARD = "append_only"
_LOCKED = "55P03"  # SQLSTATE of a lock that was not had in time
_LOCK = 0x6361647261  # of the writer, among the advisory locks of the database
# Column, type in PostgreSQL; a star where it may be NULL. The marks are one text, as DuckDB prints.
_COLUMNS = {
    BATCHES: """
        batch bigint, kind text, kpi text, published_at timestamp, computed_at timestamp,
        data_as_of* timestamp, value_type text, version integer, definition_hash text,
        git_revision* text, author text, details text, row_count bigint, rows_hash text,
        previous_hash text, hash text, row_marks text
    """,
    ROWS: """
        batch bigint, row bigint, kpi text, grain text, period timestamp, dimension_set text,
        dimensions text, value* text, numerator* text, denominator* text, observations* bigint,
        status text, version integer, definition_hash text
    """,
    WAITING: """
        kpi* text, grain* text, period* timestamp, dimension_set* text, dimensions* text,
        published* text, computed* text, change* double precision, found_at* timestamp
    """,
}


def _columns(table: str) -> list[tuple[str, str, bool]]:
    """The columns of a table: name, type, and whether it may be NULL."""
    listed = [item.split(None, 1) for item in _COLUMNS[table].split(",")]
    return [(name.rstrip("*"), kind.strip(), name.endswith("*")) for name, kind in listed]


_BODY = """
    begin
        raise exception '%.% is append-only: % is refused', tg_table_schema, tg_table_name, tg_op
            using errcode = 'insufficient_privilege';
    end
"""


def guard(table: str) -> str:
    """What makes a table take INSERT alone, as the macro `append_only` does."""
    return f"""
    create or replace function {SCHEMA}.refuse_change() returns trigger language plpgsql
    as $guard${_BODY}$guard$;
    drop trigger if exists {GUARD} on {table};
    create trigger {GUARD} before update or delete or truncate on {table}
    for each statement execute function {SCHEMA}.refuse_change();
    alter table {table} enable always trigger {GUARD};
    revoke update, delete, truncate, references, trigger on {table} from public;
    """


def creation() -> str:
    """The tables, guarded, and the view that other tools read."""
    tables = []
    for table in _COLUMNS:
        columns = ", ".join(
            f"{name} {kind}{'' if may_lack else ' not null'}"
            for name, kind, may_lack in _columns(table)
        )
        tables.append(f"create table if not exists {table} ({columns});")
    view = f"""
    create or replace view {SCHEMA}.kpi_ledger as
    select
        entry.*,
        case when entry.value ~ '^-?[0-9.]+(e[-+]?[0-9]+)?$'
            then cast(entry.value as double precision) end as value_number,
        batch.kind, batch.published_at, batch.computed_at, batch.data_as_of, batch.git_revision,
        batch.author, batch.value_type, batch.details
    from {ROWS} as entry
    inner join {BATCHES} as batch on batch.batch = entry.batch;
    """
    schema = f"create schema if not exists {SCHEMA};"
    once = f"create unique index if not exists kpi_ledger_batch on {BATCHES} (batch);"
    return "\n".join([schema, *tables, once, guard(BATCHES), guard(ROWS), view])


class LedgerCopy(DuckDB):
    """The ledger of a database of PostgreSQL as a database in memory, asked as DuckDB is."""

    def __init__(
        self,
        label: str,
        reading: Callable[[], contextlib.AbstractContextManager[psycopg.Connection[Any]]],
        writer: Callable[[], contextlib.AbstractContextManager[psycopg.Connection[Any]]],
        read: Callable[[psycopg.Connection[Any], str], pa.Table],
    ) -> None:
        """Remember how the database is reached; the first statement reads its ledger.

        Args:
            label: what the database is called in errors.
            reading: a connection that only reads.
            writer: a connection of its own that may write.
            read: the rows of a statement on one.
        """
        super().__init__(Path("ledger"), None)
        self._label = label
        self._reading, self._writer, self._read = reading, writer, read
        self._following = threading.RLock()
        self._batches = 0

    @property
    def ledger(self) -> LedgerCopy:
        """Itself."""
        return self

    def arrow(self, sql: str, dates: Collection[str] = ()) -> pa.Table:
        """The rows of a statement over the ledger as it is now."""
        self._follow()
        return super().arrow(sql, dates)

    def apart(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement that names the tables with the copy's catalog."""
        self._follow()
        return super().apart(sql)

    def catalog_faults(self) -> list[Fault]:
        """What PostgreSQL's catalogue says against the tables; the copy is then read anew."""
        with self._following, self._reading() as connection:
            faults = self._faults(connection)
            self.close()
            self._batches = 0
        return faults

    @contextlib.contextmanager
    def writing(self, wait: float) -> Iterator[Writing]:
        """A session of the copy, whose commits are written to the database.

        Args:
            wait: for how many seconds to try again while another process writes the ledger.

        Raises:
            BusyError: it still writes by then.
            WarehouseError: the database refuses, or a statement failed.
        """
        # Nobody else of this process follows meanwhile: two transactions would meet in the copy.
        with self._following, self._writer() as connection, _refused(self._label):
            connection.execute(f"set lock_timeout = {max(1, int(wait * 1000))}")
            self._locked(connection)
            self._make(connection)
            self._follow()
            cursor = self._cursor()
            session = _LedgerSession(cursor, connection, self)
            try:
                yield session
            finally:
                session.end()

    def written(
        self, connection: psycopg.Connection[Any], cursor: duckdb.DuckDBPyConnection
    ) -> None:
        """Write what the copy's transaction holds beyond the tables."""
        with connection.transaction():
            for table in (ROWS, BATCHES):
                names = [name for name, _, _ in _columns(table)]
                fresh = f"select {_selected(names)} from {table} where batch > {self._batches}"
                _copied(connection, table, names, _all(cursor, fresh + " order by batch"))
            names = [name for name, _, _ in _columns(WAITING)]
            listed = f"select {_selected(names)} from {WAITING} order by all"
            connection.execute(f"delete from {WAITING}")
            _copied(connection, WAITING, names, _all(cursor, listed))

    def followed(self) -> None:
        """Take in what was written, after the copy's own transaction was undone."""
        self._follow()

    def _locked(self, connection: psycopg.Connection[Any]) -> None:
        try:
            connection.execute(f"select pg_catalog.pg_advisory_lock({_LOCK})")
        except Exception as error:
            if getattr(error, "sqlstate", None) != _LOCKED:
                raise
            raise BusyError(
                "The ledger is being written by another process: try again when that has ended.",
                retry_after=5.0,
            ) from None

    def _make(self, connection: psycopg.Connection[Any]) -> None:
        if _are_there(connection) < len(_COLUMNS):
            with connection.transaction():
                connection.execute(creation())

    def _follow(self) -> None:
        """Read what was appended since."""
        with self._following:
            if self._root is None:
                self._batches = 0
            with self._reading() as connection:
                if _are_there(connection) < len(_COLUMNS):
                    self._batches = 0
                    if self._root is not None:
                        self.close()
                    return
                head = self._read(connection, f"select max(batch) as last from {BATCHES}")
                last = head.column(0)[0].as_py() or 0
                if last == self._batches and self._root is not None and last:
                    return
                if last < self._batches:
                    self.close()  # its end is gone: what is left is read, and judged, anew
                    self._batches = 0
                self._take(connection, last)

    def _take(self, connection: psycopg.Connection[Any], last: int) -> None:
        cursor = self._cursor()
        parts = {
            table: self._read(
                connection,
                f"select {', '.join(quoted(name) for name, _, _ in _columns(table))} from {table}"
                + (
                    ""
                    if table == WAITING
                    else f" where batch > {self._batches} and batch <= {last}"
                ),
            )
            for table in _COLUMNS
        }
        cursor.begin()
        try:
            cursor.execute(CREATE)
            cursor.execute(f"delete from {WAITING}")
            for table, rows in parts.items():
                with Session(cursor).table("pulled", rows):
                    cursor.execute(f"insert into {table} by name select * from pulled")
        except BaseException:
            cursor.rollback()
            raise
        cursor.commit()
        self._batches = last

    def _attach(self, root: duckdb.DuckDBPyConnection, mode: str) -> None:  # noqa: ARG002 - in memory
        root.execute(f"attach ':memory:' as {quoted(self.catalog)}")

    def _stamp_now(self) -> tuple[int, int]:
        return 0, 0

    def _faults(self, connection: psycopg.Connection[Any]) -> list[Fault]:
        faults = []
        present = _are_there(connection)
        for table in _COLUMNS if present else ():
            schema, name = table.split(".")
            found = [
                Fault(f"{table} {what}", is_table=True)
                for what, sql in _JUDGED.items()
                for _ in connection.execute(sql.format(schema=literal(schema), name=literal(name)))
                .fetchmany(1)
            ]  # fmt: skip
            faults += found
            columns = connection.execute(
                _SHAPE.format(schema=literal(schema), name=literal(name))
            ).fetchall()
            if not found and [(name, kind) for name, kind in columns] != [
                (name, _LONG.get(kind, kind)) for name, kind, _ in _columns(table)
            ]:
                faults.append(
                    Fault(f"{table} is a table that the ledger did not make", is_table=True)
                )
            if not found and table != WAITING:
                body = literal(" ".join(["", *_BODY.split(), ""]))
                sql = _GUARDED.format(schema=literal(schema), name=literal(name), body=body)
                if not connection.execute(sql).fetchall():
                    faults.append(Fault(f"{table} has lost the trigger {GUARD} that guards it"))
        return faults


class _LedgerSession(Session):
    """A transaction in the copy and, at its commit, in the database."""

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        connection: psycopg.Connection[Any],
        copy: LedgerCopy,
    ) -> None:
        super().__init__(cursor)
        self._database, self._copy = connection, copy
        self._is_open = False

    def begin(self) -> None:
        """Begin a transaction."""
        super().begin()
        self._is_open = True

    def commit(self) -> None:
        """Write what is new to the database, where it lasts; the copy then reads it from there."""
        try:
            self._copy.written(self._database, self._connection)
        finally:
            self.rollback()
        self._copy.followed()

    def rollback(self) -> None:
        """Undo the transaction."""
        self._is_open = False
        super().rollback()

    def end(self) -> None:
        """Undo what was begun and neither made last nor undone."""
        if self._is_open:
            self.rollback()


@contextlib.contextmanager
def _refused(label: str) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise WarehouseError(
            f"The ledger's copy of {label} refused a statement: {str(error).splitlines()[0]}"
        ) from error


def _are_there(connection: psycopg.Connection[Any]) -> int:
    """How many of the tables there are."""
    listed = ", ".join(f"pg_catalog.to_regclass('{table}') is not null" for table in _COLUMNS)
    row = connection.execute(f"select {listed}").fetchone()
    return sum(row or ())


def _selected(names: Sequence[str]) -> str:
    # DuckDB prints a list as "[1, 2]", and reads it again.
    return ", ".join(
        f"cast({name} as varchar) as {name}" if name == "row_marks" else quoted(name)
        for name in names
    )


def _all(cursor: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    return cursor.sql(sql).to_arrow_table()


def _copied(
    connection: psycopg.Connection[Any], table: str, names: Sequence[str], rows: pa.Table
) -> None:
    """Append rows by COPY; an empty text is quoted there, and NULL is not."""
    from pyarrow import csv

    if not rows.num_rows:
        return
    buffer = io.BytesIO()
    csv.write_csv(rows, buffer, csv.WriteOptions(include_header=False))
    listed = ", ".join(map(quoted, names))
    with connection.cursor().copy(f"copy {table} ({listed}) from stdin (format csv)") as target:
        target.write(buffer.getbuffer())


_LONG = {"timestamp": "timestamp without time zone"}
_OF = """
from pg_catalog.pg_class as entry
inner join pg_catalog.pg_namespace as home on home.oid = entry.relnamespace
where home.nspname = {schema} and entry.relname = {name}
"""
# What makes a relation hold, or seem to hold, other rows than were put in.
_JUDGED = {
    "is no plain table": f"select 1 {_OF} and (entry.relkind <> 'r' or entry.relispartition)",
    "hides rows by a policy": f"""
        select 1 {_OF} and (entry.relrowsecurity or entry.relforcerowsecurity)""",
    "has rows of tables that inherit it": f"""
        select 1 {_OF} and exists (
            select from pg_catalog.pg_inherits as heir
            where entry.oid in (heir.inhparent, heir.inhrelid))""",
    "is rewritten by a rule": f"""
        select 1 {_OF} and exists (
            select from pg_catalog.pg_rewrite as rule where rule.ev_class = entry.oid)""",
    "has a trigger that the ledger did not make": f"""
        select 1 {_OF} and exists (
            select from pg_catalog.pg_trigger as trigger
            where trigger.tgrelid = entry.oid and not trigger.tgisinternal
                and trigger.tgname <> '{GUARD}')""",
}
_GUARDED = rf"""
select 1 {_OF} and exists (
    select from pg_catalog.pg_trigger as trigger
    inner join pg_catalog.pg_proc as called on called.oid = trigger.tgfoid
    where trigger.tgrelid = entry.oid and trigger.tgname = '{GUARD}' and trigger.tgenabled = 'A'
        -- before (2), for each statement (no 1), update (16), delete (8) and truncate (32)
        and trigger.tgtype = 58
        and pg_catalog.regexp_replace(called.prosrc, '\s+', ' ', 'g') = {{body}})
"""
_SHAPE = f"""
select attribute.attname::text, pg_catalog.format_type(attribute.atttypid, null)
from pg_catalog.pg_attribute as attribute
where attribute.attrelid = (select entry.oid {_OF}) and attribute.attnum > 0
    and not attribute.attisdropped
order by attribute.attnum
"""
