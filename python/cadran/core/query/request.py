"""A question, as a value: the same question always looks the same, however it was written."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cadran.core.layer import Layer


DAY_OR_COARSER = ("day", "week", "month", "quarter", "year")
GRAINS = ("minute", "hour", *DAY_OR_COARSER)


@dataclass(frozen=True, slots=True, order=True)
class GroupBy:
    """One thing to group by: a dimension, an entity, or a time dimension at a grain.

    Args:
        name: as MetricFlow names it, such as `metric_time` or `customer__country`.
        grain: a grain for a time dimension, `month` for instance.
        date_part: a part of a time dimension instead of a grain, `dow` for instance.
    """

    name: str
    grain: str | None = None
    date_part: str | None = None

    @property
    def base(self) -> str:
        """The name without a grain at its end."""
        head, _, tail = self.name.rpartition("__")
        return head if head and tail in GRAINS else self.name

    @property
    def asked_grain(self) -> str | None:
        """The grain, given apart or at the end of the name."""
        if self.grain:
            return self.grain.lower()
        tail = self.name.rpartition("__")[2]
        return tail if tail != self.name and tail in GRAINS else None

    @property
    def column(self) -> str:
        """The name of its column in the result, when a grain is known."""
        if self.date_part:
            return f"{self.base}__extract_{self.date_part.lower()}"
        grain = self.asked_grain
        return f"{self.base}__{grain}" if grain else self.name


@dataclass(frozen=True, slots=True)
class Query:
    """A question put to the layer, with every argument in one form. Hashable.

    `confined` holds conditions that are no part of the question: the rows that whoever asks may
    see. They are applied as `where` is, and are not held to the cards.
    """

    metrics: tuple[str, ...] = ()
    group_by: tuple[GroupBy, ...] = ()
    where: tuple[str, ...] = ()
    order_by: tuple[str, ...] = ()
    limit: int | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    min_max_only: bool = False
    apply_group_by: bool = True
    ordered: bool = True
    confined: tuple[str, ...] = ()

    def key(self) -> dict[str, Any]:
        """The question as JSON types, for hashing and storing."""
        stored = asdict(self)
        for bound in ("start", "end"):
            stored[bound] = stored[bound].isoformat() if stored[bound] else None
        return stored

    def with_group_by(self, group_by: Iterable[GroupBy]) -> Query:
        """The same question grouped by something else."""
        return replace(self, group_by=tuple(group_by))


def ask(  # noqa: PLR0913, PLR0917 - these are the names that dbt-sl-sdk gave its users
    metrics: str | Iterable[str] = (),
    group_by: str | GroupBy | Iterable[str | GroupBy] = (),
    where: str | Iterable[str] = (),
    order_by: str | Iterable[str] = (),
    limit: int | None = None,
    start: str | dt.date | None = None,
    end: str | dt.date | None = None,
    *,
    min_max_only: bool = False,
    apply_group_by: bool = True,
    ordered: bool = True,
    confined: str | Iterable[str] = (),
    partial: bool = False,
) -> Query:
    """The question in its one form; a partial one is to be added to a saved query.

    Raises:
        QueryError: it asks for nothing, its dates are reversed or unreadable, its limit negative.
    """
    groups = [group_by] if isinstance(group_by, str | GroupBy) else list(group_by or ())
    query = Query(
        metrics=_texts("metrics", metrics),
        group_by=tuple(g if isinstance(g, GroupBy) else GroupBy(str(g).strip()) for g in groups),
        where=tuple(text for text in _texts("where", where) if text),
        order_by=_texts("order_by", order_by),
        limit=limit,
        start=_instant("start", start),
        end=_instant("end", end, closes_day=True),
        min_max_only=min_max_only,
        apply_group_by=apply_group_by,
        ordered=ordered,
        confined=_texts("confined", confined),
    )
    if not query.metrics and not query.group_by and not partial:
        raise QueryError("Nothing is asked: name at least one metric or one dimension.")
    if len(set(query.metrics)) < len(query.metrics):
        raise QueryError(f"A metric stands twice in the question: {', '.join(query.metrics)}.")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise QueryError(f"limit is {limit!r}; it takes a whole number from 0 up.")
    if query.start and query.end and query.start > query.end:
        raise QueryError(
            f"start {query.start:%Y-%m-%d} is after end {query.end:%Y-%m-%d}; exchange the two."
        )
    return query


def _texts(what: str, value: str | Iterable[str]) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else list(value or ())
    for text in values:
        if not isinstance(text, str):
            raise QueryError(f"{what} holds {text!r}; it takes names as text.")
    return tuple(text.strip() for text in values)


def _instant(
    what: str, value: str | dt.date | None, *, closes_day: bool = False
) -> dt.datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        kind = dt.date if len(text) <= len("2026-01-31") else dt.datetime
        try:
            value = kind.fromisoformat(text)
        except ValueError:
            raise QueryError(
                f"{what} is '{text}'; it takes an ISO date such as 2026-01-31."
            ) from None
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, dt.date):
        # A date that ends a range means its whole day: 23:59 of a metric by the minute is in it.
        return dt.datetime.combine(value, dt.time.max if closes_day else dt.time.min)
    raise QueryError(f"{what} is {value!r}; it takes a date or an ISO date as text.")


@dataclass(frozen=True, slots=True)
class Question:
    """What `Layer.query` is asked, hashable. The fields are its arguments."""

    query: Query
    saved_query: str | None = None
    version: int | None = None
    known_at: str | None = None
    view: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Question:
        """A question from named arguments, those of `Layer.query` but `governed`.

        Raises:
            QueryError: an argument has a value that it cannot have.
            UnknownNameError: an argument is unknown.
        """
        # What a caller is confined to, the policy says.
        known = {*_ASKED, *(field.name for field in fields(cls))} - {"query", "confined"}
        for name in given:
            if name not in known:
                raise UnknownNameError("argument", name, known)
        apart = {name: given.get(name) for name in ("saved_query", "version", "known_at", "view")}
        for name, value in apart.items():
            if value is not None and type(value) is not (int if name == "version" else str):
                what = "a whole number" if name == "version" else "a text"
                raise QueryError(f"{name} is {value!r}; it takes {what}.")
        asked = {name: value for name, value in given.items() if name in _ASKED}
        query = ask(**asked, partial=bool(apart["saved_query"]))
        return cls(query=query, **apart)

    def resolved(self, layer: Layer) -> Question:
        """The same with its saved query written out.

        Raises:
            UnknownNameError: there is no such saved query.
        """
        if self.saved_query is None:
            return self
        return replace(self, query=layer.asked(self.saved_query, self.query), saved_query=None)

    def arguments(self) -> dict[str, Any]:
        """The arguments for `Layer.query`."""
        query = self.query
        given: dict[str, Any] = {
            name: getattr(query, name) for name in _ASKED if getattr(query, name) is not None
        }
        apart = {name: getattr(self, name) for name in ("version", "known_at", "view")}
        return given | {name: value for name, value in apart.items() if value is not None}

    @property
    def groups(self) -> tuple[str, ...]:
        """The columns that it is grouped by, as asked."""
        return tuple(group.column for group in self.query.group_by)


_ASKED = tuple(field.name for field in fields(Query))
