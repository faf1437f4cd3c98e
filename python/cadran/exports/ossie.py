"""`cadran export ossie`: the semantic layer with its cards as an Apache Ossie (OSI) document.

The document holds what the format can say: datasets, relationships, metrics as expressions. All
that it cannot say stands in `custom_extensions`: cards, versions, targets, and every definition
whole. So `read` gives back what `write` was given.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from cadran.core.layer import open_layer
from cadran.core.project import cards
from cadran.core.project.graph import Node
from cadran.core.query import filters
from cadran.core.semantics.metrics import MetricGraph, fills_gaps
from cadran.core.versions import record
from cadran.core.versions.definition import Definition, Question
from cadran.core.versions.record import VersionRecord
from cadran.errors import ProjectError
from cadran.exports.expressions import UnsayableError, said
from cadran.exports.texts import text
from cadran.formats import files
from cadran.insight.scorecard import Target, targets

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.core.query.request import Field


_PERCENTILES = ("median", "percentile")
_AGGREGATES: dict[str, type[exp.AggFunc]] = {
    "sum": exp.Sum, "count": exp.Count, "min": exp.Min, "max": exp.Max, "average": exp.Avg,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """An expression, the datasets whose fields it reads, and the fields that are their time."""

    sql: str
    datasets: tuple[str, ...]
    times: tuple[str, ...]


@dataclass(slots=True)
class Expressions:
    """Writes the metrics of one semantic manifest, and notes which columns they read."""

    graph: MetricGraph
    models: Mapping[str, dict[str, Any]]
    columns: dict[str, set[str]] = field(default_factory=dict)

    def of(self, name: str) -> Said:
        """The expression of a metric.

        Raises:
            UnsayableError: the format has none for it.
        """
        datasets: list[str] = []
        times: list[str] = []

        def leaf(metric: dict[str, Any], filters: tuple[dict[str, Any], ...]) -> exp.Expression:
            aggregation = metric["type_params"]["metric_aggregation_params"]
            model = aggregation["semantic_model"]
            time = aggregation["agg_time_dimension"]
            datasets.append(model)
            times.append(f"{model}.{time or self.models[model]['defaults']['agg_time_dimension']}")
            return self._aggregate(metric, aggregation, filters)

        # Postgres' dialect is the nearest to the standard: its division of integers is whole.
        sql = said(self.graph, name, leaf).sql(dialect="postgres")
        return Said(str(sql), tuple(dict.fromkeys(datasets)), tuple(dict.fromkeys(times)))

    def _aggregate(
        self,
        metric: dict[str, Any],
        aggregation: dict[str, Any],
        filters: tuple[dict[str, Any], ...],
    ) -> exp.Expression:
        if aggregation["non_additive_dimension"]:
            raise UnsayableError("it is a stock, read at one moment of each period")
        if fills_gaps(metric):
            raise UnsayableError("it has a value where there are no rows")
        model = aggregation["semantic_model"]
        row = self._qualified(metric["type_params"]["expr"] or metric["name"], model)
        agg = aggregation["agg"]
        if agg == "sum_boolean":
            row, agg = exp.case().when(row, "1").else_("0"), "sum"
        for one in filters:
            row = exp.case().when(self._condition(one["where_sql_template"], model), row)
        if agg in _AGGREGATES:
            return _AGGREGATES[agg](this=row)
        if agg == "count_distinct":
            return exp.Count(this=exp.Distinct(expressions=[row]))
        parameters = aggregation["agg_params"] or {}
        if agg in _PERCENTILES and not parameters.get("use_approximate_percentile"):
            share = "0.5" if agg == "median" else str(parameters["percentile"])
            discrete = parameters.get("use_discrete_percentile")
            kind = exp.PercentileDisc if discrete else exp.PercentileCont
            order = exp.Order(expressions=[exp.Ordered(this=row)])
            return exp.WithinGroup(this=kind(this=exp.Literal.number(share)), expression=order)
        raise UnsayableError(f"standard SQL has no aggregate for {agg}")

    def _qualified(self, sql: str, model: str) -> exp.Expression:
        """A row's expression with each column as `dataset.column`."""

        def put(node: exp.Expression) -> exp.Expression:
            if not isinstance(node, exp.Column):
                return node
            self.columns.setdefault(model, set()).add(node.name)
            return exp.column(node.name, table=model)

        return sqlglot.parse_one(sql, dialect=self.graph.dialect).transform(put)

    def _condition(self, template: str, model: str) -> exp.Expression:
        """A filter with each template as the expression of the dataset's own dimension."""
        dimensions = {one["name"]: one for one in self.models[model]["dimensions"]}
        key = primary_entity(self.models[model])

        def put(field: Field) -> str:
            if field.kind == "Metric" or field.grain or field.date_part:
                raise UnsayableError(f"its filter reads {field.template}")
            entity, _, name = field.group.name.rpartition("__")
            if entity != key or name not in dimensions:
                raise UnsayableError(
                    f"its filter reads {field.template}, which is of another table"
                )
            return f"({dimensions[name]['expr']})" if dimensions[name]["expr"] else name

        return self._qualified(filters.read(template, reviewed=True).sql(put), model)


