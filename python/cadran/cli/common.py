"""Flags that several commands share, and the layer that they name."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import io
import logging
import re
import sys
import textwrap
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import cadran
from cadran.cli.language import said
from cadran.errors import QueryError
from cadran.formats import files
from cadran.formats.encoding import (
    arrow_bytes,
    csv_cell,
    csv_for_excel_fr,
    json_text,
    parquet_bytes,
    row_dicts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from cadran.core.layer import Layer


def begin_log() -> None:
    """Write to the errors what a command that goes on and on does."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    # Its lines are addresses, in which secrets may stand.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def add_project(parser: argparse.ArgumentParser, *, built: bool = True) -> None:
    """Add the flags that say which project is meant."""
    group = parser.add_argument_group("project")
    group.add_argument(
        "--project-dir",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="the dbt project (default: DBT_PROJECT_DIR, or this folder or one above it)",
    )
    if built:
        group.add_argument(
            "--manifest",
            type=Path,
            metavar="FILE",
            help="a semantic_manifest.json instead of a project",
        )
    group.add_argument(
        "--database",
        type=_place,
        metavar="FILE",
        help="the DuckDB file, or the address of a server (default: CADRAN_DATABASE, or that of"
        " the project's profile)",
    )


def _place(text: str) -> Path | str:
    """A file, or an address as it is written: a path would lose one of its slashes."""
    return text if "://" in text else Path(text)


def add_language(parser: argparse.ArgumentParser) -> None:
    """Add the flag for the language of labels and numbers."""
    parser.add_argument(
        "--lang", choices=("en", "fr"), default="en", help="language of texts and numbers"
    )


def add_live(parser: argparse.ArgumentParser) -> None:
    """Add the flag for numbers up to the last second."""
    parser.add_argument(
        "--live", action="store_true", help="with what `cadran collect` landed since the build"
    )


def examples(parser: argparse.ArgumentParser, *lines: str) -> None:
    """Set the examples at the end of a command's help."""
    parser.epilog = "\n".join([said("examples:"), *(f"  {line}" for line in lines)])


