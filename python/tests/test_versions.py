"""A definition changes with a record, records never change, old versions stay answerable."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import cadran
from cadran.cli import main
from cadran.errors import NotGovernedError, QueryError, UnknownNameError, WarehouseError
from cadran.governance import artefacts, lock, versions
from cadran.governance.bump import Decision, bump, first
from cadran.governance.check import check
from cadran.governance.meaning import definition_hash, meanings
from cadran.governance.publish import publish

PROJECT = Path(__file__).parent / "fixtures" / "meanings"
OWNER = "head.of.sales@example.com"
DATA = """
create schema raw;
create table raw.orders as select * from (values
    (1, 1, 1, 'web', 'EUR', 100, timestamp '2026-01-10'),
    (2, 2, 2, 'app', 'EUR', 50, timestamp '2026-01-20'),
    (3, 1, 3, 'web', 'USD', 200, timestamp '2026-02-05'),
    (4, 2, null, 'web', 'EUR', 4, timestamp '2026-02-07')
) as t (order_id, customer_id, visit_id, channel, currency, amount, ordered_at);
create table raw.visits as select * from (values
    (1, 1, timestamp '2026-01-09', false), (2, 2, timestamp '2026-01-20', false),
    (3, 1, timestamp '2026-02-04', false), (9, 1, timestamp '2026-02-04', true)
) as t (visit_id, customer_id, visited_at, is_robot);
create table raw.stock as select * from (values
    ('a', date '2026-01-01', 5), ('a', date '2026-01-31', 7)
) as t (item_id, counted_on, quantity);
create table raw.customers as
select * from (values (1, 'fr'), (2, 'de')) as t (customer_id, country);
"""  # fmt: skip


class Shop:
    """A project of its own with data, whose KPIs have their first versions."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        shutil.copytree(PROJECT, self.root)
        self.database = folder / "meanings.duckdb"
        os.environ["MEANINGS_DATABASE"] = str(self.database)
        with duckdb.connect(str(self.database)) as connection:
            connection.execute(DATA)
        # A process of its own, so that the file is closed and whole when it is copied.
        dbt = Path(sys.executable).with_name("dbt")
        subprocess.run(
            [dbt, "--quiet", "build", "--project-dir", self.root, "--profiles-dir", self.root,
             "--target-path", self.root / "target", "--log-path", folder],
            check=True, timeout=120,
        )  # fmt: skip

    def open(self):
        layer = cadran.open(self.root, database=self.database)
        artefacts.refresh(layer.project)
        return cadran.open(self.root, database=self.database)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert old in text, old
        path.write_text(text.replace(old, new))

    def findings(self, *codes: str) -> dict[str, set[str]]:
        report = check(self.open(), only=codes or [f"VER0{n}" for n in range(1, 9)])
        found: dict[str, set[str]] = {}
        for finding in report.findings:
            found.setdefault(finding.code, set()).add(finding.kpi)
        return found

    def reported(self, code: str):
        return check(self.open(), only=[code]).findings


@pytest.fixture(scope="module")
def first_shop(tmp_path_factory):
    """The shop as it stands before anything changes."""
    shop = Shop(tmp_path_factory.mktemp("versions"))
    layer = shop.open()
    first(layer, [card.name for card in layer.kpis()], "data@example.com")
    layer.close()
    return shop


@pytest.fixture(scope="module")
def first_open(first_shop):
    """The layer of the shop as it stands."""
    layer = first_shop.open()
    yield layer
    layer.close()


@pytest.fixture
def shop(first_shop, tmp_path, monkeypatch):
    """A copy of the shop, to be changed at will."""
    copy = object.__new__(Shop)
    copy.root, copy.database = tmp_path / "project", tmp_path / "meanings.duckdb"
    shutil.copytree(first_shop.root, copy.root)
    shutil.copy(first_shop.database, copy.database)
    monkeypatch.setenv("MEANINGS_DATABASE", str(copy.database))
    return copy


def decision(**given):
    return Decision(**{
        "kind": "policy", "reason": "Small orders do not count any more.",
        "author": "data@example.com", "approver": OWNER, "effective_from": dt.date(2026, 2, 1),
    } | given)  # fmt: skip


@pytest.fixture
def changed(shop):
    """The shop after orders below 10 were left out."""
    shop.edit("dbt_project.yml", "least_amount: 0", "least_amount: 10")
    return shop


def test_recorded_kpis_pass_the_gate(first_shop):
    assert first_shop.findings() == {}


