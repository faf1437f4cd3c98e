"""Pictures at a fixed size: every mark is drawn, no words lie on each other, nothing leaves."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from test_cards import card

from cadran import shell
from cadran.charts import plots, timelines
from cadran.charts.graph import Edge, Node, tree
from cadran.charts.page import page
from cadran.charts.picture import (
    Bar,
    Bars,
    Column,
    Dot,
    Panel,
    Panels,
    Plot,
    Rule,
    Segment,
    Tick,
    transposed,
)
from cadran.charts.still import still
from cadran.charts.svg import PALETTES, cut, text_width, wrap

SVG = "{http://www.w3.org/2000/svg}"
CARD = card()
MONTHS = [dt.date(2025 + month // 12, month % 12 + 1, 1) for month in range(18)]
RISING = {month: 1_200_000 + 20_000 * index for index, month in enumerate(MONTHS)}
DAY = dt.datetime(2026, 11, 3, 8)  # noqa: DTZ001 - clock times of an axis
LONG = "A service whose name has sixty characters, to see what gives"


def trend():
    lines = [
        plots.Series("Chiffre d'affaires net", RISING, filled=True, cuts=(MONTHS[9],)),
        plots.Series("As published", {m: v * 0.99 for m, v in RISING.items()}, style="dashed"),
        plots.Series("Objectif", dict.fromkeys(MONTHS, 1.5e6), "muted", stepped=True),
    ]
    return plots.trend(
        lines, CARD, "month", title="Revenue <net>", lang="fr", running=MONTHS[-1],
        breaks=[plots.Mark(MONTHS[at], f"v{at} : une définition nouvelle") for at in (9, 10, 16)],
        events=[plots.Mark(MONTHS[at], f"Incident {at}", "bad") for at in (3, 4, 5, 6, 16)],
        expected=plots.Expected(MONTHS[-1], "Prévision", 1.72e6, 1.6e6, 1.85e6),
    )  # fmt: skip


def pictures():
    months = ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct."]
    shares = [(name, [at / 6 for at in range(10)]) for name in ("Paiement", "Compte client")]
    burnt = {dt.date(2026, 11, day): 1 - day * 0.06 for day in range(1, 25)}
    limits = [(0.5, "half is spent"), (0.25, "a quarter is left"), (0.2, "no more deployments")]
    minutes = {DAY + dt.timedelta(minutes=5 * at): at for at in range(60)}
    begun, over = DAY + dt.timedelta(minutes=100), DAY + dt.timedelta(minutes=150)
    yield "trend", trend()
    yield "sparkline", plots.sparkline([1, 3, None, 4, 2])
    yield (
        "burn-down",
        timelines.burndown(burnt, title="b", words=("Day", "left", "even pace"), limits=limits),
    )
    yield (
        "course",
        timelines.course(
            minutes,
            DAY,
            DAY + dt.timedelta(hours=5),
            title="c",
            clock="{:%H:%M}".format,
            stretch=(begun, over),
            marks=[(begun, "deployment"), (over, "over")],
        ),
    )
    yield (
        "columns",
        Plot(
            "columns",
            x=tuple(Tick((at + 0.5) / 12, f"month {at}") for at in range(12)),
            y=(Tick(0, "100"), Tick(1, "0")),
            rules=(Rule(None, 0.3, "target"),),
            columns=tuple(Column(at / 12, 0.5, 0.05, 0.5, "blue") for at in range(12)),
        ),
    )
    yield (
        "waterfall",
        plots.waterfall(
            ("October", 1.2e6),
            [("France", 8e4, "+7 %"), (LONG, -1e5, "")],
            ("November", 1.18e6),
            CARD,
            title="w",
        ),
    )
    yield (
        "stacked",
        Bars(
            "s",
            (Bar("France", "100 %", (Segment(0, 0.6, "blue"), Segment(0.6, 0.4, "teal"))),),
            (0.5,),
            (("blue", "web"), ("teal", "shop")),
        ),
    )
    yield "dots", Bars("dots", (Bar("France", "12", (), dots=(Dot(0.3, 0.5, "blue"),)),))
    nodes = [Node(LONG, LONG, "12 %", "strong"), Node("b", "order_net_amount_of_lines"),
             Node("c", "C", "", "soft")]  # fmt: skip
    yield "graph", tree(nodes, [Edge("b", LONG, "+"), Edge("c", LONG)], title="tree")
    yield (
        "heat",
        plots.heat(
            shares,
            months,
            title="h",
            legend=["least", "some", "more", "over", "far over"],
            lang="fr",
        ),
    )
    yield "panels", Panels("p", tuple(Panel(LONG, "1,2 M€", plots.sparkline([1, at, 2]))
                                      for at in range(5)))  # fmt: skip


def texts(drawn):
    """Left, top, right and foot of each text, as measured."""
    for group in ET.fromstring(drawn).iter():  # noqa: S314 - ours
        shift = float(re.sub(r"[^\d.]", "", (group.get("transform") or "0").split(" ")[0]) or 0)
        for text in group.findall(f"{SVG}text"):
            size = float(text.get("font-size"))
            wide = text_width(text.text, size, bold="font-weight" in text.attrib) / 1.04
            left = float(text.get("x")) + shift
            left -= {"end": wide, "middle": wide / 2}.get(text.get("text-anchor"), 0)
            foot = float(text.get("y"))
            yield left, foot - size * 0.7, left + wide, foot, text.text


@pytest.mark.parametrize("width", [480, 280])
@pytest.mark.parametrize(("kind", "picture"), [*pictures()])
def test_words_stay_inside_and_never_lie_on_each_other(kind, picture, width):
    drawn = still(picture, width=110 if kind == "sparkline" else width)
    wide, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn).groups())
    boxes = list(texts(drawn))
    assert boxes or kind == "sparkline"
    for left, top, right, foot, text in boxes:
        assert left >= -0.5, text
        assert right <= wide + 0.5, text
        assert top >= -0.5, text
        assert foot <= height + 0.5, text
    for one, other in itertools.combinations(boxes, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one[4], other[4])


@pytest.mark.parametrize(("kind", "picture"), [*pictures()])
def test_every_mark_is_drawn_with_attributes_alone_and_always_the_same(kind, picture):
    drawn = still(picture)
    assert drawn == still(picture)
    root = ET.fromstring(drawn)  # noqa: S314 - ours
    names = {name for element in root.iter() for name in element.attrib}
    assert not names & {"style", "class", "id", "href"}
    tags = [element.tag.removeprefix(SVG) for element in root.iter()]
    assert not set(tags) & {"style", "script", "use", "image", "foreignObject"}
    points = sum(
        len(re.findall(r"[ML]", path.get("d")))
        for path in root.iter(f"{SVG}path")
        if path.get("stroke-width") == "1.5"
    )
    marks = points + tags.count("rect") + tags.count("circle")
    assert marks >= picture.marks > 0
    first = root[0] if len(root) else None
    assert (first.tag == f"{SVG}title" and first.text == picture.title) or kind == "sparkline"


def test_a_picture_on_its_paper_has_an_edge_and_keeps_its_size():
    bars = dict(pictures())["waterfall"]
    bare, paper = still(bars, width=300), still(bars, width=316, ground=True)
    assert '<g transform="translate(8 8)">' in paper
    assert 'width="316pt"' in paper
    assert bare.partition("</title>")[2].removesuffix("</svg>") in paper


def test_a_name_with_just_enough_room_is_not_cut():
    picture = plots.trend([plots.Series("Net revenue", RISING)], CARD, "month", title="t")
    assert ">Net revenue</text>" in still(picture)


def test_an_empty_picture_has_no_mark_and_one_value_has_one():
    assert "<circle" not in still(plots.trend([], CARD, "month", title="none"))
    single = plots.trend([plots.Series("", {MONTHS[0]: 12.0})], CARD, "month", title="one")
    assert "<circle" in still(single)


def test_a_heat_map_without_width_turns_on_its_side():
    grid = dict(pictures())["heat"]
    turned = transposed(grid)
    assert turned.columns == ("Paiement", "Compte client")
    assert [name for name, _ in turned.rows] == list(grid.columns)
    assert turned.rows[2][1][0] == grid.rows[0][1][2]
    assert replace(transposed(turned), title="h") == grid
    narrow, wide = still(grid, width=200), still(grid, width=480)
    assert narrow.index("avr.") > narrow.index("Paiement") > 0
    assert wide.index("avr.") < wide.index("Paiement")


def test_a_wide_heat_map_is_on_a_page_twice_and_a_phone_shows_the_turned_ones():
    months, names = [str(month) for month in range(12)], [f"SLO {at}" for at in range(9)]
    shares = [(name, [at / 20 for at in range(12)]) for name in names]
    shown = page(plots.heat(shares, months, title="h", legend=["l"] * 5))
    assert re.findall(r'class="(heat[ a-z]*)" data-marks="(\d+)"', shown) == [
        ("heat broad", "108"), ("heat tall", "84"), ("heat tall", "24"),
    ]  # fmt: skip
    narrow = plots.heat([("SLO", [0.5] * 7)], months[:7], title="h", legend=["l"] * 5)
    assert page(narrow).count("<table") == 1


def test_a_heat_map_gets_steadily_darker_or_lighter_through_the_whole_budget():
    for theme, palette in PALETTES.items():
        light = [_luminance(palette[f"heat-{level}"]) for level in range(5)]
        steps = [b - a for a, b in itertools.pairwise(light)]
        assert all(step < 0 for step in steps) if theme == "light" else all(s > 0 for s in steps)
        for level, ink in enumerate(("heat-ink",) * 3 + ("heat-mid", "heat-last")):
            pair = sorted((light[level], _luminance(palette[ink])))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (theme, level)


def _luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(p * weight for p, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def test_a_still_has_the_colours_of_the_page():
    light, *dark = re.findall(r":root[^{]*\{(--[^}]*)\}", shell.STYLE.read_text())
    for palette, written in (("light", light), *(("dark", found) for found in dark)):
        colours = dict(re.findall(r"--([\w-]+):(#\w+)", written))
        colours = {k: c if len(c) == 7 else f"#{c[1:]}{c[1:]}" for k, c in colours.items()}
        shared = set(PALETTES[palette]) & set(colours)
        assert shared >= {"ink", "paper", "blue", "bad", "heat-4", "heat-last"}
        assert {name: PALETTES[palette][name] for name in shared} == {
            name: colours[name] for name in shared
        }


def test_long_words_are_cut_and_wrapped_by_how_wide_they_are():
    assert cut("short", 100) == "short"
    assert text_width(cut(LONG, 60)) <= 60
    assert cut(LONG, 60).endswith("…")
    lines = wrap(LONG, 120)
    assert len(lines) == 2
    assert all(text_width(line) <= 120 for line in lines)
    assert wrap("", 10) == [""]


def test_small_multiples_and_a_legend_are_on_the_page_too():
    shown = dict(pictures())
    assert page(shown["panels"]).count("<svg") == 5
    assert ">shop<" in page(shown["stacked"])
