"""Apache Spark through Spark Connect: sessions in UTC, rows as Arrow, typed as DuckDB's.

A session lives at the server. One that the server forgot, because it was started anew, is told as
an error once; the next question opens another. Division by zero and casts give what they give
where dbt builds, for dbt-spark and this client set the same mode (not ANSI).

Nothing is written here: tables of Parquet cannot be kept from being changed, as a ledger must be.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
import warnings
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cadran.core.warehouse import dialects
from cadran.core.warehouse.postgres import Address
from cadran.errors import LimitError, ProjectError, StoppedError, WarehouseError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterator, Mapping

    import pyarrow as pa
    from pyspark.sql.connect.session import SparkSession

    from cadran.core.warehouse.protocol import Confinement, Fault, Writing

PREFIXES = ("sc://",)
_RETRIES = 3  # 50, 200 and 800 ms: a server that is gone is told within two seconds
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    # As dbt-spark builds, and as profiles.yml says.
    "spark.sql.ansi.enabled": "false",
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    # Days that a build added to a partition are seen by sessions that read it before.
    "spark.sql.hive.filesourcePartitionFileCacheSize": "0",
}
_NAMES = {
    "tinyint": "TINYINT", "smallint": "SMALLINT", "int": "INTEGER", "bigint": "BIGINT",
    "float": "FLOAT", "double": "DOUBLE", "boolean": "BOOLEAN", "date": "DATE",
    # Sessions are in UTC, so an instant is as good as a time without a zone.
    "timestamp": "TIMESTAMP", "timestamp_ntz": "TIMESTAMP", "binary": "BLOB",
}  # fmt: skip
# Classes of Spark's errors, by how their names begin.
_MISSING = ("TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND", "UNRESOLVED_COLUMN")
_GONE = ("INVALID_HANDLE", "NO_ACTIVE_SESSION")
_REPLACED = "FILE_NOT_EXIST"  # a build put another table in the place of one read before
_ENDED = ("stopped SparkContext", "_MultiThreadedRendezvous", "_InactiveRpcError")
_INCOMPARABLE = ("CAST_INVALID", "DATATYPE_MISMATCH", "CANNOT_PARSE")
_LONG = 500


@dataclass(frozen=True, slots=True)
class Remote(Address):
    """Where a Spark Connect server is; it prints without what follows host and port."""

    url: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The catalogue."""
        return "spark_catalog"

    def __str__(self) -> str:
        """The address without its parameters, among which a token may be."""
        return f"sc://{urlsplit(self.url).netloc.rpartition('@')[2]}"


def remote(url: str) -> Remote:
    """The address that a URL names.

    Raises:
        ProjectError: it is none, or the driver is not installed.
    """
    try:
        import pyspark  # noqa: F401 - only whether it is there
    except ImportError:
        raise ProjectError("Spark needs its driver: pip install 'cadran[spark]'.") from None
    try:
        has_host = url.startswith(PREFIXES) and bool(urlsplit(url).hostname)
    except ValueError:
        has_host = False
    if not has_host:
        raise ProjectError("An address of Spark Connect is written sc://HOST:PORT.")
    return Remote({}, url=url)


def remote_of_profile(output: Mapping[str, Any]) -> Remote:
    """The address that an output of a dbt profile, of type spark, names.

    Raises:
        ProjectError: it connects by another way, or the driver is not installed.
    """
    url = str(output.get("host") or "")
    if output.get("method") != "session" or not url.startswith(PREFIXES):
        raise ProjectError(
            "Spark is read through Spark Connect: give the output of the profile `method: session`"
            " and sc://HOST:PORT as its host."
        )
    return remote(url)


class _ReplacedError(WarehouseError):
    """The files that a session remembers of a table are gone."""


