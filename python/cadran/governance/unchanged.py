"""Whether there can be anything new to publish of a KPI.

Nothing can be when its definition, its settings, its rows in the ledger and every table that its
questions read are what they were when it was last compared. A table is known by the number of its
rows and two sums over the hashes of all of them: that costs a tenth of asking it anything.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cadran.plans import PlanCache, key_of
from cadran.published import has_ledger
from cadran.warehouse import duckdb_ledger as sql

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.layer import Layer


class Unchanged:
    """What was compared before, kept beside the plans; a cache that is lost costs time only."""

    def __init__(self, layer: Layer) -> None:
        """Take a layer; a table is read when it is first asked about."""
        self._layer = layer
        folder = layer.project.plans
        self._cache = PlanCache(folder.with_name("ledger") / "compared" if folder else None)
        manifest = layer.project.semantic_manifest
        nodes = [model["node_relation"] for model in manifest["semantic_models"]]
        nodes += [s["node_relation"] for s in manifest["project_configuration"]["time_spines"]]
        self._relations = sorted({node["relation_name"] for node in nodes})
        self._marks: dict[str, list[str]] = {}

    def key(self, kpi: str, statements: Iterable[str], *told: Any) -> str:
        """The key of a comparison as it would be made now.

        Args:
            kpi: the KPI.
            statements: its questions in SQL: their text is a part of it, and what they read.
            told: everything else that decides what would be written, as JSON types.

        Raises:
            WarehouseError: a table cannot be read.
        """
        texts = sorted(statements)
        read = [name for name in self._relations if any(name in text for text in texts)]
        marks = [self._mark(name) for name in read or self._relations]
        return key_of(kpi, texts, marks, version("duckdb"), told)

    def holds(self, kpi: str, key: str) -> bool:
        """Whether that comparison was made, and the ledger says of the KPI what it said then."""
        kept = self._cache.get(key)
        if kept is None or not has_ledger(self._layer.warehouse):
            return False
        last = self._layer.warehouse.arrow(sql.last_of(kpi)).to_pylist()
        return bool(last) and kept == last[0]["hash"]

    def keep(self, key: str, head: str) -> None:
        """Remember that it was made, and the KPI's last batch after it."""
        self._cache.put(key, head)

    def _mark(self, relation: str) -> list[str]:
        if relation not in self._marks:
            row = self._layer.warehouse.arrow(sql.mark_of(relation)).to_pylist()[0]
            self._marks[relation] = [relation, *map(str, row.values())]
        return self._marks[relation]
