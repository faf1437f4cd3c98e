"""DuckDB with hot rows beside the built ones: one view a table gives both.

The built file is attached under a name of its own. Compiled SQL reads a database in memory that has
the file's name and a view for each of its tables and views. Where a table is live, its view is

    select * from built where time < cut union all select * from hot

so that a question sees each row once. Hot rows are made by the SQL that dbt compiled, run over the
minutes that were touched. One transaction moves all of them: a question sees them before or after.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from cadran.core.warehouse.dialects import literal, quoted
from cadran.core.warehouse.duckdb import DuckDB
from cadran.core.warehouse.hot_plan import CUT, HOT
from cadran.errors import WarehouseError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from cadran.core.warehouse.hot_plan import HotPlan
    from cadran.core.warehouse.protocol import Confinement

_BUILT = "_built"
_SCHEMAS = ("source", "rows", "touched", "minute", "hour", "all")
_HOURLY = 5.0  # seconds between two turns of the tables by hour
_WORN = 300  # turns after which rows that were replaced are swept out of the memory


class LiveDuckDB(DuckDB):
    """A built file with hot rows beside it. It stays the file that was opened first.

    Attributes:
        every: seconds between two turns; as often as it is called.
        plan: how hot rows are made.
        freshen: called before each statement, where nobody else keeps the rows hot.
        is_begun: whether the rows are cut.
    """

    every = 0.0

    def __init__(
        self, path: Path, alias: str | None, plan: HotPlan, *, confined: Confinement | None = None
    ) -> None:
        """Remember where the file is; `begin` says from when on rows are hot."""
        super().__init__(path, alias, confined=confined)
        self.plan = plan
        self.freshen: Callable[[], object] | None = None
        self._through: dict[str, dt.datetime] = {}
        self._hours: set[dt.datetime] = set()  # whose tables by hour are to be made
        self._hourly_at = 0.0
        self._turn = threading.Lock()
        self._turns = 0
        self._moved = dict.fromkeys((table.key for table in plan.tables), 0)
        self._last_minute: dt.datetime | None = None
        self._pinned: tuple[int, int] | None = None
        self.is_begun = False

    def arrow(self, sql: str, dates: Collection[str] = ()) -> pa.Table:
        """As of any DuckDB, with the hot rows."""
        if self.freshen is not None:
            self.freshen()
        return super().arrow(sql, dates)

    def watermark(self, sql: str) -> dt.datetime | None:
        """The instant (UTC) up to which what landed is in a statement's rows.

        None where it reads no table that is live.
        """
        if self.freshen is not None:
            self.freshen()
        return min((self._through[key] for key in self.plan.read_by(sql)), default=None)

    def is_current(self) -> bool:
        """Whether hot rows are shown, beside the file as it is now."""
        return self.is_begun and self._pinned == super()._stamp_now()

    def leads(self) -> bool:
        """Yes: each process keeps hot rows of its own."""
        return True

    def followed_cut(self) -> dt.datetime | None:
        """None: see `leads`."""
        return None

    def follow(self) -> frozenset[str]:
        """Nothing: see `leads`."""
        return frozenset()

    def close(self) -> None:
        """Let go of the file and of the hot rows; `begin` opens them again."""
        super().close()
        self._pinned, self.is_begun, self._last_minute = None, False, None

    @property
    def moves(self) -> dict[str, int]:
        """For each hot table the turn in which it moved last."""
        return dict(self._moved)

    def last_times(self) -> dict[str, dt.datetime]:
        """The last time in each built table that is made from a source itself, where it has any."""
        facts = [table for table in self.plan.tables if table.inputs & set(self.plan.sources)]
        times = {}
        for table in facts:
            rows = self._run(
                f"select max({quoted(table.time or '')}) from {_built(table.schema, table.name)}"
            )
            if rows and rows[0][0] is not None:
                times[table.key] = rows[0][0]
        return times

    def built_rows(self, schema: str, name: str) -> pa.Table:
        """All rows of a built table."""
        return super().arrow(f"select * from {_built(schema, name)}")

    def begin(self, cut: dt.datetime) -> None:
        """Show the built rows up to an instant, and hot rows, which do not exist yet, from it on.

        Args:
            cut: the first minute that is hot, UTC.

        Raises:
            WarehouseError: the file lacks a table of the plan.
        """
        instants = {"minute": _instant(cut), "hour": _instant(cut.replace(minute=0))}
        with self._writing() as cursor:
            for name, columns in self.plan.sources.items():
                cursor.execute(f"create table {_hot('source', name)} ({columns})")
            for each in ("minute", "hour"):
                cursor.execute(f"create table {_hot('touched', each)} (instant timestamp)")
            for table in self.plan.tables:
                built, hot = _built(table.schema, table.name), _hot("rows", table.key)
                none = "" if table.each == "whole" else " limit 0"
                cursor.execute(f"create table {hot} as select * from {built}{none}")
        live = {(table.schema, table.name): table for table in self.plan.tables}
        with self._writing() as cursor:
            for schema, name, is_table in self._relations(cursor):
                cursor.execute(f"create schema if not exists {self._of_file(schema)}")
                hot_table = live.get((schema, name))
                built = _built(schema, name)
                if hot_table is not None:
                    hot = f"select * from {_hot('rows', hot_table.key)}"
                    if hot_table.each != "whole":
                        until = instants[hot_table.each]
                        column = quoted(hot_table.time or "")
                        earlier = f"select * from {built} where {column} < {until}"
                        hot = f"{earlier} union all by name {hot}"
                    cursor.execute(f"create view {self._of_file(schema, name)} as {hot}")
                elif is_table and (schema, name) not in self.plan.served:
                    view = f"create view {self._of_file(schema, name)} as select * from {built}"
                    cursor.execute(view)
        self._show_views(instants["hour"])
        with self._turn, self._transaction() as cursor:
            self._hours = {cut.replace(minute=0)}
            self._touch(cursor, [cut])
            self._make(cursor, set(self.plan.sources), cut, hourly=True)
        self._hourly_at, self._last_minute, self.is_begun = 0.0, None, True

    def _show_views(self, cut: str) -> None:
        """Make the views of the file, and those between, each after what it reads."""
        waiting = []
        with self._writing() as cursor:
            for schema, name, is_table in self._relations(cursor):
                served = self.plan.served.get((schema, name))
                if served is not None:
                    waiting.append((self._of_file(schema, name), served))
                elif not is_table:
                    waiting.append(
                        (self._of_file(schema, name), f"select * from {_built(schema, name)}")
                    )
        waiting += [(_hot(scope, name), sql) for scope, name, sql in self.plan.views]
        import duckdb

        problems: dict[str, str] = {}
        while waiting:
            left = []
            for view, sql in waiting:
                # One transaction each: a view that cannot be made yet must not undo the others.
                try:
                    with self._writing() as cursor:
                        cursor.execute(f"create view {view} as {sql.replace(CUT, cut)}")
                except duckdb.Error as error:
                    problems[view] = str(error)
                    left.append((view, sql))
            if len(left) == len(waiting):
                break
            waiting = left
        hot = [view for view, _ in waiting if view.startswith(quoted(HOT))]
        if hot:
            raise WarehouseError(
                f"{self.path} lacks what is needed to keep rows hot: build the project."
                f" DuckDB says: {problems[hot[0]].strip().splitlines()[0]}"
            )
        # What is left reads files of the sources, which nobody may read here.

    def take(
        self,
        rows: Mapping[str, pa.Table],
        touched: Iterable[dt.datetime],
        landed_through: dt.datetime,
    ) -> frozenset[str]:
        """Make the hot rows of some minutes anew; returns the keys of the tables that moved.

        Args:
            rows: all rows that the touched minutes have now, by source table, where some are
                new; and all rows of a source without time where they changed.
            touched: the minutes, UTC, none before the cut.
            landed_through: the instant up to which what had landed is in them. Tables by hour
                follow some seconds later.

        Raises:
            WarehouseError: a statement failed; the rows are those from before.
        """
        import duckdb

        minutes = sorted(touched)
        moved: set[str] = set()
        try:
            with self._turn:
                self._hours |= {minute.replace(minute=0) for minute in minutes}
                is_hourly = time.monotonic() - self._hourly_at > _HOURLY
                if rows or (is_hourly and self._hours):
                    with self._transaction() as cursor:
                        for name, table in rows.items():
                            self._put(cursor, _hot("source", name), table)
                        self._touch(cursor, minutes)
                        moved = self._make(
                            cursor, set(rows), minutes[-1] if minutes else None, hourly=is_hourly
                        )
                    self._turns += 1
                    self._moved.update(dict.fromkeys(moved, self._turns))
                    if self._turns % _WORN == 0:
                        self._sweep()
                if is_hourly:
                    self._hours, self._hourly_at = set(), time.monotonic()
                for hot_table in self.plan.tables:
                    if is_hourly or hot_table.each != "hour":
                        self._through[hot_table.key] = landed_through
        except duckdb.Error as error:
            raise WarehouseError(f"Hot rows cannot be made: {str(error).strip()}") from error
        return frozenset(moved)

    def _touch(self, cursor: duckdb.DuckDBPyConnection, minutes: list[dt.datetime]) -> None:
        import pyarrow as pa

        for each, instants in (("minute", minutes), ("hour", sorted(self._hours))):
            table = pa.table({"instant": pa.array(instants, pa.timestamp("us"))})
            self._put(cursor, _hot("touched", each), table)

    def _make(
        self,
        cursor: duckdb.DuckDBPyConnection,
        moved: set[str],
        last: dt.datetime | None,
        *,
        hourly: bool,
    ) -> set[str]:
        """Make what reads something that moved; the keys of all tables that moved by it."""
        made: set[str] = set()
        for table in self.plan.tables:
            hot = _hot("rows", table.key)
            if table.each == "hour":
                if not (hourly and self._hours):
                    continue
            elif not table.inputs & (moved | made):
                continue
            if table.each == "whole":
                # It follows the minutes, not each second of them.
                is_due = table.is_due(last, self._last_minute)
                if is_due and self._replace(cursor, hot, table.sql):
                    made.add(table.key)
                continue
            cursor.execute(
                f"delete from {hot} where date_trunc('{table.each}', {quoted(table.time or '')})"
                f" in (select instant from {_hot('touched', table.each)})"
            )
            cursor.execute(f"insert into {hot} by name {table.sql}")
            made.add(table.key)
        self._last_minute = max(filter(None, (self._last_minute, last)), default=None)
        return made

    @staticmethod
    def _replace(cursor: duckdb.DuckDBPyConnection, hot: str, sql: str) -> bool:
        """Make a table whole; whether it has other rows than before."""
        cursor.execute(f"create or replace temp table made_whole as {sql}")
        sums = "select count(*), sum(cast(hash(part) as hugeint)) from {} as part"
        before, after = (
            cursor.execute(sums.format(rows)).fetchall() for rows in (hot, "made_whole")
        )
        if before != after:
            cursor.execute(f"create or replace table {hot} as from made_whole")
        cursor.execute("drop table made_whole")
        return before != after

    def _sweep(self) -> None:
        for table in self.plan.tables:
            hot = _hot("rows", table.key)
            with self._transaction() as cursor:
                cursor.execute(f"create or replace table {hot} as from {hot}")

    def _attach(self, root: duckdb.DuckDBPyConnection, mode: str) -> None:
        root.execute(f"attach {literal(str(self.path))} as {quoted(_BUILT)} ({mode})")
        root.execute(f"attach ':memory:' as {quoted(self.catalog)}")
        root.execute(f"attach ':memory:' as {quoted(HOT)}")
        for schema in _SCHEMAS:
            root.execute(f"create schema {quoted(HOT)}.{quoted(schema)}")

    def _stamp_now(self) -> tuple[int, int]:
        if self._pinned is None:
            self._pinned = super()._stamp_now()
        return self._pinned

    def _of_file(self, *names: str) -> str:
        return ".".join(quoted(name) for name in (self.catalog, *names))

    def _relations(self, cursor: duckdb.DuckDBPyConnection) -> list[tuple[str, str, bool]]:
        return cursor.execute(
            "select table_schema, table_name, table_type = 'BASE TABLE'"
            f" from information_schema.tables where table_catalog = {literal(_BUILT)}"
        ).fetchall()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        self._cursor()  # opens the file
        with self._lock:
            if self._root is None:
                raise WarehouseError(f"{self.path} was closed while it was read.")
            cursor = self._root.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._writing() as cursor:
            cursor.execute(f"use {quoted(HOT)}")
            cursor.begin()
            try:
                yield cursor
            except BaseException:
                cursor.rollback()
                raise
            cursor.commit()

    def _run(self, sql: str) -> list[tuple[Any, ...]]:
        with self._writing() as cursor:
            return cursor.execute(sql).fetchall()

    @staticmethod
    def _put(cursor: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
        cursor.register("landed_rows", rows)
        cursor.execute(f"create or replace table {table} as select * from landed_rows")
        cursor.unregister("landed_rows")


def _hot(schema: str, name: str) -> str:
    return f"{quoted(HOT)}.{quoted(schema)}.{quoted(name)}"


def _built(schema: str, name: str) -> str:
    return f"{quoted(_BUILT)}.{quoted(schema)}.{quoted(name)}"


def _instant(at: dt.datetime) -> str:
    return f"timestamp {literal(f'{at:%Y-%m-%d %H:%M:%S}')}"
