"""Words compared as a reader does: without endings, accents, and words that say nothing."""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher

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
    found = {stem for stem in stems(text) if len(stem) >= _LEAST or stem.isdigit()}
    return {stem for stem in found - empty if not stem.isdigit()} or found


def is_circular(text: str, name: str, label: str) -> bool:
    """True when a text holds no word that says something beside those of the name and the label."""
    said = significant(text)
    return said <= stems(name) | stems(label) | {_stem(word) for word in _EMPTY}


def is_operation(text: str) -> bool:
    """True when a text says how something is computed: "number of orders" says to count."""
    return bool(stems(text) & _OPERATIONS or re.search(r"[/+*]| [-x] ", text))


def is_near(name: str, other: str, least: float = 0.9) -> bool:
    """True when two names are easily taken for each other."""
    words, others = ([_stem(word) for word in each.split("_")] for each in (name, other))
    if sorted(words) == sorted(others):
        return True
    # Names that differ in a whole word, as those by country and by county do not, are two names.
    if len(words) == len(others) and sum(a != b for a, b in zip(words, others, strict=True)) > 1:
        return False
    return SequenceMatcher(None, name, other, autojunk=False).ratio() >= least


def _stem(word: str) -> str:
    for ending, put in (("ies", "y"), ("ings", ""), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST and not word.endswith("ss"):
            word = word[: -len(ending)] + put
            break
    return word.rstrip("e") if len(word) > _LEAST else word
