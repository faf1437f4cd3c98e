"""What somebody with the warehouse, the lock or git could try: each is found, and named."""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest

from cadran.cli.app import main

ROWS = "governance.kpi_ledger_rows"
BATCHES = "governance.kpi_ledger_batches"
WAITING = "governance.kpi_ledger_waiting"
SETTINGS = "grains: [month, quarter, year]\ndimensions: none\n"
KPIS = ("net_revenue", "average_order_value")
OWNER = "head.of.sales@example.com"
EDIT = f"update {ROWS} set value = '1' where batch = 1 and row = 7"


@pytest.fixture(scope="module")
def published(demo, layer, tmp_path_factory):
    """A project of which two KPIs were published once, to be copied."""
    layer.close()
    root = tmp_path_factory.mktemp("attacked")
    (root / "dbt_project.yml").write_text("name: sample\nprofile: sample\n")
    (root / "cadran_ledger.yml").write_text(SETTINGS)
    (root / "target").mkdir()
    for name in ("semantic_manifest.json", "manifest.json"):
        shutil.copy(demo.target / name, root / "target" / name)
    shutil.copy(demo.database, root / "warehouse.duckdb")
    assert main(["publish", *KPIS, *place(root)]) == 0
    return root


@pytest.fixture
def company(published, tmp_path, capsys, monkeypatch):
    """A project of its own for each test, published once."""
    root = tmp_path / "project"
    shutil.copytree(published, root)
    monkeypatch.setenv("CADRAN_AUTHOR", "data@example.com")

    def run(*words):
        capsys.readouterr()
        code = main([*words, *place(root)])
        gc.collect()  # the command's hold on the file ends with its process
        said = capsys.readouterr()
        return SimpleNamespace(code=code, out=said.out, err=said.err)

    return SimpleNamespace(
        root=root, run=run, lock=root / "kpi.lock", database=root / "warehouse.duckdb"
    )


def place(root):
    return ["--project-dir", str(root), "--database", str(root / "warehouse.duckdb")]


def change(company, *statements):
    with duckdb.connect(company.database) as connection:
        for statement in statements:
            connection.execute(statement)


def rows(company, statement):
    with duckdb.connect(company.database, read_only=True) as connection:
        return connection.sql(statement).fetchall()


def more_revenue(company, amount, day="2026-09-15"):
    change(
        company,
        f"""update marts.fct_order_lines set amount = amount + {amount} where order_line_id = (
            select min(order_line_id) from marts.fct_order_lines
            where booked_date = date '{day}')""",
    )


def publish_more(company, amount=100, **options):
    more_revenue(company, amount, **options)
    done = company.run("publish", "net_revenue")
    assert done.code == 0, done.err


def batches(company):
    return rows(company, f"select max(batch) from {BATCHES}")[0][0]


# The file that is judged is not trusted.


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        (["create macro main.sha256(x) as x", EDIT], "the macro main.sha256 stands in the way"),
        (["create macro main.sha256(x) as x", EDIT], "batch 1, row 7 .*: the row was edited"),
        (
            ["create macro main.string_agg(x, y) as 'all is well'", EDIT],
            "the macro main.string_agg stands in the way",
        ),
        (
            ["create macro governance.anything(x) as x"],
            "the macro governance.anything stands in the way",
        ),
        (
            [
                "create table shadow (x integer)",
                f"""create trigger follow after insert on {ROWS} for each statement
                insert into shadow values (1)""",
            ],
            "the trigger governance.follow stands in the way",
        ),
        (
            [
                "drop view governance.kpi_ledger",
                f"alter table {ROWS} rename to elsewhere",
                f"create view {ROWS} as select * from governance.elsewhere",
            ],
            "governance.kpi_ledger_rows is a view, no table",
        ),
        (
            [
                "drop view governance.kpi_ledger",
                f"create table governance.other as from {BATCHES}",
                f"drop table {BATCHES}",
                f"create table {BATCHES} as from governance.other",
            ],
            "governance.kpi_ledger_batches is a table that the ledger did not make",
        ),
        (
            [
                f"""create or replace view governance.kpi_ledger as select entry.* replace
                ('9' as value) from {ROWS} as entry inner join {BATCHES} using (batch)"""
            ],
            "governance.kpi_ledger is a view that the ledger did not make",
        ),
        ([f"drop table {WAITING}"], "governance.kpi_ledger_waiting is missing"),
    ],
    ids=[
        "macro", "macro over an edit", "aggregate", "schema", "trigger", "view", "copy", "shown",
        "waiting",
    ],
)  # fmt: skip
def test_nothing_that_the_file_brings_is_run_or_believed(company, statements, sentence):
    change(company, *statements)
    seen = company.run("verify")
    assert seen.code == 1
    assert re.search(sentence, seen.err)


