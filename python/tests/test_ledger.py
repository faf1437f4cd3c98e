"""The ledger: what was published stays, and what was done to it is found."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from decimal import Decimal
from math import isclose
from types import SimpleNamespace

import duckdb
import pytest

import cadran
from cadran.cli.app import main
from cadran.cli.scorecard import text as board_text
from cadran.core.ledger.verify import verify
from cadran.core.versions import record as version_file
from cadran.core.versions.meaning import CompiledQuery as Frozen
from cadran.core.versions.meaning import Definition
from cadran.core.versions.record import VersionRecord
from cadran.errors import QueryError, WarehouseError
from cadran.governance.approval import Restatement
from cadran.governance.bridge import bridge, revisions
from cadran.governance.close import close
from cadran.governance.publish import publish
from cadran.governance.values import Measurer, MetricQuery
from cadran.insight.scorecard import make as make_board

KPIS = ["net_revenue", "average_order_value"]
SETTINGS = "grains: [month]\nkpis:\n  active_customers: {minimum_observations: 5, grains: [day]}\n"
SEPTEMBER = {"start": "2026-09-01", "end": "2026-09-30"}
MONTH = ["metric_time__month"]
OWNER = "head.of.sales@example.com"


@pytest.fixture(scope="module")
def published(demo, layer, tmp_path_factory):
    """A project whose KPIs were published once, to be copied."""
    layer.close()
    return project(demo, tmp_path_factory.mktemp("ledger"), publish_first=True)


@pytest.fixture
def company(published, tmp_path):
    """A project of its own for each test, published once."""
    root = tmp_path / "project"
    shutil.copytree(published.root, root)
    return opened(root)


def project(demo, root, *, publish_first):
    (root / "dbt_project.yml").write_text("name: sample\nprofile: sample\n")
    (root / "cadran_ledger.yml").write_text(SETTINGS)
    (root / "target").mkdir()
    for name in ("semantic_manifest.json", "manifest.json"):
        shutil.copy(demo.target / name, root / "target" / name)
    shutil.copy(demo.database, root / "warehouse.duckdb")
    made = opened(root)
    if publish_first:
        publish(made.layer, KPIS, author="data@example.com")
        made.layer.close()
    return made


def verified(company):
    return verify(company.layer.warehouse, company.root / "kpi.lock")


def opened(root):
    layer = cadran.open(root, database=root / "warehouse.duckdb")
    return SimpleNamespace(root=root, layer=layer, database=root / "warehouse.duckdb")


def change(company, *statements):
    company.layer.close()
    with duckdb.connect(company.database) as connection:
        for statement in statements:
            connection.execute(statement)


def more_revenue(company, amount, channel="web", day="2026-09-15"):
    change(
        company,
        f"""update marts.fct_order_lines set amount = amount + {amount} where order_line_id = (
            select min(line.order_line_id) from marts.fct_order_lines as line
            inner join marts.fct_orders as placed using (order_id)
            where line.booked_date = date '{day}' and placed.channel = '{channel}')""",
    )


def again(company, **options):
    found = publish(company.layer, ["net_revenue"], **({"author": "data@example.com"} | options))
    return found[0]


def test_publishing_again_writes_nothing(company):
    assert [done.rows for done in publish(company.layer, KPIS, author="a@example.com")] == [0, 0]
    assert verified(company).holds


def test_the_ledger_holds_the_values_of_the_layer_exactly(company):
    for name in KPIS:
        for group_by in (MONTH, [*MONTH, "customer__country"]):
            now = company.layer.query(name, group_by, end="2026-10-31")
            then = company.layer.query(name, group_by, view="published")
            assert then.to_arrow() == now.to_arrow()


def test_a_row_says_what_stands_behind_its_value(company):
    row = company.layer.warehouse.arrow(
        """select * from governance.kpi_ledger where kpi = 'average_order_value'
        and period = timestamp '2026-09-01' and dimensions = '{}'"""
    ).to_pylist()[0]
    ratio = Decimal(row["numerator"]) / Decimal(row["denominator"])
    assert abs(ratio - Decimal(row["value"])) < Decimal("1e-9")
    assert row["observations"] == int(row["denominator"])
    assert row["version"] == 1
    assert row["definition_hash"].startswith("sql:")  # this project cannot be compiled
    assert "No profiles.yml" in json.loads(row["details"])["note"]
    assert row["status"] == "provisional"


def test_only_what_differs_is_published(company):
    more_revenue(company, 100)
    done = again(company)
    assert done.rows == 6  # the whole, and one member of each of five dimensions
    history = revisions(company.layer, "net_revenue", "2026-09")
    assert [row["change"] for row in history] == [None, Decimal(100)]


def test_nothing_is_asked_of_the_warehouse_while_the_ledger_is_written(company, monkeypatch):
    # A large batch is in the file as soon as it is committed, which is then another one.
    more_revenue(company, 20)
    layer = cadran.open(company.root, database=company.database)
    numbers = itertools.count()
    monkeypatch.setattr(type(layer.warehouse), "stamp", lambda _: next(numbers))
    assert publish(layer, ["net_revenue"], author="data@example.com")[0].rows > 0
    assert verify(layer.warehouse, company.root / "kpi.lock").holds


def test_kpis_that_are_asked_together_are_what_they_are_alone(layer):
    measurer = Measurer(layer)
    cards = {card.name: card for card in layer.kpis()}
    groups = [group for group in measurer.groups(cards) if len(group) > 1]
    assert sum(map(len, groups)) > 15
    for group in groups:
        shared = set.intersection(*(set(cards[name].dimensions) for name in group))
        for names in ((), tuple(sorted(shared))[:1]):
            for measured in measurer.measure(MetricQuery("month", names, group)):
                kpi, keys = measured.kpi, [measured.time, *names]
                alone = layer.query(kpi, keys, start=measurer.start(), end="2026-12-31").to_arrow()
                together = measured.table.select([*keys, kpi]).to_pylist()
                found = {tuple(row.values())[:-1]: row[kpi] for row in together}
                known = {tuple(row.values())[:-1]: row[kpi] for row in alone.to_pylist()}
                found = {k: v for k, v in found.items() if v is not None}
                known = {k: v for k, v in known.items() if v is not None}
                assert found.keys() == known.keys()
                # Doubles that are added up in another order are the same to the ledger.
                assert not {
                    key: (kpi, value, known[key])
                    for key, value in found.items()
                    if value != known[key]
                    and not (isinstance(value, float) and isclose(value, known[key], rel_tol=1e-12))
                }


def test_publishing_since_a_day_leaves_what_ended_before_alone(company):
    more_revenue(company, 100)
    more_revenue(company, 10, day="2026-10-05")
    done = again(company, since=date(2026, 10, 20))
    assert done.rows == 6
    assert len(revisions(company.layer, "net_revenue", "2026-09")) == 1
    assert again(company).rows == 6
    assert [row["change"] for row in revisions(company.layer, "net_revenue", "2026-10")][1:] == [10]


def test_what_was_known_then_can_be_asked(company):
    before = company.layer.query("net_revenue", MONTH, **SEPTEMBER).to_arrow()
    published_at = revisions(company.layer, "net_revenue", "2026-09")[0]["published_at"]
    more_revenue(company, 100)
    again(company)
    known = company.layer.query("net_revenue", MONTH, **SEPTEMBER, known_at=published_at)
    assert known.to_arrow() == before
    latest = company.layer.query("net_revenue", MONTH, **SEPTEMBER, view="published")
    assert latest.to_arrow() == company.layer.query("net_revenue", MONTH, **SEPTEMBER).to_arrow()
    with pytest.raises(QueryError, match="Nothing of net_revenue was published by"):
        company.layer.query("net_revenue", MONTH, known_at="2020-01-01")


def test_a_final_value_changes_by_approval_only(company):
    close(company.layer, "2026-09", author="data@example.com")
    more_revenue(company, 5000)
    done = again(company)
    assert done.rows == 0
    assert any(row["dimensions"] == "{}" for row in done.waiting)
    with pytest.raises(QueryError, match="somebody else must approve"):
        again(company, restatement=agreed(OWNER), author=OWNER)
    done = again(company, restatement=agreed(OWNER))
    assert done.restated == 6
    assert not done.waiting
    last = revisions(company.layer, "net_revenue", "2026-09")[-1]
    assert (last["status"], last["reason"]) == ("restated", "A day was missing.")
    first = company.layer.query("net_revenue", MONTH, **SEPTEMBER, view="both").to_arrow()
    row = first.to_pylist()[0]
    assert row["net_revenue"] - row["net_revenue_published"] == 5000
    assert verified(company).holds


def agreed(approver):
    return Restatement(date(2026, 9, 1), date(2026, 10, 1), "error", "A day was missing.", approver)


def test_only_the_owner_and_the_owners_delegates_approve(company):
    close(company.layer, "2026-09", ["net_revenue"], author="data@example.com", approver=OWNER)
    more_revenue(company, 5000)
    with pytest.raises(QueryError, match=r"clerk@example\.com may not .*: ask head\.of\.sales"):
        again(company, restatement=agreed("clerk@example.com"))
    (company.root / "cadran_checks.yml").write_text(f"owners:\n  {OWNER}: [clerk@example.com]\n")
    done = again(company, restatement=agreed("clerk@example.com"))
    assert done.restated == 6
    approvals = company.layer.warehouse.arrow(
        f"select details->>'approval' as approval from {BATCHES} where details->>'approver' <> ''"
    )
    # An address that was typed proves nothing.
    assert approvals["approval"].to_pylist() == ["unproved", "unproved"]
    with pytest.raises(QueryError, match=r"support@example\.com may not approve"):
        close(company.layer, "2026-08", KPIS, author="a@b.c", approver="support@example.com")


def test_an_immaterial_change_of_a_final_value_is_recorded(company):
    close(company.layer, "2026-09", ["net_revenue"], author="data@example.com")
    more_revenue(company, "0.01")
    done = again(company)
    assert (done.restated, done.waiting) == (6, [])


def test_closing_makes_final_once(company):
    made = close(company.layer, "2026-09", author="data@example.com")
    assert [done.kpi for done in made] == sorted(KPIS)
    assert all(done.rows > 0 and not done.refused for done in made)
    assert close(company.layer, "2026-09", author="data@example.com") == []
    with pytest.raises(QueryError, match="is not over"):
        close(company.layer, "2099-01")


def test_closed_values_are_final_and_shorter_periods_within_are_too(company):
    close(company.layer, "2026-Q3", ["net_revenue"], author="data@example.com")
    rows = company.layer.warehouse.arrow(
        """select period, max_by(status, batch) as status from governance.kpi_ledger
        where kpi = 'net_revenue' and dimensions = '{}' and period >= timestamp '2026-06-01'
        group by period order by period"""
    ).to_pylist()
    told = [(row["period"].month, row["status"]) for row in rows]
    final = [(month, "final") for month in (7, 8, 9)]
    assert told == [(6, "provisional"), *final, (10, "provisional")]


def test_a_thin_value_is_suppressed(company):
    publish(company.layer, ["active_customers"], author="data@example.com")
    rows = company.layer.warehouse.arrow(
        "select status, value, observations from governance.kpi_ledger"
        " where kpi = 'active_customers'"
    ).to_pylist()
    thin = [row for row in rows if row["observations"] < 5]
    assert thin
    assert all(row["status"] == "suppressed" and row["value"] is None for row in thin)
    assert all(row["value"] is not None for row in rows if row["observations"] >= 5)


def test_a_value_that_is_gone_is_withdrawn(company):
    change(company, "delete from marts.fct_order_lines where booked_date >= date '2026-10-01'")
    again(company, incomplete="The shop closed at the end of September.")
    last = revisions(company.layer, "net_revenue", "2026-09")[-1]
    assert last["value"] is not None
    shown = company.layer.query("net_revenue", MONTH, view="published").to_arrow().to_pylist()
    assert shown[-1] == {"metric_time__month": date(2026, 10, 1), "net_revenue": None}


ROWS = "governance.kpi_ledger_rows"
BATCHES = "governance.kpi_ledger_batches"


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        ([f"update {ROWS} set value = '1' where batch = 1 and row = 7"], "batch 1, row 7 .*edited"),
        ([f"delete from {ROWS} where batch = 2 and row = 5"], "batch 2, row 5: .*deleted"),
        (
            [f"insert into {ROWS} select * from {ROWS} where batch = 1 and row = 6"],
            "batch 1, row 6 .*inserted",
        ),
        (
            [f"update {ROWS} set row = if(row = 10, 20, 10) where batch = 1 and row in (10, 20)"],
            "batch 1, row 10 .*edited",
        ),
        (
            [f"delete from {ROWS} where batch = 2", f"delete from {BATCHES} where batch = 2"],
            "batch 2: the end was cut off",
        ),
        ([f"update {BATCHES} set version = 7 where batch = 1"], "batch 1: its record was edited"),
        (["drop view governance.kpi_ledger", f"drop table {ROWS}"], "kpi_ledger_rows is missing"),
        (
            ["drop view governance.kpi_ledger", f"drop table {ROWS}", f"drop table {BATCHES}",
             "drop table governance.kpi_ledger_waiting"],
            "The ledger is gone: .* batch 2 was anchored",
        ),
    ],
    ids=["edited", "deleted", "inserted", "reordered", "truncated", "record", "dropped", "gone"],
)  # fmt: skip
def test_tampering_is_found_and_named(company, statements, sentence):
    change(company, *statements)
    found = verified(company)
    assert not found.holds
    assert re.search(sentence, str(found.damages[0]))


def test_a_ledger_that_lost_its_end_is_not_added_to(company):
    more_revenue(company, 100)
    change(company, f"delete from {ROWS} where batch = 2", f"delete from {BATCHES} where batch = 2")
    with pytest.raises(WarehouseError, match="the end was cut off: batch 2 was anchored"):
        again(company)
    with pytest.raises(WarehouseError, match="batch 2 was anchored"):
        close(company.layer, "2026-09", ["net_revenue"], author="data@example.com")
    assert "the end was cut off" in str(verified(company).damages[0])


def test_an_exported_head_finds_a_ledger_and_a_lock_that_were_cut_together(company, capsys):
    place = ["--project-dir", str(company.root), "--database", str(company.database)]
    company.layer.close()
    head, lock = company.root / "safe.json", company.root / "kpi.lock"
    early = lock.read_text()
    more_revenue(company, 100)
    again(company)
    company.layer.close()
    assert main(["verify", "--export", str(head), *place]) == 0
    change(company, f"delete from {ROWS} where batch = 3", f"delete from {BATCHES} where batch = 3")
    lock.write_text(early)
    assert main(["verify", *place]) == 0
    assert main(["verify", "--lock", str(head), *place]) == 1
    assert "batch 3 was anchored, batch 2 is the last" in capsys.readouterr().err


# A record keeps the hash of each of its questions.
KEPT = {"question_hashes": ("0",)} if "question_hashes" in VersionRecord.__slots__ else {}


def new_version(company, restatement, window=None):
    """Version 2 of net revenue: the web's lines count without their tax."""
    path = company.root / "target" / "semantic_manifest.json"
    manifest = json.loads(path.read_text())
    for metric in manifest["metrics"]:
        if metric["name"] == "net_revenue":
            metric["type_params"]["expr"] = "order_net_amount - order_net_cost * 0.1"
            metric["type_params"]["metrics"].append(
                metric["type_params"]["metrics"][0] | {"name": "order_net_cost"}
            )
            metric["config"]["meta"]["kpi"]["version"] = 2
    path.write_text(json.dumps(manifest))
    question = Frozen(("month",), (), "select 1")
    record = VersionRecord(
        kpi="net_revenue", version=2, effective_from=date(2026, 9, 1), kind="policy",
        reason="Tax is excluded.", author="a@example.com", approver="b@example.com",
        restatement=restatement, window=window, hash="0",
        definition=Definition("net_revenue", (question,), {}), **KEPT,
    )  # fmt: skip
    version_file.write(company.root, record)
    company.layer.close()
    return opened(company.root)


