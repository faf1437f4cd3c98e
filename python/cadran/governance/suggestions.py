"""Pre-aggregates that the questions of a server would have been answered from, with their worth.

The record of questions says what was asked and how long it took. It holds no ranges of time, so a
suggestion is by day, which answers whatever range. Rows are counted in the warehouse; what would
be saved is estimated: a question over a part of the rows takes that part of its time.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from cadran.core.query.request import ask
from cadran.core.semantics import preaggregates
from cadran.core.semantics.coverage import Coverage
from cadran.core.semantics.governed import TIME
from cadran.core.semantics.preaggregates import Fact, Preaggregate
from cadran.errors import CadranError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cadran.audit.log import Entry
    from cadran.core.layer import Layer
    from cadran.core.query.request import Query

_GRAIN = "day"
_NOT_ASKED = ("warm-up",)  # what the server asks itself
_LEAST_SAVED = 0.5  # of the time of the questions that a suggestion answers
_MOST = 12  # sets of dimensions of a fact that are counted, those of most time first
_WIDTHS = {"BOOLEAN": 1, "DATE": 4, "INTEGER": 4, "BIGINT": 8, "DOUBLE": 8, "TIMESTAMP": 8}
_WIDEST = 16  # bytes of a value of any other type: decimals of 38 digits, short texts


@dataclass(slots=True)
class _Asked:
    """Questions of one fact by the same dimensions.

    Attributes:
        metrics: that they asked.
        leaves: the simple metrics that count the fact in them.
        questions: how many there were.
        seconds: that they took together.
    """

    metrics: set[str] = field(default_factory=set)
    leaves: set[str] = field(default_factory=set)
    questions: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A pre-aggregate that is worth its room.

    Attributes:
        name: for its saved query.
        fact: the semantic model whose rows it sums.
        metrics: that were asked of it.
        dimensions: by which it sums them, beside the day.
        questions: recorded ones that it answers.
        seconds: that they took; recorded.
        saved: of them, what it would save; estimated.
        fact_rows: of the fact; counted.
        rows: that it would have; counted.
        size: its bytes before compression; estimated.
    """

    name: str
    fact: str
    metrics: tuple[str, ...]
    dimensions: tuple[str, ...]
    questions: int
    seconds: float
    saved: float
    fact_rows: int
    rows: int
    size: int

    @property
    def yaml(self) -> str:
        """Its saved query, below what it is worth."""
        groups = [f"TimeDimension('{TIME}', '{_GRAIN}')"]
        groups += [f"Dimension('{name}')" for name in self.dimensions]
        saved: dict[str, Any] = {
            "name": self.name,
            "description": f"Rows of {self.fact} by day and by what is asked of them.",
            "config": {"meta": {"table": {"preaggregate": True}}},
            "query_params": {"metrics": list(self.metrics), "group_by": groups},
        }
        text = yaml.safe_dump([saved], sort_keys=False, allow_unicode=True, width=100)
        worth = (
            f"# {self.questions:,} questions took {self.seconds:,.1f} s (recorded); it would save"
            f" about {self.saved:,.1f} s (estimated by rows)\n"
            f"# {self.rows:,} rows of {self.fact_rows:,} (counted), about"
            f" {self.size / 1_000_000:,.1f} MB before compression (estimated by types)\n"
        )
        return worth + text


def suggested(
    layer: Layer, entries: Iterable[Entry], *, least_saved: float = _LEAST_SAVED
) -> list[Suggestion]:
    """The pre-aggregates worth writing, those that save most first.

    Args:
        layer: the layer of a built project.
        entries: the record of questions.
        least_saved: the part of the time of its questions that a suggestion saves at least.
    """
    asked = _uncovered(layer, entries)
    found: list[Suggestion] = []
    for fact, sets in asked.items():
        found += _of_fact(layer, fact, sets, least_saved)
    return sorted(found, key=lambda suggestion: -suggestion.saved)


def _uncovered(layer: Layer, entries: Iterable[Entry]) -> dict[Fact, dict[frozenset[str], _Asked]]:
    """What was asked of each fact that its rows had to answer, by dimensions."""
    coverage = Coverage(layer)
    asked: dict[Fact, dict[frozenset[str], _Asked]] = defaultdict(dict)
    facts: dict[tuple[object, ...], dict[Fact, tuple[frozenset[str], list[str]]]] = {}
    for entry in entries:
        if entry.outcome != "answered" or entry.kind != "query" or entry.cached:
            continue
        if entry.protocol in _NOT_ASKED or not entry.metrics:
            continue
        metrics = tuple(name.partition("@")[0] for name in entry.metrics)
        key = (metrics, entry.group_by, entry.where)
        if key not in facts:
            try:
                query = layer.allowed(ask(metrics, entry.group_by, entry.where, governed=False))
                facts[key] = _needs(layer, coverage, query)
            except CadranError:
                facts[key] = {}  # it names what is no more
        for fact, (dimensions, leaves) in facts[key].items():
            same = asked[fact].setdefault(dimensions, _Asked())
            same.metrics.update(metrics)
            same.leaves.update(leaves)
            same.questions += 1
            same.seconds += entry.seconds
    return asked


