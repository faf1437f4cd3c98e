"""The Power BI project says what the layer says: its DAX, evaluated by other means, is equal."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from datetime import date
from decimal import Decimal

import dax
import pyarrow.parquet as pq
import pytest
import tmdl

from cadran.core import targets
from cadran.errors import QueryError
from cadran.exports import powerbi
from cadran.exports.powerbi import dates
from cadran.formats import periods

GRAINS = ("day", "week", "month", "quarter", "year")
UNSAYABLE = {"conversion_rate"}
OVER_TIME = (
    "revenue_month_to_date", "revenue_trailing_28_days", "revenue_growth_yoy", "ticket_backlog",
    "conversion_rate", "active_customers", "net_revenue",
)  # fmt: skip


@pytest.fixture(scope="module")
def exported(layer, tmp_path_factory):
    """The demo's project, and what the export said."""
    folder = tmp_path_factory.mktemp("powerbi") / "project"
    said: list[str] = []
    model = powerbi.export(layer, folder, name="demo", say=said.append)
    return folder, model, said


@pytest.fixture(scope="module")
def definition(exported):
    return exported[0] / "demo.SemanticModel" / "definition"


@pytest.fixture(scope="module")
def tree(definition):
    return tmdl.folder(definition)


@pytest.fixture(scope="module")
def model(exported, definition):
    return dax.Model(definition, exported[0] / "data")


@pytest.fixture(scope="module")
def measures(model):
    """Names of measures by what the layer calls them."""
    return {one.annotation("cadran_metric"): name for name, one in model.measures.items()}


def of_layer(layer, kpi, *groups):
    table = layer.query([kpi], groups, ordered=False).to_arrow()
    columns = [column.to_pylist() for column in table.columns]
    return {row[:-1]: row[-1] for row in zip(*columns, strict=True) if row[-1] is not None}


def differences(expected, found):
    """What is not equal: decimals and counts exactly, other numbers to a billionth."""
    return {
        key: (expected.get(key), found.get(key))
        for key in expected.keys() | found.keys()
        if not is_same(expected.get(key), found.get(key))
    }


def is_same(expected, found):
    if expected is None or found is None:
        return expected is found
    if isinstance(expected, (int, Decimal)):
        return expected == found
    return abs(expected - float(found)) <= 1e-9 * abs(expected)


def quarters(found):
    """The answer of the layer with quarters as the date table calls them."""
    return {(f"{key[0].year} Q{(key[0].month + 2) // 3}", *key[1:]): v for key, v in found.items()}


def years(found):
    return {(key[0].year, *key[1:]): value for key, value in found.items()}


NAMED = {"quarter": quarters, "year": years}


# Numbers ------------------------------------------------------------------------------------------


def test_every_kpi_is_a_measure_and_what_dax_cannot_say_is_named(layer, exported, measures):
    _, made, said = exported
    assert {card.name for card in layer.kpis()} <= measures.keys()
    whole = {one.what for one in made.left_out if " " not in one.what}
    assert whole == UNSAYABLE
    others = [one.what for one in made.left_out if one.what not in UNSAYABLE]
    assert len(others) == 1
    assert others[0].endswith("by minute and hour")
    page = (exported[0] / "LEFT_OUT.md").read_text(encoding="utf-8")
    for one in made.left_out:
        assert one.what in page
        assert one.reason in page
        assert any(one.what in line for line in said)


def test_every_measure_gives_the_layers_number_by_month_and_by_each_dimension(
    layer, model, measures
):
    wrong, compared = {}, 0
    month = model.named("metric_time__month")
    for card in layer.kpis():
        for dimension in (None, *card.dimensions):
            if dimension and card.name in UNSAYABLE:
                continue
            groups = ["metric_time__month", *([dimension] if dimension else [])]
            by = [month, *([model.named(dimension)] if dimension else [])]
            expected = of_layer(layer, card.name, *groups)
            found = model.answer(measures[card.name], by)
            compared += len(expected)
            if differs := differences(expected, found):
                wrong[card.name, dimension] = differs
    assert not wrong
    assert compared > 10_000


