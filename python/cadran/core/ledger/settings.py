"""`cadran_ledger.yml`: what is published, when a value is too thin to be shown, what is material.

    grains: [day, week, month, quarter, year]   # of those on the card
    dimensions: each                  # none | each | a list of sets: [[], [customer__country]]
    minimum_observations: 0           # a value that rests on fewer is suppressed
    materiality: 0.001                # a larger relative change of a final value waits for approval
    kpis:
      net_revenue: {materiality: 0.0001, dimensions: [[], [customer__country, product__category]]}

Every key may be left out. Unknown keys are errors, as on a card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from cadran.core.query.request import DAY_OR_COARSER, GRAINS
from cadran.errors import CardError, near_misses

if TYPE_CHECKING:
    from pathlib import Path

    from cadran.core.project.cards import Card

FILE = "cadran_ledger.yml"
_KEYS = ("grains", "dimensions", "minimum_observations", "materiality")


@dataclass(frozen=True, slots=True)
class Publication:
    """What is published of one KPI, and how.

    Attributes:
        grains: the grains, of those on its card.
        dimension_sets: names in alphabetical order; the empty set is the whole.
        minimum_observations: a value that rests on fewer is suppressed.
        materiality: the relative change from which a final value waits for approval.
    """

    grains: tuple[str, ...]
    dimension_sets: tuple[tuple[str, ...], ...]
    minimum_observations: int = 0
    materiality: float = 0.001


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """What a project decides about its ledger, as it is written."""

    given: dict[str, Any]

    def of(self, card: Card) -> Publication:
        """What is published of a KPI.

        Raises:
            CardError: a grain or dimension that is to be published is not on its card.
        """
        own = self.given.get("kpis", {}).get(card.name, {})
        asked = {key: own.get(key, self.given.get(key)) for key in _KEYS}
        grains = tuple(g for g in asked["grains"] or DAY_OR_COARSER if g in card.grains)
        chosen = asked["dimensions"] or "each"
        sets = [()] if chosen == "none" else [(), *((name,) for name in card.dimensions)]
        if isinstance(chosen, list):
            sets = [tuple(sorted(names)) for names in chosen]
        for name in (name for names in sets for name in names):
            if name not in card.dimensions:
                _wrong(f"kpis.{card.name}.dimensions", f"'{name}' is not on the card")
        return Publication(
            grains=grains,
            dimension_sets=tuple(dict.fromkeys(sets)),
            minimum_observations=int(asked["minimum_observations"] or 0),
            materiality=0.001 if asked["materiality"] is None else float(asked["materiality"]),
        )


def read(root: Path | None) -> LedgerSettings:
    """The settings of a project; the defaults where it has no such file.

    Raises:
        CardError: a key is unknown, or holds what is not allowed.
    """
    path = root / FILE if root is not None else None
    if path is None or not path.exists():
        return LedgerSettings({})
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as problem:
        raise CardError(f"{FILE} is no YAML: {problem}") from None
    _check("", given, (*_KEYS, "kpis"))
    for name, block in (given.get("kpis") or {}).items():
        _check(f"kpis.{name}.", block, _KEYS)
    return LedgerSettings(given)


def _wrong(key: str, sentence: str) -> None:
    raise CardError(f"{FILE}, key '{key}': {sentence}.")


def _check(prefix: str, block: object, known: tuple[str, ...]) -> None:
    if not isinstance(block, dict):
        _wrong(prefix.rstrip(".") or FILE, f"is {block!r}; it takes keys and values")
        return
    for key, value in block.items():
        place = f"{prefix}{key}"
        if key not in known:
            hint = near_misses(str(key), known)
            meant = f"did you mean '{hint[0]}'" if hint else f"allowed: {', '.join(known)}"
            _wrong(place, f"is unknown; {meant}")
        elif key == "grains" and not (isinstance(value, list) and set(value) <= set(GRAINS)):
            _wrong(place, f"is {value!r}; it takes a list of {', '.join(GRAINS)}")
        elif key == "dimensions" and value not in ("none", "each"):
            if not isinstance(value, list) or not all(isinstance(one, list) for one in value):
                _wrong(place, f"is {value!r}; it takes none, each, or a list of lists of names")
        elif key in ("minimum_observations", "materiality") and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0
        ):
            _wrong(place, f"is {value!r}; it takes a number from 0 up")
