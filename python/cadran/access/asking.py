"""One question before the rights of one role: every name in it, every filter, then the rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from cadran.access.gate import Allowed
from cadran.access.where import strict
from cadran.errors import NotAllowedError, QueryError, UnknownNameError, WarehouseError
from cadran.governed import TIME, govern
from cadran.query import GRAINS, GroupBy, Query
from cadran.where import names_in

if TYPE_CHECKING:
    from cadran.access.names import Names
    from cadran.access.rights import Rights
    from cadran.access.where import Condition
    from cadran.layer import Layer
    from cadran.serving.question import Question

# Engines' names of types that are no text, by how they begin.
_NOT_TEXT = (
    "BOOL", "INT", "TINYINT", "SMALLINT", "BIGINT", "HUGEINT", "UINT", "UTINYINT", "USMALLINT",
    "UBIGINT", "UHUGEINT", "DECIMAL", "NUMERIC", "NUMBER", "FLOAT", "DOUBLE", "REAL", "DATE",
    "TIME",
)  # fmt: skip


class Asking:
    """Holds a question against the rights of a role."""

    def __init__(self, question: Question, rights: Rights, names: Names, layer: Layer) -> None:
        """Take a question whose metrics the role may see."""
        self._asked = question
        self._rights, self._names, self._layer = rights, names, layer
        self._resolved = question.resolved(layer)

    def allowed(self) -> Allowed:
        """The question as the role may ask it.

        Raises:
            CadranError: it may not be asked so.
        """
        query = self._resolved.query
        conditions = [strict(text, self._names.fields) for text in self._asked.query.where]
        # What a saved query filters by was reviewed in git: its names count, not its form.
        saved = query.where[: len(query.where) - len(conditions)]
        query = replace(
            query,
            group_by=tuple(self._lower(group) for group in query.group_by),
            where=(*saved, *(one.text for one in conditions)),
            order_by=tuple(self._column(item) for item in query.order_by),
        )
        saved_groups = [group for text in saved for group in _named(text)]
        query = _reordered(self._dimensions(query, saved_groups, conditions), query.group_by)
        self._types(query.metrics, conditions)
        hides = self._hides(query, conditions)
        confined = self._confined(query)
        if self._resolved.version is not None:
            # An old version is frozen by its groups, and like the ledger filtered by them.
            query = replace(query, where=(*query.where, *confined))
        return Allowed(
            replace(self._resolved, query=replace(query, confined=confined)),
            self._rights.role,
            self._rights.minimum_cell if hides else 0,
            hides,
        )

    @cached_property
    def _known(self) -> list[dict[str, str]]:
        """What these metrics can be grouped by and the role may see."""
        known = self._names.known(self._resolved.query.metrics)
        return [
            item for item in known if item["name"] == TIME or self._rights.dimension(item["name"])
        ]

    @staticmethod
    def _lower(group: GroupBy) -> GroupBy:
        grain, part = group.grain, group.date_part
        return GroupBy(group.name.lower(), grain and grain.lower(), part and part.lower())

    def _written(self, group: GroupBy) -> GroupBy:
        """A group in one form, so that the same question in two forms is one question."""
        plain = self._names.plain(group)
        return GroupBy(plain.column) if plain.grain in GRAINS and not plain.date_part else group

    def _column(self, item: str) -> str:
        is_metric = item.removeprefix("-") in self._resolved.query.metrics
        return item if is_metric else item.lower()

    def _dimensions(self, query: Query, saved: list[GroupBy], conditions: list[Condition]) -> Query:
        """The question, if the role may see all of it and the cards have it.

        Raises:
            CadranError: it may not, or they have not.
        """
        fields = [field.group for one in conditions for field in one.fields]
        groups = [self._names.plain(group) for group in (*query.group_by, *saved, *fields)]
        if self._rights.role is None:
            for group in groups:
                if self._names.is_personal(group.name):
                    raise NotAllowedError(
                        f"{group.name} shows persons: it is not given out, and cannot be filtered"
                        " by."
                    )
        names = {item["name"] for item in self._known}
        cards = [
            replace(card, dimensions=tuple(name for name in card.dimensions if name in names))
            for name in query.metrics
            if (card := self._names.cards.get(name)) is not None
        ]
        if cards:
            query = govern(query, cards, lambda _: self._known, remote=True)
        of = f" for {', '.join(query.metrics)}" if query.metrics else ""
        for group in groups:
            if group.name not in names:
                raise UnknownNameError("dimension", group.name, names, where=of)
        return replace(query, group_by=tuple(self._written(group) for group in query.group_by))

    def _types(self, metrics: tuple[str, ...], conditions: list[Condition]) -> None:
        """Refuse a text dimension that is compared with anything but text.

        The warehouse would read every one of its values as a number, and its complaint would tell
        one, of a row perhaps that the role may not see.
        """
        for condition in conditions:
            for field, kind in condition.compared:
                if kind in ("text", "nothing") or field.kind == "TimeDimension":
                    continue
                name = field.group.name
                asked = self._layer.sql(metrics, [GroupBy(name)], governed=False, ordered=False)
                try:
                    types = self._layer.warehouse.column_types(asked)
                except WarehouseError:
                    raise QueryError("The warehouse cannot apply the filter now.") from None
                if not types[name].upper().startswith(_NOT_TEXT):
                    raise QueryError(
                        f"{name} is text, and the filter compares it with a {kind}: write text in"
                        " single quotes."
                    )

    def _hides(self, query: Query, conditions: list[Condition]) -> bool:
        """Whether there is a KPI about people in it; refuse what would tell its hidden values.

        Raises:
            NotAllowedError: so.
        """
        cards = [self._names.cards.get(name) for name in query.metrics]
        people = [card.name for card in cards if card is not None and card.minimum_cell]
        if not people:
            return False
        of = f"{people[0]} is about people"
        fields = [field for one in conditions for field in one.fields]
        bounds = [bound.time() for bound in (query.start, query.end) if bound is not None]
        ordered = {item.removeprefix("-") for item in query.order_by}
        if self._names.looks_around(tuple(people)):
            raise NotAllowedError(f"{of}, and looks over several periods: it cannot be given out.")
        if not self._is_of_now:
            raise NotAllowedError(
                f"{of}: what was published of it is not given out here, only its values of now."
            )
        if query.limit is not None and ordered & {*people}:
            raise NotAllowedError(
                f"{of}: its greatest or least values would tell hidden ones. Order by a dimension,"
                " or leave out the limit."
            )
        if any(field.kind == "TimeDimension" for field in fields):
            raise NotAllowedError(f"{of}: give a time range with start and end, not in a filter.")
        if any(bound not in (dt.time.min, dt.time.max) for bound in bounds):
            raise NotAllowedError(f"{of}: its time range begins and ends with whole days.")
        return True

    @property
    def _is_of_now(self) -> bool:
        """Whether it asks values as they are computed now, not as they were published."""
        apart = self._resolved
        now = apart.view in (None, "restated") and apart.known_at is None
        return now and apart.version is None

    def _confined(self, query: Query) -> tuple[str, ...]:
        """The conditions on rows, where they can be held."""
        rights = self._rights
        times_only = all(self._names.plain(group).name == TIME for group in query.group_by)
        if not rights.confined or (not query.metrics and times_only):
            return ()  # days are no rows of anybody
        reached = {
            item["name"] for item in self._layer.dimensions(query.metrics, governed=False)
        } | self._names.fields.entities
        # MetricFlow filters the first events of a conversion only; those that follow are found by
        # their entity. What tells rows apart must be said of that entity: then it holds of both.
        held = all(
            group.name.rpartition("__")[0] == entity
            for group in rights.by
            for entity in self._names.conversions(query.metrics)
        )
        if not held or any(group.name not in reached for group in rights.by):
            raise NotAllowedError(
                f"{', '.join(query.metrics)} cannot be told apart for the rows that the role"
                f" {rights.role} may see, so it may not see it."
            )
        columns = {self._names.plain(group).column for group in query.group_by}
        missing = [group for group in rights.by if group.column not in columns]
        if missing and not self._is_of_now:
            shown = [group.column for group in missing if rights.dimension(group.name)]
            by = f": group by {', '.join(shown)}" if len(shown) == len(missing) else ""
            raise NotAllowedError(
                f"What was published holds all rows, and the role {rights.role} may see some"
                f" of them: only what is grouped by what tells them apart can be given out{by}."
            )
        return rights.confined


def _reordered(query: Query, before: tuple[GroupBy, ...]) -> Query:
    """The question ordered by its columns as they are called now that each has its grain."""
    now = {one.name: group.column for one, group in zip(before, query.group_by, strict=True)}
    order_by = tuple(
        item[: item.startswith("-")] + now.get(item.removeprefix("-"), item.removeprefix("-"))
        for item in query.order_by
    )
    return replace(query, order_by=order_by)


def _named(text: str) -> list[GroupBy]:
    named = names_in(text)
    return [*named.dimensions, *(GroupBy(name) for name in named.entities)]
