"""Which dimensions show persons: by the mark on their column, or by what their name says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cadran.core.project.artifacts import Project

MARKS = ("personal", "contains_pii", "pii")
_BY_NATURE = re.compile(
    r"(^|_)(e_?mail|phone|telephone|first_?name|last_?name|surname|family_?name|full_?name|"
    r"birth_?(date|day)|date_of_birth|street|postal_address|home_address|ip_?address|iban|ssn|"
    r"passport|social_security|licen[cs]e_plate|latitude|longitude)(_|$)"
)


@dataclass(frozen=True, slots=True)
class Item:
    """Something to group by: the names it is asked by, its model's file, why it is personal."""

    name: str
    asked_as: frozenset[str]
    model: str
    file: str
    why: str
    is_key: bool = False


def items(project: Project, personal: Collection[str]) -> Iterator[Item]:
    """Every dimension and foreign or primary key of the semantic models that shows persons.

    Args:
        project: its semantic models, and dbt's description of their columns where that is there.
        personal: names of columns that a project lists as personal.
    """
    try:
        nodes = project.dbt_manifest["nodes"].values()
    except ProjectError:
        nodes = ()
    models = {
        node["alias"]: node
        for node in nodes
        if node["resource_type"] in {"model", "snapshot", "seed"}
    }
    for model in project.semantic_manifest["semantic_models"]:
        node = models.get(model["node_relation"]["alias"], {})
        primary = [e["name"] for e in model["entities"] if e["type"] in {"primary", "unique"}]
        primary += [model["primary_entity"]] if model.get("primary_entity") else []
        for dimension in model["dimensions"]:
            why = _why(personal, dimension, node, by_name=True)
            if why:
                names = frozenset(f"{entity}__{dimension['name']}" for entity in primary)
                file = node.get("original_file_path", "")
                yield Item(dimension["name"], names, model["name"], _patch(node) or file, why)
        for entity in model["entities"]:
            why = _why(personal, entity, node, by_name=False)
            if why:
                file = node.get("original_file_path", "")
                names = frozenset([entity["name"], *(f"{e}__{entity['name']}" for e in primary)])
                yield Item(
                    entity["name"], names, model["name"], _patch(node) or file, why, is_key=True
                )


def _why(
    personal: Collection[str], item: dict[str, Any], node: dict[str, Any], *, by_name: bool
) -> str | None:
    column = str(item.get("expr") or item["name"])
    described = (node.get("columns") or {}).get(column) or {}
    meta = (described.get("config") or {}).get("meta") or described.get("meta") or {}
    own = (item.get("config") or {}).get("meta") or {}
    marked = [mark for mark in MARKS if meta.get(mark) is True or own.get(mark) is True]
    if marked:
        return f"the column {column} is marked `{marked[0]}: true`"
    for name in {column, item["name"]}:
        if name in personal:
            return f"'{name}' is listed under `personal`"
        if by_name and _BY_NATURE.search(name.lower()):
            return f"'{name}' is personal by nature"
    return None


def _patch(node: dict[str, Any]) -> str:
    return str(node.get("patch_path") or "").partition("://")[2]
