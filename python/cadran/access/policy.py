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
from typing import TYPE_CHECKING, Any

import yaml

from cadran.access.caller import Limits
from cadran.errors import PolicyError, near_misses

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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
