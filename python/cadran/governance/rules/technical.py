"""Technique: what a card promises can be asked, summed, delivered, proved, and shown to anybody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cadran.core.project import lineage
from cadran.core.query.request import GRAINS
from cadran.core.semantics import privacy
from cadran.core.semantics.metrics import ADDITIVE
from cadran.errors import CadranError
from cadran.formats import periods
from cadran.governance import kpi_tables
from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.core.project.cards import Card
    from cadran.governance.context import Context

PROJECT = "dbt_project.yml"

_SWITCHED_OFF = re.compile(r"\benabled\s*=\s*false\b", re.IGNORECASE)


@rule("TEC01")
def can_be_queried(context: Context) -> Iterator[Finding]:
    """Compile every KPI at all its grains and dimensions at once; one by one where that fails.

    What a version was recorded for was compiled when it was.
    """
    for card in context.cards.values():
        if context.versions.is_as_recorded(card.name):
            continue
        if not _refused(context, card, card.grains, card.dimensions):
            continue
        for grain in card.grains:
            problem = _refused(context, card, (grain,), ())
            if problem:
                yield Finding(kpi=card.name, message=f"the grain '{grain}': {problem}")
        coarsest = max(card.grains, key=GRAINS.index)
        for dimension in card.dimensions:
            problem = _refused(context, card, (coarsest,), (dimension,))
            if problem:
                yield Finding(kpi=card.name, message=f"the dimension '{dimension}': {problem}")


def _refused(
    context: Context, card: Card, grains: tuple[str, ...], dimensions: tuple[str, ...]
) -> str | None:
    times = [f"metric_time__{grain}" for grain in grains]
    try:
        context.sql(card.name, [*times, *dimensions])
    except CadranError as problem:
        return str(problem)
    return None


@rule("TEC02")
def additivity_right(context: Context) -> Iterator[Finding]:
    """Hold the declared additivity against the one derived from the metric."""
    for card in context.cards.values():
        derived = context.layer.metric_graph.additivity(card.name)
        if "additivity" in card.lacks:  # CARD02 tells it
            continue
        if derived is None and card.additivity == ADDITIVE:
            message = "it is declared additive, which its expression does not show"
        elif derived is not None and derived != card.additivity:
            message = f"it is declared {card.additivity}, and is {derived}"
        else:
            continue
        yield Finding(kpi=card.name, message=message)


@rule("TEC03")
def freshness_possible(context: Context) -> Iterator[Finding]:
    """Hold each card's promise of freshness against its sources."""
    for card in context.cards.values():
        every, late = periods.length(card.refresh.every), periods.length(card.refresh.late_after)
        if late < every:
            message = (
                f"late after {card.refresh.late_after}, refreshed only every {card.refresh.every}"
            )
            yield Finding(kpi=card.name, message=message)
        for source in _sources(context, card.name):
            limit = _late_after(source)
            if limit and late < periods.length(limit):
                name = f"{source['source_name']}.{source['name']}"
                yield Finding(
                    kpi=card.name,
                    message=f"it is late after {card.refresh.late_after}, and its source {name}"
                    f" only after {limit}",
                )


@rule("TEC04")
def known_value(context: Context) -> Iterator[Finding]:
    """Find strategic and certified KPIs that no test proves."""
    proved: set[str] = set()
    for group in ("nodes", "unit_tests"):
        for node in context.dbt.get(group, {}).values():
            if group == "unit_tests" or node["resource_type"] == "test":
                meta = (node.get("config") or {}).get("meta") or {}
                names = meta.get("proves") or []
                proved |= {names} if isinstance(names, str) else set(names)
    for name, card in context.raw.items():
        if card.get("tier") != "strategic" and card.get("status") != "certified":
            continue
        if card.get("status") == "deprecated":
            continue
        if name not in proved and not _has_file(context, name):
            yield Finding(kpi=name, message="no test holds it against a value known by other means")


def _has_file(context: Context, kpi: str) -> bool:
    patterns = [pattern.replace("{kpi}", kpi) for pattern in context.settings.known_values]
    root = context.root
    found = (path for pattern in patterns for path in (root.glob(pattern) if root else ()))
    # A test that dbt is told to leave out proves nothing.
    return any(
        not _SWITCHED_OFF.search(path.read_text("utf-8", errors="replace")) for path in found
    )


@rule("TEC07")
def tables_as_defined(context: Context) -> Iterator[Finding]:
    """Find files of models/kpis that are not what their saved queries say."""
    if context.root is None or not context.dbt:
        return
    try:
        files = kpi_tables.differences(context.layer, context.root, as_built=False)
    except CadranError as problem:
        yield Finding(message=f"a KPI table cannot be written: {problem}", file=PROJECT, line=1)
        return
    for file, difference in files.items():
        is_there = (context.root / file).exists()
        yield Finding(
            message=f"{file} {'differs from' if is_there else 'is missing beside'} its saved query",
            file=file.as_posix() if is_there else PROJECT,
            line=1,
            detail=difference,
        )


@rule("TEC05")
def no_personal_dimension(context: Context) -> Iterator[Finding]:
    """Find dimensions that show persons."""
    for item in privacy.items(context.layer.project, context.settings.personal):
        users = [c.name for c in context.cards.values() if item.asked_as & set(c.dimensions)]
        for kpi in users:
            yield Finding(kpi=kpi, message=f"it is offered by '{item.name}': {item.why}")
        if not users and not item.is_key:
            yield Finding(
                message=f"the dimension '{item.name}' of {item.model} shows persons: {item.why}",
                file=item.file,
                line=context.line(item.file, item.name),
            )


@rule("TEC06")
def source_freshness(context: Context) -> Iterator[Finding]:
    """Find sources below a KPI without a stated freshness."""
    reported: set[str] = set()
    for name in context.raw:
        for source in _sources(context, name):
            # null is a table's own word; where nothing is said, dbt has thresholds without counts.
            is_silent = source.get("freshness", {}) is not None and not _late_after(source)
            if is_silent and source["source_name"] not in reported:
                reported.add(source["source_name"])
                yield Finding(
                    message=f"the source {source['source_name']} does not say how fresh it is",
                    file=source["original_file_path"],
                    line=context.line(source["original_file_path"], source["source_name"]),
                )


def _sources(context: Context, kpi: str) -> list[dict[str, Any]]:
    if not context.dbt:
        return []
    try:
        names = set(lineage.of_metric(context.dbt, kpi).sources())
    except CadranError:
        return []
    return [
        source
        for source in context.dbt["sources"].values()
        if f"{source['source_name']}.{source['name']}" in names
    ]


def _late_after(source: dict[str, Any]) -> str | None:
    """The age from which a source is late, such as "2 hours"; None when it does not say."""
    freshness = source.get("freshness") or {}
    for key in ("warn_after", "error_after"):
        limit = freshness.get(key) or {}
        if limit.get("count"):
            plural = "s" if limit["count"] > 1 else ""
            return f"{limit['count']} {limit['period']}{plural}"
    return None
