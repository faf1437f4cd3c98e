"""`cadran close`: from now on, the values of a period change only by a restatement."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from cadran.core.ledger.writer import LedgerWriter
from cadran.core.project import lock as anchor
from cadran.core.warehouse import ledger_sql as sql
from cadran.core.warehouse.dialects import literal
from cadran.core.warehouse.ledger_sql import within
from cadran.errors import QueryError
from cadran.formats.periods import shifted
from cadran.governance.approval import check_approver, revision, who
from cadran.governance.comparison import COLUMNS, closed
from cadran.governance.publish import WAIT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cadran.core.layer import Layer

_FORMS = (
    (r"(\d{4})", "year"),
    (r"(\d{4})-Q([1-4])", "quarter"),
    (r"(\d{4})-(\d{2})", "month"),
    (r"(\d{4})-W(\d{2})", "week"),
    (r"(\d{4}-\d{2}-\d{2})", "day"),
)


def period(text: str) -> tuple[str, dt.date, dt.date]:
    """The grain of a period, its first day, and the day after its last.

    Raises:
        QueryError: it is not written as 2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31.
    """
    for form, grain in _FORMS:
        found = re.fullmatch(form, text.strip(), re.IGNORECASE)
        if not found:
            continue
        try:
            start = _start(grain, found)
        except ValueError:
            break
        return grain, start, shifted(start, grain, 1)
    raise QueryError(
        f"'{text}' is no period: write 2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31."
    )


def _start(grain: str, found: re.Match[str]) -> dt.date:
    if grain == "day":
        return dt.date.fromisoformat(found[1])
    if grain == "week":
        return dt.date.fromisocalendar(int(found[1]), int(found[2]), 1)
    month = {"year": 1, "quarter": 3 * int(found[found.lastindex or 1]) - 2}
    return dt.date(int(found[1]), month.get(grain, int(found[found.lastindex or 1])), 1)


def close(  # noqa: PLR0913 - each is one decision of who closes
    layer: Layer,
    text: str,
    kpis: Iterable[str] = (),
    *,
    author: str | None = None,
    approver: str | None = None,
    lock: Path | None = None,
    wait: float = WAIT,
) -> dict[str, int]:
    """Make the published values of a period final; returns how many by KPI.

    Every shorter period that ends within it is final too; a week that spans two months is final
    when both are closed. Closing again what is closed does nothing.

    Args:
        layer: the layer of a built project.
        text: the period: 2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31.
        kpis: names; every KPI that was published when empty.
        author: who closes; by default git's user.
        approver: who agreed, where somebody has to: the owner of each KPI or a delegate.
        lock: the file that keeps the ledger's head; by default `kpi.lock` of the project.
        wait: for how many seconds to try again while another process holds the warehouse.

    Raises:
        QueryError: the period is not over, nothing was published, or the approver may not approve.
        UnknownNameError: a KPI does not exist.
    """
    _, start, end = period(text)
    if end > dt.datetime.now(dt.UTC).date():
        raise QueryError(f"{text} is not over: it can be closed from {end} on.")
    asked = [layer.card(name).name for name in kpis]
    author = author or who(layer)
    lock = lock or anchor.path_of(layer.project.root)
    made = {}
    with layer.warehouse.writing(wait) as connection:
        writer = LedgerWriter(connection)
        writer.check(lock)
        newest = {
            row["kpi"]: row
            for row in writer.rows(
                "select kpi, value_type, version, definition_hash, data_as_of"
                f" from {sql.BATCHES} where kind <> 'close' order by batch"
            )
        }
        names = asked or sorted(newest)
        missing = [name for name in names if name not in newest]
        if missing or not names:
            what = ", ".join(missing) or "anything"
            raise QueryError(f"Nothing of {what} was published: run `cadran publish` first.")
        if approver is not None:
            known = {card.name for card in layer.kpis()}
            check_approver(layer, [name for name in names if name in known], approver, author)
        for kpi in names:
            found = closed(writer, kpi)
            if any(first <= str(start) and str(end) <= until for first, until in found):
                continue
            header = newest[kpi] | {
                "kind": "close",
                "computed_at": dt.datetime.now(dt.UTC).replace(tzinfo=None),
                "git_revision": revision(layer),
                "author": author,
                "details": {
                    "period": text,
                    "from": str(start),
                    "until": str(end),
                    "approver": approver,
                },
            }
            published = f"select * from {sql.ROWS} where kpi = {literal(kpi)}"
            made[kpi] = writer.append(
                f"{COLUMNS}, 'final' as status, version, definition_hash",
                f"""
                ({sql.latest(published)}) as last_row
                where status = 'provisional' and ({within(_joined(found, start, end))})
                """,
                header,
            )
        anchor.anchor(lock, writer.commit())
    return made


def _joined(found: list[tuple[str, str]], start: dt.date, end: dt.date) -> list[tuple[str, str]]:
    """Closed ranges with one more; those that touch become one."""
    joined: list[tuple[str, str]] = []
    for first, until in sorted([*found, (str(start), str(end))]):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(until, joined[-1][1]))
        else:
            joined.append((first, until))
    return joined
