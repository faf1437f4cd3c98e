"""What differs between a KPI's values now and its last published ones, and where it goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cadran.core.warehouse import ledger_sql as differing
from cadran.core.warehouse import ledger_sql as sql
from cadran.core.warehouse.dialects import literal
from cadran.governance.values import Defined, VersionScope, tools

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from cadran.core.ledger.settings import Publication
    from cadran.core.ledger.writer import LedgerWriter
    from cadran.governance.approval import Restatement
    from cadran.governance.values import Measured

COLUMNS = "grain, period, dimension_set, dimensions, value, numerator, denominator, observations"


@dataclass(slots=True)
class Published:
    """What became of one KPI.

    Attributes:
        rows: how many values were written.
        restated: how many of them replace final values, or those of an older version.
        waiting: final values that are computed otherwise now, and values of longer periods that
            hold them: they wait for approval.
        refused: why nothing of it was published; empty otherwise.
        note: what a reader should know of its definition's hash; empty otherwise.
        warning: what a reader should know of its sources; empty otherwise.
    """

    kpi: str
    rows: int = 0
    restated: int = 0
    waiting: list[dict[str, Any]] = field(default_factory=list)
    refused: str = ""
    note: str = ""
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """One KPI that is about to be published.

    Attributes:
        span: the first and last instant of which any source knows.
        start: the first day that was measured.
        key: of the comparison, see `unchanged`.
    """

    kpi: str
    version: int
    publication: Publication
    scope: VersionScope | None
    defined: Defined
    span: tuple[dt.datetime, dt.datetime]
    start: dt.date
    key: str = ""


def compare(
    writer: LedgerWriter, subject: Subject, measured: Iterable[Measured],
    restatement: Restatement | None,
) -> None:  # fmt: skip
    """Sort what differs from what was last published by where it goes, in table `placed`."""
    kpi, scope = subject.kpi, subject.scope
    inexact = dict.fromkeys(("value", "numerator", "denominator"), False)
    sets = []
    writer.connection.execute(differing.STAGED)
    for table in measured:
        inexact = _stage(writer, table)
        sets.append(f"{table.grain} {','.join(table.dimensions)}")
    first, last = subject.span
    writer.connection.execute(
        differing.compare(
            kpi, version=subject.version, minimum=subject.publication.minimum_observations,
            first=str(first), last=str(last), start=str(subject.start), sets=sets or [""],
            inexact=inexact,
        )
    )  # fmt: skip
    approved = "false"
    if restatement is not None:
        approved = (
            f"(period >= timestamp '{restatement.start}' and period < timestamp"
            f" '{restatement.end}')"
        )
    writer.connection.execute(
        differing.place(
            closed(writer, kpi),
            scope.covers if scope else None,
            approved,
            subject.publication.materiality,
            restates=scope.restates if scope else "false",
        )
    )


def _stage(writer: LedgerWriter, source: Measured) -> dict[str, bool]:
    kinds = {item.name: str(item.type) for item in source.table.schema}
    columns = {
        "value": source.kpi,
        "numerator": source.components.numerator,
        "denominator": source.components.denominator,
    }
    texts = {n: differing.canonical(f'"{c}"', kinds[c]) if c else None for n, c in columns.items()}
    observed = source.components.observations
    texts["observations"] = f'cast("{observed}" as bigint)' if observed else None
    names = {"grain": source.grain, "time": source.time, "dimensions": ",".join(source.dimensions)}
    with writer.connection.table("measured", source.table):
        writer.connection.execute(differing.stage("measured", texts, names))
    return {n: bool(c) and differing.is_inexact(kinds[c or source.kpi]) for n, c in columns.items()}


def append(
    writer: LedgerWriter, subject: Subject, header: dict[str, Any],
    restatement: Restatement | None,
) -> Published:  # fmt: skip
    """Append what `compare` found, a batch for each place it goes to."""
    outcome = Published(subject.kpi, note=subject.defined.note)
    counts = {
        row["goes"]: row["rows"]
        for row in writer.rows("select goes, count(*) as rows from placed group by goes")
    }
    decision = subject.scope.details if subject.scope else {}
    agreed = restatement.details() if restatement else {}
    automatic = {"kind": "data", "reason": "data changed by less than is material"}
    by = {"tools": " ".join(tools()), "note": subject.defined.note}
    reasons: dict[str, tuple[str, str, dict[str, Any]]] = {
        "publish": ("publish", "provisional", decision),
        "version": ("restatement", "provisional", decision),
        "restating": ("restatement", "restated", decision),
        "approved": ("restatement", "restated", agreed),
        "immaterial": ("restatement", "restated", automatic),
    }  # fmt: skip
    for goes, (kind, status, details) in reasons.items():
        if not counts.get(goes):
            continue
        columns = (
            f"{COLUMNS}, if(is_thin, 'suppressed', '{status}') as status,"
            f" {subject.version}::integer as version,"
            f" '{subject.defined.hash}' as definition_hash"
        )
        count = writer.append(
            columns,
            f"placed where goes = '{goes}'",
            header | {"kind": kind, "details": header["details"] | details | by},
        )
        outcome.rows += count
        outcome.restated += count if kind == "restatement" else 0
    outcome.waiting = _wait(writer, subject, header, is_waiting=bool(counts.get("waiting")))
    return outcome


def _wait(
    writer: LedgerWriter, subject: Subject, header: dict[str, Any], *, is_waiting: bool
) -> list[dict[str, Any]]:
    """Note which values wait for approval, and forget those that did; a batch seals the list."""
    columns = "grain, period, dimension_set, dimensions, published, computed, change"
    listed = (
        "select grain, period, dimension_set, dimensions, published, value as computed, change,"
        " is_final from placed where goes = 'waiting'"
    )
    kpi = literal(subject.kpi)
    mine = f"kpi = {kpi} and period_end(grain, period) > timestamp '{subject.start}'"
    before = f"select {columns} from {sql.WAITING} where {mine}"
    now = f"select {columns} from ({listed})"
    different = writer.rows(
        f"select 1 as one from (({before} except all {now}) union all ({now} except all {before}))"
        " limit 1"
    )
    seals = writer.rows(sql.waiting_seals(f"kpi = {kpi}"))
    if different:
        writer.connection.execute(f"delete from {sql.WAITING} where {mine}")
        writer.connection.execute(
            f"insert into {sql.WAITING} select {kpi}, *, now()::timestamp from ({now})"
        )
    if different or (is_waiting and not seals):
        sealed = writer.rows(sql.waiting_hashes(where=f"kpi = {kpi}"))
        counts = {"waiting": 0, "waiting_hash": None}
        for row in sealed:
            counts = {name: row[name] for name in counts}
        writer.note(header | {"kind": "waiting", "details": header["details"] | counts})
    return writer.rows(f"{listed} order by period, grain, dimensions") if is_waiting else []


def closed(writer: LedgerWriter, kpi: str) -> list[tuple[str, str]]:
    """The ranges in which a KPI's values are final, those that touch as one."""
    closings = writer.rows(
        "select details->>'from' as start, details->>'until' as until"
        f" from {sql.BATCHES} where kind = 'close' and kpi = '{kpi}' order by start"
    )
    ranges: list[tuple[str, str]] = []
    for row in closings:
        start, until = row["start"], row["until"]
        if ranges and start <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(until, ranges[-1][1]))
        else:
            ranges.append((start, until))
    return ranges
