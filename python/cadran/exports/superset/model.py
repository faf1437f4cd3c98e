"""What Superset gets: datasets whose every metric is right however it is grouped, or is empty.

A *cube* holds the additive parts of KPIs that share their dimensions, at their finest grain. Its
metrics are expressions over sums of its columns, so Superset may group by any of its dimensions and
any coarser period. A KPI that cannot be put together from groups (a distinct count, a percentile,
what looks at other periods) stands ready made in the *values*: see `superset_values`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cadran.core.query.request import DAY_OR_COARSER, GRAINS
from cadran.core.semantics.governed import TIME
from cadran.core.warehouse.dialects import DUCKDB
from cadran.errors import CardError
from cadran.exports.expressions import EXTREMES, NotExpressibleError, metric_expression, summable
from cadran.exports.texts import plain, text
from cadran.formats import periods

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa
    from sqlglot import exp

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.core.semantics.metrics import MetricGraph


TABLE = "kpi_values"
ALL = "all"
# The columns before the values, and their roles.
KEYS = {"period": "time", "grain": "dimension", "dimension": "dimension", "member": "dimension"}

Key = tuple[dt.date, str, str, str | None]


def value_expression(kpi: str) -> str:
    """The metric of a KPI over its column: the value of the one row there is, or nothing."""
    return f"CASE WHEN COUNT(*) = 1 THEN CAST(MAX({kpi}) AS DOUBLE) END"


def value_rows(layer: Layer, cards: Iterable[Card]) -> pa.Table:
    """The values of KPIs at every grain of their cards, in all and by each dimension.

    Raises:
        CadranError: as `Layer.query`.
    """
    import pyarrow as pa

    cards = list(cards)
    values: dict[Key, dict[str, str]] = {}
    for card in cards:
        for grain in (grain for grain in card.grains if grain in periods.GRAINS):
            for dimension in (None, *card.dimensions):
                groups = [f"{TIME}__{grain}", *([dimension] if dimension else [])]
                answer = layer.query(card.name, groups, ordered=False).to_arrow()
                _keep(values, answer.to_pylist(), card.name, grain, dimension)
    _beside(values)
    ordered = sorted(values, key=lambda key: (*key[1:3], key[0], key[3] or ""))
    columns: dict[str, Any] = {
        name: [key[place] for key in ordered] for place, name in enumerate(KEYS)
    }
    columns |= {card.name: [values[key].get(card.name) for key in ordered] for card in cards}
    text = pa.string()
    types = [pa.date32(), text, text, text, *(text for _ in cards)]
    return pa.table(columns, pa.schema(list(zip(columns, types, strict=True))))


def _keep(
    values: dict[Key, dict[str, str]],
    answer: list[dict[str, Any]],
    kpi: str,
    grain: str,
    dimension: str | None,
) -> None:
    for row in answer:
        period, value = row[f"{TIME}__{grain}"], row[kpi]
        if period is None or value is None:
            continue
        member = row[dimension] if dimension else ALL
        key = (
            period.date() if isinstance(period, dt.datetime) else period,
            grain,
            dimension or ALL,
            None if member is None else str(member),
        )
        values.setdefault(key, {})[kpi] = str(value)


def _beside(values: dict[Key, dict[str, str]]) -> None:
    """Put an empty row beside each that stands alone in a longer period."""
    starts: dict[tuple[str, str, str | None], set[dt.date]] = {}
    for period, *series in values:
        starts.setdefault(tuple(series), set()).add(period)  # type: ignore[arg-type]
    for (grain, dimension, member), present in starts.items():
        for longer in (other for other in periods.GRAINS if periods.is_coarser(other, grain)):
            within: dict[dt.date, list[dt.date]] = {}
            for period in present:
                within.setdefault(periods.start_of(period, longer), []).append(period)
            for whole, alone in within.items():
                if len(alone) == 1:
                    other = _neighbour(alone[0], grain, longer, whole)
                    values.setdefault((other, grain, dimension, member), {})


def _neighbour(period: dt.date, grain: str, longer: str, whole: dt.date) -> dt.date:
    """The next period of the grain that starts within the same longer one, or the one before."""
    after = periods.shifted(period, grain, 1)
    inside = periods.start_of(after, longer) == whole
    return after if inside else periods.shifted(period, grain, -1)


LONG = 100  # characters of an expression from which it is broken into lines


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a dataset. Its role is time, dimension or part; parts are only for metrics."""

    name: str
    label: str
    description: str
    role: str


