"""`cadran report`: the board pack of a period."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from cadran.cli.common import TEXTS, author, describe, open_layer, write_rows
from cadran.core.project import git
from cadran.errors import QueryError
from cadran.formats import files
from cadran.insight.source import Source
from cadran.reliability.alerts import delivery
from cadran.reports import forms, published
from cadran.reports.pdf import printing

if TYPE_CHECKING:
    import argparse

    from cadran.reliability.alerts.policy import Receiver
    from cadran.reports.pack import Pack

NOTES = """\
What an executive committee reads, of a month, a quarter or a year: a verdict, the KPIs against
their targets and the year before, service levels, incidents, trends, costs and an outlook. Every
figure is the one that `cadran query` gives. A period that is not over is shown to date and compared
with the same days of the year before. A PDF or slides that would be badly laid out are refused.
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
        --format FORMATS  html, pdf, pptx and xlsx, with commas between (default: %(default)s)
        --out FOLDER      where the files go (default: this folder)
        --name NAME       the organisation at the head of the pages (default: the project's name)
        --template FILE   a .pptx whose theme, master and layout the slides have
        --send RECEIVER   send the files to a receiver of cadran_alerts.yml that Apprise reaches
    """
    shown = (
        "cadran report --period 2026-Q3",
        "cadran report --period 2026-10 --lang fr --format pptx,xlsx",
    )
    describe(
        parser, _report, usage, language=True, shown=shown,
        format={"default": "html,pdf"},
        out={"type": Path, "default": Path()}, name={"default": ""},
    )  # fmt: skip


def _report(parsed: argparse.Namespace) -> int:
    from cadran.reliability.alerts import policy
    from cadran.reports.make import pack_of

    if parsed.words:
        return _diff(parsed)
    if parsed.period is None:
        raise QueryError("No period is named: give --period 2026, 2026-Q3 or 2026-09.")
    formats = [forms.form_of(text) for text in parsed.format.split(",")]
    if parsed.template is not None and "pptx" not in formats:
        raise QueryError("A template is of slides: write --format pptx with it.")
    # Who publishes, and whether it can be sent, is found out before a minute of work.
    by = author(parsed.by or git.user(parsed.project_dir), "publishes") if parsed.publish else ""
    receiver = policy.chat(parsed.project_dir, parsed.send) if parsed.send else None
    source = Source.of(open_layer(parsed))
    with printing() if {"pdf"} < set(formats) else nullcontext(None) as print_of:
        pack = pack_of(source, parsed.period, parsed.lang, name=parsed.name)
        printed = print_of(pack) if print_of else None
        contents = {
            form: forms.content(pack, form, cards=source.kpis, template=parsed.template)
            for form in dict.fromkeys(formats) if not (form == "pdf" and printed)
        }  # fmt: skip
        if printed:
            contents["pdf"] = printed()
    parsed.out.mkdir(parents=True, exist_ok=True)
    written = []
    for form in dict.fromkeys(formats):
        file = parsed.out / forms.file_name(pack, form)
        files.write(file, contents[form])
        written.append(file)
        print(file)
    if parsed.publish:
        figures = published.figures_in(pack, source.layer)
        kept = published.publish(
            source.layer, pack.key, figures, by=by, recommendations=pack.recommended
        )
        print(kept.id)
    if receiver is not None:
        _send(receiver, parsed.project_dir, pack, written)
        print(f"{receiver.name} has it.")
    return 0


def _send(receiver: Receiver, root: Path, pack: Pack, written: list[Path]) -> None:
    """Send the files with the title and the finding of the pack."""
    first = pack.pages[0]
    title = f"{pack.name} \N{EN DASH} {pack.title} \N{EN DASH} {pack.period}"
    body = " ".join(
        part for text in (first.title, first.subtitle) for part in (text.lead, text.text) if part
    )
    delivery.Chat(receiver, root).send_files(title, body, written)


def _diff(parsed: argparse.Namespace) -> int:
    from cadran.reports.make import pack_of

    match parsed.words:
        case ["diff", old, new]:
            layer = open_layer(parsed)
            before = published.pack(layer, old)
            if new == "now":
                now = pack_of(Source.of(layer), before.period)
                after = published.figures_in(now, layer)
            else:
                after = published.pack(layer, new).figures
        case _:
            raise QueryError(
                f"'{' '.join(parsed.words)}' is not known here: name a period with --period"
                " 2026-Q3, or write `diff OLD NEW` with two packs that went out, such as `diff"
                " pack-1 now`."
            )
    form = parsed.format if parsed.format in TEXTS else "table"
    rows = [moved.to_row() for moved in published.diff(before.figures, after)]
    write_rows(rows, form)
    return 1 if rows else 0
