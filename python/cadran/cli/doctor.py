"""`cadran doctor`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from cadran.cli.common import add_project, examples
from cadran.errors import QueryError

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "--sources",
        nargs="+",
        metavar="PLACE",
        help="a folder or schema:<name> for all sources, or source=PLACE for each "
        "(default: the variable cadran_sources)",
    )
    parser.add_argument(
        "--domains",
        nargs="+",
        metavar="DOMAIN",
        help="commerce, support, platform (default: the variable cadran_domains)",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="form of the report"
    )
    add_project(parser, built=False)
    examples(
        parser,
        "cadran doctor",
        "cadran doctor --sources data/mine --domains commerce",
        "cadran doctor --sources shop=data/mine helpdesk=schema:helpdesk --format json",
    )
    parser.set_defaults(run=_doctor)


def _doctor(parsed: argparse.Namespace) -> int:
    from cadran.doctor import examine

    # Several seconds at full size: a person is told where it is, a pipe is not.
    is_watched = sys.stderr.isatty()
    report = examine(
        parsed.project_dir,
        sources=_places(parsed.sources),
        domains=parsed.domains,
        database=parsed.database,
        progress=_say if is_watched else None,
    )
    if parsed.format == "json":
        print(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
    else:
        print(report.to_text())
    return 0 if report.is_clean else 1


def _say(table: str) -> None:
    print(f"cadran: looking at {table} ...", file=sys.stderr)


def _places(words: list[str] | None) -> str | dict[str, str] | None:
    if not words:
        return None
    if len(words) == 1 and "=" not in words[0]:
        return words[0]
    pairs = [word.partition("=") for word in words]
    if any(not middle for _, middle, _ in pairs):
        raise QueryError(
            "Several places need the name of their source before them: "
            "--sources shop=data/mine helpdesk=schema:helpdesk."
        )
    return {source: place for source, _, place in pairs}
