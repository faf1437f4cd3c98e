"""Where the dimensions of a metric stand: in its own mart, or one join away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cadran.exports.powerbi.model import NotSayableError

KEYS = ("primary", "unique")


@dataclass(frozen=True, slots=True)
class Field:
    """A dimension as one mart sees it.

    `owner` is the semantic model that holds it, `foreign_key` what the mart joins by; None when the
    mart holds it itself. `key` is the owner's side of the join, None when it has no such column.
    """

    owner: str
    entity: str
    dimension: dict[str, Any]
    key: str | None
    foreign_key: str | None

    @property
    def sql(self) -> str:
        """What the owner's relation computes for it."""
        return expression(self.dimension)


class Fields:
    """Finds dimensions by the names that one groups by."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        """Take a semantic manifest."""
        self.models: dict[str, dict[str, Any]] = {m["name"]: m for m in manifest["semantic_models"]}

    def find(self, fact: str, name: str) -> Field:
        """The dimension `entity__dimension` as the semantic model `fact` reaches it.

        Raises:
            NotSayableError: it is no plain column of the mart itself or of one joined by one key.
        """
        entity, _, dimension = name.rpartition("__")
        if not entity or "__" in entity:
            raise NotSayableError(f"{name} is more than one join away")
        model = self.models[fact]
        own = self._dimension(model, dimension)
        linked = _entity(model, entity)
        is_own = model.get("primary_entity") == entity or (linked and linked["type"] in KEYS)
        if own is not None and is_own:
            key = expression(linked) if linked else None
            return _plain(name, Field(fact, entity, own, key, None))
        if linked is None:
            raise NotSayableError(f"{name} cannot be joined to {fact}")
        found = []
        for other in self.models.values():
            there = _entity(other, entity)
            held = self._dimension(other, dimension)
            if other is not model and there and held and there["type"] in KEYS:
                found.append(
                    Field(other["name"], entity, held, expression(there), expression(linked))
                )
        if len(found) != 1:
            raise NotSayableError(
                f"{name} stands in {len(found)} marts; a relationship leads to one"
            )
        return _plain(name, found[0])

    def time(self, fact: str, name: str) -> dict[str, Any]:
        """A time dimension of a semantic model."""
        found = self._dimension(self.models[fact], name)
        if found is None or found["type"] != "time":
            raise NotSayableError(f"{fact} has no time {name}")
        return found

    def is_daily(self, fact: str, name: str) -> bool:
        """Whether a time dimension holds days, and not instants."""
        given = self.time(fact, name).get("type_params") or {}
        return bool(given.get("time_granularity") == "day")

    def is_versioned(self, model: str) -> bool:
        """Whether its rows are valid for a time, so that a key stands in several of them."""
        return any(
            (dimension.get("type_params") or {}).get("validity_params")
            for dimension in self.models[model]["dimensions"]
        )

    def _dimension(self, model: dict[str, Any], name: str) -> dict[str, Any] | None:
        return next((d for d in model["dimensions"] if d["name"] == name), None)


def expression(named: dict[str, Any]) -> str:
    """The SQL of a dimension or an entity."""
    return str(named.get("expr") or named["name"])


def _entity(model: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((e for e in model["entities"] if e["name"] == name), None)


def _plain(name: str, field: Field) -> Field:
    if field.dimension["type"] != "categorical":
        raise NotSayableError(f"{name} is a time; only metric_time has the date table")
    return field
