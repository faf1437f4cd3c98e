"""What pages read: KPIs over the days of a window, compared with the same days of another."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from cadran.core.recent import Recent
from cadran.core.targets import Status, target_of, targets
from cadran.errors import CadranError, ClosingError, LimitError, StoppedError
from cadran.formats import periods
from cadran.insight.evidence import card_of
from cadran.insight.view import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    import pyarrow as pa

    from cadran.core.project.cards import Card
    from cadran.core.query.request import Query
    from cadran.core.result import Break, Rows
    from cadran.core.targets import Target
    from cadran.insight.source import Source
    from cadran.insight.view import View

_T = TypeVar("_T")
_DAY = dt.timedelta(days=1)
_STALE = 60.0  # seconds after which what takes long is read again
MOST_KEPT = 1000  # things that are kept of one state of the data
SHOWN = 13  # periods of a course
ENDING = (StoppedError, ClosingError, LimitError)  # not a fault of the question


@dataclass(frozen=True, slots=True)
class Reading:
    """A KPI in a window.

    Attributes:
        card: of the KPI.
        window: the days.
        value: of these days; None where there is none, or none that may be shown.
        base: of the days it is compared with.
        history: by the start of each period, the last of them that of the window.
        target: of the period, where one is set.
        status: where the value stands against it.
        breaks: where its meaning changed within the history.
        is_filtered: whether the filters of the page hold for it.
        problem: why there is nothing to show; empty where there is.
        outlook: of a running period, whether its target is likely, open or unlikely; or empty.
        expected: the forecast behind that.
        accrues: whether its value comes together over the period, as a sum or a distinct count.
    """

    card: Card
    window: Window
    value: Any = None
    base: Any = None
    history: dict[dt.date, Any] = field(default_factory=dict)
    target: Target | None = None
    status: Status = Status.NONE
    breaks: tuple[Break, ...] = ()
    is_filtered: bool = True
    problem: str = ""
    outlook: str = ""
    expected: float | None = None
    accrues: bool = False

    @property
    def change(self) -> Any:
        """Value less base, in the unit of the KPI; None where one of them is missing."""
        if self.value is None or self.base is None:
            return None
        return self.value - self.base

    @property
    def tone(self) -> str:
        """Whether the change is for better or worse, by the card's direction."""
        change = self.change
        if not change or self.card.direction not in {"up", "down"}:
            return ""
        return "ok" if (change > 0) == (self.card.direction == "up") else "bad"


