"""The first text of a KPI's card or of a metric, put into the project's own YAML.

What can be read from the definitions is; what is guessed says so in a comment. The user's files are
changed as text, or a new one is written: nothing that stands there is written anew.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.core.project import checks, dbt, git
from cadran.core.query.request import DAY_OR_COARSER, GRAINS
from cadran.core.semantics import privacy
from cadran.core.semantics.metrics import NOT_ADDITIVE
from cadran.errors import ProjectError, QueryError
from cadran.formats import files, yaml_text
from cadran.governance import starting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cadran.core.layer import Layer

_MONEY = re.compile(
    r"(^|_)(amount|revenue|sales|price|cost|fare|margin|income|spend|turnover)s?(_|$)"
)
_WORSE = re.compile(
    r"(^|_)(complaint|error|failure|refund|churn|delay|late|cost|cancel\w*|incident|defect|return)s?"
    r"(_|$)"
)
_TIMES = re.compile(r"(^|_)(days|hours|minutes|seconds|ms)(_|$)")
_MOST_DIMENSIONS = 8
_CONFIRM = "# confirm"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: files by what was done to them, and what could not be placed.

    Attributes:
        paths: each file that is new or has lines more.
        lines: how many lines were added over all.
        unplaced: text that the user has to paste, and where; empty where all was written.
    """

    paths: tuple[Path, ...]
    lines: int
    unplaced: str = ""


def card_text(layer: Layer, metric: str, objective: str = "", owner: str = "") -> str:
    """The card of a metric as it can be told from its definition, as lines of YAML.

    Args:
        layer: the project.
        metric: its name.
        objective: a row of the seed of objectives; left to be written where it is empty.
        owner: the e-mail address of the business owner; left to be written where it is empty.

    Raises:
        UnknownNameError: there is no such metric.
    """
    definition, graph = layer.metric(metric), layer.metric_graph
    unit, decimals = _unit(layer, metric)
    additivity = graph.additivity(metric)
    direction = "down" if _WORSE.search(metric) else "up"
    root = layer.project.root
    technical = (git.user(root) if root else None) or ""
    technical = "" if technical == owner else technical  # two people answer for a KPI
    today = dt.datetime.now(dt.UTC).date()
    review = today.replace(year=today.year + 1, day=min(today.day, 28))
    formula = _formula(layer, definition)
    has_owner = owner and technical
    lines = [
        "status: draft",
        f"tier: operational  {_CONFIRM}: strategic where the whole company decides on it",
        f"objective: {objective}" if objective else "# objective: a row of the seed of objectives",
        "scope: global",
        ("" if has_owner else "# ")
        + f"owner: {{business: {owner or 'who.answers@example.com'},"
        + f" technical: {technical or 'who.computes@example.com'}}}"
        + ("" if has_owner else "  # two people"),
        f"unit: {json.dumps(unit, ensure_ascii=False)}  {_CONFIRM}",
        f"direction: {direction}  {_CONFIRM}: up, down or band",
        f"decimals: {decimals}",
        f"additivity: {additivity or NOT_ADDITIVE}" + ("" if additivity else f"  {_CONFIRM}"),
        f"grains: [{', '.join(_grains(layer, metric))}]",
        f"dimensions: [{', '.join(_dimensions(layer, metric))}]",
        f"refresh: {{every: 1 day, late_after: 2 days}}  {_CONFIRM}",
        f"formula: {json.dumps(formula, ensure_ascii=False)}  {_CONFIRM}: in words",
        f"review_by: {review.isoformat()}",
        "version: 1",
    ]
    return "\n".join(lines) + "\n"


