"""REST: the layer's numbers in every form, pages, validators, and what there is to ask."""

from __future__ import annotations

import csv
import io
import json
import os
from datetime import date, datetime
from decimal import Decimal

import httpx
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cadran.serving.response import Answer, workbook

pytest_plugins = ("rest_fixtures",)

QUESTIONS = (
    {"metrics": ["net_revenue", "average_order_value"],
     "group_by": ["metric_time__month", "customer__country"]},
    {"metrics": ["order_count"], "group_by": ["order_id__channel"], "order_by": ["-order_count"]},
    {"metrics": ["gross_margin_rate"], "group_by": ["metric_time__quarter"],
     "start": "2025-01-01", "end": "2026-06-30"},
    {"metrics": ["net_revenue"], "group_by": ["metric_time__day"],
     "where": ["order_id__channel = 'web'", "customer__country in ('FR', 'DE')"], "limit": 40},
    {"metrics": ["request_count"], "group_by": ["metric_time__hour"], "limit": 30},
    {"saved_query": "kpi_monthly_strategic"},
)  # fmt: skip
YEARS = {"metrics": "net_revenue", "group_by": "metric_time__year"}
MONTHS = {"metrics": "net_revenue", "group_by": "metric_time__month,customer__country"}


def link(question):
    return {
        name: value if name == "where" or not isinstance(value, list) else ",".join(value)
        for name, value in question.items()
    }


def rows(layer, question):
    return layer.query(**question).to_arrow()


def read_json(reply):
    return json.loads(reply.content, parse_float=Decimal)


def as_told(value):
    """A value as JSON has it."""
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return Decimal(repr(value)) if isinstance(value, float) else value


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_form_has_the_numbers_of_the_layer(rest, layer, question):
    table = rows(layer, question)
    expected = table.to_pylist()
    assert expected
    told = read_json(rest.get("/query", params=link(question)))
    assert told["rows"] == [{k: as_told(v) for k, v in row.items()} for row in expected]
    assert read_json(rest.post("/query", json=question))["rows"] == told["rows"]

    def form(name):
        reply = rest.get("/query", params=link(question) | {"format": name})
        assert reply.status_code == 200, reply.text
        return reply.content

    lines = list(csv.DictReader(io.StringIO(form("csv").decode())))
    assert [list(line.values()) for line in lines] == [
        ["" if v is None else str(as_told(v)) for v in row.values()] for row in expected
    ]
    assert pa.ipc.open_stream(form("arrow")).read_all().equals(table)
    assert pq.read_table(io.BytesIO(form("parquet"))).equals(table)
    sheet = openpyxl.load_workbook(io.BytesIO(form("xlsx"))).worksheets[0]
    # Beside a period stands whether it is whole, in a column of its own.
    width = sheet.max_column - (sheet.cell(1, sheet.max_column).value == "Whole period")
    cells = [list(line)[:width] for line in sheet.iter_rows(min_row=2, values_only=True)]
    assert len(cells) == len(expected)
    for line, row in zip(cells, expected, strict=True):
        for cell, value in zip(line, row.values(), strict=True):
            if isinstance(value, Decimal):
                assert Decimal(repr(float(cell))) == value
            elif isinstance(value, float):
                assert cell == pytest.approx(value, rel=1e-14)
            elif isinstance(value, datetime):
                assert cell == value.replace(tzinfo=None)
            elif isinstance(value, date):
                assert cell == datetime.combine(value, datetime.min.time())
            else:
                assert cell == value


def test_an_answer_says_what_its_numbers_mean(rest):
    meta = rest.get("/query", params=YEARS).json()["meta"]
    assert meta["units"] == {"net_revenue": "EUR"}
    assert meta["versions"] == {"net_revenue": [1]}
    assert meta["like_for_like"] is True
    assert meta["governed"] is True
    assert meta["definitions"]["net_revenue"].startswith("Amounts of all order lines")
    assert rest.get("/query", params=YEARS).json()["meta"]["cached"] is True
    again = rest.get("/query", params=YEARS | {"read_cache": "false"})
    assert again.json()["meta"]["cached"] is False
    stream = rest.get("/query", params=YEARS | {"format": "arrow"}).content
    beside = pa.ipc.open_stream(stream).schema.metadata[b"cadran"]
    assert json.loads(beside)["units"] == {"net_revenue": "EUR"}


def test_a_workbook_shows_units_and_says_who_answers_for_a_number(rest):
    params = {"metrics": "net_revenue,gross_margin_rate", "group_by": "metric_time__month",
              "format": "xlsx"}  # fmt: skip
    book = openpyxl.load_workbook(io.BytesIO(rest.get("/query", params=params).content))
    values, about = book.worksheets
    assert [cell.value for cell in values[1]] == [
        "metric_time__month", "Net revenue (EUR)", "Gross margin rate (%)", "Whole period",
    ]  # fmt: skip
    formats = [cell.number_format for cell in values[2]][:3]
    assert formats == ["yyyy-mm-dd", "#,##0 [$€]", "0.0%"]
    assert values[2][3].value is True
    told = {row[0]: row[1] for row in about.iter_rows(values_only=True) if row[0]}
    assert told["Owner of the meaning"] == "head.of.sales@example.com"
    assert told["Version"] == "1"
    french = rest.get("/query", params=params | {"lang": "fr"}).content
    assert openpyxl.load_workbook(io.BytesIO(french)).worksheets[0]["B1"].value == (
        "Chiffre d'affaires net (EUR)"
    )


