"""The board pack: what it says equals what the layer answers, and what is printed is whole."""

from __future__ import annotations

import datetime as dt
import html as markup
import itertools
import re
import string
import subprocess
import zlib
from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import pytest

from cadran.core.recent import Recent
from cadran.errors import QueryError, ReportError
from cadran.formats import periods
from cadran.insight.readings import MOST_KEPT, Reader
from cadran.insight.source import Source
from cadran.insight.view import View
from cadran.reliability import status
from cadran.reports import layout
from cadran.reports.basis import Basis
from cadran.reports.html import html
from cadran.reports.make import pack_from
from cadran.reports.pack import (
    Advice,
    Page,
    PictureBlock,
    Table,
    Text,
    Tiles,
    figures_of,
    rows_of,
    stated_by,
)
from cadran.reports.pdf import pdf, pdf_of, printing
from cadran.reports.published import diff, figures_in, publish
from cadran.reports.speech import FILE, Speech, texts
from cadran.reports.trends import limits

MONTH = dt.date(2026, 10, 1)
PAGES = ["summary", "kpis", "levels", "incidents", "trends", "costs", "outlook"]


@pytest.fixture(scope="module")
def packs(layer):
    """The pack of a month in both languages, which share what is read."""
    kept = Recent(MOST_KEPT), Recent(MOST_KEPT)

    def pack(lang):
        reader = Reader(Source.of(layer), View(lang, "month", MONTH), lambda _: True, *kept)
        return pack_from(Basis.read_by(reader, "Maison Cadran"))

    return {lang: pack(lang) for lang in ("en", "fr")}


@pytest.fixture(scope="module")
def printed(packs):
    return pdf(packs["fr"])


def text_of(page):
    """The words of a page of HTML, as they are read."""
    body = re.sub(r"<(style|title).*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", markup.unescape(re.sub(r"<[^>]+>", " ", body)))


def plain(text):
    return re.sub(r"\s+", " ", text).strip()


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_page_is_there_in_both_languages(packs, lang):
    pack = packs[lang]
    keys = [page.key for page in pack.pages]
    assert keys[: len(PAGES)] == PAGES
    assert {"advice", "definitions", "sources"} <= set(keys)
    page = html(pack)
    assert f'<html lang="{lang}">' in page
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<script", page)
    for one in pack.pages:
        assert markup.escape(one.title.text, quote=False) in page
        assert one.title.text.endswith(".")


def test_every_figure_that_has_a_question_is_what_the_layer_answers_to_it(packs, layer):
    asked = defaultdict(lambda: defaultdict(list))
    for figure in (one for pack in packs.values() for one in stated_by(pack.pages)):
        question = figure.question
        if question is not None and question.grain:  # rows of a grain are asked at once
            asked[None, None, question.dimension, question.grain][question.metric].append(figure)
        elif question is not None:
            days = question.start, question.end
            asked[(*days, question.dimension, "")][question.metric].append(figure)
    count = 0
    for (start, end, by, grain), metrics in asked.items():
        time = f"metric_time__{grain}"
        every = [figure.question for figures in metrics.values() for figure in figures]
        rows = layer.query(
            list(metrics), [*filter(None, (by, grain and time))],
            start=start or min(one.start for one in every),
            end=end or max(one.end for one in every),
        ).to_arrow()  # fmt: skip
        answers = {(row.get(by), row.get(time)): row for row in rows.to_pylist()}
        for metric, figures in metrics.items():
            for figure in figures:
                question = figure.question
                key = question.member, question.start if grain else None
                assert answers[key][metric] == figure.value, figure
                count += 1
    assert count > 400
    assert {"net_revenue", "platform_availability", "incident_count"} <= {
        metric for metrics in asked.values() for metric in metrics
    }


BUDGETS = """
    select sum(bad_units) / sum(allowed_units) as used, sum(units) as units,
        sum(allowed_units) as allowed
    from reliability.fct_slo_slices_hourly
    where slo_id = '{slo}' and not is_excluded and date_trunc('month', local_date) = date '{month}'
"""
DRAWS = """
    with months as (
        select sum(bad_units) as bad, sum(allowed_units) as allowed
        from reliability.fct_slo_slices_hourly
        where slo_id = '{slo}' and not is_excluded and local_date <= date '2026-10-31'
        group by date_trunc('month', local_date)
        order by date_trunc('month', local_date) desc limit 12
    )

    select avg(case when a.bad + b.bad + c.bad > a.allowed + b.allowed + c.allowed
        then 1.0 else 0.0 end) as breach
    from months as a, months as b, months as c
"""
SEARCHED = """
    select sum(request_count - good_request_count) / (sum(request_count) * 0.005) as used
    from marts.fct_requests_minutely
    where service_id = 'search' and date_trunc('month', cast(
        (minute_at at time zone 'UTC') at time zone 'Europe/Paris' as date)) = date '{month}'
"""


