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

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from cadran.access.caller import Limits
from cadran.core.query.filters import Fields
from cadran.core.query.filters import read as read_filter
from cadran.core.query.request import GroupBy
from cadran.core.semantics import privacy
from cadran.core.semantics.governed import TIME
from cadran.errors import PolicyError, QueryError, near_misses
from cadran.governance import settings
from cadran.governance.rules import registered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card


FILE = "cadran_policy.yml"
EVERYTHING = "*"
GROUPS = ("tier", "scope", "objective")
_WHOLE = ("per_minute", "rows", "at_once")


@dataclass(frozen=True, slots=True)
class Selector:
    """KPIs that a role may see: one by its name, all, or those whose card says the same.

    Attributes:
        name: of a metric, or `*`.
        card: keys of a card with the value that they must have.
    """

    name: str | None = None
    card: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """What one role may see, as it is written."""

    name: str
    metrics: tuple[Selector, ...]
    dimensions: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    minimum_cell: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The roles of one policy file."""

    roles: Mapping[str, Role]
    file: str = FILE


def read(path: Path) -> Policy:
    """The policy in a file.

    Raises:
        PolicyError: it cannot be read, a key is unknown or holds what it cannot hold.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise PolicyError(f"{path} cannot be read: {problem}.") from None
    except yaml.YAMLError as problem:
        raise PolicyError(f"{path} is no YAML: {' '.join(str(problem).split())}") from None
    return _Reader(path.name).policy(given)


class _Reader:
    """Reads one file; every complaint begins with the same place."""

    def __init__(self, file: str) -> None:
        self.file = file

    def policy(self, given: object) -> Policy:
        block = self.block("", given, ("roles",), ("roles",))
        roles = block["roles"]
        if not isinstance(roles, dict) or not roles:
            raise self.wrong("roles", f"is {roles!r}; it takes roles by their names")
        return Policy({str(n): self.role(str(n), one) for n, one in roles.items()}, self.file)

    def role(self, name: str, given: object) -> Role:
        place = f"roles.{name}"
        block = self.block(place, given, tuple(one.name for one in fields(Role))[1:], ("metrics",))
        return Role(
            name=name,
            metrics=tuple(
                self.selector(f"{place}.metrics", one)
                for one in self.entries(f"{place}.metrics", block["metrics"])
            ),
            dimensions=self.texts(f"{place}.dimensions", block.get("dimensions") or []),
            rows=self.texts(f"{place}.rows", block.get("rows") or []),
            limits=self.limits(f"{place}.limits", block.get("limits") or {}),
            minimum_cell=self.count(f"{place}.minimum_cell", block.get("minimum_cell", 0)),
            description=" ".join(str(block.get("description") or "").split()),
        )

    def selector(self, place: str, given: object) -> Selector:
        if isinstance(given, str):
            return Selector(name=given)
        block = self.block(place, given, GROUPS, ())
        if not block:
            raise self.wrong(place, f"is empty; name at least one of {', '.join(GROUPS)}")
        return Selector(card=tuple((key, str(value)) for key, value in block.items()))

    def limits(self, place: str, given: object) -> Limits:
        block = self.block(place, given, tuple(one.name for one in fields(Limits)), ())
        for key, value in block.items():
            kinds = (int,) if key in _WHOLE else (int, float)
            if type(value) not in kinds or not value > 0:
                what = "a whole number" if key in _WHOLE else "a number"
                raise self.wrong(f"{place}.{key}", f"is {value!r}; it takes {what} above 0")
        return Limits(**block)

    def count(self, place: str, given: object) -> int:
        if type(given) is not int or given < 0:
            raise self.wrong(place, f"is {given!r}; it takes a whole number from 0 up")
        return given

    def texts(self, place: str, given: object) -> tuple[str, ...]:
        found = self.entries(place, given)
        for one in found:
            if not isinstance(one, str) or not one.strip():
                raise self.wrong(place, f"holds {one!r}; it takes texts")
        return tuple(str(one).strip() for one in found)

    def entries(self, place: str, given: object) -> list[Any]:
        if given == EVERYTHING:
            return [EVERYTHING]
        if not isinstance(given, list):
            raise self.wrong(place, f"is {given!r}; it takes a list")
        return given

    def block(
        self, place: str, given: object, known: tuple[str, ...], needed: tuple[str, ...]
    ) -> dict[str, Any]:
        if not isinstance(given, dict):
            raise self.wrong(place or "the file", f"is {given!r}; it takes keys and values")
        prefix = f"{place}." if place else ""
        for key in given:
            if key not in known:
                hint = near_misses(str(key), known)
                meant = f"did you mean '{hint[0]}'" if hint else f"allowed: {', '.join(known)}"
                raise self.wrong(f"{prefix}{key}", f"is unknown; {meant}")
        for key in needed:
            if key not in given:
                raise self.wrong(f"{prefix}{key}", "is missing")
        return given

    def wrong(self, key: str, sentence: str) -> PolicyError:
        return PolicyError(f"{self.file}, key '{key}': {sentence}.")


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
        found = self._layer.project.semantic_manifest["metrics"]
        return frozenset(metric["name"] for metric in found)

    @cached_property
    def personal(self) -> frozenset[str]:
        """What shows persons, by the names under which it can be asked: `customer__email`."""
        project = self._layer.project
        personal = settings.read(project.root, set(registered())).personal
        found = privacy.items(project, personal)
        return frozenset(name for item in found for name in item.asked_as)

    @cached_property
    def dimensions(self) -> frozenset[str]:
        """Every dimension and entity that does not show persons."""
        found = {item["name"] for item in self._layer.dimensions()} | self.fields.entities
        found |= {name for card in self.cards.values() for name in card.dimensions}
        return frozenset(name for name in found if not self.is_personal(name))

    def is_personal(self, name: str) -> bool:
        """Whether something to group by shows persons, at whatever grain and through any path."""
        around = f"__{name.lower()}__"
        return any(f"__{one.lower()}__" in around for one in self.personal)

    def plain(self, group: GroupBy) -> GroupBy:
        """Something to group by in the form in which it is compared: lower case, grain apart."""
        name, grain = group.name.lower(), group.grain
        base, _, last = name.rpartition("__")
        if base and grain is None and last in self.fields.grains:
            name, grain = base, last
        part = group.date_part.lower() if group.date_part else None
        return GroupBy(name, grain.lower() if grain else None, part)

    def known(self, metrics: tuple[str, ...]) -> list[dict[str, str]]:
        """What these metrics can be grouped by, whatever their cards say, but for persons."""
        found = self._layer.dimensions(metrics, governed=False)
        names = {item["name"] for item in found}
        extra = [] if TIME in names else [{"name": TIME, "type": "time", "description": ""}]
        return [item for item in [*found, *extra] if not self.is_personal(item["name"])]

    def conversions(self, metrics: tuple[str, ...]) -> set[str]:
        """The entities by which the conversions among these metrics, or below them, are joined."""
        given = (one["type_params"].get("conversion_type_params") for one in self._closure(metrics))
        return {str(one["entity"]) for one in given if one}

    def looks_around(self, metrics: tuple[str, ...]) -> bool:
        """Whether a value of these metrics rests on other rows than those of its period."""
        for one in self._closure(metrics):
            given = one["type_params"]
            simple = given.get("metric_aggregation_params") or {}
            shifted = any(
                part.get("offset_window") or part.get("offset_to_grain")
                for part in given.get("metrics") or ()
            )
            if shifted or one["type"] in {"cumulative", "conversion"}:
                return True
            if simple.get("non_additive_dimension"):
                return True
        return False

    def _closure(self, metrics: tuple[str, ...]) -> list[dict[str, Any]]:
        """These metrics and every metric below them, as the manifest defines them."""
        defined = {one["name"]: one for one in self._layer.project.semantic_manifest["metrics"]}
        names = list(metrics)
        for name in names:
            names += [other for other in _inputs(defined[name]) if other not in names]
        return [defined[name] for name in names]


