"""`cadran usage`: who asks a server for which KPI."""

from __future__ import annotations

import datetime as dt
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.cli.common import add_project, examples, open_layer
from cadran.cli.output import add_format, write_rows

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser, _: str) -> None:
    """Describe the command's arguments."""
    parser.description = (
        f"{parser.description} KPIs that nobody asked are in it, with 0. What the server asks"
        " itself to be warm does not count."
    )
    parser.add_argument(
        "--since", metavar="WHEN", help="questions from then on: 30d or 2026-10-01 (default: all)"
    )
    parser.add_argument("--audit", type=Path, metavar="FOLDER", help="the record of questions")
    add_format(parser)
    add_project(parser)
    examples(parser, "cadran usage", "cadran usage --since 90d --format csv")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Print one row for each KPI, those asked most first."""
    from cadran.access import record, usage

    layer = open_layer(parsed)
    folder = parsed.audit or usage.folder_of(layer.project.root or Path())
    found = record.read(folder, _since(parsed.since))
    for place in found.torn[:10]:
        print(f"cadran: {place} is torn and was skipped", file=sys.stderr)
    if not found.entries:
        print(f"cadran: no question is recorded in {folder}", file=sys.stderr)
    kpis = [card.name for card in layer.kpis()]
    used = usage.of(found.entries, kpis).values()
    rows = [one.row() for one in sorted(used, key=lambda one: (-one.questions, one.name))]
    write_rows(rows, parsed.format, parsed.output)
    return 0


def _since(text: str | None) -> dt.datetime | None:
    from cadran.errors import QueryError

    if text is None:
        return None
    days = re.fullmatch(r"(\d{1,5})\s*d", text.strip())
    if days:
        return dt.datetime.now(dt.UTC) - dt.timedelta(days=int(days[1]))
    try:
        return dt.datetime.combine(dt.date.fromisoformat(text.strip()), dt.time.min, dt.UTC)
    except ValueError:
        raise QueryError(f"--since is '{text}'; it takes 30d or 2026-10-01.") from None
