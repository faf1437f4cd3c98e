"""`cadran close`: from now on, the values of a period change only by a restatement."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cadran.core.ledger import settings as ledger_settings
from cadran.core.ledger.verify import batch_hashes, is_there, read_external_heads
from cadran.core.ledger.witness import hand_over
from cadran.core.ledger.writer import LedgerWriter, refuse, refuse_second_target
from cadran.core.project import lock as anchor
from cadran.core.versions.evidence import UNPROVED
from cadran.core.warehouse import ledger_sql as sql
from cadran.core.warehouse.dialects import literal
from cadran.core.warehouse.ledger_sql import within
from cadran.errors import QueryError
from cadran.formats.periods import read as read_period
from cadran.governance.approval import check_approver, current_author, revision
from cadran.governance.comparison import COLUMNS, closed
from cadran.governance.publish import WAIT
from cadran.governance.values import Measurer
from cadran.governance.wholeness import Wholeness

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cadran.core.layer import Layer

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Closed:
    """What became of one KPI.

    Attributes:
        rows: how many values became final.
        refused: why none did; empty otherwise.
    """

    kpi: str
    rows: int = 0
    refused: str = ""


def close(  # noqa: PLR0913 - each is one decision of who closes
    layer: Layer,
    text: str,
    kpis: Iterable[str] = (),
    *,
    author: str | None = None,
    approver: str | None = None,
    lock: Path | None = None,
    wait: float = WAIT,
    incomplete: str = "",
) -> list[Closed]:
    """Make the published values of a period final; returns what became of each KPI.

    Every shorter period that ends within it is final too; a week that spans two months is final
    when both are closed. A KPI that is closed there already is left out. One whose data is not
    whole for the period, or was not when it was last published, is refused; the others are closed.

    Args:
        layer: the layer of a built project.
        text: the period: 2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31.
        kpis: names; every KPI that was published when empty.
        author: who closes; by default git's user.
        approver: who agreed, where somebody has to: the owner of each KPI or a delegate.
        lock: the file that keeps the ledger's head; by default `kpi.lock` of the project.
        wait: for how many seconds to try again while another process holds the warehouse.
        incomplete: why KPIs are closed whose data does not reach the end of the period.

    Raises:
        QueryError: the period is not over, nothing was published, or the approver may not approve.
        UnknownNameError: a KPI does not exist.
        WarehouseError: the ledger lost its end, or a witness did not take the new head: what was
            closed before is.
        ProjectError: a witness cannot be asked.
    """
    _, start, end = read_period(text)
    if end > dt.datetime.now(dt.UTC).date():
        raise QueryError(f"{text} is not over: it can be closed from {end} on.")
    chosen = [layer.card(name).name for name in kpis]
    author = author or current_author(layer)
    lock = lock or anchor.path_of(layer.project.root)
    settings = ledger_settings.read(layer.project.root)
    witnesses = ledger_settings.witnesses(settings, layer.project.root)
    outside = read_external_heads(lock, witnesses, settings.abandoned)
    refuse_second_target(layer.warehouse, layer.project.marks_schema)
    refuse(batch_hashes(layer.warehouse), outside)
    measurer = Measurer(layer)
    completeness = _Completeness(Wholeness(layer, measurer), measurer, text, end, incomplete)
    newest = _newest(layer)
    names = chosen or sorted(newest)
    missing = [name for name in names if name not in newest]
    if not names:
        raise QueryError("Nothing was published yet: run `cadran publish`.")
    if missing:
        label = ", ".join(missing)
        raise QueryError(f"Nothing of {label} was published: run `cadran publish` first.")
    registered = {card.name for card in layer.kpis()}
    if approver is not None:
        check_approver(layer, [name for name in names if name in registered], approver, author)
    refusals = {kpi: completeness.refusal(kpi, newest[kpi]) for kpi in names if kpi in registered}
    git_revision = revision(layer)
    results = []
    with layer.warehouse.ledger.writing(wait) as connection:
        writer = LedgerWriter(connection)
        writer.check(replace(outside, anchor=anchor.anchored(lock)))
        for kpi in names:
            spans = closed(writer, kpi)
            if any(first <= str(start) and str(end) <= until for first, until in spans):
                continue
            if refusals.get(kpi):
                results.append(Closed(kpi, refused=refusals[kpi]))
                continue
            agreed = {"incomplete": incomplete} if incomplete else {}
            header = newest[kpi] | {
                "kind": "close",
                "computed_at": dt.datetime.now(dt.UTC).replace(tzinfo=None),
                "git_revision": git_revision,
                "author": author,
                "details": {
                    "period": text,
                    "from": str(start),
                    "until": str(end),
                    "approver": approver,
                    "approval": UNPROVED if approver else None,
                    **agreed,
                },
            }
            published = f"select * from {sql.ROWS} where kpi = {literal(kpi)}"
            rows = writer.append(
                f"{COLUMNS}, 'final' as status, version, definition_hash",
                f"""
                ({sql.latest(published)}) as last_row
                where status = 'provisional' and ({within(_joined(spans, start, end))})
                """,
                header,
            )
            results.append(Closed(kpi, rows))
        hashes = writer.commit(lock)
    hand_over(witnesses, hashes)
    return results


def _newest(layer: Layer) -> dict[str, dict[str, Any]]:
    """What the last publication of each KPI said of it."""
    if not is_there(layer.warehouse):
        return {}
    rows = layer.warehouse.ledger.arrow(
        "select kpi, value_type, version, definition_hash, data_as_of"
        f" from {sql.BATCHES} where kind in ('publish', 'restatement') order by batch"
    )
    return {row["kpi"]: row for row in rows.to_pylist()}


@dataclass(frozen=True, slots=True)
class _Completeness:
    """Whether what was published of a period rests on all of its data."""

    wholeness: Wholeness
    measurer: Measurer
    text: str
    end: dt.date
    incomplete: str

    def refusal(self, kpi: str, newest: dict[str, Any]) -> str:
        """Why a KPI is not closed; empty when it is."""
        end = dt.datetime.combine(self.end, dt.time())
        refused = self.wholeness.refusal(kpi, end, needs_reach=not self.incomplete)
        as_of, now = newest["data_as_of"], self.measurer.data_as_of(kpi)
        if not refused and as_of is not None and now is not None and as_of < min(now, end - _DAY):
            return (
                f"{kpi} was published when its data reached {as_of:%Y-%m-%d %H:%M}; they reach"
                f" {now:%Y-%m-%d %H:%M} now: publish it, then close {self.text}."
            )
        return refused


def _joined(spans: list[tuple[str, str]], start: dt.date, end: dt.date) -> list[tuple[str, str]]:
    """Closed ranges with one more; those that touch become one."""
    joined: list[tuple[str, str]] = []
    for first, until in sorted([*spans, (str(start), str(end))]):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(until, joined[-1][1]))
        else:
            joined.append((first, until))
    return joined
