"""Exact contributions to a change of one KPI: of the members of a dimension, or of its factors.

What is added up here adds up to the change. It says where the change lies, never what caused it.
Amounts are taken as fractions, so that nothing is lost before a number is shown. A sum changes by
what each member changes. A ratio of sums R = sum(w r), with w a member's share of the denominator
and r its rate, changes by mean(w) x change(r), the rate effect, and (mean(r) - mean(R)) x
change(w), the mix effect. Of factors see `attribution`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cadran.core.components import DENOMINATOR, NUMERATOR
from cadran.core.days import Days
from cadran.core.semantics import tree
from cadran.core.semantics.metrics import ADDITIVE, SEMI_ADDITIVE
from cadran.errors import NotAllowedError, QueryError, UnknownNameError
from cadran.formats.words import words
from cadran.insight.attribution import Formula, lmdi, shapley
from cadran.insight.breaks import sentence
from cadran.insight.evidence import Evidence, breaks_within, card_of, whole_days

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.core.project.cards import Card
    from cadran.core.semantics.tree import Relation
    from cadran.insight.source import Source

SHOWN = 8
MOST_FACTORS = 6
TOLERANCE = Fraction(1, 10**9)
Number = int | float | Decimal
_Pair = tuple[Fraction, Fraction]  # before and now, or numerator and denominator
_Sides = tuple[_Pair, _Pair]  # numerator and denominator before, and now
_NOTHING: _Pair = (Fraction(0), Fraction(0))


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one member or factor contributes to the change.

    Attributes:
        name: the member; None for rows without one. Of a factor the KPI or metric.
        label: of a factor for people; empty for members.
        base: its value before: of a ratio its rate; None where it had none.
        value: its value now.
        amount: of the change, in the unit of the KPI.
        rate: of a ratio, the part of the amount that its own rate gives.
        mix: of a ratio, the part that its share of the denominator gives.
        base_share: of a ratio, its share of the denominator before.
        share: its share now.
    """

    name: Any
    label: str
    base: Number | None
    value: Number | None
    amount: Number
    rate: float | None = None
    mix: float | None = None
    base_share: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Drivers:
    """A change of a KPI, and what contributes to it; amounts and remainder add up to it.

    Attributes:
        card: of the KPI.
        by: the dimension; None where the contributions are those of factors.
        method: its name and version.
        days: now.
        base_days: before.
        value: of the KPI now.
        base: its value before.
        change: the difference.
        contributions: the largest first.
        others: what the members that are not among them contribute together.
        others_count: how many these are.
        remainder: what rounding leaves of the change.
        evidence: what it rests on.
    """

    card: Card
    by: str | None
    method: str
    days: Days
    base_days: Days
    value: Number
    base: Number
    change: Number
    contributions: tuple[Contribution, ...]
    others: Contribution | None
    others_count: int
    remainder: Number
    evidence: Evidence

    def to_rows(self, lang: str = "en") -> list[dict[str, Any]]:
        """A row for each contribution, then the others, the remainder and the change itself."""
        w = words("drivers", lang)
        rows = [
            self._row(entry, entry.label or _member(entry.name, lang))
            for entry in self.contributions
        ]
        parts = [*self.contributions, *([self.others] if self.others is not None else [])]
        if self.others is not None:
            rows.append(self._row(self.others, w["others"].format(count=self.others_count)))
        effects: tuple[float | None, ...] = (None, None, None, None)
        if self.method == RATES:
            rate = math.fsum(part.rate or 0.0 for part in parts)
            effects = (rate, math.fsum(part.mix or 0.0 for part in parts), 1.0, 1.0)
        rest = Contribution(None, "", None, None, self.remainder)
        whole = Contribution(None, "", self.base, self.value, self.change, *effects)
        return [*rows, self._row(rest, w["remainder"]), self._row(whole, w["change"])]

    def _row(self, entry: Contribution, name: str) -> dict[str, Any]:
        row = {
            "name": name, "base": entry.base, "value": entry.value, "contribution": entry.amount,
            "of_change": float(Fraction(entry.amount) / Fraction(self.change))
            if self.change else None,
        }  # fmt: skip
        if self.method == RATES:
            row |= {
                "rate_effect": entry.rate, "mix_effect": entry.mix,
                "base_share": entry.base_share, "share": entry.share,
            }  # fmt: skip
        return row

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """It as plain values, its method and evidence beside the rows."""
        return {
            "kpi": self.card.name, "label": self.card.localized(lang).label,
            "unit": self.card.unit, "by": self.by, "method": self.method,
            "days": list(self.days), "base_days": list(self.base_days),
            "value": self.value, "base": self.base, "change": self.change,
            "rows": self.to_rows(lang), "notes": self.notes(lang),
            "evidence": self.evidence.to_dict(),
        }  # fmt: skip

    def notes(self, lang: str = "en") -> list[str]:
        """What has to be said beside the numbers."""
        grain = "month" if "month" in self.card.grains else self.card.grains[0]
        notes = [words("drivers", lang)["no_cause"]]
        if self.days.length != self.base_days.length:
            notes.append(
                words("drivers", lang)["unequal"].format(
                    days=self.days.length, base_days=self.base_days.length
                )
            )
        return notes + [sentence(b, self.card, grain, lang) for b in self.evidence.breaks]


