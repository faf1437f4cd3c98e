"""A question beside the same question of earlier days: value, base, and the change between them.

Both sides are questions as any other, so that rights, small cells and breaks hold for each of them;
only their difference is made here, from the exact values.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cadran.core.days import Days, base_of, check, is_same_dates
from cadran.core.query.request import DAY_OR_COARSER, Field, GroupBy
from cadran.errors import CadranError, QueryError, StoppedError, UnknownNameError
from cadran.formats import periods

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from cadran.core.project.cards import Card
    from cadran.core.query.request import Fields, Query
    from cadran.core.result import Break, Rows
    from cadran.core.semantics.model import SemanticModel

# What stands beside the column of a metric, after two underscores, which no metric's name holds.
BASE, CHANGE, PERCENT, ALIKE = "base", "change", "change_percent", "like_for_like"
SIDES = (BASE, CHANGE, PERCENT, ALIKE)
POINTS = "points"
_TIME = "metric_time"
_MOST_PERIODS = 60  # that are asked one by one
_SIDE_BY_SIDE = {
    "previous": "Each {grain} is compared with the {grain} before.",
    "year": "Each {grain} is compared with the same {grain} of the year before.",
    "same_days": "Each {grain} is compared with as many days before, on the same weekdays.",
}
_WEEKS_BEFORE = "Each {grain} is compared with the {grain} 52 weeks before, of the same weekdays."


def side_of(column: str) -> tuple[str, str | None]:
    """The metric of a column of a compared answer and what of it stands there; None for itself."""
    metric, _, side = column.rpartition("__")
    return (metric, side) if side in SIDES else (column, None)


def unit_of(side: str | None, unit: str) -> str:
    """The unit of what stands beside a metric of this unit; empty for a yes or no."""
    if side == ALIKE:
        return ""
    if side == PERCENT:
        return "percent"
    return POINTS if side == CHANGE and unit == "%" else unit


@dataclass(frozen=True, slots=True)
class Compared:
    """Both sides of a question.

    Attributes:
        query: the question, with its saved query written out.
        table: what it is grouped by, then of each metric its value, its `base`, the `change` in its
            unit (in points where the unit is %), the change in percent (NULL for a %, and where
            the base is 0) and whether both are like for like (NULL where one of them is missing).
        breaks: where a KPI changed its meaning between the first base and the last value.
        note: what has to be said beside it.
    """

    query: Query
    table: pa.Table
    breaks: tuple[Break, ...]
    note: str


_Key = tuple[Any, ...]


@dataclass(slots=True)
class _Cell:
    """A metric in one row, and whether the days of both sides can be compared."""

    value: Any = None
    base: Any = None
    is_alike: bool = True


@dataclass(slots=True)
class _Sides:
    """What was asked so far: the cells of each row, and the types of the columns."""

    cells: dict[_Key, dict[str, _Cell]] = field(default_factory=lambda: defaultdict(dict))
    types: dict[str, pa.DataType] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    breaks: dict[Break, None] = field(default_factory=dict)

    def cell(self, key: _Key, metric: str) -> _Cell:
        """The cell of a metric in a row."""
        return self.cells[key].setdefault(metric, _Cell())

    def read(self, rows: Rows) -> list[dict[str, Any]]:
        """The rows of an answer, of which the rest is noted."""
        self.notes |= dict.fromkeys([rows.note] if rows.note else [])
        self.breaks |= dict.fromkeys(rows.breaks)
        for part in rows.table.schema:
            self.types.setdefault(part.name, part.type)
        records: list[dict[str, Any]] = rows.table.to_pylist()
        return records


class Comparison:
    """Asks both sides of one question."""

    def __init__(
        self,
        query: Query,
        model: SemanticModel,
        answer: Callable[[Query], Rows],
        through: Callable[[str], dt.date | None],
        begins_within: Callable[[str, dt.date], bool],
    ) -> None:
        """Take a question.

        Args:
            query: with `compare`; nothing of it is asked yet.
            model: the definitions that it names.
            answer: answers a question without `compare`, as whoever asks may see it.
            through: the last day that is whole in the sources of a metric; None where unknown.
            begins_within: whether a source of a metric is known to begin too late to compare with
                days from one on.

        Raises:
            QueryError: it cannot be compared.
            UnknownNameError: a name in it does not exist.
        """
        check(query.compare or "")
        self._kind = query.compare or ""
        self.query = model.resolved(query)
        self._plain = replace(self.query, compare=None, order_by=(), limit=None, ordered=False)
        self._model, self._answer = model, answer
        self._begins_within = begins_within
        self._grain = self._checked()
        names = {name: model.metric(name)["name"] for name in self.query.metrics}
        self._through = {name: _last_whole(through, names[name]) for name in names}
        self._dimensions = tuple(g for g in self._plain.group_by if g.base != _TIME)
        self._sides = _Sides()

    def result(self) -> Compared:
        """Both sides, in order.

        Raises:
            CadranError: as `Layer.query`.
        """
        if self._grain is None:
            self._over_days()
        else:
            self._by_period(self._grain)
        breaks = tuple(sorted(self._sides.breaks, key=lambda change: change.period))
        table = self._table(breaks)
        return Compared(self.query, table, breaks, " ".join(self._sides.notes))

    def _checked(self) -> str | None:
        """The grain by which the question is grouped; None where it is by no time.

        Raises:
            QueryError: it cannot be compared.
        """
        query = self.query
        if not query.metrics or query.min_max_only:
            raise QueryError("compare sets values beside earlier ones: name at least one metric.")
        if query.known_at is not None or query.view is not None:
            raise QueryError(
                "compare sets values of now beside each other: leave out known_at and view; what"
                " was published of a period is told by `explain`."
            )
        fields = self._model.fields
        filters = [
            name.name
            for condition in self._model.conditions(query.where)
            for name, _ in condition.compared
            if name.kind == "TimeDimension"
        ]
        others = [
            group.name
            for group in query.group_by
            if group.base != _TIME and _is_time(group, fields)
        ]
        for name in (*filters, *others):
            raise QueryError(
                f"compare shifts metric_time, and {name} would stay where it is: give the range"
                " with start and end, and group by metric_time and what is no time."
            )
        times = [group for group in query.group_by if group.base == _TIME]
        if not times:
            return None
        grain = times[0].asked_grain
        if len(times) > 1 or times[0].date_part or grain not in DAY_OR_COARSER:
            raise QueryError(
                f"compare takes metric_time once, by {', '.join(DAY_OR_COARSER)}; it stands there"
                f" as {', '.join(group.column for group in times)}."
            )
        return grain

    # By period: one question holds the values and nearly always the bases.

    def _by_period(self, grain: str) -> None:
        start = self._plain.start.date() if self._plain.start else None
        first = periods.start_of(start, grain) if start else None
        one_by_one = self._kind == "same_days" and grain in periods.MONTHS
        earliest = first if one_by_one or first is None else self._base(first, grain).start
        query = self._plain
        if earliest is not None:
            query = replace(query, start=_first(earliest))
        column = GroupBy(_TIME, grain).column
        series: dict[dt.date, list[dict[str, Any]]] = defaultdict(list)
        # Widened here, once for all: two ranges would be told of in two notes.
        for row in self._sides.read(self._answer(self._model.ranges.widened(query))):
            day = row.pop(column)
            if day is not None:
                series[day].append(row)
        if note := self._model.ranges.note(self.query):
            self._sides.notes[note] = None
        shown = [day for day in sorted(series) if first is None or day >= first]
        if one_by_one and len(shown) > _MOST_PERIODS:
            raise QueryError(
                f"same_days asks each {grain} by itself, at most {_MOST_PERIODS} of them, and"
                f" {len(shown)} are asked: give a later start."
            )
        for day in shown:
            self._fill((day,), series[day], "value")
            running = self._running(day, grain)
            whole = [name for name in self.query.metrics if name not in running]
            base = self._base(day, grain)
            if whole and one_by_one:
                self._fill((day,), self._over(base, whole), "base", whole)
            elif whole:
                self._fill((day,), series.get(base.start, []), "base", whole)
            self._mark_late((day,), base, whole)
        is_by_weeks = self._kind == "year" and grain not in periods.MONTHS
        sentence = _WEEKS_BEFORE if is_by_weeks else _SIDE_BY_SIDE[self._kind]
        self._sides.notes[sentence.format(grain=grain)] = None

    def _base(self, start: dt.date, grain: str) -> Days:
        return base_of(Days(start, periods.last_of(start, grain)), self._kind, grain)

    def _running(self, start: dt.date, grain: str) -> set[str]:
        """Set the whole days of a running period beside the same days of its base.

        Returns the metrics of which it is running.
        """
        by_end: dict[dt.date, list[str]] = defaultdict(list)
        for metric, through in self._through.items():
            if through is not None and through < periods.last_of(start, grain):
                by_end[through].append(metric)
        waiting = list(by_end.items())
        while waiting:
            end, metrics = waiting.pop(0)
            if end < start:  # no day of it is whole: there is nothing to compare
                continue
            days = Days(start, end)
            base = base_of(days, self._kind, grain)
            try:
                values, bases = self._over(days, metrics), self._over(base, metrics)
            except QueryError as problem:
                if len(metrics) > 1:
                    waiting += [(end, [metric]) for metric in metrics]
                    continue
                note = f"The {grain} of {start} is running, so it is compared with nothing:"
                self._sides.notes[f"{note} {problem}"] = None
                continue
            for cell in self._cells((start,), metrics):
                cell.value = None
            self._fill((start,), values, "value", metrics)
            self._fill((start,), bases, "base", metrics)
            self._note_days(days, base, metrics, f"The {grain} of {start} is running: ")
            for cell in self._cells((start,), metrics):
                cell.is_alike = is_same_dates(days, base) or days.length == base.length
            self._mark_late((start,), base, metrics)
        return {metric for metrics in by_end.values() for metric in metrics}

    def _mark_late(self, at: _Key, base: Days, metrics: Iterable[str]) -> None:
        """Say where the sources of a metric begin within the days that it is compared with."""
        for metric in metrics:
            cells = [cell for cell in self._cells(at, [metric]) if cell.base is not None]
            if not cells or not self._begins_within(metric, base.start):
                continue
            for cell in cells:
                cell.is_alike = False
            note = f"The data of {metric} begin after {base.start}, the first day of its base."
            self._sides.notes[note] = None

    def _cells(self, at: _Key, metrics: Iterable[str]) -> list[_Cell]:
        keys = [key for key in self._sides.cells if key[: len(at)] == at]
        return [self._sides.cell(key, metric) for key in keys for metric in metrics]

    # Over days: two questions of the same days of each metric.

    def _over_days(self) -> None:
        query = self._plain
        whole = [day for day in self._through.values() if day is not None]
        begin, end = query.start, query.end
        if begin is None or (end is None and not whole):
            raise QueryError(
                "compare needs to know which days: give start and end, or group by metric_time,"
                " such as metric_time__month."
            )
        last = end.date() if end else min(whole)
        if begin.time() != dt.time.min or (end and end.time() != dt.time.max):
            raise QueryError("compare takes whole days as start and end, such as 2026-01-31.")
        span = Days(begin.date(), last)
        grain = span.grain
        by_end: dict[dt.date, list[str]] = defaultdict(list)
        for metric, through in self._through.items():
            by_end[min(last, through or last)].append(metric)
        for closing, metrics in by_end.items():
            days = Days(span.start, closing)
            if days.end < days.start:
                raise QueryError(
                    f"{', '.join(metrics)} is whole until {closing}, and {span.start} is asked:"
                    " there is no whole day to compare."
                )
            base = base_of(days, self._kind, grain)
            self._fill((), self._over(days, metrics), "value", metrics)
            self._fill((), self._over(base, metrics), "base", metrics)
            self._note_days(days, base, metrics, "")
            is_period = days == span and grain is not None
            for cell in self._cells((), metrics):
                is_same = is_same_dates(days, base) or days.length == base.length
                cell.is_alike = is_period or is_same
            self._mark_late((), base, metrics)
            self._breaks_between(base.start, days.end, metrics)

    def _breaks_between(self, start: dt.date, end: dt.date, metrics: list[str]) -> None:
        """Note where the meaning of a KPI changed: its values by period say so."""
        for metric in metrics:
            if not self._model.is_kpi(metric):
                continue
            grains = self._model.card(metric).grains
            grain = "month" if "month" in grains else grains[0]
            query = replace(
                self._plain, metrics=(metric,), group_by=(GroupBy(_TIME, grain),), where=(),
                start=_first(start), end=_last(end),
            )  # fmt: skip
            for change in self._answer(query).breaks:
                if change.kpi == metric and _day(change.period) > start:
                    self._sides.breaks[change] = None

    def _over(self, days: Days, metrics: Iterable[str]) -> list[dict[str, Any]]:
        """The rows of a range of days, by no time; metric by metric where they go not together."""
        query = replace(
            self._plain, metrics=tuple(metrics), group_by=self._dimensions, complete=False,
            start=_first(days.start), end=_last(days.end),
        )  # fmt: skip
        try:
            return self._sides.read(self._answer(query))
        except QueryError:
            if len(query.metrics) == 1:
                raise
        return [
            row
            for metric in query.metrics
            for row in self._sides.read(self._answer(replace(query, metrics=(metric,))))
        ]

    def _note_days(self, days: Days, base: Days, metrics: list[str], before: str) -> None:
        names = ", ".join(metrics)
        note = f"{before}{names} of {days} is compared with {base}"
        if days.length != base.length and not (days.grain and days.grain == base.grain):
            note += f", {days.length} days with {base.length}"
        self._sides.notes[f"{note}."] = None

    def _fill(
        self, at: _Key, rows: Iterable[dict[str, Any]], side: str, only: Iterable[str] = ()
    ) -> None:
        names = [group.column for group in self._dimensions]
        for row in rows:
            key = (*at, *(row[name] for name in names))
            for metric in only or self.query.metrics:
                if metric in row:
                    setattr(self._sides.cell(key, metric), side, row[metric])

    # The rows.

    def _table(self, breaks: tuple[Break, ...]) -> pa.Table:
        import pyarrow as pa

        model, types = self._model, self._sides.types
        groups = [g.column for g in self.query.group_by]
        if self._grain is not None:  # the time leads the keys
            groups.sort(key=lambda name: not name.startswith(f"{_TIME}__"))
        keys = list(self._sides.cells)
        columns: dict[str, pa.Array] = {
            name: pa.array([key[at] for key in keys], types.get(name))
            for at, name in enumerate(groups)
        }
        for metric in self.query.metrics:
            cells = [self._sides.cell(key, metric) for key in keys]
            is_rate = model.is_kpi(metric) and model.card(metric).unit == "%"
            broken = [c for c in breaks if c.kpi == metric and c.in_series]
            kind = types.get(metric, pa.float64())
            widest = pa.decimal128(38, kind.scale) if pa.types.is_decimal(kind) else kind
            columns[metric] = pa.array([cell.value for cell in cells], kind)
            columns[f"{metric}__{BASE}"] = pa.array([cell.base for cell in cells], kind)
            changes = [change(cell.value, cell.base, is_rate=is_rate) for cell in cells]
            target = pa.float64() if is_rate else widest
            columns[f"{metric}__{CHANGE}"] = pa.array([_as(c, target) for c in changes], target)
            columns[f"{metric}__{PERCENT}"] = pa.array(
                [None if is_rate else percent(cell.value, cell.base) for cell in cells],
                pa.float64(),
            )
            columns[f"{metric}__{ALIKE}"] = pa.array(
                [self._is_alike(key, cell, broken) for key, cell in zip(keys, cells, strict=True)],
                pa.bool_(),
            )
        table = pa.table(columns)
        return self._in_order(table.select([*(g.column for g in self.query.group_by), *(
            name for name in table.column_names if name not in groups)]), groups)  # fmt: skip

    def _is_alike(self, key: _Key, cell: _Cell, broken: list[Break]) -> bool | None:
        if cell.value is None or cell.base is None:
            return None
        if self._grain is None or not broken:
            return cell.is_alike and not broken
        base = self._base(key[0], self._grain).start
        return cell.is_alike and not any(base < _day(c.period) <= key[0] for c in broken)

    def _in_order(self, table: pa.Table, groups: list[str]) -> pa.Table:
        order = self.query.order_by or (tuple(groups) if self.query.ordered else ())
        by_written = {g.name: g.column for g in self.query.group_by}
        keys = []
        for item in order:
            name = item.removeprefix("-")
            name = by_written.get(name.lower(), name)
            if name not in table.column_names:
                choices = table.column_names
                raise UnknownNameError("column to order by", item, choices, where=" in this answer")
            keys.append((name, "descending" if item.startswith("-") else "ascending"))
        if keys and table.num_rows:
            table = table.sort_by(keys)
        return table if self.query.limit is None else table.slice(0, self.query.limit)


def change(value: Any, base: Any, *, is_rate: bool = False) -> Decimal | None:
    """The difference of two values, exact; in points where they are fractions shown in percent."""
    if value is None or base is None:
        return None
    left, right = _exact(value), _exact(base)
    if left is None or right is None:
        return None
    return (left - right) * 100 if is_rate else left - right


def percent(value: Any, base: Any) -> float | None:
    """The change in percent of the size of the base; None where there is none."""
    difference = change(value, base)
    exact = _exact(base)
    size = None if exact is None else abs(exact)
    return float(difference / size * 100) if difference is not None and size else None


def headings(column: str, cards: dict[str, Card]) -> tuple[Card | None, str | None]:
    """The card of a column of an answer, and which side of a comparison stands in it."""
    metric, side = side_of(column)
    card = cards.get(metric)
    return (card, side) if card else (cards.get(column), None)


def _is_time(group: GroupBy, fields: Fields) -> bool:
    named = Field.named(group.name, fields)
    return bool(group.grain or group.date_part or (named and named.kind == "TimeDimension"))


def _exact(value: Any) -> Decimal | None:
    """A finite number without its error; None of anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    # The shortest decimal that names a float: 0.95 - 0.94 is 0.01, and no more digits.
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    return exact if exact.is_finite() else None


def _as(amount: Decimal | None, kind: pa.DataType) -> Any:
    import pyarrow as pa

    if amount is None or pa.types.is_decimal(kind):
        return amount
    return int(amount) if pa.types.is_integer(kind) else float(amount)


def _last_whole(through: Callable[[str], dt.date | None], metric: str) -> dt.date | None:
    try:
        return through(metric)
    except StoppedError:
        raise
    except CadranError:
        return None


def _first(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time.min)


def _last(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time.max)


def _day(period: dt.date) -> dt.date:
    return period.date() if isinstance(period, dt.datetime) else period
