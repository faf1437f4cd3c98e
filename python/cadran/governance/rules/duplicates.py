"""Duplicates: one meaning has one name, one label one meaning, and names are told apart."""

from __future__ import annotations

from collections import defaultdict
from importlib.metadata import version
from typing import TYPE_CHECKING

from cadran.core.compiler.plan_cache import key_of
from cadran.core.project.graph import checksum
from cadran.core.query.request import GRAINS
from cadran.core.versions.canonical import NotCanonical, canonical
from cadran.errors import CadranError
from cadran.governance.rules.ownership import is_near
from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.governance.context import Context


def meaning_of(context: Context, kpi: str) -> str | None:
    """A hash of the KPI's canonical SQL at its coarsest grain; None when it cannot be asked."""
    grain = max(context.cards[kpi].grains, key=GRAINS.index)
    try:
        sql = context.sql(kpi, [f"metric_time__{grain}"])
    except CadranError:
        return None
    key = key_of("same", sql, version("sqlglot"))
    meaning: str | None = context.cache.get(key)
    if meaning is None:
        try:
            meaning = checksum(canonical(sql, context.layer.project.dialect))
        except NotCanonical:
            meaning = checksum(sql.replace(kpi, "_kpi"))
        context.cache.put(key, meaning)
    return meaning


@rule("DUP01")
def same_meaning(context: Context) -> Iterator[Finding]:
    """Find KPIs whose canonical SQL is that of another."""
    by_meaning: dict[str, list[str]] = defaultdict(list)
    for card in context.live():
        meaning = meaning_of(context, card.name)
        if meaning:
            by_meaning[meaning].append(card.name)
    for names in by_meaning.values():
        for name in names[1:]:
            yield Finding(kpi=name, message=f"it is computed exactly as '{names[0]}' is")


_LANGUAGES = {"en": "English", "fr": "French"}


@rule("DUP02")
def same_label(context: Context) -> Iterator[Finding]:
    """Find labels, in any language of the project, that an earlier KPI carries."""
    for place, language in enumerate(context.layer.languages):
        first_by_label: dict[str, str] = {}
        for name, card in context.raw.items():
            words = card.get(language) if place else card
            own = words.get("label") if isinstance(words, dict) else None
            label = " ".join(str(own or "").split())
            first = first_by_label.setdefault(label.casefold(), name)
            if label and first != name:
                message = f"the {_LANGUAGES[language]} label '{label}' is that of '{first}' too"
                yield Finding(kpi=name, message=message)


@rule("DUP03")
def near_names(context: Context) -> Iterator[Finding]:
    """Find KPI names that are easily taken for another's."""
    names = [n for n, card in context.raw.items() if card.get("status") != "deprecated"]
    for index, name in enumerate(names):
        for other in names[:index]:
            if is_near(name, other):
                yield Finding(kpi=name, message=f"its name is nearly that of '{other}'")
