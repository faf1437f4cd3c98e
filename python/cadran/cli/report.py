"""`cadran report`: the board pack of a period."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cadran.cli.common import TEXTS, describe, open_layer, write_rows
from cadran.core.project import git
from cadran.errors import QueryError
from cadran.formats import files
from cadran.insight.source import Source
from cadran.reports import said

if TYPE_CHECKING:
    import argparse

    from cadran.reports.pack import Pack
    from cadran.reports.said import SaidPack

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
        words WORD*       `diff OLD NEW`: what moved between two packs that went out, such as
                          pack-1 and pack-2, or from one to `now`; --format csv, json or jsonl
        --period PERIOD   2026, 2026-Q3 or 2026-09
        --publish         keep what it says in the journal, as said today, under an id
        --by EMAIL        who publishes it (default: git's user)
        --format FORMATS  html, pdf or both, with commas between (default: %(default)s)
        --out FOLDER      where the files go (default: this folder)
        --name NAME       the organisation at the head of the pages (default: the project's name)
    """
    shown = ("cadran report --period 2026-Q3", "cadran report --period 2026 --lang fr --format pdf")
    describe(
        parser, _report, usage, language=True, shown=shown,
        format={"default": ",".join(FORMATS)},
        out={"type": Path, "default": Path()}, name={"default": ""},
    )  # fmt: skip


def _report(parsed: argparse.Namespace) -> int:
    from cadran.reports.html import html
    from cadran.reports.make import pack_of
    from cadran.reports.pdf import pdf

    if parsed.words:
        return _diff(parsed)
    if parsed.period is None:
        raise QueryError("No period is named: give --period 2026, 2026-Q3 or 2026-09.")
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
    if parsed.publish:
        print(_published(parsed, source, pack).id)
    return 0


def _published(parsed: argparse.Namespace, source: Source, pack: Pack) -> SaidPack:
    """The pack as it is kept: its figures, and its recommendations in both languages."""
    from cadran.reports import recommend

    by = parsed.by or git.user(parsed.project_dir)
    if not by:
        raise QueryError("Nobody is named who publishes: give --by EMAIL, or set git's user.email.")
    titles: dict[str, dict[str, str]] = {}
    for lang, found in recommend.in_languages(source.layer, pack.key).items():
        for entry in found:
            if entry.status != "held":
                titles.setdefault(entry.id, {})[lang] = entry.title
    figures = said.said_in(pack, source.layer)
    return said.publish(source.layer, pack.key, figures, by=by, recommendations=titles)


def _diff(parsed: argparse.Namespace) -> int:
    from cadran.reports.make import pack_of

    match parsed.words:
        case ["diff", old, new]:
            layer = open_layer(parsed)
            before = said.pack(layer, old)
            if new == "now":
                now = pack_of(Source.of(layer), before.period)
                after = said.said_in(now, layer)
            else:
                after = said.pack(layer, new).figures
        case _:
            raise QueryError(
                f"'{' '.join(parsed.words)}' is not known here: write `diff OLD NEW` with two packs"
                " that went out, such as pack-1 and pack-2, or `diff pack-1 now`."
            )
    form = parsed.format if parsed.format in TEXTS else "table"
    rows = [moved.to_row() for moved in said.diff(before.figures, after)]
    write_rows(rows, form)
    return 1 if rows else 0