def primary_entity(model: dict[str, Any]) -> str | None:
    """The name of a semantic model's own entity, by which its dimensions are asked."""
    for entity in model["entities"]:
        if entity["type"] == "primary":
            return str(entity["name"])
    named: str | None = model["primary_entity"]
    return named


def of_version(record: VersionRecord) -> dict[str, Any]:
    """A version record as JSON types."""
    said: dict[str, Any] = _plain(asdict(record))
    return said


def to_version(said: dict[str, Any]) -> VersionRecord:
    """The version record that `of_version` wrote."""
    given = dict(said)
    meaning = given.pop("definition")
    window, impact = given.pop("window"), given.pop("expected_impact")
    definition = Definition(
        **meaning
        | {
            "questions": tuple(
                Question(tuple(one["grains"]), tuple(one["dimensions"]), one["sql"])
                for one in meaning["questions"]
            ),
            "nodes": tuple(Node(**one) for one in meaning["nodes"]),
        }
    )
    return VersionRecord(
        **given
        | {
            "effective_from": dt.date.fromisoformat(given["effective_from"]),
            "window": tuple(dt.date.fromisoformat(day) for day in window) if window else None,
            "expected_impact": tuple(impact) if impact else None,
            "tools": tuple(given["tools"]),
            "question_hashes": tuple(given["question_hashes"]),
            "definition": definition,
        }
    )


def of_target(target: Target) -> dict[str, Any]:
    """A target as JSON types; an exact number is a text."""
    said: dict[str, Any] = _plain(asdict(target))
    return said


def to_target(said: dict[str, Any]) -> Target:
    """The target that `of_target` wrote."""
    values = {
        name: Decimal(said[name]) if isinstance(said[name], str) else said[name]
        for name in ("target", "warning", "critical")
    }
    return Target(**said | values | {"start": dt.date.fromisoformat(said["start"])})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return value


# The draft that is published as Apache Ossie, and the release before it, which dbt reads.
SPECS = ("0.2.0.dev0", "0.1.1")
DIALECT = "ANSI_SQL"
OURS = "cadran"
# The release before has a closed list of vendors.
_VENDORS = {"0.2.0.dev0": "CADRAN", "0.1.1": "COMMON"}
_ONE_SIDE = ("primary", "unique", "natural")


