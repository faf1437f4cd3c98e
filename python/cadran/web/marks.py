"""What happened in the days of a chart, as marks in the lane below it, and what their signs mean.

Incidents stand at their instants. Deployments are many: those of one period of the chart are one
mark, which says how many failed. Public holidays are marked by day and week, sales on every chart.
Nothing is marked that whoever reads may not see.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.charts.plots import Mark
from cadran.formats import periods
from cadran.insight import service_levels
from cadran.insight.occasions import occasions
from cadran.reliability import status
from cadran.web import notes

if TYPE_CHECKING:
    from collections.abc import Container

    from cadran.charts.picture import Tone
    from cadran.insight.readings import Reader
    from cadran.insight.wording import Words

DEPLOYMENTS = "deployment_count"  # who sees their number as a whole sees each of them
GRAVE = frozenset(("sev1", "critical", "major"))  # severities that a chart of months marks
_ALL = "all"
_TONES: dict[str, Tone] = {"sev1": "bad", "sev2": "near"}
_SHORT = {"day", "week"}  # grains whose periods a single day matters to


@dataclass(frozen=True, slots=True)
class Lane:
    """The marks of a chart, and which signs they have.

    Attributes:
        marks: in the order in which they are drawn.
        legend: the signs in words; empty without a mark.
    """

    marks: tuple[Mark, ...]
    legend: str


def lane(  # noqa: PLR0913 - which days, and what is told of them
    reader: Reader,
    w: Words,
    first: dt.date,
    last: dt.date,
    grain: str,
    *,
    service: str = _ALL,
    severities: Container[str] | None = None,
    kpi: str = "",
) -> Lane:
    """What happened from the first to the last day of a chart.

    Args:
        reader: of whoever asks.
        w: the words of the marks.
        first: the first day.
        last: the last one.
        grain: of the chart's periods.
        service: only incidents and deployments of this one.
        severities: only incidents of these; every one where it is left out.
        kpi: whose notes are marked too.
    """
    days = occasions(reader.source.layer, first, last, w.lang)
    if grain not in _SHORT:
        days = [mark for mark in days if mark.shape != "square"]
    kinds = {
        "mark_deployments": _deployments(reader, w, first, last, grain, service),
        "mark_holidays": [mark for mark in days if mark.shape == "square"],
        "mark_sales": [mark for mark in days if mark.shape == "diamond"],
        "mark_notes": [
            mark
            for mark in (notes.marks(reader, w, kpi, last) if kpi else ())
            if mark.at.date() >= first
        ],
        "mark_incidents": _incidents(reader, w, first, last, service, severities),
    }
    shown = [w(kind) for kind, marks in kinds.items() if marks]
    return Lane(
        tuple(mark for marks in kinds.values() for mark in marks),
        w("marks_below", kinds=", ".join(shown)) if shown else "",
    )


def deployments(
    reader: Reader, first: dt.datetime, last: dt.datetime, service: str = _ALL
) -> list[dict[str, Any]]:
    """Deployments from one instant (UTC) to another, as far as whoever asks may see them."""
    layer = reader.source.layer
    sees = (
        reader.whole(DEPLOYMENTS)
        if any(card.name == DEPLOYMENTS for card in layer.kpis())
        else service_levels.sees_incidents(reader)
    )
    if not sees:
        return []
    every = reader.cached_for("deployments", lambda: status.deployments(layer))
    return [
        row
        for row in every
        if first <= row["deployed_at"] <= last and service in {_ALL, row["service_id"]}
    ]


def _deployments(  # noqa: PLR0913, PLR0917 - the same as the lane's
    reader: Reader, w: Words, first: dt.date, last: dt.date, grain: str, service: str
) -> list[Mark]:
    """One mark a period, at its start; of a single deployment at its instant."""
    midnight = dt.time()
    rows = deployments(
        reader, dt.datetime.combine(first, midnight),
        dt.datetime.combine(last, dt.time.max), service,
    )  # fmt: skip
    by_start: dict[dt.date, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_start[periods.start_of(row["deployed_at"].date(), grain)].append(row)
    marks = []
    for start, group in sorted(by_start.items()):
        failed = sum(bool(row["is_failed"]) for row in group)
        text = w.count("deployments_n", len(group))
        if len(group) == 1:
            text = f"{w('deployed')} {group[0]['deployment_id']}, {w.name(group[0]['service_id'])}"
        text += f", {w.count('failed_n', failed)}" if failed else ""
        text += f", {w.period(start, grain)}"
        at = group[0]["deployed_at"] if len(group) == 1 else dt.datetime.combine(start, midnight)
        marks.append(Mark(at, text, "near" if failed else "grey", "ring"))
    return marks


def _incidents(  # noqa: PLR0913, PLR0917 - the same as the lane's
    reader: Reader,
    w: Words,
    first: dt.date,
    last: dt.date,
    service: str,
    severities: Container[str] | None,
) -> list[Mark]:
    return [
        Mark(
            row["started_at"],
            f"{row['incident_id']}, {w.name(row['service'])},"
            f" {w.day(row['started_at'], year=False)}",
            _TONES.get(str(row["severity"]), "muted"),
        )
        for row in service_levels.incidents(reader, first)
        if (severities is None or row["severity"] in severities)
        and row["started_at"].date() <= last
        and service in {_ALL, row["service"]}
    ]
