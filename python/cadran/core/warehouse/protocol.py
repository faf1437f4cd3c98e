"""What the layer needs of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in the database that the ledger did not make.

    Attributes:
        what: a sentence.
        is_table: a table is not what it was, so that nothing in it can be read as it stands.
    """

    what: str
    is_table: bool = False


class Writing(Protocol):
    """A connection that may write: statements in one transaction after the other."""

    def begin(self) -> None:
        """Begin a transaction."""

    def commit(self) -> None:
        """Make the transaction last."""

    def rollback(self) -> None:
        """Undo the transaction."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run statements; `?` in one stands for a value."""

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement, by the names of their columns."""

    def table(self, name: str, rows: pa.Table) -> AbstractContextManager[None]:
        """Let statements read rows as a table of this name within the block."""


class Warehouse(Protocol):
    """What the layer needs of an engine."""

    dialect: str  # of its SQL, one of `dialects`
    catalog: str  # what compiled SQL calls the database
    wait: float  # seconds to try again while another process holds the warehouse

    @property
    def engine(self) -> str:
        """The engine and its version; another one may write the same rows in other numbers."""

    def arrow(self, sql: str, dates: Collection[str] = ()) -> pa.Table:
        """The rows of a statement: every whole number is int64, and these columns are dates."""

    def apart(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a statement that calls no macro of the file, and names tables in full."""

    def column_types(self, sql: str) -> dict[str, str]:
        """The columns of a statement with the engine's names of their types."""

    def watermark(self, sql: str) -> dt.datetime | None:
        """The instant (UTC) up to which what landed is in a statement's rows; None of a build."""

    def distinct_values(self, relation: str, column: str) -> int | None:
        """About how many values a column has, as far as that is known without reading it."""

    def stamp(self) -> object | None:
        """What changes whenever built rows do; None where the engine has no such thing."""

    @property
    def ledger(self) -> Ledger:
        """What answers in DuckDB's SQL about the ledger that lies in this warehouse."""

    def writing(self, wait: float) -> AbstractContextManager[Writing]:
        """A connection that may write, for a batch of the ledger."""

    def stopper(self) -> Callable[[], None]:
        """What stops the statement of this thread, to be called from another one."""

    def close(self) -> None:
        """Let go of the warehouse."""


class Ledger(Warehouse, Protocol):
    """What answers about a ledger, in DuckDB's SQL: the warehouse itself, or a copy beside it."""

    def arrow_beside(
        self, sql: str, tables: Mapping[str, pa.Table], dates: Collection[str] = ()
    ) -> pa.Table:
        """As `arrow`, with rows that stand as tables of these names for this statement alone."""

    def catalog_faults(self) -> list[Fault]:
        """What the engine's own catalogue says against the tables of its ledger."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a warehouse that answers a network may use; it reaches no file but its own.

    Attributes:
        memory: most memory of all statements together, such as "4GB"; None for the engine's own.
        threads: most threads; None for one a core.
        spill: the folder for what does not fit into memory; None for the engine's own.
        connections: most connections to a server; None for the engine's own.
        seconds: for which a statement may run at a server; None for as long as it lets it.
    """

    memory: str | None = None
    threads: int | None = None
    spill: Path | None = None
    connections: int | None = None
    seconds: float | None = None
