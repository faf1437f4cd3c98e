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

    from cadran.access.caller import Caller
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


def versioned(allowed: Allowed, layer: Layer) -> tuple[str, ...]:
    """The metrics of a question as they are recorded: `net_revenue@2` for a KPI."""
    version = allowed.query.version
    return tuple(
        f"{name}@{version or layer.card(name).version}" if layer.is_kpi(name) else name
        for name in allowed.query.metrics
    )


def outcome(problem: Exception) -> str:
    """How a question ended that was not answered."""
    if isinstance(problem, LimitError):
        return "limited"
    if isinstance(problem, StoppedError):
        return "stopped"
    if isinstance(problem, (NotAllowedError, NotGovernedError)):
        return "refused"
    return "failed"


MEGABYTE = 1_000_000


def entitled(caller: Caller, scope: str) -> None:
    """Refuse what the caller's token is not for.

    Raises:
        NotAllowedError: so.
    """
    if scope not in caller.scopes:
        what = {"query": "ask for numbers", "metadata": "see what there is"}.get(scope, scope)
        has = ", ".join(sorted(caller.scopes)) or "none"
        raise NotAllowedError(
            f"{caller.name} may not {what}: that needs a token with the scope {scope} (it has"
            f" {has})."
        )


def bounded(allowed: Allowed, caller: Caller) -> Allowed:
    """The question with a limit one row above what the caller may take, if it had none below."""
    most, query = caller.limits.rows, allowed.query
    if most is None or (query.limit is not None and query.limit <= most + 1):
        return allowed
    return replace(allowed, query=replace(query, limit=most + 1))


def whole(answer: Answer, allowed: Allowed, caller: Caller) -> Answer:
    """The answer to a bounded question as that to the whole one, when all of it is there.

    Raises:
        LimitError: it is more than the caller may take.
    """
    check(answer, caller)
    if answer.key == repr(allowed):
        return answer
    query = replace(answer.query, limit=allowed.query.limit)
    kept_as = answer.state, allowed
    return replace(answer, query=query, key=repr(allowed), kept_as=kept_as)


def check(answer: Answer, caller: Caller) -> None:
    """Hold an answer against the limits of the caller.

    Raises:
        LimitError: it is more than the caller may take.
    """
    most, megabytes = caller.limits.rows, caller.limits.megabytes
    rows, size = answer.table.num_rows, answer.table.nbytes / MEGABYTE
    if most is not None and rows > most:
        raise LimitError(
            f"The answer has more than {most:,} rows; {caller.name} may take {most:,}: ask for"
            " fewer with limit, a filter, a time range or a coarser grain."
        )
    if megabytes is not None and size > megabytes:
        raise LimitError(
            f"The answer has {size:.1f} MB; {caller.name} may take {megabytes:g} MB: ask for less"
            " with limit, a filter, a time range or a coarser grain."
        )