@pytest.mark.parametrize(
    "macro",
    [
        "sha256(x) as x",
        "duckdb_tables() as table select 1",
        "duckdb_functions() as table select 1",
    ],
)
def test_nothing_is_published_into_a_ledger_that_somebody_changed(company, macro):
    change(company, f"create macro main.{macro}")
    more_revenue(company, 100)
    refused = company.run("publish", "net_revenue")
    assert refused.code == 2
    name = macro.split("(")[0]
    assert f"into a ledger that somebody changed: the macro main.{name}" in refused.err
    assert company.run("close", "2026-09").code == 2
    assert batches(company) == 2


def test_marks_that_were_edited_are_found(company):
    marks = "list_prepend(1::ubigint, row_marks[2:])"
    change(company, f"update {BATCHES} set row_marks = {marks} where batch = 1")
    seen = company.run("verify")
    assert (seen.code, "batch 1, row 1" in seen.err) == (1, True)


# A hash tells NULL and separators from every text; ledgers of the older scheme still verify.


def test_null_and_a_text_never_hash_alike(company):
    change(company, f"update {ROWS} set numerator = chr(30) where batch = 1 and row = 3")
    assert "batch 1, row 3" in company.run("verify").err
    change(company, f"update {ROWS} set numerator = 'null' where batch = 1 and row = 3")
    assert "batch 1, row 3" in company.run("verify").err


def older(company):
    """Seal the ledger as it was sealed before: the scheme of its hashes stands nowhere."""
    texts = ", ".join(
        f"coalesce(cast({name} as varchar), chr(30))"
        if name in {"value", "numerator", "denominator", "observations"} else name
        for name in ("batch", "row", "kpi", "grain", "period", "dimension_set", "dimensions",
                     "value", "numerator", "denominator", "observations", "status", "version",
                     "definition_hash")
    )  # fmt: skip
    change(
        company,
        f"""create or replace temp table made as
        select batch, sha256(string_agg(row_hash, '' order by row)) as rows_hash,
            list(cast('0x' || row_hash[1:16] as ubigint) order by row) as row_marks
        from (select *, sha256(concat_ws(chr(31), {texts})) as row_hash from {ROWS})
        group by batch;
        update {BATCHES} as batch set rows_hash = made.rows_hash, row_marks = made.row_marks
        from made where made.batch = batch.batch""",
    )
    return reseal(company, from_batch=1, drop_scheme=True)


def reseal(company, from_batch, *, drop_scheme=False):
    """Write the chain anew from a batch on, as somebody would who knows how it is made."""
    import hashlib

    header = (
        "batch", "kind", "kpi", "published_at", "computed_at", "data_as_of", "value_type",
        "version", "definition_hash", "git_revision", "author", "details", "row_count",
        "rows_hash", "previous_hash",
    )  # fmt: skip
    hashes = {0: "0" * 64}
    with duckdb.connect(company.database) as connection:
        found = connection.sql(f"select * from {BATCHES} order by batch").to_arrow_table()
        for batch in found.to_pylist():
            number = batch["batch"]
            if number >= from_batch:
                batch["previous_hash"] = hashes[number - 1]
                if drop_scheme:
                    details = json.loads(batch["details"])
                    details.pop("scheme")
                    batch["details"] = json.dumps(details, sort_keys=True, ensure_ascii=False)
                text = json.dumps(
                    {name: batch[name] for name in header},
                    sort_keys=True, separators=(",", ":"), default=str,
                )  # fmt: skip
                batch["hash"] = hashlib.sha256(text.encode()).hexdigest()
                connection.execute(
                    f"update {BATCHES} set previous_hash = ?, details = ?, hash = ?"
                    " where batch = ?",
                    [batch["previous_hash"], batch["details"], batch["hash"], number],
                )
            hashes[number] = batch["hash"]
    return hashes


