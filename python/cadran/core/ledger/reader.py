"""Answers from the ledger: what was said, as it was said, and where a definition changed.

    published   each period as it was published, before any restatement
    spliced     each period by the version it was first published by, corrections included
    restated    each period as it is now, by the present version
    both        `restated`, with what is `published` beside it in `<kpi>_published`

With `known_at`, what the ledger held at that instant; alone it means the last value known then.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from cadran.core.query.filters import read
from cadran.core.result import KEEPING, Break
from cadran.core.warehouse import ledger_sql as sql
from cadran.core.warehouse.dialects import literal, quoted
from cadran.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.core.project.cards import Card
    from cadran.core.query.request import Field, Query
    from cadran.core.warehouse import Warehouse


@dataclass(eq=False)
class History:
    """What the ledger tells about the values of an answer; it is read when it is asked.

    Attributes:
        warehouse: in which the ledger lies.
        query: the question.
        cards: of its KPIs.
        versioned: gives the KPIs that have values by several versions in it.
        reader: that gave the values; None where they were computed now.
    """

    warehouse: Warehouse
    query: Query
    cards: dict[str, Card]
    versioned: Callable[[], frozenset[str]]
    reader: Reader | None = None

    @cached_property
    def versions(self) -> dict[str, tuple[int, ...]]:
        """The versions of the values of each KPI."""
        if self.reader is not None:
            return self.reader.versions()
        return {name: (card.version,) for name, card in self.cards.items()}

    @cached_property
    def breaks(self) -> tuple[Break, ...]:
        """The breaks within the answer; none where it has no periods or nothing was published."""
        if self.reader is not None:
            return self.reader.breaks(in_series=True)
        times = [group for group in self.query.group_by if group.base == "metric_time"]
        grains = [group.asked_grain for group in times if not group.date_part]
        if len(times) != 1 or not all(grains) or not self.cards:
            return ()
        if self.versioned().isdisjoint(self.cards):
            return ()
        query = replace(self.query, metrics=tuple(self.cards), where=(), group_by=tuple(times))
        return Reader(self.warehouse, query, None, None).breaks(in_series=False)


VIEWS = ("published", "restated", "both", "spliced")
_ALLOWED = {
    "published": "restated_at is null or batch < restated_at or batch = first_batch",
    "spliced": "version = first_version",
}
_TYPES = {"int64": "bigint", "double": "double", "float": "float"}


def instant(text: str | dt.date) -> dt.datetime:
    """An instant in UTC; a day means its end.

    Raises:
        QueryError: it is not written in ISO form.
    """
    if isinstance(text, str):
        try:
            is_day = "T" not in text and ":" not in text
            text = dt.date.fromisoformat(text) if is_day else dt.datetime.fromisoformat(text)
        except ValueError:
            raise QueryError(
                f"known_at is '{text}'; it takes an instant such as 2026-09-30T18:00Z."
            ) from None
    if isinstance(text, dt.datetime):
        return text.astimezone(dt.UTC).replace(tzinfo=None) if text.tzinfo else text
    return dt.datetime.combine(text, dt.time.max)


def has_ledger(warehouse: Warehouse) -> bool:
    """Whether the warehouse has a ledger."""
    return bool(warehouse.ledger.arrow(sql.EXISTS).to_pylist()[0]["there"])


def versioned(warehouse: Warehouse) -> frozenset[str]:
    """The KPIs that have values by several versions in the ledger: no other one has breaks."""
    if not has_ledger(warehouse):
        return frozenset()
    rows = warehouse.ledger.arrow(
        f"select kpi from {sql.ROWS} group by kpi having count(distinct version) > 1"
    )
    return frozenset(rows.column("kpi").to_pylist())


class Reader:
    """Reads one question's values from the ledger."""

    def __init__(
        self, warehouse: Warehouse, query: Query, known_at: str | dt.date | None, view: str | None
    ) -> None:
        """Take a question whose KPIs, grain and dimensions are on their cards.

        Raises:
            QueryError: the ledger cannot answer it; the message says what it can.
        """
        self._warehouse, self.query, self.view = warehouse.ledger, query, view
        self.known_at = instant(known_at) if known_at is not None else None
        self.grain, self.dimensions = _shape(query)
        self._conditions: list[str] = []

    @property
    def cutoff(self) -> str:
        """A condition: the batches that were published by the instant asked."""
        if self.known_at is None:
            return "true"
        return (
            f"batch <= (select coalesce(max(batch), 0) from {sql.BATCHES}"
            f" where published_at <= timestamp '{self.known_at}')"
        )

    def sql(self) -> str:
        """The statement that answers.

        Raises:
            QueryError: nothing of a KPI was published in this form.
        """
        kinds = self._kinds()
        time = f"metric_time__{self.grain}"
        period = "period" if self.grain in ("minute", "hour") else "cast(period as date)"
        members = [f"{_member(name, kinds)} as {quoted(name)}" for name in self.dimensions]
        # The last row of each key, its value NULL or not.
        values = [
            f"arg_max_null(cast(value as {kinds[kpi]}), batch) filter (where kpi = '{kpi}')"
            f" as {quoted(kpi)}"
            for kpi in self.query.metrics
        ]
        names = [time, *self.dimensions]
        columns = dict(
            zip(names, [period, *(_member(n, kinds) for n in self.dimensions)], strict=True)
        )
        # They are about periods and members alone, so they hold for all rows of a key or for none.
        self._conditions = [_filter(text, columns) for text in self.query.where]
        order = ", ".join(self._order(names))
        metrics = map(quoted, self.query.metrics)
        return (
            f"with chosen as ({self.chosen() if self.view else self._rows()}),\n"
            f"picked as (select period, dimensions, {', '.join(values)}\n"
            "from chosen group by period, dimensions),\n"
            f"answer as (select {', '.join([f'{period} as {time}', *members, *metrics])}"
            " from picked)\n"
            "select * from answer"
            f"{f' order by {order}' if order else ''}"
            f"{'' if self.query.limit is None else f' limit {self.query.limit}'}"
        )

    def chosen(self, dimensions: str | None = None) -> str:
        """The rows of the ledger that the view shows, one for each period and member."""
        return sql.latest(self._rows(dimensions), _ALLOWED.get(self.view or "", ""))

    def _rows(self, dimensions: str | None = None) -> str:
        """All rows of the question's KPIs, grain, dimensions, range and filters."""
        query = self.query
        names = ",".join(sorted(self.dimensions)) if dimensions is None else dimensions
        kpis = ", ".join(literal(name) for name in query.metrics)
        conditions = [
            f"kpi in ({kpis})", f"grain = '{self.grain}'", self.cutoff,
            f"dimension_set = {literal(names)}",
        ]  # fmt: skip
        if query.start:
            conditions.append(f"period >= date_trunc('{self.grain}', timestamp '{query.start}')")
        if query.end:
            conditions.append(f"period <= timestamp '{_whole_day(query.end)}'")
        conditions += [f"({text})" for text in self._conditions]
        return f"select * from {sql.ROWS} where {' and '.join(conditions)}"

    def versions(self) -> dict[str, tuple[int, ...]]:
        """The versions of the values of each KPI."""
        rows = self._warehouse.arrow(
            f"select distinct kpi, version from ({self.chosen()}) as chosen order by all"
        ).to_pylist()
        return {
            name: tuple(row["version"] for row in rows if row["kpi"] == name)
            for name in self.query.metrics
        }

    def breaks(self, *, in_series: bool) -> tuple[Break, ...]:
        """Where the version changes from one period to the next."""
        rows = self._warehouse.arrow(
            f"""
            with series as (
                select kpi, period, max(version) as version,
                    any_value(value) filter (where dimension_set = '') as value
                from ({self.chosen()} union all {self.chosen("")}) as chosen
                group by kpi, period
            ), stepped as (
                select *, lag(version) over each_kpi as before, lag(value) over each_kpi as last
                from series window each_kpi as (partition by kpi order by period)
            )
            select stepped.*, (
                select arg_min(details, batch) from {sql.BATCHES} as batch
                where batch.kpi = stepped.kpi and batch.version = stepped.version
                    and details->>'version_kind' is not null
            ) as details
            from stepped where before <> version order by kpi, period
            """
        ).to_pylist()
        breaks, kinds = [], self._version_kinds() if rows else {}
        for row in rows:
            between = range(row["before"] + 1, row["version"] + 1)
            if between and all(kinds.get((row["kpi"], number)) in KEEPING for number in between):
                continue  # the same meaning goes on under another number
            details = json.loads(row["details"] or "{}")
            # The last value is that of all rows: more than one who is confined may see.
            last = None if self.query.confined else row["last"]
            breaks.append(
                Break(
                    row["kpi"], row["period"], row["before"], row["version"],
                    details.get("version_kind"), details.get("reason"), last, in_series,
                )
            )  # fmt: skip
        return tuple(breaks)

    def _version_kinds(self) -> dict[tuple[str, int], str]:
        """The kind of each published version whose record said it, by KPI and number."""
        rows = self._warehouse.arrow(
            f"""select distinct kpi, version, details->>'version_kind' as kind
            from {sql.BATCHES} where details->>'version_kind' is not null"""
        ).to_pylist()
        return {(row["kpi"], row["version"]): row["kind"] for row in rows}

    def _kinds(self) -> dict[str, str]:
        kpis = ", ".join(literal(name) for name in self.query.metrics)
        rows = self._warehouse.arrow(
            f"""select kpi, list(distinct value_type) as kinds from {sql.BATCHES}
            where kpi in ({kpis}) and {self.cutoff} group by kpi"""
        ).to_pylist()
        kinds = {row["kpi"]: row["kinds"] for row in rows}
        for name in self.query.metrics:
            if name not in kinds:
                by = f" by {self.known_at}" if self.known_at else ""
                raise QueryError(f"Nothing of {name} was published{by}: run `cadran publish`.")
        types = {name: _duckdb(arrow_types) for name, arrow_types in kinds.items()}
        if not self.dimensions:
            return types
        names = ",".join(sorted(self.dimensions))
        json_types = ", ".join(
            f"any_value(json_type(dimensions, {_path(name)}))"
            f" filter (where json_type(dimensions, {_path(name)}) <> 'NULL') as {quoted(name)}"
            for name in self.dimensions
        )
        counts = self._warehouse.arrow(
            f"""select count(*) as rows, {json_types}
            from (
                select dimensions from {sql.ROWS}
                where kpi in ({kpis}) and grain = '{self.grain}'
                    and dimension_set = {literal(names)}
                limit 1000
            ) as sample"""
        ).to_pylist()[0]
        if not counts["rows"]:
            raise QueryError(
                f"The ledger holds no {', '.join(self.query.metrics)} by {self.grain} and"
                f" {names}. What is published stands in cadran_ledger.yml."
            )
        booleans = {name: "boolean" for name in self.dimensions if counts[name] == "BOOLEAN"}
        return types | booleans

    def _order(self, names: list[str]) -> list[str]:
        items = self.query.order_by or (tuple(names) if self.query.ordered else ())
        columns = {*names, *self.query.metrics}
        for item in items:
            if item.removeprefix("-") not in columns:
                raise QueryError(f"This answer has no column '{item}' to order by.")
        return [
            f"{quoted(item.removeprefix('-'))} {'desc' if item[0] == '-' else 'asc'} nulls last"
            for item in items
        ]


