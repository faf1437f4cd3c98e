"""PostgreSQL: sessions that only read, in UTC, out of a pool; rows as Arrow, typed as DuckDB's.

A statement runs by the extended protocol, which takes one statement and no more. `numeric` without
a declared scale, as sums have it, comes with the scale of its values; whole numbers are int64.
Neither logs nor errors nor a repr hold a password: an address is told as `user@host:port/database`.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cadran.core.warehouse import dialects
from cadran.core.warehouse.dialects import literal
from cadran.core.warehouse.postgres_ledger import LedgerCopy
from cadran.core.warehouse.postgres_rows import is_dividing, name_of, table
from cadran.errors import BusyError, ProjectError, StoppedError, WarehouseError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterator, Mapping
    from contextlib import AbstractContextManager

    import psycopg
    import pyarrow as pa
    from psycopg_pool import ConnectionPool

    from cadran.core.warehouse.protocol import Confinement, Writing

PREFIXES = ("postgresql://", "postgres://")
_CONNECT_SECONDS = 5
_POOL_SECONDS = 2.0  # that a question waits for a connection while others have them all
_CONNECTIONS = 4

# Of the keys of a profile of dbt, those that libpq knows by another name or by the same.
PROFILE_KEYS = {
    "host": "host", "port": "port", "user": "user", "pass": "password", "password": "password",
    "dbname": "dbname", "database": "dbname", "sslmode": "sslmode", "sslcert": "sslcert",
    "sslkey": "sslkey", "sslrootcert": "sslrootcert", "connect_timeout": "connect_timeout",
    "keepalives_idle": "keepalives_idle",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database of PostgreSQL is, and as whom it is asked; it prints without the password.

    Attributes:
        parameters: of libpq, by their names there.
        role: taken after the login; empty for none.
    """

    parameters: Mapping[str, str] = field(repr=False)
    role: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The name of the database."""
        return self.parameters.get("dbname") or self.parameters.get("user") or "postgres"

    def __str__(self) -> str:
        """The address without the password."""
        known = self.parameters
        user = f"{known['user']}@" if known.get("user") else ""
        port = f":{known['port']}" if known.get("port") else ""
        return f"postgresql://{user}{known.get('host', 'localhost')}{port}/{self.name}"


def address(url: str) -> Address:
    """The address that a URL names.

    Raises:
        ProjectError: it is none, or the driver is not installed; the message does not repeat it.
    """
    driver = _driver()
    try:
        parameters = driver.conninfo.conninfo_to_dict(url)
    except driver.Error:
        raise ProjectError(
            "The address of PostgreSQL cannot be read: it is written"
            " postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for an @ in the password."
        ) from None
    if "@" in str(parameters.get("host")):
        raise ProjectError("In the address of PostgreSQL, an @ in the password is written %40.")
    return Address({name: str(value) for name, value in parameters.items() if value is not None})


def address_of_profile(output: Mapping[str, Any]) -> Address:
    """The address that an output of a dbt profile, of type postgres, names.

    Raises:
        ProjectError: the driver is not installed.
    """
    _driver()
    parameters = {
        PROFILE_KEYS[key]: str(value)
        for key, value in output.items()
        if key in PROFILE_KEYS and value not in (None, "")
    }
    return Address(parameters, str(output.get("role") or ""))


def _driver() -> Any:
    try:
        import psycopg.conninfo
        import psycopg_pool  # noqa: F401 - both or none
    except ImportError:
        raise ProjectError("PostgreSQL needs its driver: pip install 'cadran[postgres]'.") from None
    return psycopg


class _Turn:
    """The statement that a thread runs; another one may stop it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    @contextlib.contextmanager
    def of(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """Let the statements on a connection be stopped until the block ends."""
        with self._lock:
            self._connection = connection
        try:
            yield
        finally:
            with self._lock:
                self._connection = None

    def stop(self) -> None:
        """Stop what runs; nothing runs between two statements."""
        with self._lock:
            if self._connection is not None:
                self._connection.cancel()


class Postgres:
    """One database of PostgreSQL, safe to ask from several threads."""

    dialect = dialects.POSTGRES

    def __init__(
        self, place: Address, alias: str | None, *, confined: Confinement | None = None
    ) -> None:
        """Remember where it is; the first statement connects.

        Args:
            place: where it is.
            alias: what compiled SQL calls the database; PostgreSQL takes its own name only.
            confined: how many connections, and for how long a statement may run.
        """
        self.place = place
        self.wait = 0.0
        self.catalog = alias or place.name
        self._connections = (confined and confined.connections) or _CONNECTIONS
        self._seconds = confined.seconds if confined else None
        self._pool: ConnectionPool[Any] | None = None
        self._lock = threading.Lock()
        self._local = threading.local()

    def arrow(self, sql: str, dates: Collection[str] = ()) -> pa.Table:
        """The rows of a statement: every whole number is int64, and these columns are dates.

        Raises:
            BusyError: all connections are at work, or the server has no room left.
            StoppedError: it was stopped, or ran for longer than it may.
            WarehouseError: the server cannot be reached, or refuses the statement.
        """
        with self.connection() as connection:
            return self.read(connection, sql, dates)

    def read(
        self, connection: psycopg.Connection[Any], sql: str, dates: Collection[str] = ()
    ) -> pa.Table:
        """As `arrow`, on a connection of `connection`, in a transaction that only reads."""
        with self.named_errors(), connection.transaction():
            cursor = connection.execute(sql, prepare=False, binary=True)
            if cursor.description is None:
                raise WarehouseError("The statement gives no rows: only questions are asked here.")
            columns = list(cursor.description)
            rows = cursor.fetchall()
        return table(columns, rows, dates, is_divided=is_dividing(sql))

    def apart(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement that calls nothing but what PostgreSQL itself has.

        Raises:
            WarehouseError: as `arrow`.
        """
        with self.connection() as connection, self.named_errors(), connection.transaction():
            connection.execute("set local search_path = pg_catalog")
            rows: list[dict[str, Any]] = self.read(connection, sql).to_pylist()
        return rows

    def column_types(self, sql: str) -> dict[str, str]:
        """The columns of a statement with DuckDB's names of their types; no row is computed."""
        with self.connection() as connection, self.named_errors(), connection.transaction():
            cursor = connection.execute(
                f"select * from (\n{sql}\n) as entry limit 0", prepare=False, binary=True
            )
            return {column.name: name_of(column) for column in cursor.description or ()}

    def distinct_values(self, relation: str, column: str) -> int | None:
        """About how many values a column has, by the statistics of its table; None without them."""
        try:
            rows = self.arrow(
                "select case when known.n_distinct >= 0 then known.n_distinct"
                " else -known.n_distinct * entry.reltuples end as known"
                " from pg_catalog.pg_class as entry"
                " inner join pg_catalog.pg_namespace as schema on schema.oid = entry.relnamespace"
                " inner join pg_catalog.pg_stats as known"
                " on known.schemaname = schema.nspname and known.tablename = entry.relname"
                f" where entry.oid = to_regclass({literal(relation)})"
                f" and known.attname = {literal(column)} and entry.reltuples >= 0"
            ).to_pylist()
        except BusyError:
            raise
        except WarehouseError:
            return None
        return int(rows[0]["known"]) if rows else None

    @property
    def engine(self) -> str:
        """The engine and its version."""
        with self.connection() as connection:
            return f"{self.dialect} {connection.info.server_version}"

    def watermark(self, sql: str) -> dt.datetime | None:  # noqa: ARG002 - whatever is asked
        """Nothing: rows are those of the last build."""
        return None

    def stamp(self) -> object | None:
        """Nothing: a server does not say when rows changed."""
        return None

    def stopper(self) -> Callable[[], None]:
        """What stops the statement of this thread, to be called from another one."""
        return self._turn().stop

    def close(self) -> None:
        """Let go of the connections; the next statement connects anew."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        if "ledger" in self.__dict__:
            self.ledger.close()

    @cached_property
    def ledger(self) -> LedgerCopy:
        """The copy of the ledger that lies in the database."""
        return LedgerCopy(
            str(self.place), self.connection, lambda: self.connected(writes=True), self.read
        )

    def writing(self, wait: float) -> AbstractContextManager[Writing]:
        """As `ledger.writing`: nothing else is written."""
        return self.ledger.writing(wait)

    @contextlib.contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection that only reads, until the block ends.

        Raises:
            BusyError: all of them are at work.
            WarehouseError: the server cannot be reached.
        """
        import psycopg_pool

        pool = self._opened()
        try:
            connection = pool.getconn()
        except (psycopg_pool.PoolTimeout, psycopg_pool.TooManyRequests):
            with self.connected():
                pass  # where nobody can connect, that says why
            raise BusyError(
                f"All {self._connections} connections to the warehouse are at work: ask again in a"
                " moment.",
                retry_after=2.0,
            ) from None
        except psycopg_pool.PoolClosed:
            raise WarehouseError(f"{self.place} was closed while it was read.") from None
        try:
            with self._turn().of(connection):
                yield connection
        finally:
            pool.putconn(connection)

    @contextlib.contextmanager
    def connected(self, *, writes: bool = False) -> Iterator[psycopg.Connection[Any]]:
        """A connection of its own, closed after the block.

        Args:
            writes: whether it may write.

        Raises:
            WarehouseError: the server cannot be reached.
        """
        import psycopg

        with self.named_errors():
            connection = psycopg.connect(**self._arguments(writes=writes))
        try:
            with self.named_errors():
                self._configure(connection, writes=writes)
                yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def named_errors(self) -> Iterator[None]:
        """Say what the driver says as errors of this house.

        Raises:
            BusyError: the server has no room left.
            StoppedError: a statement was stopped, or ran for too long.
            WarehouseError: anything else.
        """
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise self._refusal(error) from None

    def _turn(self) -> _Turn:
        turn: _Turn | None = getattr(self._local, "turn", None)
        if turn is None:
            turn = self._local.turn = _Turn()
        return turn

    def _opened(self) -> ConnectionPool[Any]:
        with self._lock:
            if self._pool is None:
                self._pool = self._open()
            return self._pool

    def _open(self) -> ConnectionPool[Any]:
        import logging

        from psycopg_pool import ConnectionPool

        # What it would warn of is raised where a question meets it.
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
        with self.connected():
            pass  # a wrong password is told at once: a pool would try until its time is over
        return ConnectionPool(
            kwargs=self._arguments(), min_size=0, max_size=self._connections, num_workers=1,
            timeout=_POOL_SECONDS, configure=self._configure, open=True,
            check=ConnectionPool.check_connection, reconnect_timeout=_POOL_SECONDS,
            max_idle=60.0, name="cadran",
        )  # fmt: skip

    def _arguments(self, *, writes: bool = False) -> dict[str, Any]:
        options = {"timezone": "UTC", "datestyle": "ISO", "intervalstyle": "postgres"}
        if not writes:
            options["default_transaction_read_only"] = "on"
        if self._seconds is not None and not writes:
            options["statement_timeout"] = str(int(self._seconds * 1000))
        known = dict(self.place.parameters)
        settings = " ".join(f"-c {name}={value}" for name, value in options.items())
        # Last, so that what an address says beside it does not undo it.
        known["options"] = f"{known.get('options', '')} {settings}".strip()
        known.setdefault("connect_timeout", str(_CONNECT_SECONDS))
        known.setdefault("application_name", "cadran")
        return known

    def _configure(self, connection: psycopg.Connection[Any], *, writes: bool = False) -> None:
        from psycopg.types.json import set_json_loads

        set_json_loads(lambda text: bytes(text).decode() if isinstance(text, bytes) else text,
                       connection)  # fmt: skip
        # Each transaction says so itself: no setting of the session can undo it.
        connection.read_only = not writes
        connection.autocommit = True
        if self.place.role:
            connection.execute(f"set role {dialects.quoted(self.place.role)}")

    def _refusal(self, error: psycopg.Error) -> Exception:
        """What the driver says, by the class of its SQLSTATE, as an error of this house."""
        says = (str(error).strip() or type(error).__name__).splitlines()[0]
        code = error.sqlstate or "08"
        if code == "57014":
            return StoppedError(self._stopped(says))
        if code.startswith("53"):
            return BusyError(
                f"The warehouse has no room for the question now ({code}): ask again in a moment.",
                retry_after=5.0,
            )
        for codes, sentence in _REFUSALS:
            if code in codes or code[:2] in codes:
                text = sentence.format(place=self.place)
                return WarehouseError(f"{text} PostgreSQL says: {says}")
        incomparable = code[:2] == "22" or code in _INCOMPARABLE
        return WarehouseError(
            f"The warehouse refused the statement: {says}", incomparable=incomparable
        )

    def _stopped(self, says: str) -> str:
        if "statement timeout" not in says:
            return "The question was stopped before it was answered."
        most = f"the {self._seconds:g} s" if self._seconds else "the time"
        return (
            f"The question took longer than {most} that a statement may take at {self.place}: ask"
            " for less with a filter, a time range or a coarser grain."
        )


# By SQLSTATE or its first two characters; what a statement compares and cannot comes apart.
_REFUSALS = (
    (
        {"42P01", "3F000", "42703"},
        "{place} lacks what the project's models should have built: run `dbt build`.",
    ),
    (
        {"0A000"},
        "{place} cannot do that; definitions of another database are parsed with its target.",
    ),
    ({"25006"}, "Questions only read {place}."),
    ({"42501"}, "{place} does not let this user do that."),
    ({"08", "28", "57", "3D"}, "{place} cannot be reached."),
)
_INCOMPARABLE = {"42883", "42804", "42846", "42725"}
