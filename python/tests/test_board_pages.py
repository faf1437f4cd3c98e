"""Pages of service levels, incidents and impact: what stands in them, and for whom."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from cadran.insight.source import Source
from cadran.reliability import sla
from cadran.web import levels, pages, service_levels
from cadran.web.readings import Reader
from cadran.web.render import Words, rendered
from cadran.web.view import View


@pytest.fixture(scope="module")
def kept():
    """What pages read beside the layer, once for all tests as for all readers of a server."""
    return {}


@pytest.fixture
def read(layer, kept):
    """Renders a page as a reader sees it, with its content."""

    def page(path, lang="en", *, whole=True, **view):
        reader = Reader(Source.of(layer), View(lang=lang, **view), lambda _: whole, kept)
        words = Words(lang, service_levels.zone(reader))
        page = pages.page(path, reader, words)
        text = rendered(
            page.template, words, view=reader.view, pages=pages.NAVIGATION, here=page.here,
            path=f"/board/{path}", events="", **page.content,
        )  # fmt: skip
        return text, page.content

    return page


def marks(text):
    return [int(number) for number in re.findall(r'data-marks="(\d+)"', text)]


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_service_levels_are_drawn_in_both_languages(read, lang):
    text, _ = read("levels", lang)
    assert f'<html lang="{lang}"' in text
    assert marks(text)
    assert all(marks(text))
    assert ("Service levels" if lang == "en" else "Niveaux de service") in text


def test_the_budget_of_a_month_is_what_its_minutes_say(read, layer):
    slo_id, month = "availability_28d:checkout", dt.date(2026, 10, 1)
    text, content = read(f"levels/{slo_id}", start=month)
    (row,) = layer.warehouse.arrow(
        "select sum(bad_units) as bad, sum(allowed_units) as allowed"
        " from reliability.fct_slo_slices_minutely as slices"
        f" where slo_id = '{slo_id}' and not is_excluded"
        " and timezone('Europe/Paris', timezone('UTC', minute_at)) >= date '2026-10-01'"
        " and timezone('Europe/Paris', timezone('UTC', minute_at)) < date '2026-11-01'"
    ).to_pylist()
    left = 1 - row["bad"] / row["allowed"]
    plot = content["burn_down"].plot
    assert plot.table.rows[0][1] == f"{left * 100:.1f}%"
    assert len(plot.table.rows) == 31
    assert plot.table.rows[0][1] in text


def test_the_month_of_a_contract_is_what_its_minutes_say(layer, project_root):
    contract = sla.read_contracts(project_root / "contracts")["partners_api"]
    month = dt.date(2026, 10, 1)
    settlement = sla.settle(layer, contract, month)
    row = levels.contract_row(contract, settlement, Words("en"))
    # Runs of five bad minutes or more: minutes in a row share their distance to their place.
    (found,) = layer.warehouse.arrow(
        "with bad as ("
        " select minute_at, minute_at - interval 1 minute * row_number() over (order by minute_at)"
        "  as run"
        " from reliability.int_sli_minutely"
        " where kpi = 'platform_availability' and subject = 'public_api'"
        " and good_count < 0.95 * total_count"
        " and timezone('Europe/Paris', timezone('UTC', minute_at)) >= date '2026-10-01'"
        " and timezone('Europe/Paris', timezone('UTC', minute_at)) < date '2026-11-01'),"
        " runs as (select count(*) as length from bad group by run)"
        " select coalesce(sum(length), 0) as down from runs where length >= 5"
    ).to_pylist()
    october = (31 * 24 + 1) * 60  # the clock goes back
    assert row.gross == f"{int((1 - found['down'] / october) * 1_000_000) / 10_000:.4f}%"
    assert row.credit == f"€{settlement.credit:,.2f}"


def test_who_sees_a_part_of_the_rows_is_told_of_no_service_level(read):
    text, content = read("levels", whole=False)
    assert not content["levels"]
    assert not content["contracts"]
    assert "There is no service level objective" in text


def test_a_project_without_service_levels_says_so(shop):
    reader = Reader(Source.of(shop), View(), lambda _: True)
    page = pages.page("levels", reader, Words("en"))
    assert page.content["levels"] == []
