"""Drivers, forecast, anomalies and impact for whoever asks over a network, as plain values.

Every figure in them is a question of the caller, judged and recorded as any other.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from cadran.formats.periods import read as read_period
from cadran.insight import anomalies as unusual
from cadran.insight import drivers as attribution
from cadran.insight import forecast as ahead
from cadran.insight import impact as costs
from cadran.insight.evidence import compared

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cadran.serving.service import QueryService, RequestContext


def drivers(  # noqa: PLR0913 - the question of `cadran drivers`
    service: QueryService,
    context: RequestContext,
    kpi: str,
    *,
    by: str | None = None,
    period: str | None = None,
    start: str | None = None,
    end: str | None = None,
    compare: str = "previous",
    where: Iterable[str] = (),
    top: int = attribution.SHOWN,
    lang: str = "en",
) -> dict[str, Any]:
    """What contributes to a change of a KPI: members of a dimension, or factors without one.

    Raises:
        CadranError: as `compared`, `by_member` and `by_factor`.
    """
    with service.source(context) as source:
        current, base = compared(
            source, kpi, comparison=compare,
            period=read_period(period)[:2] if period else None,
            start=dt.date.fromisoformat(start) if start else None,
            end=dt.date.fromisoformat(end) if end else None,
        )  # fmt: skip
        if by is None:
            result = attribution.by_factor(source, kpi, current, base, where=where)
        else:
            result = attribution.by_member(source, kpi, by, current, base, where=where, shown=top)
        return result.to_dict(lang)


def forecast(  # noqa: PLR0913 - the question of `cadran forecast`
    service: QueryService,
    context: RequestContext,
    kpi: str,
    *,
    grain: str = "month",
    where: Iterable[str] = (),
    lang: str = "en",
) -> dict[str, Any]:
    """A KPI at the end of the running period.

    Raises:
        CadranError: as `to_end`.
    """
    with service.source(context) as source:
        return ahead.to_end(source, kpi, grain, where=where).to_dict(lang)


def anomalies(  # noqa: PLR0913 - the question of `cadran anomalies`
    service: QueryService,
    context: RequestContext,
    kpi: str,
    *,
    days: int = unusual.SHOWN,
    where: Iterable[str] = (),
    lang: str = "en",
) -> dict[str, Any]:
    """The last days of a KPI that were unlike the same weekdays before.

    Raises:
        CadranError: as `find`.
    """
    with service.source(context) as source:
        return unusual.find(source, kpi, days=days, where=where).to_dict(lang)


def impact_rows(
    service: QueryService, context: RequestContext, asked: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    """What incidents cost, by the outcomes that the caller may see.

    Args:
        service: what answers.
        context: how the question came in.
        asked: incident, by, start and end; days as ISO texts.

    Raises:
        CadranError: as `impact.rows`.
    """
    by = next((name for name in costs.BYS if name == asked["by"]), None)
    start, end = (
        dt.date.fromisoformat(day) if (day := asked[name]) else None for name in ("start", "end")
    )
    with service.source(context) as source:
        return costs.rows(source, asked["incident"], by, start, end)
