"""`cadran bump`."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.charts import rows
from cadran.charts.still import Drawing
from cadran.cli.common import add_project, examples, open_layer
from cadran.cli.language import said, tell, warn
from cadran.core.project import dbt, git, lock
from cadran.core.result import KEEPING
from cadran.core.versions.evidence import UNPROVED
from cadran.core.versions.record import change_text, share_steps
from cadran.errors import ProjectError, QueryError
from cadran.formats.numbers import measure, sparkline
from cadran.governance import bump as service
from cadran.governance.approval import Decision, is_rate, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadran.core.layer import Layer
    from cadran.core.project.cards import Card
    from cadran.governance.bump import Bumped, Preview
    from cadran.governance.impact import Pair

_KINDS = ("policy", "estimate", "error", "source", "equivalent", "wording")
_RESTATEMENTS = ("none", "effective", "full", "window")
_WIDTH = 24


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = (
        f"{parser.description} What is not given is asked for at a terminal. Nothing is written"
        " when the change does something else than was expected of it."
    )
    parser.add_argument("kpi", nargs="*", metavar="KPI", help="the KPIs whose meaning changed")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--first", action="store_true", help="write the first version of these KPIs, or of all"
    )
    instead.add_argument(
        "--dry-run",
        action="store_true",
        help="show what the change does to values, before anything is expected; write nothing",
    )
    instead.add_argument(
        "--renamed-from",
        metavar="OLD",
        help="record that the KPI is OLD under a new name, with the same meaning",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="write the last version anew, which is neither merged nor published; with --first the"
        " first one",
    )
    parser.add_argument(
        "--cause",
        metavar="NAME",
        help="decide as one about all KPIs that a changed model, macro, variable, seed, metric or"
        " file moves; with KPIs named, about no others",
    )
    instead.add_argument(
        "--approve",
        action="store_true",
        help="sign a git tag that approves the last version of these KPIs, by your own key",
    )
    instead.add_argument(
        "--merge-lock",
        nargs="*",
        metavar="FILE",
        help="join both sides of a merge in kpi.lock; with BASE OURS THEIRS as git's merge driver",
    )
    instead.add_argument(
        "--share-steps",
        action="store_true",
        help="store the frozen SQL that records hold once, under versions/steps; seals hold",
    )
    instead.add_argument(
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
    parser.add_argument(
        "--approver",
        nargs="+",
        metavar="EMAIL",
        help="who approves: the owner or a delegate; several where the KPIs have several owners",
    )
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
        "--expected-points",
        nargs=2,
        type=_share,
        metavar=("LEAST", "GREATEST"),
        help="the same of a rate, in points of percent: -0.5 0.5",
    )
    parser.add_argument(
        "--chart", type=Path, metavar="FILE", help="draw old and new into this SVG file"
    )
    add_project(parser)
    examples(
        parser,
        "cadran bump --first",
        "cadran bump --renew",
        "cadran bump net_revenue --dry-run",
        "cadran bump net_revenue --kind policy --reason 'Marketplace without tax' --expected -3 0 "
        "--approver head.of.sales@example.com --effective-from 2026-11-01 --chart impact.svg",
        "cadran bump --cause fct_order_lines --kind policy --reason 'Without tax' --expected -4 -1 "
        "--expected-points -1 1 --approver head.of.sales@example.com",
        "cadran bump net_revenue --approve",
        "cadran bump revenue --renamed-from net_revenue --reason 'As the annual report says' "
        "--approver head.of.sales@example.com",
    )
    parser.set_defaults(run=_bump)


def _bump(parsed: argparse.Namespace) -> int:
    if parsed.merge_lock is not None:
        return _merge_lock(parsed.project_dir, [Path(file) for file in parsed.merge_lock])
    if parsed.approve:
        return _approve(parsed.project_dir, _named(parsed))
    dbt.refresh(open_layer(parsed).project)
    layer = open_layer(parsed)
    modes = (
        (parsed.share_steps, _share_steps),
        (parsed.renew, _renew),
        (parsed.dry_run, _dry_run),
        (parsed.first, _first),
        (parsed.renamed_from, _rename),
    )
    return next((work for is_chosen, work in modes if is_chosen), _next)(layer, parsed)


def _approve(root: Path, kpis: list[str]) -> int:
    """Sign each of them; exit 1 where the key is not known to be the approver's."""
    unproved = False
    for kpi in kpis:
        tag, approval = sign(root, kpi)
        tell(f"{tag}: {approval.text}, {approval.evidence}; publish it: `git push origin {tag}`")
        unproved |= approval.state == UNPROVED
    return int(unproved)


