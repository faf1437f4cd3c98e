"""Service levels as pages show them: what is left of each budget, and the months behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from cadran.charts import plots
from cadran.errors import QueryError
from cadran.formats import periods
from cadran.reliability import incidents as incident_rows
from cadran.reliability import status

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from cadran.charts.picture import Grid, Segment, Tone
    from cadran.core.layer import Layer
    from cadran.insight.readings import Reader
    from cadran.insight.view import Window
    from cadran.insight.wording import Words
    from cadran.reliability.status import Status

_T = TypeVar("_T")
_SECONDS = 2.0  # between two readings of budgets that move
_WATCH = 0.25  # of the budget left, from which on it is to be watched
_MONTHS = 13
_MINUTES_OF_DAY = 1440
_GRAINS = ("month", "quarter", "year")  # of the periods whose budgets are kept


@dataclass(frozen=True, slots=True)
class Level:
    """An SLO in words, with the bar of its budget.

    Attributes:
        status: its figures.
        service: what it is of.
        label: the objective in words.
        target: in per cent.
        left: what is left of its budget, in per cent.
        tone: ok, near, bad, or empty without data.
        state: the tone in words.
        segments: of the bar.
        zero: the place of its stroke.
    """

    status: Status
    service: str
    label: str
    target: str
    left: str
    tone: str
    state: str
    segments: tuple[Segment, ...]
    zero: float

    @property
    def id(self) -> str:
        """The SLO with its subject."""
        return self.status.slo_id

    @property
    def title(self) -> str:
        """The objective with the service that it is of; one of many services says so itself."""
        status = self.status
        is_of_many = status.is_composite or status.subject == "all"
        return self.label if is_of_many else f"{self.service} · {self.label}"


def statuses(reader: Reader) -> list[Status]:
    """The SLOs that whoever asks may see, the most threatened first."""
    every = reader.cached_for(
        "statuses", lambda: _or_none(status.statuses, reader.source.layer), _SECONDS
    )
    return sorted((one for one in every if reader.whole(one.kpi)), key=_threat)


def _threat(one: Status) -> tuple[bool, float, str]:
    """The order in which SLOs are threatened."""
    return one.remaining_rate is None, one.remaining_rate or 0.0, one.slo_id


def zone(reader: Reader) -> str:
    """The time zone that the project reports its service levels in; UTC where it has none."""
    zones = [one.time_zone for one in statuses(reader)]
    return max(set(zones), key=zones.count) if zones else "UTC"


def levels(reader: Reader, w: Words) -> list[Level]:
    """The same in words."""
    return [level_of(one, w) for one in statuses(reader)]


@dataclass(frozen=True, slots=True)
class Standing:
    """Service levels, and in words of when they are."""

    levels: list[Level]
    sub: str


def standing(reader: Reader, w: Words, window: Window | None) -> Standing:
    """The service levels at the end of a period: those of now until there are later data."""
    now = levels(reader, w)
    if window is None or not now or window.is_running or window.last >= reader.last_day():
        return Standing(now, w("levels_sub"))
    if window.grain not in _GRAINS:
        return Standing(now, w("levels_now"))
    rows = {row["slo_id"]: row for row in _periods(reader, window.grain, [one.id for one in now])
            if row["period_start"] == window.first}  # fmt: skip
    ended = [_ended(one.status, rows[one.id], w) for one in now if one.id in rows]
    ended.sort(key=lambda level: _threat(level.status))
    return Standing(ended, w("levels_past", day=w.day(window.last)))


def _ended(one: Status, period: dict[str, Any], w: Words) -> Level:
    """An SLO as its budget was at the end of a period, which was kept or not."""
    rates = {name: period[name] for name in ("target", "consumed_rate", "remaining_rate")}
    level = level_of(replace(one, **rates, burn_rate_1h=None, hours_to_exhaustion=None), w)
    return replace(level, tone="ok", state=w("state_held")) if level.tone == "near" else level


def level_of(one: Status, w: Words) -> Level:
    """One SLO in words."""
    tone: Tone | str = _tone(one)
    segments, zero = plots.budget(one.remaining_rate, "blue")
    label = one.label_fr if w.lang == "fr" else one.label_en
    return Level(
        one,
        w("all_services") if one.subject == "all" else w.name(one.subject),
        label,
        "" if one.target is None else w.target(one.target),
        w.share(one.remaining_rate, 1),
        tone,
        w(
            {"ok": "state_held", "near": "state_watch", "bad": "state_overspent"}.get(
                tone, "state_none"
            )
        ),
        segments,
        zero,
    )


def window_text(one: Status, w: Words) -> str:
    """The window of an SLO: 28 days, or a calendar month."""
    if one.window_minutes is None:
        return w("calendar_month") if one.calendar_grain == "month" else w(str(one.calendar_grain))
    return w("days_n", n=w.number(one.window_minutes / _MINUTES_OF_DAY))


def _tone(one: Status) -> str:
    if one.remaining_rate is None:
        return ""
    if one.remaining_rate < 0:
        return "bad"
    return "near" if one.remaining_rate < _WATCH or one.state == "burning" else "ok"


@dataclass(frozen=True, slots=True)
class Heat:
    """The budgets of the months, and until when the last one goes."""

    grid: Grid
    sub: str


def heat(reader: Reader, w: Words, levels: list[Level]) -> Heat | None:
    """Budget used by SLO and month over thirteen months; None without a month."""
    if not levels:
        return None
    rows = months_of(reader, [level.id for level in levels])
    months = sorted({row["period_start"] for row in rows})[-_MONTHS:]
    if not months:
        return None
    by_cell = {(row["slo_id"], row["period_start"]): row["consumed_rate"] for row in rows}
    last = max(row["last_date"] for row in rows)
    year = None
    columns = []
    for month in months:
        columns.append(periods.short(month, "month", w.lang, year=month.year != year))
        year = month.year
    grid = plots.heat(
        [
            (f"{level.service} · {level.label}", [by_cell.get((level.id, m)) for m in months])
            for level in sorted(levels, key=lambda one: (one.label, one.service))
            if any((level.id, month) in by_cell for month in months)
        ],
        columns,
        title=w("heat"),
        legend=[w(f"heat_{index}") for index in range(5)],
        lang=w.lang,
    )
    return Heat(grid, w("heat_sub", day=w.day(last)))


def months_of(reader: Reader, slo_ids: list[str]) -> list[dict[str, Any]]:
    """The budgets of every month of these SLOs, in order."""
    return _periods(reader, "month", slo_ids)


def _periods(reader: Reader, grain: str, slo_ids: list[str]) -> list[dict[str, Any]]:
    key = ("budgets", grain, *slo_ids)
    return reader.cached_for(key, lambda: status.history(reader.source.layer, slo_ids, grain))


def _or_none(read: Callable[[Layer], list[_T]], layer: Layer) -> list[_T]:
    """What is read, or nothing where the project has no such models."""
    try:
        return read(layer)
    except QueryError:
        return []


def incidents(reader: Reader, since: dt.date | None = None) -> list[dict[str, Any]]:
    """Reported incidents that whoever asks may see, the latest first; none is hinted at else."""
    if not sees_incidents(reader):
        return []
    rows = reader.cached_for(
        "incidents", lambda: _or_none(incident_rows.incidents, reader.source.layer)
    )
    return [
        row
        for row in reversed(rows)
        if row["origin"] == "reported" and (since is None or row["started_at"].date() >= since)
    ]


def sees_incidents(reader: Reader) -> bool:
    """Whether whoever asks sees every incident: only who sees their number as a whole does."""
    return reader.whole("incident_count")