@pytest.mark.parametrize("kpi", OVER_TIME)
def test_measures_over_time_are_equal_at_every_grain_of_the_card(layer, model, measures, kpi):
    for grain in GRAINS:
        found = model.answer(measures[kpi], [model.named(f"metric_time__{grain}")])
        if grain not in layer.card(kpi).grains:
            assert not found, grain
            continue
        expected = NAMED.get(grain, dict)(of_layer(layer, kpi, f"metric_time__{grain}"))
        assert expected
        assert not differences(expected, found), grain


@pytest.mark.parametrize("kpi", ["net_revenue", "gross_margin_rate", "ticket_backlog"])
def test_a_year_before_is_that_of_the_layer_and_blank_where_a_period_is_not_whole(
    layer, model, measures, kpi
):
    name = measures[f"{kpi}__year_before"]
    last = layer.last_day()
    for grain in ("month", "quarter"):
        asked = layer.query([kpi], f"metric_time__{grain}", compare="year", complete=True)
        rows = asked.to_arrow().to_pylist()
        expected = {(row[f"metric_time__{grain}"],): row[f"{kpi}__base"] for row in rows
                    if row[f"{kpi}__base"] is not None}  # fmt: skip
        found = model.answer(name, [model.named(f"metric_time__{grain}")])
        expected = NAMED.get(grain, dict)(expected)
        assert expected
        assert not differences(expected, {key: found.get(key) for key in expected}), grain
        begun = periods.start_of(last, grain)
        if periods.last_of(begun, grain) > last:  # as the quarter that the demo ends in
            assert not found.keys() & NAMED.get(grain, dict)({(begun,): 0}).keys()
    for grain in ("day", "week"):
        assert not model.answer(name, [model.named(f"metric_time__{grain}")])


@pytest.mark.parametrize("kpi", ["net_revenue", "gross_margin_rate"])
def test_a_period_before_is_that_of_the_layer_and_blank_where_one_is_not_whole(
    layer, model, measures, kpi
):
    name = measures[f"{kpi}__period_before"]
    first = layer.query([kpi], "metric_time__day", limit=1).to_arrow().column(0)[0].as_py()
    last = layer.last_day()
    for grain in ("day", "week", "month", "quarter"):
        found = model.answer(name, [model.named(f"metric_time__{grain}")])
        if grain not in layer.card(kpi).grains:
            assert not found
            continue
        # A period without a row of its own has one before it all the same.
        expected = {
            (periods.shifted(start, grain, 1),): value
            for (start,), value in of_layer(layer, kpi, f"metric_time__{grain}").items()
            if start >= first and periods.last_of(periods.shifted(start, grain, 1), grain) <= last
        }
        assert expected
        assert not differences(NAMED.get(grain, dict)(expected), found), grain


def test_targets_and_statuses_are_those_of_the_board(layer, model, measures):
    until = layer.last_day()
    all_targets, compared = targets.targets(layer), 0
    for kpi in ("net_revenue", "conversion_rate", "refund_rate", "response_ms_p95"):
        card = layer.card(kpi)
        own = [entry for entry in all_targets if entry.kpi == kpi]
        for grain in ("month", "year"):
            by = [model.named(f"metric_time__{grain}")]
            values = of_layer(layer, kpi, f"metric_time__{grain}")
            amounts, judged = {}, {}
            for (start,), value in values.items():
                entry = targets.target_of(own, card, grain, start)
                if entry is not None:
                    amounts[start,] = float(entry.target)
                    if periods.last_of(start, grain) <= until:
                        judged[start,] = entry.judge(value, card.direction).value
            name = NAMED.get(grain, dict)
            found = model.answer(measures[f"{kpi}__target"], by)
            assert {key: found.get(key) for key in name(amounts)} == name(amounts), (kpi, grain)
            statuses = model.answer(measures[f"{kpi}__status"], by)
            assert statuses == name(judged), (kpi, grain)
            compared += len(judged)
    assert compared > 60
    by_country = [model.named("metric_time__month"), model.named("customer__country")]
    assert not model.answer(measures["net_revenue__target"], by_country)
    assert not model.answer(measures["net_revenue__status"], by_country)