@dataclass
class Reader:
    """Reads for one page of one caller.

    Attributes:
        source: the definitions and the door to the numbers.
        view: the state of the page.
        whole: whether whoever asks sees all rows of a KPI; what is told of services and incidents
            beside the layer's answers is told to nobody else.
        of_state: what was read of this state of the data, whoever asked; rights come after it.
        of_build: what takes long and was read of this build, with when; live rows do not void it.
        is_live: whether rows come in between two builds.
    """

    source: Source
    view: View
    whole: Callable[[str], bool]
    of_state: Recent[tuple[Any]] = field(default_factory=lambda: Recent(MOST_KEPT))
    of_build: Recent[tuple[float, Any]] = field(default_factory=lambda: Recent(MOST_KEPT))
    is_live: bool = False
    _together: tuple[str, ...] = ()
    _through: dict[str, dt.date | None] = field(default_factory=dict)
    _answers: dict[Query, list[Rows]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Let answers about several KPIs answer questions about one of them."""
        self.source = replace(self.source, answer=partial(self._answer, self.source.answer))

    def cached(self, key: Hashable, read: Callable[[], _T]) -> _T:
        """What is read once for a state of the data; two that ask at once may both read it."""
        entry = self.of_state.get(key)
        if entry is None:
            entry = (read(),)
            self.of_state.put(key, entry)
        value: _T = entry[0]
        return value

    def cached_for(self, key: Hashable, read: Callable[[], _T], seconds: float = _STALE) -> _T:
        """What takes long: read once a build, and again some seconds later if the data moved."""
        entry = self.of_build.get(key)
        if entry is None or (
            time.monotonic() - entry[0] > seconds and ("of_build", key) not in self.of_state
        ):
            entry = time.monotonic(), read()
            self.of_build.put(key, entry)
            self.of_state.put(("of_build", key), (True,))
        value: _T = entry[1]
        return value

    def cards(self, tier: str | None = None) -> list[Card]:
        """The KPIs of the page: those that may be seen, by the view's objective and team."""
        return [
            card
            for card in self.source.kpis
            if (tier is None or card.tier == tier)
            and (not self.view.objective or card.objective == self.view.objective)
            and (not self.view.team or card.scope == self.view.team)
        ]

    def through(self, name: str) -> dt.date | None:
        """The last whole day of a KPI that is not after the end of the data."""
        if name not in self._through:
            try:
                # First, since it reads how far all sources reach at once.
                end = self.cached("last_day", self.source.layer.last_day)
                day = self.source.complete_through(name)
                self._through[name] = None if day is None else min(day, end)
            except ENDING:
                raise
            except CadranError:
                self._through[name] = None
        return self._through[name]

    def last_day(self) -> dt.date:
        """The last day of the data; today where nothing says until when it goes."""
        try:
            return self.cached("last_day", self.source.layer.last_day)
        except ENDING:
            raise
        except CadranError:
            return dt.datetime.now(dt.UTC).date()

    def window(self, cards: Iterable[Card]) -> Window | None:
        """The window of the view over the data of these KPIs; None where there is no data."""
        days = [day for card in cards if (day := self.through(card.name)) is not None]
        return Window.of(self.view, max(days)) if days else None

    def readings(self, cards: Sequence[Card], *, history: int = SHOWN) -> list[Reading]:
        """Each KPI in its window; questions are shared by those of the same days and filters."""
        groups: dict[tuple[str, ...], list[tuple[Card, Window]]] = defaultdict(list)
        readings: dict[str, Reading] = {}
        for card in cards:
            through = self.through(card.name)
            if through is None or self.view.grain not in card.grains:
                window = Window.of(self.view, through or dt.date.today())  # noqa: DTZ011 - a frame
                problem = "empty" if through is None else "grain"
                readings[card.name] = Reading(card, window, problem=problem)
                continue
            window = Window.of(self.view, through)
            if through < window.first:
                readings[card.name] = Reading(card, window, problem="empty")
                continue
            groups[self.view.where if self._takes_filters(card) else ()].append((card, window))
        for where, group in groups.items():
            is_filtered = bool(where) or not self.view.filters
            readings |= self._of_group(group, where, history, is_filtered=is_filtered)
        return [readings[card.name] for card in cards]

    def card(self, name: str) -> Card:
        """A KPI that whoever asks may see.

        Raises:
            UnknownNameError: there is none of that name, or not for whoever asks.
        """
        return card_of(self.source, name)

    def together(self, cards: Iterable[Card]) -> Reader:
        """The same reader, which asks at once of several KPIs what is asked of one of them.

        It is for analyses that ask the same of each.
        """
        names = tuple(card.name for card in cards if self.whole(card.name))
        return replace(self, _together=names)

    def _answer(self, answer: Callable[[Query], Rows], query: Query) -> Rows:
        """What answers a question, of one KPI that is seen as a whole out of one about several.

        What has no value there is not there in an answer about the KPI alone, and never hidden.
        """
        key = replace(query, metrics=())
        if len(query.metrics) != 1:
            rows = answer(query)
            self._answers.setdefault(key, []).append(rows)
            return rows
        (kpi,) = query.metrics
        if not self.source.sees(kpi) or not self.whole(kpi):
            return answer(query)
        if kpi in self._together and key not in self._answers:
            try:
                self._answer(answer, replace(query, metrics=self._together))
            except ENDING:
                raise
            except CadranError:
                self._answers[key] = []  # one of them cannot be asked so: each is asked alone
        for rows in self._answers.get(key, ()):
            if kpi in rows.table.column_names:
                return _Part.of(rows, kpi, [group.column for group in query.group_by])
        return answer(query)

    def compared(self, compare: str) -> Reader:
        """The same reader with another comparison."""
        return replace(self, view=replace(self.view, compare=compare))

    def members(
        self,
        card: Card,
        dimension: str,
        days: tuple[dt.date, dt.date],
        *,
        where: tuple[str, ...] = (),
    ) -> dict[Any, Any]:
        """A KPI by member of a dimension over days; None where it is hidden."""
        rows = _finite(
            self.source.rows([card.name], [dimension], where=where, start=days[0], end=days[1])
        )
        return {row[dimension]: row[card.name] for row in rows}

    def course(  # noqa: PLR0913 - a question in its parts
        self,
        card: Card,
        grain: str,
        first: dt.date,
        last: dt.date,
        *,
        by: str | None = None,
        where: tuple[str, ...] = (),
    ) -> dict[Any, dict[dt.date, Any]]:
        """A KPI by period, and by member of a dimension where one is named (else under None)."""
        time = f"metric_time__{grain}"
        rows = _finite(
            self.source.rows(
                [card.name], [time, *([by] if by else [])], where=where, start=first, end=last
            )
        )
        courses: dict[Any, dict[dt.date, Any]] = defaultdict(dict)
        for row in rows:
            if row[time] is not None:
                courses[row[by] if by else None][row[time]] = row[card.name]
        return dict(courses)

    def where_of(self, reading: Reading) -> tuple[str, ...]:
        """The filters of the page as far as they hold for a KPI."""
        return self.view.where if reading.is_filtered else ()

    def target(self, card: Card, grain: str, start: dt.date) -> Target | None:
        """What was set for a KPI and a period, told to those who see the whole KPI."""
        if self.view.filters or not self.whole(card.name):
            return None
        every = self.cached("targets", lambda: targets(self.source.layer))
        return target_of(every, card, grain, start)

    def _takes_filters(self, card: Card) -> bool:
        return bool(self.view.filters) and all(
            name in card.dimensions for name in self.view.filters
        )

    def _of_group(
        self,
        group: list[tuple[Card, Window]],
        where: tuple[str, ...],
        history: int,
        *,
        is_filtered: bool,
    ) -> dict[str, Reading]:
        problems: dict[str, str] = {}
        courses, breaks = self._courses(group, where, history, problems)
        # What means something only by time has no value over days.
        needs_time = self.source.layer.metric_graph.needs_time
        plain = [(card.name, window) for card, window in group if not needs_time(card.name)]
        now = self._over_days(
            {name: (one.first, one.last) for name, one in plain if one.is_running}, where, problems
        )
        # A base that is a period of the course has the value that it has there.
        before = {
            name: courses[name][window.base_first]
            for name, window in plain
            if not window.is_running and courses[name].get(window.base_first) is not None
        }
        before |= self._over_days(
            {name: (w.base_first, w.base_last) for name, w in plain if name not in before},
            where, problems,
        )  # fmt: skip
        ends = self._at_ends([one for one in group if needs_time(one[0].name)], where)
        readings = {}
        for card, window in group:
            series = courses[card.name]
            value = now.get(card.name) if window.is_running else series.get(window.first)
            base = before.get(card.name)
            reaches = self.source.layer.reaches
            if base is not None and reaches.begins_within(card.name, window.base_first):
                base = None
            if card.name in ends:
                value, base = ends[card.name]
            if value is None:
                value = series.get(window.first)
                is_told = needs_time(card.name) and not window.is_running
                base = series.get(window.base_first) if is_told else base
            target = self.target(card, window.grain, window.first)
            # What comes together over the period is held against its target once it is over.
            accrues = self.source.layer.metric_graph.accrues(card.name)
            is_judged = target and not (window.is_running and accrues)
            readings[card.name] = Reading(
                card, window, value=value, base=base,
                history={**series, window.first: value} if series or value is not None else {},
                target=target,
                status=target.judge(value, card.direction) if target and is_judged else Status.NONE,
                breaks=tuple(change for change in breaks if change.kpi == card.name),
                is_filtered=is_filtered,
                problem=problems.get(card.name, "") if value is None else "",
                accrues=accrues,
            )  # fmt: skip
        return readings

    def _courses(
        self,
        group: list[tuple[Card, Window]],
        where: tuple[str, ...],
        history: int,
        problems: dict[str, str],
    ) -> tuple[dict[str, dict[dt.date, Any]], list[Break]]:
        """KPIs by the periods until those of their windows, and where they changed their meaning.

        Where rows come in, closed periods are asked apart: they move the running one alone.
        """
        spans: dict[tuple[dt.date, dt.date], list[str]] = defaultdict(list)
        grain = self.view.grain
        for card, window in group:
            begin = periods.shifted(window.first, grain, 1 - history)
            end = periods.last_of(window.first, grain)
            if self.is_live and window.is_running:
                spans[window.first, end].append(card.name)
                end = window.first - _DAY
            if begin <= end:
                spans[begin, end].append(card.name)
        courses: dict[str, dict[dt.date, Any]] = {card.name: {} for card, _ in group}
        breaks: list[Break] = []
        time = f"metric_time__{grain}"
        for (first, last), names in spans.items():
            rows, more = self._rows(names, [time], where, first, last, problems)
            breaks += more
            for row in rows:
                if row[time] is not None:
                    for name in names:
                        courses[name][row[time]] = row.get(name)
        return courses, breaks

    def _over_days(
        self,
        days: dict[str, tuple[dt.date, dt.date]],
        where: tuple[str, ...],
        problems: dict[str, str],
    ) -> dict[str, Any]:
        """The values of KPIs over the days of each."""
        values: dict[str, Any] = {}
        for (first, last), names in _by_days(days).items():
            rows, _ = self._rows(names, [], where, first, last, problems)
            values |= {name: rows[0].get(name) for name in names if rows}
        return values

    def _at_ends(
        self, group: list[tuple[Card, Window]], where: tuple[str, ...]
    ) -> dict[str, tuple[Any, Any]]:
        """KPIs that have a value at a day and none over days: that of the last day of each."""
        metric = self.source.layer.metric
        levels = {
            card.name: window
            for card, window in group
            if metric(card.name)["type"] == "cumulative" and "day" in card.grains
        }
        faults: dict[str, str] = {}
        values: list[dict[str, Any]] = []
        for days in (
            {name: (one.last, one.last) for name, one in levels.items()},
            {name: (one.base_last, one.base_last) for name, one in levels.items()},
        ):
            at: dict[str, Any] = {}
            for (day, _), names in _by_days(days).items():
                rows, _ = self._rows(names, ["metric_time__day"], where, day, day, faults)
                at |= {name: rows[0].get(name) for name in names if rows}
            values.append(at)
        now, before = values
        return {name: (now.get(name), before.get(name)) for name in levels if name not in faults}

    def _rows(  # noqa: PLR0913, PLR0917 - a question and where its faults go
        self,
        names: list[str],
        group_by: list[str],
        where: tuple[str, ...],
        first: dt.date,
        last: dt.date,
        problems: dict[str, str],
    ) -> tuple[list[dict[str, Any]], tuple[Break, ...]]:
        """Rows of all KPIs at once; by halves where that fails, so that one spoils no other."""
        try:
            result = self.source.ask(names, group_by, where=where, start=first, end=last)
        except ENDING:
            raise
        except CadranError as problem:
            if len(names) == 1:
                problems.setdefault(names[0], str(problem))
                return [], ()
        else:
            return _finite(result.table.to_pylist()), result.breaks
        merged: dict[Any, dict[str, Any]] = {}
        breaks: tuple[Break, ...] = ()
        middle = len(names) // 2
        for half in (names[:middle], names[middle:]):
            rows, more = self._rows(half, group_by, where, first, last, problems)
            breaks += more
            for row in rows:
                key = tuple(row.get(column) for column in group_by)
                merged.setdefault(key, {}).update(row)
        return list(merged.values()), breaks


@dataclass(frozen=True, slots=True)
class _Part:
    """What an answer about several KPIs says of one of them."""

    table: pa.Table
    breaks: tuple[Break, ...]
    note: str

    @classmethod
    def of(cls, rows: Rows, kpi: str, groups: list[str]) -> _Part:
        table = rows.table.select([*groups, kpi])
        table = table.filter(table.column(kpi).is_valid())
        return cls(table, tuple(b for b in rows.breaks if b.kpi == kpi), rows.note)


def _by_days(
    days: dict[str, tuple[dt.date, dt.date]],
) -> dict[tuple[dt.date, dt.date], list[str]]:
    """The names of each range of days, of the ranges by name."""
    names: dict[tuple[dt.date, dt.date], list[str]] = defaultdict(list)
    for name, span in days.items():
        names[span].append(name)
    return names


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows, None where a division gave no number."""
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                row[name] = None
    return rows
