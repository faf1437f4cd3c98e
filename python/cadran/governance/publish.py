"""`cadran publish`: append what differs from what was last published, KPI by KPI.

One KPI is one transaction. Whatever stops a publication, the ledger holds the batches before it
whole, and the next publication appends what is missing: it compares, it does not remember.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cadran.core.compiler.plan_cache import PlanCache, key_of
from cadran.core.ledger import settings as ledger_settings
from cadran.core.ledger.reader import has_ledger
from cadran.core.ledger.verify import batch_hashes, is_there, read_external_heads
from cadran.core.ledger.witness import hand_over
from cadran.core.ledger.writer import LedgerWriter, refuse, refuse_second_target
from cadran.core.project import lock as anchor
from cadran.core.warehouse import ledger_sql as sql
from cadran.errors import CardError
from cadran.governance.approval import check_approver, current_author, revision
from cadran.governance.comparison import Published, Subject, append, compare
from cadran.governance.values import Definitions, Measurer
from cadran.governance.wholeness import Wholeness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from cadran.core.layer import Layer
    from cadran.governance.approval import Restatement
    from cadran.governance.values import Measured, MetricQuery


class Unchanged:
    """What was compared before, kept beside the plans; a cache that is lost costs time only."""

    def __init__(self, layer: Layer) -> None:
        """Take a layer; a table is read when it is first asked about."""
        self._layer = layer
        folder = layer.project.plans
        self._cache = PlanCache(folder.with_name("ledger") / "compared" if folder else None)
        manifest = layer.project.semantic_manifest
        nodes = [model["node_relation"] for model in manifest["semantic_models"]]
        nodes += [s["node_relation"] for s in manifest["project_configuration"]["time_spines"]]
        self._relations = sorted({node["relation_name"] for node in nodes})
        self._fingerprints: dict[str, list[str]] = {}

    def key(self, kpi: str, statements: Iterable[str], *details: Any) -> str:
        """The key of a comparison as it would be made now.

        Args:
            kpi: the KPI.
            statements: its questions in SQL: their text is a part of it, and what they read.
            details: everything else that decides what would be written, as JSON types.

        Raises:
            WarehouseError: a table cannot be read.
        """
        texts = sorted(statements)
        relations = [name for name in self._relations if any(name in text for text in texts)]
        fingerprints = [self._fingerprint(name) for name in relations or self._relations]
        return key_of(kpi, texts, fingerprints, self._layer.warehouse.engine, details)

    def holds(self, kpi: str, key: str) -> bool:
        """Whether that comparison was made, and the ledger says of the KPI what it said then."""
        head = self._cache.get(key)
        if head is None or not has_ledger(self._layer.warehouse):
            return False
        last = self._layer.warehouse.ledger.arrow(sql.last_of(kpi)).to_pylist()
        return bool(last) and head == last[0]["hash"]

    def keep(self, key: str, head: str) -> None:
        """Remember that it was made, and the KPI's last batch after it."""
        self._cache.put(key, head)

    def _fingerprint(self, relation: str) -> list[str]:
        if relation not in self._fingerprints:
            warehouse = self._layer.warehouse
            row = warehouse.arrow(sql.mark_of(relation, warehouse.dialect)).to_pylist()[0]
            self._fingerprints[relation] = [relation, *map(str, row.values())]
        return self._fingerprints[relation]


WAIT = 60.0


def publish(  # noqa: PLR0913 - each is one decision of who publishes
    layer: Layer,
    kpis: Iterable[str] = (),
    *,
    since: dt.date | None = None,
    restatement: Restatement | None = None,
    author: str | None = None,
    lock: Path | None = None,
    wait: float = WAIT,
    incomplete: str = "",
    progress: Callable[[Published], None] = lambda _: None,
) -> list[Published]:
    """Publish the values of KPIs as they are now; returns what became of each.

    A KPI that means something else than its version, or whose data is not whole, is refused, and
    the others are published. Witnesses that the settings name are given the new head.

    Args:
        layer: the layer of a built project.
        kpis: names; every KPI that is not a draft when empty.
        since: leave periods alone that end before the month of this day.
        restatement: agreement that final values change.
        author: who publishes; by default git's user.
        lock: the file that keeps the ledger's head; by default `kpi.lock` of the project.
        wait: for how many seconds to try again while another process holds the warehouse.
        incomplete: why KPIs are published whose data does not reach as far as that of others.
        progress: is told of each KPI when it is done.

    Raises:
        UnknownNameError: a KPI does not exist.
        QueryError: the restatement lacks something, or its approver may not approve it.
        CardError: `cadran_ledger.yml` holds what it must not.
        WarehouseError: another process still holds the warehouse, the ledger lost its end, or a
            witness did not take the new head: what was published before is.
        ProjectError: a witness cannot be asked.
    """
    names = list(kpis) or [card.name for card in layer.kpis() if card.status != "draft"]
    names = [layer.card(name).name for name in dict.fromkeys(names)]
    author = author or current_author(layer)
    if restatement is not None:
        restatement.check()
        check_approver(layer, names, restatement.approver, author)
    lock = lock or anchor.path_of(layer.project.root)
    results = []
    before, layer.warehouse.wait = layer.warehouse.wait, wait
    try:
        run = _Run(layer, names, author, lock, wait, restatement, since, incomplete)
        for group in run.measurer.groups(names):
            for published in run.group(group):
                results.append(published)
                progress(published)
        if run.witnesses:
            hand_over(run.witnesses, batch_hashes(layer.warehouse))
    finally:
        layer.warehouse.wait = before
    return results


