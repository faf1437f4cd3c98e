"""A question's SQL with every relation replaced by the SQL that made it, down to the leaves.

Leaves are tables whose catalog says what they are: `source` (schema and table of the source),
`seed` (the hash of its file and its name), `snapshot` and `python` (a hash of how it is made, and
its name) and `model`: a fact from which a time spine takes its ends. How far a spine reaches
follows the data, so such a fact is named and not opened.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cadran.core.project.graph import checksum
from cadran.core.versions.canonical import NotCanonical, canonical

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cadran.core.project.graph import Graph

# A statement that begins with steps of its own, maybe after comments.
_OWN_STEPS = re.compile(r"(?:\s*--[^\n]*\n)*\s*WITH\s", re.IGNORECASE)
_LEAF = re.compile(r'"(source|seed|snapshot|python|model)"\.')
_STEP = re.compile(r'"(\w+____\w+)"')
_READER = re.compile(r"read_(?:parquet|csv|json)", re.IGNORECASE)


class Expansion:
    """Opens relations, each once, whatever number of questions reads it."""

    def __init__(self, graph: Graph, dialect: str, root: Path | None) -> None:
        """Take the graph whose models are compiled."""
        self.graph = graph
        self.dialect = dialect
        self.columns: dict[str, list[str]] = {}
        self.seeds: dict[str, dict[str, str]] = {}
        self._root = root
        self._steps: dict[tuple[str, bool], tuple[str, list[tuple[str, bool]]]] = {}
        self._by_text: dict[str, str] = {}

    def question(self, sql: str) -> tuple[str, dict[str, str], list[str]]:
        """A compiled question over steps, its steps in order, and the dbt ids behind it.

        Raises:
            NotCanonical: a model cannot be parsed, or refers to itself.
        """
        text, needed = self._opened(sql, None, in_spine=False)
        steps: dict[str, str] = {}
        ids: dict[str, None] = {}

        def visit(key: str, path: tuple[str, ...], *, in_spine: bool) -> None:
            ids[key] = None
            if self._is_leaf(key, in_spine=in_spine):
                for parent in self._leaf_parents(key):
                    ids[parent] = None
                return
            if key in path:
                raise NotCanonical(
                    f"{key} was compiled as an increment of itself: compile it with --full-refresh"
                )
            inside = in_spine or key in self.graph.spines
            body, inner = self._step(key, in_spine=inside)
            for child in inner:
                visit(child, (*path, key), in_spine=inside)
            steps.setdefault(_step_name(self.graph.nodes[key], in_spine=inside), body)

        for key in needed:
            visit(key, (), in_spine=False)
        return text, steps, list(ids)

    def behind(self, sql: str) -> list[str]:
        """The dbt ids behind a question by dbt's own lineage, for SQL that cannot be opened."""
        lowered = sql.lower()
        waiting = [
            key
            for (schema, name), key in self.graph.by_relation.items()
            if f'"{schema}"."{name}"' in lowered or f"{schema}.{name}" in lowered
        ]
        return self._ancestors(waiting)

    def _ancestors(self, waiting: list[str]) -> list[str]:
        keys: dict[str, None] = {}
        while waiting:
            key = waiting.pop()
            if key in self.graph.nodes and key not in keys:
                keys[key] = None
                waiting += (self.graph.nodes[key].get("depends_on") or {}).get("nodes") or []
        return sorted(keys)

    def _step(self, key: str, *, in_spine: bool) -> tuple[str, list[str]]:
        if (key, in_spine) not in self._steps:
            node = self.graph.nodes[key]
            code = node.get("compiled_code")
            if not code:
                raise NotCanonical(f"{key} is not compiled")
            body, needed = self._opened(code, key, in_spine=in_spine)
            self._steps[key, in_spine] = body, [(child, in_spine) for child in needed]
        body, inner = self._steps[key, in_spine]
        return body, [child for child, _ in inner]

    def _is_leaf(self, key: str, *, in_spine: bool) -> bool:
        node = self.graph.nodes[key]
        kind = node["resource_type"]
        return (
            kind in ("source", "seed", "snapshot")
            or node.get("language") == "python"
            or (in_spine and key in self.graph.facts)
        )

    def _leaf_parents(self, key: str) -> list[str]:
        node = self.graph.nodes[key]
        if node["resource_type"] == "snapshot" or node.get("language") == "python":
            return self._ancestors([key])
        return []

    def _opened(self, sql: str, owner: str | None, *, in_spine: bool) -> tuple[str, list[str]]:
        """SQL whose relations are names of steps or leaves, and the dbt ids that it reads."""
        import sqlglot
        from sqlglot import exp
        from sqlglot.errors import SqlglotError

        try:
            tree: Any = sqlglot.parse_one(sql, dialect=self.dialect)
        except SqlglotError as error:
            place = owner or "the question"
            raise NotCanonical(f"{place} cannot be parsed: {str(error).splitlines()[0]}") from error
        _drop_comments(tree)
        needed: dict[str, None] = {}
        for table in list(tree.find_all(exp.Table)):
            key = self._key_of(table, owner)
            if key is None:
                continue
            needed[key] = None
            if not table.alias:
                name = table.name if isinstance(table.this, exp.Identifier) else "rows_read"
                table.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=True)))
            for part, name in self._name(key, in_spine=in_spine).items():
                table.set(part, exp.to_identifier(name, quoted=True) if name else None)
        return _printed(tree, self.dialect), list(needed)

    def _key_of(self, table: Any, owner: str | None) -> str | None:
        from sqlglot import exp

        if isinstance(table.this, exp.Identifier):
            return self.graph.by_relation.get((table.db.lower(), table.name.lower()))
        text = table.this.sql(dialect=self.dialect)
        if owner is None or not _READER.match(text):
            return None
        # A file that is read in a source's place has the source's name in its path.
        for key in (self.graph.nodes[owner].get("depends_on") or {}).get("nodes") or []:
            source = self.graph.manifest["sources"].get(key)
            if source and f"/{source['source_name']}/{source['name']}" in text:
                return str(key)
        return None

    def _name(self, key: str, *, in_spine: bool) -> dict[str, str]:
        node = self.graph.nodes[key]
        kind = node["resource_type"]
        if not self._is_leaf(key, in_spine=in_spine):
            inside = in_spine or key in self.graph.spines
            return {"catalog": "", "db": "", "this": _step_name(node, in_spine=inside)}
        if kind == "source":
            parts = "source", node["source_name"], node["name"]
        elif kind == "seed":
            parts = "seed", self.graph.seed_hash(key)[:16], node["name"]
        elif kind == "snapshot":
            parts = "snapshot", self.mark_of(key), node["name"]
        elif node.get("language") == "python":
            parts = "python", self.mark_of(key), node["name"]
        else:
            parts = "model", node["package_name"], node["name"]
        contents = self._contents(key)
        columns = [*node["columns"], *(contents[0] if contents else ())]
        if columns:
            self.columns[".".join(parts)] = columns
        if contents:
            self.seeds[".".join(parts)] = _hashes(contents)
        return dict(zip(("catalog", "db", "this"), parts, strict=True))

    def relation(self, key: str) -> str:
        """The name by which a question reads a dbt node: that of a step or of a leaf."""
        return ".".join(f'"{part}"' for part in self._name(key, in_spine=False).values() if part)

    def placed(self, sql: str) -> str | None:
        """A question over steps with relations in their place again; None where one has none."""
        for step in set(_STEP.findall(sql)):
            if step not in self._models:
                return None
            relation = self.graph.nodes[self._models[step]]["relation_name"]
            sql = sql.replace(f'"{step}"', relation)
        return None if _LEAF.search(sql) else sql

    @cached_property
    def _models(self) -> dict[str, str]:
        return {
            _step_name(node, in_spine=key in self.graph.spines): key
            for key, node in self.graph.nodes.items()
            if node["resource_type"] == "model"
        }

    def mark_of(self, key: str) -> str:
        """The hash that stands for a snapshot or a Python model."""
        if self.graph.nodes[key]["resource_type"] == "snapshot":
            return self._snapshot_hash(key)
        return self._text_hash(key)

    def _contents(self, key: str) -> list[list[str]]:
        """The rows of a seed, its header first; none of anything else."""
        node = self.graph.nodes[key]
        if node["resource_type"] != "seed" or self._root is None:
            return []
        import csv

        path = self._root / node["original_file_path"]
        if not path.exists():
            return []
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file, delimiter=node["config"].get("delimiter") or ","))

    def _snapshot_hash(self, key: str) -> str:
        """A snapshot cannot be made again, so how its rows came about stands for it."""
        rule = self.graph.snapshot_rule(key)
        try:
            body, steps, _ = self.question(self.graph.nodes[key]["compiled_code"])
            statement = canonical(with_steps(body, steps), self.dialect, self.columns)
        except NotCanonical:
            return self._text_hash(key)
        return checksum(rule + statement)[:16]

    def texts(self, ids: Iterable[str]) -> list[str]:
        """The nodes among these that their texts stand for, as one names them."""
        return sorted(self._by_text[key] for key in ids if key in self._by_text)

    def _text_hash(self, key: str) -> str:
        """Of the text of a node and of all behind it, macros and variables included."""
        node = self.graph.nodes[key]
        self._by_text[key] = f"{node['resource_type']} {node['name']}"
        nodes = self.graph.closure((), self._ancestors([key]))
        return checksum(" ".join(f"{n.kind} {n.name} {n.checksum}" for n in nodes))[:16]


