"""Appends batches to the ledger: the only writer of its tables. One file, one writer at a time."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from cadran.core.project.lock import Head, anchored, sealed
from cadran.core.warehouse import ledger_sql as sql
from cadran.core.warehouse.dialects import literal
from cadran.core.warehouse.ledger_sql import MACROS
from cadran.errors import WarehouseError

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.core.warehouse import Writing

HEADER = (
    "batch", "kind", "kpi", "published_at", "computed_at", "data_as_of", "value_type", "version",
    "definition_hash", "git_revision", "author", "details", "row_count", "rows_hash",
    "previous_hash",
)  # fmt: skip


class LedgerWriter:
    """Writes within one transaction of a connection; `commit` makes it last, and nothing else."""

    def __init__(self, connection: Writing) -> None:
        """Begin; the tables are made where they lack."""
        self.connection = connection
        connection.begin()
        if not self.rows(sql.EXISTS)[0]["there"]:
            connection.execute(sql.CREATE)
        connection.execute(MACROS)

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """The rows of a statement."""
        return self.connection.rows(statement)

    def head(self) -> Head:
        """The last batch."""
        last = f"select batch, hash from {sql.BATCHES} order by batch desc limit 1"
        found = self.rows(last)
        return Head(found[0]["batch"], found[0]["hash"]) if found else Head()

    def check(self, lock: Path | None) -> None:
        """See that the ledger still has the batch that a lock file anchors, before adding to it.

        Raises:
            WarehouseError: it has not: a new anchor would hide what was cut off.
        """
        known = anchored(lock)
        if known is None or not known.batch:
            return
        there = f"select hash from {sql.BATCHES} where batch = {known.batch}"
        if [row["hash"] for row in self.rows(there)] != [known.hash]:
            raise WarehouseError(
                f"{lock} anchors batch {known.batch} of another ledger, or of one that lost its"
                " end: `cadran verify` says what is missing. A ledger that is meant to begin anew"
                " needs a lock of its own (--lock), or `ledger` taken out of this one."
            )

    def append(self, columns: str, source: str, header: dict[str, Any]) -> int:
        """Append one batch; returns how many rows it has.

        Args:
            columns: grain, period, dimension_set, dimensions, value, numerator, denominator,
                observations, status, version and definition_hash, as a select list.
            source: what they are selected from, with its condition.
            header: the batch's own columns that the writer does not know itself.
        """
        last = self.head()
        batch = last.batch + 1
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
        found = self.rows("select count(*) as rows from entries")[0]["rows"]
        self.connection.execute(f"insert into {sql.ROWS} select * from entries order by row")
        self.connection.execute(f"create or replace temp table marks as {sql.hashed('entries')}")
        hashes = self.rows("select rows_hash from marks")
        record = header | {
            "batch": batch,
            "published_at": self._now(),
            "details": json.dumps(header["details"], sort_keys=True, ensure_ascii=False),
            "row_count": found,
            "rows_hash": hashes[0]["rows_hash"] if hashes else sealed({}),
            "previous_hash": last.hash,
        }
        record = {name: record[name] for name in HEADER}
        self.connection.execute(
            f"""
            insert into {sql.BATCHES}
            select {", ".join("?" for _ in HEADER)}, ?,
                coalesce((select row_marks from marks), []::ubigint[])
            """,
            [*record.values(), sealed(record)],
        )
        return int(found)

    def commit(self) -> Head:
        """Make what was appended last; returns the new head."""
        head = self.head()
        self.connection.commit()
        return head

    def _now(self) -> dt.datetime:
        """This instant, or just after the last batch where the clock stands or went back."""
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        latest = self.rows(f"select max(published_at) as at from {sql.BATCHES}")[0]["at"]
        return now if latest is None or latest < now else latest + dt.timedelta(microseconds=1)