def _needs(
    layer: Layer, coverage: Coverage, query: Query
) -> dict[Fact, tuple[frozenset[str], list[str]]]:
    """The dimensions by which facts would have to be summed for a question; empty where in vain."""
    if coverage.refusal(query):
        return {}
    dimensions = frozenset(coverage.dimensions(query))
    needs = {}
    for fact, leaves in coverage.facts(query).items():
        present = [item for item in layer.router.preaggregates if item.fact == fact]
        if any(not coverage.why_not(query, leaves, item) for item in present):
            continue
        candidate = _candidate(layer, fact, set(leaves), dimensions)
        if candidate is None or coverage.why_not(query, leaves, candidate):
            return {}
        needs[fact] = dimensions, leaves
    return needs


def _candidate(
    layer: Layer, fact: Fact, leaves: set[str], dimensions: frozenset[str]
) -> Preaggregate | None:
    """A pre-aggregate as it would be; None where there can be none by these dimensions."""
    kinds = {item["name"]: item["type"] for item in layer.dimensions(leaves, governed=False)}
    if any(kinds.get(name) != "categorical" for name in dimensions):
        return None
    components = preaggregates.components_of(layer, sorted(leaves))
    if not components:
        return None
    relation = {"relation_name": ""}
    return Preaggregate(fact.model, fact, _GRAIN, tuple(sorted(dimensions)), components, relation)


def _of_fact(
    layer: Layer, fact: Fact, sets: dict[frozenset[str], _Asked], least_saved: float
) -> list[Suggestion]:
    """Sets of dimensions that answer what was asked of a fact, the one that saves most first."""
    dearest = sorted(sets, key=lambda dimensions: -sets[dimensions].seconds)[: _MOST - 1]
    tried = {*dearest, frozenset().union(*sets)}
    leaves = set().union(*(same.leaves for same in sets.values()))
    counted = {}
    for dimensions in tried:
        candidate = _candidate(layer, fact, leaves, dimensions)
        if candidate is not None:
            counted[dimensions] = _counted(layer, candidate)
    found: list[Suggestion] = []
    left = dict(sets)
    while left:
        worth = [
            _worth(fact, dimensions, left, rows, fact_rows, size)
            for dimensions, (rows, fact_rows, size) in counted.items()
            if any(asked <= dimensions for asked in left)
        ]
        best = max(worth, key=lambda one: (one.saved, -one.rows), default=None)
        if best is None or best.saved < least_saved * best.seconds or not best.saved:
            break
        name = f"{fact.model}_by_{_GRAIN}" + (f"_{len(found) + 1}" if found else "")
        found.append(replace(best, name=name))
        left = {asked: same for asked, same in left.items() if not asked <= {*best.dimensions}}
    return found


def _worth(  # noqa: PLR0913, PLR0917 - what a suggestion is made of
    fact: Fact,
    dimensions: frozenset[str],
    left: dict[frozenset[str], _Asked],
    rows: int,
    fact_rows: int,
    size: int,
) -> Suggestion:
    answered = [same for asked, same in left.items() if asked <= dimensions]
    seconds = sum(same.seconds for same in answered)
    metrics = sorted(set().union(*(same.metrics for same in answered)))
    return Suggestion(
        "", fact.model, tuple(metrics), tuple(sorted(dimensions)),
        sum(same.questions for same in answered), seconds,
        seconds * max(1 - rows / max(fact_rows, 1), 0.0), fact_rows, rows, size,
    )  # fmt: skip


def _counted(layer: Layer, candidate: Preaggregate) -> tuple[int, int, int]:
    """The rows of a pre-aggregate and of its fact, and about how many bytes its own take."""
    sql = preaggregates.sql_of(layer, candidate)
    counts = layer.warehouse.arrow(
        f"select count(*) as own_rows, coalesce(sum({preaggregates.ROWS}), 0) as fact_rows"
        f" from ({sql}) as summed"
    ).to_pylist()[0]
    types = layer.warehouse.column_types(sql).values()
    width = sum(_WIDTHS.get(kind, _WIDEST) for kind in types)
    return counts["own_rows"], counts["fact_rows"], counts["own_rows"] * width