def with_published(now: str, then: str, query: Query) -> str:
    """The statement of now, with what was published of the same keys in `<kpi>_published`.

    The rows come in the order of the keys, whatever was asked.
    """
    keys = [group.column for group in query.group_by]
    columns = [f"coalesce(now.{quoted(k)}, before.{quoted(k)}) as {quoted(k)}" for k in keys]
    columns += [f"now.{quoted(name)}" for name in query.metrics]
    columns += [f"before.{quoted(n)} as {quoted(f'{n}_published')}" for n in query.metrics]
    same = " and ".join(f"now.{quoted(k)} is not distinct from before.{quoted(k)}" for k in keys)
    return (
        f"select {', '.join(columns)}\nfrom (\n{now}\n) as now\n"
        f"full outer join (\n{then}\n) as before on {same}\n"
        f"order by {', '.join(str(at + 1) for at in range(len(keys)))}"
    )


def _shape(query: Query) -> tuple[str, list[str]]:
    times = [group for group in query.group_by if group.base == "metric_time"]
    if len(times) != 1 or not times[0].asked_grain or times[0].date_part:
        raise QueryError(
            "The ledger holds values by period: group by metric_time with one grain, such as"
            " metric_time__month."
        )
    if not query.metrics:
        raise QueryError("The ledger holds values of KPIs: name at least one.")
    return str(times[0].asked_grain), [g.column for g in query.group_by if g.base != "metric_time"]


def _filter(text: str, columns: dict[str, str]) -> str:
    """A filter as a condition on rows of the ledger."""

    def column(field: Field) -> str:
        name = field.group.column
        if name not in columns:
            raise QueryError(
                f"The ledger can be filtered by what the question is grouped by"
                f" ({', '.join(columns)}), not by {name}."
            )
        return columns[name]

    return read(text).sql(column)


def _whole_day(end: dt.datetime) -> dt.datetime:
    return dt.datetime.combine(end, dt.time.max) if end.time() == dt.time.min else end


def _duckdb(arrow_types: list[str]) -> str:
    """DuckDB's name of the Arrow type in which values were published, wide enough for each."""
    if all(kind.startswith("decimal") for kind in arrow_types):
        places = max(int(kind.rpartition(",")[2].strip(" )")) for kind in arrow_types)
        return f"decimal(38, {places})"
    return _TYPES.get(arrow_types[0], "double") if len(arrow_types) == 1 else "double"


def _member(name: str, kinds: dict[str, str]) -> str:
    text = f"json_extract_string(dimensions, {_path(name)})"
    return f"cast({text} as boolean)" if kinds.get(name) == "boolean" else text


def _path(name: str) -> str:
    return literal(f'$."{name}"')
