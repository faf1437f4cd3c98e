"""The worked examples give the numbers that other means give on the same files."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CADRAN_SHARED") or ROOT.parent / "shared") / "data"
RETAIL = SHARED / "online_retail" / "online_retail_2010_2011.parquet"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
LOGS = [SHARED / "access_logs" / name for name in ("apache_combined.log", "nginx_combined.log")]

needs_retail = pytest.mark.skipif(not RETAIL.exists(), reason=f"there is no {RETAIL}")
needs_logs = pytest.mark.skipif(not LOGS[0].exists(), reason=f"there is no {LOGS[0]}")


def run(example, *arguments, scratch):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [ROOT / "examples" / example / "run.sh", *map(str, arguments)],
        env=os.environ | {"PATH": path, "CADRAN_SCRATCH": str(scratch), "VIRTUAL_ENV": ""},
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return list(csv.reader(io.StringIO(done.stdout)))


def answers(sql):
    return [[str(value) for value in row] for row in duckdb.sql(sql).fetchall()]


@needs_retail
def test_net_revenue_of_the_shop_is_the_sum_of_all_its_lines(tmp_path):
    header, *rows = run("online_retail", RETAIL, scratch=tmp_path)
    assert header == ["metric_time__month", "net_revenue"]
    assert rows == answers(f"""
        select cast(date_trunc('month', InvoiceDate) as date),
            sum(Quantity * cast(UnitPrice as decimal(18, 3)))
        from '{RETAIL}' group by 1 order by 1
    """)


@needs_retail
def test_active_customers_of_the_shop_by_country(tmp_path):
    asked = ["--", "active_customers", "--group-by", "customer__country"]
    header, *rows = run("online_retail", RETAIL, *asked, scratch=tmp_path)
    assert header == ["customer__country", "active_customers"]
    expected = answers(f"select Country, count(distinct CustomerID) from '{RETAIL}' group by 1")
    assert sorted(row for row in rows if row[1] not in {"", "0"}) == sorted(
        row for row in expected if row[1] != "0"
    )


def test_lines_of_the_shop_that_cannot_be_read_are_set_aside_with_a_reason(tmp_path):
    file = tmp_path / "a file.parquet"
    duckdb.sql(f"""
        copy (
            select * from (values
                ('1', 'A', 'x', '2', '2011-01-05 10:00:00', '1.50', 17.0, 'France'),
                ('C1', 'A', 'x', '-1', '2011-02-05 10:00:00', '1.50', 17.0, 'Spain'),
                ('2', 'A', 'x', '1', 'some day', '1.50', 17.0, 'France'),
                ('3', 'A', 'x', 'two', '2011-01-05 10:00:00', '1.50', null, 'France'),
                ('4', 'A', 'x', '2', '2011-01-05 10:00:00', '1.2345', null, 'France'),
                ('5', 'A', 'x', '1', '2011-01-06 10:00:00', '0.125', null, 'France')
            ) as t(InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID,
                Country)
        ) to '{file}'
    """)
    assert run("online_retail", file, scratch=tmp_path) == [
        ["metric_time__month", "net_revenue"],
        ["2011-01-01", "3.125"],
        ["2011-02-01", "-1.500"],
    ]
    with duckdb.connect(tmp_path / "warehouse.duckdb", read_only=True) as built:
        rejected = built.execute(
            "select invoice_id, rejection_reason from retail.rejected_lines order by 1"
        ).fetchall()
    assert rejected == [
        ("2", "InvoiceDate is missing or no time"),
        ("3", "Quantity is missing or no number"),
        ("4", "UnitPrice has more than three decimals"),
    ]


@needs_logs
def test_requests_and_errors_of_the_logs_by_day(tmp_path):
    requests, errors = Counter(), Counter()
    for log in LOGS:
        for line in log.read_text(encoding="utf-8").splitlines():
            # Written apart from the ingestion: by position, not by the whole line's pattern.
            number, month, year = line[line.index("[") + 1 :][:11].split("/")
            day = f"{year}-{MONTHS.index(month) + 1:02}-{number}"
            status = re.search(r'" (\d{3}) (?:\d+|-) "', line)[1]
            requests[day] += 1
            errors[day] += status >= "500"
    header, *rows = run("access_log", *LOGS, scratch=tmp_path)
    assert header == ["metric_time__day", "request_count", "error_rate"]
    assert {day: int(count) for day, count, _ in rows} == requests
    for day, _, rate in rows:
        assert float(rate) == pytest.approx(errors[day] / requests[day])


def test_an_example_without_a_file_says_how_it_is_called(tmp_path):
    for example in ("online_retail", "access_log"):
        done = subprocess.run(
            [ROOT / "examples" / example / "run.sh"],
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert "run.sh FILE" in done.stderr
        assert done.stdout == ""


@needs_retail
def test_the_whole_shop_is_worth_what_the_file_says(tmp_path):
    rows = run("online_retail", RETAIL, "--", "net_revenue", scratch=tmp_path)
    total = duckdb.sql(
        f"select sum(Quantity * cast(UnitPrice as decimal(18, 3))) from '{RETAIL}'"
    ).fetchall()[0][0]
    assert Decimal(rows[1][0]) == total