def test_the_evidence_of_recommendations_is_what_sql_finds(packs, layer):
    pages = [page for page in packs["en"].pages if page.key.startswith("advice")]
    found = {}
    for figure in figures_of(tuple(pages)):
        rule, _, name = figure.origin.removeprefix("recommendation ").partition("/2026-10 ")
        found[rule, name.partition(" (")[0]] = figure.value

    def asked(sql, **places):
        [row] = layer.warehouse.arrow(sql.format(**places)).to_pylist()
        return row

    expected = {}
    for (rule, name), value in found.items():
        slo, (base, _, back) = rule.partition("/")[2], name.partition("_")
        if base in {"used", "units", "allowed"} and not rule.startswith("cause"):
            month = periods.shifted(MONTH, "month", -int(back or 0))
            expected[rule, name] = asked(BUDGETS, slo=slo, month=month)[base]
            if slo == "availability_28d:search":  # from the minutes of the requests themselves
                assert asked(SEARCHED, month=month)["used"] == pytest.approx(value)
        elif name == "breach":
            expected[rule, name] = asked(DRAWS, slo=slo)["breach"]
    assert {name for _, name in expected} >= {"used", "used_1", "used_3", "allowed", "breach"}
    assert {key: float(found[key]) for key in expected} == pytest.approx(
        {key: float(value) for key, value in expected.items()}
    )


def test_the_budget_of_a_year_is_that_of_its_hours(layer):
    rows = layer.warehouse.arrow("""
        select slo_id, date_trunc('year', local_date) as period_start, max(local_date) as last_date,
            sum(units) as units, sum(bad_units) / sum(allowed_units) as consumed_rate
        from reliability.fct_slo_slices_hourly where not is_excluded group by 1, 2 order by 1, 2
    """).to_pylist()
    years = status.history(layer, {row["slo_id"] for row in rows}, "year")
    assert len(years) == len(rows) > 20
    for year, row in zip(years, rows, strict=True):
        assert {**row, "period_start": year["period_start"], "last_date": year["last_date"]} == {
            **{name: year[name] for name in row},
            "consumed_rate": pytest.approx(year["consumed_rate"]),
        }
        assert year["period_start"] == dt.date(row["period_start"].year, 1, 1)


def test_all_that_a_pack_says_is_published_the_same_of_both_languages(packs, layer, tmp_path):
    silent = [
        figure for figure in figures_of(packs["en"].pages)
        if figure.value is not None and figure.question is None and not figure.origin
    ]  # fmt: skip
    assert silent == []
    said = {lang: figures_in(pack, layer) for lang, pack in packs.items()}
    assert diff(said["en"], said["fr"]) == ()
    journal = SimpleNamespace(project=SimpleNamespace(root=tmp_path))
    kept = publish(journal, "2026-10", said["en"], by="ann@example.com",
                   recommendations=packs["en"].recommended)  # fmt: skip
    assert diff(kept.figures, said["fr"]) == ()
    assert all(titles.keys() == {"en", "fr"} for titles in kept.recommendations.values())
    kinds = {figure.metric.split(" ")[0] for figure in kept.figures}
    assert {"incident", "impact", "forecast", "risk", "error_budget_consumed_rate"} <= kinds
    ends = {figure.metric.rpartition(" ")[2] for figure in kept.figures}
    assert {"estimate", "low", "high"} <= ends


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_figure_stands_in_the_html_as_the_model_has_it(packs, lang):
    words = text_of(html(packs[lang]))
    figures = list(figures_of(packs[lang].pages))
    assert len(figures) > 150
    missing = [figure.text for figure in figures if plain(figure.text) not in words]
    spoken = {figure.text for page in packs[lang].pages for block in page.blocks
              if isinstance(block, Advice) for figure in figures_of(block)}  # fmt: skip
    assert set(missing) <= spoken  # the evidence of a decision stands on its own page


def test_every_figure_stands_in_the_text_of_the_pdf(packs, printed, tool, tmp_path):
    tool("office")  # and with it pdftotext
    file = tmp_path / "pack.pdf"
    file.write_bytes(printed)
    text = subprocess.run(
        ["pdftotext", "-raw", file, "-"], check=True, capture_output=True, timeout=60
    ).stdout.decode()
    words = plain(text)
    for page in packs["fr"].pages:
        shown = [block for block in page.blocks if isinstance(block, Tiles | Table)]
        for figure in figures_of(tuple(shown)):
            if figure.question is not None:
                assert plain(figure.text) in words, figure


