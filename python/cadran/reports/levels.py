"""Service levels: what contracts promise and what was kept, net and gross; budgets of SLOs."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from typing import TYPE_CHECKING

from cadran.charts import plots
from cadran.errors import CadranError, QueryError
from cadran.formats import periods
from cadran.governance.settlement import settled_months
from cadran.insight import service_levels
from cadran.insight.readings import ENDING
from cadran.reliability import sla
from cadran.reliability.sla_statement import percent
from cadran.reports.pack import (
    Cell,
    Column,
    Figure,
    Page,
    PictureBlock,
    Question,
    Row,
    Series,
    Table,
    Text,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from cadran.insight.service_levels import Level
    from cadran.reliability.sla import Contract, Settlement
    from cadran.reports.basis import Basis
    from cadran.reports.pack import Block, State

FOLDER = "contracts"
CONSUMED, SLO = "error_budget_consumed_rate", "slo_slice__slo_id"
_HEAT_GRAIN = {"month": "week", "quarter": "week", "year": "month"}
_SHORT = 3  # months, up to which gross stands below net
_MOST_LEVELS, _LEAST_LEVELS = 15, 4
_MOST_CONTRACTS = 8


@dataclass(frozen=True, slots=True)
class LevelFacts:
    """What is known of contracts and SLOs in a period.

    Attributes:
        settlements: of each contract by its month; of a settled month as the ledger has it.
        settled: which months are settled, by contract.
        levels: the SLOs that may be seen.
        used: of each SLO, the share of its budget that the period used.
        by_part: the same by week, or by month of a year.
    """

    settlements: dict[str, dict[dt.date, Settlement]]
    settled: frozenset[tuple[str, dt.date]]
    levels: tuple[Level, ...]
    used: dict[str, float]
    by_part: dict[dt.date, dict[str, float]]

    @property
    def credits(self) -> dict[str, Decimal]:
        """Credits by currency; none of contracts that no month is over of."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for months in self.settlements.values():
            for one in closed(months):
                sums[one.contract.currency] += one.credit
        return dict(sums)


def closed(months: Mapping[dt.date, Settlement]) -> list[Settlement]:
    """The months of a contract that are over: one that runs is not judged and owes nothing yet."""
    return [one for one in months.values() if not one.is_running]


def owed(months: Mapping[dt.date, Settlement]) -> Decimal:
    """The credits of a contract, in its currency."""
    return sum((one.credit for one in closed(months)), Decimal(0))


def facts(basis: Basis) -> LevelFacts:
    """What is known of contracts and SLOs in the period of a pack."""
    reader, w = basis.reader, basis.words
    levels = tuple(service_levels.levels(reader, w))
    settlements: dict[str, dict[dt.date, Settlement]] = {}
    settled: set[tuple[str, dt.date]] = set()
    root = basis.source.layer.project.root
    contracts = sla.read_contracts(root / FOLDER) if root is not None else {}
    for name, contract in contracts.items():
        if not reader.whole(contract.kpi):
            continue
        by_month = {}
        for month in _months(basis):
            one, is_settled = reader.cached_for(
                ("settlement", name, month), partial(_settlement, basis, contract, month)
            )
            if one is not None:
                by_month[month] = one
            if is_settled:
                settled.add((name, month))
        if by_month:
            settlements[name] = by_month
    used, by_part = _budgets(basis, levels)
    return LevelFacts(settlements, frozenset(settled), levels, used, by_part)


def _settlement(basis: Basis, contract: Contract, month: dt.date) -> tuple[Settlement | None, bool]:
    layer = basis.source.layer
    of_ledger = settled_months(layer, contract.contract, month, newest=True)
    if of_ledger:
        return of_ledger[0].settlement, True
    try:
        return sla.settle(layer, contract, month), False
    except QueryError:
        return None, False  # before the contract, after it, or without data


def _months(basis: Basis) -> list[dt.date]:
    months, month = [], basis.start
    while month <= basis.window.last:
        months.append(month)
        month = periods.shifted(month, "month", 1)
    return months


