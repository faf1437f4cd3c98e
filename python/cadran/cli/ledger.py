"""`cadran publish`, `cadran verify`, `cadran close` and `cadran explain`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from cadran.cli.common import FORMATS, describe, flags, open_layer, write_rows
from cadran.cli.language import said, tell, warn
from cadran.core import journal
from cadran.core.ledger.verify import verify
from cadran.core.project import lock
from cadran.errors import QueryError
from cadran.formats import periods
from cadran.formats.encoding import json_text

if TYPE_CHECKING:
    import argparse

    from cadran.core.ledger.verify import Verification
    from cadran.governance.approval import Restatement
    from cadran.governance.comparison import Published


_PERIOD = "\nperiod  2026, 2026-Q4, 2026-10, 2026-W44 or 2026-10-31\n"
_AUTHOR = """
--author EMAIL       who does it (default: git's user)
--incomplete REASON  why it is right although the data of a KPI end before the period does
--wait SECONDS       try so long while another process holds the warehouse (default: %(default)s)
"""
_LOCK = "\n--lock FILE  the file with the ledger's head (kpi.lock)\n"
_DEFAULTS: dict[str, Any] = {
    "incomplete": {"default": ""},
    "wait": {"type": float, "default": 60.0},
}


def add_publish(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = (
        f"{parser.description} Only what differs from what was last published is written. A final"
        " value that changed by more than is material waits for approval, and the exit code is 1."
    )
    usage = f"""
kpis KPI*    default: all but drafts
--since DAY  leave periods alone that end before the month of this day
{_AUTHOR}{_LOCK}"""
    agreed = """
        --restate PERIOD  its final values may change: 2026-09
        --kind KIND       policy, estimate, error or source
        --reason REASON   why, in words that a reader of the figure understands
        --approver EMAIL  who agreed: the owner or a delegate
        --ticket TICKET   where it was discussed
    """
    flags(parser.add_argument_group("approval of a restatement"), agreed)
    shown = (
        "cadran publish",
        "cadran publish net_revenue --since 2026-10-01",
        (
            "cadran publish net_revenue --restate 2026-09 --kind error "
            '--reason "A day of orders was missing." --approver head.of.sales@example.com'
        ),
    )
    describe(parser, _publish, usage, shown=shown, **_DEFAULTS)


def add_verify(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = (
        f"{parser.description} What people said, in the journal, is held as well. Exit code 1:"
        " something was."
    )
    usage = f"--export FILE  write the head for safekeeping{_LOCK}"
    shown = ("cadran verify", "cadran verify --export head.json")
    describe(parser, _verify, usage, shown=shown)


def add_close(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    usage = f"""{_PERIOD}
kpis KPI*         default: all that were published
--approver EMAIL  who agreed: the owner or a delegate
{_AUTHOR}{_LOCK}"""
    shown = ("cadran close 2026-10", "cadran close 2026-Q3 net_revenue")
    describe(parser, _close, usage, shown=shown, **_DEFAULTS)


def add_explain(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    usage = f"""
kpi KPI          such as net_revenue
{_PERIOD}
--known-at TIME  published by then (default: at first)
--by DIMENSION   the one to split the definition's part
--history        every value that was published
--chart FILE     a waterfall: .svg or .png
"""
    shown = (
        "cadran explain net_revenue 2026-09",
        (
            "cadran explain net_revenue 2026-09 --known-at 2026-12-31 --by order_id__channel"
            " --chart bridge.svg"
        ),
        "cadran explain net_revenue 2026-09 --history",
    )
    describe(parser, _explain, usage, formats=FORMATS, language=True, shown=shown)


def _publish(parsed: argparse.Namespace) -> int:
    from cadran.governance.publish import publish

    layer = open_layer(parsed)
    number = len(parsed.kpis) or sum(card.status != "draft" for card in layer.kpis())
    results: list[Published] = []

    def show(done: Published) -> None:
        results.append(done)
        restated = f", {done.restated:,} of them restated" if done.restated else ""
        waits = f", {len(done.waiting):,} wait for approval" if done.waiting else ""
        outcome = "refused" if done.refused else f"{done.rows:,} values published{restated}{waits}"
        print(f"[{len(results)}/{number}] {done.kpi}: {said(outcome)}", flush=True)

    publish(
        layer,
        parsed.kpis,
        since=_day(parsed.since),
        restatement=_restatement(parsed),
        author=parsed.author,
        lock=parsed.lock,
        wait=parsed.wait,
        incomplete=parsed.incomplete,
        progress=show,
    )
    if not results:
        drafts = "Nothing is published: every KPI is a draft. Name one, or certify its card."
        warn(layer.without_kpis or drafts)
    for note in dict.fromkeys(
        text for done in results for text in (done.note, done.warning) if text
    ):
        kpis = [done.kpi for done in results if note in (done.note, done.warning)]
        names = kpis[0] if len(kpis) == 1 else f"{len(kpis)} KPIs"
        warn(f"{names}: {note}")
    waiting = [(done.kpi, row) for done in results for row in done.waiting]
    for kpi, row in waiting[:10]:
        owner = layer.card(kpi).owner.business
        state = "is final" if row["is_final"] else "holds a period that is final"
        warn(
            f"{kpi}, {row['grain']} {row['period']:%Y-%m-%d} {row['dimensions']} {state}:"
            f" {row['published']} was published, {row['computed']} is computed now; ask {owner}"
            " to approve it (--restate PERIOD --kind --reason --approver)"
        )
    refused = [done.refused for done in results if done.refused]
    for sentence in refused:
        warn(sentence)
    return 1 if waiting or refused else 0


def _day(text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise QueryError(f"--since is '{text}'; it takes a day such as 2026-10-01.") from None


def _restatement(parsed: argparse.Namespace) -> Restatement | None:
    from cadran.governance.approval import Restatement

    if not parsed.restate:
        return None
    _, start, end = periods.read(parsed.restate)
    return Restatement(
        start, end, parsed.kind or "", parsed.reason or "", parsed.approver or "", parsed.ticket
    )


def _verify(parsed: argparse.Namespace) -> int:
    from cadran.core.ledger import settings

    layer = open_layer(parsed)
    root = layer.project.root
    config = settings.read(root)
    witnesses = settings.witnesses(config, root)
    verification = verify(
        layer.warehouse, parsed.lock or lock.path_of(root), witnesses, config.abandoned
    )
    faults = journal.faults(journal.folder_of(root)) if root is not None else []
    for damage in (*verification.damages, *faults):
        warn(str(damage))
    if verification.holds and not faults:
        tell(
            f"{verification.rows:,} rows in {verification.head.batch:,} batches hold;"
            f" {_held_against(verification)}"
        )
        if parsed.export:
            lock.anchor(parsed.export, verification.hashes, is_export=True)
    return 0 if verification.holds and not faults else 1


def _held_against(verification: Verification) -> str:
    """What the ledger was held against, in words."""
    if verification.anchor is None:
        return "nothing was published"
    states = verification.outside.states
    sources = [
        f"{states} states of the lock in git" if states else "git knows no state of the lock"
    ]
    lock = verification.outside.lock.name if verification.outside.lock else ""
    witnesses = {
        head.place for head in verification.outside.heads if not head.place.startswith(lock)
    }
    sources += [f"{len(witnesses)} heads of witnesses"] if witnesses else ["no witness is named"]
    return f"anchored at batch {verification.anchor.head.batch}, {', '.join(sources)}"


def _close(parsed: argparse.Namespace) -> int:
    from cadran.governance.close import close

    closed = close(
        open_layer(parsed),
        parsed.period,
        parsed.kpis,
        author=parsed.author,
        approver=parsed.approver,
        lock=parsed.lock,
        wait=parsed.wait,
        incomplete=parsed.incomplete,
    )
    for done in closed:
        if not done.refused:
            tell(f"{done.kpi}: {done.rows:,} values are final")
    for done in closed:
        if done.refused:
            warn(done.refused)
    if not closed:
        warn(f"{parsed.period} was closed before")
    return 1 if any(done.refused for done in closed) else 0


def _explain(parsed: argparse.Namespace) -> int:
    from cadran.governance.bridge import bridge, revisions

    layer = open_layer(parsed)
    if parsed.history:
        write_rows(revisions(layer, parsed.kpi, parsed.period), parsed.format, parsed.output)
        return 0
    explained = bridge(layer, parsed.kpi, parsed.period, known_at=parsed.known_at, by=parsed.by)
    if parsed.chart:
        explained.plot(parsed.lang).save(parsed.chart)
    if parsed.format == "json" and not parsed.output:
        print(json_text(explained.to_dict()))
        return 0
    write_rows(explained.rows(), parsed.format, parsed.output)
    for note in explained.notes:
        warn(note)
    return 0
