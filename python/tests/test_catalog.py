"""The catalogue says what the layer says, opens without a network, and is fit for every reader."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cadran import catalog
from cadran.cli import main
from cadran.errors import QueryError
from cadran.formats import words as texts

AUDITED = [
    "index.html",
    *(
        f"en/{page}.html"
        for page in ("index", "tiers", "tree", "dictionary", "glossary", "changes")
    ),
    "en/kpis/net_revenue.html",
    "en/kpis/response_ms_p95.html",
    "en/tables/fct_orders.html",
    "fr/index.html",
    "fr/teams.html",
    "fr/kpis/platform_availability.html",
    "fr/kpis/ticket_backlog.html",
]


@pytest.fixture(scope="module")
def site(demo, layer, tmp_path_factory):
    assert layer.kpis()
    out = tmp_path_factory.mktemp("catalog") / "site"
    arguments = ["--manifest", demo.target / "semantic_manifest.json", "--database", demo.database]
    # Exit code 0 says too that every exact relation of the tree holds in the figures.
    assert main(["catalog", "--out", str(out), *map(str, arguments)]) == 0
    return out


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.ids, self.words = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, _tag, attrs):
        given = dict(attrs)
        self.links += [given[name] for name in ("href", "src") if given.get(name)]
        if given.get("id"):
            self.ids.append(given["id"])

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html")}


def test_each_kpi_has_a_page_in_both_languages(site, layer):
    for lang in ("en", "fr"):
        written = {path.stem for path in (site / lang / "kpis").glob("*.html")}
        assert written == {card.name for card in layer.kpis()}


def test_every_link_leads_to_a_page_or_file_that_is_there(pages):
    for path, page in pages.items():
        for link in page.links:
            assert not link.startswith(("http:", "https:", "//")), (path, link)
            target, _, mark = link.partition("#")
            there = (path.parent / target).resolve() if target else path
            assert there.exists(), (path, link)
            if mark and there.suffix == ".html":
                assert mark in pages[there].ids, (path, link)


def test_no_page_gives_an_id_twice(pages):
    for path, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), path


def test_a_page_shows_the_layers_figure_as_its_language_writes_it(layer, site):
    from cadran.formats import numbers

    value = layer.query(
        ["net_revenue"], "metric_time__month", start="2026-10-01", end="2026-10-31"
    ).to_arrow()["net_revenue"][0].as_py()  # fmt: skip
    for lang in ("en", "fr"):
        shown = numbers.measure(value, "EUR", lang=lang)
        assert shown in (site / lang / "kpis" / "net_revenue.html").read_text(encoding="utf-8")
        assert shown in (site / lang / "index.html").read_text(encoding="utf-8")


def test_a_kpi_page_tells_definition_owner_lineage_use_and_version(pages, site):
    text = pages[site / "en" / "kpis" / "net_revenue.html"].text
    for words in (
        "cancellations and refunds taken off", "head.of.sales@example.com", "shop.order_lines",
        "fct_order_lines", "Strategic KPIs by month", "Version 1", "late after 3 hours",
        "order_id__channel", "DATE_TRUNC", "cash collected",
    ):  # fmt: skip
        assert words in text, words
    assert "fct_order_lines" in pages[site / "fr" / "kpis" / "net_revenue.html"].text
    assert "Chiffre d'affaires net" in pages[site / "fr" / "kpis" / "net_revenue.html"].text


def test_the_dictionary_has_every_column_of_every_mart(layer, pages, site):
    nodes = layer.project.dbt_manifest["nodes"].values()
    marts = [n for n in nodes if n["resource_type"] == "model" and n["fqn"][1] == "marts"]
    assert marts
    for mart in marts:
        columns = pages[site / "en" / "tables" / f"{mart['name']}.html"].ids
        assert set(mart["columns"]) <= set(columns), mart["name"]


def test_each_team_sees_what_its_kpis_contribute_to(pages, site):
    text = pages[site / "en" / "tree.html"].text
    assert re.search(r"Change failure rate Platform availability \(driver → Number|driver →", text)
    assert "What each team contributes to" in text


def test_no_word_of_the_pages_is_missing_in_a_language():
    english, french = (texts.words("catalog", lang) for lang in ("en", "fr"))
    empty = {key for key in english if not (english[key] and french[key])}
    assert empty == {"descriptions_note"}, "the English pages need no note on English texts"
    for key in english.keys() - empty:
        assert set(re.findall(r"{\w+}", english[key])) == set(re.findall(r"{\w+}", french[key]))


def test_a_folder_with_other_things_is_left_alone(layer, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(QueryError, match="something else"):
        catalog.build(layer, tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_pages_have_no_accessibility_violation_and_fit_a_phone(site, tool, project_root):
    chromium = tool("browser")
    audit = Path(__file__).with_name("browser") / "audit.mjs"
    command = ["node", audit, project_root / "target" / "browser", chromium, site, "--", *AUDITED]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == []
