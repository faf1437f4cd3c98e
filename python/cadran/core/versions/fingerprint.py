"""The hash of a question in two parts: the question over its marts, and each mart down to sources.

A mart serves many questions of many KPIs, so it is brought into one form once; a question takes of
it the columns that it reads, and nothing that was written for another. Of two definitions, what is
proved of many columns of a mart together holds for each choice among them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from cadran.core.compiler.plan_cache import PlanCache, key_of
from cadran.core.project.graph import checksum
from cadran.core.query.request import GRAINS
from cadran.core.semantics.metrics import MetricGraph
from cadran.core.versions.canonical import NotCanonical, qualified, settled
from cadran.core.versions.definition import rules, tools
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


@dataclass(slots=True)
class _Comparison:
    """What is known of one mart in two definitions.

    Attributes:
        same: sets of its columns that hold the same rows in both.
        other: sets of its columns that do not.
        moved: columns that by themselves do not.
    """

    same: set[frozenset[str]] = field(default_factory=set)
    other: set[frozenset[str]] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)


class Fingerprint:
    """Hashes questions, and remembers the marts that it has opened."""

    def __init__(self, dialect: str, cache: PlanCache | None = None) -> None:
        """Take the dialect of the statements, and where hashes of marts are kept."""
        self._dialect = dialect
        self._cache = cache or PlanCache(None)
        self._trees: dict[str, exp.Expr] = {}
        self._steps: dict[tuple[str, ...], str] = {}
        self._reads: dict[str, tuple[str, dict[str, set[str]]]] = {}
        self._comparisons: dict[tuple[str, str], _Comparison] = {}

    def hash(self, sql: str, definition: Definition) -> str:
        """The hash of what a question over the steps of a definition means.

        Raises:
            NotCanonical: the question or one of its marts has no canonical form.
        """
        tree, used = self._opened(sql, definition)
        text = settled(tree, self._dialect, definition.seeds)
        for name, columns in used.items():
            text = text.replace(f'"{name}"', f'"{self._mart(name, columns, definition)}"')
        return checksum(text)

    def is_alike(self, sql: str, before: Definition, after: Definition) -> bool:
        """Whether it is proved that the marts of a question give it the same by two definitions.

        False says no more than that this way has no proof: `hash` of both sides tells.
        """
        try:
            reads = [self._reading(sql, definition) for definition in (before, after)]
            return reads[0] == reads[1] and all(
                self._is_same(name, frozenset(columns), before, after)
                for name, columns in reads[0][1].items()
            )
        except NotCanonical:
            return False

    def _opened(self, sql: str, definition: Definition) -> tuple[exp.Expr, dict[str, set[str]]]:
        """A question as a tree over its marts, and the columns of each that it reads."""
        from sqlglot import exp

        marts = [name for name in definition.steps if f'"{name}"' in sql]
        for name in marts:
            sql = sql.replace(f'"{name}"', f'"{_LEAF}"."{_LEAF}"."{name}"')
        tree = qualified(sql, self._dialect, definition.columns)
        used: dict[str, set[str]] = {name: set() for name in marts}
        aliases: dict[str, set[str]] = {}
        for table in tree.find_all(exp.Table):
            if table.catalog == _LEAF:
                aliases.setdefault(table.alias_or_name, set()).add(table.name)
        for column in tree.find_all(exp.Column):
            for name in aliases.get(column.table, ()):
                used[name].add(column.name)
        return tree, used

    def _reading(self, sql: str, definition: Definition) -> tuple[str, dict[str, set[str]]]:
        """A question in words that tell all but its marts, and the columns of each mart."""
        key = key_of(sql, sorted(definition.steps), definition.columns)
        if key not in self._reads:
            tree, used = self._opened(sql, definition)
            self._reads[key] = tree.sql(dialect=self._dialect), used
        text, used = self._reads[key]
        # A seed that the question reads by itself stands in no mart.
        seeds = [definition.seeds[name] for name in sorted(definition.seeds) if _is_in(name, text)]
        return f"{text} {json.dumps(seeds)}", used

    def _is_same(
        self, name: str, used: frozenset[str], before: Definition, after: Definition
    ) -> bool:
        keys = self._key(name, before), self._key(name, after)
        if keys[0] == keys[1]:
            return True
        known = self._comparisons.setdefault(keys, _Comparison())

        def proved(columns: frozenset[str]) -> bool:
            if columns in known.other:
                return False
            if not any(columns <= wider for wider in known.same):
                forms = [self._given(name, sorted(columns), side) for side in (before, after)]
                (known.same if forms[0] == forms[1] else known.other).add(columns)
            return columns not in known.other

        shared = frozenset(self._outputs(name, before)) & frozenset(self._outputs(name, after))
        if not used or not used <= shared or not proved(frozenset()):
            return False  # where other rows come in, no column is the same
        if proved(shared - known.moved):
            return used.isdisjoint(known.moved)
        if proved(used):
            return True
        known.moved |= {column for column in used if not proved(frozenset({column}))}
        return False

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

    def _key(self, name: str, definition: Definition) -> str:
        """What stands for all that decides the rows of a mart."""
        statement = with_steps(f'SELECT * FROM "{name}"', definition.steps)
        leaves = [
            {leaf: described[leaf] for leaf in sorted(described) if _is_in(leaf, statement)}
            for described in (definition.columns, definition.seeds)
        ]
        return key_of("mart", tools(), self._dialect, statement, leaves)

    def _outputs(self, name: str, definition: Definition) -> list[str]:
        """The columns that a mart gives, as far as they are listed."""
        key = key_of("columns", self._key(name, definition))
        names: list[str] | None = self._cache.get(key)
        if names is None:
            names = list(self._tree(name, definition.steps, definition.columns).named_selects)
            self._cache.put(key, names)
        return names

    def _mart(self, name: str, used: set[str], definition: Definition) -> str:
        outputs = self._outputs(name, definition)
        names = sorted(used.intersection(outputs))
        if used.difference(outputs):
            # An alias that stands for two tables asks the one for the columns of the other.
            names = names or sorted(outputs)
        if not names:
            raise NotCanonical(f"no column of {name} is read")
        return self._given(name, names, definition)

    def _given(self, name: str, columns: list[str], definition: Definition) -> str:
        """The hash of columns of a mart together; without any, that of what decides its rows."""
        from sqlglot import exp

        key = key_of(self._key(name, definition), columns)
        digest: str | None = self._cache.get(key)
        if digest is None:
            tree: Any = self._tree(name, definition.steps, definition.columns).copy()
            outputs = {p.alias_or_name: p for p in tree.expressions}
            chosen = [outputs[column] for column in columns] or [exp.Literal.number(1)]
            tree.set("expressions", chosen)
            content = f"{' '.join(columns)}\n{settled(tree, self._dialect, definition.seeds)}"
            digest = checksum(content)
            self._cache.put(key, digest)
        return digest


def _is_in(dotted: str, text: str) -> bool:
    """Whether a statement names a leaf, "catalog.schema.name"."""
    return ".".join(f'"{part}"' for part in dotted.split(".", 2)) in text


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