def new_card(layer: Layer, metric: str, objective: str = "", owner: str = "") -> Written:
    """Put the card of a metric under its definition, and a known-value test beside the others.

    Raises:
        UnknownNameError: there is no such metric.
        QueryError: it has a card already.
        ProjectError: only a manifest is known, or no file of the project defines the metric.
    """
    root = _root(layer)
    if layer.is_kpi(metric):
        raise QueryError(f"{metric} has a card already: `cadran show {metric}`.")
    path = root / layer.project.file_of(metric)
    block = card_text(layer, metric, objective, owner)
    text = files.read_text(path) if path.suffix in {".yml", ".yaml"} else ""
    node = next((n for n in _metric_nodes(text) if yaml_text.text_of(n, "name") == metric), None)
    test = root / starting.folder_of(root, "test-paths", "tests") / f"{metric}__known_value.sql"
    written, lines, unplaced = [], 0, ""
    try:
        changed = yaml_text.with_key(text, node, ("config", "meta", "kpi"), block)
        changed = _with_words(changed, layer.metric(metric))
        files.write(path, changed)
        written.append(path)
        lines += len(changed.splitlines()) - len(text.splitlines())
    except yaml_text.NotInsertableError as reason:
        unplaced = f"under config.meta.kpi of {metric} in {path}, since {reason}:\n\n{block}"
    seed = root / starting.seed(root, "objectives")
    if objective and seed.exists() and not unplaced:
        rows = files.read_text(seed)
        if not re.search(rf"^{re.escape(objective)},", rows, re.MULTILINE):
            row = starting.objective_row(objective, owner)
            files.write(seed, files.added(rows, row))
            written.append(seed)
            lines += 1
    if not test.exists():
        content = _known_value(layer, metric)
        test.parent.mkdir(parents=True, exist_ok=True)
        files.write(test, content)
        written.append(test)
        lines += len(content.splitlines())
    return Written(tuple(written), lines, unplaced)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDraft:
    """What a new metric is made of.

    Attributes:
        name: its name.
        kind: simple, ratio, derived, cumulative or conversion.
        label: what people call it; the name in words where it is empty.
        model: of a simple one, the dbt model whose rows it aggregates.
        agg: of a simple one, how: sum, count, average and so on.
        expr: SQL over the columns of a row, or of a derived one over its metrics.
        metrics: those it reads: numerator and denominator of a ratio, base and conversion of a
            conversion, the one of a cumulative, all of a derived.
        window: of a cumulative or conversion, such as "7 days".
        to_date: of a cumulative, the grain at whose start it begins anew.
        entity: of a conversion, by which its two sides are joined.
    """

    name: str
    kind: str
    label: str = ""
    model: str = ""
    agg: str = ""
    expr: str = ""
    metrics: tuple[str, ...] = ()
    window: str = ""
    to_date: str = ""
    entity: str = ""


_READS = {"ratio": 2, "cumulative": 1, "conversion": 2}


def new_metric(layer: Layer, draft: MetricDraft) -> Written:
    """Write the YAML of a metric: a file of its own, or among those of its model.

    Raises:
        QueryError: the name is taken, or something that the kind needs is not given.
        UnknownNameError: it reads a metric that does not exist.
        ProjectError: only a manifest is known, or the model has no YAML of its own.
    """
    root = _root(layer)
    fault = _fault(layer, draft)
    if fault:
        raise QueryError(fault)
    models = root / starting.folder_of(root, "model-paths", "models")
    path = models / "metrics" / f"{draft.name}.yml"
    is_simple = draft.kind == "simple"
    if path.exists() and (not is_simple or _has_measures(layer)):
        raise QueryError(f"{path} is there already.")
    if is_simple:
        return _new_simple(layer, root, draft, path)
    body = _old_body(draft) if _has_measures(layer) else _new_body(draft)
    text = "metrics:\n  - " + "\n    ".join([*_head(draft), *body]) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, text)
    return Written((path,), len(text.splitlines()))


def _fault(layer: Layer, draft: MetricDraft) -> str:
    """What a draft lacks or has too much of, as a sentence; empty where it is whole."""
    for name in draft.metrics:
        layer.metric(name)
    wanted = _READS.get(draft.kind)
    is_simple = draft.kind == "simple"
    faults = (
        (draft.name in layer.metric_graph.metrics, f"There is a metric {draft.name} already."),
        (
            not re.fullmatch(r"[a-z]\w*", draft.name) or "__" in draft.name,
            f"'{draft.name}' is no name of a metric: lower case, digits and single underscores.",
        ),
        (
            is_simple and not (draft.model and draft.agg),
            "A simple metric needs --model and --agg.",
        ),
        (
            not is_simple and (not draft.metrics or wanted not in {None, len(draft.metrics)}),
            f"A {draft.kind} metric reads {wanted or 'one or more'} metrics: name them with --of.",
        ),
        (
            draft.kind == "derived" and not draft.expr,
            "A derived metric needs --expr, over the names of the metrics it reads.",
        ),
        (
            draft.kind == "conversion" and not draft.entity,
            "A conversion metric needs --entity, by which its two sides are joined.",
        ),
        (
            bool(draft.window and draft.to_date),
            "A cumulative metric has --window or --to-date, not both.",
        ),
    )
    return next((sentence for is_wrong, sentence in faults if is_wrong), "")