def test_a_new_version_that_restates_nothing_leaves_a_break(company):
    change(
        company,
        f"delete from {ROWS} where batch = 1 and period >= timestamp '2026-09-01'",
    )
    company = new_version(company, "none")
    again(company)
    result = company.layer.query("net_revenue", MONTH, view="published", start="2026-06-01")
    assert result.versions == {"net_revenue": (1, 2)}
    (broken,) = result.breaks
    before = result.to_arrow().to_pylist()[2]["net_revenue"]
    assert (broken.before, broken.after, broken.kind) == (1, 2, "policy")
    assert broken.reason == "Tax is excluded."
    assert Decimal(broken.value_before) == before
    assert not result.like_for_like
    assert not result.comparable("net_revenue", date(2026, 8, 1), date(2026, 9, 1))
    assert result.comparable("net_revenue", date(2026, 7, 1), date(2026, 8, 1))
    now = company.layer.query("net_revenue", MONTH, start="2026-06-01")
    assert now.like_for_like
    assert [one.in_series for one in now.breaks] == [False]


def test_nothing_is_shown_across_a_break_in_silence(company, capsys):
    company = new_version(company, "none")
    again(company)
    said = "Net revenue changed its meaning from version 1 to 2 with September 2026"
    shown = board_text(make_board(company.layer, "month", KPIS))
    assert "Net revenue *" in shown
    assert f"* {said} (policy: Tax is excluded)" in shown
    assert "Average order value *" not in shown
    assert "change de définition" in board_text(make_board(company.layer, "month", KPIS), "fr")
    kpi = cadran.Kpi(company.layer, "net_revenue")
    now, then = (kpi.plot(view=view).picture for view in (None, "published"))
    assert [rule.text for rule in now.rules] == ["published: v2 policy"]
    assert [len(curve.parts) for curve in now.curves] == [1], "all of one version: one line"
    assert [rule.text for rule in then.rules] == ["v2 policy"]
    assert [len(curve.parts) for curve in then.curves] == [2], "cut in two"
    company.layer.close()
    place = ["--project-dir", str(company.root), "--database", str(company.database)]
    assert main(["show", "net_revenue", "--no-sql", *place]) == 0
    assert said in capsys.readouterr().out
    chart = company.root / "bridge.svg"
    assert main(["explain", "net_revenue", "2026-09", "--chart", str(chart), *place]) == 0
    assert "not like for like" in capsys.readouterr().err
    drawn = chart.read_text()
    assert "definition" in drawn
    assert "web" in drawn
    assert list(company.root.glob("*.part")) == []