def test_the_pdf_is_small_and_the_same_each_time(packs, printed):
    assert len(printed) < 2_000_000
    assert printed.startswith(b"%PDF-1.7")
    one = replace(packs["fr"], pages=packs["fr"].pages[1:2])
    with printing() as begun:
        beside = begun(one)
        assert pdf(one) == beside()
    assert html(one) == html(one)


def objects_of(content):
    """The dictionaries of a PDF by number, those of compressed streams among them."""
    every = {}
    for number, body in re.findall(rb"(\d+) 0 obj\n(.*?)endobj", content, re.DOTALL):
        head, _, stream = body.partition(b"stream\n")
        every[int(number)] = head.decode("latin-1")
        if b"/Metadata" in head and b"/XML" in head:
            is_small = b"/FlateDecode" in head
            text = zlib.decompressobj().decompress(stream) if is_small else stream
            every[int(number)] += text.decode()
        if b"/ObjStm" in head:
            inner = zlib.decompressobj().decompress(stream)
            first = int(re.search(rb"/First (\d+)", head)[1])
            numbers = [int(n) for n in inner[:first].split()]
            ends = [*numbers[3::2], len(inner) - first]
            for one, begin, end in zip(numbers[::2], numbers[1::2], ends, strict=True):
                every[one] = inner[first + begin : first + end].decode("latin-1")
    return every


def test_the_pdf_tells_readers_of_screens_its_language_title_bookmarks_figures_and_heads(
    packs, printed
):
    pack, objects = packs["fr"], objects_of(printed)
    texts = list(objects.values())
    catalog = next(text for text in texts if re.search(r"/Type\s*/Catalog", text))
    assert re.search(r"/Marked\s*true", catalog)
    assert re.search(r"/Lang\s*\(fr\)", catalog)
    assert re.search(r"/DisplayDocTitle\s*true", catalog)
    assert "/StructTreeRoot" in catalog
    metadata = int(re.search(r"/Metadata (\d+) 0 R", catalog)[1])
    assert re.search(r"pdfuaid:part(>|=.)1", objects[metadata])
    titles = [text for text in texts if "/Title" in text and "/Dest" in text]
    assert len(titles) >= len(pack.pages)
    tree = {number: text for number, text in objects.items() if "/StructElem" in text}
    kinds = {number: re.search(r"/S\s*/(\w+)", text)[1] for number, text in tree.items()}
    figures = [text for number, text in tree.items() if kinds[number] == "Figure"]
    assert len(figures) > 20
    assert all(re.search(r"/Alt\s*[(<][^)>]", text) for text in figures)

    def read(number):
        if number in kinds:
            yield kinds[number]
        children = re.search(r"/K\s*(?:\[(.*?)\]|(\d+) 0 R)", objects[number], re.DOTALL)
        for child in re.findall(r"(\d+) 0 R", children[0]) if children else ():
            if int(child) in kinds:
                yield from read(int(child))

    root = int(re.search(r"/StructTreeRoot (\d+) 0 R", catalog)[1])
    heads = [int(kind[1]) for kind in read(root) if re.fullmatch(r"H[1-6]", kind)]
    assert heads[0] == 1
    assert heads.count(1) == len(pack.pages)
    assert all(after <= before + 1 for before, after in itertools.pairwise(heads))


def test_pictures_bring_what_they_show_for_writers_of_other_formats(packs):
    pictures = [block for page in packs["en"].pages for block in page.blocks
                if isinstance(block, PictureBlock)]  # fmt: skip
    assert len(pictures) > 9
    for block in pictures:
        assert block.picture.marks
        assert block.picture.title
        assert any(value is not None for one in block.series for value in one.values)
        assert all(len(one.labels) == len(one.values) for one in block.series)


def test_blocks_stand_side_by_side_as_far_as_there_is_room():
    blocks = tuple(Advice("", (Text("x"),), span=span) for span in (7, 5, 12, 4, 4, 4))
    page = Page("p", "1", "p", Text("T."), Text(""), blocks, "")
    assert [[block.span for block in row] for row in rows_of(page)] == [[7, 5], [12], [4, 4, 4]]


