"""The doctor names every miss of the input contract, and counts what the build will reject."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import pytest

from cadran.cli import main
from cadran.cli.language import choose, said
from cadran.doctor import examine
from cadran.doctor.findings import Level

ROOT = Path(__file__).resolve().parents[2]
CUSTOMERS = [
    "customer_id,country,segment,signed_up_at",
    "c1,FR,consumer,2026-01-01 10:00:00",
    "c2,DE,business,2026-01-02 10:00:00",
]


@pytest.fixture
def data(tmp_path):
    """A folder with sound, tiny tables of the shop; a test breaks what it is about."""
    tables = {
        "customers": CUSTOMERS,
        "products": [
            "product_id,product_name,category,unit_cost,list_price",
            "p1,Mug,kitchen,2.00,5.00",
        ],
        "sessions": ["session_id,visitor_id,customer_id,channel,device,country,started_at",
                     "s1,v1,c1,web,desktop,FR,2026-01-03 09:00:00"],
        "orders": [("order_id,customer_id,session_id,channel,country,currency,status,ordered_at,"
                    "amount"),
                   "o1,c1,s1,web,FR,EUR,completed,2026-01-03 09:10:00,5.00"],
        "order_lines": [("order_line_id,order_id,product_id,line_type,quantity,unit_price,amount,"
                         "booked_at"),
                        "l1,o1,p1,sale,1,5.00,5.00,2026-01-03 09:10:00"],
    }  # fmt: skip
    for table, lines in tables.items():
        write(tmp_path, table, lines)
    return tmp_path


def write(folder, table, lines):
    file = folder / "shop" / f"{table}.csv"
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def ask(data, **options):
    return examine(ROOT, sources=str(data), domains=["commerce"], **options)


def only(report):
    assert len(report.findings) == 1, report.to_text()
    return report.findings[0]


def test_sound_data_has_no_finding(data):
    report = ask(data)
    assert report.findings == ()
    assert report.is_clean
    assert report.rows["shop.customers"] == 2


def test_a_missing_file_is_named_with_what_may_be_meant(data):
    (data / "shop" / "products.csv").rename(data / "shop" / "product.csv")
    stops = [f for f in ask(data).findings if f.level is Level.STOPS]
    assert [f.table for f in stops] == ["shop.products"]
    assert stops[0].problem == "the file is missing"
    assert "product" in stops[0].remedy
    assert "a file of the header alone is enough" in stops[0].remedy


def test_a_file_of_the_header_alone_is_enough(data):
    path = data / "shop" / "order_lines.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert not [found for found in ask(data).findings if found.level is Level.STOPS]


def test_a_missing_required_column_stops_the_build(data):
    write(data, "customers", ["customer_id,country,segment,signup", "c1,FR,consumer,2026-01-01"])
    finding = ask(data).findings[0]
    assert (finding.level, finding.column) == (Level.STOPS, "signed_up_at")
    assert finding.problem == "the column is missing"


@pytest.mark.parametrize(
    ("row", "column", "problem", "example"),
    [
        ("c3,FR,robot,2026-01-01", "segment", "is none of", "segment=robot"),
        ("c3,FR,consumer,yesterday", "signed_up_at", "is no timestamp", "signed_up_at=yesterday"),
        ("c3,FR,consumer,", "signed_up_at", "is missing", "customer_id=c3"),
        (",FR,consumer,2026-01-01", "customer_id", "is missing", "customer_id=(empty)"),
        ("c1,FR,consumer,2026-01-01", "customer_id", "stands more than once", "customer_id=c1"),
    ],
)
def test_a_row_that_breaks_a_rule_is_counted_with_an_example(data, row, column, problem, example):
    write(data, "customers", [*CUSTOMERS, row])
    finding = only(ask(data))
    assert (finding.level, finding.rows, finding.column) == (Level.REJECTS, 1, column)
    assert problem in finding.problem
    assert example in finding.example
    assert finding.file.endswith("customers.csv")


def test_an_unknown_reference_is_a_finding_of_the_table_that_refers(data):
    write(data, "customers", [CUSTOMERS[0], CUSTOMERS[2]])
    found = {f.table: f.problem for f in ask(data).findings if f.level is Level.REJECTS}
    assert found["shop.orders"] == "customer_id is unknown"


def test_an_offset_in_a_text_is_noted_and_no_loss(data):
    write(data, "customers", [*CUSTOMERS, "c3,FR,consumer,2026-01-01T00:00:00+02:00"])
    found = [f for f in ask(data).findings if "offset" in f.problem]
    assert [(f.level, f.column, f.rows) for f in found] == [(Level.NOTE, "signed_up_at", 1)]


def test_a_table_of_the_warehouse_is_examined_like_a_file(data, tmp_path):
    database = tmp_path / "mine.duckdb"
    with duckdb.connect(database) as connection:
        connection.execute("create schema raw")
        for file in (data / "shop").glob("*.csv"):
            connection.execute(
                f"create table raw.{file.stem} as from read_csv('{file}', all_varchar = true)"
            )
        connection.execute("update raw.customers set segment = 'robot' where customer_id = 'c2'")
        connection.execute("drop table raw.products")
    report = examine(ROOT, sources="schema:raw", domains=["commerce"], database=database)
    assert {(f.table, f.level) for f in report.findings} >= {
        ("shop.customers", Level.REJECTS),
        ("shop.products", Level.STOPS),
    }


def test_a_broken_file_is_a_finding_and_no_traceback(data):
    (data / "shop" / "customers.csv").unlink()
    (data / "shop" / "customers.parquet").write_bytes(b"not parquet")
    finding = ask(data).findings[0]
    assert finding.level is Level.STOPS
    assert "cannot be read" in finding.problem


def test_counts_are_those_of_the_rejected_models_of_the_build(demo):
    assert demo.returncode == 0, demo.log[-3000:]
    report = examine(ROOT, sources=str(demo.data))
    with duckdb.connect(demo.database, read_only=True) as built:
        models = built.execute(
            "select table_name from information_schema.tables where table_schema = 'rejected'"
        ).fetchall()
        rejected = {
            name: dict(
                built.execute(
                    f"select rejection_reason, count(*) from rejected.{name} group by all"
                ).fetchall()
            )
            for (name,) in models
        }
    assert len(rejected) == len(report.rows)
    for table in report.rows:
        counted = {
            finding.problem: finding.rows
            for finding in report.findings
            if finding.table == table and finding.level is Level.REJECTS
        }
        assert counted == rejected[f"rejected_{table.split('.')[1]}"], table


def test_a_missing_optional_column_does_not_hide_the_rows(data):
    write(data, "orders", [
        "order_id,customer_id,channel,country,currency,status,ordered_at,amount",
        "o1,c1,web,FR,EUR,completed,2026-01-03 09:10:00,5.00",
        "o2,c1,web,FR,USD,completed,2026-01-03 09:10:00,5.00",
    ])  # fmt: skip
    found = {(f.table, f.column): f.level for f in ask(data).findings}
    assert found[("shop.orders", "currency")] is Level.REJECTS
    assert found[("shop.orders", "session_id")] in {Level.STOPS, Level.NOTE}
    assert len(found) == 2


def test_findings_are_told_in_french(data):
    write(data, "customers", [*CUSTOMERS, "c3,FR,consumer,yesterday"])
    (data / "shop" / "products.csv").unlink()
    choose(["--lang", "fr"])
    try:
        text = ask(data).to_text(said)
    finally:
        choose([])
    assert "ARRÊTE LA CONSTRUCTION  shop.products: le fichier manque\n" in text
    assert "signed_up_at n'est pas un instant (timestamp) (1 ligne)\n" in text
    assert "    attendu   timestamp, jamais vide\n" in text
    assert "    remède    Écrire les instants comme 2026-01-31 23:59:59, en UTC.\n" in text
    assert text.endswith("2 constats, 1 lignes seraient rejetées.")


def test_a_terminal_is_told_which_table_is_looked_at_and_a_pipe_is_not(data, capsys, monkeypatch):
    words = ["doctor", "--sources", str(data), "--domains", "commerce", "--project-dir", str(ROOT)]
    assert main(words) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(words) == 0
    looked = capsys.readouterr().err.splitlines()
    assert looked[0] == "cadran: looking at shop.customers ..."
    assert len(looked) == 5
