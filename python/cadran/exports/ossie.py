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
from cadran.core.targets import Target, targets
from cadran.core.versions import record
from cadran.core.versions.definition import CompiledQuery, Definition
from cadran.core.versions.record import VersionRecord
from cadran.errors import ProjectError
from cadran.exports.expressions import NotExpressibleError, metric_expression
from cadran.exports.texts import text
from cadran.formats import files

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
class SqlExpression:
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

    def of(self, name: str) -> SqlExpression:
        """The expression of a metric.

        Raises:
            NotExpressibleError: the format has none for it.
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
        sql = metric_expression(self.graph, name, leaf).sql(dialect="postgres")
        return SqlExpression(str(sql), tuple(dict.fromkeys(datasets)), tuple(dict.fromkeys(times)))

    def _aggregate(
        self,
        metric: dict[str, Any],
        aggregation: dict[str, Any],
        filters: tuple[dict[str, Any], ...],
    ) -> exp.Expression:
        if aggregation["non_additive_dimension"]:
            raise NotExpressibleError("it is a stock, read at one moment of each period")
        if fills_gaps(metric):
            raise NotExpressibleError("it has a value where there are no rows")
        model = aggregation["semantic_model"]
        row = self._qualified(metric["type_params"]["expr"] or metric["name"], model)
        agg = aggregation["agg"]
        if agg == "sum_boolean":
            row, agg = exp.case().when(row, "1").else_("0"), "sum"
        for condition in filters:
            row = exp.case().when(self._condition(condition["where_sql_template"], model), row)
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
        raise NotExpressibleError(f"standard SQL has no aggregate for {agg}")

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
        dimensions = {d["name"]: d for d in self.models[model]["dimensions"]}
        key = primary_entity(self.models[model])

        def put(field: Field) -> str:
            if field.kind == "Metric" or field.grain or field.date_part:
                raise NotExpressibleError(f"its filter reads {field.template}")
            entity, _, name = field.group.name.rpartition("__")
            if entity != key or name not in dimensions:
                raise NotExpressibleError(
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


# The keys by which a record's file has them, too.
_RECORD_KEYS = {"fingerprint": "mark", "semantics_hash": "said"}


def of_version(record: VersionRecord) -> dict[str, Any]:
    """A version record as JSON types."""
    payload: dict[str, Any] = _plain(asdict(record))
    return {_RECORD_KEYS.get(name, name): value for name, value in payload.items()}


def to_version(payload: dict[str, Any]) -> VersionRecord:
    """The version record that `of_version` wrote."""
    attributes = {key: name for name, key in _RECORD_KEYS.items()}
    fields = {attributes.get(key, key): value for key, value in payload.items()}
    meaning = fields.pop("definition")
    window, impact = fields.pop("window"), fields.pop("expected_impact")
    definition = Definition(
        **meaning
        | {
            "questions": tuple(
                CompiledQuery(tuple(entry["grains"]), tuple(entry["dimensions"]), entry["sql"])
                for entry in meaning["questions"]
            ),
            "nodes": tuple(Node(**entry) for entry in meaning["nodes"]),
        }
    )
    return VersionRecord(
        **fields
        | {
            "effective_from": dt.date.fromisoformat(fields["effective_from"]),
            "window": tuple(dt.date.fromisoformat(day) for day in window) if window else None,
            "expected_impact": tuple(impact) if impact else None,
            "tools": tuple(fields["tools"]),
            "question_hashes": tuple(fields["question_hashes"]),
            "definition": definition,
        }
    )


def of_target(target: Target) -> dict[str, Any]:
    """A target as JSON types; an exact number is a text."""
    payload: dict[str, Any] = _plain(asdict(target))
    return payload


def to_target(payload: dict[str, Any]) -> Target:
    """The target that `of_target` wrote."""
    values = {
        name: Decimal(payload[name]) if isinstance(payload[name], str) else payload[name]
        for name in ("target", "warning", "critical")
    }
    return Target(**payload | values | {"start": dt.date.fromisoformat(payload["start"])})


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


def make(contents: Exchange, *, spec: str, lang: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The document, and the metrics that have no expression in it, each with the reason."""
    return _Maker(contents, spec, lang).document()


def opened(document: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, dict[str, Any]]]:
    """The project and the semantic manifest of a document, and versions and targets by KPI.

    Raises:
        ValueError: the document was not written by this export.
        KeyError: it lacks something.
    """
    (model,) = document["semantic_model"]
    extension = _ours(model)
    entries = {entry["metric"]["name"]: entry for entry in map(_ours, model["metrics"])}
    entries |= {entry["metric"]["name"]: entry for entry in extension["not_expressed"]}
    metrics = {name: entry["metric"] for name, entry in entries.items()}
    metrics |= {metric["name"]: metric for metric in extension["building_blocks"]}
    manifest = extension["semantic_manifest"] | {
        "semantic_models": [_ours(dataset)["semantic_model"] for dataset in model["datasets"]],
        "metrics": [metrics[name] for name in extension["order"]],
    }
    return (
        model["name"],
        manifest,
        {n: entry for n, entry in entries.items() if "versions" in entry},
    )


