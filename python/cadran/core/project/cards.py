"""The KPI card: what a metric says of itself under `config.meta.kpi`, read strictly."""

from __future__ import annotations

import datetime as dt
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any

from cadran.core.query.request import DAY_OR_COARSER, GRAINS
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
    from collections.abc import Callable, Mapping

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
    `fr` and `en` hold its words in the project's languages after the first. A draft may lack
    whatever is not written yet, but for its status.
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
    fr: Translation | None = None
    en: Translation | None = None
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
    """One KPI as its owner describes it: its card, and what its metric is called.

    `lacks` are the keys that a draft has not yet; what stands in their place is of no meaning.
    """

    name: str
    label: str
    description: str
    lacks: tuple[str, ...] = ()

    def localized(self, language: str) -> Card:
        """The same card with label, description, formula and limits in `en` or `fr`.

        Where it has no words in the language, they are those it has.

        Raises:
            CardError: the language is not one of the two.
        """
        if language not in LANGUAGES:
            raise CardError(f"There is no card in '{language}'; allowed: {', '.join(LANGUAGES)}.")
        words = self.fr if language == "fr" else self.en
        if words is None:
            return self
        return replace(
            self,
            label=words.label,
            description=words.description,
            formula=words.formula,
            not_for=words.not_for or self.not_for,
        )

    @property
    def draft_note(self) -> str:
        """A sentence for whoever reads a value of a draft; empty where the card is none."""
        if self.status != "draft":
            return ""
        lacking = f": its card lacks {', '.join(self.lacks)}" if self.lacks else ""
        return f"{self.name} is a draft{lacking}."

    def to_dict(self, language: str = "en") -> dict[str, Any]:
        """The card as JSON types, in its own key order."""
        content = asdict(self.localized(language))
        payload = {key: content.pop(key) for key in ("name", "label", "description")} | content
        for name, value in payload.items():
            if isinstance(value, dt.date):
                payload[name] = value.isoformat()
            elif isinstance(value, tuple):
                payload[name] = list(value)
        for block in LANGUAGES:
            if payload[block] is None:
                del payload[block]
            else:
                payload[block]["not_for"] = list(payload[block]["not_for"])
        if not payload["lacks"]:
            del payload["lacks"]
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
    written = carried_by(metric)
    lacks = lacking(words, written) if is_draft(written) else ()
    if lacks:
        words = {"label": words["label"] or name, "description": words["description"] or name}
        written = _STAND_INS | {key: value for key, value in written.items() if value is not None}
    described = validated(_Described, words, wrong)
    block = validated(CardBlock, written, wrong)
    content = {field.name: getattr(block, field.name) for field in fields(block)}
    return Card(
        name=name, label=described.label, description=described.description, lacks=lacks,
        **content | {key: _UNSAID[key] for key in lacks if key in _UNSAID},
    )  # fmt: skip


def is_draft(written: Any) -> bool:
    """Whether what stands in the place of a card says that it is a draft."""
    return isinstance(written, dict) and written.get("status") == "draft"


def lacking(words: Mapping[str, Any], written: Any) -> tuple[str, ...]:
    """The keys that every finished card has and this one has not, in their order.

    Args:
        words: label and description of the metric.
        written: what stands under `config.meta.kpi`.
    """
    block = written if isinstance(written, dict) else {}
    required = [field.name for field in fields(CardBlock) if field.default is MISSING]
    return tuple(
        name
        for name in ("label", "description", *required)
        if (words if name in words else block).get(name) is None
    )


# What a draft that does not say it is taken for: what promises least.
_STAND_INS: dict[str, Any] = {
    "tier": "operational", "objective": "none", "scope": "global", "status": "draft",
    "owner": {"business": "nobody@example.com", "technical": "nobody.else@example.com"},
    "unit": "none", "direction": "up", "decimals": 2, "additivity": "not_additive",
    "grains": list(DAY_OR_COARSER), "dimensions": [], "formula": "none", "version": 1,
    "refresh": {"every": "1 day", "late_after": "2 days"}, "review_by": "2999-12-31",
}  # fmt: skip
# Of those, what is no value of its own and is shown as nothing.
_UNSAID: dict[str, Any] = {
    "objective": "", "unit": "", "formula": "", "owner": Owner("(no owner)", "(no owner)")
}  # fmt: skip


def restored(content: dict[str, Any]) -> Card:
    """A card from what its `to_dict` gave, which was validated then."""

    def listed(block: dict[str, Any]) -> dict[str, Any]:
        return {k: tuple(v) if isinstance(v, list) else v for k, v in block.items()}

    sunset = content["sunset"]
    return Card(**listed(content) | {
        "owner": Owner(**content["owner"]),
        "refresh": Refresh(**content["refresh"]),
        **{
            language: Translation(**listed(content[language]))
            for language in LANGUAGES
            if language in content
        },
        "slos": _slos(tuple(content["slos"])),
        "review_by": dt.date.fromisoformat(content["review_by"]),
        "sunset": dt.date.fromisoformat(sunset) if sunset else None,
    })  # fmt: skip
