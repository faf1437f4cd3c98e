"""Rows as Flight sends them: a message with the schema, then messages with record batches.

The body of a message is one copy of the columns' buffers behind its header; nothing is held but
the message that is being sent. Small answers keep their messages, so that they are encoded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from grpc import StatusCode

from cadran.server.flight.messages import flight_data
from cadran.server.flight.promises import EndedError
from cadran.server.problems import problem_of
from cadran.serving.response import annotated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.serving.response import Answer


BATCH_ROWS = 65_536
_BATCH_BYTES = 2_000_000
_MOST_BYTES = 3_900_000  # of one message: clients take 4 MB unless told otherwise
_KEPT_BYTES = 1_000_000  # of an answer whose messages are kept with it


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that are ready to be sent.

    Attributes:
        schema: the schema as a message of Arrow IPC, as it stands in FlightInfo.
        count: rows.
        size: bytes of their columns.
        messages: everything to be sent, where it is kept; else it is made from `table`.
        table: the rows.
    """

    schema: bytes
    count: int
    size: int
    messages: tuple[bytes, ...] | None
    table: pa.Table

    def sent(self) -> Iterator[bytes]:
        """The messages, FlightData each, one after the other."""
        return iter(self.messages) if self.messages is not None else _messages(self.table)


def of_table(table: pa.Table) -> Rows:
    """The rows of a table."""
    table = _plain(table)
    messages = tuple(_messages(table)) if table.nbytes <= _KEPT_BYTES else None
    return Rows(
        table.schema.serialize().to_pybytes(), table.num_rows, table.nbytes, messages, table
    )


def of_answer(answer: Answer) -> tuple[Rows, bool]:
    """The rows of an answer, and whether forms of it were made that the cache has to weigh."""
    forms = answer.forms
    schema = forms.get("flight/schema")
    if schema is None:
        rows = of_table(annotated(answer, answer.table))
        for number, message in enumerate(rows.messages or ()):
            forms[f"flight/{number}"] = message
        forms["flight/schema"] = rows.schema
        return rows, True
    encoded_messages: list[bytes] = []
    while (encoded := forms.get(f"flight/{len(encoded_messages)}")) is not None:
        encoded_messages.append(encoded)
    table = answer.table if encoded_messages else annotated(answer, answer.table)
    return Rows(schema, table.num_rows, table.nbytes, tuple(encoded_messages) or None, table), False


def _messages(table: pa.Table) -> Iterator[bytes]:
    table = _plain(table)
    yield _flight_data(table.schema.serialize())
    row = max(1, table.nbytes // max(1, table.num_rows))
    most = max(1, min(BATCH_ROWS, _BATCH_BYTES // row))
    for batch in table.to_batches(max_chunksize=most):
        yield from _batch(batch)


def _batch(batch: pa.RecordBatch) -> Iterator[bytes]:
    """A batch as one message, or as several where its rows are wider than those around it."""
    if batch.nbytes > _MOST_BYTES and batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from _batch(batch.slice(0, half))
        yield from _batch(batch.slice(half))
        return
    yield _flight_data(batch.serialize())


def _flight_data(encapsulated: pa.Buffer) -> bytes:
    message = pa.ipc.read_message(encapsulated)
    body = message.body if message.body is not None else b""
    return flight_data(message.metadata.to_pybytes(), memoryview(body))


def _plain(table: pa.Table) -> pa.Table:
    """The same rows with dictionaries written out: a batch has to stand for itself."""
    for at, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            values = table.column(at).cast(column.type.value_type)
            table = table.set_column(at, column.name, values)
    return table


_LONGEST = 1500  # bytes: a status travels in a header
# By the kind of problem. What is not here, a refusal by a card among it, is a question that failed:
# a client shows a PERMISSION_DENIED as a login that did.
_CODES = {
    "unauthenticated": StatusCode.UNAUTHENTICATED, "not-allowed": StatusCode.PERMISSION_DENIED,
    "too-many": StatusCode.RESOURCE_EXHAUSTED, "stopped": StatusCode.DEADLINE_EXCEEDED,
    "unavailable": StatusCode.UNAVAILABLE, "failed": StatusCode.INTERNAL,
}  # fmt: skip


class UnsupportedError(Exception):
    """Something of the protocol that this server does not offer."""


def refusal(error: Exception) -> tuple[StatusCode, str]:
    """The status and the sentence for an error."""
    if isinstance(error, UnsupportedError):
        return StatusCode.UNIMPLEMENTED, str(error)
    if isinstance(error, EndedError):
        return StatusCode.NOT_FOUND, str(error)
    problem = problem_of(error, filtered=True)
    code = _CODES.get(problem.kind, StatusCode.INVALID_ARGUMENT)
    return code, _short(problem.sentence)


def _short(sentence: str) -> str:
    text = " ".join(sentence.split())
    if len(text.encode()) <= _LONGEST:
        return text
    return text.encode()[:_LONGEST].decode(errors="ignore") + " …"