def test_a_workbook_reads_no_text_as_a_formula_and_loses_no_digit():
    table = pa.table(
        {
            "name": pa.array(["=1+1", "@x", "http://a.b"]),
            "amount": pa.array([Decimal("12345678901234567.89"), Decimal("0.10"), None]),
            "count": pa.array([2**60 + 1, 5, 2**60]),
            "rate": pa.array([float("nan"), 0.25, float("inf")]),
            # Its nearest binary number has another sixteenth digit, and is no text for that.
            "more": pa.array([Decimal("652941.81"), Decimal("-7.25"), Decimal("1049780.40")]),
        }
    )
    answer = Answer(table, None, {}, {}, (), like_for_like=True, governed=True, state="s")
    sheet = openpyxl.load_workbook(io.BytesIO(workbook(answer, table))).worksheets[0]
    assert [[cell.value for cell in line] for line in sheet.iter_rows(min_row=2)] == [
        ["=1+1", "12345678901234567.89", str(2**60 + 1), "nan", 652941.81],
        ["@x", 0.1, 5, 0.25, -7.25],
        ["http://a.b", None, str(2**60), "inf", 1049780.4],
    ]
    assert {cell.data_type for cell in sheet["A"]} == {"s"}


def test_what_the_client_has_is_not_sent_and_not_computed_again(rest, rest_server, monkeypatch):
    for params in (YEARS, YEARS | {"format": "csv"}, YEARS | {"page_size": "2"}):
        first = rest.get("/query", params=params)
        tag = first.headers["etag"]
        rest_server.server_context.service.cache.keep(lambda _: False)  # what was kept is gone
        with monkeypatch.context() as patched:
            patched.setattr(
                rest_server.server_context.service.snapshots.current.layer,
                "answer",
                lambda _: 1 / 0,
            )
            again = rest.get("/query", params=params, headers={"If-None-Match": tag})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
        other = rest.get("/query", params=YEARS | {"limit": "1"}, headers={"If-None-Match": tag})
        assert other.status_code == 200
    tags = {rest.get("/query", params=YEARS | {"format": f}).headers["etag"] for f in FORMS}
    assert len(tags) == len(FORMS)
    listed = rest.get("/kpis")
    known = {"If-None-Match": listed.headers["etag"]}
    assert rest.get("/kpis", headers=known).status_code == 304
    assert listed.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in listed.headers["vary"]


FORMS = ("json", "csv", "arrow", "parquet", "xlsx")


def test_pages_join_to_the_whole_answer(rest):
    whole = rest.get("/query", params=MONTHS).json()["rows"]
    reply = rest.get("/query", params=MONTHS | {"page_size": "70"})
    joined = []
    while True:
        told = reply.json()
        joined += told["rows"]
        paging = told["meta"]["paging"]
        assert paging["total_rows"] == int(reply.headers["cadran-total-rows"]) == len(whole)
        if paging["next_cursor"] is None:
            assert "next" not in reply.links
            break
        assert paging["rows"] == 70
        body = {"metrics": ["net_revenue"], "group_by": MONTHS["group_by"].split(","),
                "page_size": 70, "cursor": paging["next_cursor"]}  # fmt: skip
        reply = rest.get(f"{reply.url.join(reply.links['next']['url'])}")
        assert rest.post("/query", json=body).json()["rows"] == reply.json()["rows"]
    assert joined == whole


def test_a_page_belongs_to_one_question_and_one_state(rest, demo):
    first = rest.get("/query", params=MONTHS | {"page_size": "10"}).json()["meta"]
    cursor = first["paging"]["next_cursor"]
    other = rest.get("/query", params=YEARS | {"cursor": cursor})
    assert (other.status_code, other.json()["title"]) == (
        400, "The question makes no sense as it is asked",
    )  # fmt: skip
    listed = rest.get("/metrics", params={"page_size": "3"})
    following = rest.get(f"{listed.url.join(listed.links['next']['url'])}").json()
    assert following["meta"]["paging"]["offset"] == 3
    os.utime(demo.database)  # as a build leaves it
    told = rest.post("/refresh").json()
    assert told["refreshed"] is True
    assert told["state"] != first["state"]
    gone = rest.get("/query", params=MONTHS | {"page_size": "10", "cursor": cursor})
    assert gone.status_code == 410
    assert "begin again without cursor" in gone.json()["detail"]
    gone = rest.get("/metrics", params={"cursor": listed.json()["meta"]["paging"]["next_cursor"]})
    assert gone.status_code == 410
    assert rest.post("/refresh").json()["refreshed"] is False


