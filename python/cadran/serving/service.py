"""The query service: where every protocol brings its questions.

A question is judged by the policy, looked up, run once however many ask it, protected, kept and
recorded, in this order and nowhere else. What answers is `Layer.query`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from cadran.access.caller import Caller, Meter
from cadran.access.gate import OpenGate, Visible
from cadran.audit.log import Entry, NoAudit
from cadran.core.components import Sides
from cadran.core.query.request import GroupBy, Query
from cadran.core.recent import Recent
from cadran.errors import (
    CadranError,
    ClosingError,
    NotAllowedError,
    StoppedError,
    WarehouseError,
)
from cadran.insight.source import Source
from cadran.serving import execution, memory, redaction
from cadran.serving.entitlements import MetadataService, entitled
from cadran.serving.execution import (
    MEGABYTE,
    Cache,
    Cancellation,
    Deadlines,
    Interrupting,
    SingleFlight,
)
from cadran.serving.response import Answer, etag

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Hashable, Iterator

    import pyarrow as pa

    from cadran.access.gate import Allowed, Gate
    from cadran.audit.log import Audit
    from cadran.core.layer import Layer
    from cadran.core.result import Result
    from cadran.serving.snapshots import Snapshot, SnapshotStore


def versioned(allowed: Allowed, layer: Layer) -> tuple[str, ...]:
    """The metrics of a question as they are recorded: `net_revenue@2` for a KPI."""
    version = allowed.query.version
    return tuple(
        f"{name}@{version or layer.card(name).version}" if layer.is_kpi(name) else name
        for name in allowed.query.metrics
    )


_LOG = logging.getLogger("cadran.serving")
_HEAVY = 1.0  # seconds from which on a question is a heavy one
_AUTHORIZED = 4096  # judgements that are remembered
WARM_UP = "warm-up"  # the protocol of what the server asks itself
_SIDES = "sides"  # what a state keeps of the sides of its KPIs
_Done = TypeVar("_Done")


@dataclass(slots=True)
class RequestContext:
    """How a question came in.

    Attributes:
        caller: who asks.
        protocol: by which way.
        read_cache: whether an answer that is kept will do.
        stop: ends the question.
        is_page: whether a page or a digest is made of the answer: it shows as many figures as its
            own layout has, so the most rows and megabytes that the caller may take do not hold, and
            it is one question of the caller's minute, so that no limit shuts it in its middle.
    """

    caller: Caller
    protocol: str
    read_cache: bool = True
    stop: Cancellation = field(default_factory=Cancellation)
    is_page: bool = False


class QueryService(MetadataService):
    """Takes questions of callers from any thread."""

    def __init__(
        self,
        snapshots: SnapshotStore,
        *,
        gate: Gate | None = None,
        audit: Audit | None = None,
        cache_bytes: int = 256 * MEGABYTE,
        seconds: float | None = 60.0,
    ) -> None:
        """Take what it works with.

        Args:
            snapshots: the data that is served.
            gate: what judges questions; by default every governed question may be asked.
            audit: what records them.
            cache_bytes: most bytes of answers that are kept.
            seconds: for how long a question may run where its caller has no limit of its own.
        """
        super().__init__(snapshots, gate or OpenGate())
        self.audit: Audit = audit or NoAudit()
        self.cache = Cache(cache_bytes)
        self.meter = Meter()
        self._seconds = seconds
        self._single_flight = SingleFlight()
        self.deadlines = Deadlines()
        self._lock = threading.Lock()
        self._running: set[Cancellation] = set()
        self._is_ending = False
        self._authorizations: Recent[Allowed] = Recent(_AUTHORIZED)
        self._limits = lru_cache(maxsize=_AUTHORIZED)(self._limited)
        snapshots.listeners.append(self._moved)
        snapshots.move_listeners.append(self._data_moved)

    def ask(self, context: RequestContext, query: Query) -> Answer:
        """The answer to a question.

        Raises:
            CadranError: as `Layer.query`; and `NotAllowedError`, `LimitError`, `StoppedError`.
        """
        caller = self._taker(context)
        if query.compare is not None:
            plain = replace(query, compare=None, order_by=(), limit=None)
            # Judged before anything is read of it: its refusal must not name what is hidden.
            self.recorded(context, "compare", plain, lambda *_: None)
            with self.snapshots.use() as state:
                return execution.compared(query, state.layer, lambda q: self.ask(context, q))

        def work(state: Snapshot, allowed: Allowed) -> Answer:
            part = execution.bounded(allowed, caller)
            for candidate in dict.fromkeys((allowed, part)):
                key = state.edition(candidate), candidate
                cached = self.cache.get(key) if context.read_cache else None
                if cached is not None:
                    return execution.whole(cached, allowed, caller)
            with self.meter.running(caller):
                stop = self._timed(context.stop, caller)
                key = state.edition(part), part
                answer = self._single_flight.run(
                    key, lambda stop: self._answer(state, part, stop), stop
                )
                result = execution.whole(answer, allowed, caller)
                if result is not answer:
                    state.edition(allowed, answer.sql)
                    self.cache.put(result.kept_as, result)
            return result

        answer = self.recorded(context, "query", query, work)
        stale = self.snapshots.stale()
        return replace(answer, note=f"{answer.note} {stale}".strip()) if stale else answer

    def shown(
        self, context: RequestContext, metrics: tuple[str, ...], *, is_counted: bool = False
    ) -> None:
        """Record that answers were shown again, by a face that keeps what it made of them.

        Args:
            context: how they were asked for; a caller sees no more than the same caller did.
            metrics: what is in them.
            is_counted: whether the page was counted when it took its numbers.

        Raises:
            NotAllowedError: the token is not for questions.
            LimitError: the caller has asked as much as it may.
        """
        entitled(context.caller, "query")
        if not is_counted:
            self.meter.count(self.spender(context.caller))
        caller = context.caller
        self.audit.write(
            Entry(caller.name, context.protocol, "page", metrics, token=caller.token, cached=True)
        )

    @contextlib.contextmanager
    def source(self, context: RequestContext) -> Iterator[Source]:
        """What an analysis takes its numbers from: what the caller may see, and no more.

        Within the block the data that its definitions belong to stay.

        A page counts as one question of the caller's minute, when it begins.

        Raises:
            NotAllowedError: the caller may see nothing.
            LimitError: the caller has asked as much as it may.
        """
        entitled(context.caller, "query")
        if context.is_page:
            self.meter.count(self.spender(context.caller))
        cards = tuple(self.kpis(context.caller))
        with self.snapshots.use() as state:
            yield Source(
                state.layer,
                lambda query: self.ask(context, query),
                cards,
                lambda query: self._sides(context, query),
                lambda query, metric, time: self._finer(context, query, metric, time),
            )

    def _sides(self, context: RequestContext, query: Query) -> pa.Table:
        """The rows of a KPI that divides with its two sides, judged as the question about the KPI.

        Raises:
            NotAllowedError: a value of the KPI among them is hidden.
            CadranError: as `ask`.
        """

        def compute(state: Snapshot, allowed: Allowed) -> tuple[Result, pa.Table]:
            sides = state.fields.get(_SIDES)
            if not isinstance(sides, Sides):
                home = state.layer.project.semantic_manifest_path.parent / "cadran" / "measuring"
                sides = state.fields[_SIDES] = Sides.of(state.layer, home)
            result = sides.answer(allowed.query)
            table = result.to_arrow()
            (kpi,), others = allowed.query.metrics, result.metrics[1:]
            plain = table.drop_columns(list(others))
            shown = self.gate.suppress(plain, allowed, state.layer)
            if shown.column(kpi).null_count > table.column(kpi).null_count:
                raise NotAllowedError(
                    f"A value of {kpi} rests on too few observations to be shown, so it is not"
                    " split: ask by another dimension or over a longer time."
                )
            return result, sides.table(kpi, table)

        return self._behind(context, query, ("sides",), compute, is_limited=True)

    def _finer(self, context: RequestContext, query: Query, metric: str, time: str) -> pa.Table:
        """The rows of a building block by a time, judged as a question about the KPI made of it.

        Raises:
            NotAllowedError: the KPI is about people.
            CadranError: as `ask`.
        """

        def compute(state: Snapshot, allowed: Allowed) -> tuple[Result, pa.Table]:
            if allowed.hides:
                raise NotAllowedError(
                    f"{', '.join(query.metrics)} is about people: it is not looked at more finely."
                )
            block = replace(
                allowed.query, metrics=(metric,), group_by=(GroupBy(time),), order_by=(),
                governed=False, ordered=False,
            )  # fmt: skip
            result = state.layer.answer(block)
            return result, result.to_arrow()

        name = ("finer", metric, time)
        return self._behind(context, query, name, compute, is_limited=False)

    def _behind(
        self,
        context: RequestContext,
        query: Query,
        name: tuple[str, ...],
        compute: Callable[[Snapshot, Allowed], tuple[Result, pa.Table]],
        *,
        is_limited: bool,
    ) -> pa.Table:
        """What stands behind a KPI, for whoever may ask the KPI so; kept under a name.

        `is_limited` holds its rows to what the caller may take at once.
        """
        caller = self._taker(context)

        def work(state: Snapshot, allowed: Allowed) -> Answer:
            key = state.edition(allowed), (*name, allowed)
            cached = self.cache.get(key) if context.read_cache else None
            if cached is not None:
                if is_limited:
                    execution.check_limits(cached, caller)
                return cached
            moves = state.moves
            with self.meter.running(caller):
                stop = self._timed(context.stop, caller)
                with self.interrupting(stop, state.layer.warehouse.stopper()):
                    try:
                        result, table = compute(state, allowed)
                    except WarehouseError as problem:
                        raise redaction.without_values(problem, allowed) from None
            edition = state.edition(allowed, result.sql, moves)
            answer = Answer(
                table=table, query=result.query, cards={}, versions={},
                breaks=(), like_for_like=True, governed=False, state=edition, key=repr(key),
                sql=result.sql, kept_as=(edition, key[1]),
            )  # fmt: skip
            if is_limited:
                execution.check_limits(answer, caller)
            self.cache.put(answer.kept_as, answer)
            return answer

        return self.recorded(context, "query", query, work).table

    def cached(self, context: RequestContext, query: Query) -> Answer | None:
        """The answer if it is there already, without waiting for anything; else None.

        It may be called where waiting is not allowed, as on an event loop. A question that is not
        answered here is not recorded: ask it with `ask`.
        """
        state = self.snapshots.current
        allowed = self._authorizations.get(self._judgement(context.caller, query, state))
        if allowed is None or not context.read_cache:
            return None
        if (state.edition(allowed), allowed) not in self.cache:
            return None
        return self.ask(context, query)

    def unchanged(self, context: RequestContext, query: Query, tags: Container[str]) -> str | None:
        """The validator of the answer if the client knows it already, else None; nothing is run.

        Args:
            context: how the question came in.
            query: the question.
            tags: validators of answers that the client has.
        """

        def work(state: Snapshot, allowed: Allowed) -> str:
            return etag(state.edition(allowed), repr(allowed))

        state = self.snapshots.current
        allowed = self._authorizations.get(self._judgement(context.caller, query, state))
        tag = None if allowed is None else work(state, allowed)
        if tag is None or tag not in tags:
            return None
        return tag if self.recorded(context, "query", query, work) == tag else None

    def weigh(self, answer: Answer) -> None:
        """Weigh a kept answer again, after a form was added to it."""
        if answer.kept_as in self.cache:
            self.cache.put(answer.kept_as, answer)

    def sql(self, context: RequestContext, query: Query) -> str:
        """The SQL of a question as it would run for the caller, to be read; nothing is run.

        Names that the caller's role may not know of stand in it as `hidden_1`.
        """

        def work(state: Snapshot, allowed: Allowed) -> str:
            sql = state.layer.compiled(allowed.query)
            if allowed.role is None:
                return sql
            visible = self.gate.visible(Caller("", (allowed.role,)), state.layer)
            return redaction.visible_sql(sql, visible, state.layer)

        return self.recorded(context, "sql", query, work)

    def values(
        self, context: RequestContext, dimension: str, metrics: tuple[str, ...]
    ) -> list[Any]:
        """The values of a dimension as far as the metrics have them and the caller may see.

        They are in order, without NULL.
        """
        query = Query.of({"group_by": [dimension], "metrics": metrics})
        query = self.snapshots.current.layer.by_period(query)
        column = self.ask(context, query).table.column(0)
        return sorted({value for value in column.to_pylist() if value is not None})

    def interrupting(self, stop: Cancellation, interrupt: Callable[[], None]) -> Interrupting:
        """A block whose statement is interrupted once the stop is set."""
        return Interrupting(stop, interrupt, self.deadlines)

    def warm(self, callers: list[Caller] | None = None) -> int:
        """Ask every saved query, so that the first client need not wait; returns how many."""
        done = 0
        for caller in callers or self.gate.everyone():
            for saved in self.saved_queries(caller):
                try:
                    self.ask(RequestContext(caller, WARM_UP), Query(saved_query=saved["name"]))
                    done += 1
                except CadranError as problem:
                    _LOG.warning("warm-up of %s: %s", saved["name"], problem)
        return done

    def end(self) -> None:
        """Stop every question that runs, and begin no more: the server ends."""
        with self._lock:
            self._is_ending = True
            running = list(self._running)
        for stop in running:
            stop.set()

    def close(self) -> None:
        """Write what waits to be recorded, and let go of the data."""
        self.audit.close()
        self.snapshots.close()
        self.deadlines.close()

    def _judgement(self, caller: Caller, query: Query, state: Snapshot) -> Hashable:
        return caller, query, state.id, self.gate.edition

    def _authorize(self, caller: Caller, query: Query, state: Snapshot) -> Allowed:
        key = self._judgement(caller, query, state)
        allowed = self._authorizations.get(key)
        if allowed is None:
            allowed = self.gate.allow(caller, query, state.layer)
            self._authorizations.put(key, allowed)
        return allowed

    def _answer(self, state: Snapshot, allowed: Allowed, stop: Cancellation) -> Answer:
        layer = state.layer
        if stop.is_set:
            raise StoppedError("The question was stopped before it was answered.")
        begun, moves = time.monotonic(), state.moves
        try:
            with self.interrupting(stop, layer.warehouse.stopper()):
                result = layer.answer(allowed.query)
                table = self.gate.suppress(result.to_arrow(), allowed, layer)
                versions, breaks, like_for_like = state.ledger_facts(allowed.query, result)
                days = result.complete_through.items()
                note = f"{result.note} {result.running_note}".strip()
        except WarehouseError as problem:
            raise redaction.without_values(problem, allowed) from None
        finally:
            if time.monotonic() - begun > _HEAVY:
                self.deadlines.after(_HEAVY, memory.give_back)
        edition = state.edition(allowed, result.sql, moves)
        answer = Answer(
            table=table,
            query=result.query,
            cards={n: result.card(n) for n in result.metrics if layer.is_kpi(n)},
            versions=versions,
            breaks=breaks,
            like_for_like=like_for_like,
            governed=result.governed,
            state=edition,
            watermark=result.watermark,
            note=note,
            complete_through={name: day.isoformat() if day else None for name, day in days},
            key=repr(allowed),
            sql=result.sql,
            kept_as=(edition, allowed),
        )
        if allowed.role is not None or allowed.hides:
            visible = Visible()
            if allowed.role is not None:
                visible = self.gate.visible(Caller("", (allowed.role,)), layer)
            answer = redaction.redacted(answer, allowed, visible, layer)
        self.cache.put(answer.kept_as, answer)
        return answer

    def recorded(
        self,
        context: RequestContext,
        kind: str,
        query: Query,
        work: Callable[[Snapshot, Allowed], _Done],
    ) -> _Done:
        """What the work on a question gives, judged and recorded, whatever came of it.

        Args:
            context: how the question came in.
            kind: what the record calls the work.
            query: the question.
            work: is given the state of the data and what the caller may ask.
        """
        begun = time.perf_counter()
        entry = Entry(
            context.caller.name, context.protocol, kind, query.metrics, query.columns,
            query.where, token=context.caller.token,
        )  # fmt: skip
        with self._lock:
            self._running.add(context.stop)
        try:
            self._refuse_if_ending()
            entitled(context.caller, "query")
            if context.protocol != WARM_UP and not context.is_page:
                self.meter.count(self.spender(context.caller))
            with self.snapshots.use() as state:
                allowed = self._authorize(context.caller, query, state)
                entry = replace(entry, role=allowed.role, metrics=versioned(allowed, state.layer))
                done = work(state, allowed)
            if isinstance(done, Answer):
                entry = replace(entry, rows=done.table.num_rows, cached=done.cached)
            elif kind == "query":
                entry = replace(entry, cached=True)  # the client has the answer already
        except Exception as problem:
            entry = replace(entry, outcome=redaction.outcome(problem), reason=str(problem)[:500])
            if self._is_ending and isinstance(problem, StoppedError):
                raise ClosingError(
                    "The server ends, so the question was not answered: ask it again in a moment."
                ) from None
            raise
        finally:
            with self._lock:
                self._running.discard(context.stop)
            self.audit.write(replace(entry, seconds=time.perf_counter() - begun))
        return done

    def _refuse_if_ending(self) -> None:
        if self._is_ending:
            raise StoppedError("The server ends.")

    def _timed(self, stop: Cancellation, caller: Caller) -> Cancellation:
        seconds = caller.limits.seconds or self._seconds
        if seconds is not None:
            self.deadlines.after(seconds, stop.set)
        return stop

    def spender(self, caller: Caller) -> Caller:
        """The caller with the limits of its roles beside its own."""
        return self._limits(caller, self.gate.edition)

    def _taker(self, context: RequestContext) -> Caller:
        """The caller with the limits that hold for what it takes."""
        caller = self.spender(context.caller)
        if not context.is_page:
            return caller
        return replace(caller, limits=replace(caller.limits, rows=None, megabytes=None))

    def _limited(self, caller: Caller, _: str) -> Caller:
        """The caller with the limits of its roles beside its own."""
        return replace(caller, limits=self.gate.limits(caller))

    def _data_moved(self, state: Snapshot) -> None:
        self.cache.keep(lambda answer: answer.state == state.edition(answer.kept_as[1]))

    def _moved(self, state: Snapshot) -> None:
        self._data_moved(state)
        self._authorizations.clear()
        with contextlib.suppress(CadranError):
            self.gate.check(state.layer)  # so that the first who asks need not wait for it
