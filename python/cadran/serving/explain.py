"""Why a value is what it is: from a value as published to the value now, or the definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.errors import NotAllowedError, UnknownNameError
from cadran.governance.bridge import bridge
from cadran.governance.close import period as read_period
from cadran.governance.revisions import revisions
from cadran.serving.about import origin
from cadran.serving.question import Question

if TYPE_CHECKING:
    from cadran.access.gate import Allowed
    from cadran.serving.desk import Asked, Desk
    from cadran.serving.states import State


def explained(  # noqa: PLR0913 - the question of `cadran explain`
    desk: Desk, asked: Asked, kpi: str, period: str, *,
    known_at: str | None = None, by: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The steps from the value that was published of a period to the value now.

    Raises:
        NotAllowedError: the caller's role sees a part of the KPI only; the ledger holds the whole.
        CadranError: as `bridge`.
    """
    card = desk.card(asked.caller, kpi)
    grain, start, end = read_period(period)
    if by is not None and by not in card.dimensions:
        raise UnknownNameError("dimension", by, card.dimensions, where=f" on the card of {kpi}")
    by = by or next(iter(card.dimensions), None)
    groups = [f"metric_time__{grain}", *([by] if by else [])]
    question = Question.of(
        {"metrics": [kpi], "group_by": groups, "start": start.isoformat(), "end": end.isoformat()}
    )

    def work(state: State, allowed: Allowed) -> dict[str, Any]:
        query = allowed.question.query
        if query.confined or query.where or allowed.hides:
            raise NotAllowedError(
                f"What was published of {kpi} is of the whole company, and your role sees a part:"
                f" ask {card.owner.business}."
            )
        if by is None and state.layer.card(kpi).dimensions:
            raise NotAllowedError(f"Your role sees no dimension that would split {kpi}.")
        state.layer.sql([kpi], groups)  # what the card forbids is refused here, in its words
        with desk.interrupting(asked.stop, state.layer.warehouse.stopper()):
            found = bridge(state.layer, kpi, period, known_at=known_at, by=by)
            published = revisions(state.layer, kpi, period)
        return {**found.to_dict(), "unit": card.unit, "published": published}

    return desk.judged(asked, "explain", question, work)


def defined(desk: Desk, asked: Asked, kpi: str, lang: str = "en") -> dict[str, Any]:
    """How a KPI is computed: definition, formula, SQL by its usual grain, models and sources.

    Raises:
        UnknownNameError: there is no such KPI, or not for this caller.
    """
    card = desk.card(asked.caller, kpi).localized(lang)
    grain = "month" if "month" in card.grains else card.grains[-1]
    question = Question.of({"metrics": [kpi], "group_by": [f"metric_time__{grain}"]})
    sql = desk.sql(asked, question)
    with desk.states.use() as state:
        return {
            "kpi": kpi, "definition": card.description, "formula": card.formula,
            "unit": card.unit, "version": card.version, "not_for": list(card.not_for),
            "sql": sql, **origin(state.layer, kpi),
        }  # fmt: skip
