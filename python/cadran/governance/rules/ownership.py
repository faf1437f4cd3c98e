"""Ownership and meaning: a readable card, two owners, definition, formula, two languages."""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher
from itertools import chain
from typing import TYPE_CHECKING, Any

from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.governance.context import Context


_EMPTY = frozenset({
    "a", "an", "and", "the", "of", "in", "on", "at", "by", "for", "from", "with", "without",
    "to", "per", "each", "all", "any", "is", "are", "was", "were", "be", "it", "its", "this",
    "that", "these", "those", "as", "or", "not", "no", "over", "than", "which", "what", "kpi",
    "metric", "measure", "figure", "value", "number", "period", "periods", "day", "days",
    "week", "month", "quarter", "year", "total", "sum", "count", "none",
})  # fmt: skip
_LEAST = 3
# Stems, as all words here are compared.
_OPERATIONS = frozenset({
    "number", "sum", "count", "total", "averag", "mean", "median", "percentil", "shar", "ratio",
    "distinct", "per", "minus", "plus", "tim", "divid", "last", "first", "least", "most",
    "maximum", "minimum",
})  # fmt: skip


def stems(text: str) -> set[str]:
    """The words of a text, each cut to its stem."""
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    return {_stem(word) for word in re.findall(r"[a-z]+|\d+", plain)}


def significant(text: str) -> set[str]:
    """The stems of the words that say something; all of them where none does."""
    empty = {_stem(word) for word in _EMPTY}
    words = {stem for stem in stems(text) if len(stem) >= _LEAST or stem.isdigit()}
    return {stem for stem in words - empty if not stem.isdigit()} or words


def is_circular(text: str, name: str, label: str) -> bool:
    """True when a text holds no word that says something beside those of the name and the label."""
    words = significant(text)
    return words <= stems(name) | stems(label) | {_stem(word) for word in _EMPTY}


def is_operation(text: str) -> bool:
    """True when a text says how something is computed: "number of orders" says to count."""
    return bool(stems(text) & _OPERATIONS or re.search(r"[/+*]| [-x] ", text))


_STATISTIC = re.compile(r"mean|median|average|mode|min|max|minimum|maximum|p\d{2}")


def is_near(name: str, other: str, least: float = 0.9) -> bool:
    """True when two names are easily taken for each other."""
    words, others = ([_stem(word) for word in text.split("_")] for text in (name, other))
    if sorted(words) == sorted(others):
        return True
    # Names that differ in a whole word, as those by country and by county do not, are two names.
    if len(words) == len(others):
        differing = [pair for pair in zip(words, others, strict=True) if pair[0] != pair[1]]
        if len(differing) > 1 or all(_STATISTIC.fullmatch(word) for word in chain(*differing)):
            return False
    return SequenceMatcher(None, name, other, autojunk=False).ratio() >= least


def _stem(word: str) -> str:
    for ending, new in (
        ("ies", "y"),
        ("ings", ""),
        ("ing", ""),
        ("ed", ""),
        ("es", ""),
        ("s", ""),
    ):
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST and not word.endswith("ss"):
            word = word[: -len(ending)] + new
            break
    return word.rstrip("e") if len(word) > _LEAST else word


# What the rules below say better than the reader of cards does.
_TOLD = ("owner", "description", "formula", "unit", "direction", "refresh", "fr", "en", "objective")


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _block(card: dict[str, Any], key: str) -> dict[str, Any]:
    value = card.get(key)
    return value if isinstance(value, dict) else {}


@rule("CARD01")
def card_can_be_read(context: Context) -> Iterator[Finding]:
    """Tell what the reader of cards refuses, unless a rule of its own tells it."""
    for name, problem in context.broken.items():
        key = problem.key or ""
        value = context.raw[name].get(key.split(".")[0])
        is_told = key.split(".")[0] in _TOLD and (not value or "." in key or key == "owner")
        if not is_told or "unknown" in str(problem):
            sentence = str(problem).partition(f"key '{key}': ")[2].rstrip(".")
            yield Finding(kpi=name, message=f"the key '{key}' {sentence}")
        missing = [other for other in context.lacking(name) if other not in {*_TOLD, key, "label"}]
        if missing:
            yield Finding(kpi=name, message=f"not set: {', '.join(missing)}")