def test_a_meaning_has_a_hash_at_each_grain_and_by_each_dimension(first_shop):
    layer = first_shop.open()
    found = meanings(layer, "revenue")
    assert {(m.grain, m.dimensions) for m in found} == {
        (grain, dimensions)
        for grain in ("day", "month")
        for dimensions in ((), ("order_id__channel",), ("customer__country",))
    }
    assert len({m.hash for m in found}) == len(found)
    assert '"source"."raw"."orders"' in found[0].expanded_sql
    assert definition_hash(layer, "revenue") == lock.read(first_shop.root)["revenue"].hash


def test_the_gate_names_what_changed_and_shows_it_until_it_is_bumped(changed):
    findings = {finding.kpi: finding for finding in changed.reported("VER01")}
    assert "revenue" in findings
    assert "stock" not in findings
    assert "var least_amount (dbt_project.yml)" in findings["revenue"].message
    assert findings["revenue"].file == "dbt_project.yml"
    assert "-    amount >= 0" in findings["revenue"].detail
    assert "+    amount >= 10" in findings["revenue"].detail

    layer = changed.open()
    bumped = bump(layer, "revenue", decision(expected_impact=(-0.05, 0.0)))
    assert bumped.record.version == 2
    assert [(pair.old, pair.new) for pair in bumped.pairs] == [(150, 150), (184, 180)]
    assert "| revenue | v1 | v2 | 2026-02-01 | no | -2.2% to +0.0% by month |" in bumped.changelog
    layer.close()
    found = changed.findings()
    assert "revenue" not in found["VER01"]
    assert changed.open().card("revenue").version == 2

    layer = changed.open()
    was = layer.query("revenue", "metric_time__month", version=1)
    now = layer.query("revenue", "metric_time__month", version=2)
    assert was.to_arrow()["revenue"].to_pylist() == [150, 184]
    assert now.to_arrow()["revenue"].to_pylist() == [150, 180]
    assert was.card("revenue").version == 1
    assert "frozen SQL" in was.note
    by_country = layer.query(
        "revenue", ["metric_time__month", "customer__country"], where="customer__country = 'FR'",
        start="2026-02-01", order_by="-revenue", limit=5, version=1,
    )  # fmt: skip
    assert by_country.to_arrow().to_pylist() == [
        {"metric_time__month": dt.date(2026, 2, 1), "customer__country": "FR", "revenue": 180}
    ]
    with pytest.raises(NotGovernedError, match="is not defined by year"):
        layer.query("revenue", "metric_time__year", version=1)
    with pytest.raises(UnknownNameError, match="no version '7' of revenue"):
        layer.query("revenue", "metric_time__month", version=7)
    layer.close()


@pytest.mark.parametrize(
    "asked",
    [
        {"where": ["customer__country = 'FR'", "order_id__channel in ('web', 'app')"]},
        {"where": "customer__country = 'FR' or order_id__channel = 'app'", "limit": 1},
        {
            "where": "order_id__channel = 'web'",
            "group_by": ["metric_time__day", "customer__country"],
        },
        {"group_by": ["customer__country", "metric_time__month", "order_id__channel"]},
        {"group_by": [], "where": "{{ Dimension('order_id__channel') }} = 'web'"},
        {"start": "2026-01-15", "end": "2026-01-16"},
        {"order_by": "-metric_time__month", "limit": 0},
        {"order_by": ["-revenue"], "limit": 1},
    ],
    ids=str,
)
def test_a_version_answers_what_was_not_frozen_as_the_layer_does(first_open, asked):
    question = {"metrics": "revenue", "group_by": "metric_time__month"} | asked
    now = first_open.query(**question).to_arrow()
    then = first_open.query(**question, version=1).to_arrow()
    assert then.schema == now.schema
    assert then.to_pylist() == now.to_pylist()


def test_a_version_refuses_what_it_cannot_tell(first_open):
    with pytest.raises(NotGovernedError, match="is not defined by order_id__ordered_date"):
        first_open.query(
            "revenue",
            "metric_time__month",
            where="order_id__ordered_date > '2026-01-01'",
            version=1,
        )
    with pytest.raises(QueryError, match="one KPI"):
        first_open.query(["revenue", "stock"], "metric_time__month", version=1)
    with pytest.raises(QueryError, match="view cannot be 'both'"):
        first_open.query("revenue", "metric_time__month", view="both", version=1)
    with pytest.raises(WarehouseError, match="refused"):
        first_open.query("revenue", "metric_time__month", where="customer__country > 1", version=1)


