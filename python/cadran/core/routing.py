"""From which rows a question is answered: those of its facts, or of pre-aggregates of them.

The cheapest pre-aggregate that answers exactly stands for a fact. It is read only while it is
proved to hold the fact's rows of now: it was built after each table behind it, of the definitions
that hold now, by a build that ended well, and computed again from them it has the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cadran.core.compiler.plan_cache import MOST_IN_MEMORY
from cadran.core.recent import Recent
from cadran.core.semantics import preaggregates
from cadran.core.semantics.coverage import Coverage, Stand
from cadran.core.semantics.preaggregates import ROWS, Fact, Preaggregate
from cadran.core.warehouse.dialects import quoted
from cadran.errors import ProjectError, WarehouseError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from cadran.core.project.artifacts import Project
    from cadran.core.query.request import Query
    from cadran.core.semantics.model import SemanticModel
    from cadran.core.warehouse import Warehouse

    _Marks = tuple[dict[str, dict[str, Any]], frozenset[str]]

_FLOATS = {"DOUBLE", "FLOAT", "REAL"}
_LOCAL_TIMES = {"DATE", "TIMESTAMP"}
_MANY = 100_000  # rows from which on a pre-aggregate is summed by day before it is by week
_MARKS = """
select unique_id, began_at, ended_at, checksum, false as is_pending from {0}.build_times
union all select unique_id, null, null, null, true from {0}.build_pending
"""


@dataclass(frozen=True, slots=True)
class Route:
    """How a question is answered.

    Attributes:
        sql: the statement that is run.
        source: what it reads, in words: facts, or pre-aggregates.
        reasons: why each pre-aggregate of its facts is read or not, in sentences.
    """

    sql: str
    source: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _State:
    """What is known of a pre-aggregate in the warehouse as it is.

    Attributes:
        problem: why it is not read; empty where it holds the rows of its fact.
        rows: that it has.
        floats: the columns whose sums depend on the order of rows.
    """

    problem: str
    rows: int = 0
    floats: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Seen:
    """A state of the warehouse; another one is another object, so that threads never mix two.

    Attributes:
        stamp: what tells it from others.
        marks: of builds.
        states: of the pre-aggregates that were asked for in it, by name.
    """

    stamp: object
    marks: _Marks
    states: dict[str, _State] = field(default_factory=dict)


class Router:
    """Chooses what questions of one project read. Thread-safe."""

    def __init__(
        self,
        model: SemanticModel,
        warehouse: Callable[[], Warehouse],
        over: Callable[[Project], SemanticModel],
    ) -> None:
        """Take the definitions.

        Args:
            model: the project's.
            warehouse: gives the warehouse that is asked.
            over: makes what compiles questions of other definitions for it.
        """
        self._model = model
        self._warehouse = warehouse
        self._over = over
        self._coverage = Coverage(model)
        self._stands: dict[tuple[str, ...], tuple[Stand, SemanticModel]] = {}
        self._covered: Recent[dict[Fact, list[tuple[Preaggregate, str]]]] = Recent(MOST_IN_MEMORY)
        self._questions: Recent[tuple[Query, SemanticModel, Stand]] = Recent(MOST_IN_MEMORY)
        self._seen = _Seen(None, ({}, frozenset()))

    @property
    def preaggregates(self) -> tuple[Preaggregate, ...]:
        """The pre-aggregates of the project; none where dbt's manifest is not there."""
        return self._built[0]

    @cached_property
    def _built(self) -> tuple[tuple[Preaggregate, ...], str]:
        """The pre-aggregates, and the schema in which builds leave their marks."""
        project = self._model.project
        path = project.semantic_manifest_path.with_name("manifest.json")
        try:
            stat = path.stat()
        except OSError:
            return (), ""
        key = ("preaggregates", stat.st_mtime_ns, stat.st_size)
        try:
            kept = self._model.kept(
                key,
                lambda: {
                    "all": preaggregates.to_json(preaggregates.built(self._model)),
                    "marks": project.marks_schema,
                },
            )
        except ProjectError:
            return (), ""
        return tuple(preaggregates.from_json(kept["all"])), kept["marks"]

    def route(self, query: Query, sql: str) -> Route:
        """What answers a question.

        Args:
            query: the question of now, as its cards let it stand.
            sql: its statement over the facts.
        """
        facts = ", ".join(sorted(self._model.metric_graph.semantic_models(*query.metrics)))
        if not self.preaggregates or not query.metrics:
            return Route(sql, facts)
        refusal, covered = self._candidates(query)
        if refusal:
            return Route(sql, facts, (f"No pre-aggregate answers it: {refusal}.",))
        if not any(covered.values()):
            return Route(sql, facts)
        reasons: list[str] = []
        chosen = []
        for leaves, candidates in self._by_fact(query, covered):
            best = self._best(leaves, candidates, reasons)
            if best is None:
                if len(covered) > 1:
                    reasons.append(f"{leaves[0]} is read from its fact, and so is all.")
                return Route(sql, facts, tuple(reasons))
            chosen.append(best)
        if self._warehouse().watermark(sql) is not None:
            reasons.append("Rows that landed since the build are read beside the facts.")
            return Route(sql, facts, tuple(reasons))
        names = " and ".join(item.name for item in chosen)
        reasons.append(f"{names}: fewest rows of those that answer it exactly.")
        return Route(self._sql(query, chosen), f"pre-aggregate {names}", tuple(reasons))

    def _candidates(self, query: Query) -> tuple[str, dict[Fact, list[tuple[Preaggregate, str]]]]:
        """Why none is asked; else each fact's pre-aggregates and why each does not answer."""
        covered = self._covered.get(query)
        if covered is None:
            refusal = self._coverage.refusal(query)
            if refusal:
                return refusal, {}
            covered = {
                fact: [
                    (item, item.problem or self._coverage.why_not(query, leaves, item))
                    for item in self.preaggregates
                    if item.fact == fact
                ]
                for fact, leaves in self._coverage.facts(query).items()
            }
            self._covered.put(query, covered)
        return "", covered

    def _by_fact(
        self, query: Query, covered: dict[Fact, list[tuple[Preaggregate, str]]]
    ) -> list[tuple[list[str], list[tuple[Preaggregate, str]]]]:
        return [(leaves, covered[fact]) for fact, leaves in self._coverage.facts(query).items()]

    def _best(
        self, leaves: list[str], candidates: list[tuple[Preaggregate, str]], reasons: list[str]
    ) -> Preaggregate | None:
        """The one with fewest rows of those that answer exactly and hold what the fact holds."""
        sound = []
        for item, why_not in candidates:
            state = self._state(item) if not why_not else None
            problem = why_not or (state.problem if state else "")
            if (
                state
                and not problem
                and not self._coverage.columns(leaves, item).isdisjoint(state.floats)
            ):
                problem = "sums of floating-point numbers depend on the order of rows"
            if problem:
                reasons.append(f"{item.name}: {problem}.")
            elif state:
                sound.append((state.rows, item.name, item))
        return min(sound)[2] if sound else None

    def _sql(self, query: Query, chosen: list[Preaggregate]) -> str:
        key = tuple(item.name for item in chosen)
        known = self._questions.get((query, key))
        if known is None:
            if key not in self._stands:
                stand = Stand(self._model, chosen)
                over = self._over(stand.project)
                states = self._seen.states
                rows = sum(states[name].rows for name in key if name in states)
                over.reads_few_rows = rows < _MANY
                self._stands[key] = stand, over
            stand, model = self._stands[key]
            known = stand.question(query), model, stand
            self._questions.put((query, key), known)
        question, model, stand = known
        return stand.renamed(model.plan(question)[0])

    # What is built ------------------------------------------------------------------------------

    def _state(self, item: Preaggregate) -> _State:
        stamp, seen = self._warehouse().stamp(), self._seen
        if stamp is None or stamp != seen.stamp:
            marks = self._marks()
            # Where an engine has no stamp of its own, its marks are one.
            stamp = stamp if stamp is not None else repr(marks)
            if stamp != seen.stamp:
                seen = self._seen = _Seen(stamp, marks)
        if item.name not in seen.states:
            seen.states[item.name] = self._observed(item, seen)
        return seen.states[item.name]

    def _marks(self) -> _Marks:
        """When each model was built last, and what no build has ended well since it began."""
        warehouse = self._warehouse()
        schema = quoted(self._built[1], warehouse.dialect)
        try:
            rows = warehouse.arrow(_MARKS.format(schema)).to_pylist()
        except WarehouseError:
            return {}, frozenset()
        pending = frozenset(row["unique_id"] for row in rows if row["is_pending"])
        return {row["unique_id"]: row for row in rows if not row["is_pending"]}, pending

    def _observed(self, item: Preaggregate, seen: _Seen) -> _State:
        problem = item.problem or _unproved(item, *seen.marks)
        if problem:
            return _State(problem)
        try:
            return self._compared(item, seen)
        except WarehouseError as error:
            return _State(f"it cannot be read: {str(error).rstrip('.')}")

    def _compared(self, item: Preaggregate, seen: _Seen) -> _State:
        """What a pre-aggregate has beside what its tables give now.

        It is computed again once a state of the warehouse, which is kept beside the plans.
        """
        warehouse = self._warehouse()
        semantic = preaggregates.semantic_model(self._model, item.fact.model)
        fact = semantic["node_relation"]["relation_name"]
        time = preaggregates.time_of(self._model, item.fact)
        expression = time["expr"] or time["name"]
        kind = warehouse.column_types(f"select * from {fact}").get(expression)
        if kind is None:
            instants = warehouse.column_types(f"select {expression} as instant from {fact}")
            kind = instants["instant"]
        if kind not in _LOCAL_TIMES:
            return _State(f"{item.fact.time} is {kind}, whose days depend on a zone")
        types = warehouse.column_types(f"select * from {item.relation_name}")
        floats = frozenset(
            component.column
            for component in item.components
            if component.agg not in {"min", "max"} and types[component.column] in _FLOATS
        )
        columns = ", ".join(
            [
                item.period, *item.dimensions, ROWS,
                *(one.column for one in item.components if one.column not in floats),
            ]
        )  # fmt: skip
        again = preaggregates.sql_of(self._model, item)
        statement = (
            f"with again as ({again}\n),\n"
            f"differing as (select {columns} from again\n"
            f"except select {columns} from {item.relation_name})\n"
            "select (select count(*) from differing) as differing,"
            " (select count(*) from again) as expected,"
            f" (select count(*) from {item.relation_name}) as own_rows,"
            f" (select cast(sum({ROWS}) as bigint) from {item.relation_name}) as rows_of_fact,"
            f" (select count(*) from {fact}) as fact_rows"
        )
        key = ("preaggregate", str(self._model.project.database), str(seen.stamp), statement)
        (count,) = self._model.kept(key, lambda: warehouse.arrow(statement).to_pylist())
        if count["differing"] or count["expected"] != count["own_rows"]:
            return _State("it does not hold what its tables give now: build it again")
        if (count["rows_of_fact"] or 0) != count["fact_rows"]:
            return _State(
                f"it counts {count['rows_of_fact'] or 0} rows of {count['fact_rows']}: a dimension"
                " has several rows for one of the fact"
            )
        return _State("", count["own_rows"], floats)


def _unproved(item: Preaggregate, times: dict[str, dict[str, Any]], pending: frozenset[str]) -> str:
    """Why the marks of builds do not prove that a pre-aggregate is of its tables of now."""
    built = times.get(item.unique_id)
    if built is None:
        return "no build has marked when it was computed"
    if built["checksum"] != item.checksum:
        return "it was built of another definition: build it again"
    unfinished = pending.intersection({item.unique_id, *item.rests_on, *item.tests})
    if unfinished:
        return f"the build of {_name(min(unfinished))} did not end well"
    began: dt.datetime = built["began_at"]
    for key in item.rests_on:
        if key not in times or times[key]["ended_at"] > began:
            return f"it is older than {_name(key)}"
    return ""


def _name(unique_id: str) -> str:
    return unique_id.split(".")[2] if unique_id.count(".") > 1 else unique_id
