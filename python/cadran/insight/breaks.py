"""Where a KPI changed its meaning, in words and as marks of a chart, in either language."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cadran.charts.plots import Mark
from cadran.formats import periods
from cadran.formats.words import words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.core.project.cards import Card
    from cadran.core.result import Break


def marks(breaks: Iterable[Break], kpi: str, lang: str = "en") -> list[Mark]:
    """The breaks of a KPI that an answer carries, as marks for a chart."""
    drawn = []
    for change in breaks:
        if change.kpi == kpi:
            word = words("kinds", lang).get(change.kind or "", change.kind or "")
            day = change.period.date() if isinstance(change.period, dt.datetime) else change.period
            label = f"v{change.after} {word}".strip()
            # A break outside the series (the published values changed, these did not) cuts no line.
            label = (
                label if change.in_series else words("break", lang)["published"].format(label=label)
            )
            drawn.append(Mark(day, label, cuts=change.in_series))
    return drawn


def sentence(broken: Break, card: Card, grain: str, lang: str = "en") -> str:
    """A break of a KPI in one sentence of either language."""
    day = broken.period.date() if isinstance(broken.period, dt.datetime) else broken.period
    kind = words("kinds", lang).get(broken.kind or "", broken.kind or "")
    colon = " : " if lang == "fr" else ": "
    why = colon.join(part.rstrip(".") for part in (kind, broken.reason) if part)
    sentence = words("break", lang)["changed"].format(
        label=card.localized(lang).label, before=broken.before, after=broken.after,
        period=periods.label(day, grain, lang),
    )  # fmt: skip
    sentence += f" ({why})" if why else ""
    return sentence + ("" if broken.in_series else words("break", lang)["of_one_version"])
