"""Which models are live, and the SQL that keeps their hot rows: read from what dbt compiled.

A model says in its `config.meta.live` how rows that came since the build are made:

    minute   its rows of a minute come from the rows of that minute (`event_time` names its column)
    hour     the same by hour
    whole    it is made anew from all rows; a view of it always reads all rows
    view     it is computed when it is asked

Views between live models need not say anything. A table that says nothing stays as it was built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.core.warehouse.hot_plan import CUT, HOT, HotPlan, HotTable
from cadran.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cadran.core.project.artifacts import Project

_WHOLE = ("day", "whole")  # made anew from all rows, once a day or a minute
_EACH = ("minute", "hour", *_WHOLE)
_WAYS = (*_EACH, "view")


def plan(
    compiled: Project, alias: str, source: str, timed: Mapping[str, str], untimed: Mapping[str, str]
) -> HotPlan:
    """How the hot rows of a project are made.

    Args:
        compiled: the project as compiled for a full refresh over bare source tables.
        alias: what the SQL of questions calls the database.
        source: the dbt source that rows come from.
        timed: DDL of the columns of its tables whose rows belong to a minute.
        untimed: the same of those that are there as a whole.

    Raises:
        ProjectError: no model is live, or one says what cannot be.
    """
    return _Planner(compiled.dbt_manifest, alias, source, timed, untimed).plan()


class _Planner:
    def __init__(
        self,
        manifest: dict[str, Any],
        alias: str,
        source: str,
        timed: Mapping[str, str],
        untimed: Mapping[str, str],
    ) -> None:
        self._alias, self._timed, self._untimed = alias, timed, untimed
        self._nodes: dict[str, dict[str, Any]] = {
            key: node
            for key, node in manifest["nodes"].items()
            if node["resource_type"] == "model" and node["config"].get("enabled", True)
        }
        self._others = {**manifest["nodes"], **manifest["sources"]}
        self._sources: dict[str, str] = {
            key: node["name"]
            for key, node in manifest["sources"].items()
            if node["source_name"] == source and node["name"] in {*timed, *untimed}
        }
        # Of models: a source may stand for one.
        self._built = {node["relation_name"] for node in self._nodes.values()}
        self._views: dict[tuple[str, str], str] = {}
        self._rests: dict[str, frozenset[str]] = {}

    def plan(self) -> HotPlan:
        order = self._ordered()
        tables, served, moves = [], {}, {}
        for key in order:
            node = self._nodes[key]
            rests = self._rests_on(key)
            if not rests:
                continue
            way = self._way(node)
            if way in _EACH and not _is_view(node):
                tables.append(self._table(key, node, way))
            elif not self._reads_rows(key):
                served[node["schema"], node["alias"]] = self._rewritten(key, "all")
            moves[self._relation(node)] = frozenset(rests)
        if not tables:
            raise ProjectError(
                "No model is live: say `config.meta.live` on those that telemetry feeds"
                " (docs/live.md)."
            )
        keys = {table.key for table in tables}
        return HotPlan(
            sources={**self._timed, **self._untimed},
            tables=tuple(tables),
            views=tuple((scope, name, sql) for (scope, name), sql in self._views.items()),
            served=served,
            moves={relation: rests & keys for relation, rests in moves.items() if rests & keys},
        )

    def _table(self, key: str, node: dict[str, Any], way: str) -> HotTable:
        time = node["config"].get("event_time")
        each = "whole" if way in _WHOLE else way
        if each != "whole" and not time:
            raise ProjectError(
                f"{node['name']} is live by {way}, so its `event_time` has to name the column that"
                " tells it."
            )
        inputs = {
            self._key(dep) for parent in node["depends_on"]["nodes"] for dep in self._inputs(parent)
        }
        sql = self._rewritten(key, "all" if each == "whole" else way)
        name = node["schema"], node["alias"]
        return HotTable(*name, each, time, sql, frozenset(inputs), is_daily=way == "day")

    def _rests_on(self, key: str) -> frozenset[str]:
        """The keys of the hot tables and sources that rows of a node rest on, its own included."""
        if key in self._sources:
            return frozenset({self._sources[key]})
        node = self._nodes.get(key)
        if node is None:
            return frozenset()
        if key not in self._rests:
            self._rests[key] = frozenset()
            way = self._way(node)
            if way is None and not _is_view(node):
                return self._rests[key]  # it stays as it was built
            rests = {
                rest for parent in node["depends_on"]["nodes"] for rest in self._rests_on(parent)
            }
            if rests and way in _EACH and not _is_view(node):
                rests = {self._key(key)}
            self._rests[key] = frozenset(rests)
        return self._rests[key]

    def _inputs(self, key: str) -> set[str]:
        """The hot tables and sources that a node stands for where it is read."""
        node = self._nodes.get(key)
        if key in self._sources or (node and self._is_hot(key, node)):
            return {key}
        if node is None or not self._rests_on(key):
            return set()
        return {dep for parent in node["depends_on"]["nodes"] for dep in self._inputs(parent)}

    def _is_hot(self, key: str, node: dict[str, Any]) -> bool:
        return bool(self._rests_on(key)) and self._way(node) in _EACH and not _is_view(node)

    def _rewritten(self, key: str, scope: str) -> str:
        """The compiled SQL of a node over what its inputs have of a scope."""
        node = self._nodes[key]
        sql = node.get("compiled_code")
        if not sql:
            raise ProjectError(f"dbt compiled no SQL of {node['name']}.")
        targets = {}
        for parent in node["depends_on"]["nodes"]:
            other = self._others.get(parent)
            name = other and other.get("relation_name")
            if name:
                # A source may be a table of a model; what the model says of it goes first.
                target = self._target(parent, scope, node["name"])
                if name not in targets or parent in self._nodes:
                    targets[name] = target
        # Longest first, so that no name is taken for the beginning of another.
        for name in sorted(targets, key=len, reverse=True):
            sql = sql.replace(name, targets[name])
        return str(sql)

    def _target(self, key: str, scope: str, reader: str) -> str:
        """What stands for an input in the SQL of a scope."""
        if key in self._sources:
            name = self._sources[key]
            if name in self._timed and scope != "minute":
                raise ProjectError(
                    f"{reader} reads the source table {name}, so it has to be live by minute."
                )
            return _hot("source", name)
        node = self._others[key]
        relation = self._relation(node)
        if key in self._nodes and self._rests_on(key):
            way = self._way(node)
            time = node["config"].get("event_time")
            if self._is_hot(key, node):
                if scope != "all" and time:
                    return self._between(scope, key, _touched(relation, time, scope))
            elif way is None and _is_view(node) and (scope != "all" or self._reads_source(key)):
                return self._between(scope, key, self._rewritten(key, scope))
        return relation

    def _between(self, scope: str, key: str, sql: str) -> str:
        """A view of what an input has of a scope, named."""
        name = self._key(key)
        self._views.setdefault((scope, name), sql)
        return _hot(scope, name)

    def _reads_source(self, key: str) -> bool:
        """Whether a view reads a source, and not only through tables."""
        if key in self._sources:
            return True
        node = self._nodes.get(key)
        if node is None or not _is_view(node):
            return False
        return any(self._reads_source(parent) for parent in node["depends_on"]["nodes"])

    def _reads_rows(self, key: str) -> bool:
        """Whether a view reads rows of a source that are not all here, but in files or minutes."""
        if key in self._sources:
            return self._sources[key] in self._timed
        if key not in self._nodes and self._others[key]["resource_type"] == "source":
            return self._others[key]["relation_name"] not in self._built
        node = self._nodes.get(key)
        if node is None or not _is_view(node):
            return False
        return any(self._reads_rows(parent) for parent in node["depends_on"]["nodes"])

    def _key(self, key: str) -> str:
        if key in self._sources:
            return self._sources[key]
        node = self._nodes[key]
        return f"{node['schema']}__{node['alias']}"

    def _relation(self, node: dict[str, Any]) -> str:
        name = node.get("alias") or node["identifier"]
        return f'"{self._alias}"."{node["schema"]}"."{name}"'

    @staticmethod
    def _way(node: dict[str, Any]) -> str | None:
        way: str | None = (node["config"].get("meta") or {}).get("live")
        if way is not None and way not in _WAYS:
            raise ProjectError(
                f"{node['name']} says live: {way}; it takes {', '.join(_WAYS[:-1])} or {_WAYS[-1]}."
            )
        return way

    def _ordered(self) -> list[str]:
        """Every model after those that it reads."""
        order: dict[str, None] = {}

        def visit(key: str) -> None:
            if key in self._nodes and key not in order:
                for parent in self._nodes[key]["depends_on"]["nodes"]:
                    visit(parent)
                order[key] = None

        for key in self._nodes:
            visit(key)
        return list(order)


def _is_view(node: dict[str, Any]) -> bool:
    return str(node["config"].get("materialized")) == "view"


def _touched(relation: str, time: str, scope: str) -> str:
    return (
        f'select * from {relation} where "{time}" >= {CUT} and'
        f" date_trunc('{scope}', \"{time}\") in (select instant from {_hot('touched', scope)})"
    )


def _hot(schema: str, name: str) -> str:
    return f'"{HOT}"."{schema}"."{name}"'
