"""The page of service levels: budgets, the month of one of them, alerts, months, contracts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cadran.charts import timelines
from cadran.errors import QueryError, UnknownNameError
from cadran.formats import numbers, periods
from cadran.governance.settlement import settled_months
from cadran.insight import service_levels
from cadran.reliability import sla, status
from cadran.reliability.sla_statement import amount, percent
from cadran.web import alerts as alert_pages
from cadran.web import marks

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from cadran.charts.picture import Plot
    from cadran.insight.readings import Reader, Reading
    from cadran.insight.service_levels import Level
    from cadran.insight.wording import Words
    from cadran.reliability.alerts.store import Store
    from cadran.reliability.sla import Contract, Settlement

_LIMITS = (0.5, 0.25)  # of a budget, drawn where a policy watches it
_MOST_FIRINGS, _MOST_MONTHS = 8, 13
_STABLE = 1.0  # burn, up to which a budget outlasts its window
RESTORED = "hours_to_restore_mean"


@dataclass(frozen=True, slots=True)
class BurnDown:
    """The budget of one SLO over the days of a month.

    Attributes:
        level: which.
        title: of its card.
        sub: what the curve is of.
        plot: the curve; None where there is none, as for a composite.
        members: what a composite is made of.
    """

    level: Level
    title: str
    sub: str
    plot: Plot | None
    members: list[Level]


@dataclass(frozen=True, slots=True)
class ContractRow:
    """A contract and its month, in words."""

    title: str
    customer: str
    tone: str
    state: str
    commitment: str
    gross: str
    net: str
    left: str
    until: str
    credit: str


def page(reader: Reader, w: Words, alerts: Store | None, slo_id: str = "") -> dict[str, Any]:
    """What the page of service levels holds.

    Args:
        reader: of whoever asks.
        w: the words of the page.
        alerts: what alerts are remembered in; None where none are evaluated.
        slo_id: the SLO whose month is shown; by default the most threatened.

    Raises:
        UnknownNameError: there is no such SLO, or not for whoever asks.
    """
    levels = service_levels.levels(reader, w)
    by_id = {level.id: level for level in levels}
    if slo_id and slo_id not in by_id:
        raise UnknownNameError("SLO", slo_id, by_id)
    names = {level.id: f"{level.service} · {level.label}" for level in levels}
    months = service_levels.months_of(reader, list(by_id)) if levels else []
    starts = sorted({row["period_start"] for row in months}, reverse=True)
    month = chosen_month(reader, starts)
    is_known = month in starts  # a month of the address alone is read from nowhere
    firings = alert_pages.firings(reader, alerts, w, names)
    return {
        "title": w("levels"),
        "until": max(filter(None, (reader.through(kpi) for kpi in _kpis(levels))), default=None),
        "levels": [
            (level, service_levels.window_text(level.status, w), _exhaustion(level, w))
            for level in levels
        ],
        "facts": _facts(levels, w),
        "restored": restored(reader),
        "month": month,
        "months": sorted({*starts[:_MOST_MONTHS], *([month] if month else [])}, reverse=True),
        "burn_down": _burn_down(reader, w, by_id, slo_id, month, is_known=is_known)
        if month and levels
        else None,
        "firings": None if firings is None else firings[:_MOST_FIRINGS],
        "heat": service_levels.heat(reader, w, levels),
        "contracts": contracts(reader, w, month) if is_known else None,
        "sees_incidents": service_levels.sees_incidents(reader),
    }


def chosen_month(reader: Reader, months: Sequence[dt.date]) -> dt.date | None:
    """The month that the view is of, else the latest of those there are."""
    view = reader.view
    if view.start is not None and view.grain == "month":
        return view.start
    return max(months, default=None)


def restored(reader: Reader) -> Reading | None:
    """The mean time to restore in the view's period, for those who may see it."""
    cards = [card for card in reader.source.kpis if card.name == RESTORED]
    return reader.readings(cards, history=1)[0] if cards else None


def _kpis(levels: Sequence[Level]) -> set[str]:
    return {level.status.kpi for level in levels}


def _facts(levels: Sequence[Level], w: Words) -> dict[str, Any]:
    """How many objectives hold, how many do not, and which burns fastest."""
    tones = [level.tone for level in levels]
    burning = [level for level in levels if level.status.burn_rate_1h is not None]
    hottest = max(burning, key=lambda level: level.status.burn_rate_1h or 0.0, default=None)
    return {
        "held": w("of_all", n=w.number(sum(t in {"ok", "near"} for t in tones)),
                  all=w.number(len(levels))),
        "overspent": tones.count("bad"),
        "watched": tones.count("near"),
        "hottest": hottest,
    }  # fmt: skip


def _exhaustion(level: Level, w: Words) -> str:
    """When the budget is gone at the pace of the last hour."""
    one = level.status
    if one.remaining_rate is None:
        return numbers.DASH
    if one.remaining_rate < 0:
        return w("state_overspent")
    if one.burn_rate_1h is None or one.burn_rate_1h <= _STABLE or one.hours_to_exhaustion is None:
        return w("stable")
    return w.hours(float(one.hours_to_exhaustion))