class _Run:
    """One run of `publish`."""

    def __init__(  # noqa: PLR0913, PLR0917 - what `publish` was given
        self, layer: Layer, kpis: Sequence[str], author: str, lock: Path | None, wait: float,
        restatement: Restatement | None, since: dt.date | None, incomplete: str,
    ) -> None:  # fmt: skip
        self.layer, self.author, self.lock, self.wait = layer, author, lock, wait
        self.restatement, self.incomplete = restatement, incomplete
        self.settings = ledger_settings.read(layer.project.root)
        self.witnesses = ledger_settings.witnesses(self.settings, layer.project.root)
        self.publications = {kpi: self.settings.of(layer.card(kpi)) for kpi in kpis}
        self.outside = read_external_heads(lock, self.witnesses, self.settings.abandoned)
        refuse_second_target(layer.warehouse, layer.project.marks_schema)
        refuse(batch_hashes(layer.warehouse), self.outside)
        self.measurer = Measurer(layer, since)
        self.wholeness = Wholeness(layer, self.measurer)
        self.definitions = Definitions(layer)
        self.unchanged = Unchanged(layer)
        self.revision = revision(layer)

    def group(self, kpis: Sequence[str]) -> Iterator[Published]:
        """Publish KPIs that are measured together, until none was overtaken by another process."""
        questions = self.measurer.questions(kpis, self.publications)
        pending = []
        for kpi in kpis:
            broken_off = self.wholeness.refusal(kpi, needs_reach=not self.incomplete)
            if broken_off:
                yield Published(kpi, refused=broken_off)
                continue
            try:
                subject, refused = self._subject(kpi, questions)
            except CardError as broken:
                yield Published(kpi, refused=str(broken))
                continue
            if refused:
                yield Published(kpi, refused=refused)
            elif self.restatement is None and self.unchanged.holds(kpi, subject.key):
                yield Published(kpi, note=subject.defined.note, warning=self.wholeness.note(kpi))
            else:
                pending.append(subject)
        while pending:
            results, pending = self._published(pending)
            yield from results

    def _subject(self, kpi: str, questions: list[MetricQuery]) -> tuple[Subject, str]:
        version, publication = self.layer.card(kpi).version, self.publications[kpi]
        defined, scope = self.definitions.of(kpi), self.definitions.scope(kpi)
        definitions: list[dict[str, Any]] = []
        if has_ledger(self.layer.warehouse):
            ledger = self.layer.warehouse.ledger
            definitions = ledger.arrow(sql.defined(kpi, version)).to_pylist()
        refused = self.definitions.refusal(kpi, defined, definitions)
        span, start = self.measurer.bounds(), self.measurer.start()
        days = [instant.date() for instant in span]
        key = "" if refused else self.unchanged.key(
            kpi, [self.measurer.sql(question) for question in questions if kpi in question.kpis],
            version, defined.hash, repr(publication), repr(scope), str(start),
            repr(span if {"hour", "minute"} & set(publication.grains) else days),
        )  # fmt: skip
        return Subject(kpi, version, publication, scope, defined, span, start, key), refused

    def _published(self, subjects: list[Subject]) -> tuple[list[Published], list[Subject]]:
        """What became of KPIs; and those that another process published meanwhile."""
        computed_at = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        batches = self._last_batches(subjects)
        measured: dict[str, list[Measured]] = {item.kpi: [] for item in subjects}
        for question in self.measurer.questions(list(measured), self.publications):
            for values in self.measurer.measure(question):
                measured[values.kpi].append(values)
        headers = [self._header(item, measured[item.kpi], computed_at) for item in subjects]
        # While the ledger is written nothing can be asked of a file that it lies in.
        warnings = {item.kpi: self.wholeness.note(item.kpi) for item in subjects}
        results, overtaken = [], []
        with self.layer.warehouse.ledger.writing(self.wait) as connection:
            for subject, header in zip(subjects, headers, strict=True):
                writer = LedgerWriter(connection)
                writer.check(replace(self.outside, anchor=anchor.anchored(self.lock)))
                if writer.rows(sql.last_of(subject.kpi)) != batches[subject.kpi]:
                    # Somebody else published it meanwhile; clocks do not tell, they may go back.
                    connection.rollback()
                    overtaken.append(subject)
                    continue
                compare(writer, subject, measured[subject.kpi], self.restatement)
                results.append(append(writer, subject, header, self.restatement))
                last = writer.rows(sql.last_of(subject.kpi))
                writer.commit(self.lock)
                results[-1].warning = warnings[subject.kpi]
                if last and not results[-1].waiting:
                    self.unchanged.keep(subject.key, last[0]["hash"])
        return results, overtaken

    def _last_batches(self, subjects: list[Subject]) -> dict[str, list[dict[str, Any]]]:
        """The last batch of each KPI, before it is measured."""
        if not is_there(self.layer.warehouse):
            return {subject.kpi: [] for subject in subjects}
        arrow = self.layer.warehouse.ledger.arrow
        return {item.kpi: arrow(sql.last_of(item.kpi)).to_pylist() for item in subjects}

    def _header(
        self, subject: Subject, measured: list[Measured], computed_at: dt.datetime
    ) -> dict[str, Any]:
        kpi = subject.kpi
        return {
            "kpi": kpi,
            "computed_at": computed_at,
            "data_as_of": self.measurer.data_as_of(kpi),
            "value_type": str(measured[0].table.schema.field(kpi).type) if measured else "",
            "version": subject.version,
            "definition_hash": subject.defined.hash,
            "git_revision": self.revision,
            "author": self.author,
            "details": {"incomplete": self.incomplete} if self.incomplete else {},
        }
