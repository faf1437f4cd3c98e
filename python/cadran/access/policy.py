"""`cadran_policy.yml`: what each role may see. Once it exists, nobody sees more than it says.

    roles:
      sales_france:
        description: Sales in France, by their own customers.
        metrics: [net_revenue, {scope: commerce}, {tier: strategic, objective: grow_profitably}]
        dimensions: [customer__country, order_id__channel]
        rows: ["customer__country = 'FR'"]       # all of them hold for every row that is counted
        minimum_cell: 20                         # of KPIs about people, where their cards say less
        limits: {per_minute: 600, rows: 100000, seconds: 30, megabytes: 50, at_once: 4}
      board:
        metrics: "*"                             # every KPI and every metric that is not hidden
        dimensions: "*"                          # every dimension that is not personal

`metrics` is needed; without `dimensions` a role sees totals over time only. Unknown keys and names
are errors. Of several roles the first that allows a whole question decides; they are never mixed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from cadran.access.caller import Limits
from cadran.core.project import checks
from cadran.core.query.filters import read as read_filter
from cadran.core.query.request import Fields, GroupBy
from cadran.core.semantics import privacy
from cadran.core.semantics.governed import TIME
from cadran.errors import PolicyError, QueryError, near_misses
from cadran.formats import strict_yaml
from cadran.formats.validation import Strict, Takes, Text, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card


FILE = "cadran_policy.yml"
EVERYTHING = "*"
GROUPS = ("tier", "scope", "objective")


def _everything(value: Any) -> Any:
    return [EVERYTHING] if value == EVERYTHING else value


def _some_key(selector: Selector) -> Selector:
    if not selector.card:
        raise ValueError(f"is empty; name at least one of {', '.join(GROUPS)}")
    return selector


def _without_empty(limits: Any) -> Any:
    """Limits of which each has a value: an empty one must not pass for no limit."""
    for key, value in limits.items() if isinstance(limits, dict) else ():
        if value is None:
            raise ValueError(f"holds no value for {key}; leave the key out where there is no limit")
    return limits


def _some_role(roles: dict[str, Role]) -> dict[str, Role]:
    if not roles:
        raise ValueError("is {}; it takes roles by their names")
    return roles


@dataclass(frozen=True, slots=True)
class Selector(Strict):
    """KPIs that a role may see: those whose cards say all of this."""

    tier: Text = ""
    scope: Text = ""
    objective: Text = ""

    @property
    def card(self) -> dict[str, str]:
        """Keys of a card with the value that they must have."""
        return {key: value for key in GROUPS if (value := getattr(self, key))}


_STAR: Any = {"check": _everything, "before": True, "also": (EVERYTHING,)}


@dataclass(frozen=True, slots=True)
class Role(Strict):
    """What one role may see, as it is written: a metric by its name, or all, or by its card."""

    metrics: Annotated[
        tuple[Text | Annotated[Selector, Takes(check=_some_key)], ...],
        Takes(f"a list of metrics, or '{EVERYTHING}'", **_STAR),
    ]
    dimensions: Annotated[
        tuple[Text, ...], Takes(f"a list of dimensions, or '{EVERYTHING}'", **_STAR)
    ] = ()
    rows: tuple[Text, ...] = ()
    limits: Annotated[Limits, Takes(check=_without_empty, before=True)] = field(
        default_factory=Limits
    )
    minimum_cell: Annotated[int, whole_number(0)] = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class PolicySettings(Strict):
    """What stands in a policy file."""

    roles: Annotated[dict[str, Role], Takes("roles by their names", _some_role)]


@dataclass(frozen=True)
class Policy:
    """The roles of one policy file."""

    roles: Mapping[str, Role]
    file: str = FILE

    @cached_property
    def edition(self) -> str:
        """The same for the same roles: what was judged by another one holds no more."""
        return hashlib.sha256(repr(self.roles).encode()).hexdigest()[:16]


def read(path: Path) -> Policy:
    """The policy in a file.

    Raises:
        PolicyError: it cannot be read, a key is unknown or holds what it cannot hold.
    """
    settings = strict_yaml.read_as(PolicySettings, path, PolicyError, file=path.name)
    return Policy(settings.roles, path.name)


class Names:
    """The names of one layer. Read once, when they are first needed."""

    def __init__(self, layer: Layer) -> None:
        """Take a layer; nothing is read yet."""
        self._layer = layer

    @cached_property
    def fields(self) -> Fields:
        """Which names are times, entities and grains."""
        return Fields.of(self._layer.project.semantic_manifest)

    @cached_property
    def cards(self) -> dict[str, Card]:
        """The KPIs."""
        return {card.name: card for card in self._layer.kpis()}

    @cached_property
    def listed(self) -> frozenset[str]:
        """The metrics that are not hidden."""
        return frozenset(metric["name"] for metric in self._layer.metrics())

    @cached_property
    def metrics(self) -> frozenset[str]:
        """Every metric, hidden ones included."""
        metrics = self._layer.project.semantic_manifest["metrics"]
        return frozenset(metric["name"] for metric in metrics)

    @cached_property
    def personal(self) -> frozenset[str]:
        """What shows persons, by the names under which it can be asked: `customer__email`."""
        project = self._layer.project
        personal = checks.read(project.root).personal
        items = privacy.items(project, personal)
        return frozenset(name for item in items for name in item.asked_as)

    @cached_property
    def dimensions(self) -> frozenset[str]:
        """Every dimension and entity that does not show persons."""
        names = {item["name"] for item in self._layer.dimensions()} | self.fields.entities
        names |= {name for card in self.cards.values() for name in card.dimensions}
        return frozenset(name for name in names if not self.is_personal(name))

    def is_personal(self, name: str) -> bool:
        """Whether something to group by shows persons, at whatever grain and through any path."""
        around = f"__{name.lower()}__"
        return any(f"__{item.lower()}__" in around for item in self.personal)

    def plain(self, group: GroupBy) -> GroupBy:
        """Something to group by in the form in which it is compared: lower case, grain apart."""
        name, grain = group.name.lower(), group.grain
        base, _, last = name.rpartition("__")
        if base and grain is None and last in self.fields.grains:
            name, grain = base, last
        part = group.date_part.lower() if group.date_part else None
        return GroupBy(name, grain.lower() if grain else None, part)

    def dimensions_of(self, metrics: tuple[str, ...]) -> list[dict[str, str]]:
        """What these metrics can be grouped by, whatever their cards say, but for persons."""
        dimensions = self._layer.dimensions(metrics, governed=False)
        names = {item["name"] for item in dimensions}
        extra = [] if TIME in names else [{"name": TIME, "type": "time", "description": ""}]
        return [item for item in [*dimensions, *extra] if not self.is_personal(item["name"])]

    def conversions(self, metrics: tuple[str, ...]) -> set[str]:
        """The entities by which the conversions among these metrics, or below them, are joined."""
        return self._layer.metric_graph.conversion_entities(*metrics)

    def looks_around(self, metrics: tuple[str, ...]) -> bool:
        """Whether a value of these metrics rests on other rows than those of its period."""
        return self._layer.metric_graph.reads_other_periods(*metrics)


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
        policy: the edition of the policy that says so.
    """

    role: str | None = None
    metrics: frozenset[str] | None = None
    dimensions: frozenset[str] | None = None
    confined: tuple[str, ...] = ()
    by: tuple[GroupBy, ...] = ()
    minimum_cell: int = 0
    policy: str = ""

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
    return {
        name: replace(_RightsReader(policy.file, names).rights(name, role), policy=policy.edition)
        for name, role in policy.roles.items()
    }


