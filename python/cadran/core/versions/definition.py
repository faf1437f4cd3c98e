"""A KPI's questions down to the sources, in a form that can be stored, run and compared."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cadran.core.project.graph import NOT_OURS, VARIABLE, checksum, plain
from cadran.core.semantics.governed import TIME
from cadran.core.versions.canonical import canonical
from cadran.core.versions.expand import with_steps
from cadran.core.warehouse import dialects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.core.project.graph import Graph, Node


DIALECT = dialects.DEFAULT
OPEN_GRAIN = "cadran_grain"
_RELATIONS = ("model", "snapshot", "seed", "source")
_OPENED = re.compile(r'"\w+____\w+"|"(source|seed|snapshot|python)"\.')
# Raised when the form itself changes, so that what was kept of an older one is not believed.
FORM = 3


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """A KPI's question, over steps that open its models.

    Attributes:
        grains: the grains that it asks; the grain stands open in its SQL where they are several.
        dimensions: what it groups by beside time.
        sql: MetricFlow's SQL over names of steps and leaves.
    """

    grains: tuple[str, ...]
    dimensions: tuple[str, ...]
    sql: str

    @property
    def labels(self) -> list[str]:
        """The grains and dimensions it answers, "day" or "month customer__country"."""
        return [" ".join((grain, *self.dimensions)) for grain in self.grains]

    def at(self, grain: str) -> str:
        """Its SQL at one of its grains."""
        return closed(self.sql, grain)


@dataclass(frozen=True, slots=True)
class Definition:
    """Everything that decides a KPI's values, as it can be stored and compared.

    Attributes:
        steps: the SQL of each model between the sources and the questions, by name, in order.
        columns: known columns of leaves, by dotted names.
        nodes: what it comes from, with checksums.
        rules: checksums of the rules of incremental models.
        side_effects: checksums of what else decides rows beside a SELECT; see `side_effects`. None
            in what was recorded before they were noted.
        seeds: for each seed that is read, by its dotted name, the hash of each column's values, and
            that of their number under "".
        semantics: MetricFlow's definitions behind it, over the steps; see `semantics`.
        note: what is compared by its text instead of its meaning, where that is so.
        by_text: whether that holds for everything it comes from.
    """

    kpi: str
    questions: tuple[CompiledQuery, ...]
    steps: dict[str, str]
    columns: dict[str, list[str]] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    rules: dict[str, str] = field(default_factory=dict)
    side_effects: dict[str, str] | None = None
    seeds: dict[str, dict[str, str]] = field(default_factory=dict)
    semantics: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    by_text: bool = False

    @property
    def by_label(self) -> dict[str, CompiledQuery]:
        """The question of each label, such as "month customer__country"."""
        return {label: question for question in self.questions for label in question.labels}

    @property
    def came_from(self) -> list[tuple[str, str]]:
        """Kind and name of the models, snapshots, seeds and sources that it comes from."""
        return [(node.kind, node.name) for node in self.nodes if node.kind in _RELATIONS]

    @property
    def runs(self) -> bool:
        """Whether its questions read steps and leaves; otherwise it is no more than text."""
        return not self.by_text or all(_OPENED.search(q.sql) for q in self.questions)

    def canonical(self, question: CompiledQuery) -> str:
        """The one form of a question; all that it comes from, where texts are compared."""
        if self.by_text:
            return "\n".join(
                [*(f"{n.kind} {n.name} {n.checksum}" for n in self.nodes), question.sql]
            )
        sql = with_steps(question.sql, self.steps)
        return canonical(sql, DIALECT, self.columns, self.seeds)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a KPI means at one grain, by one dimension or none."""

    kpi: str
    grain: str
    dimensions: tuple[str, ...]
    expanded_sql: str
    canonical_sql: str
    hash: str
    note: str = ""


def closed(sql: str, grain: str) -> str:
    """SQL in which the grain stands open, at a grain."""
    return sql.replace(OPEN_GRAIN.upper(), grain.upper()).replace(OPEN_GRAIN, grain)


def opened(sql: str, grain: str) -> str:
    """SQL at a grain with the grain left open, where it says nothing but how time is truncated."""
    comment = "/* Join Self Over Time Range */"
    plain = re.sub(r"--[^\n]*Join Self Over Time Range[^\n]*", comment, sql)
    plain = re.sub(r"^\s*--[^\n]*\n", "", plain, flags=re.MULTILINE)
    opened = plain.replace(f"{TIME}__{grain}", f"{TIME}__{OPEN_GRAIN}")
    return opened.replace(f"DATE_TRUNC('{grain}'", f"DATE_TRUNC('{OPEN_GRAIN}'")


@cache
def tools() -> tuple[str, ...]:
    """What brings SQL into form, with versions: the same tools make the same hash."""
    return (f"form {FORM}", compiler(), f"sqlglot {version('sqlglot')}")


def compiler() -> str:
    """What compiles questions, with its version."""
    return f"metricflow {version('metricflow')}"


_INCREMENT = re.compile(r"\{%-?\s*if\s[^%]*is_incremental\(\).*?endif\s*-?%\}", re.DOTALL)
_CALLED = re.compile(r"\b(?:(\w+)\.)?(\w+)\(")
# What a run of an incremental model depends on, beside its SQL.
_INCREMENTAL = (
    "incremental_strategy", "unique_key", "incremental_predicates", "event_time", "begin",
    "lookback", "batch_size", "full_refresh", "merge_update_columns", "merge_exclude_columns",
)  # fmt: skip


def rules(graph: Graph, nodes: Iterable[str]) -> dict[str, str]:
    """For each incremental model, a checksum of what a run takes, replaces and leaves."""
    hashes = {}
    for key in nodes:
        node = graph.nodes[key]
        config = node.get("config") or {}
        if config.get("materialized") != "incremental":
            continue
        settings = [{k: config.get(k) for k in _INCREMENTAL if config.get(k) is not None}]
        blocks = " ".join(plain(block) for block in _INCREMENT.findall(node["raw_code"]))
        strategy = f"get_incremental_{config.get('incremental_strategy')}_sql"
        called = {strategy, *(name for _, name in _CALLED.findall(blocks))}
        macros = [
            plain(graph.manifest["macros"][macro]["macro_sql"])
            for macro in sorted(graph.manifest["macros"])
            if graph.manifest["macros"][macro]["name"] in called
            and graph.manifest["macros"][macro]["package_name"] not in NOT_OURS
        ]
        names = sorted({n for t in (blocks, *macros) for n in VARIABLE.findall(t)})
        values = {name: graph.variable(name)[0] for name in names}
        hashes[node["name"]] = checksum(
            json.dumps([*settings, blocks, macros, values], sort_keys=True, default=str)
        )[:16]
    return hashes
