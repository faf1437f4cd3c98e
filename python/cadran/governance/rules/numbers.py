"""Numbers: what a definition computes without a word is what its card says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cadran.core.query.request import GRAINS
from cadran.core.semantics.metrics import NOT_ADDITIVE, fills_gaps, filters_of
from cadran.errors import ProjectError
from cadran.formats import strict_yaml
from cadran.governance.rules.registry import Finding, rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlglot import exp

    from cadran.core.semantics.metrics import Input
    from cadran.governance.context import Context

_COUNTS = ("count", "count_distinct", "sum_boolean")


@rule("NUM01")
def offsets_whole(context: Context) -> Iterator[Finding]:
    """Hold the grains of each card against the offsets below it."""
    graph = context.layer.metric_graph
    for card in context.cards.values():
        for grain in card.grains:
            window = graph.uneven_offset(card.name, grain)
            if window:
                yield Finding(kpi=card.name, message=f"{window} is no whole number of {grain}s")


@rule("NUM02")
def running_totals_of_the_last_day(context: Context) -> Iterator[Finding]:
    """Find cumulative metrics below a card that take the first day of a longer period."""
    graph = context.layer.metric_graph
    for card in context.cards.values():
        for name in graph.closure(card.name):
            span = graph.metrics[name]["type_params"].get("cumulative_type_params") or {}
            if graph.metrics[name]["type"] != "cumulative" or span.get("period_agg") != "first":
                continue
            own = graph.metrics[name].get("time_granularity") or _time_grain(context, name)
            coarser = [g for g in card.grains if GRAINS.index(g) > GRAINS.index(own)]
            if coarser:
                message = f"{name} by {', '.join(coarser)} is the value of the first {own}"
                yield Finding(kpi=card.name, message=message)


def _time_grain(context: Context, metric: str) -> str:
    """The own grain of the times by which a metric is counted, the coarsest of several."""
    graph = context.layer.metric_graph
    times = {
        (model["name"], dimension["name"]): dimension["type_params"]["time_granularity"]
        for model in context.layer.project.semantic_manifest["semantic_models"]
        for dimension in model["dimensions"]
        if dimension["type"] == "time"
    }
    leaves = map(graph.aggregation, graph.leaves(metric))
    grains = [times.get((a["semantic_model"], a["agg_time_dimension"])) for a in leaves]
    known = [grain for grain in grains if grain in GRAINS]
    return max(known, key=GRAINS.index, default="day")


@rule("NUM03")
def conversions_determined(context: Context) -> Iterator[Finding]:
    """Find conversions below a card whose base may be ambiguous."""
    graph = context.layer.metric_graph
    for card in context.cards.values():
        for name in graph.closure(card.name):
            metric = graph.metrics[name]
            pair = metric["type_params"].get("conversion_type_params")
            if not pair or ((metric.get("config") or {}).get("meta") or {}).get("tie_break"):
                continue
            base = next(part.name for part in graph.inputs(name) if part.role == "base")
            if not all(
                _is_unique(context, leaf, str(pair["entity"])) for leaf in graph.leaves(base)
            ):
                yield Finding(
                    kpi=card.name,
                    message=f"{name} converts {base} by {pair['entity']}, of which a day may have"
                    " several",
                )


def _is_unique(context: Context, leaf: str, entity: str) -> bool:
    """Whether the rows below a simple metric have an entity at most once a day."""
    aggregation = context.layer.metric_graph.aggregation(leaf)
    models = context.layer.project.semantic_manifest["semantic_models"]
    model = next(m for m in models if m["name"] == aggregation["semantic_model"])
    column = entity
    for one in model["entities"]:
        if one["name"] == entity:
            if one["type"] in {"primary", "unique", "natural"}:
                return True
            column = one.get("expr") or entity
    times = [d for d in model["dimensions"] if d["name"] == aggregation["agg_time_dimension"]]
    time = times[0].get("expr") or times[0]["name"] if times else ""
    for node in context.dbt.get("nodes", {}).values():
        test = node.get("test_metadata") or {}
        if (node.get("attached_node") or "").rpartition(".")[2] != model["node_relation"]["alias"]:
            continue
        columns = (test.get("kwargs") or {}).get("combination_of_columns") or [
            (test.get("kwargs") or {}).get("column_name")
        ]
        if "unique" in str(test.get("name")) and set(columns) <= {column, time}:
            return True
    return False


@rule("NUM04")
def yaml_reached_manifest(context: Context) -> Iterator[Finding]:
    """Compare metrics as they are written with the metrics of the manifest."""
    if context.root is None:
        return
    nodes = context.dbt.get("metrics", {}).values()
    for file in sorted({node["original_file_path"] for node in nodes}):
        path = context.root / file
        if not path.exists():  # of an installed package
            continue
        for written in _metrics_in(strict_yaml.read(path, ProjectError)):
            metric = context.metrics.get(written["name"])
            if metric is None:
                continue
            params = metric["type_params"]
            message = ""
            if written.get("fill_nulls_with") not in {None, params.get("fill_nulls_with")}:
                message = f"fill_nulls_with of {metric['name']} is not in the manifest"
            elif written.get("percentile_type") == "continuous" and _is_approximate(params):
                message = f"percentile_type of {metric['name']} is approximate in the manifest"
            if message:
                line = context.line(file, metric["name"])
                yield Finding(message=message, file=file, line=line)


def _metrics_in(content: Any) -> Iterator[dict[str, Any]]:
    """Every metric that a YAML file writes, at its top or below a model."""
    if not isinstance(content, dict):
        return
    for holder in (content, *(m for m in content.get("models") or () if isinstance(m, dict))):
        for metric in holder.get("metrics") or ():
            if isinstance(metric, dict) and isinstance(metric.get("name"), str):
                yield metric


def _is_approximate(params: dict[str, Any]) -> bool:
    aggregation = params.get("metric_aggregation_params") or {}
    return bool((aggregation.get("agg_params") or {}).get("use_approximate_percentile"))


@rule("NUM05")
def approximate_is_said(context: Context) -> Iterator[Finding]:
    """Find approximate percentiles below cards that do not speak of them."""
    graph = context.layer.metric_graph
    for card in context.cards.values():
        if "approx" in card.formula.casefold():
            continue
        for leaf in graph.leaves(card.name):
            if _is_approximate(graph.metrics[leaf]["type_params"]):
                yield Finding(kpi=card.name, message=f"{leaf} is an approximate percentile")


@rule("NUM06")
def divisions_guarded(context: Context) -> Iterator[Finding]:
    """Find divisions below cards by what no `nullif` guards."""
    from sqlglot import exp

    graph = context.layer.metric_graph
    for card in context.cards.values():
        for name in graph.closure(card.name):
            tree = _expression(context, name)
            for division in tree.find_all(exp.Div) if tree is not None else ():
                if not _is_guarded(division):
                    below = division.right.sql(dialect=graph.dialect)
                    message = f"{name} divides by {below} without nullif"
                    yield Finding(kpi=card.name, message=message)


def _is_guarded(division: exp.Div) -> bool:
    from sqlglot import exp

    below = division.right.unnest()
    while isinstance(below, exp.Cast):
        below = below.this.unnest()
    is_constant = isinstance(below, exp.Literal) and below.is_number and float(below.name) != 0
    asked_before = division.find_ancestor(exp.Case, exp.If) is not None
    return is_constant or isinstance(below, exp.Nullif) or asked_before


def _expression(context: Context, metric: str) -> exp.Expr | None:
    """The expression of a metric; None where it has none, or it cannot be read."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    text = context.metrics[metric]["type_params"].get("expr")
    try:
        return sqlglot.parse_one(str(text), dialect=context.layer.project.dialect) if text else None
    except SqlglotError:
        return None


