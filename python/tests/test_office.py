"""The pack as slides and as sheets: what stands in them, read back out of the files."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import io
import json
import re
import subprocess
import threading
import zipfile
from dataclasses import dataclass, replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import openpyxl
import pptx
import pytest
from pptx.util import Inches

from cadran.charts import plots
from cadran.charts.picture import Bar, Bars, Curve, Panel, Panels, Plot, Segment
from cadran.cli.app import main
from cadran.errors import (
    ClosingError,
    LimitError,
    NotAllowedError,
    QueryError,
    ReportError,
    ServiceError,
    StoppedError,
)
from cadran.insight.source import Source
from cadran.reliability.alerts.delivery import Chat
from cadran.reliability.alerts.policy import Receiver
from cadran.reports import forms, kpis, levels, summary
from cadran.reports.annex import annex
from cadran.reports.basis import Basis
from cadran.reports.office import axis_format, coded, figure_format
from cadran.reports.pack import (
    Advice,
    Cell,
    Column,
    Comparison,
    Figure,
    Notes,
    Pack,
    Page,
    Paragraphs,
    PictureBlock,
    Question,
    Row,
    Series,
    Table,
    Text,
    Tile,
    Tiles,
    figures_of,
)
from cadran.reports.slides import slides, template
from cadran.server import packs

EURO = SimpleNamespace(unit="EUR", decimals=0)
MONTHS = ("Jul", "Aug", "Sep")
FIRST, LAST = dt.date(2026, 7, 1), dt.date(2026, 9, 30)
CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
SALES = Figure("€2,156,000", Decimal("2156000.40"), "EUR", Question("net_revenue", FIRST, LAST))
MARGIN = Figure("33.9%", 0.33912, "%", Question("gross_margin_rate", FIRST, LAST))
GAP = Figure("+0.4\N{NO-BREAK SPACE}pp", 0.00412, "%", origin="gross_margin_rate less target")


def course(name, values, unit="EUR", role="line"):
    return Series(name, MONTHS, tuple(values), unit, role)


@pytest.fixture(scope="module")
def drawn():
    """A pack with a block of each kind, on two pages."""
    line = course("Net revenue", (700_000, None, 750_000))
    tiles = Tiles((
        Tile("Net revenue", SALES, "ok", "On target", (Comparison("Target", SALES, GAP),),
             plots.sparkline((7, None, 8)), (line,)),
        Tile("Gross margin", MARGIN, "bad", "Critical", (Comparison("Q3 2025", MARGIN),)),
    ))  # fmt: skip
    steps = (1_500_000, 900_000, -300_000, 2_100_000)
    fall = plots.waterfall(
        ("Q3 2025", steps[0]), [("Web", steps[1], ""), ("App", steps[2], "")],
        ("Q3 2026", steps[3]), EURO, title="Where the rise lies",
    )  # fmt: skip
    names = ("Q3 2025", "Web", "App", "Q3 2026")
    waterfall = PictureBlock(
        "The rise", "by channel", fall, (Series("Net revenue", names, steps, "EUR", "step"),),
        span=7,
    )  # fmt: skip
    first = Page(
        "summary", "1", "Summary", Text("Sales rise.", figures=(SALES,)), Text("Closed."),
        (tiles, waterfall, Paragraphs("Remember", (Text("It does.", "Growth."),), span=5),
         Advice("Decide", (Text("Fix it.", "One."),))), "Data until 30 September.",
    )  # fmt: skip
    columns = (Column("KPI", 80), Column("Value", 40, "right"), Column("Course", 60))
    table = Table(
        "KPIs", "this quarter", columns,
        (Row((Cell("Money"),), "group"),
         Row((Cell("Net revenue", weight="strong"),
              Cell(figure=SALES, small="33.9%", small_figures=(MARGIN,), state="ok",
                   has_sign=True),
              Cell(picture=plots.sparkline((7, 8, 9)),
                   series=(course("Net revenue", (7, 8, 9)),)))),
         Row((Cell("Total"), Cell(figure=SALES), Cell()), "total")),
    )  # fmt: skip
    heat = plots.heat(
        [("Checkout", (0.4, 1.6)), ("Search", (None, 0.8))], ("6 Jul", "13 Jul"),
        title="Budgets by week", legend=("a", "b", "c", "d", "e"),
    )  # fmt: skip
    panel = Plot("Margin over 13 months", curves=(Curve((((0, 0), (1, 1)),), "blue"),))
    panels = Panels("Trends", (Panel("Margin", "33.9%", panel), Panel("Rate", "4%", panel)))
    trends = (
        course("Margin", (0.33, 0.34, 0.339), "%"), course("Goal", (0.335,) * 3, "%", "target"),
        course("Rate", (0.04, 0.05, 0.04), "%"),
    )  # fmt: skip
    bars = Bars("Cost by cause", (
        Bar("Database", "€900", (Segment(0, 0.6, "orange"),)),
        Bar("Network", "€300", (Segment(0, 0.2, "orange"),)),
    ))  # fmt: skip
    causes = ("Database", "Network")
    costs = (
        Series("Cost", causes, (900, 300), "EUR", "bar"),
        Series("Low", causes, (500, 100), "EUR", "low"),
        Series("High", causes, (1500, 500), "EUR", "high"),
    )
    second = Page(
        "kpis", "2", "KPIs", Text("Two of three hold."), Text("One does not."),
        (table, PictureBlock("Budgets", "", heat), PictureBlock("Trends", "", panels, trends),
         PictureBlock("Costs", "", bars, costs, span=6),
         PictureBlock("Drawn", "", panel, height=30, span=6),
         Notes((Text("Each curve has its own scale."),))), "Measured by month.",
    )  # fmt: skip
    return Pack("Acme", "Board pack", "3rd quarter 2026", "2026-Q3", "en", LAST,
                is_running=False, contents="Contents", pages=(first, second))  # fmt: skip


def shown_in(part):  # noqa: C901 - a case for each kind
    """Every text of a part of a pack that people see, figures in texts as these have them."""
    if isinstance(part, Figure):
        yield part.text
    elif isinstance(part, Text):
        yield from (part.lead, part.text)
    elif isinstance(part, Cell):
        yield from (part.figure.text if part.figure else part.text, part.small)
    elif isinstance(part, str):
        yield part
    elif isinstance(part, tuple):
        for entry in part:
            yield from shown_in(entry)
    elif isinstance(part, (Page, Tiles, Table, Paragraphs, Advice, Notes)):
        hidden = {"key", "span", "is_dense", "is_small"}
        for name in set(part.__slots__) - hidden:
            yield from shown_in(getattr(part, name))
    elif isinstance(part, Tile):
        yield from (part.label, part.figure.text, part.state_text)
        for one in part.comparisons:
            yield from (one.name, one.figure.text, one.change.text if one.change else "")
    elif isinstance(part, Row):
        yield from shown_in(part.cells)
    elif isinstance(part, (Column, PictureBlock)):
        yield from (getattr(part, name, "") for name in ("head", "title", "sub"))


def opened(content):
    return pptx.Presentation(io.BytesIO(content))


def words_of(slide):
    return " ".join(
        "".join(run.text or "" for run in paragraph.iter("{*}t"))
        for paragraph in slide.element.iter("{*}p")
    )


def charts_of(slide):
    return [(shape, shape.chart) for shape in slide.shapes if shape.has_chart]


def cached(chart):
    """The values of a chart as its file has them, by the name of their series."""
    return {
        one.name: tuple(one.values) for plot in chart.plots for one in plot.series
    }  # fmt: skip


def test_blocks_become_native_tables_and_charts_with_their_values_and_say_what_they_are(drawn):
    first, second = opened(slides(drawn)).slides
    (_, spark), (fall_shape, fall) = charts_of(first)
    assert cached(spark) == {"Net revenue": (700_000, None, 750_000)}
    assert fall_shape.element.xpath(".//p:cNvPr/@descr") == ["Where the rise lies"]
    assert cached(fall) == {
        "hidden": (None, 1_500_000, 2_100_000, None),
        "Net revenue": (1_500_000, None, None, 2_100_000),
        "+": (None, 900_000, None, None),
        "\N{MINUS SIGN}": (None, None, 300_000, None),
    }
    found = [cached(chart) for _, chart in charts_of(second)]
    assert {"Margin": (0.33, 0.34, 0.339), "Goal": (0.335,) * 3} in found
    assert {"Rate": (0.04, 0.05, 0.04)} in found
    assert {"High": (1500, 500), "Cost": (900, 300)} in found
    table, heat = (shape for shape in second.shapes if shape.has_table)
    assert [[cell.text for cell in row.cells] for row in table.table.rows] == [
        ["KPI", "Value", "Course"], ["Money", "", ""],
        ["Net revenue", "●\N{NO-BREAK SPACE}€2,156,000\n33.9%", ""], ["Total", "€2,156,000", ""],
    ]  # fmt: skip
    assert [[cell.text for cell in row.cells] for row in heat.table.rows] == [
        ["", "6 Jul", "13 Jul"], ["Checkout", "40", "160 ■"], ["Search", "\N{EN DASH}", "80"],
    ]  # fmt: skip
    assert str(heat.table.cell(1, 2).fill.fore_color.rgb) == "9C2F1C"
    for page, slide in zip(drawn.pages, (first, second), strict=True):
        assert slide.shapes.title.text == page.title.text
        assert page.foot in words_of(slide)
        assert page.foot in slide.notes_slide.notes_text_frame.text
        frames = slide.element.xpath(".//p:graphicFrame")
        assert frames
        assert all(frame.xpath("./p:nvGraphicFramePr/p:cNvPr/@descr")[0] for frame in frames)
        assert not slide.element.xpath(".//p:pic | .//p:style")
    assert "net_revenue, 2026-07-01 to 2026-09-30" in first.notes_slide.notes_text_frame.text


def test_what_crosses_zero_stands_on_both_sides_of_it():
    from cadran.reports.slides.charts import Steps

    steps = Steps.of([100.0, -250.0, 50.0, 400.0, 300.0])
    assert steps.levels == [100, -150, -100, 300, 300]
    assert (steps.falls[1], steps.falls_below[1]) == (100, -150)
    assert (steps.hidden[2], steps.rises[2]) == (-100, -50)
    assert (steps.rises[3], steps.rises_below[3]) == (300, -100)


@pytest.mark.parametrize("form", ["pptx", "xlsx"])
def test_the_same_pack_gives_the_same_bytes_at_any_time(drawn, form, monkeypatch):
    import time

    content = forms.content(drawn, form)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86_400)
    assert forms.content(drawn, form) == content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        core = archive.read("docProps/core.xml").decode()
        assert set(re.findall(r">(\d{4}-[^<]*)</dcterms", core)) == {"2026-09-30T00:00:00Z"}
        inner = [name for name in archive.namelist() if name.endswith(".xlsx")]
        assert bool(inner) == (form == "pptx")
        for name in inner:
            with zipfile.ZipFile(io.BytesIO(archive.read(name))) as book:
                core = book.read("docProps/core.xml").decode()
            assert set(re.findall(r">(\d{4}-[^<]*)</dcterms", core)) == {"2026-09-30T00:00:00Z"}


def test_a_template_gives_its_size_and_layout_and_what_it_lacks_is_named(
    drawn, tmp_path, monkeypatch
):
    wide = pptx.Presentation()
    wide.slide_width, wide.slide_height = Inches(13.333), Inches(7.5)
    wide.slides.add_slide(wide.slide_layouts[0]).shapes.title.text = "An example"
    file = tmp_path / "wide.pptx"
    wide.save(file)
    made = opened(slides(drawn, file))
    assert (made.slide_width, made.slide_height) == (wide.slide_width, wide.slide_height)
    assert [slide.shapes.title.text for slide in made.slides] == [
        "Sales rise.", "Two of three hold.",
    ]  # fmt: skip
    assert {slide.slide_layout.name for slide in made.slides} == {"Title Only"}
    for slide in made.slides:
        for shape in slide.shapes:
            assert shape.left >= 0
            assert shape.top + shape.height <= made.slide_height + 9525
    bare = pptx.Presentation()
    for layout in list(bare.slide_layouts):
        if layout.name not in {"Blank", "Title Slide"}:
            bare.slide_layouts.remove(layout)
    bare.save(tmp_path / "bare.pptx")
    with pytest.raises(ReportError, match=r"no layout named 'Cadran'.*'Title Slide', 'Blank'"):
        slides(drawn, tmp_path / "bare.pptx")
    next(one for one in bare.slide_layouts if one.name == "Blank").name = "Cadran"
    bare.save(tmp_path / "untitled.pptx")
    with pytest.raises(ReportError, match="no placeholder for the title"):
        slides(drawn, tmp_path / "untitled.pptx")
    (tmp_path / "text.pptx").write_text("no archive")
    with pytest.raises(ReportError, match="cannot be read as a presentation"):
        slides(drawn, tmp_path / "text.pptx")
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(tmp_path / "torn.pptx", "w") as torn:
        for name in whole.namelist():
            content = whole.read(name)
            torn.writestr(name, content[:200] if name == "ppt/presentation.xml" else content)
    with pytest.raises(ReportError, match="cannot be read as a presentation"):
        slides(drawn, tmp_path / "torn.pptx")
    monkeypatch.setattr(template, "_MOST_BYTES", 1_000_000)
    with zipfile.ZipFile(tmp_path / "bomb.pptx", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("ppt/presentation.xml", b" " * 2_000_000)
    with pytest.raises(ReportError, match=r"holds 2 MB when unpacked; .* at most 1 MB"):
        slides(drawn, tmp_path / "bomb.pptx")


def test_names_in_a_chart_are_texts_whatever_they_begin_with():
    labels = ("=1+1", "{=A1}", "-a", "@b", "mailto:c", "d\x00\n", "+e")
    drawing = plots.waterfall(
        (labels[0], 100), [(name, 10, "") for name in labels[1:-1]], (labels[-1], 150), EURO,
        title="d\x00",
    )  # fmt: skip
    series = Series("=cmd()\x01", labels, (100, 10, 10, 10, 10, 10, 150), "EUR", "step")
    page = Page("p", "1", "P", Text("T."), Text(""),
                (PictureBlock("Steps", "", drawing, (series,)),), "")  # fmt: skip
    pack = Pack("A", "B", "C", "2026-Q3", "en", LAST, is_running=False, contents="D",
                pages=(page,))  # fmt: skip
    [(_, chart)] = charts_of(opened(slides(pack)).slides[0])
    assert list(cached(chart)) == ["hidden", "=cmd() ", "+"]
    sheet = openpyxl.load_workbook(io.BytesIO(chart.part.chart_workbook.xlsx_part.blob)).active
    written = [*sheet["A"][1:], *sheet[1][1:]]
    assert [cell.value for cell in written] == [
        *labels[:5], "d  ", labels[6], "hidden", "=cmd() ", "+",
    ]  # fmt: skip
    assert {cell.data_type for cell in written} == {"s"}
    assert not any(cell.hyperlink for cell in written)


def test_a_page_that_has_no_room_on_its_slide_is_refused(drawn):
    rows = tuple(Row((Cell(f"Row {number}"),)) for number in range(60))
    long = Table("Long", "", (Column("Name", 60),), rows)
    page = Page("long", "3", "Long", Text("Too long."), Text(""), (long,), "")
    pack = replace(drawn, pages=(page,))
    with pytest.raises(ReportError, match=r"Page 3 \(Long\) does not fit .* mm more"):
        slides(pack)


@pytest.mark.parametrize(
    ("unit", "values", "lang", "code"),
    [
        ("EUR", (1_508_000, 106_000), "en", '"€"#,##0,"k"'),
        ("EUR", (1_508_000, 106_000), "fr", '[$-40C]#,##0,"\N{NO-BREAK SPACE}k€"'),
        ("EUR", (25_300_000,), "en", '"€"#,##0.0,,"M"'),
        ("%", (0.2, 0.9), "fr", '[$-40C]#,##0"\N{NARROW NO-BREAK SPACE}"%'),
        ("%", (0.99912, 0.99938), "en", "#,##0.000%"),
        ("orders", (12, 8), "en", "#,##0"),
        ("hours", (1.5, 2.25), "en", '#,##0.0"\N{NO-BREAK SPACE}h"'),
    ],
)
def test_numbers_of_charts_have_the_format_of_their_unit_and_language(unit, values, lang, code):
    assert axis_format(values, unit, lang) == code


def test_a_difference_of_rates_is_in_points():
    assert figure_format(GAP, "en").startswith('"+"#,##0.0"\N{NO-BREAK SPACE}pp"')
    assert figure_format(MARGIN, "en") == "#,##0.0%"
    assert coded("EUR", 2, "fr") == '[$-40C]#,##0.00"\N{NO-BREAK SPACE}€"'


def test_sheets_hold_numbers_with_formats_in_tables_and_every_figure_with_its_question(drawn):
    card = SimpleNamespace(
        name="net_revenue", label="Net revenue", description="Sales.", formula="sum", unit="EUR",
        version=3, status="certified", owner=SimpleNamespace(business="head@example.com"),
    )  # fmt: skip
    card.localized = lambda _: card
    book = openpyxl.load_workbook(io.BytesIO(annex(drawn, [card])))
    assert book.sheetnames == ["Contents", "1 Summary", "2 KPIs", "All figures", "Definitions"]
    first, second = book["1 Summary"], book["2 KPIs"]
    cells = {cell.value: cell for row in first.iter_rows() for cell in row}
    assert cells[2_156_000.4].number_format == '"€"#,##0'
    assert cells[0.33912].number_format == "#,##0.0%"
    assert cells[0.412].number_format.startswith('"+"#,##0.0"\N{NO-BREAK SPACE}pp"')
    assert {900_000, -300_000} <= set(cells)
    assert (len(first.tables), len(second.tables)) == (2, 4)
    assert second.freeze_panes == "B5"
    assert {0.33, 0.335, 0.05, 900, "160"} <= {c.value for row in second.iter_rows() for c in row}
    rows = list(book["All figures"].iter_rows(min_row=2, values_only=True))
    assert len(rows) == sum(len(dict.fromkeys(figures_of(page))) for page in drawn.pages)
    sales = next(row for row in rows if row[4] == "net_revenue")
    assert sales[1:3] == ("€2,156,000", 2_156_000.4)
    assert [day.date() for day in sales[5:7]] == [FIRST, LAST]
    assert [cell.value for cell in book["Definitions"][2]] == [
        "net_revenue", "Net revenue", "Sales.", "sum", "EUR", 3, "certified", "head@example.com",
    ]  # fmt: skip


# The pack of the demo -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def pack(layer):
    """Three pages of a month of the demo in French, which take no estimates."""
    basis = Basis.of(Source.of(layer), "2026-09", "fr")
    w = basis.words
    pages = (
        summary.page(basis), kpis.page(basis, {}), levels.page(basis, levels.facts(basis)),
    )  # fmt: skip
    return Pack(basis.name, w("pack_title"), "septembre 2026", basis.key, "fr", LAST,
                is_running=False, contents=w("contents"), pages=pages)  # fmt: skip


@pytest.fixture(scope="module")
def deck(pack):
    return slides(pack)


def test_every_page_has_a_slide_and_every_figure_is_the_one_of_the_layer(pack, deck, layer):
    made = list(opened(deck).slides)
    assert [slide.name for slide in made] == [page.key for page in pack.pages]
    answers = {}
    for page, slide in zip(pack.pages, made, strict=True):
        text = words_of(slide).replace("\N{NO-BREAK SPACE}", " ")
        for one in shown_in(page):
            assert one.replace("\N{NO-BREAK SPACE}", " ") in text, (page.key, one)
        for figure in figures_of(page):
            asked = figure.question
            if asked is None or asked.dimension or asked.grain:
                continue
            key = (asked.metric, asked.start, asked.end, asked.where)
            if key not in answers:
                answers[key] = layer.query(
                    [asked.metric], where=list(asked.where), start=asked.start, end=asked.end
                ).to_arrow()[asked.metric][0].as_py()  # fmt: skip
            assert figure.value == answers[key], key
    assert len(answers) > 10


def test_charts_of_slides_hold_the_values_of_the_pack(pack, deck):
    """Every value that a chart caches is one of a series of its page, and none is left out."""
    for page, slide in zip(pack.pages, opened(deck).slides, strict=True):
        shown = {
            round(value, 6)
            for _, chart in charts_of(slide)
            for values in cached(chart).values()
            for value in values
            if value is not None
        }
        for block in page.blocks:
            for tile in getattr(block, "tiles", ()):
                for one in tile.series:
                    assert {round(float(v), 6) for v in one.values if v is not None} <= shown
        assert bool(shown) == any(
            getattr(part, "series", ()) and getattr(part, "role", "") != "cell"
            for block in page.blocks
            for part in (block, *getattr(block, "tiles", ()),
                         *(c for row in getattr(block, "rows", ()) for c in row.cells))
            if not hasattr(getattr(part, "picture", None), "columns")
            or hasattr(part.picture, "curves")
        ), page.key  # fmt: skip


def test_libreoffice_opens_the_slides_and_prints_each(pack, deck, tool, tmp_path):
    office = tool("office")
    (tmp_path / "pack.pptx").write_bytes(deck)
    done = subprocess.run(
        [office, f"-env:UserInstallation=file://{tmp_path}/profile", "--headless",
         "--convert-to", "pdf", "--outdir", tmp_path, tmp_path / "pack.pptx"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    printed = tmp_path / "pack.pdf"
    assert printed.exists(), done.stderr
    assert "rror" not in done.stderr
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", printed.read_bytes())) == len(pack.pages)


# Sending ------------------------------------------------------------------------------------


def test_files_go_out_by_apprise_and_a_service_that_takes_none_is_refused(tmp_path, monkeypatch):
    received = []

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    file = tmp_path / "pack.xlsx"
    file.write_bytes(b"figures")
    with HTTPServer(("127.0.0.1", 0), Takes) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("BOARD_URL", f"json://127.0.0.1:{server.server_port}")
        receiver = Receiver(name="direction", apprise={"variable": "BOARD_URL"})
        Chat(receiver, tmp_path).send_files("Board pack", "Sales rise.", [file])
    (message,) = received
    assert (message["title"], message["message"]) == ("Board pack", "Sales rise.")
    (attached,) = message["attachments"]
    assert attached["filename"] == "pack.xlsx"
    assert base64.b64decode(attached["base64"]) == b"figures"
    monkeypatch.setenv("BOARD_URL", "syslog://")
    with pytest.raises(ServiceError, match="'direction' takes no files"):
        Chat(receiver, tmp_path).send_files("Board pack", "", [file])


def test_what_cannot_be_made_or_sent_is_told_before_the_work(project_root, capsys):
    report = ["report", "--project-dir", str(project_root), "--period", "2026-09"]
    assert main([*report, "--format", "docx"]) == 2
    assert "it can be html, pdf, pptx, xlsx" in capsys.readouterr().err
    assert main([*report, "--template", "a.pptx"]) == 2
    assert "A template is of slides" in capsys.readouterr().err
    assert main([*report, "--send", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err


# Over HTTP ----------------------------------------------------------------------------------


@dataclass
class Sourced:
    """What a pack is made of, as far as its maker looks at it."""

    layer: object
    answer: object
    kpis: tuple = ()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


@pytest.fixture
def making(monkeypatch, drawn):
    """A maker of packs whose reader sees all, and whose pack comes from one question."""
    service = SimpleNamespace(hides=set(), asked=threading.Event(), go=threading.Event())
    service.go.set()

    def answer(_):
        service.asked.set()
        service.go.wait(10)

    cards = (SimpleNamespace(name="conversion_rate"), SimpleNamespace(name="orders_count"))
    service.source = lambda _: Sourced(SimpleNamespace(kpis=lambda: cards), answer, cards[:1])
    service.sees_whole = lambda _, name: name not in service.hides
    monkeypatch.setattr("cadran.reports.basis.Basis.of", lambda source, *_, **__: source)

    def made(source):
        source.answer(None)
        source.answer(None)
        return drawn

    monkeypatch.setattr("cadran.reports.make.pack_from", made)
    return service, packs.Packs(service, threading.Event())


def test_a_pack_is_made_for_who_sees_all_of_it_and_names_what_others_do_not(making, drawn):
    service, made = making
    file = asyncio.run(made.file(None, "2026-Q3", "en", "xlsx "))
    assert (file.name, file.content) == ("pack_2026-Q3_en.xlsx", annex(drawn))
    # What is hidden is not named; what is seen in part is.
    for name, told in (
        ("orders_count", "see all: ask"),
        ("conversion_rate", "all of conversion_rate"),
    ):
        service.hides.add(name)
        with pytest.raises(NotAllowedError, match=told):
            asyncio.run(made.file(None, "2026-Q3", "en", "xlsx"))


def test_packs_are_made_few_at_a_time_and_not_for_ever(making, monkeypatch):
    service, made = making
    service.go.clear()

    async def crowd():
        first = [asyncio.create_task(made.file(None, "2026", "en", "xlsx")) for _ in range(2)]
        await asyncio.to_thread(service.asked.wait, 5)
        with pytest.raises(LimitError, match="2 packs are being made"):
            await made.file(None, "2026", "en", "xlsx")
        service.go.set()
        await asyncio.gather(*first)
        service.go.clear()
        monkeypatch.setattr(packs, "SECONDS", 0.05)
        with pytest.raises(StoppedError, match="was not made within"):
            await made.file(None, "2026", "en", "xlsx")
        service.go.set()

    asyncio.run(crowd())


def test_a_pack_is_not_gone_on_with_once_the_server_ends(making):
    service, _ = making
    ending = threading.Event()
    ending.set()
    with pytest.raises(ClosingError):
        asyncio.run(packs.Packs(service, ending).file(None, "2026", "en", "xlsx"))


def test_a_form_that_does_not_exist_is_named():
    with pytest.raises(QueryError, match="it can be html, pdf, pptx, xlsx"):
        forms.form_of("doc")
