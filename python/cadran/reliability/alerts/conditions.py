"""What rules see: whether each of their conditions holds, at the watermark and never beyond it.

Minutes that came while nobody evaluated are evaluated one by one, so that an outage between two
looks fires, and resolves, when it did. Every number is the warehouse's; here it is held against its
bound only.
"""

from __future__ import annotations

import datetime as dt
import statistics
from typing import TYPE_CHECKING, Any

from cadran.core.freshness import Newest
from cadran.core.targets import Status, target_of, targets
from cadran.errors import QueryError, UnknownNameError
from cadran.formats import periods
from cadran.reliability import status
from cadran.reliability.alerts.machine import Key, Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.reliability.alerts.policy import Rule, Threshold, Weekday
    from cadran.reliability.burn import Tier

MINUTE = dt.timedelta(minutes=1)
_DAY = dt.timedelta(days=1)
_MOST_ROWS = 20_000  # minutes of all SLOs that one statement answers
_WORSE = {
    "target": {Status.NEAR, Status.WARNING, Status.CRITICAL},
    "warning": {Status.WARNING, Status.CRITICAL},
    "critical": {Status.CRITICAL},
}


class Conditions:
    """The conditions of one evaluation; what several rules read is read once."""

    def __init__(
        self,
        layer: Layer,
        now: dt.datetime,
        *,
        settle: dt.timedelta = dt.timedelta(),
        catch_up: dt.timedelta = _DAY,
    ) -> None:
        """Take the layer as it is now.

        Args:
            layer: the layer.
            now: the clock, with its zone.
            settle: how long after its end a minute is evaluated.
            catch_up: how far back minutes are evaluated that nobody looked at.
        """
        self._layer, self._catch_up = layer, catch_up
        self._now = now.astimezone(dt.UTC).replace(microsecond=0)
        self._whole = _naive(self._now - settle).replace(second=0, microsecond=0)
        self._known: dict[str, Any] = {}

    def of(self, rule: Rule, since: Mapping[Key, dt.datetime]) -> list[Observation]:
        """What a rule sees, in the order of time.

        Args:
            rule: the rule.
            since: up to when each alert was evaluated.

        Raises:
            CadranError: it cannot be seen.
        """
        if rule.burn is not None:
            return sorted(self._burns(rule, since), key=lambda seen: seen.at)
        if rule.budget is not None:
            return list(self._budgets(rule))
        if rule.no_data is not None:
            return list(self._silences(rule))
        if rule.freshness is not None:
            return list(self._late(rule))
        assert rule.threshold is not None  # noqa: S101 - a rule has one of the five
        return [self._threshold(rule, rule.threshold)]

    def covers(self, rule: Rule, key: Key) -> bool:
        """Whether a rule still watches what an alert is about.

        Raises:
            CadranError: it cannot be seen.
        """
        if rule.threshold is not None:
            return key.subject == rule.threshold.kpi
        if rule.freshness is not None:
            names = rule.freshness.kpis or tuple(card.name for card in self._layer.kpis())
            return key.subject in names
        kind = rule.burn or rule.budget or rule.no_data
        assert kind is not None  # noqa: S101 - a rule has one of the five
        chosen = self._chosen(kind.slos, with_composites=rule.budget is not None)
        slo_ids = {slo.slo_id for slo in chosen}
        if rule.burn is None or key.subject not in slo_ids:
            return key.subject in slo_ids
        tiers = self._tiers(rule, [key.subject]).get(key.subject, [])
        return key.tier in {tier.tier for tier in tiers}

    def statuses(self) -> dict[str, status.Status]:
        """Where each SLO stands, by its id."""
        by_id: dict[str, status.Status] = self._once(
            "statuses", lambda: {slo.slo_id: slo for slo in status.statuses(self._layer)}
        )
        return by_id

    def _once(self, name: str, read: Callable[[], Any]) -> Any:
        if name not in self._known:
            self._known[name] = read()
        return self._known[name]

    def _chosen(self, slos: Iterable[str], *, with_composites: bool) -> list[status.Status]:
        every = self.statuses()
        names = {name for slo in every.values() for name in (slo.slo, slo.slo_id)}
        chosen = set(slos)
        for name in sorted(chosen - names):
            raise UnknownNameError("SLO", name, names)
        return [
            slo
            for slo in every.values()
            if (not chosen or slo.slo in chosen or slo.slo_id in chosen)
            and (with_composites or not slo.is_composite)
        ]

    def _versions(self, rule: Rule, card: Card | None) -> dict[str, Any]:
        versions: dict[str, Any] = {
            "rule": rule.fingerprint,
            "definitions": self._layer.project.fingerprint[:16],
        }
        return versions if card is None else {"kpi": card.version, **versions}

    def _burns(self, rule: Rule, since: Mapping[Key, dt.datetime]) -> Iterator[Observation]:
        assert rule.burn is not None  # noqa: S101 - as `of` found it
        slos = {slo.slo_id: slo for slo in self._chosen(rule.burn.slos, with_composites=False)}
        tiers = self._tiers(rule, slos)
        marks: dict[str, dt.datetime] = self._once(
            "watermarks", lambda: status.watermarks(self._layer)
        )
        behind: dict[str, tuple[dt.datetime, dt.datetime]] = {}
        for slo_id in tiers:
            if slo_id not in marks:
                continue  # it has no data at all, which `no_data` tells of
            until = min(marks[slo_id], self._whole)
            evaluated = [
                _naive(since[key])
                for tier in tiers[slo_id]
                if (key := Key(rule.name, slo_id, tier.tier)) in since
            ]
            after = min(evaluated, default=until - MINUTE)
            # The minute of the watermark is looked at again: corrections count. Before it, where
            # more comes each second, the next minute is soon there.
            if after < until or after == until == marks[slo_id]:
                after = max(min(after, until - MINUTE), until - self._catch_up)
                behind[slo_id] = (after, until)
        rows = [row for row in self._sums(behind, tiers, marks) if row["slo_id"] in behind]
        for row in rows:
            slo = slos[row["slo_id"]]
            versions = self._versions(rule, self._layer.card(slo.kpi))
            for tier in tiers[slo.slo_id]:
                key = Key(rule.name, slo.slo_id, tier.tier)
                at = _aware(row["at"])
                if key in since and at < since[key]:
                    continue
                holds, values = burning(tier, row)
                yield Observation(key, at, holds, tier.severity, values, versions)

    def _tiers(self, rule: Rule, slos: Iterable[str]) -> dict[str, list[Tier]]:
        assert rule.burn is not None  # noqa: S101 - as `of` found it
        every: dict[str, list[Tier]] = self._once("tiers", lambda: status.tiers(self._layer))
        wanted = set(rule.burn.tiers)
        names = {tier.tier for of_slo in every.values() for tier in of_slo}
        for name in sorted(wanted - names):
            raise UnknownNameError("tier", name, names)
        chosen = {
            slo_id: [tier for tier in every.get(slo_id, []) if not wanted or tier.tier in wanted]
            for slo_id in slos
        }
        return {slo_id: of_slo for slo_id, of_slo in chosen.items() if of_slo}

    def _sums(
        self,
        behind: dict[str, tuple[dt.datetime, dt.datetime]],
        tiers: dict[str, list[Tier]],
        marks: dict[str, dt.datetime],
    ) -> Iterator[dict[str, Any]]:
        """Sums of windows at the end of each minute that is to be evaluated."""
        latest = {
            slo_id
            for slo_id, (after, until) in behind.items()
            if until - after <= MINUTE and until == marks[slo_id]
        }
        if latest:
            yield from _by_slo(self._once("sums", lambda: status.window_sums(self._layer)), latest)
        waiting = sorted(set(behind) - latest, key=lambda slo_id: behind[slo_id])
        while waiting:
            first = behind[waiting[0]][0]
            group: list[str] = []
            while waiting and (
                not group
                or (len(group) + 1) * ((behind[waiting[0]][1] - first) / MINUTE) <= _MOST_ROWS
            ):
                group.append(waiting.pop(0))
            lengths = {
                m for s in group for t in tiers[s] for m in (t.long_minutes, t.short_minutes)
            }
            until = max(behind[slo_id][1] for slo_id in group)
            for row in status.window_sums_by_minute(
                self._layer, group, lengths, first + MINUTE, until
            ):
                row["at"] = row.pop("minute_at") + MINUTE  # a minute is evaluated when it is over
                after, last = behind[row["slo_id"]]
                if after < row["at"] <= last:
                    yield row

    def _budgets(self, rule: Rule) -> Iterator[Observation]:
        assert rule.budget is not None and rule.severity is not None  # noqa: S101, PT018 - as `of` found it
        for slo in self._chosen(rule.budget.slos, with_composites=True):
            if slo.as_of is None or slo.remaining_rate is None:
                continue
            yield Observation(
                Key(rule.name, slo.slo_id),
                _aware(min(slo.as_of, self._whole)),
                slo.remaining_rate < rule.budget.remaining_below,
                rule.severity,
                {"remaining": float(slo.remaining_rate), "bound": rule.budget.remaining_below},
                self._versions(rule, self._layer.card(slo.kpi)),
            )

    def _silences(self, rule: Rule) -> Iterator[Observation]:
        assert rule.no_data is not None and rule.severity is not None  # noqa: S101, PT018 - as `of` found it
        after = periods.length(rule.no_data.after)
        since = _naive(self._now) - max(after + MINUTE, _DAY)
        last = {row["slo_id"]: row["minute_at"] for row in status.last_events(self._layer, since)}
        for slo in self._chosen(rule.no_data.slos, with_composites=False):
            minute_at = last.get(slo.slo_id)
            ended_at = None if minute_at is None else minute_at + MINUTE
            yield Observation(
                Key(rule.name, slo.slo_id),
                self._now,
                ended_at is None or _naive(self._now) - ended_at > after,
                rule.severity,
                {
                    "last_event_at": ended_at and _aware(ended_at).isoformat(),
                    "silent_since": _aware(since).isoformat(),
                },
                self._versions(rule, self._layer.card(slo.kpi)),
            )

    def _late(self, rule: Rule) -> Iterator[Observation]:
        assert rule.freshness is not None and rule.severity is not None  # noqa: S101, PT018 - as `of` found it
        newest = Newest(self._layer, self._now)
        names = rule.freshness.kpis
        for card in [self._layer.card(name) for name in names] if names else self._layer.kpis():
            age = newest.of(card)
            yield Observation(
                Key(rule.name, card.name),
                self._now,
                age is None or age.is_late,
                rule.severity,
                {
                    "newest_at": age and age.newest.isoformat(),
                    "model": age and age.model,
                    "late_after": card.refresh.late_after,
                },
                self._versions(rule, card),
            )

    def _threshold(self, rule: Rule, threshold: Threshold) -> Observation:
        assert rule.severity is not None  # noqa: S101 - such a rule has one
        card = self._layer.card(threshold.kpi)
        start = periods.last_complete(self._last_day(), threshold.grain)
        weekday = threshold.weekday
        weeks = range(1, weekday.weeks + 1) if weekday else range(0)
        starts = [start, *(start - dt.timedelta(weeks=week) for week in weeks)]
        events = threshold.events
        metrics = [card.name, *([events.metric] if events and events.metric != card.name else [])]
        group_by = f"metric_time__{threshold.grain}"
        result = self._layer.query(
            metrics, group_by, where=threshold.where, start=starts[-1],
            end=periods.last_of(start, threshold.grain), ordered=False,
        )  # fmt: skip
        by_start = {row.pop(group_by): row for row in result.to_arrow().to_pylist()}
        latest = by_start.get(start, {})
        value = latest.get(card.name)
        values: dict[str, Any] = {
            "value": _number(value), "period": start.isoformat(), "grain": threshold.grain,
        }  # fmt: skip
        holds = False
        if events is not None:
            values["events"] = _number(latest.get(events.metric))
        if value is not None and (events is None or (values["events"] or 0) >= events.at_least):
            before = [by_start.get(day, {}).get(card.name) for day in starts[1:]]
            holds, bound = self._beyond(threshold, card, start, float(value), before)
            values |= bound
        at = dt.datetime.combine(periods.last_of(start, threshold.grain) + _DAY, dt.time(), dt.UTC)
        return Observation(
            Key(rule.name, card.name), at, holds, rule.severity, values, self._versions(rule, card)
        )

    def _beyond(
        self, threshold: Threshold, card: Card, start: dt.date, value: float, before: list[Any]
    ) -> tuple[bool, dict[str, Any]]:
        """Whether a value is beyond its bound, and the bound."""
        if threshold.below is not None:
            return value < threshold.below, {"bound": threshold.below}
        if threshold.above is not None:
            return value > threshold.above, {"bound": threshold.above}
        if threshold.weekday is not None:
            return unlike(threshold.weekday, value, [float(v) for v in before if v is not None])
        assert threshold.target is not None  # noqa: S101 - a threshold has one of the four
        if card.direction not in {"up", "down"}:
            raise QueryError(
                f"KPI '{card.name}' is good within a band: no target says on which side it is bad."
            )
        every = self._once("targets", lambda: targets(self._layer))
        target = target_of(every, card, threshold.grain, start)
        if target is None:
            return False, {"target": None}
        return target.judge(value, card.direction) in _WORSE[threshold.target], {
            name: _number(getattr(target, name)) for name in ("target", "warning", "critical")
        }

    def _last_day(self) -> dt.date:
        """The last day of the data that is over by the clock."""
        day: dt.date = self._once("last_day", self._layer.last_day)
        return min(day, self._now.date() - _DAY)


