"""What a KPI means: its SQL down to the sources, in one form, hashed.

A KPI is asked at each grain of its card without a dimension, and by each dimension of its card.
Most questions at two grains differ in nothing but the grain, so they are kept as one, with the
grain left open; MetricFlow's SQL itself tells where that is not so.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cached_property
from typing import TYPE_CHECKING

from cadran.core.compiler.plan_cache import PlanCache, key_of
from cadran.core.project import lock
from cadran.core.project.dbt import compiled
from cadran.core.project.graph import Graph, checksum
from cadran.core.semantics.metrics import MetricGraph
from cadran.core.semantics.model import SemanticModel
from cadran.core.versions.canonical import NotCanonical
from cadran.core.versions.definition import (
    DIALECT,
    CompiledQuery,
    Definition,
    Meaning,
    closed,
    rules,
    tools,
)
from cadran.core.versions.expand import Expansion, with_steps
from cadran.core.versions.fingerprint import Fingerprint, fingerprint
from cadran.core.versions.questions import CompiledQueries, semantics_of
from cadran.core.versions.side_effects import bearing, side_effects
from cadran.core.versions.wording import changed_words
from cadran.errors import CadranError

if TYPE_CHECKING:
    from cadran.core.project.artifacts import Project
    from cadran.core.project.cards import Card
    from cadran.core.project.lock import Locked
    from cadran.core.versions.record import VersionRecord


class SemanticFingerprints:
    """The definitions of a model's KPIs, each opened once and kept until something changes."""

    def __init__(self, model: SemanticModel, project: Project | None = None) -> None:
        """Take a model; its project is compiled when a definition is asked for.

        Args:
            model: the model whose KPIs are meant.
            project: the project as it was compiled for a full refresh, where that is done already.
        """
        self.model = model
        self._full_refresh = project
        self.root = model.project.root
        folder = model.project.plans
        self._cache = PlanCache(folder.with_name("meanings") if folder else None)
        self._fingerprint = Fingerprint(DIALECT, self._cache)
        self._definitions: dict[str, Definition] = {}
        self._opened: dict[str, Definition] = {}
        self._tools = tools()

    @cached_property
    def _project(self) -> Project:
        return self._full_refresh or compiled(self.model.project)

    @cached_property
    def _compiled(self) -> SemanticModel:
        return SemanticModel(self._project, plan_cache=False)

    @cached_property
    def _queries(self) -> CompiledQueries:
        return CompiledQueries(self._compiled, self.graph, self._cache)

    @cached_property
    def graph(self) -> Graph:
        """Dbt's manifest with its models compiled."""
        return Graph(self._project, self.root)

    @cached_property
    def parsed(self) -> Graph:
        """Dbt's manifest as it is beside the model's own; no more than parsed, perhaps."""
        return Graph(self.model.project, self.root)

    @cached_property
    def _locked(self) -> dict[str, Locked]:
        return lock.read(self.root) if self.root else {}

    @cached_property
    def _expansion(self) -> Expansion:
        return Expansion(self.graph, DIALECT, self.root)

    def definition(self, kpi: str) -> Definition:
        """What decides the values of a KPI.

        Raises:
            UnknownNameError: there is no such KPI.
            QueryError: its card names a grain or dimension that it cannot be asked by.
        """
        if kpi not in self._definitions:
            self._definitions[kpi] = self._proved(self.opened(kpi))
        return self._definitions[kpi]

    def opened(self, kpi: str) -> Definition:
        """What decides the values of a KPI, before it is known whether all of it has a form."""
        if kpi not in self._opened:
            self._opened[kpi] = self._define(self._compiled.card(kpi))
        return self._opened[kpi]

    def hashes(self, definition: Definition) -> dict[str, str]:
        """The hash of each question of a definition, by its label, "day customer__country"."""
        return {
            label: checksum(f"{self.hash_of(definition, question)} {grain}")
            for question in definition.questions
            for label, grain in zip(question.labels, question.grains, strict=True)
        }

    def hash_of(self, definition: Definition, question: CompiledQuery) -> str:
        """The hash of one question of a definition, whatever its grains."""
        key = self._key(definition, question)
        digest: str | None = self._cache.get(key)
        if digest is None:
            digest = self._hash(definition, question)
            self._cache.put(key, digest)
        return digest

    def asks_alike(self, sql: str, before: Definition, after: Definition) -> bool:
        """Whether it is proved that what a question reads is the same in two definitions."""
        by_text = before.by_text or after.by_text
        return not by_text and self._fingerprint.is_alike(sql, before, after)

    def is_alike(self, step: str, before: Definition, after: Definition) -> bool:
        """Whether a step makes the same of what it reads, in two definitions that both have it."""
        if step not in before.steps or step not in after.steps:
            return False
        if before.steps[step] == after.steps[step]:
            return True
        try:
            forms = [self._fingerprint.step(step, definition) for definition in (before, after)]
        except NotCanonical:
            return False
        return forms[0] == forms[1]

    def believe(self, record: VersionRecord) -> None:
        """Take the hashes that a record holds, and its questions, where they are those of today."""
        if record.tools != tools():
            return
        questions = record.definition.questions
        for question, digest in zip(questions, record.question_hashes, strict=False):
            self._cache.put(self._key(record.definition, question), digest)
        if record.semantics_hash == self.semantics_hash(record.kpi) and record.definition.runs:
            placed = [self._expansion.placed(question.sql) for question in questions]
            if all(placed):
                self._queries.keep(record.kpi, [
                    replace(question, sql=str(sql))
                    for question, sql in zip(questions, placed, strict=True)
                ])  # fmt: skip

    def semantics_hash(self, kpi: str) -> str:
        """A mark of all that decides how MetricFlow writes the questions of a KPI."""
        return self._queries.fingerprint(self._compiled.card(kpi))

    def _key(self, definition: Definition, question: CompiledQuery) -> str:
        content = [definition.by_text, question.sql, definition.steps, definition.columns]
        content += [definition.seeds] if definition.seeds else []
        nodes = [asdict(n) for n in definition.nodes] if definition.by_text else []
        return key_of("hash", self._tools, content, nodes)

    def _hash(self, definition: Definition, question: CompiledQuery) -> str:
        if definition.by_text:
            return checksum(definition.canonical(question))
        return self._fingerprint.hash(question.sql, definition)

    def meanings(self, kpi: str) -> list[Meaning]:
        """The meaning of a KPI at each grain, and by each dimension."""
        definition = self.definition(kpi)
        hashes = self.hashes(definition)
        meanings = []
        for question in definition.questions:
            form = definition.canonical(question)
            for grain, label in zip(question.grains, question.labels, strict=True):
                meanings.append(Meaning(
                    kpi, grain, question.dimensions,
                    with_steps(question.at(grain), definition.steps),
                    closed(form, grain), hashes[label], definition.note,
                ))  # fmt: skip
        return meanings

    def card(self, kpi: str) -> Card:
        """The card of a KPI as it was compiled."""
        return self._compiled.card(kpi)

    def kpis(self) -> list[str]:
        """The names of the KPIs as they were compiled, sorted."""
        return sorted(card.name for card in self._compiled.kpis())

    def file_of(self, kpi: str) -> str:
        """The file that defines a KPI, by its path in the project."""
        return self._compiled.project.file_of(kpi)

    def fingerprint_of(self, definition: Definition) -> str | None:
        """A mark of all that a definition comes from, as it is compiled now."""
        return fingerprint(self.graph, self.card(definition.kpi), definition.came_from)

    def is_untouched(self, record: VersionRecord) -> bool:
        """Whether nothing was written anew of what a version came from, so that it still holds."""
        try:
            card = self.model.card(record.kpi)
            fingerprints = {record.fingerprint: record.definition.came_from}
            locked = self._locked.get(record.kpi)
            if locked and locked.version == record.version:
                fingerprints[locked.fingerprint] = locked.came_from
            return any(
                known and fingerprint(self.parsed, card, nodes) == known
                for known, nodes in fingerprints.items()
            )
        except CadranError:
            return False

    def recorded(self, record: VersionRecord) -> Definition:
        """The definition of a version, with what the lock noted later of its side effects."""
        locked = self._locked.get(record.kpi)
        noted = locked.side_effects if locked and locked.version == record.version else None
        if record.definition.side_effects is None and noted is not None:
            return replace(record.definition, side_effects=bearing(noted))
        return record.definition

    def changed_words(self, record: VersionRecord) -> dict[str, tuple[str, str]]:
        """What a version says to readers otherwise than the card does now: old and new by field."""
        return changed_words(record.definition, self.parsed.metrics[record.kpi])

    def mark_of(self, key: str) -> str:
        """The hash that stands for a snapshot or a Python model, by its dbt id."""
        return self._expansion.mark_of(key)

    def hash(self, kpi: str) -> str:
        """One hash for all that a KPI means."""
        return combined(self.hashes(self.definition(kpi)))

    def _define(self, card: Card) -> Definition:
        compiled, reason = self._queries.questions(card), ""
        questions: list[CompiledQuery] = []
        steps: dict[str, str] = {}
        ids: dict[str, None] = {}
        for question in compiled:
            try:
                sql, inner, behind = self._expansion.question(question.sql)
            except NotCanonical as problem:
                sql, inner = self.graph.without_database(question.sql), {}
                behind, reason = self._expansion.behind(question.sql), reason or str(problem)
            questions.append(CompiledQuery(question.grains, question.dimensions, sql))
            steps |= {name: body for name, body in inner.items() if name not in steps}
            ids |= dict.fromkeys(behind)
        columns = {k: v for k, v in self._expansion.columns.items() if _leaf(k, questions, steps)}
        seeds = {k: v for k, v in self._expansion.seeds.items() if k in columns}
        metrics = sorted(MetricGraph(self.graph.semantic).closure(card.name))
        definition = Definition(
            card.name, tuple(questions), steps, columns,
            tuple(self.graph.closure(metrics, ids)), rules(self.graph, ids),
            side_effects(self.graph, ids), seeds,
            semantics_of(self.graph, self._expansion, card.name, ids),
            "; ".join(f"the text of {name} is compared" for name in self._expansion.texts(ids)),
        )  # fmt: skip
        return _by_text(definition, reason) if reason else definition

    def _proved(self, definition: Definition) -> Definition:
        """The definition, compared by its text when a question of it has no canonical form."""
        try:
            self.hashes(definition)
        except NotCanonical as problem:
            return _by_text(definition, str(problem))
        return definition


def combined(hashes: dict[str, str]) -> str:
    """One hash for those of all questions."""
    return checksum("\n".join(f"{label} {hashes[label]}" for label in sorted(hashes)))


def _by_text(definition: Definition, reason: str) -> Definition:
    note = f"texts are compared, not meanings: {reason}"
    return replace(definition, note=note, by_text=True)


def _leaf(dotted: str, questions: list[CompiledQuery], steps: dict[str, str]) -> bool:
    quoted = ".".join(f'"{part}"' for part in dotted.split(".", 2))
    return any(quoted in text for text in (*steps.values(), *(q.sql for q in questions)))
