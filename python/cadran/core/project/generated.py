"""Models that are generated from definitions: physical names as `ref()`, and what is the same."""

from __future__ import annotations

import re
from typing import Any

from cadran.errors import ProjectError

# MetricFlow numbers its steps as they come, over all semantic models that are switched on.
_NUMBERED = re.compile(r"\b(subq|sma|cm|rss|nr_subq|\w+_src)_\d+")


def is_same(present: str, text: str) -> bool:
    """Whether two files say the same; the numbers of steps are no more than names."""
    return present == text or _renumbered(present) == _renumbered(text)


def _renumbered(text: str) -> str:
    numbers: dict[str, int] = {}
    return _NUMBERED.sub(lambda m: f"{m[1]}_{numbers.setdefault(m[0], len(numbers))}", text)


def models(manifest: dict[str, Any]) -> dict[str, str]:
    """The name of the model that makes each relation, of dbt's manifest."""
    return {
        node["relation_name"]: node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }


def with_refs(sql: str, relations: tuple[str, ...], manifest: dict[str, Any]) -> str:
    """A statement with the `ref()` of its dbt model in the place of each physical relation.

    Args:
        sql: the statement.
        relations: those that it may read, as it names them.
        manifest: dbt's manifest.

    Raises:
        ProjectError: it reads a relation that no model of the project makes.
    """
    names = models(manifest)
    for relation in relations:
        if relation in names:
            sql = re.sub(
                rf"(?<![\w.\"]){re.escape(relation)}(?![\w.\"])",
                f"{{{{ ref('{names[relation]}') }}}}",
                sql,
            )
        elif relation in sql:
            raise ProjectError(
                f"{relation} stands in a metric's SQL and is no model of the project"
            )
    return sql