@rule("CARD02")
def draft_is_whole(context: Context) -> Iterator[Finding]:
    """Tell of each draft what it lacks, all at once."""
    for name, card in context.cards.items():
        if card.lacks:
            yield Finding(kpi=name, message=f"the draft lacks {', '.join(card.lacks)}")


@rule("OWN01")
def business_owner(context: Context) -> Iterator[Finding]:
    """Find KPIs whose business owner is missing or unknown."""
    yield from _owner(context, "business")


@rule("OWN02")
def technical_owner(context: Context) -> Iterator[Finding]:
    """Find KPIs whose technical owner is missing, unknown or the business owner."""
    yield from _owner(context, "technical")
    for name, card in context.raw.items():
        owner = _block(card, "owner")
        business, technical = (_text(owner.get(key)).lower() for key in ("business", "technical"))
        if business and business == technical:
            yield Finding(kpi=name, message=f"{technical} is both business and technical owner")


def _owner(context: Context, role: str) -> Iterator[Finding]:
    owners = context.settings.owners
    for name, card in context.raw.items():
        owner = _text(_block(card, "owner").get(role))
        if not owner:
            yield Finding(kpi=name, message=f"nobody is named as {role} owner")
        elif owners is not None and owner not in owners:
            yield Finding(kpi=name, message=f"the {role} owner {owner} is not known to the project")


@rule("OWN03")
def definition(context: Context) -> Iterator[Finding]:
    """Find KPIs whose definition is missing or circular."""
    for name, card in context.raw.items():
        text = _text(card["description"])
        if not text:
            yield Finding(kpi=name, message="the definition is missing")
        elif is_circular(text, name, _text(card["label"])):
            yield Finding(kpi=name, message=f"the definition only repeats the name: '{text}'")


@rule("OWN04")
def formula(context: Context) -> Iterator[Finding]:
    """Find KPIs whose formula is missing or circular."""
    for name, card in context.raw.items():
        text = _text(card.get("formula"))
        if not text:
            yield Finding(kpi=name, message="the formula is missing")
        elif _only_repeats(text, name, card):
            yield Finding(kpi=name, message=f"the formula only repeats the name: '{text}'")


def _only_repeats(text: str, name: str, card: dict[str, Any]) -> bool:
    return is_circular(text, name, _text(card["label"])) and not is_operation(text)


@rule("OWN05")
def formula_names_inputs(context: Context) -> Iterator[Finding]:
    """Find inputs of which no word stands in the formula."""
    for name, card in context.raw.items():
        text = _text(card.get("formula"))
        if _only_repeats(text, name, card):
            continue
        words = stems(text)
        for part in context.layer.metric_graph.inputs(name) if text else ():
            metric = context.metrics.get(part.name) or {}
            name_stems = significant(f"{part.name} {part.alias} {metric.get('label')}")
            if name_stems and not name_stems & words:
                yield Finding(
                    kpi=name,
                    message=f"the formula '{text}' does not name the input {part.name}",
                )


@rule("OWN06")
def unit_direction_refresh(context: Context) -> Iterator[Finding]:
    """Find cards without unit, direction or refresh."""
    for name, card in context.raw.items():
        missing = [key for key in ("unit", "direction") if not _text(card.get(key))]
        refresh = _block(card, "refresh")
        missing += [f"refresh.{key}" for key in ("every", "late_after") if not refresh.get(key)]
        if missing:
            yield Finding(kpi=name, message=f"not set: {', '.join(missing)}")


@rule("OWN07")
def both_languages(context: Context) -> Iterator[Finding]:
    """Find texts that are missing in a language of the project or the same in two."""
    first, *others = context.layer.languages
    for name, card in context.raw.items():
        if not _text(card["label"]):
            yield Finding(kpi=name, message=f"the {_LANGUAGES[first]} label is missing")
        for language in others:
            for key in ("label", "description", "formula"):
                own, translated = _text(card.get(key)), _text(_block(card, language).get(key))
                which = f"the {_LANGUAGES[language]} {_named(key)}"
                if not translated:
                    yield Finding(kpi=name, message=f"{which} is missing")
                elif key == "description" and re.sub(r"\W", "", own) == re.sub(
                    r"\W", "", translated
                ):
                    message = (
                        f"the {_LANGUAGES[language]} definition is the {_LANGUAGES[first]} one"
                    )
                    yield Finding(kpi=name, message=message)


_LANGUAGES = {"en": "English", "fr": "French"}


def _named(key: str) -> str:
    return "definition" if key == "description" else key
