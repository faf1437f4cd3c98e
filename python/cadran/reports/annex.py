"""The figures of a pack as a workbook: native numbers, a sheet a page, definitions, all figures.

Each block of a page is a table of Excel; a number has the format of its unit. The same pack gives
the same bytes.
"""

from __future__ import annotations

import datetime as dt
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cadran.charts.picture import Grid
from cadran.reports.office import coded, figure_format, native, scaled, settled, words
from cadran.reports.pack import Figure, PictureBlock, Table, Tiles, figures_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import xlsxwriter
    from xlsxwriter.worksheet import Worksheet

    from cadran.core.project.cards import Card
    from cadran.reports.pack import Block, Cell, Pack, Page, Series

_LONGEST = 31  # letters of a sheet's name
_FORBIDDEN = re.compile(r"[\[\]:*?/\\']")
_WIDEST, _NARROWEST = 60, 9  # letters
_A4 = 9  # as Excel numbers papers
_STYLE = "Table Style Light 1"
_DAY = {"en": "yyyy-mm-dd", "fr": "dd/mm/yyyy"}


@dataclass(frozen=True, slots=True)
class _Number:
    """A number and the code that shows it."""

    value: float
    code: str


_Entry = str | _Number | dt.date | None


def annex(pack: Pack, cards: Iterable[Card] = ()) -> bytes:
    """The figures of a pack as an XLSX file.

    Args:
        pack: the document.
        cards: of the KPIs that whoever asks may see; those of the pack are defined in it.
    """
    import xlsxwriter

    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(out, options) as book:
        book.set_properties({
            "title": f"{pack.name} \N{EN DASH} {pack.title} \N{EN DASH} {pack.period}",
            "author": pack.name, "created": dt.datetime.combine(pack.until, dt.time()),
        })  # fmt: skip
        writer = _Writer(book, pack)
        writer.contents()
        for page in pack.pages:
            writer.page(page)
        writer.figures()
        writer.definitions(cards)
        for sheet in book.worksheets():
            sheet.set_landscape()
            sheet.set_paper(_A4)
            sheet.fit_to_pages(1, 0)
    return settled(out.getvalue(), pack.until)