def day(text: str) -> dt.date:
    """The day that a flag names."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no date such as 2026-10-31") from None


_TYPES: dict[str, Any] = {"FILE": Path, "FOLDER": Path, "N": int, "DATE": day}
_COUNTS: dict[str, dict[str, Any]] = {
    "*": {"nargs": "*"},
    "+": {"nargs": "+", "action": "extend", "default": []},
    "...": {"action": "append", "default": []},
}


def flags(parser: argparse._ActionsContainer, usage: str, **more: dict[str, Any]) -> None:
    """Add what a command takes.

    Args:
        parser: of the command, or a group of it.
        usage: a line for each argument, `--limit N   at most so many rows`: its name, the word for
            its value, and after two spaces what it is for. `NAME*` takes any number of words,
            `NAME+` one or more, `NAME...` one each time it is given. A flag without a word is a
            switch. Lines that are further in go on with the one above.
        more: by its name, what else argparse has to know of an argument, such as its choices.
    """
    for line in re.sub(r"\n {2,}", " ", textwrap.dedent(usage)).split("\n"):
        if not line.strip():
            continue
        name, text = re.split(r"\s{2,}", line, maxsplit=1)
        flag, _, value = name.partition(" ")
        options = more.get(flag.lstrip("-").replace("-", "_"), {})
        word = value.rstrip("*+.")
        if word:
            count = _COUNTS.get(value[len(word) :], {})
            options = {"metavar": word, "type": _TYPES.get(word), **count, **options}
        elif flag.startswith("-") and not options.keys() & {"choices", "nargs"}:
            options = {"action": "store_true", **options}
        parser.add_argument(flag, help=text, **options)


def describe(  # noqa: PLR0913 - what a command may take
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], int],
    usage: str = "",
    *,
    formats: tuple[str, ...] = (),
    language: bool = False,
    project: str = "built",
    shown: tuple[str, ...] = (),
    **more: dict[str, Any],
) -> None:
    """Add what a command or an action takes, and what runs it.

    Args:
        parser: of the command.
        run: gives the exit code.
        usage: as `flags` takes it, with `more`.
        formats: the forms of its rows.
        language: whether its words come in either language.
        project: `built` and `folder` take the flags of a project, the second without a manifest.
        shown: examples.
        more: as `flags` takes it.
    """
    if usage:
        flags(parser, usage, **more)
    if formats:
        add_format(parser, formats=formats)
    if language:
        add_language(parser)
    if project:
        add_project(parser, built=project == "built")
    if shown:
        examples(parser, *shown)
    parser.set_defaults(run=run)


def add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    """Add an action of a command, such as `list` of `cadran note list`.

    Args:
        actions: of the command.
        name: of the action.
        summary: what it is for, in lower case and without a full stop.
    """
    words = said(summary)
    parser = actions.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def author(address: str | None, does: str) -> str:
    """The address that an entry of the journal is by.

    Args:
        address: that of --by, else that of git.
        does: what the person does, such as `decides`.

    Raises:
        QueryError: nobody is named, or not by an address.
    """
    if not address:
        raise QueryError(f"Nobody is named who {does}: give --by EMAIL, or set git's user.email.")
    if "@" not in address:
        raise QueryError(f"'{address}' is no address: give --by such as head.of.sales@example.com.")
    return address


def open_layer(parsed: argparse.Namespace) -> Layer:
    """The layer of the project that the flags name."""
    return cadran.open(
        parsed.project_dir,
        manifest=parsed.manifest,
        database=parsed.database,
        live=getattr(parsed, "live", False),
    )


# Everything that a terminal could take for a command, but for the end of a line.
_CONTROL = {
    code: repr(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) != "\n"
}
FORMATS = ("table", "csv", "json", "jsonl", "parquet", "arrow")
TEXTS = FORMATS[:4]
BINARY = ("parquet", "arrow")
EXCEL_FR = "csv-excel-fr"


def add_format(parser: argparse.ArgumentParser, *, formats: tuple[str, ...] = FORMATS) -> None:
    """Add the flags for the form of the rows and the place they go to."""
    binary = "; parquet and arrow (an IPC stream) need --output or a pipe"
    parser.add_argument(
        "--format",
        choices=formats,
        default=formats[0],
        help=f"form of the rows (default: %(default)s){binary if 'arrow' in formats else ''}",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write to a file")


def write(table: pa.Table, form: str, output: Path | None = None) -> None:
    """Write an Arrow table; a file appears when it is whole.

    Raises:
        QueryError: a binary form was asked for a screen.
    """
    if form == EXCEL_FR:
        _bytes(csv_for_excel_fr(table), output)
        return
    if form in BINARY:
        _bytes(_binary(table, form, output), output)
        return
    write_text(table.column_names, row_dicts(table), form, output)


def write_rows(rows: list[dict[str, Any]], form: str, output: Path | None = None) -> None:
    """Write rows that did not come from the warehouse; lists become words in a table or CSV."""
    if form in BINARY:
        import pyarrow as pa

        write(pa.Table.from_pylist(rows), form, output)
        return
    write_text(list(rows[0]) if rows else [], iter(rows), form, output)


def write_text(
    names: list[str], rows: Iterator[dict[str, Any]], form: str, output: Path | None
) -> None:
    """Write rows in one of the forms that are text."""
    if output is None:
        if form != "table" and isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # data is UTF-8, whatever the terminal
        _stream(names, rows, form, _Terminal(sys.stdout) if sys.stdout.isatty() else sys.stdout)
        return
    with files.placing(output) as aside, aside.open("w", encoding="utf-8", newline="") as stream:
        _stream(names, rows, form, stream)


def _stream(
    names: list[str], rows: Iterable[dict[str, Any]], form: str, stream: TextIO | _Terminal
) -> None:
    if form == "csv":
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([csv_cell(value) for value in row.values()] for row in rows)
    elif form == "jsonl":
        stream.writelines(f"{json_text(row)}\n" for row in rows)
    elif form == "json":
        separator = "[\n"
        for row in rows:
            stream.write(f"{separator}  {json_text(row)}")
            separator = ",\n"
        stream.write("[]\n" if separator == "[\n" else "\n]\n")
    else:
        stream.write(_table(names, list(rows)) + "\n")


def _table(names: list[str], rows: list[dict[str, Any]]) -> str:
    from tabulate import tabulate

    if not names:
        return "(nothing)"
    numeric = [
        all(isinstance(row[name], (int, float, Decimal, type(None))) for row in rows)
        for name in names
    ]
    return str(
        tabulate(
            [["" if row[name] is None else csv_cell(row[name]) for name in names] for row in rows],
            headers=names,
            tablefmt="simple",
            disable_numparse=True,
            colalign=["right" if number else "left" for number in numeric] if rows else None,
        )
    )


def _binary(table: pa.Table, form: str, output: Path | None) -> bytes:
    if output is None and sys.stdout.isatty():
        raise QueryError(f"{form} is not for a screen: name a file with --output, or use a pipe.")
    return parquet_bytes(table) if form == "parquet" else arrow_bytes(table)


def _bytes(content: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return
    files.write(output, content)


class _Terminal:
    """A terminal that shows control characters of values instead of obeying them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(text.translate(_CONTROL))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)
