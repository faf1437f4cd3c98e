"""Plans shared by all questions that differ in values alone: compiled once a shape.

A text or date that a filter compares a dimension with, and the bounds of a range, are slots of a
plan; everything else (names, grains, order, limits, numbers, how many values `in` has) belongs to
the shape. A plan is learned by compiling the shape with two sets of stand-ins. It is shared only
when both statements are the same but for the slots and each stand-in occurs in them; whatever
derives anything else from a value is compiled question by question.

A range is widened to whole periods. Which period is learned as well, so that a bound fills its slot
with the first or last day of its own.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cadran.core.query.filters import Condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cadran.core.query.request import Query

# A name in quotes, a template and a text; what is neither is a part of the shape.
_PIECES = re.compile(
    r"\"(?:[^\"]|\"\")*\"|\{\{.*?\}\}|(?:\b(date|timestamp)\s*)?'((?:[^']|'')*)'",
    re.DOTALL | re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_SHARED_OPERATORS = frozenset(
    {"=", "<>", ">", "<", ">=", "<=", "in", "between", "like", "not like"}
)
# Bounds beyond these years are cut by MetricFlow, and their SQL does not follow from them.
_FIRST, _LAST = dt.date(2000, 1, 1), dt.date(2039, 12, 31)
# No two periods of one of them begin or end on the same day, and what lies so many days before or
# after both lies within another distance of the periods of the second.
_RANGES = (
    (dt.date(2031, 5, 14), dt.date(2033, 8, 24)),
    (dt.date(2030, 11, 21), dt.date(2034, 2, 14)),
)
# A comment that MetricFlow writes over a range.
_REMARK = re.compile(r"((?:--|/\*) Constrain Time Range) to \[[^\]\n]*\]")
_NUMBERED = re.compile(r"(subq|cte|nr_subq)_\d+")
PERIODS = ("day", "week", "month", "quarter", "year")


@dataclass(frozen=True, slots=True)
class Shape:
    """A question without its values.

    Attributes:
        query: the question with numbered marks in the place of its values, hashable.
        kinds: `text` or `date` of each value, in the order in which they stand.
        values: the values of this question.
        bounds: first and last day of its range.
    """

    query: Query
    kinds: tuple[str, ...]
    values: tuple[str, ...]
    bounds: tuple[dt.date | None, dt.date | None]

    def stand_ins(self) -> tuple[Shape, Shape]:
        """It with two sets of values that nothing else of a project holds."""
        return self._with(0), self._with(1)

    def _with(self, number: int) -> Shape:
        values = tuple(
            f"{2035 + number}-{1 + order // 28 % 12:02}-{1 + order % 28:02}"
            if kind == "date"
            else f"cadran stand-in {order}{' or another' * number} of {len(self.kinds)}"
            for order, kind in enumerate(self.kinds)
        )
        pairs = zip(self.bounds, _RANGES[number], strict=True)
        first, last = (day if bound is not None else None for bound, day in pairs)
        return replace(self, values=values, bounds=(first, last))

    def question(self) -> Query:
        """The question with its values in their places."""
        left = iter(self.values)

        def filled(text: str) -> str:
            return _PIECES.sub(lambda piece: _filled(piece, left), text)

        first, last = self.bounds
        return replace(
            self.query,
            where=tuple(map(filled, self.query.where)),
            confined=tuple(map(filled, self.query.confined)),
            start=None if first is None else dt.datetime.combine(first, dt.time.min),
            end=None if last is None else dt.datetime.combine(last, _time_of(self.query.end)),
        )

    def is_sharable(self, conditions: Iterable[Condition]) -> bool:
        """Whether each value is the direct operand of a comparison with a dimension.

        Args:
            conditions: the filters of this shape as they are understood.
        """
        compared = [
            value.text
            for condition in conditions
            for comparison in condition.comparisons
            if comparison.operator in _SHARED_OPERATORS
            and not comparison.cast
            and comparison.field.kind != "Metric"
            for value in comparison.values
            if value.kind in ("text", "date")
        ]
        return sorted(compared) == sorted(value.replace("''", "'") for value in self.values)


def _time_of(end: dt.datetime | None) -> dt.time:
    return end.time() if end is not None else dt.time.min


def _filled(piece: re.Match[str], values: Iterator[str]) -> str:
    if piece[2] is None:
        return piece[0]
    return f"{piece[0][: piece.start(2) - piece.start()]}{next(values)}'"


def shape_of(query: Query) -> Shape | None:
    """The shape of a question; None where it has no values, or one that no plan is shared for."""
    kinds: list[str] = []
    values: list[str] = []

    def emptied(piece: re.Match[str]) -> str:
        if piece[2] is None:
            return piece[0]
        kinds.append((piece[1] or "text").lower())
        values.append(piece[2])
        return f"{piece[0][: piece.start(2) - piece.start()]}'"

    texts = (*query.where, *query.confined)
    if any(isinstance(text, Condition) and text.is_reviewed for text in texts):
        return None
    where, confined = (
        tuple(_PIECES.sub(emptied, str(text)) for text in group)
        for group in (query.where, query.confined)
    )
    bounds = tuple(None if bound is None else bound.date() for bound in (query.start, query.end))
    if not values and bounds == (None, None):
        return None
    if not all(map(_is_plain, kinds, values)) or not _are_days(query):
        return None
    start = None if query.start is None else dt.datetime.combine(_FIRST, dt.time.min)
    end = None if query.end is None else dt.datetime.combine(_LAST, query.end.time())
    emptied_query = replace(query, where=where, confined=confined, start=start, end=end)
    return Shape(emptied_query, tuple(kinds), tuple(values), (bounds[0], bounds[1]))


def _is_plain(kind: str, value: str) -> bool:
    """Whether a value is written as the grammar would write it, and is one that it accepts."""
    if kind == "date":
        try:
            return bool(_DATE.fullmatch(value)) and bool(dt.date.fromisoformat(value))
        except ValueError:
            return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return kind == "text" and not _CONTROL.search(value)


def _are_days(query: Query) -> bool:
    start, end = query.start, query.end
    if start is not None and (start.time() != dt.time.min or not _FIRST <= start.date() <= _LAST):
        return False
    if end is None:
        return True
    return end.time() in (dt.time.min, dt.time.max) and _FIRST <= end.date() <= _LAST


def widened(first: dt.date | None, last: dt.date | None) -> dict[str, str]:
    """The first and last days of the periods in which bounds lie, by the names of their slots."""
    days: dict[str, str] = {}
    if first is not None:
        days |= {f"first {period}": _begin(first, period).isoformat() for period in PERIODS}
    if last is not None:
        for period in PERIODS:
            # The longest period of each kind reaches from a begin into the next, and no further.
            begin = _begin(last, period)
            length = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}[period]
            days[f"last {period}"] = (
                _begin(begin + dt.timedelta(length), period) - dt.timedelta(1)
            ).isoformat()
    return days


def _begin(day: dt.date, period: str) -> dt.date:
    if period == "week":
        return day - dt.timedelta(day.weekday())
    month = {"month": day.month, "quarter": (day.month - 1) // 3 * 3 + 1, "year": 1}
    return day if period == "day" else day.replace(month=month[period], day=1)


def learned(shape: Shape, statement: str, other: Shape, other_statement: str) -> list[Any] | None:
    """The plan of a shape: texts, with the numbers and names of slots between; None if not shared.

    Args:
        shape: with one set of stand-ins.
        statement: its SQL.
        other: the same with another set.
        other_statement: its SQL.
    """
    statement = _REMARK.sub(r"\1", statement)
    other_statement = _REMARK.sub(r"\1", other_statement)
    slots: dict[str, int | str] = {_text(value): at for at, value in enumerate(shape.values)}
    slots |= {day: name for name, day in widened(*shape.bounds).items()}
    if not slots:
        return None
    pattern = re.compile("|".join(map(re.escape, sorted(slots, key=len, reverse=True))))
    plan: list[Any] = []
    end = 0
    for match in pattern.finditer(statement):
        plan += [statement[end : match.start()], slots[match[0]]]
        end = match.end()
    plan.append(statement[end:])
    used = set(plan[1::2])
    sides = {str(slot).split()[0] for slot in used if isinstance(slot, str)}
    wanted = {side for side, bound in zip(("first", "last"), shape.bounds, strict=True) if bound}
    if not used >= set(range(len(shape.values))) or sides != wanted:
        return None
    return plan if _renumbered(filled(plan, other)) == _renumbered(other_statement) else None


def filled(plan: Sequence[Any], shape: Shape) -> str:
    """The SQL of a plan with the values of a question."""
    days = widened(*shape.bounds)
    return "".join(
        part if at % 2 == 0 else days[part] if isinstance(part, str) else _text(shape.values[part])
        for at, part in enumerate(plan)
    )


def _text(value: str) -> str:
    return f"'{value}'"


def _renumbered(sql: str) -> str:
    """A statement with its subqueries counted from its own first one, not from the process's."""
    numbers: dict[str, str] = {}
    return _NUMBERED.sub(
        lambda match: numbers.setdefault(match[0], f"{match[1]}_{len(numbers)}"), sql
    )
