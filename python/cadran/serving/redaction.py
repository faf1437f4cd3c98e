"""What is told beside the rows: cards, breaks, errors, all without what a role may not know."""

from __future__ import annotations

import logging
import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from cadran.errors import (
    CadranError,
    LimitError,
    NotAllowedError,
    NotGovernedError,
    QueryError,
    StoppedError,
    WarehouseError,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from cadran.access.gate import Allowed, Visible
    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.serving.response import Answer


_LOG = logging.getLogger("cadran.serving")


def cut(answer: Answer, allowed: Allowed, seen: Visible, layer: Layer) -> Answer:
    """An answer without what its role may not know beside the rows."""
    breaks = answer.breaks
    if allowed.query.confined or allowed.hides:
        # The value before a break is that of all rows, however few they were.
        breaks = tuple(replace(one, value_before=None) for one in breaks)
    names = metric_names(layer)
    cards = {name: seen_card(card, seen, names) for name, card in answer.cards.items()}
    return replace(answer, breaks=breaks, cards=cards)


def metric_names(layer: Layer) -> frozenset[str]:
    """Every metric of a layer, hidden ones included."""
    return frozenset(metric["name"] for metric in layer.project.semantic_manifest["metrics"])


def seen_card(card: Card, seen: Visible, names: Collection[str]) -> Card:
    """A card without names that its reader may not know of.

    Args:
        card: one KPI.
        seen: what the reader may know of.
        names: of every metric there is.
    """

    def told(text: str | None) -> str | None:
        words = re.findall(r"\w+", text or "")
        return text if all(seen.metric(word) for word in words if word in names) else None

    return replace(
        card,
        dimensions=tuple(name for name in card.dimensions if seen.dimension(name)),
        drivers=tuple(name for name in card.drivers if seen.metric(name)),
        replaced_by=told(card.replaced_by),
        relation=told(card.relation),
    )


def without_values(problem: WarehouseError, allowed: Allowed) -> CadranError:
    """An error that tells nothing of rows, files or SQL: the warehouse's own words may."""
    if isinstance(problem, StoppedError):
        return problem
    number = secrets.token_hex(4)
    _LOG.error("%s: %s", number, problem)
    if allowed.query.where:
        return QueryError(
            "The warehouse cannot apply the filter: compare text with text in single quotes,"
            f" numbers with numbers and dates with dates. It is recorded as {number}."
        )
    return WarehouseError(f"The warehouse could not answer; it is recorded as {number}.")


def outcome(problem: Exception) -> str:
    """How a question ended that was not answered."""
    if isinstance(problem, LimitError):
        return "limited"
    if isinstance(problem, StoppedError):
        return "stopped"
    if isinstance(problem, (NotAllowedError, NotGovernedError)):
        return "refused"
    return "failed"
