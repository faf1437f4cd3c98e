"""`cadran_ledger.yml`: what is published, when a value is too thin to be shown, what is material.

    grains: [day, week, month, quarter, year]   # of those on the card
    dimensions: each                  # none | each | a list of sets: [[], [customer__country]]
    minimum_observations: 0           # a value that rests on fewer is suppressed
    materiality: 0.001                # a larger relative change of a final value waits for approval
    kpis:
      net_revenue: {materiality: 0.0001, dimensions: [[], [customer__country, product__category]]}
    witnesses: [{file: /mnt/worm/kpi_heads.jsonl}]   # see `witness`
    abandoned: {"0123456789abcdef": lost with its disk}   # ledgers that were given up, and why

Every key may be left out. Unknown keys are errors, as on a card. A ledger is named by the first 16
digits of the hash of its batch 1, which the lock and every witness keep as `first`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cadran.core.ledger.witness import Witness, WitnessSettings, witness
from cadran.core.project.lock import MARK
from cadran.core.query.request import DAY_OR_COARSER, GRAINS
from cadran.errors import CardError
from cadran.formats import strict_yaml
from cadran.formats.validation import Strict, Takes, Text, one_of, whole_number

if TYPE_CHECKING:
    from cadran.core.project.cards import Card

FILE = "cadran_ledger.yml"

_Grains = Annotated[
    tuple[Annotated[str, one_of(*GRAINS)], ...], Takes(f"a list of {', '.join(GRAINS)}")
]
_Dimensions = Annotated[
    Literal["none", "each"] | tuple[tuple[Text, ...], ...],
    Takes("none, each, or a list of lists of names"),
]
_Share = Annotated[float, Takes("a number from 0 up", strict=True, constraints={"ge": 0})]


_Ledger = Annotated[
    str,
    Takes(f"the first {MARK} digits of a ledger, quoted", strict=True,
          constraints={"pattern": f"^[0-9a-f]{{{MARK}}}$"}),
]  # fmt: skip


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationSettings(Strict):
    """What is written of one KPI, or of all; None where it says nothing."""

    grains: _Grains | None = None
    dimensions: _Dimensions | None = None
    minimum_observations: Annotated[int, whole_number(0)] | None = None
    materiality: _Share | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings(PublicationSettings):
    """What a project decides about its ledger, as it is written."""

    kpis: dict[str, PublicationSettings] = field(default_factory=dict)
    witnesses: tuple[WitnessSettings, ...] = ()
    abandoned: dict[_Ledger, Text] = field(default_factory=dict)

    def of(self, card: Card) -> Publication:
        """What is published of a KPI.

        Raises:
            CardError: a grain or dimension that is to be published is not on its card.
        """
        own = self.kpis.get(card.name, self)

        def setting(key: str) -> Any:
            value = getattr(own, key)
            return getattr(self, key) if value is None else value

        grains = tuple(g for g in setting("grains") or DAY_OR_COARSER if g in card.grains)
        dimensions = setting("dimensions") or "each"
        sets = [()] if dimensions == "none" else [(), *((name,) for name in card.dimensions)]
        if isinstance(dimensions, tuple):
            sets = [tuple(sorted(names)) for names in dimensions]
        for name in (name for names in sets for name in names):
            if name not in card.dimensions:
                raise _wrong(f"kpis.{card.name}.dimensions", f"'{name}' is not on the card")
        materiality = setting("materiality")
        return Publication(
            grains=grains,
            dimension_sets=tuple(dict.fromkeys(sets)),
            minimum_observations=setting("minimum_observations") or 0,
            materiality=0.001 if materiality is None else materiality,
        )


def read(root: Path | None) -> LedgerSettings:
    """The settings of a project; the defaults where it has no such file.

    Raises:
        CardError: a key is unknown, or holds what is not allowed.
    """
    path = root / FILE if root is not None else None
    if path is None or not path.exists():
        return LedgerSettings()
    return strict_yaml.read_as(LedgerSettings, path, CardError, file=FILE)


def witnesses(settings: LedgerSettings, root: Path | None) -> tuple[Witness, ...]:
    """The witnesses that the settings of a project name.

    Raises:
        CardError: one is named by keys that do not go together.
    """
    return tuple(
        witness(entry, root or Path(), f"{FILE}, key 'witnesses[{number}]'")
        for number, entry in enumerate(settings.witnesses, start=1)
    )


def _wrong(key: str, sentence: str) -> CardError:
    return CardError(f"{FILE}, key '{key}': {sentence}.")
