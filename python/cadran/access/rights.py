"""What a role means in one layer: its names resolved, its row filters read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from cadran.access.policy import EVERYTHING
from cadran.access.where import strict
from cadran.errors import PolicyError, QueryError, near_misses
from cadran.filters import templated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.access.names import Names
    from cadran.access.policy import Policy, Role, Selector
    from cadran.query import GroupBy


@dataclass(frozen=True, slots=True)
class Rights:
    """What one role may see of one layer.

    Attributes:
        role: its name; None where there is no policy.
        metrics: names; None for every one.
        dimensions: names; None for every one that does not show persons.
        confined: conditions on rows, as MetricFlow's templates.
        by: what those conditions look at.
        minimum_cell: observations that a value of a KPI about people needs, where its card says
            less.
    """

    role: str | None = None
    metrics: frozenset[str] | None = None
    dimensions: frozenset[str] | None = None
    confined: tuple[str, ...] = ()
    by: tuple[GroupBy, ...] = ()
    minimum_cell: int = 0

    def metric(self, name: str) -> bool:
        """Whether the role may see a metric."""
        return self.metrics is None or name in self.metrics

    def dimension(self, name: str) -> bool:
        """Whether the role may see a dimension; personal ones are told by `Names`."""
        return self.dimensions is None or name in self.dimensions


def of(policy: Policy, names: Names) -> dict[str, Rights]:
    """The rights of each role.

    Raises:
        PolicyError: a metric, dimension or row filter in it does not exist.
    """
    return {name: _Reader(policy.file, names).rights(role) for name, role in policy.roles.items()}


class _Reader:
    def __init__(self, file: str, names: Names) -> None:
        self.file, self.names = file, names

    def rights(self, role: Role) -> Rights:
        place = f"roles.{role.name}"
        metrics = frozenset(
            name
            for selector in role.metrics
            for name in self.selected(f"{place}.metrics", selector)
        )
        read = [self.row(f"{place}.rows", text) for text in role.rows]
        return Rights(
            role=role.name,
            metrics=metrics,
            dimensions=self.dimensions(f"{place}.dimensions", role.dimensions),
            confined=tuple(text for text, _ in read),
            by=tuple(dict.fromkeys(group for _, groups in read for group in groups)),
            minimum_cell=role.minimum_cell,
        )

    def selected(self, place: str, selector: Selector) -> Iterable[str]:
        if selector.name == EVERYTHING:
            return self.names.listed | self.names.cards.keys()
        if selector.name is not None:
            if selector.name not in self.names.metrics:
                self.wrong(place, "metric", selector.name, self.names.listed)
            return (selector.name,)
        for key, value in selector.card:
            known = {str(getattr(card, key)) for card in self.names.cards.values()}
            if value not in known:
                self.wrong(f"{place}.{key}", key, value, known)
        return [
            card.name
            for card in self.names.cards.values()
            if all(str(getattr(card, key)) == value for key, value in selector.card)
        ]

    def dimensions(self, place: str, given: tuple[str, ...]) -> frozenset[str] | None:
        if EVERYTHING in given:
            return None
        for name in given:
            if self.names.is_personal(name):
                raise PolicyError(
                    f"{self.file}, key '{place}': {name} shows persons, which no role may see."
                )
            if name not in self.names.dimensions:
                self.wrong(place, "dimension", name, self.names.dimensions)
        return frozenset(given)

    def row(self, place: str, text: str) -> tuple[str, list[GroupBy]]:
        try:
            condition = strict(text, self.names.fields)
        except QueryError as problem:
            raise PolicyError(f"{self.file}, key '{place}': {problem}") from None
        for field in condition.fields:
            if field.kind == "TimeDimension":
                raise PolicyError(
                    f"{self.file}, key '{place}': {field.name} is a time, by which rows cannot be"
                    " kept apart: metrics look back and forth in time."
                )
            name = field.group.name
            if name not in self.names.dimensions and not self.names.is_personal(name):
                self.wrong(place, "dimension", name, self.names.dimensions)
        # Once through the reader that the layer uses, so that both read it alike.
        written = templated(condition.text, self.names.fields)
        return written, [self.names.plain(field.group) for field in condition.fields]

    def wrong(self, place: str, kind: str, name: str, known: Iterable[str]) -> NoReturn:
        hint = near_misses(name, known)
        meant = f" Did you mean {' or '.join(repr(one) for one in hint)}?" if hint else ""
        raise PolicyError(f"{self.file}, key '{place}': there is no {kind} '{name}'.{meant}")