def _budgets(
    basis: Basis, levels: tuple[Level, ...]
) -> tuple[dict[str, float], dict[dt.date, dict[str, float]]]:
    """The budget that each SLO used, over the period and by part of it within the period.

    An SLO without valid events in the period has used nothing that could be told.
    """
    if not levels or not basis.source.sees(CONSUMED):
        return {}, {}
    window, grain = basis.window, _HEAT_GRAIN[basis.grain]
    time = f"metric_time__{grain}"

    def used(first: dt.date, last: dt.date) -> dict[str, float]:
        rows = basis.source.rows([CONSUMED], [SLO], start=first, end=last)
        return {row[SLO]: row[CONSUMED] for row in rows if row[CONSUMED] is not None}

    by_part: dict[dt.date, dict[str, float]] = defaultdict(dict)
    try:
        whole = used(window.first, window.last)
        parts = basis.source.rows([CONSUMED], [time, SLO], start=window.first, end=window.last)
        for row in parts:
            by_part[row[time]][row[SLO]] = row[CONSUMED]
        for start in by_part:
            last = periods.last_of(start, grain)
            if start < window.first or last > window.last:  # a grain is answered whole
                by_part[start] = used(max(start, window.first), min(last, window.last))
    except ENDING:
        raise
    except CadranError:
        return {}, {}
    return whole, dict(by_part)


def page(basis: Basis, facts: LevelFacts) -> Page | None:
    """The service levels; None where there are neither contracts nor SLOs."""
    if not facts.settlements and not facts.used:
        return None
    w = basis.words
    blocks: list[Block] = []
    if facts.settlements:
        blocks.append(_contracts(basis, facts))
    if facts.used:
        blocks += _objectives(basis, facts)
    foot = w("foot_levels", zone=w.zone)
    if facts.used and _HEAT_GRAIN[basis.grain] == "week":
        foot = f"{foot} {w('foot_weeks')}"
    return Page(
        "levels", "3", w("levels_page"), _title(basis, facts), _subtitle(basis, facts),
        tuple(blocks), foot,
    )  # fmt: skip


def _contracts(basis: Basis, facts: LevelFacts) -> Table:
    w, months = basis.words, _months(basis)
    is_short = len(months) <= _SHORT
    name, promise, excluded, credit = (70.0, 24.0, 26.0, 30.0) if is_short else (54, 17, 0, 22)
    each = (269.0 - name - promise - excluded - credit) / len(months)
    each = min(each, 34.0)
    name = 269.0 - promise - excluded - credit - each * len(months)
    columns = [Column(w("contract"), name), Column(w("promised"), promise, "right")]
    columns += [Column(periods.short(month, "month", w.lang), each, "right") for month in months]
    if is_short:
        columns.append(Column(w("excluded"), excluded, "right"))
    columns.append(Column(w("credit"), credit, "right"))
    ordered = sorted(facts.settlements.items(), key=lambda entry: -owed(entry[1]))
    rows = [
        _contract(basis, contract, of_month, months, is_short=is_short)
        for contract, of_month in ordered[:_MOST_CONTRACTS]
    ]
    for currency, total in facts.credits.items():
        cells = [Cell(w("credits_total"), weight="strong"), *(Cell() for _ in columns[1:-1])]
        figure = Figure(
            w.money(total, currency, 2), total, currency, origin=f"sla credits {currency}",
            definition=_contracted(facts),
        )  # fmt: skip
        rows.append(Row((*cells, Cell(figure=figure, weight="strong")), "total"))
    sub = w("contracts_sub") if is_short else w("contracts_sub_year")
    if len(ordered) > _MOST_CONTRACTS:
        sub += w.counted("not_shown", len(ordered) - _MOST_CONTRACTS)
    return Table(w("contracts"), sub, tuple(columns), tuple(rows), is_dense=True)


def _contract(
    basis: Basis,
    name: str,
    of_month: dict[dt.date, Settlement],
    months: list[dt.date],
    *,
    is_short: bool,
) -> Row:
    w = basis.words
    contract = next(iter(of_month.values())).contract
    title = contract.fr.title if w.lang == "fr" else contract.title
    services = w.listed([w.name(service) for service in contract.services])
    cells = [
        Cell(w.print(title), small=w.print(f"{contract.customer} · {services}"), weight="strong"),
        Cell(f"≥ {w.target(contract.target)}"),
    ]
    for month in months:
        one = of_month.get(month)
        if one is None or one.net is None:
            cells.append(Cell(w("none_sign"), weight="muted"))
            continue
        cells.append(_month(basis, name, one, is_short=is_short))
    if is_short:
        minutes = sum(one.excluded_minutes for one in of_month.values())
        text = f"{w.number(minutes)}\N{NO-BREAK SPACE}min" if minutes else w("none_sign")
        cells.append(
            Cell(
                figure=Figure(
                    text, minutes, "minutes", origin=f"sla {name} excluded minutes",
                    definition=contracted(contract),
                )
            )
        )  # fmt: skip
    if not closed(of_month):
        cells.append(Cell(w("none_sign"), weight="muted"))
        return Row(tuple(cells))
    total = owed(of_month)
    state: State = "bad" if total else ""
    text = w.money(total, contract.currency, 2) if total else w("no_credit")
    cells.append(
        Cell(
            figure=Figure(text, total, contract.currency, origin=f"sla {name} credits",
                          definition=contracted(contract)),
            state=state, weight="strong" if total else "muted",
        )
    )  # fmt: skip
    return Row(tuple(cells))