def test_minutes_are_added_up_by_day_and_rows_that_are_counted_are_not(exported, layer):
    folder, made, _ = exported
    rows = {
        table.file: pq.read_metadata(folder / "data" / f"{table.file}.parquet").num_rows
        for table in made.tables
    }
    (requests,) = [table for table in made.tables if table.file == "fct_requests_minutely"]
    assert requests.summed
    by = ", ".join(c.sql for c in requests.columns if c.name not in requests.summed)
    counts = f"select count(*) as n, count(distinct ({by})) as of_days from {requests.relation}"
    counted = layer.warehouse.arrow(counts).to_pylist()[0]
    assert rows["fct_requests_minutely"] == counted["of_days"] < counted["n"] / 50
    (orders,) = [table for table in made.tables if table.file == "fct_orders"]
    assert not orders.summed
    whole = layer.warehouse.arrow(f"select count(*) as n from {orders.relation}")
    assert rows["fct_orders"] == whole.column(0)[0].as_py()


def test_dates_have_iso_weeks_fiscal_years_months_and_whole_periods(layer, exported):
    days = {row["date"]: row for row in
            pq.read_table(exported[0] / "data" / "date.parquet").to_pylist()}  # fmt: skip
    sunday, monday = days[date(2026, 1, 4)], days[date(2026, 1, 5)]
    assert (sunday["iso_week"], monday["iso_week"]) == ("2026-W01", "2026-W02")
    assert days[date(2024, 12, 30)]["iso_week"] == "2025-W01"
    assert (monday["month_name"], monday["month_number"]) == ("January", 1)
    assert (monday["fiscal_year"], monday["fiscal_quarter"]) == (2026, "2026 Q1")
    last = layer.last_day()
    for grain in ("week", "month", "quarter", "year"):
        running = days[last][f"complete_{grain}"]
        assert running == (periods.last_of(periods.start_of(last, grain), grain) <= last)
        before = periods.shifted(periods.start_of(last, grain), grain, -1)
        assert days[before][f"complete_{grain}"] is True
    from_april = {row["date"]: row for row in dates.rows(layer, fiscal_start=4).to_pylist()}
    for day, fiscal in {(2026, 3, 31): (2026, "2026 Q4"), (2026, 4, 1): (2027, "2027 Q1"),
                        (2025, 12, 31): (2026, "2026 Q3")}.items():  # fmt: skip
        row = from_april[date(*day)]
        assert (row["fiscal_year"], row["fiscal_quarter"]) == fiscal


def test_a_fiscal_period_and_an_iso_week_are_looked_at_as_the_card_allows(layer, model, measures):
    week = [("Date", "ISO week")]
    assert "week" not in layer.card("revenue_growth_yoy").grains
    assert not model.answer(measures["revenue_growth_yoy"], week)
    found = model.answer(measures["net_revenue"], week)
    expected = {
        ("{}-W{:02}".format(*start.isocalendar()),): value
        for (start,), value in of_layer(layer, "net_revenue", "metric_time__week").items()
    }
    assert not differences(expected, found)
    by_year = model.answer(measures["net_revenue"], [("Date", "Fiscal year")])
    assert not differences(years(of_layer(layer, "net_revenue", "metric_time__year")), by_year)


def test_a_kpi_table_shows_one_value_for_each_member_of_its_dimensions(layer, model, measures):
    table = "Conversion rate values"
    month = model.named("metric_time__month")
    found = model.answer(
        measures["conversion_rate"], [month, (table, "Dimension"), (table, "Member")]
    )
    for dimension in layer.card("conversion_rate").dimensions:
        expected = of_layer(layer, "conversion_rate", "metric_time__month", dimension)
        shown = {(m, member): v for (m, name, member), v in found.items() if name == dimension}
        assert expected
        assert not differences(expected, shown)


