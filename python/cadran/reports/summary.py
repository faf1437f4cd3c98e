"""The first page: the verdict, the figures that matter, where the main change lies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cadran.charts import plots
from cadran.core.days import Days
from cadran.core.targets import Status
from cadran.errors import CadranError
from cadran.insight import drivers
from cadran.insight.readings import ENDING
from cadran.reports.basis import STATES, defined, severity
from cadran.reports.pack import (
    Comparison,
    Figure,
    Page,
    Paragraphs,
    PictureBlock,
    Series,
    Text,
    Tile,
    Tiles,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.charts.picture import Plot
    from cadran.insight.drivers import Contribution, Drivers
    from cadran.insight.readings import Reading
    from cadran.reports.basis import Basis
    from cadran.reports.pack import Block

_NAMED = 2  # KPIs on target that a title names
_MEMBERS = 5
_LEVEL = 0.005  # of the base, below which a change is none
_MOST_DIMENSIONS = 2


def page(basis: Basis, more: Iterable[Text] = (), decisions: Block | None = None) -> Page:
    """The summary.

    Args:
        basis: what is read.
        more: what other pages have to say here.
        decisions: the decisions that the committee is asked for.
    """
    w = basis.words
    blocks: list[Block] = [Tiles(tuple(tile(basis, one) for one in basis.key_readings))]
    split = main_change(basis)
    if split is not None:
        blocks.append(_waterfall(basis, split))
    texts = (*_focus_told(basis, split), *_off_told(basis), *more)
    blocks.append(Paragraphs(w("remember"), texts, span=5 if split is not None else 12))
    if decisions is not None:
        blocks.append(decisions)
    foot = w("foot_summary", day=w.date(basis.window.last))
    if split is not None:
        foot = f"{foot} {w('foot_waterfall')}"
    return Page("summary", "1", w("summary"), verdict(basis), _subtitle(basis), tuple(blocks), foot)


def tile(basis: Basis, reading: Reading) -> Tile:
    """A key figure with its target, the year before and its course."""
    w = basis.words
    compared = []
    target = basis.target(reading, brief=True)
    if target is not None:
        compared.append(Comparison(w("target_name"), target, basis.gap(reading)))
    base = basis.base(reading, brief=True)
    if reading.base is None:
        compared.append(Comparison(basis.year_ago(), Figure(w("not_measured"), None)))
    else:
        compared.append(Comparison(basis.year_ago(), base, basis.change(reading)))
    picture, series = course(basis, reading)
    return Tile(
        w.label(reading.card), basis.figure(reading, brief=True), STATES[reading.status],
        basis.state(reading), tuple(compared), picture, series,
    )  # fmt: skip


def course(basis: Basis, reading: Reading) -> tuple[Plot | None, tuple[Series, ...]]:
    """The thirteen months of a KPI in the size of a word."""
    found = basis.courses.get(reading.card.name)
    # What comes together over a month has none to be drawn before it is over.
    hidden = basis.open_month(found) if found and reading.accrues else None
    values = (
        tuple(None if s == hidden else found.history.get(s) for s in basis.months())
        if found
        else ()
    )
    if sum(value is not None for value in values) < 2:  # noqa: PLR2004 - a point is no course
        return None, ()
    w = basis.words
    picture = replace(plots.sparkline(values), title=w("figure_of", name=w.label(reading.card)))
    labels = tuple(w.short_period(start, "month") for start in basis.months())
    asked = tuple(
        None if found is None or value is None else basis.month_of(found, start)
        for start, value in zip(basis.months(), values, strict=True)
    )
    series = Series(w.label(reading.card), labels, values, reading.card.unit, sources=asked)
    return picture, (series,)


def verdict(basis: Basis) -> Text:
    """What the period comes to, in one sentence."""
    w = basis.words
    shown = basis.key_readings
    judged = [one for one in shown if one.status is not Status.NONE]
    good = [one for one in judged if one.status is Status.ON_TARGET]
    every = [one for one in basis.readings.values() if one.status is not Status.NONE]
    off = sorted((one for one in every if severity(one)), key=severity, reverse=True)
    if not judged:
        return _moved(basis, shown[0])
    if not off:
        return Text(w.counted("verdict_all", len(every)))
    worst = off[0]
    bad, state = w.inner(w.label(worst.card)), w(f"in_{worst.status.name.lower()}")
    if not good:
        return Text(w("verdict_bad", bad=bad, state=state))
    names = [w.inner(w.label(one.card)) for one in good[:_NAMED]]
    return Text(w.sentence(w("verdict_mixed", good=w.listed(names), bad=bad, state=state)))


def _moved(basis: Basis, reading: Reading) -> Text:
    ending = "_running" if basis.window.is_running else ""
    label, value = basis.words.label(reading.card), basis.figure(reading, brief=True)
    if reading.base is None:
        return basis.text(f"verdict_level{ending}", label=label, value=value)
    key = "verdict_running" if ending else "verdict_moved"
    return basis.text(key, label=label, value=value, change=basis.change(reading))


def _subtitle(basis: Basis) -> Text:
    w, window = basis.words, basis.window
    state = "running" if window.is_running else "closed"
    parts = [w(f"{state}_{basis.grain}", day=w.date(window.last))]
    if all(one.base is None for one in basis.readings.values()):
        parts.append(w("first_period"))
    if basis.late:
        names = [
            w("late_kpi", label=w.label(one.card), day=w.date(one.window.last))
            for one in basis.late
        ]
        parts.append(w("late_some", names=w.listed(names)))
    return Text(" ".join(parts))


def main_change(basis: Basis) -> Drivers | None:
    """What the change of the first key figure is made up of; None where it cannot be split."""
    reading = next((one for one in basis.key_readings if _size(one) >= _LEVEL), None)
    if reading is None:
        return None
    window = reading.window
    now, before = Days(window.first, window.last), Days(window.base_first, window.base_last)
    for dimension in reading.card.dimensions[:_MOST_DIMENSIONS]:
        try:
            found = drivers.by_member(
                basis.source, reading.card.name, dimension, now, before, shown=_MEMBERS
            )
        except ENDING:
            raise
        except CadranError:
            continue
        return found
    return None


def _size(reading: Reading) -> float:
    """How large a change is, in parts of what it is from."""
    if not reading.change:
        return 0.0
    return abs(float(reading.change) / float(reading.base)) if reading.base else 1.0


def _waterfall(basis: Basis, split: Drivers) -> PictureBlock:
    w, card = basis.words, split.card
    names = (_before(basis), _now(basis))
    parts = [(_member(basis, one), one) for one in split.contributions]
    if split.others is not None:
        parts.append((w("others_many"), split.others))
    label = w.label(card)
    alt = w(
        "waterfall_alt", label=label, base=w.value(split.base, card),
        value=w.value(split.value, card), parts=w.listed([name for name, _ in parts]),
    )  # fmt: skip
    picture = plots.waterfall(
        (names[0], split.base), [(name, one.amount, "") for name, one in parts],
        (names[1], split.value), card, title=alt, lang=w.lang,
    )  # fmt: skip
    picture = replace(
        picture, rows=tuple(replace(bar, value=w.print(bar.value)) for bar in picture.rows)
    )
    labels = (names[0], *(name for name, _ in parts), names[1])
    values = (split.base, *(one.amount for _, one in parts), split.value)
    title = w("waterfall_up" if split.change > 0 else "waterfall_down", label=w.inner(label))
    dimension = w.names(card.dimensions)[split.by].lower() if split.by else ""
    sub = w("waterfall_sub", before=names[0], now=names[1], dimension=dimension)
    sources = (None, *(_origin(split, one) for _, one in parts), None)
    series = Series(label, labels, values, card.unit, "step", sources, defined(card))
    return PictureBlock(title, sub, picture, (series,), span=7)


def _before(basis: Basis) -> str:
    window = basis.window
    if window.is_running:
        return basis.words.days(window.base_first, window.base_last)
    return basis.words.short_period(window.base_first, basis.grain)


def _now(basis: Basis) -> str:
    window = basis.window
    if window.is_running:
        return basis.words.days(window.first, window.last)
    return basis.words.short_period(window.first, basis.grain)


def _member(basis: Basis, part: Contribution) -> str:
    if part.name is None:
        return basis.words("unnamed")
    return basis.words.name(str(part.name))


def _focus_told(basis: Basis, split: Drivers | None) -> list[Text]:
    """The main change in words: how much, against the target, by what."""
    every = sorted(
        (one for one in basis.key_readings if one.change), key=lambda r: _size(r) < _LEVEL
    )
    if not every:
        return _first_told(basis)
    reading = every[0]
    w, card, size = basis.words, reading.card, _size(reading)
    key = "lead_level" if size < _LEVEL else "lead_up" if reading.change > 0 else "lead_down"
    figures = [basis.change(reading), basis.figure(reading, brief=True)]
    parts = [w("told_change", change=figures[0].text, value=figures[1].text)]
    target, gap = basis.target(reading, brief=True), basis.gap(reading)
    if target is not None and gap is not None:
        parts.append(w("told_above", gap=gap.text, target=target.text))
        figures += [gap, target]
    if split is not None and split.card.name == card.name and split.contributions:
        first = split.contributions[0]
        amount = _part(basis, split, first)
        share = float(first.amount) / float(split.change) if split.change else 0.0
        if 0 < share <= 1:
            of_change = Figure(
                w.share(share), share, "%", origin=f"{_origin(split, first)} share",
                definition=defined(card),
            )  # fmt: skip
            parts.append(
                w("told_driver", name=_member(basis, first), amount=amount.text,
                  share=of_change.text)
            )  # fmt: skip
            figures += [amount, of_change]
        against = [
            p for p in split.contributions if (p.amount < 0) == (split.change > 0) and p.amount
        ]
        if against:
            other = _part(basis, split, against[0])
            parts.append(
                w("told_driver_against", name=_member(basis, against[0]), amount=other.text)
            )
            figures.append(other)
        elif len(split.contributions) > 1 and split.others is None:
            parts.append(w("told_driver_all"))
    return [Text(" ".join(parts), w(key, label=w.label(card)), tuple(figures))]


def _first_told(basis: Basis) -> list[Text]:
    """The first key figure against its target, where there is no year before."""
    w = basis.words
    for reading in basis.key_readings:
        target, gap = basis.target(reading, brief=True), basis.gap(reading)
        if target is not None and gap is not None:
            value = basis.figure(reading, brief=True)
            lead = w("verdict_level", label=w.label(reading.card), value=value.text)
            text = w("told_above", gap=gap.text, target=target.text)
            return [Text(text, lead, (value, gap, target))]
    return []


def _part(basis: Basis, split: Drivers, part: Contribution) -> Figure:
    return Figure(
        basis.words.amount(part.amount, split.card), part.amount, split.card.unit,
        origin=_origin(split, part), definition=defined(split.card),
    )  # fmt: skip


def _origin(split: Drivers, part: Contribution) -> str:
    name = "others" if part is split.others else part.name
    return f"drivers {split.card.name} by {split.by} {name}"


def _off_told(basis: Basis) -> list[Text]:
    """The KPI that is furthest off its target."""
    w = basis.words
    off = [one for one in basis.readings.values() if severity(one)]
    if not off:
        return []
    worst = max(off, key=severity)
    value, target, gap = basis.figure(worst), basis.target(worst), basis.gap(worst)
    if target is None or gap is None or worst.target is None:
        return []
    parts = [w("told_off", value=value.text, target=target.text, gap=gap.text)]
    figures = [value, target, gap]
    warning = worst.target.warning
    if warning is not None:
        threshold = Figure(
            w.value(warning, worst.card), warning, worst.card.unit,
            origin=f"warning {worst.card.name}", definition=f"target {worst.target.target}",
        )  # fmt: skip
        parts.append(w("told_off_threshold", threshold=threshold.text))
        figures.append(threshold)
    found = basis.courses.get(worst.card.name)
    known = {start: one for start, one in found.history.items() if one is not None} if found else {}
    if found and len(known) > 1:
        low, high = (
            Figure(w.value(known[start], worst.card), known[start], worst.card.unit,
                   basis.month_of(found, start))
            for start in (min(known, key=known.__getitem__), max(known, key=known.__getitem__))
        )  # fmt: skip
        parts.append(w("told_off_months", low=low.text, high=high.text))
        figures += [low, high]
    lead = w("told_off_lead", label=w.label(worst.card), state=w(f"in_{worst.status.name.lower()}"))
    return [Text(" ".join(parts), lead, tuple(figures))]