def _hashes(contents: list[list[str]]) -> dict[str, str]:
    """The hash of each column of a seed, in the order of its rows, and of how many there are."""
    header, *rows = contents
    rows = [row for row in rows if row]
    values = {name.lower(): [row[at : at + 1] for row in rows] for at, name in enumerate(header)}
    hashes = {name: checksum(repr(column))[:16] for name, column in values.items()}
    return hashes | {"": checksum(str(len(rows)))[:16]}


def without_comments(sql: str, dialect: str) -> str:
    """A statement on many lines as it is kept: printed by one hand."""
    import sqlglot

    tree: Any = sqlglot.parse_one(sql, dialect=dialect)
    _drop_comments(tree)
    return _printed(tree, dialect)


def _printed(tree: Any, dialect: str) -> str:
    """A statement on many lines, such that reading and printing it again changes nothing."""
    import sqlglot

    text = str(tree.sql(dialect=dialect, pretty=True))
    if "QUANTILE" in text or "PERCENTILE" in text:
        text = str(sqlglot.parse_one(text, dialect=dialect).sql(dialect=dialect, pretty=True))
    return text


def _drop_comments(tree: Any) -> None:
    for node in tree.walk():
        # One comment is a sign: it marks where a fact may be aggregated before it is joined.
        marks = [c for c in node.comments or () if "Join Self Over Time Range" in c]
        node.comments = marks or None