def _head(draft: MetricDraft) -> list[str]:
    words = draft.label or _words(draft.name)
    return [
        f"name: {draft.name}",
        f"label: {json.dumps(words, ensure_ascii=False)}",
        f"description: {json.dumps(words + '.', ensure_ascii=False)}  {_CONFIRM}: what it counts",
        f"type: {draft.kind}",
    ]


def _new_body(draft: MetricDraft) -> list[str]:
    """The keys of the latest specification."""
    names = draft.metrics
    if draft.kind == "ratio":
        return [f"numerator: {names[0]}", f"denominator: {names[1]}"]
    if draft.kind == "derived":
        inputs = ", ".join(f"{{name: {name}}}" for name in names)
        return [f"expr: {json.dumps(draft.expr, ensure_ascii=False)}", f"input_metrics: [{inputs}]"]
    if draft.kind == "cumulative":
        span = [f"window: {draft.window}"] if draft.window else []
        span += [f"grain_to_date: {draft.to_date}"] if draft.to_date else []
        return [f"input_metric: {names[0]}", *span, "period_agg: last"]
    return [
        f"entity: {draft.entity}", "calculation: conversion_rate",
        f"base_metric: {names[0]}", f"conversion_metric: {names[1]}",
        *([f"window: {draft.window}"] if draft.window else []),
    ]  # fmt: skip


def _old_body(draft: MetricDraft) -> list[str]:
    """The keys of the specification with measures; what reads a measure reads that of a metric."""
    names = draft.metrics
    if draft.kind in {"cumulative", "conversion"}:
        raise QueryError(
            f"A {draft.kind} metric of the specification with measures reads measures, not metrics:"
            " write it by hand, or move the project on with `dbt-autofix`."
        )
    if draft.kind == "ratio":
        return ["type_params:", f"  numerator: {names[0]}", f"  denominator: {names[1]}"]
    expression = json.dumps(draft.expr, ensure_ascii=False)
    return ["type_params:", f"  expr: {expression}", f"  metrics: [{', '.join(names)}]"]


def _new_simple(layer: Layer, root: Path, draft: MetricDraft, path: Path) -> Written:
    expression = [f"expr: {json.dumps(draft.expr, ensure_ascii=False)}"] if draft.expr else []
    body = [*_head(draft), f"agg: {draft.agg}", *expression]
    if not _has_measures(layer):
        return _into(root, "models", "name", draft.model, "metrics", body)
    measure = [f"name: {draft.name}", f"agg: {draft.agg}", *expression]
    placed = _into(root, "semantic_models", "model", draft.model, "measures", measure)
    lines = [*_head(draft), "type_params:", f"  measure: {draft.name}"]
    text = "metrics:\n  - " + "\n    ".join(lines) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, text)
    return Written((*placed.paths, path), placed.lines + len(text.splitlines()))


def _into(root: Path, kind: str, key: str, model: str, below: str, body: list[str]) -> Written:  # noqa: PLR0913, PLR0917 - where it goes
    for path in dbt.project_files(root):
        if path.suffix not in {".yml", ".yaml"} or path.name == "dbt_project.yml":
            continue
        text = files.read_text(path)
        for node in yaml_text.items_of(yaml_text.composed(text), kind):
            named = yaml_text.text_of(node, key)
            if model not in {named, *re.findall(r"ref\(\s*['\"](\w+)['\"]", named)}:
                continue
            if kind == "models" and yaml_text.value_of(node, "semantic_model") is None:
                raise ProjectError(
                    f"{path}: {model} has no `semantic_model`, so no metric can stand under it."
                )
            try:
                changed = yaml_text.with_item(text, node, below, "\n".join(body) + "\n")
            except yaml_text.NotInsertableError as reason:
                raise ProjectError(f"{path}: {model} takes no metric by text: {reason}.") from None
            files.write(path, changed)
            return Written((path,), len(changed.splitlines()) - len(text.splitlines()))
    raise ProjectError(f"No YAML of the project describes the model {model} as a semantic model.")


def _has_measures(layer: Layer) -> bool:
    """Whether the project is written in the specification with measures."""
    manifest = json.loads(layer.project.text)
    return any(model.get("measures") for model in manifest["semantic_models"])


def _with_words(text: str, metric: dict[str, Any]) -> str:
    """The text with a label and a description of a metric that has none."""
    words = _words(metric["name"])
    missing = {"label": words, "description": f"{words}."}
    lines = [f"{key}: {value}  {_CONFIRM}" for key, value in missing.items() if not metric.get(key)]
    if not lines:
        return text
    nodes = _metric_nodes(text)
    node = next(n for n in nodes if yaml_text.text_of(n, "name") == metric["name"])
    return yaml_text.with_lines(text, node, "\n".join(lines) + "\n")


