"""What is told beside the rows: cards, breaks, errors, all without what a role may not know."""

from __future__ import annotations

import logging
import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from cadran.errors import (
    BusyError,
    CadranError,
    LimitError,
    NotAllowedError,
    NotGovernedError,
    QueryError,
    StoppedError,
    UnknownNameError,
    WarehouseError,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from cadran.access.gate import Allowed, Visible
    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.serving.response import Answer


_LOG = logging.getLogger("cadran.serving")
# A comment with the blanks before it; what is in quotes is none, whatever it holds.
_COMMENT = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")|\s*(?:/\*.*?\*/|--[^\n]*)""", re.DOTALL)


def redacted(answer: Answer, allowed: Allowed, visible: Visible, layer: Layer) -> Answer:
    """An answer without what its role may not know beside the rows."""
    breaks = answer.breaks
    if allowed.query.confined or allowed.hides:
        # The value before a break is that of all rows, however few they were.
        breaks = tuple(replace(version_break, value_before=None) for version_break in breaks)
    names = metric_names(layer)
    cards = {name: visible_card(card, visible, names) for name, card in answer.cards.items()}
    return replace(answer, breaks=breaks, cards=cards, sql=visible_sql(answer.sql, visible, layer))


def visible_sql(sql: str, visible: Visible, layer: Layer) -> str:
    """SQL to be read, in which names that its reader may not know of stand as `hidden_1`.

    It has no comments: MetricFlow writes names of what it reads into them, in quotes.
    """
    hidden = {name for name in metric_names(layer) if not visible.metric(name)}
    shown: set[str] = set()
    for item in layer.dimensions():
        (shown if visible.dimension(item["name"]) else hidden).update(_parts(item["name"]))
    hidden -= shown
    numbers: dict[str, str] = {}

    def shown_word(word: re.Match[str]) -> str:
        folded = word[0].lower()
        base = next((name for name in hidden if folded in (name, f"__{name}")), None)
        base = base or next((n for n in hidden if "__" in n and folded.startswith(f"{n}__")), None)
        return word[0] if base is None else numbers.setdefault(base, f"hidden_{len(numbers) + 1}")

    # A word in quotes is a value, which the role's own filter may hold; a whole name is a name.
    parts = re.split(r"('(?:[^']|'')*')", _COMMENT.sub(lambda found: found[1] or "", sql).strip())
    parts[::2] = [re.sub(r"\w+", shown_word, part) for part in parts[::2]]
    parts[1::2] = [re.sub(r"\w+__\w+", shown_word, part) for part in parts[1::2]]
    return "".join(parts)


def _parts(dimension: str) -> tuple[str, str]:
    """A dimension's name as it is asked, and the name of its column."""
    return dimension.lower(), dimension.lower().rpartition("__")[2]


def metric_names(layer: Layer) -> frozenset[str]:
    """Every metric of a layer, hidden ones included."""
    return frozenset(metric["name"] for metric in layer.project.semantic_manifest["metrics"])


def visible_card(card: Card, visible: Visible, names: Collection[str]) -> Card:
    """A card without names that its reader may not know of.

    Args:
        card: one KPI.
        visible: what the reader may know of.
        names: of every metric there is.
    """

    def visible_text(text: str | None) -> str | None:
        words = re.findall(r"\w+", text or "")
        return text if all(visible.metric(word) for word in words if word in names) else None

    return replace(
        card,
        dimensions=tuple(name for name in card.dimensions if visible.dimension(name)),
        drivers=tuple(name for name in card.drivers if visible.metric(name)),
        replaced_by=visible_text(card.replaced_by),
        relation=visible_text(card.relation),
    )


def without_values(problem: WarehouseError, allowed: Allowed) -> CadranError:
    """An error that tells nothing of rows, files or SQL: the warehouse's own words may."""
    if isinstance(problem, (StoppedError, BusyError)):
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
    if isinstance(problem, (LimitError, BusyError)):
        return "limited"
    if isinstance(problem, StoppedError):
        return "stopped"
    if isinstance(problem, (NotAllowedError, NotGovernedError, UnknownNameError)):
        return "refused"
    return "failed"
