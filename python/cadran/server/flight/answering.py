"""From a statement to its rows: the desk answers, and what is ready is handed over at once."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from cadran.errors import LimitError, NotAllowedError
from cadran.server.flight import listing, plain, rows, template
from cadran.server.flight.statement import Ask, Compile, Listing, Sql
from cadran.serving.desk import Asked
from cadran.serving.question import Question
from cadran.warehouse import duckdb_tables

if TYPE_CHECKING:
    from cadran.access.caller import Caller
    from cadran.server.flight.rows import Rows
    from cadran.server.flight.statement import Part, Statement
    from cadran.serving.answer import Answer
    from cadran.serving.desk import Desk
    from cadran.serving.stop import Stop

PROTOCOL = "flight"
_MEGABYTES = 256  # that a statement in plain SQL may use


class Answering:
    """Answers statements of callers from any thread."""

    def __init__(self, desk: Desk, *, seconds: float) -> None:
        """Answer from a desk; a statement in plain SQL may run for so many seconds."""
        self._desk = desk
        self._seconds = seconds

    def kept(self, caller: Caller, statement: Statement) -> Rows | None:
        """The rows if they are there already, without waiting for anything; else None.

        Raises:
            LimitError: the caller may not have them now.
        """
        if not isinstance(statement, Ask):
            return None
        asked = Asked(caller, PROTOCOL, statement.read_cache)
        handed = self._desk.kept(asked, statement.question)
        return self._rows(handed.answer, statement) if handed else None

    def rows(self, caller: Caller, statement: Statement, stop: Stop) -> Rows:
        """The rows of a statement.

        Raises:
            CadranError: as the desk does; and `QueryError` where plain SQL does not fit.
        """
        if isinstance(statement, Ask):
            asked = Asked(caller, PROTOCOL, statement.read_cache, stop)
            return self._rows(self._desk.ask(asked, statement.question).answer, statement)
        if isinstance(statement, Sql):
            return rows.of_table(self._plain(caller, statement, stop))
        return rows.of_table(self._part(caller, statement, stop))

    def tables(self, caller: Caller) -> list[str]:
        """The KPI tables that the caller may read."""
        return sorted(saved["name"] for saved in self._desk.saved_queries(caller))

    def schema_of(self, caller: Caller, table: str, stop: Stop) -> pa.Schema:
        """The columns of a KPI table.

        Raises:
            CadranError: as the desk does.
        """
        question = Question.of({"saved_query": table, "limit": 0})
        return self._desk.ask(Asked(caller, PROTOCOL, stop=stop), question).answer.table.schema

    def _rows(self, answer: Answer, statement: Ask) -> Rows:
        if statement.column:
            return rows.of_table(_values(answer.table))
        ready, fresh = rows.of_answer(answer)
        if fresh:
            self._desk.weigh(answer)
        return ready

    def _part(self, caller: Caller, part: Part, stop: Stop) -> pa.Table:
        if isinstance(part, Listing):
            return listing.table(self._desk, caller, part)
        if isinstance(part, Compile):
            sql = self._desk.sql(Asked(caller, PROTOCOL, stop=stop), part.question)
            return pa.table({"sql": [sql]})
        asked = Asked(caller, PROTOCOL, part.read_cache, stop)
        table = self._desk.ask(asked, part.question).answer.table
        return _values(table) if part.column else table

    def _plain(self, caller: Caller, statement: Sql, stop: Stop) -> pa.Table:
        read, caller = plain.read(statement.text), self._desk.spender(caller)
        parts = {template.stand_in(at): part for at, part in enumerate(statement.parts)}
        with contextlib.suppress(NotAllowedError):  # who may only ask is told by the question
            plain.known(read, self.tables(caller), parts)
        if not read.tables:
            self._desk.meter.count(caller)  # else the questions below are counted
        self._desk.clock.after(caller.limits.seconds or self._seconds, stop.set)
        given: dict[str, pa.Table] = {}
        for name in read.tables:
            part = parts.get(name) or Ask(Question.of({"saved_query": name}))
            given[name] = self._part(caller, part, stop)
        with self._desk.meter.running(caller):
            table = duckdb_tables.answer(
                read.sql,
                given,
                schema=plain.SCHEMA,
                megabytes=_MEGABYTES,
                stopper=partial(self._desk.interrupting, stop),
            )
        most = caller.limits.rows
        if most is not None and table.num_rows > most:
            raise LimitError(
                f"The answer has {table.num_rows:,} rows; {caller.name} may take {most:,}: ask for"
                " fewer with limit or a filter."
            )
        return table


def _values(table: pa.Table) -> pa.Table:
    """The values of the one column, in order, without NULL."""
    column = pc.drop_null(table.column(0).combine_chunks().unique())
    return pa.table({table.column_names[0]: column.take(pc.sort_indices(column))})
