"""What pages read: KPIs over the days of a window, compared with the same days of another."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from cadran.core.recent import Recent
from cadran.core.targets import Status, target_of, targets
from cadran.errors import CadranError, ClosingError, LimitError, StoppedError
from cadran.formats import periods
from cadran.insight.evidence import card_of
from cadran.insight.view import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from cadran.core.project.cards import Card
    from cadran.core.result import Break
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
    """

    source: Source
    view: View
    whole: Callable[[str], bool]
    of_state: Recent[tuple[Any]] = field(default_factory=lambda: Recent(MOST_KEPT))
    of_build: Recent[tuple[float, Any]] = field(default_factory=lambda: Recent(MOST_KEPT))
    _through: dict[str, dt.date | None] = field(default_factory=dict)

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
                day = self.source.complete_through(name)
                end = self.cached("last_day", self.source.layer.last_day)
                self._through[name] = None if day is None else min(day, end)
            except ENDING:
                raise
            except CadranError:
                self._through[name] = None
        return self._through[name]

    def last_day(self) -> dt.date:
        """The last day of the data; today where nothing says until when it goes."""
        try:
            return self.source.layer.last_day()
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
        groups: dict[tuple[Window, tuple[str, ...]], list[Card]] = defaultdict(list)
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
            filters = tuple(sorted(self.view.filters)) if self._takes_filters(card) else ()
            groups[window, filters].append(card)
        for (window, filters), group in groups.items():
            where = self.view.where if filters else ()
            is_filtered = bool(filters) or not self.view.filters
            readings |= self._of_group(group, window, where, history, is_filtered=is_filtered)
        return [readings[card.name] for card in cards]

    def card(self, name: str) -> Card:
        """A KPI that whoever asks may see.

        Raises:
            UnknownNameError: there is none of that name, or not for whoever asks.
        """
        return card_of(self.source, name)

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
        cards: list[Card],
        window: Window,
        where: tuple[str, ...],
        history: int,
        *,
        is_filtered: bool,
    ) -> dict[str, Reading]:
        names = [card.name for card in cards]
        time = f"metric_time__{window.grain}"
        begin = periods.shifted(window.first, window.grain, 1 - history)
        problems: dict[str, str] = {}
        # Closed periods apart: what is live moves the running one alone.
        end = periods.last_of(window.first, window.grain)
        by_start: list[dict[str, Any]] = []
        breaks: tuple[Break, ...] = ()
        closed = window.first - _DAY if window.is_running else end
        for first, last in [(begin, closed)] + [(window.first, end)] * window.is_running:
            if first <= last:
                rows, more = self._rows(names, [time], where, first, last, problems)
                by_start, breaks = by_start + rows, breaks + more
        # What means something only by time has no value over days.
        needs_time = self.source.layer.metric_graph.needs_time
        timed = [name for name in names if needs_time(name)]
        plain = [name for name in names if name not in timed]
        now: list[dict[str, Any]] = [row for row in by_start if row[time] == window.first]
        if window.is_running and plain:
            now, _ = self._rows(plain, [], where, window.first, window.last, problems)
        before: list[dict[str, Any]] = []
        if plain:
            before, _ = self._rows(plain, [], where, window.base_first, window.base_last, problems)
        ends = self._at_ends([c for c in cards if c.name in timed], window, where)
        readings = {}
        for card in cards:
            series = {row[time]: row.get(card.name) for row in by_start if row[time] is not None}
            value = now[0].get(card.name) if now else None
            base = before[0].get(card.name) if before else None
            reaches = self.source.layer.reaches
            if base is not None and reaches.begins_within(card.name, window.base_first):
                base = None
            if card.name in ends:
                value, base = ends[card.name]
            if value is None:
                value = series.get(window.first)
                is_told = card.name in timed and not window.is_running
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

    def _at_ends(
        self, cards: list[Card], window: Window, where: tuple[str, ...]
    ) -> dict[str, tuple[Any, Any]]:
        """KPIs that have a value at a day and none over days: that of the last day of each."""
        ends = {}
        for card in cards:
            is_cumulative = self.source.layer.metric(card.name)["type"] == "cumulative"
            if not is_cumulative or "day" not in card.grains:
                continue
            values: list[Any] = []
            faults: dict[str, str] = {}
            for day in (window.last, window.base_last):
                rows, _ = self._rows([card.name], ["metric_time__day"], where, day, day, faults)
                values.append(rows[0][card.name] if rows else None)
            if not faults:
                ends[card.name] = values[0], values[1]
        return ends

    def _rows(  # noqa: PLR0913, PLR0917 - a question and where its faults go
        self,
        names: list[str],
        group_by: list[str],
        where: tuple[str, ...],
        first: dt.date,
        last: dt.date,
        problems: dict[str, str],
    ) -> tuple[list[dict[str, Any]], tuple[Break, ...]]:
        """Rows of all KPIs at once; one by one where that fails, so that one spoils no other."""
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
        for name in names:
            rows, more = self._rows([name], group_by, where, first, last, problems)
            breaks += more
            for row in rows:
                key = tuple(row.get(column) for column in group_by)
                merged.setdefault(key, {}).update(row)
        return list(merged.values()), breaks


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows, None where a division gave no number."""
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                row[name] = None
    return rows