SECTION = '<section class="page" style="height:210mm;position:relative">{}</section>'
HEAD = "<html lang=en><title>t</title><style>@page{size:297mm 210mm;margin:0}body{margin:0}</style>"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('<p style="position:absolute;left:270mm;top:20mm;width:30mm">A word too far</p>',
         "past the margin"),
        ('<p style="position:absolute;left:20mm;top:198mm">Below</p>', "below the content"),
        (('<div class=block style="position:absolute;left:20mm;top:20mm;width:50mm">One</div>'
         '<div class=block style="position:absolute;left:60mm;top:22mm;width:50mm">Two</div>'),
         "lie on each other"),
        (('<table style="margin:20mm;table-layout:fixed;width:40mm"><tr><td style="width:9mm">'
         'Incomprehensibilities<td>x</table>'), "wider than its cell"),
        ('<p style="margin:20mm;font-weight:650">Bold</p>', "WeasyPrint warns"),
        (('<p style="margin:20mm"><svg width="9pt" height="9pt" viewBox="0 0 9 9">'
         '<rect width="9" height="9"/></svg></p>'), "figures have"),
    ],
)  # fmt: skip
def test_a_fault_of_layout_fails_the_pdf(content, fault):
    with pytest.raises(ReportError, match=fault):
        pdf_of(HEAD + SECTION.format(content), 1)


def test_a_page_too_many_fails_the_pdf():
    with pytest.raises(ReportError, match="2 pages instead of 1"):
        pdf_of(HEAD + SECTION.format("") + SECTION.format(""), 1)


def test_a_page_without_fault_is_printed():
    page = '<p style="margin:20mm">A word <svg width="9pt" height="9pt"><title>A box</title></svg>'
    assert pdf_of(HEAD + SECTION.format(page), 1).startswith(b"%PDF")
    assert layout.Area(0, 0, 10, 10, "a").meets(layout.Area(5, 5, 20, 20, "b"))
    assert not layout.Area(0, 0, 10, 10, "a").meets(layout.Area(10, 0, 20, 10, "b"))


@pytest.mark.parametrize(
    ("period", "lang", "told"),
    [
        ("2026-W30", "en", "of a month, a quarter or a year"),
        ("2026-13", "en", "is no month, quarter or year"),
        ("2031-Q1", "en", "No strategic KPI has a value in 2031-Q1: the data reach 2026-10-3"),
        ("2026-Q3", "de", "lang is 'de'; it can be en, fr"),
    ],
)
def test_what_cannot_be_reported_is_refused_in_a_sentence(layer, period, lang, told):
    with pytest.raises(QueryError, match=told):
        Basis.of(Source.of(layer), period, lang)


def test_limits_are_those_worked_out_on_paper():
    months = [dt.date(2026, month, 1) for month in range(1, 8)]
    found = limits(dict(zip(months, [1, 3, 1, 3, 1, 3, 1], strict=True)), "orders")
    assert found.mean == pytest.approx(13 / 7)
    assert found.high == pytest.approx(13 / 7 + 2.66 * 2)
    assert found.low == 0  # nothing that was never negative is expected to be
    assert found.holds(7)
    assert not found.holds(8)
    assert limits(dict.fromkeys(months[:5], 1), "orders") is None
    assert limits(dict.fromkeys(months, 1), "orders", months[3]) is None


def test_both_languages_have_every_text_with_the_same_places():
    english, french = texts("en"), texts("fr")
    places = string.Formatter().parse
    for key, text in english.items():
        names = {name for _, name, _, _ in places(text) if name}
        # A singular may be said without its number, in one language and not in the other.
        spelled = {"n"} if key.endswith(("_one", "_none", "_many")) else set()
        assert names - spelled == {n for _, n, _, _ in places(french[key]) if n} - spelled, key
        if key.endswith("_one"):
            assert f"{key.removesuffix('_one')}_many" in english, key
    assert FILE.exists()


def test_numbers_are_spelled_and_signs_set_apart_as_print_has_them():
    french, english = Speech("fr"), Speech("en")
    assert french.counted("decisions", 1) == "Une décision est demandée au comité."
    assert french.counted("incidents", 0) == "Aucun incident."
    assert english.counted("incidents", 12) == "12 incidents."
    assert french.spelled(1, is_feminine=True) == "une"
    # One alone is not counted.
    assert french.counted("year_likely", 0, total=5).startswith("aucun des cinq objectifs")
    assert french.counted("year_likely", 0, total=1).startswith("l’objectif annuel n’est pas")  # noqa: RUF001 - print's own sign
    assert english.counted("budgets_over", 1, total=1).startswith("the internal objective")
    assert french.print("L'écart : -3 % ; -5 pt") == "L’écart\u00a0: −3\u202f%\u202f; −5 pt"  # noqa: RUF001 - print's own signs
    assert english.print("2026-09 and -3") == "2026-09 and −3"  # noqa: RUF001 - the minus sign
    assert french.listed(["A", "B", "C"]) == "A, B et C"
    assert french.inner("SLA net") == "SLA net"
    assert french.date(dt.date(2026, 10, 1)) == "1er\u00a0octobre 2026"
