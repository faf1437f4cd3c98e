"""KPIs found by the words of a question, in English or French, without a model.

A word counts the more the fewer cards have it, and more in a name, a label or a synonym than in a
description.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from cadran.core.project.cards import LANGUAGES
from cadran.formats.words import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cadran.core.project.cards import Card

SHOWN = 5
_WORD = re.compile(r"[a-z0-9]+")
_NAMED, _DESCRIBED, _BESIDE = 4.0, 1.0, 0.5  # what a word weighs by where it stands
_WHOLE = 2.0  # what a synonym or label that stands whole in the question adds, for each word
_SHORTEST = 4  # letters of a stem
_ENDINGS = (
    "ements", "ement", "ments", "ment", "ations", "ation", "ions", "ing", "ies", "ees", "ers",
    "eurs", "eur", "ion", "ed", "es", "ee", "er", "ez", "s", "x", "e", "y",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Match:
    """A KPI that answers to words of a question.

    Attributes:
        card: of the KPI.
        score: how well; larger is better, and only the order means something.
        words: the words of the question that its card has.
    """

    card: Card
    score: float
    words: tuple[str, ...]


def search(cards: Iterable[Card], question: str, shown: int = SHOWN) -> tuple[Match, ...]:
    """The KPIs whose cards have most of a question's words, the best first.

    Args:
        cards: of the KPIs that whoever asks may see.
        question: in plain words.
        shown: most of them.
    """
    documents = [(card, _document(card)) for card in cards]
    spread = Counter(stem for _, document in documents for stem in document.weights)
    stems = _stems(question)
    matches = []
    for card, document in documents:
        weights = {stem: document.weights[stem] for stem in stems if stem in document.weights}
        if not weights:
            continue
        score = sum(
            weight * math.log(1 + len(documents) / spread[stem]) for stem, weight in weights.items()
        )
        score += sum(
            _WHOLE * len(phrase) * max(math.log(1 + len(documents) / spread[s]) for s in phrase)
            for phrase in document.phrases
            if phrase <= stems.keys()
        )
        matches.append(Match(card, score, tuple(stems[stem] for stem in weights)))
    matches.sort(key=lambda m: (-m.score, m.card.tier != "strategic", m.card.name))
    return tuple(matches[:shown])


@dataclass(frozen=True, slots=True)
class _Document:
    """The words of a card with what they weigh, and its labels and synonyms as sets of words."""

    weights: dict[str, float]
    phrases: frozenset[frozenset[str]]


def _document(card: Card) -> _Document:
    languages = [card.localized(lang) for lang in LANGUAGES]
    labels = [card.name.replace("_", " "), *(one.label for one in languages), *card.synonyms]
    parts = [
        (_NAMED, labels),
        (_DESCRIBED, [text for one in languages for text in (one.description, one.formula)]),
        (_BESIDE, [card.objective, *card.dimensions]),
    ]
    weights: dict[str, float] = {}
    for weight, texts in reversed(parts):
        for text in texts:
            weights |= dict.fromkeys(_stems(text), weight)
    return _Document(weights, frozenset(frozenset(_stems(text)) for text in labels) - {frozenset()})


@lru_cache(maxsize=4096)
def _stems(text: str) -> Mapping[str, str]:
    """The stems of the words that say something, each with the word as it was written."""
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", text.casefold())
        if not unicodedata.combining(letter)
    )
    return {_stem(word): word for word in _WORD.findall(plain) if word not in _silent()}


@cache
def _silent() -> frozenset[str]:
    """Words of questions that say nothing of what is asked."""
    return frozenset(word for lang in LANGUAGES for word in words("search", lang)["silent"].split())


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            return word[: -len(ending)]
    return word