def test_additive_parts_stand_beside_a_ratio_and_give_it(layer, model, measures):
    month = [model.named("metric_time__month")]
    above = model.answer(measures["refunded_amount"], month)
    below = model.answer(measures["sold_amount"], month)
    assert "isHidden" not in model.measures[measures["sold_amount"]].properties
    expected = of_layer(layer, "refund_rate", "metric_time__month")
    ratio = {key: float(above[key]) / float(below[key]) for key in below}
    assert not differences(expected, ratio)


# Each line: a measure of the layer, what is changed in the text of a measure, and into what.
SPOILED = [
    ("average_order_value", "average_order_value", "CONVERT([Order placed amount], DOUBLE)",
     "[Order placed amount]"),
    ("refund_rate", "refunded_amount", "[refunded_amount]", "[sold_amount]"),
    ("reopened_rate", "tickets_resolved_count",
     ", USERELATIONSHIP('Tickets facts'[resolved_date], 'Date'[Date])", ""),
    ("revenue_month_to_date", "revenue_month_to_date", "DATESMTD", "DATESQTD"),
    ("revenue_trailing_28_days", "revenue_trailing_28_days", "_day - 28", "_day - 27"),
    ("revenue_growth_yoy", "net_amount_with_year_after__1_years_before",
     ", SAMEPERIODLASTYEAR('Date'[Date])", ""),
    ("revenue_growth_yoy", "revenue_growth_yoy", "IF(ISBLANK(_part1), BLANK(), _part1 - 1)",
     "_part1 - 1"),
    ("active_customers", "customers_ordering", "customer_id", "order_id"),
    ("ticket_backlog", "open_tickets_at_day_end", "CALCULATE(MAX(", "CALCULATE(MIN("),
    ("response_ms_p95", "response_ms_p95", "95 * ", "94 * "),
    ("first_response_hours_p90", "first_response_hours_90th", "0.9", "0.5"),
    ("first_response_hours_p90", "first_response_hours_90th", "== TRUE()", "== FALSE()"),
]  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: f"{spoil[0]}: {spoil[3] or 'less'}")
def test_a_wrong_measure_is_found(exported, layer, measures, spoil):
    kpi, metric, old, new = spoil
    spoiled = dax.Model(exported[0] / "demo.SemanticModel" / "definition", exported[0] / "data")
    measure = spoiled.measures[measures[metric]]
    assert old in measure.value
    measure.value = measure.value.replace(old, new)
    found = spoiled.answer(measures[kpi], [spoiled.named("metric_time__month")])
    assert differences(of_layer(layer, kpi, "metric_time__month"), found)


def test_a_kpi_is_blank_by_what_is_not_on_its_card(model, measures):
    month = model.named("metric_time__month")
    assert model.answer(measures["order_count"], [month])
    for outside in ("product__category", "ticket__team", "service__tier"):
        assert not model.answer(measures["order_count"], [month, model.named(outside)])
    assert not model.answer(measures["net_revenue"], [model.named("order_id__is_returning")])
    unguarded = model.answer(measures["order_net_amount"], [month, model.named("ticket__team")])
    assert unguarded  # the total again and again: what the card keeps a KPI from


# Files --------------------------------------------------------------------------------------------


def test_the_model_is_a_star_of_columns_that_exist_and_are_typed_alike(tree, exported):
    columns = {
        (table.name, column.name): column.properties
        for table in tree.of("table") for column in table.of("column")
    }  # fmt: skip
    active, targets, sources = set(), set(), set()
    for one in tree.of("relationship"):
        start, end = (tmdl.column(one.properties[side]) for side in ("fromColumn", "toColumn"))
        assert columns[start]["dataType"] == columns[end]["dataType"]
        assert "isHidden" in columns[start]
        assert "isKey" in columns[end]
        sources.add(start[0])
        targets.add(end[0])
        if one.properties.get("isActive") != "false":
            assert (start[0], end[0]) not in active, "two ways from one table to another"
            active.add((start[0], end[0]))
    assert not sources & targets  # so no path can be ambiguous
    dated = [t for t in tree.of("table") if t.properties.get("dataCategory") == "Time"]
    assert [table.name for table in dated] == ["Date"]
    days = pq.read_table(exported[0] / "data" / "date.parquet").column("date").to_pylist()
    assert [day.toordinal() for day in days] == list(
        range(days[0].toordinal(), days[-1].toordinal() + 1)
    )
    assert (days[-1].month, days[-1].day) == (12, 31)


