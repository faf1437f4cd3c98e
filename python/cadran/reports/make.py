"""A pack from the numbers: which pages there are, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cadran.governance.notes import notes
from cadran.reports import (
    advice,
    appendix,
    costs,
    incidents,
    kpis,
    levels,
    outlook,
    recommend,
    summary,
    trends,
)
from cadran.reports.basis import Basis
from cadran.reports.pack import Pack

if TYPE_CHECKING:
    from cadran.insight.source import Source


def pack_of(
    source: Source,
    period: str,
    lang: str = "en",
    *,
    name: str = "",
) -> Pack:
    """The pack of a period.

    Args:
        source: where numbers come from.
        period: 2026, 2026-Q3 or 2026-09.
        lang: en or fr.
        name: of the organisation; by default that of the project.

    Raises:
        QueryError: the period or the language is not known, or there is no data of the period.
        CadranError: as `Layer.query`.
    """
    return pack_from(Basis.of(source, period, lang, name=name))


def pack_from(basis: Basis) -> Pack:
    """The pack of what is read."""
    w = basis.words
    level_facts, incident_facts = levels.facts(basis), incidents.facts(basis)
    by_lang = recommend.in_languages(
        basis.source.layer, basis.period, source=basis.source, impacts=incident_facts.impacts,
        settlements={name: tuple(m.values()) for name, m in level_facts.settlements.items()},
    )  # fmt: skip
    recommendations = by_lang[w.lang]
    outcomes = recommend.outcomes(basis.source.layer, basis.period, recommendations, lang=w.lang)
    verdict = incidents.verdict(basis, incident_facts, levels.credit_figures(basis, level_facts))
    every = (
        summary.page(basis, (verdict,) if verdict else (), advice.waiting(basis, recommendations)),
        kpis.page(basis, _notes(basis)),
        levels.page(basis, level_facts),
        incidents.page(basis, incident_facts),
        trends.page(basis),
        costs.page(basis, incident_facts, level_facts),
        outlook.page(basis),
        *advice.pages(basis, recommendations, outcomes),
        *appendix.pages(basis),
    )
    pages = tuple(page for page in every if page is not None)
    return Pack(
        basis.name, w("pack_title"), w.long_period(basis.start, basis.grain), basis.key, w.lang,
        basis.window.last, basis.window.is_running, w("contents"), pages,
        recommend.titles(by_lang),
    )  # fmt: skip


def _notes(basis: Basis) -> dict[str, str]:
    """What was last said of each KPI and the period or a part of it, and by whom.

    Only of what whoever asks sees whole.
    """
    w, by_kpi = basis.words, {}
    for note in notes(basis.source.layer, period=basis.key):
        if basis.reader.whole(note.remark.kpi):
            remark = note.remark
            text = " ".join(filter(None, (remark.text, remark.cause, remark.action)))
            by_kpi[remark.kpi] = w("note_by", by=note.by, text=text)
    return by_kpi