class _Maker:
    """Makes one document."""

    def __init__(self, contents: Exchange, spec: str, lang: str) -> None:
        self.contents, self.spec, self.lang = contents, spec, lang
        self.manifest = contents.semantic_manifest
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
            except NotExpressibleError as reason:
                apart.append({"reason": str(reason), **self._definition(metric)})
                reasons[name] = str(reason)
        blocks = [m for m in self.manifest["metrics"] if m["type_params"].get("is_private")]
        rest = {k: v for k, v in self.manifest.items() if k not in {"metrics", "semantic_models"}}
        model: dict[str, Any] = {
            "name": self.contents.project,
            "ai_context": {
                "instructions": (
                    "Each metric is governed. Ask it only at the grains and by the dimensions that"
                    " its custom extension lists on the card."
                )
            },
            "datasets": [self._dataset(semantic_model) for semantic_model in self.models.values()],
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
        expression = self.expressions.of(metric["name"])
        card = self.contents.cards.get(metric["name"])
        localized = card.localized(self.lang) if card else None
        description = localized.description if localized else _line(metric["description"])
        entry: dict[str, Any] = {"name": metric["name"], "expression": _expression(expression.sql)}
        if description:
            entry["description"] = description
        entry["ai_context"] = self._context(card, expression)
        return entry | {"custom_extensions": self._extension(self._definition(metric))}

    def _context(self, card: Card | None, expression: SqlExpression) -> dict[str, Any]:
        """What the format has no key for and a reader must know: times, joins, limits, names."""
        sentences = [f"Its time is {', '.join(expression.times)}."]
        if len(expression.datasets) > 1:
            names = ", ".join(expression.datasets)
            sentences.append(f"Aggregate each of {names} by itself, then join the groups.")
        if card is None:
            return {"instructions": " ".join(sentences)}
        localized = card.localized(self.lang)
        sentences.append(text("formula", self.lang, formula=localized.formula))
        if localized.not_for:
            sentences.append(text("not_for", self.lang, uses="; ".join(localized.not_for)))
        synonyms = list(dict.fromkeys([localized.label, card.label, card.localized("fr").label]))
        return {"instructions": " ".join(sentences), "synonyms": synonyms}

    def _definition(self, metric: dict[str, Any]) -> dict[str, Any]:
        """A metric's definition whole; for a KPI its versions and targets too."""
        definition: dict[str, Any] = {"metric": metric}
        if metric["name"] in self.contents.cards:
            records = self.contents.versions.get(metric["name"], ())
            definition["versions"] = [of_version(record) for record in records]
            targets = (t for t in self.contents.targets if t.kpi == metric["name"])
            definition["targets"] = [of_target(target) for target in targets]
        return definition

    def _dataset(self, model: dict[str, Any]) -> dict[str, Any]:
        relation = model["node_relation"]
        names = (relation["database"], relation["schema_name"], relation["alias"])
        keys = [_column(e) for e in model["entities"] if e["type"] == "primary"]
        unique = [[_column(e)] for e in model["entities"] if e["type"] == "unique"]
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
        names: set[str] = set()
        for element in (*model["entities"], *model["dimensions"]):
            is_dimension = "is_partition" in element
            name = element["name"] if is_dimension else _column(element)
            if name in names:
                continue
            names.add(name)
            entry: dict[str, Any] = {"name": name, "expression": _expression(_column(element))}
            if is_dimension:
                entry["dimension"] = {"is_time": element["type"] == "time"}
            if element["label"]:
                entry["label"] = element["label"]
            if element["description"]:
                entry["description"] = _line(element["description"])
            if is_dimension:
                group_by = f"{primary_entity(model)}__{element['name']}"
                entry["ai_context"] = {"synonyms": [group_by]}
            yield entry
        for name in sorted(self.expressions.columns.get(model["name"], set()) - names):
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

    def _extension(self, content: dict[str, Any]) -> list[dict[str, str]]:
        data = json.dumps({OURS: content}, ensure_ascii=False)
        return [{"vendor_name": _VENDORS[self.spec], "data": data}]


def _ours(element: dict[str, Any]) -> dict[str, Any]:
    for extension in element.get("custom_extensions") or ():
        if extension["vendor_name"] in _VENDORS.values():
            data = json.loads(extension["data"])
            if OURS in data:
                own: dict[str, Any] = data[OURS]
                return own
    raise ValueError(f"'{element.get('name')}' has no extension of this export")


def _expression(sql: str) -> dict[str, Any]:
    return {"dialects": [{"dialect": DIALECT, "expression": sql}]}


def _column(entity: dict[str, Any]) -> str:
    return str(entity["expr"] or entity["name"])


def _line(description: str | None) -> str:
    return " ".join((description or "").split())


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


def write(
    contents: Exchange, path: Path, *, spec: str = SPECS[0], lang: str = "en"
) -> dict[str, str]:
    """Write a document.

    Args:
        contents: what it is to carry.
        path: the file; an old one is replaced at once.
        spec: the version of the specification.
        lang: the language of descriptions.

    Returns:
        The metrics that have no expression in it, each with the reason.

    Raises:
        OSError: the file cannot be written.
    """
    document, reasons = make(contents, spec=spec, lang=lang)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return reasons


def exchange(layer: Layer) -> Exchange:
    """What there is to be told of a layer; the targets are read from its warehouse.

    Raises:
        CardError: a card or a version record is broken.
        ProjectError: dbt's manifest is not there.
    """
    cards = {card.name: card for card in layer.kpis()}
    root = layer.project.root
    return Exchange(
        str(layer.project.dbt_manifest["metadata"]["project_name"]),
        cards,
        {name: tuple(record.records(root, name)) if root else () for name in cards},
        _sorted(target for target in targets(layer) if target.kpi in cards),
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
        {name: tuple(to_version(p) for p in kpi["versions"]) for name, kpi in kpis.items()},
        _sorted(to_target(p) for kpi in kpis.values() for p in kpi["targets"]),
        manifest,
    )


def _sorted(targets: Iterable[Target]) -> tuple[Target, ...]:
    return tuple(sorted(targets, key=lambda target: (target.kpi, target.grain, target.start)))
