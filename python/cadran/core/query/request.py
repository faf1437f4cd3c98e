"""A question as a value, and what it names: the same however it was written."""

from __future__ import annotations

import ast
import datetime as dt
import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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

    def __post_init__(self) -> None:
        """Write the name as definitions have it: MetricFlow heeds no case, and they have none."""
        object.__setattr__(self, "name", self.name.lower())

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
    """A question in its one form, from whichever face it came. Hashable.

    Authorisation narrows it, and the compiler takes it. `confined` holds conditions that are no
    part of the question: the rows that whoever asks may see. They are applied as `where` is, and
    are not held to the cards. What the other fields mean, `Layer.query` says.
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
    saved_query: str | None = None
    version: int | None = None
    known_at: str | dt.date | None = None
    view: str | None = None
    governed: bool = True
    complete: bool = False
    compare: str | None = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Query:
        """A question from named arguments, those of `Layer.query` but `governed`.

        Raises:
            QueryError: an argument has a value that it cannot have.
            UnknownNameError: an argument is unknown.
        """
        # What a caller is confined to, the policy says.
        names = {field.name for field in fields(cls)} - {"confined", "governed"}
        for name in arguments:
            if name not in names:
                raise UnknownNameError("argument", name, names)
        for name in ("saved_query", "version", "known_at", "view", "compare"):
            value = arguments.get(name)
            if value is not None and type(value) is not (int if name == "version" else str):
                expected = "a whole number" if name == "version" else "a text"
                raise QueryError(f"{name} is {value!r}; it takes {expected}.")
        complete = arguments.get("complete", False)
        if type(complete) is not bool:
            raise QueryError(f"complete is {complete!r}; it takes true or false.")
        return ask(**arguments)

    def key(self) -> dict[str, Any]:
        """What its plan depends on, as JSON types, for hashing and storing."""
        others = ("saved_query", "version", "known_at", "view", "governed", "complete", "compare")
        stored = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in others}
        stored["group_by"] = [(g.name, g.grain, g.date_part) for g in self.group_by]
        for bound in ("start", "end"):
            stored[bound] = stored[bound].isoformat() if stored[bound] else None
        return stored

    @property
    def of_now(self) -> Query:
        """The same question of the values of now, by the present version."""
        if self.version is None and self.known_at is None and self.view is None:
            return self
        return replace(self, version=None, known_at=None, view=None)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it is grouped by."""
        return tuple(group.column for group in self.group_by)

    @property
    def period(self) -> tuple[str, str] | None:
        """The column and the grain of its rows' periods; None where they have none of days."""
        for group in self.group_by:
            grain = group.asked_grain
            if group.base == "metric_time" and not group.date_part and grain in DAY_OR_COARSER:
                return group.column, grain
        return None


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
    saved_query: str | None = None,
    version: int | None = None,
    known_at: str | dt.date | None = None,
    view: str | None = None,
    governed: bool = True,
    complete: bool = False,
    compare: str | None = None,
) -> Query:
    """The question in its one form; the arguments are those of `Layer.query`.

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
        saved_query=saved_query or None,
        version=version,
        known_at=known_at,
        view=view,
        governed=governed,
        complete=complete,
        compare=compare,
    )
    if not query.metrics and not query.group_by and not query.saved_query:
        raise QueryError("Nothing is asked: name at least one metric or one dimension.")
    if len(set(query.metrics)) < len(query.metrics):
        raise QueryError(f"A metric stands twice in the question: {', '.join(query.metrics)}.")
    is_number = isinstance(limit, int) and not isinstance(limit, bool)
    if limit is not None and not (is_number and 0 <= limit <= MOST_ROWS):
        raise QueryError(f"limit is {limit!r}; it takes a whole number from 0 to {MOST_ROWS}.")
    if query.start and query.end and query.start > query.end:
        raise QueryError(
            f"start {query.start:%Y-%m-%d} is after end {query.end:%Y-%m-%d}; exchange the two."
        )
    return query


def _texts(name: str, value: str | Iterable[str]) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else list(value or ())
    for text in values:
        if not isinstance(text, str):
            raise QueryError(f"{name} holds {text!r}; it takes names as text.")
    # A filter that was read already stays what it is.
    return tuple(text if text == (plain := text.strip()) else plain for text in values)


def _instant(
    name: str, value: str | dt.date | None, *, closes_day: bool = False
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
                f"{name} is '{text}'; it takes an ISO date such as 2026-01-31."
            ) from None
    if isinstance(value, dt.datetime):
        try:
            return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        except OverflowError:
            raise QueryError(f"{name} is {value}, which no year of UTC holds.") from None
    if isinstance(value, dt.date):
        # A date that ends a range means its whole day: 23:59 of a metric by the minute is in it.
        return dt.datetime.combine(value, dt.time.max if closes_day else dt.time.min)
    raise QueryError(f"{name} is {value!r}; it takes a date or an ISO date as text.")


MOST_ROWS = (1 << 63) - 1  # that a limit can say
_EVERY_GRAIN = (
    *("nanosecond", "microsecond", "millisecond", "second", "minute", "hour"),
    *("day", "week", "month", "quarter", "year"),
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
EXAMPLE = "Write for instance {{ Dimension('customer__country') }} = 'FR'."


@dataclass(frozen=True, slots=True)
class Fields:
    """Which names are times, entities and grains; every other one is a dimension."""

    times: frozenset[str] = frozenset({"metric_time"})
    entities: frozenset[str] = frozenset()
    grains: frozenset[str] = frozenset(_EVERY_GRAIN)

    @property
    def own_grains(self) -> frozenset[str]:
        """The grains of calendars that the project defines itself."""
        return self.grains - {*_EVERY_GRAIN}

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Fields:
        """The fields of a semantic manifest."""
        models = manifest["semantic_models"]
        configuration = manifest.get("project_configuration") or {}
        spines = configuration.get("time_spines") or ()
        custom = (grain for spine in spines for grain in spine.get("custom_granularities") or ())
        times = {
            dimension["name"]
            for model in models
            for dimension in model.get("dimensions") or ()
            if dimension["type"] == "time"
        }
        entities = {entity["name"] for model in models for entity in model.get("entities") or ()}
        entities |= {model.get("primary_entity") for model in models} - {None}
        return cls(
            times=frozenset(times | {"metric_time"}),
            entities=frozenset(entities),
            grains=frozenset([*_EVERY_GRAIN, *(grain["name"] for grain in custom)]),
        )


@dataclass(frozen=True, slots=True)
class Field:
    """What a template names, in lower case but for metrics.

    Attributes:
        kind: `Dimension`, `TimeDimension`, `Entity` or `Metric`.
        name: as MetricFlow names it, without a grain.
        grain: of a time; None for its own.
        path: entities through which it is reached, where the name does not say it.
        date_part: of a time, instead of a grain.
        by: the entities by which a metric is compared.
    """

    kind: str
    name: str
    grain: str | None = None
    path: tuple[str, ...] = ()
    date_part: str | None = None
    by: tuple[str, ...] = ()

    @property
    def group(self) -> GroupBy:
        """What a question would be grouped by."""
        return GroupBy("__".join([*self.path, self.name]), self.grain, self.date_part)

    @property
    def template(self) -> str:
        """It as MetricFlow reads it."""
        grain = f", {self.grain!r}" if self.grain else ""
        path = f", entity_path={list(self.path)!r}" if self.path else ""
        part = f", date_part_name={self.date_part!r}" if self.date_part else ""
        by = f", group_by={list(self.by)!r}" if self.kind == "Metric" else ""
        return f"{{{{ {self.kind}({self.name!r}{grain}{path}{part}{by}) }}}}"

    @classmethod
    def named(cls, column: str, fields: Fields) -> Field | None:
        """The field that a plain name means; None when it can be none."""
        if not _NAME.fullmatch(column):
            return None
        name, grain = column.lower(), None
        base, _, last = name.rpartition("__")
        if base and last in fields.grains:
            name, grain = base, last
        # More than one entity before a name is the path by which it is reached.
        *path, name = name.rsplit("__", 2) if name.count("__") > 1 else [name]
        if path:
            name = f"{path.pop()}__{name}"
            path = path[0].split("__")
        last = name.rpartition("__")[2]
        kind = "Entity" if last in fields.entities else "Dimension"
        return cls(
            "TimeDimension" if grain or last in fields.times else kind, name, grain, tuple(path)
        )


# Keyword arguments by object, the positional ones first and in their order.
_ARGUMENTS = {
    "Dimension": ("name", "entity_path"),
    "TimeDimension": ("name", "grain", "entity_path", "descending", "date_part"),
    "Entity": ("name", "entity_path"),
    "Metric": ("name", "group_by"),
}
_ALSO = {"time_granularity_name": "grain", "time_granularity": "grain", "dimension_name": "name",
         "time_dimension_name": "name", "entity_name": "name", "metric_name": "name",
         "date_part_name": "date_part"}  # fmt: skip
OBJECTS = tuple(_ARGUMENTS)  # that a template can name
_METHODS = ("grain", "date_part", "descending")
_LONGEST_TEMPLATE = 400


def field_of(text: str) -> tuple[Field, bool]:
    """The field that a call such as `Dimension('x').grain('month')` names, and if descending.

    Raises:
        QueryError: it is no such call with constant arguments.
    """
    if len(text) > _LONGEST_TEMPLATE or "\\" in text:
        raise template_refusal(text)
    try:
        call: ast.expr = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise template_refusal(text) from None
    methods: dict[str, ast.expr | None] = {}
    while isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
        name, arguments = (
            call.func.attr,
            [*call.args, *(keyword.value for keyword in call.keywords)],
        )
        most, least = 1, 0 if name == "descending" else 1
        if name not in _METHODS or name in methods or not least <= len(arguments) <= most:
            raise template_refusal(text)
        methods[name] = arguments[0] if arguments else None
        call = call.func.value
    kind, values = _call(call, text)
    for name in ("grain", "date_part"):
        if name in methods and name in values:
            raise template_refusal(text)
    parts = {
        name: _constant(node, text).lower()
        for name in ("grain", "date_part")
        if (node := methods.get(name) or values.get(name)) is not None and not _is_none(node)
    }
    field = Field(
        "TimeDimension" if parts else kind,
        _constant(values["name"], text),
        path=_constants(values["entity_path"], text) if "entity_path" in values else (),
        by=_constants(values["group_by"], text) if "group_by" in values else (),
        **parts,
    )
    if kind != "Metric":
        field = replace(field, name=field.name.lower(), path=tuple(map(str.lower, field.path)))
    descending = methods.get("descending", values.get("descending"))
    is_descending = "descending" in methods and descending is None
    if descending is not None:
        if not isinstance(descending, ast.Constant) or not isinstance(
            descending.value, bool | None
        ):
            raise template_refusal(text)
        is_descending = bool(descending.value)
    return field, is_descending


def _call(call: ast.expr, text: str) -> tuple[str, dict[str, ast.expr]]:
    """The object that a call makes, and its arguments by their names."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise template_refusal(text)
    names = _ARGUMENTS.get(call.func.id, ())
    if len(call.args) > len(names):
        raise template_refusal(text)
    values = dict(zip(names, call.args, strict=False))
    for keyword in call.keywords:
        name = _ALSO.get(keyword.arg or "", keyword.arg or "")
        if name not in names or name in values:
            raise template_refusal(text)
        values[name] = keyword.value
    if "name" not in values:
        raise template_refusal(text)
    return call.func.id, values


def _is_none(node: ast.expr) -> bool:
    # dbt's own client writes a grain that was left out as the text "None".
    return isinstance(node, ast.Constant) and node.value in (None, "None")


def _constant(node: ast.expr, text: str) -> str:
    if (
        not isinstance(node, ast.Constant)
        or not isinstance(node.value, str)
        or not _NAME.fullmatch(node.value)
    ):
        raise template_refusal(text)
    return node.value


def _constants(node: ast.expr, text: str) -> tuple[str, ...]:
    if isinstance(node, (ast.List, ast.Tuple)):
        return tuple(_constant(element, text) for element in node.elts)
    return (_constant(node, text),)


def template_refusal(text: str) -> QueryError:
    """The error of a template that names no field."""
    excerpt = text.strip() if len(text) <= 80 else f"{text.strip()[:80]}…"  # noqa: PLR2004
    return QueryError(
        f"The template {{{{ {excerpt} }}}} is none that can be read: Dimension, TimeDimension"
        f" or Entity with a name in quotes, and a grain. {EXAMPLE}"
    )