class _RightsReader:
    def __init__(self, file: str, names: Names) -> None:
        self.file, self.names = file, names

    def rights(self, name: str, role: Role) -> Rights:
        place = f"roles.{name}"
        metrics = frozenset(
            metric
            for selector in role.metrics
            for metric in self.selected(f"{place}.metrics", selector)
        )
        rows = [self.row(f"{place}.rows", text) for text in role.rows]
        return Rights(
            role=name,
            metrics=metrics,
            dimensions=self.dimensions(f"{place}.dimensions", role.dimensions),
            confined=tuple(text for text, _ in rows),
            by=tuple(dict.fromkeys(group for _, groups in rows for group in groups)),
            minimum_cell=role.minimum_cell,
        )

    def selected(self, place: str, selector: str | Selector) -> Iterable[str]:
        if selector == EVERYTHING:
            return self.names.listed | self.names.cards.keys()
        if isinstance(selector, str):
            if selector not in self.names.metrics:
                self.wrong(place, "metric", selector, self.names.listed)
            return (selector,)
        for key, value in selector.card.items():
            values = {str(getattr(card, key)) for card in self.names.cards.values()}
            if value not in values:
                self.wrong(f"{place}.{key}", key, value, values)
        return [
            card.name
            for card in self.names.cards.values()
            if all(str(getattr(card, key)) == value for key, value in selector.card.items())
        ]

    def dimensions(self, place: str, names: tuple[str, ...]) -> frozenset[str] | None:
        if EVERYTHING in names:
            return None
        for name in names:
            if self.names.is_personal(name):
                raise PolicyError(
                    f"{self.file}, key '{place}': {name} shows persons, which no role may see."
                )
            if name not in self.names.dimensions:
                self.wrong(place, "dimension", name, self.names.dimensions)
        return frozenset(names)

    def row(self, place: str, text: str) -> tuple[str, list[GroupBy]]:
        try:
            condition = read_filter(text, self.names.fields, remote=True)
        except QueryError as problem:
            raise PolicyError(f"{self.file}, key '{place}': {problem}") from None
        for part in condition.fields:
            if part.kind == "TimeDimension":
                raise PolicyError(
                    f"{self.file}, key '{place}': {part.name} is a time, by which rows cannot be"
                    " kept apart: metrics look back and forth in time."
                )
            name = part.group.name
            if name not in self.names.dimensions and not self.names.is_personal(name):
                self.wrong(place, "dimension", name, self.names.dimensions)
        return condition, [self.names.plain(field.group) for field in condition.fields]

    def wrong(self, place: str, kind: str, name: str, names: Iterable[str]) -> NoReturn:
        hint = near_misses(name, names)
        suggestion = f" Did you mean {' or '.join(repr(near) for near in hint)}?" if hint else ""
        raise PolicyError(f"{self.file}, key '{place}': there is no {kind} '{name}'.{suggestion}")
