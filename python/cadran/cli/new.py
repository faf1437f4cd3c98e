"""`cadran init` and `cadran new`: the first files of a project, of a KPI and of a metric."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.cli.common import describe, examples, open_layer
from cadran.cli.language import said, tell, warn
from cadran.core.project import dbt, git
from cadran.errors import CadranError, ProjectError, QueryError
from cadran.governance import bump, drafting, starting

if TYPE_CHECKING:
    import argparse

    from cadran.core.layer import Layer
    from cadran.governance.drafting import Written

_AGGREGATIONS = (
    "sum", "count", "count_distinct", "average", "min", "max", "median", "sum_boolean",
)  # fmt: skip
_KINDS = ("simple", "ratio", "derived", "cumulative", "conversion")
_DEMO_LEAVES = shutil.ignore_patterns(
    ".git", ".venv", "target", "logs", "data", "*.duckdb*", "__pycache__", "*.egg-info", ".*_cache",
    "cadran_tokens.json*", ".cadran_tokens.json*", ".user.yml", ".schemas",
)  # fmt: skip
# What was asked and said in the clone. Packages below have such names too.
_DEMO_LEAVES_ON_TOP = {"audit", "journal", "scratch", "build", "dist"}


def add_init(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    usage = """
        --demo FOLDER       copy the demo company into a new folder instead
        --languages LANG+   languages of the cards, that of their own words first (default: as
                            they are)
        --ci                continuous integration (default: what the repository shows)
        --first-day DAY     first day of a time spine, where none is declared (default: 2020-01-01)
    """
    shown = (
        "cadran init",
        "cadran init --languages fr en --ci gitlab",
        "cadran init --demo ../cadran-demo",
    )
    describe(
        parser, _init, usage, project="folder", shown=shown,
        demo={"type": Path}, languages={"choices": ("en", "fr")},
        ci={"choices": ("github", "gitlab", "none")}, first_day={"default": "2020-01-01"},
    )  # fmt: skip


def _init(parsed: argparse.Namespace) -> int:
    if parsed.demo:
        return _demo(parsed.demo)
    steps = starting.start(
        parsed.project_dir, languages=tuple(parsed.languages), ci=parsed.ci or "",
        first_day=parsed.first_day,
    )  # fmt: skip
    for step in steps:
        note = f"  ({said(step.note)})" if step.note else ""
        print(f"{said(step.state):<10}  {step.path}{note}")
    print()
    tell("Next: dbt build, then `cadran list --metrics` and `cadran new kpi METRIC`.")
    return 0


def _demo(folder: Path) -> int:
    """Copy the project that this package stands in: the demo company is part of it."""
    source = Path(__file__).resolve().parents[3]
    if not (source / "python" / "cadran_demo").exists():
        raise ProjectError(
            "The demo company's models are not in the installed package: clone the repository, and"
            " run this there."
        )
    if folder.resolve().is_relative_to(source):
        raise QueryError(
            f"{folder} is inside of {source}, which is copied: name a folder outside, such as"
            f" {source.with_name('cadran-demo')}."
        )
    if folder.exists() and any(folder.iterdir()):
        raise QueryError(f"{folder} is not empty: name a new folder.")

    def left(place: str, names: list[str]) -> set[str]:
        on_top = _DEMO_LEAVES_ON_TOP if Path(place) == source else set()
        return _DEMO_LEAVES(place, names) | (on_top & {*names})

    shutil.copytree(source, folder, ignore=left, dirs_exist_ok=True, symlinks=True)
    place = shlex.quote(str(folder))
    tell(f"The demo company is in {folder}. Next: cd {place} && cadran demo && dbt build")
    return 0


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    kinds = parser.add_subparsers(title="what", metavar="WHAT", required=True)
    kpi = kinds.add_parser(
        "kpi",
        help="the card of a metric, as its definition tells it",
        description="Write the card of a metric, as its definition tells it.",
    )
    usage = """
        metric METRIC      a metric of the project (see cadran list --metrics)
        --objective NAME   a row of the seed of objectives
        --owner EMAIL      who answers for its meaning
        --record           record its first version as well
        --print            show the card, write nothing
    """
    describe(kpi, _kpi, usage, shown=("cadran new kpi order_count --objective grow",))
    metric = kinds.add_parser(
        "metric",
        help="the YAML of a metric over a mart or other metrics",
        description="Write the YAML of a metric over a mart or other metrics.",
    )
    usage = """
        name NAME          such as order_count
        --type             kind of metric (default: %(default)s)
        --label TEXT       what people call it
        --model MODEL      of a simple one: the mart whose rows it aggregates
        --agg              of a simple one: how they are aggregated
        --expr SQL         of a simple one over columns, of a derived one over metrics
        --of METRIC+       the metrics it reads: numerator and denominator of a ratio, base and
                           conversion of a conversion
        --window WINDOW    of a cumulative or conversion metric, such as "7 days"
        --to-date          of a cumulative one: begins anew with each of these
        --entity NAME      of a conversion: by which its two sides are joined
    """
    describe(
        metric, _metric, usage,
        shown=(
            "cadran new metric order_count --model fct_orders --agg count --expr order_id",
            "cadran new metric refund_rate --type ratio --of refund_count order_count",
        ),
        type={"choices": _KINDS, "default": "simple"}, agg={"choices": _AGGREGATIONS},
        to_date={"choices": ("week", "month", "quarter", "year")},
    )  # fmt: skip
    examples(
        parser,
        "cadran new kpi order_count --objective grow --owner head.of.sales@example.com",
        "cadran new metric order_count --model fct_orders --agg count --expr order_id",
    )


def _kpi(parsed: argparse.Namespace) -> int:
    layer = _parsed_layer(parsed)
    root = layer.project.root
    author = (git.user(root) if root and parsed.record else None) or ""
    if parsed.record and not author:
        raise QueryError("Nobody is the author: set git's user.email.")
    if parsed.print:
        print(drafting.card_text(layer, parsed.metric, parsed.objective or "", parsed.owner or ""))
        return 0
    written = drafting.new_card(layer, parsed.metric, parsed.objective or "", parsed.owner or "")
    _print_written(written)
    if written.unplaced:
        return 1
    again = _parsed_layer(parsed)
    card = again.card(parsed.metric)
    tell(card.draft_note)
    if parsed.record:
        for path in bump.first(again, [parsed.metric], author):
            print(path)
    tell(
        f"Next: confirm what the comments say, then `cadran query {parsed.metric}`,"
        " `cadran check`, and `status: certified` once the check is green."
    )
    return 0


def _metric(parsed: argparse.Namespace) -> int:
    layer = _parsed_layer(parsed)
    draft = drafting.MetricDraft(
        name=parsed.name, kind=parsed.type, label=parsed.label or "", model=parsed.model or "",
        agg=parsed.agg or "", expr=parsed.expr or "", metrics=tuple(parsed.of),
        window=parsed.window or "", to_date=parsed.to_date or "", entity=parsed.entity or "",
    )  # fmt: skip
    _print_written(drafting.new_metric(layer, draft))
    try:
        _parsed_layer(parsed).metric(parsed.name)
    except CadranError as problem:
        raise ProjectError(f"It is written, and dbt does not take it: {problem}") from None
    tell(f"Next: `cadran query {parsed.name}`, `cadran new kpi {parsed.name}`.")
    return 0


def _parsed_layer(parsed: argparse.Namespace) -> Layer:
    layer = open_layer(parsed)
    dbt.refresh(layer.project)
    return open_layer(parsed)


def _print_written(written: Written) -> None:
    for path in written.paths:
        print(path)
    if written.paths:
        count = len(written.paths)
        tell(f"{written.lines} lines in {count} file{'s' if count > 1 else ''}")
    if written.unplaced:
        warn(f"put this {written.unplaced}")