def burning(tier: Tier, row: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Whether a tier fires on the sums of its windows, and the numbers that say so.

    Both windows have to be strictly above the factor: `bad / allowed > factor`, without a division.
    """
    sums = {
        length: tuple(row[f"{name}_{length}"] for name in ("units", "bad_units", "allowed_units"))
        for length in (tier.long_minutes, tier.short_minutes)
    }
    units, bad, _ = sums[tier.long_minutes]
    above = all(
        allowed > 0 and bad_units > tier.factor * allowed for _, bad_units, allowed in sums.values()
    )
    burns = {
        length: float(bad_units / allowed) if allowed > 0 else None
        for length, (_, bad_units, allowed) in sums.items()
    }
    values = {
        "long_minutes": tier.long_minutes, "short_minutes": tier.short_minutes,
        "long_burn": burns[tier.long_minutes], "short_burn": burns[tier.short_minutes],
        "factor": float(tier.factor), "units": float(units), "bad_units": float(bad),
    }  # fmt: skip
    return above and units >= tier.min_units and bad >= tier.min_bad_units, values


def unlike(weekday: Weekday, value: float, before: list[float]) -> tuple[bool, dict[str, Any]]:
    """Whether a day is unlike the same weekday before: too many deviations from their median.

    The median absolute deviation stands for the spread, so that one odd week does not widen it.
    """
    if len(before) < (weekday.weeks + 1) // 2:
        return False, {"weeks": len(before)}
    middle = statistics.median(before)
    spread = statistics.median(abs(other - middle) for other in before)
    allowed = max(weekday.deviations * spread, weekday.least * abs(middle))
    below, above = value < middle - allowed, value > middle + allowed
    holds = {"below": below, "above": above, "both": below or above}[weekday.side]
    return holds, {"usual": middle, "allowed_difference": allowed, "weeks": len(before)}


def _by_slo(rows: list[dict[str, Any]], slo_ids: set[str]) -> Iterator[dict[str, Any]]:
    """Rows by SLO and window as one row by SLO, named as those of `window_sums_by_minute`."""
    by_slo: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["slo_id"] in slo_ids:
            sums = by_slo.setdefault(row["slo_id"], {"slo_id": row["slo_id"], "at": row["ends_at"]})
            for name in ("units", "bad_units", "allowed_units"):
                sums[f"{name}_{row['window_minutes']}"] = row[name]
    yield from by_slo.values()


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _aware(instant: dt.datetime) -> dt.datetime:
    return instant.replace(tzinfo=dt.UTC) if instant.tzinfo is None else instant


def _naive(instant: dt.datetime) -> dt.datetime:
    """An instant as the warehouse has it: in UTC, without saying so."""
    return instant if instant.tzinfo is None else instant.astimezone(dt.UTC).replace(tzinfo=None)