SUMS, RATES, LMDI, SHAPLEY = "member-deltas-1", "rate-mix-1", "lmdi-1", "shapley-1"


def by_member(  # noqa: PLR0913 - what is compared, and how much of it is shown
    source: Source,
    kpi: str,
    dimension: str,
    current: Days,
    base: Days,
    *,
    where: Iterable[str] = (),
    shown: int = SHOWN,
) -> Drivers:
    """What each member of a dimension contributes to the change of a KPI between two ranges.

    Args:
        source: the numbers.
        kpi: its name.
        dimension: on its card.
        current: the days now.
        base: the days with which they are compared.
        where: conditions on the rows of both.
        shown: the members that are shown, those with the largest amounts; the rest are `others`.

    Raises:
        UnknownNameError: there is no such KPI or dimension, or not for whoever asks.
        QueryError: the KPI cannot be added up over members, has no value in a range, or a value
            of a member is hidden; or the days are not whole.
        CadranError: as `Layer.query`.
    """
    card, current, base = card_of(source, kpi), Days(*current), Days(*base)
    if dimension not in card.dimensions:
        raise UnknownNameError("dimension", dimension, card.dimensions, where=f" on {kpi}'s card")
    through = whole_days(source, kpi, base, current)
    _refuse_windows(source, kpi)
    breaks = breaks_within(source, card, _from_to(base, current))
    conditions = tuple(where)
    if source.layer.metric_graph.additivity(kpi) in (ADDITIVE, SEMI_ADDITIVE):
        change, entries, method = _of_sum(source, kpi, dimension, (base, current), conditions)
    else:
        change, entries, method = _of_ratio(source, kpi, dimension, (base, current), conditions)
    evidence = Evidence((kpi,), (base, current), len(entries), through, breaks)
    return _result(card, dimension, method, change, entries, evidence, shown)


