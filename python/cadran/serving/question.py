"""A question as it comes from a client, before anybody has judged it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from cadran.errors import QueryError, UnknownNameError
from cadran.query import Query, ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cadran.layer import Layer


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
