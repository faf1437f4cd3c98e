"""Days on which a KPI was unlike the same weekdays before.

A day is expected to be the median of its weekday over the last eight weeks. How far days are from
that as a rule is the median of these distances over the same weeks, scaled as a standard deviation
is (MAD). A day is an anomaly where it is further off than 3.5 of these (Iglewicz and Hoaglin, "How
to Detect and Handle Outliers", 1993), and by enough to matter. Only days that are whole are judged;
a changed definition begins a new history, and mutes what follows until there is enough of it.
"""

from __future__ import annotations

import datetime as dt
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.days import Days
from cadran.errors import NotGovernedError, QueryError
from cadran.formats import periods
from cadran.formats.words import words
from cadran.insight.breaks import sentence
from cadran.insight.evidence import Evidence, breaks_within, card_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from cadran.core.project.cards import Card
    from cadran.insight.drivers import Number
    from cadran.insight.source import Source

METHOD = "seasonal-mad-1"
THRESHOLD = 3.5
MINIMUM = 0.1
SHOWN = 60
_CYCLES = 8
_ENOUGH = 4  # of the same place in a season, of which a median says something
_NORMAL = 1.4826  # a standard deviation in MADs, where values are normal


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was expected of a value, and how far it is from that.

    Attributes:
        expected: the median of the same place in the last seasons.
        scale: how far values are from that as a rule, as a standard deviation.
        score: the distance in scales, with its sign.
    """

    expected: float
    scale: float
    score: float


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A day that was unlike the others.

    Attributes:
        day: which.
        value: of the KPI.
        expected: what it was expected to be.
        low: the least value that would have been no anomaly.
        high: the largest.
        score: the distance from what was expected, in scales.
        effect: the same distance relative to what was expected; of a share to what is left of it
            where that is less. None where nothing was expected.
        is_better: whether the card wants the KPI to go that way; None where it wants neither.
    """

    day: dt.date
    value: Number
    expected: float
    low: float
    high: float
    score: float
    effect: float | None
    is_better: bool | None


@dataclass(frozen=True, slots=True)
class Anomalies:
    """The days of a KPI that were judged.

    Attributes:
        card: of the KPI.
        days: the days looked at; all of them are whole.
        found: the anomalies, earliest first.
        judged: how many days have a verdict.
        muted: how many have none since the definition changed shortly before.
        unknown: how many have none since there is no value, or too little history.
        threshold: the score from which on a day is one.
        minimum: the effect that it needs as well.
        evidence: what it rests on.
    """

    card: Card
    days: Days
    found: tuple[Anomaly, ...]
    judged: int
    muted: int
    unknown: int
    threshold: float
    minimum: float
    evidence: Evidence
    method: str = METHOD

    def to_rows(self, lang: str = "en") -> list[dict[str, Any]]:
        """A row for each anomaly."""
        w = words("anomalies", lang)
        verdicts = {True: w["better"], False: w["worse"], None: w["other"]}
        return [
            {
                "day": one.day, "value": one.value, "expected": one.expected, "low": one.low,
                "high": one.high, "score": one.score, "effect": one.effect,
                "verdict": verdicts[one.is_better],
            }
            for one in self.found
        ]  # fmt: skip

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """It as plain values, with what was judged beside it."""
        return {
            "kpi": self.card.name, "label": self.card.localized(lang).label,
            "unit": self.card.unit, "days": list(self.days), "anomalies": self.to_rows(lang),
            "judged": self.judged, "muted": self.muted, "unknown": self.unknown,
            "threshold": self.threshold, "minimum": self.minimum, "method": self.method,
            "notes": self.notes(lang), "evidence": self.evidence.to_dict(),
        }  # fmt: skip

    def notes(self, lang: str = "en") -> list[str]:
        """What has to be said beside the days."""
        w = words("anomalies", lang)
        notes = [
            w["judged"].format(
                judged=self.judged, until=periods.label(self.days.end, "day", lang),
                method=self.method,
            )
        ]  # fmt: skip
        if self.muted:
            notes.append(w["muted"].format(count=self.muted))
        if self.unknown:
            notes.append(w["unknown"].format(count=self.unknown))
        return notes + [sentence(b, self.card, "day", lang) for b in self.evidence.breaks]