@rule("NUM07")
def sums_of_what_can_be_summed(context: Context) -> Iterator[Finding]:
    """Find sums of ratios and of distinct counts below cards that allow summing."""
    graph = context.layer.metric_graph
    for card in context.cards.values():
        if card.additivity == NOT_ADDITIVE:
            continue
        for leaf in graph.leaves(card.name):
            if graph.aggregation(leaf).get("agg") == "sum":
                what = _unsummable(context, leaf)
                if what:
                    yield Finding(kpi=card.name, message=f"{leaf} sums {what}")


def _unsummable(context: Context, leaf: str) -> str:
    """What a sum adds up that must not be added up; empty when nothing is known of it."""
    from sqlglot import exp

    tree = _expression(context, leaf)
    if tree is None:
        return ""
    if _divides(tree):
        return "a ratio of each row"
    if isinstance(tree, exp.Column):
        made = _made_by_model(context, leaf, tree.name)
        if made is not None and _counts_distinct(made):
            return f"the distinct counts in {tree.name}, which may overlap"
        if made is not None and _divides(made):
            return f"the ratios in {tree.name}"
    return ""


def _divides(tree: exp.Expr) -> bool:
    """Whether rows are divided by what differs from row to row."""
    from sqlglot import exp

    return any(division.right.find(exp.Column) for division in tree.find_all(exp.Div))


