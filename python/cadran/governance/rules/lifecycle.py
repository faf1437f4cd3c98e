"""Life: cards are reviewed in time, and a deprecated KPI leaves in an orderly way."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from cadran.audit import log, usage
from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.core.project.cards import Card
    from cadran.governance.context import Context


def _deprecated(context: Context) -> Iterator[Card]:
    return (card for card in context.cards.values() if card.status == "deprecated")


@rule("LIFE01")
def review_in_time(context: Context) -> Iterator[Finding]:
    """Find KPIs whose review should have been."""
    for card in context.live():
        if card.review_by < context.today:
            message = f"the review was due by {card.review_by}; its owner is {card.owner.business}"
            yield Finding(kpi=card.name, message=message)


@rule("LIFE02")
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


@rule("LIFE03")
def sunset_ahead(context: Context) -> Iterator[Finding]:
    """Find KPIs that should be gone."""
    for card in context.cards.values():
        if card.sunset and card.sunset < context.today:
            yield Finding(kpi=card.name, message=f"its sunset was on {card.sunset}")


@rule("LIFE04")
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


@rule("LIFE05")
def sunset_set(context: Context) -> Iterator[Finding]:
    """Find deprecated KPIs without a last day."""
    for card in _deprecated(context):
        if card.sunset is None:
            yield Finding(kpi=card.name, message="it is deprecated without a last day")


@rule("WAIV01")
def idle_waivers(context: Context) -> Iterator[Finding]:  # noqa: ARG001 - see below
    """Yield nothing: the engine, which alone knows what was waived, finds these itself."""
    yield from ()


@rule("USE01")
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
