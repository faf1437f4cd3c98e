"""What a page shows, as its address says it: language, period, comparison, filters."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from cadran.core.project.cards import LANGUAGES
from cadran.core.warehouse.dialects import literal
from cadran.errors import QueryError
from cadran.formats import periods

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

GRAINS = ("week", "month", "quarter", "year")
COMPARISONS = ("previous", "year")
_MARK = "f."
_PLAIN = ("objective", "team")
_MOST = 40  # parameters of an address
_LONGEST = 200  # characters of a value


@dataclass(frozen=True, slots=True)
class View:
    """The state of a page; its address holds the whole of it.

    Attributes:
        lang: en or fr.
        grain: of the period: week, month, quarter or year.
        start: the first day of the period; None is the one that the data reaches.
        compare: previous (period) or year (before).
        filters: the member that each dimension is held to.
        objective: only KPIs that serve it; empty is all.
        team: only KPIs of this scope; empty is all.
        wall: whether it hangs on a wall: no navigation, larger.
    """

    lang: str = "en"
    grain: str = "month"
    start: dt.date | None = None
    compare: str = "previous"
    filters: Mapping[str, str] = field(default_factory=dict)
    objective: str = ""
    team: str = ""
    wall: bool = False

    @classmethod
    def read(  # noqa: C901 - one branch a parameter
        cls, parameters: Iterable[tuple[str, str]], lang: str = "en"
    ) -> View:
        """The state that the parameters of an address say.

        Args:
            parameters: their names and values.
            lang: where they name none.

        Raises:
            QueryError: one of them is not known, or has a value that it cannot have.
        """
        view = cls(lang=lang)
        for index, (name, value) in enumerate(parameters):
            if index >= _MOST or max(len(name), len(value)) > _LONGEST:
                raise QueryError(
                    f"The address has more than {_MOST} parameters, or one of more than"
                    f" {_LONGEST} characters."
                )
            if name == "period" and value:
                grain, start = period_of(value)
                view = replace(view, grain=grain, start=start)
            elif name == "grain":
                view = replace(view, grain=_one_of(name, value, GRAINS))
            elif name == "lang":
                view = replace(view, lang=_one_of(name, value, LANGUAGES))
            elif name == "compare":
                view = replace(view, compare=_one_of(name, value, COMPARISONS))
            elif name == "objective":
                view = replace(view, objective=value)
            elif name == "team":
                view = replace(view, team=value)
            elif name == "wall":
                view = replace(view, wall=value == "1")
            elif name.startswith(_MARK):
                if value:
                    view = replace(view, filters={**view.filters, name[len(_MARK) :]: value})
            elif name not in {"period", "q"}:
                raise QueryError(
                    f"A page has no parameter {name!r}; it has period, grain, compare, lang, wall,"
                    f" {', '.join(_PLAIN)} and {_MARK}<dimension>."
                )
        return view

    @property
    def where(self) -> tuple[str, ...]:
        """The filters as conditions of a question."""
        return tuple(f"{name} = {literal(value)}" for name, value in sorted(self.filters.items()))

    def link(self, path: str, **changes: object) -> str:
        """The address of a page in this state, but for what changes."""
        view = replace(self, **changes)  # type: ignore[arg-type]
        parameters = [("lang", view.lang)]
        if view.start is not None:
            parameters.append(("period", period_text(view.start, view.grain)))
        elif view.grain != "month":
            parameters.append(("grain", view.grain))
        if view.compare != "previous":
            parameters.append(("compare", view.compare))
        parameters += [(name, getattr(view, name)) for name in _PLAIN if getattr(view, name)]
        parameters += [(f"{_MARK}{name}", value) for name, value in sorted(view.filters.items())]
        if view.wall:
            parameters.append(("wall", "1"))
        return f"{path}?{urlencode(parameters)}"


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise QueryError(f"{name} is {value!r}; it can be {', '.join(allowed)}.")
    return value


def period_of(text: str) -> tuple[str, dt.date]:
    """The grain and the first day of "2026", "2026-Q3", "2026-11" or "2026-W48".

    Raises:
        QueryError: it is none of these.
    """
    with suppress(QueryError):
        grain, start, _ = periods.read(text)
        if grain in GRAINS:
            return grain, start
    raise QueryError(f"{text!r} is no period: write 2026, 2026-Q3, 2026-11 or 2026-W48.")


def period_text(start: dt.date, grain: str) -> str:
    """A period as an address writes it: the inverse of `period_of`."""
    if grain == "week":
        year, week, _ = start.isocalendar()
        return f"{year}-W{week:02d}"
    if grain == "quarter":
        return f"{start.year}-Q{(start.month + 2) // 3}"
    return f"{start:%Y-%m}" if grain == "month" else str(start.year)


@dataclass(frozen=True, slots=True)
class Window:
    """The days of a period as far as the data reaches, and those they are compared with.

    A running period is compared with the same days of the other one, never with the whole.

    Attributes:
        grain: of the period.
        first: its first day.
        last: its last day, or the last of the data where it is running.
        base_first: the first day of what it is compared with.
        base_last: the last one.
        is_running: whether it is not over.
    """

    grain: str
    first: dt.date
    last: dt.date
    base_first: dt.date
    base_last: dt.date
    is_running: bool

    @classmethod
    def of(cls, view: View, through: dt.date) -> Window:
        """The window of a view over data that reaches this day."""
        first = view.start or periods.start_of(through, view.grain)
        whole = periods.last_of(first, view.grain)
        is_running = first <= through < whole
        last = through if is_running else whole
        by_year = view.compare == "year"
        base = (periods.year_before if by_year else _period_before)(first, view.grain)
        base_last = periods.last_of(base, view.grain)
        if is_running:
            by_date = by_year and view.grain != "week"
            same = periods.same_day(last) if by_date else base + (last - first)
            base_last = min(base_last, same)
        return cls(view.grain, first, last, base, base_last, is_running)


def _period_before(start: dt.date, grain: str) -> dt.date:
    return periods.shifted(start, grain, -1)