def test_every_file_holds_the_columns_that_its_table_reads(tree, exported):
    arrow = {
        "type text": "string", "Int64.Type": "int64", "type number": "double",
        "type logical": "bool", "type date": "date32[day]", "Currency.Type": "decimal128",
    }  # fmt: skip
    for table in tree.of("table"):
        source = table.of("partition")[0].properties["source"]
        found = re.search(r'DataFolder & "([^"]+)"', source)
        wanted = {c.properties["sourceColumn"] for c in table.of("column")}
        if found is None:
            assert table.name == "KPIs"
            continue
        schema = pq.read_schema(exported[0] / "data" / found[1])
        typed = dict(re.findall(r'\{"([^"]+)", ([\w. ]+)\}', source))
        assert set(typed) == wanted == set(schema.names)
        for name, kind in typed.items():
            assert str(schema.field(name).type).startswith(arrow[kind]), (table.name, name)


def test_names_and_tags_are_unique_and_references_are_to_what_is_there(tree, model):
    tables = {table.name for table in tree.of("table")}
    assert {ref.name for ref in tree.of("ref table")} == tables
    assert {ref.name for ref in tree.of("ref cultureInfo")} == {"en-US", "fr-FR"}
    names = [name.casefold() for name in model.measures]
    assert len(set(names)) == len(names)
    for table in tree.of("table"):
        own = [c.name.casefold() for c in (*table.of("column"), *table.of("measure"))]
        assert len(set(own)) == len(own)
        for level in (level for one in table.of("hierarchy") for level in one.of("level")):
            assert level.properties["column"] in {c.name for c in table.of("column")}
    tags = re.findall("lineageTag': '([^']+)'", str(tree))
    assert len(set(tags)) == len(tags) > 100


def test_both_languages_have_every_visible_measure_with_its_folder(tree, layer, model, measures):
    objectives = {"grow_profitably": ("Grow profitably", "Croître de façon rentable")}
    for at, culture in enumerate(("en-US", "fr-FR")):
        (given,) = [c for c in tree.of("cultureInfo") if c.name == culture]
        tables = {t.name: t for t in given.of("translations")[0].of("model")[0].of("table")}
        said = {one.name: one.properties for one in tables["KPIs"].of("measure")}
        visible = {n for n, one in model.measures.items() if "isHidden" not in one.properties}
        assert said.keys() == visible
        for card in layer.kpis():
            shown = card.localized(culture[:2])
            text = said[measures[card.name]]
            assert text["caption"] == shown.label
            assert text["description"].startswith(shown.description)
            assert shown.formula in text["description"]
            if card.objective in objectives:
                assert text["displayFolder"] == objectives[card.objective][at]


def test_measures_carry_the_format_and_version_of_the_card(layer, model, measures):
    formats = {
        name: model.measures[measures[name]].properties["formatString"]
        for name in ("net_revenue", "refund_rate", "order_count", "hours_to_restore_mean")
    }
    assert formats == {
        "net_revenue": r"\€#,0;-\€#,0;\€#,0",
        "refund_rate": "0.00%;-0.00%;0.00%",
        "order_count": "#,0;-#,0;#,0",
        "hours_to_restore_mean": r"#,0.0\ \h;-#,0.0\ \h;#,0.0\ \h",
    }
    for card in layer.kpis():
        measure = model.measures[measures[card.name]]
        assert measure.annotation("cadran_version") == str(card.version)
        assert card.owner.business in measure.description


