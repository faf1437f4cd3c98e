"""`cadran report`: the board pack of a period."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cadran.cli.common import describe, open_layer
from cadran.errors import QueryError
from cadran.formats import files
from cadran.insight.source import Source

if TYPE_CHECKING:
    import argparse

FORMATS = ("html", "pdf")
NOTES = """\
What an executive committee reads, of a month, a quarter or a year: a verdict, the KPIs against
their targets and the year before, service levels, incidents, trends, costs and an outlook. Every
figure is the one that `cadran query` gives. A period that is not over is shown to date and compared
with the same days of the year before. A PDF that would be badly laid out is refused.
"""


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.description = f"{parser.description}\n\n{NOTES}"
    usage = """
        --period PERIOD   2026, 2026-Q3 or 2026-09
        --format FORMATS  html, pdf or both, with commas between (default: %(default)s)
        --out FOLDER      where the files go (default: this folder)
        --name NAME       the organisation at the head of the pages (default: the project's name)
    """
    shown = ("cadran report --period 2026-Q3", "cadran report --period 2026 --lang fr --format pdf")
    describe(
        parser, _report, usage, language=True, shown=shown,
        period={"required": True}, format={"default": ",".join(FORMATS)},
        out={"type": Path, "default": Path()}, name={"default": ""},
    )  # fmt: skip


def _report(parsed: argparse.Namespace) -> int:
    from cadran.reports.html import html
    from cadran.reports.make import pack_of
    from cadran.reports.pdf import pdf

    formats = [form.strip() for form in parsed.format.split(",")]
    for form in formats:
        if form not in FORMATS:
            raise QueryError(f"format is {form!r}; it can be {', '.join(FORMATS)}.")
    source = Source.of(open_layer(parsed))
    pack = pack_of(source, parsed.period, parsed.lang, name=parsed.name)
    parsed.out.mkdir(parents=True, exist_ok=True)
    for form in formats:
        content = html(pack).encode() if form == "html" else pdf(pack)
        file = parsed.out / f"pack_{pack.key}_{pack.lang}.{form}"
        files.write(file, content)
        print(file)
    return 0
