"""How much of an answer a caller may take, and how no more than that is computed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cadran.errors import LimitError, NotAllowedError

if TYPE_CHECKING:
    from cadran.access.caller import Caller
    from cadran.access.gate import Allowed
    from cadran.serving.answer import Answer

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
    most, query = caller.limits.rows, allowed.question.query
    if most is None or (query.limit is not None and query.limit <= most + 1):
        return allowed
    return replace(
        allowed, question=replace(allowed.question, query=replace(query, limit=most + 1))
    )


def whole(answer: Answer, allowed: Allowed, caller: Caller) -> Answer:
    """The answer to a bounded question as that to the whole one, when all of it is there.

    Raises:
        LimitError: it is more than the caller may take.
    """
    check(answer, caller)
    if answer.key == repr(allowed):
        return answer
    query = replace(answer.query, limit=allowed.question.query.limit)
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
