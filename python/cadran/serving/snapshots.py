"""The data that is served: a state of the warehouse and the definitions it was built with.

DuckDB lets nobody read a file that is being written, nor write one that is being read. So a server
reads a copy: a build goes on beside it, and when it has ended well the next state takes over. Each
question is answered from one state, whole; a state goes when its last question is answered. Of
PostgreSQL nothing is copied: see `cadran.core.warehouse.postgres_builds`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import logging
import shutil
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from cadran.access.gate import Allowed
from cadran.core.layer import Layer
from cadran.core.project import dbt
from cadran.core.project.artifacts import Project
from cadran.core.semantics.governed import TIME
from cadran.core.warehouse import Address, Remote
from cadran.core.warehouse.duckdb import HeldError
from cadran.core.warehouse.postgres_builds import DatabaseSource, ServedPostgres
from cadran.core.warehouse.snapshot import FileSource, UnfinishedBuildError, opened
from cadran.errors import ProjectError, WarehouseError
from cadran.formats import periods
from cadran.serving.copies import Copies, seal, sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from pathlib import Path

    from cadran.core.query.request import Query
    from cadran.core.result import Break, Result
    from cadran.core.warehouse import Confinement, Warehouse
    from cadran.telemetry.hot import HotStore

_LOG = logging.getLogger("cadran.serving")
LedgerFacts: TypeAlias = "tuple[dict[str, tuple[int, ...]], tuple[Break, ...], bool]"
_FOLLOW_EVERY = 0.2  # seconds between two looks for what landed
_LOOK_EVERY = 5.0  # seconds between two looks at the project's files
_TABLES = """
select lower(table_schema) as schema, lower(table_name) as name from information_schema.tables
"""
_FINE = frozenset({"minute", "hour"})
_MARGIN = dt.timedelta(days=2)  # between a day of a business calendar and an instant of UTC
_QUESTIONS = 4096  # of which it is known what they read
_TOLD: dict[type, str] = {
    HeldError: "the warehouse is being written",
    UnfinishedBuildError: "the last build did not end well",
}
_ARTEFACTS = ("semantic_manifest.json", "manifest.json")


@dataclass(eq=False)
class Snapshot:
    """One state of the data: a layer that never changes.

    Attributes:
        id: of the definitions and the data, the same after a restart.
        layer: answers from them.
        folder: its copy; None where the layer reads the warehouse itself.
        parsed_at: when its definitions were written, in nanoseconds.
        fields: what protocols keep with it, such as metadata that was encoded once.
        wanted: the tables that its definitions name, as schema and name.
        tables: those of them that are there.
        facts_by_key: what the ledger tells about answers, once found, by what it depends on.
        hot: keeps its hot rows; None where it answers from its build alone.
    """

    id: str
    layer: Layer
    folder: Path | None = None
    wanted: frozenset[tuple[str, str]] = frozenset()
    tables: frozenset[tuple[str, str]] = frozenset()
    users: int = 0
    is_current: bool = True
    parsed_at: int | None = None
    fields: dict[str, object] = field(default_factory=dict)
    facts_by_key: dict[Hashable, LedgerFacts] = field(default_factory=dict)
    hot: HotStore | None = None
    _reads: OrderedDict[Hashable, frozenset[str]] = field(default_factory=OrderedDict)

    @property
    def moves(self) -> dict[str, int]:
        """For each live table the turn in which it moved last; to be read before a question."""
        return self.hot.warehouse.moves if self.hot else {}

    def edition(
        self, question: Hashable, sql: str | None = None, moves: dict[str, int] | None = None
    ) -> str:
        """The state of what the answer to a question rests on: it changes when that moves.

        Args:
            question: the question as it was allowed.
            sql: what was run for it, where it was; until then it is taken to read nothing live.
            moves: what had moved before it was run.
        """
        if self.hot is None:
            return self.id
        if sql is not None:
            read = self.hot.warehouse.plan.read_by(sql)
            if self._is_past(question):
                read &= self.hot.warehouse.plan.made_whole
            self._reads[question] = read
            while len(self._reads) > _QUESTIONS:
                self._reads.popitem(last=False)
        reads = self._reads.get(question, frozenset())
        moves = self.moves if moves is None else moves
        turn = max((moves[key] for key in reads), default=None)
        return self.id if turn is None else f"{self.id}-{turn}"

    def _is_past(self, question: Hashable) -> bool:
        """Whether no row of now can be in the answer to a question, by the range it has."""
        if self.hot is None or not isinstance(question, Allowed):
            return False
        query, limit = question.query, self.hot.cut.date() - _MARGIN
        if query.end is None or query.end.date() >= limit or not query.metrics:
            return False
        grains = [group.asked_grain for group in query.group_by]
        is_plain = all(group.base == TIME and not group.date_part for group in query.group_by)
        if not is_plain or not all(grain in {*periods.GRAINS, *_FINE} for grain in grains):
            return False  # a time of its own, or another calendar, widens the range by other rules
        is_open = self.layer.metric_graph.reads_other_periods(*query.metrics)
        if is_open or any("Metric(" in str(text) for text in query.where):
            return False
        day = query.end.date()
        ends = [
            periods.last_of(periods.start_of(day, grain), grain)
            for grain in grains
            if grain is not None and grain not in _FINE
        ]
        return max([day, *ends]) < limit

    def ledger_facts(self, query: Query, result: Result) -> LedgerFacts:
        """Versions and breaks of an answer; the ledger is read once for answers that share them."""
        times = tuple(group for group in query.group_by if group.base == "metric_time")
        key = (query.metrics, times, query.start, query.end)
        if query.of_now is not query:
            return result.versions, result.breaks, result.like_for_like
        if key not in self.facts_by_key:
            self.facts_by_key[key] = result.versions, result.breaks, result.like_for_like
        return self.facts_by_key[key]


class SnapshotStore:
    """The state that is served now, and those before it that still answer.

    Attributes:
        problem: why that is not the last build, where it is not.
        behind: the same for whoever asks, without names of this machine.
        listeners: called with each state that takes over.
        move_listeners: called with a state whose live rows moved.
    """

    def __init__(
        self,
        project: Project,
        *,
        confined: Confinement | None = None,
        every: float = 1.0,
        folder: Path | None = None,
        landed: Path | None = None,
    ) -> None:
        """Take a project; `refresh` or the first use makes its first state.

        Args:
            project: the one that builds write to.
            confined: what its warehouse may use.
            every: seconds between two looks for a new state.
            folder: where copies stand; by default in dbt's target folder.
            landed: where `cadran collect` lands what its states are to hold beside their builds.
        """
        self._project = project
        self._confined = confined
        self._every = every
        self._landed = landed
        home = project.semantic_manifest_path.parent / "cadran" / "serving"
        self._copies = Copies(folder or home)
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._current: Snapshot | None = None
        self._stamp: object = None
        self.problem = self.behind = ""
        self._number = 0
        self._looked = (-_LOOK_EVERY, 0, "")
        self._closing = False
        self._forced = False
        self._wake = threading.Event()
        self._watcher: threading.Thread | None = None
        self._follower: threading.Thread | None = None
        self._ended = threading.Event()
        self.listeners: list[Callable[[Snapshot], None]] = []
        self.move_listeners: list[Callable[[Snapshot], None]] = []

    @contextlib.contextmanager
    def use(self) -> Iterator[Snapshot]:
        """The state of now, which stays until the block ends.

        Raises:
            WarehouseError: there is no state yet, and none can be made.
        """
        if self._current is None:
            self.refresh(force=True)
        with self._lock:
            state = self._current
            assert state is not None  # noqa: S101 - `refresh` made one or raised
            state.users += 1
        try:
            yield state
        finally:
            with self._lock:
                state.users -= 1
                is_unused = not state.is_current and not state.users
            if is_unused:
                _remove(state)

    @contextlib.contextmanager
    def layer(self) -> Iterator[Layer]:
        """The layer of now, which stays until the block ends.

        Raises:
            WarehouseError: as `use`.
        """
        with self.use() as state:
            yield state.layer

    @cached_property
    def _source(self) -> FileSource | DatabaseSource:
        database, alias = self._project.database, self._project.database_alias
        if isinstance(database, Remote):
            raise WarehouseError(f"{database} is not served: serve a DuckDB file or PostgreSQL.")
        if isinstance(database, Address):
            return DatabaseSource(database, alias, self._project.marks_schema)
        return FileSource(database, alias)

    @property
    def current(self) -> Snapshot:
        """The state of now, for what needs no data."""
        if self._current is None:
            self.refresh(force=True)
        assert self._current is not None  # noqa: S101 - `refresh` made one or raised
        return self._current

    def refresh(self, *, force: bool = False, left: Path | None = None) -> bool:
        """Take over what was built since, if its build has ended well; returns whether it did.

        Args:
            force: take it whatever became of the last build.
            left: the state that a server before has left, which is taken instead.

        Raises:
            WarehouseError: it is being written, or did not end well; the state of now stays.
        """
        with self._making:
            stamp = self._source.stamp() if left is None else None
            if stamp == self._stamp and self._current is not None:
                return False
            fresh = self._make(unfinished=force, left=left)
            lost = self._current.tables & fresh.wanted - fresh.tables if self._current else set()
            if lost:
                _remove(fresh)
                names = ", ".join(sorted(".".join(table) for table in lost)[:5])
                raise WarehouseError(
                    f"{self._project.database} lacks {len(lost)} tables that questions read, such"
                    f" as {names}: build it again."
                )
            with self._lock:
                previous, self._current = self._current, fresh
                self._stamp = stamp
                idle = previous is not None and not previous.users
                if previous is not None:
                    previous.is_current = False
        if previous is not None and idle:
            _remove(previous)
        self._copies.sweep()
        self.problem = self.behind = ""
        _LOG.info("serving state %s", fresh.id)
        for listener in self.listeners:
            listener(fresh)
        return True

    def begin(self) -> None:
        """Make the first state: of the last build, if that has ended well.

        If it is under way or did not, of the build before, where a server that was killed has left
        its copy of it; else whatever there is.

        Raises:
            WarehouseError: there is none.
        """
        left = self._copies.left()
        self._copies.sweep(but=left)
        try:
            self.refresh()
        except WarehouseError as problem:
            is_building = isinstance(problem, (HeldError, UnfinishedBuildError))
            if left is not None and is_building and isinstance(self._source, FileSource):
                with contextlib.suppress(OSError):  # of other models, or another server was quicker
                    self.refresh(left=left)
                    self._say("serving the build before", problem)
                    return
            self.refresh(force=True)
            self._say("serving what there is", problem)

    def _say(self, what: str, problem: Exception) -> None:
        """Log once why the last build is not served, or not as it should be."""
        if str(problem) != self.problem:
            _LOG.warning("%s: %s", what, problem)
        self.problem = str(problem)
        told = _TOLD.get(type(problem), "the last build cannot be served, as the log says")
        self.behind = f"{what}: {told}.".capitalize()

    def stale(self) -> str:
        """What says that the definitions served are older than the project's files; else empty.

        Files are looked at every few seconds, whoever asks.
        """
        now, state = time.monotonic(), self._current
        root = self._project.root
        if root is None or state is None or state.parsed_at is None:
            return ""
        looked, number, sentence = self._looked
        if now - looked > _LOOK_EVERY or number != self._number:
            file = dbt.newer(root, state.parsed_at)
            sentence = (
                f"{file} is newer than the definitions that are served: build the project."
                if file else ""
            )  # fmt: skip
            self._looked = now, self._number, sentence
        return sentence

    def watch(self) -> None:
        """Look for new states in a thread of its own until `close`."""
        self._watcher = threading.Thread(target=self._watch, name="states", daemon=True)
        self._watcher.start()

    def follow(self) -> None:
        """Take in what is landed, in a thread of its own until `close`."""
        self._follower = threading.Thread(target=self._follow, name="live", daemon=True)
        self._follower.start()

    def hurry(self) -> None:
        """Take over whatever there is as soon as it can be read, as a signal handler asks."""
        self._forced = True
        self._wake.set()

    def close(self) -> None:
        """End the watch and remove the copies."""
        self._closing = True
        self._wake.set()
        self._ended.set()
        for thread in (self._watcher, self._follower):
            if thread is not None:
                thread.join()
        with self._lock:
            state, self._current = self._current, None
        if state is not None:
            state.layer.close()
        self._source.close()
        self._copies.close()

    def _follow(self) -> None:
        last_problem = ""
        while not self._ended.wait(_FOLLOW_EVERY):
            try:
                with self.use() as state:
                    if state.hot is not None and state.hot.tick():
                        for listener in self.move_listeners:
                            listener(state)
                last_problem = ""
            except (WarehouseError, OSError, ValueError) as problem:
                # What was taken is still there, and the next turn takes everything anew. Said once.
                if str(problem) != last_problem:
                    _LOG.warning("what landed cannot be taken in: %s", problem)
                last_problem = str(problem)

    def _watch(self) -> None:
        last_stamp: object = self._stamp
        while not self._closing:
            self._wake.wait(self._every)
            self._wake.clear()
            stamp = self._source.stamp()
            settled, last_stamp = stamp == last_stamp or self._forced, stamp
            if self._closing or stamp is None or stamp == self._stamp or not settled:
                continue
            try:
                self.refresh(force=self._forced)
                self._forced = False
            except (WarehouseError, ProjectError, OSError) as problem:
                # Being written, or not built well: the state of now goes on.
                self._say("still serving the state before", problem)

    def _make(self, *, unfinished: bool, left: Path | None) -> Snapshot:
        self._number += 1
        folder = self._copies.new() if left is None else self._copies.adopted(left)
        known = {} if left is None else sealed(folder)
        target = folder / "warehouse.duckdb"
        fresh = Project(
            self._project.semantic_manifest_path, self._project.database, self._project.root
        )
        parsed_at = known.get("parsed_at", dbt.parsed_at(fresh))
        try:
            origin, served = self._source, None
            if isinstance(origin, DatabaseSource):
                served = origin.take(unfinished=unfinished, confined=self._confined)
            elif left is None:
                origin.take(target, fresh.marks_schema, unfinished=unfinished)
            for name in _ARTEFACTS if left is None else ():
                source = fresh.semantic_manifest_path.with_name(name)
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(source, folder / name)
            copied = Project(
                folder / _ARTEFACTS[0], served.place if served else target, self._project.root,
                plans=self._project.plans,
            )  # fmt: skip
            stamp = self._confirmed(served)
            text = f"{copied.fingerprint} {stamp}"
            identity = known.get("id", hashlib.sha256(text.encode()).hexdigest()[:16])
            confined = self._confined and replace(self._confined, spill=folder / "spill")
            hot = self._hot(fresh, copied, confined, served)
            warehouse: Warehouse = (
                hot.warehouse if hot else served or opened(target, copied.database_alias, confined)
            )
            layer = Layer(copied, confined=confined, opened=warehouse)
            rows = layer.warehouse.arrow(_TABLES).to_pylist()
            there = frozenset((row["schema"], row["name"]) for row in rows)
            wanted = frozenset(
                (relation["schema_name"].lower(), relation["alias"].lower())
                for model in copied.semantic_manifest["semantic_models"]
                if (relation := model["node_relation"])
            )
            if served is None and not unfinished:
                seal(folder, {"id": identity, "parsed_at": parsed_at})
            return Snapshot(
                identity, layer, folder, wanted, wanted & there, parsed_at=parsed_at, hot=hot
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _confirmed(self, served: ServedPostgres | None) -> Hashable:
        """The stamp of what was taken.

        Raises:
            WarehouseError: a build began meanwhile.
        """
        stamp = self._source.stamp()
        if served is not None and not served.is_of(stamp):
            raise WarehouseError(f"{served.place} is being built: what it holds changes.")
        return stamp

    def _hot(
        self,
        project: Project,
        copied: Project,
        confined: Confinement | None,
        served: ServedPostgres | None,
    ) -> HotStore | None:
        if self._landed is None:
            return None
        from cadran.telemetry import hot

        return hot.opened(project, copied, self._landed, confined=confined, served=served)


def _remove(state: Snapshot) -> None:
    state.layer.close()
    if state.folder is not None:
        shutil.rmtree(state.folder, ignore_errors=True)
