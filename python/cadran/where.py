"""What a filter names: found by rendering its template with objects that take notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cadran.errors import QueryError
from cadran.query import GroupBy


@dataclass(slots=True)
class Named:
    """The dimensions, entities and metrics that a filter names, and whether it is a template."""

    dimensions: list[GroupBy] = field(default_factory=list)
    entities: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    descending: bool = False

    @property
    def is_template(self) -> bool:
        """Whether it names anything at all; plain SQL does not."""
        return bool(self.dimensions or self.entities or self.metrics)


class _Note:
    """Stands for what a template names, and writes down the grain and order asked of it."""

    def __init__(self, named: Named, at: int = -1) -> None:
        self._named = named
        self._at = at

    def grain(self, grain: str) -> _Note:
        noted = self._named.dimensions[self._at]
        self._named.dimensions[self._at] = GroupBy(noted.name, grain, noted.date_part)
        return self

    def date_part(self, date_part: str) -> _Note:
        noted = self._named.dimensions[self._at]
        self._named.dimensions[self._at] = GroupBy(noted.name, noted.grain, date_part)
        return self

    def descending(self, descending: bool = True) -> _Note:  # noqa: FBT001, FBT002 - MetricFlow's
        self._named.descending = descending
        return self

    def __str__(self) -> str:
        return "noted"


def names_in(where: str) -> Named:
    """What a filter such as "{{ Dimension('order_id__channel') }} = 'web'" names.

    Raises:
        QueryError: the template is broken or uses something that MetricFlow does not offer.
    """
    from jinja2 import StrictUndefined
    from jinja2.exceptions import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    named = Named()

    def dimension(name: str, entity_path: Any = ()) -> _Note:
        named.dimensions.append(GroupBy("__".join([*_path(entity_path), name])))
        return _Note(named, len(named.dimensions) - 1)

    def time_dimension(
        name: str,
        time_granularity_name: str | None = None,
        entity_path: Any = (),
        descending: bool | None = None,  # noqa: ARG001, FBT001 - MetricFlow's signature
        date_part_name: str | None = None,
    ) -> _Note:
        full = "__".join([*_path(entity_path), name])
        named.dimensions.append(GroupBy(full, time_granularity_name, date_part_name))
        return _Note(named, len(named.dimensions) - 1)

    def entity(name: str, entity_path: Any = ()) -> _Note:
        named.entities.append("__".join([*_path(entity_path), name]))
        return _Note(named)

    def metric(name: str, group_by: Any = ()) -> _Note:  # noqa: ARG001 - MetricFlow's signature
        named.metrics.append(name)
        return _Note(named)

    try:
        ImmutableSandboxedEnvironment(undefined=StrictUndefined).from_string(where).render(
            Dimension=dimension, TimeDimension=time_dimension, Entity=entity, Metric=metric
        )
    except (TemplateError, TypeError, ValueError) as error:
        raise QueryError(
            f"The filter {where!r} cannot be read: {error}. Write for instance"
            " {{ Dimension('customer__country') }} = 'FR'."
        ) from None
    return named


def _path(entity_path: Any) -> list[str]:
    return [entity_path] if isinstance(entity_path, str) else list(entity_path)