def _metric_nodes(text: str) -> Iterator[Any]:
    root = yaml_text.composed(text)
    yield from yaml_text.items_of(root, "metrics")
    for model in yaml_text.items_of(root, "models"):
        yield from yaml_text.items_of(model, "metrics")


def _root(layer: Layer) -> Path:
    root = layer.project.root
    if root is None:
        raise ProjectError("A manifest alone has no files to write to: name a project's folder.")
    return root


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _unit(layer: Layer, metric: str) -> tuple[str, int]:
    """A guess at the unit of a metric, and at its decimals."""
    definition = layer.metric(metric)
    if definition["type"] == "conversion" or metric.endswith(("_rate", "_share")):
        return "%", 1
    if definition["type"] == "ratio":
        return _unit_of_ratio(layer, metric)
    times = _TIMES.search(metric)
    if times:
        return times[2], 1
    if _MONEY.search(metric):
        root = layer.project.root
        currency = dbt.variables(root).get("cadran_currency") if root else None
        return str(currency or "EUR"), 0
    leaves = [layer.metric(leaf) for leaf in layer.metric_graph.leaves(metric)]
    aggregations = {
        (leaf["type_params"].get("metric_aggregation_params") or {}).get("agg") for leaf in leaves
    }
    noun = re.sub(r"_(count|number|total)$|^(count|number|total)_(of_)?", "", metric)
    plural = noun.replace("_", " ")
    plural = plural if plural.endswith("s") else f"{plural}s"
    return plural, 0 if aggregations <= {"count", "count_distinct", "sum_boolean"} else 2


def _unit_of_ratio(layer: Layer, metric: str) -> tuple[str, int]:
    """A share where its parts are of one kind; else the numerator's, for each of the other."""
    parts = layer.metric(metric)["type_params"]
    names = [parts[part]["name"] for part in ("numerator", "denominator")]
    units = [_unit(layer, name) for name in names]
    marts = [set(layer.metric_graph.semantic_models(name)) for name in names]
    is_count = all(
        decimals == 0 and not _MONEY.search(name)
        for name, (_, decimals) in zip(names, units, strict=True)
    )
    of_one_kind = units[0][0] == units[1][0] or (is_count and marts[0] == marts[1])
    return ("%", 1) if of_one_kind and "_per_" not in metric else (units[0][0], 2)


def _grains(layer: Layer, metric: str) -> list[str]:
    own = layer.ranges.own_grain(metric)
    finer = [grain for grain in GRAINS if GRAINS.index(grain) >= GRAINS.index(own)]
    return [grain for grain in finer if grain in DAY_OR_COARSER or grain == "hour"]


def _dimensions(layer: Layer, metric: str) -> list[str]:
    """What the metric can be grouped by and shows no person, the nearest first."""
    personal = {
        name
        for item in privacy.items(layer.project, checks.read(layer.project.root).personal)
        for name in item.asked_as
    }
    names = [
        item["name"]
        for item in layer.dimensions([metric], governed=False)
        if item["type"].lower() == "categorical" and item["name"] not in personal
    ]
    return sorted(names, key=lambda name: (name.count("__"), name))[:_MOST_DIMENSIONS]


def _formula(layer: Layer, metric: dict[str, Any]) -> str:
    """How a metric is made, by the names of what it reads."""
    params = metric["type_params"]
    texts = [p.name.replace("_", " ") for p in layer.metric_graph.inputs(metric["name"])]
    kind = metric["type"]
    if kind == "simple":
        aggregation = params.get("metric_aggregation_params") or {}
        return f"{aggregation.get('agg')} of {params.get('expr') or metric['name']}"
    if kind == "ratio":
        return f"{texts[0]} divided by {texts[1]}"
    if kind == "conversion":
        return f"{texts[1]} among {texts[0]}"
    return str(params.get("expr")) if kind == "derived" else f"{texts[0]} added up"


def _known_value(layer: Layer, metric: str) -> str:
    grain = _grains(layer, metric)[-2:][0]
    return f"""\
{{{{ config(enabled=false) }}}}
-- {metric} of one {grain}, by SQL on the raw data, against what an invoice or a count by hand says:
-- write both, and take the first line out. A test that is switched off proves nothing.
select {metric} from (select null as {metric})
where {metric} is distinct from 0
"""