def _decimals(basis: Basis) -> int:
    """Of availability: those that columns have room for."""
    return 3 if len(_months(basis)) <= _SHORT else 2


def _month(basis: Basis, name: str, one: Settlement, *, is_short: bool) -> Cell:
    w = basis.words
    origin = f"sla {name} {one.month:%Y-%m}"
    decimals = _decimals(basis)
    definition = contracted(one.contract)
    net = Figure(percent(one.net, w.lang, decimals), one.net, "%", origin=f"{origin} net",
                 definition=definition)  # fmt: skip
    state: State = "" if one.is_running else "ok" if one.is_kept else "bad"
    if not is_short:
        return Cell(figure=net, state="bad" if state == "bad" else "")
    shown = percent(one.gross, w.lang, decimals)
    gross = Figure(
        w("gross_same") if shown == net.text else w("gross", value=shown), one.gross, "%",
        origin=f"{origin} gross", definition=definition,
    )  # fmt: skip
    return Cell(figure=net, small=gross.text, small_figures=(gross,), state=state,
                has_sign=bool(state))  # fmt: skip


def _objectives(basis: Basis, facts: LevelFacts) -> list[Block]:
    w = basis.words
    shown = [one for one in facts.levels if one.id in facts.used]
    shown.sort(key=lambda one: -facts.used[one.id])
    above = min(len(facts.settlements), _MOST_CONTRACTS)
    # Room that contracts leave; those of a year have narrow columns and so higher rows.
    room = _MOST_LEVELS - 2 * max(above - _SHORT, 0) - (3 if basis.grain == "year" and above else 0)
    most = max(_LEAST_LEVELS, room)
    cut = len(shown) - most
    shown = sorted(shown[:most], key=lambda one: (one.label, one.service))
    starts = sorted(facts.by_part)
    grain = _HEAT_GRAIN[basis.grain]
    heads, before = [], 0
    for start in (max(start, basis.start) for start in starts):
        text = periods.short(start, grain, w.lang)
        head = text if grain == "month" or start.month != before else str(start.day)
        before = start.month
        heads.append(head)
    rows = [(one.title, [facts.by_part[s].get(one.id) for s in starts]) for one in shown]
    title = w("objectives")
    heat = plots.heat(
        [
            (name, [*values, facts.used[one.id]])
            for (name, values), one in zip(rows, shown, strict=True)
        ],
        [*heads, w("whole_period")], title=title,
        legend=[w(f"heat_{index}") for index in range(5)], lang=w.lang,
    )  # fmt: skip
    series = tuple(
        Series(
            name, tuple(heads), tuple(values), "%", "cell",
            tuple(_part_of(basis, grain, start, one.id) for start in starts), aimed(one),
        )
        for (name, values), one in zip(rows, shown, strict=True)
    )  # fmt: skip
    sub = w(f"objectives_sub_{grain}") + (w.counted("not_shown", cut) if cut > 0 else "")
    return [PictureBlock(title, sub, heat, series)]


def _part_of(basis: Basis, grain: str, start: dt.date, slo_id: str) -> Question:
    """How the budget that an SLO used in a part of the period was asked; see `_budgets`."""
    window, last = basis.window, periods.last_of(start, grain)
    if start < window.first or last > window.last:
        return Question(CONSUMED, max(start, window.first), min(last, window.last),
                        dimension=SLO, member=slo_id)  # fmt: skip
    return Question(CONSUMED, start, last, grain=grain, dimension=SLO, member=slo_id)


def contracted(contract: Contract) -> str:
    """What the figures of a contract rest on beside the data: its text, told by a hash."""
    digest = hashlib.sha256(contract.model_dump_json().encode()).hexdigest()
    return f"contract {contract.contract} {digest[:12]}"


def _contracted(facts: LevelFacts) -> str:
    of = [next(iter(months.values())).contract for months in facts.settlements.values()]
    return "; ".join(sorted(map(contracted, of)))


