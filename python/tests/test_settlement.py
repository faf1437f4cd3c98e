"""Settled months of contracts: final in the ledger, told from it alone, changed by restatement."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from contextlib import closing
from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest

import cadran
from cadran.cli.app import main
from cadran.core.ledger.verify import verify
from cadran.errors import QueryError
from cadran.governance.approval import Restatement
from cadran.governance.settlement import settle, settled_months
from cadran.reliability.sla import read_contracts

OCTOBER, NOVEMBER = dt.date(2026, 10, 1), dt.date(2026, 11, 1)
OWNER = "platform.lead@example.com"
AGREED = Restatement(OCTOBER, NOVEMBER, "error", "An outage was not counted.", OWNER, "T-1")


@pytest.fixture(scope="module")
def company(demo, project_root, tmp_path_factory):
    """A project whose minutes may be changed."""
    root = tmp_path_factory.mktemp("settlement")
    (root / "dbt_project.yml").write_text("name: sample\nprofile: sample\n")
    (root / "target").mkdir()
    for name in ("semantic_manifest.json", "manifest.json"):
        shutil.copy(demo.target / name, root / "target" / name)
    shutil.copy(demo.database, root / "warehouse.duckdb")
    shutil.copytree(project_root / "contracts", root / "contracts")
    return root


def said(company, capsys, *arguments):
    code = main(["sla", *arguments, "--project-dir", str(company),
                 "--database", str(company / "warehouse.duckdb")])  # fmt: skip
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_settled_month_is_final_and_changes_by_restatement_only(company, capsys, tmp_path):
    contract = read_contracts(company / "contracts")["partners_api"]
    with closing(cadran.open(company, database=company / "warehouse.duckdb")) as layer:
        with pytest.raises(QueryError, match="was not settled, so there is nothing"):
            settle(layer, contract, OCTOBER, author="a@example.com", restatement=AGREED)
        with pytest.raises(QueryError, match=r"2026-11 .* is not over: it ends on 2026-11-30 23"):
            settle(layer, contract, NOVEMBER, author="a@example.com")
        first = settle(layer, contract, OCTOBER, author="a@example.com")
        assert first.is_new
        assert first.settled.settlement.agreed_minutes == 745 * 60
        again = settle(layer, contract, OCTOBER, author="a@example.com")
        assert (again.is_new, again.differences, again.settled) == (False, (), first.settled)

    # An outage of ten hours comes to light, in the hour that is there twice too.
    with duckdb.connect(str(company / "warehouse.duckdb")) as connection:
        connection.execute(
            "delete from reliability.int_sli_minutely where subject = 'public_api'"
            " and minute_at between '2026-10-25 00:00' and '2026-10-25 09:59'"
        )
        connection.execute(
            "insert into reliability.int_sli_minutely"
            " select 'platform_availability', 'service', 'public_api',"
            " timestamp '2026-10-25' + n * interval 1 minute, 0, 7 from range(600) as t (n)"
        )

    code, out, err = said(company, capsys, "settle", "partners_api", "2026-10")
    assert code == 1
    assert "settled before" in out
    assert "credit 0.00 was settled, 3125.00 is computed now" in err
    assert "--kind --reason --approver" in err
    said(company, capsys, "statement", "partners_api", "2026-10", "--output", str(tmp_path))
    statement = (tmp_path / "partners_api_2026-10_en.csv").read_text()
    assert 'State,"Settled on ' in statement
    assert "Credit,0.00,EUR" in statement

    with closing(cadran.open(company, database=company / "warehouse.duckdb")) as layer:
        for author, approver, told in [
            (OWNER, OWNER, "somebody else"), ("a@example.com", "x@example.com", "may not approve"),
        ]:  # fmt: skip
            with pytest.raises(QueryError, match=told):
                settle(layer, contract, OCTOBER, author=author, approver=approver)
        second = settle(layer, contract, OCTOBER, author="a@example.com", restatement=AGREED)
        assert (second.is_new, second.settled.revision) == (True, 2)
        figures = second.settled.settlement
        assert figures.credit == Decimal("3125.00")
        assert figures.net == figures.gross == 1 - Fraction(600, 44_700)
        hours = [minute.local for minute in figures.bad_minutes if minute.counts][::60]
        assert [f"{hour:%H:%M %z}" for hour in hours[:4]] == [
            "02:00 +0200", "02:00 +0100", "03:00 +0100", "04:00 +0100",
        ]  # fmt: skip
        history = settled_months(layer, "partners_api")
        assert history == [first.settled, second.settled]
        assert verify(layer.warehouse, company / "kpi.lock").holds

    # The terms of then hold for the statement, whatever became of the file.
    file = company / "contracts" / "partners_api.yml"
    file.write_text(file.read_text().replace("12500.00", "1.00"))
    said(company, capsys, "statement", "partners_api", "2026-10", "--lang", "fr",
         "--output", str(tmp_path))  # fmt: skip
    french = (tmp_path / "partners_api_2026-10_fr.html").read_text()
    assert "version 2 : An outage was not counted." in french
    assert "3 125,00" in french.replace("\u202f", " ").replace("\xa0", " ")
    code, out, _ = said(company, capsys, "history", "--format", "json")
    assert [(r["month"], r["revision"], r["credit"], r["reason"]) for r in json.loads(out)] == [
        ("2026-10", 1, 0, None), ("2026-10", 2, 3125, AGREED.reason),
    ]  # fmt: skip


def test_a_changed_settlement_is_found(company):
    with duckdb.connect(str(company / "warehouse.duckdb")) as connection:
        connection.execute(
            "update governance.kpi_ledger_rows set value = '9.99'"
            " where kpi = 'sla:partners_api' and value = '3125.00'"
        )
    with closing(cadran.open(company, database=company / "warehouse.duckdb")) as layer:
        verification = verify(layer.warehouse, company / "kpi.lock")
    assert [(d.batch, d.entry["value"]) for d in verification.damages] == [(2, "9.99")]


def test_the_running_month_of_every_contract(company, capsys):
    code, out, _ = said(company, capsys, "status", "--format", "json")
    assert code == 0
    rows = {row["contract"]: row for row in json.loads(out)}
    assert {row["month"] for row in rows.values()} == {"2026-11"}
    # 0.05 % of the 43,200 minutes of November are 21.6.
    assert rows["partners_api"]["minutes_left"] == 21
    assert rows["partners_api"]["settled_until"] == "2026-10"
    # Business hours have not begun.
    assert (rows["developers_accounts"]["net"], rows["developers_accounts"]["minutes_left"]) == (
        "-", None,
    )  # fmt: skip
    code, _, err = said(company, capsys, "status", "partner_api")
    assert (code, "partners_api" in err) == (2, True)
    code, _, err = said(company, capsys, "statement", "partners_api", "2026-13")
    assert (code, "'2026-13' is no month" in err) == (2, True)