def _share_steps(layer: Layer, _parsed: argparse.Namespace) -> int:
    if layer.project.root is None:
        raise ProjectError("A manifest alone has no records: run it in a project.")
    for path in share_steps(layer.project.root):
        print(path)
    return 0


def _renew(layer: Layer, parsed: argparse.Namespace) -> int:
    for kpi in service.renew(layer, parsed.kpi or layer.meanings.kpis()):
        print(kpi)
    return 0


def _first(layer: Layer, parsed: argparse.Namespace) -> int:
    if parsed.again and not parsed.kpi:
        raise QueryError("Name the KPIs whose first version is written again.")
    kpis = parsed.kpi or layer.meanings.kpis()
    paths = service.first(layer, kpis, _author(layer, parsed), again=parsed.again)
    for path in paths:
        print(path)
    if not paths:
        warn("each of them has a version already")
    return 0


def _rename(layer: Layer, parsed: argparse.Namespace) -> int:
    decision = Decision(
        kind="renamed", author=_author(layer, parsed), effective_from=_today(),
        reason=_ask(parsed.reason, "reason", "reason, in a sentence"),
        approver=_approvers(parsed)[0], ticket=parsed.ticket,
    )  # fmt: skip
    [kpi] = _named(parsed, at_most=1)
    print(service.rename(layer, kpi, parsed.renamed_from, decision))
    return 0


def _next(layer: Layer, parsed: argparse.Namespace) -> int:
    author = _author(layer, parsed)
    kpis = _moved(layer, parsed)
    cards = [layer.card(kpi) for kpi in kpis]
    if parsed.chart and len(kpis) > 1:
        raise QueryError("A chart shows one KPI: name one with --chart.")
    results = service.bump_together(
        layer, kpis, _decision(parsed, author, cards), again=parsed.again,
        approvers=parsed.approver or (),
    )  # fmt: skip
    for card, bumped in zip(cards, results, strict=True):
        _show(card, bumped)
    if parsed.chart:
        _chart(cards[0], results[0]).save(parsed.chart)
        tell(f"\n{parsed.chart}: both versions as a picture")
    return 0


def _author(layer: Layer, parsed: argparse.Namespace) -> str:
    root = layer.project.root
    author = parsed.author or (git.user(root) if root else None)
    if not author:
        raise QueryError("Nobody is the author: give --author, or set git's user.email.")
    return str(author)


def _approvers(parsed: argparse.Namespace) -> list[str]:
    return parsed.approver or [_ask(None, "approver", "approver (an e-mail address)")]


def _named(parsed: argparse.Namespace, at_most: int | None = None) -> list[str]:
    if not parsed.kpi or (at_most and len(parsed.kpi) > at_most):
        raise QueryError("Name the KPI whose meaning changed, or give --cause.")
    return list(parsed.kpi)


def _moved(layer: Layer, parsed: argparse.Namespace) -> list[str]:
    """The KPIs that are named, which one cause moves where it is given; or all that it moves."""
    if not parsed.cause:
        return _named(parsed)
    moved = service.moved_by(layer, parsed.cause)
    unmoved = [kpi for kpi in parsed.kpi if kpi not in moved]
    if unmoved:
        raise QueryError(
            f"{', '.join(unmoved)} is not moved by {parsed.cause}; it moves {', '.join(moved)}."
        )
    return list(parsed.kpi) or moved


def _dry_run(layer: Layer, parsed: argparse.Namespace) -> int:
    for kpi in _moved(layer, parsed):
        shown = service.preview(layer, kpi, parsed.overlap, again=parsed.again)
        tell(f"{kpi}: version {shown.version} is not written")
        _show_change(layer.card(kpi), shown)
        impact = shown.measured
        if impact.get("least") is not None:
            text = change_text(impact["least"], impact["greatest"], in_points=shown.in_points)
            tell(f"\n{kpi} changes by {text} by {shown.grain}\n")
    return 0