def _counts_distinct(tree: exp.Expr) -> bool:
    from sqlglot import exp

    counts = tree.find_all(exp.Count)
    return tree.find(exp.ApproxDistinct) is not None or any(c.find(exp.Distinct) for c in counts)


_JINJA = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_BLOCKS = re.compile(r"\{%.*?%\}|\{#.*?#\}", re.DOTALL)


def _made_by_model(context: Context, leaf: str, column: str) -> exp.Expr | None:
    """How the model itself makes a column; None when it only passes it on, or cannot be read."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    model = context.layer.metric_graph.semantic_model(leaf)
    known = context.layer.project.semantic_manifest["semantic_models"]
    alias = next(m["node_relation"]["alias"] for m in known if m["name"] == model)
    for node in context.dbt.get("nodes", {}).values():
        if node["resource_type"] != "model" or (node.get("alias") or node["name"]) != alias:
            continue
        text = _JINJA.sub("jinja", _BLOCKS.sub("", node.get("raw_code") or ""))
        try:
            tree = sqlglot.parse_one(text, dialect=context.layer.project.dialect)
        except SqlglotError:
            return None
        named = [one.this for one in tree.find_all(exp.Alias) if one.alias == column]
        return named[-1] if named else None
    return None


@rule("NUM08")
def shares_of_nothing(context: Context) -> Iterator[Finding]:
    """Find filtered counts above a division that are empty where nothing was counted."""
    graph = context.layer.metric_graph
    for card in context.cards.values():
        for name in graph.closure(card.name):
            for part in _above(context, name):
                if _is_empty_count(context, part):
                    message = f"{part.name}, above the division of {name}, has a filter"
                    yield Finding(kpi=card.name, message=message)


def _above(context: Context, name: str) -> Iterator[Input]:
    """The inputs above a metric's division that no `coalesce` fills."""
    from sqlglot import exp

    graph = context.layer.metric_graph
    inputs = graph.inputs(name)
    if graph.metrics[name]["type"] == "ratio":
        below = next((p for p in inputs if p.role == "denominator"), None)
        for part in inputs:
            # The same filter on both sides: where one has no rows, neither has the other.
            if part.role == "numerator" and below is not None and below.filters != part.filters:
                yield part
        return
    tree = _expression(context, name) if graph.metrics[name]["type"] == "derived" else None
    division = tree.unnest() if tree is not None else None
    if isinstance(division, exp.Div):
        yield from _bare(division.left, inputs)


def _bare(tree: exp.Expr, inputs: Iterable[Input]) -> list[Input]:
    """The inputs that an expression reads without filling what is empty."""
    from sqlglot import exp

    names = {
        column.name
        for column in tree.find_all(exp.Column)
        if column.find_ancestor(exp.Coalesce) is None
    }
    return [part for part in inputs if part.alias in names]


def _is_empty_count(context: Context, part: Input, *, is_filtered: bool = False) -> bool:
    """Whether an input is empty where nothing was counted, itself or by what it adds up."""
    graph = context.layer.metric_graph
    metric = graph.metrics[part.name]
    is_filtered = is_filtered or bool(part.filters or filters_of(metric))
    if metric["type"] == "derived":
        tree = _expression(context, part.name)
        inner = _bare(tree, graph.inputs(part.name)) if tree is not None else []
        return any(_is_empty_count(context, one, is_filtered=is_filtered) for one in inner)
    if metric["type"] != "simple" or fills_gaps(metric):
        return False
    return is_filtered and _counts(context, part.name)


def _counts(context: Context, leaf: str) -> bool:
    """Whether a simple metric counts, which a sum of ones does as well."""
    from sqlglot import exp

    agg = context.layer.metric_graph.aggregation(leaf).get("agg")
    return agg in _COUNTS or (agg == "sum" and isinstance(_expression(context, leaf), exp.Literal))