def find(  # noqa: PLR0913 - what is looked at, and what is told
    source: Source,
    kpi: str,
    *,
    days: int = SHOWN,
    where: Iterable[str] = (),
    threshold: float = THRESHOLD,
    minimum: float = MINIMUM,
) -> Anomalies:
    """The anomalies of a KPI among its last whole days.

    Args:
        source: the numbers.
        kpi: its name.
        days: how many days are judged.
        where: conditions on the rows.
        threshold: the score from which on a day is an anomaly.
        minimum: the effect that it needs as well, such as 0.1 for a tenth.

    Raises:
        UnknownNameError: there is no such KPI, or not for whoever asks.
        NotGovernedError: the KPI is not asked by day.
        QueryError: there are no data, or not one day is to be judged.
        CadranError: as `Layer.query`.
    """
    card = card_of(source, kpi)
    if "day" not in card.grains:
        raise NotGovernedError(
            f"{kpi} is not asked by day; its card has {', '.join(card.grains)}: ask"
            f" {card.owner.business}."
        )
    through = source.complete_through(kpi)
    if through is None:
        raise QueryError(f"There are no data behind {kpi}.")
    if days < 1:
        raise QueryError(f"days is {days}; it takes a whole number from 1 up.")
    back = days + 2 * _CYCLES * periods.OF_WEEK
    history = Days(through - dt.timedelta(days=back - 1), through)
    column = "metric_time__day"
    answer = source.ask([kpi], [column], where=tuple(where), start=history.start, end=history.end)
    by_day = {row[column]: row[kpi] for row in answer.table.to_pylist()}
    breaks = breaks_within(source, card, history, may_differ=True)
    every = [history.start + dt.timedelta(days=place) for place in range(history.length)]
    begun = min(by_day, default=through)
    # A day without rows adds nothing to a sum; of anything else it has no value.
    nothing = 0 if source.layer.metric_graph.is_additive(kpi) else None
    values = [by_day.get(day, nothing if day >= begun else None) for day in every]
    starts = {(change.period.date() - history.start).days for change in breaks}
    is_count = all(isinstance(value, int) for value in values if value is not None)
    numbers = [None if value is None else float(value) for value in values]
    verdicts = judged(numbers, periods.OF_WEEK, starts=starts, is_count=is_count)
    found, with_verdict, muted = [], 0, 0
    for place in range(history.length - days, history.length):
        value, verdict = values[place], verdicts[place]
        if verdict is None or value is None:
            is_new = any(0 <= place - start < _ENOUGH * 2 * periods.OF_WEEK for start in starts)
            muted += is_new and value is not None
            continue
        with_verdict += 1
        effect = _effect(float(value), verdict.expected, card.unit)
        if abs(verdict.score) >= threshold and (effect is None or effect >= minimum):
            reach = threshold * verdict.scale
            is_up = float(value) > verdict.expected
            found.append(
                Anomaly(
                    every[place], value, verdict.expected, verdict.expected - reach,
                    verdict.expected + reach, verdict.score, effect,
                    None if card.direction == "band" else is_up == (card.direction == "up"),
                )
            )  # fmt: skip
    return Anomalies(
        card, Days(every[-days], through), tuple(found), with_verdict, muted,
        days - with_verdict - muted, threshold, minimum,
        Evidence((kpi,), (history,), with_verdict, through, breaks),
    )  # fmt: skip


def judged(
    values: Sequence[float | None],
    season: int,
    *,
    starts: Collection[int] = (),
    is_count: bool = False,
    cycles: int = _CYCLES,
) -> list[Judgement | None]:
    """What was expected of each value of a series by those before it; None without a verdict.

    Args:
        values: the series; None where there is no value.
        season: after how many values it repeats.
        starts: indices from which on the values mean something else than those before.
        is_count: whether these are counts, which scatter by the root of their size at least.
        cycles: the seasons looked back.
    """
    verdicts: list[Judgement | None] = []
    distances: list[float | None] = []
    begin = 0
    for place, value in enumerate(values):
        begin = place if place in starts else begin
        before = [values[at] for at in range(place - season, begin - 1, -season)][:cycles]
        same = [one for one in before if one is not None]
        if value is None or len(same) < _ENOUGH:
            verdicts.append(None)
            distances.append(None)
            continue
        expected = statistics.median(same)
        last = distances[max(begin, place - season * cycles) : place]
        known = [one for one in last if one is not None]
        distances.append(abs(value - expected))
        if len(known) < _ENOUGH * season:
            verdicts.append(None)
            continue
        scale = _NORMAL * statistics.median(known) or statistics.fmean(known)
        if is_count:
            scale = max(scale, math.sqrt(max(expected, 1.0)))
        distance = value - expected
        score = distance / scale if scale else math.copysign(math.inf, distance) * bool(distance)
        verdicts.append(Judgement(expected, scale, 0.0 if not distance else score))
    return verdicts


def _effect(value: float, expected: float, unit: str) -> float | None:
    """The distance relative to what was expected; of a share to the less of it and its rest."""
    size = abs(expected)
    if unit == "%" and 0 < expected < 1:
        size = min(expected, 1 - expected)
    return abs(value - expected) / size if size else None