def test_without_its_sources_an_old_version_answers_from_the_ledger_and_says_so(shop, capsys):
    layer = shop.open()
    months = layer.query("revenue", "metric_time__month", version=1).to_arrow().to_pylist()
    publish(layer, ["revenue"])
    layer.close()
    with duckdb.connect(str(shop.database)) as connection:
        connection.execute("drop table raw.orders cascade")
    layer = shop.open()
    answer = layer.query("revenue", "metric_time__month", version=1)
    assert answer.to_arrow().to_pylist() == months
    assert "as it was published: The source raw.orders" in answer.note
    assert answer.versions == {"revenue": (1,)}
    known = layer.query("revenue", "metric_time__month", known_at="2126-01-01", version=1)
    assert known.to_arrow().to_pylist() == months
    with pytest.raises(
        WarehouseError, match=r"raw\.orders, which the frozen version reads, is gone"
    ):
        layer.query("conversion", "metric_time__month", version=1)
    layer.close()

    place = ["--project-dir", str(shop.root), "--database", str(shop.database)]
    assert (
        main(["query", "revenue", "--group-by", "metric_time__month", "--version", "1", *place])
        == 0
    )
    assert "as it was published" in capsys.readouterr().err


def test_equivalent_is_accepted_only_with_proof(shop):
    # Orders of nothing add nothing, which no form of the SQL can show.
    shop.edit("dbt_project.yml", "least_amount: 0", "least_amount: 1")
    layer = shop.open()
    bumped = bump(layer, "revenue", decision(kind="equivalent"))
    assert bumped.record.proof["differences"] == 0
    assert bumped.record.proof["grain"] == "day"
    assert bumped.record.proof["rows"] >= 12
    layer.close()
    assert "revenue" not in shop.findings("VER01", "VER06").get("VER06", set())

    shop.edit("dbt_project.yml", "least_amount: 1", "least_amount: 60")
    layer = shop.open()
    with pytest.raises(QueryError, match="is not equivalent to its version 2"):
        bump(layer, "revenue", decision(kind="equivalent"))
    layer.close()


def test_an_impact_outside_the_expected_range_fails_the_gate(changed):
    layer = changed.open()
    bump(layer, "revenue", decision(expected_impact=(-0.01, 0.0)))
    layer.close()
    assert changed.findings("VER05") == {"VER05": {"revenue"}}


def test_nothing_is_bumped_that_did_not_change_or_that_its_author_approves(shop):
    layer = shop.open()
    with pytest.raises(QueryError, match="means what its version 1 means"):
        bump(layer, "revenue", decision())
    with pytest.raises(QueryError, match="cannot approve a version of their own"):
        bump(layer, "revenue", decision(approver="data@example.com"))
    layer.close()


def test_records_that_are_edited_or_gone_are_found(shop):
    shop.edit("versions/revenue/v1.yml", "kind: first", "kind: policy")
    (shop.root / "versions" / "stock" / "v1.yml").unlink()
    assert shop.findings("VER03") == {"VER03": {"revenue", "stock"}}
    assert shop.findings("VER07") == {"VER07": {"stock"}}


def test_an_approver_who_is_the_author_or_a_stranger_is_refused(shop):
    shop.edit("versions/revenue/v1.yml", f"approver: {OWNER}", "approver: data@example.com")
    shop.edit("versions/stock/v1.yml", f"approver: {OWNER}", "approver: kim@example.com")
    shop.edit("versions/visits/v1.yml", f"approver: {OWNER}", "approver: sam@example.com")
    (shop.root / "cadran_checks.yml").write_text(
        f"owners:\n  {OWNER}: [sam@example.com]\n  data@example.com: []\n"
    )
    assert shop.findings("VER04") == {"VER04": {"revenue", "stock"}}


def test_a_version_without_a_change_and_numbers_that_disagree_are_found(shop):
    folder = shop.root / "versions" / "revenue"
    text = (folder / "v1.yml").read_text().replace("version: 1\n", "version: 2\n")
    (folder / "v2.yml").write_text(text.replace("kind: first", "kind: equivalent"))
    assert shop.findings("VER02", "VER06", "VER08") == {
        "VER02": {"revenue"}, "VER06": {"revenue"}, "VER08": {"revenue"},
    }  # fmt: skip


def test_a_record_is_read_as_it_was_written(first_shop):
    record = versions.records(first_shop.root, "revenue")[0]
    assert (record.kind, record.approver, record.restatement) == ("first", OWNER, "none")
    assert set(record.sql) == {
        f"{grain}{dimension}"
        for grain in ("day", "month")
        for dimension in ("", " order_id__channel", " customer__country")
    }