def test_the_published_view_stays_before_the_restatement_whatever_comes_after(company):
    old = company.layer.query("net_revenue", MONTH, **SEPTEMBER).to_arrow().to_pylist()
    company = new_version(company, "full")
    again(company)
    more_revenue(company, 100)
    assert again(company).rows > 0
    shown = company.layer.query("net_revenue", MONTH, **SEPTEMBER, view="published")
    assert shown.to_arrow().to_pylist() == old
    told = cadran.Kpi(company.layer, "net_revenue").history("2026-09")
    assert [(row["version"], row["status"], row["reason"]) for row in told] == [
        (1, "provisional", None), (2, "restated", "Tax is excluded."), (2, "provisional", None),
    ]  # fmt: skip


def test_a_full_restatement_keeps_what_was_published(company):
    old = company.layer.query("net_revenue", MONTH).to_arrow()
    company = new_version(company, "full")
    again(company)
    kept = company.layer.query("net_revenue", MONTH, view="published").to_arrow()
    assert kept.to_pylist() == old.to_pylist()
    restated = company.layer.query("net_revenue", MONTH, known_at="2099-01-01")
    assert restated.versions == {"net_revenue": (2,)}
    assert restated.to_arrow().to_pylist() != old.to_pylist()
    assert restated.like_for_like


