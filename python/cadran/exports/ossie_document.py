"""The Ossie document itself: made of a semantic manifest with cards, and opened again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cadran.exports.expressions import UnsayableError
from cadran.exports.ossie_expressions import Expressions, Said, primary_entity
from cadran.exports.ossie_records import of_target, of_version
from cadran.exports.texts import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cadran.cards import Card
    from cadran.exports.ossie import Exchange

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
        self.metrics = {metric["name"]: metric for metric in self.manifest["metrics"]}
        self.expressions = Expressions(self.metrics, self.models)

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
