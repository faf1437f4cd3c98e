"""Appends batches to the ledger: the only writer of its tables. One file, one writer at a time."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from cadran.core.ledger.heads import missing
from cadran.core.project.lock import Head, anchor, anchored, intend, sealed
from cadran.core.warehouse import ledger_sql as sql
from cadran.core.warehouse.dialects import literal
from cadran.core.warehouse.ledger_sql import MACROS
from cadran.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cadran.core.ledger.heads import ExternalHeads
    from cadran.core.warehouse import Warehouse, Writing

HEADER = (
    "batch", "kind", "kpi", "published_at", "computed_at", "data_as_of", "value_type", "version",
    "definition_hash", "git_revision", "author", "details", "row_count", "rows_hash",
    "previous_hash",
)  # fmt: skip
_OTHER_TARGET = f"""
select count(*) > 0 as is_there from information_schema.tables
where table_schema = '{sql.SCHEMA}' and table_name = 'build_marks'
"""


def refuse_second_target(warehouse: Warehouse, marks_schema: str) -> None:
    """See that a ledger is of the target that would write.

    A database has one ledger. Where several targets build into it, that is of the one whose tables
    have the plain names.

    Args:
        warehouse: where the ledger lies.
        marks_schema: where builds of the target leave their marks.

    Raises:
        WarehouseError: it is of another target.
    """
    if marks_schema != sql.SCHEMA and warehouse.arrow(_OTHER_TARGET).column(0)[0].as_py():
        raise WarehouseError(
            f"The ledger of this database is of another target, whose tables lie in {sql.SCHEMA};"
            f" those of this one lie in {marks_schema}: publish from the other target, or build"
            " this one into a database of its own."
        )


def refuse(hashes: Mapping[int, str], outside: ExternalHeads) -> None:
    """See that a ledger has every batch that is known outside of it.

    Raises:
        WarehouseError: it has not.
    """
    problems = missing(hashes, outside)
    if problems:
        batch, sentence = problems[0]
        raise WarehouseError(
            f"{f'Batch {batch}: ' if batch else ''}{sentence}. Nothing is added to such a ledger:"
            " `cadran verify` says more, and docs/ledger.md what to do."
        )


class LedgerWriter:
    """Writes within one transaction of a connection; `commit` makes it last, and nothing else."""

    def __init__(self, connection: Writing) -> None:
        """Begin; the tables are made where they lack."""
        self.connection = connection
        connection.begin()
        connection.execute(sql.CREATE)
        connection.execute(MACROS)

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """The rows of a statement."""
        return self.connection.rows(statement)

    def head(self) -> Head:
        """The last batch."""
        last = f"select batch, hash from {sql.BATCHES} order by batch desc limit 1"
        rows = self.rows(last)
        return Head(rows[0]["batch"], rows[0]["hash"]) if rows else Head()

    def hashes(self) -> dict[int, str]:
        """The hash of each batch."""
        return {row["batch"]: row["hash"] for row in self.rows(sql.HASHES)}

    def check(self, outside: ExternalHeads) -> None:
        """See that the ledger has every batch that is known outside, before adding to it.

        Raises:
            WarehouseError: it has not: a new anchor would hide what was cut off.
        """
        refuse(self.hashes(), outside)

    def append(self, columns: str, source: str, header: dict[str, Any]) -> int:
        """Append one batch; returns how many rows it has.

        Args:
            columns: grain, period, dimension_set, dimensions, value, numerator, denominator,
                observations, status, version and definition_hash, as a select list.
            source: what they are selected from, with its condition.
            header: the batch's own columns that the writer does not know itself.
        """
        batch = self.head().batch + 1
        kpi = literal(header["kpi"])
        self.connection.execute(
            f"""
            create or replace temp table entries as
            select
                {batch}::bigint as batch,
                row_number() over (order by grain, dimension_set, period, dimensions) as row,
                {kpi} as kpi, {columns}
            from {source}
            """
        )
        count = self.rows("select count(*) as rows from entries")[0]["rows"]
        self.connection.execute(f"insert into {sql.ROWS} select * from entries order by row")
        self.connection.execute(f"create or replace temp table marks as {sql.hashed('entries')}")
        self._seal(header, count)
        return int(count)

    def note(self, header: dict[str, Any]) -> None:
        """Append a batch without rows, for what its details say."""
        self.connection.execute("create or replace temp table marks as select 0 limit 0")
        self._seal(header, 0)

    def _seal(self, header: dict[str, Any], rows: int) -> None:
        last = self.head()
        hashes = self.rows("select rows_hash from marks") if rows else []
        details = header["details"] | {"scheme": sql.SCHEME}
        record = header | {
            "batch": last.batch + 1,
            "published_at": self._now(),
            "details": json.dumps(details, sort_keys=True, ensure_ascii=False),
            "row_count": rows,
            "rows_hash": hashes[0]["rows_hash"] if hashes else sealed({}),
            "previous_hash": last.hash,
        }
        record = {name: record[name] for name in HEADER}
        marks = "(select row_marks from marks)" if rows else "[]::ubigint[]"
        self.connection.execute(
            f"insert into {sql.BATCHES} select {', '.join('?' for _ in HEADER)}, ?, {marks}",
            [*record.values(), sealed(record)],
        )

    def commit(self, lock: Path | None) -> dict[int, str]:
        """Make what was appended last, and anchor it; returns the hash of each batch.

        The lock says what is about to be committed before it is, so that a process killed on the
        way leaves a ledger whose end is known.
        """
        hashes, head = self.hashes(), self.head()
        locked = anchored(lock)
        if locked is not None and locked.head == head:
            self.connection.commit()
            return hashes
        intend(lock, head)
        self.connection.commit()
        anchor(lock, hashes)
        return hashes

    def _now(self) -> dt.datetime:
        """This instant, or just after the last batch where the clock stands or went back."""
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        latest = self.rows(f"select max(published_at) as at from {sql.BATCHES}")[0]["at"]
        return now if latest is None or latest < now else latest + dt.timedelta(microseconds=1)
