"""Where a KPI comes from: its metrics, models and sources, as dbt's manifest knows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cadran.errors import UnknownNameError

SHOWN_TYPES = ("metric", "semantic_model", "model", "seed", "snapshot", "source")


@dataclass(frozen=True, slots=True)
class Node:
    """One thing and what it is made from; `is_repeated` when its parents stand further up."""

    name: str
    kind: str
    file: str
    parents: tuple[Node, ...] = ()
    is_repeated: bool = False

    def sources(self) -> list[str]:
        """The sources and seeds at the end of every branch, each once."""
        if self.kind in {"source", "seed"}:
            return [self.name]
        return list(dict.fromkeys(name for node in self.parents for name in node.sources()))


def of_metric(dbt_manifest: dict[str, Any], metric: str) -> Node:
    """The tree of a metric, down to its sources.

    Raises:
        UnknownNameError: dbt's manifest has no such metric.
    """
    metrics = {node["name"]: key for key, node in dbt_manifest["metrics"].items()}
    if metric not in metrics:
        raise UnknownNameError("metric", metric, metrics)
    entries: dict[str, dict[str, Any]] = {}
    for group in ("nodes", "sources", "metrics", "semantic_models"):
        entries |= dbt_manifest.get(group, {})
    return _node(metrics[metric], entries, set())


def behind(dbt_manifest: dict[str, Any], metric: str) -> set[str]:
    """The unique ids of everything that a metric is made of.

    Raises:
        UnknownNameError: dbt's manifest has no such metric.
    """
    metrics = {node["name"]: key for key, node in dbt_manifest["metrics"].items()}
    if metric not in metrics:
        raise UnknownNameError("metric", metric, metrics)
    groups = [dbt_manifest.get(group, {}) for group in ("nodes", "metrics", "semantic_models")]
    keys: set[str] = set()
    waiting = [metrics[metric]]
    while waiting:
        key = waiting.pop()
        if key not in keys:
            keys.add(key)
            waiting += [name for group in groups if key in group for name in _direct(group[key])]
    return keys


def lines(root: Node) -> list[str]:
    """The tree as lines of text."""
    return [_title(root), *_branches(root, "")]


def _node(key: str, entries: dict[str, dict[str, Any]], visited: set[str]) -> Node:
    entry = entries[key]
    kind = key.split(".", 1)[0]
    name = f"{entry['source_name']}.{entry['name']}" if kind == "source" else entry["name"]
    file = str(entry.get("original_file_path", ""))
    if key in visited:
        return Node(name, kind, file, is_repeated=bool(_parents(entry, entries)))
    visited.add(key)
    parents = tuple(_node(parent, entries, visited) for parent in _parents(entry, entries))
    return Node(name, kind, file, parents)


def _parents(entry: dict[str, Any], entries: dict[str, dict[str, Any]]) -> list[str]:
    depends_on = (entry.get("depends_on") or {}).get("nodes") or []
    keys = [key for key in depends_on if key in entries and key.split(".", 1)[0] in SHOWN_TYPES]
    # A metric names both its semantic model and that model's own model: one way is enough.
    through = {
        p for key in keys if key.startswith("semantic_model.") for p in _direct(entries[key])
    }
    return [key for key in dict.fromkeys(keys) if key not in through]


def _direct(entry: dict[str, Any]) -> list[str]:
    return list((entry.get("depends_on") or {}).get("nodes") or [])


def _branches(node: Node, indent: str) -> list[str]:
    lines = []
    for index, parent in enumerate(node.parents):
        is_last = index == len(node.parents) - 1
        lines.append(f"{indent}{'└─ ' if is_last else '├─ '}{_title(parent)}")
        lines += _branches(parent, indent + ("   " if is_last else "│  "))
    return lines


def _title(node: Node) -> str:
    kind = node.kind.replace("_", " ")
    place = f"  {node.file}" if node.file and node.kind in {"metric", "model"} else ""
    return f"{kind} {node.name}{' (see above)' if node.is_repeated else place}"
