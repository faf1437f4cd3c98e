"""Technique: what a card promises can be asked, summed, delivered, proved, and shown to anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.core.project import lineage
from cadran.core.project.checks import Severity
from cadran.core.query.request import GRAINS
from cadran.core.semantics import privacy
from cadran.core.semantics.metrics import ADDITIVE
from cadran.errors import CadranError
from cadran.formats import periods
from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.core.project.cards import Card
    from cadran.governance.context import Context


@rule(
    "TEC01",
    title="Each declared grain and dimension can be queried",
    rationale="""The card is what tools offer their users. A grain or dimension on it that cannot
        be compiled is an error message in somebody's dashboard. Each one is compiled, none is
        run.""",
    example="""
# wrong: sessions know no product
- name: conversion_rate
  config: {meta: {kpi: {dimensions: [product__category], ...}}}
# right
  config: {meta: {kpi: {dimensions: [session__channel], ...}}}
""",
    remedy="""Take it off the card, or give the metric's semantic model the entity, dimension or
        time it needs.""",
)
def can_be_queried(context: Context) -> Iterator[Finding]:
    """Compile every KPI at all its grains and dimensions at once; one by one where that fails."""
    for card in context.cards.values():
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
        context.layer.sql([card.name], [*times, *dimensions], ordered=False)
    except CadranError as problem:
        return str(problem)
    return None


@rule(
    "TEC02",
    title="The declared additivity is right",
    rationale="""A BI tool sums what it is told may be summed. A rate, a distinct count or a
        running total that is declared additive gives totals that are wrong and look right.""",
    example="""
# wrong: a ratio
- {name: conversion_rate, type: ratio, config: {meta: {kpi: {additivity: additive, ...}}}}
# right
- {name: conversion_rate, type: ratio, config: {meta: {kpi: {additivity: not_additive, ...}}}}
""",
    remedy="Declare the additivity that the metric's type, aggregation and expression give.",
)
def additivity_right(context: Context) -> Iterator[Finding]:
    """Hold the declared additivity against the one derived from the metric."""
    for card in context.cards.values():
        derived = context.layer.metric_graph.additivity(card.name)
        if derived is None and card.additivity == ADDITIVE:
            message = "it is declared additive, which its expression does not show"
        elif derived is not None and derived != card.additivity:
            message = f"it is declared {card.additivity}, and is {derived}"
        else:
            continue
        yield Finding(kpi=card.name, message=message)


@rule(
    "TEC03",
    title="Freshness is promised no faster than the source delivers",
    rationale="""A KPI cannot be younger than the data under it. A promise that the sources do
        not keep is broken on most days, until nobody looks at it any more.""",
    example="""
# wrong: the source may be 6 hours old before anybody is told
refresh: {every: 1 hour, late_after: 3 hours}  # on the card
config: {freshness: {warn_after: {count: 6, period: hour}}}  # on the source
# right
refresh: {every: 6 hours, late_after: 8 hours}
""",
    remedy="""Let `refresh.late_after` be no less than `refresh.every`, and than the age from
        which each source is late.""",
)
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


@rule(
    "TEC04",
    title="Each strategic KPI has a known-value test",
    rationale="""A definition can be consistent and wrong. Only a value known by other means (a
        hand count, independent SQL on raw data, an invoice) proves it. Found are files by the
        patterns `known_values` of cadran_checks.yml, and dbt tests with `config.meta.proves:
        [<kpi>]`.""",
    example="""
# tests/answers/net_revenue__month.sql, or on a dbt test or unit test:
config: {meta: {proves: [net_revenue]}}
""",
    remedy="""Write a test that computes the KPI by other means, and name it by the pattern or by
        `proves`.""",
)
def known_value(context: Context) -> Iterator[Finding]:
    """Find strategic KPIs that no test proves."""
    proved: set[str] = set()
    for group in ("nodes", "unit_tests"):
        for node in context.dbt.get(group, {}).values():
            if group == "unit_tests" or node["resource_type"] == "test":
                meta = (node.get("config") or {}).get("meta") or {}
                names = meta.get("proves") or []
                proved |= {names} if isinstance(names, str) else set(names)
    for name, card in context.raw.items():
        if card.get("tier") != "strategic" or card.get("status") == "deprecated":
            continue
        if name not in proved and not _has_file(context, name):
            yield Finding(kpi=name, message="no test holds it against a value known by other means")


def _has_file(context: Context, kpi: str) -> bool:
    patterns = [pattern.replace("{kpi}", kpi) for pattern in context.settings.known_values]
    root = context.root
    return root is not None and any(any(root.glob(pattern)) for pattern in patterns)


@rule(
    "TEC05",
    title="Personal data is no dimension",
    rationale="""A figure by e-mail address is a list of persons, and everybody who may see the
        KPI would see it. Personal is a column whose meta says `personal: true`, one listed
        under `personal` in cadran_checks.yml, or one whose name says so.""",
    example="""
# wrong
- name: email
  dimension: {type: categorical}
# right: a group of persons
- name: segment
  dimension: {type: categorical}
""",
    remedy="""Take it off the card and out of the semantic model; group by a property many
        persons share.""",
)
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


@rule(
    "TEC06",
    title="Each source under a KPI says how fresh it is",
    rationale="""Freshness can only be promised of data whose delivery is known: by dbt's own
        `freshness`, which `dbt source freshness` measures. `freshness: null` says of a table that
        it cannot tell, since nothing may happen in it for longer.""",
    example="""
sources:
  - name: shop
    # wrong: nothing; right
    config: {freshness: {warn_after: {count: 2, period: hour}}}
    tables:
      - name: orders
        config: {loaded_at_field: ordered_at}
      - name: products
        config: {freshness: null}
""",
    remedy="""Give the source `config.freshness.warn_after`, and its tables `loaded_at_field` or
        `freshness: null`.""",
    severity=Severity.WARNING,
)
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