def make(given: Exchange, *, spec: str, lang: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The document, and the metrics that have no expression in it, each with the reason."""
    return _Maker(given, spec, lang).document()


def opened(document: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, dict[str, Any]]]:
    """The project and the semantic manifest of a document, and versions and targets by KPI.

    Raises:
        ValueError: the document was not written by this export.
        KeyError: it lacks something.
    """
    (model,) = document["semantic_model"]
    whole = _ours(model)
    told = {one["metric"]["name"]: one for one in map(_ours, model["metrics"])}
    told |= {one["metric"]["name"]: one for one in whole["not_expressed"]}
    metrics = {name: one["metric"] for name, one in told.items()}
    metrics |= {metric["name"]: metric for metric in whole["building_blocks"]}
    manifest = whole["semantic_manifest"] | {
        "semantic_models": [_ours(dataset)["semantic_model"] for dataset in model["datasets"]],
        "metrics": [metrics[name] for name in whole["order"]],
    }
    return model["name"], manifest, {n: one for n, one in told.items() if "versions" in one}


class _Maker:
    """Makes one document."""

    def __init__(self, given: Exchange, spec: str, lang: str) -> None:
        self.given, self.spec, self.lang = given, spec, lang
        self.manifest = given.semantic_manifest
        self.models = {model["name"]: model for model in self.manifest["semantic_models"]}
        graph = MetricGraph(self.manifest)
        self.metrics = graph.metrics
        self.expressions = Expressions(graph, self.models)

    def document(self) -> tuple[dict[str, Any], dict[str, str]]:
        metrics, apart, reasons = [], [], {}
        for name, metric in self.metrics.items():
            if metric["type_params"].get("is_private"):
                continue
            try:
                metrics.append(self._metric(metric))
            except UnsayableError as reason:
                apart.append({"reason": str(reason), **self._told(metric)})
                reasons[name] = str(reason)
        blocks = [m for m in self.manifest["metrics"] if m["type_params"].get("is_private")]
        rest = {k: v for k, v in self.manifest.items() if k not in {"metrics", "semantic_models"}}
        model: dict[str, Any] = {
            "name": self.given.project,
            "ai_context": {
                "instructions": (
                    "Each metric is governed. Ask it only at the grains and by the dimensions that"
                    " its custom extension lists on the card."
                )
            },
            "datasets": [self._dataset(one) for one in self.models.values()],
            "relationships": list(self._relationships()),
            "metrics": metrics,
            "custom_extensions": self._extension(
                {
                    "not_expressed": apart,
                    "building_blocks": blocks,
                    "order": list(self.metrics),
                    "semantic_manifest": rest,
                }
            ),
        }
        return {"version": self.spec, "semantic_model": [model]}, reasons

    def _metric(self, metric: dict[str, Any]) -> dict[str, Any]:
        said = self.expressions.of(metric["name"])
        card = self.given.cards.get(metric["name"])
        shown = card.localized(self.lang) if card else None
        description = shown.description if shown else _line(metric["description"])
        entry: dict[str, Any] = {"name": metric["name"], "expression": _expression(said.sql)}
        if description:
            entry["description"] = description
        entry["ai_context"] = self._context(card, said)
        return entry | {"custom_extensions": self._extension(self._told(metric))}

    def _context(self, card: Card | None, said: Said) -> dict[str, Any]:
        """What the format has no key for and a reader must know: times, joins, limits, names."""
        sentences = [f"Its time is {', '.join(said.times)}."]
        if len(said.datasets) > 1:
            names = ", ".join(said.datasets)
            sentences.append(f"Aggregate each of {names} by itself, then join the groups.")
        if card is None:
            return {"instructions": " ".join(sentences)}
        shown = card.localized(self.lang)
        sentences.append(text("formula", self.lang, formula=shown.formula))
        if shown.not_for:
            sentences.append(text("not_for", self.lang, uses="; ".join(shown.not_for)))
        synonyms = list(dict.fromkeys([shown.label, card.label, card.fr.label]))
        return {"instructions": " ".join(sentences), "synonyms": synonyms}

    def _told(self, metric: dict[str, Any]) -> dict[str, Any]:
        """A metric's definition whole; for a KPI its versions and targets too."""
        told: dict[str, Any] = {"metric": metric}
        if metric["name"] in self.given.cards:
            records = self.given.versions.get(metric["name"], ())
            told["versions"] = [of_version(record) for record in records]
            wanted = (t for t in self.given.targets if t.kpi == metric["name"])
            told["targets"] = [of_target(target) for target in wanted]
        return told

    def _dataset(self, model: dict[str, Any]) -> dict[str, Any]:
        relation = model["node_relation"]
        names = (relation["database"], relation["schema_name"], relation["alias"])
        keys = [_column(one) for one in model["entities"] if one["type"] == "primary"]
        unique = [[_column(one)] for one in model["entities"] if one["type"] == "unique"]
        entry: dict[str, Any] = {"name": model["name"], "source": ".".join(filter(None, names))}
        if keys:
            entry["primary_key"] = keys
        if unique:
            entry["unique_keys"] = unique
        if model["description"]:
            entry["description"] = _line(model["description"])
        entry["fields"] = list(self._fields(model))
        return entry | {"custom_extensions": self._extension({"semantic_model": model})}

    def _fields(self, model: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Keys by their columns, dimensions, and what metrics read; each name once."""
        known: set[str] = set()
        for one in (*model["entities"], *model["dimensions"]):
            is_dimension = "is_partition" in one
            name = one["name"] if is_dimension else _column(one)
            if name in known:
                continue
            known.add(name)
            entry: dict[str, Any] = {"name": name, "expression": _expression(_column(one))}
            if is_dimension:
                entry["dimension"] = {"is_time": one["type"] == "time"}
            if one["label"]:
                entry["label"] = one["label"]
            if one["description"]:
                entry["description"] = _line(one["description"])
            if is_dimension:
                asked = f"{primary_entity(model)}__{one['name']}"
                entry["ai_context"] = {"synonyms": [asked]}
            yield entry
        for name in sorted(self.expressions.columns.get(model["name"], set()) - known):
            yield {"name": name, "expression": _expression(name)}

    def _relationships(self) -> Iterator[dict[str, Any]]:
        for model in self.models.values():
            for entity in model["entities"]:
                if entity["type"] != "foreign":
                    continue
                for other in self.models.values():
                    for key in other["entities"]:
                        if (
                            key["name"] == entity["name"]
                            and key["type"] in _ONE_SIDE
                            and other is not model
                        ):
                            yield {
                                "name": f"{model['name']}__{entity['name']}__{other['name']}",
                                "from": model["name"],
                                "to": other["name"],
                                "from_columns": [_column(entity)],
                                "to_columns": [_column(key)],
                            }

    def _extension(self, said: dict[str, Any]) -> list[dict[str, str]]:
        data = json.dumps({OURS: said}, ensure_ascii=False)
        return [{"vendor_name": _VENDORS[self.spec], "data": data}]


def _ours(element: dict[str, Any]) -> dict[str, Any]:
    for extension in element.get("custom_extensions") or ():
        if extension["vendor_name"] in _VENDORS.values():
            said = json.loads(extension["data"])
            if OURS in said:
                found: dict[str, Any] = said[OURS]
                return found
    raise ValueError(f"'{element.get('name')}' has no extension of this export")


def _expression(sql: str) -> dict[str, Any]:
    return {"dialects": [{"dialect": DIALECT, "expression": sql}]}


def _column(one: dict[str, Any]) -> str:
    return str(one["expr"] or one["name"])


def _line(given: str | None) -> str:
    return " ".join((given or "").split())


FILE = "ossie.json"
EXAMPLE = "cadran export ossie"
NOTES = """\
Datasets, relationships and metrics stand in the document as the specification has them; cards,
versions, targets, and the definitions that no expression can say stand in its custom_extensions,
so that nothing is lost. What has no expression is named with the reason.
"""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a document carries of the semantic layer of a project."""

    project: str
    cards: dict[str, Card]
    versions: dict[str, tuple[VersionRecord, ...]]
    targets: tuple[Target, ...]
    semantic_manifest: dict[str, Any]


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of the target."""
    parser.description = f"{parser.description}\n\n{NOTES}"
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where it goes (default: target/{FILE} of the project)",
    )
    parser.add_argument(
        "--spec",
        choices=SPECS,
        default=SPECS[0],
        help="version of the specification (default: %(default)s); dbt 1.12 reads 0.1.1",
    )


def run(parsed: argparse.Namespace) -> int:
    """Write the document; tells what has no expression in it.

    Raises:
        CadranError: a card or a version record is broken.
    """
    layer = open_layer(parsed.project_dir, manifest=parsed.manifest, database=parsed.database)
    path = parsed.output or parsed.project_dir / "target" / FILE
    reasons = write(exchange(layer), path, spec=parsed.spec, lang=parsed.lang)
    for name, reason in reasons.items():
        sys.stdout.write(f"{name}: kept as an extension only, because {reason}\n")
    sys.stdout.write(f"{path}\n")
    return 0


def write(given: Exchange, path: Path, *, spec: str = SPECS[0], lang: str = "en") -> dict[str, str]:
    """Write a document.

    Args:
        given: what it is to carry.
        path: the file; an old one is replaced at once.
        spec: the version of the specification.
        lang: the language of descriptions.

    Returns:
        The metrics that have no expression in it, each with the reason.

    Raises:
        OSError: the file cannot be written.
    """
    document, reasons = make(given, spec=spec, lang=lang)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return reasons


def exchange(layer: Layer) -> Exchange:
    """What there is to be told of a layer; the targets are read from its warehouse.

    Raises:
        CardError: a card or a version record is broken.
        ProjectError: dbt's manifest is not there.
    """
    found = {card.name: card for card in layer.kpis()}
    root = layer.project.root
    return Exchange(
        str(layer.project.dbt_manifest["metadata"]["project_name"]),
        found,
        {name: tuple(record.records(root, name)) if root else () for name in found},
        _sorted(target for target in targets(layer) if target.kpi in found),
        layer.project.semantic_manifest,
    )


def read(path: Path | str) -> Exchange:
    """What `write` was given.

    Raises:
        ProjectError: the file is no such document, or was not written by this export.
        CardError: a card in it is broken.
    """
    file = Path(path)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        project, manifest, kpis = opened(document)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProjectError(f"{file} is no Ossie document of this export: {error}.") from None
    return Exchange(
        project,
        {
            metric["name"]: cards.read(metric, lambda: str(file))
            for metric in manifest["metrics"]
            if cards.carried_by(metric) is not None
        },
        {name: tuple(to_version(one) for one in kpi["versions"]) for name, kpi in kpis.items()},
        _sorted(to_target(one) for kpi in kpis.values() for one in kpi["targets"]),
        manifest,
    )


def _sorted(found: Iterable[Target]) -> tuple[Target, ...]:
    return tuple(sorted(found, key=lambda target: (target.kpi, target.grain, target.start)))