def write_lock(company, hashes, **more):
    last = max(hashes)
    lock = {"ledger": {"batch": last, "head": hashes[last], **more}}
    company.lock.write_text(json.dumps(lock, indent=2) + "\n")


def test_a_ledger_of_the_older_scheme_holds_and_goes_on(company):
    write_lock(company, older(company))
    assert company.run("verify").code == 0
    publish_more(company)
    assert company.run("verify").code == 0
    change(company, f"update {ROWS} set numerator = chr(30) where batch = 1 and row = 3")
    seen = company.run("verify")
    assert (seen.code, "row 3" in seen.err) == (1, True)


# What is not whole is not published.


def pending(company, name, state):
    change(
        company,
        "delete from governance.build_pending",
        f"insert into governance.build_pending values ('{name}', '{state}', now()::timestamp)",
    )


@pytest.mark.parametrize("state", ["building", "failed"])
def test_a_kpi_whose_model_was_not_built_well_is_refused_and_the_others_are_published(
    company, state
):
    more_revenue(company, 100)
    pending(company, "model.cadran.fct_order_lines", state)
    assert company.run("publish", "order_count").code == 0
    done = company.run("publish", "net_revenue")
    assert (done.code, batches(company)) == (1, 3)
    assert "net_revenue rests on a build that did not end well" in done.err
    done = company.run("close", "2026-10")
    assert (done.code, "order_count: 1 values" in done.out) == (1, True)
    assert "net_revenue rests on a build that did not end well" in done.err
    assert "fct_order_lines" in done.err


def test_a_failed_test_of_a_model_counts_as_its_failure(company, demo):
    manifest = json.loads((demo.target / "manifest.json").read_text())
    test = next(
        name for name, node in manifest["nodes"].items()
        if name.startswith("test.")
        and "model.cadran.fct_order_lines" in node["depends_on"]["nodes"]
    )  # fmt: skip
    pending(company, test, "failed")
    assert company.run("publish", "net_revenue").code == 1


def test_a_project_that_only_marks_whole_builds_is_refused_as_a_whole(company):
    change(
        company,
        "drop table governance.build_pending",
        "update governance.build_marks set state = 'building'",
    )
    done = company.run("publish", *KPIS)
    assert done.code == 1
    assert all(f"{name} rests on a build" in done.err for name in KPIS)