def with_steps(body: str, steps: dict[str, str]) -> str:
    """One statement: the steps that a question needs, and the question."""
    needed = _needed(body, steps)
    if not needed:
        return body
    ctes = ",\n".join(f'"{name}" AS (\n{steps[name]}\n)' for name in steps if name in needed)
    # A name between the steps and the question keeps a WITH of the question's own apart.
    return f"WITH {ctes}\nSELECT * FROM (\n{body}\n) AS answer"


def over(body: str, steps: dict[str, str]) -> str:
    """A question as MetricFlow writes it, its order kept, and before it the steps that it needs."""
    needed = _needed(body, steps)
    if not needed:
        return body
    ctes = ",\n".join(f'"{name}" AS (\n{steps[name]}\n)' for name in steps if name in needed)
    own = _OWN_STEPS.match(body)
    return f"WITH {ctes},\n{body[own.end() :]}" if own else f"WITH {ctes}\n{body}"


def _needed(body: str, steps: dict[str, str]) -> set[str]:
    needed: set[str] = set()
    waiting = [body]
    while waiting:
        text = waiting.pop()
        for name, step in steps.items():
            if name not in needed and f'"{name}"' in text:
                needed.add(name)
                waiting.append(step)
    return needed


def _step_name(node: dict[str, Any], *, in_spine: bool) -> str:
    # Two underscores more than anybody writes, so that no WITH of a model hides a step.
    return f"{node['package_name']}____{node['name']}{'____spine' if in_spine else ''}"