def aimed(level: Level) -> str:
    """What the figures of an SLO rest on beside the data."""
    target = level.status.target
    return "" if target is None else f"target {target}"


def used_figures(basis: Basis, facts: LevelFacts) -> dict[str, Figure]:
    """What each SLO used of its budget in the period, as figures."""
    w, window = basis.words, basis.window

    @cache
    def figure(name: str) -> Figure:
        share = facts.used[name]
        is_close = 0.995 <= share < 1.005  # noqa: PLR2004 - what would read 100 on either side
        question = Question(CONSUMED, window.first, window.last, dimension=SLO, member=name)
        return Figure(w.share(share, 1 if is_close else 0), share, "%", question,
                      definition=targets.get(name, ""))  # fmt: skip

    targets = {one.id: aimed(one) for one in facts.levels}
    return {name: figure(name) for name in facts.used}


def credit_figures(basis: Basis, facts: LevelFacts) -> list[Figure]:
    """The credits of the period, one of each currency; none where nothing is owed."""
    return [
        Figure(basis.words.money(total, currency), total, currency,
               origin=f"sla credits {currency}", definition=_contracted(facts))
        for currency, total in facts.credits.items() if total
    ]  # fmt: skip


def _title(basis: Basis, facts: LevelFacts) -> Text:
    w = basis.words
    figures = used_figures(basis, facts)
    over = sorted((n for n in figures if facts.used[n] > 1), key=lambda n: -facts.used[n])
    judged = list(filter(None, map(closed, facts.settlements.values())))
    if judged:
        kept = [months for months in judged if all(one.is_kept for one in months)]
        if len(kept) == len(judged):
            return Text(w.counted("contracts_kept_all", len(kept)))
        amounts = credit_figures(basis, facts)
        always = w("every_month") if basis.grain != "month" else ""
        text = w.counted("contracts_kept_some", len(kept), total=len(judged), always=always)
        listed = w.listed([one.text for one in amounts])
        text += w("credits_follow", credits=listed) if amounts else "."
        return Text(w.sentence(text), "", tuple(amounts))
    if over:
        text = w.counted("budgets_over", len(over), total=len(figures))
        return Text(w.sentence(text))
    return Text(w.counted("budgets_held", len(figures)) if figures else w("contracts_open"))


def _subtitle(basis: Basis, facts: LevelFacts) -> Text:
    w = basis.words
    figures = used_figures(basis, facts)
    names = {one.id: w.objective(one) for one in facts.levels}
    over = sorted(
        (n for n in figures if facts.used[n] > 1 and n in names), key=lambda n: -facts.used[n]
    )
    parts: list[str] = []
    used: list[Figure] = []
    if over:
        first = figures[over[0]]
        parts.append(
            w.sentence(w.counted("budgets_over_told", len(over), is_feminine=False,
                                 worst=names[over[0]], used=first.text))
        )  # fmt: skip
        used.append(first)
    elif figures:
        parts.append(w("budgets_none_over"))
    worst = _worst(basis, facts)
    if worst is not None:
        parts.append(worst.text)
        used += worst.figures
    is_open = any(one.is_running for m in facts.settlements.values() for one in m.values())
    if is_open and (figures or any(closed(m) for m in facts.settlements.values())):
        parts.append(w("contracts_open"))  # else it is the title
    moved = [one for m in facts.settlements.values() for one in m.values() if one.gross != one.net]
    decimals = _decimals(basis)
    if any(percent(o.gross, w.lang, decimals) != percent(o.net, w.lang, decimals) for o in moved):
        parts.append(w("exclusions_matter"))
    elif moved:
        parts.append(w("exclusions_small"))
    elif facts.settlements:
        parts.append(w("exclusions_none"))
    return Text(" ".join(parts), "", tuple(used))


def _worst(basis: Basis, facts: LevelFacts) -> Text | None:
    """The contract that costs most of the credits, where several do."""
    w = basis.words
    amounts = {name: owed(months) for name, months in facts.settlements.items()}
    if sum(amount > 0 for amount in amounts.values()) < 2:  # noqa: PLR2004 - one is all of it
        return None
    name = max(amounts, key=lambda contract: (amounts[contract], contract))
    contract = next(iter(facts.settlements[name].values())).contract
    figure = Figure(
        w.money(amounts[name], contract.currency), amounts[name], contract.currency,
        origin=f"sla {name} credits", definition=contracted(contract),
    )  # fmt: skip
    title = contract.fr.title if w.lang == "fr" else contract.title
    return Text(w("worst_contract", worst=title, credit=figure.text), "", (figure,))
