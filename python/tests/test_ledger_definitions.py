"""The ledger sees what a KPI means down to its sources, and refuses a meaning without a version."""

from __future__ import annotations

import json
import os
import shutil
from datetime import date
from pathlib import Path

import duckdb
import forked
import pytest

import cadran
from cadran.catalog.facts import published_values
from cadran.core.ledger import reader
from cadran.core.versions import record as version_file
from cadran.core.versions.record import VersionRecord
from cadran.governance.publish import publish

PROJECT = Path(__file__).parent / "fixtures" / "meanings"
OWNER = "head.of.sales@example.com"
ROWS = """
create schema raw;
create table raw.orders as select * from (values
    (1, 1, 1, 'web', 'EUR', 100, timestamp '2026-01-10'),
    (2, 2, 2, 'app', 'EUR', 50, timestamp '2026-01-20'),
    (3, 1, 3, 'web', 'USD', 200, timestamp '2026-02-05')
) as t (order_id, customer_id, visit_id, channel, currency, amount, ordered_at);
create table raw.visits as select * from (values
    (1, 1, timestamp '2026-01-09', false), (2, 2, timestamp '2026-01-20', false)
) as t (visit_id, customer_id, visited_at, is_robot);
create table raw.stock as select * from (values ('a', date '2026-01-01', 5))
    as t (item_id, counted_on, quantity);
create table raw.customers as select * from (values (1, 'fr'), (2, 'de'))
    as t (customer_id, country);
"""


class Shop:
    """A dbt project with data, built once and published once."""

    def __init__(self, folder: Path) -> None:
        self.root, self.database = folder / "project", folder / "meanings.duckdb"
        shutil.copytree(PROJECT, self.root)
        self.change(ROWS)
        command = [
            "dbt", "--quiet", "build", "--project-dir", self.root, "--profiles-dir", self.root,
            "--target-path", self.root / "target", "--log-path", self.root / "target",
        ]  # fmt: skip
        # A process of its own, so that the warehouse is closed afterwards.
        forked.run(command, check=True, timeout=120, env=os.environ | {"DO_NOT_TRACK": "1"})

    def change(self, statement: str) -> None:
        with duckdb.connect(str(self.database)) as connection:
            connection.execute(statement)

    def parsed(self) -> None:
        """Take the manifest of the last compilation, as `dbt parse` would write it."""
        made = self.root / "target" / "cadran" / "meaning"
        for name in ("semantic_manifest.json", "manifest.json"):
            shutil.copy(made / name, self.root / "target")

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert old in text, old
        path.write_text(text.replace(old, new, 1))

    def publish(self):
        layer = cadran.open(self.root, database=self.database)
        try:
            found = publish(layer, ["revenue", "visits"], author="data@example.com")
        finally:
            layer.close()
        return {done.kpi: done for done in found}

    def rows(self, statement: str):
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.sql(statement).fetchall()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The shop as it was first published."""
    folder = tmp_path_factory.mktemp("definitions")
    os.environ["MEANINGS_DATABASE"] = str(folder / "meanings.duckdb")
    yield Shop(folder)
    del os.environ["MEANINGS_DATABASE"]


def record(layer, version, effective, kind):
    """The record of a version that means what the project means now."""
    meanings = layer.meanings
    definition = meanings.definition("revenue")
    kept = {}
    if "question_hashes" in VersionRecord.__slots__:
        marks = (meanings.hash_of(definition, question) for question in definition.questions)
        kept["question_hashes"] = tuple(marks)
    return VersionRecord(
        kpi="revenue", version=version, effective_from=effective, kind=kind,
        reason="Hundreds are enough.", author="data@example.com", approver=OWNER,
        restatement="none", hash=meanings.hash("revenue"), definition=definition, **kept,
    )  # fmt: skip


LAST = """
select version, status, value, definition_hash, details from governance.kpi_ledger
where kpi = 'revenue' and grain = 'month' and dimensions = '{}' and period = timestamp '2026-02-01'
order by batch desc limit 1
"""


def test_a_change_upstream_is_seen_refused_and_published_as_a_new_version(
    shop, capsys, monkeypatch
):
    from cadran.cli.app import main as cadran_command

    done = shop.publish()
    assert all(one.rows and not one.note for one in done.values())
    ((_, _, first_value, first_hash, details),) = shop.rows(LAST)
    assert len(first_hash) == 64
    assert "metricflow" in json.loads(details)["tools"]

    layer = cadran.open(shop.root, database=shop.database)
    first = record(layer, 1, date(1970, 1, 1), "first")
    layer.close()
    assert first.hash == first_hash

    # A macro upstream of the mart changes; the SQL over the mart is what it was.
    shop.edit("macros/rounded.sql", ", 2)", ", -2)")
    shop.change("update shop.fct_orders set amount = round(amount, -2)")
    refused = shop.publish()
    sentence = "revenue means something else than what was published as version 1"
    assert refused["revenue"].refused.startswith(sentence)
    assert "`cadran bump revenue`" in refused["revenue"].refused
    assert not refused["visits"].refused
    assert shop.rows(LAST)[0][2] == first_value

    # With a record of what version 1 meant, the cause is named.
    version_file.write(shop.root, first)
    assert "macro rounded (macros/rounded.sql)" in shop.publish()["revenue"].refused
    place = ["--project-dir", str(shop.root), "--database", str(shop.database)]
    assert cadran_command(["publish", "revenue", *place]) == 1
    told = capsys.readouterr()
    assert told.out == "[1/1] revenue: refused\n"
    assert "by which it would be published (macro rounded" in told.err

    # A new version is published as its record says: from February on.
    shop.edit("models/marts.yml", "version: 1", "version: 2")
    layer = cadran.open(shop.root, database=shop.database)
    second = record(layer, 2, date(2026, 2, 1), "policy")
    layer.close()
    version_file.write(shop.root, second)
    shop.parsed()
    done = shop.publish()["revenue"]
    assert not done.refused
    ((version, status, value, second_hash, details),) = shop.rows(LAST)
    assert (version, status) == (2, "provisional")
    assert value != first_value
    assert second_hash == second.hash != first_hash
    assert json.loads(details)["reason"] == "Hundreds are enough."

    # What was published stands beside what holds now, and breaks; the present values do not.
    layer = cadran.open(shop.root, database=shop.database)
    months = layer.query("revenue", "metric_time__month").to_arrow().to_pylist()
    published, breaks = published_values(layer, layer.card("revenue"), months)
    assert {row["metric_time__month"]: row["revenue"] for row in months} == {
        date(2026, 1, 1): 200, date(2026, 2, 1): 200
    }  # fmt: skip
    assert published == {date(2026, 1, 1): 150, date(2026, 2, 1): 200}
    assert [(one.before, one.after, one.kind) for one in breaks] == [(1, 2, "policy")]
    # A version that keeps every value breaks nothing.
    monkeypatch.setattr(reader, "KEEPING", ("policy",))
    assert published_values(layer, layer.card("revenue"), months) == (published, ())
    layer.close()
