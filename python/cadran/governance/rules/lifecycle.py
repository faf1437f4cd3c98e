"""Life: cards are reviewed in time, and a deprecated KPI leaves in an orderly way."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from cadran.audit import log, usage
from cadran.core.project.checks import Severity
from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.core.project.cards import Card
    from cadran.governance.context import Context


def _deprecated(context: Context) -> Iterator[Card]:
    return (card for card in context.cards.values() if card.status == "deprecated")


@rule(
    "LIFE01",
    title="The review is not overdue",
    rationale="""A definition that nobody has looked at for years describes a business that is no
        more. `review_by` is the day by which the owner promised to look.""",
    example="""
# wrong, on 1 March 2027
review_by: 2027-01-31
# right: reviewed, and the next review promised
review_by: 2028-01-31
""",
    remedy="Let the business owner review the card, then move `review_by` to the next review.",
)
def review_in_time(context: Context) -> Iterator[Finding]:
    """Find KPIs whose review should have been."""
    for card in context.live():
        if card.review_by < context.today:
            message = f"the review was due by {card.review_by}; its owner is {card.owner.business}"
            yield Finding(kpi=card.name, message=message)


@rule(
    "LIFE02",
    title="Nothing uses a deprecated KPI",
    rationale="""A report that still reads a deprecated KPI will break on the day of its sunset,
        in front of its readers.""",
    example="""
# wrong: turnover is deprecated
exposures:
  - {name: sales_report, depends_on: [metric('turnover')], ...}
# right: metric('net_revenue'), which replaces it
""",
    remedy="Let the exposure, saved query or metric use the KPI that replaces it.",
)
def deprecated_unused(context: Context) -> Iterator[Finding]:
    """Find exposures, saved queries and live KPIs that use a deprecated KPI."""
    for card in _deprecated(context):
        for kind, node in _users(context, card.name):
            hint = f"use '{card.replaced_by}' there" if card.replaced_by else ""
            yield Finding(
                kpi=card.name,
                message=f"it is deprecated, and the {kind} '{node['name']}' still uses it",
                file=node["original_file_path"],
                line=context.line(node["original_file_path"], node["name"]),
                remedy=hint,
            )


def _users(context: Context, kpi: str) -> Iterator[tuple[str, dict[str, Any]]]:
    dbt = context.dbt
    metrics = {key for key, node in dbt.get("metrics", {}).items() if node["name"] == kpi}
    tables = set()
    for node in dbt.get("saved_queries", {}).values():
        if kpi in node["query_params"]["metrics"]:
            tables.add(node["name"])
            yield "saved query", node
    models = {
        key
        for key, node in dbt.get("nodes", {}).items()
        if node["resource_type"] == "model" and node["name"] in tables
    }
    for node in dbt.get("exposures", {}).values():
        if (metrics | models) & set(node["depends_on"]["nodes"]):
            yield "exposure", node
    for card in context.live():
        if kpi in context.layer.metric_graph.closure(card.name)[1:]:
            yield "KPI", {"name": card.name, "original_file_path": context.file(card.name)}


@rule(
    "LIFE03",
    title="No sunset has passed",
    rationale="""After its sunset a KPI must be gone. One that can still be asked goes on being
        quoted, and is kept up by nobody.""",
    example="""
# wrong, on 1 March 2027
status: deprecated
sunset: 2027-01-31
# right: the card is taken out
""",
    remedy="Take the KPI out; its published values stay in the ledger.",
)
def sunset_ahead(context: Context) -> Iterator[Finding]:
    """Find KPIs that should be gone."""
    for card in context.cards.values():
        if card.sunset and card.sunset < context.today:
            yield Finding(kpi=card.name, message=f"its sunset was on {card.sunset}")


@rule(
    "LIFE04",
    title="A deprecated KPI names its replacement",
    rationale="""Readers of a deprecated KPI need to know where to go. The replacement must exist
        and not be deprecated itself.""",
    example="""
# wrong
status: deprecated
# right
status: deprecated
replaced_by: net_revenue
""",
    remedy="Name in `replaced_by` a KPI that lives.",
)
def replacement_named(context: Context) -> Iterator[Finding]:
    """Find deprecated KPIs without a living replacement."""
    for card in _deprecated(context):
        replacement = context.raw.get(card.replaced_by or "")
        if not card.replaced_by:
            yield Finding(kpi=card.name, message="it is deprecated and names no replacement")
        elif replacement is None:
            message = f"its replacement '{card.replaced_by}' is no KPI"
            yield Finding(kpi=card.name, message=message)
        elif replacement.get("status") == "deprecated":
            message = f"its replacement '{card.replaced_by}' is deprecated too"
            yield Finding(kpi=card.name, message=message)


@rule(
    "LIFE05",
    title="A deprecated KPI has a sunset",
    rationale="""Without a last day, deprecated means for ever, and every reader waits for the
        others.""",
    example="""
# wrong
status: deprecated
replaced_by: net_revenue
# right
status: deprecated
replaced_by: net_revenue
sunset: 2027-06-30
""",
    remedy="Set `sunset` to the last day on which the KPI can be asked.",
    severity=Severity.WARNING,
)
def sunset_set(context: Context) -> Iterator[Finding]:
    """Find deprecated KPIs without a last day."""
    for card in _deprecated(context):
        if card.sunset is None:
            yield Finding(kpi=card.name, message="it is deprecated without a last day")


@rule(
    "WAIV01",
    title="No waiver has ended or covers nothing",
    rationale="""A waiver is a debt with a date. One that has ended hides that the finding is
        back; one that covers nothing will hide the next.""",
    example="""
# wrong: the day has passed
waivers:
  - {rule: LIFE01, kpi: net_revenue, reason: Review on 12 January., until: 2027-01-15}
# right: mended, and the entry is gone
""",
    remedy="Mend what it covered and take the waiver out, or agree on a new date with the owner.",
    severity=Severity.WARNING,
)
def idle_waivers(context: Context) -> Iterator[Finding]:  # noqa: ARG001 - see below
    """Yield nothing: the engine, which alone knows what was waived, finds these itself."""
    yield from ()


@rule(
    "USE01",
    title="Every certified KPI is asked",
    rationale="""A KPI costs its owners reviews, targets and explanations. One that nobody has asked
        the server for in months is either not known or not needed. Nothing is said where no server
        keeps a record of questions, or where the record is younger than `unused_after` days.""",
    example="""
# wrong: 90 days of questions, and none for this one
name: boxes_per_pallet
status: certified
# right: tell those whom it was made for, or retire it
status: deprecated
replaced_by: units_per_order
sunset: 2027-06-30
""",
    remedy="Show it to those it was made for, or deprecate it with a replacement and a last day.",
    severity=Severity.WARNING,
)
def asked_of_late(context: Context) -> Iterator[Finding]:
    """Find certified KPIs for which nobody has asked the server for long."""
    if context.root is None:
        return
    folder = usage.folder_of(context.root)
    days = context.settings.unused_after
    midnight = dt.datetime.combine(context.today, dt.time.min, dt.UTC)
    since = midnight - dt.timedelta(days=days)
    began = log.began(folder)
    if began is None or began > since:
        return
    names = [card.name for card in context.live() if card.status == "certified"]
    for name, used in usage.of(log.read(folder, since).entries, names).items():
        if not used.questions:
            yield Finding(
                kpi=name, message=f"nobody has asked the server for it in the last {days} days"
            )