def by_factor(
    source: Source, kpi: str, current: Days, base: Days, *, where: Iterable[str] = ()
) -> Drivers:
    """What each factor of a KPI, by its relation in the KPI tree, contributes to its change.

    The relation is that on the card, or that of the KPI's own definition.

    Args:
        source: the numbers.
        kpi: its name.
        current: the days now.
        base: the days with which they are compared.
        where: conditions on the rows of both.

    Raises:
        UnknownNameError: there is no such KPI, or not for whoever asks.
        NotAllowedError: whoever asks may not see a factor.
        QueryError: the KPI has no factors, or its relation does not hold; or the days are not
            whole.
        CadranError: as `Layer.query`.
    """
    card, current, base = card_of(source, kpi), Days(*current), Days(*base)
    through = whole_days(source, kpi, base, current)
    _refuse_windows(source, kpi)
    relation, kpis = _relation(source, kpi)
    names = {part.alias: kpis.get(part.metric, part.metric) for part in relation.components}
    breaks = breaks_within(source, card, _from_to(base, current))
    metrics, where = tuple(dict.fromkeys([kpi, *names.values()])), tuple(where)
    try:
        rows = [
            source.rows(metrics, where=where, start=days.start, end=days.end)
            for days in (base, current)
        ]
    except (UnknownNameError, NotAllowedError):
        raise NotAllowedError(
            f"Not everything that {kpi} is made of may be seen with your rights, so its change is"
            " not split by factors."
        ) from None
    before, now = (row[0] if row else dict.fromkeys(metrics) for row in rows)
    change = _Change.of(kpi, (base, current), before[kpi], now[kpi])
    factors: dict[str, _Pair] = {}
    for alias, name in names.items():
        then, later = before[name], now[name]
        if then is None or later is None:
            raise QueryError(f"{name}, of which {kpi} is made, has no value in one of the ranges.")
        factors[alias] = (Fraction(then), Fraction(later))
    formula = Formula(relation, source.layer.metric_graph.dialect)
    for place, value in enumerate((change.base, change.value)):
        computed = formula.of({alias: pair[place] for alias, pair in factors.items()})
        if _differ(computed, Fraction(value)):
            raise QueryError(
                f"{kpi} is {value}, and its relation {relation.expression} gives"
                f" {float(computed)}: the relation does not hold, so it splits no change."
            )
    signs = {part.alias: -1 if part.sign == "÷" else 1 for part in relation.components}
    has_logs = relation.kind in ("product", "ratio") and all(
        min(pair) > 0 for pair in factors.values()
    )
    amounts = (
        lmdi(float(change.base), float(change.value), factors, signs)
        if has_logs
        else shapley(formula, factors)
    )
    entries = [
        _Entry(name, _label(source, name), before[name], now[name], amounts[alias])
        for alias, name in names.items()
    ]
    evidence = Evidence(metrics, (base, current), len(entries), through, breaks)
    return _result(card, None, LMDI if has_logs else SHAPLEY, change, entries, evidence, None)


def _refuse_windows(source: Source, kpi: str) -> None:
    if source.layer.metric_graph.needs_time(kpi):
        raise QueryError(
            f"{kpi} is a window of days, a period to date or a comparison with another period:"
            " its change is split as that of the KPI behind it."
        )


def _from_to(*ranges: Days) -> Days:
    return Days(min(days.start for days in ranges), max(days.end for days in ranges))


