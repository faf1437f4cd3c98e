"""Files for spreadsheets, opened by LibreOffice as people open them."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import subprocess
import zipfile
from decimal import Decimal

import pyarrow as pa
import pytest

from cadran.cli import main
from cadran.core.query.request import Query
from cadran.core.result import with_complete
from cadran.formats.encoding import csv_for_excel_fr
from cadran.serving.response import Answer, workbook

MONTHS = pa.table({
    "metric_time__month": pa.array([dt.date(2026, 1, 1), dt.date(2026, 2, 1)]),
    "channel": ["web", "=1+1"],
    "revenue": pa.array([Decimal("1234.50"), Decimal("-7.25")], pa.decimal128(14, 2)),
    "share": [0.125, None],
})  # fmt: skip
QUERY = Query.of({"metrics": ["revenue", "share"], "group_by": ["metric_time__month", "channel"]})
THROUGH = {"revenue": "2026-02-03", "share": "2026-02-10"}


def answer(cards):
    return Answer(
        MONTHS, QUERY, cards, {}, (), like_for_like=True, governed=True, state="s",
        complete_through=THROUGH,
    )  # fmt: skip


@pytest.fixture(scope="module")
def office(tool):
    return tool("office")


def opened(office, folder, *files, options=""):
    """What LibreOffice reads in files, as rows of shown texts."""
    form = "csv:Text - txt - csv (StarCalc):9,34,76,1,,0,false,true,false,false,false,1"
    command = [
        office, f"-env:UserInstallation=file://{folder}/profile", "--headless", *options,
        "--convert-to", form, "--outdir", folder / "read", *files,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    found = {}
    for path in sorted((folder / "read").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            found[path.name.partition(".")[0].partition("-")[0]] = list(
                csv.reader(stream, delimiter="\t")
            )
    return found


def test_libreoffice_opens_the_workbook_and_the_french_file(office, tmp_path, shop):
    card = shop.card("revenue")
    (tmp_path / "book.xlsx").write_bytes(workbook(answer({"revenue": card}), MONTHS, "fr"))
    (tmp_path / "french.csv").write_bytes(
        csv_for_excel_fr(with_complete(MONTHS, QUERY, {"revenue": dt.date(2026, 2, 3)}))
    )
    # 59 is a semicolon, 76 UTF-8, 1036 French: as Excel there opens a file by itself.
    book = opened(office, tmp_path, tmp_path / "book.xlsx")["book"]
    french = opened(
        office, tmp_path, tmp_path / "french.csv",
        options=["--infilter=CSV:59,34,76,1,,1036,false,true"],
    )["french"]  # fmt: skip
    assert book[0] == [
        "metric_time__month", "channel", f"{card.fr.label} (EUR)", "share", "Période complète",
    ]  # fmt: skip
    assert [row[1] for row in book[1:]] == ["web", "=1+1"]
    assert book[1][0] == "2026-01-01"
    assert [row[4] for row in book[1:]] == ["TRUE", "FALSE"]
    assert [row[1] for row in french[1:]] == ["web", "'=1+1"]
    # Numbers, dates and booleans were understood: they are written anew in this machine's way.
    assert french[1][2:] == ["1234.5", "0.125", "TRUE"]
    assert french[2][2:] == ["-7.25", "", "FALSE"]
    assert french[1][0] in ("01/01/2026", "2026-01-01")


def test_the_french_file_has_its_marks_to_the_byte():
    content = csv_for_excel_fr(MONTHS)
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.decode("utf-8-sig").splitlines() == [
        "metric_time__month;channel;revenue;share",
        "01/01/2026;web;1234,50;0,125",
        "01/02/2026;'=1+1;-7,25;",
    ]
    assert content.count(b"\r\n") == 3


def test_the_workbook_holds_a_table_with_a_filter_of_all_its_rows():
    book = zipfile.ZipFile(io.BytesIO(workbook(answer({}), MONTHS)))
    table = book.read("xl/tables/table1.xml").decode()
    assert 'ref="A1:E3"' in table
    assert '<autoFilter ref="A1:E3"/>' in table
    assert 'name="Whole period"' in table
    empty = workbook(answer({}), MONTHS.slice(0, 0))
    assert "xl/tables/table1.xml" not in zipfile.ZipFile(io.BytesIO(empty)).namelist()


def test_a_period_is_whole_when_it_is_for_every_metric():
    through = {"revenue": dt.date(2026, 2, 28), "share": dt.date(2026, 1, 31)}
    flags = with_complete(MONTHS, QUERY, through).column("is_complete").to_pylist()
    assert flags == [True, False]
    for unknown in ({}, {"revenue": None, "share": dt.date(2026, 2, 28)}):
        assert with_complete(MONTHS, QUERY, unknown) is MONTHS
    assert with_complete(MONTHS, Query.of({"metrics": ["revenue"]}), through) is MONTHS


def test_the_command_line_writes_it_too(tiny, tmp_path, capsys):
    file = tmp_path / "orders.csv"
    place = ["--manifest", str(tiny), "--database", str(tiny.parents[1] / "tiny.duckdb")]
    question = ["orders", "--group-by", "metric_time__month", *place]
    assert main(["query", *question, "--format", "csv-excel-fr", "--output", str(file)]) == 0
    assert file.read_text(encoding="utf-8-sig").splitlines() == [
        "metric_time__month;orders;is_complete", "01/01/2026;2;VRAI", "01/02/2026;3;FAUX",
    ]  # fmt: skip
    capsys.readouterr()
    assert main(["query", *question, "--format", "json"]) == 0
    assert "is_complete" not in json.loads(capsys.readouterr().out)[0]