def _inputs(metric: dict[str, Any]) -> list[str]:
    """The metrics that a metric is computed from."""
    given = metric["type_params"]
    conversion = given.get("conversion_type_params") or {}
    cumulative = given.get("cumulative_type_params") or {}
    found = [
        given.get("numerator"), given.get("denominator"), *(given.get("metrics") or ()),
        cumulative.get("metric"), conversion.get("base_metric"),
        conversion.get("conversion_metric"),
    ]  # fmt: skip
    return [str(one["name"]) for one in found if one]


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
    return {
        name: _RightsReader(policy.file, names).rights(role) for name, role in policy.roles.items()
    }


class _RightsReader:
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
            condition = read_filter(text, self.names.fields, remote=True)
        except QueryError as problem:
            raise PolicyError(f"{self.file}, key '{place}': {problem}") from None
        for named in condition.fields:
            if named.kind == "TimeDimension":
                raise PolicyError(
                    f"{self.file}, key '{place}': {named.name} is a time, by which rows cannot be"
                    " kept apart: metrics look back and forth in time."
                )
            name = named.group.name
            if name not in self.names.dimensions and not self.names.is_personal(name):
                self.wrong(place, "dimension", name, self.names.dimensions)
        return condition, [self.names.plain(field.group) for field in condition.fields]

    def wrong(self, place: str, kind: str, name: str, known: Iterable[str]) -> NoReturn:
        hint = near_misses(name, known)
        meant = f" Did you mean {' or '.join(repr(one) for one in hint)}?" if hint else ""
        raise PolicyError(f"{self.file}, key '{place}': there is no {kind} '{name}'.{meant}")
