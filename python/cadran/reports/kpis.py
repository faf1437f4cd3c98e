"""The strategic KPIs by objective: value, target, year before, course, state, the last note."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cadran.core.targets import Status
from cadran.reports.basis import STATES, severity
from cadran.reports.pack import Cell, Column, Figure, Notes, Page, Row, Table, Text
from cadran.reports.summary import course

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cadran.insight.readings import Reading
    from cadran.reports.basis import Basis

_LONGEST = 160  # characters of a note that a row holds
_COURSE = 44.0  # millimetres


def page(basis: Basis, notes: Mapping[str, str]) -> Page:
    """The KPIs.

    Args:
        basis: what is read.
        notes: what was last said of the period and by whom, by KPI.
    """
    w = basis.words
    readings = list(basis.readings.values())
    now = (
        w("to_date") if basis.window.is_running else w.short_period(basis.window.first, basis.grain)
    )
    first, last = basis.months()[0], basis.last_month
    months = w(
        "thirteen_months", first=w.short_period(first, "month"), last=w.short_period(last, "month")
    )
    columns = [
        Column(w("kpi"), 52), Column(now, 27, "right"), Column(w("target_name"), 25, "right"),
        Column(w("gap"), 19, "right"), Column(basis.year_ago(), 26, "right"),
        Column(months, _COURSE), Column(w("state"), 36), Column(w("last_note"), 40),
    ]  # fmt: skip
    if not notes:
        columns = [
            *columns[:5],
            replace(columns[5], width=_COURSE + 40),
            replace(columns[6], width=36),
        ]
    rows: list[Row] = []
    objective = ""
    for one in readings:
        if one.card.objective != objective:
            objective = one.card.objective
            rows.append(Row((Cell(basis.objective(one.card)),), "group"))
        cells = _cells(basis, one, notes.get(one.card.name, ""))
        rows.append(Row(cells[: len(columns)]))
    table = Table("", "", tuple(columns), tuple(rows), is_dense=len(rows) > 15)  # noqa: PLR2004 - rows that a page holds with room
    return Page(
        "kpis", "2", w("kpis_page"), _title(basis, readings), _subtitle(basis, readings),
        (table, Notes((Text(w("kpis_read")),))),
        w("foot_kpis", day=w.date(basis.window.last)),
    )  # fmt: skip


def _cells(basis: Basis, one: Reading, note: str) -> tuple[Cell, ...]:
    w = basis.words
    target, gap = basis.target(one), basis.gap(one)
    state = STATES[one.status]
    picture, series = course(basis, one)
    before = basis.base(one)
    change = basis.change(one)
    text = note if len(note) <= _LONGEST else note[: _LONGEST - 1].rsplit(" ", 1)[0] + "…"
    return (
        Cell(w.label(one.card), weight="strong"),
        Cell(figure=basis.figure(one), weight="strong"),
        Cell(figure=target) if target else Cell(w("none_sign"), weight="muted"),
        Cell(figure=gap, state=state) if gap else Cell(w("none_sign"), weight="muted"),
        Cell(figure=before, small=change.text, small_figures=(change,))
        if one.base is not None else Cell(w("not_measured"), weight="muted"),
        Cell(picture=picture, series=series) if picture else Cell(w("none_sign"), weight="muted"),
        Cell(basis.state(one), state=state, has_sign=True, weight="strong" if state else "muted"),
        Cell("", small=w.print(text)),
    )  # fmt: skip


def _title(basis: Basis, readings: Sequence[Reading]) -> Text:
    w = basis.words
    judged = [one for one in readings if one.status is not Status.NONE]
    good = sum(one.status is Status.ON_TARGET for one in judged)
    if not judged:
        known = sum(one.value is not None for one in readings)
        return Text(w.sentence(w.counted("kpis_unjudged", known)))
    if good == len(judged):
        return Text(w.counted("kpis_all_good", good))
    off = max(judged, key=severity)
    state = w(f"in_{off.status.name.lower()}")
    return Text(
        w.sentence(
            w.counted(
                "kpis_some_good", good, total=len(judged),
                bad=w.inner(w.label(off.card)), state=state,
            )
        )
    )  # fmt: skip


def _subtitle(basis: Basis, readings: Sequence[Reading]) -> Text:
    w = basis.words
    gaps: list[str] = []
    figures: list[Figure] = []
    off = sorted((one for one in readings if severity(one)), key=severity, reverse=True)
    for one in off[:3]:
        gap = basis.gap(one)
        if gap is not None:
            gaps.append(w("kpi_gap", label=w.inner(w.label(one.card)), gap=gap.text))
            figures.append(gap)
    parts = [w.sentence(w.listed(gaps)) + "."] if gaps else []
    if not any(one.status is Status.CRITICAL for one in readings):
        parts.append(w("none_critical"))
    without_target = [one for one in readings if one.target is None]
    if without_target:
        names = w.listed([w.inner(w.label(one.card)) for one in without_target])
        parts.append(w.counted("without_target", len(without_target), names=names))
    open_ = [one for one in readings if one.target is not None and one.status is Status.NONE]
    if open_:
        parts.append(w("judged_later"))
    return Text(" ".join(parts), "", tuple(figures))
