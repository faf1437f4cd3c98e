"""A definition changes with a record, records never change, old versions stay answerable."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import duckdb
import forked
import pytest
import yaml

import cadran
from cadran.cli import main
from cadran.core.project import dbt as compiled
from cadran.core.project import lock
from cadran.core.project import lock as anchor
from cadran.core.versions import canonical
from cadran.core.versions import record as versions
from cadran.core.versions.compare import compare, hash_of
from cadran.core.versions.meaning import SemanticFingerprints
from cadran.core.versions.steps import StepStore
from cadran.errors import CardError, NotGovernedError, QueryError, UnknownNameError, WarehouseError
from cadran.governance.approval import Decision
from cadran.governance.bump import bump, first, renew
from cadran.governance.check import check
from cadran.governance.publish import publish
from cadran.governance.rules import registered

PROJECT = Path(__file__).parent / "fixtures" / "meanings"
OWNER = "head.of.sales@example.com"
CODES = sorted(code for code in registered() if code.startswith("VER"))
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
    """A project of its own with data, which can be edited, checked and bumped."""

    def __init__(self, folder: Path) -> None:
        self.root, self.database = folder / "project", folder / "meanings.duckdb"

    def copy(self, folder: Path, *, whole: bool = True) -> Shop:
        """The shop elsewhere; without what dbt made of it, unless whole."""
        there = Shop(folder)
        left_out = None if whole else shutil.ignore_patterns("target")
        shutil.copytree(self.root, there.root, ignore=left_out)
        shutil.copy(self.database, there.database)
        os.environ["MEANINGS_DATABASE"] = str(there.database)
        return there

    @property
    def _place(self) -> list[str]:
        os.environ["MEANINGS_DATABASE"] = str(self.database)
        target = str(self.root / "target")
        return [
            "--project-dir", str(self.root), "--profiles-dir", str(self.root),
            "--target-path", target, "--log-path", target,
        ]  # fmt: skip

    def build(self) -> None:
        # A process of its own, so that the file is closed and whole when it is copied.
        forked.run(["dbt", "--quiet", "build", *self._place], check=True, timeout=300)

    def parse(self) -> None:
        from dbt.cli.main import dbtRunner

        done = dbtRunner().invoke(["--quiet", "parse", *self._place])
        assert done.success, done.exception or done.result

    def open(self):
        return cadran.open(self.root, database=self.database)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert old in text, old
        path.write_text(text.replace(old, new))

    def seal(self, kpi: str) -> None:
        """Seal a record that was edited, as somebody who wants it to pass would."""
        locked = lock.read(self.root)
        seals = {r.version: versions.seal(self.root / r.file) for r in self.records(kpi)}
        last = self.records(kpi)[-1]
        locked[kpi] = lock.Locked(last.version, last.hash, seals)
        lock.write(self.root, locked)

    def records(self, kpi: str):
        return versions.records(self.root, kpi)

    def reported(self, *codes: str, with_values: bool = False):
        layer = self.open()
        try:
            return check(layer, only=codes or CODES, with_values=with_values).findings
        finally:
            layer.close()

    def findings(self, *codes: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for finding in self.reported(*codes):
            found.setdefault(finding.code, set()).add(finding.kpi)
        return found


def decision(**given):
    return Decision(**{
        "kind": "policy", "reason": "Small orders do not count any more.",
        "author": "data@example.com", "approver": OWNER, "effective_from": dt.date(2026, 2, 1),
        "expected_impact": (-0.05, 0.0),
    } | given)  # fmt: skip


@pytest.fixture(scope="module")
def first_shop(tmp_path_factory):
    """The shop as it stands before anything changes, each KPI with its first version."""
    was = os.environ.get("MEANINGS_DATABASE")
    shop = Shop(tmp_path_factory.mktemp("versions"))
    shutil.copytree(PROJECT, shop.root)
    with duckdb.connect(str(shop.database)) as connection:
        connection.execute(DATA)
    shop.build()
    layer = shop.open()
    first(layer, [card.name for card in layer.kpis()], "data@example.com")
    layer.close()
    yield shop
    os.environ.pop("MEANINGS_DATABASE") if was is None else os.environ.update(MEANINGS_DATABASE=was)


@pytest.fixture(scope="module")
def first_open(first_shop):
    """The layer of the shop as it stands."""
    layer = first_shop.open()
    yield layer
    layer.close()


@pytest.fixture(scope="module")
def changed_shop(first_shop, tmp_path_factory):
    """The shop after small orders were left out, and nobody said so."""
    shop = first_shop.copy(tmp_path_factory.mktemp("changed"))
    shop.edit("dbt_project.yml", "least_amount: 0", "least_amount: 10")
    shop.parse()
    layer = shop.open()
    layer.meanings.definition("revenue")  # compiled once for all copies
    layer.close()
    return shop


@pytest.fixture(scope="module")
def bumped(changed_shop, tmp_path_factory):
    """The changed shop after its revenue got a second version, and what the bump told."""
    shop = changed_shop.copy(tmp_path_factory.mktemp("bumped"))
    layer = shop.open()
    told = bump(layer, "revenue", decision())
    layer.close()
    shop.parse()
    return shop, told


@pytest.fixture
def shop(first_shop, tmp_path):
    """A copy of the first shop, to be changed at will."""
    return first_shop.copy(tmp_path)


@pytest.fixture
def second_shop(bumped, tmp_path):
    """A copy of the shop with a second version, to be changed at will."""
    return bumped[0].copy(tmp_path)


# Semantic fingerprints ---------------------------------------------------------------------------


def test_recorded_kpis_pass_the_gate_and_nothing_is_compiled_or_canonicalised(
    first_shop, monkeypatch
):
    def refuse(*_):
        raise AssertionError("work for nothing")

    monkeypatch.setattr(canonical, "_qualified", refuse)
    monkeypatch.setattr(compiled, "_compile", refuse)
    monkeypatch.setattr(SemanticFingerprints, "opened", refuse)
    assert first_shop.findings() == {}
    layer = first_shop.open()
    assert hash_of(layer.meanings, "revenue") == lock.read(first_shop.root)["revenue"].hash


def test_a_meaning_has_a_hash_at_each_grain_and_by_each_dimension(first_open):
    found = first_open.meanings.meanings("revenue")
    assert {(m.grain, m.dimensions) for m in found} == {
        (grain, dimensions)
        for grain in ("day", "month")
        for dimensions in ((), ("order_id__channel",), ("customer__country",))
    }
    assert len({m.hash for m in found}) == len(found)
    assert '"source"."raw"."orders"' in found[0].expanded_sql


def test_a_meaning_is_the_same_on_another_machine(first_shop, tmp_path, monkeypatch):
    there = first_shop.copy(tmp_path / "somewhere" / "else", whole=False)
    there.database = there.database.rename(tmp_path / "other_name.duckdb")
    monkeypatch.setenv("MEANINGS_DATABASE", str(there.database))
    there.parse()
    layer = there.open()
    locked = lock.read(first_shop.root)
    known = layer.meanings
    assert {kpi: known.hash(kpi) for kpi in known.kpis()} == {k: e.hash for k, e in locked.items()}
    assert all(known.is_untouched(first_shop.records(kpi)[0]) for kpi in known.kpis())
    for record in (first_shop.root / "versions").rglob("*.yml"):
        assert str(first_shop.root.parent) not in record.read_text()


def test_a_record_is_read_as_it_was_written(first_shop):
    record = first_shop.records("revenue")[0]
    assert (record.kind, record.approver, record.restatement) == ("first", OWNER, "none")
    assert set(record.sql) == {
        f"{grain}{dimension}"
        for grain in ("day", "month")
        for dimension in ("", " order_id__channel", " customer__country")
    }


def test_a_new_metricflow_that_writes_otherwise_is_no_new_definition(first_shop, first_open):
    record = first_shop.records("revenue")[0]
    renamed = tuple(
        replace(one, sql=f"select * from ({one.sql}) as another_shape where 1 = 1 limit 9999")
        for one in record.definition.questions
    )
    definition = replace(record.definition, questions=renamed)
    older = replace(
        record, fingerprint="", semantics_hash="", question_hashes=(), definition=definition
    )
    assert compare(first_open.meanings, older).changed
    tools = tuple(tool.replace("metricflow 0", "metricflow 9") for tool in older.tools)
    assert not compare(first_open.meanings, replace(older, tools=tools)).changed


# The gate ---------------------------------------------------------------------------------------


def test_a_changed_meaning_is_found_with_its_cause_and_only_where_it_changed(
    changed_shop, monkeypatch
):
    asked, opened = [], SemanticFingerprints.opened

    def noted(self, kpi):
        asked.append(kpi)
        return opened(self, kpi)

    monkeypatch.setattr(SemanticFingerprints, "opened", noted)
    findings = {finding.kpi: finding for finding in changed_shop.reported("VER01")}
    of_orders = {card["name"] for card in changed_shop.open().metrics() if card["is_kpi"]}
    assert set(findings) == of_orders - {"stock", "visits"}
    assert set(asked) == set(findings)  # what nothing was written anew of is not opened
    found = findings["revenue"]
    assert "caused by var least_amount (dbt_project.yml)" in found.message
    assert found.file == "dbt_project.yml"
    old, new = found.detail.splitlines()[0].split(", as recorded")[0], "cadran"
    assert "fct_orders" in old, new
    changed = next(line for line in found.detail.splitlines() if " | " in line)
    assert [side.strip() for side in changed.split(" | ")] == ["amount >= 0", "amount >= 10"]


def test_a_bump_writes_record_lock_and_card_and_tells_what_it_did(bumped):
    shop, told = bumped
    assert told.record.version == 2
    assert [(pair.old, pair.new) for pair in told.pairs] == [(150, 150), (184, 180)]
    assert "| revenue | v1 | v2 | 2026-02-01 | no | -2.2% to +0.0% by month |" in told.changelog
    assert lock.read(shop.root)["revenue"].version == 2
    assert shop.open().card("revenue").version == 2
    assert shop.findings(*(code for code in CODES if code not in {"VER01", "VER09"})) == {}
    assert shop.open().meanings.is_untouched(shop.records("revenue")[-1])


def test_nothing_is_bumped_that_did_not_change_or_is_decided_badly(first_open, changed_shop):
    with pytest.raises(QueryError, match="means what its version 1 means: there is no new one"):
        bump(first_open, "revenue", decision())
    layer = changed_shop.open()
    for wrong, message in (
        ({"approver": "data@example.com"}, "cannot approve a version of their own"),
        ({"approver": "kim@example.com"}, f"the owner is {OWNER}, with the delegates none"),
        ({"expected_impact": None}, "needs the impact that is expected"),
        ({"expected_impact": (-0.01, 0)}, r"by -2.17% to \+0.00%, where -1.00% to \+0.00% was"),
        ({"kind": "equivalent"}, "is not equivalent to its version 1: [0-9]+ of [0-9]+ values"),
        ({"kind": "whim"}, "no kind of change 'whim'"),
        ({"restatement": "window"}, "A window is given with"),
        ({"overlap": "a while"}, "'3 months'"),
    ):
        with pytest.raises(QueryError, match=message):
            bump(layer, "revenue", decision(**wrong))
    layer.close()
    assert [record.version for record in changed_shop.records("revenue")] == [1]


def test_a_bump_that_was_stopped_halfway_leaves_what_the_next_one_completes(
    changed_shop, tmp_path, monkeypatch
):
    shop = changed_shop.copy(tmp_path)
    layer = shop.open()
    monkeypatch.setattr(lock, "write", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        bump(layer, "revenue", decision())
    assert [record.version for record in shop.records("revenue")] == [1]
    monkeypatch.undo()
    # Killed between the record and the lock, nothing could be undone.
    text = (shop.root / "versions/revenue/v1.yml").read_text()
    (shop.root / "versions/revenue/v2.yml").write_text(text.replace("version: 1\n", "version: 2\n"))
    assert bump(layer, "revenue", decision()).record.version == 2
    assert bump(layer, "revenue", decision(ticket="KPI-7"), again=True).record.version == 2
    layer.close()
    assert [record.ticket for record in shop.records("revenue")] == ["", "KPI-7"]
    assert shop.findings("VER02", "VER03", "VER05") == {}


def test_equivalent_is_accepted_only_with_proof(shop):
    # Orders of less than nothing never were, which no form of the SQL can show.
    shop.edit("dbt_project.yml", "least_amount: 0", "least_amount: 1")
    shop.edit("models/marts.yml", "[order_id__channel, customer__country]", "[order_id__channel]")
    shop.parse()
    layer = shop.open()
    record = bump(layer, "revenue", decision(kind="equivalent", expected_impact=None)).record
    layer.close()
    proof = record.proof
    assert (proof["grain"], proof["differences"], proof["rows"]) == ("day", 0, 8)
    assert [one["question"] for one in proof["compared"]] == ["day", "day order_id__channel"]
    assert all(one["old"] == one["new"] for one in proof["compared"])
    assert [proof["compared"][0][end] for end in ("first", "last")] == ["2026-01-10", "2026-02-07"]
    assert shop.findings("VER06", "VER09") == {}  # that a dimension goes is no matter
    for old, new in (("differences: 0\n", "differences: 3\n"), ("grain: day\n", "grain: month\n")):
        shop.edit("versions/revenue/v2.yml", old, new)
        shop.seal("revenue")
        assert shop.findings("VER03", "VER06") == {"VER06": {"revenue"}}


def test_a_dimension_that_comes_to_the_card_has_to_be_recorded(shop):
    path = shop.root / "versions/visits/v1.yml"
    record = yaml.safe_load(path.read_text())
    record["questions"] = [one for one in record["questions"] if not one["dimensions"]]
    path.write_text(yaml.safe_dump(record | {"mark": "other", "said": "other"}))
    shop.seal("visits")
    assert shop.findings("VER01", "VER09") == {"VER09": {"visits"}}
    layer = shop.open()
    bump(layer, "visits", decision(kind="equivalent", expected_impact=None))
    layer.close()
    assert shop.findings("VER06", "VER09") == {}


def test_a_version_without_a_change_and_numbers_that_disagree_are_found(shop):
    text = (shop.root / "versions/revenue/v1.yml").read_text()
    second = text.replace("version: 1\n", "version: 2\n", 1).replace("kind: first", "kind: policy")
    (shop.root / "versions/revenue/v2.yml").write_text(second)
    assert shop.findings() == {
        "VER02": {"revenue"}, "VER03": {"revenue"}, "VER05": {"revenue"}, "VER08": {"revenue"},
    }  # fmt: skip


def test_a_record_that_is_edited_or_gone_is_found(shop):
    shop.edit("versions/revenue/v1.yml", "kind: first", "kind: policy")
    shop.edit("versions/visits/v1.yml", "kind: first", "kind: whim")
    (shop.root / "versions" / "stock" / "v1.yml").unlink()
    assert shop.findings("VER03") == {"VER03": {"revenue", "stock", "visits"}}
    assert shop.findings("VER07") == {"VER07": {"stock"}}


def test_a_record_that_is_edited_and_sealed_anew_is_found_once_it_was_merged(shop, monkeypatch):
    for words in (
        ["init", "-q", "-b", "main"], ["add", "versions", "kpi.lock"],
        ["-c", "user.email=a@b.c", "-c", "user.name=a", "commit", "-qm", "records"],
    ):  # fmt: skip
        subprocess.run(["git", "-C", shop.root, *words], check=True)
    shop.edit("versions/revenue/v1.yml", f"approver: {OWNER}", "approver: kim@example.com")
    shop.seal("revenue")
    assert shop.findings("VER03", "VER04") == {"VER04": {"revenue"}}
    monkeypatch.setenv("CADRAN_BASE", "main")
    assert shop.findings("VER03", "VER04") == {"VER03": {"revenue"}}


def _in_git(shop, monkeypatch) -> None:
    """The shop as the main line has it."""
    for words in (
        ["init", "-q", "-b", "main"], ["add", "versions", "kpi.lock"],
        ["-c", "user.email=a@b.c", "-c", "user.name=a", "commit", "-qm", "records"],
    ):  # fmt: skip
        subprocess.run(["git", "-C", shop.root, *words], check=True)
    monkeypatch.setenv("CADRAN_BASE", "main")


def test_rules_that_need_the_main_line_say_that_they_did_not_run_and_fail_the_gate(
    shop, monkeypatch, capsys
):
    monkeypatch.delenv("CADRAN_BASE", raising=False)
    layer = shop.open()
    apart = check(layer, only=CODES)
    assert apart.findings == ()
    assert apart.not_run == (
        "VER03, VER04, VER11 could not hold the records against the main line: git knows no"
        " repository here"
    )
    found = check(layer, only=CODES, in_ci=True).findings
    assert {finding.code: {finding.message} for finding in found} == {"VER10": {apart.not_run}}
    assert check(layer, only=["VER05"], in_ci=True).not_run == ""
    assert "VER03 could not hold" in check(layer, only=["VER03"], in_ci=True).not_run
    layer.close()
    place = ["--project-dir", str(shop.root), "--database", str(shop.database)]
    words = ["check", "--only", "VER03", "VER10", *place]
    monkeypatch.delenv("CI", raising=False)
    assert main(words) == 0
    assert "not run: VER03 could not hold the records" in capsys.readouterr().out
    assert main([*words, "--ci"]) == 1
    monkeypatch.setenv("CI", "true")
    assert main(words) == 1
    assert main([*words, "--no-ci"]) == 0
    capsys.readouterr()
    assert main([*words, "--no-ci", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_run"].startswith("VER03 could not hold")


def test_a_merged_record_that_vanishes_or_moves_is_found_whatever_the_lock_says(shop, monkeypatch):
    _in_git(shop, monkeypatch)
    assert shop.findings("VER03", "VER10", "VER11") == {}
    (shop.root / "versions" / "stock").rename(shop.root / "versions" / "supplies")
    locked = lock.read(shop.root)
    lock.write(shop.root, locked | {"supplies": locked.pop("stock")})
    assert shop.findings("VER03", "VER11") == {"VER11": {"stock", "supplies"}}
    told = {finding.kpi: finding for finding in shop.reported("VER11")}
    assert told["stock"].message == "its record v1.yml is gone since it was merged"
    assert "-- versions/stock/v1.yml`" in told["stock"].remedy
    assert told["supplies"].message == "the record of version 1 speaks of stock"
    layer = shop.open()
    with pytest.raises(QueryError, match=r"versions/stock/v1\.yml was merged and is gone: take it"):
        first(layer, ["stock"], "data@example.com")
    layer.close()


def test_a_first_record_is_mended_until_it_was_merged_or_published(shop, monkeypatch):
    layer = shop.open()
    [path] = first(layer, ["visits"], "kim@example.com", again=True)
    assert "author: kim@example.com" in path.read_text()
    assert shop.findings("VER03", "VER08") == {}
    publish(layer, ["stock"])
    with pytest.raises(QueryError, match="Version 1 of stock was published, and never changes"):
        first(layer, ["stock"], "kim@example.com", again=True)
    # Nor under another meaning, once its record was thrown away.
    shop.records("stock")
    (shop.root / "versions/stock/v1.yml").unlink()
    lock.write(shop.root, {k: e for k, e in lock.read(shop.root).items() if k != "stock"})
    assert first(layer, ["stock"], "kim@example.com") == [path.parents[1] / "stock/v1.yml"]
    _in_git(shop, monkeypatch)
    with pytest.raises(QueryError, match="Version 1 of visits is merged, and never changes"):
        first(layer, ["visits"], "kim@example.com", again=True)
    monkeypatch.setenv("CADRAN_BASE", "nowhere")
    with pytest.raises(QueryError, match="is merged cannot be known: git knows no nowhere"):
        first(layer, ["visits"], "kim@example.com", again=True)
    layer.close()


def test_a_published_first_record_is_not_replaced_by_one_that_means_something_else(
    shop, changed_shop, tmp_path
):
    layer = shop.open()
    publish(layer, ["revenue"])
    layer.close()
    changed = changed_shop.copy(tmp_path / "changed")
    shutil.copy(shop.database, changed.database)
    (changed.root / "versions/revenue/v1.yml").unlink()
    lock.write(changed.root, {k: e for k, e in lock.read(changed.root).items() if k != "revenue"})
    layer = changed.open()
    with pytest.raises(QueryError, match="Version 1 of revenue was published with another meaning"):
        first(layer, ["revenue"], "data@example.com")
    layer.close()


def test_a_renamed_kpi_is_found_until_its_renaming_is_recorded(shop, capsys):
    shop.edit("models/marts.yml", "- name: revenue\n", "- name: turnover\n")
    place = ["--project-dir", str(shop.root), "--database", str(shop.database)]
    words = ["bump", "turnover", "--author", "data@example.com", *place]
    assert main([*words, "--first"]) == 0
    [finding] = shop.reported("VER12")
    assert (finding.kpi, finding.message) == (
        "turnover", "it means what revenue meant, which is gone"
    )  # fmt: skip
    renamed = [*words, "--reason", "As the annual report calls it.", "--approver", OWNER]
    assert main([*renamed, "--renamed-from", "revenue"]) == 0
    record = shop.records("turnover")[0]
    assert (record.kind, record.renamed_from, record.version) == ("renamed", "revenue", 1)
    assert record.hash == shop.records("revenue")[0].hash
    assert shop.findings() == {}
    assert main([*renamed, "--renamed-from", "stock"]) == 2
    assert "stock is still there" in capsys.readouterr().err
    # Whoever says it of something else is found, too.
    shop.edit("versions/turnover/v1.yml", "renamed_from: revenue", "renamed_from: stock")
    shop.seal("turnover")
    assert shop.findings("VER12") == {"VER12": {"turnover"}}


def test_going_back_to_an_earlier_meaning_is_a_version_of_its_own(shop, bumped):
    shutil.copytree(bumped[0].root / "versions", shop.root / "versions", dirs_exist_ok=True)
    shutil.copy(bumped[0].root / lock.FILE, shop.root / lock.FILE)
    layer = shop.open()
    back = decision(reason="They count after all.", expected_impact=(0, 0.05))
    record = bump(layer, "revenue", back).record
    layer.close()
    assert (record.version, record.hash) == (3, shop.records("revenue")[0].hash)
    assert shop.findings("VER01", "VER02", "VER03", "VER05", "VER12") == {}


def test_an_unproved_approval_is_a_finding_where_the_project_asks_for_proof(shop):
    assert shop.findings("VER13") == {}
    (shop.root / "cadran_checks.yml").write_text("approvals: {required: true}\n")
    found = shop.reported("VER13")
    assert {finding.kpi for finding in found} == {*versions.recorded(shop.root)}
    assert f"that {OWNER} approved version 1 is unproved" in found[0].message
    assert shop.findings("VER13") == {"VER13": {*versions.recorded(shop.root)}}


def _steps_written_out(shop) -> None:
    """The records as they were written before steps were shared."""
    store = StepStore(shop.root / "versions")
    for path in (shop.root / "versions").glob("*/v*.yml"):
        path.write_text(store.written_out(path.read_text(), path.name))
    shutil.rmtree(shop.root / "versions" / "steps")


def test_sql_that_is_written_anew_with_its_meaning_is_compared_once_and_noted(shop, monkeypatch):
    shop.edit("models/fct_orders.sql", "ref('stg_orders')", "ref('int_orders')")
    (shop.root / "models/int_orders.sql").write_text("select * from {{ ref('stg_orders') }}\n")
    shop.parse()
    layer = shop.open()
    assert not layer.meanings.is_untouched(shop.records("revenue")[-1])
    assert "revenue" in renew(layer, layer.meanings.kpis())
    layer.close()
    locked = lock.read(shop.root)["revenue"]
    assert ("model", "int_orders") in locked.came_from
    assert locked.seals == {1: versions.seal(shop.root / shop.records("revenue")[-1].file)}
    with monkeypatch.context() as patched:
        patched.setattr(compiled, "_compile", None)
        assert shop.findings("VER01", "VER03", "VER04") == {}
    shop.edit("models/int_orders.sql", "}}", "}} where amount > 60")
    shop.parse()
    assert "revenue" in shop.findings("VER01")["VER01"]
    layer = shop.open()
    with pytest.raises(QueryError, match="does not mean what its version 1 means"):
        renew(layer, ["revenue"])
    layer.close()
    assert lock.read(shop.root)["revenue"] == locked


def test_a_step_that_several_versions_read_is_stored_once_and_seals_hold_in_either_form(shop):
    shop.edit("models/marts.yml", "agg: sum", "agg: max")
    shop.parse()
    layer = shop.open()
    bump(layer, "revenue", decision(expected_impact=(-1, 1)))
    layer.close()
    named = {p: p.read_text() for p in (shop.root / "versions").glob("*/v*.yml")}
    before = {kpi: shop.records(kpi) for kpi in versions.recorded(shop.root)}
    assert before["revenue"][0].definition.steps == before["revenue"][1].definition.steps
    answers = _answers(shop)
    _steps_written_out(shop)
    assert all("sha256:" not in path.read_text() for path in named)
    assert {kpi: shop.records(kpi) for kpi in before} == before
    assert shop.findings("VER03", "VER04") == {}
    assert _answers(shop) == answers
    assert {*versions.share_steps(shop.root)} == {*named}
    assert {path: path.read_text() for path in named} == named
    assert versions.share_steps(shop.root) == []
    assert shop.findings("VER03", "VER04") == {}


def _answers(shop):
    layer = shop.open()
    found = [
        layer.query("revenue", ["metric_time__month"], version=number).to_arrow().to_pylist()
        for number in (1, 2)
    ]
    layer.close()
    return found


def test_records_whose_steps_are_shared_later_are_not_edited_records(shop, monkeypatch):
    _steps_written_out(shop)
    _in_git(shop, monkeypatch)
    assert versions.share_steps(shop.root)
    assert shop.findings("VER03", "VER04") == {}


def test_a_step_that_is_edited_or_gone_is_found_wherever_it_is_named(shop):
    definition = shop.records("revenue")[0].definition
    (name, sql), *_ = definition.steps.items()
    path = shop.root / "versions" / "steps" / f"{versions.checksum(sql)}.sql"
    path.write_text(path.read_text() + "-- as it was\n")
    found = shop.findings("VER03")["VER03"]
    assert "revenue" in found, name
    with pytest.raises(CardError, match="was edited; take it back"):
        shop.records("revenue")
    path.unlink()
    assert shop.findings("VER03")["VER03"] == found
    with pytest.raises(CardError, match="is gone; take it back"):
        shop.records("revenue")


def test_an_approver_who_is_the_author_or_a_stranger_is_refused(shop):
    for kpi, approver in (("revenue", "data"), ("stock", "kim"), ("visits", "sam")):
        shop.edit(
            f"versions/{kpi}/v1.yml", f"approver: {OWNER}", f"approver: {approver}@example.com"
        )
    (shop.root / "cadran_checks.yml").write_text(
        f"owners:\n  {OWNER}: [sam@example.com]\n  data@example.com: []\n"
    )
    assert shop.findings("VER04") == {"VER04": {"revenue", "stock"}}


def test_an_impact_other_than_the_expected_one_fails_the_gate(second_shop):
    shop = second_shop
    shop.edit("versions/revenue/v2.yml", "least: -0.05", "least: -0.01")
    shop.seal("revenue")
    assert shop.findings("VER05") == {"VER05": {"revenue"}}
    # Told as it was expected, and measured again where there are data.
    shop.edit("versions/revenue/v2.yml", "least: -0.021739", "least: -0.005")
    shop.seal("revenue")
    assert shop.findings("VER05") == {}
    [finding] = shop.reported("VER05", with_values=True)
    assert "in this warehouse: it changes values by -2.17% to +0.00%" in finding.message


def test_every_rule_of_versions_is_broken_here():
    text = Path(__file__).read_text(encoding="utf-8")
    assert [
        code for code in CODES if text.count(f'"{code}": {{') + text.count(f'("{code}")') == 0
    ] == []


# Answers by a version ---------------------------------------------------------------------------


def test_old_and_new_version_answer_side_by_side(bumped):
    layer = bumped[0].open()
    was = layer.query("revenue", "metric_time__month", version=1)
    now = layer.query("revenue", "metric_time__month", version=2)
    assert was.to_arrow()["revenue"].to_pylist() == [150, 184]
    assert now.to_arrow()["revenue"].to_pylist() == [150, 180]
    assert was.card("revenue").version == 1
    assert "by its version 1, from its frozen SQL" in was.note
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
        {"metrics": "conversion", "start": "2026-02-01"},
        {"metrics": "revenue_month_to_date", "where": "order_id__channel = 'web'"},
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
    asked = {"group_by": "metric_time__month", "version": 1}
    with pytest.raises(NotGovernedError, match="is not defined by order_id__ordered_date"):
        first_open.query("revenue", where="order_id__ordered_date > '2026-01-01'", **asked)
    with pytest.raises(QueryError, match="one KPI"):
        first_open.query(["revenue", "stock"], **asked)
    with pytest.raises(QueryError, match="view cannot be 'both'"):
        first_open.query("revenue", view="both", **asked)
    with pytest.raises(QueryError, match="as its card allowed"):
        first_open.query("revenue", governed=False, **asked)
    with pytest.raises(UnknownNameError, match="no column to order by 'country'"):
        first_open.query("revenue", order_by="country", **asked)
    with pytest.raises(WarehouseError, match="refused"):
        first_open.query("revenue", where="customer__country > 1", **asked)


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
    asked = ["query", "revenue", "--group-by", "metric_time__month", "--version", "1"]
    assert main([*asked, *place]) == 0
    assert "as it was published" in capsys.readouterr().err


# The command ------------------------------------------------------------------------------------


def test_the_command_asks_what_it_is_not_told_and_draws_both_versions(
    changed_shop, tmp_path, monkeypatch, capsys
):
    shop = changed_shop.copy(tmp_path)
    words = [
        "bump", "revenue", "--author", "data@example.com", "--approver", OWNER,
        "--chart", str(tmp_path / "both.svg"),
        "--project-dir", str(shop.root), "--database", str(shop.database),
    ]  # fmt: skip
    assert main(words) == 2
    assert "needs --kind" in capsys.readouterr().err
    answers = iter(["policy", "-3 0", "Small orders do not count.", "2026-02-01", ""])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "caused by var least_amount (dbt_project.yml)" in told
    assert "2026-02-01" in told
    assert "-2.17%" in told
    assert "v1  ▁█\nv2  ▁▇" in told
    assert "| revenue | v1 | v2 | 2026-02-01 | no | -2.2% to +0.0% by month | Small orders" in told
    assert "<svg" in (tmp_path / "both.svg").read_text()
    record = shop.records("revenue")[-1]
    assert (record.kind, record.expected_impact) == ("policy", (-0.03, 0.0))


def test_one_decision_bumps_all_that_one_cause_moves_or_none(changed_shop, tmp_path, capsys):
    shop = changed_shop.copy(tmp_path)
    place = ["--project-dir", str(shop.root), "--database", str(shop.database)]
    shown = ["bump", "--cause", "least_amount", "--dry-run", *place]
    assert main(shown) == 0
    told = capsys.readouterr().out
    assert "revenue: version 2 is not written" in told
    assert "revenue changes by -2.17% to +0.00% by month" in told
    assert all(len(shop.records(kpi)) == 1 for kpi in versions.recorded(shop.root))
    words = [
        "bump", "--author", "data@example.com", "--kind", "policy", "--reason", "Small orders.",
        "--approver", "kim@example.com", OWNER, "--effective-from", "2026-02-01", *place,
    ]  # fmt: skip
    assert main([*words, "--cause", "least_amount", "stock", "--expected", "-3", "0"]) == 2
    assert "stock is not moved by least_amount; it moves" in capsys.readouterr().err
    assert main([*words, "--cause", "leest_amount", "--expected", "-3", "0"]) == 2
    assert "Did you mean 'least_amount'" in capsys.readouterr().err
    # What one of them does not do as expected stops all of them.
    both = [*words, "--cause", "least_amount", "revenue", "average_order_value"]
    assert main([*both, "--expected", "-3", "0"]) == 2
    assert "average_order_value was not bumped: it changes values by" in capsys.readouterr().err
    assert len(shop.records("revenue")) == 1
    assert main([*both, "--expected", "-3", "100"]) == 0
    for kpi in ("revenue", "average_order_value"):
        record = shop.records(kpi)[-1]
        assert (record.version, record.cause, record.approver) == (2, "least_amount", OWNER)
        assert lock.read(shop.root)[kpi].version == 2


def test_a_rate_changes_by_points(changed_shop, tmp_path):
    shop = changed_shop.copy(tmp_path)
    for name in ("manifest.json", "semantic_manifest.json"):
        shop.edit(f"target/{name}", '"unit": "EUR"', '"unit": "%"')
    layer = shop.open()
    with pytest.raises(QueryError, match="in points, because it is a rate"):
        bump(layer, "revenue", decision())
    record = bump(layer, "revenue", decision(expected_points=(-5, 0))).record
    layer.close()
    assert record.in_points
    assert record.measured_impact["unit"] == "points"
    assert (record.measured_impact["least"], record.measured_impact["greatest"]) == (-4, 0)
    assert shop.records("revenue")[-1].expected_impact == (-5, 0)
    assert shop.findings("VER05") == {}
    shop.edit("versions/revenue/v2.yml", "least: -5", "least: -1")
    shop.seal("revenue")
    [finding] = shop.reported("VER05")
    assert "by -400.00 to +0.00 points, where -100.00 to +0.00 points was" in finding.message


def test_a_bump_and_a_publication_at_once_lose_nothing_of_the_lock(tmp_path):
    locked = {"revenue": lock.Locked(1, "a" * 64, {1: "b" * 64})}

    def publications():
        for batch in range(1, 101):
            anchor.anchor(tmp_path / lock.FILE, {batch: "c" * 64})

    lock.write(tmp_path, locked)
    other = threading.Thread(target=publications)
    other.start()
    for number in range(1, 101):
        lock.write(tmp_path, {"revenue": replace(locked["revenue"], version=number)})
    other.join()
    assert lock.read(tmp_path)["revenue"].version == 100
    assert anchor.anchored(tmp_path / lock.FILE).head.batch == 100


# What readers understand, and what changes rows beside a SELECT -----------------------------------


def test_changed_words_are_found_and_recorded_by_a_version_without_impact(shop):
    shop.edit("models/marts.yml", "unit: EUR", "unit: USD")
    shop.parse()
    found = shop.reported("VER01", "VER14")
    assert {finding.kpi for finding in found} == set(lock.read(shop.root))
    assert found[0].message.endswith("than its version 1: unit 'EUR' became 'USD'")
    layer = shop.open()
    with pytest.raises(QueryError, match="only its words changed: record that with --kind wording"):
        bump(layer, "revenue", decision())
    record = bump(layer, "revenue", decision(kind="wording", expected_impact=None)).record
    with pytest.raises(QueryError, match="means what its version 2 means"):
        bump(layer, "revenue", decision(kind="wording", expected_impact=None))
    layer.close()
    assert (record.version, record.kind, record.measured_impact) == (2, "wording", {})
    shop.parse()
    assert "revenue" not in shop.findings("VER14")["VER14"]
    assert shop.findings("VER01", "VER02", "VER03", "VER05", "VER08") == {}
    layer = shop.open()
    assert layer.query("revenue", "metric_time__month", version=1).card("revenue").unit == "EUR"
    layer.close()


def test_words_do_not_hide_a_changed_meaning(changed_shop):
    layer = changed_shop.open()
    with pytest.raises(QueryError, match="its meaning changed, not its words alone"):
        bump(layer, "revenue", decision(kind="wording", expected_impact=None))
    layer.close()


def test_a_record_from_before_side_effects_were_noted_gets_them_in_the_lock(shop):
    record = shop.root / "versions/revenue/v1.yml"
    text = record.read_text()
    assert "side_effects: {}\n" in text
    record.write_text(text.replace("side_effects: {}\n", ""))
    shop.seal("revenue")
    assert shop.findings("VER01", "VER03", "VER15") == {"VER15": {"revenue"}}
    layer = shop.open()
    assert renew(layer, ["revenue"]) == ["revenue"]
    layer.close()
    assert lock.read(shop.root)["revenue"].side_effects == {}
    assert shop.findings("VER01", "VER03", "VER15") == {}
    hook = "+materialized: table, +post-hook: \"delete from {{ this }} where channel = 'app'\"}"
    shop.edit("dbt_project.yml", "+materialized: table}", hook)
    shop.parse()
    assert "revenue" in shop.findings("VER01")["VER01"]
    layer = shop.open()
    with pytest.raises(QueryError, match="does not mean what its version 1 means"):
        renew(layer, ["revenue"])
    layer.close()


def test_what_a_hook_does_to_rows_is_measured_in_the_tables(shop):
    hook = "fct_orders: {+post-hook: \"delete from {{ this }} where channel = 'app'\"}}"
    shop.edit("dbt_project.yml", "+materialized: table}", f"+materialized: table, {hook}")
    shop.parse()
    findings = {finding.kpi: finding for finding in shop.reported("VER01")}
    assert "caused by post-hook of model fct_orders" in findings["revenue"].message
    assert {"stock", "visits"}.isdisjoint(findings)
    layer = shop.open()
    equal = decision(kind="equivalent", expected_impact=None)
    with pytest.raises(QueryError, match=r"dbt_project.yml is newer than .* run `dbt build` first"):
        bump(layer, "revenue", equal)
    layer.close()
    shop.build()
    layer = shop.open()
    with pytest.raises(QueryError, match="is not equivalent to its version 1"):
        bump(layer, "revenue", equal)
    done = bump(layer, "revenue", decision(expected_impact=(-0.4, 0)))
    assert [(pair.old, pair.new) for pair in done.pairs] == [(150, 100), (184, 184)]
    layer.close()
    shop.parse()
    assert shop.findings("VER02", "VER03", "VER05") == {}
    layer = shop.open()
    note = layer.query("revenue", "metric_time__month", version=2).note
    assert note.endswith("which does not repeat the post-hook of model fct_orders")
    layer.close()