@dataclass(frozen=True, slots=True)
class Metric:
    """A governed metric: a KPI, its card in the language asked, as SQL over a dataset's columns."""

    card: Card
    expression: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table for Superset; `rows` asks the layer for it. `grain` is None for the values."""

    name: str
    description: str
    columns: tuple[Column, ...]
    metrics: tuple[Metric, ...]
    grain: str | None
    rows: Callable[[], pa.Table]


@dataclass(frozen=True, slots=True)
class Model:
    """All datasets of a project, and the KPIs left out, each with the reason."""

    project: str
    lang: str
    datasets: tuple[Dataset, ...]
    left_out: dict[str, str]


def make(layer: Layer, lang: str = "en") -> Model:
    """The datasets and governed metrics of a layer; no number is asked yet.

    Args:
        layer: the layer of a built project.
        lang: the language of labels and descriptions, en or fr.

    Raises:
        CardError: a card is broken, or there is no KPI at all.
        ProjectError: dbt's manifest is not there.
    """
    graph = layer.metric_graph
    groups: dict[tuple[str, tuple[str, ...]], list[Card]] = {}
    apart: dict[str, str] = {}
    for card in layer.kpis():
        try:
            summable(graph, card.name)
            groups.setdefault(_shape(card), []).append(card)
        except NotExpressibleError as reason:
            apart[card.name] = str(reason)
    if not groups and not apart:
        raise CardError(layer.without_kpis or "No card of the project can be read: `cadran check`.")
    cubes = [_cube(layer, cards, *shape, lang) for shape, cards in groups.items()]
    datasets = sorted(_told_apart(cubes), key=lambda cube: cube.name)
    stored = {n: why for n, why in apart.items() if {*layer.card(n).grains} & {*DAY_OR_COARSER}}
    if stored:
        datasets.append(_values(layer, stored, lang))
    left_out = {
        name: f"{why}, and its card has no grain from the day up at which to store it"
        for name, why in apart.items()
        if name not in stored
    }
    project = str(layer.project.dbt_manifest["metadata"]["project_name"])
    return Model(project, lang, tuple(datasets), left_out)


def _shape(card: Card) -> tuple[str, tuple[str, ...]]:
    """The finest grain and the dimensions of the cube of a card.

    Raises:
        NotExpressibleError: Superset would offer a period that is not on the card.
    """
    finest = next(grain for grain in GRAINS if grain in card.grains)
    for grain in GRAINS[GRAINS.index(finest) :]:
        if grain not in card.grains:
            raise NotExpressibleError(
                f"its card has no grain '{grain}', which Superset would offer"
            )
    return finest, tuple(sorted(card.dimensions))


def _cube(
    layer: Layer,
    cards: list[Card],
    grain: str,
    dimensions: tuple[str, ...],
    lang: str,
) -> Dataset:
    graph = layer.metric_graph
    parts = list(dict.fromkeys(leaf for card in cards for leaf in summable(graph, card.name)))
    relations = {
        model["name"]: str(model["node_relation"]["alias"])
        for model in layer.project.semantic_manifest["semantic_models"]
    }
    facts = sorted({relations[model] for model in graph.semantic_models(*parts)})
    localized = [card.localized(lang) for card in cards]
    time = Column(TIME, text("time", lang), text("start", lang, grain=text(grain, lang)), "time")
    by = _dimensions(layer, [card.name for card in cards], dimensions)
    return Dataset(
        "_and_".join(fact.removeprefix("fct_") for fact in facts) + f"_by_{grain}",
        text(
            "cube",
            lang,
            rows=", ".join((text(grain, lang), *(column.label for column in by))),
            grain=text(grain, lang),
            kpis=", ".join(card.label for card in localized),
        ),
        (time, *by, *(_part(graph, part, lang) for part in parts)),
        tuple(Metric(card, _over(graph, card.name)) for card in localized),
        grain,
        partial(_rows, layer, parts, dimensions, grain),
    )


def _over(graph: MetricGraph, name: str) -> str:
    """The expression of a metric over a cube's columns, in DuckDB's SQL."""
    from sqlglot import exp

    extremes = {"min": exp.Min, "max": exp.Max}

    def leaf(metric: dict[str, Any], _filters: tuple[dict[str, Any], ...]) -> exp.Expression:
        kind = extremes.get(graph.aggregation(metric["name"])["agg"], exp.Sum)
        return kind(this=exp.column(metric["name"]))

    tree = metric_expression(graph, name, leaf)
    flat = tree.sql(dialect=DUCKDB)
    return str(flat if len(flat) <= LONG else tree.sql(dialect=DUCKDB, pretty=True))


def _rows(layer: Layer, parts: list[str], dimensions: tuple[str, ...], grain: str) -> pa.Table:
    """The rows of a cube: what the layer answers for the parts of its KPIs."""
    groups = [f"{TIME}__{grain}", *dimensions]
    answer = layer.query(parts, groups, governed=False, ordered=False).to_arrow()
    return answer.select([*groups, *parts]).rename_columns([TIME, *dimensions, *parts])


def _part(graph: MetricGraph, name: str, lang: str) -> Column:
    metric, aggregation = graph.metrics[name], graph.aggregation(name)["agg"]
    description = " ".join((metric["description"] or metric["label"] or metric["name"]).split())
    if aggregation in EXTREMES:
        description = f"{description} {text('only', lang, aggregation=aggregation)}"
    return Column(metric["name"], "", description, "part")


def _told_apart(cubes: list[Dataset]) -> Iterable[Dataset]:
    """The cubes; where several have one name, each bears the name of its first KPI too."""
    names = [cube.name for cube in cubes]
    for cube in cubes:
        first = min(metric.card.name for metric in cube.metrics)
        again = names.count(cube.name) > 1
        yield replace(cube, name=f"{cube.name}_of_{first}") if again else cube


def _values(layer: Layer, reasons: dict[str, str], lang: str) -> Dataset:
    cards = [layer.card(name) for name in reasons]
    localized = [card.localized(lang) for card in cards]
    keys = [
        Column(key, text(key, lang), text(f"{key}_text", lang), role) for key, role in KEYS.items()
    ]
    parts = [Column(card.name, "", text("stored", lang), "part") for card in cards]
    return Dataset(
        TABLE,
        text("values", lang, kpis=", ".join(card.label for card in localized)),
        (*keys, *parts),
        tuple(
            Metric(
                card,
                value_expression(card.name),
                text("note", lang, why=reasons[card.name]),
            )
            for card in localized
        ),
        None,
        partial(value_rows, layer, cards),
    )


def _dimensions(layer: Layer, kpis: list[str], names: Iterable[str]) -> list[Column]:
    described = {item["name"]: item["description"] for item in layer.dimensions(kpis)}
    return [
        Column(name, plain(name), " ".join((described.get(name) or "").split()), "dimension")
        for name in names
    ]
