"""The hash of a question in two parts: the question over its marts, and each mart down to sources.

A mart serves many questions of many KPIs, so it is brought into one form once; a question takes of
it the columns that it reads, and nothing that was written for another.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cadran.core.project.graph import checksum
from cadran.core.query.request import GRAINS
from cadran.core.semantics.metrics import MetricGraph
from cadran.core.versions.canonical import NotCanonical, qualified, settled
from cadran.core.versions.definition import rules
from cadran.core.versions.expand import with_steps
from cadran.core.versions.side_effects import side_effects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlglot import exp

    from cadran.core.project.cards import Card
    from cadran.core.project.graph import Graph
    from cadran.core.versions.canonical import Seeds
    from cadran.core.versions.definition import Definition


_LEAF = "mart"


class Fingerprint:
    """Hashes questions, and remembers the marts that it has opened."""

    def __init__(self, dialect: str) -> None:
        """Take the dialect of the statements."""
        self._dialect = dialect
        self._trees: dict[str, exp.Expr] = {}
        self._steps: dict[tuple[str, ...], str] = {}
        self._hashes: dict[tuple[str, ...], str] = {}

    def hash(self, sql: str, definition: Definition) -> str:
        """The hash of what a question over the steps of a definition means.

        Raises:
            NotCanonical: the question or one of its marts has no canonical form.
        """
        from sqlglot import exp

        steps, columns, seeds = definition.steps, definition.columns, definition.seeds
        marts = [name for name in steps if f'"{name}"' in sql]
        for name in marts:
            sql = sql.replace(f'"{name}"', f'"{_LEAF}"."{_LEAF}"."{name}"')
        tree = qualified(sql, self._dialect, columns)
        used: dict[str, set[str]] = {name: set() for name in marts}
        aliases: dict[str, set[str]] = {}
        for table in tree.find_all(exp.Table):
            if table.catalog == _LEAF:
                aliases.setdefault(table.alias_or_name, set()).add(table.name)
        for column in tree.find_all(exp.Column):
            for name in aliases.get(column.table, ()):
                used[name].add(column.name)
        text = settled(tree, self._dialect, seeds)
        for name in marts:
            text = text.replace(f'"{name}"', f'"{self._mart(name, used[name], definition)}"')
        return checksum(text)

    def step(self, name: str, definition: Definition) -> str:
        """What one step of a definition makes of the steps and leaves that it reads.

        Raises:
            NotCanonical: it has no canonical form by itself.
        """
        key = (checksum(definition.steps[name]), *sorted(definition.seeds))
        if key not in self._steps:
            self._steps[key] = self._step(definition.steps[name], definition)
        return self._steps[key]

    def _step(self, body: str, definition: Definition) -> str:
        steps, columns, seeds = definition.steps, definition.columns, definition.seeds
        inputs = [name for name in steps if f'"{name}"' in body]
        for name in inputs:
            body = body.replace(f'"{name}"', f'"{_LEAF}"."{_LEAF}"."{name}"')
        try:
            return self._form(body, columns, seeds)
        except NotCanonical:
            # A star of a step can be listed once the columns of that step are.
            outputs = {
                f"{_LEAF}.{_LEAF}.{name}": list(self._tree(name, steps, columns).named_selects)
                for name in inputs
            }
            return self._form(body, columns | outputs, seeds)

    def _form(self, body: str, columns: dict[str, list[str]], seeds: Seeds) -> str:
        tree: Any = qualified(body, self._dialect, columns)
        names = list(tree.named_selects)
        if "*" not in names and len(set(names)) == len(names):
            tree.set("expressions", sorted(tree.expressions, key=lambda e: str(e.alias_or_name)))
        return f"{' '.join(tree.named_selects)}\n{settled(tree, self._dialect, seeds)}"

    def _tree(self, name: str, steps: dict[str, str], columns: dict[str, list[str]]) -> Any:
        statement = with_steps(f'SELECT * FROM "{name}"', steps)
        key = checksum(statement)
        if key not in self._trees:
            self._trees[key] = qualified(statement, self._dialect, columns)
        return self._trees[key]

    def _mart(self, name: str, used: set[str], definition: Definition) -> str:
        statement = with_steps(f'SELECT * FROM "{name}"', definition.steps)
        key = (checksum(statement), *sorted(definition.seeds), "", *sorted(used))
        if key not in self._hashes:
            tree: Any = self._tree(name, definition.steps, definition.columns).copy()
            outputs = {p.alias_or_name: p for p in tree.expressions}
            names = sorted(used & outputs.keys())
            if used - outputs.keys():
                # An alias that stands for two tables asks the one for the columns of the other.
                names = names or sorted(outputs)
            if not names:
                raise NotCanonical(f"no column of {name} is read")
            tree.set("expressions", [outputs[column] for column in names])
            content = f"{' '.join(names)}\n{settled(tree, self._dialect, definition.seeds)}"
            self._hashes[key] = checksum(content)
        return self._hashes[key]


def fingerprint(graph: Graph, card: Card, nodes: Iterable[tuple[str, str]]) -> str | None:
    """The mark of a KPI over the nodes that it came from; None when one of them is gone.

    Args:
        graph: dbt's manifest, parsed or compiled.
        card: the KPI's card, for its grains and dimensions.
        nodes: kind and name of what the KPI came from when it was last compared.
    """
    pairs = set(nodes)
    ids = {_named(node): key for key, node in graph.nodes.items() if _named(node) in pairs}
    if pairs - ids.keys() or card.name not in graph.metrics:
        return None
    keys = sorted(ids.values())
    metrics = sorted(MetricGraph(graph.semantic).closure(card.name))
    content = [
        query_semantics(graph, metrics),
        [g for g in GRAINS if g in card.grains], sorted(card.dimensions),
        [asdict(node) for node in graph.closure(metrics, keys)], rules(graph, keys),
        side_effects(graph, keys), *([graph.dispatch] if graph.dispatch else []),
    ]  # fmt: skip
    return checksum(json.dumps(content, sort_keys=True, default=str))


def query_semantics(graph: Graph, metrics: list[str]) -> list[Any]:
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
