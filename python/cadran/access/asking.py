"""One question before the rights of one role: every name in it, every filter, then the rows."""

from __future__ import annotations

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
            group_by=tuple(self._written(group) for group in query.group_by),
            where=(*saved, *(one.text for one in conditions)),
            order_by=tuple(self._column(item) for item in query.order_by),
        )
        self._dimensions(query, [group for text in saved for group in _named(text)], conditions)
        self._types(query.metrics, conditions)
        confined = self._confined(query)
        return Allowed(
            replace(self._resolved, query=replace(query, confined=confined)),
            self._rights.role,
            self._rights.minimum_cell,
        )

    @cached_property
    def _known(self) -> list[dict[str, str]]:
        """What these metrics can be grouped by and the role may see."""
        known = self._names.known(self._resolved.query.metrics)
        return [
            item for item in known if item["name"] == TIME or self._rights.dimension(item["name"])
        ]

    def _written(self, group: GroupBy) -> GroupBy:
        """A group in one form, so that the same question in two forms is one question."""
        plain = self._names.plain(group)
        if plain.date_part or plain.grain not in GRAINS:
            return GroupBy(group.name.lower(), group.grain and plain.grain, plain.date_part)
        return GroupBy(plain.column)

    def _column(self, item: str) -> str:
        is_metric = item.removeprefix("-") in self._resolved.query.metrics
        return item if is_metric else item.lower()

    def _dimensions(self, query: Query, saved: list[GroupBy], conditions: list[Condition]) -> None:
        """Refuse what the role may not see, and what the cards do not have."""
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
            govern(query, cards, lambda _: self._known, remote=True)
        of = f" for {', '.join(query.metrics)}" if query.metrics else ""
        for group in groups:
            if group.name not in names:
                raise UnknownNameError("dimension", group.name, names, where=of)

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

    def _confined(self, query: Query) -> tuple[str, ...]:
        """The conditions on rows, where they can be held."""
        rights = self._rights
        times_only = all(self._names.plain(group).name == TIME for group in query.group_by)
        if not rights.confined or (not query.metrics and times_only):
            return ()  # days are no rows of anybody
        reached = {
            item["name"] for item in self._layer.dimensions(query.metrics, governed=False)
        } | self._names.fields.entities
        if any(group.name not in reached for group in rights.by):
            raise NotAllowedError(
                f"{', '.join(query.metrics)} cannot be told apart for the rows that the role"
                f" {rights.role} may see, so it may not see it."
            )
        apart = self._resolved
        is_of_now = apart.view in (None, "restated") and apart.known_at is None
        columns = {self._names.plain(group).column for group in query.group_by}
        missing = [group for group in rights.by if group.column not in columns]
        if (apart.version is not None or not is_of_now) and missing:
            shown = [group.column for group in missing if rights.dimension(group.name)]
            by = f": group by {', '.join(shown)}" if len(shown) == len(missing) else ""
            raise NotAllowedError(
                f"What was published holds all rows, and the role {rights.role} may see some"
                f" of them: only what is grouped by what tells them apart can be given out{by}."
            )
        return rights.confined


def _named(text: str) -> list[GroupBy]:
    named = names_in(text)
    return [*named.dimensions, *(GroupBy(name) for name in named.entities)]
