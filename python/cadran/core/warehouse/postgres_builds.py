"""What a server takes over from PostgreSQL, which it does not copy: one build, told by its mark.

A build replaces one table after the other, and a transaction that began before would find new
tables empty. So each statement of a server stands between two looks at the mark that a build sets
before it touches a table (see the macro `mark_build`). Where it is not the mark of the state that
is served, the answer is thrown away and the question refused for a moment; kept answers go on.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadran.core.warehouse.dialects import literal, quoted
from cadran.core.warehouse.ledger_sql import BATCHES
from cadran.core.warehouse.postgres import Postgres
from cadran.core.warehouse.snapshot import UnfinishedBuildError
from cadran.errors import BusyError, StoppedError, WarehouseError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Hashable

    import psycopg
    import pyarrow as pa

    from cadran.core.warehouse.postgres import Address
    from cadran.core.warehouse.protocol import Confinement

_MARK = "select state, invocation_id, marked_at from {}.build_marks"
# Of what was built without a mark: new tables have new numbers, and rows that come are counted.
_TABLES = """
select cast(count(*) as text) as state,
    md5(string_agg(entry.oid || ' ' || entry.relfilenode || ' ' || pg_stat_get_tuples_inserted(
        entry.oid) + pg_stat_get_tuples_updated(entry.oid) + pg_stat_get_tuples_deleted(entry.oid),
        ' ' order by entry.oid)) as invocation_id,
    cast(null as timestamp) as marked_at
from pg_class as entry
inner join pg_namespace as home on home.oid = entry.relnamespace
where entry.relkind in ('r', 'v', 'm') and home.nspname !~ '^(pg_|information_schema$)'
"""
_FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Build:
    """A build as its mark tells it.

    Attributes:
        state: building, finished or failed; without a mark, how many tables there are.
        invocation_id: of dbt; without a mark, what changes with the tables.
        marked_at: when, UTC; None without a mark.
    """

    state: str
    invocation_id: str | None
    marked_at: dt.datetime | None

    @property
    def is_marked(self) -> bool:
        """Whether the project marks its builds."""
        return self.marked_at is not None

    @property
    def is_finished(self) -> bool:
        """Whether it ended well."""
        return self.state == _FINISHED


class ServedPostgres(Postgres):
    """PostgreSQL as one build left it: from when another begins, it answers nothing."""

    def __init__(
        self,
        place: Address,
        alias: str | None,
        build: Build,
        marks_schema: str,
        *,
        confined: Confinement | None,
    ) -> None:
        """Remember where it is, of which build it answers, and where builds leave their marks."""
        super().__init__(place, alias, confined=confined)
        self.build, self.marks_schema = build, marks_schema

    def marked(self, connection: psycopg.Connection[object]) -> Build | None:
        """The mark of the last build; None where the project sets none."""
        return _marked(self, connection, self.marks_schema)

    def arrow(self, sql: str, dates: Collection[str] = ()) -> pa.Table:
        """As of any PostgreSQL, from this build alone.

        Raises:
            BusyError: another build goes on, or took its place.
        """
        with self.connection() as connection:
            if self.build.is_marked:
                self._check(connection)
            try:
                table = self.read(connection, sql, dates)
            except (BusyError, StoppedError):
                raise
            except WarehouseError:
                if self.build.is_marked and not connection.closed:
                    self._check(connection)  # it may have failed for a table that is being replaced
                raise
            if self.build.is_marked:
                self._check(connection)
            return table

    def is_of(self, stamp: Hashable) -> bool:
        """Whether a stamp of the database is of this build."""
        return isinstance(stamp, tuple) and stamp[0] == self.build

    def _check(self, connection: psycopg.Connection[object]) -> None:
        now = self.marked(connection)
        if now == self.build:
            return
        if now is not None and now.state == "building":
            raise BusyError(
                f"The warehouse is being built since {now.marked_at:%H:%M} UTC: ask again in a"
                " moment.",
                retry_after=5.0,
            )
        if now is not None and not now.is_finished:
            raise BusyError(
                "The last build of the warehouse did not end well: it has to be built again.",
                retry_after=30.0,
            )
        raise BusyError("The warehouse was built anew: ask again in a moment.", retry_after=2.0)


class DatabaseSource:
    """Where a server's states come from: a database of PostgreSQL."""

    def __init__(self, place: Address, alias: str | None, marks_schema: str) -> None:
        """Remember where it is, and the schema in which builds leave their marks."""
        self._place, self._alias, self._marks_schema = place, alias, marks_schema
        self._watching = Postgres(place, alias)

    def stamp(self) -> Hashable:
        """What changes with a build and with a publication; None where nobody can connect."""
        try:
            return self._now()
        except WarehouseError:
            return None

    def take(self, *, unfinished: bool, confined: Confinement | None) -> ServedPostgres:
        """The database as its last build left it.

        Args:
            unfinished: take it although that did not end well.
            confined: what it may use.

        Raises:
            UnfinishedBuildError: it did not end well.
            WarehouseError: the database cannot be reached.
        """
        build, _ = self._now()
        if build.is_marked and not build.is_finished and not unfinished:
            raise UnfinishedBuildError(
                f"The last build of {self._place} is marked '{build.state}'"
                f" ({build.marked_at:%Y-%m-%d %H:%M} UTC): build it again."
            )
        return ServedPostgres(
            self._place, self._alias, build, self._marks_schema, confined=confined
        )

    def close(self) -> None:
        """Let go of the connection."""
        self._watching.close()

    def _now(self) -> tuple[Build, int]:
        """The build, and the last batch of the ledger."""
        watching = self._watching
        with watching.connection() as connection:
            build = _marked(watching, connection, self._marks_schema)
            if build is None:
                row = watching.read(connection, _TABLES).to_pylist()[0]
                build = Build(**row)
            last = 0
            with contextlib.suppress(WarehouseError):  # nothing is published
                head = watching.read(connection, f"select max(batch) as last from {BATCHES}")
                last = head.column(0)[0].as_py() or 0
        return build, last


def _marked(
    warehouse: Postgres, connection: psycopg.Connection[object], schema: str
) -> Build | None:
    """The mark of the last build; None where the project sets none."""
    name = f"{quoted(schema)}.build_marks"
    there = f"select to_regclass({literal(name)}) is not null as is_there"
    if not warehouse.read(connection, there).column(0)[0].as_py():
        return None
    rows = warehouse.read(connection, _MARK.format(quoted(schema))).to_pylist()
    return Build(**rows[0]) if rows else None
