"""Duplicates: one meaning has one name, one label one meaning, and names are told apart."""

from __future__ import annotations

from collections import defaultdict
from importlib.metadata import version
from typing import TYPE_CHECKING

from cadran.core.compiler.plan_cache import key_of
from cadran.core.project.checks import Severity
from cadran.core.project.graph import checksum
from cadran.core.query.request import GRAINS
from cadran.core.versions.canonical import NotCanonical, canonical
from cadran.errors import CadranError
from cadran.governance.rules.ownership import is_near
from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.governance.context import Context


def meaning_of(context: Context, kpi: str) -> str | None:
    """A hash of the KPI's canonical SQL at its coarsest grain; None when it cannot be asked."""
    grain = max(context.cards[kpi].grains, key=GRAINS.index)
    try:
        sql = context.layer.sql([kpi], f"metric_time__{grain}", ordered=False)
    except CadranError:
        return None
    key = key_of("same", sql, version("sqlglot"))
    meaning: str | None = context.cache.get(key)
    if meaning is None:
        try:
            meaning = checksum(canonical(sql, context.layer.project.dialect))
        except NotCanonical:
            meaning = checksum(sql.replace(kpi, "_kpi"))
        context.cache.put(key, meaning)
    return meaning


@rule(
    "DUP01",
    title="No meaning stands under two names",
    rationale="""Two names for one figure are two figures to their readers, and will be two at
        the next change, which reaches only one of them. Compared is the SQL that each KPI
        compiles to, brought to one form, at its coarsest grain.""",
    example="""
# wrong: both compile to the same SQL
- {name: net_revenue, type: derived, expr: order_net_amount, ...}
- {name: turnover, type: derived, expr: (order_net_amount), ...}
# right: one KPI; the other word stands in its description
""",
    remedy="Keep one of them; deprecate the other with `replaced_by`.",
)
def same_meaning(context: Context) -> Iterator[Finding]:
    """Find KPIs whose canonical SQL is that of another."""
    by_meaning: dict[str, list[str]] = defaultdict(list)
    for card in context.live():
        meaning = meaning_of(context, card.name)
        if meaning:
            by_meaning[meaning].append(card.name)
    for names in by_meaning.values():
        for name in names[1:]:
            yield Finding(kpi=name, message=f"it is computed exactly as '{names[0]}' is")


@rule(
    "DUP02",
    title="No label stands for two meanings",
    rationale="""Readers see labels, not names. Two KPIs under one label are one figure with two
        values.""",
    example="""
# wrong
- {name: net_revenue, label: Revenue, ...}
- {name: gross_revenue, label: Revenue, ...}
# right: `Net revenue` and `Gross revenue`
""",
    remedy="Give each KPI a label of its own, in both languages.",
)
def same_label(context: Context) -> Iterator[Finding]:
    """Find labels, in either language, that an earlier KPI carries."""
    for language in ("English", "French"):
        first_by_label: dict[str, str] = {}
        for name, card in context.raw.items():
            french = card.get("fr")
            own = card["label"] if language == "English" else (french or {}).get("label")
            label = " ".join(str(own or "").split())
            first = first_by_label.setdefault(label.casefold(), name)
            if label and first != name:
                message = f"the {language} label '{label}' is that of '{first}' too"
                yield Finding(kpi=name, message=message)


@rule(
    "DUP03",
    title="No two names are nearly the same",
    rationale="""`net_revenue` and `revenue_net`, `refund_rate` and `refunds_rate`: whoever asks
        for one will sooner or later get the other.""",
    example="""
# wrong
- {name: refund_rate, ...}
- {name: refunds_rate, ...}
# right: names that say the difference
- {name: refund_rate, ...}
- {name: refunded_order_share, ...}
""",
    remedy="Rename one so that the difference in meaning shows in the name.",
    severity=Severity.WARNING,
)
def near_names(context: Context) -> Iterator[Finding]:
    """Find KPI names that are easily taken for another's."""
    names = [n for n, card in context.raw.items() if card.get("status") != "deprecated"]
    for index, name in enumerate(names):
        for other in names[:index]:
            if is_near(name, other):
                yield Finding(kpi=name, message=f"its name is nearly that of '{other}'")
