"""What the pages of a pack are made of: the period, the KPIs and their readings, the words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cadran.core.project import names
from cadran.core.project.cards import LANGUAGES
from cadran.core.targets import Status
from cadran.errors import QueryError
from cadran.formats import periods
from cadran.formats.numbers import CURRENCIES, SYMBOLS
from cadran.insight import service_levels
from cadran.insight.readings import Reader
from cadran.insight.scorecard import objectives
from cadran.insight.view import View
from cadran.reports.pack import Figure, Question, Text
from cadran.reports.period import Period
from cadran.reports.speech import Speech

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from cadran.core.project.cards import Card
    from cadran.insight.readings import Reading
    from cadran.insight.source import Source
    from cadran.insight.view import Window
    from cadran.reports.pack import State

TILES = 5
MOST = 12  # KPIs that a page of them holds
STATES: dict[Status, State] = {
    Status.ON_TARGET: "ok", Status.NEAR: "near", Status.WARNING: "warn", Status.CRITICAL: "bad",
    Status.NONE: "",
}  # fmt: skip
_SEVERITY: dict[State, int] = {"bad": 3, "warn": 2, "near": 1, "ok": 0, "": 0}


def severity(reading: Reading) -> int:
    """How far off its target a KPI is: 0 on target or without one, up to 3."""
    return _SEVERITY[STATES[reading.status]]


@dataclass
class Basis:
    """What is read for a pack, each thing once.

    Attributes:
        reader: of the period, compared with the year before.
        period: that the pack is of.
        words: of the language.
        name: of the organisation or project.
    """

    reader: Reader
    period: Period
    words: Speech
    name: str

    @classmethod
    def of(
        cls,
        source: Source,
        period: str,
        lang: str,
        *,
        whole: Callable[[str], bool] = lambda _: True,
        name: str = "",
    ) -> Basis:
        """The ground of a pack.

        Args:
            source: the numbers.
            period: 2026, 2026-Q3 or 2026-09.
            lang: en or fr.
            whole: whether whoever asks sees all rows of a KPI.
            name: of the organisation; by default that of the project.

        Raises:
            QueryError: the period or the language is not known, or there is no data of the period.
        """
        if lang not in LANGUAGES:
            raise QueryError(f"lang is {lang!r}; it can be {', '.join(LANGUAGES)}.")
        chosen = Period.read(period)
        return cls.read_by(
            Reader(source, View(lang, chosen.grain, chosen.start, "year"), whole), name
        )

    @classmethod
    def read_by(cls, reader: Reader, name: str = "") -> Basis:
        """The ground of a pack for the caller of a reader, whose view names period and language.

        Raises:
            QueryError: it names no month, quarter or year, or there is no data of the period.
        """
        view = replace(reader.view, compare="year", filters={}, objective="", team="")
        if view.start is None:
            raise QueryError("No period is named: write 2026-09, 2026-Q3 or 2026.")
        period = Period.of(view.start, view.grain)
        reader = replace(reader, view=view)
        basis = cls(
            reader, period,
            Speech(view.lang, service_levels.zone(reader),
                   more=names.words(reader.source.layer.project.root, view.lang)),
            name or reader.source.layer.project.title,
        )  # fmt: skip
        if not basis.cards:
            raise QueryError("A report is of KPIs, and there is none that you may see.")
        if not any(one.value is not None for one in basis.readings.values()):
            reach = max((d for c in basis.cards if (d := reader.through(c.name))), default=None)
            until = f": the data reach {reach}" if reach else ""
            raise QueryError(f"No strategic KPI has a value in {basis.key}{until}.")
        return basis

    @property
    def source(self) -> Source:
        """The numbers."""
        return self.reader.source

    @property
    def grain(self) -> str:
        """Of the period."""
        return self.period.grain

    @property
    def start(self) -> dt.date:
        """The first day of the period."""
        return self.window.first

    @property
    def key(self) -> str:
        """The period as it is asked for."""
        return self.period.text

    @cached_property
    def cards(self) -> tuple[Card, ...]:
        """Strategic KPIs by objective, money first; the first of all where none is strategic."""
        order = [str(row["objective"]) for row in self.objectives]
        cards = self.reader.cards("strategic") or self.reader.cards()
        ordered = sorted(
            (card for card in cards if self.grain in card.grains),
            key=lambda c: (order.index(c.objective), not _is_money(c), c.name),
        )
        return tuple(ordered[:MOST])

    @cached_property
    def objectives(self) -> list[dict[str, Any]]:
        """The objectives in their order."""
        return objectives(self.source.layer)

    def objective(self, card: Card) -> str:
        """What a KPI serves, in words."""
        row = next(row for row in self.objectives if row["objective"] == card.objective)
        return self.words.print(str(row[f"label_{self.words.lang}"]))

    @cached_property
    def window(self) -> Window:
        """The days of the period as far as the data reaches."""
        window = self.reader.window(self.cards)
        if window is None:
            raise QueryError("There are no data behind the strategic KPIs.")
        return window

    @property
    def last_month(self) -> dt.date:
        """The first day of the last month of the period that has data."""
        return periods.start_of(self.window.last, "month")

    @cached_property
    def readings(self) -> dict[str, Reading]:
        """Each strategic KPI in the period; no year before where its sources began later."""
        return {one.card.name: one for one in self.reader.readings(self.cards)}

    @property
    def partial_month(self) -> dt.date | None:
        """The last month, where its data do not reach its end."""
        last = self.last_month
        return last if self.window.last < periods.last_of(last, "month") else None

    def open_month(self, reading: Reading) -> dt.date | None:
        """The last month of a monthly reading, where its data or those of all do not reach its end.

        A KPI may be late in a month that others know whole.
        """
        return reading.window.first if reading.window.is_running else self.partial_month

    @cached_property
    def monthly(self) -> Reader:
        """The same reader at the last month of the period."""
        view = replace(self.reader.view, grain="month", start=self.last_month)
        return replace(self.reader, view=view)

    @cached_property
    def courses(self) -> dict[str, Reading]:
        """Each strategic KPI over the thirteen months up to the last one of the period."""
        return {one.card.name: one for one in self.monthly.readings(self.cards)}

    @cached_property
    def late(self) -> tuple[Reading, ...]:
        """KPIs whose data end before those of the others."""
        return tuple(one for one in self.readings.values() if one.window.last < self.window.last)

    @cached_property
    def key_readings(self) -> tuple[Reading, ...]:
        """The five that matter: of each objective its money, or what is furthest off target."""
        shown = [one for one in self.readings.values() if one.value is not None]
        firsts: dict[str, Reading] = {}
        for one in sorted(shown, key=lambda r: (not _is_money(r.card), -severity(r))):
            firsts.setdefault(one.card.objective, one)
        rest = [one for one in shown if one not in firsts.values()]
        rest.sort(key=lambda one: -severity(one))
        chosen = [*firsts.values(), *rest][:TILES]
        return tuple(one for one in shown if one in chosen)

    def months(self) -> list[dt.date]:
        """The starts of the thirteen months."""
        return [periods.shifted(self.last_month, "month", back) for back in range(-12, 1)]

    def year_ago(self) -> str:
        """The period of the year before, at the head of a column."""
        if self.window.is_running:
            return self.words("year_before_short")
        return self.words.short_period(self.window.base_first, self.grain)

    def state(self, reading: Reading) -> str:
        """Where a KPI stands, in words."""
        if reading.target is not None and reading.status is Status.NONE:
            return self.words("state_open")
        return self.words(f"state_{reading.status.name.lower()}")

    # Figures ------------------------------------------------------------------------------------

    def figure(self, reading: Reading, *, brief: bool = False) -> Figure:
        """The value of a KPI in the period."""
        window = reading.window
        return self._answer(reading.card, reading.value, window.first, window.last, brief=brief)

    def base(self, reading: Reading, *, brief: bool = False) -> Figure:
        """Its value a year before."""
        window = reading.window
        return self._answer(
            reading.card, reading.base, window.base_first, window.base_last, brief=brief
        )

    def _answer(
        self, card: Card, value: Any, first: dt.date, last: dt.date, *, brief: bool
    ) -> Figure:
        """The value of a KPI over days, with the question that gives it where there is one."""
        write = self.words.brief if brief else self.words.value
        question = None if value is None else Question(card.name, first, last)
        return Figure(write(value, card), value, card.unit, question)

    def month_of(self, reading: Reading, start: dt.date) -> Question:
        """How a month of a KPI's course was asked."""
        window, last = reading.window, periods.last_of(start, "month")
        if window.first <= start and window.last < last:
            return Question(reading.card.name, start, window.last)
        return Question(reading.card.name, start, last, grain="month")

    def change(self, reading: Reading) -> Figure:
        """The change since."""
        return Figure(
            self.words.change(reading.value, reading.base, reading.card),
            reading.change, reading.card.unit,
            origin=f"{reading.card.name} less a year before",
            definition=defined(reading.card),
        )  # fmt: skip

    def target(self, reading: Reading, *, brief: bool = False) -> Figure | None:
        """What was set for the period."""
        if reading.target is None:
            return None
        write = self.words.brief if brief else self.words.value
        goal = reading.target.target
        return Figure(
            write(goal, reading.card), goal, reading.card.unit,
            origin=f"target {reading.card.name}", definition=f"target {goal}",
        )  # fmt: skip

    def gap(self, reading: Reading) -> Figure | None:
        """How far the value is from its target; None while what adds up has not ended."""
        if reading.target is None or reading.value is None or reading.status is Status.NONE:
            return None
        goal, card = reading.target.target, reading.card
        text = self.words.change(reading.value, goal, card)
        if float(reading.value) != float(goal) and not set(text) & set("123456789"):
            text = self.words.change(reading.value, goal, replace(card, decimals=card.decimals + 2))
        return Figure(
            text,
            float(reading.value) - float(goal), reading.card.unit,
            origin=f"{reading.card.name} less target",
            definition=f"{defined(reading.card)}, target {goal}",
        )  # fmt: skip

    def text(self, key: str, *figures: Figure, lead: str = "", **places: Any) -> Text:
        """A text of a key with the figures in it; a figure among the places stands by its text."""
        inner = tuple(f for f in places.values() if isinstance(f, Figure))
        words = {n: f.text if isinstance(f, Figure) else f for n, f in places.items()}
        return Text(self.words(key, **words), lead, (*inner, *figures))


def defined(card: Card) -> str:
    """What figures that are made of a KPI's rest on beside the data."""
    return f"{card.name} version {card.version}"


def _is_money(card: Card) -> bool:
    return SYMBOLS.get(card.unit) in CURRENCIES
