"""`cadran bump`."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.cli.common import add_project, examples, open_layer
from cadran.core.project import dbt, git
from cadran.core.versions.record import share_steps
from cadran.errors import ProjectError, QueryError
from cadran.formats.numbers import measure, sparkline
from cadran.governance import bump as service
from cadran.governance.approval import Decision

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.governance.bump import Bumped
    from cadran.governance.impact import Pair

_KINDS = ("policy", "estimate", "error", "source", "equivalent")
_RESTATEMENTS = ("none", "effective", "full", "window")
_WIDTH = 24


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = (
        f"{parser.description} What is not given is asked for at a terminal. Nothing is written"
        " when the change does something else than was expected of it."
    )
    parser.add_argument("kpi", nargs="*", metavar="KPI", help="the KPI whose meaning changed")
    parser.add_argument(
        "--first", action="store_true", help="write the first version of these KPIs, or of all"
    )
    parser.add_argument(
        "--again", action="store_true", help="write its last version anew, which is not merged yet"
    )
    parser.add_argument(
        "--share-steps",
        action="store_true",
        help="store the frozen SQL that records hold once, under versions/steps; seals hold",
    )
    parser.add_argument(
        "--renew",
        action="store_true",
        help="note in kpi.lock how these KPIs, or all, are written now with the meaning they had",
    )
    parser.add_argument(
        "--kind",
        choices=_KINDS,
        help="what kind of change it is; equivalent is proved by running both",
    )
    parser.add_argument("--reason", help="why, in a sentence")
    parser.add_argument("--approver", metavar="EMAIL", help="who approves: the owner or a delegate")
    parser.add_argument("--author", metavar="EMAIL", help="who changed it (default: git's user)")
    parser.add_argument(
        "--effective-from", type=_date, metavar="DATE", help="its first day (default: today)"
    )
    parser.add_argument(
        "--restatement",
        choices=_RESTATEMENTS,
        help="which published values it replaces (default: none)",
    )
    parser.add_argument(
        "--window", nargs=2, type=_date, metavar=("FROM", "TO"), help="days that are restated"
    )
    parser.add_argument("--ticket", default="", help="where it was discussed")
    parser.add_argument(
        "--overlap", default="12 months", help="how long both are shown (default: 12 months)"
    )
    parser.add_argument(
        "--expected",
        nargs=2,
        type=_share,
        metavar=("LEAST", "GREATEST"),
        help="the expected change of a period's value, in percent: -2 0",
    )
    parser.add_argument(
        "--chart", type=Path, metavar="FILE", help="draw old and new into this SVG file"
    )
    add_project(parser)
    examples(
        parser,
        "cadran bump --first",
        "cadran bump --renew",
        "cadran bump net_revenue --kind policy --reason 'Marketplace without tax' --expected -3 0 "
        "--approver head.of.sales@example.com --effective-from 2026-11-01 --chart impact.svg",
    )
    parser.set_defaults(run=_bump)


def _share_steps(root: Path | None) -> int:
    if root is None:
        raise ProjectError("A manifest alone has no records: run it in a project.")
    for path in share_steps(root):
        print(path)
    return 0


def _renew(layer: Layer, kpis: list[str]) -> int:
    for kpi in service.renew(layer, kpis or layer.meanings.kpis()):
        print(kpi)
    return 0


def _bump(parsed: argparse.Namespace) -> int:
    dbt.refresh(open_layer(parsed).project)
    layer = open_layer(parsed)
    root = layer.project.root
    if parsed.share_steps:
        return _share_steps(root)
    if parsed.renew:
        return _renew(layer, parsed.kpi)
    author = parsed.author or (git.user(root) if root else None)
    if not author:
        raise QueryError("Nobody is the author: give --author, or set git's user.email.")
    if parsed.first:
        paths = service.first(layer, parsed.kpi or layer.meanings.kpis(), author)
        for path in paths:
            print(path)
        if not paths:
            print("cadran: each of them has a version already", file=sys.stderr)
        return 0
    if len(parsed.kpi) != 1:
        raise QueryError("Name the one KPI whose meaning changed.")
    card = layer.card(parsed.kpi[0])
    bumped = service.bump(layer, card.name, _decision(parsed, author), again=parsed.again)
    _show(card, bumped)
    if parsed.chart:
        parsed.chart.write_text(_chart(card, bumped), encoding="utf-8")
        print(f"\n{parsed.chart}: both versions as a picture")
    return 0


def _decision(parsed: argparse.Namespace, author: str) -> Decision:
    """The decision that the flags hold, and the answers to what they leave open."""
    kind = _ask(parsed.kind, "kind", f"kind of change ({', '.join(_KINDS)})")
    expected = parsed.expected
    if expected is None and kind != "equivalent":
        expected = _ask(None, "expected", "expected change in percent, least and greatest", _range)
    return Decision(
        kind=kind,
        reason=_ask(parsed.reason, "reason", "reason, in a sentence"),
        author=author,
        approver=_ask(parsed.approver, "approver", "approver (an e-mail address)"),
        effective_from=parsed.effective_from
        or _ask(None, "effective-from", "first day", _date, default=_today().isoformat()),
        restatement=parsed.restatement
        or _ask(None, "restatement", f"restated ({', '.join(_RESTATEMENTS)})", default="none"),
        window=tuple(parsed.window) if parsed.window else None,
        ticket=parsed.ticket,
        overlap=parsed.overlap,
        expected_impact=tuple(expected) if expected else None,
    )


def _ask(
    value: Any, flag: str, prompt: str, read: Callable[[str], Any] = str, *, default: str = ""
) -> Any:
    """What was given, else the answer at a terminal, else the default."""
    if value is not None:
        return value
    if not sys.stdin.isatty():
        if not default:
            raise QueryError(f"A new version needs --{flag}: {prompt}.")
        return read(default)
    answer = input(f"{prompt}{f' [{default}]' if default else ''}: ").strip() or default
    try:
        return read(answer)
    except argparse.ArgumentTypeError as problem:
        raise QueryError(f"{problem}.") from None


def _show(card: Card, bumped: Bumped) -> None:
    record = bumped.record
    print(f"{bumped.path}: version {record.version} of {record.kpi}")
    for cause in bumped.change.causes:
        print(f"caused by {cause}")
    if bumped.change.difference:
        print(f"\n{bumped.change.difference}")
    if bumped.pairs:
        print(f"\n{_table(card, bumped)}")
    if record.proof:
        proof = record.proof
        print(f"\nproved equal: {proof['rows']:,} values by {proof['grain']}, none differs")
    if not bumped.has_card:
        print(f"\nset `version: {record.version}` on the card of {record.kpi} yourself")
    print("\nrow for CHANGELOG.md")
    print("| KPI | old | new | effective | restated | impact | reason |")
    print(bumped.changelog)


def _table(card: Card, bumped: Bumped) -> str:
    """Old beside new, period by period, and both as a line."""
    from tabulate import tabulate

    def cell(value: Any) -> str:
        return "" if value is None else measure(value, card.unit, decimals=card.decimals)

    def change(pair: Pair) -> str:
        return "" if pair.change is None else f"{pair.change:+.2%}"

    pairs = bumped.pairs
    greatest = max((abs(pair.change) for pair in pairs if pair.change is not None), default=0.0)
    rows = [
        (
            pair.period,
            cell(pair.old),
            cell(pair.new),
            change(pair),
            _bar(pair.change, greatest),
        )
        for pair in pairs
    ]
    names = f"v{bumped.record.version - 1}", f"v{bumped.record.version}"
    table = tabulate(
        rows, (bumped.grain, *names, "change", ""), disable_numparse=True,
        colalign=("left", "right", "right", "right", "left"),
    )  # fmt: skip
    # On one scale, so that what lies lower looks lower.
    curve = sparkline([pair.old for pair in pairs] + [pair.new for pair in pairs])
    return f"{table}\n\n{names[0]}  {curve[: len(pairs)]}\n{names[1]}  {curve[len(pairs) :]}"


def _bar(change: float | None, greatest: float) -> str:
    """A bar to the left for less and to the right for more, as long as the change is great."""
    half = _WIDTH // 2
    length = round(half * abs(change) / greatest) if change and greatest else 0
    left = ("█" * length).rjust(half, "·") if change and change < 0 else "·" * half
    return f"{left}│{'█' * length if change and change > 0 else ''}"


def _chart(card: Card, bumped: Bumped) -> str:
    from cadran import charts

    time = f"metric_time__{bumped.grain}"
    old, new = (
        [{time: pair.period, card.name: getattr(pair, side)} for pair in bumped.pairs]
        for side in ("old", "new")
    )
    names = f"v{bumped.record.version - 1}", f"v{bumped.record.version}"
    chart = charts.overlap(old, new, card, names=names, effective=bumped.record.effective_from)
    return charts.svg(chart, f"{card.label}, {names[0]} and {names[1]}")


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


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


def _range(text: str) -> tuple[float, ...]:
    shares = tuple(_share(word) for word in text.replace(",", " ").split())
    if len(shares) != 2:  # noqa: PLR2004 - least and greatest
        raise argparse.ArgumentTypeError(f"'{text}' is no range of percents such as -2 0")
    return shares
