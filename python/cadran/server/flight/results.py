"""From a statement to its rows: the query service answers, and what is ready leaves at once."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from cadran.core.query.request import Query
from cadran.core.warehouse.duckdb_local import answer as answer_sql
from cadran.errors import LimitError, NotAllowedError, UnknownNameError
from cadran.server.flight import rows, statements
from cadran.server.flight import sql as plain
from cadran.server.flight.statements import (
    CompileStatement,
    MetadataStatement,
    QueryStatement,
    SqlStatement,
)
from cadran.serving.service import RequestContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cadran.access.caller import Caller
    from cadran.server.flight.rows import Rows
    from cadran.server.flight.statements import Part, Statement
    from cadran.serving.execution import Cancellation
    from cadran.serving.response import Answer
    from cadran.serving.service import QueryService


_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
_GRAINS = ("minute", "hour", "day", "week", "month", "quarter", "year")
_SCHEMAS = {
    "metrics": {
        "name": _TEXT, "label": _TEXT, "description": _TEXT, "type": _TEXT, "is_kpi": pa.bool_(),
        "unit": _TEXT, "version": pa.int64(), "dimensions": _TEXTS,
        "queryable_granularities": _TEXTS,
    },
    "dimensions": {"name": _TEXT, "type": _TEXT, "description": _TEXT},
    "entities": {
        "name": _TEXT, "type": _TEXT, "description": _TEXT, "role": _TEXT, "expr": _TEXT,
    },
    "measures": {"name": _TEXT, "agg": _TEXT, "expr": _TEXT, "agg_time_dimension": _TEXT},
    "saved_queries": {
        "name": _TEXT, "label": _TEXT, "description": _TEXT, "metrics": _TEXTS, "group_by": _TEXTS,
        "order_by": _TEXTS, "limit": pa.int64(),
    },
    "queryable_granularities": {"name": _TEXT},
}  # fmt: skip
_SCHEMAS["metrics_for_dimensions"] = _SCHEMAS["metrics"]


def metadata_table(service: QueryService, caller: Caller, statement: MetadataStatement) -> pa.Table:
    """The rows of a listing, as far as the caller may know of them.

    Raises:
        UnknownNameError: a metric or dimension does not exist, or not for this caller.
    """
    rows = list(_ROWS[statement.kind](service, caller, statement.names))
    if statement.search:
        sought = statement.search.casefold()
        rows = [row for row in rows if sought in f"{row['name']} {row.get('label')}".casefold()]
    return pa.Table.from_pylist(rows, schema=pa.schema(_SCHEMAS[statement.kind]))


def _metrics(service: QueryService, caller: Caller, _: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    cards = {card.name: card for card in service.kpis(caller)}
    for metric in service.metrics(caller):
        card = cards.get(metric["name"])
        card_fields = {
            "unit": card.unit, "version": card.version, "dimensions": list(card.dimensions),
            "queryable_granularities": list(card.grains),
        } if card else {}  # fmt: skip
        yield {**metric, **card_fields}


def _dimensions(
    service: QueryService, caller: Caller, names: tuple[str, ...]
) -> Iterable[dict[str, Any]]:
    return service.dimensions(caller, names)


def _entities(
    service: QueryService, caller: Caller, names: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """The entities of the models behind what the metrics can be grouped by."""
    paths = {item["name"].rpartition("__")[0] for item in service.dimensions(caller, names)}
    yielded: set[str] = set()
    for model in service.snapshots.current.layer.project.semantic_manifest["semantic_models"]:
        for entity in model.get("entities") or ():
            name = entity["name"]
            if name in yielded or not any(name in path.split("__") for path in paths):
                continue
            yielded.add(name)
            yield {
                "name": name, "type": entity["type"], "description": entity["description"] or "",
                "role": entity["role"] or "", "expr": entity["expr"] or name,
            }  # fmt: skip


def _measures(
    service: QueryService, caller: Caller, names: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """The aggregations behind metrics: of the simple metrics that they are made of."""
    layer = service.snapshots.current.layer
    allowed = [metric["name"] for metric in service.metrics(caller)]
    visible = service.visible(caller)
    for name in names:
        if not visible.metric(name):
            raise UnknownNameError("metric", name, allowed)
        layer.metric(name)
    graph = layer.metric_graph
    for name in graph.leaves(*(names or allowed)):
        aggregation = graph.aggregation(name)
        yield {
            "name": name, "agg": aggregation["agg"],
            "expr": graph.metrics[name]["type_params"].get("expr") or name,
            "agg_time_dimension": aggregation.get("agg_time_dimension"),
        }  # fmt: skip


def _saved(service: QueryService, caller: Caller, _: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for saved in service.saved_queries(caller):
        query = saved["query"]
        yield {
            "name": saved["name"], "label": saved["label"], "description": saved["description"],
            "metrics": list(query.metrics), "group_by": [group.column for group in query.group_by],
            "order_by": list(query.order_by), "limit": query.limit,
        }  # fmt: skip


def _grains(
    service: QueryService, caller: Caller, names: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    service.dimensions(caller, names)  # refuses names that do not exist for the caller
    layer = service.snapshots.current.layer
    cards = [layer.card(name) for name in names if layer.is_kpi(name)]
    for grain in _GRAINS:
        if all(grain in card.grains for card in cards):
            yield {"name": grain}


def _metrics_for(
    service: QueryService, caller: Caller, names: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    dimensions = {item["name"] for item in service.dimensions(caller, ())} | {"metric_time"}
    for name in names:
        if name not in dimensions:
            raise UnknownNameError("dimension", name, dimensions)
    for row in _metrics(service, caller, ()):
        if {item["name"] for item in service.dimensions(caller, (row["name"],))}.issuperset(names):
            yield row


_ROWS: dict[str, Callable[[QueryService, Caller, tuple[str, ...]], Iterable[dict[str, Any]]]] = {
    "metrics": _metrics, "dimensions": _dimensions, "entities": _entities, "measures": _measures,
    "saved_queries": _saved, "queryable_granularities": _grains,
    "metrics_for_dimensions": _metrics_for,
}  # fmt: skip


PROTOCOL = "flight"
_MEGABYTES = 256  # that a statement in plain SQL may use


class Answering:
    """Answers statements of callers from any thread."""

    def __init__(self, service: QueryService, *, seconds: float) -> None:
        """Answer from a query service; a statement in plain SQL may run for so many seconds."""
        self._service = service
        self._seconds = seconds

    def cached(self, caller: Caller, statement: Statement) -> Rows | None:
        """The rows if they are there already, without waiting for anything; else None.

        Raises:
            LimitError: the caller may not have them now.
        """
        if not isinstance(statement, QueryStatement):
            return None
        context = RequestContext(caller, PROTOCOL, statement.read_cache)
        answer = self._service.cached(context, statement.query)
        return self._rows(answer, statement) if answer else None

    def rows(self, caller: Caller, statement: Statement, stop: Cancellation) -> Rows:
        """The rows of a statement.

        Raises:
            CadranError: as the query service does; and `QueryError` where plain SQL does not fit.
        """
        if isinstance(statement, QueryStatement):
            context = RequestContext(caller, PROTOCOL, statement.read_cache, stop)
            return self._rows(self._service.ask(context, statement.query), statement)
        if isinstance(statement, SqlStatement):
            return rows.of_table(self._plain(caller, statement, stop))
        return rows.of_table(self._part(caller, statement, stop))

    def tables(self, caller: Caller) -> list[str]:
        """The KPI tables that the caller may read."""
        return sorted(saved["name"] for saved in self._service.saved_queries(caller))

    def schema_of(self, caller: Caller, table: str, stop: Cancellation) -> pa.Schema:
        """The columns of a KPI table.

        Raises:
            CadranError: as the query service does.
        """
        question = Query.of({"saved_query": table, "limit": 0})
        context = RequestContext(caller, PROTOCOL, stop=stop)
        return self._service.ask(context, question).table.schema

    def _rows(self, answer: Answer, statement: QueryStatement) -> Rows:
        if statement.column:
            return rows.of_table(_values(answer.table))
        row_stream, fresh = rows.of_answer(answer)
        if fresh:
            self._service.weigh(answer)
        return row_stream

    def _part(self, caller: Caller, part: Part, stop: Cancellation) -> pa.Table:
        if isinstance(part, MetadataStatement):
            return metadata_table(self._service, caller, part)
        if isinstance(part, CompileStatement):
            sql = self._service.sql(RequestContext(caller, PROTOCOL, stop=stop), part.query)
            return pa.table({"sql": [sql]})
        context = RequestContext(caller, PROTOCOL, part.read_cache, stop)
        table = self._service.ask(context, part.query).table
        return _values(table) if part.column else table

    def _plain(self, caller: Caller, statement: SqlStatement, stop: Cancellation) -> pa.Table:
        read, caller = plain.read(statement.text), self._service.spender(caller)
        parts = {statements.stand_in(at): part for at, part in enumerate(statement.parts)}
        with contextlib.suppress(NotAllowedError):  # who may only ask is told by the question
            plain.known(read, self.tables(caller), parts)
        if not read.tables:
            self._service.meter.count(caller)  # else the questions below are counted
        self._service.deadlines.after(caller.limits.seconds or self._seconds, stop.set)
        tables: dict[str, pa.Table] = {}
        for name in read.tables:
            part = parts.get(name) or QueryStatement(Query.of({"saved_query": name}))
            tables[name] = self._part(caller, part, stop)
        with self._service.meter.running(caller):
            table = answer_sql(
                read.sql,
                tables,
                schema=plain.SCHEMA,
                megabytes=_MEGABYTES,
                stopper=partial(self._service.interrupting, stop),
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