def test_the_format_follows_the_accept_header(rest):
    for accept, media in (
        ("text/csv", "text/csv"),
        (
            "application/vnd.apache.parquet, application/json;q=0.5",
            "application/vnd.apache.parquet",
        ),
        ("text/csv;q=0.1, */*;q=0.2", "application/json"),
        ("image/png, */*", "application/json"),
    ):
        reply = rest.get("/query", params=YEARS, headers={"Accept": accept})
        assert reply.headers["content-type"].startswith(media)
    refused = rest.get("/query", params=YEARS, headers={"Accept": "image/png"})
    assert refused.status_code == 406
    forced = rest.get("/query", params=YEARS | {"format": "csv"}, headers={"Accept": "image/png"})
    assert forced.status_code == 200


def test_large_texts_are_packed_for_clients_that_unpack(rest):
    params = {"metrics": "net_revenue", "group_by": "metric_time__day,customer__country"}
    for _ in range(2):  # computed, then kept
        packed = rest.get("/query", params=params, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        plain = rest.get("/query", params=params, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert packed.json()["rows"] == plain.json()["rows"]
    small = rest.get("/query", params=YEARS, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers


def test_too_many_rows_for_a_form_are_refused_with_what_would_do(rest_project, another):
    with another(rest_project, rows=50) as running, httpx.Client(base_url=running.http) as rest:
        for form, status in (("csv", 413), ("xlsx", 413), ("arrow", 200), ("parquet", 200)):
            reply = rest.get("/api/v1/query", params=MONTHS | {"format": form})
            assert reply.status_code == status
            if status == 413:
                assert "gives at most 50 at once: ask for pages" in reply.json()["detail"]
        page = rest.get("/api/v1/query", params=MONTHS).json()
        assert len(page["rows"]) == 50
        assert page["meta"]["paging"]["most_rows_of_a_page"] == 50
        part = rest.get("/api/v1/query", params=MONTHS | {"format": "csv", "page_size": "50"})
        assert len(part.text.splitlines()) == 51
        assert part.links["next"]


def test_a_saved_query_is_a_link_that_can_be_narrowed(rest, layer):
    (saved,) = [
        one
        for one in rest.get("/saved-queries").json()["saved_queries"]
        if one["name"] == "kpi_monthly_strategic"
    ]
    assert saved["group_by"] == ["metric_time__month"]
    whole = rest.get(saved["links"]["csv"].removeprefix("/api/v1"))
    table = layer.query(saved_query="kpi_monthly_strategic").to_arrow()
    lines = list(csv.reader(io.StringIO(whole.text)))
    assert lines[0] == table.column_names
    assert len(lines) == table.num_rows + 1
    assert [line[1] for line in lines[1:]] == [
        "" if v is None else str(v) for v in table.column("net_revenue").to_pylist()
    ]
    part = rest.get(
        "/saved-queries/kpi_monthly_strategic.json", params={"start": "2026-05-01", "limit": "2"}
    )
    assert [row["metric_time__month"] for row in part.json()["rows"]] == [
        "2026-05-01",
        "2026-06-01",
    ]
    assert 'filename="kpi_monthly_strategic.csv"' in whole.headers["content-disposition"]


def test_what_there_is_to_ask_is_listed(rest, layer):
    cards = rest.get("/kpis").json()["kpis"]
    assert [card["name"] for card in cards] == [card.name for card in layer.kpis()]
    french = rest.get("/kpis", params={"lang": "fr", "tier": "strategic"}).json()["kpis"]
    assert {card["tier"] for card in french} == {"strategic"}
    assert "Chiffre d'affaires net" in {card["label"] for card in french}
    one = rest.get("/kpis/net_revenue").json()
    assert one["kpi"]["owner"]["business"] == "head.of.sales@example.com"
    assert [version["version"] for version in one["versions"]] == [1]
    assert {target["grain"] for target in one["targets"]} == {"month", "quarter", "year"}
    metrics = rest.get("/metrics").json()["metrics"]
    assert [metric["name"] for metric in metrics] == [one["name"] for one in layer.metrics()]
    named = rest.get("/dimensions", params={"metrics": "net_revenue"}).json()["dimensions"]
    assert named == layer.dimensions("net_revenue")
    values = rest.get("/values?dimension=customer__country&metrics=net_revenue").json()
    assert values["values"] == layer.dimension_values("customer__country", "net_revenue")
    sql = rest.get("/sql", params=YEARS).json()["sql"]
    assert sql == layer.sql("net_revenue", "metric_time__year")
    body = {"metrics": ["net_revenue"], "group_by": [{"name": "metric_time", "grain": "year"}]}
    assert rest.post("/sql", json=body).json()["sql"] == sql