def _burn_down(  # noqa: PLR0913 - an SLO, its month and its words
    reader: Reader,
    w: Words,
    by_id: dict[str, Level],
    slo_id: str,
    month: dt.date,
    *,
    is_known: bool,
) -> BurnDown | None:
    """The month of an SLO; by default of the most threatened that has units of its own."""
    own = [level for level in by_id.values() if not level.status.is_composite]
    level = by_id.get(slo_id) or next(iter(own), None)
    if level is None:
        return None
    layer = reader.source.layer
    title = w("burndown", label=f"{level.service}, {level.label}", month=w.period(month, "month"))
    if level.status.is_composite:
        members = reader.cached(("members", level.id), lambda: status.members(layer, level.id))
        parts = [by_id[row["slo_id"]] for row in members if row["slo_id"] in by_id]
        return BurnDown(level, title, w("composite"), None, parts)
    key = ("burn_down", level.id, month)
    days = reader.cached(key, lambda: status.burn_down(layer, level.id, month)) if is_known else []
    if not days:
        return BurnDown(level, title, w("burndown_none"), None, [])
    has_policy = level.id in reader.cached("tiers", lambda: status.tiers(layer))
    happened = marks.lane(
        reader, w, days[0]["local_date"], days[-1]["local_date"], "day",
        service=level.status.subject,
    )  # fmt: skip
    plot = timelines.burndown(
        {row["local_date"]: row["remaining_rate"] for row in days},
        title=title,
        words=(w("day_head"), w("left_now"), w("even")),
        limits=[(share, w.share(share)) for share in _LIMITS] if has_policy else (),
        events=happened.marks,
        lang=w.lang,
    )
    sub = f"{w('burndown_sub', target=level.target)} {happened.legend}".strip()
    return BurnDown(level, title, sub, plot, [])


def contracts(reader: Reader, w: Words, month: dt.date | None) -> dict[str, Any] | None:
    """The contracts in force in a month; None where there are none, or none may be seen."""
    root = reader.source.layer.project.root
    if root is None:
        return None
    folder = root / "contracts"
    try:
        every = reader.cached("contracts", lambda: sla.read_contracts(folder))
    except QueryError:
        return {"month": month, "rows": [], "kept": "", "credit": "", "is_broken": True}
    seen = [one for one in every.values() if reader.whole(one.kpi)]
    if not seen:
        return None
    month = month or periods.start_of(reader.last_day(), "month")
    in_force = [one for one in seen if _is_in_force(one, month)]
    settled = [(one, _settlement(reader, one, month)) for one in in_force]
    judged = [one for _, one in settled if one is None or not one.is_running]
    over = [one for one in judged if one is not None]
    due: dict[str, Decimal] = defaultdict(Decimal)
    for one in over:
        due[one.contract.currency] += one.credit
    credit = " + ".join(
        numbers.measure(amount, currency, decimals=2, lang=w.lang)
        for currency, amount in sorted(due.items())
    )
    return {
        "month": month,
        "rows": [contract_row(contract, settlement, w) for contract, settlement in settled],
        "kept": w(
            "of_all", n=w.number(sum(one.is_kept for one in over)), all=w.number(len(judged))
        ),
        "credit": credit,
        "is_running": not judged,
        "is_broken": False,
    }


def _is_in_force(contract: Contract, month: dt.date) -> bool:
    return contract.starts <= periods.last_of(month, "month") and (
        contract.ends is None or contract.ends >= month
    )


def _settlement(reader: Reader, contract: Contract, month: dt.date) -> Settlement | None:
    """A month of a contract, as the ledger has it once it is settled; None without data of it."""

    def settle() -> Settlement | None:
        layer = reader.source.layer
        of_ledger = settled_months(layer, contract.contract, month, newest=True)
        if of_ledger:
            return of_ledger[0].settlement
        try:
            return sla.settle(layer, contract, month)
        except QueryError:
            return None

    return reader.cached_for(("board_settlement", contract.contract, month), settle)


def contract_row(contract: Contract, settlement: Settlement | None, w: Words) -> ContractRow:
    """A month of a contract in words; one that is not over is not judged and owes nothing yet."""
    title = contract.fr.title if w.lang == "fr" else contract.title
    commitment = w.target(contract.target)
    if settlement is None or settlement.net is None:
        dash = numbers.DASH
        return ContractRow(
            title, contract.customer, "", w("state_none"), commitment, dash, dash, dash, "", dash
        )
    tone, state = _standing(settlement, w)
    ahead = [tier for tier in contract.tiers if settlement.net >= tier.below]
    left = settlement.minutes_left
    return ContractRow(
        title,
        contract.customer,
        tone,
        state,
        commitment,
        percent(settlement.gross, w.lang),
        percent(settlement.net, w.lang),
        w("last_tier") if left is None else w.hours(left / 60),
        w("until_tier", share=w.target(ahead[0].below)) if ahead else "",
        numbers.DASH if settlement.is_running else amount(settlement, w.lang),
    )


def _standing(settlement: Settlement, w: Words) -> tuple[str, str]:
    if settlement.is_running:
        return ("ok" if settlement.is_kept else "near"), w("running_month")
    if settlement.credit:
        return "bad", w("credit_due")
    return ("ok", w("kept")) if settlement.is_kept else ("near", w("below_promise"))
