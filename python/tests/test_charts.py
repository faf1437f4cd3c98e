"""Charts: what is drawn is what was given, nothing joins two definitions, and both languages."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest
from test_cards import card as made

import cadran
from cadran.charts import rows as charts
from cadran.charts.graph import Edge, Node, tree
from cadran.charts.page import page, spark
from cadran.charts.plots import Mark, sparkline, waterfall
from cadran.charts.still import Drawing, still
from cadran.errors import QueryError
from cadran.insight.occasions import occasions

MONTHS = [dt.date(2026, month, 1) for month in range(1, 7)]
CARD = made()


def rows(values, name="revenue"):
    return [{"metric_time__month": m, name: v} for m, v in zip(MONTHS, values, strict=True)]


def parts_of(picture):
    """How many unbroken parts each line has."""
    return [len(curve.parts) for curve in picture.curves]


def test_a_line_is_cut_where_the_definition_changed():
    data = rows([10, 20, 30, 40, 50, 60])
    changed = Mark(dt.date(2026, 3, 20), "v2 policy", cuts=True)
    cut = charts.line(data, CARD, breaks=[changed])
    assert parts_of(charts.line(data, CARD)) == [1]
    assert [len(part) for part in cut.curves[0].parts] == [3, 3], "from the next whole month on"
    assert "v2 policy" in still(cut)
    assert "v2 policy" in page(cut)


def test_a_change_before_or_after_what_is_drawn_leaves_no_mark():
    data = rows([10, 20, 30, 40, 50, 60])
    for day in (dt.date(2025, 12, 31), dt.date(2026, 6, 2)):
        drawn = charts.line(data, CARD, breaks=[Mark(day, "elsewhere", cuts=True)])
        assert (parts_of(drawn), drawn.rules) == ([1], ())


def test_what_was_published_is_cut_beside_a_line_that_is_not():
    said, breaks = rows([11, 21, 31, 40, 50, 60]), [Mark(MONTHS[3], "v2 policy", cuts=True)]
    picture = charts.line(
        rows([10, 20, 30, 40, 50, 60]), CARD, published=said, breaks=breaks, lang="fr",
        goals=dict.fromkeys(MONTHS, 45), head="Mois",
    )  # fmt: skip
    lines = {curve.style: len(curve.parts) for curve in picture.curves}
    assert lines == {"solid": 1, "dashed": 2, "dotted": 1}
    assert [end.name for end in picture.ends] == ["réalisé", "tel que publié", "objectif"]
    assert picture.table.head == ("Mois", "réalisé", "tel que publié", "objectif")


def test_figures_are_written_as_the_language_writes_them():
    data = rows([1_000_000, 1_500_000, 1_200_000, 1_100_000, 1_300_000, 1_600_000])
    assert "€1.6M" in still(charts.line(data, CARD))
    french = still(charts.line(data, CARD, lang="fr"))
    assert "1,6\N{NO-BREAK SPACE}M€" in french
    assert "janv. 2026" in french


def test_members_have_a_line_each_and_the_greatest_are_drawn():
    data = [
        {"metric_time__month": month, "country": f"c{at}", "revenue": at}
        for month in MONTHS
        for at in range(9)
    ]
    picture = charts.line(data, CARD)
    assert sorted(end.name for end in picture.ends) == [f"c{at}" for at in range(3, 9)]
    assert picture.marks >= 6 * len(MONTHS)


def test_the_bars_carry_the_exact_figures_greatest_first():
    data = [{"channel": "web", "revenue": 10}, {"channel": None, "revenue": -5},
            {"channel": "shop", "revenue": 25}]  # fmt: skip
    bars = charts.ranked(data, CARD, title="by channel")
    assert [(row.label, row.value) for row in bars.rows] == [
        ("shop", "€25"), ("web", "€10"), ("–", "-€5"),  # noqa: RUF001 - no member
    ]  # fmt: skip
    shop, web, less = (row.segments[0] for row in bars.rows)
    assert web.width == pytest.approx(shop.width * 10 / 25)
    assert less.x + less.width == pytest.approx(shop.x) == pytest.approx(bars.strokes[0])


def test_a_waterfall_ends_at_the_sum_of_its_steps():
    steps = [("revisions", -300, ""), ("definition", 100, "")]
    bars = waterfall(("published", 1000), steps, ("now", 800), CARD, title="w")
    ends = [(row.segments[0].x, row.segments[0].x + row.segments[0].width) for row in bars.rows]
    (_, first), (low, high), (begin, end), (_, now) = ends
    assert (high, low, end) == pytest.approx((first, begin, now))
    assert "-€300" in still(bars)
    assert bars.rows[0].segments[0].x == 0
    assert not bars.legend


def test_a_waterfall_of_small_steps_says_that_its_totals_are_cut():
    bars = waterfall(("before", 1000), [("web", 8, "")], ("now", 1008), CARD, title="w", lang="fr")
    (total,), (step,), _ = (row.segments for row in bars.rows)
    [(tone, told)] = bars.legend
    assert (total.x, tone) == (0, "grey")
    assert step.width > 0.4
    assert told == "totaux dessinés à partir de 995\N{NO-BREAK SPACE}€, non de zéro"
    for drawn in (still(bars), page(bars)):
        assert "non de zéro" in drawn


def test_a_histogram_counts_every_value_once_between_round_numbers():
    data = [{"metric_time__day": at, "revenue": at} for at in range(40)]
    picture = charts.histogram([*data, {"metric_time__day": 40, "revenue": None}], CARD)
    counts = [int(row[1]) for row in picture.table.rows]
    assert sum(counts) == 40
    assert len(picture.columns) == sum(count > 0 for count in counts) > 3
    tallest = max(column.height for column in picture.columns)
    heights = [column.height / tallest for column in picture.columns]
    assert heights == pytest.approx([count / max(counts) for count in counts if count])
    assert "<rect" in still(picture)
    assert charts.histogram([{"revenue": None}], CARD).marks == 0
    assert charts.histogram([{"revenue": 7}], CARD).marks == 1


def test_dots_stand_on_a_scale_of_their_own_greatest_first():
    data = [{"country": "FR", "revenue": 990}, {"country": "DE", "revenue": 1000}]
    bars = charts.dots(data, CARD, title="by country")
    assert [row.label for row in bars.rows] == ["DE", "FR"]
    first, second = (row.dots[0].x for row in bars.rows)
    assert first - second > 0.5, "they are told apart though both are far from zero"
    assert bars.marks == still(bars).count("<circle") == page(bars).count('class="dot') == 2


def test_two_versions_are_drawn_apart_and_named():
    old, new = (dict(zip(MONTHS, range(at, at + 6), strict=True)) for at in (0, 6))
    picture = charts.versions(old, new, CARD, "month", names=("v1", "v2"), effective=MONTHS[2])
    assert [end.name for end in picture.ends] == ["v2", "v1"]
    assert [rule.text for rule in picture.rules] == ["v2"]


def test_a_tree_draws_every_box_once_and_passes_over_unknown_arrows():
    nodes = [Node("a", "A"), Node("b", "B", "note", "strong"), Node("c", "C", "", "soft")]
    pairs = [("a", "b"), ("b", "c"), ("a", "c"), ("x", "a")]
    graph = tree(nodes, [Edge(tail, head) for tail, head in pairs], title="A tree")
    assert (graph.marks, len(graph.arrows)) == (3, 3)
    places = {box.lines[0]: box.x for box in graph.boxes}
    assert places["A"] < places["B"] < places["C"]
    for drawn in (still(graph, width=100), page(graph)):
        assert [drawn.count(f">{name}<") for name in "ABC"] == [1, 1, 1]
        assert "<title>A tree</title>" in drawn
    assert 'width="100pt"' in still(graph, width=100)


def test_a_sparkline_of_gaps_is_still_a_picture():
    assert sparkline([None, 1, None, 3, 2]).marks == 4
    for values in ([None, 1, None, 3, 2], [None, None]):
        assert "<svg" in spark(sparkline(values))
        assert still(sparkline(values), width=90).startswith("<svg")


def test_rows_without_a_period_are_refused():
    with pytest.raises(QueryError, match="metric_time__month"):
        charts.line([{"revenue": 1}], CARD)


def test_a_drawing_is_kept_as_a_file_of_either_kind(tmp_path):
    drawing = Drawing(sparkline([1, 3, 2]))
    drawing.save(tmp_path / "a.svg", width=90)
    drawing.save(tmp_path / "a.png", width=90)
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == drawing.svg(90)
    image = (tmp_path / "a.png").read_bytes()
    assert image.startswith(b"\x89PNG")
    # 90 points are 120 pixels, twice as fine; the width stands in the file's header.
    assert int.from_bytes(image[16:20]) == 240
    with pytest.raises(QueryError, match=r"\.svg or \.png"):
        drawing.save(tmp_path / "a.pdf")


def test_holidays_and_sales_of_the_calendar_are_marks_of_their_days(tmp_path):
    (tmp_path / "cadran_calendar.yml").write_text(
        "holidays: [2026-05-01, 2026-12-25]\n"
        "promotions: [{name: May sale, first_day: 2026-04-28, last_day: 2026-05-02}]\n"
    )
    layer = SimpleNamespace(project=SimpleNamespace(root=tmp_path))
    found = occasions(layer, dt.date(2026, 5, 1), dt.date(2026, 5, 31), "fr")
    assert [(mark.at, mark.shape) for mark in found] == [
        (dt.date(2026, 5, 1), "square"), (dt.date(2026, 5, 1), "diamond"),
    ]  # fmt: skip
    assert found[0].text == "jour férié, 1er mai 2026"
    assert found[1].text.startswith("May sale, 28 avr.")
    days = [{"metric_time__day": dt.date(2026, 5, day), "revenue": day} for day in range(1, 32)]
    assert "jour férié" in still(charts.line(days, CARD, events=found))


def test_a_kpi_in_the_hand_plots_itself(layer):
    kpi = cadran.Kpi(layer, "net_revenue")
    chart = kpi.plot(start="2026-01-01", end="2026-06-30", lang="fr")
    assert chart.picture.marks >= len(MONTHS)
    assert "avr." in chart._repr_svg_()
    spread = kpi.plot("day", start="2026-09-01", end="2026-10-31", kind="histogram").picture
    assert sum(int(row[1]) for row in spread.table.rows) == 61
    assert "order_id__channel" in kpi.values(by="order_id__channel").columns
    assert "Net revenue" in repr(kpi)
