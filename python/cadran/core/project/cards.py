"""The KPI card: what a metric says of itself under `config.meta.kpi`, read strictly."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from cadran.core.query.request import GRAINS
from cadran.errors import CardError, near_misses

if TYPE_CHECKING:
    from collections.abc import Callable

TIERS = ("strategic", "operational")
STATUSES = ("draft", "certified", "deprecated")
DIRECTIONS = ("up", "down", "band")
ADDITIVITIES = ("additive", "semi_additive", "not_additive")
LANGUAGES = ("en", "fr")

_OPTIONAL = {"not_for", "replaced_by", "sunset", "drivers", "relation", "minimum_cell"}
_DURATION = re.compile(r"[1-9]\d* (minute|hour|day|week|month)s?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers for a KPI: for its meaning, and for its computation."""

    business: str
    technical: str


@dataclass(frozen=True, slots=True)
class Refresh:
    """How often the KPI is refreshed, and the age from which it is late: "1 hour"."""

    every: str
    late_after: str


@dataclass(frozen=True, slots=True)
class Translation:
    """The card's words in another language."""

    label: str
    description: str
    formula: str
    not_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """One KPI as its owner describes it. Values of unit `%` are fractions, shown times 100.

    `drivers` are KPIs that its owner holds to move it; `relation` is an expression over other KPIs
    that gives exactly its value. `minimum_cell` is for KPIs about people: a server shows no value
    of fewer observations.
    """

    name: str
    label: str
    description: str
    tier: str
    objective: str
    scope: str
    owner: Owner
    status: str
    unit: str
    direction: str
    decimals: int
    additivity: str
    grains: tuple[str, ...]
    dimensions: tuple[str, ...]
    refresh: Refresh
    formula: str
    review_by: dt.date
    version: int
    fr: Translation
    not_for: tuple[str, ...] = ()
    replaced_by: str | None = None
    sunset: dt.date | None = None
    drivers: tuple[str, ...] = ()
    relation: str | None = None
    minimum_cell: int | None = None

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
        shown = asdict(self.localized(language))
        for name, value in shown.items():
            if isinstance(value, dt.date):
                shown[name] = value.isoformat()
            elif isinstance(value, tuple):
                shown[name] = list(value)
        shown["fr"]["not_for"] = list(shown["fr"]["not_for"])
        return shown


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
    return _Reader(metric["name"], file).card(metric)


class _Reader:
    """Reads one card; every complaint begins with the same place."""

    def __init__(self, name: str, file: Callable[[], str]) -> None:
        self.name = name
        self.file = file

    def card(self, metric: dict[str, Any]) -> Card:
        given = carried_by(metric)
        own = ("name", "label", "description")
        self.keys("", given, Card, apart=own)
        owner, refresh, french = (
            self.block(given, key, kind)
            for key, kind in (("owner", Owner), ("refresh", Refresh), ("fr", Translation))
        )
        card = Card(
            name=metric["name"],
            label=self.text("label", metric["label"]),
            description=self.text("description", metric["description"]),
            tier=self.one_of(given, "tier", TIERS),
            objective=self.text("objective", given["objective"]),
            scope=self.text("scope", given["scope"]),
            owner=Owner(*(self.email(f"owner.{k}", owner[k]) for k in ("business", "technical"))),
            status=self.one_of(given, "status", STATUSES),
            unit=self.text("unit", given["unit"]),
            direction=self.one_of(given, "direction", DIRECTIONS),
            decimals=self.whole(given, "decimals", 0),
            additivity=self.one_of(given, "additivity", ADDITIVITIES),
            grains=self.texts("grains", given["grains"], GRAINS),
            dimensions=self.texts("dimensions", given["dimensions"]),
            refresh=Refresh(
                *(self.duration(f"refresh.{k}", refresh[k]) for k in ("every", "late_after"))
            ),
            formula=self.text("formula", given["formula"]),
            review_by=self.date("review_by", given["review_by"]),
            version=self.whole(given, "version", 1),
            fr=Translation(
                label=self.text("fr.label", french["label"]),
                description=self.text("fr.description", french["description"]),
                formula=self.text("fr.formula", french["formula"]),
                not_for=self.texts("fr.not_for", french.get("not_for", [])),
            ),
            not_for=self.texts("not_for", given.get("not_for", [])),
            replaced_by=given.get("replaced_by"),
            sunset=self.date("sunset", given["sunset"]) if given.get("sunset") else None,
            drivers=self.texts("drivers", given.get("drivers", [])),
            relation=self.text("relation", given["relation"]) if "relation" in given else None,
            minimum_cell=self.whole(given, "minimum_cell", 2) if "minimum_cell" in given else None,
        )
        if card.owner.business == card.owner.technical:
            self.wrong("owner", "business and technical owner are one person; name two")
        if not card.grains:
            self.wrong("grains", f"is empty; name at least one of {', '.join(GRAINS)}")
        return card

    def wrong(self, key: str, sentence: str) -> None:
        raise CardError(f"{self.file()}: KPI '{self.name}', key '{key}': {sentence}.", key)

    def keys(self, prefix: str, given: object, kind: type, apart: tuple[str, ...] = ()) -> None:
        if not isinstance(given, dict):
            self.wrong(prefix or "kpi", f"is {given!r}; it takes keys and values")
            return
        known = {field.name for field in fields(kind)} - set(apart)
        needed = known - _OPTIONAL
        for key in given.keys() - known:
            hint = near_misses(str(key), known)
            meant = f"did you mean '{hint[0]}'" if hint else f"allowed: {', '.join(sorted(known))}"
            self.wrong(f"{prefix}{key}", f"is unknown; {meant}")
        for key in sorted(needed - given.keys()):
            self.wrong(f"{prefix}{key}", "is missing")

    def block(self, given: dict[str, Any], key: str, kind: type) -> dict[str, Any]:
        block = given[key]
        self.keys(f"{key}.", block, kind)
        return dict(block)

    def text(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            self.wrong(key, f"is {value!r}; it takes a text")
        return " ".join(str(value).split())

    def texts(self, key: str, value: object, allowed: tuple[str, ...] = ()) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.wrong(key, f"is {value!r}; it takes a list of texts")
            return ()
        for item in value:
            if allowed and item not in allowed:
                self.wrong(key, f"holds '{item}'; allowed: {', '.join(allowed)}")
        if len(set(value)) < len(value):
            self.wrong(key, "names something twice")
        return tuple(value)

    def one_of(self, given: dict[str, Any], key: str, allowed: tuple[str, ...]) -> str:
        if given[key] not in allowed:
            self.wrong(key, f"is '{given[key]}'; allowed: {', '.join(allowed)}")
        return str(given[key])

    def whole(self, given: dict[str, Any], key: str, least: int) -> int:
        value = given[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.wrong(key, f"is {value!r}; it takes a whole number from {least} up")
        return int(value)

    def email(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not _EMAIL.fullmatch(value):
            self.wrong(key, f"is {value!r}; it takes an e-mail address")
        return str(value)

    def duration(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not _DURATION.fullmatch(value):
            self.wrong(key, f"is {value!r}; it takes a duration such as '15 minutes' or '1 day'")
        return str(value)

    def date(self, key: str, value: object) -> dt.date:
        try:
            return dt.date.fromisoformat(str(value))
        except ValueError:
            self.wrong(key, f"is {value!r}; it takes a date such as 2027-06-30")
            raise
