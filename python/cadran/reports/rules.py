"""The rules of recommendations: those that are shipped, and what a project makes of them.

A project's `cadran_recommendations.yml`:

    rules:
      budget_unused: off                      # no longer judged
      cause_dominates:
        parameters: {share: 0.5}              # other bounds
        owner: head.of.platform@example.com
      credits_over_fix:
        subjects: {partners_api: {fix_cost: 4000}}
      refunds_high:                           # a rule of its own: every key is needed
        of: kpis
        ...
"""

from __future__ import annotations

import string
from decimal import Decimal  # noqa: TC003 - pydantic reads it
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from cadran.core.project.slos import Email, Key, Strict
from cadran.errors import CardError, QueryError, listing
from cadran.formats import strict_yaml
from cadran.reports.expression import Expression

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "cadran_recommendations.yml"
_SHIPPED = Path(__file__).with_name("recommendations.yml")
_PLACES = frozenset({"label", "period", "before", "owner"})
Confidence = Literal["high", "medium", "low"]
Kind = Literal["slos", "contracts", "incidents", "alerts", "kpis"]


class Text(Strict):
    """A text in both languages; a figure or parameter stands in it between curly brackets."""

    en: str
    fr: str

    def of(self, lang: str) -> str:
        """It in one language."""
        return self.fr if lang == "fr" else self.en


class Figure(Text):
    """What a figure is called and its unit; of a KPI: `kpi`, `change`; `money`."""

    unit: str
    decimals: int = 0
    still: bool = False  # it is of cards and records, and no data can make it late


class Rule(Strict):
    """One rule.

    Attributes:
        of: what it is held against: slos, contracts, incidents, alerts or kpis.
        when: an expression over the figures and parameters; where it holds, the rule recommends.
        parameters: numbers of the expressions and texts, which a project may change.
        subjects: other parameters for single subjects, by their name.
        weight: an expression that puts the subjects of the rule in order, the greatest first.
        cost: a figure that says what it costs to leave it, where one does.
        confidence: when it is high and when it is medium, as expressions; else it is low.
        owner: who answers for it; by default who answers for the subject.
        title: the finding as a sentence.
        because: what it rests on.
        action: what to do.
        effect: what that is expected to bring.
    """

    of: Kind
    when: str
    parameters: dict[Key, Decimal] = Field(default_factory=dict)
    subjects: dict[str, dict[Key, Decimal]] = Field(default_factory=dict)
    weight: str = "0"
    cost: str | None = None
    confidence: dict[Literal["high", "medium"], str] = Field(default_factory=dict)
    owner: Email | None = None
    title: Text
    because: Text
    action: Text
    effect: Text

    @model_validator(mode="after")
    def _names(self) -> Rule:
        """Every name in it is a figure of what it is about, or one of its parameters."""
        known = {*_figures()[self.of], *self.parameters}
        try:
            used = {
                name
                for text in (self.when, self.weight, *self.confidence.values())
                for name in Expression(text).names
            }
            for text in (self.title, self.because, self.action, self.effect):
                for words in (text.en, text.fr):
                    used |= _places(words) - _PLACES
        except (QueryError, ValueError) as problem:
            raise ValueError(str(problem).removesuffix(".")) from None
        used |= {self.cost} if self.cost else set()
        unknown = sorted(used - known)
        if unknown:
            raise ValueError(
                f"names '{unknown[0]}'; of {self.of} there are {listing(sorted(known))}"
            )
        strange = {name for more in self.subjects.values() for name in more} - set(self.parameters)
        if strange:
            raise ValueError(f"gives a subject '{min(strange)}', which is none of its parameters")
        return self

    def bounds(self, subject: str) -> Mapping[str, Decimal]:
        """Its parameters for one subject."""
        return {**self.parameters, **self.subjects.get(subject, {})}


def _places(words: str) -> set[str]:
    """The figures and parameters that stand in a text.

    Raises:
        ValueError: one is written in a format of its own.
    """
    places = set()
    for _, place, form, conversion in string.Formatter().parse(words):
        if form or conversion:
            raise ValueError(
                f"gives '{place}' a format in '{words}': write '{{{place}}}', a figure has the"
                " format of its unit"
            )
        if place is not None:
            places.add(place)
    return places


class Change(Strict):
    """What a project changes of a rule that is shipped, or all of a rule of its own; see there."""

    of: Kind | None = None
    when: str | None = None
    parameters: dict[Key, Decimal] | None = None
    subjects: dict[str, dict[Key, Decimal]] | None = None
    weight: str | None = None
    cost: str | None = None
    confidence: dict[Literal["high", "medium"], str] | None = None
    owner: Email | None = None
    title: Text | None = None
    because: Text | None = None
    action: Text | None = None
    effect: Text | None = None


def _bare_off(value: Any) -> Any:
    """A rule that is switched off; YAML 1.1 reads a bare `off` as false."""
    return "off" if value is False else value


class RecommendationSettings(Strict):
    """What a project makes of the rules: `off`, or what is other than shipped, by rule."""

    rules: dict[Key, Annotated[Literal["off"] | Change, BeforeValidator(_bare_off)]] = Field(
        default_factory=dict
    )


class Shipped(Strict):
    """The file of rules that is shipped."""

    rules: dict[Key, Any]
    figures: dict[str, dict[str, Figure]]
    parameters: dict[str, str]
    words: dict[str, Text]


@cache
def shipped() -> Shipped:
    """What is shipped."""
    content = strict_yaml.read(_SHIPPED, CardError, loader=strict_yaml.ExactLoader)
    return strict_yaml.parsed_as(Shipped, content, _SHIPPED.name, CardError)


def _figures() -> dict[str, dict[str, Figure]]:
    return shipped().figures


def read(root: Path | None) -> dict[str, Rule]:
    """The rules of a project by name, in the order in which they are read.

    Raises:
        CardError: the project's file says what it must not; the key is named.
    """
    settings = RecommendationSettings()
    path = root / FILE if root is not None else None
    if path is not None and path.exists():
        content = strict_yaml.read(path, CardError, loader=strict_yaml.ExactLoader)
        settings = strict_yaml.parsed_as(RecommendationSettings, content, str(path), CardError)
    rules = {}
    for name in (*shipped().rules, *(n for n in settings.rules if n not in shipped().rules)):
        change = settings.rules.get(name)
        if change == "off":
            continue
        content = dict(shipped().rules.get(name, {}))
        given = change.model_dump(exclude_unset=True) if isinstance(change, Change) else {}
        for key, value in given.items():
            is_joined = key in {"parameters", "subjects"} and isinstance(value, dict)
            content[key] = {**content.get(key, {}), **value} if is_joined else value
        place = f"{path or _SHIPPED.name}, rule '{name}'"
        rules[name] = strict_yaml.parsed_as(Rule, content, place, CardError)
    return rules