@dataclass(frozen=True, slots=True)
class _Change:
    """The change of a KPI as the warehouse gave its two values."""

    base: Number
    value: Number

    @classmethod
    def of(cls, kpi: str, ranges: tuple[Days, Days], before: Any, now: Any) -> _Change:
        for days, value in zip(ranges, (before, now), strict=True):
            if value is None:
                raise QueryError(f"{kpi} has no value that may be shown from {days}.")
        return cls(before, now)

    @property
    def exact(self) -> Fraction:
        return Fraction(self.value) - Fraction(self.base)

    def shown(self, amount: Fraction) -> Number:
        """An amount in the type of the KPI's values; not exact where that is a float."""
        if isinstance(self.value, Decimal):
            return Decimal(amount.numerator) / Decimal(amount.denominator)
        if isinstance(self.value, int) and amount.denominator == 1:
            return amount.numerator
        return float(amount)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A contribution before anything is rounded; `sides` are numerators and denominators."""

    name: Any
    label: str
    base: Any
    value: Any
    amount: Fraction
    mix: Fraction | None = None
    shares: _Pair | None = None
    sides: _Sides | None = None


_Split = tuple[_Change, list[_Entry], str]


def _of_sum(
    source: Source, kpi: str, dimension: str, ranges: tuple[Days, Days], where: tuple[str, ...]
) -> _Split:
    totals, members = [], []
    for days in ranges:
        span = {"where": where, "start": days.start, "end": days.end}
        rows = source.rows([kpi], **span)
        totals.append(rows[0][kpi] if rows else None)
        members.append({r[dimension]: r[kpi] for r in source.rows([kpi], [dimension], **span)})
        hidden = [name for name, value in members[-1].items() if value is None]
        if hidden:
            raise QueryError(
                f"{kpi} of {dimension} {_member(hidden[0])} has no value that may be shown from"
                f" {days}, so its change is not split by it."
            )
    change = _Change.of(kpi, ranges, *totals)
    before, now = members
    entries = [
        _Entry(
            name, "", before.get(name), now.get(name),
            Fraction(now.get(name, 0)) - Fraction(before.get(name, 0)),
        )
        for name in dict.fromkeys([*before, *now])
    ]  # fmt: skip
    for values, total in zip(members, totals, strict=True):
        _check_sum(kpi, dimension, sum(map(Fraction, values.values())), Fraction(total or 0))
    return change, entries, SUMS


def _of_ratio(
    source: Source, kpi: str, dimension: str, ranges: tuple[Days, Days], where: tuple[str, ...]
) -> _Split:
    wholes, members = [], []
    for days in ranges:
        span = {"where": where, "start": days.start, "end": days.end}
        rows = source.rows_with_sides(kpi, **span)
        wholes.append(rows[0] if rows else {})
        members.append(
            {row[dimension]: row for row in source.rows_with_sides(kpi, [dimension], **span)}
        )
    change = _Change.of(kpi, ranges, *(whole.get(kpi) for whole in wholes))
    sums = [_sides(kpi, whole) for whole in wholes]
    sides = [{n: _sides(kpi, row) for n, row in rows.items()} for rows in members]
    for days, part, (above, below) in zip(ranges, sides, sums, strict=True):
        if not below:
            raise QueryError(f"{kpi} divides by nothing from {days}, so its change is not split.")
        _check_sum(kpi, dimension, sum(pair[0] for pair in part.values()), above)
        _check_sum(kpi, dimension, sum(pair[1] for pair in part.values()), below)
    middle = (sums[0][0] / sums[0][1] + sums[1][0] / sums[1][1]) / 2
    entries = []
    for name in dict.fromkeys([*members[0], *members[1]]):
        own = (sides[0].get(name, _NOTHING), sides[1].get(name, _NOTHING))
        shares = (own[0][1] / sums[0][1], own[1][1] / sums[1][1])
        amount = own[1][0] / sums[1][1] - own[0][0] / sums[0][1]
        amount -= middle * (shares[1] - shares[0])  # all together that is nothing
        base, value = (rows.get(name, {}).get(kpi) for rows in members)
        mix = _mix(own, shares, middle, amount)
        entries.append(_Entry(name, "", base, value, amount, mix, shares, own))
    return change, entries, RATES


def _mix(own: _Sides, shares: _Pair, middle: Fraction, amount: Fraction) -> Fraction:
    """The mix effect of a member; the rest of its amount is the rate effect.

    A member that is new or gone changes no rate of its own: all it does is mix. What stands above
    a division by nothing has no rate, and no mix either.
    """
    if not own[0][1] or not own[1][1]:
        is_empty = all(not above for above, below in own if not below)
        return amount if is_empty else Fraction(0)
    mean = (own[0][0] / own[0][1] + own[1][0] / own[1][1]) / 2
    return (mean - middle) * (shares[1] - shares[0])


def _sides(kpi: str, row: dict[str, Any]) -> _Pair:
    """Numerator and denominator; of a conversion rate the numerator follows from the other two."""
    below = Fraction(row.get(DENOMINATOR) or 0)
    if NUMERATOR in row:
        return Fraction(row[NUMERATOR] or 0), below
    return Fraction(row.get(kpi) or 0) * below, below


def _check_sum(kpi: str, dimension: str, parts: Fraction | int, whole: Fraction) -> None:
    if _differ(Fraction(parts), whole):
        raise QueryError(
            f"The members of {dimension} together are not the whole behind {kpi}: some rows count"
            " for several members or for none, so a change is not split by it."
        )


def _differ(first: Fraction, second: Fraction) -> bool:
    return abs(first - second) > TOLERANCE * max(abs(first), abs(second))


def _result(  # noqa: PLR0913, PLR0917 - what the parts of a result are made of
    card: Card,
    by: str | None,
    method: str,
    change: _Change,
    entries: list[_Entry],
    evidence: Evidence,
    shown: int | None,
) -> Drivers:
    if by is not None:
        entries = sorted(entries, key=lambda entry: (-abs(entry.amount), str(entry.name)))
    top, rest = entries[:shown], [] if shown is None else entries[shown:]
    contributions = [_contribution(change, entry) for entry in top]
    others = _contribution(change, _together(change, rest)) if rest else None
    amounts = [entry.amount for entry in (*contributions, *filter(None, [others]))]
    remainder = Fraction(change.shown(change.exact)) - sum(map(Fraction, amounts))
    base, current = evidence.days
    return Drivers(
        card, by, method, current, base, change.value, change.base, change.shown(change.exact),
        tuple(contributions), others, len(rest), change.shown(remainder), evidence,
    )  # fmt: skip


def _contribution(change: _Change, entry: _Entry) -> Contribution:
    if entry.mix is None or entry.shares is None:
        amount = change.shown(entry.amount)
        return Contribution(entry.name, entry.label, entry.base, entry.value, amount)
    return Contribution(
        entry.name, entry.label, entry.base, entry.value, float(entry.amount),
        float(entry.amount - entry.mix), float(entry.mix),
        float(entry.shares[0]), float(entry.shares[1]),
    )  # fmt: skip


def _together(change: _Change, rest: list[_Entry]) -> _Entry:
    """The members that are not shown as one; of a ratio by the sums of their two sides."""
    amount = _sum(entry.amount for entry in rest)
    sides = [entry.sides for entry in rest if entry.sides is not None]
    if not sides:
        base = change.shown(_sum(Fraction(entry.base or 0) for entry in rest))
        value = change.shown(_sum(Fraction(entry.value or 0) for entry in rest))
        return _Entry(None, "", base, value, amount)
    before, now = (
        (_sum(pair[place][0] for pair in sides), _sum(pair[place][1] for pair in sides))
        for place in (0, 1)
    )
    rates = [float(above / below) if below else None for above, below in (before, now)]
    shares = [_sum(e.shares[place] for e in rest if e.shares is not None) for place in (0, 1)]
    mix = _sum(entry.mix for entry in rest if entry.mix is not None)
    return _Entry(None, "", rates[0], rates[1], amount, mix, (shares[0], shares[1]))


def _sum(amounts: Iterable[Fraction]) -> Fraction:
    return sum(amounts, Fraction(0))


# Factors --------------------------------------------------------------------------------------


def _relation(source: Source, kpi: str) -> tuple[Relation, dict[str, str]]:
    """The relation by which a KPI is split, and the KPI that each metric is, where it is one.

    Raises:
        QueryError: it has none that is a function of its parts in the same days.
    """
    card, graph = card_of(source, kpi), source.layer.metric_graph
    relations = [tree.own_relation(graph, kpi)]
    if card.relation is not None:
        every = {other.name for other in source.layer.kpis()}
        relations.insert(0, tree.declared_relation(source.layer, kpi, card.relation, every))
    for relation in relations:
        behind = relation
        while behind.kind == "same" and graph.inputs(behind.components[0].metric):
            behind = tree.own_relation(graph, behind.components[0].metric)
        parts = behind.components
        is_plain = not any(part.offset for part in parts) and behind.expression is not None
        if is_plain and 1 < len(parts) <= MOST_FACTORS:
            own = (tree.own_relation(graph, other.name) for other in source.kpis)
            return behind, {o.components[0].metric: o.kpi for o in own if o.kind == "same"}
    raise QueryError(
        f"{kpi} is no sum, product or quotient of up to {MOST_FACTORS} metrics in the same days, so"
        " it has no factors: split it by a dimension, or declare a `relation` on its card."
    )


def _label(source: Source, name: str) -> str:
    return str(source.layer.metric(name)["label"] or name)


def _member(name: Any, lang: str = "en") -> str:
    return words("drivers", lang)["nothing"] if name is None else str(name)