def test_a_version_restates_final_values_only_in_its_window(company):
    close(company.layer, "2026-06", ["net_revenue"], author="data@example.com")
    close(company.layer, "2026-07", ["net_revenue"], author="data@example.com")
    company = new_version(company, "window", (date(2026, 7, 1), date(2026, 7, 31)))
    again(company)
    rows = company.layer.warehouse.arrow(
        """select period, status, version from governance.kpi_ledger where kpi = 'net_revenue'
        and dimensions = '{}' and period >= timestamp '2026-06-01'
        qualify row_number() over (partition by period order by batch desc) = 1 order by period"""
    ).to_pylist()
    told = [(row["period"].month, row["status"], row["version"]) for row in rows]
    assert told == [
        (6, "final", 1), (7, "restated", 2), (8, "provisional", 1), (9, "provisional", 2),
        (10, "provisional", 2),
    ]  # fmt: skip


def test_the_bridge_adds_up_exactly(company):
    more_revenue(company, 60)
    again(company)
    company = new_version(company, "full")
    again(company)
    more_revenue(company, 40)  # after the change; it stands with the revisions of data
    again(company)
    found = bridge(company.layer, "net_revenue", "2026-09", by="order_id__channel")
    steps = {(step.step, step.member): step.amount for step in found.steps}
    between = sum(amount for (kind, _), amount in steps.items() if kind not in ("published", "now"))
    assert steps[("published", None)] + between == steps[("now", None)]
    assert steps[("data", None)] == 100
    members = {member for kind, member in steps if kind == "definition"}
    assert {"web", "mobile_app", "marketplace"} <= members
    assert ("unallocated", None) not in steps


