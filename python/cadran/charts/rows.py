"""From the rows of an answer to a picture: a line over time, two versions of it, bars."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cadran.charts import plots
from cadran.charts.picture import (
    SERIES,
    Bar,
    Bars,
    Column,
    Dot,
    Plot,
    Segment,
    Table,
    Tick,
    scale,
    thinned,
)
from cadran.charts.plots import Mark, Series, stamp
from cadran.errors import QueryError
from cadran.formats.numbers import axis_texts, measure, short
from cadran.formats.words import words

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cadran.core.project.cards import Card

MOST_BARS = 12
_MOST_STEPS, _MOST_LABELS = 12, 7
_NO_MEMBER = "\N{EN DASH}"
_PERIOD = "metric_time__"


def line(  # noqa: PLR0913 - what is marked
    data: Any,
    card: Card,
    *,
    lang: str = "en",
    breaks: Iterable[Mark] = (),
    events: Iterable[Mark] = (),
    goals: Mapping[Any, Any] | None = None,
    published: Any = None,
    head: str = "",
    height: int = 260,
) -> Plot:
    """A KPI over time; the line is cut where the definition changed, and never joined across it.

    Args:
        data: an Arrow table, a result or rows with `metric_time__<grain>`, the KPI, and at most one
            dimension, which gives one line per member (the six greatest).
        card: of the KPI.
        lang: language of labels and figures.
        breaks: where the definition changed; those that `cut` do so.
        events: what happened, in the lane below.
        goals: what is aimed at, by start of the period; dotted.
        published: rows without a dimension as they were published, dashed behind the line; breaks
            cut them then, and not the line.
        head: the name of the column of periods in the table of figures; empty leaves it out.
        height: of the plot in pixels.

    Raises:
        QueryError: the rows have no period.
    """
    rows = _rows(data)
    time = _time(rows)
    grain = time.removeprefix(_PERIOD)
    starts = sorted({row[time] for row in rows})
    marks = [
        replace(mark, at=start)
        for mark in breaks
        if (start := _first_since(mark.at, starts)) is not None
    ]
    cuts = tuple(mark.at for mark in marks if mark.cuts)
    members: dict[Any, dict[Any, Any]] = {}
    names = [name for name in (rows[0] if rows else ()) if name not in {time, card.name}]
    for row in rows:
        member = row[names[0]] if names else None
        members.setdefault(member, {})[row[time]] = row[card.name]
    drawn = sorted(members, key=lambda member: -_size(members[member]))[: len(SERIES)]
    aims = {start: goal for start, goal in (goals or {}).items() if start in starts}
    label, labels = card.localized(lang).label, words("chart", lang)
    name = labels["actual"] if published or aims else label
    series = [
        Series(
            (_NO_MEMBER if member is None else str(member)) if names else name,
            members[member],
            filled=not names and not published and card.unit != "%",
            cuts=() if published else cuts,
        )
        for member in drawn
    ]
    if published:
        values = {row[time]: row[card.name] for row in _rows(published)}
        series.append(Series(labels["published"], values, "purple", "dashed", cuts=cuts))
    if aims:
        series.append(Series(labels["target"], aims, "orange", "dotted", stepped=True))
    return plots.trend(
        series, card, grain, title=label, lang=lang, breaks=marks, events=events, head=head,
        height=height,
    )  # fmt: skip


def versions(  # noqa: PLR0913 - two versions and their names
    old: Mapping[Any, Any],
    new: Mapping[Any, Any],
    card: Card,
    grain: str,
    *,
    names: tuple[str, str],
    effective: dt.date | None = None,
    lang: str = "en",
) -> Plot:
    """Two versions of a KPI over the same periods; the old one dashed.

    Args:
        old: by start of the period, the values of the old version.
        new: those of the new one.
        card: of the KPI.
        grain: of the periods.
        names: how the versions are called, old then new.
        effective: from when the new one counts, marked when it is in the periods.
        lang: language of labels and figures.
    """
    starts = sorted({*old, *new})
    at = None if effective is None else _first_since(effective, starts)
    lines = [Series(names[1], dict(new)), Series(names[0], dict(old), "orange", "dashed")]
    title = f"{card.localized(lang).label}, {names[0]} / {names[1]}"
    return plots.trend(
        lines, card, grain, title=title, lang=lang, breaks=[Mark(at, names[1])] if at else ()
    )


def ranked(
    data: Any,
    card: Card,
    *,
    title: str,
    lang: str = "en",
    called: Callable[[Any], str] = str,
) -> Bars:
    """A KPI by member of one dimension, the greatest first, each with its figure.

    Args:
        data: an Arrow table, a result or rows with one dimension and the KPI; the twelve greatest
            are drawn.
        card: of the KPI.
        title: what a screen reader says.
        lang: language of the figures.
        called: gives what a member is called.
    """
    rows = _greatest(data, card)
    by = next((name for name in (rows[0] if rows else ()) if name != card.name), "")
    values = [float(row[card.name]) for row in rows]
    low, high = min([0.0, *values]), max([0.0, *values])
    zero = -low / ((high - low) or 1.0)

    def segment(value: float) -> Segment:
        wide = abs(value) / ((high - low) or 1.0)
        return Segment(
            zero if value >= 0 else zero - wide, wide, "blue" if value >= 0 else "orange"
        )

    return Bars(
        title,
        tuple(
            Bar(
                _NO_MEMBER if row[by] is None else called(row[by]),
                measure(row[card.name], card.unit, decimals=card.decimals, lang=lang),
                (segment(value),),
            )
            for row, value in zip(rows, values, strict=True)
        ),
        (zero,) if low < 0 else (),
    )


def histogram(data: Any, card: Card, *, lang: str = "en", height: int = 200) -> Plot:
    """How many periods have a value in each of some even steps between round numbers.

    Args:
        data: an Arrow table, a result or rows with the KPI; rows without a value are left out.
        card: of the KPI.
        lang: language of labels and figures.
        height: of the plot in pixels.
    """
    known = [float(row[card.name]) for row in _rows(data) if row[card.name] is not None]
    days = words("chart", lang)["days"]
    title = f"{card.localized(lang).label}, {days}"
    if not known:
        return Plot(title, height=height)
    steps = scale(known, zero=False, most=min(max(len(known) // 3, 2), _MOST_STEPS))
    width = steps.ticks[1] - steps.ticks[0]
    counts = [0] * (len(steps.ticks) - 1)
    for value in known:
        counts[min(int((value - steps.low) / width), len(counts) - 1)] += 1
    axis = scale(counts)
    across = 1 / len(counts)
    edges = axis_texts(steps.ticks, card.unit, lang=lang)
    return Plot(
        title,
        x=thinned([Tick(at * across, text) for at, text in enumerate(edges)], _MOST_LABELS),
        y=tuple(
            Tick(axis.from_top(count), short(count, "", lang=lang))
            for count in axis.ticks
            if count == int(count)
        ),
        columns=tuple(
            Column(
                (at + 0.04) * across, axis.from_top(count), across * 0.92, axis.at(count), "blue"
            )
            for at, count in enumerate(counts)
            if count
        ),
        table=Table(
            (card.localized(lang).label, days),
            tuple(
                (f"{low} \N{EN DASH} {high}", short(count, "", lang=lang))
                for (low, high), count in zip(pairwise(edges), counts, strict=True)
            ),
        ),
        height=height,
    )


def dots(data: Any, card: Card, *, title: str, lang: str = "en") -> Bars:
    """A KPI by member as dots, the greatest first, on a scale that need not begin at zero.

    Args:
        data: an Arrow table, a result or rows with one dimension and the KPI; the twelve greatest
            are drawn.
        card: of the KPI.
        title: what a screen reader says.
        lang: language of the figures.
    """
    bars = ranked(data, card, title=title, lang=lang)
    values = [float(row[card.name]) for row in _greatest(data, card)]
    axis = scale(values, zero=False)
    marked = [
        replace(row, segments=(), dots=(Dot(axis.at(value), 0.5, "blue", title=row.value),))
        for row, value in zip(bars.rows, values, strict=True)
    ]
    return Bars(title, tuple(marked))


def _rows(data: Any) -> list[dict[str, Any]]:
    """Rows of an Arrow table, of a result or of dictionaries."""
    if hasattr(data, "to_arrow"):
        data = data.to_arrow()
    return list(data.to_pylist() if hasattr(data, "to_pylist") else data)


def _greatest(data: Any, card: Card) -> list[dict[str, Any]]:
    """The rows with the greatest values, the greatest first; those without a value are left out."""
    rows = [row for row in _rows(data) if row[card.name] is not None]
    return sorted(rows, key=lambda row: -row[card.name])[:MOST_BARS]


def _time(rows: list[dict[str, Any]]) -> str:
    for name in rows[0] if rows else ():
        if name.startswith(_PERIOD):
            return name
    raise QueryError("A line needs rows by period: group by metric_time__month, for instance.")


def _first_since(at: Any, starts: Sequence[Any]) -> Any:
    """The first period that began then or later; None before and after all of them."""
    if not starts or stamp(at) < stamp(starts[0]):
        return None
    return next((start for start in starts if stamp(start) >= stamp(at)), None)


def _size(values: Mapping[Any, Any]) -> float:
    return max((abs(float(value)) for value in values.values() if value is not None), default=0.0)
