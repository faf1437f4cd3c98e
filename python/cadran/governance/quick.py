"""A mark of everything a KPI comes from, as it is written: where it is the same, nothing changed.

It needs what `dbt parse` leaves and no more, so that KPIs that nobody touched cost nothing. Where
it differs, meanings are compared.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cadran.governance.checksums import checksum
from cadran.governance.increments import rules
from cadran.query import GRAINS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.cards import Card
    from cadran.governance.closure import Graph, Node

_OPENED = ("model", "snapshot", "seed", "source")


def mark(graph: Graph, card: Card, nodes: Iterable[Node]) -> str | None:
    """The mark of a KPI over the nodes that it came from; None when one of them is gone.

    Args:
        graph: dbt's manifest, parsed or compiled.
        card: the KPI's card, for its grains and dimensions.
        nodes: what the KPI came from when its record was written.
    """
    wanted = {(node.kind, node.name) for node in nodes if node.kind in _OPENED}
    ids = {_named(node): key for key, node in graph.nodes.items() if _named(node) in wanted}
    if wanted - ids.keys() or card.name not in graph.metrics:
        return None
    keys = sorted(ids.values())
    metrics = graph.metrics_behind(card.name)
    said = [
        said_of(graph, metrics), [g for g in GRAINS if g in card.grains], sorted(card.dimensions),
        [asdict(node) for node in graph.closure(metrics, keys)], rules(graph, keys),
    ]  # fmt: skip
    return checksum(json.dumps(said, sort_keys=True, default=str))


def said_of(graph: Graph, metrics: list[str]) -> list[Any]:
    """What decides how MetricFlow writes a question of these metrics."""
    spines = graph.semantic["project_configuration"]["time_spines"]
    return [
        [[name, graph.meaning_of_metric(name)] for name in metrics],
        [
            [graph.meaning_of_semantic_model(model), _place(model["node_relation"])]
            for model in sorted(graph.semantic["semantic_models"], key=lambda m: str(m["name"]))
        ],
        sorted(
            json.dumps([_place(s["node_relation"]), s["primary_column"], s["custom_granularities"]],
                       sort_keys=True)
            for s in spines
        ),
    ]  # fmt: skip


def _named(node: dict[str, Any]) -> tuple[str, str]:
    kind = str(node["resource_type"])
    return kind, f"{node['source_name']}.{node['name']}" if kind == "source" else str(node["name"])


def _place(relation: dict[str, Any]) -> list[str]:
    return [str(relation["schema_name"]), str(relation["alias"])]