def dbt(company, demo, root, *words):
    """A build of the project into the company's warehouse, as it runs."""
    environment = os.environ | {"CADRAN_DATABASE": str(company.database), "DO_NOT_TRACK": "1"}
    return subprocess.Popen(
        [
            Path(sys.executable).with_name("dbt"), "--no-use-colors", *words, "--project-dir", root,
            "--profiles-dir", root, "--target-path", company.root / "dbt", "--threads", "1",
            "--vars", json.dumps({"cadran_sources": str(demo.data)}),
        ],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def unfinished(company):
    return dict(rows(company, "select unique_id, state from governance.build_pending"))


def test_what_a_build_did_not_end_well_stands_until_a_later_one_ends_it_well(
    company, demo, project_root
):
    assert unfinished(company) == {}
    selected = ("--select", "fct_order_lines", "fct_orders")
    killed = dbt(company, demo, project_root, "run", *selected)
    for line in killed.stdout:
        if " START sql" in line:
            killed.kill()
            break
    killed.wait()
    both = {f"model.cadran.{name}": "building" for name in ("fct_order_lines", "fct_orders")}
    assert unfinished(company) == both
    done = company.run("publish", "net_revenue")
    assert (done.code, "(killed while building: fct_order_lines" in done.err) == (1, True)

    again = dbt(company, demo, project_root, "run", "--select", "fct_order_lines")
    again.communicate()
    assert again.returncode == 0
    assert unfinished(company) == {"model.cadran.fct_orders": "building"}
    change(company, "drop view staging.int_order_lines_checked")
    failing = dbt(company, demo, project_root, "run", "--select", "fct_order_lines")
    failing.communicate()
    assert failing.returncode == 1
    assert unfinished(company)["model.cadran.fct_order_lines"] == "failed"


def test_orders_that_end_while_other_feeds_go_on_are_not_closed(company):
    change(company, "delete from marts.fct_order_lines where booked_date > date '2026-10-15'")
    done = company.run("publish", "net_revenue")
    assert done.code == 1
    assert "net_revenue is not whole: its data reach 2026-10-15" in done.err
    assert batches(company) == 2
    done = company.run("close", "2026-10", "net_revenue")
    assert done.code == 1
    assert "net_revenue is not whole: its data reach 2026-10-15" in done.err
    assert "2026-11-01 is wanted" in done.err
    assert company.run("close", "2026-09", "net_revenue").code == 0


def test_who_says_why_publishes_and_closes_all_the_same_and_it_is_recorded(company):
    change(company, "delete from marts.fct_order_lines where booked_date > date '2026-10-15'")
    said = ("--incomplete", "The shop closed for good.")
    assert company.run("publish", "net_revenue", *said).code == 0
    assert company.run("close", "2026-10", "net_revenue", *said).code == 0
    told = rows(company, f"select details->>'incomplete' from {BATCHES} where batch > 2")
    assert {text for (text,) in told} == {"The shop closed for good."}
    assert company.run("verify").code == 0


def test_one_missing_day_of_a_feed_that_has_rows_every_day_is_enough(company):
    change(company, "delete from marts.fct_order_lines where booked_date > date '2026-10-30'")
    assert company.run("close", "2026-10", "net_revenue").code == 1


def test_a_feed_that_is_often_silent_may_be_silent_at_the_end(company):
    assert company.run("publish", "incident_count").code == 0
    assert company.run("close", "2026-10", "incident_count").code == 0


def test_what_was_published_of_less_data_is_not_closed_before_it_is_published_again(company):
    held = "select * from marts.fct_order_lines where booked_date > date '2026-10-15'"
    change(
        company,
        f"create table held as {held}",
        "delete from marts.fct_order_lines where booked_date > date '2026-10-15'",
    )
    assert company.run("publish", "net_revenue", "--incomplete", "As it came in.").code == 0
    change(company, "insert into marts.fct_order_lines from held")
    done = company.run("close", "2026-10", "net_revenue")
    assert done.code == 1
    assert "net_revenue was published when its data reached 2026-10-15" in done.err
    assert company.run("publish", "net_revenue").code == 0
    assert company.run("close", "2026-10", "net_revenue").code == 0


def test_a_stamp_in_the_future_is_said_and_hides_nothing(company):
    change(
        company,
        "delete from marts.fct_order_lines where booked_date > date '2026-10-15'",
        """insert into marts.fct_order_lines
        select * replace ('future' as order_line_id, date '2031-05-01' as booked_date)
        from marts.fct_order_lines limit 1""",
    )
    done = company.run("publish", "net_revenue", "--incomplete", "As it came in.")
    assert done.code == 0
    assert "a stamp in the future (2031-05-01)" in done.err
    assert rows(company, f"select count(*) from {ROWS} where period > '2027-01-01'") == [(0,)]
    refused = company.run("close", "2026-10", "net_revenue")
    assert (refused.code, "its data reach 2026-10-15" in refused.err) == (1, True)


def above(company):
    """The last published values of the quarter and the year that hold August."""
    return rows(
        company,
        f"""select grain, arg_max(value, batch) from {ROWS}
        where kpi = 'net_revenue' and (grain, period) in (
            ('quarter', timestamp '2026-07-01'), ('year', timestamp '2026-01-01'))
        group by grain order by grain""",
    )


def test_the_periods_above_one_that_waits_wait_as_well(company):
    assert company.run("close", "2026-08", "net_revenue").code == 0
    before = above(company)
    more_revenue(company, 5000, day="2026-08-10")
    done = company.run("publish", "net_revenue")
    assert done.code == 1
    assert "quarter 2026-07-01 {} holds a period that is final" in done.err
    assert above(company) == before
    agreed = ("--kind", "error", "--reason", "A day.", "--approver", OWNER)
    done = company.run("publish", "net_revenue", "--restate", "2026-08", *agreed)
    assert done.code == 0, done.err
    changes = [
        Decimal(new) - Decimal(old)
        for (_, new), (_, old) in zip(above(company), before, strict=True)
    ]
    assert changes == [5000, 5000]
    assert company.run("verify").code == 0


# Waiting approvals stand under the chain.


def test_what_waits_for_approval_cannot_be_taken_away_or_changed(company):
    assert company.run("close", "2026-09", "net_revenue").code == 0
    more_revenue(company, 5000)
    assert company.run("publish", "net_revenue").code == 1
    assert company.run("verify").code == 0
    number = batches(company)
    assert company.run("publish", "net_revenue").code == 1
    assert batches(company) == number  # nothing new waits
    sealed = f"batch {number}: what waits for approval of net_revenue was changed"
    change(company, f"update {WAITING} set computed = '1' where grain = 'month'")
    assert sealed in company.run("verify").err
    change(company, f"delete from {WAITING}")
    assert sealed in company.run("verify").err
    change(company, f"insert into {WAITING} (kpi, grain) values ('average_order_value', 'day')")
    assert "approval of average_order_value was changed" in company.run("verify").err


# The batch that was changed is named.


def test_the_batch_that_was_replaced_is_named_and_not_the_one_after_it(company):
    publish_more(company)
    kept = rows(company, f"select previous_hash, hash from {BATCHES} where batch > 1")
    change(company, f"update {BATCHES} set author = 'nobody' where batch = 1")
    reseal(company, from_batch=1)
    for number, (previous, own) in enumerate(kept, start=2):
        change(
            company,
            f"update {BATCHES} set previous_hash = '{previous}', hash = '{own}'"
            f" where batch = {number}",
        )
    seen = company.run("verify")
    assert seen.code == 1
    assert "batch 1: it was replaced" in seen.err
    assert not re.search("batch [23]", seen.err)


def test_the_first_batch_that_was_changed_is_named_when_the_chain_was_written_anew(company):
    for amount in (100, 200, 300):
        publish_more(company, amount)
    change(company, f"update {BATCHES} set author = 'nobody' where batch = 3")
    reseal(company, from_batch=3)
    seen = company.run("verify")
    assert seen.code == 1
    assert "batch 3: it is another batch than the one that was anchored" in seen.err
    assert "batch 5" not in seen.err
    refused = company.run("publish", "net_revenue")
    assert (refused.code, "Batch 3: it is another batch" in refused.err) == (2, True)


# The lock.


def test_a_removed_lock_is_no_leave_to_begin_anew(company):
    company.lock.unlink()
    seen = company.run("verify")
    assert seen.code == 1
    assert "2 batches stand in the ledger, and kpi.lock has no head of it" in seen.err
    refused = company.run("publish", "net_revenue")
    assert (refused.code, "kpi.lock has no head of it" in refused.err) == (2, True)
    assert company.run("close", "2026-09").code == 2
    assert not company.lock.exists()


def test_a_lock_without_head_is_none(company):
    company.lock.write_text(json.dumps({"kpis": {}}))
    assert company.run("verify").code == 1
    assert company.run("publish", "net_revenue").code == 2


def test_a_lock_that_was_rolled_back_is_found(company):
    early = company.lock.read_text()
    publish_more(company)
    company.lock.write_text(early)
    seen = company.run("verify")
    assert seen.code == 1
    assert "batch 3: it is in the ledger, and kpi.lock ends with batch 2" in seen.err
    assert company.run("publish", "net_revenue").code == 2


def test_a_lock_with_conflict_markers_is_told_with_the_way_out(company):
    text = company.lock.read_text()
    company.lock.write_text(f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n")
    seen = company.run("verify")
    assert (seen.code, "merge conflict" in seen.err and "--merge-lock" in seen.err) == (2, True)


def test_a_publication_with_nothing_new_checks_the_anchor_too(company):
    publish_more(company)
    assert company.run("publish", "net_revenue").code == 0
    last = batches(company)
    change(
        company,
        f"delete from {ROWS} where batch = {last}", f"delete from {BATCHES} where batch = {last}",
    )  # fmt: skip
    more_revenue(company, -100)  # the mart says again what batch 1 said
    refused = company.run("publish", "net_revenue")
    assert (refused.code, "the end was cut off" in refused.err) == (2, True)


def git(company, *words):
    return subprocess.run(
        ["git", "-C", company.root, "-c", "user.name=T", "-c", "user.email=t@example.com", *words],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def commit(company, message):
    git(company, "add", "kpi.lock")
    git(company, "commit", "-q", "-m", message)


@pytest.fixture
def versioned(company):
    """A project whose lock is committed after each publication, with a main line."""
    git(company, "init", "-q", "-b", "main")
    commit(company, "One.")
    shutil.copy(company.database, company.root / "old.duckdb")
    publish_more(company)
    commit(company, "Two.")
    git(company, "update-ref", "refs/remotes/origin/main", "main")
    git(company, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    return company


def restore_old(versioned):
    shutil.copy(versioned.root / "old.duckdb", versioned.database)


def test_an_older_warehouse_with_its_older_lock_is_behind_the_main_line(versioned):
    assert versioned.run("verify").code == 0
    restore_old(versioned)
    git(versioned, "reset", "-q", "--hard", "HEAD~1")
    seen = versioned.run("verify")
    assert seen.code == 1
    assert "the end was cut off: batch 3 was anchored, batch 2 is the last" in seen.err
    refused = versioned.run("publish", "net_revenue")
    assert (refused.code, "batch 3 was anchored" in refused.err) == (2, True)
    assert versioned.run("close", "2026-09").code == 2


def test_a_lock_that_is_rolled_back_in_git_is_held_against_its_history(versioned):
    restore_old(versioned)
    git(versioned, "checkout", "-q", "HEAD~1", "--", "kpi.lock")
    commit(versioned, "Nothing to see.")
    seen = versioned.run("verify")
    assert (seen.code, "says kpi.lock of commit" in seen.err) == (1, True)


def test_two_ledgers_that_went_apart_are_told_from_each_other(versioned):
    ahead = versioned.lock.read_text()
    restore_old(versioned)
    git(versioned, "update-ref", "-d", "refs/remotes/origin/HEAD")
    git(versioned, "update-ref", "-d", "refs/remotes/origin/main")
    git(versioned, "reset", "-q", "--hard", "HEAD~1")
    publish_more(versioned, 7)  # another batch 3
    assert versioned.run("verify").code == 0
    versioned.lock.write_text(ahead)
    seen = versioned.run("verify")
    assert seen.code == 1
    assert "batch 3: it is another batch than the one that was anchored" in seen.err


def test_a_ledger_begins_anew_only_where_the_settings_give_up_the_old_one(versioned):
    first = json.loads(versioned.lock.read_text())["ledger"]["first"]
    change(versioned, "drop view governance.kpi_ledger",
           *(f"drop table {name}" for name in (ROWS, BATCHES, WAITING)))  # fmt: skip
    versioned.lock.unlink()
    assert versioned.run("publish", "net_revenue").code == 2
    settings = f'{SETTINGS}abandoned: {{"{first}": "Its disk was lost."}}\n'
    (versioned.root / "cadran_ledger.yml").write_text(settings)
    assert versioned.run("publish", "net_revenue").code == 0
    assert versioned.run("verify").code == 0


# Killed, and clocks.


def killed(company, where):
    """Publish in a process that dies at a point of the way from the batch to its anchor."""
    script = f"""
import os, sys
import cadran.core.ledger.writer as writer
real = writer.{where}
def dies(*words, **options):
    if {where!r} == "intend":
        real(*words, **options)
    os._exit(9)
writer.{where} = dies
from cadran.cli.app import main
main(["publish", "net_revenue", *sys.argv[1:]])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *place(company.root)], check=False, capture_output=True
    )
    assert done.returncode == 9, done.stderr


@pytest.mark.parametrize(("where", "last"), [("intend", 2), ("anchor", 3)])
def test_a_publication_killed_around_its_commit_is_understood(company, where, last):
    more_revenue(company, 100)
    killed(company, where)
    assert batches(company) == last
    assert company.run("verify").code == 0
    assert company.run("publish", "net_revenue").code == 0
    assert batches(company) == 3
    assert company.run("verify").code == 0
    assert "intent" not in company.lock.read_text()


def test_a_batch_that_somebody_else_appended_is_no_killed_publication(company):
    early = company.lock.read_text()
    publish_more(company)
    other = json.loads(early)
    other["ledger"]["intent"] = {"batch": 3, "head": "0" * 64}
    company.lock.write_text(json.dumps(other))
    assert company.run("verify").code == 1


def test_a_clock_that_went_back_neither_stops_nor_disorders_a_publication(company):
    change(
        company,
        f"update {BATCHES} set published_at = '2026-11-30', computed_at = '2031-01-01'"
        " where batch = 2",
    )
    future = dt.datetime.now(dt.UTC) + dt.timedelta(days=400)
    change(company, f"update {BATCHES} set published_at = '{future:%Y-%m-%d}' where batch = 2")
    write_lock(company, reseal(company, from_batch=1))
    publish_more(company)
    assert company.run("verify").code == 0
    times = rows(company, f"select published_at from {BATCHES} order by batch")
    assert times == sorted(times)


def test_a_batch_dated_before_the_one_before_it_is_found(company):
    publish_more(company)
    change(company, f"update {BATCHES} set published_at = '2020-01-01' where batch = 2")
    write_lock(company, reseal(company, from_batch=1))
    assert "batch 2: it is dated before the batch before it" in company.run("verify").err


# Witnesses.


def witnessed(company, block):
    (company.root / "cadran_ledger.yml").write_text(f"{SETTINGS}witnesses:\n  - {block}\n")


def cut_together(company):
    """Take ledger and lock back to batch 2, as one can who has both."""
    change(company, *(f"delete from {name} where batch > 2" for name in (ROWS, BATCHES)))
    hashes = dict(rows(company, f"select batch, hash from {BATCHES}"))
    write_lock(company, hashes)


@pytest.fixture(params=["file", "tag", "timestamp"])
def with_witness(request, company):
    block = request.getfixturevalue(f"{request.param}_witness")
    witnessed(company, block)
    behind = company.run("verify")
    assert (behind.code, "knows batch 0 of 2" in behind.err) == (1, True)
    assert company.run("publish", "net_revenue").code == 0
    publish_more(company)
    seen = company.run("verify")
    assert seen.code == 0, seen.err
    return company


@pytest.fixture
def file_witness(company):
    return f"file: {company.root.parent / 'heads.jsonl'}"


@pytest.fixture
def tag_witness(company):
    """Tags signed by SSH keys, pushed to a remote."""
    home, remote = company.root.parent / "keys", company.root.parent / "remote.git"
    home.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / "key"], check=True)
    public = (home / "key.pub").read_text()
    (home / "allowed").write_text(f"t@example.com {public}")
    subprocess.run(["git", "init", "-q", "--bare", remote], check=True)
    git(company, "init", "-q", "-b", "main")
    for key, value in {
        "user.name": "T", "user.email": "t@example.com", "gpg.format": "ssh",
        "user.signingkey": home / "key.pub", "gpg.ssh.allowedSignersFile": home / "allowed",
    }.items():  # fmt: skip
        git(company, "config", key, str(value))
    git(company, "remote", "add", "elsewhere", str(remote))
    commit(company, "One.")
    return "{tag: ledger, remote: elsewhere}"


@pytest.fixture
def timestamp_witness(authority):
    """A timestamp authority on this machine."""
    return f'{{timestamp: "{authority.url}", roots: {authority.roots}}}'


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """OpenSSL's timestamp authority behind a small server."""
    home = tmp_path_factory.mktemp("tsa")
    config = home / "tsa.cnf"
    config.write_text(f"""
[req]
distinguished_name = name
prompt = no
[name]
CN = Test Authority
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[stamp]
basicConstraints = CA:false
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = here
[here]
serial = {home}/serial
crypto_device = builtin
signer_cert = {home}/tsa.pem
signer_key = {home}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
""")
    (home / "serial").write_text("01\n")

    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=home)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out",
            "root.pem", "-days", "30", "-config", config, "-extensions", "root",
            "-subj", "/CN=Root")  # fmt: skip
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr",
            "-config", config)  # fmt: skip
    openssl("x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key",
            "-CAcreateserial", "-out", "tsa.pem", "-days", "30", "-extfile", config,
            "-extensions", "stamp")  # fmt: skip

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            (home / "query").write_bytes(asked)
            openssl("ts", "-reply", "-config", config, "-queryfile", "query", "-out", "answer")
            answer = (home / "answer").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(
        url=f"http://127.0.0.1:{server.server_port}/", roots=home / "root.pem", stop=server.shutdown
    )
    server.shutdown()
    server.server_close()


def test_who_has_warehouse_and_lock_is_told_by_the_witness(with_witness):
    cut_together(with_witness)
    seen = with_witness.run("verify")
    assert seen.code == 1
    assert "the end was cut off: batch 3 was anchored, batch 2 is the last" in seen.err
    refused = with_witness.run("publish", "net_revenue")
    assert (refused.code, "batch 3 was anchored" in refused.err) == (2, True)


def test_who_writes_ledger_and_lock_anew_is_told_by_the_witness(with_witness):
    change(with_witness, f"update {BATCHES} set author = 'nobody' where batch = 3")
    write_lock(with_witness, reseal(with_witness, from_batch=3))
    seen = with_witness.run("verify")
    assert seen.code == 1
    assert "batch 3: it is another batch than the one that was anchored" in seen.err


def test_a_witness_whose_file_was_taken_away_is_missed(company, file_witness):
    witnessed(company, file_witness)
    assert company.run("publish", "net_revenue").code == 0
    (company.root.parent / "heads.jsonl").unlink()
    seen = company.run("verify")
    assert (seen.code, "knows batch 0 of 2" in seen.err) == (1, True)


def test_a_line_cut_short_in_the_witness_file_is_no_loss(company, file_witness):
    witnessed(company, file_witness)
    assert company.run("publish", "net_revenue").code == 0
    heads = company.root.parent / "heads.jsonl"
    heads.write_text(heads.read_text()[:-20])
    publish_more(company)
    assert company.run("verify").code == 0
    heads.write_text("nonsense\n" + heads.read_text())
    assert "line 1, is no head" in company.run("verify").err


def test_a_tag_that_nobody_signed_is_no_witness(company, tag_witness):
    witnessed(company, tag_witness)
    assert company.run("publish", "net_revenue").code == 0
    name = git(company, "tag", "--list", "ledger/*")
    subject = git(company, "tag", "--list", "--format=%(contents:subject)", name)
    git(company, "tag", "--force", "--annotate", "--message", subject, name)
    git(company, "push", "-q", "--force", "elsewhere", f"refs/tags/{name}")
    seen = company.run("verify")
    assert (seen.code, "`git verify-tag` refuses" in seen.err) == (1, True)


def test_a_tag_that_was_taken_away_here_comes_back_from_the_remote(company, tag_witness):
    witnessed(company, tag_witness)
    assert company.run("publish", "net_revenue").code == 0
    publish_more(company)
    for name in git(company, "tag", "--list", "ledger/*").split():
        git(company, "tag", "--delete", name)
    cut_together(company)
    assert "batch 3 was anchored" in company.run("verify").err


def test_a_receipt_that_was_edited_proves_nothing(company, timestamp_witness):
    witnessed(company, timestamp_witness)
    assert company.run("publish", "net_revenue").code == 0
    (receipt,) = (company.root / "receipts").glob("*.json")
    entry = json.loads(receipt.read_text())
    receipt.write_text(json.dumps(entry | {"head": "0" * 64}))
    seen = company.run("verify")
    assert (seen.code, "gives no valid timestamp" in seen.err) == (1, True)


def test_an_authority_that_does_not_answer_is_said_and_asked_again(company, authority):
    witnessed(company, f'{{timestamp: "http://127.0.0.1:9/", roots: {authority.roots}}}')
    more_revenue(company, 100)
    done = company.run("publish", "net_revenue")
    assert done.code == 2
    assert "Batch 3 is published and anchored, but witness http://127.0.0.1:9/" in done.err
    assert batches(company) == 3
    witnessed(company, f'{{timestamp: "{authority.url}", roots: {authority.roots}}}')
    assert company.run("publish", "net_revenue").code == 0
    assert company.run("verify").code == 0


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ("{fil: x}", "'witnesses[1].fil': is unknown; did you mean 'file'"),
        ("{file: x, tag: y}", "'witnesses[1]' has the keys file, tag; a witness has file, or tag"),
        ("{file: 7}", "'witnesses[1].file': is 7; it takes a text"),
        ('{timestamp: "ftp://x", roots: y}', "it takes an address"),
        ("{file: /no/such/folder/heads}", "does not take a head"),
    ],
)
def test_a_witness_that_is_set_up_wrongly_is_named(company, block, sentence):
    witnessed(company, block)
    done = company.run("publish", "net_revenue")
    assert (done.code, sentence in done.err) == (2, True)
