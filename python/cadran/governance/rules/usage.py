"""Usage: a KPI that is kept up is a KPI that somebody asks."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cadran.governance.rules.registry import Finding, Severity, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.governance.context import Context


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
    from cadran.access import record, usage

    if context.root is None:
        return
    folder = usage.folder_of(context.root)
    days = context.settings.unused_after
    midnight = dt.datetime.combine(context.today, dt.time.min, dt.UTC)
    since = midnight - dt.timedelta(days=days)
    began = record.began(folder)
    if began is None or began > since:
        return
    names = [card.name for card in context.live() if card.status == "certified"]
    for name, used in usage.of(record.read(folder, since).entries, names).items():
        if not used.questions:
            yield Finding(
                kpi=name, message=f"nobody has asked the server for it in the last {days} days"
            )