def _merge_lock(project: str | Path | None, files: list[Path]) -> int:
    """Join both sides of a merge in the lock; exit 1, as git wants it, when some of it is left."""
    if len(files) not in {0, 3}:
        raise QueryError("A merge driver gets BASE OURS THEIRS; without files git's index is read.")
    sides = files or Path(project or ".") / lock.FILE
    left = lock.join_sides(sides) if isinstance(sides, Path) else lock.join_files(*sides)
    for problem in left:
        warn(problem)
    return 1 if left else 0


def _decision(parsed: argparse.Namespace, author: str, cards: list[Card]) -> Decision:
    """The decision that the flags hold, and the answers to what they leave open."""
    kind = _ask(parsed.kind, "kind", f"kind of change ({', '.join(_KINDS)})")
    expected, points = parsed.expected, parsed.expected_points
    rates = [is_rate(card) for card in cards]
    if kind not in KEEPING and expected is None and not all(rates):
        expected = _ask(None, "expected", "expected change in percent, least and greatest", _range)
    if kind not in KEEPING and points is None and any(rates):
        prompt = "expected change of rates in points, least and greatest"
        points = _ask(None, "expected-points", prompt, _range)
    return Decision(
        kind=kind,
        reason=_ask(parsed.reason, "reason", "reason, in a sentence"),
        author=author,
        approver=_approvers(parsed)[0],
        effective_from=parsed.effective_from
        or _ask(None, "effective-from", "first day", _date, default=_today().isoformat()),
        restatement=parsed.restatement
        or _ask(None, "restatement", f"restated ({', '.join(_RESTATEMENTS)})", default="none"),
        window=tuple(parsed.window) if parsed.window else None,
        ticket=parsed.ticket,
        overlap=parsed.overlap,
        expected_impact=tuple(expected) if expected else None,
        expected_points=tuple(points) if points else None,
        cause=parsed.cause or "",
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
    answer = input(f"{said(prompt)}{f' [{default}]' if default else ''}: ").strip() or default
    try:
        return read(answer)
    except argparse.ArgumentTypeError as problem:
        raise QueryError(f"{problem}.") from None


def _show_change(card: Card, shown: Preview) -> None:
    for cause in shown.change.causes:
        tell(f"caused by {cause}")
    if shown.change.difference:
        print(f"\n{shown.change.difference}")
    if shown.pairs:
        print(f"\n{_table(card, shown)}")


def _show(card: Card, bumped: Bumped) -> None:
    record = bumped.record
    tell(f"{bumped.path}: version {record.version} of {record.kpi}")
    _show_change(card, bumped)
    if record.proof:
        proof = record.proof
        tell(f"\nproved equal: {proof['rows']:,} values by {proof['grain']}, none differs")
    if not bumped.has_card:
        tell(f"\nset `version: {record.version}` on the card of {record.kpi} yourself")
    tell("\nrow for CHANGELOG.md")
    print("| KPI | old | new | effective | restated | impact | reason |")
    print(bumped.changelog)


def _table(card: Card, shown: Preview) -> str:
    """Old beside new, period by period, and both as a line."""
    from tabulate import tabulate

    def cell(value: Any) -> str:
        return "" if value is None else measure(value, card.unit, decimals=card.decimals)

    def change(pair: Pair) -> str:
        if pair.change is None:
            return ""
        return f"{pair.change * 100:+.2f} pp" if shown.in_points else f"{pair.change:+.2%}"

    pairs = shown.pairs
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
    names = f"v{shown.version - 1}", f"v{shown.version}"
    table = tabulate(
        rows, (shown.grain, *names, "change", ""), disable_numparse=True,
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


def _chart(card: Card, bumped: Bumped) -> Drawing:
    old, new = (
        {pair.period: getattr(pair, side) for pair in bumped.pairs} for side in ("old", "new")
    )
    names = f"v{bumped.record.version - 1}", f"v{bumped.record.version}"
    effective = bumped.record.effective_from
    return Drawing(rows.versions(old, new, card, bumped.grain, names=names, effective=effective))


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
