"""The KPI card: what a metric says of itself under `config.meta.kpi`, read strictly."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any

from cadran.core.query.request import GRAINS
from cadran.errors import CardError
from cadran.formats.validation import (
    NOT_TWICE,
    Date,
    Strict,
    Takes,
    Text,
    matching,
    one_of,
    validated,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.core.project.slos import Slo

TIERS = ("strategic", "operational")
STATUSES = ("draft", "certified", "deprecated")
DIRECTIONS = ("up", "down", "band")
ADDITIVITIES = ("additive", "semi_additive", "not_additive")
LANGUAGES = ("en", "fr")

Email = Annotated[str, matching(r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address")]
Duration = Annotated[
    str,
    matching(
        r"[1-9]\d* (minute|hour|day|week|month)s?", "a duration such as '15 minutes' or '1 day'"
    ),
]


def _two_people(owner: Owner) -> Owner:
    if owner.business == owner.technical:
        raise ValueError("business and technical owner are one person; name two")
    return owner


def _some_grain(grains: tuple[str, ...]) -> tuple[str, ...]:
    if not grains:
        raise ValueError(f"is empty; name at least one of {', '.join(GRAINS)}")
    return grains


def _slos(items: tuple[Any, ...]) -> tuple[Slo, ...]:
    if not items:
        return ()
    from cadran.core.project import slos  # pydantic models, which few cards need

    return slos.read(list(items))


@dataclass(frozen=True, slots=True)
class Owner(Strict):
    """Who answers for a KPI: for its meaning, and for its computation."""

    business: Email
    technical: Email


@dataclass(frozen=True, slots=True)
class Refresh(Strict):
    """How often the KPI is refreshed, and the age from which it is late: "1 hour"."""

    every: Duration
    late_after: Duration


@dataclass(frozen=True, slots=True)
class Translation(Strict):
    """The card's words in another language."""

    label: Text
    description: Text
    formula: Text
    not_for: Annotated[tuple[Text, ...], NOT_TWICE] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CardBlock(Strict):
    """What stands under `config.meta.kpi`. Values of unit `%` are fractions, shown times 100.

    `drivers` are KPIs that its owner holds to move it; `relation` is an expression over other KPIs
    that gives exactly its value. `minimum_cell` is for KPIs about people: a server shows no value
    of fewer observations. `slos` are objectives on it, where it is a ratio of good to valid events.
    `synonyms` are words by which people ask for it, in any language; they mean nothing else.
    """

    tier: Annotated[str, one_of(*TIERS)]
    objective: Text
    scope: Text
    owner: Annotated[Owner, Takes(check=_two_people)]
    status: Annotated[str, one_of(*STATUSES)]
    unit: Text
    direction: Annotated[str, one_of(*DIRECTIONS)]
    decimals: Annotated[int, whole_number(0)]
    additivity: Annotated[str, one_of(*ADDITIVITIES)]
    grains: Annotated[
        tuple[Annotated[str, one_of(*GRAINS)], ...],
        NOT_TWICE,
        Takes(check=_some_grain, schema={"minItems": 1}),
    ]
    dimensions: Annotated[tuple[Text, ...], NOT_TWICE]
    refresh: Refresh
    formula: Text
    review_by: Date
    version: Annotated[int, whole_number(1)]
    fr: Translation
    not_for: Annotated[tuple[Text, ...], NOT_TWICE] = ()
    replaced_by: Text | None = None
    sunset: Date | None = None
    drivers: Annotated[tuple[Text, ...], NOT_TWICE] = ()
    relation: Text | None = None
    minimum_cell: Annotated[int, whole_number(2)] | None = None
    slos: Annotated[tuple[Any, ...], Takes("a list of SLOs", _slos)] = ()
    synonyms: Annotated[tuple[Text, ...], NOT_TWICE] = ()


@dataclass(frozen=True, slots=True)
class _Described:
    """What every metric says of itself, and a KPI must."""

    label: Text
    description: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Card(CardBlock):
    """One KPI as its owner describes it: its card, and what its metric is called."""

    name: str
    label: str
    description: str

    def localized(self, language: str) -> Card:
        """The same card with label, description, formula and limits in `en` or `fr`.

        Raises:
            CardError: the language is not one of the two.
        """
        if language not in LANGUAGES:
            raise CardError(f"There is no card in '{language}'; allowed: {', '.join(LANGUAGES)}.")
        if language == "en":
            return self
        return replace(
            self,
            label=self.fr.label,
            description=self.fr.description,
            formula=self.fr.formula,
            not_for=self.fr.not_for or self.not_for,
        )

    def to_dict(self, language: str = "en") -> dict[str, Any]:
        """The card as JSON types, in its own key order."""
        content = asdict(self.localized(language))
        payload = {key: content.pop(key) for key in ("name", "label", "description")} | content
        for name, value in payload.items():
            if isinstance(value, dt.date):
                payload[name] = value.isoformat()
            elif isinstance(value, tuple):
                payload[name] = list(value)
        payload["fr"]["not_for"] = list(payload["fr"]["not_for"])
        payload["slos"] = [
            slo.model_dump(mode="json", exclude_defaults=True, by_alias=True) for slo in self.slos
        ]
        return payload


def carried_by(metric: dict[str, Any]) -> Any:
    """What a metric of the semantic manifest has under `config.meta.kpi`, or None."""
    return ((metric.get("config") or {}).get("meta") or {}).get("kpi")


def read(metric: dict[str, Any], file: Callable[[], str]) -> Card:
    """The card of a metric of the semantic manifest.

    Args:
        metric: the metric, with its card in `config.meta.kpi`.
        file: tells where it is written; asked only for a message.

    Raises:
        CardError: a key is missing, unknown, or holds what is not allowed.
    """
    name = metric["name"]

    def wrong(key: str, sentence: str) -> CardError:
        key = key or "kpi"
        return CardError(f"{file()}: KPI '{name}', key '{key}': {sentence}.", key)

    words = {key: metric[key] for key in ("label", "description")}
    described = validated(_Described, words, wrong)
    block = validated(CardBlock, carried_by(metric), wrong)
    content = {field.name: getattr(block, field.name) for field in fields(block)}
    return Card(name=name, label=described.label, description=described.description, **content)


def restored(content: dict[str, Any]) -> Card:
    """A card from what its `to_dict` gave, which was validated then."""

    def listed(block: dict[str, Any]) -> dict[str, Any]:
        return {k: tuple(v) if isinstance(v, list) else v for k, v in block.items()}

    sunset = content["sunset"]
    return Card(**listed(content) | {
        "owner": Owner(**content["owner"]),
        "refresh": Refresh(**content["refresh"]),
        "fr": Translation(**listed(content["fr"])),
        "slos": _slos(tuple(content["slos"])),
        "review_by": dt.date.fromisoformat(content["review_by"]),
        "sunset": dt.date.fromisoformat(sunset) if sunset else None,
    })  # fmt: skip
