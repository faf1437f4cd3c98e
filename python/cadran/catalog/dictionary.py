"""Every mart, KPI table and governance table, with every column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.errors import ProjectError, WarehouseError

if TYPE_CHECKING:
    from cadran.layer import Layer

FOLDERS = ("marts", "kpis", "governance", "utilities")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type in the warehouse, what it is for, and the tests it stands under."""

    name: str
    type: str
    description: str
    role: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A table that people may read, and the KPIs that are computed from it."""

    name: str
    folder: str
    group: str
    description: str
    file: str
    relation: str
    columns: tuple[Column, ...]
    parents: tuple[str, ...]
    kpis: tuple[str, ...]


def models(layer: Layer, kpis_of: dict[str, list[str]]) -> list[Model]:
    """The models of the folders that people read, in their order.

    Args:
        layer: the layer of the project.
        kpis_of: for a model's name, the KPIs that come from it.
    """
    try:
        manifest = layer.project.dbt_manifest
    except ProjectError:
        return []
    types = _types(layer)
    tests = _tests(manifest)
    found = []
    for key, node in manifest["nodes"].items():
        folders = node["fqn"][1:-1]
        if node["resource_type"] != "model" or not folders or folders[0] not in FOLDERS:
            continue
        place = (node["schema"], node.get("alias") or node["name"])
        names = [parent.split(".", 2)[2] for parent in node["depends_on"]["nodes"]]
        found.append(
            Model(
                name=node["name"],
                folder=folders[0],
                group=folders[1] if len(folders) > 1 else folders[0],
                description=" ".join((node["description"] or "").split()),
                file=node["original_file_path"],
                relation=".".join(place),
                columns=_columns(node, types.get(place, {}), tests.get(key, {})),
                parents=tuple(dict.fromkeys(names)),
                kpis=tuple(kpis_of.get(node["name"], ())),
            )
        )
    return sorted(found, key=lambda m: (FOLDERS.index(m.folder), m.group, m.name))


def _columns(
    node: dict[str, Any], types: dict[str, str], tests: dict[str, list[str]]
) -> tuple[Column, ...]:
    described = node["columns"]
    names = [*described, *(name for name in types if name not in described)]
    found = []
    for name in names:
        given = described.get(name, {})
        entity, dimension = given.get("entity") or {}, given.get("dimension") or {}
        role = ""
        if entity:
            role = "key" if entity.get("type") in {"primary", "unique"} else "foreign"
        elif dimension:
            role = "time" if dimension.get("type") == "time" else "dimension"
        found.append(
            Column(
                name=name,
                type=(types.get(name) or given.get("data_type") or "").lower(),
                description=" ".join((given.get("description") or "").split()),
                role=role,
                tests=tuple(sorted(set(tests.get(name, ())))),
            )
        )
    return tuple(found)


def _types(layer: Layer) -> dict[tuple[str, str], dict[str, str]]:
    try:
        rows = layer.warehouse.arrow(
            "select table_schema, table_name, column_name, data_type"
            " from information_schema.columns order by table_schema, table_name, ordinal_position"
        ).to_pylist()
    except WarehouseError:
        return {}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        place = (row["table_schema"], row["table_name"])
        found.setdefault(place, {})[row["column_name"]] = row["data_type"]
    return found


def _tests(manifest: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for node in manifest["nodes"].values():
        column, key = node.get("column_name"), node.get("attached_node")
        if node["resource_type"] == "test" and column and key:
            name = (node.get("test_metadata") or {}).get("name") or node["name"]
            found.setdefault(key, {}).setdefault(column, []).append(name)
    return found