def cadran_command(company, *words):
    return subprocess.run(
        [sys.executable, "-m", "cadran", *words, "--project-dir", company.root,
         "--database", company.database],
        env=os.environ | {"CADRAN_AUTHOR": "data@example.com"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_line_publishes_closes_verifies_and_explains(company):
    company.layer.close()
    assert "values are final" in cadran_command(company, "close", "2026-09", "net_revenue").stdout
    more_revenue(company, 5000)
    waits = cadran_command(company, "publish", "net_revenue")
    assert (waits.returncode, "ask head.of.sales@example.com" in waits.stderr) == (1, True)
    agreed = ("--kind", "error", "--reason", "A day.", "--approver", "head.of.sales@example.com")
    done = cadran_command(company, "publish", "net_revenue", "--restate", "2026-09", *agreed)
    assert (done.returncode, "6 of them restated" in done.stdout) == (0, True)
    told = cadran_command(company, "explain", "net_revenue", "2026-09", "--format", "json")
    steps = {step["step"]: step["amount"] for step in json.loads(told.stdout)["steps"]}
    assert steps["data"] == 5000
    assert "hold; anchored" in cadran_command(company, "verify").stdout
    change(company, f"delete from {ROWS} where batch = 1 and row = 3")
    damaged = cadran_command(company, "verify")
    assert (damaged.returncode, "batch 1, row 3" in damaged.stderr) == (1, True)


def test_a_second_writer_waits_and_then_says_who_holds_the_warehouse(company):
    company.layer.close()
    script = (
        "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('held', flush=True);"
        " time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, company.database], stdout=subprocess.PIPE
    )
    try:
        holder.stdout.readline()
        with pytest.raises(WarehouseError, match="held by another process"):
            again(company, wait=0.3)
    finally:
        holder.kill()
        holder.wait()
    assert again(company, wait=5).rows == 0


def publisher(root):
    script = (
        "import cadran, sys; from cadran.governance.publish import publish;"
        " layer = cadran.open(sys.argv[1], database=sys.argv[1] + '/warehouse.duckdb');"
        " publish(layer, ['net_revenue', 'average_order_value'], author='a@example.com')"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, root], env=os.environ, stderr=subprocess.PIPE, text=True
    )


def test_two_publishers_at_once_publish_everything_once(company):
    more_revenue(company, 100)
    both = [publisher(company.root), publisher(company.root)]
    assert [one.wait(60) for one in both] == [0, 0], [one.stderr.read() for one in both]
    assert len(revisions(company.layer, "net_revenue", "2026-09")) == 2
    assert verified(company).holds


def test_a_publication_killed_at_any_moment_leaves_a_ledger_that_holds(company):
    begun = time.monotonic()
    assert publisher(company.root).wait(60) == 0
    whole = time.monotonic() - begun
    moments = random.Random(20)  # noqa: S311 - moments, no secrets
    for turn in range(20):
        more_revenue(company, 100 + turn)
        killed = publisher(company.root)
        time.sleep(moments.uniform(0.3, 1) * whole)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        found = verified(company)
        assert found.holds, found.damages
        company.layer.close()
    publish(company.layer, KPIS, author="a@example.com")
    now = company.layer.query(KPIS, MONTH, end="2026-10-31").to_arrow()
    assert company.layer.query(KPIS, MONTH, known_at="2099-01-01").to_arrow() == now
    assert verified(company).holds
