"""`cadran board`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from cadran.cli.common import TEXTS, describe, open_layer, write_rows
from cadran.cli.language import warn
from cadran.formats import files, numbers, periods
from cadran.formats.words import words
from cadran.insight.breaks import sentence
from cadran.insight.scorecard import make

if TYPE_CHECKING:
    import argparse

    from cadran.insight.scorecard import Board, Row

# Sign and colour, beside the word in either language: never the colour alone.
STATUS = {
    "on target": ("●", "32"),
    "near target": ("◐", "33"),
    "warning": ("▲", "33"),
    "critical": ("■", "31"),
    "no target": ("·", "2"),
}
NOTES = """\
Each KPI at its latest complete period: the change against the period before and the same period
of the year before (percent of an amount, points of a rate), its target and status, the last twelve
periods, and who answers for it. A star marks a KPI whose meaning changed within the periods that
are compared. A status is `near target` between target and warning threshold.
"""


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = f"{parser.description}\n\n{NOTES}"
    usage = """
        kpis KPI*  only these
        --grain    length of the period (default: %(default)s)
    """
    grains = {"choices": periods.GRAINS, "default": "month"}
    shown = ("cadran board", "cadran board --grain week --lang fr")
    describe(parser, _board, usage, formats=TEXTS, language=True, shown=shown, grain=grains)


def _board(parsed: argparse.Namespace) -> int:
    board = make(open_layer(parsed), parsed.grain, parsed.kpis or None)
    if parsed.format != "table":
        write_rows(board.to_rows(parsed.lang), parsed.format, parsed.output)
    else:
        is_coloured = (
            parsed.output is None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        )
        page = text(board, parsed.lang, is_coloured=is_coloured)
        if parsed.output:
            files.write(parsed.output, f"{page}\n")
        else:
            print(page)
    for name, problem in board.failures.items():
        warn(f"{name} {words('board', parsed.lang)['failed']}: {problem}")
    return 0


def text(board: Board, lang: str = "en", *, is_coloured: bool = False) -> str:
    """The board as a page of text."""
    from tabulate import tabulate

    w = words("board", lang)
    title = w["title"].format(
        period=periods.label(board.period, board.grain, lang),
        until=periods.label(board.last_day, "day", lang),
    )
    heads = [
        w["kpi"], periods.label(board.period, board.grain, lang), w["previous"],
        w["year"], w["target"], w["status"], w["last"], w["owner"],
    ]  # fmt: skip
    sides = ("left", "right", "right", "right", "right", "left", "left", "left")
    lines = [
        row for tier in ("strategic", "operational") for row in board.rows if row.card.tier == tier
    ]
    cells = [_cells(row, lang, is_coloured=is_coloured) for row in lines]
    # One table for both tiers, so that their columns stand in line; then cut in two.
    table = tabulate(
        cells, headers=heads, tablefmt="simple", colalign=sides, disable_numparse=True
    ).splitlines()
    page, body = [title, "", *table[:2]], table[2:]
    for tier in ("strategic", "operational"):
        count = sum(row.card.tier == tier for row in lines)
        if count:
            page += [w[tier], *body[:count], ""]
            body = body[count:]
    end = periods.last_of(board.period, board.grain)
    for row in lines:
        if row.complete_through is not None and row.complete_through < end:
            day = periods.label(row.complete_through, "day", lang)
            page.append(f"{row.card.localized(lang).label}: {w['partial'].format(until=day)}")
        page += [
            f"* {sentence(version_break, row.card, board.grain, lang)}"
            for version_break in row.breaks
        ]
    return "\n".join(page).rstrip()


def _cells(row: Row, lang: str, *, is_coloured: bool) -> list[str]:
    card, decimals = row.card.localized(lang), row.card.decimals
    sign, colour = STATUS[row.status.value]
    status = f"{sign} {words('status', lang)[row.status.value]}"
    return [
        f"{card.label} *" if row.breaks else card.label,
        numbers.measure(row.value, card.unit, decimals=decimals, lang=lang),
        numbers.change(row.value, row.previous, card.unit, decimals=decimals, lang=lang),
        numbers.change(row.value, row.year_before, card.unit, decimals=decimals, lang=lang),
        numbers.measure(
            row.target.target if row.target else None, card.unit, decimals=decimals, lang=lang
        ),
        f"\x1b[{colour}m{status}\x1b[0m" if is_coloured else status,
        numbers.sparkline(list(row.history)),
        card.owner.business,
    ]