class Spark:
    """One Spark behind Spark Connect, safe to ask from several threads."""

    dialect = dialects.SPARK

    def __init__(
        self, place: Remote, alias: str | None, *, confined: Confinement | None = None
    ) -> None:
        """Remember where it is; the first statement connects.

        Args:
            place: where it is.
            alias: what compiled SQL calls the catalogue.
            confined: for how long a statement may run.
        """
        self.place = place
        self.wait = 0.0
        self.catalog = alias or place.name
        self._seconds = confined.seconds if confined else None
        self._session: SparkSession | None = None
        self._ending: weakref.finalize[Any, Spark] | None = None
        self._lock = threading.RLock()  # a refusal while a session is opened forgets it
        self._local = threading.local()

    def arrow(self, sql: str, dates: Collection[str] = ()) -> pa.Table:
        """The rows of a statement: every whole number is int64, and these columns are dates.

        Raises:
            LimitError: the result is larger than the server hands out, or memory ended.
            StoppedError: it was stopped, or ran for longer than it may.
            WarehouseError: the server cannot be reached, or refuses the statement.
        """
        try:
            rows = self._rows(sql)
        except _ReplacedError:  # a session remembers the files of tables that it read
            rows = self._rows(sql)
        return _typed(rows, dates)

    def arrow_beside(
        self, sql: str, tables: Mapping[str, pa.Table], dates: Collection[str] = ()
    ) -> pa.Table:
        """As `arrow`; rows beside those of the tables are refused.

        Raises:
            WarehouseError: there are some, or as `arrow`.
        """
        if tables:
            raise WarehouseError(f"{self.place} takes no rows: nothing is published there.")
        return self.arrow(sql, dates)

    @property
    def ledger(self) -> Spark:
        """Itself, where no ledger lies."""
        return self

    def catalog_faults(self) -> list[Fault]:
        """None: nothing is published."""
        return []

    def apart(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement; only Spark's own functions are called in any case."""
        rows: list[dict[str, Any]] = self.arrow(sql).to_pylist()
        return rows

    def column_types(self, sql: str) -> dict[str, str]:
        """The columns of a statement with DuckDB's names of their types; no row is computed."""
        with self._running() as session:
            fields = session.sql(sql).schema.fields
            return {field.name: _name_of(field.dataType.simpleString()) for field in fields}

    def distinct_values(self, relation: str, column: str) -> int | None:  # noqa: ARG002
        """Nothing: tables carry no such statistics."""
        return None

    @property
    def engine(self) -> str:
        """The engine and its version."""
        with self._running() as session:
            return f"{self.dialect} {session.version}"

    def watermark(self, sql: str) -> dt.datetime | None:  # noqa: ARG002 - whatever is asked
        """Nothing: rows are those of the last build."""
        return None

    def stamp(self) -> object | None:
        """Nothing: a server does not say when rows changed."""
        return None

    def stopper(self) -> Callable[[], None]:
        """What stops the statement of this thread, to be called from another one."""
        tag = self._tag()

        def stop() -> None:
            session = self._session
            if session is not None:
                session.interruptTag(tag)

        return stop

    def close(self) -> None:
        """End the session at the server; the next statement opens another."""
        with self._lock:
            session, self._session = self._session, None
            if session is not None and self._ending is not None:
                self._ending()

    @contextlib.contextmanager
    def writing(self, wait: float) -> Iterator[Writing]:  # noqa: ARG002 - refused anyway
        """Refused."""
        raise WarehouseError(
            f"Nothing is published to {self.place}: tables of Parquet cannot be kept from being"
            " changed. Keep the ledger in DuckDB or PostgreSQL."
        )
        yield

    def _rows(self, sql: str) -> pa.Table:
        with self._running() as session:
            return session.sql(sql).toArrow()

    def _tag(self) -> str:
        tag: str | None = getattr(self._local, "tag", None)
        if tag is None:
            tag = self._local.tag = f"cadran-{uuid.uuid4().hex}"
        return tag

    @contextlib.contextmanager
    def _running(self) -> Iterator[SparkSession]:
        """A session in which this thread's statements carry its tag; its errors are this house's.

        Raises:
            LimitError: as `arrow`.
            StoppedError: as `arrow`.
            WarehouseError: as `arrow`.
        """
        session = self._opened()
        from pyspark.errors import PySparkException

        timer, is_late = None, threading.Event()
        if self._seconds is not None:
            timer = threading.Timer(self._seconds, self._stop_late, (self.stopper(), is_late))
            timer.daemon = True
            timer.start()
        session.addTag(self._tag())
        try:
            yield session
        except PySparkException as error:
            raise self._refusal(error, session, is_late=is_late.is_set()) from None
        finally:
            if timer is not None:
                timer.cancel()

    @staticmethod
    def _stop_late(stop: Callable[[], None], is_late: threading.Event) -> None:
        is_late.set()
        with contextlib.suppress(Exception):  # the statement says itself what became of it
            stop()

    def _opened(self) -> SparkSession:
        with self._lock:
            if self._session is None:
                self._session = self._open()
                # A channel that is closed after the interpreter ended would wait for ever.
                self._ending = weakref.finalize(self, _end, self._session)
            return self._session

    def _open(self) -> SparkSession:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about versions of pandas
            from pyspark.errors import PySparkException
            from pyspark.sql.connect.client.retries import DefaultPolicy
            from pyspark.sql.connect.session import SparkSession

        # What it would log is raised.
        logging.getLogger("pyspark.sql.connect.client").setLevel(logging.CRITICAL)
        logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
        session = None
        try:
            session = SparkSession(self.place.url)
            session.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES)])
            for name, value in _SETTINGS.items():
                session.conf.set(name, value)
        except PySparkException as error:
            raise self._refusal(error, session, is_late=False) from None
        return session

    def _refusal(
        self, error: Exception, session: SparkSession | None, *, is_late: bool
    ) -> WarehouseError | LimitError:
        """What the driver says, by its class of error, as an error of this house."""
        says = str(error).strip().partition("\n")[0][:_LONG]
        condition = str(getattr(error, "getCondition", lambda: None)() or "")
        status = getattr(getattr(error, "getGrpcStatusCode", lambda: None)(), "name", "")
        if is_late:
            return StoppedError(
                f"The question took longer than the {self._seconds:g} s that a statement may take"
                f" at {self.place}: ask for less with a filter, a time range or a coarser grain."
            )
        if "OPERATION_CANCELED" in condition or "OPERATION_CANCELED" in says:
            return StoppedError("The question was stopped before it was answered.")
        if "OutOfMemory" in says or "maxResultSize" in says:
            return LimitError(
                "The question needs more memory than Spark has: ask for less with a filter, a time"
                " range or a coarser grain."
            )
        if _REPLACED in condition or _REPLACED in says:
            with self._lock:
                if self._session is session:
                    self._session = None  # others may still be answered by it; it ends with this
            return _ReplacedError(f"Tables of {self.place} were built anew meanwhile: ask again.")
        if status == "UNAVAILABLE" or condition.startswith(_GONE) or any(map(says.count, _ENDED)):
            self._forget(session)
            sentence = "{} cannot be reached, or was started anew: ask again once it is up."
        elif condition.startswith(_MISSING):
            sentence = "{} lacks what the project's models should have built: run `dbt build`."
        else:
            return WarehouseError(
                f"The warehouse refused the statement: {says}",
                incomparable=condition.startswith(_INCOMPARABLE),
            )
        return WarehouseError(f"{sentence.format(self.place)} Spark says: {says}")

    def _forget(self, session: SparkSession | None) -> None:
        with self._lock:
            if session is not None and self._session is session:
                self._session = None
                if self._ending is not None:
                    self._ending.detach()
        if session is not None:
            session.client.close()


def _end(session: SparkSession) -> None:
    """End a session at the server, if it is still there, and close its channel."""
    with contextlib.suppress(Exception):  # a server that is gone has no session either
        session.client.release_session()
    session.client.close()


def _name_of(kind: str) -> str:
    """DuckDB's name of one of Spark's types."""
    if kind.startswith("decimal"):
        return kind.upper()
    return _NAMES.get(kind, "VARCHAR")


def _typed(table: pa.Table, dates: Collection[str]) -> pa.Table:
    """The rows in the types that DuckDB would have given them.

    Args:
        table: the rows as Spark hands them over.
        dates: the columns that hold dates.
    """
    import pyarrow as pa

    for place, described in enumerate(table.schema):
        kind = described.type
        if pa.types.is_integer(kind):
            kind = pa.int64()
        elif pa.types.is_decimal(kind):
            kind = pa.decimal128(38, kind.scale)  # as a sum has it
        elif pa.types.is_timestamp(kind):
            kind = pa.timestamp("us")
        column = table.column(place).cast(kind)
        if pa.types.is_timestamp(kind) and described.name in dates:
            column = column.cast(pa.date32(), safe=False)
        table = table.set_column(place, described.name, column)
    return table
