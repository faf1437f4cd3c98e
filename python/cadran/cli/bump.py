"""`cadran bump`."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from typing import TYPE_CHECKING, Any

from cadran.cli.common import add_project, examples, open_layer

if TYPE_CHECKING:
    from cadran.governance.bump import Bumped
    from cadran.layer import Layer

_KINDS = ("policy", "estimate", "error", "source", "equivalent")
_RESTATEMENTS = ("none", "effective", "full", "window")
_WIDTH = 24


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.add_argument("kpi", nargs="*", metavar="KPI", help="the KPI whose meaning changed")
    parser.add_argument(
        "--first", action="store_true", help="write the first version of these KPIs, or of all"
    )
    parser.add_argument("--kind", choices=_KINDS, help="what kind of change it is")
    parser.add_argument("--reason", help="why, in a sentence")
    parser.add_argument("--approver", metavar="EMAIL", help="who approves: the owner or a delegate")
    parser.add_argument("--author", metavar="EMAIL", help="who changed it (default: git's user)")
    parser.add_argument(
        "--effective-from", type=_date, metavar="DATE", help="its first day (default: today)"
    )
    parser.add_argument(
        "--restatement", choices=_RESTATEMENTS, default="none",
        help="which published values it replaces (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--window", nargs=2, type=_date, metavar=("FROM", "TO"), help="days that are restated"
    )
    parser.add_argument("--ticket", default="", help="where it was discussed")
    parser.add_argument(
        "--overlap", default="12 months", help="how long both are shown (default: 12 months)"
    )
    parser.add_argument(
        "--expected", nargs=2, type=_share, metavar=("LEAST", "GREATEST"),
        help="the expected change of a period's value, in percent: -2 0",
    )  # fmt: skip
    add_project(parser)
    examples(
        parser,
        "cadran bump --first",
        "cadran bump net_revenue --kind policy --reason 'Tax is taken off the marketplace' \\",
        "    --approver head.of.sales@example.com --effective-from 2026-11-01 --expected -3 0",
    )
    parser.set_defaults(run=_bump)


def _bump(parsed: argparse.Namespace) -> int:
    from cadran.errors import QueryError
    from cadran.governance import bump as service
    from cadran.governance.meaning import of

    layer = open_layer(parsed)
    root = layer.project.root
    author = parsed.author or (service.git_author(root) if root else None)
    if not author:
        raise QueryError("Nobody is the author: give --author, or set git's user.email.")
    if parsed.first:
        paths = service.first(layer, parsed.kpi or of(layer).kpis(), author)
        for path in paths:
            print(path)
        if not paths:
            print("cadran: each of them has a version already", file=sys.stderr)
        return 0
    if len(parsed.kpi) != 1:
        raise QueryError("Name the one KPI whose meaning changed.")
    decision = service.Decision(
        kind=_asked(parsed.kind, f"kind of change ({', '.join(_KINDS)})"),
        reason=_asked(parsed.reason, "reason"),
        author=author,
        approver=_asked(parsed.approver, "approver (an e-mail address)"),
        effective_from=parsed.effective_from or dt.datetime.now(dt.UTC).date(),
        restatement=parsed.restatement,
        window=tuple(parsed.window) if parsed.window else None,
        ticket=parsed.ticket,
        overlap=parsed.overlap,
        expected_impact=tuple(parsed.expected) if parsed.expected else None,
    )
    _show(layer, service.bump(layer, parsed.kpi[0], decision))
    return 0


def _show(layer: Layer, bumped: Bumped) -> None:
    from tabulate import tabulate

    from cadran.formats import measure

    record = bumped.record
    card = layer.card(record.kpi)

    def told(value: Any) -> str:
        return "" if value is None else measure(value, card.unit, decimals=card.decimals)

    print(f"{bumped.path}: version {record.version} of {record.kpi}\n")
    if bumped.change:
        for cause in bumped.change.causes:
            print(f"caused by {cause}")
        print(f"\n{bumped.change.difference}\n" if bumped.change.difference else "")
    greatest = max((abs(float(p.change)) for p in bumped.pairs if p.change is not None), default=0)
    rows = [
        (
            pair.period, told(pair.old), told(pair.new),
            "" if pair.change is None else f"{pair.change:+.2%}", _bar(pair.change, greatest),
        )
        for pair in bumped.pairs
    ]  # fmt: skip
    heads = (bumped.grain, f"v{record.version - 1}", f"v{record.version}", "change", "")
    print(tabulate(rows, heads, colalign=("left", "right", "right", "right", "left"),
                   disable_numparse=True))  # fmt: skip
    print("\nrow for CHANGELOG.md (KPI, old, new, effective, restated, impact, reason):")
    print(bumped.changelog)


def _bar(change: float | None, greatest: float) -> str:
    """A bar to the left for less and to the right for more, as long as the change is great."""
    half = _WIDTH // 2
    length = round(half * abs(change) / greatest) if change and greatest else 0
    left = ("█" * length).rjust(half, "·") if change and change < 0 else "·" * half
    return f"{left}│{'█' * length if change and change > 0 else ''}"


def _asked(given: str | None, what: str) -> str:
    if given:
        return given
    from cadran.errors import QueryError

    if not sys.stdin.isatty():
        flag = what.split(maxsplit=1)[0]
        raise QueryError(f"A new version needs a {what}: give --{flag}.")
    return input(f"{what}: ").strip()


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no date such as 2026-11-01") from None


def _share(text: str) -> float:
    try:
        return float(text) / 100
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number of percent such as -2") from None
