"""PostgreSQL with hot rows beside the built ones: one view a table gives both, one process writes.

All of it lies in a schema of its own, beside that of the marks. Where a table is live, its view is

    select * from built where time < hour union all select * from hot

and questions read the views: what dbt built is left alone. Of all that would keep the rows hot the
one does that has the advisory lock, and the others follow what it writes down with them: of which
build they are, and in which turn each table moved. One transaction moves all of them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from cadran.core.warehouse.dialects import literal, quoted
from cadran.core.warehouse.hot_plan import CUT, HOT
from cadran.core.warehouse.postgres_builds import ServedPostgres
from cadran.errors import BusyError, ProjectError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    import psycopg
    import pyarrow as pa

    from cadran.core.warehouse.hot_plan import HotPlan, HotTable
    from cadran.core.warehouse.protocol import Confinement

_LOCK = 0x63616472  # of the writer, among the advisory locks of the database
_HOURLY = 5.0  # seconds between two turns of the tables by hour
_PATIENCE = 30.0  # seconds in which the process that keeps the rows hot takes a new build over
_LONGEST = 63  # bytes of a name, which PostgreSQL cuts
_STATE = "state"
_NEVER = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - all times here are in UTC, as in the rows
_NO_NAME = r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/"  # texts and comments


class LivePostgres(ServedPostgres):
    """One build with hot rows beside it.

    Attributes:
        every: seconds between two turns.
        plan: how hot rows are made.
        freshen: called before each statement, where nobody else keeps the rows hot.
        is_begun: whether this process keeps the rows hot, and has begun to.
        cut: the first minute that is hot, UTC.
    """

    every = 1.0

    def __init__(
        self, served: ServedPostgres, plan: HotPlan, *, confined: Confinement | None = None
    ) -> None:
        """Take a build; `leads` says who keeps its rows hot.

        Raises:
            ProjectError: a name is too long, or the project marks no builds.
        """
        super().__init__(
            served.place, served.catalog, served.build, served.marks_schema, confined=confined
        )
        if not self.build.is_marked:
            raise ProjectError(
                f"Nothing is live on {self.place}: its builds leave no mark, by which the hot rows"
                " would be known to be of the build that is served. Let dbt build run the hooks"
                " `on-run-start` and `on-run-end` of the package."
            )
        self.schema = f"{served.marks_schema}_live"
        self.plan = plan
        self.freshen: Callable[[], object] | None = None
        self.is_begun = False
        self.cut = served.build.marked_at or _NEVER
        self._views = {
            f"{schema}.{name}": self._name(schema, name)
            for schema, name in [(t.schema, t.name) for t in plan.tables] + [*plan.served]
        }
        self._relation = self._pattern()
        self._session: psycopg.Connection[Any] | None = None
        self._opened_session = contextlib.ExitStack()
        self._turn_lock = threading.RLock()
        self._moved = dict.fromkeys((table.key for table in plan.tables), 0)
        self._through: dict[str, dt.datetime] = {}
        self._hours: set[dt.datetime] = set()  # whose tables by hour are to be made
        self._hourly_at = 0.0
        self._last_minute: dt.datetime | None = None

    # What is asked -------------------------------------------------------------------------------

    def arrow(self, sql: str, dates: Collection[str] = ()) -> pa.Table:
        """As of one build, with the hot rows."""
        if self.freshen is not None:
            self.freshen()
        return super().arrow(self._shown(sql), dates)

    def watermark(self, sql: str) -> dt.datetime | None:
        """The instant (UTC) up to which what landed is in a statement's rows.

        None where it reads no table that is live.
        """
        if self.freshen is not None:
            self.freshen()
        reads = self.plan.read_by(sql)
        return min((self._through[key] for key in reads if key in self._through), default=None)

    @property
    def moves(self) -> dict[str, int]:
        """For each hot table the turn in which it moved last."""
        return dict(self._moved)

    def is_current(self) -> bool:
        """Whether hot rows of the last build are shown."""
        with self._turn_lock, self._joined() as session:
            return bool(self._through) and self._is_of_now(session)

    def close(self) -> None:
        """Let go of the database and of the lock; `leads` asks for them again."""
        with self._turn_lock:
            self._release()
        super().close()

    # Who keeps the rows hot -----------------------------------------------------------------------

    def leads(self) -> bool:
        """Whether this process keeps the rows hot; it does from now on where nobody else does.

        Raises:
            BusyError: the database is being built, or was built anew.
            WarehouseError: it cannot be reached.
        """
        with self._turn_lock:
            if self._session is None and self.freshen is not None:
                self._take_build()
            try:
                with self._joined() as session:
                    self._check(session)
                    if self.is_begun:
                        return True
                    lock = f"{_LOCK}, hashtext({literal(self.schema)})"
                    held = session.execute(f"select pg_try_advisory_lock({lock})").fetchone()
                    return bool(held and held[0])
            except (BusyError, WarehouseError):
                self._release()
                raise

    def follow(self) -> frozenset[str]:
        """Take over what the process that keeps the rows hot wrote; the keys of what moved.

        Raises:
            WarehouseError: it has not begun with this build.
        """
        with self._turn_lock, self._joined() as session:
            state = self._read_state(session)
            if not state or state[0]["invocation_id"] != self.build.invocation_id:
                raise WarehouseError(
                    f"{self.place} has no hot rows of its last build yet: another process keeps"
                    " them."
                )
            moved = {row["key"] for row in state if row["turn"] != self._moved.get(row["key"])}
            self._moved = {row["key"]: row["turn"] for row in state}
            self._through = {row["key"]: row["landed_through"] for row in state}
            self.cut = state[0]["cut"]
            return frozenset(moved)

    def followed_cut(self) -> dt.datetime | None:
        """The first hot minute, where another process has begun with this build.

        None where this one keeps the rows hot from now on.

        Raises:
            BusyError: the database is being built, or was built anew.
            WarehouseError: nobody has begun in time.
        """
        end = time.monotonic() + _PATIENCE
        while not self.leads():
            try:
                self.follow()
            except WarehouseError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return self.cut
        return None

    # Keeping the rows hot -------------------------------------------------------------------------

    def last_times(self) -> dict[str, dt.datetime]:
        """The last time in each built table that is made from a source itself, where it has any."""
        times = {}
        with self._joined() as session:
            for table in self.plan.tables:
                if table.inputs & set(self.plan.sources):
                    column = quoted(table.time or "")
                    row = session.execute(f"select max({column}) from {_built(table)}").fetchone()
                    if row and row[0] is not None:
                        times[table.key] = row[0]
        return times

    def built_rows(self, schema: str, name: str) -> pa.Table:
        """All rows of a built table."""
        with self.connection() as connection:
            return self.read(connection, f"select * from {quoted(schema)}.{quoted(name)}")

    def begin(self, cut: dt.datetime) -> None:
        """Show the built rows up to an instant, and hot rows, which do not exist yet, from it on.

        Args:
            cut: the first minute that is hot, UTC.

        Raises:
            WarehouseError: the database lacks a table of the plan, or lets this user make none.
        """
        hour = cut.replace(minute=0)
        with self._writing() as session:
            self._check(session)
            old = self._read_state(session)
            first = max((row["turn"] for row in old), default=0) + 1
            self._empty_schema(session)
            for name, columns in self.plan.sources.items():
                session.execute(f"create table {self._name('source', name)} ({columns})")
            for each in ("minute", "hour"):
                session.execute(f"create table {self._name('touched', each)} (instant timestamp)")
            session.execute(
                f"create table {self._name(_STATE)} (key text primary key, turn bigint not null,"
                " landed_through timestamp not null, invocation_id text not null,"
                " cut timestamp not null)"
            )
            for table in self.plan.tables:
                self._begin_table(session, table, hour, cut)
            self._show_views(session, hour)
            for table in self.plan.tables:
                session.execute(
                    f"insert into {self._name(_STATE)} values (%s, %s, %s, %s, %s)",
                    (table.key, first, cut, self.build.invocation_id, cut),
                )
            self._hours, self._last_minute = {hour}, None
            self._touch(session, [cut])
            self._make(session, set(self.plan.sources), cut, hourly=True)
        self._moved = dict.fromkeys(self._moved, first)
        self._through = dict.fromkeys(self._moved, cut)
        self.cut, self._hourly_at, self._last_minute, self.is_begun = cut, 0.0, None, True

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
            BusyError: the database is being built, or was built anew.
            WarehouseError: a statement failed; the rows are those from before.
        """
        minutes = sorted(touched)
        hours = self._hours | {minute.replace(minute=0) for minute in minutes}
        is_hourly = time.monotonic() - self._hourly_at > _HOURLY
        moved: set[str] = set()
        with self._writing() as session:
            self._check(session)
            self._hours = hours
            if rows or (is_hourly and hours):
                for name, table in rows.items():
                    self._put(session, self._name("source", name), table)
                self._touch(session, minutes)
                last = minutes[-1] if minutes else None
                moved = self._make(session, set(rows), last, hourly=is_hourly)
            through = [t.key for t in self.plan.tables if is_hourly or t.each != "hour"]
            session.execute(
                f"update {self._name(_STATE)} set landed_through = %s where key = any(%s)",
                (landed_through, through),
            )
            session.execute(
                f"update {self._name(_STATE)} set turn = turn + 1 where key = any(%s)",
                (sorted(moved),),
            )
        if is_hourly:
            self._hours, self._hourly_at = set(), time.monotonic()
        self._through |= dict.fromkeys(through, landed_through)
        self._moved |= {key: self._moved[key] + 1 for key in moved}
        return frozenset(moved)

    def _begin_table(
        self, session: psycopg.Connection[Any], table: HotTable, hour: dt.datetime, cut: dt.datetime
    ) -> None:
        """Make the hot rows of a table, and the view that shows them with the built ones."""
        hot, built = self._name("rows", table.key), _built(table)
        column = quoted(table.time or "")
        # The hour of the cut is hot as a whole, so that tables by hour read nothing else.
        is_kept = f"{column} >= {_instant(hour)} and {column} < {_instant(cut)}"
        kept = is_kept if table.each == "minute" else "false"
        session.execute(f"create table {hot} as select * from {built} where {kept}")
        shown = f"select * from {hot}"
        if table.each != "whole":
            session.execute(f"create index on {hot} ({column})")
            shown = f"select * from {built} where {column} < {_instant(hour)} union all {shown}"
        session.execute(f"create view {self._name(table.schema, table.name)} as {shown}")

    def _show_views(self, session: psycopg.Connection[Any], hour: dt.datetime) -> None:
        """Make the views that are live, and those between, each after what it reads."""
        import psycopg

        waiting = [(self._name(*names), sql) for names, sql in self.plan.served.items()]
        waiting += [(self._name(scope, name), sql) for scope, name, sql in self.plan.views]
        while waiting:
            left = []
            for view, sql in waiting:
                try:
                    with session.transaction():
                        session.execute(f"create view {view} as {self._sql(sql, hour)}")
                except psycopg.errors.UndefinedTable as error:
                    problem = str(error).strip().splitlines()[0]
                    left.append((view, sql))
            if len(left) == len(waiting):
                raise WarehouseError(
                    f"{self.place} lacks what is needed to keep rows hot: build the project."
                    f" PostgreSQL says: {problem}"
                )
            waiting = left

    def _touch(self, session: psycopg.Connection[Any], minutes: list[dt.datetime]) -> None:
        for each, instants in (("minute", minutes), ("hour", sorted(self._hours))):
            name = self._name("touched", each)
            session.execute(f"delete from {name}")
            session.execute(f"insert into {name} select unnest(%s::timestamp[])", (instants,))
            session.execute(f"analyze {name}")

    def _make(
        self,
        session: psycopg.Connection[Any],
        moved: set[str],
        last: dt.datetime | None,
        *,
        hourly: bool,
    ) -> set[str]:
        """Make what reads something that moved; the keys of all tables that moved by it."""
        made: set[str] = set()
        hour = self.cut.replace(minute=0) if self.is_begun else min(self._hours)
        for table in self.plan.tables:
            if table.each == "hour":
                if not (hourly and self._hours):
                    continue
            elif not table.inputs & (moved | made):
                continue
            sql = self._sql(table.sql, hour)
            hot = self._name("rows", table.key)
            if table.each != "whole":
                self._replace_touched(session, table, sql)
            elif not self.is_begun:
                columns = _columns(session, hot)
                session.execute(
                    f"insert into {hot} ({columns}) select {columns} from ({_closed(sql)}) as made"
                )
            # It follows the minutes, not each second of them.
            elif not (
                table.is_due(last, self._last_minute)
                and self._replace(session, hot, sql, _since(table, hour))
            ):
                continue
            made.add(table.key)
        self._last_minute = max(filter(None, (self._last_minute, last)), default=None)
        return made

    def _replace_touched(self, session: psycopg.Connection[Any], table: HotTable, sql: str) -> None:
        """Make the rows of the minutes or hours that were touched anew."""
        hot, column = self._name("rows", table.key), quoted(table.time or "")
        touched = self._name("touched", table.each)
        session.execute(
            f"delete from {hot} where {column} >= (select min(instant) from {touched})"
            f" and {column} < (select max(instant) + interval '1 {table.each}' from {touched})"
            f" and date_trunc('{table.each}', {column}) in (select instant from {touched})"
        )
        columns = _columns(session, hot)
        session.execute(
            f"insert into {hot} ({columns}) select {columns} from ({_closed(sql)}) as made"
        )
        session.execute(f"analyze {hot}")

    @staticmethod
    def _replace(session: psycopg.Connection[Any], hot: str, sql: str, since: str) -> bool:
        """Make a table whole, or what may be hot of it; whether it has other rows than before.

        Rows that stay are left.
        """
        columns = _columns(session, hot)
        before = f"select {columns} from {hot}{since}"
        made = f"select {columns} from made_whole"
        session.execute(
            f"create temporary table made_whole on commit drop as select {columns}"
            f" from ({_closed(sql)}) as made{since}"
        )
        gone, is_more = session.execute(
            f"select (select count(*) from ({before} except {made}) as gone),"
            f" (select count(*) from {hot}{since})"
            f" + (select count(*) from ({made} except {before}) as new)"
            " = (select count(*) from made_whole)"
        ).fetchone() or (1, False)
        # A spine has a row more; where rows go the table is small.
        if gone or not is_more:
            session.execute(f"delete from {hot}{since}")
            before = f"{before} limit 0"
        new = session.execute(
            f"insert into {hot} ({columns}) {made} except all ({before})"
        ).rowcount
        session.execute("drop table pg_temp.made_whole")
        return bool(gone or new)

    # The schema and the session -------------------------------------------------------------------

    def _name(self, *names: str) -> str:
        """The quoted name of a table or view of the schema."""
        name = "__".join(names)
        if len(name.encode()) > _LONGEST:
            raise ProjectError(
                f"{name} is live, and its name has {len(name.encode())} bytes: PostgreSQL takes"
                f" {_LONGEST}. Give the model a shorter alias, or the target a shorter schema."
            )
        return f"{quoted(self.schema)}.{quoted(name)}"

    def _pattern(self) -> re.Pattern[str]:
        """A relation that is live as statements write it, or a text, which names none."""

        def part(name: str) -> str:
            return f'(?:"{re.escape(name)}"|{re.escape(name)})'

        dot = r"\s*\.\s*"
        names = "|".join(dot.join(map(part, name.split("."))) for name in self._views)
        database = f"(?:{part(self.catalog)}{dot})?"
        return re.compile(rf'{_NO_NAME}|(?<![\w."]){database}(?P<name>{names})(?![\w"])', re.DOTALL)

    def _shown(self, sql: str) -> str:
        """A statement that reads the views in place of what is live."""

        def view(match: re.Match[str]) -> str:
            name = match["name"]
            return self._views[re.sub(r'["\s]', "", name)] if name else match[0]

        return self._relation.sub(view, sql)

    def _sql(self, sql: str, hour: dt.datetime) -> str:
        """SQL of the plan over the tables of the schema."""
        named = re.sub(
            rf'"{HOT}"\."(\w+)"\."([^"]+)"', lambda match: self._name(match[1], match[2]), sql
        )
        return self._shown(named).replace(CUT, _instant(hour))

    def _empty_schema(self, session: psycopg.Connection[Any]) -> None:
        """See that the schema is there and empty; what readers were granted on it stays."""
        place = f"to_regnamespace({literal(quoted(self.schema))})"
        lacks = session.execute(f"select {place} is null").fetchone()
        if lacks and lacks[0]:  # else no right to make one is asked for
            session.execute(f"create schema {quoted(self.schema)}")
        entries = session.execute(
            "select relname, relkind::text from pg_catalog.pg_class where relkind in ('r', 'v')"
            f" and relnamespace = {place}"
        ).fetchall()
        for name, kind in entries:
            what = "view" if kind == "v" else "table"
            session.execute(f"drop {what} if exists {self._name(name)} cascade")

    def _read_state(self, session: psycopg.Connection[Any]) -> list[dict[str, Any]]:
        name = self._name(_STATE)
        there = self.read(session, f"select to_regclass({literal(name)}) is not null as is_there")
        if not there.column(0)[0].as_py():
            return []
        rows: list[dict[str, Any]] = self.read(session, f"select * from {name}").to_pylist()
        return rows

    @contextlib.contextmanager
    def _joined(self) -> Iterator[psycopg.Connection[Any]]:
        """The session that has the lock, or would."""
        with self._turn_lock:
            if self._session is not None and self._session.closed:
                self._release()
            if self._session is None:
                self._session = self._opened_session.enter_context(self.connected(writes=True))
                # What is lost with the machine is made again from what landed.
                self._session.execute("set synchronous_commit = off")
            with self.named_errors():
                yield self._session

    @contextlib.contextmanager
    def _writing(self) -> Iterator[psycopg.Connection[Any]]:
        """The session in one transaction; where that fails another process may try."""
        try:
            with self._joined() as session, session.transaction():
                yield session
        except BaseException:
            self._release()
            raise

    def _release(self) -> None:
        self.is_begun, self._session, self._through = False, None, {}
        with contextlib.suppress(WarehouseError):
            self._opened_session.close()

    def _is_of_now(self, session: psycopg.Connection[Any]) -> bool:
        try:
            self._check(session)
        except BusyError:
            return False
        return True

    def _take_build(self) -> None:
        """Take the build of now, where no server takes it over."""
        with self.connection() as connection:
            build = self.marked(connection)
        if build is not None and build.is_finished:
            self.build = build

    @staticmethod
    def _put(session: psycopg.Connection[Any], name: str, rows: pa.Table) -> None:
        session.execute(f"delete from {name}")
        columns = ", ".join(quoted(column) for column in rows.column_names)
        with session.cursor().copy(f"copy {name} ({columns}) from stdin") as copy:
            for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                copy.write_row(row)
        session.execute(f"analyze {name}")


def _columns(session: psycopg.Connection[Any], name: str) -> str:
    described = session.execute(f"select * from {name} limit 0").description or ()
    return ", ".join(quoted(column.name) for column in described)


def _closed(sql: str) -> str:
    """A statement that may end in a comment, for brackets around it."""
    return f"\n{sql.strip().rstrip(';')}\n"


def _built(table: HotTable) -> str:
    return f"{quoted(table.schema)}.{quoted(table.name)}"


def _since(table: HotTable, hour: dt.datetime) -> str:
    """The condition on rows of a whole table that may be hot, where it has a time."""
    return f" where {quoted(table.time)} >= {_instant(hour)}" if table.time else ""


def _instant(at: dt.datetime) -> str:
    return f"timestamp {literal(f'{at:%Y-%m-%d %H:%M:%S}')}"
