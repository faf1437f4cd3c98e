"""Where the leaves of frozen SQL are now: sources, seeds, snapshots, Python models.

A source is read where it lies today, a seed if its file is the same, a snapshot or Python model if
it is made the same way. What is gone is named.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.errors import WarehouseError

if TYPE_CHECKING:
    from cadran.layer import Layer

_LEAF = re.compile(r'"(source|seed|snapshot|python|model)"\."((?:[^"]|"")+)"\."((?:[^"]|"")+)"')


class GoneError(WarehouseError):
    """Something that a frozen version reads is no longer there."""


def resolved(layer: Layer, sql: str) -> str:
    """Expanded SQL with each leaf where it is now.

    Raises:
        GoneError: a leaf is gone.
    """
    places = _Places(layer)
    found: dict[str, str] = {}
    for leaf in _LEAF.finditer(sql):
        if leaf[0] not in found:
            found[leaf[0]] = places.of(*leaf.groups())
    return _LEAF.sub(lambda leaf: found[leaf[0]], sql)


class _Places:
    """Looks up leaves in the manifest of the last build or parse."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._manifest = layer.project.dbt_manifest
        self._root = layer.project.root

    def of(self, kind: str, group: str, name: str) -> str:
        """The relation or reader that stands for a leaf."""
        found = self._source(group, name) if kind == "source" else self._relation(kind, group, name)
        if found is None:
            shown = f"{group}.{name}" if kind in ("source", "model") else name
            raise GoneError(f"The {kind} {shown}, which the frozen version reads, is gone.")
        return found

    def _source(self, group: str, name: str) -> str | None:
        found = [
            (key, source)
            for key, source in self._manifest["sources"].items()
            if (source["source_name"], source["name"]) == (group, name)
        ]
        if not found:
            return None
        key, source = found[0]
        rows = self._reader(key, group, name) or str(source["relation_name"])
        try:
            present = self._layer.warehouse.column_types(f"select * from {rows}")
        except WarehouseError:
            return None
        # As staging has it: a column that a contract does not require may be absent.
        is_contract = "key" in _meta(source)
        there = {name.lower() for name in present}
        absent = [
            f"null as {column['name']}"
            for column in source["columns"].values()
            if is_contract
            and column["name"].lower() not in there
            and not _meta(column).get("required")
        ]
        if not absent:
            return rows
        return f"(select * from {rows} union all by name select {', '.join(absent)} where false)"

    def _reader(self, key: str, group: str, name: str) -> str | None:
        """The call by which the last build read the files of a source; None for a table."""
        reader = re.compile(
            rf"read_\w+\(\s*'([^']*/{re.escape(group)}/{re.escape(name)}[./*][^']*)'[^)]*\)"
        )
        for node in self._manifest["nodes"].values():
            if key not in (node.get("depends_on") or {}).get("nodes", []):
                continue
            found = reader.search(node.get("compiled_code") or self._built(node))
            if found:
                path = Path(found[1])
                placed = path if path.is_absolute() or not self._root else self._root / path
                return found[0].replace(found[1], str(placed))
        return None

    def _built(self, node: dict[str, Any]) -> str:
        """The SQL of a model as it was last built: a parse takes it out of the manifest."""
        folder = self._layer.project.semantic_manifest_path.parent / "compiled"
        path = folder / node["package_name"] / node["original_file_path"]
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def _relation(self, kind: str, group: str, name: str) -> str | None:
        types = {"seed": "seed", "snapshot": "snapshot"}
        for node in self._manifest["nodes"].values():
            if node["name"] != name or node["resource_type"] != types.get(kind, "model"):
                continue
            if kind == "model" and node["package_name"] != group:
                continue
            if kind != "model" and not self._is_same(kind, group, node):
                continue
            return str(node["relation_name"])
        return None

    def _is_same(self, kind: str, mark: str, node: dict[str, Any]) -> bool:
        from cadran.governance.meaning import of

        meanings = of(self._layer)
        if kind == "seed":
            return meanings.parsed.seed_hash(node["unique_id"]).startswith(mark)
        return meanings.mark_of(node["unique_id"]) == mark


def _meta(item: dict[str, Any]) -> dict[str, Any]:
    return (item.get("config") or {}).get("meta") or {}