def test_the_project_names_its_parts_as_power_bi_finds_them(exported):
    folder = exported[0]

    def read(path):
        return json.loads((folder / path).read_text(encoding="utf-8"))

    report = read("demo.pbip")["artifacts"][0]["report"]["path"]
    model_path = read(f"{report}/definition.pbir")["datasetReference"]["byPath"]["path"]
    assert (folder / report / model_path).resolve() == (folder / "demo.SemanticModel").resolve()
    pages = read(f"{report}/definition/pages/pages.json")["pageOrder"]
    assert [read(f"{report}/definition/pages/{page}/page.json")["name"] for page in pages] == pages
    for file in folder.rglob("*.json"):
        assert read(file.relative_to(folder))["$schema"].startswith("https://developer.microsoft")


def test_the_page_shows_the_strategic_kpis_by_whole_month_with_their_targets(
    exported, layer, model, measures
):
    pages = exported[0] / "demo.Report" / "definition" / "pages"
    visuals = [json.loads(file.read_text()) for file in sorted(pages.rglob("visual.json"))]
    strategic = [card.name for card in layer.kpis() if card.tier == "strategic"]
    kinds = [one["visual"]["visualType"] for one in visuals]
    assert sorted(kinds) == ["lineChart"] * len(strategic) + ["tableEx"]
    charted = set()
    for one in visuals:
        fields = [projection["field"] for role in one["visual"]["query"]["queryState"].values()
                  for projection in role["projections"]]  # fmt: skip
        for field in fields:
            ((kind, of),) = field.items()
            table = of["Expression"]["SourceRef"]["Entity"]
            assert (of["Property"] in model.measures if kind == "Measure"
                    else (table, of["Property"]) in model.columns)  # fmt: skip
        if one["visual"]["visualType"] == "lineChart":
            charted |= {field["Measure"]["Property"] for field in fields if "Measure" in field}
        box = one["position"]
        assert box["x"] + box["width"] <= 1280
        assert box["y"] + box["height"] <= 720
    assert {measures[name] for name in strategic} <= charted
    assert measures["net_revenue__target"] in charted
    boxes = [one["position"] for one in visuals]
    for first, second in itertools.combinations(boxes, 2):
        assert (first["x"] + first["width"] <= second["x"] or second["x"] + second["width"]
                <= first["x"] or first["y"] + first["height"] <= second["y"]
                or second["y"] + second["height"] <= first["y"])  # fmt: skip
    (only,) = json.loads((pages / "kpis" / "page.json").read_text())["filterConfig"]["filters"]
    column = only["field"]["Column"]
    place = column["Expression"]["SourceRef"]["Entity"], column["Property"]
    assert model.columns[place].properties["dataType"] == "boolean"


# Again --------------------------------------------------------------------------------------------


def test_a_second_export_refreshes_the_model_and_keeps_the_report(layer, exported, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(exported[0], folder)
    page = folder / "demo.Report" / "definition" / "pages" / "kpis" / "page.json"
    page.write_text("{}", encoding="utf-8")
    tables = folder / "demo.SemanticModel" / "definition" / "tables"
    (tables / "Gone.tmdl").write_text("table Gone\n", encoding="utf-8")
    powerbi.export(layer, folder, name="demo", data_as="C:\\kpis")
    assert page.read_text(encoding="utf-8") == "{}"
    assert not (tables / "Gone.tmdl").exists()
    parameter = tables.parent / "expressions.tmdl"
    assert 'expression DataFolder = "C:\\kpis\\" meta' in parameter.read_text(encoding="utf-8")
    assert [entry.name for entry in tmp_path.iterdir()] == ["project"]
    assert sorted(entry.name for entry in folder.iterdir()) == [
        ".cadran-export", "LEFT_OUT.md", "data", "demo.Report", "demo.SemanticModel", "demo.pbip",
    ]  # fmt: skip


def test_a_folder_with_something_else_is_left_alone(layer, tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(QueryError, match="name an empty folder"):
        powerbi.export(layer, tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.txt"]


def test_a_name_that_no_file_can_have_is_refused(layer, tmp_path):
    with pytest.raises(QueryError, match="cannot be the name"):
        powerbi.export(layer, tmp_path / "new", name="a/b")
    assert not (tmp_path / "new").exists()