class _Writer:
    """Writes sheets into one workbook."""

    def __init__(self, book: xlsxwriter.Workbook, pack: Pack) -> None:
        self._book, self._pack, self._w = book, pack, words(pack.lang)
        self._names: dict[str, str] = {}
        self._formats: dict[str, Any] = {}
        self._tables = 0
        taken = {self._w["sheet_contents"], self._w["sheet_figures"], self._w["sheet_definitions"]}
        for page in pack.pages:
            name = _FORBIDDEN.sub(" ", f"{page.folio} {page.name}")[:_LONGEST].strip()
            while name.lower() in {one.lower() for one in taken}:
                name = f"{name[: _LONGEST - len(page.key) - 1]} {page.key}"
            taken.add(name)
            self._names[page.key] = name

    def _format(self, **options: Any) -> Any:
        key = repr(sorted(options.items()))
        if key not in self._formats:
            self._formats[key] = self._book.add_format({"valign": "top", **options})
        return self._formats[key]

    def contents(self) -> None:
        """The first sheet: what the workbook is, and what page has which finding."""
        w, pack = self._w, self._pack
        sheet = self._book.add_worksheet(w["sheet_contents"])
        sheet.write_string(0, 0, f"{pack.name} · {pack.title} · {pack.period}",
                           self._format(bold=True, font_size=14))  # fmt: skip
        rows: list[list[_Entry]] = [
            [page.folio, page.name, f"{page.title.lead} {page.title.text}".strip()]
            for page in pack.pages
        ]
        self._table(sheet, 2, ["#", w["page"], w["finding"]], rows)
        for index, page in enumerate(pack.pages):
            sheet.write_url(3 + index, 1, f"internal:'{self._names[page.key]}'!A1",
                            string=page.name)  # fmt: skip

    def page(self, page: Page) -> None:
        """A sheet for a page: each block with figures as a table below the other."""
        sheet = self._book.add_worksheet(self._names[page.key])
        title = f"{page.title.lead} {page.title.text}".strip()
        sheet.write_string(0, 0, title, self._format(bold=True, font_size=14))
        muted = self._format(font_color="#5A6773")
        sheet.write_string(1, 0, f"{page.subtitle.lead} {page.subtitle.text}".strip(), muted)
        sheet.write_string(2, 0, page.foot, muted)
        widths: list[int] = []
        at, tables = 4, 0
        for block in page.blocks:
            head, rows = self._rows(block)
            if not rows:
                continue
            name = getattr(block, "title", "")
            if name:
                sub = getattr(block, "sub", "")
                sheet.write_string(at, 0, f"{name} \N{EN DASH} {sub}" if sub else name,
                                   self._format(bold=True))  # fmt: skip
                at += 1
            self._table(sheet, at, head, rows, widths)
            tables += 1
            at += len(rows) + 3
        if not tables:  # a page of words: they are its content
            wrapped = self._format(text_wrap=True)
            for text in (text for block in page.blocks for text in getattr(block, "texts", ())):
                sheet.write_string(at, 0, f"{text.lead} {text.text}".strip(), wrapped)
                at += 1
            sheet.set_column(0, 0, 100)
        sheet.freeze_panes(4, 1 if tables else 0)

    def _rows(self, block: Block) -> tuple[list[str], list[list[_Entry]]]:
        if isinstance(block, Tiles):
            return self._of_tiles(block)
        if isinstance(block, Table):
            return self._of_table(block)
        if isinstance(block, PictureBlock):
            return self._of_picture(block)
        return [], []

    def _of_tiles(self, block: Tiles) -> tuple[list[str], list[list[_Entry]]]:
        w = self._w
        compared = list(dict.fromkeys(one.name for tile in block.tiles for one in tile.comparisons))
        head = [w["kpi"], w["value"], w["unit"], w["state"]]
        for name in compared:
            head += [name, w["difference"].format(name=name)]
        rows: list[list[_Entry]] = []
        for tile in block.tiles:
            row: list[_Entry] = [
                tile.label,
                self._figure(tile.figure),
                tile.figure.unit,
                tile.state_text,
            ]
            by_name = {one.name: one for one in tile.comparisons}
            for name in compared:
                one = by_name.get(name)
                row += [
                    self._figure(one.figure) if one else None,
                    self._figure(one.change) if one and one.change else None,
                ]
            rows.append(row)
        return head, rows

    def _of_table(self, block: Table) -> tuple[list[str], list[list[_Entry]]]:
        """Columns as in print; a second figure in a cell has a column of its own."""
        body = [row for row in block.rows if row.kind != "group"]
        doubled = {
            index for row in body for index, cell in enumerate(row.cells) if cell.small
        }  # fmt: skip
        charted = {
            index for row in body for index, cell in enumerate(row.cells)
            if cell.picture is not None and not cell.text
        }  # fmt: skip
        has_groups = any(row.kind == "group" for row in block.rows)
        head = [self._w["group"]] if has_groups else []
        for index, column in enumerate(block.columns):
            if index in charted:
                continue
            head.append(column.head)
            if index in doubled:
                head.append(self._w["detail"].format(name=column.head))
        rows: list[list[_Entry]] = []
        group = ""
        for row in block.rows:
            if row.kind == "group":
                group = row.cells[0].text
                continue
            entries: list[_Entry] = [group] if has_groups else []
            for index, cell in enumerate(row.cells):
                if index in charted:
                    continue
                entries.append(self._cell(cell))
                if index in doubled:
                    entries.append(self._small(cell))
            rows.append(entries)
        return head, rows

    def _cell(self, cell: Cell) -> _Entry:
        return self._figure(cell.figure) if cell.figure else cell.text or None

    def _small(self, cell: Cell) -> _Entry:
        if len(cell.small_figures) == 1 and cell.small == cell.small_figures[0].text:
            return self._figure(cell.small_figures[0])
        return cell.small or None

    def _of_picture(self, block: PictureBlock) -> tuple[list[str], list[list[_Entry]]]:
        series = [one for one in block.series if len(one.labels) == len(one.values)]
        if isinstance(block.picture, Grid) and not series:
            head = ["", *block.picture.columns]
            rows: list[list[_Entry]] = [
                [name, *(cell.text if cell else None for cell in cells)]
                for name, cells in block.picture.rows
            ]
            return head, rows
        if not series:
            return [], []
        labels = list(dict.fromkeys(label for one in series for label in one.labels))
        if isinstance(block.picture, Grid) or len(series) > len(labels):
            # A row for each series reads better than a column where there are many.
            head = [self._w["label"], *labels]
            return head, [[one.name, *self._values(one, labels)] for one in series]
        columns = [self._values(one, labels) for one in series]
        head = [self._w["label"], *(one.name for one in series)]
        return head, [list(row) for row in zip(labels, *columns, strict=True)]

    def _values(self, one: Series, labels: Sequence[str]) -> list[_Entry]:
        of = dict(zip(one.labels, one.values, strict=True))
        code = coded(one.unit, 2 if one.unit == "%" else 0, self._pack.lang)
        numbers = (native(of.get(label)) for label in labels)
        return [None if number is None else _Number(number, code) for number in numbers]

    def _figure(self, figure: Figure) -> _Entry:
        number, _ = scaled(figure)
        if number is None:
            return figure.text
        return _Number(number, figure_format(figure, self._pack.lang))

    def figures(self) -> None:
        """Every figure of the pack with where it comes from."""
        w = self._w
        sheet = self._book.add_worksheet(w["sheet_figures"])
        head = [
            w["page"], w["shown_as"], w["value"], w["unit"], w["kpi"], w["first_day"],
            w["last_day"], w["member"], w["conditions"], w["origin"],
        ]  # fmt: skip
        rows: list[list[_Entry]] = []
        for page in self._pack.pages:
            for figure in dict.fromkeys(figures_of(page)):
                question = figure.question
                member = (
                    f"{question.dimension} = {question.member}"
                    if question and question.dimension
                    else ""
                )
                rows.append([
                    page.folio, figure.text, self._figure(figure) if figure.value is not None
                    else None, scaled(figure)[1],
                    question.metric if question else "", question.start if question else None,
                    question.end if question else None, member,
                    " and ".join(question.where) if question else "", figure.origin,
                ])  # fmt: skip
        self._table(sheet, 0, head, rows)
        sheet.freeze_panes(1, 2)

    def definitions(self, cards: Iterable[Card]) -> None:
        """What each KPI of the pack means, in which version, and whose it is."""
        w, lang = self._w, self._pack.lang
        used = {
            figure.question.metric for figure in figures_of(self._pack) if figure.question
        }  # fmt: skip
        sheet = self._book.add_worksheet(w["sheet_definitions"])
        head = [
            w["kpi"], w["label"], w["definition"], w["formula"], w["unit"], w["version"],
            w["card_status"], w["owner"],
        ]  # fmt: skip
        rows: list[list[_Entry]] = []
        for original in cards:
            if original.name in used:
                card = original.localized(lang)
                rows.append([
                    card.name, card.label, card.description, card.formula, card.unit,
                    _Number(card.version, "0"), card.status, card.owner.business,
                ])  # fmt: skip
        if rows:
            self._table(sheet, 0, head, rows)
        sheet.freeze_panes(1, 1)

    def _table(
        self, sheet: Worksheet, at: int, head: Sequence[str], rows: Sequence[Sequence[_Entry]],
        widths: list[int] | None = None,
    ) -> None:  # fmt: skip
        """A table of Excel from a row of the sheet on; columns are as wide as what is in them."""
        widths = [] if widths is None else widths
        heads = self._distinct(head)
        self._tables += 1
        sheet.add_table(
            at, 0, at + len(rows), len(heads) - 1,
            {
                "name": f"figures_{self._tables}", "style": _STYLE, "autofilter": len(rows) > 1,
                "columns": [
                    {"header": text, "header_format": self._format(bold=True, text_wrap=True)}
                    for text in heads
                ],
            },
        )  # fmt: skip
        for index, text in enumerate(heads):
            longest = max((self._write(sheet, at + n, index, row[index])
                           for n, row in enumerate(rows, start=1)), default=0)  # fmt: skip
            wanted = min(max(longest, min(len(text), 18), _NARROWEST) + 2, _WIDEST)
            if index == len(widths):
                widths.append(wanted)
            widths[index] = max(widths[index], wanted)
            sheet.set_column(index, index, widths[index])

    def _distinct(self, head: Sequence[str]) -> list[str]:
        """Heads that a table of Excel takes: none empty, none twice."""
        heads: list[str] = []
        for index, text in enumerate(head, start=1):
            name = text.strip() or self._w["column"].format(n=index)
            number = 2
            wanted = name
            while name.lower() in {one.lower() for one in heads}:
                name, number = f"{wanted} ({number})", number + 1
            heads.append(name)
        return heads

    def _write(self, sheet: Worksheet, row: int, column: int, entry: _Entry) -> int:
        """Write a cell; returns about how many letters it shows."""
        if entry is None:
            return 0
        if isinstance(entry, _Number):
            sheet.write_number(row, column, entry.value, self._format(num_format=entry.code))
            return len(f"{entry.value:,.0f}") + 4
        if isinstance(entry, dt.date):
            day = self._format(num_format=_DAY[self._pack.lang])
            sheet.write_datetime(row, column, dt.datetime.combine(entry, dt.time()), day)
            return 10
        is_long = len(entry) > _WIDEST
        sheet.write_string(row, column, entry, self._format(text_wrap=True) if is_long else
                           self._format())  # fmt: skip
        return len(entry)
